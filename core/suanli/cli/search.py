"""``suanli search``."""

from __future__ import annotations

import sys
from typing import Any

import click

import suanli
from suanli import units
from suanli.cli import asking
from suanli.cli.amounts import amount
from suanli.cli.asking import NUMBER, ON, SET, told
from suanli.cli.blocks import Block, Rows, Table, Text
from suanli.cli.command import Command, Option
from suanli.cli.estimating import kind_option
from suanli.cli.failures import ANSWERED, DOES_NOT_FIT
from suanli.cli.fields import options
from suanli.cli.render import write
from suanli.errors import SuanliError
from suanli.layout_search import Plan, SearchResult
from suanli.workload import KINDS

ABBREVIATED = {"sequence_parallel": "seq. par.", "expert_tensor": "exp. tensor", "virtual_stages": "chunks"}


def search(**parameters: Any) -> int:
    """Write the best layouts of a scenario."""
    model = parameters["model"]
    if model is None and parameters["on"] is None:
        raise click.UsageError("give a scenario file, or a MODEL with --on")
    if parameters["on"] is None and model is not None:
        scenario, names = asking.from_file(model, parameters["changes"], parameters)
    else:
        scenario, names = asking.from_options(parameters, tuple(KINDS))
    deadline, most = _quantity(parameters, "deadline", "s"), _quantity(parameters, "max_layouts", "count")
    with told(names):
        found = suanli.search(
            scenario,
            top=parameters["top"],
            deadline_s=deadline,
            max_layouts=int(most) if most is not None else None,
            progress=_progress() if sys.stderr.isatty() else None,
        )
    if sys.stderr.isatty():
        click.echo("\r\033[K", err=True, nl=False)
    write(parameters["format"], data=lambda: _data(found), rows=lambda: _rows(found), blocks=lambda: _blocks(found))
    return ANSWERED if found.plans else DOES_NOT_FIT


def _quantity(parameters: dict[str, Any], name: str, dimension: str) -> float | None:
    """A limit on the search; raises SuanliError naming its option."""
    text = parameters[name]
    if text is None:
        return None
    try:
        found = float(units.parse(text, dimension))
    except ValueError as exc:
        raise SuanliError(f"--{name.replace('_', '-')}: {exc}") from None
    if found <= 0.0:
        raise SuanliError(f"--{name.replace('_', '-')}: must be above 0, got {text}")
    return found


def _progress() -> Any:
    def show(evaluated: int) -> None:
        click.echo(f"\r\033[K{units.format(evaluated, 'count')} layouts evaluated", err=True, nl=False)

    return show


def _data(found: SearchResult) -> dict[str, Any]:
    def plan(p: Plan) -> dict[str, Any]:
        return {"score": p.score, "total_bytes": p.total_bytes, "layout": p.layout.to_dict()}

    return {
        "measure": found.measure,
        "evaluated": found.evaluated,
        "feasible": found.feasible,
        "complete": found.complete,
        "plans": [plan(p) for p in found.plans],
        "closest": plan(found.closest) if found.closest is not None else None,
    }


def _rows(found: SearchResult) -> Rows:
    return [
        {"rank": i, found.measure: p.score, "memory.total_bytes": p.total_bytes} | p.layout.to_dict()
        for i, p in enumerate(found.plans, 1)
    ]


def _blocks(found: SearchResult) -> list[Block]:
    legal = f"{units.format(found.evaluated, 'count')} legal layouts"
    rest = "" if found.complete else "; stopped before every layout was evaluated"
    if not found.plans:
        blocks: list[Block] = [Text(text=f"none of {legal} fits{rest}", style="bad")]
        if found.closest is not None:
            size = amount("_bytes", found.closest.total_bytes)
            said = ", ".join(f"{k.replace('_', ' ')} {_cell(v)}" for k, v in found.closest.layout.to_dict().items())
            blocks.append(Text(text=f"the one that needs the least memory needs {size}:\n  {said}"))
        return blocks
    serving = found.measure.startswith("serving.")
    layouts = [p.layout.to_dict() for p in found.plans]
    varying = [f for f in layouts[0] if len({str(x[f]) for x in layouts}) > 1]
    same = [
        f"{f.replace('_', ' ')} {_cell(v)}"
        for f, v in layouts[0].items()
        if f not in varying and v not in (1, "none") and (serving or f not in ("attention_data", "replicas"))
    ]
    rows = []
    for i, p in enumerate(found.plans, 1):
        report = p.report
        figures = [amount(found.measure, p.score)]
        figures += [] if serving else [amount("mfu_ratio", report.throughput.mfu_ratio)]
        figures += [amount("_s", report.serving.tpot_s)] if serving and report.serving is not None else []
        cells = [_cell(p.layout.to_dict()[f]) for f in varying]
        rows.append((str(i), *figures, amount("_bytes", p.total_bytes), *cells))
    head = ("output", "a token") if serving else ("step", "MFU")
    numbers = [4 + i for i, f in enumerate(varying) if not isinstance(layouts[0][f], (bool, str))]
    columns = ("", *head, "memory", *(ABBREVIATED.get(f, f.replace("_", " ")) for f in varying))
    blocks = [
        Text(
            text=f"{len(rows)} best of {legal}, of which {units.format(found.feasible, 'count')} fit{rest}",
            style="headline",
        ),
        Table(columns=columns, rows=tuple(rows), right=(0, 1, 2, 3, *numbers), keep=(0, 1, 2, 3)),
    ]
    if same:
        blocks.append(Text(text=f"all of them: {', '.join(same)}", style="note"))
    return blocks


def _cell(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


command = Command(
    "search",
    callback=search,
    params=[
        click.Argument(["model"], required=False, metavar="SCENARIO.TOML|MODEL", type=click.Path()),
        Option(["--top"], type=click.IntRange(1, 10_000), default=10, show_default=True, help="How many to show."),
        Option(["--deadline"], metavar="TIME", help="Stop after so long, such as 30s."),
        Option(["--max-layouts"], metavar="NUMBER", help="Stop after so many layouts."),
        SET,
        ON,
        NUMBER,
        kind_option(tuple(KINDS)),
        *options(tuple(KINDS), "search"),
    ],
    help="""The best layouts that fit, by step time (training) or output tokens a second (serving).

    A layout field left out takes every legal value, a list its values.
    Give a scenario file, or a MODEL with --on; options are those of train and serve.
    Exit status 1 when none fits.
    """,
    examples=(
        "suanli search scenario.toml --top 20",
        "suanli search scenario.toml --set layout.tensor=1,2,4,8 --set layout.recompute=",
        "suanli search llama-65b --on dgx-a100 -n 2048 --zero 1",
        "suanli search llama-3-70b --on dgx-h100 -n 8 --kind serve --concurrency 256",
    ),
)
