"""What is fitted of each kind of kernel, from where, within which bounds; and what its libraries fix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from suanli.catalog_files import FALLBACK
from suanli.hardware import TYPICAL_SUSTAINED_RATIO, Accelerator
from suanli.kernel_models.carrying import facts_of

TYPICAL = {"clock_hz": 1.8e9, "sustained_ratio": TYPICAL_SUSTAINED_RATIO}
"""The accelerator that the datasheet's figures are stated for; all others differ from it by their own facts."""
TYPICAL_CORE = {"core_flops_per_s": 2048 * 1.8e9, "bound_by_cores": True}
"""Where a core's speed carries over better than a share of the peak: grouped products of narrow weights.

A core unpacks and scales them outside its matrix unit, however fast that is."""

Span = tuple[float, float, float]
"""Where a search starts, and its bounds; it works on logarithms, so 0 is a small number."""

SECONDS = (1e-6, 1e-9, 5e-5)

ROOFLINE: Mapping[str, Span] = {
    "compute_ratio": (0.8, 0.02, 1.0),
    "bandwidth_ratio": (0.8, 0.02, 1.0),
    "launch_s": (3e-6, 3e-7, 3e-4),
}
OVERLAP: Mapping[str, Span] = {"exposed_ratio": (0.3, 1e-3, 1.0)}
WARM: Mapping[str, Span] = {"warm_ratio": (0.4, 0.01, 1.5), "warm_speed": (1.5, 0.7, 20.0)}
TILES: Mapping[str, Span] = {
    "tile_s": SECONDS,
    "core_bytes_per_flop": (0.02, 1e-3, 0.5),
    "wave_ratio": (0.3, 0.01, 1.0),
}
GEMM: Mapping[str, Span] = {
    **ROOFLINE,
    **OVERLAP,
    **WARM,
    **TILES,
    "ramp_k": (30.0, 0.1, 1000.0),
    "split_s": (2e-6, 1e-8, 5e-5),
    "write_ratio": (0.2, 1e-3, 3.0),
}
QUANTISE: Mapping[str, Span] = {
    "quantise_s": (1e-6, 1e-8, 3e-5),
    "quantise_bandwidth_ratio": (0.7, 0.02, 10.0),
    "quantise_element_s": (5e-10, 1e-12, 2e-9),
    "quantise_row_s": (5e-9, 1e-12, 5e-8),
}
PREFILL: Mapping[str, Span] = {
    **ROOFLINE,
    "launch_s": (1e-5, 1e-6, 1e-4),
    **OVERLAP,
    **WARM,
    "tile_s": SECONDS,
    "pair_flops": (100.0, 0.1, 2000.0),
    "tail_ratio": (0.5, 0.01, 4.0),
}
DECODE: Mapping[str, Span] = {
    **ROOFLINE,
    "launch_s": (1e-5, 1e-6, 1e-4),
    **OVERLAP,
    **WARM,
    "tile_s": SECONDS,
    "split_s": (1e-6, 1e-9, 3e-5),
    "core_bandwidth_ratio": (3.0, 0.2, 30.0),
    "sequence_s": (1e-9, 1e-12, 1e-6),
}
MOE: Mapping[str, Span] = {
    **ROOFLINE,
    "launch_s": (3e-5, 3e-6, 3e-4),
    **OVERLAP,
    **TILES,
    "local_traffic_ratio": (0.5, 0.01, 10.0),
    "token_traffic_ratio": (0.3, 1e-3, 6.0),
    "partial_ratio": (0.5, 0.01, 2.0),
    "expert_s": (1e-8, 1e-12, 1e-5),
}

GPU_TILES = [
    (32, 64),
    (64, 64),
    (64, 128),
    (128, 64),
    (128, 128),
    (256, 128),
    (128, 256),
    (64, 256),
    (192, 128),
    (128, 192),
]
"""Output tiles of CUTLASS and cuBLAS, those that differ in effect."""
CUBE_TILES = [(16, 128), (32, 128), (64, 128), (128, 128), (128, 256), (256, 128)]
"""Output tiles of the Cube: blocks of 16 x 16, at least 128 columns wide, at most what its L0 buffers hold."""
EXPERT_TILES = [(16, 64), (32, 64), (64, 64), (64, 128), (128, 64), (128, 128), (128, 256)]
"""Tiles of grouped products: few rows where experts have few tokens."""


@dataclass(frozen=True)
class Physics:
    """What is fitted (`free`), and what is the library's choice (`fixed`)."""

    free: Mapping[str, Span]
    fixed: Mapping[str, Any] = field(default_factory=dict)


DYNAMIC = ("fp8", "int8", "fp4", "fp8_block")
"""Products whose engine quantises the inputs while running."""
WHOLE_SUMS: frozenset[str | tuple[str, str]] = frozenset(("fp8", "fp8_block", "int8", ("ada", "fp8_static")))
"""Precisions, of any measured generation or one, whose kernels leave the sum of a tile to one core."""
WHOLE_KEYS = {("ampere", "mla_decode"), ("ada", "mla_decode")}
"""Where the measured engine leaves the keys of a sequence to one core."""
EIGHT_BIT = {("hopper", "int8_wo"): "int8"}
"""Where the measured engine multiplies weight-only products in 8 bits, quantising the inputs first."""


def physics(generation: str, kernel: str, precision: str) -> Physics:
    """The physics of a class.

    What caches and short transfers do differs most between parts; a generation never measured is spared it.
    Its figures are those of a typical accelerator, of which an accelerator's own facts make its own.
    """
    found = _measured(generation, kernel, precision)
    if generation != FALLBACK:
        return found
    free = found.free if kernel == "attention_decode" else {k: v for k, v in found.free.items() if k not in WARM}
    fixed = {**found.fixed, **TYPICAL, **(TYPICAL_CORE if kernel == "moe" and precision != "bf16" else {})}
    return replace(found, free=free, fixed=fixed)


def measured_on(accelerator: Accelerator) -> dict[str, float]:
    """What figures fitted to `accelerator` say of it, so that they can be carried to others of its generation."""
    return {k: v for k, v in facts_of(accelerator)._asdict().items() if v}


def _measured(generation: str, kernel: str, precision: str) -> Physics:
    cube = generation.startswith("davinci")
    if kernel == "gemm":
        multiplies = EIGHT_BIT.get((generation, precision), "")
        whole = cube or bool(multiplies) or (generation != FALLBACK and precision in WHOLE_SUMS)
        whole = whole or (generation, precision) in WHOLE_SUMS
        fixed: dict[str, Any] = {"tiles": CUBE_TILES if cube else GPU_TILES}
        free = {**GEMM, **(QUANTISE if precision in DYNAMIC or multiplies else {})}
        if whole:
            del free["split_s"]
        else:
            fixed["splits"] = [1, 2, 4, 8, 16, 32]
        if multiplies:
            fixed["multiplies"] = multiplies
        return Physics(free, fixed)
    if kernel == "moe":
        return Physics(MOE, {"tiles": EXPERT_TILES})
    if kernel.endswith("_prefill"):
        return Physics(PREFILL, {"block": 64 if generation in ("ada", "datasheet") else 128})
    if kernel.endswith("_decode"):
        return Physics(DECODE, {"splits": [1] if (generation, kernel) in WHOLE_KEYS else [1, 2, 4, 8, 16, 32, 64]})
    return Physics(ROOFLINE)
