"""Bubbles and micro batches in flight stay within what the schedules' papers say."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import suanli
from suanli.layout import Layout
from suanli.testing import resolved, run_one
from suanli.testing import strategies as sts

SCHEDULES = dict(suanli.catalog().schedules)
NAMES = sorted({s.name for s in SCHEDULES.values()})


@st.composite
def pipelines(draw: st.DrawFn) -> dict[str, int]:
    """Stages, a stage among them, micro batches and chunks that every schedule allows."""
    stages = draw(st.integers(1, 16))
    return {
        "stage": draw(st.integers(0, stages - 1)),
        "stages": stages,
        "micro_batches": stages * draw(st.integers(1, 8)),
        "chunks": draw(st.integers(2, 8)),
    }


def in_flight(name: str, at: dict[str, int]) -> float:
    """Micro batches a stage holds; schedules without chunks have one."""
    schedule = SCHEDULES[name]
    chunks = at["chunks"] if schedule.chunked else 1
    numbers = {k: float(v) for k, v in at.items()} | {"chunks": float(chunks)}
    return float(schedule.in_flight(**numbers))


@pytest.mark.parametrize("name", NAMES)
@given(at=pipelines())
def test_a_stage_holds_one_to_all_micro_batches(name: str, at: dict[str, int]) -> None:
    """At its peak a stage holds at least one micro batch and at most all of the step, later stages no more."""
    held = in_flight(name, at)
    assert 1.0 <= held <= at["micro_batches"]
    if at["stage"] + 1 < at["stages"]:
        assert in_flight(name, at | {"stage": at["stage"] + 1}) <= held


@given(at=pipelines())
def test_schedules_in_the_order_of_what_they_hold(at: dict[str, int]) -> None:
    """1F1B holds no more than interleaving, and neither more than GPipe; the last 1F1B stage holds one."""
    assert in_flight("1f1b", at) <= in_flight("interleaved", at) <= in_flight("gpipe", at)
    assert in_flight("1f1b", at | {"stage": at["stages"] - 1}) == 1.0
    assert in_flight("1f1b", at | {"stage": 0}) == at["stages"]


@given(at=pipelines())
def test_interleaving_holds_what_the_paper_says(at: dict[str, int]) -> None:
    """Korthikanti 2022: the first of p stages with v chunks holds p (1 + (p - 1) / (p v)), and p m at most."""
    p, v = at["stages"], at["chunks"]
    stated = p * (1.0 + (p - 1.0) / (p * v))
    assert in_flight("interleaved", at | {"stage": 0}) == pytest.approx(min(stated, at["micro_batches"]), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
@given(slowest=st.floats(1e-6, 1e3), at=pipelines())
def test_the_bubble_of_equal_stages(name: str, slowest: float, at: dict[str, int]) -> None:
    """Equal stages idle (p - 1) / m of the ideal step, a v-th of it with v chunks (Narayanan 2021, sec. 2.2)."""
    schedule = SCHEDULES[name]
    p, m, v = at["stages"], at["micro_batches"], at["chunks"] if schedule.chunked else 1
    bubble = schedule.bubble_s(slowest_s=slowest, total_s=p * slowest, stages=float(p), chunks=float(v))
    ideal = m * slowest
    assert bubble / ideal == pytest.approx((p - 1) / m / v, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("name", NAMES)
@given(works=st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=16), chunks=st.integers(1, 8))
def test_the_bubble_of_unequal_stages_is_bounded(name: str, works: list[float], chunks: int) -> None:
    """The bubble is none for one stage, never negative, and never past that of stages all as slow as the slowest."""
    schedule = SCHEDULES[name]
    v = chunks if schedule.chunked else 1
    slowest, total = max(works), sum(works)
    bubble = schedule.bubble_s(slowest_s=slowest, total_s=total, stages=float(len(works)), chunks=float(v))
    assert 0.0 <= bubble <= (len(works) - 1) * slowest * (1.0 + 1e-12) / v
    if len(works) == 1:
        assert bubble == 0.0


@st.composite
def stacks(draw: st.DrawFn) -> tuple[dict[str, Any], Layout]:
    """A training scenario of several stages."""
    config = draw(sts.configs())
    layout = draw(sts.layouts(config))
    return draw(sts.training_scenarios(config=config, layout=layout)), layout


@given(stacks())
def test_a_step_s_bubble_is_within_its_bounds(drawn: tuple[dict[str, Any], Layout]) -> None:
    """A whole step's bubble is none without a pipeline and at most the others' share of the slowest stage's work."""
    scenario, layout = drawn
    values = run_one(resolved(scenario), layout)
    p, v = layout.pipeline, layout.virtual_stages
    m = scenario["workload"]["global_batch"] // (layout.data * layout.micro_batch)
    hand_over = values["time.exposed_pipeline_s"] / m
    first, *layers, last = (block.one_s for block in values["_train.blocks"])
    slowest = hand_over + max(
        load.first * first + sum(n * s for n, s in zip(load.layers, layers, strict=True)) + load.last * last
        for load in values["_train.stages"]
    )
    assert values["time.bubble_s"] >= -1e-12 * values["time.step_s"]
    assert values["time.bubble_s"] <= (p - 1) * slowest / v * (1.0 + 1e-9)
    if p == 1:
        assert abs(values["time.bubble_s"]) <= 1e-12 * values["time.step_s"]


@given(stacks())
def test_gpipe_and_1f1b_take_the_same_time(drawn: tuple[dict[str, Any], Layout]) -> None:
    """The two differ in memory, not in time; GPipe never needs less."""
    case = resolved(drawn[0])
    plain = attrs.evolve(drawn[1], virtual_stages=1)
    gpipe, other = (run_one(case, attrs.evolve(plain, schedule=s)) for s in ("gpipe", "1f1b"))
    assert gpipe["time.step_s"] == other["time.step_s"]
    assert gpipe["memory.total_bytes"] >= other["memory.total_bytes"]


@pytest.mark.parametrize("chunks", [2, 3, 4])
def test_an_even_interleaved_step_idles_a_vth(chunks: int) -> None:
    """Of a stack as even as can be, with ends that weigh nothing, the bubble with v chunks is a v-th of 1F1B's."""
    config = {"model_type": "gpt2", "vocab_size": 8, "n_embd": 1024, "n_layer": 48, "n_head": 16}
    case = resolved(
        {
            "model": {"config": config},
            "system": {"name": "dgx-a100", "accelerators": 4},
            "workload": {"sequence": 512, "global_batch": 32},
            "implementation": {"overlap": True},
        }
    )
    plain = run_one(case, Layout(pipeline=4))
    woven = run_one(case, Layout(pipeline=4, schedule="interleaved", virtual_stages=chunks))
    assert woven["time.bubble_s"] == pytest.approx(plain["time.bubble_s"] / chunks, rel=0.02)
