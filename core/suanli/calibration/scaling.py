"""Where rows are too few for a fit: the figures known so far, slower or faster by one factor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from suanli.calibration.fitting import Group, rounded
from suanli.kernel_models import Efficiency
from suanli.kernel_models.carrying import LATENCIES

MINIMUM_ROWS = 3
"""Fewer rows than this say nothing, not even one factor."""
MOST = 100.0
"""The factor, at most, either way."""
TURNS = 6

RATES = (
    "compute_ratio",
    "bandwidth_ratio",
    "core_bytes_per_flop",
    "core_bandwidth_ratio",
    "quantise_bandwidth_ratio",
)
"""Figures that a slower accelerator has less of."""
TRAFFIC = ("write_ratio", "local_traffic_ratio", "token_traffic_ratio")
"""Figures it has more of, besides seconds."""
SHARES = ("compute_ratio", "bandwidth_ratio")
"""Never above 1."""


def scaled(known: Efficiency, factor: float) -> Efficiency:
    """Figures that make every time `factor` times longer, as far as peak, bandwidth and a core's least load allow."""
    changes: dict[str, Any] = {}
    for field in attrs.fields(Efficiency):
        value = getattr(known, field.name)
        if field.name in RATES:
            changes[field.name] = value / factor
        elif field.name in TRAFFIC or field.name in LATENCIES:
            changes[field.name] = value * factor
    for name in SHARES:
        changes[name] = min(changes[name], 1.0)
    changes = {k: rounded(v) for k, v in changes.items()}
    return attrs.evolve(known, **changes)


def factor_of(known: Efficiency, groups: Sequence[Group]) -> float:
    """The factor at which half of the rows are slower and half faster than predicted."""
    factor = 1.0
    measured = np.concatenate([g.seconds for g in groups])
    for _ in range(TURNS):  # once, but where a share is at its most or the roofline bounds
        fitted = scaled(known, factor)
        ratios = measured / np.concatenate([g.predict(fitted) for g in groups])
        factor = float(np.clip(factor * np.median(ratios), 1.0 / MOST, MOST))
    return rounded(factor)
