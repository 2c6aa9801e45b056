"""The search that fits of kernels and of fabrics share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from suanli.calibration.records import Array
from suanli.calibration.scipy_import import import_least_squares

SCALE = 0.05
"""Relative error beyond which a row is taken for an outlier (Cauchy's loss)."""


def nearest(
    residual: Callable[[Array], Array], starts: Iterable[Array], low: Array, high: Array, *, most_calls: int
) -> Array:
    """Where the residuals, logarithms all, are least between bounds, of what is found from each start."""
    least_squares = import_least_squares()
    found: list[tuple[float, tuple[float, ...]]] = []
    for x in starts:
        x = np.clip(x, low + 1e-6, high - 1e-6)
        fit = least_squares(
            residual, x, bounds=(low, high), loss="cauchy", f_scale=SCALE, diff_step=1e-3, max_nfev=most_calls
        )
        found.append((float(fit.cost), tuple(fit.x)))
    return np.array(min(found)[1])
