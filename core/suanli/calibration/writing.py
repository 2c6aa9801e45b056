"""Writing fits as the catalog file that a plugin ships, or SUANLI_PATH finds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from suanli.calibration.records import Fit


def toml(fits: Iterable[Fit], head: str) -> str:
    """Calibration tables under a comment; figures to four digits."""
    text = "".join(f"# {line}\n" for line in head.splitlines())
    for fit in fits:
        fabric = len(fit.key) == 2
        keys = (fit.of, "fabric") if fabric else (fit.of, "kernel", "precision")
        text += f"\n[[{'fabric_efficiency' if fabric else 'efficiency'}]]\n"
        text += "".join(f"{k} = {_quoted(v)}\n" for k, v in zip(keys, fit.key, strict=True))
        text += "".join(f"{k} = {_number(v)}\n" for k, v in zip(fit.names, fit.params, strict=True))
        text += "".join(f"{k} = {_fixed(v)}\n" for k, v in fit.fixed.items())
        text += f"band = [{_number(fit.band[0])}, {_number(fit.band[1])}]\nrows = {fit.rows}\n"
        if fit.errors:
            text += f"held_out_rows = {len(fit.errors.ratios)}\nmedian_error = {_number(fit.errors.median)}\n"
            text += f"p90_error = {_number(fit.errors.p90)}\nbias = {_number(fit.errors.bias)}\n"
        if fit.date:
            text += f"date = {_quoted(fit.date)}\n"
        text += f"source = {_quoted(fit.source)}\n"
    return text


def _quoted(text: str) -> str:
    """A basic string of TOML: escaped as JSON escapes, and DEL besides."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _fixed(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_fixed(v) for v in value) + "]"
    return str(value)


def _number(value: float) -> str:
    return repr(float(f"{value:.4g}"))
