"""``suanli calibrate``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click

import suanli
from suanli.calibration.calibrating import calibrate
from suanli.calibration.records import Errors
from suanli.calibration.results import HEAD, Calibrated, Calibration
from suanli.cli import scatter
from suanli.cli.amounts import amount
from suanli.cli.blocks import Block, Table, Text
from suanli.cli.command import Command, Option, names_of
from suanli.cli.failures import ANSWERED
from suanli.cli.render import width, write
from suanli.errors import SuanliError, clip
from suanli.measurement_schema import Measurement
from suanli.measurements import read_measurements


def run(**asked: Any) -> int:
    """Fit, write the file, and say how wrong the fit is."""
    accelerator = suanli.accelerator(asked["accelerator"])
    system = suanli.system(accelerator.default_system) if accelerator.default_system else None
    out = Path(asked["out"] or f"{accelerator.id}-calibration.toml")
    _ours(out)
    path = Path(asked["measurements"])
    rows = read_measurements(path, accelerator=accelerator, system=system)
    source = asked["source"] or _source(path, rows)
    made = _parallel(asked["jobs"], lambda pool: calibrate(rows, accelerator, source=source, run=pool))
    written = any(c.fit is not None for c in made.classes)
    if written:
        _save(out, made.toml(), "--out")
    drawn = _series(made)
    if asked["svg"] is not None and drawn:
        title = f"{accelerator.id}: rows not fitted, predicted against measured"
        _save(Path(asked["svg"]), scatter.svg(drawn, title), "--svg")
    write(
        asked["format"],
        data=lambda: _data(made, out if written else None),
        rows=lambda: [_row(c) for c in made.classes],
        blocks=lambda: _blocks(made, out if written else None, path, asked, rows),
    )
    return ANSWERED


def _ours(path: Path) -> None:
    """Refuse to replace a file that another hand wrote, and a place there is none, before a fit takes its time."""
    if not path.parent.is_dir():
        raise SuanliError(f"--out: no folder {path.parent}")
    if not path.exists():
        return
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            first = file.readline()
    except OSError as exc:
        raise SuanliError(f"--out: cannot read {path}: {exc.strerror or exc}") from None
    if HEAD not in first:
        raise SuanliError(f"--out: {path} is there and was not written by suanli calibrate; name another file")


def _save(path: Path, text: str, option: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise SuanliError(f"{option}: cannot write {path}: {exc.strerror or exc}") from None


def _source(path: Path, rows: tuple[Measurement, ...]) -> str:
    """What the file says of itself."""
    said = [path.name]
    for values in ({r.device for r in rows}, {r.versions for r in rows}, {r.date[:10] for r in rows}):
        found = sorted(v for v in values if v)
        said += [f"{found[0]} to {found[-1]}" if len(found) > 2 else ", ".join(found)] if found else []
    return clip("; ".join(said), 300)


Run = Callable[..., Iterable[Calibrated]]


def _parallel(jobs: int | None, work: Callable[[Run], Calibration]) -> Calibration:
    """Classes side by side, a process each, where there are processors for it."""
    count = jobs or os.cpu_count() or 1
    if count == 1:
        return work(map)
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        return work(pool.map)


def _series(made: Calibration) -> list[scatter.Series]:
    """Rows not fitted, each as the rest predicts it."""
    return [
        scatter.Series(
            label=f"{c.kernel} {c.precision}",
            pairs=tuple((float(m), float(m / r)) for m, r in zip(c.held_out.measured, c.held_out.ratios, strict=True)),
        )
        for c in made.classes
        if c.held_out is not None
    ]


def _told(errors: Errors | None) -> dict[str, float | int | None]:
    if errors is None:
        return {"rows": 0, "median_error": None, "p90_error": None, "bias": None}
    told = {"median_error": errors.median, "p90_error": errors.p90, "bias": errors.bias}
    return {"rows": len(errors.ratios), **told}


def _data(made: Calibration, out: Path | None) -> dict[str, Any]:
    classes = [
        {
            "kernel": c.kernel,
            "precision": c.precision,
            "rows": c.rows,
            "how": c.how,
            "why": c.why,
            "before": _told(c.before),
            "fitted": _told(c.fitted),
            "held_out": _told(c.held_out),
            "figures": dict(zip(c.fit.names, c.fit.params, strict=True)) if c.fit else None,
        }
        for c in made.classes
    ]
    return {
        "accelerator": made.accelerator,
        "source": made.source,
        "date": made.date,
        "file": str(out) if out else None,
        "classes": classes,
        "left_out": dict(made.left_out),
    }


def _row(c: Calibrated) -> dict[str, Any]:
    found: dict[str, Any] = {"kernel": c.kernel, "precision": c.precision, "rows": c.rows, "how": c.how, "why": c.why}
    for name, errors in (("before", c.before), ("fitted", c.fitted), ("held_out", c.held_out)):
        found |= {f"{name}_{k}": v for k, v in _told(errors).items()}
    return found


def _blocks(
    made: Calibration, out: Path | None, path: Path, asked: dict[str, Any], rows: tuple[Measurement, ...]
) -> list[Block]:
    used = sum(c.rows for c in made.classes)
    said = f"{made.accelerator}: {used} of {len(rows)} rows of {path.name}"
    found: list[Block] = [Text(text=said, style="headline"), _table(made)]
    found.append(
        Text(text="error: predicted / measured - 1; bias: its median, above 0 where predicted slower; "
             "held out: rows predicted without them; before: what is predicted without this calibration", style="note")
    )  # fmt: skip
    found += [Text(text=f"{c.kernel} {c.precision} {c.how}: {c.why}", style="note") for c in made.classes]
    found += [Text(text=f"{n} rows not used: {reason}", style="note") for reason, n in made.left_out]
    devices = sorted({r.device for r in rows if r.device})
    if len(devices) > 1:
        text = f"rows of {len(devices)} devices, fitted as one: {clip(', '.join(devices), 200)}"
        found.append(Text(text=text, style="warning"))
    drawn = _series(made)
    if drawn:
        found.append(Text(text=scatter.draw(drawn, 100 if asked["format"] == "markdown" else width())))
    if asked["svg"] is not None and drawn:
        found.append(Text(text=f"drawn in {asked['svg']}", style="note"))
    if out is None:
        found.append(Text(text="nothing written: every class has too few rows", style="warning"))
        return found
    found.append(Text(text=f"source: {made.source}; fitted {made.date}", style="note"))
    found.append(Text(text=f"written: {out}. Ship it in a plugin, or put it into a folder of its own and name that in "
                      "SUANLI_PATH", style="good"))  # fmt: skip
    return found


def _table(made: Calibration) -> Table:
    def cells(errors: Errors | None) -> tuple[str, ...]:
        if errors is None:
            return "", "", ""
        bias = ("+" if errors.bias >= 0.0 else "") + amount("_ratio", errors.bias)
        return amount("_ratio", errors.median), amount("_ratio", errors.p90), bias

    return Table(
        columns=("kernel", "precision", "rows", "", "fit: median", "held out: median", "p90", "bias", "before: median"),
        rows=tuple(
            (
                c.kernel,
                c.precision,
                str(c.rows),
                c.how,
                cells(c.fitted)[0],
                *cells(c.held_out),
                cells(c.before)[0],
            )
            for c in made.classes
        ),
        right=(2, 4, 5, 6, 7, 8),
        keep=(0, 1, 3),
    )


command = Command(
    "calibrate",
    callback=run,
    params=[
        click.Argument(["measurements"], type=click.Path(), metavar="MEASUREMENTS"),
        Option(
            ["--on", "accelerator"],
            required=True,
            metavar="ID",
            help="The accelerator they were taken on.",
            shell_complete=names_of(["accelerator"]),
        ),
        Option(["--out"], type=click.Path(), metavar="FILE", help="Write here; ID-calibration.toml by default."),
        Option(
            ["--source"],
            metavar="TEXT",
            help="What the measurements are, kept with the figures; by default the file, device and dates.",
        ),
        Option(["--svg"], type=click.Path(), metavar="FILE", help="Draw predicted against measured in this file too."),
        Option(
            ["--jobs"],
            type=click.IntRange(1, 1024),
            metavar="NUMBER",
            help="Processes; as many as there are processors by default.",
        ),
    ],
    help="""Fit an accelerator's kernel models to MEASUREMENTS of it, as suanli bench writes them.

    Says how wrong the fit is on rows it has not seen, and writes a catalog file of it.
    Needs scipy: pip install 'suanli[calibrate]'. Exchanges are not fitted yet. See docs/measuring.md.
    """,
    examples=(
        "suanli calibrate measurements.csv --on h100",
        "suanli calibrate acme.csv --on acme-one --out acme-calibration.toml --source 'Acme lab, run 12'",
    ),
)
