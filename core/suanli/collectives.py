"""Exchanges among ranks: what each one sends, over which tiers, and how long that takes.

A group is described by its size and its stride, the distance between neighbours in rank order,
so its placement on the tiers of a system is known: ranks inside a node use the inner tier, the rest reach further.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import attrs
from attrs.validators import and_, ge, gt, le

from suanli.errors import SuanliError
from suanli.fits import Fit, TimeModel
from suanli.formulas import fact, formula, scaled, total, tracing
from suanli.numeric import Number, doublings, floor, is_scalar, maximum, minimum, power, sqrt, where
from suanli.serialize import Seconds

if TYPE_CHECKING:
    from suanli.hardware import System, Tier

OPERATIONS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "p2p")
"""Exchanges a collective model must know."""

RING = "Patarasuk & Yuan 2009, Bandwidth optimal all-reduce algorithms, JPDC 69(2)"
_PASSES = {"all_reduce": 2.0, "all_gather": 1.0, "reduce_scatter": 1.0, "broadcast": 1.0}


@formula(unit="ranks", source="definition")
def ranks_inside(*, ranks: Number, stride: Number, span: Number) -> Number:
    """Members of a group that share one domain of `span` accelerators, when neighbours are `stride` apart."""
    return minimum(ranks, maximum(floor(span / stride), 1.0))


@formula(unit="bytes", source=RING)
def ring_bytes(*, bytes: Number, ranks: Number, passes: float, inside: Number) -> Number:
    """Bytes one accelerator sends at one tier: the ring crosses it once for every `inside` ranks below it."""
    return passes * bytes * (ranks - 1.0) / ranks / inside


@formula(unit="bytes", source="definition: an equal share to each peer beyond the tiers below")
def exchanged_bytes(*, bytes: Number, ranks: Number, inside: Number, reached: Number) -> Number:
    """Bytes of an all-to-all one accelerator sends at one tier, to peers past `inside` and within `reached`."""
    return bytes * (reached - inside) / ranks


@formula(unit="s", source="Hockney 1994, The communication challenge for MPP, Parallel Computing 20(3)")
def transfer_s(*, bytes: Number, bandwidth_bytes_per_s: Number, bandwidth_ratio: Number, ramp_s: float) -> Number:
    """Seconds `bytes` take on a link that sustains a share of its bandwidth, reached gradually.

    Transfers much shorter than `ramp_s` are slowed by it, much longer ones are not.
    """
    alone = bytes / (bandwidth_bytes_per_s * bandwidth_ratio)
    return sqrt(alone * (alone + ramp_s))


@formula(unit="ratio", source="fitted: links behind one root complex are shared by the ranks that use it")
def crowded_ratio(*, bandwidth_ratio: Number, ranks: Number, crowding: float) -> Number:
    """Sustained share of a link's bandwidth when `ranks` use a shared bus at once; `crowding` 0 for none."""
    return bandwidth_ratio * power(2.0 / maximum(ranks, 2.0), crowding)


@formula(unit="s", source="Thakur, Rabenseifner & Gropp 2005, sec. 3: latency grows with the depth of a tree")
def latency_s(*, launch_s: Number, hops_s: Number) -> Number:
    """Seconds of an exchange of nothing: a launch, and one message for each level of the tree."""
    return launch_s + hops_s


@formula(unit="s", source="sum of latency and the slowest tier, which pipelining makes the bottleneck")
def exchange_s(*, latency_s: Number, transfer_s: Number) -> Number:
    """Seconds of one exchange."""
    return latency_s + transfer_s


_FRACTION = and_(gt(0.0), le(1.0))


@attrs.frozen(kw_only=True)
class FabricEfficiency(Fit):
    """What a kind of network sustains, fitted to measurements.

    Attributes:
        system: Instead of a generation: the one system it was measured on.
        fabric: The tier's topology; ``"nic"`` for a tier beyond the node.
        bandwidth_ratio: Sustained share of the one-way bandwidth, 0 to 1.
        ramp_s: Transfers much shorter than this do not reach it.
        crowding: How the share falls with ranks on a shared bus: (2 / ranks) to this power.
        launch_s: Of a collective.
        latency_s: Of one message.
    """

    system: str = ""
    fabric: str
    bandwidth_ratio: float = attrs.field(validator=_FRACTION)
    ramp_s: Seconds = attrs.field(default=0.0, validator=ge(0.0))
    crowding: float = attrs.field(default=0.0, validator=ge(0.0))
    launch_s: Seconds = attrs.field(default=0.0, validator=ge(0.0))
    latency_s: Seconds = attrs.field(default=0.0, validator=ge(0.0))

    @property
    def figures(self) -> tuple[float, float, float, float]:
        """Share of the bandwidth, ramp, launch, and latency of a message."""
        return self.bandwidth_ratio, self.ramp_s, self.launch_s, self.latency_s

    def facts(self) -> tuple[float, float, float, float]:
        """The same as facts a trace remembers."""
        about = f"{self.generation or self.system}.{self.fabric}"
        names = (("bandwidth_ratio", "ratio"), ("ramp_s", "s"), ("launch_s", "s"), ("latency_s", "s"))
        ratio, ramp, launch, latency = (
            fact(value, f"{about}.{name}", unit, self.source)
            for value, (name, unit) in zip(self.figures, names, strict=True)
        )
        return ratio, ramp, launch, latency


@attrs.frozen(kw_only=True)
class CollectiveModel(TimeModel):
    """Says how long an exchange takes on the systems it serves; plugins derive from this.

    Attributes:
        systems: System ids it serves, before any generation's model.
    """

    systems: tuple[str, ...] = ()

    def bind(self, fallback: CollectiveModel) -> CollectiveModel:
        """This model, with the catalog's fallback at hand for what it does not know."""
        return self

    def time_s(self, operation: str, *, bytes: Number, ranks: Number, stride: Number, system: System) -> Number:
        """Seconds of one exchange; 0 for a group of one."""
        raise SuanliError(f"collective model {self.name!r} does not define time_s")

    def band(self) -> tuple[float, float] | None:
        """Measured over predicted at the 10th and 90th percentile; None where nobody measured."""
        return None


@attrs.frozen(kw_only=True)
class Hierarchical(CollectiveModel):
    """Rings over the tiers of the system, latency by the depth of a tree, the slowest tier decides.

    Attributes:
        fabrics: What was fitted.
        rest: The model asked for kinds of network nobody measured here.
    """

    fabrics: tuple[FabricEfficiency, ...]
    rest: Hierarchical | None = None

    def bind(self, fallback: CollectiveModel) -> CollectiveModel:
        """This model, asking the fallback for kinds of network nobody measured here."""
        return attrs.evolve(self, rest=fallback) if isinstance(fallback, Hierarchical) and not self.fallback else self

    @functools.cached_property
    def _table(self) -> dict[str, FabricEfficiency]:
        return {f.fabric: f for f in self.fabrics}

    def fabric(self, tier: Tier, outer: bool) -> FabricEfficiency:
        """The fitted entry of a tier; a tier beyond the node is a ``"nic"``."""
        key = "nic" if outer else tier.topology
        for model in (self, self.rest):
            if model is not None and key in model._table:
                return model._table[key]
        last = self.rest or self
        return last._table.get("switch", last.fabrics[0])

    def time_s(self, operation: str, *, bytes: Number, ranks: Number, stride: Number, system: System) -> Number:
        """Seconds of one exchange over the tiers its group spans."""
        if is_scalar(ranks) and ranks <= 1.0:
            return 0.0  # what the formulas below come to
        inside: Number = 1.0
        slowest: Number = 0.0
        depth: dict[str, Number] = {}
        started: Number = 0.0
        below: Number = 0.0
        narrowest: Number = 1e30  # what is sent further out has passed the links further in
        slowest_ramp = slowest_start = slowest_hop = 0.0
        for level, tier in enumerate(system.tiers):
            outer = level > 0 and (tier.span is None or tier.span > system.accelerators_per_node)
            fitted = self.fabric(tier, outer)
            reached = ranks if tier.span is None else ranks_inside(ranks=ranks, stride=stride, span=float(tier.span))
            reached = maximum(reached, inside)
            ratio, ramp, launch, message = fitted.facts() if tracing() else fitted.figures
            # What goes further out has passed what is further in: no part of it is quicker there.
            slowest_ramp, slowest_start = max(slowest_ramp, ramp), max(slowest_start, launch)
            slowest_hop = max(slowest_hop, message)
            pair: Number = (tier.per_peer_bytes_per_s or tier.bandwidth_bytes_per_s) * fitted.bandwidth_ratio
            if fitted.crowding and tier.span is not None:  # every rank of the bus sends outside at once
                pair = crowded_ratio(bandwidth_ratio=pair, ranks=float(tier.span), crowding=fitted.crowding)
            if is_scalar(reached) and reached == inside:
                narrowest = minimum(narrowest, pair)
                continue  # nobody is reached at this tier, and it takes no time
            bandwidth = _bandwidth(system, tier, operation, reached, inside)
            sent = sent_bytes(operation, bytes, ranks, inside, reached)
            share: Number = ratio
            if fitted.crowding:
                share = crowded_ratio(bandwidth_ratio=share, ranks=reached, crowding=fitted.crowding)
            bandwidth = minimum(bandwidth, narrowest / share)
            takes = transfer_s(bytes=sent, bandwidth_bytes_per_s=bandwidth, bandwidth_ratio=share, ramp_s=slowest_ramp)
            slowest = maximum(slowest, where(reached > inside, takes, 0.0))
            levels = doublings(reached)
            if operation == "p2p":  # one message, however many tiers it passes
                depth["message"] = maximum(depth.get("message", 0.0), where(levels > below, slowest_hop, 0.0))
            else:
                depth[f"{tier.name}.{level}"] = scaled("s", hops(operation, levels - below), slowest_hop)
            below = levels
            started = maximum(started, where(reached > inside, slowest_start, 0.0))
            narrowest = where(reached > inside, narrowest, minimum(narrowest, pair))
            inside = reached
        alone = latency_s(launch_s=started, hops_s=total("hops_s", "s", depth))
        return where(ranks > 1.0, exchange_s(latency_s=alone, transfer_s=slowest), 0.0)

    def band(self) -> tuple[float, float] | None:
        """The innermost fabric's band."""
        return next((f.interval for f in self.fabrics if f.interval), None)


def hops(operation: str, steps: Number) -> Number:
    """Messages one after another, when `steps` levels of a tree are crossed."""
    return steps * (2.0 if operation == "all_reduce" else 1.0)


def sent_bytes(operation: str, bytes: Number, ranks: Number, inside: Number, reached: Number) -> Number:
    """Bytes one accelerator sends at a tier that takes a group from `inside` to `reached` members."""
    if operation == "all_to_all":
        return exchanged_bytes(bytes=bytes, ranks=ranks, inside=inside, reached=reached)
    if operation == "p2p":
        return bytes
    return ring_bytes(bytes=bytes, ranks=ranks, passes=_PASSES[operation], inside=inside)


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
