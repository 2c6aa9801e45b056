"""A question: which model, on which system, doing what, divided how.

A scenario holds what was given and nothing else; the workspace fills in the rest and says so.
Each section is a value class; files, the command line and the JSON Schema are all derived from its fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NewType

import attrs
import cattrs
from attrs.validators import ge, gt, in_, le, optional

from suanli import serialize
from suanli.errors import ScenarioError, clip, near
from suanli.layout import OFFLOADS, RECOMPUTES
from suanli.serialize import Bytes, Count, Currency, Ratio, show
from suanli.workload import KINDS, Pretrain, Workload

Choice = NewType("Choice", object)
"""A layout field: one value, or a list of them to search over."""

MOST_RANKS = 10_000_000
MOST_CHOICES = 4096

LATER: dict[str, tuple[str, ...]] = {
    "workload": ("request_rate", "users", "traffic", "slo", "trace", "rank", "targets"),
    "layout": ("prefill", "decode", "zero_group"),
    "implementation": ("speculation", "max_batched_tokens", "block_size", "graphs"),
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

    @property
    def searches(self) -> bool:
        """Whether some field is a list."""
        return any(len(v) > 1 for v in self.given().values())


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
                f.name: list(v) if isinstance(v := getattr(value, f.name), tuple) else v
                for f in attrs.fields(type(value))
                if getattr(value, f.name) is not None and f.name not in ("fields", "extra")
            }
            found |= getattr(value, "fields", None) or getattr(value, "extra", None) or {}
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


def build(data: Any, *, axes: tuple[str, ...] = (), where: str = "", folder: Path | None = None) -> Scenario:
    """A scenario from plain data, every fault of it reported at once.

    Args:
        data: Tables of fields, as a scenario file has them.
        axes: Layout fields that plugins add.
        where: The file it is from.
        folder: Relative paths in it start here.

    Raises:
        ScenarioError: With the path of every offending field.
    """
    if not isinstance(data, Mapping):
        raise ScenarioError([f"expected a table, got {show(data)}"], where)
    faults: list[str] = []
    sections: dict[str, Any] = {}
    known = ["workload", *SECTIONS]
    for key in data:
        if key not in known:
            faults.append(serialize.unknown_key(key, known))
    for name, cls in SECTIONS.items():
        table = _section(data, name, faults)
        if table is not None:
            sections[name] = _structure(_prepared(name, table, axes, faults), cls, name, faults)
    workload = _section(data, "workload", faults)
    if workload is not None:
        sections["workload"] = _workload(workload, faults)
    _required(sections, data, faults)
    if faults:
        raise ScenarioError(sorted(set(faults), key=faults.index), where)
    made = Scenario(**{k: v for k, v in sections.items() if v is not None})
    if folder is not None and isinstance(made.model.config, str) and not Path(made.model.config).is_absolute():
        made = attrs.evolve(made, model=attrs.evolve(made.model, config=str(folder / made.model.config)))
    return made


def _section(data: Mapping[str, Any], name: str, faults: list[str]) -> dict[str, Any] | None:
    """One section's table without the fields that are not there yet; None where it is absent or no table."""
    if name not in data:
        return None
    table = data[name]
    if not isinstance(table, Mapping):
        faults.append(f"{name}: expected a table, got {show(table)}")
        return None
    kept = {}
    for key, value in table.items():
        if not isinstance(key, str):
            faults.append(f"{name}: {serialize.unknown_key(key, [])}")
        elif key in LATER.get(name, ()):
            faults.append(f"{name}.{key}: not there yet in this version of suanli")
        elif isinstance(value, str) and value in LATER_VALUES.get(f"{name}.{key}", ()):
            faults.append(f"{name}.{key}: {value!r} is not there yet in this version of suanli")
        elif value is not None:
            kept[key] = value
    return kept


def _prepared(name: str, table: dict[str, Any], axes: tuple[str, ...], faults: list[str]) -> dict[str, Any]:
    """A section's table with open-ended keys moved where its class keeps them."""
    if name == "model" and "family" in table:
        own = {"name", "config", "family"}
        return {k: v for k, v in table.items() if k in own} | {
            "fields": {k: v for k, v in table.items() if k not in own}
        }
    if name == "layout":
        extra = {k: _choose(v, f"layout.{k}", _EXTRA, faults) for k, v in table.items() if k in axes}
        known = {f.name: f for f in attrs.fields(LayoutSpec) if f.name != "extra"}
        chosen = {k: _choose(v, f"layout.{k}", known[k].metadata, faults) for k, v in table.items() if k in known}
        unknown = {k: v for k, v in table.items() if k not in known and k not in axes}
        for key in unknown:
            faults.append(f"layout: {serialize.unknown_key(key, [*known, *axes])}")
        return {k: v for k, v in chosen.items() if v is not None} | {"extra": extra}
    return table


_EXTRA = {"least": 1, "most": MOST_RANKS, "values": ()}


def _choose(value: Any, path: str, rule: Mapping[str, Any], faults: list[str]) -> Any:
    if isinstance(value, (list, tuple)):
        if not value or len(value) > MOST_CHOICES:
            faults.append(f"{path}: a list to search over has 1 to {MOST_CHOICES} values, got {len(value)}")
            return None
        if any(isinstance(v, (list, tuple)) for v in value):
            faults.append(f"{path}: a list to search over holds single values, got {show(value)}")
            return None
        if any(isinstance(v, (list, tuple)) for v in value):
            faults.append(f"{path}: a list to search over has no lists in it, got {show(value)}")
            return None
        return tuple(dict.fromkeys(_choose(v, path, rule, faults) for v in value))
    values = rule["values"]
    if values == ("bool",):
        if not isinstance(value, bool):
            faults.append(f"{path}: expected true or false, got {show(value)}")
            return None
        return value
    if values:
        if not isinstance(value, str):
            faults.append(f"{path}: expected a string, got {show(value)}")
            return None
        if value in LATER_VALUES.get(path, ()):
            faults.append(f"{path}: {value!r} is not there yet in this version of suanli")
        elif values != ("*",) and value not in values:
            close = near(value, values)
            faults.append(f"{path}: must be one of {', '.join(values)}; got {show(value)}{_meant(close)}")
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        faults.append(f"{path}: expected a whole number, got {show(value)}")
        return None
    if not rule["least"] <= value <= rule["most"]:
        faults.append(f"{path}: must be {rule['least']} to {rule['most']}, got {show(value)}")
        return None
    return value


def _meant(close: tuple[str, ...]) -> str:
    return f"; did you mean {close[0]!r}?" if close else ""


def _structure(table: dict[str, Any], cls: type[Any], path: str, faults: list[str]) -> Any:
    try:
        return _converter().structure(table, cls)
    except Exception as exc:
        faults += serialize.explain_faults(exc, cls, path)
        return None


def _workload(table: dict[str, Any], faults: list[str]) -> Any:
    kind = table.get("kind", "pretrain")
    if not isinstance(kind, str) or kind not in KINDS:
        close = near(kind, KINDS) if isinstance(kind, str) else ()
        faults.append(f"workload.kind: must be one of {', '.join(KINDS)}; got {show(kind)}{_meant(close)}")
        return None
    made = _structure({k: v for k, v in table.items() if k != "kind"}, KINDS[kind], "workload", faults)
    if made is not None and kind == "serve" and made.batch is not None and made.concurrency is not None:
        faults.append("workload: give batch (of one engine) or concurrency (over all engines), not both")
    return made


def _required(sections: dict[str, Any], data: Mapping[str, Any], faults: list[str]) -> None:
    for name, ways in EXACTLY_ONE.items():
        made = sections.get(name)
        if made is None:
            if name not in data:
                faults.append(f"{name}: required; give {' or '.join(f'{name}.{w}' for w in ways)}")
            continue
        given = [w for w in ways if getattr(made, w) is not None]
        if len(given) != 1:
            have = f"got {' and '.join(given)}" if given else "got none"
            faults.append(f"{name}: give exactly one of {', '.join(ways)}; {have}")
    config = getattr(sections.get("model"), "config", None)
    if config is not None and not isinstance(config, (str, Mapping)):
        faults.append(f"model.config: expected a path or a table, got {show(config)}")


_CONVERTERS: list[cattrs.Converter] = []


def _converter() -> cattrs.Converter:
    if not _CONVERTERS:
        converter = serialize.make_converter()
        converter.register_structure_hook(Choice, lambda value, _: value)
        converter.register_structure_hook_func(lambda t: t == Choice | None, lambda value, _: value)
        _CONVERTERS.append(converter)
    return _CONVERTERS[0]


def load(path: str | Path, *, axes: tuple[str, ...] = ()) -> Scenario:
    """A scenario from a ``.toml`` or ``.json`` file.

    Raises:
        ScenarioError: With the path of every offending field.
    """
    file = Path(path)
    data = serialize.read_data(file, ScenarioError)
    return build(data, axes=axes, where=clip(str(path), 200), folder=file.parent)
