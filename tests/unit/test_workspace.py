"""Estimates do not depend on what ran before, on threads, or on other workspaces."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import suanli
from suanli import Workspace

SCENARIOS: list[dict[str, Any]] = [
    {
        "model": {"name": model},
        "system": {"name": system, "accelerators": 16},
        "workload": {"kind": kind},
        "layout": {"tensor": 2, "pipeline": 2}
        | ({"micro_batch": 1, "zero": 1, "recompute": recompute} if kind != "serve" else {}),
    }
    for model in ("llama-7b", "gpt2", "mixtral-8x7b")
    for system in ("dgx-a100", "atlas-800t-a2")
    for kind, recompute in (("pretrain", "none"), ("finetune", "full"), ("serve", ""))
]


def test_eight_threads_give_the_same() -> None:
    """Eight threads that start together, on a fresh workspace, give the reports one thread gives."""
    alone = Workspace()
    expected = [alone.estimate(s) for s in SCENARIOS]
    shared = Workspace()
    start = threading.Barrier(8)

    def work(offset: int) -> list[suanli.Report]:
        start.wait()
        turned = SCENARIOS[offset:] + SCENARIOS[:offset]
        found = [shared.estimate(s) for s in turned]
        return found[len(SCENARIOS) - offset :] + found[: len(SCENARIOS) - offset]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(8)))
    assert all(reports == expected for reports in results)


def test_threads_explain_beside_estimates() -> None:
    """Explaining in some threads changes nothing for those that estimate, and the other way about."""
    workspace = Workspace()
    expected = workspace.estimate(SCENARIOS[0])
    text = workspace.explain(SCENARIOS[0], "time.step_s").text()

    def work(i: int) -> bool:
        if i % 2:
            return workspace.explain(SCENARIOS[0], "time.step_s").text() == text
        report = workspace.estimate(SCENARIOS[0])
        return report == expected and type(report.time.step_s) is float

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(64)))


def test_the_order_of_questions_does_not_matter() -> None:
    """Asked forwards or backwards, once or twice, each scenario has one answer."""
    workspace = Workspace()
    first = [workspace.estimate(s) for s in SCENARIOS]
    again = [workspace.estimate(s) for s in reversed(SCENARIOS)][::-1]
    assert first == again


def test_a_report_is_nobody_else_s() -> None:
    """Changing one report's tables changes no other report."""
    workspace = Workspace()
    first = workspace.estimate(SCENARIOS[0])
    expected = workspace.estimate(SCENARIOS[0]).to_dict()
    first.scenario["layout"]["tensor"] = 99
    first.versions["plugins"].clear()
    first.parameters.by_group.clear()
    first.basis.clear()
    first.origins.clear()
    assert workspace.estimate(SCENARIOS[0]).to_dict() == expected


def test_a_scenario_is_not_changed() -> None:
    """Neither the table nor the scenario made of it is touched by an estimate."""
    import copy

    data = copy.deepcopy(SCENARIOS[2])
    kept = copy.deepcopy(data)
    scenario = suanli.scenario(data)
    plain = scenario.to_dict()
    suanli.estimate(scenario)
    suanli.search(data, top=1, max_layouts=10)
    assert data == kept
    assert scenario.to_dict() == plain


def test_a_plan_s_report_is_the_estimate() -> None:
    """The report of a plan is that of its layout given by hand, whenever it is asked for."""
    asked = {
        "model": {"name": "gpt2"},
        "system": {"name": "dgx-a100", "accelerators": 4},
        "workload": {"kind": "pretrain", "sequence": 256, "global_batch": 16},
    }
    found = suanli.search(asked, top=3)
    for plan in found.plans:
        layout = {k: v for k, v in plan.layout.to_dict().items() if k not in ("attention_data", "replicas")}
        byhand = suanli.estimate(asked | {"layout": layout})
        assert plan.report.time == byhand.time
        assert plan.report.memory == byhand.memory
        assert plan.report.problems == plan.report.problems


def test_searching_in_threads_gives_the_same() -> None:
    """An executor changes how long a search takes, not what it finds."""
    asked = {
        "model": {"name": "llama-7b"},
        "system": {"name": "dgx-a100", "accelerators": 64},
        "workload": {"kind": "pretrain", "sequence": 2048, "global_batch": 256},
    }
    alone = suanli.search(asked, top=5)
    with ThreadPoolExecutor(4) as pool:
        together = suanli.search(asked, top=5, executor=pool)
    assert [(p.layout, p.score) for p in together.plans] == [(p.layout, p.score) for p in alone.plans]
    assert (together.evaluated, together.feasible) == (alone.evaluated, alone.feasible)


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_a_search_stops_where_it_is_told(limit: int) -> None:
    """No more layouts than asked for, and the result says it is not complete."""
    asked = {
        "model": {"name": "llama-7b"},
        "system": {"name": "dgx-a100", "accelerators": 64},
        "workload": {"kind": "pretrain"},
    }
    told: list[int] = []
    found = suanli.search(asked, max_layouts=limit, progress=told.append)
    assert found.evaluated == limit
    assert not found.complete
    assert told[-1] == limit
    assert suanli.search(asked, deadline_s=0.0).complete is False


def test_many_models_do_not_pile_up() -> None:
    """A thousand different models leave no more behind than a hundred: caches are bounded."""

    def ask(count: int) -> int:
        for i in range(count):
            config = {"model_type": "gpt2", "vocab_size": 64 + i, "n_embd": 16, "n_layer": 1, "n_head": 2}
            suanli.estimate(
                SCENARIOS[0] | {"model": {"config": config}, "layout": SCENARIOS[0]["layout"] | {"pipeline": 1}}
            )
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    ask(10)
    tracemalloc.start()
    try:
        few = ask(100)
        many = ask(500)
    finally:
        tracemalloc.stop()
    # At most what the bounded caches hold, some kilobytes a block.
    assert many - few < 60_000_000
