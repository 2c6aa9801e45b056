"""Mixtures of many small experts: GLM-4.5, dots, Ling, ERNIE, Hunyuan, Llama 4, MiniMax-M2, DBRX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from suanli import Operator, Tensor
from suanli.building.decoder import FULL, SLIDING, Decoder
from suanli.building.fields import maybe, number, numbers, size, some, switch
from suanli.building.mixtures import ExpertsShape, routed_experts
from suanli.building.parts import AttentionShape, feed_forward
from suanli_models.dense import LLAMA, SOURCE, Llama
from suanli_models.moe import Sparse


@attrs.frozen(kw_only=True)
class MiniMaxM2(Sparse):
    """Experts on every layer, queries and keys normed all heads at once (MiniMax-M2, 2025)."""

    family: ClassVar[str] = "minimax_m2"
    model_types: ClassVar[tuple[str, ...]] = ("minimax_m2",)
    source: ClassVar[str] = SOURCE.format("minimax_m2")
    defaults: ClassVar = {
        "vocabulary": 200064,
        "hidden": 3072,
        "inner": 1536,
        "layers": 62,
        "heads": 48,
        "kv_heads": 8,
    } | {"head_dim": 128, "experts": 256, "top_k": 8}
    head_norm: ClassVar[str] = "whole"
    experts: int = size("num_local_experts", "num_experts", "experts")
    ahead: int | None = some("num_mtp_modules", most=100)


@attrs.frozen(kw_only=True)
class Glm4Moe(Sparse):
    """Small experts beside a shared one after a few dense layers (GLM-4.5, 2025).

    Attributes:
        normed_heads: Whether queries and keys are normed head by head.
    """

    wide_router: ClassVar[bool] = True
    family: ClassVar[str] = "glm4_moe"
    model_types: ClassVar[tuple[str, ...]] = ("glm4_moe", "glm4v_moe", "glm4v_moe_text")
    source: ClassVar[str] = f"GLM-4.5 report 2025; {SOURCE.format('glm4_moe')}"
    defaults: ClassVar = {
        "vocabulary": 151552,
        "hidden": 4096,
        "inner": 10944,
        "layers": 46,
        "heads": 96,
        "kv_heads": 8,
    } | {"experts": 128, "top_k": 8, "expert_inner": 1408, "shared": 1, "first_dense": 1}
    familiar: ClassVar[tuple[str, ...]] = (*Llama.familiar, "n_routed_experts", "num_experts_per_tok")
    out_bias: bool = switch(False, "out_bias")
    normed_heads: bool = switch(False, "use_qk_norm")

    def shape(self, layer: int) -> AttentionShape:
        """Norms of queries and keys where stated."""
        return attrs.evolve(Sparse.shape(self, layer), head_norm="head" if self.normed_heads else "")


@attrs.frozen(kw_only=True)
class Dots1(Sparse):
    """Small experts beside shared ones, queries and keys normed head by head (dots.llm1, 2025).

    Attributes:
        full_layers: Layers below the first with a window.
    """

    wide_router: ClassVar[bool] = True
    family: ClassVar[str] = "dots1"
    model_types: ClassVar[tuple[str, ...]] = ("dots1",)
    source: ClassVar[str] = SOURCE.format("dots1")
    defaults: ClassVar = {
        "vocabulary": 152064,
        "hidden": 4608,
        "inner": 10944,
        "layers": 62,
        "heads": 32,
        "kv_heads": 32,
    } | {"expert_inner": 1408, "window": 4096, "full_layers": 62}
    head_norm: ClassVar[str] = "head"
    full_layers: int = number("max_window_layers", "full_layers")

    def pattern(self, layer: int) -> str:
        """The window on layers past `full_layers`."""
        return SLIDING if layer >= self.full_layers else FULL


@attrs.frozen(kw_only=True)
class Deepseek(Sparse):
    """Small experts beside shared ones on plain attention (DeepSeekMoE 16B; Dai et al. 2024).

    Attributes:
        step: Layers from one with experts to the next.
    """

    family: ClassVar[str] = "deepseek"
    model_types: ClassVar[tuple[str, ...]] = ("deepseek",)
    source: ClassVar[str] = "Dai et al. 2024; deepseek-ai/deepseek-moe-16b-base configuration_deepseek.py"
    defaults: ClassVar = {"vocabulary": 102400, "heads": 32, "expert_inner": 1407, "step": 1}
    step: int = size("moe_layer_freq", "step", default=1)

    def routed(self, layer: int) -> bool:
        """Every `step`-th layer after the dense ones."""
        return Sparse.routed(self, layer) and layer % self.step == 0


@attrs.frozen(kw_only=True)
class BailingMoe(Sparse):
    """Small experts beside shared ones (Ling and Ring, 2025), with names of its own for biases and norms."""

    family: ClassVar[str] = "bailing_moe"
    model_types: ClassVar[tuple[str, ...]] = ("bailing_moe", "bailing_moe_v2")
    gguf_names: ClassVar[tuple[str, ...]] = ("bailingmoe", "bailingmoe2")
    source: ClassVar[str] = (
        "inclusionAI/Ling-lite configuration_bailing_moe.py, Ling-mini-2.0 modeling_bailing_moe_v2.py"
    )
    defaults: ClassVar = {"vocabulary": 30592, "heads": 16, "kv_heads": 0, "experts": 16, "top_k": 2}
    qkv_bias: bool = switch(False, "use_qkv_bias", "qkv_bias")
    out_bias: bool = switch(False, "use_bias", "out_bias")
    normed_heads: bool = switch(False, "use_qk_norm")

    def shape(self, layer: int) -> AttentionShape:
        """Norms of queries and keys where stated."""
        return attrs.evolve(Sparse.shape(self, layer), head_norm="head" if self.normed_heads else "")


@attrs.frozen(kw_only=True)
class ErnieMoe(Sparse):
    """ERNIE with experts on the layers between two, beside shared ones (ERNIE 4.5, 2025).

    Attributes:
        first: The first layer with experts.
        last: The last; the model's last where -1.
        step: Layers from one with experts to the next.
    """

    family: ClassVar[str] = "ernie4_5_moe"
    model_types: ClassVar[tuple[str, ...]] = ("ernie4_5_moe",)
    source: ClassVar[str] = SOURCE.format("ernie4_5_moe")
    defaults: ClassVar = {
        "vocabulary": 103424,
        "hidden": 2560,
        "inner": 12288,
        "layers": 28,
        "heads": 20,
        "kv_heads": 4,
    } | {"experts": 64, "top_k": 6, "expert_inner": 1536, "shared": 2, "first": 1, "tied": True}
    experts: int = size("moe_num_experts", "num_experts", "experts")
    top_k: int = size("moe_k", "num_experts_per_tok", "top_k")
    shared: int | None = some("moe_num_shared_experts", most=10_000)
    first: int = number("moe_layer_start_index", default=1)
    last: int = attrs.field(default=-1, metadata={"config": ("moe_layer_end_index",)})
    step: int = size("moe_layer_interval", "step", default=1)
    qkv_bias: bool = switch(False, "use_bias")
    out_bias: bool = switch(False, "use_bias")
    inner_bias: bool = switch(False, "use_bias")

    def biased_head(self) -> bool:
        """Where stated."""
        return self.inner_bias

    def routed(self, layer: int) -> bool:
        """Every `step`-th layer between the first and the last."""
        last = self.layers - 1 if self.last == -1 else self.last
        return (layer + 1) % self.step == 0 and self.first <= layer <= last

    def mixture(self, layer: int) -> ExpertsShape:
        """A learned correction of the router's scores."""
        return attrs.evolve(Sparse.mixture(self, layer), correction=True, shared_bias=self.inner_bias)


@attrs.frozen(kw_only=True)
class HunyuanMoe(Sparse):
    """Experts beside a shared one on every layer, queries and keys normed (Hunyuan-A13B, 2025)."""

    family: ClassVar[str] = "hunyuan_v1_moe"
    model_types: ClassVar[tuple[str, ...]] = ("hunyuan_v1_moe",)
    gguf_names: ClassVar[tuple[str, ...]] = ("hunyuan-moe",)
    source: ClassVar[str] = SOURCE.format("hunyuan_v1_moe")
    defaults: ClassVar = LLAMA | {"vocabulary": 290943, "experts": 1, "top_k": 1}
    head_norm: ClassVar[str] = "head"
    experts: int = size("num_experts", "num_local_experts", "experts")
    top_k: int = size("moe_topk", "num_experts_per_tok", "top_k")
    inner_bias: bool = switch(False, "inner_bias")

    @classmethod
    def prepare(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Numbers a layer that are all alike, as one number."""
        keys = ("moe_topk", "moe_intermediate_size", "num_shared_expert")
        alike = {
            k: config[k][0] for k in keys if isinstance(config.get(k), list) and len(set(map(str, config[k]))) == 1
        }
        return {**config, **alike}

    def mixture(self, layer: int) -> ExpertsShape:
        """A shared expert of the feed-forward's own width."""
        return attrs.evolve(Sparse.mixture(self, layer), inner=self.inner, shared=self.inner)


@attrs.frozen(kw_only=True)
class Llama4(Sparse):
    """Experts beside a shared one on some layers, attention in chunks on three of four (Llama 4, 2025).

    Attributes:
        dense_inner: Width of the feed-forward of a layer without experts.
        step: Layers from one with experts to the next.
        moe_layers: Layers with experts, where listed.
        chunk: Tokens of a chunk.
        turned: For each layer 1 where positions rotate, and attention stays in its chunk.
        every: Layers from one without rotation to the next, where they are not listed.
    """

    family: ClassVar[str] = "llama4"
    model_types: ClassVar[tuple[str, ...]] = ("llama4_text", "llama4")
    source: ClassVar[str] = SOURCE.format("llama4")
    defaults: ClassVar = {
        "vocabulary": 202048,
        "hidden": 5120,
        "inner": 8192,
        "dense_inner": 16384,
        "layers": 48,
        "heads": 40,
    } | {"kv_heads": 8, "head_dim": 128, "experts": 16, "top_k": 1, "step": 1, "chunk": 8192}
    experts: int = size("num_local_experts", "num_experts", "experts")
    dense_inner: int = size("intermediate_size_mlp", "dense_inner")
    step: int = size("interleave_moe_layer_step", "step", default=1)
    moe_layers: tuple[int, ...] | None = attrs.field(default=None, metadata={"config": ("moe_layers",), "null": True})
    chunk: int | None = maybe("attention_chunk_size", "chunk")
    turned: tuple[int, ...] = numbers("no_rope_layers")
    every: int = size("no_rope_layer_interval", default=4)

    def pattern(self, layer: int) -> str:
        """In chunks where positions rotate."""
        turns = self.turned[layer] if layer < len(self.turned) else (layer + 1) % self.every
        return "chunked_attention" if turns else FULL

    def shape(self, layer: int) -> AttentionShape:
        """In chunks where positions rotate."""
        chunk = (self.chunk or 0) if self.kind(layer) == "chunked_attention" else 0
        return attrs.evolve(Sparse.shape(self, layer), chunk=chunk, rotary=chunk > 0)

    def routed(self, layer: int) -> bool:
        """Every `step`-th layer, or those listed."""
        if self.moe_layers is not None:
            return layer in self.moe_layers
        return (layer + 1) % self.step == 0

    def mixture(self, layer: int) -> ExpertsShape:
        """One shared expert as wide as the others."""
        return attrs.evolve(Sparse.mixture(self, layer), inner=self.inner, shared=self.inner)

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """Experts, or a wider feed-forward."""
        if self.routed(layer):
            return routed_experts(reads, writes, self.mixture(layer))
        return feed_forward(reads, writes, inner=self.dense_inner)


@attrs.frozen(kw_only=True)
class Dbrx(Decoder):
    """Layer norms without biases and sixteen large experts (DBRX, 2024).

    Attributes:
        inner: Width of an expert.
        experts: In each layer.
        top_k: A token goes to.
    """

    family: ClassVar[str] = "dbrx"
    model_types: ClassVar[tuple[str, ...]] = ("dbrx",)
    source: ClassVar[str] = SOURCE.format("dbrx")
    defaults: ClassVar = {
        "vocabulary": 32000,
        "hidden": 2048,
        "layers": 24,
        "heads": 16,
        "inner": 3584,
        "experts": 4,
        "top_k": 1,
    } | {"kv_heads": 1}
    inner: int = size("ffn_hidden_size", "inner")
    experts: int = size("moe_num_experts", "experts")
    top_k: int = size("moe_top_k", "top_k")

    @classmethod
    def prepare(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Its tables of attention and feed-forward opened."""
        found = dict(config)
        for key, names in (
            ("attn_config", {"kv_n_heads": "kv_heads"}),
            ("ffn_config", {n: n for n in ("ffn_hidden_size", "moe_num_experts", "moe_top_k")}),
        ):
            inner = config.get(key)
            if isinstance(inner, Mapping):
                found |= {new: inner[old] for old, new in names.items() if old in inner}
        return found

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """Experts on every layer."""
        shape = ExpertsShape(experts=self.experts, top_k=self.top_k, inner=self.inner)
        return routed_experts(reads, writes, shape)
