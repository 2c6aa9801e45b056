"""The least that an exchange takes on the links of a system, and what one that is faster was probably mistaken for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suanli import units
from suanli.collectives import ranks_inside

if TYPE_CHECKING:
    from suanli.hardware import Accelerator, System, Tier
    from suanli.measurement_schema import Shape

MARGIN = 1.05
"""How much faster than its stated links an exchange may seem: no clock of theirs goes above the stated one."""

SMALL_BYTES = 4096
"""An exchange of less takes as long as its messages; what takes far longer was of more."""

SLOW_SMALL = 30.0
"""Such an exchange that takes this many times what is predicted, or a launch, was of more."""

LAUNCH_S = 1e-5


def least_s(shape: Shape, system: System) -> float:
    """Seconds that the bytes which must pass each tier take at its full rate, whatever the algorithm.

    Into each domain of the tiers below go the shares of all others; the links of its members carry them together.
    An all-reduce does that twice; or once where switches add, and a rank's own share passes too.
    """
    operation, size = str(shape["operation"]), float(shape["bytes"])
    ranks, stride = float(shape["ranks"]), float(shape["stride"])
    passes = 2.0 if operation == "all_reduce" else 1.0
    if any(t.in_network_reduction for t in system.tiers):
        passes = min(passes, ranks / (ranks - 1.0))
    inside, least = 1.0, 0.0
    for tier in system.tiers:
        reached = ranks if tier.span is None else float(ranks_inside(ranks=ranks, stride=stride, span=float(tier.span)))
        if reached <= inside:
            continue
        sent = size * (reached - inside) / ranks
        if operation == "p2p":
            sent = size
        elif operation == "broadcast":
            sent = size / inside
        elif operation != "all_to_all":
            sent *= passes / inside
        least = max(least, sent / _bytes_per_s(tier, operation, reached / inside))
        inside = reached
    return least


def _bytes_per_s(tier: Tier, operation: str, domains: float) -> float:
    """The most of a tier's bandwidth that one accelerator can use: in a mesh, its links to the peers it has."""
    each = tier.per_peer_bytes_per_s
    if each is None or tier.topology != "full-mesh":
        return tier.bandwidth_bytes_per_s
    return each if operation == "p2p" else min(tier.bandwidth_bytes_per_s, each * (domains - 1.0))


def slowest_link(shape: Shape, system: System) -> float:
    """One-way bytes a second of the tier that a group reaches furthest out, by which its exchange is judged."""
    ranks, stride = float(shape["ranks"]), float(shape["stride"])
    for tier in system.tiers:
        if tier.span is None or float(ranks_inside(ranks=ranks, stride=stride, span=float(tier.span))) >= ranks:
            return tier.bandwidth_bytes_per_s
    return system.tiers[-1].bandwidth_bytes_per_s


def unheard_of(shape: Shape, time_s: float, accelerator: Accelerator, system: System) -> str:
    """Why there can be no such exchange, however long it takes; empty where there can."""
    ranks, stride, size = int(shape["ranks"]), int(shape["stride"]), float(shape["bytes"])
    needed, reach = (ranks - 1) * stride + 1, system.reach
    if reach is not None and needed > reach:
        return (
            f"the network of {system.id} joins {reach} accelerators, and the group needs {needed}; "
            "was it another system?"
        )
    if size > accelerator.memory_bytes:
        memory = "" if accelerator.confidential else f" of {units.format(float(accelerator.memory_bytes), 'bytes')}"
        return (
            f"a buffer of {size:.3g} bytes is more than the memory{memory} of one {accelerator.id}; "
            "is bytes an algorithm bandwidth, or the sum over all ranks?"
        )
    return _too_slow_for_few(shape, time_s, accelerator, system)


def _too_slow_for_few(shape: Shape, time_s: float, accelerator: Accelerator, system: System) -> str:
    """Whether a few bytes that take long are GB/s: of a buffer that a memory holds, over links that allow so many."""
    size = int(shape["bytes"])
    whole = size & (size - 1) == 0 or size >= SMALL_BYTES or size * 1e9 > 1.5 * slowest_link(shape, system)
    if whole or size * 1e9 * time_s > accelerator.memory_bytes or system.exchanges is None:
        return ""
    sizes = {name: float(shape[name]) for name in ("bytes", "ranks", "stride")}
    expected = max(float(system.collective_s(str(shape["operation"]), **sizes)), LAUNCH_S)
    if time_s <= SLOW_SMALL * expected:
        return ""
    meant = "are bytes GB/s, an algorithm bandwidth" + (", or is it in milliseconds?" if time_s > 1e-3 else "?")
    return f"{time_s:.3g} s is far too long for {size} bytes; {meant}"


def likely(shape: Shape, time_s: float, least: float, system: System) -> str:
    """What an exchange faster than the links was probably mistaken for."""
    size = int(shape["bytes"])
    bandwidth = size >= 1e6 and size & (size - 1) and size <= 1.5 * max(t.bandwidth_bytes_per_s for t in system.tiers)
    if bandwidth and least > 10.0 * time_s:
        return "is bytes an algorithm bandwidth, or was the time divided by 1,000 once too often?"
    if least > 30.0 * time_s:
        return "was the time divided by 1,000 once too often, or is bytes not of one rank?"
    return "is bytes the sum over all ranks, a link counted both ways, or the system another one?"
