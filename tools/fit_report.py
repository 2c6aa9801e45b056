"""Write fits as markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from suanli.calibration.records import Errors, Fit

HEAD = "Written by tools/fit_kernels.py; not to be edited."
ERROR_HEAD = ["judged", "median error", "p90", "bias", "slow bias"]


def kernel_table(fits: Iterable[Fit]) -> str:
    """Errors of kernel fits."""
    head = ["generation", "kernel", "precision", "parameters", "rows", *ERROR_HEAD, "band", "inside it"]
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


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _judged(fit: Fit) -> list[str]:
    cells = _cells(fit.errors) if fit.errors else ["0", "", "", "", ""]
    inside = fit.errors.coverage if fit.errors else None
    covered = "" if inside is None else f"{inside:.0%}"
    return [str(fit.rows), *cells, f"{fit.band[0]:.2f}-{fit.band[1]:.2f}", covered]


def _cells(errors: Errors) -> list[str]:
    cells = [str(len(errors.ratios)), f"{errors.median:.1%}", f"{errors.p90:.1%}"]
    return [*cells, f"{errors.bias:+.1%}", f"{np.round(errors.slow_bias, 6):+.1%}"]
