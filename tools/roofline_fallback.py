"""The figures for hardware never measured: medians over the generations, with the errors that has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from roofline_model import UNCONSTRAINED, Errors, Fit, Params, judge
from roofline_rows import Row

FALLBACK = "datasheet"
Band = tuple[float, float]


def kernel_fallbacks(fits: Sequence[Fit], rows: Iterable[Row]) -> list[Fit]:
    """A fit of each (kernel, precision) for a generation never measured."""
    found = _fallbacks(fits, rows)
    usual = next(f.params[0] for f in found if f.key[1:] == ("gemm", "bf16"))
    return [
        f if f.constrained else replace(f, params=(usual, *f.params[1:]), source=f.source + UNCONSTRAINED)
        for f in found
    ]


def medians(fits: Sequence[Fit]) -> Params:
    """The typical parameters; the first only of fits whose rows tell it, unless none's do."""
    telling = [f for f in fits if f.constrained] or fits
    first = float(np.median([f.params[0] for f in telling]))
    return (first, *(float(np.median([f.params[i] for f in fits])) for i in range(1, len(fits[0].params))))


def _fallbacks(fits: Sequence[Fit], rows: Iterable[Row]) -> list[Fit]:
    """Medians of each class.  Errors: all rows of each generation, predicted by the medians of the others.

    A class of one generation has no such errors; its band holds its own and those of its kernel's
    other classes, or of all classes.
    """
    measured: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        measured[row.key].append(row)
    groups: dict[tuple[str, ...], list[Fit]] = defaultdict(list)
    for fit in fits:
        groups[fit.key[1:]].append(fit)
    left_out = {
        key: _joined([judge(measured[f.key], medians([g for g in members if g != f])) for f in members])
        for key, members in groups.items()
        if len(members) > 1
    }
    result = []
    for key, members in sorted(groups.items()):
        errors = left_out.get(key)
        if errors:
            band, how = errors.band, "errors: leave one generation out"
        else:
            kin = [e for k, e in left_out.items() if k[0] == key[0]]
            band = _union(members[0].band, _joined(kin or list(left_out.values())).band)
            whose = f"other {key[0]} classes" if kin else "all measured"
            how = f"band widened to that of {whose} left out in turn"
        made_of = ", ".join(f.key[0] for f in members)
        result.append(
            Fit(
                key=(FALLBACK, *key),
                names=members[0].names,
                params=medians(members),
                rows=sum(f.rows for f in members),
                errors=errors,
                band=band,
                source=f"{'median of ' if errors else ''}{made_of}; {how}",
                vendor="core",
                constrained=any(f.constrained for f in members),
            )
        )
    return result


def _joined(errors: Sequence[Errors]) -> Errors:
    return Errors(np.concatenate([e.ratios for e in errors]), np.concatenate([e.measured for e in errors]))


def _union(one: Band, other: Band) -> Band:
    return min(one[0], other[0]), max(one[1], other[1])
