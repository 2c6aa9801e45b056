"""Rules of thumb as formulas: what a planner writes on the back of an envelope.

The inputs are named as in the worked examples they answer.
"""

from __future__ import annotations

from suanli import formula

KAPLAN = "Kaplan et al. 2020, Scaling laws for neural language models, sec. 2.1"
KORTHIKANTI = "Korthikanti et al. 2022, Reducing activation recomputation"


@formula(unit="flops", source=KAPLAN)
def training_flops(*, params: float, tokens: float) -> float:
    """FLOPs of training: 6 a parameter and token, 2 forward and 4 backward."""
    return 6.0 * params * tokens


@formula(unit="flops", source=KORTHIKANTI)
def training_flops_recompute(*, params: float, tokens: float) -> float:
    """FLOPs of training with every activation made again: 8 a parameter and token."""
    return 8.0 * params * tokens


@formula(unit="s", source=KAPLAN)
def training_time(
    *,
    params: float,
    tokens: float,
    accelerators: float,
    peak_flops_per_s: float,
    mfu: float = 0.45,
    accelerator: str = "",
) -> float:
    """Seconds of training at a model FLOPs utilisation; `accelerator` only says whose peak it is."""
    return 6.0 * params * tokens / (accelerators * peak_flops_per_s * mfu)


@formula(unit="s", source=KORTHIKANTI)
def training_time_recompute(
    *, params: float, tokens: float, accelerators: float, peak_flops_per_s: float, hfu: float = 0.5
) -> float:
    """Seconds of training with full recompute at a hardware FLOPs utilisation."""
    return 8.0 * params * tokens / (accelerators * peak_flops_per_s * hfu)


@formula(unit="flops", source=KAPLAN)
def forward_flops(*, params: float, tokens: float = 1.0) -> float:
    """FLOPs of a forward pass: 2 a parameter and token."""
    return 2.0 * params * tokens


@formula(unit="bytes", source="definition")
def weight_bytes(*, params: float, bits: float = 16.0) -> float:
    """Bytes of the weights: 2 a parameter in 16 bits."""
    return params * bits / 8.0


@formula(unit="bytes", source="Shazeer 2019; Pope et al. 2022: keys and values of every layer")
def kv_cache(*, batch: float = 1.0, sequence: float, hidden: float, layers: float, bytes: float = 2.0) -> float:
    """Bytes of keys and values of every token, layer and head."""
    return 2.0 * batch * sequence * hidden * layers * bytes


@formula(unit="parameters", source=KAPLAN)
def parameters(*, layers: float, hidden: float, actual: float = 0.0) -> float:
    """Parameters of a stack of layers: 12 l h^2; `actual` is a count to hold it against."""
    return 12.0 * layers * hidden * hidden


@formula(unit="bytes", source="Rajbhandari et al. 2020, ZeRO, sec. 3.1")
def training_state(*, params: float, bytes_per_parameter: float = 16.0) -> float:
    """Bytes of weights, gradients and Adam's states: 16 a parameter in fp16, 18 or 20 with fp32 gradients."""
    return params * bytes_per_parameter


@formula(unit="bytes", source=KORTHIKANTI + ", eq. 1")
def activations(*, batch: float = 1.0, sequence: float, hidden: float, heads: float, layers: float = 1.0) -> float:
    """Bytes kept for the backward pass, scores and masks written out: s b h (34 + 5 a s / h) a layer."""
    return layers * (34.0 * batch * sequence * hidden + 5.0 * batch * sequence * sequence * heads)


@formula(unit="s", source="Pope et al. 2022, sec. 3: every weight is read for every token")
def decode_time(*, params: float, bandwidth_bytes_per_s: float, accelerators: float = 1.0) -> float:
    """Seconds of one token of a small batch: 2-byte weights over the memory bandwidth."""
    return 2.0 * params / (accelerators * bandwidth_bytes_per_s)


@formula(unit="s", source="Pope et al. 2022, sec. 3")
def prefill_time(*, params: float, tokens: float, peak_flops_per_s: float, accelerators: float = 1.0) -> float:
    """Seconds of a prompt at full rate: 2 FLOPs a parameter and token."""
    return 2.0 * params * tokens / (accelerators * peak_flops_per_s)
