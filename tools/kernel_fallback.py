"""The figures for hardware never measured: one fit over all generations, each scaled by its own facts.

Its errors: every generation's rows, predicted by a fit to the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kernel_rows import Row
from suanli.calibration.classes import physics
from suanli.calibration.fitting import Group, best_fit, entry
from suanli.calibration.records import Errors, Fit, Params, joined, union
from suanli.catalog_files import FALLBACK
from suanli.hardware import Accelerator
from suanli.kernel_models import Efficiency
from suanli.kernel_models.gemm import SCALED_BEFORE

Band = tuple[float, float]
LeftOut = dict[str, list[Efficiency]]
"""For each generation, what the others know of each class."""


def kernel_fallbacks(
    fits: Sequence[Fit],
    rows: Iterable[Row],
    parts: Mapping[str, Accelerator],
    run: Callable[..., Iterable[Any]] = map,
) -> tuple[list[Fit], LeftOut]:
    """A fit of each (kernel, precision) for a generation never measured, and each generation's from the others."""
    measured: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row.fitted:
            measured[row.key].append(row)
    classes: dict[tuple[str, ...], list[Fit]] = defaultdict(list)
    for fit in fits:
        if "multiplies" not in fit.fixed:
            classes[fit.key[1:]].append(fit)
    jobs = []
    for key, members in sorted(classes.items()):
        teacher = taught_by(key, classes)
        generations = [f.key[0] for f in classes[teacher]]
        for left in ["", *(f.key[0] for f in members)] if len(generations) > 1 else [""]:
            used = [measured[g, *teacher] for g in generations if g != left]
            jobs.append((key, teacher, left, used, measured[left, *key] if left else [], parts))
    params: dict[tuple[str, ...], Params] = {}
    errors: dict[tuple[str, ...], list[Errors]] = defaultdict(list)
    left_out: LeftOut = defaultdict(list)
    for (key, teacher, left, *_), (found, judged) in zip(jobs, run(_fit_without, jobs), strict=True):
        if not left:
            params[key] = found
            continue
        errors[key].append(judged)
        left_out[left].append(entry((FALLBACK, *key), physics(FALLBACK, *teacher), found))
    judged_by = {key: joined(e) for key, e in errors.items()}
    made = []
    for key, members in sorted(classes.items()):
        teacher = taught_by(key, classes)
        made.append(_fallback(key, teacher, members[0].band, classes[teacher], params[key], judged_by))
    return made, left_out


def taught_by(key: tuple[str, ...], classes: Mapping[tuple[str, ...], Any]) -> tuple[str, ...]:
    """The class whose rows a class is fitted to.

    Engines with static scales do such different things around the product that one says nothing of another's;
    what is sure is the product of the dynamic class, whose inputs need no pass before.
    """
    plain = (key[0], key[1].removesuffix(SCALED_BEFORE))
    return plain if plain in classes else key


def _fit_without(job: tuple[Any, ...]) -> tuple[Params, Errors | None]:
    key, teacher, _, used, judged, parts = job
    about = physics(FALLBACK, *teacher)
    found = best_fit((FALLBACK, *key), about, [Group(rows, parts) for rows in used])
    if not judged:
        return found, None
    group = Group(judged, parts)
    return found, Errors(group.seconds / group.predict(entry((FALLBACK, *key), about, found)), group.seconds)


def _fallback(
    key: tuple[str, ...],
    teacher: tuple[str, ...],
    own: Band,
    taught: Sequence[Fit],
    params: Params,
    judged: dict[tuple[str, ...], Errors],
) -> Fit:
    """A class of one generation has no errors; its band holds its `own` and those of its kernel's other classes."""
    errors = judged.get(key)
    if errors:
        band, how = errors.band, "errors: leave one generation out"
    else:
        kin = [e for k, e in judged.items() if k[0] == key[0]]
        band = union(own, joined(kin or list(judged.values())).band)
        whose = f"other {key[0]} classes" if kin else "all measured"
        how = f"band widened to that of {whose} left out in turn"
    about = physics(FALLBACK, *teacher)
    made_of = ", ".join(f.key[0] for f in taught)
    if teacher != key:
        made_of = f"{teacher[-1]} of {made_of}, less its pass over the inputs"
    return Fit(
        key=(FALLBACK, *key),
        names=tuple(about.free),
        params=params,
        rows=sum(f.rows for f in taught),
        errors=errors,
        band=band,
        source=f"{'one fit to ' if errors else ''}{made_of}; {how}",
        vendor="core",
        fixed=dict(about.fixed),
    )
