"""Seconds of one optimizer step, and what they are spent on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suanli import Case, Number, added, fact, formula, is_scalar, maximum, scaled, total, where
from suanli_training import accuracy
from suanli_training.blocks import TrainedBlock
from suanli_training.memory import micro_batches, per_layer
from suanli_training.placement import StageLoad
from suanli_training.state import StateExchange

NARAYANAN = "Narayanan et al. 2021, Efficient large-scale language model training, sec. 2.2 and 3"


AXES = ("tensor", "context", "expert", "data", "pipeline")
"""Axes with a figure of their own; those plugins add are summed."""


@formula(unit="s", source=NARAYANAN)
def all_passes_s(*, micro_batches: Number, one_s: Number) -> Number:
    """Seconds of one kind of work for every micro batch of a step, on the slowest stage."""
    return micro_batches * one_s


@formula(unit="s", source="Li et al. 2020, PyTorch distributed, sec. 3.2: buckets leave as soon as they are full")
def exposed_s(*, exchange_s: Number, cover_s: Number, parts: Number) -> Number:
    """Seconds of an exchange in `parts` that outlast the pass they hide behind; the last part never hides."""
    return maximum(exchange_s - cover_s, exchange_s / parts)


@formula(unit="s", source="definition: a stage that works less than the slowest has so much longer to exchange")
def late_s(*, exposed_s: Number, slack_s: Number) -> Number:
    """Seconds by which a stage's exchanges end after the slowest stage's work."""
    return exposed_s - slack_s


@formula(unit="s", source="fitted: launches, stragglers, input; see the source of overhead_ratio")
def overhead_s(*, kernels_s: Number, overhead_ratio: float) -> Number:
    """Seconds of a step that no kernel and no exchange explains."""
    return kernels_s * overhead_ratio


@formula(unit="s", source=NARAYANAN)
def step_s(
    *,
    forward_s: Number,
    backward_s: Number,
    recompute_s: Number,
    exposed_communication_s: Number,
    bubble_s: Number,
    optimizer_s: Number,
    overhead_s: Number,
) -> Number:
    """Seconds of one optimizer step."""
    return added(forward_s, backward_s, recompute_s, exposed_communication_s, bubble_s, optimizer_s, overhead_s)


def step(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The step's time and its parts: the slowest stage's work, the others' as the bubble."""
    m = micro_batches(case, layout)
    hand_over = _hand_over(case, layout, given["_train.boundary_bytes"])
    handing = scaled("s", layout.pipeline, hand_over)
    whole = total("all_stages_s", "s", {"layers_s": given["_train.pipeline_s"], "hand_over_s": handing})
    stages = [_stage(case, given, load, hand_over, m) for load in given["_train.stages"]]
    worst = stages[0]
    for other in stages[1:]:
        slower = other["one"] > worst["one"]
        worst = {k: where(slower, v, worst[k]) for k, v in other.items()}
    slowest = worst["one"]
    data: Number = 0.0
    for stage in stages:
        slack = m * (slowest - stage["one"])
        data = maximum(data, stage["data"] if len(stages) == 1 else late_s(exposed_s=stage["data"], slack_s=slack))
    bubble = case.schedules[layout.schedule].bubble_s(
        slowest_s=slowest, total_s=whole, stages=layout.pipeline, chunks=layout.virtual_stages
    )

    passes = {k: all_passes_s(micro_batches=m, one_s=worst[k]) for k in ("forward", "backward", "recompute")}
    overhead = overhead_s(kernels_s=total("kernels_s", "s", passes), overhead_ratio=_unexplained(case))
    exposed = {
        a: all_passes_s(micro_batches=m, one_s=worst[key]) for a in case.axes if (key := f"exposed.{a}") in worst
    }
    exposed["data"] = data
    exposed["pipeline"] = all_passes_s(micro_batches=m, one_s=hand_over)
    communication = total("exposed_communication_s", "s", exposed)
    for axis in AXES:
        exposed.setdefault(axis, 0.0)
    return {
        "time.forward_s": passes["forward"],
        "time.backward_s": passes["backward"],
        "time.recompute_s": passes["recompute"],
        "time.bubble_s": bubble,
        "time.overhead_s": overhead,
        "time.exposed_communication_s": communication,
        **{f"time.exposed_{a}_s": exposed.pop(a) for a in AXES},
        "time.exposed_other_s": total("exposed_other_s", "s", exposed),
        "time.step_s": step_s(
            forward_s=passes["forward"],
            backward_s=passes["backward"],
            recompute_s=passes["recompute"],
            exposed_communication_s=communication,
            bubble_s=bubble,
            optimizer_s=given["time.optimizer_s"],
            overhead_s=overhead,
        ),
    }


def _unexplained(case: Case) -> float:
    profile = case.profile
    return fact(profile.overhead_ratio, f"{profile.name}.overhead_ratio", "ratio", accuracy.OVERHEAD_SOURCE)


def _stage(case: Case, given: Mapping[str, Any], load: StageLoad, hand_over: Number, m: Number) -> dict[str, Number]:
    """What one stage spends on one micro batch (``one`` is all of it), and on state exchanges in a step."""
    blocks: tuple[TrainedBlock, ...] = given["_train.blocks"]
    picks: dict[str, Any] = {
        "forward": lambda b: b.forward_s,
        "backward": lambda b: b.backward_s,
        "recompute": lambda b: b.recompute_s,
        "one": lambda b: b.one_s,
    }
    for i, axis in enumerate(case.axes):
        if any(not is_scalar(b.exposed_s[i]) or b.exposed_s[i] != 0.0 for b in blocks):
            picks[f"exposed.{axis}"] = lambda b, i=i: b.exposed_s[i]
    here = {key: total(f"stage_{key}_s", "s", per_layer(load, blocks, pick, "s")) for key, pick in picks.items()}
    here["one"] = total("stage_all_s", "s", {"stage_s": here["one"], "hand_over_s": hand_over})
    layers: Number = 0.0
    for count in load.layers:
        layers = layers + count
    covers = {
        "forward": total("forward_cover_s", "s", per_layer(load, blocks, lambda b: b.forward_cover_s, "s")),
        "backward": total("backward_cover_s", "s", per_layer(load, blocks, lambda b: b.backward_cover_s, "s")),
    }
    here["data"] = _shown(case, given["_train.state_exchanges"], covers, maximum(layers, 1.0), m)
    return here


def _hand_over(case: Case, layout: Any, boundary_bytes: Number) -> Number:
    """Seconds a stage spends handing one micro batch on and its gradient back, for each of its chunks."""
    ranks, stride = case.axes["pipeline"].group("pipeline", layout)
    model = case.system.exchanges
    assert model is not None
    one = model.time_s("p2p", bytes=boundary_bytes, ranks=ranks, stride=stride, system=case.system)
    # With several chunks a stage computes one while another travels.
    hidden = case.overlap and case.schedules[layout.schedule].chunked
    shown = where(layout.virtual_stages > 1.0, 0.0 if hidden else 1.0, 1.0)
    return scaled("s", shown * 2.0 * layout.virtual_stages, one)


def _shown(
    case: Case, exchanges: tuple[StateExchange, ...], covers: Mapping[str, Number], parts: Number, m: Number
) -> Number:
    """Seconds of gradient and weight exchanges that nothing hides, in a step."""
    terms: dict[str, Number] = {}
    for phase in ("forward", "backward"):
        # Those of every micro batch and those of the last one share its pass to hide behind.
        once: dict[str, Number] = {}
        each: dict[str, Number] = {}
        for exchange in exchanges:
            if exchange.phase == phase:
                in_each = where(exchange.each_pass > 0.0, exchange.times, 0.0)
                each[exchange.name] = scaled("s", in_each, exchange.seconds)
                once[exchange.name] = scaled("s", exchange.times - in_each, exchange.seconds)
        every = total(f"each_{phase}_s", "s", each)
        last = total(f"last_{phase}_s", "s", {"each_s": every, "once_s": total(f"once_{phase}_s", "s", once)})
        if case.overlap:
            every = exposed_s(exchange_s=every, cover_s=covers[phase], parts=parts)
            last = exposed_s(exchange_s=last, cover_s=covers[phase], parts=parts)
        terms[f"{phase}.each"] = scaled("s", m - 1.0, every)
        terms[f"{phase}.last"] = last
    return total("exposed_data_s", "s", terms)
