"""Models: an embedding, a stack of blocks, a head, each a row of operators.

A family is a class whose fields are read from a configuration and whose methods arrange operators;
everything else about a model is derived here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import attrs
import cattrs
from attrs.validators import instance_of

from suanli import serialize
from suanli.errors import ModelConfigError, NotThereYetError, SuanliError, UnknownNameError
from suanli.formulas import formula
from suanli.numeric import Number
from suanli.operators import How, Operator, cache_tokens
from suanli.precision import NumberFormat
from suanli.tensors import KV_SEQUENCE, Local, Parameter, Tensor


@attrs.frozen(kw_only=True, cache_hash=True)
class Block:
    """Operators in the order they run; the last tensor written is what the next block reads.

    Attributes:
        name: Of its kind, such as ``"decoder"``.
        operators: In order.
        checkpoint: The tensor full recompute keeps: what the block reads.
    """

    name: str
    operators: tuple[Operator, ...]
    checkpoint: Tensor | None = None

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Weights of every operator."""
        return tuple(p for op in self.operators for p in op.parameters)

    def kept(self, how: How, recompute: str = "none") -> tuple[Tensor, ...]:
        """Tensors kept for the backward pass: the union by name of what the operators keep.

        Args:
            how: Of the implementation.
            recompute: ``"none"``; ``"selective"`` drops what is inside the attention core;
                ``"full"`` keeps only what the block reads.
        """
        return _kept(self, how, recompute)


@functools.lru_cache(maxsize=4096)
def _kept(block: Block, how: How, recompute: str) -> tuple[Tensor, ...]:
    if recompute == "full":
        return (block.checkpoint,) if block.checkpoint else ()
    union = {t.name: t for op in block.operators for t in op.kept(how)}
    return tuple(t for t in union.values() if recompute == "none" or not t.core)


@attrs.frozen(kw_only=True)
class FlopCount:
    """FLOPs by group.

    Attributes:
        groups: Pairs of group and FLOPs; they sum to `total`.
    """

    groups: tuple[tuple[str, float], ...]

    @property
    def by_group(self) -> dict[str, float]:
        """The number of each group."""
        return dict(self.groups)

    @property
    def total(self) -> float:
        """Their sum."""
        found: float = 0
        for _, number in self.groups:
            found += number
        return found


@attrs.frozen(kw_only=True)
class ParameterCount:
    """Exact parameter counts.

    Attributes:
        groups: Pairs of group and count; they sum to `total`.
        active: Used for one token, input embedding included.
    """

    groups: tuple[tuple[str, int], ...]
    active: int

    @property
    def by_group(self) -> dict[str, int]:
        """The count of each group."""
        return dict(self.groups)

    @property
    def total(self) -> int:
        """Their sum."""
        return sum(count for _, count in self.groups)


@attrs.frozen(kw_only=True)
class Profile:
    """How an implementation runs the operators: what it fuses, keeps and overlaps by default.

    Attributes:
        name: Such as ``"megatron"``.
        kind: ``"training"`` or ``"serving"``.
        attention: Its default attention, ``"flash"`` or ``"eager"``.
        fused: Whether residuals and rotations are folded into their neighbours' passes.
        passes: Passes over memory an elementwise step takes, next to one fused kernel.
        layer_overhead_s: Host time a layer costs on each pass that no kernel hides.
        overlap: Whether exchanges that can hide behind computation do.
        sequence_parallel: Whether it divides the sequence where tensor parallelism does not divide.
        memory_fraction: Serving: share of memory it takes for weights and cache.
        overhead_ratio: Training: time no kernel and no exchange explains (launches, stragglers, input), as a
            share of the kernels' time; 0 is ideal.
        step_overhead_s: Host time a step costs that no kernel hides.
        activations: Whether its saved activations are modelled exactly.
        aliases: Other names people use.
        source: The document its behaviour is described in.
    """

    name: str
    kind: str
    attention: str = "flash"
    fused: bool = False
    passes: float = 1.0
    layer_overhead_s: float = 0.0
    overlap: bool = True
    sequence_parallel: bool = True
    memory_fraction: float = 1.0
    overhead_ratio: float = 0.0
    step_overhead_s: float = 0.0
    activations: bool = True
    aliases: tuple[str, ...] = ()
    source: str = ""


@attrs.frozen(kw_only=True)
class Known:
    """What a model asks the catalog it came from: number formats and profiles."""

    formats: tuple[NumberFormat, ...] = ()
    profiles: tuple[Profile, ...] = ()

    def format(self, name: str) -> NumberFormat:
        """The number format of a name or alias."""
        for known in self.formats:
            if name == known.name or name in known.aliases:
                return known
        raise UnknownNameError("precision", name, (f.name for f in self.formats))

    def profile(self, name: str) -> Profile:
        """The profile of a name or alias."""
        for known in self.profiles:
            if name == known.name or name in known.aliases:
                return known
        raise UnknownNameError("profile", name, (p.name for p in self.profiles))


@attrs.frozen(kw_only=True)
class Model:
    """A model, as operators.

    Attributes:
        name: What it was asked for by.
        family: The family that arranged it.
        embedding: The block before the layers.
        layers: One block for each layer; equal layers are equal blocks.
        head: The block after them.
        context: Longest sequence it was made for; None where not stated.
        notes: What a reader should know, such as a warning of the reader.
        source: Where its configuration is from.
        known: Of the catalog.
    """

    name: str
    family: str
    embedding: Block
    layers: tuple[Block, ...]
    head: Block
    context: int | None = None
    notes: tuple[str, ...] = ()
    source: str = ""
    known: Known = attrs.field(factory=Known, eq=False, repr=False, validator=instance_of(Known))

    @functools.cached_property
    def kinds(self) -> tuple[tuple[Block, int], ...]:
        """Each distinct layer with how often it occurs, in the order first met."""
        counts: dict[Block, int] = {}
        for block in self.layers:
            counts[block] = counts.get(block, 0) + 1
        return tuple(counts.items())

    @functools.cached_property
    def pattern(self) -> tuple[int, ...]:
        """For each layer, the index of its kind."""
        index = {block: i for i, (block, _) in enumerate(self.kinds)}
        return tuple(index[block] for block in self.layers)

    @functools.cached_property
    def parts(self) -> tuple[tuple[Block, int], ...]:
        """Embedding, each kind of layer with its number, and head."""
        return ((self.embedding, 1), *self.kinds, (self.head, 1))

    @functools.cached_property
    def role_sizes(self) -> Mapping[str, tuple[int, ...]]:
        """Every size each role has, smallest first; roles the workload sizes are not there."""
        found: dict[str, set[int]] = {}
        for block, _ in self.parts:
            for op in block.operators:
                dims = [d for t in (*op.reads, *op.writes) for d in t.dims]
                for dim in (*dims, *(d for p in op.parameters for d in p.dims)):
                    if dim.size:
                        found.setdefault(dim.role, set()).add(dim.size)
        return {role: tuple(sorted(sizes)) for role, sizes in found.items()}

    @functools.cached_property
    def parameters(self) -> ParameterCount:
        """Exact counts; a tied weight once, under the group that owns it."""
        groups: dict[str, int] = {}
        active = 0
        for block, times in self.parts:
            for parameter in block.parameters:
                if parameter.tied:
                    continue
                count = parameter.elements * times
                groups[parameter.group] = groups.get(parameter.group, 0) + count
                used, of = parameter.use
                active += count * used // of
        return ParameterCount(groups=tuple(groups.items()), active=active)

    def forward_flops(self, *, batch: int = 1, sequence: int, cached_tokens: int = 0, causal: bool = True) -> FlopCount:
        """Matrix FLOPs of a forward pass, the head on every position.

        Args:
            batch: Sequences.
            sequence: New tokens of each.
            cached_tokens: Tokens before them, attended to from the cache.
            causal: False counts every key for every query, as most published figures do.
        """
        _positive(batch=batch, sequence=sequence, cached_tokens=_one_more(cached_tokens))
        at = Local(
            batch=float(batch),
            sequence=float(sequence),
            whole_sequence=float(sequence),
            kv_tokens=float(sequence + cached_tokens),
            causal=causal,
        )
        groups: dict[str, float] = {}
        for block, times in self.parts:
            for op in block.operators:
                flops = float(op.flops(at))
                if flops:
                    groups[op.group] = groups.get(op.group, 0.0) + flops * times
        return FlopCount(groups=tuple(groups.items()))

    def kv_cache_bytes(self, tokens: int, precision: str = "bf16") -> int:
        """Bytes the cache of one sequence needs after `tokens` tokens, all layers, constant state included."""
        _positive(tokens=_one_more(tokens))
        form = self.known.format(precision)
        total = 0
        for block, times in self.kinds:
            for op in block.operators:
                length = int(cache_tokens(op, float(tokens)))
                for tensor in op.cached:
                    sizes = (length if d.role == KV_SEQUENCE else d.size for d in tensor.dims)
                    elements = functools.reduce(lambda a, b: a * b, sizes, 1)
                    total += form.bytes(elements) * times
        return total

    def saved_activation_bytes(
        self,
        *,
        layer: int = 0,
        batch: int = 1,
        sequence: int,
        attention: str = "flash",
        profile: str = "megatron",
        dropout: float = 0.0,
    ) -> int:
        """Bytes one layer keeps for its backward pass on one device, in 2-byte activations.

        Args:
            layer: Index of the layer.
            batch: Sequences.
            sequence: Tokens of each.
            attention: ``"flash"`` or ``"eager"``.
            profile: The implementation.
            dropout: Probability; 0 keeps no mask.
        """
        _positive(batch=batch, sequence=sequence)
        if isinstance(layer, bool) or not isinstance(layer, int) or not 0 <= layer < len(self.layers):
            raise SuanliError(f"layer {serialize.show(layer)} is outside 0..{len(self.layers) - 1} of {self.name}")
        if attention not in ("flash", "eager"):
            raise UnknownNameError("attention", attention, ("flash", "eager"))
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0.0 <= dropout <= 1.0:
            raise SuanliError(f"dropout must be a number from 0 to 1, got {serialize.show(dropout)}")
        fused = exact_profile(self.known.profile(profile)).fused
        how = How(attention=attention, dropout=dropout, fused=fused)
        at = Local(
            batch=float(batch), sequence=float(sequence), whole_sequence=float(sequence), kv_tokens=float(sequence)
        )
        return int(kept_bytes(at, self.layers[layer].kept(how)))


@formula(unit="bytes", source="Korthikanti et al. 2022, sec. 4: the sum over the tensors an implementation keeps")
def kept_sum_bytes(*, so_far: Number, tensor: Number) -> Number:
    """Bytes kept after one more tensor."""
    return so_far + tensor


def kept_bytes(at: Local, tensors: Iterable[Tensor]) -> Number:
    """Bytes of the tensors one rank keeps."""
    total: Number = 0.0
    for tensor in tensors:
        total = kept_sum_bytes(so_far=total, tensor=at.held(tensor))
    return total


def exact_profile(profile: Profile) -> Profile:
    """`profile`, refused where what it keeps is not modelled yet."""
    if not profile.activations:
        raise NotThereYetError(f"the saved activations of profile {profile.name!r}", "use 'megatron' or 'fused'")
    return profile


MOST = 10**18
"""No size a model is asked about is larger."""


def _one_more(value: Any) -> Any:
    """`value` + 1, so that 0 passes for a positive number; anything but an integer as it is."""
    return value + 1 if isinstance(value, int) and not isinstance(value, bool) else value


def _positive(**values: Any) -> None:
    bad = [k for k, v in values.items() if isinstance(v, bool) or not isinstance(v, int) or not 1 <= v <= MOST]
    if bad:
        raise SuanliError(
            "; ".join(f"{k} must be a whole number in range, got {serialize.show(values[k])}" for k in bad)
        )


@attrs.frozen(kw_only=True)
class ModelFamily:
    """An architecture: its fields come from a configuration, its methods arrange operators.

    A field's metadata may carry ``config``, the keys it has in a ``config.json``, first match first;
    a field without is read under its own name.
    Class attributes name the family and the ``model_type`` values it answers to.
    """

    family: ClassVar[str] = ""
    model_types: ClassVar[tuple[str, ...]] = ()
    source: ClassVar[str] = ""

    @classmethod
    def from_config(cls, config: Mapping[str, Any], where: str = "config", *, own_names: bool = False) -> Self:
        """An instance from the keys of a ``config.json``; unknown keys are the trainer's business and ignored.

        Args:
            config: The keys and their values.
            where: The file they are from.
            own_names: Whether faults are told with the names of the fields instead of the configuration's keys.

        Raises:
            ModelConfigError: Naming every key that is missing or out of range.
        """
        given: dict[str, Any] = {}
        names: dict[str, str] = {}
        for field in attrs.fields(cls):
            keys = field.metadata.get("config", (field.name,))
            key = next((k for k in keys if k in config), None)
            names[field.name] = field.name if own_names else key or keys[0]
            if key is not None and (config[key] is not None or field.metadata.get("null", False)):
                given[field.name] = config[key]
        faults = []
        try:
            made = _converter().structure(given, cls)
        except Exception as exc:
            faults = serialize.explain_faults(exc, cls)
            raise ModelConfigError([_renamed(f, names) for f in faults], where) from None
        faults = [*made.check()]
        if faults:
            raise ModelConfigError([_renamed(f, names) for f in faults], where)
        return made

    def check(self) -> Iterable[str]:
        """What is wrong with the fields together, each as ``"field: what is wrong"``."""
        return ()

    def embedding(self) -> Block:
        """The block before the layers."""
        raise SuanliError(f"family {self.family!r} does not define embedding")

    def decoder(self, layer: int) -> Block:
        """The block of one layer."""
        raise SuanliError(f"family {self.family!r} does not define decoder")

    def head(self) -> Block:
        """The block after the layers."""
        raise SuanliError(f"family {self.family!r} does not define head")

    def depth(self) -> int:
        """How many layers there are."""
        raise SuanliError(f"family {self.family!r} does not define depth")

    def context(self) -> int | None:
        """The longest sequence it was made for, where stated."""
        return None

    def model(self, name: str, *, source: str = "", notes: tuple[str, ...] = (), known: Known | None = None) -> Model:
        """The model the fields describe."""
        return Model(
            name=name,
            family=self.family,
            embedding=self.embedding(),
            layers=tuple(self.decoder(i) for i in range(self.depth())),
            head=self.head(),
            context=self.context(),
            notes=notes,
            source=source or self.source,
            known=known or Known(),
        )


_CONVERTERS: list[cattrs.Converter] = []


def _converter() -> cattrs.Converter:
    if not _CONVERTERS:
        _CONVERTERS.append(serialize.make_converter())
    return _CONVERTERS[0]


def _renamed(fault: str, names: Mapping[str, str]) -> str:
    """A fault told with the configuration's own keys."""
    head, colon, tail = fault.partition(": ")
    field, bracket, index = head.partition("[")
    if colon and field in names:
        return f"{names[field]}{bracket}{index}: {tail}"
    for field, key in names.items():
        fault = fault.replace(f"'{field}'", f"'{key}'")
    return fault


@attrs.frozen(kw_only=True)
class ModelPreset:
    """A named configuration.

    Attributes:
        name: Such as ``"llama-65b"``.
        aliases: Other names people type.
        config: As its ``config.json`` has it.
        source: Where it is published.
    """

    name: str
    aliases: tuple[str, ...] = ()
    config: Mapping[str, Any] = attrs.field(eq=False)
    source: str
