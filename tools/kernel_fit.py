"""Fit the kernel models of `suanli` to the reference measurements, by the fit of `suanli.calibration`.

Each class is fitted three times. Two fits on the halves of the rows, chosen by a hash of the shape, predict each
other's half: those are the errors stated. A third fit on all rows is what is shipped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from kernel_rows import Row, sources
from suanli.calibration.classes import measured_on, physics
from suanli.calibration.fitting import MINIMUM_ROWS, Group, best_fit, crossed
from suanli.calibration.records import Fit, halved
from suanli.hardware import Accelerator


def by_class(rows: Iterable[Row]) -> dict[tuple[str, str, str], list[Row]]:
    """Rows of each (generation, kernel, precision)."""
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.key].append(row)
    return dict(sorted(groups.items()))


def fit_kernels(
    rows: Iterable[Row], parts: Mapping[str, Accelerator], run: Callable[..., Iterable[Any]] = map
) -> tuple[list[Fit], list[str]]:
    """Every class that can be fitted, and a line for each that cannot."""
    fits, skipped, jobs = [], [], []
    for key, members in by_class(r for r in rows if r.fitted).items():
        halves = halved(members)
        if min(map(len, halves)) < MINIMUM_ROWS:
            skipped.append(f"{' / '.join(key)}: {len(members)} rows are too few")
            continue
        jobs.append((key, members, halves, parts))
    for fit in run(_fit_class, jobs):
        fits.append(fit)
    return fits, skipped


def _fit_class(
    job: tuple[tuple[str, str, str], list[Row], tuple[list[Row], list[Row]], Mapping[str, Accelerator]],
) -> Fit:
    key, members, halves, parts = job
    about = physics(*key)
    about = replace(about, fixed={**about.fixed, **measured_on(parts[members[0].part])})
    errors = crossed(key, about, [Group(half, parts) for half in halves])
    params = best_fit(key, about, [Group(members, parts)])
    return Fit(
        key=key,
        names=tuple(about.free),
        params=params,
        rows=len(members),
        errors=errors,
        band=errors.band,
        source=sources(members),
        vendor=members[0].device.vendor,
        fixed=dict(about.fixed),
    )
