"""Training state on the move: gradients summed, weights gathered, the optimizer's step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from suanli import Case, Number, elementwise, formula, is_scalar, maximum, scaled, total
from suanli.figures import Weights, weights
from suanli.optimizer import step_bytes
from suanli.updates import Update, Updates, shared_state_bytes, updates
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


@formula(unit="bytes", source="definition: master weights and states of the same parameters")
def update_bytes(*, parameters: Number, master_bytes: float, state_bytes: Number) -> Number:
    """Bytes the optimizer keeps for some parameters before ZeRO divides them."""
    return parameters * master_bytes + state_bytes


class StepWork(NamedTuple):
    """What a step does for the dense or for the expert parameters.

    Attributes:
        rate: Bytes of state and FLOPs of one parameter, where all are alike and none needs products.
        parts: Otherwise of the embedding, each kind of layer and the head.
    """

    rate: tuple[float, float] | None
    parts: tuple[Update, ...]


def block_state(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of the embedding, of each kind of layer and of the head on one rank, and what they cost to update."""
    at = case.local(layout, batch=1.0, sequence=1.0, kv_tokens=1.0)
    master = sum_of(case.stored, case.recipe.master_weights)
    parameters: list[Weights] = []
    found: list[Updates] = []
    sizes: list[Weights] = []
    for block, _ in case.model.parts:
        held = weights(case, block, at)
        parts = updates(case, block, at, held)
        parameters.append(held)
        found.append(parts)
        each = [
            update_bytes(parameters=count, master_bytes=master, state_bytes=update.state_bytes)
            for count, update in zip(held, parts, strict=True)
        ]
        sizes.append(Weights(*each))
    work = tuple(_work(tuple(getattr(u, part) for u in found)) for part in _parts(case))
    return {
        "_train.weights": tuple(parameters),
        "_train.work": work,
        "_train.update_bytes": tuple(sizes),
        "_train.shared_bytes": shared_state_bytes(case),
    }


def _work(parts: tuple[Update, ...]) -> StepWork:
    rates = {rate for update in parts for rate in update.rates}
    if len(rates) == 1 and not any(update.longest_s for update in parts):
        return StepWork(rates.pop(), ())
    return StepWork(None, parts)


def state(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The exchanges of training state and the optimizer's step, of the stage with the most of each."""
    held: tuple[Weights, ...] = given["_train.weights"]
    heaviest: dict[str, Number] = {}
    for part in _parts(case):
        heaviest[part] = _most(given, held, lambda w, part=part: getattr(w, part), f"{part}_parameters", "parameters")
    return {
        "_train.state_exchanges": _exchanges(case, layout, heaviest),
        "time.optimizer_s": _optimizer_s(case, layout, heaviest, given),
    }


def _parts(case: Case) -> tuple[str, ...]:
    """The parts of the weights that are copied over ranks of their own."""
    return ("dense", "expert") if case.has_experts else ("dense",)


def _most(given: Mapping[str, Any], of_parts: tuple[Any, ...], pick: Any, name: str, unit: str) -> Number:
    """The most any stage holds of something each part of the model has."""
    most: Number = 0.0
    for load in given["_train.stages"]:
        most = maximum(most, total(name, unit, per_layer(load, of_parts, pick, unit)))
    return most


def _exchanges(case: Case, layout: Any, heaviest: Mapping[str, Number]) -> tuple[StateExchange, ...]:
    data = case.axes["data"]
    stored, recipe = case.stored, case.recipe
    each = {"gradients": stored[recipe.reduced or recipe.weights], "weights": stored[recipe.weights]}
    model = case.system.exchanges
    assert model is not None
    found = []
    for exchange in data.step_exchanges(zero=layout.zero):
        if is_scalar(exchange.times) and exchange.times == 0.0:
            continue
        name = f"{exchange.operation}.{exchange.what}.{exchange.phase}"
        terms = {}
        for part in _parts(case):
            ranks, stride = holders(case, layout, part)
            size = heaviest[part] * each[exchange.what]
            terms[part] = model.time_s(exchange.operation, bytes=size, ranks=ranks, stride=stride, system=case.system)
        seconds = total(name, "s", terms)
        found.append(StateExchange(name, exchange.phase, seconds, exchange.times, exchange.each_pass))
    return tuple(found)


@formula(unit="s", source="Liu et al. 2025, Muon is scalable for LLM training, alg. 1: a matrix is never divided")
def shared_out_s(*, seconds: Number, shards: Number, longest_s: Number) -> Number:
    """Seconds of a rank that multiplies its share of whole matrices, and one of them at least."""
    return maximum(seconds / shards, longest_s)


def _optimizer_s(case: Case, layout: Any, heaviest: Mapping[str, Number], given: Mapping[str, Any]) -> Number:
    """Seconds of the optimizer on the shard of one rank: a pass over memory, and its matrix products."""
    recipe, stored, data = case.recipe, case.stored, case.axes["data"]
    updated: Number = 0.0
    kept: Number = 0.0
    done: Number = 0.0
    terms: dict[str, Number] = {}
    for part, work in zip(_parts(case), given["_train.work"], strict=True):
        ranks, _ = holders(case, layout, part)
        shards = data.shards(zero=layout.zero, ranks=ranks).optimizer
        share = heaviest[part] / shards
        updated = updated + share
        if work.rate:
            kept = kept + scaled("bytes", share, work.rate[0])
            done = done + scaled("flops", share, work.rate[1])
            continue
        kept = kept + _most(given, work.parts, lambda u: u.state_bytes, f"{part}_state_bytes", "bytes") / shards
        done = done + _most(given, work.parts, lambda u: u.flops, f"{part}_flops", "flops") / shards
        longest: Number = 0.0
        for update in work.parts:
            longest = maximum(longest, update.longest_s)
        if longest:
            seconds = _most(given, work.parts, lambda u: u.products_s, f"{part}_products_s", "s")
            terms[part] = shared_out_s(seconds=seconds, shards=shards, longest_s=longest)
    moved = step_bytes(
        parameters=updated,
        state_bytes=kept,
        gradient_bytes=sum_of(stored, recipe.reduced),
        master_bytes=sum_of(stored, recipe.master_weights),
        weight_bytes=stored[recipe.weights],
    )
    terms["pass_s"] = case.kernels.time_s(elementwise(bytes=moved, flops=done), case.device)
    return total("optimizer_s", "s", terms)
