"""``suanli list``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import click

import suanli
from suanli.catalogs import LISTED, Catalog
from suanli.cli.amounts import amount, measure_of, rate
from suanli.cli.blocks import Block, Rows, Table, Text
from suanli.cli.command import Command, Option
from suanli.cli.filters import Filter, short
from suanli.cli.list_view import COLUMNS, ENDLESS, SIXTEEN, Column, about, peak_precisions
from suanli.cli.render import width, write
from suanli.errors import UnknownNameError

MOST_ALIASES = 2
"""Aliases the table shows: the shortest; JSON and CSV have them all."""

FOLDED = 24
"""Characters a column that may be left out is content with; what is longer is folded."""

NOTES = {
    "accelerator": "peaks are dense, ops:byte is the peak over the memory bandwidth, a price is an hour's: the median "
    "of the on-demand offers in `suanli list prices`",
    "system": "scale-up: accelerators the innermost network joins, and its bandwidth, one way, of each; reach: those "
    "all its networks join; any: no limit is stated",
    "price": "on demand unless it says otherwise; assumed: the offer an estimate takes that is given no price, "
    "the median of those on demand; range: what a survey found",
}


def list_(
    kind: str | None,
    pattern: str | None,
    where: Sequence[str],
    least: Sequence[str],
    most: Sequence[str],
    sort: Sequence[str],
    precision: str | None,
    format: str,
) -> int:
    """List what is installed of a kind, or the kinds."""
    catalog = suanli.catalog()
    if kind is None:
        if where or least or most or sort or precision:
            raise click.UsageError("--where, --min, --max, --sort and --precision go with a KIND")
        return _kinds(catalog, format)
    if kind not in LISTED:
        raise UnknownNameError("kind", kind, LISTED, f"Kinds: {', '.join(LISTED)}.")
    name = LISTED[kind]
    formats = _formats(catalog, name, precision)
    columns = COLUMNS[name]
    if precision is not None:
        columns = tuple(Column(f"{formats[0]} dense", c.key, True) if c.key == PEAK else c for c in columns)
    rows = [about(catalog, e, formats) if name == "accelerator" else about(catalog, e) for e in catalog.entries(name)]
    if name == "price":
        rows.sort(key=lambda r: (r["accelerator"], r["currency"], r["price_per_hour"]))
    asked = Filter(rows, {c.name: c.key for c in columns})
    asked.where([*where, *([f"{PEAK}>0 FLOP/s"] if precision is not None else [])])
    asked.bound("--min", ">=", least)
    asked.bound("--max", "<=", most)
    asked.sort(sort)
    asked.check()
    wanted = (pattern or "").lower()
    named = [r for r in rows if any(wanted in n.lower() for n in _names(r))] if wanted else rows
    found = asked.apply(named, ENDLESS.get(name, ()))
    columns = tuple(attrs.evolve(c, rank=0) if c.key in asked.keys else c for c in columns)
    shown = {c.key for c in columns}
    extra = [Column(short(k).replace("_", " "), k, _numbers(k, rows)) for k in asked.keys if k not in shown]
    cells = [*columns, *extra]
    empty = f"no {kind} of that name" if wanted and not named else f"no {kind} like that; {len(named)} without filters"
    write(format, data=lambda: found, rows=lambda: found, blocks=lambda: _blocks(name, cells, found, format, empty))
    return 0


PEAK = "peak_flops_per_s"


NAMED = ("name", "vendor", "accelerator", "family")
"""The columns a pattern is looked for in, besides the aliases."""


def _names(row: Mapping[str, Any]) -> list[str]:
    return [str(row[key]) for key in NAMED if row.get(key)] + list(row["aliases"])


def _kinds(catalog: Catalog, format: str) -> int:
    kinds: Rows = [{"kind": plural, "count": len(catalog.names(name))} for plural, name in LISTED.items()]
    rows = tuple((r["kind"], str(r["count"])) for r in kinds)
    table = Table(columns=("kind", "installed"), rows=rows, right=(1,))
    hint = Text(text="suanli list KIND lists them", style="note")
    write(format, data=lambda: kinds, rows=lambda: kinds, blocks=lambda: [table, hint])
    return 0


def _formats(catalog: Catalog, kind: str, precision: str | None) -> tuple[str, ...]:
    """The formats whose peak is told: the one asked for, by its own name or that of a format multiplied in it."""
    if precision is None:
        return SIXTEEN
    if kind != "accelerator":
        raise click.UsageError("--precision goes with accelerators")
    known = peak_precisions(catalog)
    plain = precision.strip().lower()
    if plain in known:
        return (plain,)
    try:
        found: str = catalog.get("precision", plain).compute
    except UnknownNameError:
        found = ""
    if found not in known:
        raise UnknownNameError("peak", precision, known, f"Peaks are stated in {', '.join(known)}.")
    return (found,)


def _numbers(key: str, rows: Rows) -> bool:
    value = next((r[key] for r in rows if r.get(key) is not None), None)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _blocks(kind: str, columns: list[Column], found: Rows, format: str, empty: str) -> list[Block]:
    if not found:
        return [Text(text=empty, style="note")]
    cells = {c: [_cell(kind, c.key, row) for row in found] for c in columns}
    if format != "markdown":
        columns = _fitting(columns, cells)
    right = tuple(i for i, c in enumerate(columns) if c.right)
    keep = tuple(i for i, c in enumerate(columns) if c.right or i == 0)
    rows = tuple(zip(*(cells[c] for c in columns), strict=True))
    table = Table(columns=tuple(c.name for c in columns), rows=rows, right=right, keep=keep)
    return [table, *([Text(text=NOTES[kind], style="note")] if kind in NOTES else [])]


def _fitting(columns: list[Column], cells: dict[Column, list[str]]) -> list[Column]:
    """The columns there is room for: those of the highest rank are left out first."""
    kept = list(columns)

    def takes(column: Column) -> int:
        longest = max(len(column.name), *map(len, cells[column]))
        return longest if column.right or not column.rank else min(longest, FOLDED)

    while sum(takes(c) + 2 for c in kept) - 2 > width():
        last = max(kept, key=lambda c: c.rank)
        if last.rank == 0:
            break
        kept.remove(last)
    return kept


def _cell(kind: str, key: str, row: dict[str, object]) -> str:
    value = row.get(key)
    if row.get("confidential") and value is None:
        return "confidential"
    if value is None and key in ENDLESS.get(kind, ()):
        return "any"
    if isinstance(value, (list, tuple)):
        listed = sorted(value, key=len)[:MOST_ALIASES] if key == "aliases" else value
        return ", ".join(str(v) for v in listed)
    if measure_of(key)[0] == "flop/s" and isinstance(value, (int, float)):
        return rate(str(row.get("peak_precision")) if key == PEAK else key, value)
    if key == "price_per_hour" and value is not None:
        high = row.get("highest_per_hour")
        return f"{amount(key, value)}{f' to {amount(key, high)}' if high is not None else ''} {row['currency']}"
    if key == "scale_up_accelerators":
        each = row["scale_up_bytes_per_s"]
        count = "any" if value is None else str(value)
        return f"{count} at {amount('_bytes_per_s', each)}" if each is not None else "none"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value) if key == "year" else amount(key, value)
    return "—" if value in (None, "") else amount(key, value)


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    return [kind for kind in LISTED if kind.startswith(incomplete)]


command = Command(
    "list",
    callback=list_,
    params=[
        click.Argument(["kind"], required=False, metavar="[KIND]", shell_complete=_complete),
        click.Argument(["pattern"], required=False),
        Option(
            ["--where"],
            multiple=True,
            metavar="CONDITION",
            heading="Which and in what order",
            help="Such as 'memory>=80GB', vendor=huawei, 'fp8=none' or product~nvl; a > needs quotes. May be repeated.",
        ),
        Option(
            ["--min", "least"],
            multiple=True,
            metavar="KEY=VALUE",
            heading="Which and in what order",
            help="At least so much, such as memory=80GB: the same without quotes.",
        ),
        Option(
            ["--max", "most"],
            multiple=True,
            metavar="KEY=VALUE",
            heading="Which and in what order",
            help="At most so much, such as price=3.",
        ),
        Option(
            ["--sort"],
            multiple=True,
            metavar="KEY",
            heading="Which and in what order",
            help="By this column; -KEY for the largest first. May be repeated.",
        ),
        Option(
            ["--precision"],
            metavar="FORMAT",
            heading="Which and in what order",
            help="Accelerators that multiply in FORMAT, with their peak in it; 16-bit peaks by default.",
        ),
    ],
    help=f"""What is installed of a KIND; with PATTERN, those it occurs in: by name, alias, vendor,
    accelerator or family.

    KIND is one of {", ".join(LISTED)}.

    A KEY is a column's heading, or a key of the JSON output, with or without its unit.
    What nobody states passes no condition, and stands last. JSON and CSV have more columns than the table.
    """,
    examples=(
        "suanli list",
        "suanli list accelerators",
        "suanli list accelerators --precision fp8 --min memory=80GB --sort -bandwidth",
        "suanli list accelerators --where vendor=nvidia --where 'year>=2022' --max power=400W",
        "suanli list models llama --max parameters=15B",
        "suanli list prices --where accelerator~h100 --sort price",
        "suanli list recipes --format csv",
    ),
)
