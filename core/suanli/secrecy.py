"""What of a report gives away the figures of hardware that is under a promise not to show them.

Answers stay: how long, how many, whether it fits. What is left out is a figure of the hardware itself,
and what is one step from one: a share of its peak, a share of its memory, what it draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from suanli.case import Case, Problem

if TYPE_CHECKING:
    from suanli.stages import Step

SHARES = (
    "throughput.peak_flops_per_s",
    "throughput.mfu_ratio",
    "throughput.hfu_ratio",
    "serving.kv_cache_tokens",
)
"""Figures that are the accelerator's own, or a known multiple of one."""

DRAWN = ("run.energy_j", "serving.energy_per_output_token_j")
"""Energy: over the time it takes, it is the power."""

PAID = ("run.cost", "serving.cost_per_hour", "serving.cost_per_million_output_tokens")
"""Cost: where electricity is paid, its price gives the energy."""

CAPACITY = "memory.capacity_bytes"
RESERVE = "_serve.reserve_bytes"
"""What a serving engine keeps free, as the stages pass it on."""

OPEN_SECTIONS = ("flops", "parameters", "memory")
"""Sections whose figures depend on no rate of the hardware: their derivations may show every number."""


def is_hidden(case: Case) -> bool:
    """Whether figures of the system or its accelerator must not be shown."""
    return case.device.confidential or case.system.confidential


def hides_reserve(case: Case) -> bool:
    """Whether the memory kept free is a share of one that must not be shown."""
    given = "assumptions.reserve" in case.origins and case.origins["assumptions.reserve"].origin == "given"
    return case.device.confidential and not (case.training and given)


def hidden_figures(case: Case, steps: Iterable[Step]) -> frozenset[str]:
    """The keys of a report that give a confidential figure away, and of all that is made of those."""
    if not is_hidden(case):
        return frozenset()
    found = set(DRAWN)
    if case.device.confidential:
        found |= {*SHARES, CAPACITY}
    if case.electricity_price is not None:
        found |= set(PAID)
    for step in steps:
        if not found.isdisjoint(step.stage.needs):
            found |= {key for key in step.stage.gives if not key.startswith("_")}
    return frozenset(found)


def hide(case: Case, steps: Iterable[Step], values: Mapping[str, Any]) -> dict[str, Any]:
    """The public figures of a report, None in place of those that must not be shown; the case's problems say why."""
    hidden = hidden_figures(case, steps)
    told = dict(values)
    whose = case.device.id if case.device.confidential else case.system.id
    for key in [*(k for k in values if k in hidden), *({CAPACITY} & hidden)]:
        if key != CAPACITY:
            told[key] = None
        case.problems = [p for p in case.problems if p.figure != key]
        said = f"{key} is not shown: the figures of {whose} are confidential"
        case.problems.append(Problem(code="confidential", severity="note", message=said, figure=key))
    if hides_reserve(case):
        said = f"the memory kept free is not shown, nor counted in totals: the memory of {whose} is confidential"
        case.problems.append(Problem(code="confidential", severity="note", message=said))
    return told
