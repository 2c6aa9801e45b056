"""Mixtures of experts on grouped-query attention."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import attrs

from suanli import Operator, Tensor
from suanli.building.decoder import FULL, SLIDING
from suanli.building.fields import kinds, maybe, number, numbers, size, some, switch
from suanli.building.mixtures import ExpertsShape, routed_experts
from suanli.building.parts import AttentionShape
from suanli_models.dense import LLAMA, SOURCE, Llama


@attrs.frozen(kw_only=True)
class Sparse(Llama):
    """A decoder whose feed-forward is a mixture of experts on some layers; the families of them derive from this.

    Attributes:
        experts: In each layer that has them.
        top_k: A token goes to.
        expert_inner: Width of one; the feed-forward's where not given.
        shared: Experts every token goes to, besides.
        first_dense: Layers before the first with experts.
        mlp_kinds: For each layer ``"dense"`` or ``"sparse"``, where the configuration lists them.
        wide_router: Whether plain modules take the router's product in fp32.
    """

    wide_router: ClassVar[bool] = False

    experts: int = size("n_routed_experts", "num_experts", "num_local_experts", "experts")
    top_k: int = size("num_experts_per_tok", "num_experts_per_token", "top_k")
    expert_inner: int | None = maybe("moe_intermediate_size", "expert_inner")
    shared: int | None = some("n_shared_experts", "num_shared_experts", "shared", most=10_000)
    first_dense: int = number("first_k_dense_replace", "first_dense")
    mlp_kinds: tuple[str, ...] | None = kinds("mlp_layer_types")

    def check(self) -> Iterable[str]:
        """A token cannot go to more experts than there are."""
        yield from Llama.check(self)
        if self.top_k > self.experts > 0:
            yield f"top_k: {self.top_k} is more than the {self.experts} experts"

    def routed(self, layer: int) -> bool:
        """Whether a layer has experts."""
        if self.mlp_kinds is not None and layer < len(self.mlp_kinds):
            return self.mlp_kinds[layer] != "dense"
        return layer >= self.first_dense

    def mixture(self, layer: int) -> ExpertsShape:
        """The experts of a layer."""
        inner = self.expert_inner or self.inner
        return ExpertsShape(
            experts=self.experts,
            top_k=self.top_k,
            inner=inner,
            gated=self.gated,
            shared=(self.shared or 0) * inner,
            wide_router=self.wide_router,
        )

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """Experts, or the plain feed-forward of a layer that has none."""
        if self.routed(layer):
            return routed_experts(reads, writes, self.mixture(layer))
        return Llama.mixer(self, layer, reads, writes)

    def label(self, layer: int) -> str:
        """Whether the layer is sparse."""
        return "decoder" if self.routed(layer) else "dense_decoder"


@attrs.frozen(kw_only=True)
class Mixtral(Sparse):
    """Mistral whose every feed-forward is a mixture of experts (Jiang et al. 2024)."""

    family: ClassVar[str] = "mixtral"
    model_types: ClassVar[tuple[str, ...]] = ("mixtral",)
    gguf_names: ClassVar[tuple[str, ...]] = ("llama",)
    gguf_needs: ClassVar[tuple[str, ...]] = ("ffn_gate_inp",)
    source: ClassVar[str] = f"Jiang et al. 2024; {SOURCE.format('mixtral')}"
    defaults: ClassVar = LLAMA | {"inner": 14336, "kv_heads": 8, "experts": 8, "top_k": 2}
    familiar: ClassVar[tuple[str, ...]] = (*Llama.familiar, "num_local_experts", "num_experts_per_tok")

    experts: int = size("num_local_experts", "num_experts", "experts")
    expert_inner: int | None = maybe("expert_inner")

    def pattern(self, layer: int) -> str:
        """The window, where there is one, on every layer."""
        return SLIDING


@attrs.frozen(kw_only=True)
class Qwen2Moe(Sparse):
    """Qwen2 with routed experts on some layers and a shared expert beside them (Qwen1.5-MoE, 2024).

    Attributes:
        shared_inner: Width of the shared expert; none where 0.
        step: Layers from one with experts to the next.
        plain_layers: Layers without experts.
        windowed: Whether windows are used at all.
        full_layers: Layers from which on none has a window.
    """

    family: ClassVar[str] = "qwen2_moe"
    model_types: ClassVar[tuple[str, ...]] = ("qwen2_moe",)
    source: ClassVar[str] = f"Qwen team 2024, Qwen1.5-MoE; {SOURCE.format('qwen2_moe')}"
    defaults: ClassVar = {
        "vocabulary": 151936,
        "hidden": 2048,
        "inner": 5632,
        "layers": 24,
        "heads": 16,
        "kv_heads": 16,
    } | {"experts": 60, "top_k": 4, "expert_inner": 1408, "shared_inner": 5632, "window": 4096, "full_layers": 28}
    shared_gate: ClassVar[bool] = True

    qkv_bias: bool = switch(True, "qkv_bias")
    out_bias: bool = switch(False, "out_bias")
    inner_bias: bool = switch(False, "inner_bias")
    experts: int = size("num_experts", "num_local_experts", "experts")
    shared_inner: int | None = some("shared_expert_intermediate_size", "shared_inner")
    step: int = size("decoder_sparse_step", "step", default=1)
    plain_layers: tuple[int, ...] = numbers("mlp_only_layers", "plain_layers")
    windowed: bool = switch(False, "use_sliding_window")
    full_layers: int = number("max_window_layers", "full_layers")

    def pattern(self, layer: int) -> str:
        """Every other layer below `full_layers`."""
        return SLIDING if (layer + 1) % 2 and layer < self.full_layers else FULL

    def reach(self, layer: int) -> int:
        """The window, where windows are used."""
        return Sparse.reach(self, layer) if self.windowed else 0

    def routed(self, layer: int) -> bool:
        """Experts on every `step`-th layer that is not a plain one."""
        return layer not in self.plain_layers and (layer + 1) % self.step == 0

    def mixture(self, layer: int) -> ExpertsShape:
        """The shared expert has a width, and a gate, of its own."""
        shape = Sparse.mixture(self, layer)
        return attrs.evolve(shape, shared=self.shared_inner or 0, shared_gate=self.shared_gate)


@attrs.frozen(kw_only=True)
class Qwen3Moe(Qwen2Moe):
    """Qwen2-MoE without the shared expert, queries and keys normed head by head (Qwen3 report, 2025)."""

    family: ClassVar[str] = "qwen3_moe"
    model_types: ClassVar[tuple[str, ...]] = ("qwen3_moe",)
    source: ClassVar[str] = f"Qwen3 technical report 2025; {SOURCE.format('qwen3_moe')}"
    defaults: ClassVar = {
        "vocabulary": 151936,
        "hidden": 2048,
        "inner": 6144,
        "layers": 24,
        "heads": 32,
        "kv_heads": 4,
    } | {"experts": 128, "top_k": 8, "expert_inner": 768, "window": 4096}
    head_norm: ClassVar[str] = "head"

    qkv_bias: bool = switch(False, "attention_bias", "qkv_bias")
    out_bias: bool = switch(False, "attention_bias", "out_bias")
    shared_inner: int | None = maybe("shared_inner")

    def pattern(self, layer: int) -> str:
        """The window, where windows are used, on every layer."""
        return SLIDING


@attrs.frozen(kw_only=True)
class Qwen3VlMoe(Qwen3Moe):
    """The language model of Qwen3-VL's mixtures (2025)."""

    family: ClassVar[str] = "qwen3_vl_moe"
    model_types: ClassVar[tuple[str, ...]] = ("qwen3_vl_moe", "qwen3_vl_moe_text", "qwen3_omni_moe_text")
    source: ClassVar[str] = SOURCE.format("qwen3_vl_moe")
    defaults: ClassVar = Qwen2Moe.defaults | {"tied": True}


@attrs.frozen(kw_only=True)
class Olmoe(Sparse):
    """Mixture of small experts that norms queries and keys, all heads at once (Muennighoff et al. 2024)."""

    family: ClassVar[str] = "olmoe"
    model_types: ClassVar[tuple[str, ...]] = ("olmoe",)
    source: ClassVar[str] = f"Muennighoff et al. 2024; {SOURCE.format('olmoe')}"
    defaults: ClassVar = {
        "vocabulary": 50304,
        "hidden": 2048,
        "inner": 2048,
        "layers": 16,
        "heads": 16,
        "experts": 64,
        "top_k": 8,
    }
    head_norm: ClassVar[str] = "whole"
    experts: int = size("num_experts", "num_local_experts", "experts")


@attrs.frozen(kw_only=True)
class PhiMoe(Mixtral):
    """Mixtral with layer norms and a choice of biases (Phi-3.5-MoE, 2024)."""

    family: ClassVar[str] = "phimoe"
    model_types: ClassVar[tuple[str, ...]] = ("phimoe",)
    source: ClassVar[str] = SOURCE.format("phimoe")
    defaults: ClassVar = LLAMA | {"vocabulary": 32064, "inner": 6400, "kv_heads": 8, "experts": 16, "top_k": 2}
    familiar: ClassVar[tuple[str, ...]] = ()
    norms: ClassVar[str] = "layer"
    logits_bias: bool = switch(False, "lm_head_bias")

    def biased_head(self) -> bool:
        """Where stated."""
        return self.logits_bias


@attrs.frozen(kw_only=True)
class GraniteMoe(Sparse):
    """Granite with experts on every layer, and a shared one in later models (Granite 3 MoE, 2024)."""

    family: ClassVar[str] = "granitemoe"
    model_types: ClassVar[tuple[str, ...]] = ("granitemoe", "granitemoeshared")
    source: ClassVar[str] = f"{SOURCE.format('granitemoe')}; {SOURCE.format('granitemoeshared')}"
    defaults: ClassVar = LLAMA | {"experts": 8, "top_k": 2}
    shared_inner: int = number("shared_intermediate_size", "shared_inner")
    experts: int = size("num_local_experts", "num_experts", "experts")

    def mixture(self, layer: int) -> ExpertsShape:
        """The shared expert has a width of its own."""
        return attrs.evolve(Sparse.mixture(self, layer), shared=self.shared_inner)


@attrs.frozen(kw_only=True)
class GptOss(Sparse):
    """Biases and attention sinks, a window on every other layer (gpt-oss, 2025)."""

    family: ClassVar[str] = "gpt_oss"
    model_types: ClassVar[tuple[str, ...]] = ("gpt_oss",)
    gguf_names: ClassVar[tuple[str, ...]] = ("gpt-oss",)
    source: ClassVar[str] = f"OpenAI 2025, gpt-oss model card; {SOURCE.format('gpt_oss')}"
    defaults: ClassVar = {
        "vocabulary": 201088,
        "hidden": 2880,
        "inner": 2880,
        "layers": 36,
        "heads": 64,
        "kv_heads": 8,
    } | {"head_dim": 64, "experts": 128, "top_k": 4, "window": 128, "qkv_bias": True, "out_bias": True}
    experts: int = size("num_local_experts", "num_experts", "experts")

    def pattern(self, layer: int) -> str:
        """The window on every other layer, the first included."""
        return SLIDING if (layer + 1) % 2 else FULL

    def shape(self, layer: int) -> AttentionShape:
        """A sink for each head."""
        return attrs.evolve(Sparse.shape(self, layer), sinks=True)

    def mixture(self, layer: int) -> ExpertsShape:
        """Biases everywhere."""
        return attrs.evolve(Sparse.mixture(self, layer), bias=True, router_bias=True)
