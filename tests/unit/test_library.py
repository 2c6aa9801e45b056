"""As a library: workspaces apart, threads and processes at once, values that pickle, data that comes back."""

from __future__ import annotations

import copy
import json
import multiprocessing
import pickle
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest

import suanli
from suanli import SuanliError, Workspace
from suanli.catalogs import KINDS
from suanli.testing import installed_plugins, make_plugin

sys.path.insert(0, str(Path(__file__).parent))
from jobs import JOBS, ONE, OPEN, SCENARIOS, SERVE, TRAIN, TUNE, answer, best_of, elsewhere, shuffled, workspaces

ACME = """
[[accelerator]]
id = "acme-one"
vendor = "Acme"
product = "Acme One"
memory = "96 GB"
memory_bandwidth = "3.2 TB/s"
peak = { fp32 = "30 TFLOP/s", bf16 = "500 TFLOP/s" }
source = { all = "Acme One datasheet" }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of catalog files."""
    made = tmp_path_factory.mktemp("acme")
    (made / "acme.toml").write_text(ACME, encoding="utf-8")
    return str(made)


@pytest.fixture(scope="module")
def serial(folder: str) -> dict[tuple[str, str], str]:
    """Every job of every workspace, answered one after another."""
    return {(name, job): answer(w, job) for name, w in workspaces(folder).items() for job in JOBS}


def test_workspaces_differ_where_they_should(serial: dict[tuple[str, str], str]) -> None:
    """The jobs tell the workspaces apart: what one adds or leaves out is in its answers and in no other's."""
    run = {name: json.loads(serial[name, "estimate train"])["run"] for name, job in serial if job == "estimate train"}
    assert run["acme"]["currency"] == "EUR"
    assert run["plain"]["currency"] == run["folder"]["currency"] == "USD"
    assert run["without prices"]["cost"] is None
    assert run["plain"]["cost"] == run["folder"]["cost"] > 0.0
    assert ("acme-one" in serial["folder", "catalog"], "acme-one" in serial["plain", "catalog"]) == (True, False)
    assert serial["plain", "kernel"] == serial["acme", "kernel"]


def test_threads_answer_as_one_does(folder: str, serial: dict[tuple[str, str], str]) -> None:
    """Eight threads that start together on workspaces nobody used before answer bit for bit what one thread does."""
    fresh = workspaces(folder)
    begin = threading.Barrier(8)

    def work(seed: int) -> list[str]:
        begin.wait(timeout=60)
        jobs = shuffled(seed, list(fresh))[: len(serial) // 3]
        return [f"{name}: {job}" for name, job in jobs if answer(fresh[name], job) != serial[name, job]]

    with ThreadPoolExecutor(8) as pool:
        assert [wrong for found in pool.map(work, range(8)) for wrong in found] == []


def test_processes_and_threads_at_once_answer_as_one_does(folder: str, serial: dict[tuple[str, str], str]) -> None:
    """Processes and threads that mix estimates, searches and derivations answer bit for bit what one thread does."""
    fresh = workspaces(folder)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as processes, ThreadPoolExecutor(4) as threads:
        there = [processes.submit(elsewhere, folder, name, job) for name, job in shuffled(1, list(fresh))]
        here = [threads.submit(lambda n, j: (n, j, answer(fresh[n], j)), *job) for job in shuffled(2, list(fresh))]
        for future in (*there, *here):
            name, job, found = future.result(timeout=300)
            assert found == serial[name, job], (name, job)


def test_the_default_workspace_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many threads ask first, they share one workspace."""
    made: list[Workspace] = []
    monkeypatch.setattr("suanli.workspace._DEFAULT", made)
    begin = threading.Barrier(8)

    def ask(_: int) -> int:
        begin.wait(timeout=60)
        return id(suanli.catalog())

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
    assert len(made) == 1


@pytest.mark.parametrize("scenario", [TRAIN, SERVE], ids=["train", "serve"])
def test_a_search_on_an_executor_finds_the_same(scenario: dict[str, Any]) -> None:
    """Threads or processes evaluate a search's layouts to the same plans, and the plans' reports are the same."""
    asked = {k: v for k, v in scenario.items() if k != "layout"} | {"system": {"name": "dgx-a100", "accelerators": 64}}
    alone = suanli.search(asked, top=5)
    spawn = multiprocessing.get_context("spawn")
    with ThreadPoolExecutor(4) as threads, ProcessPoolExecutor(2, mp_context=spawn) as processes:
        for executor in (threads, processes):
            assert suanli.search(asked, top=5, executor=executor) == alone
        sent = processes.submit(best_of, alone).result(timeout=300)
    assert sent == alone.plans[0].report


def test_what_cannot_be_sent_to_processes_is_refused() -> None:
    """A plugin's function without a name cannot be sent to other processes: that is said, with the way out."""
    stage = suanli.Stage(name="acme", gives=("acme.figure",), run=lambda case, layout, given: {"acme.figure": 1.0})
    step = suanli.Stage(name="acme-step", needs=("acme.figure",), gives=("_acme",), run=lambda c, x, g: {"_acme": 1})
    memory = next(e.value for e in suanli.catalog().entries("stage") if "memory.total_bytes" in e.value.gives)
    own = attrs.evolve(
        memory,
        name="acme-memory",
        replaces=memory.name,
        run=lambda case, layout, given: memory.run(case, layout, given),
    )
    workspace = Workspace(plugins=[*installed_plugins(), make_plugin("acme", stages=[stage, step, own])])
    kind = SERVE if "serve" in memory.workloads else TRAIN
    with ProcessPoolExecutor(1) as pool, pytest.raises(SuanliError, match="cannot be sent to other processes.*threads"):
        workspace.search(kind, executor=pool)
    with ThreadPoolExecutor(1) as threads:
        assert workspace.search(kind, executor=threads).plans


def made() -> dict[str, Any]:
    """A value of everything one can be given."""
    found: dict[str, Any] = {f"report {n}": suanli.estimate(s) for n, s in SCENARIOS.items()}
    found |= {f"scenario {n}": suanli.scenario(s) for n, s in SCENARIOS.items()}
    found["searched"] = suanli.search(TRAIN | {"layout": {}}, top=2, max_layouts=500)
    found["searched in vain"] = suanli.search(
        TRAIN | {"model": {"name": "gpt3-175b"}, "layout": {"zero": 0}}, max_layouts=500
    )
    found["plan"] = found["searched"].plans[0]
    found["layout"] = found["plan"].layout
    found["model"] = suanli.model("deepseek-v3")
    found |= {"accelerator": suanli.accelerator("a100"), "system": suanli.system("dgx-a100", 64)}
    found["derivation"] = suanli.explain(TRAIN, "time.step_s")
    found["answer"] = suanli.rule("kv-cache", model="llama-7b", sequence=[2048, 4096])
    found |= {"compute": suanli.plan_compute("1000P"), "fit": suanli.fit("llama-7b", "a10")}
    found["training plan"] = suanli.plan_training("llama-7b", tokens="100G", days=30, on="a100")
    found["serving plan"] = suanli.plan_serving("llama-7b", rate=1, on="a100")
    found["price"] = suanli.price("a100")
    return found


def test_every_value_pickles() -> None:
    """What is given is equal to itself after pickling, and after copying in depth."""
    for name, value in made().items():
        for again in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value), copy.copy(value)):
            assert type(again) is type(value), name
            assert again == value, name


@pytest.mark.parametrize("kind", KINDS)
def test_every_catalog_entry_pickles(kind: str) -> None:
    """An entry of each kind is equal to itself after pickling."""
    entries = suanli.catalog().entries(kind)
    assert entries
    for entry in entries:
        again = pickle.loads(pickle.dumps(entry))
        assert (again, again.value) == (entry, entry.value)


ERRORS: tuple[Callable[[], object], ...] = (
    lambda: suanli.accelerator("h10"),
    lambda: suanli.scenario({"modle": {}}),
    lambda: suanli.model({"model_type": "llama"}),
    lambda: suanli.rule("kv-cache"),
    lambda: suanli.system("dgx-a100", 0),
    lambda: suanli.estimate(TRAIN | {"layout": {"tensor": 7}}),
)


@pytest.mark.parametrize("ask", range(len(ERRORS)))
def test_every_error_pickles(ask: int) -> None:
    """An error that crosses a process says the same there, and has the same parts."""
    with pytest.raises(SuanliError) as caught:
        ERRORS[ask]()
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again), vars(again)) == (type(caught.value), str(caught.value), vars(caught.value))


def test_a_plan_that_was_sent_reports_the_same() -> None:
    """A plan of the default workspace reports the same after pickling."""
    plan = suanli.search(TRAIN | {"layout": {"tensor": [1, 2]}}, top=1).plans[0]
    assert pickle.loads(pickle.dumps(plan)).report == plan.report


GRID = {
    **SCENARIOS,
    "does not fit": TRAIN | {"model": {"name": "gpt3-175b"}},
    "no prices": TRAIN | {"system": {"name": "atlas-800t-a2", "accelerators": 16}},
    "electricity": TUNE | {"assumptions": {"electricity_price": 0.1, "currency": "EUR", "pue": 1.3}},
    "reserve": TRAIN | {"assumptions": {"reserve": 0, "price_per_hour": 1.5}},
    "no tokens": OPEN | {"workload": {"kind": "pretrain"}},
    "fp8": TRAIN | {"system": {"name": "dgx-h100"}, "precision": {"recipe": "fp8-mixed"}, "layout": {"tensor": 8}},
    "adafactor": TRAIN | {"optimizer": {"name": "adafactor"}, "layout": {}},
    "one card": ONE | {"system": {"accelerator": "a10", "accelerators": 1}, "layout": {}},
    "int4": ONE | {"precision": {"recipe": "int4", "kv_cache": "fp8"}},
    "many": SERVE | {"workload": {"kind": "serve", "concurrency": 100_000, "prefix_hit_ratio": 0.5}},
    "experts": SERVE | {"layout": {"tensor": 1, "attention_data": 8, "expert": 8}, "system": {"name": "dgx-h100"}},
    "latent": ONE | {"model": {"name": "deepseek-v2-lite"}, "layout": {}},
    "recurrent": ONE | {"model": {"name": "mamba2-2.7b"}, "layout": {}},
    "a table": ONE
    | {"model": {"config": {"model_type": "gpt2", "n_layer": 2, "n_embd": 64, "n_head": 4, "vocab_size": 99}}}
    | {"layout": {}, "workload": {"kind": "serve", "prompt": 8, "output": 8}},
}


@pytest.mark.parametrize("name", GRID)
def test_a_report_comes_back_from_its_data(name: str) -> None:
    """A report is equal to what its data is read as, through JSON too; and its scenario makes the same report."""
    report = suanli.estimate(GRID[name])
    data = report.to_dict()
    assert suanli.Report.from_dict(data) == report
    text = json.dumps(data, allow_nan=False)
    assert suanli.Report.from_dict(json.loads(text)) == report
    assert json.dumps(suanli.Report.from_dict(json.loads(text)).to_dict(), allow_nan=False) == text
    again = suanli.estimate(report.scenario)
    for part in ("layout", "memory", "time", "throughput", "serving", "run", "flops", "parameters", "extra"):
        assert getattr(again, part) == getattr(report, part), part
    assert suanli.scenario(suanli.scenario(GRID[name]).to_dict()) == suanli.scenario(GRID[name])
