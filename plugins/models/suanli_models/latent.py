"""Multi-head latent attention: DeepSeek-V2 to V3.2, Kimi-K2, GLM-4.7-Flash and GLM-5, MiniCPM3, LongCat."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import attrs

from suanli import Indexer, LatentAttention, Operator, Tensor
from suanli.building.fields import maybe, size, switch
from suanli.building.mixtures import ExpertsShape
from suanli.building.parts import heads_of, latent, linear, norm
from suanli.tensors import INDEX_HEADS, Dim, tokens
from suanli_models.dense import SOURCE, Llama
from suanli_models.moe import Sparse


@attrs.frozen(kw_only=True)
class LatentShape:
    """What one layer's latent attention looks like.

    Attributes:
        heads: Query heads.
        query_rank: Width queries are compressed to; 0 for queries made directly.
        rank: Width keys and values are compressed to.
        plain_dim: Width of a head's part that positions do not rotate.
        rope_dim: Width of the part they rotate; keys share one.
        value_dim: Width of a head of values.
        bias: Whether the compressing and the last projections have biases.
        index_heads: Of the indexer that picks keys; 0 for none.
        index_dim: Width of one.
        selects: Keys it picks.
    """

    heads: int
    query_rank: int
    rank: int
    plain_dim: int
    rope_dim: int
    value_dim: int
    bias: bool = False
    index_heads: int = 0
    index_dim: int = 0
    selects: int = 0


def latent_attention(reads: Tensor, writes: Tensor, shape: LatentShape) -> tuple[Operator, ...]:
    """Queries, keys and values through their latents, the indexer where there is one, the core, the way back."""
    heads, wide = shape.heads, shape.plain_dim + shape.rope_dim
    q = heads_of("query", heads, wide)
    k, v = heads_of("key", heads, shape.plain_dim), heads_of("value", heads, shape.value_dim)
    down, packed = latent("kv_latent", shape.rank), latent("kv_latent.normed", shape.rank)
    turned = latent("key.rotated", shape.rope_dim)
    out = heads_of("attended", heads, shape.value_dim)
    source = reads
    found: list[Operator] = []
    if shape.query_rank:
        low = latent("query_latent", shape.query_rank)
        source = latent("query_latent.normed", shape.query_rank)
        found += [linear("query_down", "attention", reads, low, bias=shape.bias), norm("query_norm", low, source)]
    found += [
        linear("query_up", "attention", source, q),
        linear("kv_down", "attention", reads, down, turned, bias=shape.bias),
        norm("kv_norm", down, packed),
        linear("kv_up", "attention", packed, k, v),
    ]
    if shape.index_heads:
        found += _indexer(reads, source, shape)
    found += [
        LatentAttention(
            name="core",
            group="attention_core",
            reads=(q, k, v, turned),
            writes=(out,),
            heads=heads,
            kv_heads=heads,
            head_dim=wide,
            value_dim=shape.value_dim,
            rank=shape.rank,
            rope_dim=shape.rope_dim,
            selects=shape.selects,
        ),
        linear("out", "attention", out, writes, bias=shape.bias),
    ]
    return tuple(found)


def _indexer(reads: Tensor, source: Tensor, shape: LatentShape) -> tuple[Operator, ...]:
    q = heads_of("index.query", shape.index_heads, shape.index_dim, INDEX_HEADS)
    k, normed = latent("index.key", shape.index_dim), latent("index.key.normed", shape.index_dim)
    weights = Tensor(name="index.weights", dims=tokens(Dim(INDEX_HEADS, shape.index_heads)))
    return (
        linear("index_query", "attention", source, q),
        linear("index_key", "attention", reads, k),
        norm("index_norm", k, normed, kind="layer"),
        linear("index_weights", "attention", reads, weights),
        Indexer(
            name="indexer",
            group="attention_core",
            reads=(q, normed, weights),
            heads=shape.index_heads,
            head_dim=shape.index_dim,
        ),
    )


@attrs.frozen(kw_only=True)
class DeepseekV2(Sparse):
    """Latent attention, and small experts beside shared ones (DeepSeek-V2, 2024).

    Attributes:
        query_rank: Width queries are compressed to; not at all where null.
        rank: Width keys and values are compressed to.
        plain_dim: Width of a head's part that positions do not rotate.
        rope_dim: Width of the part they rotate.
        value_dim: Width of a head of values.
    """

    wide_router: ClassVar[bool] = True
    family: ClassVar[str] = "deepseek_v2"
    model_types: ClassVar[tuple[str, ...]] = ("deepseek_v2", "deepseek_vl_v2")
    gguf_names: ClassVar[tuple[str, ...]] = ("deepseek2",)
    source: ClassVar[str] = f"DeepSeek-V2 report 2024; {SOURCE.format('deepseek_v2')}"
    defaults: ClassVar = (
        {"vocabulary": 102400, "hidden": 4096, "inner": 11008, "layers": 32, "heads": 32, "expert_inner": 1407}
        | {"experts": 64, "shared": 2, "query_rank": 1536, "rank": 512, "plain_dim": 128, "rope_dim": 64}
        | {"value_dim": 128}
    )

    query_rank: int | None = maybe("q_lora_rank", "query_rank")
    rank: int = size("kv_lora_rank", "rank")
    plain_dim: int = size("qk_nope_head_dim", "plain_dim")
    rope_dim: int = size("qk_rope_head_dim", "rope_dim")
    value_dim: int = size("v_head_dim", "value_dim")
    biased: bool = switch(False, "attention_bias")

    def check(self) -> Iterable[str]:
        """Heads need not divide the stream."""
        return (f for f in Sparse.check(self) if not f.startswith("hidden"))

    def latents(self, layer: int) -> LatentShape:
        """The attention of a layer."""
        return LatentShape(
            heads=self.heads,
            query_rank=self.query_rank or 0,
            rank=self.rank,
            plain_dim=self.plain_dim,
            rope_dim=self.rope_dim,
            value_dim=self.value_dim,
            bias=self.biased,
        )

    def attend(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """The attention of a layer."""
        return latent_attention(reads, writes, self.latents(layer))

    def mixture(self, layer: int) -> ExpertsShape:
        """Biases of the shared experts where the feed-forward has them."""
        return attrs.evolve(Sparse.mixture(self, layer), shared_bias=self.inner_bias)


@attrs.frozen(kw_only=True)
class DeepseekV3(DeepseekV2):
    """DeepSeek-V2 with other routing and modules that predict further ahead (DeepSeek-V3, 2024; Kimi K2, 2025)."""

    family: ClassVar[str] = "deepseek_v3"
    model_types: ClassVar[tuple[str, ...]] = ("deepseek_v3", "kimi_k2", "kimi_vl", "kimi_k25", "deepseek_r1", "axk1")
    gguf_names: ClassVar[tuple[str, ...]] = ("deepseek2",)
    gguf_needs: ClassVar[tuple[str, ...]] = ("exp_probs_b",)
    source: ClassVar[str] = f"DeepSeek-V3 report 2024; {SOURCE.format('deepseek_v3')}"
    defaults: ClassVar = (
        {"vocabulary": 129280, "hidden": 7168, "inner": 18432, "layers": 61, "heads": 128, "expert_inner": 2048}
        | {"experts": 256, "top_k": 8, "shared": 1, "first_dense": 3, "query_rank": 1536, "rank": 512}
        | {"plain_dim": 128, "rope_dim": 64, "value_dim": 128}
    )
    familiar: ClassVar[tuple[str, ...]] = (*Llama.familiar, "kv_lora_rank", "qk_rope_head_dim", "n_routed_experts")
    inner_bias: bool = switch(False, "inner_bias")


@attrs.frozen(kw_only=True)
class DeepseekV32(DeepseekV3):
    """DeepSeek-V3 whose queries look at the keys an indexer picks (DeepSeek-V3.2, 2025; GLM-5, 2026).

    Attributes:
        index_heads: Of the indexer.
        index_dim: Width of one.
        selects: Keys it picks for each query.
    """

    family: ClassVar[str] = "deepseek_v32"
    model_types: ClassVar[tuple[str, ...]] = ("deepseek_v32",)
    source: ClassVar[str] = f"DeepSeek-V3.2 report 2025; {SOURCE.format('deepseek_v32')}"
    defaults: ClassVar = DeepseekV3.defaults | {"index_heads": 64, "index_dim": 128, "selects": 2048}
    familiar: ClassVar[tuple[str, ...]] = (*DeepseekV3.familiar, "index_n_heads", "index_head_dim")

    index_heads: int = size("index_n_heads", "index_heads")
    index_dim: int = size("index_head_dim", "index_dim")
    selects: int = size("index_topk", "selects")

    def picks(self, layer: int) -> bool:
        """Whether a layer has an indexer of its own."""
        return True

    def latents(self, layer: int) -> LatentShape:
        """An indexer beside the attention; a layer without looks at the keys of the one before."""
        heads = self.index_heads if self.picks(layer) else 0
        shape = DeepseekV3.latents(self, layer)
        return attrs.evolve(shape, index_heads=heads, index_dim=self.index_dim, selects=self.selects)
