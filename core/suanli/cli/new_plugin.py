"""``suanli new-plugin``."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import click

from suanli.cli.blocks import Block, Table, Text
from suanli.cli.command import Command, Option
from suanli.cli.render import write
from suanli.errors import InvalidInputError, SuanliError, clip

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MOST_NAME = 40

FILES = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "{package}/__init__.py": "",
    "{package}/plugin.py": "plugin.py.txt",
    "{package}/accelerators.toml": "accelerators.toml.txt",
    "{package}/systems.toml": "systems.toml.txt",
    "tests/test_{package}.py": "test_plugin.py.txt",
}
"""What is written, and the template of each file."""


def new_plugin(name: str, into: str, format: str) -> int:
    """Write the skeleton of a plugin, and say what to do with it."""
    if not NAME.fullmatch(name) or len(name) > MOST_NAME:
        raise InvalidInputError(
            [f"{clip(name)!r} cannot name a plugin: lower-case letters and digits, parts joined by -, such as 'acme'"],
            "NAME",
        )
    folder = Path(into) / f"suanli-{name}"
    written = _written(name)
    taken = [str(folder / path) for path in written if (folder / path).exists()]
    if taken:
        raise SuanliError(
            f"{folder} has {', '.join(taken)} already; nothing was written. Choose another name or --into"
        )
    for path, text in written.items():
        target = folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        except OSError as exc:
            raise SuanliError(f"{target} cannot be written: {clip(str(exc))}") from None
    data: dict[str, Any] = {"plugin": name, "folder": str(folder), "files": list(written)}
    write(
        format,
        data=lambda: data,
        rows=lambda: [{"file": str(folder / path)} for path in written],
        blocks=lambda: _blocks(name, folder, list(written)),
    )
    return 0


def _written(name: str) -> dict[str, str]:
    """The files of a plugin, by path in its folder."""
    package = f"{name.replace('-', '_')}_suanli"
    given = {"name": name, "package": package, "title": name.replace("-", " ").title()}
    templates = files("suanli.skeleton")
    return {
        path.format(package=package): Template((templates / source).read_text(encoding="utf-8")).substitute(given)
        if source
        else f'"""{given["title"]} for suanli."""\n'
        for path, source in FILES.items()
    }


def _blocks(name: str, folder: Path, paths: list[str]) -> list[Block]:
    steps = (
        (f"pip install -e {folder}", "suanli finds it"),
        ("suanli plugins", "what it gives"),
        (f"suanli serve llama-2-7b --on {name}-one", "a first answer"),
        (f"pytest {folder}", "the rules it must keep; needs pytest"),
    )
    return [
        Text(text=f"{folder}: a plugin that works, with the figures of a made-up accelerator", style="headline"),
        Table(columns=("file", ""), rows=tuple((path, "") for path in paths)),
        Table(title="Next", columns=("", ""), rows=steps),
    ]


command = Command(
    "new-plugin",
    callback=new_plugin,
    params=[
        click.Argument(["name"], metavar="NAME"),
        Option(["--into"], default=".", show_default=True, metavar="FOLDER", help="Where its folder is made."),
    ],
    help="""The skeleton of a plugin: a package that installs, is found, answers, and passes the conformance kit.

    Put the figures of your datasheet into its two files.
    """,
    examples=("suanli new-plugin acme", "suanli new-plugin acme --into plugins"),
)
