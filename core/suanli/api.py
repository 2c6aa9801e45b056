"""The module functions: a default workspace, made when first asked for and shared by every thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from suanli.catalogs import Catalog
from suanli.formulas import Derivation
from suanli.hardware import Accelerator, System
from suanli.layout_search import SearchResult
from suanli.models import Model
from suanli.planning.compute import ComputePlan
from suanli.planning.fits import Fitting
from suanli.planning.runs import TrainingPlan
from suanli.planning.services import ServingPlan
from suanli.prices import Price
from suanli.report import Report
from suanli.rulebook import Answer, Rule
from suanli.specs import Scenario
from suanli.workspace import default


def model(asked: Any) -> Model:
    """A model by catalog name, configuration table, or path of a configuration file or its folder.

    Raises:
        UnknownNameError: With near matches.
        ModelConfigError: With the path of every offending key.
    """
    return default().model(asked)


def accelerator(name: str) -> Accelerator:
    """An accelerator by id or alias; raises UnknownNameError with near matches."""
    return default().accelerator(name)


def system(name: str, accelerators: int | None = None) -> System:
    """A system by id or alias, of so many accelerators; one node by default."""
    return default().system(name, accelerators)


def price(accelerator: str, currency: str | None = None) -> Price | None:
    """The price of an hour an estimate assumes; see :meth:`suanli.Workspace.price`."""
    return default().price(accelerator, currency)


def scenario(data: Mapping[str, Any] | Scenario) -> Scenario:
    """A scenario from tables of fields; raises ScenarioError naming every fault."""
    return default().scenario(data)


def load(path: str | Path) -> Scenario:
    """A scenario from a ``.toml`` or ``.json`` file; raises ScenarioError naming every fault."""
    return default().load(path)


def estimate(asked: Scenario | Mapping[str, Any]) -> Report:
    """The report of a scenario; layout fields left out, or lists, are chosen by a search.

    Raises:
        ScenarioError: For input that makes no sense. A scenario that does not fit is an answer.
    """
    return default().estimate(asked)


def search(
    asked: Scenario | Mapping[str, Any],
    top: int = 10,
    deadline_s: float | None = None,
    max_layouts: int | None = None,
    progress: Callable[[int], None] | None = None,
    executor: Any = None,
) -> SearchResult:
    """The best layouts that fit; see :meth:`suanli.Workspace.search`."""
    return default().search(asked, top, deadline_s, max_layouts, progress, executor)


def explain(asked: Report | Scenario | Mapping[str, Any], figure: str) -> Derivation:
    """How a figure came about, down to inputs and citations; see :meth:`suanli.Workspace.explain`."""
    return default().explain(asked, figure)


def export(asked: Report | Scenario | Mapping[str, Any], name: str) -> str | bytes:
    """A report as an exporter writes it; see :meth:`suanli.Workspace.export`."""
    return default().export(asked, name)


def rule(name: str, **inputs: Any) -> Answer:
    """A rule of thumb's answer; raises UnknownNameError, or InvalidInputError naming every bad input."""
    return default().rule(name, **inputs)


def rules() -> tuple[Rule, ...]:
    """Every rule of thumb, sorted by name."""
    return default().rules()


def plan_compute(
    flops_per_s: float | str,
    on: str | Iterable[str] = (),
    precision: str = "bf16",
    sparse: bool = False,
    price_per_hour: float | None = None,
    currency: str | None = None,
) -> ComputePlan:
    """Accelerators whose peaks add up to a rate; see :meth:`suanli.Workspace.plan_compute`."""
    return default().plan_compute(flops_per_s, on, precision, sparse, price_per_hour, currency)


def plan_training(
    asked: Any,
    *,
    tokens: float | str | None = None,
    days: float | str | None = None,
    budget: float | str | None = None,
    on: str | Iterable[str] = (),
    progress: Callable[[str], None] | None = None,
) -> TrainingPlan:
    """The fewest accelerators that train a model in time; see :meth:`suanli.Workspace.plan_training`."""
    return default().plan_training(asked, tokens=tokens, days=days, budget=budget, on=on, progress=progress)


def plan_serving(
    asked: Any,
    *,
    users: float | str | None = None,
    rate: float | str | None = None,
    traffic: Mapping[str, Any] | None = None,
    tokens_per_s: float | str | None = None,
    peak_factor: float | str | None = None,
    slo: Mapping[str, Any] | None = None,
    on: str | Iterable[str] = (),
    progress: Callable[[str], None] | None = None,
) -> ServingPlan:
    """The accelerators that serve a demand within latency targets; see :meth:`suanli.Workspace.plan_serving`."""
    return default().plan_serving(
        asked,
        users=users,
        rate=rate,
        traffic=traffic,
        tokens_per_s=tokens_per_s,
        peak_factor=peak_factor,
        slo=slo,
        on=on,
        progress=progress,
    )


def fit(
    asked: Any,
    on: str | None = None,
    *,
    accelerators: int | str = 1,
    kind: str = "serve",
    context: int | str | None = None,
    batch: int | str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Fitting:
    """Which precisions of a model fit, and how far; see :meth:`suanli.Workspace.fit`."""
    return default().fit(
        asked, on, accelerators=accelerators, kind=kind, context=context, batch=batch, progress=progress
    )


def catalog() -> Catalog:
    """What is installed: names, kinds, providers, sources."""
    return default().catalog()


def schema() -> dict[str, Any]:
    """The JSON Schema of scenario and report."""
    from suanli.json_schema import schema as build

    return build(default().axes())
