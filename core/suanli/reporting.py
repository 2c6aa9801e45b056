"""From the values of the stages to a report: sections, what each figure rests on, and what is wrong."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import attrs

from suanli import confidence, costs, secrecy
from suanli.case import Case, Problem
from suanli.catalogs import Catalog
from suanli.completing import complete
from suanli.layout import Layout
from suanli.report import Basis, Memory, MemoryParts, Parameters, Report, sections_of
from suanli.stages import Stage, Step, run_layout


class Reporter:
    """Makes the reports of one workspace.

    Args:
        catalog: Whose stages give the figures, and whose plugins check them.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._bases: dict[tuple[str, bool], dict[str, Basis]] = {}

    def report(self, case: Case, layout: Layout, steps: tuple[Step, ...]) -> Report:
        """The report of a case for one layout, by the steps that give its figures."""
        case.layout = layout
        values = run_layout(steps, case, layout)
        public = {k: v for k, v in values.items() if not k.startswith("_")}
        if secrecy.is_hidden(case):
            public = secrecy.hide(case, steps, public)
        memory = self._memory(case, values)
        count = case.model.parameters
        sections, extra = sections_of(public)
        sections["serving" if case.training else "run"] = None
        self._check(case, memory)
        return Report(
            versions=self._versions(case),
            kind=case.kind,
            scenario=complete(case, layout),
            origins=dict(case.origins),
            layout=layout,
            parameters=Parameters(total=int(count.total), active=count.active, by_group=count.by_group),
            memory=memory,
            extra=extra,
            basis=self._basis(case, steps, public),
            problems=tuple(case.problems),
            **sections,
        )

    def _memory(self, case: Case, values: Mapping[str, Any]) -> Memory:
        names = [f.name for f in attrs.fields(MemoryParts) if f.name != "reserve_bytes"]
        parts = {name: float(values.get(f"memory.{name}", 0.0)) for name in names}
        hidden = secrecy.hides_reserve(case)
        reserve = None if hidden else float(values.get(secrecy.RESERVE, case.reserve_bytes))
        stages = []
        for row in values.get("memory.stages", ()):
            found = {k: v for k, v in row if k != "total_bytes"}
            stages.append(MemoryParts(**found, reserve_bytes=None if hidden else float(case.reserve_bytes)))
        return Memory(
            per_accelerator=MemoryParts(**parts, reserve_bytes=reserve),
            stages=tuple(stages),
            capacity_bytes=None if case.device.confidential else float(case.device.capacity_bytes),
            fits=bool(values["memory.fits"]),
        )

    def _check(self, case: Case, memory: Memory) -> None:
        """Add what is in doubt, what does not fit, and what the plugins' checks find."""
        case.problems.extend(confidence.notes(case))
        if not memory.fits:
            need, have = memory.per_accelerator.total_bytes, memory.capacity_bytes
            room = f"{case.device.id} has {have / 1e9:.1f} GB" if have is not None else f"{case.device.id} has less"
            case.problems.append(
                Problem(
                    code="does-not-fit",
                    severity="error",
                    message=f"a rank needs {need / 1e9:.1f} GB, {room}",
                    hint="more accelerators, more recompute, a narrower precision, or a smaller batch",
                )
            )
        for provider, problem in self._catalog.plugins.collect("suanli_check", scenario=case, catalog=self._catalog):
            if isinstance(problem, Problem):
                case.problems.append(problem)
            else:
                self._catalog.plugins.fault(
                    provider, f"suanli_check gave a {type(problem).__name__} where a Problem belongs"
                )

    def _basis(self, case: Case, steps: tuple[Step, ...], public: Mapping[str, Any]) -> dict[str, Basis]:
        fitted = case.device.kernels is not None and case.device.kernels.rung == "calibrated"
        with self._lock:
            if (case.kind, fitted) not in self._bases:
                known = {key: self._basis_of(s.stage, key, fitted) for s in steps for key in s.stage.gives}
                self._bases[case.kind, fitted] = known
            known = self._bases[case.kind, fitted]
        chosen = {key: known[key] for key in public}
        if case.model.nearest:
            chosen = {key: _widened(basis) for key, basis in chosen.items()}
        found = confidence.widened(chosen, case)
        for key in (k for k in found if k.rpartition(".")[2].startswith("cost")):
            sources = [s for s in (found[key].source, costs.priced_at(case)) if s]
            found[key] = attrs.evolve(found[key], source="; ".join(sources))
        return found

    def _basis_of(self, stage: Stage, key: str, fitted: bool) -> Basis:
        band = dict(stage.bands).get(key, stage.band)
        return Basis(
            rung="analytic" if stage.rung == "calibrated" and not fitted else stage.rung,
            provider=self._provider(stage.name),
            band=None if band is None else band.fitted if fitted else band.unmeasured,
            evidence="not judged against measurements yet" if band is None else band.evidence,
            source=stage.source,
        )

    def _provider(self, stage: str) -> str:
        return f"{stage}: {self._catalog.entry('stage', stage).provider}"

    def _versions(self, case: Case) -> dict[str, Any]:
        found = {"suanli": _version(), "plugins": {p.plugin: p.version for p in self._catalog.plugins.loaded}}
        models = [m for m in (case.device.kernels, case.system.exchanges) if m is not None]
        return found | {"calibrations": {m.name: _digest(m) for m in models}}


STRANGER = 1.25
"""Between families that share their keys: a feed-forward without its gate is a third smaller, a tied head gone."""


def _widened(basis: Basis) -> Basis:
    """The basis of a figure whose model is read as the family nearest to it."""
    if basis.band is None:
        return basis
    low, high = basis.band
    said = f"{basis.evidence}; wider by {STRANGER}, an assumption: the model's type is not known"
    return attrs.evolve(basis, band=(round(low / STRANGER, 2), round(high * STRANGER, 2)), evidence=said)


@functools.cache
def _version() -> str:
    try:
        return metadata.version("suanli")
    except metadata.PackageNotFoundError:
        return "unknown"


@functools.lru_cache(maxsize=256)
def _digest(model: Any) -> str:
    return hashlib.sha256(repr(model).encode()).hexdigest()[:12]
