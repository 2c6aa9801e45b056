"""Models: an embedding, a stack of blocks, a head, each a row of operators.

A family is a class whose fields are read from a configuration and whose methods arrange operators;
everything else about a model is derived here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from attrs.validators import instance_of

from suanli.checkpoints import Checkpoint
from suanli.errors import SuanliError, UnknownNameError, show
from suanli.formulas import formula
from suanli.numeric import Number
from suanli.operators import How, Operator
from suanli.paging import reserved_bytes
from suanli.profiles import Known, exact_profile
from suanli.storage import Storage, weight_bytes
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
class Model:
    """A model, as operators.

    Attributes:
        name: What it was asked for by.
        family: The family that arranged it.
        embedding: The block before the layers.
        layers: One block for each layer; equal layers are equal blocks.
        head: The block after them.
        context: Longest sequence it was made for; None where not stated.
        drafts: Blocks that only predict tokens further ahead (multi-token prediction), left out of every count.
        nearest: Whether its type is unknown, and it is read as the family whose keys it has.
        storage: How its checkpoint stores weights that are narrower than two bytes; None where none are.
        checkpoint: What the headers of its files say of its weights; None where it was read from a configuration.
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
    drafts: tuple[Block, ...] = ()
    nearest: bool = False
    storage: Storage | None = None
    checkpoint: Checkpoint | None = None
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

    @functools.cached_property
    def weight_bytes(self) -> int:
        """Bytes of the checkpoint's weights: as its files' headers say.

        Without files, 2 each, less where the configuration says they are quantised.
        """
        if self.checkpoint is not None and self.checkpoint.weight_bytes is not None:
            return self.checkpoint.weight_bytes
        return weight_bytes(self)

    @functools.cached_property
    def draft_parameters(self) -> int:
        """Parameters of the modules that predict tokens further ahead; in no other count."""
        return sum(p.elements for block in self.drafts for p in block.parameters if not p.tied)

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
            phase="decode" if sequence == 1 and cached_tokens else "prefill",
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
        """Bytes the cache of one sequence needs after `tokens` tokens, all layers, constant state included.

        State that has no length of its own (convolutions, recurrences) keeps its own format, whatever `precision` is.
        """
        _positive(tokens=_one_more(tokens))
        form = self.known.format(precision)
        total = 0
        for block, times in self.kinds if tokens else ():
            for op in block.operators:
                for tensor in op.cached:
                    length = int(op.entries(tensor, float(tokens)))
                    sizes = (length if d.role == KV_SEQUENCE else d.size for d in tensor.dims)
                    elements = functools.reduce(lambda a, b: a * b, sizes, 1)
                    if tensor.format == "cache":
                        total += form.bytes(elements) * times
                    else:
                        total += elements * STATE_BYTES[tensor.format] * times
        return total

    def kv_cache_reserved_bytes(self, tokens: int, precision: str = "bf16", block_size: int = 16) -> int:
        """Bytes an engine that pages its cache reserves for one sequence of `tokens` tokens.

        Whole pages of `block_size` tokens, of one size for every kind of layer: see :mod:`suanli.paging`.
        Never less than :meth:`kv_cache_bytes`, which is what the model needs.

        Args:
            tokens: Of the sequence.
            precision: Format of cached keys and values.
            block_size: Tokens in a page.
        """
        _positive(tokens=_one_more(tokens), block_size=block_size)
        return reserved_bytes(self, tokens, self.known.format(precision), block_size, STATE_BYTES)

    def kv_cache_growth_bytes(self, precision: str = "bf16") -> int:
        """Bytes a token adds to a long cache of one sequence, past every window; compressed entries on average."""
        far, step = 1 << 24, 1 << 12
        return (self.kv_cache_bytes(far + step, precision) - self.kv_cache_bytes(far, precision)) // step

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
            raise SuanliError(f"layer {show(layer)} is outside 0..{len(self.layers) - 1} of {self.name}")
        if attention not in ("flash", "eager"):
            raise UnknownNameError("attention", attention, ("flash", "eager"))
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0.0 <= dropout <= 1.0:
            raise SuanliError(f"dropout must be a number from 0 to 1, got {show(dropout)}")
        used = exact_profile(self.known.profile(profile))
        how = How(attention=attention, dropout=dropout, fused=used.fused, unfused=used.unfused)
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


STATE_BYTES = {"activations": 2, "fp32": 4}
"""Bytes of an element of state kept beside the cache, by the format an operator states."""

MOST = 10**18
"""No size a model is asked about is larger."""


def _one_more(value: Any) -> Any:
    """`value` + 1, so that 0 passes for a positive number; anything but an integer as it is."""
    return value + 1 if isinstance(value, int) and not isinstance(value, bool) else value


def _positive(**values: Any) -> None:
    bad = [k for k, v in values.items() if isinstance(v, bool) or not isinstance(v, int) or not 1 <= v <= MOST]
    if bad:
        raise SuanliError("; ".join(f"{k} must be a whole number in range, got {show(values[k])}" for k in bad))
