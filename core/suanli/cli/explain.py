"""``suanli explain``."""

from __future__ import annotations

from typing import Any

import click

import suanli
from suanli.cli import report_view
from suanli.cli.amounts import amount
from suanli.cli.asking import SET, from_file, told
from suanli.cli.blocks import Block, Node, Rows, Table
from suanli.cli.command import Command, Option
from suanli.cli.render import write
from suanli.formulas import Derivation
from suanli.report import Report

DEPTH = 3


def explain(scenario: str, figure: str | None, changes: tuple[str, ...], depth: int, format: str) -> int:
    """Write the derivation of a figure, or which figures there are."""
    asked, names = from_file(scenario, changes)
    with told(names):
        if figure is None:
            report = suanli.estimate(asked)
            found = _known(report)
            write(format, data=lambda: found, rows=lambda: found, blocks=lambda: _listing(report, found))
            return 0
        derived = suanli.explain(asked, figure)
    write(
        format,
        data=lambda: derived.to_dict() | {"citations": list(derived.citations())},
        rows=lambda: _rows(derived, 0, depth),
        blocks=lambda: _blocks(derived, depth),
    )
    return 0


def _known(report: Report) -> Rows:
    return [
        {"figure": key, "value": value, "unit": report_view.unit_of(report, key)}
        for key, value in report_view.figures(report)
        if key in report.basis and isinstance(value, float)
    ]


def _listing(report: Report, found: Rows) -> list[Block]:
    rows = tuple((row["figure"], report_view.amount_of(report, row["figure"], row["value"])) for row in found)
    title = "Figures that can be explained"
    return [Table(title=title, columns=("figure", "value"), rows=rows, right=(1,), keep=(0, 1))]


def _rows(node: Derivation, depth: int, most: int) -> Rows:
    about: dict[str, Any] = {"depth": depth, "label": node.label or node.name, "formula": node.name}
    found = [about | {"value": node.value, "unit": node.unit, "source": node.source, "doc": node.doc}]
    if depth < most:
        for child in node.inputs:
            found += _rows(child, depth + 1, most)
    return found


def _blocks(derived: Derivation, depth: int) -> list[Block]:
    blocks: list[Block] = [_node(derived, depth, set())]
    sources = [s for s in derived.citations() if not s.startswith("definition")]
    if sources:
        rows = tuple((str(i), source) for i, source in enumerate(sources, 1))
        blocks.append(Table(title="Sources of the whole derivation", columns=("", ""), rows=rows))
    return blocks


def _node(node: Derivation, depth: int, told: set[str]) -> Node:
    """A node and those below; a formula is described where it is first met."""
    label = node.label or node.name
    value = "confidential" if node.value is None else amount(label, node.value, node.unit)
    formula = f" = {node.name}" if node.label and node.label != node.name and node.unit else ""
    said = [node.doc] if node.doc and node.name not in told else []
    if node.source and not node.source.startswith("definition") and node.name not in told:
        said.append(f"[{node.source}]")
    told.add(node.name)
    cut = bool(node.inputs) and (depth <= 0 or node.value == 0.0)
    below = () if cut else tuple(_node(child, depth - 1, told) for child in node.inputs)
    return Node(text=f"{label}{formula}  {value}{' …' if cut else ''}", note=" ".join(said), children=below)


command = Command(
    "explain",
    callback=explain,
    params=[
        click.Argument(["scenario"], type=click.Path(), metavar="SCENARIO.TOML"),
        click.Argument(["figure"], required=False),
        Option(
            ["--depth"], type=click.IntRange(min=0, max=100), default=DEPTH, show_default=True, help="Levels to show."
        ),
        SET,
    ],
    help="""How a FIGURE of a scenario's report came about: formulas, inputs, and the sources of each.

    Without FIGURE, the figures there are. JSON always has every level.
    """,
    examples=(
        "suanli explain scenario.toml",
        "suanli explain scenario.toml time.step_s",
        "suanli explain scenario.toml memory.activations_bytes --depth 5 --set layout.tensor=4",
    ),
)
