"""Scenario fields as options: every one, derived from the value classes."""

from __future__ import annotations

import functools
import math
import re
import tomllib
import types
import typing
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from suanli.cli.command import Option, names_of
from suanli.serialize import DIMENSIONS
from suanli.specs import LATER, SECTIONS
from suanli.workload import KINDS

POSITIONAL = {
    "model.name": "MODEL",
    "system.name": "--on",
    "system.accelerator": "--on",
    "system.accelerators": "-n",
}
"""Fields that several commands have an argument or option of their own for."""

TAKEN = ("on", "n", "accelerators", "set", "format", "help", "top", "deadline", "max-layouts", "kind")
"""Options that are no scenario fields."""

ELSEWHERE = {
    "train": ("attention_data", "replicas", "memory_fraction", "graphs", "block_size"),
    "serve": (
        "data",
        "micro_batch",
        "virtual_stages",
        "schedule",
        "zero",
        "recompute",
        "optimizer",
        "dropout",
        "gradients",
        "main_gradients",
        "master_weights",
        "optimizer_states",
    ),
}
"""Fields left out of a command's help, because its workload has no use for them."""

COMPLETED = {
    "precision.recipe": "recipe",
    "optimizer.name": "optimizer",
    "implementation.profile": "profile",
    "layout.schedule": "schedule",
    "model.family": "model family",
}
METAVARS = {"count": "NUMBER", "bytes": "SIZE", "ratio": "SHARE", "currency": "PRICE", "choice": "VALUE[,...]"}


@attrs.frozen(kw_only=True)
class Field:
    """One field of a scenario.

    Attributes:
        section: Its section.
        name: Its name there.
        form: ``choice``, ``truth``, ``truths``, ``number``, ``text``, or the dimension of a quantity.
        help: What it is.
        later: Whether this version refuses it.
    """

    section: str
    name: str
    form: str
    help: str = ""
    later: bool = False

    @property
    def path(self) -> str:
        """Section and name, as errors give them."""
        return f"{self.section}.{self.name}"


@functools.cache
def fields(kinds: tuple[str, ...] = tuple(KINDS)) -> tuple[Field, ...]:
    """Every field of a scenario whose workload is of one of `kinds`, those not there yet at the end."""
    classes = [(name, cls) for name, cls in SECTIONS.items() if name in ("model", "system")]
    classes += [("workload", KINDS[k]) for k in kinds]
    classes += [(name, cls) for name, cls in SECTIONS.items() if name not in ("model", "system")]
    found: dict[str, Field] = {}
    for section, cls in classes:
        hints = typing.get_type_hints(cls, include_extras=True)
        for f in attrs.fields(cls):
            if "help" in f.metadata:
                made = Field(section=section, name=f.name, form=_form(f, hints[f.name]), help=f.metadata["help"])
                found.setdefault(made.path, made)
    for section, names in LATER.items():
        for name in names:
            made = Field(section=section, name=name, form="text", later=True)
            found.setdefault(made.path, made)
    return tuple(found.values())


def _form(field: Any, hint: Any) -> str:
    if "values" in field.metadata:
        return "truths" if field.metadata["values"] == ("bool",) else "choice"
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(a for a in typing.get_args(hint) if a is not type(None))
    if hint is bool:
        return "truth"
    if hint in (int, float):
        return "number"
    return DIMENSIONS.get(hint, "text")


@functools.cache
def option_names(kinds: tuple[str, ...] = tuple(KINDS)) -> Mapping[str, str]:
    """The option of each field, by path; one whose name another has is told with its section."""
    known = [f for f in fields(kinds) if f.path not in POSITIONAL]
    short = {f.path: f.section if f.name == "name" else f.name for f in known}
    times = Counter(short.values())
    found = {}
    for f in known:
        plain = short[f.path].replace("_", "-")
        clashes = times[short[f.path]] > 1 or plain in TAKEN
        found[f.path] = f"--{f.section}-{plain}" if clashes else f"--{plain}"
    return found


def options(kinds: tuple[str, ...], command: str) -> list[Option]:
    """The options of every field a command's workloads have."""
    names = option_names(kinds)
    made = []
    for f in fields(kinds):
        if f.path not in names:
            continue
        flag = names[f.path]
        about: dict[str, Any] = {
            "heading": f.section.capitalize(),
            "default": None,
            "help": f.help,
            "hidden": f.later or f.name in ELSEWHERE.get(command, ()),
        }
        if f.form in ("truth", "truths"):
            made.append(Option([f"{flag}/--no-{flag[2:]}", parameter_of(f.path)], **about))
            continue
        if f.path in COMPLETED:
            about["shell_complete"] = names_of([COMPLETED[f.path]])
        metavar = METAVARS.get(f.form, "NUMBER" if f.form == "number" else "NAME")
        made.append(Option([flag, parameter_of(f.path)], metavar=metavar, **about))
    return made


def parameter_of(path: str) -> str:
    """The name of a field among a command's parameters."""
    return path.replace(".", "__")


def given(parameters: Mapping[str, Any], kinds: Iterable[str]) -> dict[str, Any]:
    """The fields an invocation gives, by path, each as a scenario takes it."""
    found = {}
    for f in fields(tuple(kinds)):
        value = parameters.get(parameter_of(f.path))
        if value is not None:
            found[f.path] = read(f.path, value)
    return found


def read(path: str, value: Any) -> Any:
    """A value given as text, as a scenario takes it; what is wrong with it is for the scenario to say."""
    if not isinstance(value, str):
        return value
    form = next((f.form for f in fields() if f.path == path), None)
    if form is None:
        return _toml(value)
    if form == "choice":
        parts = value.strip().removeprefix("[").removesuffix("]").split(",")
        items = [_whole(part.strip().strip("\"'")) for part in parts]
        return items[0] if len(items) == 1 and "[" not in value else items
    if form in ("truth", "truths"):
        return _toml(value)
    if form == "number":
        try:
            number = float(value)
        except ValueError:
            return value
        return number if math.isfinite(number) else value
    return value


def _whole(text: str) -> Any:
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,30}", text) else text


def _toml(text: str) -> Any:
    """A value as TOML writes it, or the text itself."""
    try:
        value = tomllib.loads(f"value = {text}\n")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    found = value["value"]
    return found if list(value) == ["value"] and isinstance(found, (bool, int, float, str, list, dict)) else text
