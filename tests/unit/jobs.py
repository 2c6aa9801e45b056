"""Questions of every kind, asked of several workspaces at once; importable in other processes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import attrs

import suanli
from suanli import NumberFormat, Recipe, Stage, Workspace
from suanli.testing import installed_plugins, make_plugin

TRAIN: dict[str, Any] = {
    "model": {"name": "llama-7b"},
    "system": {"name": "dgx-a100", "accelerators": 16},
    "workload": {"kind": "pretrain", "tokens": "1T", "global_batch": 64},
    "layout": {"tensor": 2, "pipeline": 2, "micro_batch": 1, "zero": 1, "recompute": "selective"},
}
OPEN = TRAIN | {"layout": {"tensor": [1, 2, 4]}, "system": {"name": "atlas-800t-a2", "accelerators": 16}}
TUNE = TRAIN | {"workload": {"kind": "finetune", "tokens": "1G", "global_batch": 64}, "optimizer": {"name": "lion"}}
SERVE: dict[str, Any] = {
    "model": {"name": "mixtral-8x7b"},
    "system": {"name": "dgx-h100", "accelerators": 8},
    "workload": {"kind": "serve", "prompt": 1000, "output": 200, "concurrency": 64},
    "precision": {"recipe": "fp8"},
}
ONE = SERVE | {"workload": {"kind": "serve", "batch": 4}, "layout": {"tensor": 4}, "model": {"name": "llama-3-8b"}}
ONE |= {"precision": {"recipe": "bf16"}}
SCENARIOS = {"train": TRAIN, "open": OPEN, "tune": TUNE, "serve": SERVE, "one": ONE}

JOBS: dict[str, Callable[[Workspace], Any]] = {
    **{f"estimate {n}": lambda w, s=s: w.estimate(s).to_dict() for n, s in SCENARIOS.items()},
    **{
        f"again {n}": lambda w, s=s: suanli.Report.from_dict(w.estimate(s).to_dict()).to_dict()
        for n, s in SCENARIOS.items()
    },
    **{f"search {n}": lambda w, s=s: plans(w, s) for n, s in (("train", TRAIN), ("serve", SERVE))},
    "explain step": lambda w: w.explain(TRAIN, "time.step_s").to_dict(),
    "explain memory": lambda w: w.explain(TUNE, "memory.total_bytes").to_dict(),
    "explain token": lambda w: w.explain(ONE, "serving.tpot_s").text(),
    "model": lambda w: [w.model("llama-3-70b").parameters.total, w.model("mixtral-8x7b").kv_cache_bytes(tokens=99)],
    "kernel": lambda w: [w.accelerator(a).gemm_s(m=4096, n=512, k=999) for a in ("a100", "910b", "h100")],
    "exchange": lambda w: w.system("dgx-h100", 64).collective_s("all_reduce", bytes=1 << 24, ranks=16),
    "rule": lambda w: w.rule("kv-cache", model="llama-7b", sequence=2048).to_dict(),
    "compute": lambda w: w.plan_compute("1000P").to_dict(),
    "fit": lambda w: w.fit("llama-7b", "a10").to_dict(),
    "page": lambda w: w.export(TRAIN, "html"),
    "wrong": lambda w: refused(lambda: w.estimate(TRAIN | {"layout": {"tensor": 7}})),
    "nobody": lambda w: refused(lambda: w.accelerator("h10")),
    "catalog": lambda w: [[e.name, str(e.provider)] for k in ("accelerator", "stage") for e in w.catalog().entries(k)],
}
"""What is asked, by name; every answer is plain data or text."""


def plans(workspace: Workspace, scenario: dict[str, Any]) -> list[Any]:
    """A search's plans, and the report of the best."""
    found = workspace.search({k: v for k, v in scenario.items() if k != "layout"}, top=5, max_layouts=2000)
    best = found.plans[0]
    return [[p.score, p.total_bytes, p.layout.to_dict()] for p in found.plans] + [best.report.to_dict()]


def refused(ask: Callable[[], Any]) -> str:
    """What an error says."""
    try:
        ask()
    except suanli.SuanliError as exc:
        return str(exc)
    raise AssertionError("not refused")


def twice(case: Any, layout: Any, given: Any) -> dict[str, Any]:
    """A stage in place of the run's: everything takes twice as long as anybody thinks."""
    keys = ("duration_s", "accelerator_hours", "energy_j", "cost")
    return dict.fromkeys(f"run.{k}" for k in keys) | {
        "run.duration_s": 2.0 * given["time.step_s"],
        "run.currency": "EUR",
    }


def acme() -> Any:
    """A plugin of a format, a recipe and a replaced stage."""
    gives = tuple(f"run.{k}" for k in ("duration_s", "accelerator_hours", "energy_j", "cost", "currency"))
    stage = Stage(name="acme-run", replaces="training-run", workloads=("pretrain", "finetune"), run=twice, gives=gives)
    six = NumberFormat(name="fp6", bits=6, wider=("fp8", "bf16"))
    recipe = Recipe(name="six", kind="training", weights="fp6", gradients="bf16", optimizer_states="fp32")
    stage = attrs.evolve(stage, needs=("time.step_s",), detail=True)
    return make_plugin("acme", stages=[stage], precisions=[six, recipe])


def workspaces(folder: str) -> dict[str, Workspace]:
    """Fresh ones that differ in their plugins and paths."""
    return {
        "plain": Workspace(),
        "acme": Workspace(plugins=[*installed_plugins(), acme()]),
        "folder": Workspace(paths=[folder]),
        "without prices": Workspace(disable=("prices",)),
    }


def answer(workspace: Workspace, job: str) -> str:
    """What a job answers, to the last bit."""
    return json.dumps(JOBS[job](workspace), sort_keys=True)


_here: dict[str, dict[str, Workspace]] = {}


def elsewhere(folder: str, name: str, job: str) -> tuple[str, str, str]:
    """A job's answer in this process, whose workspaces are its own."""
    if folder not in _here:
        _here[folder] = workspaces(folder)
    return name, job, answer(_here[folder][name], job)


def shuffled(seed: int, names: list[str]) -> list[tuple[str, str]]:
    """Every job of every workspace, in an order of its own."""
    found = [(name, job) for name in names for job in JOBS]
    random.Random(seed).shuffle(found)
    return found


def best_of(found: suanli.SearchResult) -> suanli.Report:
    """The report of the best plan, estimated where this runs."""
    return found.plans[0].report
