"""Accelerators and the systems built of them, as their makers state them.

Peaks are dense, in FLOP/s (OP/s for integers); links are one way, in bytes/s.
A figure nobody states is absent; a path the hardware lacks is stated as 0 (``"none"`` in a file).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import attrs
import cattrs
from attrs.validators import and_, ge, gt, in_, le, matches_re, max_len, optional

from suanli import asking, kernels, serialize, units
from suanli.collectives import CollectiveModel
from suanli.errors import SuanliError, show
from suanli.formulas import fact, tracing
from suanli.kernel_models import KernelModel
from suanli.precision import NumberFormat
from suanli.serialize import Bytes, BytesPerSecond, Count, Hertz, Seconds, Watts

NAME = and_(max_len(80), matches_re(r"[a-z0-9][a-z0-9._+-]*"))
"""What a catalog name looks like: lower case, digits, and ``. _ + -``."""

TYPICAL_SUSTAINED_RATIO = 0.81
"""Where nobody measured it: the median of the accelerators whose `sustained_ratio` is stated."""

CONFIDENCES = ("high", "medium", "low")
TOPOLOGIES = ("switch", "full-mesh", "hypercube", "ring", "torus", "tree", "pcie")


@attrs.frozen
class Rate:
    """A peak rate in one precision; 0 where the hardware has no such path."""

    precision: str
    flops_per_s: float = attrs.field(validator=ge(0.0))


@attrs.frozen
class Source:
    """The document a group of figures is stated in; the group ``all`` covers every figure."""

    group: str
    text: str


OPEN = ("id", "aliases", "vendor", "product", "accelerator", "accelerators_per_node", "accelerators", "confidential")
"""Fields of an accelerator or a system that may be told where its figures are confidential."""


def _repr(value: Any, *, hidden: bool) -> str:
    """As attrs writes it; without the figures where they are hidden."""
    fields = [f.name for f in attrs.fields(type(value)) if f.repr and (not hidden or f.name in OPEN)]
    said = [f"{name}={getattr(value, name)!r}" for name in fields] + (["..."] if hidden else [])
    return f"{type(value).__name__}({', '.join(said)})"


@attrs.frozen(kw_only=True)
class Accelerator:
    """One accelerator as a framework sees it: one rank.

    Attributes:
        id: Its name here, such as ``"a100-sxm4-80"``.
        aliases: Other names people type.
        vendor: Its maker.
        product: The name its maker sells it under.
        generation: Which fitted models it may borrow.
        architecture: The maker's name of its design.
        year: Of launch.
        memory_bytes: Nominal capacity.
        usable_memory_bytes: What a process can see of it, where that is known to be less.
        memory_bandwidth_bytes_per_s: Peak bandwidth of that memory.
        cores: Streaming multiprocessors, or AI cores.
        clock_hz: The clock its peaks are stated at.
        l2_cache_bytes: The last cache before memory.
        power_w: Board power.
        peak: Dense matrix-unit peaks; ``fp32`` and ``fp64`` are the vector units'.
        sustained_ratio: Share of the peak that products of random numbers hold without a pause: power decides.
        sparsity: Such as ``"2:4"``; None where it has none.
        sparse_peak: Peaks with that sparsity, where they are not twice the dense ones.
        headline_peak: What the maker's headline says, where it adds other units to the matrix unit.
        pcie_bandwidth_bytes_per_s: Host link, one way.
        default_system: The system assumed when only the accelerator is named.
        siblings: Parts an ambiguous alias could have meant.
        kernel_model: Name of the kernel model that serves it; its generation's, else the fallback, by default.
        confidence: ``high``, ``medium`` or ``low``.
        confidential: Whether its figures must not be shown.
        note: What a reader should know.
        source: The document of each group of figures.
        kernels: The kernel model bound to it by the catalog.
        loaded_kernels: The same under continuous load.
        formats: The number formats known to that catalog.
    """

    id: str = attrs.field(validator=NAME)
    aliases: tuple[str, ...] = ()
    vendor: str
    product: str
    generation: str = ""
    architecture: str = ""
    year: int | None = None
    memory_bytes: Bytes = attrs.field(validator=gt(0), metadata={"key": "memory"})
    usable_memory_bytes: Bytes | None = attrs.field(
        default=None, validator=optional(gt(0)), metadata={"key": "usable_memory"}
    )
    memory_bandwidth_bytes_per_s: BytesPerSecond = attrs.field(validator=gt(0.0), metadata={"key": "memory_bandwidth"})
    cores: int | None = attrs.field(default=None, validator=optional(gt(0)))
    clock_hz: Hertz | None = attrs.field(default=None, validator=optional(gt(0.0)), metadata={"key": "clock"})
    l2_cache_bytes: Bytes | None = attrs.field(default=None, validator=optional(ge(0)), metadata={"key": "l2_cache"})
    power_w: Watts | None = attrs.field(default=None, validator=optional(gt(0.0)), metadata={"key": "power"})
    peak: tuple[Rate, ...] = attrs.field()
    sustained_ratio: float | None = attrs.field(default=None, validator=optional([gt(0.0), le(1.0)]))
    sparsity: str | None = None
    sparse_peak: tuple[Rate, ...] = ()
    headline_peak: tuple[Rate, ...] = ()
    pcie_bandwidth_bytes_per_s: BytesPerSecond | None = attrs.field(
        default=None, validator=optional(gt(0.0)), metadata={"key": "pcie_bandwidth"}
    )
    default_system: str | None = None
    siblings: tuple[str, ...] = ()
    kernel_model: str | None = None
    confidence: str = attrs.field(default="high", validator=in_(CONFIDENCES))
    confidential: bool = False
    note: str = ""
    source: tuple[Source, ...]
    kernels: KernelModel | None = attrs.field(default=None, eq=False, repr=False, metadata={"runtime": True})
    loaded_kernels: KernelModel | None = attrs.field(default=None, eq=False, repr=False, metadata={"runtime": True})
    formats: tuple[NumberFormat, ...] = attrs.field(default=(), eq=False, repr=False, metadata={"runtime": True})

    def __repr__(self) -> str:
        return _repr(self, hidden=self.confidential)

    @peak.validator
    def _some_peak(self, _: object, value: tuple[Rate, ...]) -> None:
        if not any(r.flops_per_s > 0.0 for r in value):
            raise ValueError("'peak' must state at least one rate")

    @property
    def capacity_bytes(self) -> int:
        """Memory a process can see: the usable figure where it is known, else the nominal one."""
        return self.usable_memory_bytes or self.memory_bytes

    @functools.cached_property
    def rates(self) -> Mapping[str, float]:
        """Dense peaks in FLOP/s by precision; 0 where the hardware has no such path."""
        return {r.precision: r.flops_per_s for r in self.peak}

    def peak_flops_per_s(self, precision: str, *, sparse: bool = False) -> float:
        """Peak rate in `precision`; 0 where the hardware has no such path, or none is stated.

        Args:
            precision: A format name.
            sparse: Ask for the structured-sparse rate instead of the dense one.
        """
        dense = self.rates.get(precision, 0.0)
        if not sparse:
            return self._stated(dense, f"peak.{precision}", "flops_per_s", "peak")
        if self.sparsity is None:
            return 0.0
        stated = {r.precision: r.flops_per_s for r in self.sparse_peak}
        return stated.get(precision, 2.0 * dense)

    def computes(self, number: NumberFormat) -> str:
        """The format its matrix unit multiplies `number` in: its own, or the nearest wider one it has.

        Raises:
            SuanliError: Where no stated peak could serve it.
        """
        found = next((p for p in (number.compute, *number.wider) if self.rates.get(p, 0.0) > 0.0), None)
        if found is None:
            raise SuanliError(f"{self.id} states no peak a {number.name} product could run at; add one to its `peak`")
        return found

    def vector_flops_per_s(self) -> float:
        """Peak of elementwise work: the fp32 vector peak, else its slowest stated one."""
        return self.peak_flops_per_s(self.vector_precision)

    @functools.cached_property
    def vector_precision(self) -> str:
        """The precision whose peak elementwise work is held against."""
        if self.rates.get("fp32", 0.0) > 0.0:
            return "fp32"
        return min((r for r in self.peak if r.flops_per_s > 0.0), key=lambda r: r.flops_per_s).precision

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """Peak memory bandwidth, as a stated fact."""
        return self._stated(self.memory_bandwidth_bytes_per_s, "memory_bandwidth", "bytes_per_s", "memory_bandwidth")

    def source_of(self, group: str) -> str:
        """The document that states a group of figures (``peak``, ``memory`` ...)."""
        texts = {s.group: s.text for s in self.source}
        return (
            texts.get(group) or texts.get(group.partition("_")[0]) or texts.get("all") or next(iter(texts.values()), "")
        )

    def _stated(self, value: float, name: str, unit: str, group: str) -> float:
        if not tracing():
            return value
        return fact(value, f"{self.id}.{name}", unit, self.source_of(group), self.confidential)

    def gemm_s(self, *, m: Any, n: Any, k: Any, precision: str = "bf16") -> Any:
        """Seconds of C[m, n] = A[m, k] B[k, n]; arguments may be arrays."""
        return asking.ask_kernel(self, kernels.gemm, precision, m=m, n=n, k=k)

    def attention_s(
        self,
        *,
        phase: str,
        batch: Any,
        query: Any,
        kv_tokens: Any,
        heads: Any,
        kv_heads: Any,
        head_dim: Any,
        precision: str = "bf16",
        window: Any = 0,
    ) -> Any:
        """Seconds of one layer's causal attention core in `phase` ``"prefill"`` or ``"decode"``; arrays allowed.

        `kv_tokens` are the tokens attended to, the queries included; `window` 0 is none.
        """
        shape = {"batch": batch, "query": query, "kv_tokens": kv_tokens, "heads": heads, "kv_heads": kv_heads}
        return asking.ask_kernel(
            self, kernels.attention, precision, phase=phase, head_dim=head_dim, window=window, **shape
        )

    def mla_s(
        self,
        *,
        phase: str,
        batch: Any,
        query: Any,
        kv_tokens: Any,
        heads: Any,
        kv_lora_rank: Any = 512,
        rope_dim: Any = 64,
        head_dim: Any = 128,
        precision: str = "bf16",
    ) -> Any:
        """Seconds of one layer's multi-head latent attention core; absorbed in ``"decode"``; arrays allowed."""
        shape = {"batch": batch, "query": query, "kv_tokens": kv_tokens, "heads": heads}
        latent = {"kv_lora_rank": kv_lora_rank, "rope_dim": rope_dim, "head_dim": head_dim}
        return asking.ask_kernel(self, kernels.latent_attention, precision, phase=phase, **shape, **latent)

    def moe_s(
        self,
        *,
        tokens: Any,
        hidden: Any,
        intermediate: Any,
        experts: Any,
        top_k: Any,
        tensor: Any = 1,
        expert: Any = 1,
        precision: str = "bf16",
        imbalance: Any = 1.0,
    ) -> Any:
        """Seconds of one rank's routed gated experts for `tokens` entering the layer; arrays allowed.

        `imbalance` is the load of the busiest rank over the mean.
        """
        shape = {"tokens": tokens, "hidden": hidden, "intermediate": intermediate, "experts": experts}
        split = {"top_k": top_k, "tensor": tensor, "expert": expert, "imbalance": imbalance}
        return asking.ask_kernel(self, kernels.experts, precision, **shape, **split)


@attrs.frozen(kw_only=True)
class Tier:
    """One level of a system's network.

    Attributes:
        name: Such as ``"NVLink3"``.
        span: Accelerators it joins; None for the outermost, which joins any number.
        topology: One of ``TOPOLOGIES``.
        bandwidth_bytes_per_s: One way, of one accelerator, over all its links at this tier.
        per_peer_bytes_per_s: Full mesh: one way to one peer.
        latency_s: Of one message, where stated.
        in_network_reduction: Whether switches add.
    """

    name: str
    span: Count | None = attrs.field(default=None, validator=optional(gt(0)))
    topology: str = attrs.field(default="switch", validator=in_(TOPOLOGIES))
    bandwidth_bytes_per_s: BytesPerSecond = attrs.field(validator=gt(0.0), metadata={"key": "bandwidth"})
    per_peer_bytes_per_s: BytesPerSecond | None = attrs.field(
        default=None, validator=optional(gt(0.0)), metadata={"key": "per_peer"}
    )
    latency_s: Seconds | None = attrs.field(default=None, validator=optional(ge(0.0)), metadata={"key": "latency"})
    in_network_reduction: bool = False


@attrs.frozen(kw_only=True)
class System:
    """A machine, or many of them: accelerators in nodes, joined by tiers of network.

    Attributes:
        id: Its name here.
        aliases: Other names people type.
        product: The name it is sold under.
        accelerator: Id of its accelerator.
        accelerators_per_node: In one node.
        tiers: Innermost first.
        power_per_node_w: Of a whole node under load, where stated.
        host_memory_bytes: Of a node.
        confidence: ``high``, ``medium`` or ``low``.
        confidential: Whether its figures must not be shown.
        note: What a reader should know.
        source: The document of each group of figures.
        accelerators: How many there are; one node by default.
        device: The accelerator itself, bound by the catalog.
        exchanges: The collective model bound by the catalog.
    """

    id: str = attrs.field(validator=NAME)
    aliases: tuple[str, ...] = ()
    product: str = ""
    accelerator: str
    accelerators_per_node: Count = attrs.field(validator=gt(0))
    tiers: tuple[Tier, ...] = attrs.field(default=(), metadata={"key": "tier"})
    power_per_node_w: Watts | None = attrs.field(
        default=None, validator=optional(gt(0.0)), metadata={"key": "power_per_node"}
    )
    host_memory_bytes: Bytes | None = attrs.field(
        default=None, validator=optional(gt(0)), metadata={"key": "host_memory"}
    )
    confidence: str = attrs.field(default="high", validator=in_(CONFIDENCES))
    confidential: bool = False
    note: str = ""
    source: tuple[Source, ...]
    accelerators: Count = attrs.field(validator=gt(0), metadata={"runtime": True})
    device: Accelerator | None = attrs.field(default=None, eq=False, repr=False, metadata={"runtime": True})
    exchanges: CollectiveModel | None = attrs.field(default=None, eq=False, repr=False, metadata={"runtime": True})

    def __repr__(self) -> str:
        return _repr(self, hidden=self.confidential or (self.device is not None and self.device.confidential))

    @accelerators.default
    def _one_node(self) -> int:
        return self.accelerators_per_node

    @property
    def reach(self) -> int | None:
        """How many accelerators its network can join; None where there is no limit."""
        if not self.tiers:
            return 1
        return self.tiers[-1].span

    @property
    def nodes(self) -> int:
        """Nodes begun by its accelerators."""
        return -(-self.accelerators // self.accelerators_per_node)

    def source_of(self, group: str) -> str:
        """The document that states a group of figures."""
        texts = {s.group: s.text for s in self.source}
        return texts.get(group) or texts.get("all") or next(iter(texts.values()), "")

    def collective_s(self, operation: str, *, bytes: Any, ranks: Any, stride: Any = 1) -> Any:
        """Seconds of one exchange; `bytes`, `ranks` and `stride` may be arrays.

        Args:
            operation: ``all_reduce``, ``all_gather``, ``reduce_scatter``, ``all_to_all``, ``broadcast``, ``p2p``.
            bytes: The whole buffer of one rank: gathered, or before reduction.
            ranks: Accelerators in the group.
            stride: Distance between neighbours of the group, in ranks.
        """
        return asking.ask_collective(self, operation, bytes=bytes, ranks=ranks, stride=stride)


def register(converter: cattrs.Converter) -> None:
    """Teach a strict converter the tables of rates and sources a catalog file writes."""
    converter.register_structure_hook_func(lambda t: t == tuple[Rate, ...], lambda v, _: _rates(v))
    converter.register_structure_hook_func(lambda t: t == tuple[Source, ...], lambda v, _: _sources(v))
    converter.register_unstructure_hook_func(
        lambda t: t == tuple[Rate, ...], lambda v: {r.precision: r.flops_per_s or "none" for r in v}
    )
    converter.register_unstructure_hook_func(lambda t: t == tuple[Source, ...], lambda v: {s.group: s.text for s in v})


def _rates(value: Any) -> tuple[Rate, ...]:
    if not isinstance(value, Mapping):
        raise TypeError(f'expected a table of rates such as {{ bf16 = "312 TFLOP/s" }}, got {show(value)}')
    found, faults = [], []
    for precision, rate in value.items():
        try:
            number = 0.0 if rate == "none" else float(units.parse(rate, "flop/s"))
            found.append(Rate(str(precision), number))
        except ValueError as exc:
            faults.append(serialize.at_key(exc, str(precision), "flops_per_s"))
    if faults:
        raise cattrs.errors.ClassValidationError("invalid rates", faults, Rate)
    return tuple(found)


def _sources(value: Any) -> tuple[Source, ...]:
    if not isinstance(value, Mapping) or not value:
        raise TypeError(f'expected a table such as {{ all = "datasheet v1.2, p. 3" }}, got {show(value)}')
    bad = {str(k): v for k, v in value.items() if not isinstance(v, str) or not v.strip()}
    faults = [serialize.at_key(TypeError(f"expected a text, got {show(v)}"), k) for k, v in bad.items()]
    if faults:
        raise cattrs.errors.ClassValidationError("invalid sources", faults, Source)
    return tuple(Source(str(k), v) for k, v in value.items())
