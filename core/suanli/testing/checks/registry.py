"""What a check is: a documented rule, and a function that says where something breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from suanli.plugins import Provider
from suanli.workspace import Workspace

PLUGIN = "plugin"
"""The kind of subject that is a plugin itself, not one of the things it gives."""


@attrs.frozen(kw_only=True, eq=False)
class Subject:
    """One thing a plugin gives, or the plugin itself.

    Attributes:
        kind: Such as ``"accelerator"``; ``"plugin"`` for the plugin.
        name: Of the thing.
        value: The thing as the plugin gave it; of a plugin, its module (None for a folder of catalog files).
        provider: Who gave it.
        workspace: A workspace that has it, and what it refers to.
    """

    kind: str
    name: str
    value: Any
    provider: Provider
    workspace: Workspace


Faults = Iterable[str]


@attrs.frozen(kw_only=True)
class Check:
    """A rule that what plugins give must keep.

    Attributes:
        name: Such as ``"bandwidth_is_plausible"``.
        kinds: Kinds of subject it applies to; empty for all but the plugin itself.
        rule: The documented rule it tests, and where it is stated.
        function: Yields one message for each way the subject breaks it.
    """

    name: str
    kinds: tuple[str, ...]
    rule: str
    function: Callable[[Subject], Faults]

    def applies(self, kind: str) -> bool:
        """Whether subjects of a kind are held to it."""
        return kind in self.kinds if self.kinds else kind != PLUGIN


CHECKS: list[Check] = []
"""Every check, in the order they are run."""


def check(*kinds: str, rule: str) -> Callable[[Callable[[Subject], Faults]], Callable[[Subject], Faults]]:
    """Add a function to :data:`CHECKS`.

    Args:
        kinds: Kinds of subject it applies to; none for all but the plugin itself.
        rule: The documented rule it tests, and where it is stated.
    """

    def add(function: Callable[[Subject], Faults]) -> Callable[[Subject], Faults]:
        CHECKS.append(Check(name=function.__name__, kinds=kinds, rule=rule, function=function))
        return function

    return add
