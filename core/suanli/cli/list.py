"""``suanli list``."""

from __future__ import annotations

import click

import suanli
from suanli.catalogs import LISTED
from suanli.cli.amounts import amount
from suanli.cli.blocks import Block, Rows, Table, Text
from suanli.cli.command import Command
from suanli.cli.list_view import COLUMNS, about
from suanli.cli.render import write
from suanli.errors import UnknownNameError

MOST_ALIASES = 2
"""Aliases the table shows: the shortest; JSON and CSV have them all."""


def list_(kind: str | None, pattern: str | None, format: str) -> int:
    """List what is installed of a kind, or the kinds."""
    catalog = suanli.catalog()
    if kind is None:
        kinds: Rows = [{"kind": plural, "count": len(catalog.names(name))} for plural, name in LISTED.items()]
        table = Table(
            columns=("kind", "installed"), rows=tuple((r["kind"], str(r["count"])) for r in kinds), right=(1,)
        )
        hint = Text(text="suanli list KIND lists them", style="note")
        write(format, data=lambda: kinds, rows=lambda: kinds, blocks=lambda: [table, hint])
        return 0
    if kind not in LISTED:
        raise UnknownNameError("kind", kind, LISTED, f"Kinds: {', '.join(LISTED)}.")
    wanted = (pattern or "").lower()
    entries = [
        e for e in catalog.entries(LISTED[kind]) if not wanted or any(wanted in n.lower() for n in (e.name, *e.aliases))
    ]
    found = [about(catalog, e) for e in entries]
    write(format, data=lambda: found, rows=lambda: found, blocks=lambda: _blocks(kind, found))
    return 0


def _blocks(kind: str, found: Rows) -> list[Block]:
    if not found:
        return [Text(text=f"no {kind} of that name", style="note")]
    columns = COLUMNS[LISTED[kind]]
    rows = tuple(tuple(_cell(c.key, row) for c in columns) for row in found)
    right = tuple(i for i, c in enumerate(columns) if c.right)
    keep = tuple(i for i, c in enumerate(columns) if c.right or i == 0)
    return [Table(columns=tuple(c.name for c in columns), rows=rows, right=right, keep=keep)]


def _cell(key: str, row: dict[str, object]) -> str:
    value = row.get(key)
    if row.get("confidential") and value is None:
        return "confidential"
    if isinstance(value, (list, tuple)):
        shown = sorted(value, key=len)[:MOST_ALIASES] if key == "aliases" else value
        return ", ".join(str(v) for v in shown)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return amount(key, value)
    return "—" if value in (None, "") else amount(key, value)


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    return [kind for kind in LISTED if kind.startswith(incomplete)]


command = Command(
    "list",
    callback=list_,
    params=[
        click.Argument(["kind"], required=False, metavar="|".join(LISTED), shell_complete=_complete),
        click.Argument(["pattern"], required=False),
    ],
    help="""What is installed of a kind; with PATTERN, those whose name or alias contains it.

    JSON and CSV have more columns than the table.
    """,
    examples=(
        "suanli list",
        "suanli list accelerators",
        "suanli list models llama",
        "suanli list recipes --format csv",
    ),
)
