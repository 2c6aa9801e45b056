"""How the collector of the measured mixtures of experts loads the rank it measures."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import lru_cache

DRAWS = 40
"""Random draws of which the mean of the busiest rank is taken."""


@lru_cache(maxsize=4096)
def busiest(tokens: int, top_k: int, count: int, ranks: int, distribution: str) -> tuple[float, float]:
    """Load of the busiest rank over the mean, and how many of its experts have any (ai-dynamo/aiconfigurator).

    Its collector of mixtures deals out whole copies of tokens:
    ``balanced``: as alike as can be.
    ``power_law_A``: each expert draws a weight from a density x^-A, copies go by weight, at most one of each token to
    an expert; the rank with the most is measured.
    """
    mean, size = tokens * top_k / ranks, count // ranks
    if distribution == "balanced":
        most = math.ceil(mean)
        return most / mean, float(min(size, most))
    power = 1.0 - float(distribution.rpartition("_")[2])
    low, high = (1.0, max(tokens * 0.8, 1.001)) if tokens * top_k > count else (0.01, 2.0)
    draw = random.Random(1)
    copies = working = 0
    for _ in range(DRAWS):
        loads = _dealt(
            tokens,
            top_k,
            [(low**power + draw.random() * (high**power - low**power)) ** (1.0 / power) for _ in range(count)],
        )
        rank = max((loads[i : i + size] for i in range(0, count, size)), key=sum)
        copies += sum(rank)
        working += sum(map(bool, rank))
    return max(copies / DRAWS / mean, 1.0), working / DRAWS


def _dealt(tokens: int, top_k: int, weights: Sequence[float]) -> list[int]:
    """Copies of each expert, by its weight; those that rounding leaves go to the heaviest with room."""
    scale = tokens * top_k / math.fsum(weights)
    loads = [min(round(w * scale), tokens) for w in weights]
    left = tokens * top_k - sum(loads)
    for i in sorted(range(len(weights)), key=lambda i: -weights[i]):
        if left <= 0:
            break
        more = min(left, tokens - loads[i])
        loads[i] += more
        left -= more
    return loads
