"""What an exchange does on each tier its group crosses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import attrs

from suanli.collectives.fabric import FabricEfficiency
from suanli.collectives.formulas import (
    broadcast_bytes,
    crowded_ratio,
    dispatched_bytes,
    exchanged_bytes,
    ranks_inside,
    ring_bytes,
    wire_s,
)
from suanli.formulas import fact, tracing
from suanli.numeric import Flag, Number, doublings, is_scalar, maximum, minimum, sqrt, where

if TYPE_CHECKING:
    from suanli.hardware import System, Tier

PASSES = {"all_reduce": 2.0, "all_gather": 1.0, "reduce_scatter": 1.0, "broadcast": 1.0, "all_to_all": 1.0, "p2p": 1.0}
"""How often an exchange goes around."""

_DIRECT = ("all_to_all", "p2p")


@attrs.frozen(eq=False, kw_only=True)
class Level:
    """A tier of a system with what it sustains: all that no group changes.

    Attributes:
        name: Of the tier, unlike any other's.
        depth: 0 innermost.
        tier: As described.
        fitted: What it sustains.
        launch_s: The longest launch of this tier and those below, as all further figures in seconds.
        latency_s: Of one message.
        ramp_s: Transfers much shorter than this are slowed.
        outward_bytes_per_s: The most a rank sends through it to tiers further out.
        copy_bytes_per_s: How fast a rank's own share is copied; 0 where it is not.
    """

    name: str
    depth: int
    tier: Tier
    fitted: FabricEfficiency
    launch_s: float
    latency_s: float
    ramp_s: float
    outward_bytes_per_s: float
    copy_bytes_per_s: float


@attrs.define(eq=False)
class Crossing:
    """One tier of one exchange.

    Attributes:
        level: The tier.
        inside: Ranks of the group that the tiers below join.
        reached: Ranks of the group that it joins.
        used: Whether it joins any more of them.
        bandwidth_bytes_per_s: What one accelerator has of it, for this exchange.
        ratio: Sustained share of that.
        wire_s: Seconds its bytes take at that rate; 0 where it is not used.
    """

    level: Level
    inside: Number
    reached: Number
    used: Flag
    bandwidth_bytes_per_s: Number
    ratio: Number
    wire_s: Number


def levels_of(tiers: Iterable[tuple[Tier, FabricEfficiency]]) -> tuple[Level, ...]:
    """The levels of a system, innermost first."""
    found: list[Level] = []
    narrowest, copied = 1e30, 0.0  # what is sent further out has passed the links further in
    launch = latency = ramp = 0.0
    for depth, (tier, fitted) in enumerate(tiers):
        if depth == 0 and fitted.copy_bytes_per_s:
            # Never slower than the link: a larger group would be sooner done.
            copied = max(fitted.told("copy_bytes_per_s"), tier.bandwidth_bytes_per_s * fitted.bandwidth_ratio)
        launch, latency = max(launch, fitted.told("launch_s")), max(latency, fitted.told("latency_s"))
        if depth:  # inside a node a message is one of the library's, much shorter than what is stated of links
            latency = max(latency, tier.latency_s or 0.0)
        ramp = max(ramp, fitted.told("ramp_s"))
        narrowest = (tier.per_peer_bytes_per_s or tier.bandwidth_bytes_per_s) * fitted.bandwidth_ratio
        if fitted.crowding and tier.span is not None:  # every rank of the bus sends outside at once
            narrowest = float(
                crowded_ratio(bandwidth_ratio=narrowest, ranks=float(tier.span), crowding=fitted.crowding)
            )
        found.append(
            Level(
                name=f"{tier.name}.{depth}",
                depth=depth,
                tier=tier,
                fitted=fitted,
                launch_s=launch,
                latency_s=latency,
                ramp_s=ramp,
                outward_bytes_per_s=narrowest,
                copy_bytes_per_s=copied,
            )
        )
    return tuple(found)


def cross(
    levels: Sequence[Level],
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
    narrowest: Number | None = None
    for level in levels:
        tier, outward = level.tier, level.outward_bytes_per_s
        reached = ranks
        if tier.span is not None:
            reached = ranks_inside(ranks=ranks, stride=stride, span=float(tier.span))
        if level.depth:
            reached = maximum(reached, inside)
        if is_scalar(reached) and reached == inside:
            narrowest = outward if narrowest is None else minimum(narrowest, outward)
            continue  # nobody is reached at this tier, and it takes no time
        ratio = _ratio(level, operation, inside, reached, stride)
        bandwidth = _bandwidth(system, tier, operation, reached, inside)
        if narrowest is not None:
            bandwidth = minimum(bandwidth, narrowest / ratio)
        sent = sent_bytes(operation, tier, bytes, ranks, inside, reached, copies)
        used = reached > inside
        takes = wire_s(bytes=sent, bandwidth_bytes_per_s=bandwidth, bandwidth_ratio=ratio)
        if used is not True:
            takes = where(used, takes, 0.0)
        found.append(Crossing(level, inside, reached, used, bandwidth, ratio, takes))
        if used is True and is_scalar(ranks) and reached == ranks:
            break  # nobody is left to be reached further out
        if level.depth + 1 < len(levels):
            before = 1e30 if narrowest is None else narrowest
            narrowest = where(used, before, minimum(before, outward))
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


def _ratio(level: Level, operation: str, inside: Number, reached: Number, stride: Number) -> Number:
    """Sustained share of a tier's bandwidth, when the groups between a group's members use it too."""
    tier, fitted = level.tier, level.fitted
    ratio: Number = fitted.told("bandwidth_ratio")
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
    square = sqrt(domains) / 2.0 * _of_others(domains)
    return minimum(maximum(square, 1.0), _ring_hops(domains))  # two or three domains are a ring


def _of_others(domains: Number) -> Number:
    return domains / maximum(domains - 1.0, 1.0)


_DETOURS = {"hypercube": _hypercube_hops, "ring": _ring_hops, "torus": _torus_hops}
"""Links a message to any other peer takes on average, where not all are neighbours (Dally & Towles 2004, ch. 3)."""
