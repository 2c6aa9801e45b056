"""Exchanges over the tiers of a system, by the algorithm that is soonest done."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import attrs

from suanli.collectives.algorithms import ring_s, start_of, switches_s, tree_s
from suanli.collectives.base import CollectiveModel
from suanli.collectives.crossings import Crossing, Level, cross, levels_of
from suanli.collectives.fabric import FabricEfficiency
from suanli.collectives.formulas import CHAIN_RANKS, engine_s
from suanli.formulas import tracing
from suanli.numeric import Number, is_scalar, minimum, where

if TYPE_CHECKING:
    from suanli.hardware import System, Tier

NETWORK = "nic"
"""The fabric of every tier beyond the node, whatever its topology."""


@attrs.frozen(kw_only=True)
class Hierarchical(CollectiveModel):
    """Exchanges over the tiers their group spans: a ring or a tree, the switches' sums, an engine's own all-reduce.

    Bandwidths are an accelerator's own: the groups its neighbours are in use theirs at the same time,
    so a group with one rank in a node has one rank's share of the node's network.

    Attributes:
        fabrics: What was fitted.
        rest: The model asked for kinds of network nobody measured here.
        engine: Whether a serving engine reduces small buffers itself.
        copies: Of a token in an all-to-all that sends it once to a domain; 0 where each copy travels by itself.
    """

    fabrics: tuple[FabricEfficiency, ...]
    rest: Hierarchical | None = None
    engine: bool = False
    copies: Number = attrs.field(default=0.0, eq=False)

    def bind(self, fallback: CollectiveModel) -> CollectiveModel:
        """This model, asking the fallback for kinds of network nobody measured here."""
        return attrs.evolve(self, rest=fallback) if isinstance(fallback, Hierarchical) and not self.fallback else self

    def of_engine(self) -> CollectiveModel:
        """This model with the engine's own all-reduce where that is faster."""
        return self._own

    def dispatching(self, copies: Number) -> CollectiveModel:
        """This model for tokens sent once to each domain that has some of their `copies` experts."""
        if not is_scalar(copies):
            return attrs.evolve(self, copies=copies)
        found = self._variants.get(float(copies))
        if found is None:
            found = self._variants.setdefault(float(copies), attrs.evolve(self, copies=float(copies)))
        return found

    @functools.cached_property
    def _own(self) -> Hierarchical:
        return attrs.evolve(self, engine=True)

    @functools.cached_property
    def _variants(self) -> dict[float, Hierarchical]:
        return {}

    @functools.cached_property
    def _known(self) -> dict[int, tuple[tuple[Tier, ...], int, tuple[Level, ...]]]:
        return {}

    def _levels(self, system: System) -> tuple[Level, ...]:
        """The levels of a system, worked out once: every size of it shares its tiers."""
        key, size = id(system.tiers), system.accelerators_per_node
        found = None if tracing() else self._known.get(key)
        if found is None or found[0] is not system.tiers or found[1] != size:
            fabrics = ((t, self.fabric(t, beyond_node(system, i))) for i, t in enumerate(system.tiers))
            if tracing():  # figures that remember where they are from are not kept
                return levels_of(fabrics)
            if len(self._known) >= 256:
                self._known.clear()
            found = self._known[key] = (system.tiers, size, levels_of(fabrics))
        return found[2]

    @property
    def _deduplicates(self) -> bool:
        return not is_scalar(self.copies) or bool(self.copies > 0.0)

    @functools.cached_property
    def _table(self) -> dict[str, FabricEfficiency]:
        return {f.fabric: f for f in self.fabrics}

    def fabric(self, tier: Tier, outer: bool) -> FabricEfficiency:
        """The fitted entry of a tier; a tier beyond the node is a ``"nic"``."""
        key = NETWORK if outer else tier.topology
        last = self
        while key not in last._table and last.rest is not None:
            last = last.rest
        return last._table[key] if key in last._table else last._table.get("switch", last.fabrics[0])

    def time_s(self, operation: str, *, bytes: Number, ranks: Number, stride: Number, system: System) -> Number:
        """Seconds of one exchange over the tiers its group spans."""
        if is_scalar(ranks) and ranks <= 1.0:
            return 0.0  # what the formulas below come to
        levels = self._levels(system)
        crossed = cross(levels, system, operation, bytes, ranks, stride)
        if not crossed:
            return where(ranks > 1.0, 0.0, 0.0)
        if operation == "all_reduce":
            found = self._all_reduce(crossed, bytes, ranks)
        else:
            start = start_of(crossed)
            found = tree_s(crossed, start, operation, bytes, ranks)
            if operation == "all_to_all" and self._deduplicates:
                once = cross(levels, system, operation, bytes, ranks, stride, self.copies)
                found = minimum(found, tree_s(once, start, operation, bytes, ranks))
        return found if is_scalar(ranks) else where(ranks > 1.0, found, 0.0)

    def _all_reduce(self, crossed: list[Crossing], bytes: Number, ranks: Number) -> Number:
        """The soonest of a ring, a tree, the switches' sums and an engine's own way."""
        start = start_of(crossed)
        found = ring = ring_s(crossed, start, bytes, ranks)
        first = crossed[0]
        level, fitted = first.level, first.level.fitted
        # Inside one host a tree is a chain, with the messages of a ring and more bytes.
        chained = level.depth == 0 and level.tier.span is not None and level.tier.span <= CHAIN_RANKS
        if not (chained and len(crossed) == 1 and first.used is True):
            found = minimum(ring, tree_s(crossed, start, "all_reduce", bytes, ranks))
            if chained:
                found = where(first.reached >= ranks, ring, found)
        if level.depth:
            return found
        if level.tier.in_network_reduction and fitted.reduction_ratio:
            found = where(first.used, minimum(found, switches_s(crossed, start, bytes, ranks)), found)
        if self.engine and fitted.engine_ratio:
            found = self._engine(found, first, bytes, ranks)
        return found

    def algorithm(self, operation: str, *, bytes: float, ranks: float, stride: float, system: System) -> str:
        """The library's algorithm that one all-reduce is soonest done by: ``ring``, ``tree`` or ``switches``.

        Empty where there is none to choose.
        """
        crossed = cross(self._levels(system), system, operation, bytes, ranks, stride)
        if operation != "all_reduce" or not crossed:
            return ""
        start, found = start_of(crossed), attrs.evolve(self, engine=False)._all_reduce(crossed, bytes, ranks)
        if found == ring_s(crossed, start, bytes, ranks):
            return "ring"
        first = crossed[0].level
        adds = not first.depth and first.tier.in_network_reduction and first.fitted.reduction_ratio
        return "switches" if adds and found == switches_s(crossed, start, bytes, ranks) else "tree"

    def _engine(self, library_s: Number, first: Crossing, bytes: Number, ranks: Number) -> Number:
        """The sooner of the library's all-reduce and the engine's, which stays within the innermost tier."""
        fitted = first.level.fitted
        own = engine_s(
            bytes=bytes,
            ranks=ranks,
            bandwidth_bytes_per_s=first.bandwidth_bytes_per_s,
            ratio=fitted.told("engine_ratio"),
            launch_s=fitted.told("engine_launch_s"),
            latency_s=fitted.told("engine_latency_s"),
        )
        return where(first.reached >= ranks, minimum(library_s, own), library_s)

    def band(self) -> tuple[float, float] | None:
        """The innermost fabric's band."""
        return next((f.interval for f in self.fabrics if f.interval), None)


def beyond_node(system: System, depth: int) -> bool:
    """Whether a tier is beyond the node."""
    span = system.tiers[depth].span
    return depth > 0 and (span is None or span > system.accelerators_per_node)


def fabric_of(system: System, depth: int) -> str:
    """The kind of fabric a tier is: its topology, or ``"nic"`` beyond the node."""
    return NETWORK if beyond_node(system, depth) else system.tiers[depth].topology
