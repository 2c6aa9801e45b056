"""Launch arguments as a Bash array, the way Megatron-LM's own example scripts write them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any

import attrs

from suanli import Report


@attrs.define
class Arguments:
    """Flags in order, and what they do not say.

    Attributes:
        flags: Each with its value; None for a switch.
        notes: What a reader must add, or do otherwise.
    """

    flags: list[tuple[str, Any]] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)

    def add(self, flag: str, value: Any = None) -> None:
        """A flag with a value, or a switch."""
        self.flags.append((flag, value))

    def note(self, text: str) -> None:
        """Something no flag says."""
        self.notes.append(text)

    def script(self, array: str, head: Iterable[str]) -> str:
        """The flags as a Bash array, after comments.

        Args:
            array: Its name.
            head: What the comments begin with.
        """
        lines = [*(f"# {line}" for line in head), *(f"# Not said below: {note}." for note in self.notes), f"{array}=("]
        for flag, value in self.flags:
            lines.append(f"    {flag}" if value is None else f"    {flag} {shlex.quote(str(value))}")
        return "\n".join([*lines, ")"]) + "\n"


def title(report: Report) -> str:
    """What the report is of, in a line."""
    model, system = report.scenario["model"], report.scenario["system"]
    name = next((model[k] for k in ("name", "family", "config") if isinstance(model.get(k), str)), "the model given")
    return f"{' '.join(name.split())} on {system['accelerators']} accelerators of {system['name']}"
