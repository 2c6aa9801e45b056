"""The fabrics' figures and errors as markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from exchange_fit import Fabrics, judged
from exchange_rows import LARGE_BYTES, Exchanged
from fit_report import table
from suanli.calibration.records import Errors, Fit, held_out

HEAD = ["rows", "median error", "p90", "bias", "rows from 64 KiB", "median error", "p90", "bias"]
# Each parameter's column, and the unit it is shown in.
SHOWN = {
    "bandwidth_ratio": ("bandwidth", 1.0),
    "ramp_s": ("ramp us", 1e-6),
    "launch_s": ("launch us", 1e-6),
    "latency_s": ("message us", 1e-6),
    "copy_bytes_per_s": ("copy TB/s", 1e12),
    "crowding": ("crowding", 1.0),
    "reduction_ratio": ("switches add", 1.0),
    "reduction_s": ("set-up us", 1e-6),
    "engine_ratio": ("engine", 1.0),
    "engine_launch_s": ("launch us", 1e-6),
    "engine_latency_s": ("peer us", 1e-6),
}


def sections(fabrics: Fabrics, rows: Sequence[Exchanged]) -> dict[str, str]:
    """Every table, by title."""
    return {
        "Fabrics: figures": _figures([*fabrics.fits, *fabrics.core]),
        "Fabrics: errors on the half not fitted": _held_out(fabrics),
        "Engines' own all-reduces in graphs: errors on the half not fitted": _engines(fabrics),
        "Switches of a generation left out (predicted by the others)": _left_out(fabrics),
        "Collectives judged, not fitted (graphs of engines: fitted in three figures)": _others(fabrics, rows),
    }


def _figures(fits: Iterable[Fit]) -> str:
    lines = []
    for fit in fits:
        values = dict(zip(fit.names, fit.params, strict=True))
        cells = [f"{values[n] / unit:.3g}" if n in values else "" for n, (_, unit) in SHOWN.items()]
        lines.append([*fit.key, *cells, str(fit.rows), f"{fit.band[0]:.2f}-{fit.band[1]:.2f}"])
    return table(["generation", "fabric", *(label for label, _ in SHOWN.values()), "rows", "band"], lines)


def _held_out(fabrics: Fabrics) -> str:
    lines = []
    for fit in fabrics.fits:
        generation, fabric = fit.key
        members = fabrics.groups[generation, fabric]
        ordered = [r for side in (False, True) for r in members if held_out(r.shape) is side]
        assert fit.errors is not None
        lines.append([generation, fabric, *_cells(fit.errors, ordered)])
    return table(["generation", "fabric", *HEAD], lines)


def _engines(fabrics: Fabrics) -> str:
    found = fabrics.engines.items()
    return table(["generation", *HEAD], ([g, *_cells(e, fabrics.own[g, "switch"])] for g, e in found))


def _left_out(fabrics: Fabrics) -> str:
    found = fabrics.left_out.items()
    return table(["generation", *HEAD], ([g, *_cells(e, fabrics.groups[g, "switch"])] for g, e in found))


def _others(fabrics: Fabrics, rows: Iterable[Exchanged]) -> str:
    fits = {f.key: f for f in (*fabrics.fits, *fabrics.core)}
    groups: dict[tuple[str, ...], list[Exchanged]] = defaultdict(list)
    for row in rows:
        if not row.fitted:
            groups[row.system, row.fabric, row.implementation].append(row)
    lines = [[*k, *_cells(judged(fits, m, fabrics.systems), m)] for k, m in sorted(groups.items())]
    return table(["system", "fabric", "implementation", *HEAD], lines)


def _cells(errors: Errors, rows: Sequence[Exchanged]) -> list[str]:
    large = np.array([r.bytes >= LARGE_BYTES for r in rows])
    return [*_errors(errors.relative), *_errors(errors.relative[large])]


def _errors(relative: NDArray[np.float64]) -> list[str]:
    if not len(relative):
        return ["0", "", "", ""]
    size = np.abs(relative)
    return [
        str(len(size)),
        f"{np.median(size):.1%}",
        f"{np.quantile(size, 0.9):.1%}",
        f"{np.median(relative):+.1%}",
    ]
