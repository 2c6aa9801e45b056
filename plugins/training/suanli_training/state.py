"""Training state on the move: gradients summed, weights gathered, the optimizer's step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from suanli import Case, Number, elementwise, is_scalar, maximum, total
from suanli.figures import Weights, states_per_parameter
from suanli.optimizer import step_bytes
from suanli_training.memory import holders, per_layer, sum_of


class StateExchange(NamedTuple):
    """One exchange of training state.

    Attributes:
        name: What is exchanged, how and when.
        phase: The pass it can hide behind.
        seconds: Of one such exchange.
        times: How often a layout needs it.
        each_pass: 1 where every micro batch makes it.
    """

    name: str
    phase: str
    seconds: Number
    times: Number
    each_pass: Number


def state(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The exchanges of training state and the optimizer's step, of the stage with the most parameters."""
    heaviest: dict[str, Number] = {"dense": 0.0, "expert": 0.0}
    held: tuple[Weights, ...] = given["_train.weights"]
    for load in given["_train.stages"]:
        for part in heaviest:
            terms = per_layer(load, held, lambda w, part=part: getattr(w, part), "parameters")
            heaviest[part] = maximum(heaviest[part], total(f"{part}_parameters", "parameters", terms))
    return {
        "_train.state_exchanges": _exchanges(case, layout, heaviest),
        "time.optimizer_s": _optimizer_s(case, layout, heaviest),
    }


def _exchanges(case: Case, layout: Any, heaviest: Mapping[str, Number]) -> tuple[StateExchange, ...]:
    data = case.axes["data"]
    stored, recipe = case.stored, case.recipe
    each = {"gradients": stored[recipe.reduced or recipe.weights], "weights": stored[recipe.weights]}
    model = case.system.exchanges
    assert model is not None
    parts = ("dense", "expert") if case.has_experts else ("dense",)
    found = []
    for exchange in data.step_exchanges(zero=layout.zero):
        if is_scalar(exchange.times) and exchange.times == 0.0:
            continue
        name = f"{exchange.operation}.{exchange.what}.{exchange.phase}"
        terms = {}
        for part in parts:
            ranks, stride = holders(case, layout, part)
            size = heaviest[part] * each[exchange.what]
            terms[part] = model.time_s(exchange.operation, bytes=size, ranks=ranks, stride=stride, system=case.system)
        seconds = total(name, "s", terms)
        found.append(StateExchange(name, exchange.phase, seconds, exchange.times, exchange.each_pass))
    return tuple(found)


def _optimizer_s(case: Case, layout: Any, heaviest: Mapping[str, Number]) -> Number:
    """Seconds of the optimizer on the shard of one rank."""
    recipe, stored, data = case.recipe, case.stored, case.axes["data"]
    updated: Number = 0.0
    for part in ("dense", "expert"):
        ranks, _ = holders(case, layout, part)
        shards = data.shards(zero=layout.zero, ranks=ranks)
        updated = updated + heaviest[part] / shards.optimizer
    moved = step_bytes(
        parameters=updated,
        gradient_bytes=sum_of(stored, recipe.reduced),
        state_bytes=sum_of(stored, recipe.optimizer_states) * states_per_parameter(case),
        master_bytes=sum_of(stored, recipe.master_weights),
        weight_bytes=stored[recipe.weights],
    )
    assert case.optimizer is not None
    return case.kernels.time_s(
        elementwise(bytes=moved, flops=updated * case.optimizer.flops_per_parameter), case.device
    )
