"""What fits of kernels and of fabrics share: the split, the errors, the record of a fit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Params = tuple[float, ...]


@dataclass(frozen=True)
class Errors:
    """Errors on rows a fit has not seen; `ratios` is measured / predicted."""

    ratios: Array
    measured: Array

    @property
    def relative(self) -> Array:
        """Predicted over measured, less 1."""
        return 1 / self.ratios - 1

    @property
    def band(self) -> tuple[float, float]:
        """The 10th and 90th percentile of measured over predicted."""
        low, high = np.quantile(self.ratios, [0.1, 0.9])
        return float(low), float(high)

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
    """

    key: tuple[str, ...]
    names: tuple[str, ...]
    params: Params
    rows: int
    errors: Errors | None
    band: tuple[float, float]
    source: str
    vendor: str
    fixed: Mapping[str, Any] = field(default_factory=dict)


def held_out(shape: str) -> bool:
    """Which half a shape is in."""
    return hashlib.sha256(shape.encode()).digest()[0] % 2 == 1


def sources(rows: Iterable[Any]) -> str:
    """Who measured the rows, then on which parts."""
    rows = list(rows)
    who = sorted({row.source for row in rows})
    return "; ".join(who) + "; on " + ", ".join(sorted({row.device.label for row in rows}))
