"""``suanli compare``."""

from __future__ import annotations

from pathlib import Path

import click

import suanli
from suanli.cli.amounts import amount
from suanli.cli.asking import SET, from_file, told
from suanli.cli.blocks import Block, Rows, Table, Text
from suanli.cli.command import Command, Option, names_of
from suanli.cli.compare_view import device_blocks, device_facts
from suanli.cli.failures import ANSWERED, DOES_NOT_FIT
from suanli.cli.render import width, write
from suanli.cli.report_view import amount_of, figures, unit_of
from suanli.errors import InvalidInputError, SuanliError, UnknownNameError
from suanli.report import Report

HEADLINES = (
    "memory.fits",
    "memory.total_bytes",
    "memory.capacity_bytes",
    "time.step_s",
    "throughput.tokens_per_s",
    "throughput.mfu_ratio",
    "serving.ttft_s",
    "serving.tpot_s",
    "serving.output_tokens_per_s",
    "serving.requests_per_s",
    "serving.max_concurrency",
    "serving.bound",
    "serving.cost_per_hour",
    "serving.cost_per_million_output_tokens",
    "serving.energy_per_output_token_j",
    "run.duration_s",
    "run.accelerator_hours",
    "run.energy_j",
    "run.cost",
)


def compare(names: tuple[str, ...], sources: bool, sparse: bool, changes: tuple[str, ...], format: str) -> int:
    """Write accelerators, or the reports of scenario files, side by side."""
    files = [n for n in names if _is_file(n)]
    if not files:
        if changes:
            raise click.UsageError("--set: changes scenario files; accelerators have none")
        return _devices(names, sources, sparse, format)
    if len(files) < len(names):
        other = next(n for n in names if n not in files)
        raise click.UsageError(f"compare scenario files, or accelerators, not both: {other!r} is no scenario file")
    return _reports(files, changes, format)


def _is_file(name: str) -> bool:
    try:
        return name.lower().endswith((".toml", ".json")) or Path(name).is_file()
    except OSError:
        return False


def _devices(names: tuple[str, ...], sources: bool, sparse: bool, format: str) -> int:
    facts, faults = [], []
    catalog = suanli.catalog()
    for name in names:
        try:
            facts.append(device_facts(catalog, name))
        except UnknownNameError as exc:
            faults.append(str(exc))
    if faults:
        raise InvalidInputError(faults)
    room = None if format == "markdown" else width()
    write(
        format,
        data=lambda: [f.data for f in facts],
        rows=lambda: [f.row() for f in facts],
        blocks=lambda: device_blocks(facts, sources=sources, sparse=sparse, room=room),
    )
    return ANSWERED


def _reports(files: list[str], changes: tuple[str, ...], format: str) -> int:
    reports: list[tuple[str, Report]] = []
    faults: list[str] = []
    for file in files:
        try:
            scenario, names = from_file(file, changes)
            with told(names):
                reports.append((file, suanli.estimate(scenario)))
        except InvalidInputError as exc:
            faults += [f"{exc.where or file}: {e}" for e in exc.errors]
        except SuanliError as exc:
            faults.append(f"{file}: {exc}")
    if faults:
        raise InvalidInputError(faults)
    write(
        format,
        data=lambda: [{"scenario": file, "report": report.to_dict()} for file, report in reports],
        rows=lambda: _rows(reports),
        blocks=lambda: _blocks(reports),
    )
    return ANSWERED if any(report.fits for _, report in reports) else DOES_NOT_FIT


def _rows(reports: list[tuple[str, Report]]) -> Rows:
    columns = {file: dict(figures(report)) for file, report in reports}
    keys = dict.fromkeys(k for found in columns.values() for k in found if not k.startswith("memory.stages."))
    unit = {k: next((unit_of(r, k) for f, r in reports if k in columns[f]), "") for k in keys}
    return [{"figure": k, "unit": unit[k]} | {f: columns[f].get(k) for f in columns} for k in keys]


def _blocks(reports: list[tuple[str, Report]]) -> list[Block]:
    names = [Path(file).stem for file, _ in reports]
    if len(set(names)) < len(names):
        names = [file for file, _ in reports]
    layouts = [r.layout.to_dict() for _, r in reports]
    systems = [r.scenario["system"] for _, r in reports]
    models = [r.scenario["model"] for _, r in reports]
    rows = [
        ("model", *(str(m.get("name") or m.get("family") or m.get("config")) for m in models)),
        ("system", *(f"{s['accelerators']} of {s['name']}" for s in systems)),
    ]
    for field in layouts[0]:
        cells = [amount("count", x.get(field, 1)) for x in layouts]
        if len(set(cells)) > 1 or cells[0] not in ("1", "none", "no"):
            rows.append((field.replace("_", " "), *cells))
    strong = len(rows)
    for key in HEADLINES:
        cells = [amount_of(r, key, dict(figures(r)).get(key)) for _, r in reports]
        if any(c != "—" for c in cells):
            rows.append((key, *cells))
    right = tuple(range(1, len(names) + 1))
    blocks: list[Block] = [Table(columns=("", *names), rows=tuple(rows), right=right, strong=(strong,))]
    for name, (_, report) in zip(names, reports, strict=True):
        for problem in report.problems:
            if problem.severity != "note":
                style = "bad" if problem.severity == "error" else "warning"
                blocks.append(Text(text=f"{name}: {problem.message}", style=style))
    return blocks


command = Command(
    "compare",
    callback=compare,
    params=[
        click.Argument(
            ["names"], nargs=-1, required=True, metavar="NAME...", shell_complete=names_of(["accelerator", "system"])
        ),
        Option(["--sources"], is_flag=True, help="Say where each group of figures is stated."),
        Option(["--sparse"], is_flag=True, help="Show peaks with structured sparsity too."),
        SET,
    ],
    help="""Accelerators side by side: peaks, memory, links, power, price. Or the reports of scenario files.

    NAME is an accelerator, a system (its accelerator and its network), or a scenario file.
    Exit status 1 when no scenario fits.
    """,
    examples=(
        "suanli compare a100 h100 910b",
        "suanli compare h100 b200 --sparse",
        "suanli compare dgx-h100 atlas-800t-a2 --sources",
        "suanli compare before.toml after.toml",
        "suanli compare a100 h100 --format csv",
    ),
)
