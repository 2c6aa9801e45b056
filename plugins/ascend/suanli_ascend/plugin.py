"""What this plugin gives: accelerators, systems and what was fitted to measurements of them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

from suanli import Accelerator, Case, CollectiveModel, KernelModel, Problem, System, hookimpl, read_catalog
from suanli_ascend.checks import checks

HERE = files("suanli_ascend")


@hookimpl
def suanli_accelerators() -> Iterable[Accelerator]:
    """Accelerators, with the document of each figure."""
    return read_catalog(HERE / "accelerators.toml").accelerators


@hookimpl
def suanli_systems() -> Iterable[System]:
    """Nodes and their networks."""
    return read_catalog(HERE / "systems.toml").systems


@hookimpl
def suanli_kernel_models() -> Iterable[KernelModel]:
    """Rooflines fitted to measured kernels."""
    return read_catalog(HERE / "calibration.toml").kernel_models


@hookimpl
def suanli_collective_models() -> Iterable[CollectiveModel]:
    """Networks fitted to measured collectives."""
    return read_catalog(HERE / "calibration.toml").collective_models


@hookimpl
def suanli_check(scenario: Case) -> Iterable[Problem]:
    """Warnings about packages taken for ranks, and about training where there is none."""
    return checks(scenario, read_catalog(HERE / "systems.toml").systems)
