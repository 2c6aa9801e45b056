"""The number of accelerators of one system that a training run takes: by estimates, one after another."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from suanli import units
from suanli.errors import ScenarioError
from suanli.planning import counts
from suanli.planning.runs import Neighbour, TrainingOption
from suanli.planning.trials import Trials


def option(tried: Trials, money: float | None) -> TrainingOption:
    """The run on one system: the fewest accelerators in time, else the fastest within the budget."""

    def in_budget(count: int) -> bool:
        run = tried.runs(count)
        return run is not None and (money is None or (run.cost is not None and run.cost <= money))

    if tried.limit_s is None:
        count = _fastest(tried, in_budget)
        return _nearest(tried, money) if count is None else _at(tried, count, neighbour=_larger(tried, count, money))
    per_node, reach = tried.candidate.per_node, tried.candidate.system.reach
    count = counts.smallest(tried.in_time, per_node, reach)
    if count is None:
        _try_all(tried)
    if count is None or not in_budget(count):
        count = min((n for n in tried.able() if tried.in_time(n) and in_budget(n)), default=None)
    return _nearest(tried, money) if count is None else _at(tried, count, neighbour=_smaller(tried, count))


def _try_all(tried: Trials) -> None:
    """Estimate every rung of the ladder."""
    for count in counts.ladder(tried.candidate.per_node, tried.candidate.system.reach):
        tried.at(count)


def _fastest(tried: Trials, in_budget: Callable[[int], bool]) -> int | None:
    """The number of accelerators within the budget on which the run is shortest; None where none is."""
    per_node = tried.candidate.per_node
    _try_all(tried)

    def best() -> int | None:
        good = {n: run.duration_s or math.inf for n, run in tried.able().items() if in_budget(n)}
        return min(good, key=lambda n: (good[n], n)) if good else None

    found = best()
    if found is None:
        return None
    for steps in (counts.between, _each):
        after = next((n for n in sorted(tried.found) if n > found), None)
        if after is not None and found >= per_node:
            for count in steps(found, after, per_node):
                tried.at(count)
            found = best() or found
    return found


def _each(low: int, high: int, per_node: int) -> range:
    """Every whole number of nodes between two."""
    return range(low + per_node, high, per_node)


def _at(tried: Trials, count: int, *, meets: bool = True, **about: Any) -> TrainingOption:
    """The run on so many accelerators of one system."""
    where = tried.candidate
    return TrainingOption(
        accelerator=where.accelerator,
        system=where.system.id,
        per_node=where.per_node,
        meets=meets,
        accelerators=count,
        report=tried.at(count),
        **about,
    )


def _smaller(tried: Trials, count: int) -> Neighbour | None:
    """The next smaller number that can be laid out, which misses the target."""
    per_node = tried.candidate.per_node
    less = counts.below(count, per_node)
    for _ in range(counts.STEPS):
        if less is None or tried.at(less) is not None:
            break
        less = counts.below(less, per_node)
    return None if less is None else _neighbour(tried, less)


def _larger(tried: Trials, count: int, money: float | None) -> Neighbour | None:
    """The next larger number that can be laid out, which is past the budget or no faster."""
    per_node, reach = tried.candidate.per_node, tried.candidate.system.reach
    more = count
    for _ in range(counts.STEPS):
        more = counts.above(more, per_node)
        if reach is not None and more > reach:
            return None
        if tried.at(more) is not None:
            break
    return _neighbour(tried, more, money)


def _neighbour(tried: Trials, count: int, money: float | None = None) -> Neighbour:
    report, run = tried.at(count), tried.runs(count)
    if run is None:
        why = "no layout of so many is legal" if report is None else "it does not fit"
        return Neighbour(accelerators=count, duration_s=None, cost=None, why=why)
    why = f"takes {units.format(run.duration_s, 's')}"
    if money is not None and run.cost is not None and run.cost > money:
        why = f"costs {units.format(run.cost, 'currency')} {run.currency}"
    return Neighbour(accelerators=count, duration_s=run.duration_s, cost=run.cost, why=why)


def _nearest(tried: Trials, money: float | None) -> TrainingOption:
    """What comes nearest, and why it misses."""
    able, limit_s = tried.able(), tried.limit_s
    if not able:
        return _too_small(tried)
    shortest = min(able, key=lambda n: able[n].duration_s or math.inf)
    if limit_s is not None and (able[shortest].duration_s or math.inf) > limit_s:
        time = units.format(able[shortest].duration_s, "s")
        return _at(tried, shortest, meets=False, reason=f"takes {time} at least, on {shortest}", hint=f"allow {time}")
    in_time = {n: run for n, run in able.items() if limit_s is None or (run.duration_s or math.inf) <= limit_s}
    priced = {n: run.cost for n, run in in_time.items() if run.cost is not None}
    if not priced:
        said, todo = "no price is known, so no budget can be met", "give assumptions.price_per_hour"
        return _at(tried, min(in_time), meets=False, reason=said, hint=todo)
    cheapest = min(priced, key=lambda n: priced[n])
    price = f"{units.format(priced[cheapest], 'currency')} {able[cheapest].currency}"
    said = f"costs {price} at least{' in that time' if limit_s is not None else ''}, on {cheapest}"
    return _at(tried, cheapest, meets=False, reason=said, hint=f"allow {price}")


def _too_small(tried: Trials) -> TrainingOption:
    """A system on which no number of accelerators can run it."""
    where, reach = tried.candidate, tried.candidate.system.reach
    closest = [(r.memory.per_accelerator.total_bytes, n) for n, r in tried.found.items() if r is not None]
    if not closest:
        reason = "; ".join(tried.whatever)
        return TrainingOption(
            accelerator=where.accelerator, system=where.system.id, per_node=where.per_node, meets=False, reason=reason
        )
    reason = f"it fits no number up to {max(tried.found)}"
    if reach is not None:
        reason = f"it does not fit on the {reach} that its network joins"
    return _at(tried, min(closest)[1], meets=False, reason=reason)


def refuse_nonsense(tried: list[Trials], options: list[TrainingOption], money: float | None) -> None:
    """Raise where no system has a legal layout, or none a price and a budget is asked for."""
    if all(o.report is None for o in options):
        raise ScenarioError(list(dict.fromkeys(e for t in tried for e in t.whatever)))
    runs = [run for t in tried for run in t.able().values()]
    if money is not None and runs and all(run.cost is None for run in runs):
        where = ", ".join(t.candidate.accelerator for t in tried)
        raise ScenarioError([f"budget: no price is known of {where}; give assumptions.price_per_hour"])
