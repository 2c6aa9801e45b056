"""How long each algorithm takes over the tiers an exchange crosses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from suanli.collectives.crossings import PASSES, Crossing
from suanli.collectives.formulas import (
    chain_messages,
    exchange_s,
    latency_s,
    own_copy_s,
    ramped_s,
    reduced_bytes,
    ring_messages,
    tree_messages,
    tree_wire_s,
    wire_s,
)
from suanli.formulas import scaled, total
from suanli.numeric import Number, maximum, minimum, where

Start: TypeAlias = tuple[Number, Number]
"""Launch and ramp, in seconds."""


def start_of(crossed: Sequence[Crossing]) -> Start:
    """Launch and ramp of an exchange: both grow outwards, so the furthest tier it uses decides."""
    launch: Number = 0.0
    ramp: Number = 0.0
    for c in crossed:
        launch, ramp = _where(c, c.level.launch_s, launch), _where(c, c.level.ramp_s, ramp)
    return launch, ramp


def _where(c: Crossing, used: Number, unused: Number) -> Number:
    """`used` where a crossing is: a scalar's always are."""
    return used if c.used is True else where(c.used, used, unused)


def ring_s(crossed: Sequence[Crossing], start: Start, bytes: Number, ranks: Number) -> Number:
    """Seconds of a ring all-reduce: the fewest bytes, a message for each rank."""
    steps: dict[str, Number] = {}
    for c in crossed:
        if c.level.tier.topology == "full-mesh":
            each = _levels(c)
        else:
            each = ring_messages(ranks=ranks, inside=c.inside, reached=c.reached)
        steps[c.level.name] = scaled("s", _where(c, each, 0.0) * 2.0, c.level.latency_s)
    return _seconds(start, total("messages_s", "s", steps), _slowest(crossed), _own_s(crossed, bytes, ranks))


def tree_s(crossed: Sequence[Crossing], start: Start, operation: str, bytes: Number, ranks: Number) -> Number:
    """Seconds of an exchange over chains within hosts and trees between them; direct ones reach all at once.

    A tree of an all-reduce sends the whole buffer up and down; gathers and scatters by halves send no more
    than a ring.
    """
    passes = PASSES[operation]
    steps: Number = 0.0
    if operation == "p2p":  # one message, of the furthest tier
        for c in crossed:
            steps = _where(c, c.level.latency_s, steps)
    else:
        each: dict[str, Number] = {}
        for c in crossed:
            each[c.level.name] = scaled("s", _where(c, _messages(c, operation), 0.0) * passes, c.level.latency_s)
        steps = total("messages_s", "s", each)
    wire = _slowest(crossed)
    if operation == "all_reduce":
        return _seconds(start, steps, tree_wire_s(ring_s=wire, ranks=ranks), 0.0)
    own = 0.0 if operation in ("broadcast", "p2p") else _own_s(crossed, bytes, ranks)
    return _seconds(start, steps, wire, own)


def switches_s(crossed: Sequence[Crossing], start: Start, bytes: Number, ranks: Number) -> Number:
    """Seconds of an all-reduce whose innermost switches add; further out it is a tree."""
    first = crossed[0]
    fitted = first.level.fitted
    sent = reduced_bytes(bytes=bytes, ranks=first.reached)
    # No faster than the links of a ring.
    ratio = minimum(fitted.told("reduction_ratio"), first.ratio)
    wire = wire_s(bytes=sent, bandwidth_bytes_per_s=first.bandwidth_bytes_per_s, bandwidth_ratio=ratio)
    steps: dict[str, Number] = {"reduction": fitted.told("reduction_s")}
    for c in crossed[1:]:
        wire = maximum(wire, tree_wire_s(ring_s=c.wire_s, ranks=ranks))
        steps[c.level.name] = scaled("s", _where(c, _levels(c), 0.0) * 2.0, c.level.latency_s)
    return _seconds(start, total("messages_s", "s", steps), wire, 0.0)


def _messages(c: Crossing, operation: str) -> Number:
    """Messages one after another at a tier, on one pass."""
    tier = c.level.tier
    if operation == "all_to_all":
        # All peers at once: one message, and one more for every doubling to be told apart.
        return _levels(c) + where(c.inside > 1.0, 0.0, 1.0)
    if tier.topology == "full-mesh":
        return minimum(_levels(c), 1.0)
    if c.level.depth:
        return _levels(c)
    return chain_messages(ranks=c.reached, span=tier.span)


def _levels(c: Crossing) -> Number:
    return tree_messages(inside=c.inside, reached=c.reached)


def _seconds(start: Start, messages_s: Number, wire: Number, own_s: Number) -> Number:
    alone = latency_s(launch_s=start[0], messages_s=messages_s)
    return exchange_s(latency_s=alone, transfer_s=ramped_s(wire_s=wire, ramp_s=start[1]), copy_s=own_s)


def _own_s(crossed: Sequence[Crossing], bytes: Number, ranks: Number) -> Number:
    copied = crossed[0].level.copy_bytes_per_s
    return own_copy_s(bytes=bytes, ranks=ranks, copy_bytes_per_s=copied) if copied else 0.0


def _slowest(crossed: Sequence[Crossing]) -> Number:
    slowest = crossed[0].wire_s
    for c in crossed[1:]:
        slowest = maximum(slowest, c.wire_s)
    return slowest
