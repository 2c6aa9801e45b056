"""What `plan` and `fit` share: options, the scenario that leaves its system open, and progress on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from suanli.cli.asking import Told, sections_from
from suanli.cli.command import Option, names_of
from suanli.cli.fields import options, parameter_of

ON = Option(
    ["--on"],
    multiple=True,
    metavar="SYSTEM",
    heading="System",
    help="A system, or an accelerator whose default system is taken; several with commas, or the option again. "
    "Every accelerator by default.",
    shell_complete=names_of(["system", "accelerator"]),
)
TOP = Option(
    ["--top"],
    type=click.IntRange(1, 10_000),
    default=10,
    show_default=True,
    help="How many to show in the table; JSON and CSV have all.",
)


def field_options(kinds: Sequence[str], command: str, without: Collection[str]) -> list[Option]:
    """The options of every field of a scenario but some, named by their paths."""
    left_out = {parameter_of(path) for path in without}
    return [o for o in options(tuple(kinds), command) if o.name not in left_out]


def systems(parameters: Mapping[str, Any]) -> list[str]:
    """The names ``--on`` gives, each time one or several with commas between."""
    return [name.strip() for given in parameters["on"] for name in given.split(",") if name.strip()]


def asked(parameters: Mapping[str, Any], kinds: Sequence[str]) -> tuple[dict[str, Any], Told]:
    """The scenario without a system that MODEL and the options give, and how to tell of its fields."""
    sections, names = sections_from(parameters, kinds, {})
    return sections, names | {"model": "MODEL", "on": "--on"}


@contextmanager
def progress() -> Iterator[Callable[[str], None] | None]:
    """What to tell of what is tried: on a terminal a line that is written over, elsewhere nothing."""
    if not _on_a_terminal():
        yield None
        return
    try:
        yield lambda said: click.echo(f"\r\033[K{said}", err=True, nl=False)
    finally:
        click.echo("\r\033[K", err=True, nl=False)


def _on_a_terminal() -> bool:
    return sys.stderr.isatty()
