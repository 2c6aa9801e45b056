"""What this plugin gives: the rules of thumb."""

from __future__ import annotations

from collections.abc import Iterable

from suanli import Rule, hookimpl


@hookimpl
def suanli_rules() -> Iterable[Rule]:
    """Counts, training, memory, serving, cache, capacity, hardware; read when rules are first asked for."""
    from suanli_handbook.rules import RULES

    return RULES
