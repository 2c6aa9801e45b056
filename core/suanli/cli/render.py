"""Writing an answer: as a table for people, as JSON, CSV or Markdown."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from suanli.cli.blocks import Block, Node, Rows, Table, Text

if TYPE_CHECKING:
    from rich.console import RenderableType

STYLES = {"headline": "bold", "good": "bold green", "bad": "bold red", "warning": "yellow", "note": "dim", "": ""}


def write(
    format: str,
    *,
    data: Callable[[], Any],
    rows: Callable[[], Rows],
    blocks: Callable[[], Sequence[Block]],
) -> None:
    """Write an answer in a format; only what the format needs is made.

    Args:
        format: ``table``, ``json``, ``csv`` or ``markdown``.
        data: The answer as JSON has it.
        rows: The answer as flat rows.
        blocks: The answer for people.
    """
    if format == "json":
        text = json.dumps(_plain(data()), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    elif format == "csv":
        text = _csv(rows())
    elif format == "markdown":
        text = "\n\n".join(_markdown(b) for b in blocks()) + "\n"
    else:
        text = _rich(blocks())
    say(text)


def say(text: str | bytes) -> None:
    """Write to standard output; a reader who has left is not an error."""
    try:
        click.echo(text, nl=False)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _plain(value: Any) -> Any:
    """`value` as JSON has it, numbers that are not finite as null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def _csv(rows: Rows) -> str:
    out = io.StringIO()
    columns = list(dict.fromkeys(k for row in rows for k in row))
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(c)) for c in columns])
    return out.getvalue()


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, (list, tuple)):
        return " ".join(str(_cell(v)) for v in value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else value


def _markdown(block: Block) -> str:
    if isinstance(block, Text):
        lines = [_escaped(line) for line in block.text.splitlines()]
        return f"**{lines[0]}**" if block.style == "headline" else "  \n".join(lines)
    if isinstance(block, Node):
        return "\n".join(_bullets(block, 0))
    head = [f"### {block.title}\n"] if block.title else []
    marks = ["---:" if i in block.right else "---" for i in range(len(block.columns))]
    strong = {r: [f"**{c}**" if c else "" for c in map(_escaped, block.rows[r])] for r in block.strong}
    rows = [strong.get(i, [_escaped(c) for c in row]) for i, row in enumerate(block.rows)]
    table = [[_escaped(c) for c in block.columns], marks, *rows]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in table)])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", "<br>").strip()


def _bullets(node: Node, depth: int) -> list[str]:
    note = f" *{_escaped(node.note)}*" if node.note else ""
    lines = [f"{'  ' * depth}- {_escaped(node.text)}{note}"]
    for child in node.children:
        lines += _bullets(child, depth + 1)
    return lines


def _rich(blocks: Sequence[Block]) -> str:
    """The blocks as a terminal shows them: coloured only there, plain text elsewhere."""
    from rich.columns import Columns
    from rich.console import Console

    terminal = sys.stdout.isatty()
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=terminal, width=width(), highlight=False, markup=False, emoji=False, soft_wrap=False
    )
    waiting: list[RenderableType] = []
    before: Block | None = None
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        waiting.append(_renderable(block))
        if isinstance(block, Table) and block.beside and isinstance(after, Table) and after.beside:
            continue
        if before is not None and not (isinstance(before, Text) and isinstance(block, Text)):
            console.print()
        before = block
        console.print(waiting[0] if len(waiting) == 1 else Columns(waiting, padding=(1, 6)))
        waiting = []
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def width() -> int:
    """Columns of the terminal; what COLUMNS says, else 100, where there is none."""
    import shutil

    return max(60, min(shutil.get_terminal_size((100, 24)).columns, 140))


def _renderable(block: Block) -> RenderableType:
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text as RichText

    if isinstance(block, Text):
        return RichText(block.text, style=STYLES[block.style])
    if isinstance(block, Node):
        return _tree(block)
    table = RichTable(
        box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=any(block.columns), header_style="dim"
    )
    for i, name in enumerate(block.columns):
        longest = max((len(row[i]) for row in block.rows), default=0)
        table.add_column(
            name,
            overflow="fold",
            min_width=min(longest, 40) if i in block.keep else None,
            justify="right" if i in block.right else "left",
            no_wrap=i in block.keep,
            max_width=(block.widest[i] or None) if i < len(block.widest) else None,
        )
    for i, row in enumerate(block.rows):
        table.add_row(*(RichText(cell) for cell in row), style="bold" if i in block.strong else "")
    title = RichText(block.title, style="bold cyan")
    return Group(title, table) if block.title else table


def _tree(node: Node) -> RenderableType:
    from rich.text import Text as RichText
    from rich.tree import Tree

    def label(n: Node) -> RichText:
        return RichText.assemble(n.text, (f"  {n.note}" if n.note else "", "dim"))

    def grow(branch: Tree, n: Node) -> Tree:
        for child in n.children:
            grow(branch.add(label(child)), child)
        return branch

    return grow(Tree(label(node), guide_style="dim"), node)
