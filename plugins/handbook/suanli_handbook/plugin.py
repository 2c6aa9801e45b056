"""What this plugin gives: the rules of thumb."""

from __future__ import annotations

from collections.abc import Iterable

from suanli import Rule, hookimpl
from suanli_handbook.rules import RULES


@hookimpl
def suanli_rules() -> Iterable[Rule]:
    """FLOPs, times, weights, cache, parameters, training state, activations."""
    return RULES
