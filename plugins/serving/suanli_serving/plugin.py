"""What this plugin gives: the serving stages, and the engines they know."""

from __future__ import annotations

from collections.abc import Iterable

from suanli import Case, Problem, Profile, Stage, hookimpl
from suanli_serving.checks import checks
from suanli_serving.stages import PROFILES, STAGES


@hookimpl
def suanli_stages() -> Iterable[Stage]:
    """Memory, prefill, decode, static batch."""
    return STAGES


@hookimpl
def suanli_profiles() -> Iterable[Profile]:
    """vLLM, SGLang, TensorRT-LLM, MindIE, transformers."""
    return PROFILES


@hookimpl
def suanli_check(scenario: Case) -> Iterable[Problem]:
    """Warnings about how requests are served."""
    return checks(scenario)
