"""``suanli rule``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
import click

import suanli
from suanli import units
from suanli.cli.amounts import amount, measure_of
from suanli.cli.blocks import Block, Table, Text
from suanli.cli.command import Command, names_of
from suanli.cli.render import write
from suanli.errors import InvalidInputError
from suanli.rule_inputs import SUBJECTS, subjects_of
from suanli.rule_kinds import choices, is_list
from suanli.rulebook import Answer, Rule, UsualError


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
    parameters = suanli.catalog().get("rule", name).parameters
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip().replace("-", "_")
        if not equals:
            faults.append(f"{text!r}: expected KEY=VALUE, such as tokens=1.4T")
            continue
        try:
            found[key] = _value(key, value.strip(), str(parameters[key].annotation) if key in parameters else "")
        except units.QuantityError as exc:
            faults.append(f"{key}: {exc}")
    if faults:
        raise InvalidInputError(faults, f"rule {name}")
    return found


def _value(key: str, text: str, kind: str) -> Any:
    """An input as its parameter takes it: a name, a truth value, a number, or several of them between commas."""
    if kind == "bool" or key == "sparse":
        truth = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(text.lower())
        if truth is None:
            raise units.QuantityError(f"expected true or false, got {text!r}")
        return truth
    names = any(isinstance(c, str) for c in choices(kind)) or "str" in kind or (key in SUBJECTS and not kind)
    one: Callable[[str], Any] = str if names else lambda t: _number(key, t)
    several = is_list(kind) or ("," in text and (not names or key not in SUBJECTS))
    return [one(t.strip()) for t in text.split(",")] if several else one(text)


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
    parameters = asked.parameters
    inputs = {k: None if p.default is inspect.Parameter.empty else p.default for k, p in parameters.items()}
    return {
        "rule": asked.name,
        "aliases": list(asked.aliases),
        "formula": asked.formula,
        "unit": asked.unit,
        "inputs": inputs,
        "valid_for": asked.valid_for,
        "source": asked.source,
        "compared_with": asked.exact_by,
        "usual_error": None if asked.usual_error is None else attrs.asdict(asked.usual_error),
        "cases": list(asked.cases),
    }


def _listing(found: list[dict[str, Any]]) -> list[Block]:
    rows = tuple((r["rule"], r["formula"], ", ".join(r["inputs"])) for r in found)
    return [
        Table(title="Rules of thumb", columns=("rule", "formula", "inputs"), rows=rows, keep=(0, 1)),
        Text(text="suanli rule NAME says what it gives, when it holds and who states it", style="note"),
    ]


def _description(asked: Rule) -> list[Block]:
    inputs = ", ".join(_input(k, p) for k, p in asked.parameters.items())
    told = list(asked.readable)
    doc = inspect.getdoc(asked.function) or ""
    rows = [
        ("formula", asked.formula),
        ("gives", asked.unit),
        ("by default", "" if _required(asked) else _shown(asked.name, asked().value, asked.unit)),
        ("inputs", inputs),
        ("can be read", f"{', '.join(told)}: from {_subjects(asked.readable.values())}" if told else ""),
        ("holds for", asked.valid_for),
        ("compared with", asked.exact_by),
        ("usual error", _usual(asked.usual_error)),
        ("source", asked.source),
    ]
    title = f"{asked.name}: {doc.partition(chr(10))[0]}" if doc else asked.name
    return [Text(text=title, style="headline"), Table(columns=("", ""), rows=tuple(r for r in rows if r[1]))]


def _required(asked: Rule) -> bool:
    """Whether the rule has an input without a default, or reads what it says from what it is asked with."""
    parameters = inspect.signature(asked.function).parameters.values()
    return any(p.default is inspect.Parameter.empty for p in parameters)


def _input(key: str, parameter: inspect.Parameter) -> str:
    """An input with the values it takes, where they are few, and its default."""
    said = " | ".join(map(str, choices(parameter.annotation)))
    default = "" if parameter.default is inspect.Parameter.empty else _shown(key, parameter.default)
    inside = ", default ".join(t for t in (said, default) if t) if said else default
    return f"{key} ({inside})" if inside else key


def _subjects(names: Iterable[str]) -> str:
    known = subjects_of(names)
    subjects = [s for s in SUBJECTS if s in known]
    return ", ".join(f"{s}=" for s in subjects)


def _usual(error: UsualError | None) -> str:
    if error is None:
        return ""
    return f"{error.median:+.0%} ({error.low:+.0%} to {error.high:+.0%}, p10 to p90) over {error.count} {error.over}"


def _shown(key: str, value: Any, unit: str | None = None) -> str:
    """A value as a person reads it, whatever it is made of."""
    if isinstance(value, (list, tuple)):
        units_of = unit.split(", ") if unit else []
        each = units_of if len(units_of) == len(value) else [unit] * len(value)
        return ", ".join(_shown(key, v, u) for v, u in zip(value, each, strict=True))
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_shown(k, v)}" for k, v in value.items())
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "—" if value is None else str(value)
    return amount(key, value) if unit is None else amount(key, value, unit)


def _answer(answer: Answer) -> list[Block]:
    given = ", ".join(f"{k} {_shown(k, v)}" for k, v in answer.inputs.items() if k not in answer.looked_up)
    read: dict[str, list[str]] = {}
    for key, whose in answer.looked_up.items():
        secret = answer.inputs[key] is None
        read.setdefault(whose, []).append(f"{key} {'confidential' if secret else _shown(key, answer.inputs[key])}")
    rows = [("formula", answer.formula), ("with", given)]
    rows += [(f"of {whose}", ", ".join(found)) for whose, found in read.items()]
    if answer.exact is not None:
        off = _shown_difference(answer.difference_ratio)
        rows.append(("suanli's figure", f"{_shown(answer.rule, answer.exact, answer.unit)}{off}  [{answer.exact_by}]"))
    rows += [
        ("usual error", _usual(answer.usual_error)),
        ("holds for", answer.valid_for),
        ("source", answer.source),
    ]
    said = _shown(answer.rule, answer.value, answer.unit)
    blocks: list[Block] = [Text(text=f"{answer.rule}: {said}", style="headline")]
    blocks.append(Table(columns=("", ""), rows=tuple(r for r in rows if r[1])))
    return blocks + [Text(text=note, style="note") for note in answer.notes]


def _shown_difference(difference: Any) -> str:
    """How far the rule lies from the estimator's figure."""
    if difference is None:
        return ""
    parts = difference if isinstance(difference, list) else [difference]
    return "; the rule is " + ", ".join("—" if d is None else f"{d:+.1%}" for d in parts) + " off"


def _row(answer: Answer) -> dict[str, Any]:
    row = {"rule": answer.rule, "value": answer.value, "unit": answer.unit, "exact": answer.exact}
    return row | {"difference_ratio": answer.difference_ratio} | dict(answer.inputs)


command = Command(
    "rule",
    callback=rule,
    params=[
        click.Argument(["name"], required=False, shell_complete=names_of(["rule"])),
        click.Argument(["inputs"], nargs=-1, metavar="[KEY=VALUE]..."),
    ],
    help="""Rules of thumb: without a name, all of them; with a name, what it takes; with inputs, its answer.

    Values take units: tokens=1.4T peak_flops_per_s="312 TFLOP/s" mfu=45%. With model=, system=, accelerator= or
    precision=, what is not given is read from them, and the estimator's own figure stands beside the rule's.
    """,
    examples=(
        "suanli rule",
        "suanli rule kv-cache",
        "suanli rule kv-cache model=llama-3-8b sequence=2048",
        "suanli rule training-flops params=65B tokens=1.4T",
        "suanli rule training-time params=65B tokens=1.4T accelerators=2048 peak_flops_per_s=312T mfu=50%",
    ),
)
