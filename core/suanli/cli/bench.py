"""``suanli bench``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import click

import suanli
from suanli.bench import grids, timing
from suanli.bench.device import About, Device
from suanli.bench.running import Outcome, Progress, run
from suanli.bench.shapes import shapes_of_file, shapes_of_model
from suanli.bench.writing import MeasurementFile
from suanli.cli import bench_view as view
from suanli.cli.command import Command, Option, names_of
from suanli.cli.failures import ANSWERED
from suanli.cli.render import write
from suanli.errors import near
from suanli.hardware import Accelerator, System
from suanli.measurement_schema import Measurement, Shape
from suanli.measurements import read_measurements
from suanli.workspace import default

INTERRUPTED = 130
OUT = "measurements.csv"
DTYPES = ("bf16", "fp16", "tf32", "fp32", "fp8", "int8")


def bench(**asked: Any) -> int:
    """Measure what is asked for, compare it where that is asked for, and write both."""
    against = _against(asked["compare"])
    if asked["rows"] is not None:
        if against is None:
            raise click.UsageError("--from: reads a file to compare; say with what by --compare ID")
        rows = read_measurements(asked["rows"])
        return _compared(rows, against, asked["format"], Path(asked["rows"]))
    if asked["shapes"] is not None and asked["model"] is not None:
        raise click.UsageError("give --shapes or --model, not both")
    if asked["tensor"] is not None and asked["model"] is None:
        raise click.UsageError("--tensor: divides the layers of a model; name one by --model")
    kinds, precisions = _list(asked, "kinds", grids.KINDS), _list(asked, "dtype", DTYPES)
    device = open_device(asked["device"])
    devices: dict[str, Device] = {"": device}
    try:
        shapes, notes = _shapes(asked, device.about, kinds, precisions)
        if any(s.kernel == "collective" for s in shapes):
            devices["collective"] = open_ranks(device.about)
        outcome, rows = _measure(asked, shapes, devices)
    finally:
        for one in devices.values():
            one.close()
    write(
        asked["format"],
        data=lambda: view.data(outcome, rows, against),
        rows=lambda: view.rows(rows),
        blocks=lambda: view.blocks(outcome, rows, device.about, Path(asked["out"]), against, notes),
    )
    return INTERRUPTED if outcome.stopped else ANSWERED


def open_device(name: str | None) -> Device:
    """The device to measure on, through torch."""
    from suanli.bench.torch_device import TorchDevice

    return TorchDevice(name)


def open_ranks(about: About) -> Device:
    """Groups of such devices."""
    from suanli.bench.collectives import Ranks

    return Ranks(about)


def _against(name: str | None) -> tuple[Accelerator, System | None] | None:
    """The accelerator and its default system to compare with."""
    if name is None:
        return None
    accelerator = suanli.accelerator(name)
    system = suanli.system(accelerator.default_system) if accelerator.default_system else None
    return accelerator, system


def _list(asked: dict[str, Any], option: str, known: Sequence[str]) -> tuple[str, ...]:
    """The words of an option that takes several; all wrong ones are told at once."""
    words = tuple(w.strip().lower() for w in (asked[option] or "").split(",") if w.strip())
    wrong = [w for w in words if w not in known]
    if wrong:
        close = [c for w in wrong for c in near(w, known)]
        meant = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
        said = ", ".join(map(repr, wrong))
        raise click.UsageError(f"--{option}: no such thing as {said}; choose from {', '.join(known)}.{meant}")
    return words


def _numbers(asked: dict[str, Any], option: str) -> tuple[int, ...]:
    words = [w.strip() for w in (asked[option] or "").split(",") if w.strip()]
    wrong = [w for w in words if not w.isascii() or not w.isdigit() or not 1 <= int(w) <= 65536]
    if wrong:
        raise click.UsageError(f"--{option}: expected whole numbers such as 2,4,8; got {', '.join(map(repr, wrong))}")
    return tuple(map(int, words))


def _shapes(
    asked: dict[str, Any], about: About, kinds: tuple[str, ...], precisions: tuple[str, ...]
) -> tuple[tuple[Shape, ...], list[str]]:
    """What to measure, and what a reader should know of it."""
    offered = precisions or about.precisions
    ranks = _numbers(asked, "ranks") or about.ranks
    notes: list[str] = []
    if asked["shapes"] is not None:
        found = shapes_of_file(asked["shapes"])
        found = tuple(s for s in found if s.kernel in (kinds or (s.kernel,)))
        labels = {grids.LABELS.get(p, p) for p in precisions}
        return tuple(s for s in found if not labels or s.precision in labels), notes
    if asked["model"] is not None:
        of_model = shapes_of_model(
            default().catalog(),
            suanli.model(asked["model"]),
            tensor=_numbers(asked, "tensor"),
            precisions=precisions or ("bf16",),
            kinds=kinds or grids.KINDS,
        )
        notes.append(f"{asked['model']} over {', '.join(map(str, of_model.degrees))} tensor ranks")
        if of_model.left_out:
            notes.append(f"not measured here: {', '.join(of_model.left_out)}")
        return of_model.shapes, notes
    if "collective" in kinds and not ranks:
        notes.append(f"collectives need more than the one {about.kind} device there is")
    return grids.default_shapes(kinds or grids.KINDS, offered, ranks, quick=asked["quick"]), notes


def _measure(
    asked: dict[str, Any], shapes: tuple[Shape, ...], devices: dict[str, Device]
) -> tuple[Outcome, tuple[Measurement, ...]]:
    """What came of measuring the shapes, and every row of them the file has."""
    file = MeasurementFile(asked["out"])
    try:
        effort = timing.QUICK if asked["quick"] else timing.FULL
        with _progress() as progress:
            outcome = run(shapes, devices, file, effort, progress=progress)
    finally:
        file.close()
    wanted, names = set(shapes), {d.about.name for d in devices.values()}
    known = [m for m in file.known if m.shape in wanted and m.device in names]
    return outcome, (*known, *outcome.measured)


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """A bar on the terminal; nothing where there is none."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(30), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, of, shape: bar.update(task, completed=done, total=of, description=str(shape))


def _compared(
    rows: tuple[Measurement, ...], against: tuple[Accelerator, System | None], format: str, path: Path
) -> int:
    write(
        format,
        data=lambda: view.comparison_data(rows, against),
        rows=lambda: [attrs.asdict(c) for c in view.comparison(rows, against).classes],
        blocks=lambda: view.comparison_blocks(rows, against, path),
    )
    return ANSWERED


command = Command(
    "bench",
    callback=bench,
    params=[
        Option(["--quick"], is_flag=True, help="A tenth of the shapes, with fewer repeats: a minute or two."),
        Option(
            ["--kinds"],
            metavar="KIND[,...]",
            help=f"Of {', '.join(grids.KINDS)}; all by default.",
        ),
        Option(["--dtype"], metavar="NAME[,...]", help=f"Of {', '.join(DTYPES)}; what the device offers by default."),
        Option(["--device"], metavar="NAME", help="cuda, cuda:1, npu, cpu; the first accelerator by default."),
        Option(
            ["--out"],
            type=click.Path(),
            default=OUT,
            show_default=True,
            metavar="FILE",
            help="Where rows are written; rows it has already are not measured again.",
        ),
        Option(["--shapes"], type=click.Path(), metavar="FILE", help="Measure the shapes of this CSV file instead."),
        Option(
            ["--model"],
            metavar="NAME",
            help="Measure what this model launches instead.",
            shell_complete=names_of(["model"]),
        ),
        Option(["--tensor"], metavar="NUMBER[,...]", help="Ranks the model is divided over; 1, 2, 4, 8 by default."),
        Option(["--ranks"], metavar="NUMBER[,...]", help="Sizes of groups for collectives; all there are by default."),
        Option(
            ["--compare"],
            metavar="ID",
            help="Also set the rows against what is predicted for this accelerator.",
            shell_complete=names_of(["accelerator"]),
        ),
        Option(["--from", "rows"], type=click.Path(), metavar="FILE", help="Compare these rows, and measure nothing."),
    ],
    help="""Measure kernels and exchanges on this machine's device, through torch, into a CSV file.

    Needs torch: pip install 'suanli[bench]'. Ctrl-C stops with every row so far in the file;
    the same command goes on from there. docs/measuring.md says what the columns mean.
    """,
    examples=(
        "suanli bench --quick",
        "suanli bench --kinds gemm,attention --dtype bf16,fp8 --out h100.csv",
        "suanli bench --model llama-3-70b --tensor 8 --compare h100",
        "suanli bench --from h100.csv --compare h100 --format markdown",
    ),
)
