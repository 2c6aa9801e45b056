"""The module functions: a default workspace, made when first asked for and shared by every thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from suanli.catalogs import Catalog
from suanli.formulas import Derivation
from suanli.hardware import Accelerator, System
from suanli.layout_search import SearchResult
from suanli.models import Model
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


def rule(name: str, **inputs: Any) -> Answer:
    """A rule of thumb's answer; raises UnknownNameError, or InvalidInputError naming every bad input."""
    return default().rule(name, **inputs)


def rules() -> tuple[Rule, ...]:
    """Every rule of thumb, sorted by name."""
    return default().rules()


def catalog() -> Catalog:
    """What is installed: names, kinds, providers, sources."""
    return default().catalog()


def schema() -> dict[str, Any]:
    """The JSON Schema of scenario and report."""
    from suanli.json_schema import schema as build

    return build(default().axes())
