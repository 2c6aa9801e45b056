"""The JSON Schema of scenario and report, derived from the value classes; no field is listed here."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from typing import Any

import attrs

from suanli import report
from suanli.layout import Layout
from suanli.report import SCHEMA_VERSION, MemoryParts, Report
from suanli.serialize import DIMENSIONS
from suanli.specs import EXACTLY_ONE, MOST_CHOICES, SECTIONS, Scenario
from suanli.workload import KINDS, Pretrain

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
COMPARISONS = {">": "exclusiveMinimum", ">=": "minimum", "<": "exclusiveMaximum", "<=": "maximum"}
PLAIN: dict[Any, str] = {int: "integer", float: "number", str: "string", bool: "boolean"}


def schema(axes: tuple[str, ...] = ()) -> Schema:
    """The JSON Schema (draft 2020-12) of a scenario or a report, each also under ``$defs``.

    Args:
        axes: Layout fields that plugins add.
    """
    definitions: dict[str, Schema] = {"scenario": _scenario(axes), "report": {}}
    definitions["report"] = _report(definitions)
    return {
        "$schema": DIALECT,
        "$id": f"urn:suanli:schema:{SCHEMA_VERSION}",
        "title": "suanli: a scenario, or the report on it",
        "anyOf": [{"$ref": "#/$defs/scenario"}, {"$ref": "#/$defs/report"}],
        "$defs": definitions,
    }


def _scenario(axes: tuple[str, ...]) -> Schema:
    properties: dict[str, Schema] = {}
    for section in attrs.fields(Scenario):
        if section.name == "workload":
            properties[section.name] = {"anyOf": [_workload(kind, cls) for kind, cls in KINDS.items()]}
        elif section.name in EXACTLY_ONE:
            properties[section.name] = _one_of(SECTIONS[section.name], EXACTLY_ONE[section.name])
        else:
            properties[section.name] = _table(SECTIONS[section.name], _settings(SECTIONS[section.name]))
    degree = _choice({"least": 1, "most": None, "values": ()})
    properties["layout"]["properties"] |= {axis: _or_null(degree) for axis in axes}
    required = [f.name for f in attrs.fields(Scenario) if f.default is attrs.NOTHING]
    return _table(Scenario, properties) | {"required": required}


def _workload(kind: str, cls: type[Any]) -> Schema:
    known = _table(cls, {"kind": {"const": kind}} | _settings(cls))
    if cls is Pretrain:  # the kind of a workload that names none
        known["properties"]["kind"] = {"enum": [kind, None]}
        return known
    return known | {"required": ["kind"]}


def _one_of(cls: type[Any], ways: tuple[str, ...]) -> Schema:
    """A section that is given in exactly one of several ways; a family's other keys are its own."""
    settings = _settings(cls)
    variants = []
    for way in ways:
        found = _table(cls, settings | {w: {"type": "null"} for w in ways if w != way} | {way: _given(settings[way])})
        found["required"] = [way]
        if way == "family":
            found["additionalProperties"] = True
        variants.append(found)
    return {"description": _summary(cls), "anyOf": variants}


def _given(setting: Schema) -> Schema:
    kept = [s for s in setting["anyOf"] if s != {"type": "null"}]
    rest = {k: v for k, v in setting.items() if k != "anyOf"}
    return rest | (kept[0] if len(kept) == 1 else {"anyOf": kept})


def _settings(cls: type[Any]) -> dict[str, Schema]:
    """The schema of each field of a section that a file may hold; null is the same as left out."""
    hints = typing.get_type_hints(cls, include_extras=True)
    found = {}
    for field in attrs.fields(cls):
        if "help" not in field.metadata:
            continue
        if "values" in field.metadata:
            made = _choice(field.metadata)
        elif hints[field.name] is Any:
            made = {"anyOf": [{"type": "string"}, {"type": "object"}]}
        else:
            made = _value(_bare(hints[field.name]), _limits(field.validator))
        found[field.name] = {"description": field.metadata["help"]} | _or_null(made)
    return found


def _value(type_: Any, limits: Schema) -> Schema:
    """A number, a text or a truth; a quantity may be written with its unit."""
    dimension = DIMENSIONS.get(type_)
    if dimension is None:
        return {"type": PLAIN[type_]} | limits
    number = "integer" if typing.get_args(type_)[0] is int else "number"
    text = {"type": "string", "description": f"{dimension}, with a unit"}
    return {"anyOf": [{"type": number} | limits, text]}


def _choice(rule: Mapping[str, Any]) -> Schema:
    """A layout field: one value, or a list of them to search over."""
    values = rule["values"]
    one: Schema = {"type": "integer", "minimum": rule["least"]}
    if rule.get("most"):
        one["maximum"] = rule["most"]
    if values == ("bool",):
        one = {"type": "boolean"}
    elif values:
        one = {"type": "string"} if values == ("*",) else {"enum": list(values)}
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1, "maxItems": MOST_CHOICES}]}


def _or_null(made: Schema) -> Schema:
    ways = made["anyOf"] if list(made) == ["anyOf"] else [made]
    return {"anyOf": [*ways, {"type": "null"}]}


def _limits(validator: Any) -> Schema:
    """What the bounds and choices of an attrs validator are in a schema."""
    if validator is None:
        return {}
    inner = getattr(validator, "validator", None)
    if inner is not None:
        return _limits(inner)
    found: Schema = {}
    for part in getattr(validator, "_validators", ()):
        found |= _limits(part)
    if hasattr(validator, "compare_op"):
        found[COMPARISONS[validator.compare_op]] = validator.bound
    if hasattr(validator, "options"):
        found["enum"] = list(validator.options)
    return found


def _bare(type_: Any) -> Any:
    """A type without its None."""
    if typing.get_origin(type_) in (typing.Union, types.UnionType):
        kept = [a for a in typing.get_args(type_) if a is not type(None)]
        return kept[0] if len(kept) == 1 else type_
    return type_


def _report(definitions: dict[str, Schema]) -> Schema:
    made = _result(Report, definitions)
    made["properties"]["scenario"] = {"$ref": "#/$defs/scenario"}
    return made


def _result(cls: type[Any], definitions: dict[str, Schema]) -> Schema:
    """The schema of a value class of the report."""
    hints = typing.get_type_hints(cls, include_extras=True)
    about = _attributes(cls)
    properties = {}
    for field in attrs.fields(cls):
        made = _type(hints[field.name], definitions)
        if (limits := _limits(field.validator)) and "enum" in limits:
            made = limits
        properties[field.name] = ({"description": about[field.name]} if field.name in about else {}) | made
    if cls is MemoryParts:
        properties["total_bytes"] = {"description": "the sum of the parts", "type": "number"}
    found = _table(cls, properties)
    if cls is Layout:
        found["properties"].pop("extra")
        found["additionalProperties"] = {"type": "integer", "description": "degree of an axis that a plugin adds"}
    if cls not in report.SECTIONS.values():  # a figure a workload does not have is not there
        found["required"] = list(found["properties"])
    return found


def _type(type_: Any, definitions: dict[str, Schema]) -> Schema:
    if type_ is Any:
        return {}
    if type_ in PLAIN:
        return {"type": PLAIN[type_]}
    if attrs.has(type_):
        name = type_.__name__
        if name not in definitions:
            definitions[name] = {}
            definitions[name] = _result(type_, definitions)
        return {"$ref": f"#/$defs/{name}"}
    origin, arguments = typing.get_origin(type_), typing.get_args(type_)
    if origin in (typing.Union, types.UnionType):
        ways = [{"type": "null"} if a is type(None) else _type(a, definitions) for a in arguments]
        return {"anyOf": ways}
    if origin is dict:
        values = _type(arguments[1], definitions)
        return {"type": "object"} | ({"additionalProperties": values} if values else {})
    if origin is tuple:
        return {"type": "array", "items": _type(arguments[0], definitions)}
    raise TypeError(f"no schema for {type_!r}")


def _table(cls: type[Any], properties: dict[str, Schema]) -> Schema:
    return {
        "description": _summary(cls),
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _summary(cls: type[Any]) -> str:
    return (cls.__doc__ or "").strip().partition("\n")[0].replace("``", "").replace(":func:", "")


_ATTRIBUTE = re.compile(r"^\s+(\w+): (.+)$")


def _attributes(cls: type[Any]) -> dict[str, str]:
    """What a docstring's ``Attributes:`` block says of each field."""
    _, _, block = (cls.__doc__ or "").partition("Attributes:\n")
    found = (_ATTRIBUTE.match(line) for line in block.splitlines())
    return {m[1]: m[2].replace("``", "") for m in found if m}
