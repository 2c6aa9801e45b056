"""``suanli roofline``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import click

import suanli
from suanli.cli import roofline_svg, roofline_text
from suanli.cli.amounts import amount
from suanli.cli.blocks import Block, Rows, Table, Text
from suanli.cli.command import Command, Option, names_of
from suanli.cli.failures import ANSWERED
from suanli.cli.render import width, write
from suanli.errors import SuanliError
from suanli.measurements import impossible, read_measurements
from suanli.roofline import Pass, Point, Roofline, operator_points, roofline
from suanli.workspace import default

PASS_OPTIONS = ("phase", "batch", "sequence", "tensor", "precision")


def draw(**asked: Any) -> int:
    """Write the roofline of an accelerator, and draw it in a file where one is named."""
    accelerator = suanli.accelerator(asked["accelerator"])
    if asked["model"] is None:
        given = [f"--{o}" for o in PASS_OPTIONS if asked[o] is not None]
        if given:
            raise click.UsageError(f"{', '.join(given)}: of a model's pass; name the model by --model")
    measurements = read_measurements(asked["points"]) if asked["points"] is not None else ()
    operators: list[Point | None] = []
    if asked["model"] is not None:
        model = suanli.model(asked["model"])
        chosen = {o: asked[o] for o in PASS_OPTIONS if asked[o] is not None}
        chosen.setdefault("sequence", min(2048, model.context or 2048))
        operators = list(operator_points(default().catalog(), accelerator, model, Pass(**chosen)))
    points = [p for p in operators if p is not None]
    drawn = roofline(accelerator, measurements, points)
    drawn = attrs.evolve(drawn, left_out=drawn.left_out + len(operators) - len(points))
    notes = list(impossible(measurements, accelerator))
    if asked["svg"] is not None:
        title = f"Roofline of {drawn.accelerator}" + (f", {asked['model']}" if asked["model"] else "")
        _save(Path(asked["svg"]), roofline_svg.svg(drawn, title))
    write(
        asked["format"],
        data=lambda: _data(drawn, notes),
        rows=lambda: _rows(drawn),
        blocks=lambda: _blocks(drawn, notes, asked["svg"], 100 if asked["format"] == "markdown" else width()),
    )
    return ANSWERED


def _save(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise SuanliError(f"--svg: cannot write {path}: {exc.strerror or exc}") from None


def _data(drawn: Roofline, notes: list[str]) -> dict[str, Any]:
    found = attrs.asdict(drawn)
    return found | {"impossible": notes}


def _rows(drawn: Roofline) -> Rows:
    roofs = [
        {
            "kind": "roof",
            "label": r.label,
            "precision": r.precisions[0],
            "flops_per_byte": r.ridge_flops_per_byte,
            "flops_per_s": r.peak_flops_per_s,
        }
        for r in drawn.roofs
    ]
    points = [
        {
            "kind": "measured" if p.measured else "predicted",
            "label": p.label,
            "precision": p.precision,
            "flops_per_byte": p.flops_per_byte,
            "flops_per_s": p.flops_per_s,
            "roof_ratio": p.roof_ratio,
            "time_s": p.time_s,
        }
        for p in drawn.points
    ]
    return [*roofs, *points]


def _blocks(drawn: Roofline, notes: list[str], svg: str | None, columns: int) -> list[Block]:
    made: list[Block] = [
        Text(text=f"Roofline of {drawn.accelerator}", style="headline"),
        Text(text=roofline_text.draw(drawn, columns)),
        Table(
            columns=("peak", "", "ridge, FLOPs for a byte"),
            rows=tuple(
                (r.label, amount("_flops_per_s", r.peak_flops_per_s), intensity(r.ridge_flops_per_byte))
                for r in reversed(drawn.roofs)
            ),
            right=(1, 2),
            beside=False,
        ),
        Text(text=f"memory {amount('_bytes_per_s', drawn.bandwidth_bytes_per_s)}", style="note"),
    ]
    predicted = [p for p in drawn.points if not p.measured]
    if predicted:
        made.append(_operators(drawn, predicted))
    measured = [p for p in drawn.points if p.measured]
    if measured:
        made.append(_classes(measured))
    if drawn.left_out:
        made.append(Text(text=f"{drawn.left_out} not drawn: they multiply nothing, memory or links alone bound them",
                         style="note"))  # fmt: skip
    if notes:
        more = f" (and {len(notes) - 1} more)" if len(notes) > 1 else ""
        made.append(Text(text=f"{notes[0]}{more}", style="warning"))
    if svg is not None:
        made.append(Text(text=f"drawn in {svg}", style="note"))
    return made


def intensity(flops_per_byte: float) -> str:
    """FLOPs for a byte, to three digits."""
    return f"{flops_per_byte:,.0f}" if flops_per_byte >= 100.0 else f"{flops_per_byte:.3g}"


def _operators(drawn: Roofline, points: list[Point]) -> Table:
    names = roofline_text.letters(drawn.points)
    rows = tuple(
        (
            names.get(p.label, "*"),
            p.label,
            intensity(p.flops_per_byte),
            amount("_flops_per_s", p.flops_per_s),
            amount("_ratio", p.roof_ratio),
            amount("_s", p.time_s),
        )
        for p in points
    )
    columns = ("", "predicted", "FLOPs for a byte", "reaches", "of its roof", "one launch")
    return Table(columns=columns, rows=rows, right=(2, 3, 4, 5), keep=(0, 1))


def _classes(points: list[Point]) -> Table:
    groups: dict[tuple[str, str], list[Point]] = {}
    for p in points:
        groups.setdefault((p.group, p.precision), []).append(p)
    rows = []
    for (group, precision), members in groups.items():
        best = max(members, key=lambda p: p.flops_per_s)
        shares = sorted(p.roof_ratio for p in members)
        rows.append(
            (
                f"{roofline_text.MEASURED} {group}",
                precision,
                str(len(members)),
                amount("_flops_per_s", best.flops_per_s),
                amount("_ratio", shares[len(shares) // 2]),
                amount("_ratio", shares[-1]),
            )
        )
    columns = ("measured", "precision", "rows", "fastest", "of its roof, median", "best")
    return Table(columns=columns, rows=tuple(rows), right=(2, 3, 4, 5), keep=(0, 1))


command = Command(
    "roofline",
    callback=draw,
    params=[
        click.Argument(["accelerator"], shell_complete=names_of(["accelerator"])),
        Option(["--points"], type=click.Path(), metavar="FILE", help="Measurements to show under it (suanli bench)."),
        Option(
            ["--model"],
            metavar="NAME",
            help="Show the operators of this model under it, at their predicted times.",
            shell_complete=names_of(["model"]),
        ),
        Option(["--phase"], type=click.Choice(["prefill", "decode"]), help="Of the model; prefill by default."),
        Option(["--batch"], type=click.IntRange(1, 10**6), metavar="NUMBER", help="Sequences; 1 by default."),
        Option(
            ["--sequence"],
            type=click.IntRange(1, 10**8),
            metavar="NUMBER",
            help="Tokens of a prompt, or attended to in decode; 2048 by default.",
        ),
        Option(["--tensor"], type=click.IntRange(1, 65536), metavar="NUMBER", help="Ranks a layer is divided over."),
        Option(
            ["--precision"],
            metavar="NAME",
            help="Of weights and inputs; bf16 by default.",
            shell_complete=names_of(["precision"]),
        ),
        Option(["--svg"], type=click.Path(), metavar="FILE", help="Draw it in this file too."),
    ],
    help="""The roofline of an ACCELERATOR: what its peaks and its memory allow at so many FLOPs for a byte.

    Kernels lie under it: ○ measured, ● several, letters for a model's operators.
    """,
    examples=(
        "suanli roofline h100",
        "suanli roofline h100 --points measurements.csv --svg h100.svg",
        "suanli roofline 910b --model llama-3-70b --tensor 8 --phase decode --batch 64",
    ),
)
