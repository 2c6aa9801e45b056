"""Reports: every figure of an estimate, where it comes from, and what could not be had."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import attrs

from suanli import serialize
from suanli.case import Origin, Problem
from suanli.errors import InvalidInputError, SuanliError, show
from suanli.formulas import Derivation
from suanli.layout import Layout

SCHEMA_VERSION = "1.0"
"""Of the report; a change of its first number breaks readers and is announced."""


def _unknown() -> Any:
    return attrs.field(default=None)


@attrs.frozen(kw_only=True)
class Parameters:
    """Parameter counts of the model: exact."""

    total: int
    active: int
    by_group: dict[str, int] = attrs.field(factory=dict, hash=False)


@attrs.frozen(kw_only=True)
class Flops:
    """FLOPs by the stated convention: of one training step, or of one request."""

    forward_flops: float | None = _unknown()
    backward_flops: float | None = _unknown()
    recompute_flops: float | None = _unknown()
    model_flops: float | None = _unknown()
    hardware_flops: float | None = _unknown()
    prefill_flops: float | None = _unknown()
    decode_flops: float | None = _unknown()
    convention: str | None = _unknown()


@attrs.frozen(kw_only=True)
class MemoryParts:
    """Bytes of one rank at its peak; `total_bytes` is their sum.

    Attributes:
        reserve_bytes: Kept free for the runtime; None where it would give confidential memory away.
    """

    weights_bytes: float = 0.0
    gradients_bytes: float = 0.0
    optimizer_bytes: float = 0.0
    activations_bytes: float = 0.0
    logits_bytes: float = 0.0
    kv_cache_bytes: float = 0.0
    workspace_bytes: float = 0.0
    reserve_bytes: float | None = 0.0

    @property
    def total_bytes(self) -> float:
        """The sum of the parts; without a reserve that is not shown."""
        found = 0.0
        for part in attrs.astuple(self):
            found += part or 0.0
        return found


@attrs.frozen(kw_only=True)
class Memory:
    """Memory of the worst rank, of every pipeline stage, and whether it fits."""

    per_accelerator: MemoryParts
    stages: tuple[MemoryParts, ...] = ()
    capacity_bytes: float | None = None
    fits: bool


@attrs.frozen(kw_only=True)
class Time:
    """Seconds: of a training step and its parts, or of a prefill and a decode pass."""

    step_s: float | None = _unknown()
    forward_s: float | None = _unknown()
    backward_s: float | None = _unknown()
    recompute_s: float | None = _unknown()
    optimizer_s: float | None = _unknown()
    bubble_s: float | None = _unknown()
    overhead_s: float | None = _unknown()
    exposed_communication_s: float | None = _unknown()
    exposed_tensor_s: float | None = _unknown()
    exposed_context_s: float | None = _unknown()
    exposed_expert_s: float | None = _unknown()
    exposed_data_s: float | None = _unknown()
    exposed_pipeline_s: float | None = _unknown()
    exposed_other_s: float | None = _unknown()
    prefill_s: float | None = _unknown()
    decode_s: float | None = _unknown()


@attrs.frozen(kw_only=True)
class Throughput:
    """Work in a second, in all and of one accelerator."""

    tokens_per_s: float | None = _unknown()
    tokens_per_s_per_accelerator: float | None = _unknown()
    samples_per_s: float | None = _unknown()
    samples_per_s_per_accelerator: float | None = _unknown()
    model_flops_per_s_per_accelerator: float | None = _unknown()
    mfu_ratio: float | None = _unknown()
    hfu_ratio: float | None = _unknown()
    peak_flops_per_s: float | None = _unknown()
    peak_precision: str | None = _unknown()


@attrs.frozen(kw_only=True)
class Serving:
    """What a client of the service sees, what holds it back, and what it costs."""

    ttft_s: float | None = _unknown()
    tpot_s: float | None = _unknown()
    latency_s: float | None = _unknown()
    output_tokens_per_s: float | None = _unknown()
    output_tokens_per_s_per_accelerator: float | None = _unknown()
    requests_per_s: float | None = _unknown()
    batch: float | None = _unknown()
    max_concurrency: float | None = _unknown()
    kv_cache_tokens: float | None = _unknown()
    bound: str | None = _unknown()
    cost_per_hour: float | None = _unknown()
    cost_per_million_output_tokens: float | None = _unknown()
    energy_per_output_token_j: float | None = _unknown()
    currency: str | None = _unknown()


@attrs.frozen(kw_only=True)
class Run:
    """A whole training run, without restarts."""

    duration_s: float | None = _unknown()
    accelerator_hours: float | None = _unknown()
    energy_j: float | None = _unknown()
    cost: float | None = _unknown()
    currency: str | None = _unknown()


@attrs.frozen(kw_only=True)
class Basis:
    """What a figure rests on.

    Attributes:
        rung: ``handbook``, ``analytic``, ``calibrated`` or ``simulated``.
        provider: The stage that gave it, and its plugin.
        band: Measured over predicted, an 80 % interval; None where nobody measured.
        evidence: The measurements the band is from, or why there is none.
        source: The document the stage follows.
    """

    rung: str
    provider: str
    band: tuple[float, ...] | None = None
    evidence: str = ""
    source: str = ""


SECTIONS: dict[str, type[Any]] = {
    "flops": Flops,
    "time": Time,
    "throughput": Throughput,
    "serving": Serving,
    "run": Run,
}


@attrs.frozen(kw_only=True)
class Report:
    """The answer to a scenario.

    Attributes:
        schema_version: Of this structure.
        versions: Of the package, its plugins and their calibrations.
        kind: Of the workload.
        scenario: Complete, defaults filled in; :func:`suanli.scenario` takes it back.
        origins: For each field of it: given, default or chosen, and why.
        layout: The layout the figures are for.
        parameters: Of the model.
        flops: By convention.
        memory: And whether it fits.
        time: And its parts.
        throughput: In all and of one accelerator.
        serving: None for training.
        run: None for serving.
        extra: Figures of plugins' stages in sections of their own.
        basis: For each figure, what it rests on.
        problems: What a reader must know.
    """

    schema_version: str = SCHEMA_VERSION
    versions: dict[str, Any] = attrs.field(hash=False)
    kind: str
    scenario: dict[str, Any] = attrs.field(hash=False)
    origins: dict[str, Origin] = attrs.field(hash=False)
    layout: Layout
    parameters: Parameters
    flops: Flops
    memory: Memory
    time: Time
    throughput: Throughput
    serving: Serving | None = None
    run: Run | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, hash=False)
    basis: dict[str, Basis] = attrs.field(hash=False)
    problems: tuple[Problem, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether nothing stands in the way: it fits, and no problem is an error."""
        return self.memory.fits and not any(p.severity == "error" for p in self.problems)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data: no NumPy, no NaN.

        A figure that could not be had is None, with the reason in `problems`;
        one that a workload of this kind does not have is not there.
        """
        data = attrs.asdict(self, recurse=True)
        explained = {p.figure for p in self.problems}
        for name in SECTIONS:
            section = data[name]
            if section is not None:
                absent = [k for k, v in section.items() if v is None and f"{name}.{k}" not in explained]
                for key in absent:
                    del section[key]
        data["layout"] = self.layout.to_dict()
        data["memory"]["per_accelerator"]["total_bytes"] = self.memory.per_accelerator.total_bytes
        for parts, made in zip(data["memory"]["stages"], self.memory.stages, strict=True):
            parts["total_bytes"] = made.total_bytes
        plain: dict[str, Any] = _plain(data)
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """The report :meth:`to_dict` made the data of.

        Raises:
            InvalidInputError: Where it is no such data.
        """
        if not isinstance(data, Mapping) or not str(data.get("schema_version", "")).startswith("1."):
            raise InvalidInputError([f"schema_version: expected 1.x, got {_version(data)}"], "report")
        copy = dict(data)
        for name in ("layout", "memory"):
            if not isinstance(copy.get(name), Mapping):
                raise InvalidInputError([f"{name}: expected a table, got {show(copy.get(name))}"], "report")
        layout = dict(copy["layout"])
        known = {f.name for f in attrs.fields(Layout)}
        extra = [[k, layout.pop(k)] for k in list(layout) if k not in known]
        copy["layout"] = layout | {"extra": extra}
        memory = dict(copy["memory"])
        memory["per_accelerator"] = _without_total(memory.get("per_accelerator"))
        stages = memory.get("stages")
        memory["stages"] = [_without_total(s) for s in stages] if isinstance(stages, list) else stages
        copy["memory"] = memory
        return serialize.structure(copy, cls, where="report", converter=_report_converter())

    def explain(self, figure: str) -> Derivation:
        """How a figure came about, down to inputs and citations; evaluates the stored scenario again.

        Args:
            figure: A dotted key such as ``"time.step_s"``.

        Raises:
            UnknownNameError: For a key the report does not have.
        """
        import suanli

        return suanli.explain(self, figure)

    def export(self, name: str) -> str | bytes:
        """The report as an exporter writes it, such as ``"html"``; see :meth:`suanli.Workspace.export`."""
        import suanli

        return suanli.export(self, name)

    def figure(self, key: str) -> Any:
        """A figure by its dotted key, such as ``"memory.total_bytes"``."""
        section, _, name = key.partition(".")
        part: Any = getattr(self, section, None)
        if section == "memory" and part is not None:
            name = name.removeprefix("per_accelerator.")
            if hasattr(part.per_accelerator, name):
                return getattr(part.per_accelerator, name)
        if part is None or not hasattr(part, name):
            if key in self.extra:
                return self.extra[key]
            raise SuanliError(f"the report has no figure {key!r}; see `basis` for those it has")
        return getattr(part, name)


def _version(data: Any) -> str:
    return repr(data.get("schema_version")) if isinstance(data, Mapping) else type(data).__name__


def _without_total(parts: Any) -> Any:
    if not isinstance(parts, Mapping):
        return parts
    return {k: v for k, v in parts.items() if k != "total_bytes"}


@functools.cache
def _report_converter() -> Any:
    converter = serialize.make_converter()
    converter.register_structure_hook(Any, lambda v, _: v)
    converter.register_structure_hook_func(
        lambda t: t == dict[str, Any], lambda v, _: dict(v) if isinstance(v, Mapping) else _refuse(v)
    )
    # One pair of an extra axis; a plain pair of a name and a degree.
    converter.register_structure_hook_func(lambda t: t == tuple[str, int], lambda v, _: (str(v[0]), int(v[1])))
    return converter


def _refuse(value: Any) -> Any:
    raise TypeError(f"expected a table, got {show(value)}")


def _plain(value: Any) -> Any:
    """`value` as JSON has it: floats finite or None, tuples as lists, numbers of NumPy as Python's."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, bool) or value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "item"):
        return _plain(value.item())
    return str(value)


_HOMES = {f"{name}.{f.name}": (name, f.name) for name, cls in SECTIONS.items() for f in attrs.fields(cls)}
"""Section and field of every figure that has one."""


def sections_of(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The sections of a report from flat keys, and the figures that have no place in them."""
    found: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    extra = {}
    for key, value in values.items():
        home = _HOMES.get(key)
        if home is not None:
            found[home[0]][home[1]] = value
        elif not key.startswith("memory."):
            extra[key] = value
    return {name: cls(**found[name]) for name, cls in SECTIONS.items()}, extra
