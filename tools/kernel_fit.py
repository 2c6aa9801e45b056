"""Fit the kernel models of `suanli` to the reference measurements, by the fit of `suanli.calibration`.

Each class is fitted three times. Two fits on the halves of the rows, chosen by a hash of the shape, predict each
other's half: those are the errors stated. A third fit on all rows is what is shipped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kernel_rows import Row, sources
from suanli.calibration.classes import Physics, measured_on, physics
from suanli.calibration.fitting import MINIMUM_ROWS, Group, best_fit, crossed, entry
from suanli.calibration.records import Errors, Fit, halved
from suanli.hardware import Accelerator
from suanli.kernel_models import Efficiency
from suanli.kernel_models.gemm import SCALED_BEFORE


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
    return _made(key, about, members, parts, errors)


def _made(
    key: tuple[str, str, str],
    about: Physics,
    members: list[Row],
    parts: Mapping[str, Accelerator],
    errors: Errors,
    known: Efficiency | None = None,
    of: str = "generation",
) -> Fit:
    """The fit to all rows, with the errors of those to halves."""
    return Fit(
        key=key,
        names=tuple(about.free),
        params=best_fit(key, about, [Group(members, parts)], known),
        rows=len(members),
        errors=errors,
        band=errors.band,
        source=sources(members),
        vendor=members[0].device.vendor,
        fixed=dict(about.fixed),
        of=of,
    )


def entry_of(fit: Fit) -> Efficiency:
    """The figures of a fit, as a model reads them."""
    return entry(fit.key, Physics(dict.fromkeys(fit.names, (0.0, 0.0, 0.0)), fit.fixed), fit.params)


def carried_by(fits: Iterable[Fit], row: Row) -> Fit | None:
    """The fit to its generation that answers for a row: of its precision, or of that scaled while running."""
    known = {f.key: f for f in fits}
    plain = row.precision.removesuffix(SCALED_BEFORE)
    return known.get(row.key) or known.get((*row.key[:2], plain))


def fit_accelerators(
    rows: Iterable[Row],
    parts: Mapping[str, Accelerator],
    fits: Sequence[Fit],
    run: Callable[..., Iterable[Any]] = map,
) -> tuple[list[Fit], list[str]]:
    """Figures of accelerators of a measured generation that others measured, where they beat those carried over."""
    rows = list(rows)
    measured = {row.part for row in rows if row.fitted}
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row.part not in measured:
            groups[row.part, row.kernel, row.precision].append(row)
    jobs = [(key, members, carried_by(fits, members[0]), parts) for key, members in sorted(groups.items())]
    done = list(run(_fit_accelerator, jobs))
    return [d for d in done if isinstance(d, Fit)], [d for d in done if isinstance(d, str)]


def _fit_accelerator(
    job: tuple[tuple[str, str, str], list[Row], Fit | None, Mapping[str, Accelerator]],
) -> Fit | str:
    key, members, carried, parts = job
    what = " / ".join(key)
    halves = halved(members)
    if min(map(len, halves)) < MINIMUM_ROWS:
        return f"{what}: {len(members)} rows are too few"
    about = physics(members[0].device.generation, *key[1:])
    known = entry_of(carried) if carried else None
    errors = crossed(key, about, [Group(half, parts) for half in halves], known)
    if known is not None:
        whole = Group(members, parts)
        before = Errors(whole.seconds / whole.predict(known), whole.seconds)
        if before.loss <= errors.loss:
            better = f"{before.median:.1%} against {errors.median:.1%}"
            return f"{what}: its generation's figures, carried over, are nearer to rows not fitted ({better})"
    return _made(key, about, members, parts, errors, known, "accelerator")
