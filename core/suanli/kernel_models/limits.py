"""What every kernel shares: the limits of its accelerator, traffic, and how arithmetic and traffic overlap."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from suanli.formulas import formula
from suanli.numeric import Number, is_scalar, maximum, minimum

if TYPE_CHECKING:
    from suanli.hardware import Accelerator
    from suanli.kernel_models.efficiency import Efficiency
    from suanli.kernels import Kernel

INFINITE = float("inf")
ROOFLINE = "Williams, Waterman & Patterson 2009, Roofline, CACM 52(4)"
WEIGHTS_SHARE = 1.0 / 6.0
"""Of what the last cache holds, for the weights of one product timed alone.

Benchmarks of products take turns between several sets of weights; those on an L40S and a 910B are found again up to
a sixth of where activations are (fitted, 0.08 to 0.18)."""
TYPICAL_CORES = 132.0
"""Cores of an accelerator that does not state them: an H100's."""
LEAST_SHARES = 2.0
"""A core's loads over its share of the memory bandwidth, at least: on the parts measured, 3 to 8."""


class Limits(NamedTuple):
    """An accelerator as a kernel sees it.

    Attributes:
        peak_flops_per_s: In the format it multiplies in.
        bandwidth_bytes_per_s: Of its memory.
        cores: Streaming multiprocessors, or AI cores.
        cache_bytes: The last cache before memory.
        compute_ratio: Share of the peak sustained in this kernel, power allowing.
        headroom: What a core was built to multiply over what the peak lets it.
        cold: Whether weights and key-value caches come from memory each time, as others' pass through the cache
            between two uses; a kernel timed alone finds them where it left them.
    """

    peak_flops_per_s: float
    bandwidth_bytes_per_s: float
    cores: float
    cache_bytes: float
    compute_ratio: float
    headroom: float = 1.0
    cold: bool = False

    @property
    def core_share_bytes_per_s(self) -> float:
        """One core's share of the memory bandwidth."""
        return self.bandwidth_bytes_per_s / self.cores

    def core_loads_bytes_per_s(self, bytes_per_flop: float) -> float:
        """What one core can load in a product, from the last cache.

        It is built to feed the core's arithmetic, held back or not, and with a fast memory at least twice the core's
        share of that.
        """
        if bytes_per_flop <= 0.0:
            return INFINITE
        built_for = self.headroom * self.peak_flops_per_s / self.cores
        return max(bytes_per_flop * built_for, LEAST_SHARES * self.core_share_bytes_per_s)


def limits_of(
    accelerator: Accelerator,
    kernel: Kernel,
    fitted: Efficiency,
    cap: float,
    headroom: float = 1.0,
    cold: bool = False,
) -> Limits:
    """The limits of `accelerator` for `kernel`, with no more than `cap` of its peak sustained; `fitted` is its own."""
    compute = accelerator.vector_precision if kernel.kind == "elementwise" else kernel.compute
    if fitted.multiplies and accelerator.rates.get(fitted.multiplies, 0.0) > 0.0:
        compute = fitted.multiplies
    return Limits(
        accelerator.peak_flops_per_s(compute),
        accelerator.bandwidth_bytes_per_s,
        float(accelerator.cores or TYPICAL_CORES),
        float(accelerator.l2_cache_bytes or 0),
        min(fitted.fact("compute_ratio"), cap),
        headroom,
        cold,
    )


Operations = tuple[Callable[[Any], Any], Callable[[Any, Any], Any], Callable[[Any, Any], Any]]


def operations(*values: Number) -> Operations:
    """Round up, larger and smaller, for numbers or for columns; the two round alike."""
    if all(map(is_scalar, values)):
        return _ceil, max, min
    import numpy as np

    return np.ceil, np.maximum, np.minimum


def _ceil(value: float) -> float:
    return float(math.ceil(value))


@formula(unit="flops_per_s", source="definition")
def core_flops_per_s(*, peak_flops_per_s: float, compute_ratio: float, cores: float) -> float:
    """Sustained arithmetic of one core."""
    return peak_flops_per_s * compute_ratio / cores


def core_rate(limits: Limits) -> float:
    """Sustained arithmetic of one core of `limits`."""
    return core_flops_per_s(
        peak_flops_per_s=limits.peak_flops_per_s, compute_ratio=limits.compute_ratio, cores=limits.cores
    )


@formula(unit="s", source=ROOFLINE)
def sustained_s(*, flops: Number, peak_flops_per_s: float, compute_ratio: float) -> Number:
    """Seconds of a kernel's arithmetic at the sustained share of the peak."""
    return flops / (peak_flops_per_s * compute_ratio)


@formula(unit="s", source="definition; what the last cache holds moves at another speed: fitted")
def traffic_s(
    *, bytes: Number, bandwidth_bytes_per_s: float, bandwidth_ratio: float, warm_bytes: float, warm_speed: float
) -> Number:
    """Seconds of traffic that comes again and again: what `warm_bytes` hold, at `warm_speed` times the bandwidth.

    Of more than they hold, less and less is found there; of twice as much, nothing.
    """
    rate = bandwidth_bytes_per_s * bandwidth_ratio
    if warm_bytes <= 0.0:
        return bytes / rate
    found = minimum(maximum(2.0 - bytes / warm_bytes, 0.0), 1.0)
    return bytes * (1.0 - found * (1.0 - 1.0 / warm_speed)) / rate


@formula(unit="s", source=ROOFLINE)
def roofline_s(*, flops: Number, bytes: Number, peak_flops_per_s: float, bandwidth_bytes_per_s: float) -> Number:
    """The bound no kernel beats: arithmetic at the peak, or traffic at the bandwidth, whichever takes longer."""
    return maximum(flops / peak_flops_per_s, bytes / bandwidth_bytes_per_s)


@formula(unit="s", source="a launch, then arithmetic and traffic, partly one behind the other; " + ROOFLINE)
def kernel_s(
    *,
    launch_s: float,
    compute_s: Number,
    traffic_s: Number,
    exposed_ratio: float,
    beside_s: Number,
    roofline_s: Number,
) -> Number:
    """Seconds of a kernel.

    The longer of arithmetic and traffic counts in full, the shorter by what the longer does not hide;
    what neither hides (`beside_s`) is added. Never less than its roofline.
    """
    longer, shorter = maximum(compute_s, traffic_s), minimum(compute_s, traffic_s)
    return maximum(launch_s + longer + exposed_ratio * shorter + beside_s, roofline_s)


def settled_s(
    kernel: Kernel,
    fitted: Efficiency,
    limits: Limits,
    compute_s: Number,
    beside_s: Number = 0.0,
    kept_bytes: Number = 0.0,
    kept_share: float = 1.0,
) -> Number:
    """Seconds of `kernel`, given what its cores take and what comes beside.

    Of its traffic, `kept_bytes` are weights or caches: no kernel before made them, and of what the last cache holds
    they find `kept_share`; where these are cold, nothing.
    """
    about = {"bandwidth_bytes_per_s": limits.bandwidth_bytes_per_s, "bandwidth_ratio": fitted.fact("bandwidth_ratio")}
    warm_bytes, speed = fitted.warm_ratio * limits.cache_bytes, fitted.warm_speed
    moved = traffic_s(bytes=kernel.bytes - kept_bytes, warm_bytes=warm_bytes, warm_speed=speed, **about)
    if not (is_scalar(kept_bytes) and kept_bytes == 0.0):
        if limits.cold:
            speed = min(speed, 1.0)  # below 1 it is no cache, but a transfer too short for the memory's queues
        moved = moved + traffic_s(bytes=kept_bytes, warm_bytes=warm_bytes * kept_share, warm_speed=speed, **about)
    bound = roofline_s(
        flops=kernel.flops,
        bytes=kernel.bytes,
        peak_flops_per_s=limits.peak_flops_per_s,
        bandwidth_bytes_per_s=limits.bandwidth_bytes_per_s,
    )
    return kernel_s(
        launch_s=fitted.fact("launch_s"),
        compute_s=compute_s,
        traffic_s=moved,
        exposed_ratio=fitted.exposed_ratio,
        beside_s=beside_s,
        roofline_s=bound,
    )
