"""DeepSeek-V4: several residual streams, attention on a window and on pooled entries, a low-rank way out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import attrs

from suanli import Block, CompressedAttention, Compressor, Indexer, Linear, Operator, Pointwise, Product, Tensor
from suanli.building.decoder import SLIDING
from suanli.building.ends import head
from suanli.building.fields import size
from suanli.building.mixtures import ExpertsShape
from suanli.building.parts import heads_of, latent, linear, norm, pointwise, stream
from suanli.tensors import HEAD_DIM, HEADS, HIDDEN, INDEX_HEADS, KV_HEADS, LATENT, Dim, tokens
from suanli_models.dense import SOURCE
from suanli_models.moe import Sparse

SPARSE = "compressed_sparse_attention"
HEAVY = "heavily_compressed_attention"
STREAMS = "streams"


@attrs.frozen(kw_only=True)
class DeepseekV4(Sparse):
    """Experts on every layer, attention of three kinds, streams mixed by learned weights (DeepSeek-V4, 2026).

    Attributes:
        query_rank: Width queries are compressed to.
        out_groups: Groups of heads projected on their own; `out_rank` is the width of each.
        streams: Of the residual.
        index_heads: Of the indexer; the fields below are its.
        sparse_every: Tokens of an entry the indexer picks from.
        heavy_every: Tokens of an entry on the layers that look at all.
    """

    family: ClassVar[str] = "deepseek_v4"
    model_types: ClassVar[tuple[str, ...]] = ("deepseek_v4",)
    source: ClassVar[str] = SOURCE.format("deepseek_v4")
    defaults: ClassVar = (
        {"vocabulary": 129280, "hidden": 4096, "inner": 2048, "layers": 43, "heads": 64, "kv_heads": 1}
        | {"head_dim": 512, "query_rank": 1024, "experts": 256, "top_k": 6, "shared": 1, "window": 128}
        | {"streams": 4, "out_groups": 8, "out_rank": 1024, "index_heads": 64, "index_dim": 128, "selects": 512}
    )

    inner: int = size("moe_intermediate_size", "intermediate_size", "inner")
    query_rank: int = size("q_lora_rank", "query_rank")
    out_groups: int = size("o_groups", "out_groups")
    out_rank: int = size("o_lora_rank", "out_rank")
    streams: int = size("hc_mult", "streams")
    index_heads: int = size("index_n_heads", "index_heads")
    index_dim: int = size("index_head_dim", "index_dim")
    selects: int = size("index_topk", "selects")
    sparse_every: int = size("compress_rate_csa", "sparse_every", default=4)
    heavy_every: int = size("compress_rate_hca", "heavy_every", default=128)

    @classmethod
    def prepare(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """The first files' ``compress_ratios``, a number a layer, as kinds; rates out of their table."""
        found = dict(config)
        rates = config.get("compress_rates")
        if isinstance(rates, Mapping):
            for key, name in (("compress_rate_csa", SPARSE), ("compress_rate_hca", HEAVY)):
                if name in rates:
                    found.setdefault(key, rates[name])
        ratios = config.get("compress_ratios")
        if isinstance(ratios, list) and config.get("layer_types") is None:
            kinds = {0: SLIDING, 4: SPARSE, 128: HEAVY}
            found["layer_types"] = [kinds.get(r, str(r)) if isinstance(r, int) else str(r) for r in ratios]
        return found

    def check(self) -> Iterable[str]:
        """Groups must divide the heads."""
        yield from Sparse.check(self)
        if self.heads % self.out_groups:
            yield f"out_groups: {self.out_groups} does not divide {self.heads} heads"

    def pattern(self, layer: int) -> str:
        """Two heavily compressed layers, then one of each kind in turn."""
        return SPARSE if layer >= 2 and (layer - 2) % 2 else HEAVY

    def kind(self, layer: int) -> str:
        """Layers past the last look at a window only."""
        return Sparse.kind(self, layer) if layer < self.layers else SLIDING

    def label(self, layer: int) -> str:
        """What a layer is called."""
        return {SPARSE: "sparse_decoder", HEAVY: "heavy_decoder"}.get(self.kind(layer), "decoder")

    def mixture(self, layer: int) -> ExpertsShape:
        """As wide as stated; one shared expert, whatever their number."""
        shape = Sparse.mixture(self, layer)
        return attrs.evolve(shape, inner=self.inner, shared=self.inner, shared_bias=self.inner_bias)

    def _pooled(self, name: str, reads: Tensor, width: int, every: int, *, overlap: bool) -> tuple[Operator, ...]:
        wide = width * (2 if overlap else 1)
        value, weight = latent(f"{name}.in", wide), latent(f"{name}.weight", wide)
        out, normed = latent(f"{name}.entry", width), latent(f"{name}.entry.normed", width)
        return (
            linear(f"{name}_in", "attention", reads, value, weight),
            Compressor(
                name=name,
                group="attention",
                reads=(value, weight),
                writes=(out,),
                every=every,
                width=width,
                overlap=overlap,
            ),
            norm(f"{name}_norm", out, normed),
        )

    def _indexed(self, reads: Tensor, low: Tensor) -> tuple[Operator, ...]:
        q = heads_of("index.query", self.index_heads, self.index_dim, INDEX_HEADS)
        weights = Tensor(name="index.weights", dims=tokens(Dim(INDEX_HEADS, self.index_heads)))
        return (
            *self._pooled("index", reads, self.index_dim, self.sparse_every, overlap=True),
            linear("index_query", "attention", low, q),
            linear("index_weights", "attention", reads, weights),
            Indexer(
                name="indexer",
                group="attention_core",
                reads=(q, latent("index.entry.normed", self.index_dim), weights),
                heads=self.index_heads,
                head_dim=self.index_dim,
                every=self.sparse_every,
                summed=False,
                caches=False,
            ),
        )

    def attend(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """Queries through a latent, one key that is also the value, what the layer pools, a low-rank way out."""
        kind, width = self.kind(layer), self.width
        every = {SPARSE: self.sparse_every, HEAVY: self.heavy_every}.get(kind, 0)
        down, low = latent("query_latent", self.query_rank), latent("query_latent.normed", self.query_rank)
        q, normed_q = heads_of("query", self.heads, width), heads_of("query.normed", self.heads, width)
        kv, normed = heads_of("key", 1, width, KV_HEADS), heads_of("key.normed", 1, width, KV_HEADS)
        out = heads_of("attended", self.heads, width)
        packed = Tensor(name="attended.low", dims=tokens(Dim(HEADS, self.out_groups), Dim(LATENT, self.out_rank)))
        found: list[Operator] = [
            linear("query_down", "attention", reads, down),
            norm("query_norm", down, low),
            linear("query_up", "attention", low, q),
            pointwise("query_up_norm", "norm", (q,), normed_q),
            linear("key_value", "attention", reads, kv),
            norm("key_norm", kv, normed),
        ]
        if every:
            found += self._pooled("pool", reads, width, every, overlap=kind == SPARSE)
        if kind == SPARSE:
            found += self._indexed(reads, low)
        found += [
            CompressedAttention(
                name="core",
                group="attention_core",
                reads=(normed_q, normed, normed),
                writes=(out,),
                heads=self.heads,
                kv_heads=1,
                head_dim=width,
                reach=self.window or 0,
                sinks=True,
                every=every,
                selects=self.selects if kind == SPARSE else 0,
            ),
            # Each group of heads has a projection of its own: as many products, each that much narrower.
            Linear(
                name="out_down",
                group="attention",
                reads=(out,),
                writes=(packed,),
                inputs=(Dim("grouped_heads", self.heads // self.out_groups), Dim(HEAD_DIM, width)),
            ),
            linear("out_up", "attention", packed, writes),
        ]
        return tuple(found)

    def _mixing(self, name: str, x: Tensor, collapsed: Tensor) -> tuple[Operator, ...]:
        """Weights that collapse, expand and mix the streams, made of all of them at once."""
        n, h = self.streams, self.hidden
        every = (Dim(STREAMS, n), Dim(HIDDEN, h))
        weights = Tensor(name=f"{name}.weights", dims=tokens(Dim(LATENT, (2 + n) * n)), format="fp32")
        scaled = attrs.evolve(weights, name=f"{name}.scaled")
        group = "hyper_connection"
        return (
            Linear(name=f"{name}_mix", group=group, reads=(x,), writes=(weights,), inputs=every),
            Pointwise(name=f"{name}_base", group=group, reads=(weights,), writes=(scaled,), width=weights.dims[2:]),
            Pointwise(name=f"{name}_scale", group=group, reads=(scaled,), writes=(weights,), width=(Dim("scales", 3),)),
            pointwise(f"{name}_collapse", group, (x, weights), collapsed),
        )

    def _expanded(self, name: str, x: Tensor, branch: Tensor, out: Tensor) -> tuple[Operator, ...]:
        """The streams mixed with each other, and the branch added to each."""
        n, group = self.streams, "hyper_connection"
        mixed = attrs.evolve(x, name=f"{name}.mixed")
        return (
            Product(name=f"{name}_mixed", group=group, reads=(x,), writes=(mixed,), rows=n, inner=n, outer=self.hidden),
            pointwise(f"{name}_expand", "residual", (mixed, branch), out, keeps=False),
        )

    def _streams(self, name: str) -> Tensor:
        return Tensor(name=name, dims=tokens(Dim(STREAMS, self.streams), Dim(HIDDEN, self.hidden)))

    def decoder(self, layer: int) -> Block:
        """One layer on all the streams."""
        x = self._streams("stream")
        return Block(name=self.label(layer), checkpoint=x, operators=self.wired(layer, x, self._streams("next")))

    def wired(self, layer: int, x: Tensor, z: Tensor) -> tuple[Operator, ...]:
        """Collapse, norm, attention, expand; the same around the experts."""
        h = self.hidden
        a, a1, branch = stream("attention.one", h), stream("attention.in", h), stream("attention.out", h)
        m, m1, inner, y = stream("mlp.one", h), stream("mlp.in", h), stream("mlp.out", h), self._streams("middle")
        return (
            *self._mixing("attention", x, a),
            norm("attention_norm", a, a1),
            *self.attend(layer, a1, branch),
            *self._expanded("attention", x, branch, y),
            *self._mixing("mlp", y, m),
            norm("mlp_norm", m, m1),
            *self.mixer(layer, m1, inner),
            *self._expanded("mlp", y, inner, z),
        )

    def head(self) -> Block:
        """The streams collapsed, then norm, logits, loss."""
        plain, n = head(self.vocabulary, self.hidden, tied=self.tied), self.streams
        last, group = self._streams("streams"), "hyper_connection"
        weights = Tensor(name="head.weights", dims=tokens(Dim(LATENT, n)), format="fp32")
        scaled = attrs.evolve(weights, name="head.scaled")
        first: tuple[Operator, ...] = (
            Linear(name="head_mix", group=group, reads=(last,), writes=(weights,), inputs=last.dims[2:]),
            Pointwise(name="head_base", group=group, reads=(weights,), writes=(scaled,), width=weights.dims[2:]),
            Pointwise(name="head_scale", group=group, reads=(scaled,), writes=(weights,), width=(Dim("scales", 1),)),
            pointwise("head_collapse", group, (last, weights), plain.operators[0].reads[0]),
        )
        return attrs.evolve(plain, operators=(*first, *plain.operators))

    def drafts(self) -> tuple[Block, ...]:
        """Left out: its module joins all the streams, in a way its configuration does not say."""
        return ()
