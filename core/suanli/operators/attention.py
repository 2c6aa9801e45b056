"""Softmax attention, with its scores on the chip or written out."""

from __future__ import annotations

import functools

import attrs

from suanli import kernels
from suanli.formulas import formula
from suanli.kernels import Kernel, attended_pairs, attention_flops, elementwise
from suanli.numeric import Number, floor
from suanli.operators.base import How, Operator
from suanli.tensors import HEAD_DIM, HEADS, KV_HEADS, KV_SEQUENCE, Dim, Local, Parameter, Tensor, tokens


@attrs.frozen(kw_only=True)
class Attention(Operator):
    """Softmax attention of queries on keys and values: `reads` is (q, k, v), `writes` is one output.

    Attributes:
        heads: Query heads.
        kv_heads: Key and value heads; fewer than `heads` for grouped queries, 1 for multi-query.
        head_dim: Width of a head of queries and keys.
        value_dim: Width of a head of values; 0 for that of keys.
        reach: Keys a query may look back on, itself included; 0 for all.
        chunk: Tokens of a chunk a query sees no key outside of; 0 for none.
        sinks: Whether each head has a learned score that takes part in the softmax.
        shares: Whether keys and values are those of an earlier layer, cached and kept there.
        upcasts: Whether plain modules take the softmax in fp32.
        capped: Whether scores go through a tanh.
    """

    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int = 0
    reach: int = 0
    chunk: int = 0
    sinks: bool = False
    shares: bool = False
    upcasts: bool = True
    capped: bool = False

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        if not self.sinks:
            return ()
        return (Parameter(name=f"{self.name}.sinks", dims=(Dim(HEADS, self.heads),), group="attention"),)

    @property
    def reduces(self) -> tuple[str, ...]:
        return (KV_SEQUENCE,)

    @property
    def cached(self) -> tuple[Tensor, ...]:
        if self.shares:
            return ()
        heads = (Dim(KV_SEQUENCE), Dim(KV_HEADS, self.kv_heads))
        widths = (("key", self.head_dim), ("value", self.values))
        return tuple(
            Tensor(name=f"{self.name}.{n}", dims=(*heads, Dim(HEAD_DIM, w)), format="cache") for n, w in widths
        )

    @property
    def values(self) -> int:
        """Width of a head of values."""
        return self.value_dim or self.head_dim

    @property
    def window(self) -> int:
        return self.reach or self.chunk

    def pairs(self, at: Local) -> Number:
        """Query-key pairs one head of one sequence scores, over all the ranks that share it."""
        if self.chunk and at.causal:
            return chunked_pairs(query=at.whole_sequence, kv_tokens=at.kv_tokens, chunk=float(self.chunk))
        return attended_pairs(
            query=at.whole_sequence, kv_tokens=at.kv_tokens, window=float(self.reach), causal=at.causal
        )

    def _local(self, at: Local) -> tuple[Number, Number]:
        return at.size(Dim(HEADS, self.heads)), at.size(Dim(KV_HEADS, self.kv_heads))

    def flops(self, at: Local) -> Number:
        heads, _ = self._local(at)
        # Ranks that share a sequence take equal shares of its pairs (zig-zag order balances a causal mask).
        share = at.sequence / at.whole_sequence
        key, value = float(self.head_dim), float(self.values)
        return attention_flops(batch=at.batch, heads=heads, pairs=self.pairs(at), key_dim=key, value_dim=value) * share

    def _core(self, at: Local, causal: bool) -> Kernel:
        heads, kv_heads = self._local(at)
        core = kernels.attention(
            phase=at.phase,
            batch=at.batch * (at.sequence / at.whole_sequence),
            query=at.whole_sequence,
            kv_tokens=at.kv_tokens,
            heads=heads,
            kv_heads=kv_heads,
            # Keys are scored and values weighted: their mean width does the work of both.
            head_dim=(self.head_dim + self.values) / 2.0,
            window=float(self.window) if causal else 0.0,
            causal=causal and at.causal,
            formats=at.core_formats,
        )
        if self.chunk and causal:
            core.flops = self.flops(at)
        return core

    def _scores(self, at: Local) -> Number:
        """Bytes of one written-out score matrix."""
        heads, _ = self._local(at)
        return at.batch * at.sequence * heads * at.kv_tokens * at.bytes_of["activations"]

    def forward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        copies = (elementwise(bytes=self._copied(at)),) if how.unfused and self._copies(at) else ()
        if how.attention == "flash":
            return (self._core(at, causal=True), *copies)
        # Scores written by the product, read and written by the softmax, read by the weighted sum.
        passes = 4.0 + (2.5 if how.dropout else 0.0)
        return (self._core(at, causal=False), elementwise(bytes=passes * self._scores(at)), *copies)

    def _copies(self, at: Local) -> bool:
        return at.phase == "decode" or self.kv_heads < self.heads

    def _copied(self, at: Local) -> Number:
        """Bytes plain modules pass over to hand keys and values to the core.

        A cache grows by being written anew; keys and values are repeated for each query head, and read so
        (transformers: ``DynamicCache.update``, ``repeat_kv``).
        """
        heads, kv_heads = self._local(at)
        passed = 2.0 * kv_heads if at.phase == "decode" else 0.0 * kv_heads
        if self.kv_heads < self.heads:
            passed = passed + 2.0 * heads
        width = float(self.head_dim + self.values)
        return at.batch * at.kv_tokens * passed * width * at.bytes_of["activations"]

    def backward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        core = self._core(at, causal=how.attention == "flash")
        # Flash scores are made again: five products where the forward pass has two (Dao et al. 2022, alg. 4).
        core.flops = core.flops * (2.5 if how.attention == "flash" else 2.0)
        core.bytes = core.bytes * 2.0
        if how.attention == "flash":
            return (core,)
        passes = 7.0 + (2.5 if how.dropout else 0.0)
        return (core, elementwise(bytes=passes * self._scores(at)))

    def kept(self, how: How) -> tuple[Tensor, ...]:
        scores = tokens(Dim(HEADS, self.heads), Dim(KV_SEQUENCE))
        reads = self.reads[:1] if self.shares else self.reads
        if how.attention == "flash":
            lse = Tensor(name=f"{self.name}.lse", dims=tokens(Dim(HEADS, self.heads)), format="fp32", core=True)
            return (*reads, *self.writes, lse)
        if how.unfused:
            return (*self._repeated(reads), *self._steps(scores, how))
        kept = [Tensor(name=f"{self.name}.softmax", dims=scores, core=True)]
        if how.dropout:
            kept.append(Tensor(name=f"{self.name}.mask", dims=scores, format="mask", core=True))
            kept.append(Tensor(name=f"{self.name}.dropped", dims=scores, core=True))
        return (*reads, *kept)

    def _repeated(self, reads: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Keys and values as plain modules keep them: once for each query head."""
        if self.kv_heads == self.heads:
            return reads
        first, *rest = reads
        return (
            first,
            *(
                Tensor(name=f"{t.name}.repeated", dims=tokens(Dim(HEADS, self.heads), *t.dims[3:]))
                for t in rest
                if KV_HEADS in t.roles
            ),
            *(t for t in rest if KV_HEADS not in t.roles),
        )

    def _steps(self, scores: tuple[Dim, ...], how: How) -> tuple[Tensor, ...]:
        """What tanh, softmax, its cast, dropout and the weighted sum each keep of the scores."""
        names = [("softmax", "fp32" if self.upcasts else "activations")]
        if self.capped:
            names.append(("capped", "activations"))
        if how.dropout:
            names += [("mask", "mask"), ("dropped", "activations")]
        elif self.upcasts:
            names.append(("cast", "activations"))
        return tuple(Tensor(name=f"{self.name}.{n}", dims=scores, format=f, core=True) for n, f in names)


@formula(unit="pairs", source="definition: chunks of a sequence, each causal and blind to the others")
def chunked_pairs(*, query: Number, kv_tokens: Number, chunk: Number) -> Number:
    """Query-key pairs one head of one sequence scores when a query sees its own chunk only.

    Args:
        query: Queries, the last of the sequence.
        kv_tokens: Tokens in the sequence, the queries included.
        chunk: Tokens of a chunk.
    """
    return _pairs_up_to(kv_tokens, chunk) - _pairs_up_to(kv_tokens - query, chunk)


def _pairs_up_to(tokens: Number, chunk: Number) -> Number:
    whole = floor(tokens / chunk)
    rest = tokens - whole * chunk
    return whole * chunk * (chunk + 1.0) / 2.0 + rest * (rest + 1.0) / 2.0
