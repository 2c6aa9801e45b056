"""Every hook, with its full contract.

A hook takes nothing, is called once when the catalog first needs its kind, and returns an iterable.
All implementations are collected, in no order that matters;
the catalog indexes what they give by name, and a clash is an error naming both distributions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from suanli.case import Case, Problem
    from suanli.catalogs import Catalog
    from suanli.collectives import CollectiveModel
    from suanli.exporters import Exporter
    from suanli.families import ModelFamily, ModelPreset
    from suanli.hardware import Accelerator, System
    from suanli.kernel_models import KernelModel
    from suanli.optimizer import OptimizerRule
    from suanli.parallelism import ParallelismRule, PipelineSchedule
    from suanli.precision import NumberFormat, Recipe
    from suanli.prices import Price
    from suanli.profiles import Profile
    from suanli.rulebook import Rule
    from suanli.stages import Stage

hookspec = pluggy.HookspecMarker("suanli")
hookimpl = pluggy.HookimplMarker("suanli")
"""Marks a function of a plugin module as the implementation of the hook of its name."""


@hookspec
def suanli_accelerators() -> Iterable[Accelerator]:  # type: ignore[empty-body]
    """Accelerators, usually read from a catalog file.

    Returns:
        Accelerators in SI base units; peaks dense, links one way.

    Collected from every plugin; ids and aliases must be unique among all of them.

    Example:
        >>> @hookimpl
        ... def suanli_accelerators():
        ...     return read_catalog(files("acme") / "accelerators.toml").accelerators
    """


@hookspec
def suanli_systems() -> Iterable[System]:  # type: ignore[empty-body]
    """Systems built of accelerators of any plugin.

    Returns:
        Systems whose ``accelerator`` is the id of an accelerator in the catalog; bandwidths one way, in bytes/s.

    Collected from every plugin; ids and aliases must be unique among all of them.

    Example:
        >>> @hookimpl
        ... def suanli_systems():
        ...     return read_catalog(files("acme") / "systems.toml").systems
    """


@hookspec
def suanli_precisions() -> Iterable[NumberFormat | Recipe]:  # type: ignore[empty-body]
    """Number formats, and recipes that name the format of each tensor.

    Returns:
        Formats with their bits, recipes whose formats are in the catalog.

    Collected from every plugin; names must be unique among all formats, and among all recipes.

    Example:
        >>> @hookimpl
        ... def suanli_precisions():
        ...     yield NumberFormat(name="fp6", bits=6, wider=("fp8", "bf16"))
    """


@hookspec
def suanli_optimizers() -> Iterable[OptimizerRule]:  # type: ignore[empty-body]
    """Optimizer rules: state tensors by parameter shape, FLOPs and traffic of a step.

    Returns:
        Rules with unique names.

    Collected from every plugin.

    Example:
        >>> @hookimpl
        ... def suanli_optimizers():
        ...     yield ElementwiseOptimizer(name="mine", tensors=("momentum",), flops_per_parameter=5.0)
    """


@hookspec
def suanli_model_families() -> Iterable[type[ModelFamily]]:  # type: ignore[empty-body]
    """Architectures.

    Returns:
        Classes derived from ModelFamily; each ``model_type`` may be answered by one of them only.

    Collected from every plugin.

    Example:
        >>> @hookimpl
        ... def suanli_model_families():
        ...     return [MyFamily]
    """


@hookspec
def suanli_models() -> Iterable[ModelPreset]:  # type: ignore[empty-body]
    """Named models.

    Returns:
        Presets whose ``config`` some family reads.

    Collected from every plugin; names and aliases must be unique among all of them.

    Example:
        >>> @hookimpl
        ... def suanli_models():
        ...     yield ModelPreset(name="tiny", config={"model_type": "llama", ...}, source="example")
    """


@hookspec
def suanli_parallelisms() -> Iterable[ParallelismRule]:  # type: ignore[empty-body]
    """Rules of parallelism: the roles an axis divides and the exchanges that follow.

    Returns:
        Rules with unique names and layout fields; a field that is not in Layout becomes a new axis.

    Collected from every plugin.

    Example:
        >>> @hookimpl
        ... def suanli_parallelisms():
        ...     yield UlyssesParallel(name="ulysses", field="ulysses", roles=("heads",))
    """


@hookspec
def suanli_schedules() -> Iterable[PipelineSchedule]:  # type: ignore[empty-body]
    """Pipeline schedules.

    Returns:
        Schedules with unique names.

    Collected from every plugin.

    Example:
        >>> @hookimpl
        ... def suanli_schedules():
        ...     yield MySchedule(name="mine")
    """


@hookspec
def suanli_kernel_models() -> Iterable[KernelModel]:  # type: ignore[empty-body]
    """Models of how long one operation takes.

    Returns:
        Models that name the accelerators or generations they serve; seconds from FLOPs and bytes.

    Collected from every plugin; two models serving one generation is an error.

    Example:
        >>> @hookimpl
        ... def suanli_kernel_models():
        ...     return read_catalog(files("acme") / "calibration.toml").kernel_models
    """


@hookspec
def suanli_collective_models() -> Iterable[CollectiveModel]:  # type: ignore[empty-body]
    """Models of how long one exchange takes.

    Returns:
        Models that name the systems or generations they serve; seconds from bytes, ranks and stride.

    Collected from every plugin; two models serving one generation is an error.

    Example:
        >>> @hookimpl
        ... def suanli_collective_models():
        ...     return read_catalog(files("acme") / "calibration.toml").collective_models
    """


@hookspec
def suanli_profiles() -> Iterable[Profile]:  # type: ignore[empty-body]
    """Implementation profiles: what a framework fuses, keeps and overlaps by default.

    Returns:
        Profiles with unique names.

    Collected from every plugin.

    Example:
        >>> @hookimpl
        ... def suanli_profiles():
        ...     yield Profile(name="mine", kind="training", overlap=False)
    """


@hookspec
def suanli_stages() -> Iterable[Stage]:  # type: ignore[empty-body]
    """Stages of the estimator.

    Returns:
        Stages that name what they need and give as dotted report keys; one may replace another by name.

    Collected from every plugin; order follows from needs.

    Example:
        >>> @hookimpl
        ... def suanli_stages():
        ...     yield Stage(name="carbon", needs=("run.energy_j",), gives=("carbon.kg",), run=carbon)
    """


@hookspec
def suanli_prices() -> Iterable[Price]:  # type: ignore[empty-body]
    """Prices of an hour of an accelerator, each with its date and source.

    Returns:
        Prices whose ``accelerator`` is the id or an alias of an accelerator in the catalog.

    Collected from every plugin; names must be unique among all of them.
    An estimate that is given no price assumes the median of an accelerator's current on-demand ones.

    Example:
        >>> @hookimpl
        ... def suanli_prices():
        ...     return read_catalog(files("acme") / "prices-2026-11.toml").prices
    """


@hookspec
def suanli_exporters() -> Iterable[Exporter]:  # type: ignore[empty-body]
    """Formats a report can be written in, besides those every command has.

    Returns:
        Exporters that write a report as text or bytes, the same each time.

    Collected from every plugin; names and aliases must be unique among all of them.

    Example:
        >>> @hookimpl
        ... def suanli_exporters():
        ...     yield Exporter(name="one-line", write=one_line, about="the answer in a line", source="Acme wiki")
    """


@hookspec
def suanli_rules() -> Iterable[Rule]:  # type: ignore[empty-body]
    """Rules of thumb.

    Returns:
        Rules with a formula, a source and what they are valid for.

    Collected from every plugin; names must be unique among all of them.

    Example:
        >>> @hookimpl
        ... def suanli_rules():
        ...     yield Rule.of("model-file", model_file, "2 N", "2-byte weights")
    """


@hookspec
def suanli_check(scenario: Case, catalog: Catalog) -> Iterable[Problem]:  # type: ignore[empty-body]
    """What is infeasible or suspicious about a scenario; called for every estimate.

    Args:
        scenario: The case, everything looked up and defaults filled in.
        catalog: What is installed.

    Returns:
        Problems with code, severity, message and hint; none for a sound scenario.

    Collected from every plugin.

    Example:
        >>> @hookimpl
        ... def suanli_check(scenario, catalog):
        ...     if scenario.layout.tensor > scenario.system.accelerators_per_node:
        ...         yield Problem(code="tensor-spans-nodes", severity="warning", message="...", hint="...")
    """


HOOKS: dict[str, Any] = {n: f for n, f in globals().items() if n.startswith("suanli_")}
"""Every hook by name."""
