"""What fits of kernels and of fabrics share: the split, the errors, the record of a fit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Params = tuple[float, ...]
GUESSED = (0.5, 2.0)
"""Band of figures nobody measured: a guess, a factor of two either way."""


TAILS = (0.1, 0.075, 0.05, 0.025, 0.0)
ENOUGH = 0.75
"""Share of the rows of another fold that a band of 80 % is to hold, at least."""


@dataclass(frozen=True)
class Errors:
    """Errors on rows a fit has not seen; `ratios` is measured / predicted, `folds` says which were judged together."""

    ratios: Array
    measured: Array
    folds: NDArray[np.intp] | None = None

    def of(self, index: Sequence[int]) -> Errors:
        """Those of some of the rows."""
        return Errors(self.ratios[index], self.measured[index])

    @property
    def loss(self) -> float:
        """The mean of the logarithms' sizes: what two predictions of the same rows are compared by."""
        return float(np.abs(np.log(self.ratios)).mean())

    @property
    def relative(self) -> Array:
        """Predicted over measured, less 1."""
        return 1 / self.ratios - 1

    @property
    def tail(self) -> float:
        """What the band leaves out at each end: a tenth, or less where it takes that to hold rows of another fold."""
        for tail in TAILS:
            inside = self.covered(tail)
            if inside is None or inside >= ENOUGH:
                return tail
        return TAILS[-1]

    @property
    def band(self) -> tuple[float, float]:
        """Quantiles of measured over predicted: the 10th and 90th percentile, or further out."""
        tail = self.tail
        low, high = np.quantile(self.ratios, [tail, 1.0 - tail])
        return float(low), float(high)

    @property
    def coverage(self) -> float | None:
        """Share of the rows inside the band of the other folds' rows; None where there is one fold."""
        return self.covered(self.tail)

    def covered(self, tail: float) -> float | None:
        """The same, of bands that leave out `tail` at each end."""
        if self.folds is None or len(np.unique(self.folds)) < 2:
            return None
        inside = 0
        for fold in np.unique(self.folds):
            own = self.folds == fold
            low, high = np.quantile(self.ratios[~own], [tail, 1.0 - tail])
            inside += int(np.count_nonzero((self.ratios[own] >= low) & (self.ratios[own] <= high)))
        return inside / len(self.ratios)

    @property
    def median(self) -> float:
        """The median relative error."""
        return float(np.median(np.abs(self.relative)))

    @property
    def p90(self) -> float:
        """The 90th percentile of the relative error."""
        return float(np.quantile(np.abs(self.relative), 0.9))

    @property
    def bias(self) -> float:
        """The median of predicted over measured, less 1."""
        return float(np.median(self.relative))

    @property
    def slow_bias(self) -> float:
        """Bias on the slowest tenth of the rows, which is where the time of a step goes."""
        return float(np.median(self.relative[self.measured >= np.quantile(self.measured, 0.9)]))


@dataclass(frozen=True)
class Fit:
    """One fitted class: `key` names it, `params` are in the order of `names`, `fixed` is not fitted.

    `band` is that of the errors, or wider where those rows do not speak for the class.
    `of` says what the first word of `key` is: a generation, or one accelerator.
    """

    key: tuple[str, ...]
    names: tuple[str, ...]
    params: Params
    rows: int
    errors: Errors | None
    band: tuple[float, float]
    source: str
    vendor: str = ""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    of: str = "generation"
    date: str = ""


class Shaped(Protocol):
    """A row with its sizes in words."""

    @property
    def shape(self) -> str:
        """The sizes."""


S = TypeVar("S", bound=Shaped)


def halved(rows: Sequence[S]) -> tuple[list[S], list[S]]:
    """The rows in two halves, all of one shape in the same."""
    sides: tuple[list[S], list[S]] = ([], [])
    for row in rows:
        sides[held_out(row.shape)].append(row)
    return sides


def held_out(shape: str) -> bool:
    """Which half a shape is in."""
    return hashlib.sha256(shape.encode()).digest()[0] % 2 == 1


def union(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """The band that holds both."""
    return min(one[0], other[0]), max(one[1], other[1])


def joined(errors: Iterable[Errors]) -> Errors:
    """Errors of several groups as one."""
    found = list(errors)
    folds = np.repeat(np.arange(len(found)), [len(e.ratios) for e in found])
    return Errors(np.concatenate([e.ratios for e in found]), np.concatenate([e.measured for e in found]), folds)
