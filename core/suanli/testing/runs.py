"""Stages run by hand: one layout's every figure, or a table's, private ones included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import suanli
from suanli.case import Case
from suanli.layout import Layout, LayoutTable
from suanli.resolve import resolve
from suanli.stages import Step, order, run_layout, run_table


def resolved(scenario: Mapping[str, Any], workspace: suanli.Workspace | None = None) -> Case:
    """A scenario with everything looked up, without a layout.

    Args:
        scenario: As plain data.
        workspace: Where to look; one of the installed plugins by default.
    """
    found = workspace or default()
    return resolve(found.catalog(), found.scenario(scenario), {})


def default() -> suanli.Workspace:
    """The workspace behind the module functions."""
    from suanli.workspace import default as shared

    return shared()


def steps(kind: str, *, detail: bool = True, workspace: suanli.Workspace | None = None) -> tuple[Step, ...]:
    """The stages of a kind of workload, in order.

    Args:
        kind: ``pretrain``, ``finetune`` or ``serve``.
        detail: Whether with those that only a report needs.
        workspace: Where they come from; the installed plugins by default.
    """
    found = workspace or default()
    catalog = found.catalog()
    entries = catalog.replaced("stage", catalog.entries("stage"))
    return order([e.value for e in entries if kind in e.value.workloads], detail=detail, axes=found.axes())


def run_one(case: Case, layout: Layout, *, detail: bool = True) -> dict[str, Any]:
    """Every key of every stage, for one layout."""
    return run_layout(steps(case.kind, detail=detail), case, layout)


def run_many(case: Case, layouts: Sequence[Layout], keys: Iterable[str] | None = None) -> dict[str, Any]:
    """The public keys of the stages a search runs, as columns, for layouts alike in every categorical field."""
    ordered = steps(case.kind, detail=False)
    public = [k for s in ordered for k in s.stage.gives if not k.startswith("_")]
    return run_table(ordered, case, LayoutTable.of(layouts), public if keys is None else keys)
