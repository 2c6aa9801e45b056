"""What is counted before anything is timed: parameters, FLOPs, formats, units."""

from __future__ import annotations

from suanli import Asked, formula, units
from suanli_handbook import adapters
from suanli_handbook.asking import SEQUENCE, model_of, whole
from suanli_handbook.citations import CHEAT_SHEET, KAPLAN, KORTHIKANTI, NARAYANAN, PLANNING
from suanli_handbook.making import DENSE, _rule

ACTIVE = {"params": "active_params"}
"""A token is multiplied by the parameters it uses: of a mixture of experts, the active ones."""


@formula(unit="parameters", source=f"{KAPLAN}; {CHEAT_SHEET}")
def parameters(*, layers: float, hidden: float, actual: float = 0.0) -> float:
    """Parameters of a stack of layers; `actual` is a count to hold it against."""
    return 12.0 * layers * hidden * hidden


@formula(unit="flops", source=f"{KAPLAN}; {PLANNING}")
def training_flops(*, params: float, tokens: float, sequence: float = SEQUENCE) -> float:
    """FLOPs of training: 6 a parameter and token, 2 forward and 4 backward.

    `sequence` is the length the estimator's figure is for; the rule has no attention in it.
    """
    return 6.0 * params * tokens


@formula(unit="flops", source=f"{KORTHIKANTI}; {CHEAT_SHEET}")
def training_flops_recompute(*, params: float, tokens: float, sequence: float = SEQUENCE) -> float:
    """FLOPs of training with every activation made again: 8 a parameter and token.

    `sequence` is the length the estimator's figure is for; the rule has no attention in it.
    """
    return 8.0 * params * tokens


@formula(unit="flops", source=KAPLAN)
def forward_flops(*, params: float, tokens: float = 1.0, sequence: float = SEQUENCE) -> float:
    """FLOPs of a forward pass: 2 a parameter and token.

    `sequence` is the length the estimator's figure is for; the rule has no attention in it.
    """
    return 2.0 * params * tokens


@formula(
    unit="flops", source=f"{NARAYANAN}, eq. 3; AscendSpeed ascendspeed/utils.py throughput_calculator; {CHEAT_SHEET}"
)
def iteration_flops(
    *, c: float = 3.0, batch: float, sequence: float, layers: float, hidden: float, vocab: float
) -> float:
    """FLOPs of a training step, attention and head included; `c` is 4 where activations are made again, else 3."""
    layer = 24.0 * c * batch * sequence * layers * hidden * hidden
    return layer * (1.0 + sequence / (6.0 * hidden) + vocab / (16.0 * layers * hidden))


@formula(unit="bytes", source=f"definition; {PLANNING}")
def bytes_per_parameter(*, bits: float) -> float:
    """Bytes a parameter takes in a number format, its share of the scales included."""
    return bits / 8.0


@formula(unit="flops_per_s", source=f"SI prefixes; {PLANNING}")
def unit_ladder(*, text: str) -> float:
    """FLOP/s a planner's word means, such as 1000P."""
    return float(units.parse(text, "flop/s"))


def _total(asked: Asked) -> float:
    """The count given, else the model's."""
    given = float(asked.inputs.get("actual") or 0.0)
    return given or float(model_of(asked).parameters.total)


def _passes(asked: Asked, *, layers: float, head: float, causal: bool = False) -> float:
    """FLOPs of the tokens asked for: so many forward passes of layers and head, at the sequence asked for."""
    sequence = whole("sequence", asked.inputs["sequence"])
    count = model_of(asked).forward_flops(sequence=sequence, causal=causal)
    of_head = count.by_group.get("head", 0.0)
    tokens = float(asked.inputs["tokens"]) / sequence
    return tokens * (layers * (count.total - of_head) + head * of_head)


def _trained(asked: Asked) -> float:
    return _passes(asked, layers=3.0, head=3.0)


def _trained_again(asked: Asked) -> float:
    return _passes(asked, layers=4.0, head=3.0)


def _forward(asked: Asked) -> float:
    return _passes(asked, layers=1.0, head=1.0, causal=True)


def _iteration(asked: Asked) -> float:
    c, size = float(asked.inputs["c"]), {k: whole(k, asked.inputs[k]) for k in ("batch", "sequence")}
    count = model_of(asked).forward_flops(**size, causal=False)
    of_head = count.by_group.get("head", 0.0)
    return c * (count.total - of_head) + 3.0 * of_head


LENGTHS = {"sequence": (2048.0, 8192.0)}

RULES = (
    _rule(
        "parameters",
        parameters,
        "12 l h^2",
        "feed-forward of 4 h (or gated of 8/3 h), as many key-value heads as query heads, embedding left out",
        aliases=("12lh2", "params"),
        cases=(
            "params-12lh2-4096",
            "params-12lh2-5120",
            "params-12lh2-6656",
            "params-12lh2-8192",
            "gopher-params",
        ),
        exact=_total,
        exact_by="parameters of the model, embedding and head included (or the count given as actual)",
    ),
    _rule(
        "training-flops",
        training_flops,
        "6 N D",
        f"{DENSE}; of a mixture of experts, N is what a token uses",
        aliases=("6nd", "train-flops"),
        cases=("train-flops-65b-1.4T",),
        reads=ACTIVE,
        exact=_trained,
        exact_by="3 forward passes, attention over the full sequence",
        over={"tokens": (1e12,)} | LENGTHS,
    ),
    _rule(
        "training-flops-recompute",
        training_flops_recompute,
        "8 N D",
        f"{DENSE}; full recompute; of a mixture of experts, N is what a token uses",
        aliases=("8nd",),
        reads=ACTIVE,
        exact=_trained_again,
        exact_by="4 forward passes of the layers and 3 of the head, attention over the full sequence",
        over={"tokens": (1e12,)} | LENGTHS,
    ),
    _rule(
        "forward-flops",
        forward_flops,
        "2 N tokens",
        f"{DENSE}; of a mixture of experts, N is what a token uses",
        aliases=("2p", "2n", "inference-flops"),
        cases=("infer-flops-32b",),
        reads=ACTIVE,
        exact=_forward,
        exact_by="a forward pass of whole sequences, causal attention, the head on every position",
        over={"tokens": (1e6,)} | LENGTHS,
    ),
    _rule(
        "iteration-flops",
        iteration_flops,
        "24 c B s l h^2 (1 + s / (6 h) + V / (16 l h))",
        "GPT layers: feed-forward of 4 h, as many key-value heads as query heads; attention over the full sequence",
        aliases=("ascendspeed-flops", "megatron-flops", "narayanan-flops"),
        cases=("ascendspeed-flops", "ascendspeed-c4"),
        exact=_iteration,
        exact_by="c forward passes of the layers and 3 of the head, attention over the full sequence",
        over={"c": (3.0, 4.0), "batch": (8.0,)} | LENGTHS,
    ),
    _rule(
        "bytes-per-parameter",
        bytes_per_parameter,
        "bits / 8",
        "long tensors: a format with scales has its share of them",
        aliases=("dtype-bytes", "precision-bytes"),
        cases=(
            "bytes-fp64",
            "bytes-fp32",
            "bytes-tf32",
            "bytes-fp16",
            "bytes-bf16",
            "bytes-fp8",
            "bytes-int8",
            "bytes-int4",
        ),
    ),
    _rule(
        "unit-ladder",
        unit_ladder,
        "M 1e6, G 1e9, T 1e12, P 1e15, E 1e18",
        "rates; TOPS count operations on integers",
        aliases=("flops-units",),
        cases=("units-flops-ladder",),
    ),
    _rule(
        "lora-parameters",
        adapters.lora_parameters,
        "sum of r (in + out) over the matrices adapted",
        "LoRA without biases; QLoRA trains the same",
        aliases=("lora", "qlora-parameters"),
        cases=("lora-7b-r8",),
    ),
)
