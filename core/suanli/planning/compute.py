"""From a total peak rate to accelerators: how many make up so many FLOP/s on paper."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import attrs

from suanli.catalogs import Catalog
from suanli.costs import SECONDS_PER_HOUR, accelerator_hours, rental_cost
from suanli.errors import InvalidInputError, UnknownNameError, show
from suanli.formulas import formula
from suanli.hardware import Accelerator, System
from suanli.numeric import ceil
from suanli.planning.asked import Candidate, names_of, place, quantity
from suanli.planning.running import Keep, power_w, ranked
from suanli.prices import USUAL_CURRENCY
from suanli.report import SCHEMA_VERSION

if TYPE_CHECKING:
    from suanli.workspace import Workspace

VECTOR = ("fp32", "fp64")
"""Formats whose peaks are the vector units', which know no structured sparsity."""


@formula(unit="accelerators", source="definition: peaks add up")
def accelerators_for(*, flops_per_s: float, peak_flops_per_s: float) -> float:
    """Accelerators whose peaks add up to a rate; a fraction of one is left as it is."""
    return flops_per_s / peak_flops_per_s


@formula(unit="nodes", source="definition: the last node is bought whole")
def whole_nodes(*, accelerators: float, per_node: float) -> float:
    """Whole nodes that hold so many accelerators; a trillionth too many is rounding."""
    return float(ceil(accelerators / per_node * (1.0 - 1e-12)))


@attrs.frozen(kw_only=True)
class ComputeOption:
    """The accelerators of one kind that make up the rate.

    Attributes:
        accelerator: Its id.
        system: The system whose nodes are counted; None where the accelerator has none.
        per_node: Accelerators of a node.
        peak_flops_per_s: Of one accelerator, as asked; None where it has no such path, or it is confidential.
        exact_accelerators: How many it takes, a fraction left as it is; None where it has no such path.
        exact_nodes: The same in nodes.
        nodes: Rounded up to whole nodes.
        accelerators: In those nodes.
        power_of_two_nodes: The next power of two of nodes, which many layouts want.
        total_flops_per_s: Of all of them.
        keep: Power and cost.
        reason: Why there is no answer.
        note: Which parts the name it was asked for by could also mean.
    """

    accelerator: str
    system: str | None = None
    per_node: int = 1
    peak_flops_per_s: float | None = None
    exact_accelerators: float | None = None
    exact_nodes: float | None = None
    nodes: int | None = None
    accelerators: int | None = None
    power_of_two_nodes: int | None = None
    total_flops_per_s: float | None = None
    keep: Keep | None = None
    reason: str = ""
    note: str = ""

    @property
    def meets(self) -> bool:
        """Whether it can be built of these at all."""
        return self.accelerators is not None

    def to_dict(self) -> dict[str, Any]:
        """The figures, JSON-ready."""
        data = attrs.asdict(self, filter=lambda a, _: a.name != "keep")
        return data | (self.keep.to_dict() if self.keep is not None else {})


@attrs.frozen(kw_only=True)
class ComputePlan:
    """Accelerators whose peaks add up to a rate, best first.

    Attributes:
        flops_per_s: The rate asked for.
        precision: In which format.
        sparse: Whether structured sparsity is counted on.
        ranked_by: What ranks the options.
        options: One for each kind of accelerator.
    """

    flops_per_s: float
    precision: str
    sparse: bool
    ranked_by: str
    options: tuple[ComputeOption, ...]

    @property
    def meets(self) -> bool:
        """Whether any of them can make it up."""
        return any(o.meets for o in self.options)

    def to_dict(self) -> dict[str, Any]:
        """The plan, JSON-ready."""
        target = {"flops_per_s": self.flops_per_s, "precision": self.precision, "sparse": self.sparse}
        options = [o.to_dict() for o in self.options]
        return {
            "schema_version": SCHEMA_VERSION,
            "plan": "compute",
            **target,
            "meets": self.meets,
            "ranked_by": self.ranked_by,
            "options": options,
        }


def plan_compute(
    workspace: Workspace,
    flops_per_s: float | str,
    on: str | Iterable[str] = (),
    precision: str = "bf16",
    sparse: bool = False,
    price_per_hour: float | None = None,
    currency: str | None = None,
) -> ComputePlan:
    """The nodes and accelerators whose peaks add up to a rate, best first.

    Args:
        workspace: Whose catalog and estimator are asked.
        flops_per_s: The rate, such as ``"1000P"``.
        on: Accelerators or systems; all of those with that path by default.
        precision: The path whose peak counts, such as ``"bf16"`` or ``"tf32"``.
        sparse: Whether to count on structured sparsity.
        price_per_hour: Of one accelerator; the catalog's by default.
        currency: Of the price.

    Raises:
        InvalidInputError: Naming every bad argument.
    """
    faults: list[str] = []
    catalog = workspace.catalog()
    rate = quantity("compute", flops_per_s, "flop/s", faults)
    if flops_per_s is None:
        faults.append("compute: required: a rate such as 1000P")
    form = _format(catalog, precision, faults)
    if not isinstance(sparse, bool):
        faults.append(f"sparse: expected true or false, got {show(sparse)}")
    if currency is not None and not isinstance(currency, str):
        faults.append(f"currency: expected three letters such as USD, got {show(currency)}")
    price = quantity("price_per_hour", price_per_hour, "currency", faults)
    places = _places(catalog, on, faults)
    if faults or rate is None:
        raise InvalidInputError(faults, "")
    found = [_option(place, rate, form, sparse, _Price.of(catalog, place[0], price, currency)) for place in places]
    if not _asked(on):
        found = [o for o in found if o.meets]
    options, rank = ranked(
        found,
        meets=lambda o: o.meets,
        cost=lambda o: (o.keep.cost_per_hour, o.keep.currency) if o.keep is not None else (None, None),
        count=lambda o: float(o.accelerators or 0),
        miss=lambda o: 0.0,
    )
    return ComputePlan(flops_per_s=rate, precision=form, sparse=sparse, ranked_by=rank, options=options)


def _asked(on: Any) -> bool:
    return bool(on) if isinstance(on, str) else bool(tuple(on))


def _format(catalog: Catalog, precision: Any, faults: list[str]) -> str:
    """The name peaks are stated under: of a format, or of a path such as tf32."""
    paths = {r.precision for e in catalog.entries("accelerator") for r in e.value.peak}
    names: dict[str, str] = {p: p for p in paths}
    names |= {n: f.name for n, f in catalog.formats.items() if f.name in paths and n not in names}
    if not isinstance(precision, str) or precision.strip().lower() not in names:
        asked = precision if isinstance(precision, str) else show(precision)
        faults.append(f"precision: {UnknownNameError('precision', asked, names)}")
        return ""
    return names[precision.strip().lower()]


_Place = tuple[Accelerator, System | None, str]
"""An accelerator, the system it stands in, and what else its name could have meant."""


def _places(catalog: Catalog, on: Any, faults: list[str]) -> list[_Place]:
    """The accelerators asked for with the system each stands in; all of them by default."""
    found: list[_Place] = []
    names = names_of(on, faults)
    for name in names or catalog.names("accelerator"):
        try:
            device = catalog.accelerator(name)
            at = catalog.system(device.default_system) if device.default_system else None
            also = ", ".join(device.siblings) if name.strip().lower() != device.id else ""
        except UnknownNameError:
            try:
                known: Candidate = place(catalog, name)
            except UnknownNameError as exc:
                faults.append(f"on: {exc}")
                continue
            device, at, also = catalog.accelerator(known.accelerator), known.system, ""
        said = f"{name!r} is taken to be {device.id} ({device.product}); it could also mean {also}" if also else ""
        found.append((device, at, said))
    return list(dict.fromkeys(found))


@attrs.frozen
class _Price:
    """The price of an hour of one accelerator: as given, else what the catalog assumes."""

    per_hour: float | None
    currency: str | None
    why: str

    @classmethod
    def of(cls, catalog: Catalog, device: Accelerator, given: float | None, currency: str | None) -> _Price:
        if given is not None:
            return cls(given, currency or USUAL_CURRENCY, "given")
        found = catalog.market(device.id, currency)
        if found is None:
            return cls(None, None, f"no current on-demand price of {device.id} is known")
        return cls(found.price.price_per_hour, found.price.currency, found.why)

    def keep(self, system: System, count: int) -> Keep:
        """What so many accelerators take."""
        power, of = power_w(system, count)
        cost = None
        if self.per_hour is not None:
            hours = accelerator_hours(accelerators=float(count), duration_s=SECONDS_PER_HOUR)
            cost = float(rental_cost(accelerator_hours=hours, price_per_hour=self.per_hour))
        return Keep(
            power_w=power,
            power_of=of,
            price_per_hour=self.per_hour,
            price_source=self.why,
            cost_per_hour=cost,
            currency=self.currency,
        )


def _option(at: _Place, rate: float, precision: str, sparse: bool, price: _Price) -> ComputeOption:
    device, system, note = at
    per_node = int(system.accelerators_per_node) if system is not None else 1
    about: dict[str, Any] = {
        "accelerator": device.id,
        "system": system.id if system is not None else None,
        "per_node": per_node,
        "note": note,
    }
    peak = 0.0 if sparse and precision in VECTOR else device.peak_flops_per_s(precision, sparse=sparse)
    if peak <= 0.0:
        return ComputeOption(**about, reason=_no_path(device, precision, sparse))
    exact = accelerators_for(flops_per_s=rate, peak_flops_per_s=peak)
    nodes = int(whole_nodes(accelerators=exact, per_node=float(per_node)))
    count = nodes * per_node
    shown: dict[str, Any] = {}
    if not device.confidential:  # any of these gives the peak away
        shown = {"peak_flops_per_s": peak, "total_flops_per_s": count * peak}
        shown |= {"exact_accelerators": exact, "exact_nodes": exact / per_node}
    return ComputeOption(
        **about,
        **shown,
        nodes=nodes,
        accelerators=count,
        power_of_two_nodes=1 << (nodes - 1).bit_length(),
        keep=price.keep(system or _alone(device), count),
    )


def _alone(device: Accelerator) -> System:
    """A node of one, for an accelerator of no known system."""
    return System(id=device.id, accelerator=device.id, accelerators_per_node=1, source=device.source, device=device)


def _no_path(device: Accelerator, precision: str, sparse: bool) -> str:
    """Why a path has no rate: the hardware lacks it, or nobody states it."""
    dense = device.rates.get(precision)
    if sparse and dense and precision in VECTOR:
        return f"structured sparsity is the matrix unit's; {precision} runs on the vector unit"
    if sparse and dense:
        return f"{device.id} has no structured sparsity"
    has = "" if device.confidential else f"; it has {', '.join(p for p, r in device.rates.items() if r > 0.0)}"
    if dense is None:
        return f"nobody states a {precision} peak of {device.id}{has}"
    return f"{device.id} has no {precision} path{has}"
