"""What Acme gives: one of every kind."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import Any

from acme_suanli import family, parts
from suanli import Exporter, ModelPreset, NumberFormat, Price, Problem, Recipe, Rule, Stage, hookimpl, read_catalog
from suanli.tensors import SEQUENCE

HERE = files("acme_suanli")
suanli_api = ">=1,<2"
TRAINING = ("pretrain", "finetune")
RUN = tuple(f"run.{k}" for k in ("duration_s", "accelerator_hours", "energy_j", "cost", "currency"))


@hookimpl
def suanli_accelerators() -> Iterable[Any]:
    """Acme One, and one under NDA."""
    return read_catalog(HERE / "accelerators.toml").accelerators


@hookimpl
def suanli_systems() -> Iterable[Any]:
    """Their pods."""
    return read_catalog(HERE / "systems.toml").systems


@hookimpl
def suanli_kernel_models() -> Iterable[Any]:
    """Acme's own figures for the Acme One; its sibling takes the fallback."""
    yield parts.AcmeKernels(name="acme-kernels", accelerators=("acme-one",), source="Acme One white paper, sec. 4")


@hookimpl
def suanli_model_families() -> Iterable[Any]:
    """Attention and feed-forward side by side."""
    return [family.Parallel]


@hookimpl
def suanli_models() -> Iterable[Any]:
    """A small one."""
    config = {"model_type": "acme_parallel", "vocab_size": 32000, "hidden_size": 2048, "num_layers": 16}
    yield ModelPreset(name="acme-1b", config=config | {"num_heads": 16}, source="Acme technical report 7")


@hookimpl
def suanli_optimizers() -> Iterable[Any]:
    """Rows and columns."""
    yield parts.Factored(name="acme-factored", flops_per_parameter=10.0, source="Acme technical report 8")


@hookimpl
def suanli_precisions() -> Iterable[Any]:
    """Six bits, and a recipe that keeps weights in them."""
    yield NumberFormat(name="fp6", bits=6, compute="fp8", wider=("bf16",), source="Acme One datasheet v1.2")
    yield Recipe(name="serve-acme-fp6", kind="serving", weights="fp6", compute="fp6", source="Acme One datasheet v1.2")
    yield Recipe(
        name="acme-fp6-mixed",
        kind="training",
        weights="bf16",
        gradients="bf16",
        master_weights="fp32",
        optimizer_states="fp6",
        compute="fp6",
        source="Acme technical report 8",
    )


@hookimpl
def suanli_parallelisms() -> Iterable[Any]:
    """A sixth axis."""
    yield parts.Ulysses(
        name="ulysses",
        field="ulysses",
        copies=True,
        roles=(SEQUENCE,),
        reads=("ulysses", "tensor", "context", "data", "pipeline"),
        source="Jacobs et al. 2023, DeepSpeed-Ulysses",
    )


@hookimpl
def suanli_schedules() -> Iterable[Any]:
    """A third of a bubble."""
    yield parts.ThirdOfABubble(name="acme-third", source="Acme technical report 9")


@hookimpl
def suanli_prices() -> Iterable[Any]:
    """What Acme Cloud asks."""
    list_price = {"seller": "Acme Cloud", "date": "2026-10-01", "source": "Acme Cloud price list"}
    yield Price(name="acme-cloud", accelerator="acme1", price_per_hour=3.5, currency="EUR", **list_price)


@hookimpl
def suanli_exporters() -> Iterable[Any]:
    """A row of Acme's own planning sheet."""
    yield Exporter(
        name="acme-sheet",
        write=parts.sheet,
        about="a row of Acme's planning sheet",
        suffix=".tsv",
        media_type="text/tab-separated-values",
        source="Acme planning guide, p. 5",
    )


@hookimpl
def suanli_rules() -> Iterable[Any]:
    """How many Acme Ones."""
    yield Rule(
        name="acme-chips",
        function=parts.acme_chips,
        unit="accelerators",
        formula="ceil(2 N / 96 GB)",
        source="Acme Pod handbook, p. 12",
        valid_for="weights alone",
    )


@hookimpl
def suanli_stages() -> Iterable[Any]:
    """Carbon, and runs that are interrupted."""
    yield Stage(
        name="acme-carbon",
        workloads=TRAINING,
        needs=("run.energy_j",),
        gives=("carbon.kg",),
        run=parts.carbon,
        detail=True,
        source="Acme sustainability report 2025",
    )
    yield Stage(
        name="acme-run",
        replaces="training-run",
        workloads=TRAINING,
        needs=("time.step_s",),
        gives=RUN,
        run=parts.run,
        detail=True,
        source="Acme operations",
    )


@hookimpl
def suanli_check(scenario: Any, catalog: Any) -> Iterable[Any]:
    """Acme's word of warning."""
    if scenario.device.vendor == "Acme" and scenario.layout.tensor > 8:
        yield Problem(code="acme-tensor", message="tensor groups wider than AcmeLink", hint="tensor = 8 at most")
