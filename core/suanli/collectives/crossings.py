"""What an exchange does on each tier its group crosses, and how long each algorithm takes over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import attrs

from suanli.collectives.fabric import FabricEfficiency
from suanli.collectives.formulas import (
    broadcast_bytes,
    chain_messages,
    crowded_ratio,
    dispatched_bytes,
    exchange_s,
    exchanged_bytes,
    latency_s,
    own_copy_s,
    ramped_s,
    ranks_inside,
    reduced_bytes,
    ring_bytes,
    ring_messages,
    tree_messages,
    wire_s,
)
from suanli.formulas import fact, tracing
from suanli.numeric import Flag, Number, doublings, is_scalar, maximum, minimum, sqrt, where

if TYPE_CHECKING:
    from suanli.hardware import System, Tier

PASSES = {"all_reduce": 2.0, "all_gather": 1.0, "reduce_scatter": 1.0, "broadcast": 1.0, "all_to_all": 1.0, "p2p": 1.0}
"""How often an exchange goes around."""

_DIRECT = ("all_to_all", "p2p")


@attrs.define(eq=False, kw_only=True)
class Crossing:
    """One tier of one exchange.

    Attributes:
        level: Of the tier, 0 innermost.
        tier: As described.
        fitted: What it sustains.
        inside: Ranks of the group that the tiers below join.
        reached: Ranks of the group that it joins.
        used: Whether it joins any more of them.
        bandwidth_bytes_per_s: What one accelerator has of it, for this exchange.
        ratio: Sustained share of that.
        wire_s: Seconds its bytes take at that rate; 0 where it is not used.
        copy_bytes_per_s: How fast a rank's own share is copied; 0 where it is not.
        launch_s: The longest launch of this tier and those below; so are the two below.
        latency_s: Of one message.
        ramp_s: Transfers much shorter than this are slowed.
    """

    level: int
    tier: Tier
    fitted: FabricEfficiency
    inside: Number
    reached: Number
    used: Flag
    bandwidth_bytes_per_s: Number
    ratio: Number
    wire_s: Number
    copy_bytes_per_s: float
    launch_s: float
    latency_s: float
    ramp_s: float


def cross(
    tiers: Iterable[tuple[Tier, FabricEfficiency]],
    system: System,
    operation: str,
    bytes: Number,
    ranks: Number,
    stride: Number,
    copies: Number | None = None,
) -> list[Crossing]:
    """The tiers an exchange crosses, innermost first; those that one group of a scalar never uses are left out.

    With `copies`, the tokens of an all-to-all go once to each domain that has some of their `copies` experts.
    """
    found: list[Crossing] = []
    inside: Number = 1.0
    narrowest: Number = 1e30  # what is sent further out has passed the links further in
    copied = launch = latency = ramp = 0.0
    for level, (tier, fitted) in enumerate(tiers):
        if level == 0 and fitted.copy_bytes_per_s and operation not in ("broadcast", "p2p"):
            # Never slower than the link: a larger group would be sooner done.
            copied = max(fitted.copy_bytes_per_s, tier.bandwidth_bytes_per_s * fitted.bandwidth_ratio)
        launch, latency = max(launch, fitted.launch_s), max(latency, fitted.latency_s)
        ramp = max(ramp, fitted.ramp_s)
        reached = ranks if tier.span is None else ranks_inside(ranks=ranks, stride=stride, span=float(tier.span))
        reached = maximum(reached, inside)
        pair: Number = (tier.per_peer_bytes_per_s or tier.bandwidth_bytes_per_s) * fitted.bandwidth_ratio
        if fitted.crowding and tier.span is not None:  # every rank of the bus sends outside at once
            pair = crowded_ratio(bandwidth_ratio=pair, ranks=float(tier.span), crowding=fitted.crowding)
        if is_scalar(reached) and reached == inside:
            narrowest = minimum(narrowest, pair)
            continue  # nobody is reached at this tier, and it takes no time
        ratio = _ratio(tier, fitted, operation, inside, reached, stride)
        bandwidth = minimum(_bandwidth(system, tier, operation, reached, inside), narrowest / ratio)
        sent = sent_bytes(operation, tier, bytes, ranks, inside, reached, copies)
        used = reached > inside
        takes = wire_s(bytes=sent, bandwidth_bytes_per_s=bandwidth, bandwidth_ratio=ratio)
        found.append(
            Crossing(
                level=level,
                tier=tier,
                fitted=fitted,
                inside=inside,
                reached=reached,
                used=used,
                bandwidth_bytes_per_s=bandwidth,
                ratio=ratio,
                wire_s=where(used, takes, 0.0),
                copy_bytes_per_s=copied,
                launch_s=launch,
                latency_s=latency,
                ramp_s=ramp,
            )
        )
        narrowest = where(used, narrowest, minimum(narrowest, pair))
        inside = reached
    return found


def sent_bytes(
    operation: str, tier: Tier, bytes: Number, ranks: Number, inside: Number, reached: Number, copies: Number | None
) -> Number:
    """Bytes one accelerator sends at a tier that takes a group from `inside` to `reached` members."""
    if operation == "p2p":
        return bytes
    if operation == "all_to_all":
        if copies is not None:
            sent = dispatched_bytes(bytes=bytes, ranks=ranks, inside=inside, reached=reached, copies=copies)
        else:
            sent = exchanged_bytes(bytes=bytes, ranks=ranks, inside=inside, reached=reached)
        return sent if tier.topology not in _DETOURS else sent * _DETOURS[tier.topology](reached / inside)
    # A ring that joins bridged groups over a bus crosses it once, however many links lead to it.
    rails = 1.0 if tier.topology == "pcie" else inside
    if operation == "broadcast":
        return broadcast_bytes(bytes=bytes, inside=rails)
    return ring_bytes(bytes=bytes, ranks=ranks, passes=PASSES[operation], inside=rails)


def ring_s(crossed: Sequence[Crossing], bytes: Number, ranks: Number) -> Number:
    """Seconds of a ring all-reduce: the fewest bytes, a message for each rank."""
    steps: Number = 0.0
    for c in crossed:
        each = _levels(c) if c.tier.topology == "full-mesh" else None
        if each is None:
            each = ring_messages(ranks=ranks, inside=c.inside, reached=c.reached)
        steps = steps + where(c.used, each, 0.0) * (2.0 * c.latency_s)
    return _seconds(crossed, steps, _slowest(crossed), _own_s(crossed, bytes, ranks))


def tree_s(crossed: Sequence[Crossing], operation: str, bytes: Number, ranks: Number) -> Number:
    """Seconds of an exchange over chains within hosts and trees between them; direct ones reach all at once.

    A tree of an all-reduce sends the whole buffer up and down; gathers and scatters by halves send no more
    than a ring.
    """
    passes = PASSES[operation]
    steps: Number = 0.0
    for c in crossed:
        if operation == "p2p":  # one message, of the furthest tier
            steps = maximum(steps, where(c.used, c.latency_s, 0.0))
        else:
            steps = steps + where(c.used, _messages(c, operation), 0.0) * (passes * c.latency_s)
    wire = _slowest(crossed)
    if operation != "all_reduce":
        return _seconds(crossed, steps, wire, _own_s(crossed, bytes, ranks))
    return _seconds(crossed, steps, wire * _whole(ranks), 0.0)


def switches_s(crossed: Sequence[Crossing], bytes: Number, ranks: Number) -> Number:
    """Seconds of an all-reduce whose innermost switches add; further out it is a tree."""
    first = crossed[0]
    fitted = first.fitted
    sent = reduced_bytes(bytes=bytes, ranks=first.reached)
    # No faster than the links of a ring.
    ratio = minimum(fitted.reduction_ratio, first.ratio)
    wire = wire_s(bytes=sent, bandwidth_bytes_per_s=first.bandwidth_bytes_per_s, bandwidth_ratio=ratio)
    steps: Number = fitted.reduction_s
    for c in crossed[1:]:
        wire = maximum(wire, c.wire_s * _whole(ranks))
        steps = steps + where(c.used, _levels(c), 0.0) * (2.0 * c.latency_s)
    return _seconds(crossed, steps, wire, 0.0)


def _messages(c: Crossing, operation: str) -> Number:
    """Messages one after another at a tier, on one pass."""
    if operation == "all_to_all":
        # All peers at once: one message, and one more for every doubling to be told apart.
        return _levels(c) + where(c.inside > 1.0, 0.0, 1.0)
    if c.tier.topology == "full-mesh":
        return minimum(_levels(c), 1.0)
    if c.level == 0:
        return chain_messages(ranks=c.reached)
    return _levels(c)


def _levels(c: Crossing) -> Number:
    return tree_messages(inside=c.inside, reached=c.reached)


def _seconds(crossed: Sequence[Crossing], messages_s: Number, wire: Number, own_s: Number) -> Number:
    alone = latency_s(launch_s=_launch(crossed), messages_s=messages_s)
    takes = ramped_s(wire_s=wire, ramp_s=_ramp(crossed))
    return exchange_s(latency_s=alone, transfer_s=takes, copy_s=own_s)


def _own_s(crossed: Sequence[Crossing], bytes: Number, ranks: Number) -> Number:
    copied = crossed[0].copy_bytes_per_s
    return own_copy_s(bytes=bytes, ranks=ranks, copy_bytes_per_s=copied) if copied else 0.0


def _whole(ranks: Number) -> Number:
    """What a tree sends next to a ring: the whole buffer, the own share too."""
    return ranks / maximum(ranks - 1.0, 1e-9)


def _slowest(crossed: Sequence[Crossing]) -> Number:
    slowest: Number = 0.0
    for c in crossed:
        slowest = maximum(slowest, c.wire_s)
    return slowest


def _launch(crossed: Sequence[Crossing]) -> Number:
    started: Number = 0.0
    for c in crossed:
        started = maximum(started, where(c.used, c.launch_s, 0.0))
    return started


def _ramp(crossed: Sequence[Crossing]) -> Number:
    ramp: Number = 0.0
    for c in crossed:
        ramp = maximum(ramp, where(c.used, c.ramp_s, 0.0))
    return ramp


def _ratio(
    tier: Tier, fitted: FabricEfficiency, operation: str, inside: Number, reached: Number, stride: Number
) -> Number:
    """Sustained share of a tier's bandwidth, when the groups between a group's members use it too."""
    ratio: Number = fitted.bandwidth_ratio
    if tracing():
        name = f"{fitted.generation or fitted.system}.{fitted.fabric}.bandwidth_ratio"
        ratio = fact(ratio, name, "ratio", fitted.source)
    if not fitted.crowding:
        return ratio
    # A ring enters each domain below once; in a direct exchange every rank sends by itself.
    users = stride * (reached if operation in _DIRECT else reached / inside)
    if tier.span is not None:
        users = minimum(users, float(tier.span))
    return crowded_ratio(bandwidth_ratio=ratio, ranks=users, crowding=fitted.crowding)


def _bandwidth(system: System, tier: Tier, operation: str, reached: Number, inside: Number) -> Number:
    """Bandwidth one accelerator has at a tier: all its links, or those to the peers it has there."""
    whole, each = tier.bandwidth_bytes_per_s, tier.per_peer_bytes_per_s
    if tracing():
        source, hidden, about = system.source_of("tier"), system.confidential, f"{system.id}.{tier.name}"
        whole = fact(whole, f"{about}.bandwidth", "bytes_per_s", source, hidden)
        each = fact(each, f"{about}.per_peer", "bytes_per_s", source, hidden)
    if each is None:
        return whole
    if operation == "p2p":
        return each
    return minimum(whole, each * maximum(reached / inside - 1.0, 1.0))


def _hypercube_hops(domains: Number) -> Number:
    return doublings(domains) / 2.0 * _of_others(domains)


def _ring_hops(domains: Number) -> Number:
    return domains / 4.0 * _of_others(domains)


def _torus_hops(domains: Number) -> Number:
    return maximum(sqrt(domains) / 2.0 * _of_others(domains), 1.0)


def _of_others(domains: Number) -> Number:
    return domains / maximum(domains - 1.0, 1.0)


_DETOURS = {"hypercube": _hypercube_hops, "ring": _ring_hops, "torus": _torus_hops}
"""Links a message to any other peer takes on average, where not all are neighbours (Dally & Towles 2004, ch. 3)."""
