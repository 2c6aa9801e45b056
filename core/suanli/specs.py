"""What a scenario is made of: a value class for each section, with the help of each field.

Files, the command line and the JSON Schema are all derived from these fields.
"""

from __future__ import annotations

from typing import Any, NewType

import attrs
from attrs.validators import ge, gt, in_, le, optional

from suanli.layout import OFFLOADS, RECOMPUTES
from suanli.serialize import Bytes, Count, Currency, Ratio
from suanli.workload import Pretrain, Workload

Choice = NewType("Choice", object)
"""A layout field: one value, or a list of them to search over."""

MOST_RANKS = 10_000_000
MOST_CHOICES = 4096

LATER: dict[str, tuple[str, ...]] = {
    "workload": ("request_rate", "users", "traffic", "slo", "trace", "rank", "targets"),
    "layout": ("prefill", "decode", "zero_group"),
    "implementation": ("speculation", "max_batched_tokens"),
    "assumptions": ("mfu", "mtbf"),
}
"""Fields the documented interface names and this version refuses, by section."""

LATER_VALUES: dict[str, tuple[str, ...]] = {
    "workload.method": ("lora", "qlora"),
    "layout.schedule": ("zero-bubble", "dualpipe"),
    "layout.offload": ("optimizer", "activations", "weights"),
}
"""Values the documented interface names and this version refuses."""


def _field(about: str, **options: Any) -> Any:
    return attrs.field(default=None, metadata={"help": about}, **options)


@attrs.frozen(kw_only=True)
class ModelSpec:
    """Which model: exactly one of `name`, `config` or `family`.

    Attributes:
        name: In the catalog, or a path.
        config: Path of a ``config.json``, or its content.
        family: A model family, whose fields are `fields`.
        fields: Hyperparameters of `family`.
    """

    name: str | None = _field("a model in the catalog")
    config: Any = attrs.field(default=None, hash=False, metadata={"help": "path of a config.json"})
    family: str | None = _field("a model family, given with its hyperparameters")
    fields: Any = attrs.field(factory=dict, hash=False)


@attrs.frozen(kw_only=True)
class SystemSpec:
    """Which system: `name`, or an `accelerator` whose default system is taken.

    Attributes:
        name: In the catalog.
        accelerator: In the catalog.
        accelerators: How many; one node by default.
    """

    name: str | None = _field("a system in the catalog")
    accelerator: str | None = _field("an accelerator in the catalog")
    accelerators: Count | None = _field("how many accelerators", validator=optional([gt(0), le(MOST_RANKS)]))


def _choice(about: str, *, least: int = 1, most: int = MOST_RANKS, values: tuple[str, ...] = ()) -> Any:
    metadata = {"help": about, "least": least, "most": most, "values": values}
    return attrs.field(default=None, metadata=metadata)


@attrs.frozen(kw_only=True)
class LayoutSpec:
    """The layout: a field is one value, a list to search over, or None to be chosen."""

    tensor: Choice | None = _choice("tensor-parallel degree")
    pipeline: Choice | None = _choice("pipeline stages")
    context: Choice | None = _choice("context-parallel degree")
    expert: Choice | None = _choice("expert-parallel degree")
    expert_tensor: Choice | None = _choice("tensor-parallel degree inside an expert")
    data: Choice | None = _choice("data-parallel degree")
    micro_batch: Choice | None = _choice("sequences in one pass", most=1_000_000)
    virtual_stages: Choice | None = _choice("model chunks on a stage", most=10_000)
    schedule: Choice | None = _choice("pipeline schedule", values=("*",))
    sequence_parallel: Choice | None = _choice("divide the sequence over tensor ranks too", values=("bool",))
    zero: Choice | None = _choice("ZeRO stage, 0 to 3", least=0, most=3)
    recompute: Choice | None = _choice("activations made again: none, selective, full", values=RECOMPUTES)
    offload: Choice | None = _choice("what is kept in host memory: none", values=OFFLOADS)
    attention_data: Choice | None = _choice("serving: ranks that divide the requests of one engine")
    replicas: Choice | None = _choice("serving: engines")
    extra: Any = attrs.field(factory=dict, hash=False)

    def given(self) -> dict[str, tuple[Any, ...]]:
        """The values asked for, field by field; a field not given is not there."""
        found = {f.name: getattr(self, f.name) for f in attrs.fields(LayoutSpec) if f.name != "extra"}
        found |= self.extra
        return {k: v if isinstance(v, tuple) else (v,) for k, v in found.items() if v is not None}


@attrs.frozen(kw_only=True)
class PrecisionSpec:
    """The recipe, and formats that differ from it."""

    recipe: str | None = _field("precision recipe, such as bf16-mixed; serving: bf16, fp8, int4 ...")
    weights: str | None = _field("format of the weights that compute")
    gradients: str | None = _field("format of the gradients")
    main_gradients: str | None = _field("format of the accumulated gradients; none for none")
    master_weights: str | None = _field("format of the master weights; none for none")
    optimizer_states: str | None = _field("format of the optimizer states")
    activations: str | None = _field("format of the activations")
    kv_cache: str | None = _field("format of cached keys and values")
    compute: str | None = _field("format of the inputs of matrix products")


@attrs.frozen(kw_only=True)
class OptimizerSpec:
    """The optimizer."""

    name: str | None = _field("optimizer, such as adamw")


@attrs.frozen(kw_only=True)
class ImplementationSpec:
    """How the work is carried out."""

    profile: str | None = _field("implementation: megatron, fused; serving: vllm, mindie ...")
    attention: str | None = _field("flash or eager", validator=optional(in_(("flash", "eager"))))
    dropout: Ratio | None = _field("dropout probability", validator=optional([ge(0.0), le(1.0)]))
    overlap: bool | None = _field("hide exchanges behind computation where the implementation can")
    memory_fraction: Ratio | None = _field(
        "serving: share of memory for weights and cache", validator=optional([gt(0.0), le(1.0)])
    )
    graphs: bool | None = _field(
        "serving: replay decode steps from captured graphs; false launches each kernel by itself"
    )
    block_size: Count | None = _field(
        "serving: tokens in a page of the cache, such as 16", validator=optional([gt(0), le(65536)])
    )


@attrs.frozen(kw_only=True)
class AssumptionSpec:
    """What nobody can know from the rest."""

    reserve: Bytes | None = _field("memory kept for the runtime, such as 2 GiB", validator=optional(ge(0)))
    price_per_hour: Currency | None = _field("price of one accelerator for an hour", validator=optional(ge(0.0)))
    electricity_price: Currency | None = _field("price of one kWh", validator=optional(ge(0.0)))
    currency: str | None = _field("currency of the prices")
    pue: float | None = _field("power usage effectiveness of the site", validator=optional([ge(1.0), le(5.0)]))


@attrs.frozen(kw_only=True)
class Scenario:
    """What was asked. Build one with :func:`suanli.scenario` or :func:`suanli.load`.

    Attributes:
        model: Which model.
        system: On what.
        workload: Doing what.
        layout: Divided how.
        precision: In which numbers.
        optimizer: Training: with which optimizer.
        implementation: Carried out how.
        assumptions: Under which assumptions.
    """

    model: ModelSpec
    system: SystemSpec
    workload: Workload = attrs.field(factory=Pretrain)
    layout: LayoutSpec = attrs.field(factory=LayoutSpec)
    precision: PrecisionSpec = attrs.field(factory=PrecisionSpec)
    optimizer: OptimizerSpec = attrs.field(factory=OptimizerSpec)
    implementation: ImplementationSpec = attrs.field(factory=ImplementationSpec)
    assumptions: AssumptionSpec = attrs.field(factory=AssumptionSpec)

    def to_dict(self) -> dict[str, Any]:
        """What was given, as plain data that :func:`suanli.scenario` takes back."""
        data: dict[str, Any] = {}
        for section in attrs.fields(Scenario):
            value = getattr(self, section.name)
            found = {
                f.name: getattr(value, f.name)
                for f in attrs.fields(type(value))
                if getattr(value, f.name) is not None and f.name not in ("fields", "extra")
            }
            found |= getattr(value, "fields", None) or getattr(value, "extra", None) or {}
            found = {k: list(v) if isinstance(v, tuple) else v for k, v in found.items()}
            if section.name == "workload":
                found = {"kind": value.kind} | found
            if found:
                data[section.name] = found
        return data


SECTIONS: dict[str, type[Any]] = {
    "model": ModelSpec,
    "system": SystemSpec,
    "layout": LayoutSpec,
    "precision": PrecisionSpec,
    "optimizer": OptimizerSpec,
    "implementation": ImplementationSpec,
    "assumptions": AssumptionSpec,
}
"""The class of every section but the workload, whose class its `kind` decides."""


EXACTLY_ONE: dict[str, tuple[str, ...]] = {
    "model": ("name", "config", "family"),
    "system": ("name", "accelerator"),
}
"""Sections that must be there, each given in exactly one of these ways."""
