"""Named tensors whose dimensions have roles, and the sizes one rank sees of them.

Nothing here knows an axis of parallelism: a rule says by how much each *role* is divided,
and every size, count and byte follows.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final

import attrs
from attrs.validators import ge

from suanli.kernels import BF16, Formats
from suanli.numeric import Number, maximum

BATCH: Final = "batch"
SEQUENCE: Final = "sequence"
KV_SEQUENCE: Final = "kv_sequence"
HIDDEN: Final = "hidden"
HEADS: Final = "heads"
KV_HEADS: Final = "kv_heads"
HEAD_DIM: Final = "head_dim"
FFN: Final = "ffn"
VOCABULARY: Final = "vocabulary"
EXPERTS: Final = "experts"
EXPERT_FFN: Final = "expert_ffn"
CHOICES: Final = "choices"
"""The experts as a router sees them: one score each, on every rank."""
TOP_K: Final = "top_k"
"""Copies of a token, one for each expert it is routed to."""
LATENT: Final = "latent"
"""A compressed width that every rank holds whole: of queries, of keys and values, of an expert's input."""
INDEX_HEADS: Final = "index_heads"
"""Heads that only choose which keys are attended to; every rank has them all."""
STATE: Final = "state"
"""Width of a recurrent state beside that of a head."""
TAPS: Final = "taps"
"""Tokens a causal convolution looks at."""

WORKLOAD_ROLES: Final = (BATCH, SEQUENCE, KV_SEQUENCE)
"""Roles whose size the workload gives, not the model."""


@attrs.frozen
class Dim:
    """A dimension: what it means, and its size before it is divided (0 where the workload gives it)."""

    role: str
    size: int = attrs.field(default=0, validator=ge(0))


@attrs.frozen(kw_only=True)
class Tensor:
    """An activation: its name is its identity, so that what two operators keep is kept once.

    Attributes:
        name: Unique in its block.
        dims: Outermost first.
        format: A format name, ``"mask"`` for one byte an element, or ``"activations"`` for the recipe's.
        core: Whether it is internal to the attention core, which selective recompute drops.
    """

    name: str
    dims: tuple[Dim, ...]
    format: str = "activations"
    core: bool = False

    @functools.cached_property
    def roles(self) -> frozenset[str]:
        """The roles of its dimensions."""
        return frozenset(d.role for d in self.dims)


@attrs.frozen(kw_only=True)
class Parameter:
    """A weight tensor.

    Attributes:
        name: Unique in its block.
        dims: As stored, with their roles.
        group: What it is counted under: ``attention``, ``mlp``, ``experts`` ...
        tied: Whether it is another parameter's storage (an LM head tied to the embedding).
        use: Share of it one token uses: top_k / experts for a routed expert, else 1.
        matrix: Its shape as a framework stores it; the sizes of `dims` unless stated.
    """

    name: str
    dims: tuple[Dim, ...]
    group: str
    tied: bool = False
    use: tuple[int, int] = (1, 1)
    matrix: tuple[int, ...] = attrs.field()

    @matrix.default
    def _matrix(self) -> tuple[int, ...]:
        return tuple(d.size for d in self.dims)

    @functools.cached_property
    def elements(self) -> int:
        """Exact number of elements, before it is divided."""
        count = 1
        for dim in self.dims:
            count *= dim.size
        return count


@attrs.define(eq=False, kw_only=True)
class Local:
    """The sizes one rank works on: numbers, or columns of them.

    Attributes:
        batch: Sequences in the micro batch.
        sequence: New tokens of one sequence that this rank holds.
        whole_sequence: New tokens of one sequence over all its ranks.
        kv_tokens: Tokens of one sequence attended to, the new ones included.
        phase: ``"prefill"`` (also training) or ``"decode"``.
        causal: Whether a query sees no later key.
        degrees: By how much each role is divided; a role not named is whole.
        spread: By how much the sequence of a tensor with no role in `sharded` is divided besides.
        sharded: Roles the spreading axis divides.
        formats: Of matrix products with weights, on this accelerator.
        core_formats: Of the attention core, on this accelerator.
        bytes_of: Bytes of an element, by format name; ``"activations"`` and ``"mask"`` included.
    """

    batch: Number
    sequence: Number
    whole_sequence: Number
    kv_tokens: Number
    phase: str = "prefill"
    causal: bool = True
    degrees: Mapping[str, Number] = attrs.Factory(dict)
    spread: Number = 1.0
    sharded: frozenset[str] = frozenset()
    formats: Formats = BF16
    core_formats: Formats = BF16
    bytes_of: Mapping[str, float] = attrs.Factory(lambda: {"activations": 2.0, "fp32": 4.0, "mask": 1.0})
    # What was worked out already, by the identity of dimensions and tensors, which are kept alive with it.
    _products: dict[int, Number] = attrs.field(factory=dict, init=False)
    _kept_alive: list[object] = attrs.field(factory=list, init=False)

    def size(self, dim: Dim) -> Number:
        """Size of a dimension on this rank; only key and value heads are replicated when ranks outnumber them."""
        if dim.role == BATCH:
            return self.batch
        if dim.role == SEQUENCE:
            return self.sequence
        if dim.role == KV_SEQUENCE:
            return self.kv_tokens
        degree = self.degrees.get(dim.role)
        if degree is None:
            return float(dim.size)
        share = dim.size / degree
        return maximum(share, 1.0) if dim.role == KV_HEADS else share

    def product(self, dims: tuple[Dim, ...]) -> Number:
        """Product of sizes on this rank."""
        known = self._products.get(id(dims))
        if known is not None:
            return known
        count: Number = 1.0
        for dim in dims:
            count = count * self.size(dim)
        self._products[id(dims)] = count
        self._kept_alive.append(dims)
        return count

    def gathered(self, tensor: Tensor) -> Number:
        """Bytes of a tensor on this rank before its sequence is spread."""
        return self.product(tensor.dims) * self.bytes_of[tensor.format]

    def held(self, tensor: Tensor) -> Number:
        """Bytes of a tensor this rank holds."""
        known = self._products.get(id(tensor))
        if known is not None:
            return known
        held = self.gathered(tensor)
        if SEQUENCE in tensor.roles and self.sharded.isdisjoint(tensor.roles):
            held = held / self.spread
        self._products[id(tensor)] = held
        self._kept_alive.append(tensor)
        return held

    @property
    def tokens(self) -> Number:
        """New tokens of the micro batch this rank holds before its sequence is spread."""
        return self.batch * self.sequence


def tokens(*dims: Dim) -> tuple[Dim, ...]:
    """The dimensions of an activation: batch, sequence, then `dims`."""
    return (Dim(BATCH), Dim(SEQUENCE), *dims)
