"""``suanli rule``."""

from __future__ import annotations

import inspect
from typing import Any

import click

import suanli
from suanli import units
from suanli.cli.amounts import amount, measure_of
from suanli.cli.blocks import Block, Table, Text
from suanli.cli.command import Command, names_of
from suanli.cli.render import write
from suanli.errors import InvalidInputError
from suanli.rulebook import Answer, Rule


def rule(name: str | None, inputs: tuple[str, ...], format: str) -> int:
    """List the rules, describe one, or ask it."""
    if name is None:
        found = [_about(r) for r in suanli.rules()]
        write(format, data=lambda: found, rows=lambda: found, blocks=lambda: _listing(found))
    elif not inputs:
        asked: Rule = suanli.catalog().get("rule", name)
        write(format, data=lambda: _about(asked), rows=lambda: [_about(asked)], blocks=lambda: _description(asked))
    else:
        answer = suanli.rule(name, **_inputs(name, inputs))
        write(format, data=answer.to_dict, rows=lambda: [_row(answer)], blocks=lambda: _answer(answer))
    return 0


def _inputs(name: str, texts: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    faults = []
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip().replace("-", "_")
        if not equals:
            faults.append(f"{text!r}: expected KEY=VALUE, such as tokens=1.4T")
            continue
        try:
            found[key] = _number(key, value)
        except units.QuantityError as exc:
            faults.append(f"{key}: {exc}")
    if faults:
        raise InvalidInputError(faults, f"rule {name}")
    return found


def _number(key: str, text: str) -> float:
    """A number as the name of an input has it: with the unit the name ends in, else a count or a ratio."""
    dimension = measure_of(key)[0]
    if dimension == "count" and text.strip().endswith("%"):
        dimension = "ratio"
    try:
        return float(units.parse(float(text), dimension))
    except (ValueError, units.QuantityError):
        return float(units.parse(text, dimension))


def _about(asked: Rule) -> dict[str, Any]:
    parameters = inspect.signature(asked.function).parameters
    inputs = {k: None if p.default is inspect.Parameter.empty else p.default for k, p in parameters.items()}
    return {
        "rule": asked.name,
        "aliases": list(asked.aliases),
        "formula": asked.formula,
        "unit": asked.unit,
        "inputs": inputs,
        "valid_for": asked.valid_for,
        "source": asked.source,
    }


def _listing(found: list[dict[str, Any]]) -> list[Block]:
    rows = tuple((r["rule"], r["formula"], ", ".join(r["inputs"])) for r in found)
    return [
        Table(title="Rules of thumb", columns=("rule", "formula", "inputs"), rows=rows, keep=(0, 1)),
        Text(text="suanli rule NAME says what it gives, when it holds and who states it", style="note"),
    ]


def _description(asked: Rule) -> list[Block]:
    inputs = ", ".join(k if v is None else f"{k} ({v:g})" for k, v in _about(asked)["inputs"].items())
    doc = inspect.getdoc(asked.function) or ""
    rows = (
        ("formula", asked.formula),
        ("gives", asked.unit),
        ("inputs", inputs),
        ("holds for", asked.valid_for),
        ("source", asked.source),
    )
    title = f"{asked.name}: {doc.partition(chr(10))[0]}" if doc else asked.name
    return [Text(text=title, style="headline"), Table(columns=("", ""), rows=rows)]


def _answer(answer: Answer) -> list[Block]:
    given = ", ".join(f"{k} {amount(k, v)}" for k, v in answer.inputs.items())
    rows = (("formula", answer.formula), ("with", given), ("holds for", answer.valid_for), ("source", answer.source))
    said = amount(answer.rule, answer.value, answer.unit)
    return [Text(text=f"{answer.rule}: {said}", style="headline"), Table(columns=("", ""), rows=rows)]


def _row(answer: Answer) -> dict[str, Any]:
    return {"rule": answer.rule, "value": answer.value, "unit": answer.unit} | dict(answer.inputs)


command = Command(
    "rule",
    callback=rule,
    params=[
        click.Argument(["name"], required=False, shell_complete=names_of(["rule"])),
        click.Argument(["inputs"], nargs=-1, metavar="[KEY=VALUE]..."),
    ],
    help="""Rules of thumb: without a name, all of them; with a name, what it takes; with inputs, its answer.

    Values take units: tokens=1.4T peak_flops_per_s="312 TFLOP/s" mfu=45%.
    """,
    examples=(
        "suanli rule",
        "suanli rule kv-cache",
        "suanli rule training-flops params=65B tokens=1.4T",
        "suanli rule training-time params=65B tokens=1.4T accelerators=2048 peak_flops_per_s=312T mfu=50%",
    ),
)
