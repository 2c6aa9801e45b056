"""The figures for fabrics never measured: medians over the generations, with the errors that has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from fabric_model import judge
from fabric_transfers import Transfer
from fit_common import Errors, Fit, Params

FALLBACK = "datasheet"
# Nobody measured a full mesh: a factor of two either way is a guess.
GUESSED = (0.5, 2.0)
Band = tuple[float, float]


def fabric_fallbacks(fits: Sequence[Fit], rows: Iterable[Transfer]) -> tuple[list[Fit], list[Fit]]:
    """`fits` with honest bands, then a fit of each fabric for a generation never measured."""
    core = {f.key[1]: f for f in _fallbacks(fits, rows)}
    switch = core["switch"]
    why = "one pair of nodes, point to point; band widened to that of switches left out in turn"
    fits = [_widened(f, switch.band, why) if f.key[1] == "nic" else f for f in fits]
    core["nic"] = replace(core["nic"], source=f"hopper's: {why}")
    mesh = replace(
        switch,
        key=(FALLBACK, "full-mesh"),
        rows=0,
        errors=None,
        band=_union(switch.band, GUESSED),
        source="nobody measured one: the switch's figures, the band a factor of two either way or more",
    )
    return fits, [mesh, *core.values()]


def medians(fits: Sequence[Fit]) -> Params:
    """The typical parameters."""
    return tuple(float(np.median([f.params[i] for f in fits])) for i in range(len(fits[0].params)))


def _fallbacks(fits: Sequence[Fit], rows: Iterable[Transfer]) -> list[Fit]:
    """Medians of each class.  Errors: all rows of each generation, predicted by the medians of the others.

    A class of one generation has no such errors; its band holds its own and those of its kernel's
    other classes, or of all classes.
    """
    measured: dict[tuple[str, ...], list[Transfer]] = defaultdict(list)
    for row in rows:
        if row.fitted:
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
            )
        )
    return result


def _joined(errors: Sequence[Errors]) -> Errors:
    return Errors(np.concatenate([e.ratios for e in errors]), np.concatenate([e.measured for e in errors]))


def _union(one: Band, other: Band) -> Band:
    return min(one[0], other[0]), max(one[1], other[1])


def _widened(fit: Fit, band: Band, why: str) -> Fit:
    return replace(fit, band=_union(fit.band, band), source=f"{fit.source}; {why}")
