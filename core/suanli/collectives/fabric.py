"""What a kind of network sustains: few numbers, each with a meaning."""

from __future__ import annotations

import attrs
from attrs.validators import and_, ge, gt, le

from suanli.fits import Fit
from suanli.formulas import fact, tracing
from suanli.serialize import BytesPerSecond, Seconds

_FRACTION = and_(gt(0.0), le(1.0))
_SHARE = and_(ge(0.0), le(1.0))


@attrs.frozen(kw_only=True)
class FabricEfficiency(Fit):
    """What a kind of network sustains, fitted to measurements.

    Attributes:
        system: Instead of a generation: the one system it was measured on.
        fabric: The tier's topology; ``"nic"`` for a tier beyond the node.
        bandwidth_ratio: Sustained share of the one-way bandwidth, 0 to 1.
        ramp_s: Transfers much shorter than this do not reach it: protocols for small buffers send flags with
            their data, and long pipelines have to fill.
        crowding: How the share falls with ranks on a shared bus: (2 / ranks) to this power.
        launch_s: Of a collective.
        latency_s: Of one message, from one rank's memory to its neighbour's.
        copy_bytes_per_s: How fast a rank's own share goes from its send to its receive buffer, by the few cores
            a library uses; 0 where it stays in place.
        reduction_ratio: Sustained share of the bandwidth while switches add; 0 where the library leaves that unused.
        reduction_s: What an all-reduce in the switches takes to set up, besides a launch.
        engine_ratio: Sustained share of the bandwidth in a serving engine's own all-reduce, whose ranks read each
            other's memory; 0 where engines have none.
        engine_launch_s: Launch of that one, inside a graph.
        engine_latency_s: What each peer adds to it: a flag to wait for.
    """

    system: str = ""
    fabric: str
    bandwidth_ratio: float = attrs.field(validator=_FRACTION)
    ramp_s: Seconds = attrs.field(default=0.0, validator=ge(0.0))
    crowding: float = attrs.field(default=0.0, validator=ge(0.0))
    launch_s: Seconds = attrs.field(default=0.0, validator=ge(0.0))
    latency_s: Seconds = attrs.field(default=0.0, validator=ge(0.0))
    copy_bytes_per_s: BytesPerSecond = attrs.field(default=0.0, validator=ge(0.0))
    reduction_ratio: float = attrs.field(default=0.0, validator=_SHARE)
    reduction_s: Seconds = attrs.field(default=0.0, validator=ge(0.0))
    engine_ratio: float = attrs.field(default=0.0, validator=_SHARE)
    engine_launch_s: Seconds = attrs.field(default=0.0, validator=ge(0.0))
    engine_latency_s: Seconds = attrs.field(default=0.0, validator=ge(0.0))

    def told(self, name: str) -> float:
        """A figure of it by name, as a fact a trace remembers."""
        value: float = getattr(self, name)
        if not tracing():
            return value
        unit = "s" if name.endswith("_s") and not name.endswith("_per_s") else "ratio"
        unit = "bytes_per_s" if name.endswith("bytes_per_s") else unit
        return fact(value, f"{self.generation or self.system}.{self.fabric}.{name}", unit, self.source)
