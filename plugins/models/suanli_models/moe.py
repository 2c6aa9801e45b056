"""Mixtures of experts: Mixtral, Qwen2-MoE, Qwen3-MoE."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import attrs
from attrs.validators import deep_iterable, ge

from suanli import Operator, Tensor
from suanli_models.decoder import feed_forward, maybe, routed_experts, size, switch
from suanli_models.dense import Llama, Mistral, Qwen2


@attrs.frozen(kw_only=True)
class Mixtral(Mistral):
    """Mistral whose every feed-forward is a mixture of experts (Jiang et al. 2024).

    Attributes:
        experts: In each layer.
        top_k: A token goes to.
    """

    family: ClassVar[str] = "mixtral"
    model_types: ClassVar[tuple[str, ...]] = ("mixtral",)
    source: ClassVar[str] = "Jiang et al. 2024; huggingface/transformers modeling_mixtral"

    experts: int = size("num_local_experts", "experts")
    top_k: int = size("num_experts_per_tok", "top_k")

    def check(self) -> Iterable[str]:
        """A token cannot go to more experts than there are."""
        yield from Llama.check(self)
        if self.top_k > self.experts:
            yield f"top_k: {self.top_k} is more than the {self.experts} experts"

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """The experts of a layer."""
        return routed_experts(
            reads, writes, hidden=self.hidden, experts=self.experts, top_k=self.top_k, inner=self.inner
        )


@attrs.frozen(kw_only=True)
class Qwen2Moe(Qwen2):
    """Qwen2 with routed experts on some layers and a shared expert beside them (Qwen1.5-MoE, 2024).

    Attributes:
        experts: In each layer that has them.
        top_k: A token goes to.
        expert_inner: Width of an expert.
        shared_inner: Width of the shared expert.
        step: Layers from one with experts to the next.
        plain_layers: Layers without experts.
    """

    family: ClassVar[str] = "qwen2_moe"
    model_types: ClassVar[tuple[str, ...]] = ("qwen2_moe",)
    source: ClassVar[str] = "Qwen team 2024, Qwen1.5-MoE; huggingface/transformers modeling_qwen2_moe"

    experts: int = size("num_experts", "experts")
    top_k: int = size("num_experts_per_tok", "top_k")
    expert_inner: int = size("moe_intermediate_size", "expert_inner")
    shared_inner: int | None = maybe("shared_expert_intermediate_size", "shared_inner")
    step: int = size("decoder_sparse_step", "step", default=1)
    plain_layers: tuple[int, ...] = attrs.field(
        default=(), validator=deep_iterable(ge(0)), metadata={"config": ("mlp_only_layers", "plain_layers")}
    )
    shared_gate: ClassVar[bool] = True

    def check(self) -> Iterable[str]:
        """A token cannot go to more experts than there are."""
        yield from Llama.check(self)
        if self.top_k > self.experts:
            yield f"top_k: {self.top_k} is more than the {self.experts} experts"

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """Experts on every `step`-th layer that is not a plain one."""
        if layer in self.plain_layers or (layer + 1) % self.step:
            return feed_forward(reads, writes, hidden=self.hidden, inner=self.inner)
        return routed_experts(
            reads,
            writes,
            hidden=self.hidden,
            experts=self.experts,
            top_k=self.top_k,
            inner=self.expert_inner,
            shared=self.shared_inner or 0,
            shared_gate=self.shared_gate,
        )


@attrs.frozen(kw_only=True)
class Qwen3Moe(Qwen2Moe):
    """Qwen2-MoE without the shared expert, queries and keys normed head by head (Qwen3 report, 2025)."""

    family: ClassVar[str] = "qwen3_moe"
    model_types: ClassVar[tuple[str, ...]] = ("qwen3_moe",)
    source: ClassVar[str] = "Qwen3 technical report 2025; huggingface/transformers modeling_qwen3_moe"
    head_norm: ClassVar[bool] = True

    head_dim: int | None = maybe("head_dim")
    qkv_bias: bool = switch(False, "attention_bias", "qkv_bias")
    out_bias: bool = switch(False, "attention_bias", "out_bias")
