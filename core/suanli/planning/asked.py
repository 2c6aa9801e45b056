"""What every plan starts from: a scenario that leaves its system open, and the systems to plan over."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from suanli import units
from suanli.catalogs import Catalog
from suanli.errors import InvalidInputError, ScenarioError, SuanliError, UnknownNameError, show
from suanli.hardware import System
from suanli.resolve import resolve
from suanli.specs import Scenario, SystemSpec
from suanli.workload import KINDS

if TYPE_CHECKING:
    from suanli.report import Report
    from suanli.workspace import Workspace

Progress = Callable[[str], None]
"""Told what a plan is about to try, in a few words."""

HOURS_PER_MONTH = 720.0
"""A month has 30 days here, as in traffic figures."""

SECONDS_PER_DAY = 86400.0

MOST = {"count": 1e15, "flop/s": 1e30, "s": 1e12, "currency": 1e15}
"""Of a target, by dimension: anything above is a slip."""


@attrs.frozen(kw_only=True)
class Candidate:
    """A system to plan over.

    Attributes:
        asked: The name it was asked for by.
        way: The field of a scenario's system that name fills: ``name`` or ``accelerator``.
        system: One node of it, bound by the catalog.
    """

    asked: str
    way: str
    system: System

    @property
    def accelerator(self) -> str:
        """Id of its accelerator."""
        return self.system.accelerator

    @property
    def per_node(self) -> int:
        """Accelerators of a node."""
        return int(self.system.accelerators_per_node)

    def section(self, accelerators: int) -> dict[str, Any]:
        """The system section of a scenario on so many of its accelerators."""
        return {self.way: self.asked, "accelerators": accelerators}


def names_of(on: Any, faults: list[str]) -> tuple[str, ...]:
    """The names in `on`: one name, or several; each once."""
    if isinstance(on, str):
        return (on,)
    if isinstance(on, Iterable) and not isinstance(on, (bytes, Mapping)):
        found = tuple(on)
        if all(isinstance(n, str) for n in found):
            return tuple(dict.fromkeys(found))
    faults.append(f"on: expected names of systems or accelerators, got {show(on)}")
    return ()


def candidates(catalog: Catalog, on: Any, faults: list[str]) -> tuple[Candidate, ...]:
    """The systems that `on` names, or the default system of every accelerator where it names none.

    Args:
        catalog: Where names are looked up.
        on: Names of systems, or of accelerators whose default system is taken.
        faults: What is wrong is added to these.
    """
    told = len(faults)
    names = names_of(on, faults)
    found: list[Candidate] = []
    for name in names:
        try:
            found.append(place(catalog, name))
        except SuanliError as exc:
            faults.append(f"on: {exc}")
    if names or len(faults) > told:
        return tuple(found)
    for entry in catalog.entries("accelerator"):
        if entry.value.default_system in catalog.names("system"):
            found.append(place(catalog, entry.value.default_system))
    return tuple({c.system.id: c for c in found}.values())


def place(catalog: Catalog, name: str) -> Candidate:
    """The system of a name, or the default system of the accelerator of that name.

    Raises:
        UnknownNameError: With near matches of both kinds.
        SuanliError: For an accelerator that names no default system.
    """
    try:
        return Candidate(asked=name, way="name", system=catalog.system(name))
    except UnknownNameError:
        pass
    try:
        device = catalog.accelerator(name)
    except UnknownNameError:
        known = {n for k in ("system", "accelerator") for e in catalog.entries(k) for n in (e.name, *e.aliases)}
        hint = "List them with `suanli list systems` and `suanli list accelerators`."
        raise UnknownNameError("system or accelerator", name, known, hint) from None
    if device.default_system is None:
        raise SuanliError(f"{device.id} names no default system; name a system of it")
    return Candidate(asked=name, way="accelerator", system=catalog.system(device.default_system))


def quantity(path: str, value: Any, dimension: str, faults: list[str]) -> float | None:
    """A target above 0 as a number in the base unit of its dimension; a fault is noted where it is none.

    A count here is an average, which need not be whole.
    """
    if value is None:
        return None
    if dimension == "count" and isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value)
    try:
        number = float(units.parse(value, dimension))
    except ValueError as exc:
        faults.append(f"{path}: {exc}")
        return None
    if not 0.0 < number <= MOST[dimension]:
        faults.append(f"{path}: must be above 0 and at most {MOST[dimension]:g}, got {show(value)}")
        return None
    return number


def sections_of(asked: Any, faults: list[str]) -> dict[str, dict[str, Any]]:
    """A scenario's sections: of a scenario, of its tables, or of a model by name, path or configuration."""
    if isinstance(asked, Scenario):
        asked = asked.to_dict()
    if isinstance(asked, (str, Path)):
        return {"model": {"name": str(asked)}}
    if isinstance(asked, Mapping) and "model_type" in asked:
        return {"model": {"config": asked}}
    if not isinstance(asked, Mapping) or not all(isinstance(s, Mapping) for s in asked.values()):
        faults.append(f"expected a model, or a scenario without a system; got {show(asked)}")
        return {}
    return {str(name): dict(section) for name, section in asked.items()}


def changed(sections: Mapping[str, Mapping[str, Any]], changes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The sections with fields replaced, each named by its dotted path; None takes a field out."""
    found = {name: dict(section) for name, section in sections.items()}
    for path, value in changes.items():
        section, _, field = path.partition(".")
        if value is None:
            found.get(section, {}).pop(field, None)
        else:
            found.setdefault(section, {})[field] = value
    return found


@attrs.frozen(kw_only=True, eq=False)
class Question:
    """A scenario that leaves its system open.

    Attributes:
        workspace: Whose estimator is asked.
        sections: Of the scenario, but for its system.
        candidates: To plan over.
        unable: For the id of a candidate's system, why the scenario cannot be estimated there.
        progress: Told what is tried.
    """

    workspace: Workspace
    sections: Mapping[str, Mapping[str, Any]]
    candidates: tuple[Candidate, ...]
    unable: Mapping[str, str] = attrs.Factory(dict)
    progress: Progress | None = None

    def report(self, candidate: Candidate, accelerators: int, changes: Mapping[str, Any] | None = None) -> Report:
        """The estimate on so many accelerators.

        Raises:
            ScenarioError: Where no layout of so many is legal.
        """
        if self.progress is not None:
            count = f"{accelerators} accelerator{'s' if accelerators != 1 else ''}"
            self.progress(f"{candidate.system.id}: {count}")
        data = changed(self.sections, changes or {}) | {"system": candidate.section(accelerators)}
        return self.workspace.estimate(data)


def question(
    workspace: Workspace,
    asked: Any,
    on: Any,
    *,
    kinds: tuple[str, ...],
    faults: list[str],
    refused: Mapping[str, str] | None = None,
    required: Mapping[str, str] | None = None,
    changes: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Question:
    """What is asked, checked as far as it can be without an estimate.

    Args:
        workspace: Whose catalog and estimator are asked.
        asked: A scenario without a system, or a model.
        on: Systems to plan over; that of the scenario by default, else those of every accelerator.
        kinds: Of workload that the plan is for, the default first.
        faults: What is already known to be wrong.
        refused: Fields that may not be given, and why.
        required: Fields that must be given, and what they are.
        changes: Fields set besides.
        progress: Told what is tried.

    Raises:
        ScenarioError: Naming every fault, those in `faults` among them.
    """
    told = list(faults)
    sections = sections_of(asked, told)
    own = sections.pop("system", {})
    given_on = on if on or not own else own.get("name") or own.get("accelerator") or ()
    systems = candidates(workspace.catalog(), given_on, told)
    if not systems and len(told) == len(faults):
        told.append("on: no accelerator in the catalog has a system; name one")
    sections = changed(sections, changes or {})
    kind = sections.setdefault("workload", {}).setdefault("kind", kinds[0])
    if isinstance(kind, str) and kind in KINDS and kind not in kinds:
        told.append(f"workload.kind: this plan is for {' or '.join(kinds)}; got {kind!r}")
    given = {f"{name}.{field}" for name, section in sections.items() for field, v in section.items() if v is not None}
    given |= {f"system.{field}" for field in own}
    told += [f"{path}: {why}" for path, why in (refused or {}).items() if path in given]
    told += [f"{path}: required: {what}" for path, what in (required or {}).items() if path not in given]
    unable: dict[str, str] = {}
    told += _check(workspace, sections, systems, unable)
    if told:
        raise ScenarioError(list(dict.fromkeys(told)))
    return Question(workspace=workspace, sections=sections, candidates=systems, unable=unable, progress=progress)


def _check(
    workspace: Workspace,
    sections: Mapping[str, Mapping[str, Any]],
    systems: tuple[Candidate, ...],
    unable: dict[str, str],
) -> tuple[str, ...]:
    """The faults of a scenario on every one of the systems; of those only some have, why is noted."""
    if not sections.get("model"):
        return ("model: required; give model.name or model.config or model.family",)
    stand_in = {"name": "any"}
    try:
        made = workspace.scenario({**sections, "system": systems[0].section(1) if systems else stand_in})
    except InvalidInputError as exc:
        return exc.errors + _model_faults(workspace, sections["model"])
    if not systems:
        return _model_faults(workspace, sections["model"])
    found: dict[str, tuple[str, ...]] = {}
    for candidate in systems:
        system = SystemSpec(**{candidate.way: candidate.asked})  # type: ignore[arg-type]
        try:
            resolve(workspace.catalog(), attrs.evolve(made, system=system), {})
        except InvalidInputError as exc:
            found[candidate.system.id] = exc.errors
    if len(found) < len(systems):
        unable |= {name: "; ".join(errors) for name, errors in found.items()}
        return ()
    return tuple(dict.fromkeys(e for errors in found.values() for e in errors))


def _model_faults(workspace: Workspace, spec: Mapping[str, Any]) -> tuple[str, ...]:
    """What is wrong with the model's name or configuration, where the rest cannot be looked up."""
    for field in ("name", "config"):
        asked = spec.get(field)
        if not isinstance(asked, (str, Mapping)):
            continue
        try:
            workspace.model(Path(asked) if field == "config" and isinstance(asked, str) else asked)
        except InvalidInputError as exc:
            return tuple(f"model.{field}: {e}" for e in exc.errors)
        except SuanliError as exc:
            return (f"model.{field}: {exc}",)
    return ()
