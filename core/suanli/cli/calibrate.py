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
from suanli.calibration.results import HEAD, Calibrated, Calibration
from suanli.cli import calibrate_view as view
from suanli.cli import scatter
from suanli.cli.command import Command, Option, names_of
from suanli.cli.failures import ANSWERED
from suanli.cli.render import width, write
from suanli.errors import SuanliError, clip
from suanli.hardware import Accelerator, System
from suanli.measurement_schema import Measurement
from suanli.measurements import read_measurements


def run(**asked: Any) -> int:
    """Fit, write the file, and say how wrong the fit is."""
    accelerator = suanli.accelerator(asked["accelerator"])
    system = _system(accelerator, asked["system"])
    out = Path(asked["out"] or f"{accelerator.id}-calibration.toml")
    _ours(out)
    path = Path(asked["measurements"])
    rows = read_measurements(path, accelerator=accelerator, system=system)
    source = asked["source"] or _source(path, rows)
    made = _parallel(asked["jobs"], lambda pool: calibrate(rows, accelerator, source=source, system=system, run=pool))
    written = out if made.fits else None
    if written:
        _save(out, made.toml(), "--out")
    drawn = view.series(made)
    if asked["svg"] is not None and drawn:
        title = f"{accelerator.id}: rows not fitted, predicted against measured"
        _save(Path(asked["svg"]), scatter.svg(drawn, title), "--svg")
    exchanged = any(row.shape.kernel == "collective" for row in rows)
    assumed = system.id if system is not None and exchanged and asked["system"] is None else ""
    wide = 100 if asked["format"] == "markdown" else width()
    write(
        asked["format"],
        data=lambda: view.data(made, written),
        rows=lambda: view.rows(made),
        blocks=lambda: view.blocks(made, rows, path.name, written, svg=asked["svg"], width=wide, assumed=assumed),
    )
    return ANSWERED


def _system(accelerator: Accelerator, name: str | None) -> System | None:
    """The system that exchanges were measured on: the one named, or the accelerator's default."""
    if name is None:
        return suanli.system(accelerator.default_system) if accelerator.default_system else None
    found = suanli.system(name)
    if found.accelerator != accelerator.id:
        raise SuanliError(f"--system: {found.id} is a system of {found.accelerator}, not of {accelerator.id}")
    return found


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
        Option(
            ["--system"],
            metavar="ID",
            help="The system its exchanges were measured on; the accelerator's default system by default.",
            shell_complete=names_of(["system"]),
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
    help="""Fit an accelerator's models to MEASUREMENTS of it, as suanli bench writes them.

    Kernels are fitted by kind and precision, exchanges by the fabric of the system they cross. Rows that are too few
    are said, not fitted; rows that cannot be are refused by number. Says how wrong each fit is on rows it has not
    seen, and writes a catalog file of it. Needs scipy: pip install 'suanli[calibrate]'. See docs/measuring.md.
    """,
    examples=(
        "suanli calibrate measurements.csv --on h100",
        "suanli calibrate h100.csv --on h100 --system dgx-h100 --svg fit.svg",
        "suanli calibrate acme.csv --on acme-one --out acme-calibration.toml --source 'Acme lab, run 12'",
    ),
)
