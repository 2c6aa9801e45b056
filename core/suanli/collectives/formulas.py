"""Formulas of exchanges: bytes on each tier, messages one after another, seconds."""

from __future__ import annotations

from suanli.formulas import formula
from suanli.numeric import Number, ceil, doublings, floor, maximum, minimum, power, sqrt

RING = "Patarasuk & Yuan 2009, Bandwidth optimal all-reduce algorithms, JPDC 69(2)"
TREE = "Sanders, Speck & Traeff 2009, Two-tree algorithms for full bandwidth broadcast, Parallel Computing 35(12)"
SWITCHES = "Klenk et al. 2020, An in-network architecture for accelerating shared-memory collectives, ISCA"
DEEP_EP = "deepseek-ai/DeepEP, README.md: a token crosses to a node once, and is forwarded inside"

CHAIN_RANKS = 8.0
"""Ranks of one host that pass messages along a chain; larger domains join such chains by a tree."""
CHAIN_LEVELS = 3.0
"""How often 1 is doubled to reach them."""


@formula(unit="ranks", source="definition")
def ranks_inside(*, ranks: Number, stride: Number, span: Number) -> Number:
    """Members of a group that share one domain of `span` accelerators, when neighbours are `stride` apart."""
    return minimum(ranks, maximum(floor(span / stride), 1.0))


@formula(unit="bytes", source=RING)
def ring_bytes(*, bytes: Number, ranks: Number, passes: float, inside: Number) -> Number:
    """Bytes one accelerator sends at one tier: the ring crosses it once for every `inside` ranks below it."""
    return passes * bytes * (ranks - 1.0) / ranks / inside


@formula(unit="bytes", source="definition: everyone hands on the whole buffer, a part over each rank below")
def broadcast_bytes(*, bytes: Number, inside: Number) -> Number:
    """Bytes of a broadcast one accelerator sends at one tier."""
    return bytes / inside


@formula(unit="bytes", source="definition: an equal share to each peer beyond the tiers below")
def exchanged_bytes(*, bytes: Number, ranks: Number, inside: Number, reached: Number) -> Number:
    """Bytes of an all-to-all one accelerator sends at one tier, to peers past `inside` and within `reached`."""
    return bytes * (reached - inside) / ranks


@formula(unit="bytes", source=DEEP_EP)
def dispatched_bytes(*, bytes: Number, ranks: Number, inside: Number, reached: Number, copies: Number) -> Number:
    """The same for tokens that each go to `copies` experts anywhere, but only once into a domain of `inside` ranks.

    Of so many domains, experts drawn evenly lie in domains x (1 - (1 - 1 / domains) ^ copies) different ones;
    the tiers further out bring a token into one of the domains joined here.
    """
    domains, copies = ranks / inside, maximum(copies, 1.0)
    visited = domains * (1.0 - power(maximum(1.0 - 1.0 / domains, 0.0), copies))
    return bytes / copies * visited * (1.0 - inside / reached)


@formula(unit="bytes", source=SWITCHES)
def reduced_bytes(*, bytes: Number, ranks: Number) -> Number:
    """Bytes one accelerator sends when the switches add: its buffer for the others, and its sum of a share."""
    return bytes * (1.0 + 1.0 / ranks)


@formula(unit="messages", source="Hu et al. 2025, Demystifying NCCL, arXiv 2507.04786, sec. 5: chains within a host")
def chain_messages(*, ranks: Number, span: int | None) -> Number:
    """Messages one after another inside a node: a chain through a host, and a tree over hosts that share a switch.

    Domains of a host's size or less are chains.
    """
    if span is not None and span <= CHAIN_RANKS:
        return ranks - 1.0
    return minimum(ranks, CHAIN_RANKS) - 1.0 + maximum(doublings(ranks) - CHAIN_LEVELS, 0.0)


@formula(unit="messages", source="Thakur, Rabenseifner & Gropp 2005, sec. 3: latency grows with the depth of a tree")
def tree_messages(*, inside: Number, reached: Number) -> Number:
    """Levels of a tree that joins domains of `inside` ranks to one of `reached`."""
    return doublings(ceil(reached / inside))


@formula(unit="messages", source=RING)
def ring_messages(*, ranks: Number, inside: Number, reached: Number) -> Number:
    """Steps of a ring over all ranks that cross this tier: it leaves each domain below once."""
    return ceil(ranks / inside) - ceil(ranks / reached)


@formula(unit="s", source="definition")
def wire_s(*, bytes: Number, bandwidth_bytes_per_s: Number, bandwidth_ratio: Number) -> Number:
    """Seconds `bytes` take on a link that sustains a share of its bandwidth."""
    return bytes / (bandwidth_bytes_per_s * bandwidth_ratio)


@formula(unit="s", source=TREE)
def tree_wire_s(*, ring_s: Number, ranks: Number) -> Number:
    """Seconds a tree's bytes take next to a ring's: the whole buffer, the own share too."""
    return ring_s * (ranks / maximum(ranks - 1.0, 1e-9))


@formula(unit="s", source="fitted: quarter power between the protocols for small buffers and the full rate")
def ramped_s(*, wire_s: Number, ramp_s: Number) -> Number:
    """Seconds of a transfer that reaches its rate gradually: wire_s x (1 + ramp_s / wire_s) ^ (1/4).

    Transfers much shorter than `ramp_s` are slowed by it, much longer ones are not.
    """
    return sqrt(wire_s * sqrt(wire_s * (wire_s + ramp_s)))


@formula(unit="s", source="definition: 1 / ranks of the buffer is a rank's own")
def own_copy_s(*, bytes: Number, ranks: Number, copy_bytes_per_s: float) -> Number:
    """Seconds a rank takes to copy its own share of the buffer."""
    return bytes / ranks / copy_bytes_per_s


@formula(unit="ratio", source="fitted: links behind one root complex are shared by the ranks that use it")
def crowded_ratio(*, bandwidth_ratio: Number, ranks: Number, crowding: float) -> Number:
    """Sustained share of a link's bandwidth when `ranks` use a shared bus at once; `crowding` 0 for none."""
    return bandwidth_ratio * power(2.0 / maximum(ranks, 2.0), crowding)


@formula(unit="s", source="Hockney 1994, The communication challenge for MPP, Parallel Computing 20(3)")
def latency_s(*, launch_s: Number, messages_s: Number) -> Number:
    """Seconds of an exchange of nothing: a launch, and the messages that wait for each other."""
    return launch_s + messages_s


@formula(unit="s", source="sum of latency, the slowest tier, which pipelining makes the bottleneck, and the own share")
def exchange_s(*, latency_s: Number, transfer_s: Number, copy_s: Number) -> Number:
    """Seconds of one exchange."""
    return latency_s + transfer_s + copy_s


@formula(unit="s", source="vllm-project/vllm, csrc/custom_all_reduce.cuh: one shot or two, whichever is sooner")
def engine_s(
    *, bytes: Number, ranks: Number, bandwidth_bytes_per_s: Number, ratio: float, launch_s: float, latency_s: float
) -> Number:
    """Seconds of a serving engine's own all-reduce: all read all buffers at once, or shares first, then sums."""
    peers = ranks - 1.0
    rate = bandwidth_bytes_per_s * ratio
    one = latency_s * peers + bytes * peers / rate
    two = latency_s * 2.0 * peers + 2.0 * bytes * peers / ranks / rate
    return launch_s + minimum(one, two)
