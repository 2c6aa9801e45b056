"""Mixtures of experts: two grouped products, and the passes that bring tokens to experts and back."""

from __future__ import annotations

from typing import Any

from suanli.formulas import formula, tracing
from suanli.kernel_models.efficiency import Efficiency
from suanli.kernel_models.gemm import _tiles
from suanli.kernel_models.limits import Limits, operations, settled_s
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
    fitted: Any,
    limits: Any,
    input_bytes: float,
    weight_bytes: float,
) -> Number:
    """Seconds the cores take for the products of the experts at work: into their width, and out of it."""
    up, longer, shorter = operations(active, routed, hidden, inner)
    into = (matrices - 1.0) * inner
    rounded, free = fitted.wave_ratio, 1.0 - fitted.wave_ratio
    ramp, constant = fitted.ramp_k, fitted.tile_s
    partial = active * fitted.partial_ratio
    best: Any = None
    for r, c, multiply, load in _tiles(fitted, limits, input_bytes, weight_bytes):
        rows = longer(active, routed / r + partial) / limits.cores
        busy: Any = 0.0
        for width, steps in ((into, hidden), (hidden, inner)):
            waves = rows * up(width / c)
            waves = longer(waves, 1.0) * free + up(waves) * rounded
            busy = busy + waves * (longer(multiply * (steps + ramp), load * steps) + constant)
        best = busy if best is None else shorter(best, busy)
    return best


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
        fitted=fitted,
        limits=Limits(*map(float, limits)) if tracing() else limits,
        input_bytes=s["input_bytes"],
        weight_bytes=s["weight_bytes"],
    )
    # Engines sort, activate and sum up every copy of a token, wherever its expert is; two bytes an element.
    copies = s["tokens"] * s["top_k"]
    passes = (fitted.local_traffic_ratio * routed + fitted.token_traffic_ratio * copies) * 2.0
    beside = passes * (2.0 * hidden + matrices * inner) / limits.bandwidth_bytes_per_s + fitted.expert_s * s["experts"]
    return settled_s(kernel, fitted, limits, cores_take, beside)
