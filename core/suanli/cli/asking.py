"""From what was typed to a scenario, with errors told by the option that caused them."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

import suanli
from suanli import data_files, scenarios
from suanli.cli.command import Option, names_of
from suanli.cli.fields import fields, given, option_names, read
from suanli.errors import InvalidInputError, ScenarioError, SuanliError, UnknownNameError
from suanli.specs import EXACTLY_ONE, Scenario
from suanli.workload import KINDS
from suanli.workspace import default

Told = dict[str, str]
"""For the path of a field, what the person typed to give it."""

SET = Option(
    ["--set", "changes"],
    multiple=True,
    metavar="PATH=VALUE",
    heading="Scenario",
    help="Any field by its path, such as layout.tensor=4; an empty value leaves it open. May be repeated.",
)
ON = Option(
    ["--on"],
    metavar="SYSTEM",
    heading="System",
    help="A system, or an accelerator whose default system is taken.",
    shell_complete=names_of(["system", "accelerator"]),
)
NUMBER = Option(
    ["-n", "--accelerators", "accelerators"],
    metavar="NUMBER",
    heading="System",
    help="How many accelerators; one node by default.",
)


def is_path(text: str) -> bool:
    """Whether a model is given as a file or folder, not by its name in the catalog."""
    separators = [s for s in (os.sep, os.altsep) if s]
    return text.endswith((".json", ".gguf")) or any(s in text for s in separators)


@contextlib.contextmanager
def told(names: Told) -> Iterator[None]:
    """Within this context errors of fields are told by what was typed."""
    try:
        yield
    except InvalidInputError as exc:
        raise type(exc)([_renamed(e, names) for e in exc.errors], exc.where) from None


def _renamed(error: str, names: Told) -> str:
    path, colon, rest = error.partition(": ")
    bound = re.match(r"'(\w+)' (.*)", rest)
    if bound is not None and f"{path}.{bound[1]}" in names:  # a bound is broken: the class names the field
        path, rest = f"{path}.{bound[1]}", bound[2]
    return f"{names[path]}: {rest}" if colon and path in names else error


def from_options(parameters: Mapping[str, Any], kinds: Sequence[str]) -> tuple[Scenario, Told]:
    """The scenario that a command's arguments and options give, and how to tell of its fields.

    Raises:
        ScenarioError: Naming every fault.
    """
    faults: list[str] = []
    on, count = parameters.get("on"), parameters.get("accelerators")
    system: dict[str, Any] = {}
    if on is not None:
        try:
            way, found = place(on)
        except ScenarioError as exc:
            faults += exc.errors
            way, found = "name", on
        system[way] = found
    if count is not None:
        system["accelerators"] = count
    data, names = sections_from(parameters, kinds, {"system": system} if system else {})
    if all(data.get("model", {}).get(way) is None for way in EXACTLY_ONE["model"]):
        faults.append("MODEL: required: a name (see `suanli list models`) or the path of a config.json")
    if all(data.get("system", {}).get(way) is None for way in EXACTLY_ONE["system"]):
        faults.append("--on: required: a system or an accelerator (see `suanli list systems`)")
    with told(names):
        if faults:
            raise ScenarioError([*faults, *_other_faults(data)])
        return suanli.scenario(data), names


def sections_from(
    parameters: Mapping[str, Any], kinds: Sequence[str], data: dict[str, dict[str, Any]]
) -> tuple[dict[str, dict[str, Any]], Told]:
    """The sections that a command's MODEL, options and ``--set`` give, and how to tell of their fields.

    Args:
        parameters: Of the command.
        kinds: Of workload that the command is for, the default first.
        data: Sections known already.
    """
    names: Told = {"system.name": "--on", "system.accelerator": "--on", "system.accelerators": "-n"}
    flags = option_names(tuple(kinds))
    for path, value in given(parameters, kinds).items():
        _put(data, path, value)
        names[path] = flags[path]
    model = parameters.get("model")
    if model is not None:
        way = "config" if is_path(model) else "name"
        _put(data, f"model.{way}", model)
        names[f"model.{way}"] = "MODEL"
    _put(data, "workload.kind", parameters.get("kind") or _implied(data, kinds))
    return data, names | change(data, parameters.get("changes", ()))


def _implied(data: Mapping[str, Any], kinds: Sequence[str]) -> str:
    """The first kind of workload that has every workload field given; the first of all where none has."""
    asked = {f"workload.{name}" for name in data.get("workload", {})}
    return next((k for k in kinds if asked <= {f.path for f in fields((k,)) if not f.later}), kinds[0])


def _other_faults(data: Mapping[str, Any]) -> list[str]:
    """The faults of what was given, apart from the sections that were not."""
    found = []
    name = data.get("model", {}).get("name")
    if name is not None:
        try:
            suanli.catalog().entry("model", name)
        except SuanliError as exc:
            found.append(f"model.name: {exc}")
    try:
        suanli.scenario(data)
    except InvalidInputError as exc:
        found += [e for e in exc.errors if not e.startswith(("model: ", "system: "))]
    return found


def place(on: str) -> tuple[str, str]:
    """Whether ``--on`` names a system or an accelerator: the field it fills, and the name.

    Raises:
        ScenarioError: With near matches of both kinds.
    """
    catalog = suanli.catalog()
    for kind, way in (("system", "name"), ("accelerator", "accelerator")):
        with contextlib.suppress(UnknownNameError):
            catalog.entry(kind, on)
            return way, on
    known = [n for kind in ("system", "accelerator") for e in catalog.entries(kind) for n in (e.name, *e.aliases)]
    hint = "List them with `suanli list systems` and `suanli list accelerators`."
    raise ScenarioError([f"--on: {UnknownNameError('system or accelerator', on, set(known), hint)}"])


def from_file(
    file: str, changes: Sequence[str] = (), parameters: Mapping[str, Any] | None = None
) -> tuple[Scenario, Told]:
    """The scenario in a file, with fields of it changed.

    Args:
        file: TOML or JSON.
        changes: As ``--set`` takes them.
        parameters: Of a command with an option for every field; those given replace the file's.

    Raises:
        ScenarioError: Naming the file and every fault.
    """
    path = Path(file)
    data = data_files.read_data(path, ScenarioError)
    names: Told = {}
    if parameters is not None:
        flags = option_names()
        values = given(parameters, KINDS)
        for key, option, flag in (("workload.kind", "kind", "--kind"), ("system.accelerators", "accelerators", "-n")):
            if parameters.get(option) is not None:
                values[key] = parameters[option]
                names[key] = flag
        for key, value in values.items():
            _put(data, key, value)
            names.setdefault(key, flags.get(key, key))
    names |= change(data, changes)
    with told(names):
        return scenarios.build(data, axes=default().axes(), where=str(path), folder=path.parent), names


def change(data: dict[str, Any], changes: Sequence[str]) -> Told:
    """Set fields by ``path=value``; returns how to tell of them."""
    names: Told = {}
    for text in changes:
        path, equals, value = text.partition("=")
        path = path.strip()
        if not equals or "." not in path:
            raise click.UsageError(f"--set {text!r}: expected PATH=VALUE, such as layout.tensor=4")
        found = read(path, value.strip()) if value.strip() else None
        if path == "model.config" and isinstance(found, str):
            found = str(Path(found).absolute())
        _put(data, path, found)
        names[path] = f"--set {path}"
    return names


def _put(data: dict[str, Any], path: str, value: Any) -> None:
    """Set the field at a dotted path, making the tables on the way."""
    *tables, last = path.split(".")
    at: Any = data
    for table in tables:
        at = at.setdefault(table, {})
        if not isinstance(at, dict):
            raise SuanliError(f"--set {path}: {table} is no table")
    at[last] = value
