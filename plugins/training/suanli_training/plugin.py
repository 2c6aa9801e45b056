"""What this plugin gives: the training stages, and the implementations they know."""

from __future__ import annotations

from collections.abc import Iterable

from suanli import Case, Problem, Profile, Stage, hookimpl
from suanli_training.checks import checks
from suanli_training.stages import PROFILES, STAGES


@hookimpl
def suanli_stages() -> Iterable[Stage]:
    """Blocks, placement, memory, step, throughput, run."""
    return STAGES


@hookimpl
def suanli_profiles() -> Iterable[Profile]:
    """Megatron-LM, a fused implementation, and transformers."""
    return PROFILES


@hookimpl
def suanli_check(scenario: Case) -> Iterable[Problem]:
    """Warnings about how a training job is divided."""
    return checks(scenario)
