"""What a measured time cannot be: shorter than the hardware allows, or so long that its unit must be another."""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs

from suanli import exchange_limits, units
from suanli.errors import SuanliError
from suanli.hardware import Accelerator, System
from suanli.measurement_schema import Measurement, Shape, kernel_of

MARGIN = 1.25
"""How much faster than its stated peaks a device may seem: clocks go above those that peaks are stated at."""

CACHE_BYTES = 256 * 2**20
"""What may have come from a cache where its size is not stated: no accelerator has a larger one."""

FLOOR_S = 1e-5
"""What any launch may take besides its work."""

SLOW = 300.0
"""A kernel that takes this many times its roofline and the floor was not measured in seconds."""

PLAIN_EXPERTS = 2.0 / 3.0
"""Share of the matrices of gated experts that plain ones have; a measurement does not say which they are."""

UNITS = (("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9))


@attrs.frozen(kw_only=True)
class Bound:
    """The least seconds something can take.

    Attributes:
        seconds: On hardware as stated, with every cache warm.
        cold_s: The same when all of it comes from memory.
        by: What sets it: the peak, the bandwidth, the links.
        secret: Whether neither it nor what it comes from may be shown.
    """

    seconds: float
    cold_s: float
    by: str
    secret: bool = False


def bound_of(shape: Shape, accelerator: Accelerator, system: System | None = None) -> Bound | None:
    """The least seconds a shape can take; None where nothing is known that bounds it."""
    if shape.kernel == "collective":
        return _exchange_bound(shape, system) if system is not None else None
    try:
        kernel = kernel_of(shape, accelerator)
    except SuanliError:
        return None
    peak = accelerator.rates.get(kernel.compute, 0.0)
    compute = float(kernel.flops) / peak if peak else 0.0
    certain = PLAIN_EXPERTS if shape.kernel == "moe" else 1.0
    cache = accelerator.l2_cache_bytes if accelerator.l2_cache_bytes is not None else CACHE_BYTES
    bandwidth = accelerator.memory_bandwidth_bytes_per_s
    cold = float(kernel.bytes) / bandwidth
    # Which experts are idle is the routing's; at least the arithmetic of plain ones must be done.
    warm = max(float(kernel.bytes) - cache, 0.0) / bandwidth if shape.kernel != "moe" else 0.0
    secret = accelerator.confidential
    figure = units.format(peak, "flop/s") if compute >= warm else units.format(bandwidth, "bytes/s")
    by = f"{accelerator.id}'s {kernel.compute + ' peak' if compute >= warm else 'memory bandwidth'}"
    by += "" if secret else f" of {figure}"
    return Bound(seconds=max(compute * certain, warm), cold_s=max(compute, cold), by=by, secret=secret)


def _exchange_bound(shape: Shape, system: System) -> Bound | None:
    if not system.tiers:
        return None
    least = exchange_limits.least_s(shape, system)
    figure = units.format(exchange_limits.slowest_link(shape, system), "bytes/s")
    by = f"{system.id}'s links" + ("" if system.confidential else f" of {figure} one way")
    return Bound(seconds=least, cold_s=least, by=by, secret=system.confidential)


def impossible(
    measurements: Iterable[Measurement], accelerator: Accelerator, system: System | None = None
) -> tuple[str, ...]:
    """What cannot be true of measurements taken on `accelerator`, a line each, with the likely mistake.

    A time is refused that is shorter than peak, bandwidth or links allow (with a margin for clocks, and with all a
    cache can hold taken as cached), and one that is hundreds of times longer than the roofline: its unit is another.
    So is an exchange of more accelerators than the system joins, or of a buffer that no memory holds.

    Args:
        measurements: With the row each has in its file.
        accelerator: They were taken on.
        system: For exchanges; without it they are not judged.
    """
    found = []
    for one in measurements:
        where = f"row {one.row}: {one.shape}" if one.row else str(one.shape)
        exchanged = system if one.shape.kernel == "collective" else None
        if exchanged is not None and (why := exchange_limits.unheard_of(one.shape, one.time_s, accelerator, exchanged)):
            found.append(f"{where}: {why}")
            continue
        bound = bound_of(one.shape, accelerator, system)
        if bound is None:
            continue
        said = f"{one.time_s:.3g} s is"
        margin = MARGIN if exchanged is None else exchange_limits.MARGIN
        if one.time_s * margin < bound.seconds:
            times = f" {bound.seconds / one.time_s:,.1f} times" if not bound.secret else ""
            least = f" ({bound.seconds:.3g} s)" if not bound.secret else ""
            meant = _too_fast(one.time_s, bound)
            if exchanged is not None:
                meant = exchange_limits.likely(one.shape, one.time_s, bound.seconds, exchanged)
            found.append(f"{where}: {said}{times} faster than {bound.by} allow{least}; {meant}")
        elif one.time_s > SLOW * (bound.cold_s + FLOOR_S):
            many = one.time_s / (bound.cold_s + FLOOR_S)
            times = f"{many:,.0f} times" if not bound.secret else "far above"
            what = "roofline" if exchanged is None else "links"
            found.append(
                f"{where}: {said} {times} what the {what} and a launch come to; {_too_slow(one.time_s, bound)}"
            )
    return tuple(found)


def _unit(factor: float) -> str | None:
    """The unit a time is in, where it is `factor` times too long for seconds."""
    name, scale = min(UNITS, key=lambda u: abs(math.log(factor / u[1])))
    return name if abs(math.log10(factor / scale)) < 1.5 else None


def _too_slow(time_s: float, bound: Bound) -> str:
    unit = _unit(time_s / (2.0 * bound.cold_s + FLOOR_S))
    return f"is it in {unit}?" if unit else "is the accelerator another one, or does the time include a first call?"


def _too_fast(time_s: float, bound: Bound) -> str:
    factor = (2.0 * bound.cold_s + FLOOR_S) / time_s
    if factor < 30.0:
        return (
            "was it another accelerator, a sparse product, the wrong precision, "
            "or the work of one launch with the time of a part of it?"
        )
    unit = _unit(factor)
    scale = {"milliseconds": 1000, "microseconds": 1e6, "nanoseconds": 1e9}.get(unit or "", 0)
    if scale:
        return f"was it divided by {scale:,.0f} once too often?"
    return "are the sizes and the precision those that ran?"
