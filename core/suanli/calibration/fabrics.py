"""Fit the collective model of `suanli` to measured exchanges, and measure its errors on rows not fitted.

Each fabric is fitted three times. Two fits on the halves of its rows, chosen by a hash of the shape, predict each
other's half: those are the errors stated. A third fit on all rows is what is shipped.
What is predicted is always the model itself, on systems of the catalog.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import attrs
import numpy as np

from suanli.calibration.classes import Span
from suanli.calibration.fabric_classes import SWITCHES
from suanli.calibration.fitting import rounded
from suanli.calibration.records import Array, Errors, joined
from suanli.calibration.searching import nearest
from suanli.collectives import CollectiveModel, FabricEfficiency, Hierarchical
from suanli.hardware import System

STARTS = 3
TELLING = 0.002
"""Figures of the switches' sums that lower the mean error by less than this are left out.

The library's rows do not tell them then, because it leaves that unused.
"""
TRUST = 0.01
"""What holds a figure that no row tells to the one known so far: for each factor of e, an error of 1 % in one row."""


class Exchanged(Protocol):
    """A measured exchange; `system` is the id of the one it was measured on, the rest as ``System.collective_s``."""

    @property
    def system(self) -> str: ...
    @property
    def operation(self) -> str: ...
    @property
    def bytes(self) -> float: ...
    @property
    def ranks(self) -> int: ...
    @property
    def stride(self) -> int: ...
    @property
    def seconds(self) -> float: ...


class Exchanges:
    """Exchanges as columns, and what a model makes of them.

    Args:
        rows: Measured.
        systems: By id.
        engine: Whether they are an engine's own all-reduces.
        rest: The model asked for fabrics that a fit has no figures of.
    """

    def __init__(
        self,
        rows: Sequence[Exchanged],
        systems: Mapping[str, System],
        *,
        engine: bool = False,
        rest: Hierarchical | None = None,
    ) -> None:
        self.engine, self.rest = engine, rest
        self.seconds = np.array([r.seconds for r in rows])
        groups: dict[tuple[str, str], list[int]] = defaultdict(list)
        for i, row in enumerate(rows):
            groups[row.system, row.operation].append(i)
        self.parts = []
        for (system, operation), index in groups.items():
            columns = {k: np.array([float(getattr(rows[i], k)) for i in index]) for k in ("bytes", "ranks", "stride")}
            self.parts.append((systems[system], operation, columns, np.array(index)))

    def model(self, fabrics: Iterable[FabricEfficiency]) -> Hierarchical:
        """The model of some figures."""
        return Hierarchical(name="fit", fabrics=tuple(fabrics), engine=self.engine, rest=self.rest)

    def predict(self, fabrics: Iterable[FabricEfficiency]) -> Array:
        """Seconds of every row, by the figures of fabrics."""
        return self.by(self.model(fabrics))

    def by(self, model: CollectiveModel) -> Array:
        """Seconds of every row, by a model."""
        out = np.empty(len(self.seconds))
        for system, operation, columns, index in self.parts:
            out[index] = model.time_s(operation, system=system, **columns)
        return out

    def errors(self, predicted: Array) -> Errors:
        """Errors of a prediction of every row."""
        return Errors(self.seconds / predicted, self.seconds)


def best_fabric(
    entry: FabricEfficiency,
    spans: Mapping[str, Span],
    measured: Sequence[Exchanges],
    beside: Sequence[FabricEfficiency] = (),
    known: FabricEfficiency | None = None,
) -> FabricEfficiency:
    """`entry` with the figures of `spans` that are nearest the measurements.

    Least squares of logarithms, from several starts.

    Args:
        entry: What is not fitted of it stays.
        spans: Where each figure's search starts, and its bounds.
        measured: Exchanges over this fabric.
        beside: The other fabrics they cross.
        known: What it is taken to sustain so far: one more start, and what a figure stays at that no row tells.
    """
    start, low, high = np.log(np.array(list(spans.values()))).T
    seconds = np.log(np.concatenate([m.seconds for m in measured]))
    told = np.array([getattr(known, n) if known is not None else 0.0 for n in spans])
    known_x = np.clip(np.log(np.where(told > 0.0, told, np.exp(start))), low, high)
    trust = np.where(told > 0.0, TRUST, 0.0)

    def made(x: Array) -> FabricEfficiency:
        values = np.exp(np.clip(x, low, high))
        changes: dict[str, Any] = {n: rounded(float(v)) for n, v in zip(spans, values, strict=True)}
        return attrs.evolve(entry, **changes)

    def residual(x: Array) -> Array:
        fabrics = (made(x), *beside)
        found: Array = np.log(np.concatenate([m.predict(fabrics) for m in measured])) - seconds
        return found if known is None else np.concatenate([found, trust * (x - known_x)])

    draw = np.random.default_rng(0)
    starts = [start, *(start + draw.normal(0.0, 0.4, len(start)) for _ in range(STARTS - 1))]
    if known is not None:
        starts.append(known_x)
    return made(nearest(residual, starts, low, high, most_calls=80))


@dataclass(frozen=True)
class FittedFabric:
    """One fabric's fit: its entry, which figures of it were fitted, and the errors of each half by the other's fit."""

    entry: FabricEfficiency
    names: tuple[str, ...]
    errors: Errors


def fit_fabric(
    blank: FabricEfficiency,
    spans: Mapping[str, Span],
    halves: Sequence[Exchanges],
    beside: Sequence[FabricEfficiency] = (),
    known: FabricEfficiency | None = None,
) -> FittedFabric:
    """The fit of a fabric to both halves of its rows; errors are in their order.

    Figures of switches that add are left out where neither the rows tell them, nor anything known so far.
    """
    adding = known is not None and known.reduction_ratio > 0.0
    if set(SWITCHES) <= set(spans) and not adding and not _switches_told(blank, spans, halves, beside, known):
        spans = {n: s for n, s in spans.items() if n not in SWITCHES}
    errors = crossed_fabric(blank, spans, halves, beside, known)
    return FittedFabric(best_fabric(blank, spans, halves, beside, known), tuple(spans), errors)


def crossed_fabric(
    blank: FabricEfficiency,
    spans: Mapping[str, Span],
    halves: Sequence[Exchanges],
    beside: Sequence[FabricEfficiency] = (),
    known: FabricEfficiency | None = None,
) -> Errors:
    """Errors of each half predicted by a fit to the other."""
    fits = [best_fabric(blank, spans, [half], beside, known) for half in reversed(halves)]
    return joined(m.errors(m.predict([e, *beside])) for m, e in zip(halves, fits, strict=True))


def _switches_told(
    blank: FabricEfficiency,
    spans: Mapping[str, Span],
    measured: Sequence[Exchanges],
    beside: Sequence[FabricEfficiency],
    known: FabricEfficiency | None,
) -> bool:
    """Whether the rows tell what switches that add sustain."""
    less = {n: s for n, s in spans.items() if n not in SWITCHES}
    errors = []
    for chosen in (less, spans):
        fabrics = (best_fabric(blank, chosen, measured, beside, known), *beside)
        errors.append(np.mean([np.abs(np.log(m.predict(fabrics) / m.seconds)).mean() for m in measured]))
    return bool(errors[0] - errors[1] > TELLING)
