"""Matrix products: tiles over cores in waves, split sums, a pass that quantises first."""

from __future__ import annotations

import functools
from typing import Any

from suanli.formulas import formula, tracing
from suanli.kernel_models.efficiency import Efficiency
from suanli.kernel_models.limits import Limits, operations, settled_s
from suanli.kernels import Kernel
from suanli.numeric import Number, is_scalar, maximum

PARTIAL_BYTES = 8.0
"""Of one element of a partial sum: written in fp32, and read again to be added."""
CACHE_SPEED = 4.0
"""Bandwidth of the last cache over that of memory, at which partial sums pass: of the H100, 2.6 to 5 are measured."""
CHUNK = 8_192
"""Rows taken together: their columns stay in a core's cache."""

Tile = tuple[float, float, float, float]


@functools.lru_cache(maxsize=1024)
def _tiles(fitted: Efficiency, limits: Limits, input_bytes: float, weight_bytes: float) -> tuple[Tile, ...]:
    """Of each tile: rows, columns, seconds of arithmetic and of loading for one step of the inner loop."""
    loads = limits.core_loads_bytes_per_s(fitted.core_bytes_per_flop)
    rate = limits.core_flops_per_s
    return tuple(
        (float(r), float(c), 2.0 * r * c / rate, (r * input_bytes + c * weight_bytes) / loads) for r, c in fitted.tiles
    )


def busiest_core_s(
    m: Number, n: Number, k: Number, fitted: Efficiency, limits: Limits, input_bytes: float, weight_bytes: float
) -> Number:
    """Seconds of the core with the most tiles of C[m, n] = A[m, k] B[k, n], with the best tile and split.

    A tile takes the longer of arithmetic and loading over its share of k, and a constant.
    Tiles fill the cores in waves; a wave begun counts in full by `wave_ratio`.
    """
    up, longer, shorter = operations(m, n, k)
    rounded, free = fitted.wave_ratio, 1.0 - fitted.wave_ratio
    ramp, constant = fitted.ramp_k, fitted.tile_s
    rows: dict[float, Any] = {}
    columns: dict[float, Any] = {}
    tiles = _tiles(fitted, limits, input_bytes, weight_bytes)
    for r, c, _, _ in tiles:
        if r not in rows:
            rows[r] = up(m / r)
        if c not in columns:
            columns[c] = up(n / c)
    best: Any = None
    for split in fitted.splits:
        steps = k / split
        share = split / limits.cores
        found: Any = None
        for r, c, multiply, load in tiles:
            waves = rows[r] * columns[c] * share
            if rounded:
                waves = longer(waves, 1.0) * free + up(waves) * rounded
            else:
                waves = longer(waves, 1.0)
            busy = waves * (longer(multiply * (steps + ramp), load * steps) + constant)
            found = busy if found is None else shorter(found, busy)
        if split > 1:
            partial = split * PARTIAL_BYTES / (limits.bandwidth_bytes_per_s * CACHE_SPEED)
            found = found + (m * n * partial + fitted.split_s)
        best = found if best is None else shorter(best, found)
    return best


@formula(unit="s", source="tiles in waves over the cores: NVIDIA Matrix Multiplication Background guide, sec. 4")
def product_s(
    *,
    m: Number,
    n: Number,
    k: Number,
    peak_flops_per_s: float,
    compute_ratio: float,
    cores: float,
    fitted: Any,
    limits: Any,
    input_bytes: float,
    weight_bytes: float,
) -> Number:
    """Seconds the cores take for a product: the busiest one, with the best of the library's tiles and splits."""
    sizes = (m, n, k)
    if all(map(is_scalar, sizes)):
        return busiest_core_s(m, n, k, fitted, limits, input_bytes, weight_bytes)
    import numpy as np

    columns = np.broadcast_arrays(*sizes)
    if columns[0].size <= CHUNK:
        return busiest_core_s(m, n, k, fitted, limits, input_bytes, weight_bytes)
    flat = [np.ascontiguousarray(x, dtype=np.float64).ravel() for x in columns]
    out = np.empty(flat[0].size)
    for i in range(0, out.size, CHUNK):
        a, b, c = (x[i : i + CHUNK] for x in flat)
        out[i : i + CHUNK] = busiest_core_s(a, b, c, fitted, limits, input_bytes, weight_bytes)
    return out.reshape(columns[0].shape)


@formula(unit="s", source="definition: reads 16-bit inputs, finds each row's largest, writes them narrow")
def quantise_s(
    *,
    m: Number,
    k: Number,
    written_bytes: float,
    launch_s: float,
    element_s: float,
    row_s: float,
    bandwidth_bytes_per_s: float,
    bandwidth_ratio: float,
) -> Number:
    """Seconds of quantising A[m, k] while running: one row's own length, then rows in a stream, or their bytes."""
    moved = m * k * (2.0 + written_bytes) / (bandwidth_bytes_per_s * bandwidth_ratio)
    return launch_s + k * element_s + maximum(m * row_s, moved)


def gemm_s(kernel: Kernel, fitted: Efficiency, limits: Limits) -> Number:
    """Seconds of one product."""
    shape = kernel.shape
    m, n, k = shape["m"], shape["n"], shape["k"]
    input_bytes = shape["input_bytes"]
    cores_take = product_s(
        m=m,
        n=n,
        k=k,
        peak_flops_per_s=limits.peak_flops_per_s,
        compute_ratio=limits.compute_ratio,
        cores=limits.cores,
        fitted=fitted,
        limits=Limits(*map(float, limits)) if tracing() else limits,
        input_bytes=input_bytes,
        weight_bytes=shape["weight_bytes"],
    )
    beside: Number = 0.0
    if fitted.write_ratio:
        beside = m * n * 2.0 * fitted.write_ratio / limits.bandwidth_bytes_per_s
    if fitted.quantise_bandwidth_ratio:
        beside = beside + quantise_s(
            m=m,
            k=k,
            written_bytes=input_bytes,
            launch_s=fitted.quantise_s,
            element_s=fitted.quantise_element_s,
            row_s=fitted.quantise_row_s,
            bandwidth_bytes_per_s=limits.bandwidth_bytes_per_s,
            bandwidth_ratio=fitted.quantise_bandwidth_ratio,
        )
    return settled_s(kernel, fitted, limits, cores_take, beside)
