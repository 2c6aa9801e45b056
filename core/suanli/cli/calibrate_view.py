"""What a calibration came to, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from suanli.calibration.records import Errors, Fit
from suanli.calibration.results import Calibrated, CalibratedFabric, Calibration, ExchangeErrors
from suanli.cli import scatter
from suanli.cli.blocks import Block, Rows, Table, Text
from suanli.errors import clip
from suanli.measurement_schema import Measurement

MISSED = 0.25
"""An exchange whose rows are off by more, in the median, is not described by the figures of its fabric."""

Judged = Calibrated | CalibratedFabric | ExchangeErrors


def series(made: Calibration) -> list[scatter.Series]:
    """Rows not fitted, each as the rest predicts it."""
    found: list[tuple[str, Errors | None]] = [(f"{c.kernel} {c.precision}", c.held_out) for c in made.classes]
    found += [(f"{f.system} {f.fabric}", f.held_out) for f in made.fabrics]
    return [
        scatter.Series(
            label=label,
            pairs=tuple((float(m), float(m / r)) for m, r in zip(errors.measured, errors.ratios, strict=True)),
        )
        for label, errors in found
        if errors is not None
    ]


def data(made: Calibration, out: Path | None) -> dict[str, Any]:
    """Everything, as JSON has it."""
    return {
        "accelerator": made.accelerator,
        "source": made.source,
        "date": made.date,
        "file": str(out) if out else None,
        "classes": [{"kernel": c.kernel, "precision": c.precision, **_outcome(c)} for c in made.classes],
        "fabrics": [
            {
                "system": f.system,
                "fabric": f.fabric,
                **_outcome(f),
                "exchanges": [
                    {"operation": e.operation, "algorithm": e.algorithm or None, "rows": e.rows, **_errors(e)}
                    for e in f.exchanges
                ],
            }
            for f in made.fabrics
        ],
        "left_out": dict(made.left_out),
    }


def _outcome(one: Calibrated | CalibratedFabric) -> dict[str, Any]:
    return {"rows": one.rows, "how": one.how, "why": one.why, **_errors(one), "figures": _figures(one.fit)}


def _errors(one: Judged) -> dict[str, Any]:
    return {"before": _told(one.before), "fitted": _told(one.fitted), "held_out": _told(one.held_out)}


def _told(errors: Errors | None) -> dict[str, float | int | None]:
    if errors is None:
        return {"rows": 0, "median_error": None, "p90_error": None, "bias": None}
    told = {"median_error": errors.median, "p90_error": errors.p90, "bias": errors.bias}
    return {"rows": len(errors.ratios), **told}


def _figures(fit: Fit | None) -> dict[str, float] | None:
    return dict(zip(fit.names, fit.params, strict=True)) if fit is not None else None


def rows(made: Calibration) -> Rows:
    """A row for each class of kernels, each fabric, and each exchange over one."""
    found = [_row(c, kernel=c.kernel, precision=c.precision, how=c.how, why=c.why) for c in made.classes]
    for f in made.fabrics:
        about = {"kernel": "collective", "system": f.system, "fabric": f.fabric, "how": f.how}
        found.append(_row(f, **about, why=f.why))
        found += [_row(e, **about, operation=e.operation, algorithm=e.algorithm) for e in f.exchanges]
    return found


COLUMNS = ("kernel", "precision", "system", "fabric", "operation", "algorithm", "rows", "how", "why")


def _row(one: Judged, **about: Any) -> dict[str, Any]:
    about["rows"] = one.rows
    found: dict[str, Any] = {name: about.get(name, "") for name in COLUMNS}
    for name, errors in (("before", one.before), ("fitted", one.fitted), ("held_out", one.held_out)):
        found |= {f"{name}_{k}": v for k, v in _told(errors).items()}
    return found


def blocks(
    made: Calibration,
    measured: Sequence[Measurement],
    file: str,
    out: Path | None,
    *,
    svg: str | None,
    width: int,
    assumed: str = "",
) -> list[Block]:
    """The tables, what became of each class, and the plot; `assumed` is a system that nobody named."""
    used = sum(c.rows for c in made.classes) + sum(f.rows for f in made.fabrics)
    found: list[Block] = [Text(text=f"{made.accelerator}: {used} of {len(measured)} rows of {file}", style="headline")]
    found += [_kernels(made)] if made.classes else []
    found += [_exchanges(f) for f in made.fabrics]
    found.append(
        Text(text="error: predicted / measured - 1; bias: its median, above 0 where predicted slower; "
             "held out: rows predicted without them; before: what is predicted without this calibration", style="note")
    )  # fmt: skip
    if assumed:
        text = f"exchanges: taken to be of {assumed}, the default system of {made.accelerator}; --system names another"
        found.append(Text(text=text, style="note"))
    found += [Text(text=f"{c.kernel} {c.precision} {c.how}: {c.why}", style="note") for c in made.classes]
    found += [Text(text=f"{f.system} {f.fabric} {f.how}: {f.why}", style="note") for f in made.fabrics]
    found += [Text(text=text, style="warning") for text in _missed(made)]
    found += [Text(text=f"{n} rows not used: {reason}", style="note") for reason, n in made.left_out]
    devices = sorted({r.device for r in measured if r.device})
    if len(devices) > 1:
        text = f"rows of {len(devices)} devices, fitted as one: {clip(', '.join(devices), 200)}"
        found.append(Text(text=text, style="warning"))
    drawn = series(made)
    if drawn:
        found.append(Text(text=scatter.draw(drawn, width)))
    if svg is not None and drawn:
        found.append(Text(text=f"drawn in {svg}", style="note"))
    if out is None:
        found.append(Text(text="nothing written: every class has too few rows", style="warning"))
        return found
    found.append(Text(text=f"source: {made.source}; fitted {made.date}", style="note"))
    found.append(Text(text=f"written: {out}. Ship it in a plugin, or put it into a folder of its own and name that in "
                      "SUANLI_PATH", style="good"))  # fmt: skip
    return found


def _missed(made: Calibration) -> list[str]:
    """Exchanges that the new figures of their fabric do not describe."""
    found = []
    for f in made.fabrics:
        wrong = [
            f"{e.operation} {e.algorithm}".strip() + f" ({e.held_out.median:.0%})"
            for e in f.exchanges
            if e.held_out is not None and e.held_out.median > MISSED
        ]
        if wrong:
            which = ", ".join(wrong)
            found.append(f"{f.system} {f.fabric}: one set of figures does not describe (median error): {which}")
    return found


ERRORS = ("fit: median", "held out: median", "p90", "bias", "before: median")


def _cells(one: Judged) -> tuple[str, ...]:
    fit = f"{one.fitted.median:.1%}" if one.fitted is not None else ""
    held = ("", "", "")
    if one.held_out is not None:
        held = (f"{one.held_out.median:.1%}", f"{one.held_out.p90:.1%}", f"{one.held_out.bias:+.1%}")
    return (fit, *held, f"{one.before.median:.1%}")


def _kernels(made: Calibration) -> Table:
    return Table(
        columns=("kernel", "precision", "rows", "", *ERRORS),
        rows=tuple((c.kernel, c.precision, str(c.rows), c.how, *_cells(c)) for c in made.classes),
        right=(2, 4, 5, 6, 7, 8),
        keep=(0, 1, 3),
    )


def _exchanges(fabric: CalibratedFabric) -> Table:
    lines = [(f"{e.operation} {e.algorithm}".strip(), str(e.rows), "", *_cells(e)) for e in fabric.exchanges]
    lines.append(("all", str(fabric.rows), fabric.how, *_cells(fabric)))
    return Table(
        title=f"{fabric.system}: exchanges over {fabric.fabric}",
        columns=("exchange", "rows", "", *ERRORS),
        rows=tuple(lines),
        right=(1, 3, 4, 5, 6, 7),
        strong=(len(fabric.exchanges),),
        keep=(0, 2),
    )
