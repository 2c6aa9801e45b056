"""The reference of hooks and values, made from their docstrings: docs/reference/*.md.

python tools/make_reference.py            # writes them
python tools/make_reference.py --check    # exits with 1 where one is not what this would write
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs

import suanli
from suanli import hookspecs, report, testing

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
MADE = "<!-- Made by tools/make_reference.py from the docstrings; change those. -->"
SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Example|Examples|Yields):")
PARTS = ("Parameters", "Memory", "MemoryParts", *(cls.__name__ for cls in report.SECTIONS.values()), "Basis")
"""What a report is made of, told beside it."""


def pages() -> dict[str, str]:
    """Every page, by the name of its file."""
    return {"hooks.md": _page(_hooks()), "values.md": _page(_values())}


def _page(parts: Iterator[str]) -> str:
    return "\n\n".join([MADE, *parts]) + "\n"


# ---- Hooks --------------------------------------------------------------------------------------------------------


def _hooks() -> Iterator[str]:
    yield "# Hooks"
    yield _text(inspect.getdoc(hookspecs) or "").partition("\n\n")[2]
    yield "Mark a function of your plugin's module with `suanli.hookimpl`; a hook of no such name is an error."
    for name, function in hookspecs.HOOKS.items():
        yield f"## `{name}`"
        yield f"```python\n{_signature(name, function)}\n```"
        yield from _sections(inspect.getdoc(function) or "")


# ---- Values -------------------------------------------------------------------------------------------------------


def _values() -> Iterator[str]:
    yield "# Values and functions"
    yield (
        "Everything here imports from `suanli`; what tests of plugins need, from `suanli.testing`. "
        "Values are frozen, hashable where they hold no table, and pickle. "
        "Figures are in SI base units, the unit in the name; peaks are dense, links one way."
    )
    for home, names in _homes().items():
        module = import_module(home)
        about = (inspect.getdoc(module) or "").split("\n\n")[0]
        yield f"## {home}"
        yield _text(about)
        for name in names:
            yield from _entry(name, getattr(module, name))


def _homes() -> dict[str, list[str]]:
    """The public names by the module that has them; a report's parts stand beside it."""
    found: dict[str, list[str]] = {}
    for name in suanli.__all__:
        value = getattr(suanli, name)
        home = getattr(value, "__module__", "")
        if home.startswith("suanli."):
            found.setdefault(home, []).append(name)
    found["suanli.report"] += PARTS
    found["suanli.testing"] = list(testing.__all__)
    return dict(sorted(found.items()))


def _entry(name: str, value: Any) -> Iterator[str]:
    yield f"### `{name}`"
    if not isinstance(value, type):
        yield f"```python\n{_signature(name, value)}\n```"
        yield from _sections(inspect.getdoc(value) or "")
        return
    bases = [b.__name__ for b in value.__bases__ if b is not object and b.__module__ != "builtins"]
    own = [*_sections(inspect.cleandoc(value.__doc__ or ""), skip=("Attributes", "Args"))]
    yield f"{own[0]} Derives from {', '.join(f'`{b}`' for b in bases)}." if bases and own else own[0]
    yield from own[1:]
    fields = _fields(value)
    if fields:
        yield fields
    elif "Args:" in (value.__doc__ or ""):
        yield _arguments(_blocks(inspect.cleandoc(value.__doc__ or "")).get("Args", ""))
    methods = [*_methods(value)]
    if methods:
        yield "\n".join(methods)


def _fields(cls: type[Any]) -> str:
    """The fields of a value as a table; what is bound at run time is left out."""
    if not attrs.has(cls):
        told = _named(_blocks(inspect.cleandoc(cls.__doc__ or "")).get("Attributes", ""))
        return "\n".join(f"- `{name}`: {text}" for name, text in told.items())
    told = {}
    for base in reversed(cls.__mro__):
        told |= _named(_blocks(inspect.cleandoc(base.__dict__.get("__doc__") or "")).get("Attributes", ""))
    rows = []
    for field in attrs.fields(cls):
        if field.name.startswith("_") or field.metadata.get("runtime"):
            continue
        about = told.get(field.name) or str(field.metadata.get("help", ""))
        key = field.metadata.get("key")
        about += f" In a file: `{key}`." if key else ""
        rows.append(f"| `{field.name}` | `{_type(cls, field)}` | {_default(field)} | {_cell(about)} |")
    return "\n".join(["| field | type | default | |", "| --- | --- | --- | --- |", *rows]) if rows else ""


def _type(cls: type[Any], field: Any) -> str:
    for base in cls.__mro__:
        annotation = inspect.get_annotations(base).get(field.name)
        if annotation is not None:
            return _cell(str(annotation))
    return "Any"


def _default(field: Any) -> str:
    if field.default is attrs.NOTHING:
        return "required"
    if isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]
        return "from the others" if field.default.takes_self else f"`{field.default.factory()!r}`"
    return f"`{_cell(repr(field.default))}`"


def _methods(cls: type[Any]) -> Iterator[str]:
    """The public methods and properties a class adds, each with its first line."""
    for name, value in cls.__dict__.items():
        function = getattr(value, "fget", None) or getattr(value, "__func__", None) or getattr(value, "func", value)
        if name.startswith("_") or not callable(function) or isinstance(value, type):
            continue
        line = _text((inspect.getdoc(function) or "").partition("\n\n")[0].replace("\n", " "))
        if function is not value and not isinstance(value, (classmethod, staticmethod)):
            yield f"- `.{name}`: {line}"
        elif inspect.isfunction(function):
            yield f"- `.{_signature(name, function, method=True)}`: {line}"


# ---- Docstrings ---------------------------------------------------------------------------------------------------


def _signature(name: str, function: Callable[..., Any], *, method: bool = False) -> str:
    """A signature as it is written."""
    shown, star = [], False
    signature = inspect.signature(function)
    for i, p in enumerate(signature.parameters.values()):
        if method and i == 0:
            continue
        mark = "*" if p.kind is p.VAR_POSITIONAL else "**" if p.kind is p.VAR_KEYWORD else ""
        if p.kind is p.KEYWORD_ONLY and not star:
            shown.append("*")
        star = star or p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
        text = f"{mark}{p.name}" + ("" if p.annotation is p.empty else f": {p.annotation}")
        shown.append(text if p.default is p.empty else f"{text} = {p.default!r}")
    back = "" if signature.return_annotation is signature.empty else f" -> {signature.return_annotation}"
    line = f"{name}({', '.join(shown)}){back}"
    if len(line) <= 100 or method:
        return line
    return "\n".join([f"{name}(", *(f"    {one}," for one in shown), f"){back}"])


def _blocks(doc: str) -> dict[str, str]:
    """A docstring's sections by name; what stands outside them under numbers, in order."""
    found: dict[str, str] = {}
    name = "0"
    for line in doc.splitlines():
        head = SECTION.fullmatch(line)
        if head:
            name = head[1]
        elif line and not line.startswith(" ") and not name.isdigit():
            name = str(len(found))
        if not head:
            found[name] = found.get(name, "") + f"{line}\n"
    return {k: v.strip("\n") for k, v in found.items() if v.strip()}


def _sections(doc: str, skip: tuple[str, ...] = ()) -> Iterator[str]:
    for name, text in _blocks(doc).items():
        plain = inspect.cleandoc(text)
        if name in skip:
            continue
        if name.startswith("Example"):
            yield f"```python\n{plain}\n```"
        elif name in ("Args", "Attributes"):
            yield _arguments(text)
        elif name == "Raises":
            yield "Raises:\n\n" + _arguments(text)
        elif name == "Returns":
            yield f"Returns: {_text(' '.join(plain.split()))}"
        else:
            yield from _paragraphs(plain)


def _paragraphs(text: str) -> Iterator[str]:
    for part in text.split("\n\n"):
        code = part.lstrip().startswith(">>>") or part.startswith("    ")
        yield f"```python\n{inspect.cleandoc(part)}\n```" if code else _text(part)


def _arguments(text: str) -> str:
    return "\n".join(f"- `{name}`: {about}" for name, about in _named(text).items())


def _named(text: str) -> dict[str, str]:
    """Names and what is said of each, of a section of a docstring."""
    found: dict[str, str] = {}
    last = ""
    for line in inspect.cleandoc(text).splitlines():
        named = re.match(r"(\*{0,2}\w+): (.*)", line)
        if named and not line.startswith(" "):
            last = named[1]
            found[last] = named[2]
        elif last:
            found[last] += f" {line.strip()}"
    return {name: _text(about) for name, about in found.items()}


def _text(text: str) -> str:
    """Text as Markdown has it."""
    text = re.sub(r":\w+:`~?([\w.]+)`", lambda m: f"`{_reference(m[1])}`", text)
    return text.replace("``", "`").removesuffix("::") if "`" in text or "::" in text else text


def _reference(target: str) -> str:
    """What a cross-reference is shown as: a name, with its class where it is a method."""
    *_, owner, name = ["", *target.split(".")]
    return f"{owner}.{name}" if owner[:1].isupper() else name


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str] | None = None) -> int:
    """Write the pages, or say which of them are not up to date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 where a page is not up to date"
    )
    asked = parser.parse_args(arguments)
    stale = []
    for name, text in pages().items():
        file = FOLDER / name
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not asked.check:
            FOLDER.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    if stale:
        print(f"{'not up to date' if asked.check else 'written'}: {', '.join(stale)}")
    return 1 if stale and asked.check else 0


if __name__ == "__main__":
    sys.exit(main())
