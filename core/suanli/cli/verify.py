"""``suanli verify``."""

from __future__ import annotations

from typing import Any

import click

import suanli
from suanli.cli.blocks import Block, Rows, Table, Text
from suanli.cli.command import Command, Option, names_of
from suanli.cli.render import write
from suanli.errors import SuanliError
from suanli.finding import config_of
from suanli.units import parse
from suanli.verifying import SEQUENCE, Compared, Theirs, build, compare, libraries

LABELS = {
    "parameters": "parameters",
    "forward_flops": "FLOPs of a forward pass, every key scored",
    "kv_cache_bytes": "bytes of cache after it, bf16",
}
MOST = 8192


def verify(name: str, sequence: str, format: str) -> int:
    """Write our figures of a model beside those of the real class."""
    try:
        tokens = parse(sequence, "count")
    except ValueError as exc:
        raise SuanliError(f"--sequence: {exc}") from None
    if not 0 < tokens <= MOST:
        raise SuanliError(f"--sequence: must be 1 to {MOST}, got {sequence}")
    model = suanli.model(name)
    libraries()
    config = config_of(suanli.catalog(), name)
    theirs = build(config, int(tokens))
    found = compare(model, theirs, int(tokens))
    data = {
        "name": model.name,
        "family": model.family,
        "class": theirs.name,
        "sequence": int(tokens),
        "figures": [
            {"figure": c.name, "ours": c.ours, "theirs": c.theirs, "agrees": c.agrees, "remark": c.remark or None}
            for c in found
        ],
        "notes": list(theirs.reasons),
    }
    write(
        format, data=lambda: data, rows=lambda: _rows(data), blocks=lambda: _blocks(model.name, theirs, found, tokens)
    )
    return 1 if any(c.fails for c in found) else 0


def _rows(data: dict[str, Any]) -> Rows:
    rows: Rows = data["figures"]
    return rows


def _blocks(name: str, theirs: Theirs, found: tuple[Compared, ...], tokens: float) -> list[Block]:
    said = {True: "equal", None: "not known"}
    rows = tuple(
        (
            LABELS[c.name],
            f"{c.ours:,}",
            "—" if c.theirs is None else f"{c.theirs:,}",
            said.get(c.agrees) or f"{c.ours - (c.theirs or 0):+,}",
        )
        for c in found
    )
    head = f"{name} against {theirs.name}, one sequence of {tokens:.0f} tokens"
    table = Table(columns=("", "ours", "theirs", "ours is"), rows=rows, right=(1, 2, 3), keep=(0, 1, 2, 3))
    remarks = [f"{LABELS[c.name]}: {c.remark}" for c in found if c.remark and c.agrees is False]
    return [
        Text(text=head, style="headline"),
        table,
        *(Text(text=f"note: {note}", style="note") for note in (*remarks, *theirs.reasons)),
    ]


command = Command(
    "verify",
    callback=verify,
    params=[
        click.Argument(["name"], required=True, metavar="MODEL", shell_complete=names_of(["model"])),
        Option(
            ["--sequence"],
            metavar="NUMBER",
            default=str(SEQUENCE),
            show_default=True,
            help="Tokens passed through it.",
        ),
    ],
    help="""Our figures of a model beside those of the real class, built without weights.

    MODEL is a name, the path of a config.json, or its folder.
    Needs PyTorch and transformers: pip install 'suanli[verify]'.
    Exit status 1 where a figure differs and nothing explains it.
    """,
    examples=("suanli verify ./config.json", "suanli verify qwen3-8b --sequence 128"),
)
