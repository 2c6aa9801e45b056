"""From days or money to the accelerators a training run takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from suanli.planning.asked import SECONDS_PER_DAY, quantity, question
from suanli.planning.running import ranked
from suanli.planning.runs import TrainingOption, TrainingPlan
from suanli.planning.training_search import option, refuse_nonsense
from suanli.planning.trials import Trials

if TYPE_CHECKING:
    from suanli.workspace import Workspace

KINDS = ("pretrain", "finetune")
REFUSED = {"system.accelerators": "is what the plan finds; leave it out"}
REQUIRED = {"workload.tokens": "how many tokens to train on, such as 1.4T"}


def plan_training(
    workspace: Workspace,
    asked: Any,
    *,
    tokens: float | str | None = None,
    days: float | str | None = None,
    budget: float | str | None = None,
    on: str | Iterable[str] = (),
    progress: Callable[[str], None] | None = None,
) -> TrainingPlan:
    """The smallest number of accelerators one can build that trains a model in time, on each of several systems.

    Args:
        workspace: Whose catalog and estimator are asked.
        asked: A model, or a scenario that leaves its system open.
        tokens: To train on, unless the scenario says.
        days: The run may take.
        budget: The run may cost, in the currency of the price. Without `days` it buys the shortest run it can.
        on: Systems or accelerators; that of the scenario by default, else the default system of every accelerator.
        progress: Told what is tried.

    Raises:
        ScenarioError: Naming every bad argument and field. A target nobody meets is an answer: see ``meets``.
    """
    faults: list[str] = []
    limit = _days(days, faults)
    money = quantity("budget", budget, "currency", faults)
    if days is None and budget is None:
        faults.append("days: required: how long the run may take; or budget, what it may cost")
    changes = {} if tokens is None else {"workload.tokens": tokens}
    found = question(
        workspace,
        asked,
        on,
        kinds=KINDS,
        faults=faults,
        refused=REFUSED,
        required=REQUIRED,
        changes=changes,
        progress=progress,
    )
    limit_s = None if limit is None else limit * SECONDS_PER_DAY
    tried = [Trials(found, c, limit_s) for c in found.candidates if c.system.id not in found.unable]
    options = [option(t, money) for t in tried]
    refuse_nonsense(tried, options, money)
    unable = [
        TrainingOption(accelerator=c.accelerator, system=c.system.id, per_node=c.per_node, meets=False, reason=why)
        for c in found.candidates
        if (why := found.unable.get(c.system.id)) is not None
    ]
    best, rank = ranked(
        [*options, *unable],
        meets=lambda o: o.meets,
        cost=lambda o: (o.duration_s, "s") if limit is None else (o.cost, o.currency),
        count=lambda o: float(o.accelerators or 0),
        miss=lambda o: (o.duration_s if limit is not None else o.cost) or math.inf,
    )
    return TrainingPlan(days=limit, budget=money, ranked_by="duration" if limit is None else rank, options=best)


def _days(days: Any, faults: list[str]) -> float | None:
    """Days as a number: a bare one is in days, one with a unit of time in that."""
    if isinstance(days, str):
        try:
            days = float(days)
        except ValueError:
            found = quantity("days", days, "s", faults)
            return None if found is None else found / SECONDS_PER_DAY
    return quantity("days", days, "count", faults)
