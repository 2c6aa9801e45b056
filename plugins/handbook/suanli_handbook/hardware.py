"""What a datasheet says of how a model will run."""

from __future__ import annotations

import re

from suanli import Accelerator, Asked, SuanliError, Tier, formula
from suanli_handbook.citations import BASETEN, INFERENCE, KIPPLY, POPE, ROOFLINE
from suanli_handbook.making import _rule

DATASHEET = "the catalog of accelerators, datasheet by datasheet"

TERA, GIGA = 1e12, 1e9

NVLINK_BYTES_PER_S = {"1": 20e9, "2": 25e9, "3": 25e9, "4": 25e9, "5": 50e9}
"""One way, of one link of each generation.

1 to 4: NVIDIA P100, V100, A100 and H100 whitepapers (4, 6, 12 and 18 links: 80, 150, 300 and 450 GB/s one way).
5: NVIDIA Blackwell architecture technical brief (18 links: 900 GB/s).
"""

WIDE = 8192
"""Width of the square product whose times stand for a device's sustained rate and bandwidth."""


@formula(unit="flops/byte", source=f"{ROOFLINE}; {BASETEN}; {INFERENCE}")
def ridge_point(*, peak_flops_per_s: float, bandwidth_bytes_per_s: float) -> float:
    """FLOPs a byte an accelerator can do: with fewer memory decides, with more arithmetic."""
    return peak_flops_per_s / bandwidth_bytes_per_s


@formula(unit="tokens", source=f"{KIPPLY}; {POPE}; {INFERENCE}: 2 FLOPs and 2 bytes a weight")
def batch_knee(*, peak_flops_per_s: float, bandwidth_bytes_per_s: float, bytes: float = 2.0) -> float:
    """Tokens in a pass at which products turn from memory- to compute-bound: up to it more of them are free."""
    return peak_flops_per_s * bytes / (2.0 * bandwidth_bytes_per_s)


@formula(unit="flops_per_s", source=f"{DATASHEET}; {INFERENCE}")
def vector_and_matrix_peaks(*, asked: Asked) -> tuple[float, float, float | None]:
    """Peaks without matrix units (which elementwise work runs at), with them, and with sparsity where there is any."""
    device = _device(asked)
    dense = asked.peak_flops_per_s(sparse=False)
    if dense is None:
        raise SuanliError(f"{device.id} states no peak of matrix products")
    return device.vector_flops_per_s(), dense, None if device.sparsity is None else asked.peak_flops_per_s(sparse=True)


@formula(unit="TFLOP/s, GB/s, W", source=f"{DATASHEET}; {INFERENCE}")
def spec_sheet(*, asked: Asked) -> dict[str, float | None]:
    """Dense peaks in TFLOP/s (fp32 of the vector units), bandwidth in GB/s, power in W; what is not stated is left."""
    device = _device(asked)
    peaks = {form: _tera(device, form) for form in ("fp32", "tf32", "bf16", "int8", "int4")}
    return peaks | {"gb_s": device.memory_bandwidth_bytes_per_s / GIGA, "w": device.power_w}


@formula(unit="TFLOP/s, GB/s, links", source=f"{DATASHEET}; {INFERENCE}")
def spec_table(*, asked: Asked, accelerators: tuple[str, ...]) -> dict[str, list[float | None]]:
    """Accelerators side by side: fp64 vector peak, link rate both ways added as it is quoted, number of links."""
    devices = [_open(asked.workspace.accelerator(name)) for name in accelerators]
    links = [_link(asked, device) for device in devices]
    return {
        "fp64": [_tera(device, "fp64") for device in devices],
        "link_bidir_gb_s": [None if t is None else 2.0 * t.bandwidth_bytes_per_s / GIGA for t in links],
        "links": [None if t is None else _links(t) for t in links],
    }


def _device(asked: Asked) -> Accelerator:
    if asked.device is None:
        raise SuanliError("accelerator: required")
    return _open(asked.device)


def _open(device: Accelerator) -> Accelerator:
    """A device whose figures may be shown.

    Raises:
        SuanliError: Where they may not.
    """
    if device.confidential:
        raise SuanliError(f"{device.id}: its figures are confidential")
    return device


def _tera(device: Accelerator, form: str) -> float | None:
    """A peak in TFLOP/s; None where there is no such path, or nobody states it."""
    return device.rates.get(form, 0.0) / TERA or None


def _link(asked: Asked, device: Accelerator) -> Tier | None:
    """What joins a device to its neighbours in its usual system."""
    if device.default_system is None:
        return None
    system = asked.workspace.system(device.default_system)
    if system.confidential:
        raise SuanliError(f"{system.id}: its figures are confidential")
    return system.tiers[0] if system.tiers else None


def _links(tier: Tier) -> float | None:
    """How many links of its generation make up the rate; None where it is no NVLink."""
    named = re.match(r"NVLink(\d)", tier.name)
    one = NVLINK_BYTES_PER_S.get(named.group(1)) if named else None
    return None if one is None else float(round(tier.bandwidth_bytes_per_s / one))


def _sustained(asked: Asked) -> tuple[float, float]:
    """Seconds of a square product of the device, and of one row of it, in the format of the question."""
    device = asked.device
    if device is None:
        raise SuanliError("no accelerator is named")
    form = "bf16" if asked.precision is None else asked.precision.name
    square, row = (device.gemm_s(m=m, n=WIDE, k=WIDE, precision=form) for m in (WIDE, 1))
    return float(square), float(row)


def _sustained_ridge(asked: Asked) -> float:
    square, row = _sustained(asked)
    each = 2.0 if asked.precision is None else asked.precision.bytes_per_element
    return 2.0 * WIDE / each * row / square


def _sustained_knee(asked: Asked) -> float:
    square, row = _sustained(asked)
    return WIDE * row / square


SUSTAINED = f"sustained rate of a product of {WIDE} x {WIDE} x {WIDE} over sustained bandwidth of one of its rows"

RULES = (
    _rule(
        "ridge-point",
        ridge_point,
        "F / bandwidth",
        "peaks of a datasheet; take the dense one unless the weights are sparse",
        aliases=("ops-to-byte", "machine-balance", "arithmetic-intensity", "roofline"),
        cases=(
            "intensity-t4",
            "intensity-v100s-pcie",
            "intensity-a10",
            "intensity-a100-80gb-sxm",
            "intensity-h100-sxm",
            "intensity-sparse-a10",
            "intensity-sparse-a100-80gb-sxm",
            "intensity-sparse-h100-sxm",
        ),
        exact=_sustained_ridge,
        exact_by=SUSTAINED,
        exact_needs=("accelerator",),
    ),
    _rule(
        "batch-knee",
        batch_knee,
        "F bytes / (2 bandwidth)",
        "products with weights alone: attention stays memory-bound in any batch",
        aliases=("critical-batch", "compute-bound-batch"),
        cases=("batch-knee",),
        exact=_sustained_knee,
        exact_by=f"rows at which a product with {WIDE} x {WIDE} weights takes as long to compute as to read, sustained",
        exact_needs=("accelerator",),
        over={"precision": ("bf16", "fp8")},
    ),
    _rule(
        "vector-and-matrix-peaks",
        vector_and_matrix_peaks,
        "fp32 vector, dense, sparse",
        "16-bit formats unless one is named",
        aliases=("peaks",),
        cases=("a100-vector-matrix",),
    ),
    _rule(
        "spec-sheet",
        spec_sheet,
        "as the datasheet has it",
        "dense peaks; NVIDIA's headlines are often with sparsity",
        aliases=("datasheet",),
        cases=("a10-sheet",),
    ),
    _rule(
        "spec-table",
        spec_table,
        "as the datasheets have it",
        "links both ways added, as vendors quote them; of the usual system of each",
        cases=("spec-table",),
    ),
)
