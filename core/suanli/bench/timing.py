"""From single launches to a time one can stand by: warm-up, repeats, median and spread."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from suanli.bench.device import Work


@attrs.frozen(kw_only=True)
class Effort:
    """How hard to measure.

    Attributes:
        warm_s: Seconds of launches before any counts.
        sample_s: Seconds of launches that are timed together.
        repeats: Timed samples, at most.
        least_repeats: However long they take.
        most_s: Seconds for all of them, after the least.
        most_launches: In one sample.
    """

    warm_s: float
    sample_s: float
    repeats: int
    least_repeats: int
    most_s: float
    most_launches: int = 4096


FULL = Effort(warm_s=0.03, sample_s=0.005, repeats=11, least_repeats=5, most_s=1.0)
QUICK = Effort(warm_s=0.01, sample_s=0.002, repeats=7, least_repeats=3, most_s=0.15)


@attrs.frozen(kw_only=True)
class Timing:
    """What the repeats of a shape came to.

    Attributes:
        time_s: Seconds of one launch: the median.
        spread_ratio: Interquartile range over the median.
        repeats: How many samples.
        launches: In each sample.
    """

    time_s: float
    spread_ratio: float
    repeats: int
    launches: int


def measure(work: Work, effort: Effort) -> Timing:
    """Warm up, then time samples of many launches until they are enough or take too long."""
    launches = work.least_launches
    took = work.run(launches)
    spent = took
    while spent < effort.warm_s:
        launches = min(launches * 2, max(effort.most_launches, work.least_launches))
        took = work.run(launches)
        spent += max(took, effort.warm_s / 100.0)  # a clock too coarse to see a launch must not hold us
    each = max(took / launches, 1e-9)
    # Whole rounds of the sets of operands, so that none is met again sooner than the others.
    rounds = math.ceil(min(effort.sample_s / each, effort.most_launches) / work.least_launches)
    launches = max(rounds, 1) * work.least_launches
    samples: list[float] = []
    total = 0.0
    while len(samples) < effort.repeats and (len(samples) < effort.least_repeats or total < effort.most_s):
        took = work.run(launches)
        total += took
        samples.append(took / launches)
    middle = quantile(samples, 0.5)
    spread = (quantile(samples, 0.75) - quantile(samples, 0.25)) / middle if middle > 0.0 else 0.0
    return Timing(time_s=middle, spread_ratio=spread, repeats=len(samples), launches=launches)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a share of `values` lies, interpolated between neighbours."""
    found = sorted(values)
    at = share * (len(found) - 1)
    low = math.floor(at)
    high = min(low + 1, len(found) - 1)
    return found[low] + (found[high] - found[low]) * (at - low)
