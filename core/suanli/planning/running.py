"""What accelerators take for as long as they are kept: power and money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import attrs

from suanli.formulas import formula
from suanli.hardware import System
from suanli.planning.asked import HOURS_PER_MONTH

T = TypeVar("T")


@formula(unit="w", source="definition")
def rated_power_w(*, count: float, each_w: float) -> float:
    """Rated power of so many nodes, or so many accelerators."""
    return count * each_w


@attrs.frozen(kw_only=True)
class Keep:
    """What accelerators take while they are kept.

    Attributes:
        power_w: Rated power; None where nobody states it.
        power_of: What that is the power of, or why there is none.
        price_per_hour: Of one accelerator; None where unknown.
        price_source: Where the price is from, or why there is none.
        cost_per_hour: Of all of them; None where no price is known.
        currency: Of price and cost; None where there is none.
    """

    power_w: float | None
    power_of: str
    price_per_hour: float | None
    price_source: str
    cost_per_hour: float | None
    currency: str | None

    @property
    def cost_per_month(self) -> float | None:
        """Cost of 30 days."""
        return None if self.cost_per_hour is None else self.cost_per_hour * HOURS_PER_MONTH

    def to_dict(self) -> dict[str, Any]:
        """The figures, JSON-ready."""
        return attrs.asdict(self) | {"cost_per_month": self.cost_per_month}


def power_w(system: System, accelerators: int) -> tuple[float | None, str]:
    """Rated power of so many accelerators, and what it is the power of; None and why where there is none."""
    device = system.device
    if system.confidential or (device is not None and device.confidential):
        return None, "the power is confidential"
    if system.power_per_node_w is not None:
        nodes = accelerators / system.accelerators_per_node
        return rated_power_w(count=nodes, each_w=system.power_per_node_w), "the nodes, as stated"
    if device is not None and device.power_w is not None:
        power = rated_power_w(count=float(accelerators), each_w=device.power_w)
        return power, f"the accelerators alone: nobody states the power of a {system.id} node"
    return None, f"nobody states the power of {system.id}"


def ranked(
    options: Iterable[T],
    *,
    meets: Callable[[T], bool],
    cost: Callable[[T], tuple[float | None, str | None]],
    count: Callable[[T], float],
    miss: Callable[[T], float],
) -> tuple[tuple[T, ...], str]:
    """Options best first, and what ranks them.

    Those that meet the target come first: by cost where the currency is the one most have, then the others by
    accelerators. Those that miss it come last, the nearest first.

    Args:
        options: To be ranked.
        meets: Whether one meets the target.
        cost: Of one, and in which currency.
        count: Accelerators of one.
        miss: How far one is from the target.
    """
    found = list(options)
    good = [o for o in found if meets(o)]
    currencies = Counter(c for o in good for amount, c in [cost(o)] if amount is not None and c is not None)
    usual = max(currencies, key=lambda c: currencies[c]) if currencies else None

    def key(option: T) -> tuple[bool, bool, float]:
        if not meets(option):
            return True, True, miss(option)
        amount, currency = cost(option)
        priced = amount is not None and currency == usual
        return False, not priced, amount if priced and amount is not None else count(option)

    rank = "accelerators" if usual is None else f"cost in {usual}"
    if usual is not None and currencies[usual] < len(good):
        rank += ", those without one by accelerators"
    return tuple(sorted(found, key=key)), rank
