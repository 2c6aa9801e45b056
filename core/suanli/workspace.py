"""A workspace: plugins, catalog and the questions one can ask of them, isolated from every other."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from suanli import exporters, scenarios, secrecy
from suanli import plugins as plugin_loader
from suanli.case import Case, Origin
from suanli.catalogs import Catalog
from suanli.errors import InvalidInputError, ScenarioError, SuanliError, UnknownNameError, show
from suanli.finding import find_model
from suanli.formulas import Derivation, derivation, trace
from suanli.hardware import Accelerator, System
from suanli.layout import CATEGORICAL, NUMERIC, Layout
from suanli.layout_search import SERVING_KEYS, TRAINING_KEYS, SearchResult, search
from suanli.legal import faults
from suanli.models import Model
from suanli.planning import compute, fitting, serving, training
from suanli.prices import Price
from suanli.report import Report
from suanli.reporting import Reporter
from suanli.resolve import resolve
from suanli.rulebook import Answer, Rule
from suanli.specs import Scenario
from suanli.stages import Stage, Step, order, run_layout

PATH = "SUANLI_PATH"

MOST_WIDER = 2_000_000
"""Layouts tried, at most, where none of those one would try first fits."""


class Workspace:
    """Plugins, catalog and paths; everything the module functions do, in isolation.

    Args:
        plugins: Modules to use as plugins instead of those installed.
        disable: Plugins to leave out, by entry-point name.
        paths: Folders of catalog files, besides those ``SUANLI_PATH`` names.
    """

    def __init__(
        self,
        plugins: Iterable[Any] | None = None,
        disable: Collection[str] = (),
        paths: Iterable[str | Path] = (),
    ) -> None:
        named = [p for p in os.environ.get(PATH, "").split(os.pathsep) if p]
        self._plugins = plugin_loader.load(plugins, disable)
        self._catalog = Catalog(self._plugins, {Path(p).resolve(): p for p in [*named, *paths]}.values())
        self._models: dict[str, Model] = {}
        self._lock = threading.RLock()
        self._steps: dict[tuple[str, bool], tuple[Step, ...]] = {}
        self._reporter = Reporter(self._catalog)

    def catalog(self) -> Catalog:
        """What is installed: names, kinds, providers, sources."""
        return self._catalog

    def model(self, asked: Any) -> Model:
        """A model by catalog name, configuration table, or path of a configuration file or its folder.

        Raises:
            UnknownNameError: With near matches.
            ModelConfigError: With the path of every offending key.
        """
        return find_model(self._catalog, asked, self._models)

    def accelerator(self, name: str) -> Accelerator:
        """An accelerator by id or alias; raises UnknownNameError with near matches."""
        return self._catalog.accelerator(name)

    def system(self, name: str, accelerators: int | None = None) -> System:
        """A system by id or alias, of so many accelerators; one node by default.

        Raises:
            UnknownNameError: With near matches.
            SuanliError: Where its network does not join so many.
        """
        return self._catalog.system(name, accelerators)

    def price(self, accelerator: str, currency: str | None = None) -> Price | None:
        """The price of an hour an estimate assumes: the median of the current on-demand offers known; None where none.

        Args:
            accelerator: Id or alias; raises UnknownNameError with near matches.
            currency: The currency wanted; US dollars by default, else the one most offers are in.
        """
        return self._catalog.price(accelerator, currency)

    def scenario(self, data: Mapping[str, Any] | Scenario) -> Scenario:
        """A scenario from tables of fields; raises ScenarioError naming every fault."""
        if isinstance(data, Scenario):
            return data
        return scenarios.build(data, axes=self.axes())

    def load(self, path: str | Path) -> Scenario:
        """A scenario from a ``.toml`` or ``.json`` file; raises ScenarioError naming every fault."""
        if not isinstance(path, (str, Path)):
            raise SuanliError(f"a scenario file is named by a path, got {show(path)}")
        return scenarios.load(path, axes=self.axes())

    def estimate(self, asked: Scenario | Mapping[str, Any]) -> Report:
        """The report of a scenario; layout fields left out, or lists, are chosen by a search.

        Raises:
            ScenarioError: For input that makes no sense. A scenario that does not fit is an answer.
        """
        case = self._case(self.scenario(asked))
        return self._answer(case, self._layout(case))

    def search(
        self,
        asked: Scenario | Mapping[str, Any],
        top: int = 10,
        deadline_s: float | None = None,
        max_layouts: int | None = None,
        progress: Callable[[int], None] | None = None,
        executor: Any = None,
    ) -> SearchResult:
        """The best layouts that fit, by step time (training) or output tokens in a second (serving).

        Args:
            asked: A scenario; layout fields left out take every legal value, a list its values.
            top: How many to keep.
            deadline_s: Stop after so many seconds.
            max_layouts: Stop after so many layouts.
            progress: Told the number evaluated so far.
            executor: A ``concurrent.futures`` executor, of threads or of processes, to evaluate on.
        """
        bad = [
            f"{n}: expected a number, got {show(v)}"
            for n, v in (("top", top), ("max_layouts", max_layouts), ("deadline_s", deadline_s))
            if not _number(v)
        ]
        if bad:
            raise InvalidInputError(bad, "search")
        case = self._case(self.scenario(asked))
        given = self._given(case)
        return search(
            case,
            self._ordered(case.kind, detail=False),
            self._answering(case),
            given=given,
            wide=True,
            top=max(1, int(top)),
            deadline_s=deadline_s,
            max_layouts=max_layouts,
            progress=progress,
            executor=executor,
        )

    def explain(self, asked: Report | Scenario | Mapping[str, Any], figure: str) -> Derivation:
        """How a figure came about, down to inputs and citations.

        Args:
            asked: A report, or a scenario to estimate.
            figure: A dotted key such as ``"time.step_s"``.

        Raises:
            UnknownNameError: For a figure the report does not have.
        """
        if not isinstance(figure, str):
            raise SuanliError(f"a figure is a dotted name such as 'time.step_s', got {show(figure)}")
        source = asked.scenario if isinstance(asked, Report) else asked
        case = self._case(self.scenario(source))
        layout = self._layout(case)
        case.layout = layout
        steps = self._ordered(case.kind, detail=True)
        with trace():
            values = run_layout(steps, case, layout)
        hidden = secrecy.hidden_figures(case, steps)
        shown = {k: v for k, v in values.items() if not k.startswith("_") and isinstance(v, float)}
        key = figure.replace("memory.per_accelerator.", "memory.")
        if key in hidden or (key == "memory.total_bytes" and secrecy.hides_reserve(case)):
            raise SuanliError(f"figure {figure!r} is not shown: it would give confidential figures away")
        if key not in shown:
            if values.get(key) is not None or key in values:
                said = "is no number" if values.get(key) is not None else "could not be had; see the report's problems"
                raise SuanliError(f"figure {figure!r} {said}")
            raise UnknownNameError("figure", figure, shown)
        found = derivation(shown[key], key)
        rated = key.partition(".")[0] not in secrecy.OPEN_SECTIONS
        return found.without_numbers() if rated and secrecy.is_hidden(case) else found

    def export(self, asked: Report | Scenario | Mapping[str, Any], name: str) -> str | bytes:
        """A report as an exporter writes it: a page, a launch script.

        Args:
            asked: A report, or a scenario to estimate.
            name: Of the exporter; ``suanli list exporters`` has them.

        Raises:
            UnknownNameError: For an exporter nobody provides, with near matches.
            SuanliError: Where it writes no reports on workloads of that kind.
            PluginError: Where it fails.
        """
        if isinstance(asked, Report):
            return exporters.export(self._catalog, asked, name)
        scenario = self.scenario(asked)
        exporters.exporter_for(self._catalog, name, scenario.workload.kind)
        return exporters.export(self._catalog, self.estimate(scenario), name)

    def rule(self, name: str, **inputs: Any) -> Answer:
        """A rule of thumb's answer, with the estimator's figure beside it where a model or system is named.

        Args:
            name: Of the rule.
            **inputs: Its inputs; what it is not given is read from ``model``, ``system``, ``accelerator`` (names),
                ``precision`` (a format) and ``sparse``, where they are given.

        Raises:
            UnknownNameError: For a rule nobody provides.
            InvalidInputError: Naming every bad input.
        """
        found: Rule = self._catalog.get("rule", name)
        return found.ask(self, inputs)

    def rules(self) -> tuple[Rule, ...]:
        """Every rule of thumb, sorted by name."""
        return tuple(e.value for e in self._catalog.entries("rule"))

    plan_compute = compute.plan_compute
    plan_training = training.plan_training
    plan_serving = serving.plan_serving
    fit = fitting.fit

    def axes(self) -> tuple[str, ...]:
        """Layout fields that plugins add."""
        return tuple(field for field in self._catalog.axes if field not in NUMERIC)

    def _axis_reads(self) -> tuple[str, ...]:
        """Layout fields that the exchanges and groups of added axes depend on, theirs among them."""
        rules = [self._catalog.axes[field] for field in self.axes()]
        return tuple(dict.fromkeys(f for rule in rules for f in (rule.field, *rule.reads)))

    def _answer(self, case: Case, layout: Layout) -> Report:
        return self._reporter.report(case, layout, self._ordered(case.kind, detail=True))

    def _answering(self, case: Case) -> Callable[[Layout], Report]:
        return _Answering(case.scenario, self, case)

    def _case(self, scenario: Scenario) -> Case:
        return resolve(self._catalog, scenario, self._models)

    def _ordered(self, kind: str, *, detail: bool) -> tuple[Step, ...]:
        with self._lock:
            if (kind, detail) not in self._steps:
                entries = self._catalog.replaced("stage", self._catalog.entries("stage"))
                stages: list[Stage] = [e.value for e in entries if kind in e.value.workloads]
                targets = None if detail else (SERVING_KEYS if kind == "serve" else TRAINING_KEYS)
                self._steps[kind, detail] = order(stages, targets, detail=detail, axes=self._axis_reads())
            return self._steps[kind, detail]

    def _given(self, case: Case) -> dict[str, tuple[Any, ...]]:
        """The layout fields asked for, each value of one axis held against the axis's own rule."""
        given = case.scenario.layout.given()
        wrong = []
        only = (
            ("attention_data", "replicas")
            if case.training
            else ("data", "micro_batch", "virtual_stages", "zero", "recompute", "schedule")
        )
        for field in only:
            if field in given:
                wrong.append(f"layout.{field}: has no meaning for {case.kind}")
        for field, rule in case.axes.items():
            values = given.get(field, ())
            if len(values) == 1:
                continue  # checked with the whole layout
            bad = [f for v in values for f in rule.faults(v, case.model)]
            if values and len(bad) >= len(values):
                wrong += [f"layout.{field}: {b}" for b in bad]
        unknown = [s for s in given.get("schedule", ()) if s not in case.schedules]
        wrong += [f"layout.schedule: {UnknownNameError('pipeline schedule', s, case.schedules)}" for s in unknown]
        if wrong:
            raise ScenarioError(wrong)
        return given

    def _layout(self, case: Case) -> Layout:
        """The layout of a case: as given, or the best found over what is left open; origins are noted."""
        given = self._given(case)
        for field in given:
            case.origins[f"layout.{field}"] = Origin(origin="given" if len(given[field]) == 1 else "chosen")
        fixed = self._complete(case, given)
        if fixed is not None:
            wrong = list(faults(case, fixed))
            if wrong:
                raise ScenarioError(wrong)
            return fixed
        steps, report = self._ordered(case.kind, detail=False), self._answering(case)
        found = search(case, steps, report, given=given, wide=False, top=1)
        if not found.plans:
            wider = search(case, steps, report, given=given, wide=True, top=1, max_layouts=MOST_WIDER)
            found = wider if wider.evaluated else found
        best = found.plans[0] if found.plans else found.closest
        if best is None:
            raise ScenarioError(self._no_layout(case, given))
        why = _why(found)
        for field in (*NUMERIC, *CATEGORICAL):
            if f"layout.{field}" not in given and f"layout.{field}" not in case.origins:
                case.origins[f"layout.{field}"] = Origin(origin="chosen", why=why)
        return best.layout

    def _complete(self, case: Case, given: dict[str, tuple[Any, ...]]) -> Layout | None:
        """The layout, where what is given and plain defaults leave nothing to choose."""
        if any(len(v) > 1 for v in given.values()):
            return None
        chosen = {k: v[0] for k, v in given.items()}
        needed = ("tensor", "pipeline") + (("micro_batch", "recompute", "zero") if case.training else ())
        if any(f not in chosen for f in needed):
            return None
        plain: dict[str, Any] = {"context": 1, "expert": 1, "attention_data": 1}
        plain["schedule"] = "interleaved" if chosen.get("virtual_stages", 1) > 1 else "1f1b"
        plain["sequence_parallel"] = case.training and case.profile.sequence_parallel
        merged = plain | chosen
        merged.setdefault("expert_tensor", merged["tensor"] if merged["expert"] == 1 and case.has_experts else 1)
        self._fill_ranks(case, merged)
        for field in (*NUMERIC, *CATEGORICAL):
            case.origins.setdefault(f"layout.{field}", Origin(origin="default"))
        return self._laid_out(merged)

    def _fill_ranks(self, case: Case, fields: dict[str, Any]) -> None:
        """Give the ranks no other field takes to the data axis, or to replicas, unless that is given."""
        free = "data" if case.training else "replicas"
        if free not in fields:
            used = 1
            for field in ("tensor", "pipeline", "context", "attention_data", *self.axes()):
                used *= fields.get(field, 1)
            fields[free] = max(1, case.system.accelerators // used)

    def _laid_out(self, fields: dict[str, Any]) -> Layout:
        added = self.axes()
        own = {f: v for f, v in fields.items() if f not in added}
        return Layout(**own, extra=tuple((f, fields[f]) for f in added if f in fields))

    def _no_layout(self, case: Case, given: dict[str, tuple[Any, ...]]) -> list[str]:
        """Why no layout is legal: the faults of the simplest one that has what was given."""
        simple = {f: v[0] for f, v in given.items()}
        self._fill_ranks(case, simple)
        found = list(faults(case, self._laid_out(simple)))
        where = f"{case.model.name} on {case.system.accelerators} x {case.device.id}"
        return found or [f"layout: no legal layout of {where} has what was given; leave more fields open"]


class _Answering:
    """Reports of a scenario for layouts to come; the notes of one do not run into another's.

    In another process it asks the default workspace there.
    """

    def __init__(self, scenario: Scenario, workspace: Workspace | None = None, case: Case | None = None) -> None:
        self._scenario = scenario
        self._workspace = workspace
        self._case = case

    def __call__(self, layout: Layout) -> Report:
        workspace = self._workspace or default()
        case = self._case or workspace._case(self._scenario)
        fresh = attrs.evolve(case, origins=dict(case.origins), problems=list(case.problems))
        return workspace._answer(fresh, layout)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Answering, (self._scenario,)


def _number(value: object) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _why(found: SearchResult) -> str:
    """Why a layout was chosen."""
    if not found.plans:
        return f"none of {found.evaluated} legal layouts fits; this one needs the least memory"
    if found.evaluated == 1:
        return "the only legal layout"
    return f"the best of {found.evaluated} layouts one would try first; `suanli search` tries every legal one"


_DEFAULT: list[Workspace] = []
_LOCK = threading.Lock()


def default() -> Workspace:
    """The workspace behind the module functions, made when first asked for."""
    with _LOCK:
        if not _DEFAULT:
            _DEFAULT.append(Workspace())
        return _DEFAULT[0]
