"""Memory of the worst rank, and of every pipeline stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from suanli import Case, Number, StateShards, added, formula, maximum, minimum, scaled, total, where
from suanli.figures import Weights
from suanli_training.blocks import TrainedBlock
from suanli_training.placement import StageLoad, stage_loads

ZERO = "Rajbhandari et al. 2020, ZeRO, sec. 3 and 5"
PARTS = ("weights", "gradients", "optimizer", "activations", "logits", "workspace")


@formula(unit="bytes", source=ZERO)
def state_bytes(
    *, dense: Number, expert: Number, bytes_each: Number, dense_shards: Number, expert_shards: Number
) -> Number:
    """Bytes of one kind of training state on a rank, its dense and its expert part each divided over its copies."""
    return (dense / dense_shards + expert / expert_shards) * bytes_each


@formula(unit="bytes", source=ZERO)
def optimizer_bytes(
    *,
    dense_bytes: Number,
    expert_bytes: Number,
    shared_bytes: float,
    dense_shards: Number,
    expert_shards: Number,
) -> Number:
    """Bytes the optimizer keeps on a rank: each part divided over its copies, what all parameters share whole."""
    return dense_bytes / dense_shards + expert_bytes / expert_shards + shared_bytes


@formula(unit="bytes", source="Korthikanti et al. 2022, eq. 2 and sec. 4.2.3")
def activation_bytes(*, layers_bytes: Number, embedding_bytes: Number, in_flight: Number) -> Number:
    """Bytes kept for backward passes that are still to come, of every micro batch in flight."""
    return (layers_bytes + embedding_bytes) * in_flight


@formula(unit="bytes", source=f"{ZERO}: a layer is gathered while the one before it computes")
def gathered_bytes(*, two_layers_bytes: Number, missing_bytes: Number) -> Number:
    """Bytes of weights gathered for a moment: of two layers at most, and no more than is not there."""
    return minimum(two_layers_bytes, maximum(missing_bytes, 0.0))


@formula(unit="bytes", source="definition")
def memory_total_bytes(
    *,
    weights: Number,
    gradients: Number,
    optimizer: Number,
    activations: Number,
    logits: Number,
    workspace: Number,
    reserve: Number,
) -> Number:
    """Bytes a rank needs at its peak."""
    return added(weights, gradients, optimizer, activations, logits, workspace, reserve)


def micro_batches(case: Case, layout: Any) -> Number:
    """Micro batches one pipeline works through in a step."""
    together: Number = layout.data * layout.micro_batch
    return float(case.global_batch) / together


def per_layer(load: StageLoad, blocks: tuple[Any, ...], pick: Any, unit: str) -> dict[str, Number]:
    """A figure of each part of the model, times how often the stage holds it."""
    terms = {"embedding": scaled(unit, load.first, pick(blocks[0]))}
    for k, count in enumerate(load.layers):
        terms[f"layers.{k}"] = scaled(unit, count, pick(blocks[1 + k]))
    terms["head"] = scaled(unit, load.last, pick(blocks[-1]))
    return terms


def holders(case: Case, layout: Any, part: str) -> tuple[Number, Number]:
    """Ranks that hold copies of the ``"dense"`` or ``"expert"`` weights, at least one, and their stride."""
    ranks, stride = case.axes["data"].group(part, layout)
    for field, rule in case.axes.items():
        if rule.copies:
            ranks = ranks * layout[field]
    return maximum(ranks, 1.0), stride


class _States(NamedTuple):
    """What of the training state is the same on every pipeline stage."""

    gradient_bytes: float
    dense: StateShards
    expert: StateShards
    layer_bytes: Number
    micro_batches: Number


def _states(case: Case, layout: Any, given: Mapping[str, Any]) -> _States:
    held: tuple[Weights, ...] = given["_train.weights"]
    recipe, stored, data = case.recipe, case.stored, case.axes["data"]
    copies, _ = holders(case, layout, "dense")
    expert_copies, _ = holders(case, layout, "expert")
    largest: Number = 0.0
    for weights in held[1:-1]:
        largest = maximum(largest, weights.dense + weights.expert)
    return _States(
        gradient_bytes=sum_of(stored, recipe.gradients, recipe.main_gradients),
        dense=data.shards(zero=layout.zero, ranks=copies),
        expert=data.shards(zero=layout.zero, ranks=expert_copies),
        layer_bytes=largest * stored[recipe.weights],
        micro_batches=micro_batches(case, layout),
    )


def state_parts(
    case: Case, layout: Any, given: Mapping[str, Any], load: StageLoad, states: _States
) -> dict[str, Number]:
    """Bytes of weights, gradients and optimizer states of one pipeline stage, and of weights it does not hold."""
    dense, expert = _held(case, layout, given["_train.weights"], load, "parameters")
    dense_bytes, expert_bytes = _held(case, layout, given["_train.update_bytes"], load, "bytes")
    kinds = {"weights": case.stored[case.recipe.weights], "gradients": states.gradient_bytes}
    found = {
        kind: state_bytes(
            dense=dense,
            expert=expert,
            bytes_each=size,
            dense_shards=getattr(states.dense, kind),
            expert_shards=getattr(states.expert, kind),
        )
        for kind, size in kinds.items()
    }
    found["optimizer"] = optimizer_bytes(
        dense_bytes=dense_bytes,
        expert_bytes=expert_bytes,
        shared_bytes=given["_train.shared_bytes"],
        dense_shards=states.dense.optimizer,
        expert_shards=states.expert.optimizer,
    )
    found["missing"] = (dense + expert) * kinds["weights"] - found["weights"]
    return found


def _held(case: Case, layout: Any, of_parts: tuple[Weights, ...], load: StageLoad, unit: str) -> tuple[Number, Number]:
    """What a stage holds of the dense and of the expert part; a tied head is a copy where it is not alone."""
    dense = total(f"dense_{unit}", unit, per_layer(load, of_parts, lambda w: w.dense, unit))
    dense = dense + where(layout.pipeline > 1.0, load.last * of_parts[-1].tied, 0.0)
    if not case.has_experts:
        return dense, 0.0
    return dense, total(f"expert_{unit}", unit, per_layer(load, of_parts, lambda w: w.expert, unit))


def stage_memory(
    case: Case,
    layout: Any,
    blocks: tuple[TrainedBlock, ...],
    load: StageLoad,
    states: _States,
    parts: dict[str, Number],
) -> dict[str, Number]:
    """Each part of the memory of one pipeline stage, and their sum, from its training state."""
    in_flight = case.schedules[layout.schedule].in_flight(
        stage=load.index,
        stages=layout.pipeline,
        micro_batches=states.micro_batches,
        chunks=layout.virtual_stages,
    )
    layers = {f"layers.{k}": scaled("bytes", n, blocks[1 + k].kept_bytes) for k, n in enumerate(load.layers)}
    kept = activation_bytes(
        layers_bytes=total("layers_kept_bytes", "bytes", layers),
        embedding_bytes=scaled("bytes", load.first, blocks[0].kept_bytes),
        in_flight=in_flight,
    )
    logits = scaled("bytes", load.last, blocks[-1].kept_bytes)
    remade: Number = 0.0
    for k, count in enumerate(load.layers):
        remade = maximum(remade, where(count > 0.0, blocks[1 + k].remade_bytes, 0.0))
    gathered = gathered_bytes(two_layers_bytes=2.0 * states.layer_bytes, missing_bytes=parts["missing"])
    whole = {k: v for k, v in parts.items() if k != "missing"}
    workspace = total("workspace_bytes", "bytes", {"remade": remade, "gathered": gathered})
    found = whole | {"activations": kept, "logits": logits, "workspace": workspace}
    found["total"] = memory_total_bytes(**found, reserve=float(case.reserve_bytes))
    return found


def sum_of(stored: Mapping[str, float], *formats: str | None) -> float:
    """Bytes of one element in each of some formats together; None counts nothing."""
    size = 0.0
    for name in formats:
        size = size + (stored[name] if name else 0.0)
    return size


def memory(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Memory of the pipeline stage that needs the most."""
    blocks: tuple[TrainedBlock, ...] = given["_train.blocks"]
    worst: dict[str, Number] = {}
    states = _states(case, layout, given)
    for load in given["_train.stages"]:
        parts = stage_memory(case, layout, blocks, load, states, state_parts(case, layout, given, load, states))
        if not worst:
            worst = parts
            continue
        more = parts["total"] > worst["total"]
        worst = {k: where(more, v, worst[k]) for k, v in parts.items()}
    found = {f"memory.{k}_bytes": v for k, v in worst.items()}
    capacity = float(case.device.capacity_bytes)
    return found | {"memory.fits": worst["total"] <= capacity}


def memory_by_stage(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Each part of the memory of every pipeline stage, in order."""
    model = case.model
    loads = stage_loads(model.pattern, len(model.kinds), int(layout.pipeline), int(layout.virtual_stages))
    rows = []
    blocks = given["_train.blocks"]
    states = _states(case, layout, given)
    alike: dict[StageLoad, dict[str, Number]] = {}
    for load in loads:
        kind = load._replace(index=0.0)
        if kind not in alike:
            alike[kind] = state_parts(case, layout, given, load, states)
        parts = stage_memory(case, layout, blocks, load, states, alike[kind])
        rows.append(tuple((f"{k}_bytes", float(v)) for k, v in parts.items()))
    return {"memory.stages": tuple(rows)}
