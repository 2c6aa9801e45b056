"""What a generation sustains in one kind of kernel: the parameters of the kernel models."""

from __future__ import annotations

import attrs
from attrs.validators import and_, deep_iterable, ge, gt, le

from suanli.fits import Fit
from suanli.formulas import fact
from suanli.serialize import FlopsPerSecond, Hertz, Seconds

_FRACTION = and_(gt(0.0), le(1.0))


def _tile_shapes(_: object, attribute: attrs.Attribute[tuple[tuple[int, ...], ...]], value: object) -> None:
    shapes = value if isinstance(value, tuple) else ()
    if any(len(t) != 2 or t[0] < 1 or t[1] < 1 for t in shapes):
        raise ValueError(f"{attribute.name!r} must be pairs of rows and columns, such as [[128, 256]]")


@attrs.frozen(kw_only=True, cache_hash=True)
class Efficiency(Fit):
    """What a generation sustains in one kind of kernel, fitted to measurements.

    The first three figures make a roofline. The others default to having no effect;
    each kind of kernel reads those that its formulas name.

    Attributes:
        accelerator: Instead of a generation: the one accelerator it was measured on.
        kernel: One of ``KINDS``.
        precision: How matrix inputs are stored and multiplied.
        multiplies: The format it is multiplied in, where the measured engine's differs from the kernel's own.
        clock_hz: Clock of the accelerator measured; another's seconds are as many cycles. 0: they hold at any.
        sustained_ratio: What that accelerator sustains of its peak, by its own record; `compute_ratio` is another's
            in proportion. 0: it holds for any.
        core_flops_per_s: Peak of one of its cores in 16-bit products; where another's cores are let to do less, they
            still load as much. 0: as many bytes as its own peak needs.
        bound_by_cores: Whether a core does the same of this on any accelerator, however high its peak.
        confidential: Whether the figures may be shown.
        compute_ratio: Sustained share of the peak rate, 0 to 1.
        bandwidth_ratio: Sustained share of the memory bandwidth, 0 to 1.
        launch_s: Floor under the shortest kernel.
        exposed_ratio: Share of the shorter of arithmetic and traffic that the longer does not hide.
        warm_ratio: First bytes of a kernel that move at another speed than the rest, as a share of the last cache.
        warm_speed: That speed over the sustained bandwidth: above 1 caches help, below 1 short transfers suffer.
        tiles: Rows and columns of the output tiles its library chooses from; none for a plain roofline.
        splits: In how many parts its library may divide a product's sum, or a sequence's keys, over the cores.
        tile_s: Start and end of one tile on a core, whatever its size.
        ramp_k: Steps of the inner loop that pass before a tile's pipeline is full.
        core_bytes_per_flop: Bytes a core loads in the time of one FLOP at its peak, in products; 0 for any amount.
        core_bandwidth_ratio: What a core loads in decoding, over its share of the memory bandwidth; 0 for any amount.
        wave_ratio: How strictly tiles run in waves: 1 where cores wait for the last wave, 0 where others fill in.
        split_s: What joining the parts of a split takes beside their traffic.
        write_ratio: Seconds of writing the output that nothing hides, over its bytes at full bandwidth.
        quantise_s: Launch of the pass that quantises the inputs first.
        quantise_bandwidth_ratio: Share of the memory bandwidth that pass sustains; 0 where there is none.
        quantise_element_s: Of one element of a row, which one block reads from end to end.
        quantise_row_s: Of one row, on the whole accelerator.
        block: Query rows of one attention tile.
        pair_flops: Exponential and rescaling of one scored pair, counted in FLOPs of the matrix unit.
        tail_ratio: Tiles of unequal length at the end of an attention kernel, in halves of the longest tile.
        sequence_s: Bookkeeping of one sequence of a batch.
        local_traffic_ratio: Passes over the copies of tokens routed to this rank, over their bytes at full bandwidth.
        token_traffic_ratio: The same over all copies of the tokens entering, wherever they are routed.
        partial_ratio: Tiles of an expert that its tokens do not fill, for each expert at work.
        expert_s: Bookkeeping of one expert of the layer.
    """

    accelerator: str = ""
    kernel: str
    precision: str
    multiplies: str = ""
    clock_hz: Hertz = attrs.field(default=0.0, validator=ge(0.0))
    sustained_ratio: float = attrs.field(default=0.0, validator=and_(ge(0.0), le(1.0)))
    core_flops_per_s: FlopsPerSecond = attrs.field(default=0.0, validator=ge(0.0))
    bound_by_cores: bool = False
    confidential: bool = False
    compute_ratio: float = attrs.field(validator=_FRACTION)
    bandwidth_ratio: float = attrs.field(validator=_FRACTION)
    launch_s: Seconds = attrs.field(default=0.0, validator=ge(0.0))
    exposed_ratio: float = attrs.field(default=1.0, validator=and_(ge(0.0), le(1.0)))
    warm_ratio: float = attrs.field(default=0.0, validator=ge(0.0))
    warm_speed: float = attrs.field(default=1.0, validator=gt(0.0))
    tiles: tuple[tuple[int, ...], ...] = attrs.field(default=(), validator=_tile_shapes)
    splits: tuple[int, ...] = attrs.field(default=(1,), validator=deep_iterable(ge(1)))
    tile_s: Seconds = attrs.field(default=0.0, validator=ge(0.0))
    ramp_k: float = attrs.field(default=0.0, validator=ge(0.0))
    core_bytes_per_flop: float = attrs.field(default=0.0, validator=ge(0.0))
    core_bandwidth_ratio: float = attrs.field(default=0.0, validator=ge(0.0))
    wave_ratio: float = attrs.field(default=1.0, validator=and_(ge(0.0), le(1.0)))
    split_s: Seconds = attrs.field(default=0.0, validator=ge(0.0))
    write_ratio: float = attrs.field(default=0.0, validator=ge(0.0))
    quantise_s: Seconds = attrs.field(default=0.0, validator=ge(0.0))
    quantise_bandwidth_ratio: float = attrs.field(default=0.0, validator=ge(0.0))
    quantise_element_s: Seconds = attrs.field(default=0.0, validator=ge(0.0))
    quantise_row_s: Seconds = attrs.field(default=0.0, validator=ge(0.0))
    block: int = attrs.field(default=0, validator=ge(0))
    pair_flops: float = attrs.field(default=0.0, validator=ge(0.0))
    tail_ratio: float = attrs.field(default=0.0, validator=ge(0.0))
    sequence_s: Seconds = attrs.field(default=0.0, validator=ge(0.0))
    local_traffic_ratio: float = attrs.field(default=0.0, validator=ge(0.0))
    token_traffic_ratio: float = attrs.field(default=0.0, validator=ge(0.0))
    partial_ratio: float = attrs.field(default=0.0, validator=ge(0.0))
    expert_s: Seconds = attrs.field(default=0.0, validator=ge(0.0))

    def fact(self, name: str) -> float:
        """One figure, remembered as a fact while a trace is on."""
        unit = name.rpartition("_")[2]
        about = f"{self.generation or self.accelerator}.{self.kernel}.{self.precision}.{name}"
        return fact(float(getattr(self, name)), about, unit, self.source, self.confidential)
