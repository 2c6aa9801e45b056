"""What fits: which precisions of a model on so many accelerators, how long a context, how large a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from suanli.errors import ScenarioError, SuanliError, near, show
from suanli.planning.asked import quantity, question
from suanli.planning.fit_search import MOST_CONTEXT, search, settled
from suanli.planning.fits import Fitting

if TYPE_CHECKING:
    from suanli.workspace import Workspace

WAYS = {"serve": "serve", "train": "pretrain", "pretrain": "pretrain", "finetune": "finetune"}
"""Kinds of work, and the workload of each."""

REFUSED = {
    "system.accelerators": "give accelerators",
    "workload.concurrency": "give batch, the requests one engine answers at a time",
}


def fit(
    workspace: Workspace,
    asked: Any,
    on: str | None = None,
    *,
    accelerators: int | str = 1,
    kind: str = "serve",
    context: int | str | None = None,
    batch: int | str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Fitting:
    """Which precisions of a model fit, how long a context and how large a batch, and on how many what does not fit.

    Args:
        workspace: Whose catalog and estimator are asked.
        asked: A model, or a scenario that leaves its system open.
        on: A system or an accelerator; that of the scenario by default.
        accelerators: How many.
        kind: ``serve``, ``train``, ``pretrain`` or ``finetune``.
        context: Tokens of a sequence: prompt and output together, or a training sequence.
        batch: Serving: requests at a time; training: sequences of a step.
        progress: Told what is tried.

    Raises:
        ScenarioError: Naming every bad argument and field. A model that does not fit is an answer.
    """
    faults: list[str] = []
    workload = WAYS.get(kind) if isinstance(kind, str) else None
    if workload is None:
        close = near(kind, WAYS) if isinstance(kind, str) else ()
        meant = f"; did you mean {close[0]!r}?" if close else ""
        faults.append(f"kind: must be one of {', '.join(WAYS)}; got {show(kind)}{meant}")
    length, requests = _whole("context", context, faults), _whole("batch", batch, faults)
    count = _whole("accelerators", accelerators, faults) or 1
    if not on and not _has_system(asked):
        faults.append("on: required: a system or an accelerator")
    found = question(
        workspace,
        asked,
        on or (),
        kinds=(workload or "serve",),
        faults=faults,
        refused=REFUSED,
        changes={"workload.kind": workload or "serve"},
        progress=progress,
    )
    if len(found.candidates) > 1:
        raise ScenarioError([f"on: one system at a time, got {len(found.candidates)}"])
    try:
        workspace.system(found.candidates[0].system.id, count)
    except SuanliError as exc:
        raise ScenarioError([f"accelerators: {exc}"]) from None
    return search(settled(found, count, length, requests))


def _has_system(asked: Any) -> bool:
    return bool(asked.get("system") if isinstance(asked, Mapping) else getattr(asked, "system", None))


def _whole(path: str, value: Any, faults: list[str]) -> int | None:
    number = quantity(path, value, "count", faults)
    if number is not None and (not number.is_integer() or number > MOST_CONTEXT):
        faults.append(f"{path}: must be a whole number, {MOST_CONTEXT} at most; got {show(value)}")
        return None
    return None if number is None else int(number)
