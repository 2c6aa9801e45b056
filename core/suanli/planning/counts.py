"""Which numbers of accelerators can be built, and the smallest of them that will do.

Within a node its divisors (1, 2, 4 and 8 of 8), beyond it whole nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from suanli.legal import divisors

MOST = 2**20
"""Accelerators a plan tries, at most."""

QUARTERS = 4
"""Numbers of nodes on the ladder from a power of two up to the next."""

STEPS = 64
"""Numbers tried between two rungs of the ladder, at most; up to 2048 nodes that is every number."""


def ladder(per_node: int, reach: int | None, most: int = MOST) -> Iterator[int]:
    """Numbers to try first: the divisors of a node, then nodes a quarter of a power of two apart.

    Args:
        per_node: Accelerators of a node.
        reach: Accelerators the network joins, the last rung; None for any number.
        most: Not more than these.
    """
    limit = most if reach is None else min(reach, most)
    yield from (d for d in divisors(per_node) if d <= limit)
    nodes = 2
    while nodes * per_node <= limit:
        yield nodes * per_node
        nodes += max(1, (1 << (nodes.bit_length() - 1)) // QUARTERS)
    whole = limit // per_node
    if reach is not None and whole >= 2 and whole not in _rungs(whole):
        yield whole * per_node


def _rungs(nodes: int) -> range:
    """The rungs of the ladder from the power of two at or below a number of nodes to the next."""
    power = 1 << (nodes.bit_length() - 1)
    return range(power, 2 * power, max(1, power // QUARTERS))


def between(low: int, high: int, per_node: int) -> range:
    """Whole nodes between two numbers, neither of them included: every one, or about ``STEPS`` of them."""
    if low < per_node:
        return range(0)
    step = max(1, -(-(high - low) // per_node // STEPS)) * per_node
    return range(low + step, high, step)


def below(count: int, per_node: int) -> int | None:
    """The next smaller number one can build; None below 1."""
    if count > per_node:
        return -(-count // per_node) * per_node - per_node
    return max((d for d in divisors(per_node) if d < count), default=None)


def above(count: int, per_node: int) -> int:
    """The next larger number one can build."""
    if count >= per_node:
        return (count // per_node + 1) * per_node
    return min(d for d in divisors(per_node) if d > count)


def at_least(count: int, per_node: int) -> int:
    """The smallest number one can build that is no less."""
    if count > per_node:
        return -(-count // per_node) * per_node
    return min(d for d in divisors(per_node) if d >= max(1, count))


def smallest(meets: Callable[[int], bool], per_node: int, reach: int | None, most: int = MOST) -> int | None:
    """The smallest number of accelerators that meets a target; None where none does.

    The rungs of the ladder are tried from below, then whole nodes between the last that misses and the first that
    meets, from below too: a target that is easier to meet never takes more.

    Args:
        meets: Whether so many meet it.
        per_node: Accelerators of a node.
        reach: Accelerators the network joins; None for any number.
        most: Not more than these.
    """
    missed = 0
    for found in ladder(per_node, reach, most):
        if meets(found):
            break
        missed = found
    else:
        return None
    for count in between(missed, found, per_node):
        if meets(count):
            found = count
            break
        missed = count
    if missed >= per_node:
        for count in range(missed + per_node, found, per_node):
            if meets(count):
                return count
    return found


def largest(fits: Callable[[int], bool], least: int, most: int, guess: int) -> int:
    """The largest whole number that fits, by steps that double away from a guess, then by halves.

    Of the numbers tried, the one found fits and the next does not.

    Args:
        fits: Whether a number fits; every smaller one then should.
        least: The smallest to try.
        most: The largest to try.
        guess: Where to begin.

    Returns:
        One less than `least` where not even that fits.
    """
    guess = min(max(guess, least), most)
    step = 1
    if fits(guess):
        low, high = guess, most + 1
        while low < most:
            probe = min(low + step, most)
            if not fits(probe):
                high = probe
                break
            low, step = probe, step * 2
    elif guess == least or not fits(least):
        return least - 1
    else:
        low, high = least, guess
        while high > least + 1:
            probe = max(high - step, least + 1)
            if fits(probe):
                low = probe
                break
            high, step = probe, step * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
