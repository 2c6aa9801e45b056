"""How far the hardware's own figures are in doubt, carried into the bands of what is made of them.

A band compares measurements with figures on accelerators whose peaks and bandwidths are settled.
Where documents disagree on those, every figure of the accelerator is off together, by as much as they disagree;
so the band is the union of the bands under each document: both ends are moved out by that factor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from suanli.case import Case, Problem
from suanli.hardware import Accelerator, System
from suanli.report import Basis

SPREAD: Mapping[str, float] = {"high": 1.0, "medium": 1.04, "low": 1.125}
"""By how much a stated rate may differ from another document's, by confidence: the widest disagreement seen.

``high``: two documents agree. ``medium``, one good document: memory bandwidth of the B100 8.0 or 7.7 TB/s (3.9 %),
of the B300 8.0 or 7.75 (3.2 %), of the H800 3.35 or 3.43 (2.4 %), of the H20 4.0 or 4.096 (2.4 %).
``low``, weak or contested: memory bandwidth of the 910B1 1.6 or 1.8 TB/s (12.5 %), FP4 of the B300 13.5 or 15 PFLOP/s
(11.1 %), Cube of the 910B4 246 or 270 TFLOP/s (9.8 %), FP4 of the 950DT 1946 or 1783 TFLOP/s (9.1 %).
Networks are held to the same factors: their documents state no alternatives to take others from.
"""

NOT_OF_RATES = ("memory", "flops", "parameters")
"""Sections whose figures depend on no rate of the hardware."""


def doubted(case: Case) -> tuple[Accelerator | System, ...]:
    """The accelerator, and the system where ranks exchange anything over its network; the least certain first."""
    joined = case.layout is not None and case.layout.world > 1
    parts: list[Accelerator | System] = [case.device, *([case.system] if joined else [])]
    return tuple(sorted(parts, key=lambda p: -SPREAD[p.confidence]))


def widened(bases: Mapping[str, Basis], case: Case) -> dict[str, Basis]:
    """What figures rest on, bands wider by how far the hardware's figures are in doubt.

    A time is a sum of kernels and exchanges; each is off by its own factor at most, so the sum by the larger.
    """
    worst = doubted(case)[0]
    factor = SPREAD[worst.confidence]
    if factor == 1.0:
        return dict(bases)
    why = f"widened by {factor:g} each way: {worst.confidence} confidence in what is stated of {worst.id}"
    return {key: _wider(basis, key, factor, why) for key, basis in bases.items()}


def _wider(basis: Basis, key: str, factor: float, why: str) -> Basis:
    if basis.band is None or key.partition(".")[0] in NOT_OF_RATES:
        return basis
    low, high = basis.band[0], basis.band[-1]
    band = (min(low, round(low / factor, 3)), max(high, round(high * factor, 3)))
    return attrs.evolve(basis, band=band, evidence="; ".join(p for p in (basis.evidence, why) if p))


def notes(case: Case) -> Iterable[Problem]:
    """A note on each part of the hardware whose figures are weak or contested, and what about them is."""
    for part in doubted(case):
        if part.confidence == "low":
            hidden = part.confidential or case.device.confidential
            said = f": {part.note}" if part.note and not hidden else ""
            yield Problem(
                code="low-confidence-hardware",
                severity="note",
                message=f"what is stated of {part.id} is weak or contested{said}",
                hint=f"80 % bands are {SPREAD['low']:g} times wider each way; a catalog file can state better figures",
            )
