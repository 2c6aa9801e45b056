"""Write fits as calibration tables and as markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fit_common import Errors, Fit

ERROR_HEAD = ["judged", "median error", "p90", "bias", "slow bias"]


def toml(fits: Iterable[Fit]) -> str:
    """Calibration tables; figures to four digits."""
    text = "# Written by tools/fit_kernels.py; not to be edited.\n"
    for fit in fits:
        fabric = len(fit.key) == 2
        keys = ("generation", "fabric") if fabric else ("generation", "kernel", "precision")
        text += f"\n[[{'fabric_efficiency' if fabric else 'efficiency'}]]\n"
        text += "".join(f'{k} = "{v}"\n' for k, v in zip(keys, fit.key, strict=True))
        text += "".join(f"{k} = {_number(v)}\n" for k, v in zip(fit.names, fit.params, strict=True))
        text += "".join(f"{k} = {_fixed(v)}\n" for k, v in fit.fixed.items())
        text += f"band = [{_number(fit.band[0])}, {_number(fit.band[1])}]\nrows = {fit.rows}\n"
        if fit.errors:
            text += f"held_out_rows = {len(fit.errors.ratios)}\nmedian_error = {_number(fit.errors.median)}\n"
            text += f"p90_error = {_number(fit.errors.p90)}\nbias = {_number(fit.errors.bias)}\n"
        text += f'source = "{fit.source}"\n'
    return text


def _fixed(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(_fixed(list(v)) if isinstance(v, tuple) else str(v) for v in value) + "]"
    return str(value)


def kernel_table(fits: Iterable[Fit]) -> str:
    """Errors of kernel fits."""
    head = ["generation", "kernel", "precision", "parameters", "rows", *ERROR_HEAD, "band"]
    return table(head, ([*f.key, str(len(f.params)), *_judged(f)] for f in fits))


def parameter_tables(fits: Iterable[Fit]) -> str:
    """The parameters of kernel fits, a table for each kind of kernel."""
    kinds: dict[tuple[str, ...], list[Fit]] = defaultdict(list)
    for f in fits:
        kinds[f.key[1], *f.names].append(f)
    text = ""
    for key, members in kinds.items():
        lines = ([f.key[0], f.key[2], *(f"{p:.3g}" for p in f.params)] for f in members)
        text += f"### {key[0]}\n\n" + table(["generation", "precision", *key[1:]], lines) + "\n"
    return text


def others_table(rows: Iterable[tuple[tuple[str, ...], Errors]]) -> str:
    """Errors on measurements nobody fitted."""
    head = ["generation", "kernel", "precision", "part", "measured by", *ERROR_HEAD]
    return table(head, ([*key, *_cells(e)] for key, e in rows))


def _number(value: float) -> str:
    return repr(float(f"{value:.4g}"))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _judged(fit: Fit) -> list[str]:
    cells = _cells(fit.errors) if fit.errors else ["0", "", "", "", ""]
    return [str(fit.rows), *cells, f"{fit.band[0]:.2f}-{fit.band[1]:.2f}"]


def _cells(errors: Errors) -> list[str]:
    cells = [str(len(errors.ratios)), f"{errors.median:.1%}", f"{errors.p90:.1%}"]
    return [*cells, f"{errors.bias:+.1%}", f"{np.round(errors.slow_bias, 6):+.1%}"]
