"""State-space layers with attention among them: Bamba, Jamba, Granite 4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from suanli import Operator, Tensor
from suanli.building.decoder import FULL
from suanli.building.fields import maybe, number, numbers, size, switch
from suanli.building.mixtures import ExpertsShape, routed_experts
from suanli.building.parts import attention, feed_forward
from suanli_models.dense import LLAMA, SOURCE
from suanli_models.moe import GraniteMoe, Sparse
from suanli_models.recurrent import StateSpace, mamba, mamba2
from suanli_models.state_space import LINEAR, renamed


@attrs.frozen(kw_only=True)
class Bamba(Sparse):
    """Mamba-2 layers with attention among them, a feed-forward after each (Bamba, 2024).

    Attributes:
        ssm_heads: Heads of a state-space layer; the fields below are its.
    """

    family: ClassVar[str] = "bamba"
    model_types: ClassVar[tuple[str, ...]] = ("bamba",)
    source: ClassVar[str] = SOURCE.format("bamba")
    defaults: ClassVar = {
        "vocabulary": 128000,
        "hidden": 4096,
        "inner": 14336,
        "layers": 32,
        "heads": 32,
        "kv_heads": 8,
    } | {"ssm_heads": 128, "groups": 1, "state": 256}

    experts: int = number("num_local_experts", "num_experts", "experts")
    top_k: int = number("num_experts_per_tok", "top_k")
    ssm_heads: int = size("mamba_n_heads", "ssm_heads")
    ssm_dim: int | None = maybe("mamba_d_head", "ssm_dim")
    groups: int = size("mamba_n_groups", "groups")
    state: int = size("mamba_d_state", "state")
    taps: int = size("mamba_d_conv", "taps", default=4)
    expand: int = size("mamba_expand", "expand", default=2)
    chunk: int = size("mamba_chunk_size", "chunk", default=256)
    conv_bias: bool = switch(True, "mamba_conv_bias", "conv_bias")
    ssm_bias: bool = switch(False, "mamba_proj_bias", "ssm_bias")
    attention_layers: tuple[int, ...] = numbers("attn_layer_indices")

    @classmethod
    def prepare(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Older words for the kinds of layers; ``"auto"`` is no number."""
        return renamed(config, "layer_types", "layers_block_type")

    def pattern(self, layer: int) -> str:
        """Attention where listed."""
        return FULL if layer in self.attention_layers else LINEAR

    def routed(self, layer: int) -> bool:
        """No layer, unless there are experts."""
        return self.experts > 0

    def attend(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """Attention, or the state-space layer."""
        if self.kind(layer) == FULL:
            return Sparse.attend(self, layer, reads, writes)
        width = self.ssm_dim or self.expand * self.hidden // self.ssm_heads
        shape = StateSpace(
            heads=self.ssm_heads,
            head_dim=width,
            state=self.state,
            groups=self.groups,
            taps=self.taps,
            conv_bias=self.conv_bias,
            bias=self.ssm_bias,
            chunk=self.chunk,
        )
        return mamba2(reads, writes, shape)

    def label(self, layer: int) -> str:
        """What a layer is called."""
        return "decoder" if self.kind(layer) == FULL else "mamba"


@attrs.frozen(kw_only=True)
class GraniteHybrid(Bamba):
    """Granite's layers, Mamba-2 or attention, with experts beside a shared feed-forward or without (Granite 4)."""

    family: ClassVar[str] = "granitemoehybrid"
    model_types: ClassVar[tuple[str, ...]] = ("granitemoehybrid",)
    gguf_names: ClassVar[tuple[str, ...]] = ("granitehybrid",)
    source: ClassVar[str] = SOURCE.format("granitemoehybrid")
    defaults: ClassVar = LLAMA | {
        "experts": 8,
        "top_k": 2,
        "shared_inner": 1024,
        "ssm_heads": 128,
        "groups": 1,
        "state": 256,
    }
    shared_inner: int = number("shared_intermediate_size", "shared_inner")

    def pattern(self, layer: int) -> str:
        """All state-space layers."""
        return LINEAR

    def mixture(self, layer: int) -> ExpertsShape:
        """The shared feed-forward has a width of its own."""
        return GraniteMoe.mixture(self, layer)  # type: ignore[arg-type]

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """Experts beside the shared feed-forward, or that alone."""
        if self.experts:
            return routed_experts(reads, writes, self.mixture(layer))
        return feed_forward(reads, writes, inner=self.shared_inner or self.inner)


@attrs.frozen(kw_only=True)
class Jamba(Sparse):
    """Mamba layers with attention and experts at fixed distances (Lieber et al. 2024).

    Attributes:
        expert_every: Layers from one with experts to the next; `expert_first` is the first.
        attention_every: Layers from one with attention to the next; `attention_first` is the first.
    """

    family: ClassVar[str] = "jamba"
    model_types: ClassVar[tuple[str, ...]] = ("jamba",)
    source: ClassVar[str] = f"Lieber et al. 2024; {SOURCE.format('jamba')}"
    defaults: ClassVar = {
        "vocabulary": 65536,
        "hidden": 4096,
        "inner": 14336,
        "layers": 32,
        "heads": 32,
        "kv_heads": 8,
    } | {"experts": 16, "top_k": 2, "state": 16}

    experts: int = size("num_experts", "num_local_experts", "experts")
    expert_every: int = size("expert_layer_period", default=2)
    expert_first: int = number("expert_layer_offset", default=1)
    attention_every: int = size("attn_layer_period", default=8)
    attention_first: int = number("attn_layer_offset", default=4)
    state: int = size("mamba_d_state", "state")
    taps: int = size("mamba_d_conv", "taps", default=4)
    expand: int = size("mamba_expand", "expand", default=2)
    rank: int | None = maybe("mamba_dt_rank", "rank")
    conv_bias: bool = switch(True, "mamba_conv_bias", "conv_bias")
    ssm_bias: bool = switch(False, "mamba_proj_bias", "ssm_bias")

    @classmethod
    def prepare(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Older words for the kinds of layers; ``"auto"`` is no number."""
        return renamed(config, "layer_types", "layers_block_type")

    def pattern(self, layer: int) -> str:
        """Attention at fixed distances."""
        return FULL if layer % self.attention_every == self.attention_first else LINEAR

    def routed(self, layer: int) -> bool:
        """Experts at fixed distances."""
        return self.experts > 1 and layer % self.expert_every == self.expert_first

    def attend(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """Attention without rotation, or the state-space layer."""
        if self.kind(layer) == FULL:
            return attention(reads, writes, attrs.evolve(self.shape(layer), rotary=False))
        shape = StateSpace(
            heads=self.expand * self.hidden,
            state=self.state,
            taps=self.taps,
            conv_bias=self.conv_bias,
            bias=self.ssm_bias,
            rank=self.rank or -(-self.hidden // 16),
            normed=True,
        )
        return mamba(reads, writes, shape)

    def label(self, layer: int) -> str:
        """What a layer is called."""
        kind = "attention" if self.kind(layer) == FULL else "mamba"
        return f"{kind}_experts" if self.routed(layer) else kind
