"""Reading TOML and JSON files of tables, refused quickly where they are too large, too deep or malformed."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from suanli.errors import InvalidInputError, clip, show

MAX_FILE_BYTES = 4_000_000
"""A scenario, catalog or configuration larger than this is refused unread."""

MAX_DEPTH = 40
"""Tables nested deeper than this are refused."""


def read_data(path: Path, error: type[InvalidInputError] = InvalidInputError) -> dict[str, Any]:
    """The table in a TOML or JSON file.

    Raises:
        InvalidInputError: (or `error`) where the file is missing, larger than MAX_FILE_BYTES, nested deeper
            than MAX_DEPTH, not UTF-8, malformed, or not a table.
    """
    name = clip(str(path), 200)
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise error([f"{name} is a folder; give a file"])
        if size > MAX_FILE_BYTES:
            raise error([f"file of {size} bytes; the limit is {MAX_FILE_BYTES}"], name)
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise error([f"not UTF-8 text (byte {exc.start})"], name) from None
    except (OSError, ValueError) as exc:
        if isinstance(exc, InvalidInputError):
            raise
        reason = getattr(exc, "strerror", None) or str(exc)
        raise error([f"cannot read {name}: {reason}"]) from None
    return parse_data(text, json_text=path.suffix.lower() == ".json", where=name, error=error)


def parse_data(
    text: str, *, json_text: bool, where: str, error: type[InvalidInputError] = InvalidInputError
) -> dict[str, Any]:
    """The table in a TOML or JSON text; raises as :func:`read_data` does."""
    if not json_text and _DOTTED.search(text):
        raise error([f"nested deeper than {MAX_DEPTH} tables"], where)
    try:
        data = json.loads(text, parse_constant=_no_constant) if json_text else tomllib.loads(text)
    except RecursionError:
        raise error([f"nested deeper than {MAX_DEPTH} tables"], where) from None
    except ValueError as exc:
        raise error([f"not valid {'JSON' if json_text else 'TOML'}: {clip(str(exc), 200)}"], where) from None
    if not isinstance(data, dict):
        raise error([f"expected a table at the top, got {show(data)}"], where)
    if _depth(data) > MAX_DEPTH:
        raise error([f"nested deeper than {MAX_DEPTH} tables"], where)
    return data


_DOTTED = re.compile(r"""(?<![\w-])(?:[\w-]+[ \t]*\.[ \t]*|"[^"\n]*"[ \t]*\.[ \t]*|'[^'\n]*'[ \t]*\.[ \t]*){64}""")
"""Dotted keys far deeper than MAX_DEPTH, which tomllib would take quadratic time and memory over."""


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number JSON allows")


def _depth(data: Any) -> int:
    deepest, queue = 0, [(data, 1)]
    while queue:
        node, level = queue.pop()
        deepest = max(deepest, level)
        if level > MAX_DEPTH + 1:
            break
        if isinstance(node, dict):
            queue.extend((v, level + 1) for v in node.values())
        elif isinstance(node, list):
            queue.extend((v, level + 1) for v in node)
    return deepest
