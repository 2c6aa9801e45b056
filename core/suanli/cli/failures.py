"""What an error is told as, and the exit status it ends with."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from suanli.errors import SuanliError

ANSWERED, DOES_NOT_FIT, BAD_INPUT, FAULT = 0, 1, 2, 70
"""Exit statuses."""


def status_of(exc: BaseException) -> int:
    """The exit status an exception ends with."""
    if isinstance(exc, click.exceptions.Abort):
        return 130
    return BAD_INPUT if isinstance(exc, click.ClickException) or _ours(exc) is not None else FAULT


def block_of(exc: BaseException) -> str:
    """One readable block on what went wrong and what to do."""
    if isinstance(exc, click.exceptions.Abort):
        return "interrupted"
    if isinstance(exc, click.ClickException):
        return f"error: {_sentence(exc.format_message())}{_where_help_is(exc)}"
    ours = _ours(exc)
    if ours is not None:
        return f"error: {ours}{_failed_plugins()}"
    said = " ".join(str(exc).split())[:300]
    return (
        f"error: a fault of suanli's own, not of what you asked: {type(exc).__name__}{': ' if said else ''}{said}\n"
        "  Please report it with the command. SUANLI_TRACEBACK=1 before the command shows where it happened."
    )


def _ours(exc: BaseException) -> SuanliError | None:
    """The exception as one raised on purpose; the class is looked up only where it can have been raised."""
    errors = sys.modules.get("suanli.errors")
    return exc if errors is not None and isinstance(exc, errors.SuanliError) else None


def _sentence(text: str) -> str:
    """Click's message as one of ours: no capital, no full stop."""
    text = text.strip().removesuffix(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _where_help_is(exc: click.ClickException) -> str:
    ctx = getattr(exc, "ctx", None)
    return f"\n  See: {ctx.command_path} --help" if ctx is not None else ""


def _failed_plugins() -> str:
    """A line for each plugin that did not load or did something wrong, where plugins were asked for at all."""
    workspace = sys.modules.get("suanli.workspace")
    made = getattr(workspace, "_DEFAULT", None)
    if not made:
        return ""
    known = made[0].catalog().plugins
    said = [f"plugin {p} did not load: {p.error}" for p in known.failed]
    said += [fault.splitlines()[0] for fault in known.faults]
    return "".join(f"\n  note: {line}" for line in said) + ("\n  See: suanli plugins" if said else "")
