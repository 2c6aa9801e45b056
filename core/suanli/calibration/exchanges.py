"""Calibrating a system: the fabrics its exchanges were measured over, innermost first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from suanli.calibration.classes import Span
from suanli.calibration.fabric_classes import SWITCHES, figures_of
from suanli.calibration.fabrics import Exchanges, FittedFabric, fit_fabric
from suanli.calibration.fitting import MINIMUM_ROWS
from suanli.calibration.records import GUESSED, Errors, Fit, halved, union
from suanli.calibration.results import CalibratedFabric, ExchangeErrors
from suanli.collectives import NETWORK, OPERATIONS, FabricEfficiency, Hierarchical, fabric_of, ranks_inside
from suanli.errors import SuanliError
from suanli.fits import Fit as Provenance
from suanli.hardware import Accelerator, System
from suanli.measurement_schema import Measurement


@attrs.frozen(kw_only=True)
class Exchange:
    """A measured exchange as a fit takes it, see :class:`suanli.calibration.fabrics.Exchanged`."""

    system: str
    operation: str
    bytes: float
    ranks: int
    stride: int
    seconds: float

    @property
    def shape(self) -> str:
        """What its half is chosen by."""
        return f"{self.operation},{self.ranks},{self.stride},{self.bytes:.0f}"


Fabrics = dict[str, list[Exchange]]
LONGEST = ("launch_s", "latency_s", "ramp_s")
"""Figures of which a tier further out has at least those of the tiers further in."""


def by_fabric(
    measurements: Iterable[Measurement], accelerator: Accelerator, system: System | None
) -> tuple[Fabrics, Counter[str]]:
    """Exchanges by the outermost fabric they cross, innermost first, and how many belong to none, by reason.

    Raises:
        SuanliError: Where the system is one of another accelerator.
    """
    if system is not None and system.accelerator != accelerator.id:
        raise SuanliError(f"{system.id} is a system of {system.accelerator}, not of {accelerator.id}")
    left_out: Counter[str] = Counter()
    groups: Fabrics = defaultdict(list)
    for one in measurements:
        if one.shape.kernel != "collective":
            continue
        if system is None:
            left_out[f"exchanges: no system of {accelerator.id} is known; name theirs by --system"] += 1
            continue
        if _so_far(system) is None:
            left_out[f"exchanges: a model of its plugin's own answers for {system.id}, and is not fitted"] += 1
            continue
        row = Exchange(
            system=system.id,
            operation=str(one.shape["operation"]),
            bytes=float(one.shape["bytes"]),
            ranks=int(one.shape["ranks"]),
            stride=int(one.shape["stride"]),
            seconds=one.time_s,
        )
        fabric = _fabric(system, row)
        if fabric is None:
            left_out[f"exchanges of more accelerators than the network of {system.id} joins"] += 1
        else:
            groups[fabric].append(row)
    order = [fabric_of(system, i) for i in range(len(system.tiers))] if system is not None else []
    return {name: groups[name] for name in dict.fromkeys(order) if name in groups}, left_out


def _fabric(system: System, row: Exchange) -> str | None:
    """The fabric of the tier that joins all of a group; None where none does."""
    ranks, stride = float(row.ranks), float(row.stride)
    for depth, tier in enumerate(system.tiers):
        if tier.span is None or float(ranks_inside(ranks=ranks, stride=stride, span=float(tier.span))) >= ranks:
            return fabric_of(system, depth)
    return None


def calibrate_fabrics(groups: Fabrics, system: System, *, source: str, date: str) -> tuple[CalibratedFabric, ...]:
    """Fit every fabric with enough rows; those further in, fitted before, are beside those further out.

    Args:
        groups: Of :func:`by_fabric`.
        system: As the catalog gives it.
        source: What the measurements are.
        date: Of the fit.
    """
    found: list[CalibratedFabric] = []
    beside: list[FabricEfficiency] = []
    for fabric, rows in groups.items():
        one, entry = _Fabric(system, fabric, rows, beside).calibrated(source, date)
        found.append(one)
        beside += [entry] if entry is not None else []
    return tuple(found)


def _so_far(system: System) -> Hierarchical | None:
    """The model of the accelerator's generation, or the datasheet's; None where a plugin has a model of its own.

    Not that of an earlier calibration of this system: it may have seen the very rows that errors are taken on.
    """
    model = system.exchanges
    while isinstance(model, Hierarchical) and model.systems and model.rest is not None:
        model = model.rest
    return model if isinstance(model, Hierarchical) else None


class _Fabric:
    """One fabric of a system, the rows that cross it and none further out, and what is known of it."""

    def __init__(
        self, system: System, fabric: str, rows: Sequence[Exchange], beside: Sequence[FabricEfficiency]
    ) -> None:
        rest = _so_far(system)
        assert rest is not None  # by_fabric leaves out the rows of any other model
        depth = next(i for i in range(len(system.tiers)) if fabric_of(system, i) == fabric)
        halves, systems = halved(rows), {system.id: system}
        self.system, self.fabric, self.beside = system, fabric, tuple(beside)
        self.known = rest.fabric(system.tiers[depth], fabric == NETWORK)
        model = Hierarchical(name="inside", fabrics=self.beside, rest=rest)
        self.inside = [model.fabric(t, fabric_of(system, i) == NETWORK) for i, t in enumerate(system.tiers[:depth])]
        self.rows = [row for half in halves for row in half]  # as the errors of the halves are joined
        self.whole = Exchanges(self.rows, systems, rest=rest)
        self.sides = [Exchanges(half, systems, rest=rest) for half in halves if len(half) >= MINIMUM_ROWS]

    def calibrated(self, source: str, date: str) -> tuple[CalibratedFabric, FabricEfficiency | None]:
        """What came of it, and its new entry."""
        assert self.system.exchanges is not None
        before = self.whole.errors(self.whole.by(self.system.exchanges))
        known = self.whole.errors(self.whole.predict(self.beside))
        if len(self.sides) < 2:
            why = f"{len(self.rows)} rows are too few, a fit needs {MINIMUM_ROWS} in each half of them"
            return self._told("unchanged", why, before), None
        spans = self._spans()
        fitted = fit_fabric(self._blank(), spans, self.sides, self.beside, self.known)
        how, why = "fitted", f"{len(fitted.names)} figures; errors: each half of the rows by a fit to the other"
        stuck = [n for n in fitted.names if _at_bound(getattr(fitted.entry, n), spans[n])]
        why += f"; as far as a search goes: {', '.join(stuck)}" if stuck else ""
        if known.loss <= fitted.errors.loss:
            how, why = "kept", f"{self._whose} figures meet the rows better (median error {known.median:.1%}) than "
            why += f"a fit to half of them meets the other half ({fitted.errors.median:.1%})"
            fitted = FittedFabric(self._blank(), (), known)
        band, sizes = fitted.errors.band, {row.ranks for row in self.rows}
        if len(sizes) == 1:
            band = union(band, self.known.interval or GUESSED)
            why += f"; all groups are of {sizes.pop()}, so the band is no narrower than it was"
        return self._told(how, why, before, fitted, self._record(fitted, band, source, date)), fitted.entry

    @property
    def _whose(self) -> str:
        return f"{self.known.generation or self.known.system}'s {self.known.fabric}"

    def _spans(self) -> Mapping[str, Span]:
        """What is fitted: without all-reduces, nothing of the switches' sums.

        Of the tiers crossed the longest launch, message and ramp count, so a search starts at those further in.
        """
        reduced = any(row.operation == "all_reduce" for row in self.rows)
        found = dict(figures_of(self.fabric, adds=reduced and self.system.tiers[0].in_network_reduction))
        for name in LONGEST:
            least = max((float(getattr(e, name)) for e in self.inside), default=0.0)
            if name in found and least > found[name][1]:
                start, _, most = found[name]
                found[name] = (max(start, least), least, max(most, 2.0 * least))
        return found

    def _blank(self) -> FabricEfficiency:
        """The figures so far, as the system's own."""
        adds = self.system.tiers[0].in_network_reduction
        figures: dict[str, Any] = {n: getattr(self.known, n) for n in FIGURES if adds or n not in SWITCHES}
        return FabricEfficiency(system=self.system.id, fabric=self.fabric, source="fit", **figures)

    def _record(self, fitted: FittedFabric, band: tuple[float, float], source: str, date: str) -> Fit:
        """What is written: what was fitted, and the figures so far of all that these rows do not speak of."""
        kept = {n: value for n in FIGURES if n not in fitted.names and (value := float(getattr(fitted.entry, n)))}
        names = fitted.names or tuple(kept)
        about = f"; {', '.join(kept) if fitted.names else 'figures'} of {self._whose}" if kept else ""
        return Fit(
            key=(self.system.id, self.fabric),
            names=names,
            params=tuple(float(getattr(fitted.entry, n)) for n in names),
            rows=len(self.rows),
            errors=fitted.errors,
            band=band,
            source=f"{source}{about}",
            fixed={n: value for n, value in kept.items() if n not in names},
            of="system",
            date=date,
        )

    def _told(
        self, how: str, why: str, before: Errors, fitted: FittedFabric | None = None, fit: Fit | None = None
    ) -> CalibratedFabric:
        """The answer, with the errors of each exchange by each algorithm apart."""
        model = self.whole.model(((fitted.entry,) if fitted is not None else ()) + self.beside)
        made = self.whole.errors(self.whole.by(model)) if fitted is not None else None
        held = fitted.errors if fitted is not None else None
        parts: dict[tuple[str, str], list[int]] = defaultdict(list)
        for i, row in enumerate(self.rows):
            group = {"bytes": row.bytes, "ranks": float(row.ranks), "stride": float(row.stride)}
            parts[row.operation, model.algorithm(row.operation, system=self.system, **group)].append(i)
        return CalibratedFabric(
            system=self.system.id,
            fabric=self.fabric,
            rows=len(self.rows),
            how=how,
            why=why,
            before=before,
            fitted=made,
            held_out=held,
            fit=fit,
            exchanges=tuple(
                ExchangeErrors(
                    operation=operation,
                    algorithm=algorithm,
                    rows=len(index),
                    before=before.of(index),
                    fitted=made.of(index) if made is not None else None,
                    held_out=held.of(index) if held is not None else None,
                )
                for (operation, algorithm), index in sorted(parts.items(), key=lambda p: (OPERATIONS.index(p[0][0]), p))
            ),
        )


def _at_bound(value: float, span: Span) -> bool:
    """Whether a figure is the least or the most it may be; at the least, a tier further in may be what decides."""
    return value >= 0.999 * span[2] or (value <= 1.001 * span[1] and span[0] > span[1])


FIGURES = tuple(
    f.name
    for f in attrs.fields(FabricEfficiency)
    if f.name not in ("system", "fabric", *(own.name for own in attrs.fields(Provenance)))
)
"""Fields of an entry that are figures of it."""
