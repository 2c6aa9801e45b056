"""What weights and training state take in memory."""

from __future__ import annotations

from typing import Literal

from suanli import Asked, SuanliError, formula
from suanli.report import MemoryParts
from suanli_handbook.asking import alone, recipe_of, trained_alone
from suanli_handbook.citations import CHEAT_SHEET, PLANNING, REQUIREMENTS, ZERO
from suanli_handbook.making import _rule

ELEUTHER = "Anthony et al. 2023, Transformer Math 101"


@formula(unit="bytes", source=f"definition; {PLANNING}; {CHEAT_SHEET}")
def weight_bytes(*, params: float, bits: float = 16.0) -> float:
    """Bytes of the weights, or of gradients kept alike: 2 a parameter in 16 bits, 1 GB a billion in 8."""
    return params * bits / 8.0


@formula(unit="bytes", source=CHEAT_SHEET)
def model_sizes(*, params: float) -> tuple[float, float]:
    """Bytes of a model as a file or served, and in training."""
    return 2.0 * params, 20.0 * params


@formula(unit="bytes", source=f"{ELEUTHER}; {REQUIREMENTS}")
def inference_memory(*, params: float, bits: float = 16.0, overhead: float = 1.2) -> float:
    """Bytes of serving: the weights, and a fifth more for all else."""
    return params * bits / 8.0 * overhead


@formula(unit="bytes", source=f"{ZERO}, sec. 3.1; {CHEAT_SHEET}")
def training_state(*, params: float, bytes_per_parameter: float = 20.0) -> float:
    """Bytes of weights, gradients and Adam's states: 20 a parameter, or what a recipe keeps (16n, 18n, 20p)."""
    return params * bytes_per_parameter


@formula(unit="bytes", source=f"{PLANNING}; {REQUIREMENTS}")
def training_memory(
    *,
    params: float,
    weights_bytes: float = 6.0,
    grad_bytes: float = 4.0,
    state_bytes: float = 8.0,
    activation_bytes: float = 0.0,
) -> float:
    """Bytes of training by component: of each parameter its weights, gradients and states; and the activations."""
    return params * (weights_bytes + grad_bytes + state_bytes) + activation_bytes


@formula(unit="bytes", source=REQUIREMENTS)
def sharded_training_memory(
    *, params: float, accelerators: float, activation_bytes: float = 0.0, bytes_per_parameter: float = 12.0
) -> float:
    """Bytes of each accelerator where all training state is divided and activations are not."""
    return params * bytes_per_parameter / accelerators + activation_bytes


@formula(unit="bytes", source=f"{ZERO}, sec. 5 and fig. 1")
def zero_memory(
    *,
    params: float,
    data: float = 1.0,
    bytes: tuple[float, ...] = (2.0, 2.0, 12.0),
    zero: Literal[0, 1, 2, 3] = 0,
) -> float:
    """Bytes of training state of each accelerator: `bytes` are of weight, gradient, and master weight with states."""
    if len(bytes) != 3:
        raise SuanliError(f"bytes: expected three numbers (weight, gradient, states), got {len(bytes)}")
    weights, gradients, states = bytes
    states = states / data if zero >= 1 else states
    gradients = gradients / data if zero >= 2 else gradients
    weights = weights / data if zero >= 3 else weights
    return params * (weights + gradients + states)


@formula(unit="bytes", source=PLANNING)
def training_total(
    *, params: float, batch: float = 1.0, layers: float, sequence: float, hidden: float, bytes: float = 4.0
) -> float:
    """Bytes of training: 18 a parameter, and one tensor kept for each layer."""
    return 18.0 * params + batch * layers * sequence * hidden * bytes


@formula(unit="values", source=f"Kingma & Ba 2015, algorithm 1; {REQUIREMENTS}")
def optimizer_states(*, params: float, states_per_parameter: float = 2.0) -> float:
    """Values an optimizer keeps beside the parameters: none for SGD, 2 each for Adam."""
    return params * states_per_parameter


@formula(unit="bytes", source=REQUIREMENTS)
def optimizer_memory(*, params: float, bytes: float = 4.0, states_per_parameter: float = 2.0) -> float:
    """Bytes of the optimizer's states, all in one format."""
    return params * bytes * states_per_parameter


def _served(asked: Asked) -> MemoryParts:
    """Memory of an accelerator that serves one request, in the serving recipe whose weights have the bits asked for."""
    bits = float(asked.inputs["bits"])
    serving = [e.value for e in asked.workspace.catalog().entries("recipe") if e.value.kind == "serving"]
    recipe = next((r for r in serving if 8.0 * asked.bytes_of(r.weights) == bits), None)
    if recipe is None:
        raise SuanliError(f"no serving recipe keeps weights in {bits:g} bits")
    report = alone(asked, workload={"kind": "serve", "batch": 1}, precision={"recipe": recipe.name})
    return report.memory.per_accelerator


def _weights(asked: Asked) -> float:
    return _served(asked).weights_bytes


def _serving(asked: Asked) -> float:
    parts = _served(asked)
    return parts.weights_bytes + parts.kv_cache_bytes + parts.workspace_bytes


def _state(parts: MemoryParts) -> float:
    return parts.weights_bytes + parts.gradients_bytes + parts.optimizer_bytes


def _sizes(asked: Asked) -> list[float]:
    parts = trained_alone(asked, "20p")
    return [parts.weights_bytes, _state(parts)]


def _trained(asked: Asked) -> float:
    return _state(trained_alone(asked, recipe_of(asked, float(asked.inputs["bytes_per_parameter"]))))


def _components(asked: Asked) -> float:
    """Training state of a recipe that keeps as many bytes for a parameter, and the activations given."""
    of_parameter = sum(float(asked.inputs[k]) for k in ("weights_bytes", "grad_bytes", "state_bytes"))
    parts = trained_alone(asked, recipe_of(asked, of_parameter))
    return _state(parts) + float(asked.inputs["activation_bytes"])


def _divided(asked: Asked) -> float:
    recipe = recipe_of(asked, float(asked.inputs["bytes_per_parameter"]))
    parts = trained_alone(asked, recipe, data=float(asked.inputs["accelerators"]), zero=3)
    return _state(parts) + float(asked.inputs["activation_bytes"])


def _zero(asked: Asked) -> float:
    recipe = recipe_of(asked, *(float(b) for b in asked.inputs["bytes"]))
    return _state(trained_alone(asked, recipe, data=float(asked.inputs["data"]), zero=int(asked.inputs["zero"])))


def _training(asked: Asked) -> float:
    batch, sequence = float(asked.inputs["batch"]), float(asked.inputs["sequence"])
    parts = trained_alone(asked, recipe_of(asked, 18.0), batch=batch, sequence=sequence)
    return _state(parts) + parts.activations_bytes + parts.logits_bytes


def _states(asked: Asked) -> float:
    """States beside no master weights, so that nothing else is counted with them."""
    return trained_alone(asked, "fp32").optimizer_bytes


STATE = "weights, gradients and optimizer states of an accelerator"

RULES = (
    _rule(
        "weight-memory",
        weight_bytes,
        "N bits / 8",
        "weights alone; formats that leave embedding and head in 16 bits take more",
        aliases=("weights", "model-file", "gradient-memory"),
        cases=(
            "weights-7b-fp16",
            "weights-7b-8bit",
            "weights-7b-4bit",
            "weights-7b-16bit",
            "weights-32b-fp32",
            "model-file-13b",
        ),
        exact=_weights,
        exact_by="weights of an engine on one accelerator",
        over={"bits": (16.0, 8.0, 4.0)},
    ),
    _rule(
        "model-sizes",
        model_sizes,
        "2 N, 20 N",
        "16-bit weights; Adam in mixed precision, both copies of the gradients kept, nothing divided",
        aliases=("2p-20p",),
        cases=("gpt3-weights",),
        exact=_sizes,
        exact_by="weights of an accelerator that trains the whole model; with gradients and optimizer states",
    ),
    _rule(
        "inference-memory",
        inference_memory,
        "N bits / 8 x 1.2",
        "few requests of short contexts",
        aliases=("serving-memory-rule", "m-1.2"),
        cases=("weights-70b-fp16-overhead",),
        exact=_serving,
        exact_by="weights, cache and workspace of an accelerator that serves one request of the default length",
        over={"bits": (16.0, 8.0, 4.0)},
    ),
    _rule(
        "training-state",
        training_state,
        "20 N (recipe=18n: 18 N, recipe=16n: 16 N)",
        "Adam, mixed precision, nothing divided, activations apart",
        aliases=("20p", "20n"),
        cases=("train-memory-13b-20p",),
        exact=_trained,
        exact_by=f"{STATE} that trains the whole model in that recipe",
        over={"recipe": ("20p", "18n", "16n")},
    ),
    _rule(
        "training-memory",
        training_memory,
        "N (weights + gradients + states) + activations",
        "nothing divided; bytes of weights with their master copy, of gradients, of optimizer states",
        aliases=("18n",),
        cases=("train-memory-7b-18n", "train-10b-params"),
        exact=_components,
        exact_by=f"{STATE} that trains the whole model in a recipe of as many bytes; the activations as given",
        over={"optimizer": ("adamw", "adafactor", "sgd"), "recipe": ("18n",)},
    ),
    _rule(
        "sharded-training-memory",
        sharded_training_memory,
        "12 N / n + activations",
        "16-bit weights and gradients, two fp32 states, all divided; each accelerator has its own activations",
        aliases=("12n", "training-memory-per-accelerator"),
        cases=("train-10b-2gpu",),
        exact=_divided,
        exact_by=f"{STATE} of n, ZeRO stage 3; the activations as given",
        over={"accelerators": (2.0, 8.0)},
    ),
    _rule(
        "zero-memory",
        zero_memory,
        "16 N; 4 N + 12 N / n; 2 N + 14 N / n; 16 N / n",
        "ZeRO stages 0 to 3; Adam, fp16 weights and gradients",
        aliases=("zero", "16n"),
        cases=("zero-stages-7.5b",),
        exact=_zero,
        exact_by=f"{STATE} at that ZeRO stage",
        over={"data": (8.0,), "zero": (0, 1, 2, 3)},
    ),
    _rule(
        "training-total",
        training_total,
        "18 N + b l s h 4",
        "one fp32 tensor kept for each layer: a lower bound, layers keep many",
        cases=("train-total-7b-132",),
        exact=_training,
        exact_by="weights, gradients, optimizer states, activations and logits of an accelerator that trains it all",
        over={"batch": (1.0, 8.0), "sequence": (2048.0,)},
    ),
    _rule(
        "optimizer-states",
        optimizer_states,
        "states x N (SGD 0, Adam 2)",
        "states of the shape of the parameter",
        cases=("sgd-states", "adam-states"),
    ),
    _rule(
        "optimizer-memory",
        optimizer_memory,
        "N bytes states",
        "states of the shape of the parameter, in one format; master weights apart",
        exact=_states,
        exact_by="optimizer states of an accelerator that trains the whole model, no master weights",
        over={"optimizer": ("adamw", "adafactor", "adamw-8bit")},
    ),
)
