"""Write fits as calibration tables and as markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from roofline_model import Errors, Fit, judge
from roofline_rows import Row

ERROR_HEAD = ["held out", "median error", "p90", "bias", "slow bias"]


def toml(fits: Iterable[Fit]) -> str:
    """Calibration tables; figures to four digits."""
    text = "# Written by tools/fit_roofline.py; not to be edited.\n"
    for fit in fits:
        fabric = len(fit.key) == 2
        keys = ("generation", "fabric") if fabric else ("generation", "kernel", "precision")
        text += f"\n[[{'fabric_efficiency' if fabric else 'efficiency'}]]\n"
        text += "".join(f'{k} = "{v}"\n' for k, v in zip(keys, fit.key, strict=True))
        text += "".join(f"{k} = {_number(v)}\n" for k, v in zip(fit.names, fit.params, strict=True))
        text += f"band = [{_number(fit.band[0])}, {_number(fit.band[1])}]\nrows = {fit.rows}\n"
        if fit.errors:
            text += f"held_out_rows = {len(fit.errors.ratios)}\nmedian_error = {_number(fit.errors.median)}\n"
            text += f"p90_error = {_number(fit.errors.p90)}\nbias = {_number(fit.errors.bias)}\n"
        text += f'source = "{fit.source}"\n'
    return text


def kernel_table(fits: Iterable[Fit]) -> str:
    """Parameters and errors of kernel fits."""
    head = ["generation", "kernel", "precision", "compute", "bandwidth", "launch us", "fitted"]
    return table(
        [*head, *ERROR_HEAD, "band"],
        (
            [
                *f.key,
                f"{f.params[0]:.3f}" + ("" if f.constrained else " (not constrained)"),
                f"{f.params[1]:.3f}",
                f"{f.params[2] * 1e6:.2f}",
                *_judged(f),
            ]
            for f in fits
        ),
    )


def large_gemms(fits: Iterable[Fit], rows: Iterable[Row], count: int = 20) -> str:
    """The share of peak that the largest bf16 GEMMs of each part reach, and what is predicted of them."""
    params = {f.key: f.params for f in fits}
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if (row.kernel, row.precision) == ("gemm", "bf16"):
            groups[*row.key, row.device.label].append(row)
    lines = []
    for key, members in sorted(groups.items()):
        top = sorted(members, key=lambda r: (-r.flops, r.shape))[:count]
        errors = judge(top, params[key[:3]])
        share = float(np.median([r.compute_s / r.seconds for r in top]))
        lines.append([key[3], str(len(top)), f"{share:.2f}", f"{errors.median:.1%}", f"{errors.bias:+.1%}"])
    return table(["part", "largest", "share of peak, median", "median error", "bias"], lines)


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
    return [*cells, f"{errors.bias:+.1%}", f"{errors.slow_bias:+.1%}"]
