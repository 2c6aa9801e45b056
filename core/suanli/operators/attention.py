"""Softmax attention, with its scores on the chip or written out."""

from __future__ import annotations

import attrs

from suanli import kernels
from suanli.kernels import Kernel, attended_pairs, attention_flops, elementwise
from suanli.numeric import Number
from suanli.operators.base import How, Operator
from suanli.tensors import HEAD_DIM, HEADS, KV_HEADS, KV_SEQUENCE, Dim, Local, Tensor, tokens


@attrs.frozen(kw_only=True)
class Attention(Operator):
    """Softmax attention of queries on keys and values: `reads` is (q, k, v), `writes` is one output.

    Attributes:
        heads: Query heads.
        kv_heads: Key and value heads; fewer than `heads` for grouped queries, 1 for multi-query.
        head_dim: Width of a head.
        reach: Keys a query may look back on, itself included; 0 for all.
    """

    heads: int
    kv_heads: int
    head_dim: int
    reach: int = 0

    @property
    def reduces(self) -> tuple[str, ...]:
        return (KV_SEQUENCE,)

    @property
    def cached(self) -> tuple[Tensor, ...]:
        dims = (Dim(KV_SEQUENCE), Dim(KV_HEADS, self.kv_heads), Dim(HEAD_DIM, self.head_dim))
        return tuple(Tensor(name=f"{self.name}.{n}", dims=dims, format="cache") for n in ("key", "value"))

    @property
    def window(self) -> int:
        return self.reach

    def _local(self, at: Local) -> tuple[Number, Number]:
        return at.size(Dim(HEADS, self.heads)), at.size(Dim(KV_HEADS, self.kv_heads))

    def flops(self, at: Local) -> Number:
        heads, _ = self._local(at)
        pairs = attended_pairs(
            query=at.whole_sequence, kv_tokens=at.kv_tokens, window=float(self.reach), causal=at.causal
        )
        # Ranks that share a sequence take equal shares of its pairs (zig-zag order balances a causal mask).
        share = at.sequence / at.whole_sequence
        dim = float(self.head_dim)
        return attention_flops(batch=at.batch, heads=heads, pairs=pairs, key_dim=dim, value_dim=dim) * share

    def _core(self, at: Local, causal: bool) -> Kernel:
        heads, kv_heads = self._local(at)
        return kernels.attention(
            phase=at.phase,
            batch=at.batch * (at.sequence / at.whole_sequence),
            query=at.whole_sequence,
            kv_tokens=at.kv_tokens,
            heads=heads,
            kv_heads=kv_heads,
            head_dim=float(self.head_dim),
            window=float(self.reach) if causal else 0.0,
            causal=causal and at.causal,
            formats=at.core_formats,
        )

    def _scores(self, at: Local) -> Number:
        """Bytes of one written-out score matrix."""
        heads, _ = self._local(at)
        return at.batch * at.sequence * heads * at.kv_tokens * at.bytes_of["activations"]

    def forward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        if how.attention == "flash":
            return (self._core(at, causal=True),)
        # Scores written by the product, read and written by the softmax, read by the weighted sum.
        passes = 4.0 + (2.5 if how.dropout else 0.0)
        return (self._core(at, causal=False), elementwise(bytes=passes * self._scores(at)))

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
        if how.attention == "flash":
            lse = Tensor(name=f"{self.name}.lse", dims=tokens(Dim(HEADS, self.heads)), format="fp32", core=True)
            return (*self.reads, *self.writes, lse)
        kept = [Tensor(name=f"{self.name}.softmax", dims=scores, core=True)]
        if how.dropout:
            kept.append(Tensor(name=f"{self.name}.mask", dims=scores, format="mask", core=True))
            kept.append(Tensor(name=f"{self.name}.dropped", dims=scores, core=True))
        return (*self.reads, *kept)
