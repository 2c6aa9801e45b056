"""Attention on a compressed cache: multi-head latent attention, and the indexer that picks its keys."""

from __future__ import annotations

import functools

import attrs

from suanli import kernels
from suanli.formulas import formula
from suanli.kernels import Kernel, attended_pairs, attention_flops, elementwise, matmul_flops
from suanli.numeric import Number, floor, minimum
from suanli.operators.attention import Attention
from suanli.operators.base import How, Operator
from suanli.tensors import INDEX_HEADS, KV_SEQUENCE, LATENT, TAPS, Dim, Local, Parameter, Tensor


@attrs.frozen(kw_only=True)
class LatentAttention(Attention):
    """Multi-head latent attention (DeepSeek-V2, 2024): every head's keys and values are made of one cached latent.

    `reads` is (q, k, v, rotated key): expanded to every head in prefill.
    In decode the expansion is absorbed into queries and outputs (the same product, on the new tokens only),
    and the latent itself is scored.

    Attributes:
        rank: Width of the latent.
        rope_dim: Width of the rotated key all heads share; part of `head_dim`.
        selects: Keys an indexer picks for each query; 0 for all.
    """

    rank: int
    rope_dim: int
    selects: int = 0

    @property
    def cached(self) -> tuple[Tensor, ...]:
        widths = (("latent", self.rank), ("rotated", self.rope_dim))
        return tuple(
            Tensor(name=f"{self.name}.{n}", dims=(Dim(KV_SEQUENCE), Dim(LATENT, w)), format="cache") for n, w in widths
        )

    def pairs(self, at: Local) -> Number:
        window = float(self.selects)
        return attended_pairs(query=at.whole_sequence, kv_tokens=at.kv_tokens, window=window, causal=at.causal)

    def flops(self, at: Local) -> Number:
        heads, _ = self._local(at)
        share = at.sequence / at.whole_sequence
        if at.phase == "decode":
            key, value = float(self.rank + self.rope_dim), float(self.rank)
        else:
            key, value = float(self.head_dim), float(self.values)
        core = attention_flops(batch=at.batch, heads=heads, pairs=self.pairs(at), key_dim=key, value_dim=value) * share
        if at.phase == "decode":
            return core
        # Latents cached before are expanded again; the new tokens' expansion is a product of its own.
        width = heads * (self.head_dim - self.rope_dim + self.values)
        older = at.batch * (at.kv_tokens - at.whole_sequence) * share
        return core + matmul_flops(m=older, n=width, k=float(self.rank))

    def kept(self, how: How) -> tuple[Tensor, ...]:
        if not how.unfused:
            return Attention.kept(self, how)
        # Keys are put together whole; their plain part stays too, beside the values it was made with.
        whole = Tensor(name=f"{self.name}.keys", dims=self.reads[0].dims)
        rest = tuple(t for t in Attention.kept(self, how) if t.name != self.reads[3].name)
        return (*rest, whole)

    def _core(self, at: Local, causal: bool) -> Kernel:
        heads, _ = self._local(at)
        core = kernels.latent_attention(
            phase=at.phase,
            batch=at.batch * (at.sequence / at.whole_sequence),
            query=at.whole_sequence,
            kv_tokens=at.kv_tokens,
            heads=heads,
            kv_lora_rank=float(self.rank),
            rope_dim=float(self.rope_dim),
            head_dim=float(self.values),
            formats=at.core_formats,
        )
        core.flops = self.flops(at)
        return core


@attrs.frozen(kw_only=True)
class Indexer(Operator):
    """Scores every earlier key with a few small heads, to pick those attention looks at (DeepSeek-V3.2, 2025).

    `reads` is (queries, keys, weights of the heads); it writes nothing that is kept.

    Attributes:
        heads: Of the indexer.
        head_dim: Width of one.
        every: Tokens that share one key; above 1 where keys are compressed.
        summed: Whether the heads' scores are weighted by a product (else element by element).
        caches: Whether it keeps the keys itself.
    """

    heads: int
    head_dim: int
    every: int = 1
    summed: bool = True
    caches: bool = True

    @property
    def reduces(self) -> tuple[str, ...]:
        return (KV_SEQUENCE,)

    @property
    def cached(self) -> tuple[Tensor, ...]:
        if not self.caches:
            return ()
        dims = (Dim(KV_SEQUENCE), Dim(LATENT, self.head_dim))
        return (Tensor(name=f"{self.name}.key", dims=dims, format="cache"),)

    def entries(self, tensor: Tensor, tokens: Number) -> Number:
        return shared_entries(tokens, self.every)

    def flops(self, at: Local) -> Number:
        keys = shared_entries(at.kv_tokens, self.every) / at.kv_tokens
        pairs = attended_pairs(query=at.whole_sequence, kv_tokens=at.kv_tokens, window=0.0, causal=at.causal) * keys
        heads = at.size(Dim(INDEX_HEADS, self.heads))
        width = float(self.head_dim + (1 if self.summed else 0))
        share = at.sequence / at.whole_sequence
        return attention_flops(batch=at.batch, heads=heads, pairs=pairs, key_dim=width, value_dim=0.0) * share

    def _kernel(self, at: Local) -> Kernel:
        kernel = kernels.attention(
            phase=at.phase,
            batch=at.batch * (at.sequence / at.whole_sequence),
            query=at.whole_sequence,
            kv_tokens=at.kv_tokens,
            heads=float(self.heads),
            kv_heads=1.0 / self.every,
            head_dim=self.head_dim / 2.0,
            formats=at.core_formats,
        )
        kernel.flops = self.flops(at)
        return kernel

    def forward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        return (self._kernel(at),)

    def backward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        kernel = self._kernel(at)
        kernel.flops = kernel.flops * 2.0
        kernel.bytes = kernel.bytes * 2.0
        return (kernel,)

    def kept(self, how: How) -> tuple[Tensor, ...]:
        return self.reads


@attrs.frozen(kw_only=True)
class Compressor(Operator):
    """Pools every so many tokens to one entry of a cache, each with weights of its own (DeepSeek-V4, 2026).

    `reads` is (what is pooled, its weights); `writes` is the pooled entries as one tensor of a token's width.

    Attributes:
        every: Tokens of an entry.
        width: Of an entry.
        overlap: Whether an entry also pools the tokens of the one before, so that twice its width comes in.
    """

    every: int
    width: int
    overlap: bool = False

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        dims = (Dim(TAPS, self.every), *self.reads[0].dims[2:])
        return (Parameter(name=f"{self.name}.positions", dims=dims, group=self.group),)

    @property
    def cached(self) -> tuple[Tensor, ...]:
        entry = Tensor(name=f"{self.name}.entry", dims=(Dim(KV_SEQUENCE), Dim(LATENT, self.width)), format="cache")
        incoming = Dim(LATENT, self.width * (2 if self.overlap else 1))
        waiting = tuple(
            Tensor(name=f"{self.name}.{n}", dims=(Dim(KV_SEQUENCE), incoming)) for n in ("waiting", "waiting_weight")
        )
        before = tuple(
            Tensor(name=f"{self.name}.{n}", dims=(Dim(TAPS, self.every), Dim(LATENT, self.width)))
            for n in ("before", "before_weight")
        )
        return (entry, *waiting, *(before if self.overlap else ()))

    def entries(self, tensor: Tensor, tokens: Number) -> Number:
        done = shared_entries(tokens, self.every)
        return done if tensor.format == "cache" else tokens - done * self.every

    def _kernel(self, at: Local, times: float) -> Kernel:
        moved: Number = 0.0
        for tensor in (*self.reads, *self.writes):
            moved = moved + at.held(tensor)
        return elementwise(bytes=times * moved)

    def forward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        return (self._kernel(at, 1.0),)

    def backward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        return (self._kernel(at, 2.0),)

    def kept(self, how: How) -> tuple[Tensor, ...]:
        return self.reads


@attrs.frozen(kw_only=True)
class CompressedAttention(Attention):
    """Attention on a window of tokens and on pooled entries of all before them (DeepSeek-V4, 2026).

    Attributes:
        every: Tokens of an entry; 0 for no entries.
        selects: Entries an indexer picks for each query; 0 for all.
    """

    every: int = 0
    selects: int = 0

    def pairs(self, at: Local) -> Number:
        near = Attention.pairs(self, at)
        if not self.every:
            return near
        if not at.causal:
            return near + at.whole_sequence * shared_entries(at.kv_tokens, self.every)
        most = float(self.selects or 2**31)
        return near + pooled_pairs(query=at.whole_sequence, kv_tokens=at.kv_tokens, every=float(self.every), most=most)

    def _core(self, at: Local, causal: bool) -> Kernel:
        core = Attention._core(self, at, causal)
        if self.every:
            core.flops = self.flops(at) if causal else core.flops
            seen = minimum(at.kv_tokens / self.every, float(self.selects or 2**31))
            core.bytes = core.bytes + at.batch * seen * self.head_dim * at.core_formats.cache
        return core


@formula(unit="pairs", source="definition: a query sees the finished entries, `most` of them at most")
def pooled_pairs(*, query: Number, kv_tokens: Number, every: Number, most: Number) -> Number:
    """Query-entry pairs one head of one sequence scores when `every` tokens make one entry.

    Args:
        query: Queries, the last of the sequence.
        kv_tokens: Tokens in the sequence, the queries included.
        every: Tokens of an entry.
        most: Entries a query looks at, at most.
    """
    return _entries_up_to(kv_tokens, every, most) - _entries_up_to(kv_tokens - query, every, most)


def _entries_up_to(tokens: Number, every: Number, most: Number) -> Number:
    growing = minimum(tokens, most * every)
    whole = floor(growing / every)
    return every * whole * (whole - 1.0) / 2.0 + whole * (growing - whole * every + 1.0) + (tokens - growing) * most


def shared_entries(tokens: Number, every: int) -> Number:
    """Entries of a cache where `every` tokens share one; the last, unfinished ones have none."""
    return tokens if every == 1 else floor(tokens / float(every))
