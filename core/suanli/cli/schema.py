"""``suanli schema``."""

from __future__ import annotations

import suanli
from suanli.cli.blocks import Block, Rows, Table
from suanli.cli.command import Command
from suanli.cli.fields import POSITIONAL, fields, option_names
from suanli.cli.render import write


def schema(format: str) -> int:
    """Write the JSON Schema, or its fields as a list."""
    write(format, data=suanli.schema, rows=_rows, blocks=_blocks)
    return 0


def _rows() -> Rows:
    names = option_names()
    return [
        {"field": f.path, "form": f.form, "option": names.get(f.path, POSITIONAL.get(f.path, "")), "help": f.help}
        for f in fields()
        if not f.later
    ]


def _blocks() -> list[Block]:
    rows = tuple((row["field"], row["option"], row["help"]) for row in _rows())
    return [Table(title="Fields of a scenario", columns=("field", "option", "what it is"), rows=rows, keep=(0, 1))]


command = Command(
    "schema",
    callback=schema,
    default_format="json",
    help="""The JSON Schema (draft 2020-12) of scenario and report, each under $defs.

    As a table, the fields of a scenario with their options.
    """,
    examples=("suanli schema > suanli.schema.json", "suanli schema --format table"),
)
