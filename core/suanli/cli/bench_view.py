"""What a measurement came to, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from suanli.bench.comparing import Comparison, compare
from suanli.bench.device import About
from suanli.bench.running import Outcome
from suanli.cli.amounts import amount
from suanli.cli.blocks import Block, Rows, Table, Text
from suanli.hardware import Accelerator, System
from suanli.measurement_schema import Measurement, Shape, kernel_of
from suanli.measurements import impossible, row_of

Against = tuple[Accelerator, System | None] | None
MOST_LINES = 8
"""Of one kind of remark."""


def data(outcome: Outcome, rows: Sequence[Measurement], against: Against) -> dict[str, Any]:
    """Everything, as JSON has it."""
    found: dict[str, Any] = {
        "measured": len(outcome.measured),
        "known": outcome.known,
        "too_large": outcome.too_large,
        "refused": outcome.refused,
        "stopped": outcome.stopped,
        "measurements": [_plain(m) for m in rows],
    }
    return found | ({"comparison": comparison_data(rows, against)} if against else {})


def _plain(one: Measurement) -> dict[str, Any]:
    about = attrs.asdict(one, recurse=False)
    del about["shape"], about["row"]
    return {"kernel": one.shape.kernel, "precision": one.shape.precision, **dict(one.shape.dims), **about}


def rows(found: Sequence[Measurement]) -> Rows:
    """The rows as the file has them."""
    return [dict(row_of(m)) for m in found]


def blocks(
    outcome: Outcome,
    found: Sequence[Measurement],
    about: About,
    path: Path,
    against: Against,
    notes: Sequence[str],
) -> list[Block]:
    """A summary by class, what was left out and why, and the comparison."""
    said = f"{len(outcome.measured)} measured on {about.name}"
    said += f", {outcome.known} known already" if outcome.known else ""
    made: list[Block] = [Text(text=f"{said}: {path}", style="headline")]
    if outcome.stopped:
        made.append(Text(text="stopped; the same command goes on from here", style="warning"))
    made += [Text(text=f"note: {n}", style="note") for n in notes]
    if found:
        made.append(_summary(found))
    if outcome.too_large:
        limits = f"{amount('_flops', about.most_flops)} or {amount('_bytes', about.most_bytes)} a launch"
        made.append(Text(text=f"{outcome.too_large} left out: more than {limits}", style="note"))
    made += _cut([f"{n} not run: {reason}" for reason, n in outcome.refused.items()])
    return [*made, *(comparison_blocks(found, against, path) if against is not None and found else [])]


def _cut(lines: Sequence[str], style: str = "note") -> list[Block]:
    shown = [*lines[:MOST_LINES], *([f"and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else [])]
    return [Text(text="\n".join(shown), style=style)] if shown else []


def _summary(found: Sequence[Measurement]) -> Table:
    groups: dict[tuple[str, str], list[Measurement]] = {}
    for one in found:
        groups.setdefault((one.shape.group, one.shape.precision), []).append(one)
    lines = []
    for (group, precision), members in groups.items():
        times = [m.time_s for m in members]
        best = max(_rate(m.shape, m.time_s) for m in members)
        spread = max((m.spread_ratio or 0.0 for m in members), default=0.0)
        flops = members[0].shape.kernel not in ("elementwise", "collective")
        lines.append(
            (
                group,
                precision,
                str(len(members)),
                amount("_s", min(times)),
                amount("_s", max(times)),
                amount("_flops_per_s" if flops else "_bytes_per_s", best),
                amount("_ratio", spread),
                members[-1].timing,
            )
        )
    return Table(
        columns=("kernel", "precision", "rows", "shortest", "longest", "best rate", "spread", "timed by"),
        rows=tuple(lines),
        right=(2, 3, 4, 5, 6),
        keep=(0, 1, 3, 4, 5),
    )


def _rate(shape: Shape, time_s: float) -> float:
    """FLOP/s of a product or an attention; bytes/s of a pass, or of an exchange's buffer."""
    if shape.kernel in ("elementwise", "collective"):
        return float(shape["bytes"]) / time_s
    return float(kernel_of(shape).flops) / time_s


def comparison(found: Sequence[Measurement], against: Against) -> Comparison:
    """The errors by class."""
    assert against is not None
    return compare(found, *against)


def comparison_data(found: Sequence[Measurement], against: Against) -> dict[str, Any]:
    """The errors by class, as JSON has them."""
    assert against is not None
    made = comparison(found, against)
    return {
        "accelerator": against[0].id,
        "classes": [attrs.asdict(c) for c in made.classes],
        "unanswered": dict(made.unanswered),
        "impossible": list(impossible(found, *against)),
    }


def comparison_blocks(found: Sequence[Measurement], against: Against, path: Path) -> list[Block]:
    """The errors by class, for people."""
    assert against is not None
    accelerator, _ = against
    made = comparison(found, against)
    devices = sorted({m.device for m in found if m.device})
    on = f" on {', '.join(devices)}" if devices else ""
    lines = tuple(
        (
            c.kernel,
            c.precision,
            str(c.rows),
            amount("_ratio", c.median_error),
            amount("_ratio", c.p90_error),
            ("+" if c.bias >= 0.0 else "") + amount("_ratio", c.bias),
            amount("_s", c.measured_s),
            amount("_s", c.predicted_s),
        )
        for c in made.classes
    )
    shown: list[Block] = [
        Table(
            title=f"{path.name}{on}, against what is predicted for {accelerator.id}",
            columns=("kernel", "precision", "rows", "median error", "p90", "bias", "all measured", "all predicted"),
            rows=lines,
            right=(2, 3, 4, 5, 6, 7),
            keep=(0, 1),
        )
    ]
    shown.append(
        Text(text="error: predicted / measured - 1; bias: its median, above 0 where predicted slower", style="note")
    )
    shown += _cut([f"{n} not predicted: {reason}" for reason, n in made.unanswered])
    wrong = impossible(found, *against)
    if len(wrong) * 2 > len(found):
        said = f"{len(wrong)} of {len(found)} rows cannot be seconds on {accelerator.id}; was it another device?"
        return [*shown, Text(text=f"{said} The first: {wrong[0]}", style="warning")]
    return [*shown, *_cut(wrong, "warning")]
