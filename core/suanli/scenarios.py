"""A question: which model, on which system, doing what, divided how.

A scenario holds what was given and nothing else; the workspace fills in the rest and says so.
Each section is a value class; files, the command line and the JSON Schema are all derived from its fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import cattrs

from suanli import data_files, serialize
from suanli.errors import ScenarioError, clip, near, show
from suanli.specs import (
    EXACTLY_ONE,
    LATER,
    LATER_VALUES,
    MOST_CHOICES,
    MOST_RANKS,
    SECTIONS,
    Choice,
    LayoutSpec,
    Scenario,
)
from suanli.workload import KINDS


def build(data: Any, *, axes: tuple[str, ...] = (), where: str = "", folder: Path | None = None) -> Scenario:
    """A scenario from plain data, every fault of it reported at once.

    Args:
        data: Tables of fields, as a scenario file has them.
        axes: Layout fields that plugins add.
        where: The file it is from.
        folder: Relative paths in it start here.

    Raises:
        ScenarioError: With the path of every offending field.
    """
    if not isinstance(data, Mapping):
        raise ScenarioError([f"expected a table, got {show(data)}"], where)
    faults: list[str] = []
    sections: dict[str, Any] = {}
    known = ["workload", *SECTIONS]
    for key in data:
        if key not in known:
            faults.append(serialize.unknown_key(key, known))
    for name, cls in SECTIONS.items():
        table = _section(data, name, faults)
        if table is not None:
            sections[name] = _structure(_prepared(name, table, axes, faults), cls, name, faults)
    workload = _section(data, "workload", faults)
    if workload is not None:
        sections["workload"] = _workload(workload, faults)
    _required(sections, data, faults)
    if faults:
        raise ScenarioError(sorted(set(faults), key=faults.index), where)
    made = Scenario(**{k: v for k, v in sections.items() if v is not None})
    if folder is not None and isinstance(made.model.config, str) and not Path(made.model.config).is_absolute():
        made = attrs.evolve(made, model=attrs.evolve(made.model, config=str(folder / made.model.config)))
    return made


def _section(data: Mapping[str, Any], name: str, faults: list[str]) -> dict[str, Any] | None:
    """One section's table without the fields that are not there yet; None where it is absent or no table."""
    if name not in data:
        return None
    table = data[name]
    if not isinstance(table, Mapping):
        faults.append(f"{name}: expected a table, got {show(table)}")
        return None
    kept = {}
    for key, value in table.items():
        if not isinstance(key, str):
            faults.append(f"{name}: {serialize.unknown_key(key, [])}")
        elif key in LATER.get(name, ()):
            faults.append(f"{name}.{key}: not there yet in this version of suanli")
        elif isinstance(value, str) and value in LATER_VALUES.get(f"{name}.{key}", ()):
            faults.append(f"{name}.{key}: {value!r} is not there yet in this version of suanli")
        elif value is not None:
            kept[key] = value
    return kept


def _prepared(name: str, table: dict[str, Any], axes: tuple[str, ...], faults: list[str]) -> dict[str, Any]:
    """A section's table with open-ended keys moved where its class keeps them."""
    if name == "model" and "family" in table:
        own = {"name", "config", "family"}
        return {k: v for k, v in table.items() if k in own} | {
            "fields": {k: v for k, v in table.items() if k not in own}
        }
    if name == "layout":
        extra = {k: _choose(v, f"layout.{k}", _EXTRA, faults) for k, v in table.items() if k in axes}
        known = {f.name: f for f in attrs.fields(LayoutSpec) if f.name != "extra"}
        chosen = {k: _choose(v, f"layout.{k}", known[k].metadata, faults) for k, v in table.items() if k in known}
        unknown = {k: v for k, v in table.items() if k not in known and k not in axes}
        for key in unknown:
            faults.append(f"layout: {serialize.unknown_key(key, [*known, *axes])}")
        return {k: v for k, v in chosen.items() if v is not None} | {"extra": extra}
    return table


_EXTRA = {"least": 1, "most": MOST_RANKS, "values": ()}


def _choose(value: Any, path: str, rule: Mapping[str, Any], faults: list[str]) -> Any:
    if isinstance(value, (list, tuple)):
        if not value or len(value) > MOST_CHOICES:
            faults.append(f"{path}: a list to search over has 1 to {MOST_CHOICES} values, got {len(value)}")
            return None
        if any(isinstance(v, (list, tuple)) for v in value):
            faults.append(f"{path}: a list to search over holds single values, got {show(value)}")
            return None
        if any(isinstance(v, (list, tuple)) for v in value):
            faults.append(f"{path}: a list to search over has no lists in it, got {show(value)}")
            return None
        return tuple(dict.fromkeys(_choose(v, path, rule, faults) for v in value))
    values = rule["values"]
    if values == ("bool",):
        if not isinstance(value, bool):
            faults.append(f"{path}: expected true or false, got {show(value)}")
            return None
        return value
    if values:
        if not isinstance(value, str):
            faults.append(f"{path}: expected a string, got {show(value)}")
            return None
        if value in LATER_VALUES.get(path, ()):
            faults.append(f"{path}: {value!r} is not there yet in this version of suanli")
        elif values != ("*",) and value not in values:
            close = near(value, values)
            faults.append(f"{path}: must be one of {', '.join(values)}; got {show(value)}{_meant(close)}")
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        faults.append(f"{path}: expected a whole number, got {show(value)}")
        return None
    if not rule["least"] <= value <= rule["most"]:
        faults.append(f"{path}: must be {rule['least']} to {rule['most']}, got {show(value)}")
        return None
    return value


def _meant(close: tuple[str, ...]) -> str:
    return f"; did you mean {close[0]!r}?" if close else ""


def _structure(table: dict[str, Any], cls: type[Any], path: str, faults: list[str]) -> Any:
    try:
        return _converter().structure(table, cls)
    except Exception as exc:
        faults += serialize.explain_faults(exc, cls, path)
        return None


def _workload(table: dict[str, Any], faults: list[str]) -> Any:
    kind = table.get("kind", "pretrain")
    if not isinstance(kind, str) or kind not in KINDS:
        close = near(kind, KINDS) if isinstance(kind, str) else ()
        faults.append(f"workload.kind: must be one of {', '.join(KINDS)}; got {show(kind)}{_meant(close)}")
        return None
    made = _structure({k: v for k, v in table.items() if k != "kind"}, KINDS[kind], "workload", faults)
    if made is not None and kind == "serve" and made.batch is not None and made.concurrency is not None:
        faults.append("workload: give batch (of one engine) or concurrency (over all engines), not both")
    return made


def _required(sections: dict[str, Any], data: Mapping[str, Any], faults: list[str]) -> None:
    for name, ways in EXACTLY_ONE.items():
        made = sections.get(name)
        if made is None:
            if name not in data:
                faults.append(f"{name}: required; give {' or '.join(f'{name}.{w}' for w in ways)}")
            continue
        given = [w for w in ways if getattr(made, w) is not None]
        if len(given) != 1:
            have = f"got {' and '.join(given)}" if given else "got none"
            faults.append(f"{name}: give exactly one of {', '.join(ways)}; {have}")
    config = getattr(sections.get("model"), "config", None)
    if config is not None and not isinstance(config, (str, Mapping)):
        faults.append(f"model.config: expected a path or a table, got {show(config)}")


_CONVERTERS: list[cattrs.Converter] = []


def _converter() -> cattrs.Converter:
    if not _CONVERTERS:
        converter = serialize.make_converter()
        converter.register_structure_hook(Choice, lambda value, _: value)
        converter.register_structure_hook_func(lambda t: t == Choice | None, lambda value, _: value)
        _CONVERTERS.append(converter)
    return _CONVERTERS[0]


def load(path: str | Path, *, axes: tuple[str, ...] = ()) -> Scenario:
    """A scenario from a ``.toml`` or ``.json`` file.

    Raises:
        ScenarioError: With the path of every offending field.
    """
    file = Path(path)
    data = data_files.read_data(file, ScenarioError)
    return build(data, axes=axes, where=clip(str(path), 200), folder=file.parent)
