"""Asking suanli about every trial, also as if its accelerator had never been measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from statistics import median
from typing import Any

import attrs

from judge_data import CACHE, SERVED, Tables, Trial, UnfitError, Values, Verdict
from kernel_fallback import LeftOut
from suanli import CollectiveModel, SuanliError, hookimpl
from suanli.catalogs import Catalog
from suanli.collectives import FabricEfficiency, Hierarchical
from suanli.kernel_models import KernelModel, Roofline
from suanli.report import Report
from suanli.workspace import Workspace

Estimate = Callable[[Tables], Report]


def ask(trials: Iterable[Trial], workspace: Workspace) -> Iterator[Verdict | tuple[Trial, str]]:
    """A verdict on each trial, or why there is none."""
    estimate = _once(workspace)
    for trial in trials:
        try:
            yield Verdict(trial, _predicted(trial, estimate))
        except UnfitError as why:
            yield trial, str(why)
        except SuanliError as exc:
            yield trial, f"refused: {_general(str(exc))}"


def _once(workspace: Workspace) -> Estimate:
    """Estimates, each scenario's once: a run gives several trials."""
    known: dict[str, Report] = {}

    def estimate(scenario: Tables) -> Report:
        key = json.dumps(scenario, sort_keys=True)
        if key not in known:
            known[key] = workspace.estimate(scenario)
        return known[key]

    return estimate


def _predicted(trial: Trial, estimate: Estimate) -> float:
    scenario = trial.scenario
    if trial.filled:
        room = estimate(scenario).serving
        most = int(room.max_concurrency or 0) if room else 0
        if most < 1:
            raise UnfitError("nothing fits, by our memory")
        workload = {k: v for k, v in scenario["workload"].items() if k != "batch"}
        scenario = scenario | {"workload": workload | {"concurrency": most}}
    report = estimate(scenario)
    asked = scenario["workload"]
    if report.serving is not None and not report.memory.fits and asked.get("batch", 1) > 1:
        # Of a batch larger than the cache some wait.
        others = {k: v for k, v in asked.items() if k != "batch"}
        report = estimate(scenario | {"workload": others | {"concurrency": asked["batch"]}})
    if report.serving is not None and trial.figure not in (SERVED, CACHE) and not report.memory.fits:
        raise UnfitError("does not fit, by our memory")
    found = float(trial.predict(values(report)))
    if not found > 0.0:
        raise UnfitError("no figure")
    return found


def values(report: Report) -> Values:
    """The figures of a report by dotted key."""
    found: Values = {}
    for section in ("time", "throughput", "serving"):
        part = getattr(report, section)
        if part is not None:
            found |= {f"{section}.{k}": v for k, v in attrs.asdict(part).items() if isinstance(v, float)}
    memory = report.memory.per_accelerator
    found |= {f"memory.{k}": v for k, v in attrs.asdict(memory).items()}
    return found | {"memory.total_bytes": memory.total_bytes}


def _general(text: str) -> str:
    """A fault without the figures of its row."""
    words = text.split(";")[0].split("\n")[-1].split()
    return " ".join("N" if any(c.isdigit() for c in w) else w for w in words[:14])


LINKS = tuple(f.name for f in attrs.fields(FabricEfficiency) if f.name.endswith(("_ratio", "_s", "_per_s", "crowding")))


class _LeftOut:
    """A plugin whose models know each generation only by a fit to the others, or by their medians."""

    def __init__(self, catalog: Catalog, left_out: LeftOut) -> None:
        self._catalog = catalog
        self._left_out = left_out
        self._generations = sorted({e.value.generation for e in catalog.entries("accelerator")})

    def _all(self, kind: str) -> list[Any]:
        return [e.value for e in self._catalog.entries(kind)]

    @hookimpl
    def suanli_kernel_models(self) -> Iterable[KernelModel]:
        """One model for the accelerators of each generation, fitted to none of them."""
        typical = next(m for m in self._all("kernel model") if isinstance(m, Roofline) and m.fallback)
        for generation in self._generations:
            known = {(e.kernel, e.precision): e for e in self._left_out.get(generation, [])}
            yield attrs.evolve(
                typical,
                name=f"without-{generation}",
                fallback=False,
                accelerators=tuple(a.id for a in self._all("accelerator") if a.generation == generation),
                efficiencies=tuple(known.get((e.kernel, e.precision), e) for e in typical.efficiencies),
            )

    @hookimpl
    def suanli_collective_models(self) -> Iterable[CollectiveModel]:
        """One model for the systems of each generation, fitted to none of them."""
        models = [m for m in self._all("collective model") if isinstance(m, Hierarchical)]
        typical = next(m for m in models if m.fallback)
        parts = {a.id: a.generation for a in self._all("accelerator")}
        for generation in self._generations:
            others = [f for m in models if generation not in m.generations and not m.fallback for f in m.fabrics]
            yield attrs.evolve(
                typical,
                name=f"without-{generation}",
                fallback=False,
                systems=tuple(s.id for s in self._all("system") if parts.get(s.accelerator) == generation),
                fabrics=tuple(_median(f, [o for o in others if o.fabric == f.fabric], LINKS) for f in typical.fabrics),
            )


def _median(entry: Any, others: list[Any], fields: tuple[str, ...]) -> Any:
    """A typical entry with the medians of `others`, where there are any."""
    return attrs.evolve(entry, **{f: median(getattr(o, f) for o in others) for f in fields}) if others else entry


def stranger(workspace: Workspace, left_out: LeftOut) -> Workspace:
    """A workspace in which every accelerator is one of a generation nobody measured."""
    installed = [p.load() for p in metadata.entry_points(group="suanli")]
    return Workspace(plugins=[*installed, _LeftOut(workspace.catalog(), left_out)])
