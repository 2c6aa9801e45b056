"""Mixtures of experts: two grouped products, and the passes that bring tokens to experts and back."""

from __future__ import annotations

from suanli.formulas import formula
from suanli.kernel_models.efficiency import Efficiency
from suanli.kernel_models.gemm import Shapes, chunked, tiles_of
from suanli.kernel_models.limits import INFINITE, Limits, operations, settled_s
from suanli.kernels import Kernel
from suanli.numeric import Number


@formula(unit="s", source="tiles in waves over the cores, as of a product; each expert's last tile is partly filled")
def grouped_s(
    *,
    active: Number,
    routed: Number,
    hidden: Number,
    inner: Number,
    matrices: float,
    peak_flops_per_s: float,
    compute_ratio: float,
    cores: float,
    core_loads_bytes_per_s: float,
    input_bytes: float,
    weight_bytes: float,
    tiles: Shapes,
    wave_ratio: float,
    tile_s: float,
    partial_ratio: float,
) -> Number:
    """Seconds the cores take for the products of the experts at work: into their width, and out of it."""
    rate = float(peak_flops_per_s * compute_ratio / cores)
    shapes = tiles_of(tiles, rate, float(core_loads_bytes_per_s), float(input_bytes), float(weight_bytes))
    free = 1.0 - wave_ratio

    def best(active: Number, routed: Number, hidden: Number, inner: Number) -> Number:
        up, longer, shorter = operations(active, routed, hidden, inner)
        into = (matrices - 1.0) * inner
        partial = active * partial_ratio
        least: Number = INFINITE
        for r, c, multiply, load in shapes:
            rows = longer(active, routed / r + partial) / cores
            busy: Number = 0.0
            for width, steps in ((into, hidden), (hidden, inner)):
                waves = rows * up(width / c)
                waves = longer(waves, 1.0) * free + up(waves) * wave_ratio
                busy = busy + waves * (longer(multiply * steps, load * steps) + tile_s)
            least = shorter(least, busy)
        return least

    return chunked(best, active, routed, hidden, inner)


def experts_s(kernel: Kernel, fitted: Efficiency, limits: Limits) -> Number:
    """Seconds of one rank's routed experts."""
    s = kernel.shape
    routed, hidden, inner, matrices = s["routed"], s["hidden"], s["inner"], s["matrices"]
    cores_take = grouped_s(
        active=s["active"],
        routed=routed,
        hidden=hidden,
        inner=inner,
        matrices=matrices,
        peak_flops_per_s=limits.peak_flops_per_s,
        compute_ratio=limits.compute_ratio,
        cores=limits.cores,
        core_loads_bytes_per_s=limits.core_loads_bytes_per_s(fitted.core_bytes_per_flop),
        input_bytes=s["input_bytes"],
        weight_bytes=s["weight_bytes"],
        tiles=fitted.tiles,
        wave_ratio=fitted.wave_ratio,
        tile_s=fitted.tile_s,
        partial_ratio=fitted.partial_ratio,
    )
    # Engines sort, activate and sum up every copy that enters, wherever its expert is; two bytes an element.
    passes = (fitted.local_traffic_ratio * routed + fitted.token_traffic_ratio * s["copies"]) * 2.0
    beside = passes * (2.0 * hidden + matrices * inner) / limits.bandwidth_bytes_per_s + fitted.expert_s * s["listed"]
    return settled_s(kernel, fitted, limits, cores_take, beside)
