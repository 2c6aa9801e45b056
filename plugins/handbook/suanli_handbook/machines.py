"""How many nodes a rate takes, and what the catalog says of a vendor's accelerators."""

from __future__ import annotations

from collections import Counter

from suanli import Accelerator, Asked, Number, SuanliError, UnknownNameError, ceil, formula
from suanli.units import GB, GIB
from suanli_handbook.citations import CHEAT_SHEET, PLANNING
from suanli_handbook.making import _rule


@formula(unit="nodes", source=PLANNING)
def nodes_for_compute(*, total_flops_per_s: float, peak_flops_per_s: float, per_node: float = 8.0) -> Number:
    """Whole nodes whose accelerators together have a peak rate."""
    return ceil(total_flops_per_s / (per_node * peak_flops_per_s))


@formula(unit="flops_per_s", source=f"{PLANNING}; NVIDIA A100 whitepaper, structured sparsity")
def dense_peak(*, asked: Asked, sparse_peak_flops_per_s: float) -> float:
    """The dense peak behind a headline with 2:4 sparsity."""
    if asked.device is not None and asked.device.confidential:
        raise SuanliError(f"the peaks of {asked.device.id} are confidential, and the answer would be one")
    return sparse_peak_flops_per_s / 2.0


@formula(unit="bytes", source=f"the catalog of accelerators; {CHEAT_SHEET}")
def usual_memory(*, asked: Asked, vendor: str, sizes: float = 2.0) -> tuple[float, ...]:
    """The memory sizes most accelerators of a vendor come with, as it labels them, smallest first."""
    devices: list[Accelerator] = [e.value for e in asked.workspace.catalog().entries("accelerator")]
    shown = [d for d in devices if not d.confidential]
    if sizes < 1:
        raise SuanliError("sizes: expected at least 1")
    own = Counter(_label(d.memory_bytes) for d in shown if d.vendor.lower() == vendor.lower())
    if not own:
        raise UnknownNameError("vendor of accelerators", vendor, {d.vendor for d in shown})
    usual = sorted(own, key=lambda size: (-own[size], -size))
    return tuple(sorted(usual[: int(sizes)]))


def _stated_dense(asked: Asked) -> float | None:
    return asked.peak_flops_per_s(sparse=False)


def _label(memory_bytes: int) -> float:
    """A memory size as it is sold: whole GiB are called GB."""
    return float(memory_bytes // GIB * GB if memory_bytes % GIB == 0 else memory_bytes)


RULES = (
    _rule(
        "nodes-for-compute",
        nodes_for_compute,
        "ceil(total / (per node x F))",
        "peaks, of which a job uses a part; state whether they are sparse",
        aliases=("nodes-for-peak",),
        cases=("cards-1000P-h100-sparse", "cards-1000P-h100-dense"),
    ),
    _rule(
        "dense-peak",
        dense_peak,
        "sparse / 2",
        "2:4 sparsity on matrix units that double their rate by it",
        aliases=("sparse-to-dense",),
        exact=_stated_dense,
        exact_by="dense peak the datasheet states",
        exact_needs=("accelerator",),
        over={"precision": ("bf16", "fp8", "int8", "fp4")},
    ),
    _rule(
        "usual-memory",
        usual_memory,
        "the commonest sizes",
        "accelerators of the catalog, each counted once",
        aliases=("vendor-memory", "usual-hbm"),
        cases=("ascend-hbm",),
    ),
)
