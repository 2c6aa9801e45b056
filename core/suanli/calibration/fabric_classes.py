"""What is fitted of each kind of fabric, and within which bounds; `suanli.collectives` says what each figure means."""

from __future__ import annotations

from collections.abc import Mapping

from suanli.calibration.classes import Span

INSIDE: Mapping[str, Span] = {
    "bandwidth_ratio": (0.7, 0.05, 1.0),
    "ramp_s": (1e-4, 1e-8, 1e-2),
    "launch_s": (6e-6, 1e-7, 1e-4),
    "latency_s": (1e-6, 1e-8, 1e-4),
    "copy_bytes_per_s": (1e12, 1e10, 1e13),
}
SWITCHES: Mapping[str, Span] = {"reduction_ratio": (0.65, 0.05, 1.0), "reduction_s": (2e-5, 1e-6, 2e-4)}
"""Of switches that add."""
BUS: Mapping[str, Span] = {"crowding": (2.0, 0.01, 4.0)}
"""Of links that share a bus."""
NETWORK: Mapping[str, Span] = {
    "bandwidth_ratio": (0.7, 0.05, 1.0),
    "ramp_s": (2e-5, 1e-8, 1e-2),
    "latency_s": (1e-5, 1e-8, 1e-4),
}
"""Beyond a node. A launch and a hop look alike where few nodes were measured: its launch is that inside a node."""
ENGINE: Mapping[str, Span] = {
    "engine_ratio": (0.5, 0.05, 1.0),
    "engine_launch_s": (4e-6, 1e-7, 1e-4),
    "engine_latency_s": (1e-7, 1e-9, 1e-5),
}
"""Of a serving engine's own all-reduce, which is measured apart from the library's."""


def figures_of(fabric: str, *, adds: bool) -> Mapping[str, Span]:
    """The figures of a fabric, each with where a search starts and its bounds.

    Args:
        fabric: A topology, or ``"nic"`` for any tier beyond the node.
        adds: Whether its switches can add, and all-reduces were measured.
    """
    if fabric == "nic":
        return NETWORK
    return {**INSIDE, **(SWITCHES if adds else {}), **(BUS if fabric == "pcie" else {})}
