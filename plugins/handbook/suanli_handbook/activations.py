"""What the forward pass keeps for the backward pass."""

from __future__ import annotations

from suanli import Asked, Number, formula
from suanli.numeric import sqrt
from suanli_handbook.asking import SEQUENCE, kept_bytes, model_of
from suanli_handbook.citations import CHEAT_SHEET, KORTHIKANTI, PLANNING, REQUIREMENTS
from suanli_handbook.making import _rule

RANGE = (1.0, 2.0)
"""Activations over 2-byte weights, from and to, of 32 sequences."""


@formula(unit="bytes", source=f"{KORTHIKANTI}, eq. 1 and 2; {CHEAT_SHEET}")
def activations(*, batch: float = 1.0, sequence: float, hidden: float, heads: float, layers: float = 1.0) -> float:
    """Bytes kept for the backward pass, scores and masks written out."""
    return layers * (34.0 * batch * sequence * hidden + 5.0 * batch * sequence * sequence * heads)


@formula(unit="bytes", source=PLANNING)
def layer_outputs(*, batch: float = 1.0, layers: float, sequence: float, hidden: float, bytes: float = 4.0) -> float:
    """Bytes of one tensor for each layer, its output."""
    return batch * layers * sequence * hidden * bytes


@formula(unit="bytes", source=REQUIREMENTS)
def layer_neurons(*, params: float, batch: float = 32.0, bytes: float = 2.0, sequence: float = SEQUENCE) -> Number:
    """Bytes a layer keeps, taken to have as many neurons as the root of the parameters.

    `sequence` is the length the estimator's figure is for; the rule knows none.
    """
    return batch * sqrt(params) * bytes


@formula(unit="bytes", source=REQUIREMENTS)
def layers_together(*, per_layer_bytes: float, layers: float) -> float:
    """Bytes all layers keep, each as much."""
    return layers * per_layer_bytes


@formula(unit="bytes", source=REQUIREMENTS)
def like_weights(*, params: float, batch: float = 32.0, sequence: float = SEQUENCE) -> tuple[float, float]:
    """Bytes kept, from and to: as much as 2-byte weights take or twice that for 32 sequences; in step with the batch.

    `sequence` is the length the estimator's figure is for; the rule knows none.
    """
    weights = 2.0 * params * batch / 32.0
    return RANGE[0] * weights, RANGE[1] * weights


def _kept(asked: Asked) -> float:
    """As Megatron keeps them now: a fused attention kernel, no dropout."""
    return kept_bytes(asked, batch=float(asked.inputs["batch"]), sequence=float(asked.inputs["sequence"]))


def _kept_eager(asked: Asked) -> float:
    """As the paper counts them: the scores written out, dropout on; of as many layers as asked for."""
    size = {"batch": float(asked.inputs["batch"]), "sequence": float(asked.inputs["sequence"])}
    every = kept_bytes(asked, **size, attention="eager", dropout=0.1)
    return every * float(asked.inputs["layers"]) / len(model_of(asked).layers)


def _kept_each(asked: Asked) -> float:
    return _kept(asked) / len(model_of(asked).layers)


FLASH = "bytes the layers keep: fused attention, no dropout, nothing made again"
SIZES = {"batch": (1.0, 8.0), "sequence": (2048.0, 8192.0)}

RULES = (
    _rule(
        "activations",
        activations,
        "l s b h (34 + 5 a s / h)",
        "GPT layers, scores written out, dropout, no parallelism",
        aliases=("34sbh", "activation-memory"),
        cases=("act-gpt3-b1", "act-gpt3-b64", "act-b-s-h"),
        exact=_kept_eager,
        exact_by="bytes the layers keep: scores written out, dropout, nothing made again",
        over={"batch": (1.0,), "sequence": (2048.0, 8192.0)},
    ),
    _rule(
        "activations-of-outputs",
        layer_outputs,
        "b l s h 4",
        "one fp32 tensor a layer: a lower bound, layers keep many",
        aliases=("activation-naive",),
        cases=("activation-naive",),
        exact=_kept,
        exact_by=FLASH,
        over={"batch": (1.0,), "sequence": (2048.0, 8192.0)},
    ),
    _rule(
        "activations-of-neurons",
        layer_neurons,
        "b sqrt(N) 2",
        "networks without a sequence; of a transformer it leaves out the tokens",
        aliases=("act-neurons",),
        cases=("act-neurons",),
        exact=_kept_each,
        exact_by="bytes a layer keeps: fused attention, no dropout, nothing made again",
        over={"batch": (32.0,)},
    ),
    _rule(
        "activations-of-layers",
        layers_together,
        "l x a layer",
        "layers alike, none of them made again",
        cases=("act-neurons-total",),
    ),
    _rule(
        "activations-like-weights",
        like_weights,
        "2 N b / 32 to twice that",
        "nobody says for which sequence; activations grow with it",
        exact=_kept,
        exact_by=FLASH,
        over=SIZES,
    ),
)
