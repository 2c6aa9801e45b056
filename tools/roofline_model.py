"""Fit the first-order models of `suanli` to measurements, and measure their errors."""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roofline_rows import Row
from suanli.kernel_models import roofline_s

Array = NDArray[np.float64]
Params = tuple[float, ...]
Bounds = Sequence[tuple[float, float]]
Model = Callable[[Params], Array]

KERNEL_NAMES = ("compute_ratio", "bandwidth_ratio", "launch_s")
# Bounds of each parameter; 10 ns is nothing.
RATIO = (0.005, 1.0)
SECONDS = (1e-8, 2e-3)
# Fewer rows than this in either half: the class is not fitted, only counted.
MINIMUM_ROWS = 10
# A compute ratio that can be halved for less than this in mean error is not constrained.
TELLING = 0.01
UNCONSTRAINED = " (compute not constrained)"


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
    """One fitted class: `key` names it, `params` are in the order of `names`.

    `band` is that of the errors, or wider where those rows do not speak for the class;
    `constrained` says whether the rows tell the first ratio.
    """

    key: tuple[str, ...]
    names: tuple[str, ...]
    params: Params
    rows: int
    errors: Errors | None
    band: tuple[float, float]
    source: str
    vendor: str
    constrained: bool = True


def held_out(shape: str) -> bool:
    """Whether a shape is in the half kept for judging."""
    return hashlib.sha256(shape.encode()).digest()[0] % 2 == 1


def minimise(cost: Callable[[Params], float], bounds: Bounds) -> tuple[float, Params]:
    """The least cost and where it is: a coarse logarithmic grid, then zooming grids from its best points.

    A parameter whose bounds are equal is fixed.
    """
    low, high = np.log([b[0] for b in bounds]), np.log([b[1] for b in bounds])

    def grid(centre: Array, span: Array, points: int) -> list[tuple[float, Params]]:
        axes = [
            np.unique(np.clip(np.linspace(c - s / 2, c + s / 2, points), a, b))
            for c, s, a, b in zip(centre, span, low, high, strict=True)
        ]
        return sorted((cost(tuple(np.exp(p))), p) for p in itertools.product(*axes))

    ends = []
    for value, start in grid((low + high) / 2, high - low, 13 if len(bounds) < 4 else 7)[:4]:
        span = (high - low) / 4
        for _ in range(14):
            value, start = min((value, start), grid(np.array(start), span, 5)[0])
            span = span * 0.6
        ends.append((value, start))
    best, where = min(ends)
    return best, tuple(float(x) for x in np.exp(where))


def kernel_model(rows: Sequence[Row]) -> Model:
    """The model of `rows`, params in the order of ``KERNEL_NAMES``."""
    compute, memory = np.array([row.compute_s for row in rows]), np.array([row.memory_s for row in rows])

    def predict(p: Params) -> Array:
        # Work in seconds at the peaks of each row's own part, so both peaks are 1.
        return np.asarray(
            roofline_s(
                flops=compute,
                bytes=memory,
                peak_flops_per_s=1.0,
                bandwidth_bytes_per_s=1.0,
                compute_ratio=p[0],
                bandwidth_ratio=p[1],
                launch_s=p[2],
            )
        )

    return predict


def judge(rows: Sequence[Row], params: Params) -> Errors:
    """Errors of `params` on `rows`."""
    measured = np.array([row.seconds for row in rows])
    return Errors(measured / kernel_model(rows)(params), measured)


def sources(rows: Iterable[Any]) -> str:
    """Who measured the rows, then on which parts."""
    rows = list(rows)
    who = sorted({row.source for row in rows})
    return "; ".join(who) + "; on " + ", ".join(sorted({row.device.label for row in rows}))


def by_class(rows: Iterable[Row]) -> dict[tuple[str, ...], list[Row]]:
    """Rows of each (generation, kernel, precision), bf16 GEMMs of a generation first."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.key].append(row)
    return dict(sorted(groups.items(), key=lambda g: (g[0][0], g[0][1:] != ("gemm", "bf16"), g[0])))


def fit_kernels(rows: Iterable[Row]) -> tuple[list[Fit], list[str]]:
    """Every class that can be fitted, and a line for each that cannot."""
    fits: list[Fit] = []
    skipped = []
    gemm_ratio: dict[str, float] = {}
    for key, members in by_class(rows).items():
        train = [row for row in members if not held_out(row.shape)]
        test = [row for row in members if held_out(row.shape)]
        if min(len(train), len(test)) < MINIMUM_ROWS:
            skipped.append(f"{' / '.join(key)}: {len(members)} rows are too few")
            continue
        above = sum(row.compute_s > row.seconds for row in members)
        if key[2].endswith("_wo") and above:
            skipped.append(f"{' / '.join(key)}: {above} of {len(members)} rows are faster than the bf16 peak")
            continue
        params, constrained = _fit_class(train, gemm_ratio.get(key[0]))
        gemm_ratio.setdefault(key[0], params[0])
        errors = judge(test, params)
        about = sources(members) + ("" if constrained else UNCONSTRAINED)
        vendor = members[0].device.vendor
        fits.append(Fit(key, KERNEL_NAMES, params, len(train), errors, errors.band, about, vendor, constrained))
    return sorted(fits, key=lambda f: f.key), skipped


def _fit_class(train: Sequence[Row], usual: float | None) -> tuple[Params, bool]:
    """Params, and whether the rows tell the compute ratio; where not, it is `usual` and the rest refitted."""
    cost = _cost(kernel_model(train), train)
    best, params = minimise(cost, [RATIO, RATIO, SECONDS])
    if usual is None:
        return params, True
    half = max(params[0] / 2, RATIO[0])
    if minimise(cost, [(half, half), RATIO, SECONDS])[0] > best + TELLING:
        return params, True
    return minimise(cost, [(usual, usual), RATIO, SECONDS])[1], False


def _cost(predict: Model, rows: Sequence[Row]) -> Callable[[Params], float]:
    measured = np.array([row.seconds for row in rows])
    return lambda p: float(np.abs(np.log(predict(p) / measured)).mean())
