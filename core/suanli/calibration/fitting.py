"""Fit the kernel models of `suanli` to measurements, and measure their errors on rows not fitted.

Each class is fitted three times. Two fits on the halves of the rows, chosen by a hash of the shape, predict each
other's half: those are the errors stated. A third fit on all rows is what is shipped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from suanli.calibration.classes import Physics
from suanli.calibration.records import Array, Errors, Params, joined
from suanli.calibration.searching import nearest
from suanli.hardware import Accelerator
from suanli.kernel_models import Efficiency
from suanli.kernel_models.roofline import on_accelerator, physics_of
from suanli.kernels import Formats, Kernel

Part = tuple[Kernel, Accelerator, Array]
MINIMUM_ROWS = 10
"""Fewer rows than this in either half: the class is not fitted, only counted."""
STARTS = 4


class Timed(Protocol):
    """A measured kernel: `make` gives it from `dims`, `formats` and `phase`; `part` is the accelerator's id."""

    @property
    def part(self) -> str: ...
    @property
    def make(self) -> Callable[..., Kernel]: ...
    @property
    def dims(self) -> Mapping[str, float]: ...
    @property
    def formats(self) -> Formats | None: ...
    @property
    def phase(self) -> str: ...
    @property
    def seconds(self) -> float: ...


class Group:
    """Rows of one class, as columns: one kernel for each device and format among them."""

    def __init__(self, rows: Sequence[Timed], parts: Mapping[str, Accelerator]) -> None:
        self.seconds = np.array([r.seconds for r in rows])
        self.parts: list[Part] = []
        groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for i, row in enumerate(rows):
            groups[row.part, row.make, row.formats, row.phase].append(i)
        for (device, make, formats, phase), index in groups.items():
            columns = {d: np.array([rows[i].dims[d] for i in index]) for d in rows[index[0]].dims}
            about = ({"formats": formats} if formats else {}) | ({"phase": phase} if phase else {})
            self.parts.append((make(**columns, **about), parts[device], np.array(index)))

    def predict(self, fitted: Efficiency) -> Array:
        """Seconds of every row."""
        out = np.empty(len(self.seconds))
        for kernel, device, index in self.parts:
            own, limits = on_accelerator(fitted, kernel, device)
            out[index] = physics_of(kernel, own)(kernel, own, limits)
        return out


def entry(key: Sequence[str], about: Physics, values: Iterable[float]) -> Efficiency:
    """The efficiency a set of parameters makes."""
    fixed: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in about.fixed.items()}
    figures: dict[str, Any] = dict(zip(about.free, (float(v) for v in values), strict=True))
    return Efficiency(generation=key[0], kernel=key[1], precision=key[2], source="fit", **fixed, **figures)


def best_fit(key: Sequence[str], about: Physics, groups: Sequence[Group], known: Efficiency | None = None) -> Params:
    """The parameters with the least loss over the groups: least squares of logarithms, from several starts.

    With `known`, its figures are one more start.
    """
    spans = np.array(list(about.free.values()))
    start, low, high = np.log(spans).T
    measured = np.log(np.concatenate([g.seconds for g in groups]))

    def residual(x: Array) -> Array:
        fitted = entry(key, about, np.exp(np.clip(x, low, high)))
        return np.asarray(np.log(np.concatenate([g.predict(fitted) for g in groups])) - measured)

    draw = np.random.default_rng(0)
    starts = [start, *(np.clip(start + draw.normal(0.0, 0.5, len(start)), low, high) for _ in range(STARTS - 1))]
    if known is not None:
        starts.append(np.log([max(float(getattr(known, name)), 1e-12) for name in about.free]))
    return tuple(rounded(float(v)) for v in np.exp(nearest(residual, starts, low, high, most_calls=60)))


def rounded(value: float) -> float:
    """Four digits: more mean nothing, and a file read back says the same."""
    return float(f"{value:.4g}")


def crossed(key: Sequence[str], about: Physics, halves: Sequence[Group], known: Efficiency | None = None) -> Errors:
    """Errors of each half predicted by a fit to the other."""
    fits = [entry(key, about, best_fit(key, about, [half], known)) for half in reversed(halves)]
    return joined(Errors(h.seconds / h.predict(fit), h.seconds) for h, fit in zip(halves, fits, strict=True))
