"""80 % bands from rows that are not independent: many of one source say much the same.

A source that published a hundred rows of one sweep is one witness, not a hundred.  So a source counts for ``MOST``
rows on an accelerator at most, and a band is checked on sources it was not set on: each is left out in turn.
A user's run is of a source that is not here at all, so the tails cut off are as large as the left-out sources allow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# Rows that one source counts for on one accelerator, at most.
MOST = 10
# A band wants at least so many rows, of so many sources.
ENOUGH_ROWS, ENOUGH_SOURCES = 10, 3
WANTED = 0.8
# Tails cut off at each end, the largest that covers enough of the sources left out; none is cut if none does.
TAILS = (0.1, 0.075, 0.05, 0.025, 0.0)


@dataclass(frozen=True)
class Interval:
    """A band, how it was set, and how it did.

    Attributes:
        low: Measured over predicted.
        high: The same.
        tail: Share cut off at each end.
        covered: Share of the rows of left-out sources inside the bands the others set; None with too few sources.
        sources: How many.
    """

    low: float
    high: float
    tail: float
    covered: float | None
    sources: int


def weights(witnesses: Sequence[Hashable], most: float = MOST) -> Array:
    """How much each row counts, by who it is of."""
    rows = Counter(witnesses)
    return np.array([min(rows[w], most) / rows[w] for w in witnesses])


def quantile(values: Array, weight: Array, at: Sequence[float]) -> Array:
    """Quantiles of weighted values, midway inside each value's share."""
    order = np.argsort(values)
    share = weight[order]
    middle = (np.cumsum(share) - share / 2.0) / share.sum()
    return np.interp(at, middle, values[order])


def interval(ratios: Array, sources: Sequence[str], witnesses: Sequence[Hashable]) -> Interval | None:
    """The 80 % band of measured over predicted; None with too few rows.

    Args:
        ratios: Measured over predicted.
        sources: Whose each row is; one is left out at a time.
        witnesses: Source and accelerator of each row.
    """
    names = sorted(set(sources))
    if len(ratios) < ENOUGH_ROWS:
        return None
    logs, weight = np.log(ratios), weights(witnesses)
    of = np.array(sources)
    covered: float | None = None
    tail = TAILS[0]
    if len(names) >= ENOUGH_SOURCES:
        for tail in TAILS:
            covered = _covered(logs, weight, of, names, tail)
            if covered >= WANTED - 1e-9:
                break
    low, high = np.exp(quantile(logs, weight, [tail, 1.0 - tail]))
    return Interval(float(low), float(high), tail, covered, len(names))


def _covered(logs: Array, weight: Array, of: NDArray[np.str_], names: Sequence[str], tail: float) -> float:
    inside = 0.0
    for name in names:
        others, own = of != name, of == name
        low, high = quantile(logs[others], weight[others], [tail, 1.0 - tail])
        inside += float(weight[own & (logs >= low) & (logs <= high)].sum())
    return inside / float(weight.sum())
