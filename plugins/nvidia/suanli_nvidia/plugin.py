"""What this plugin gives: accelerators, systems and what was fitted to measurements of them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

from suanli import Accelerator, CollectiveModel, KernelModel, System, hookimpl, read_catalog

HERE = files("suanli_nvidia")


@hookimpl
def suanli_accelerators() -> Iterable[Accelerator]:
    """Accelerators, with the document of each figure."""
    return read_catalog(HERE / "accelerators").accelerators


@hookimpl
def suanli_systems() -> Iterable[System]:
    """Nodes, racks and boxes, and their networks."""
    return read_catalog(HERE / "systems").systems


@hookimpl
def suanli_kernel_models() -> Iterable[KernelModel]:
    """Rooflines fitted to measured kernels."""
    return read_catalog(HERE / "calibration.toml").kernel_models


@hookimpl
def suanli_collective_models() -> Iterable[CollectiveModel]:
    """Networks fitted to measured collectives."""
    return read_catalog(HERE / "calibration.toml").collective_models
