"""Matrix products: tiles over cores in waves, split sums, a pass that quantises first."""

from __future__ import annotations

import functools
from collections.abc import Callable

from suanli.formulas import formula
from suanli.kernel_models.efficiency import Efficiency
from suanli.kernel_models.limits import INFINITE, WEIGHTS_SHARE, Limits, operations, settled_s
from suanli.kernels import Kernel
from suanli.numeric import Number, is_scalar, maximum

PARTIAL_BYTES = 8.0
"""Of one element of a partial sum: written in fp32, and read again to be added."""
CACHE_SPEED = 4.0
"""Bandwidth of the last cache over that of memory, at which partial sums pass; assumed, as a round number."""
CHUNK = 8_192
"""Rows taken together: their columns stay in a core's cache."""

SCALED_BEFORE = "_static"
"""How precisions end whose inputs come quantised, by scales known before: nothing is to be done while running."""

Shapes = tuple[tuple[int, ...], ...]
Tile = tuple[float, float, float, float]


@functools.lru_cache(maxsize=1024)
def tiles_of(
    shapes: Shapes, core_flops_per_s: float, core_loads_bytes_per_s: float, input_bytes: float, weight_bytes: float
) -> tuple[Tile, ...]:
    """Of each tile: rows, columns, seconds of arithmetic and of loading for one step of the inner loop."""
    return tuple(
        (
            float(r),
            float(c),
            2.0 * r * c / core_flops_per_s,
            (r * input_bytes + c * weight_bytes) / core_loads_bytes_per_s,
        )
        for r, c in shapes
    )


def chunked(evaluate: Callable[..., Number], *sizes: Number) -> Number:
    """`evaluate` of numbers, or of columns a chunk at a time."""
    if all(map(is_scalar, sizes)):
        return evaluate(*sizes)
    import numpy as np

    columns = np.broadcast_arrays(*sizes)
    if columns[0].size <= CHUNK:
        return evaluate(*sizes)
    flat = [np.ascontiguousarray(x, dtype=np.float64).ravel() for x in columns]
    out = np.empty(flat[0].size)
    for i in range(0, out.size, CHUNK):
        out[i : i + CHUNK] = evaluate(*(x[i : i + CHUNK] for x in flat))
    return out.reshape(columns[0].shape)


@formula(unit="s", source="tiles in waves over the cores: NVIDIA Matrix Multiplication Background guide, sec. 4")
def product_s(
    *,
    m: Number,
    n: Number,
    k: Number,
    peak_flops_per_s: float,
    compute_ratio: float,
    cores: float,
    core_loads_bytes_per_s: float,
    bandwidth_bytes_per_s: float,
    input_bytes: float,
    weight_bytes: float,
    tiles: Shapes,
    splits: tuple[int, ...],
    wave_ratio: float,
    tile_s: float,
    ramp_k: float,
    split_s: float,
    headroom: float = 1.0,
) -> Number:
    """Seconds of the core with the most tiles of C[m, n] = A[m, k] B[k, n], with the best tile and split.

    A tile takes the longer of arithmetic and loading over its share of k, and a constant. Its pipeline fills at the
    speed the core was built for, `headroom` times what the peak lets it multiply.
    Tiles fill the cores in waves; a wave begun counts in full by `wave_ratio`.
    The parts of a split sum pass through the last cache.
    """
    rate = float(peak_flops_per_s * compute_ratio / cores)
    shapes = tiles_of(tiles, rate, float(core_loads_bytes_per_s), float(input_bytes), float(weight_bytes))
    free = 1.0 - wave_ratio
    ramp = ramp_k / headroom
    partial_s = PARTIAL_BYTES / (bandwidth_bytes_per_s * CACHE_SPEED)

    def best(m: Number, n: Number, k: Number) -> Number:
        up, longer, shorter = operations(m, n, k)
        rows = {r: up(m / r) for r, _, _, _ in shapes}
        columns = {c: up(n / c) for _, c, _, _ in shapes}
        least: Number = INFINITE
        for split in splits:
            steps = k / split
            share = split / cores
            found: Number = INFINITE
            for r, c, multiply, load in shapes:
                waves = rows[r] * columns[c] * share
                waves = longer(waves, 1.0) * free + up(waves) * wave_ratio
                busy = waves * (longer(multiply * (steps + ramp), load * steps) + tile_s)
                found = shorter(found, busy)
            if split > 1:
                found = found + (m * n * (split * partial_s) + split_s)
            least = shorter(least, found)
        return least

    return chunked(best, m, n, k)


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
        core_loads_bytes_per_s=limits.core_loads_bytes_per_s(fitted.core_bytes_per_flop),
        bandwidth_bytes_per_s=limits.bandwidth_bytes_per_s,
        input_bytes=input_bytes,
        weight_bytes=shape["weight_bytes"],
        tiles=fitted.tiles,
        splits=fitted.splits,
        wave_ratio=fitted.wave_ratio,
        tile_s=fitted.tile_s,
        ramp_k=fitted.ramp_k,
        split_s=fitted.split_s,
        headroom=limits.headroom,
    )
    beside: Number = 0.0
    if fitted.write_ratio:
        beside = m * n * 2.0 * fitted.write_ratio / limits.bandwidth_bytes_per_s
    if fitted.quantise_bandwidth_ratio and not kernel.precision.endswith(SCALED_BEFORE):
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
    weights = n * k * shape["weight_bytes"]
    return settled_s(kernel, fitted, limits, cores_take, beside, kept_bytes=weights, kept_share=WEIGHTS_SHARE)
