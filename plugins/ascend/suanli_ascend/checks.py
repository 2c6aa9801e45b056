"""What is suspicious about a scenario on Ascend: a package taken for a rank, training where CANN only infers."""

from __future__ import annotations

from collections.abc import Iterable

from suanli import Case, Problem, System

PACKAGES = {"ascend-910c": "ascend-910c-die", "atlas-300i-duo": "atlas-300i-duo-chip"}
"""What is sold as one accelerator and is two devices to CANN, and what each of the two is here."""

DEVICES = 2
"""Devices of one package."""

INFERENCE_ONLY = ("davinci-310p",)
"""Generations without training: the 310P's kernels have no backward pass (vllm-ascend's notes on the 310P)."""


def checks(case: Case, systems: Iterable[System]) -> Iterable[Problem]:
    """Warnings about a case on Ascend accelerators.

    Args:
        case: The case.
        systems: Systems of this plugin, among them those that count devices.
    """
    part = PACKAGES.get(case.device.id)
    if part is not None:
        packages, ranks = case.system.accelerators, DEVICES * case.system.accelerators
        yield Problem(
            code="package-as-rank",
            message=f"each {case.device.id} is {DEVICES} devices to CANN: a framework starts {ranks} ranks here, "
            f"this estimate has {packages}, and pools the memory and peaks of both devices: an upper bound",
            hint=f"take {' or '.join(_counted_in(part, case.system.id, systems))} with {ranks} accelerators",
        )
    if case.training and case.device.generation in INFERENCE_ONLY:
        yield Problem(
            code="inference-only",
            message=f"{case.device.id} is made for inference: CANN has no training on it",
            hint="choose a 910A, 910B or 910C to train",
        )


def _counted_in(part: str, system: str, systems: Iterable[System]) -> tuple[str, ...]:
    """Systems of `part`: the same machine where it is there, else all."""
    every = tuple(s.id for s in systems if s.accelerator == part)
    return tuple(name for name in every if name.startswith(f"{system}-")) or every
