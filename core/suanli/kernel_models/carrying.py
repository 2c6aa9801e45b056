"""Figures fitted to one accelerator, carried to another of its generation, or to any, by what both state of themselves.

Latencies are cycles: they shorten as the clock rises. What is sustained of the peak follows power, which each
accelerator's own `sustained_ratio` tells. Cores of one generation are alike, also where an export or consumer version
lets its matrix units do less: they still load and take exponentials at the speed they were built for.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs

from suanli.kernel_models.efficiency import Efficiency

if TYPE_CHECKING:
    from suanli.hardware import Accelerator

RESTRAINED_RATIO = 0.95
"""Share of the peak sustained where the peak is held below what the cores could do, and power no limit.

The products measured on an H20 reach 0.94 of it (alibaba/InferSim)."""

LATENCIES = tuple(f.name for f in attrs.fields(Efficiency) if f.name.endswith("_s") and f.name != "core_flops_per_s")
"""Figures in seconds: as many cycles on any accelerator."""


class Facts(NamedTuple):
    """What an accelerator states of itself that decides how figures carry over; 0 where it does not."""

    clock_hz: float
    sustained_ratio: float
    core_flops_per_s: float


class Carried(NamedTuple):
    """Figures as they hold for an accelerator.

    Attributes:
        fitted: With seconds and sustained share of the accelerator's own.
        headroom: What its cores could multiply over what its peak lets them.
    """

    fitted: Efficiency
    headroom: float


def facts_of(accelerator: Accelerator) -> Facts:
    """The facts of `accelerator`; its peak is that of 16-bit products, as one version holds all formats back alike."""
    peak = accelerator.rates.get("bf16") or accelerator.rates.get("fp16") or 0.0
    return Facts(
        float(accelerator.clock_hz or 0.0),
        float(accelerator.sustained_ratio or 0.0),
        float(peak) / accelerator.cores if accelerator.cores else 0.0,
    )


def carried(fitted: Efficiency, accelerator: Accelerator) -> Carried:
    """`fitted` as it holds for `accelerator`."""
    if not (fitted.clock_hz or fitted.sustained_ratio or fitted.core_flops_per_s):
        return Carried(fitted, 1.0)
    return _carried(fitted, facts_of(accelerator), accelerator.confidential)


@functools.lru_cache(maxsize=4096)
def _carried(fitted: Efficiency, own: Facts, confidential: bool) -> Carried:
    pace = fitted.clock_hz / own.clock_hz if fitted.clock_hz and own.clock_hz else 1.0
    room = headroom(fitted, own)
    ratio = sustained(fitted, own, room)
    if pace == 1.0 and ratio == fitted.compute_ratio:
        return Carried(fitted, room)
    changes: dict[str, Any] = {name: getattr(fitted, name) * pace for name in LATENCIES}
    source = f"{fitted.source}; carried over by clock and sustained ratio"
    own_figures = attrs.evolve(
        fitted, **changes, compute_ratio=ratio, source=source, confidential=fitted.confidential or confidential
    )
    return Carried(own_figures, room)


def headroom(fitted: Efficiency, own: Facts) -> float:
    """What a core could multiply, at the accelerator's clock, over what its peak lets it.

    At least 1, as a higher peak is of use, but where the cores themselves bound a kernel.
    """
    if not (fitted.core_flops_per_s and own.core_flops_per_s):
        return 1.0
    faster = own.clock_hz / fitted.clock_hz if fitted.clock_hz and own.clock_hz else 1.0
    room = fitted.core_flops_per_s * faster / own.core_flops_per_s
    return room if fitted.bound_by_cores else max(room, 1.0)


def sustained(fitted: Efficiency, own: Facts, room: float) -> float:
    """Share of the peak sustained: in proportion to the accelerator's own, and more where its cores are held back.

    Never above what it is known to sustain, unless the part that was measured was too.
    """
    ratio = fitted.compute_ratio
    able = ratio * room
    if fitted.sustained_ratio and own.sustained_ratio:
        able *= own.sustained_ratio / fitted.sustained_ratio
    return min(able, max(ratio, own.sustained_ratio or RESTRAINED_RATIO))
