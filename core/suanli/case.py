"""A scenario with everything looked up: what the stages of the estimator read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from attrs.validators import in_

from suanli.collectives import CollectiveModel
from suanli.hardware import Accelerator, System
from suanli.kernel_models import KernelModel
from suanli.kernels import Formats, formats_on
from suanli.layout import Layout
from suanli.models import Model
from suanli.operators import How
from suanli.optimizer import OptimizerRule
from suanli.parallelism import Axes, PipelineSchedule
from suanli.precision import NumberFormat, Recipe
from suanli.prices import Price
from suanli.profiles import Profile
from suanli.specs import Scenario
from suanli.tensors import EXPERTS, Local

SEVERITIES = ("error", "warning", "note")


@attrs.frozen(kw_only=True)
class Problem:
    """Something a reader of a report must know.

    Attributes:
        code: Stable, for programs: ``"does-not-fit"``.
        severity: ``error`` (it cannot run, or misses its target), ``warning`` or ``note``.
        message: What is the case.
        hint: What to do about it.
        figure: The report key it explains the absence of, where it does.
    """

    code: str
    severity: str = attrs.field(default="warning", validator=in_(SEVERITIES))
    message: str
    hint: str = ""
    figure: str = ""


@attrs.frozen(kw_only=True)
class Origin:
    """Where a value of the scenario came from: ``given``, ``default`` or ``chosen``, and why."""

    origin: str = attrs.field(validator=in_(("given", "default", "chosen")))
    why: str = ""


@attrs.define(eq=False, kw_only=True)
class Case:
    """Everything a stage may ask about, but the layout it is evaluated for.

    Attributes:
        scenario: As it was given.
        kind: Of the workload.
        model: Looked up.
        system: Looked up, with its number of accelerators.
        device: The system's accelerator.
        recipe: The precision recipe, overrides applied.
        formats: Of matrix products with weights, on this device.
        core_formats: Of the attention core, on this device.
        stored: Bytes of an element of each kind of tensor, by format name and by ``activations``, ``cache`` ...
        optimizer: Training: the optimizer.
        profile: The implementation.
        how: What of it the operators need to know.
        overlap: Whether exchanges that can hide behind computation do.
        axes: The rules of parallelism, in a fixed order.
        schedules: The pipeline schedules by name and alias.
        sequence: Training: tokens of a sequence.
        global_batch: Training: sequences of a step.
        tokens: Training: tokens of the run; None where open.
        prompt: Serving: tokens of a prompt.
        output: Serving: tokens generated.
        batch: Serving: requests one engine answers at a time; None where `concurrency` gives it.
        concurrency: Serving: requests over all engines; None where `batch` gives it.
        prefix_hit_ratio: Serving: share of a prompt found in the cache.
        memory_fraction: Share of memory weights and cache may take.
        graphs: Serving: whether decode steps are replayed from captured graphs, with no launch to wait for.
        block_size: Serving: tokens in a page of the cache; None where a request takes what the model needs.
        reserve_bytes: Memory kept for the runtime.
        price_per_hour: Of one accelerator; None where unknown.
        price: The offer that price is; None where the price is given, or unknown.
        no_price: Why the price is unknown.
        electricity_price: Of a kWh; None where not asked for.
        currency: Of the prices.
        pue: Power usage effectiveness.
        layout: The layout, once known.
        origins: Where each value came from, by path.
        problems: Found so far.
    """

    scenario: Scenario
    kind: str
    model: Model
    system: System
    device: Accelerator
    recipe: Recipe
    formats: Formats
    core_formats: Formats
    stored: Mapping[str, float]
    optimizer: OptimizerRule | None
    profile: Profile
    how: How
    overlap: bool
    axes: Axes
    schedules: Mapping[str, PipelineSchedule]
    sequence: int = 0
    global_batch: int = 0
    tokens: int | None = None
    prompt: int = 0
    output: int = 0
    batch: int | None = None
    concurrency: int | None = None
    prefix_hit_ratio: float = 0.0
    memory_fraction: float = 1.0
    graphs: bool = False
    block_size: int | None = None
    reserve_bytes: int = 0
    price_per_hour: float | None = None
    price: Price | None = None
    no_price: str = ""
    electricity_price: float | None = None
    currency: str = "USD"
    pue: float = 1.0
    layout: Layout | None = None
    origins: dict[str, Origin] = attrs.Factory(dict)
    problems: list[Problem] = attrs.Factory(list)

    @property
    def training(self) -> bool:
        """Whether weights are trained."""
        return self.kind != "serve"

    @property
    def kernels(self) -> KernelModel:
        """How long an operation takes here: under continuous load in training."""
        model = self.device.loaded_kernels if self.training else self.device.kernels
        assert model is not None
        return model

    @property
    def exchanges(self) -> CollectiveModel:
        """How long an exchange takes here, with what the profile does besides the library."""
        model = self.system.exchanges
        assert model is not None
        return model.of_engine() if self.profile.custom_all_reduce else model

    @property
    def has_experts(self) -> bool:
        """Whether some layer routes tokens to experts."""
        return EXPERTS in self.model.role_sizes

    def local(
        self,
        layout: Any,
        *,
        batch: Any,
        sequence: Any,
        kv_tokens: Any,
        phase: str = "prefill",
        causal: bool = True,
        wide: bool = False,
    ) -> Local:
        """The sizes one rank works on.

        Args:
            layout: Fields, as numbers or columns.
            batch: Sequences in the pass.
            sequence: New tokens of each, over all the ranks that share it.
            kv_tokens: Tokens attended to.
            phase: ``"prefill"`` or ``"decode"``.
            causal: Whether a query sees no later key.
            wide: Whether products run in the activations' format: embedding and head, which are not narrowed.
        """
        divided: dict[str, Any] = {}
        for rule in self.axes.values():
            for role, degree in rule.degrees(layout).items():
                divided[role] = divided[role] * degree if role in divided else degree
        share = divided.pop("sequence", 1.0)
        spreading = layout.sequence_parallel
        tensor = self.axes.get("tensor")
        return Local(
            batch=batch,
            sequence=sequence / share,
            whole_sequence=sequence,
            kv_tokens=kv_tokens,
            phase=phase,
            causal=causal,
            degrees=divided,
            spread=layout.tensor if spreading else 1.0,
            sharded=frozenset(tensor.degrees(_Ones()) if tensor else ()) | {"expert_ffn"},
            formats=self.core_formats if wide else self.formats,
            core_formats=self.core_formats,
            bytes_of=self.stored,
        )


class _Ones:
    """A layout whose every degree is 1: asks a rule which roles it divides at all."""

    def __getattr__(self, field: str) -> float:
        return 1.0

    def __getitem__(self, field: str) -> float:
        return 1.0


def product_formats(
    device: Accelerator, recipe: Recipe, formats: Mapping[str, NumberFormat]
) -> tuple[Formats, Formats]:
    """How a device multiplies a recipe's weights, and how it runs the recipe's attention core."""
    cache = formats[recipe.kv_cache]
    weights = formats_on(device, weights=formats[recipe.weights], compute=formats[recipe.compute], cache=cache)
    inner = formats[recipe.activations]
    core = formats_on(device, weights=inner, compute=inner, cache=cache if recipe.kind == "serving" else inner)
    return weights, core
