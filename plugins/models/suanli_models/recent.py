"""Architectures of 2025 that mix what others have: Falcon-H1, LFM2, Apertus, EXAONE-MoE, Ministral."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from suanli import CausalConv, Operator, Pointwise, Tensor
from suanli.building.decoder import FULL, SLIDING
from suanli.building.fields import maybe, size, some, switch
from suanli.building.parts import feed_forward, linear, pointwise, stream
from suanli.tensors import HEADS, Dim, tokens
from suanli_models.dense import LLAMA, SOURCE, Llama, Mistral
from suanli_models.moe import Sparse
from suanli_models.recurrent import GROUP, StateSpace, mamba2
from suanli_models.state_space import renamed


@attrs.frozen(kw_only=True)
class FalconH1(Llama):
    """Attention and a Mamba-2 layer side by side in every layer (Falcon-H1, 2025).

    Attributes:
        ssm_width: Channels of the state-space layer; the fields below are its.
    """

    family: ClassVar[str] = "falcon_h1"
    model_types: ClassVar[tuple[str, ...]] = ("falcon_h1",)
    source: ClassVar[str] = SOURCE.format("falcon_h1")
    defaults: ClassVar = (
        LLAMA
        | {"vocabulary": 128000, "inner": 14336, "kv_heads": 8, "ssm_width": 1024}
        | {"ssm_heads": 128, "groups": 1, "state": 256}
    )
    ssm_width: int | None = maybe("mamba_d_ssm", "ssm_width")
    ssm_heads: int = size("mamba_n_heads", "ssm_heads")
    ssm_dim: int | None = maybe("mamba_d_head", "ssm_dim")
    groups: int = size("mamba_n_groups", "groups")
    state: int = size("mamba_d_state", "state")
    taps: int = size("mamba_d_conv", "taps", default=4)
    expand: int = size("mamba_expand", "expand", default=2)
    chunk: int = size("mamba_chunk_size", "chunk", default=256)
    conv_bias: bool = switch(True, "mamba_conv_bias", "conv_bias")
    ssm_bias: bool = switch(False, "mamba_proj_bias", "ssm_bias")
    ssm_out_bias: bool = switch(False, "projectors_bias")
    ssm_norm: bool = switch(False, "mamba_rms_norm")

    @classmethod
    def prepare(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """``"auto"`` is no number."""
        return {k: v for k, v in renamed(config).items() if k not in ("layer_types", "layers_block_type")}

    def attend(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """Both, added."""
        width = (self.ssm_width or self.expand * self.hidden) // self.ssm_heads
        shape = StateSpace(
            heads=self.ssm_heads,
            head_dim=self.ssm_dim or width,
            state=self.state,
            groups=self.groups,
            taps=self.taps,
            conv_bias=self.conv_bias,
            bias=self.ssm_bias,
            out_bias=self.ssm_out_bias,
            chunk=self.chunk,
            gated_norm=self.ssm_norm,
        )
        a, b = stream("attention.branch", self.hidden), stream("ssm.branch", self.hidden)
        return (
            *Llama.attend(self, layer, reads, a),
            *mamba2(reads, b, shape),
            pointwise("branches", "residual", (a, b), writes, keeps=False),
        )


@attrs.frozen(kw_only=True)
class Lfm2(Llama):
    """Short gated convolutions, and attention on some layers (LFM2, 2025).

    Attributes:
        taps: Tokens a convolution looks at.
        conv_bias: Whether it and its projections have biases.
        adjusted: Whether the stated inner width is cut to two thirds and rounded up.
        rounded: What it is rounded up to a multiple of.
        attention_layers: Layers with attention, where listed so.
    """

    family: ClassVar[str] = "lfm2"
    model_types: ClassVar[tuple[str, ...]] = ("lfm2",)
    source: ClassVar[str] = SOURCE.format("lfm2")
    defaults: ClassVar = {
        "vocabulary": 65536,
        "hidden": 2560,
        "inner": 12288,
        "layers": 32,
        "heads": 32,
        "kv_heads": 8,
    } | {"tied": True}
    head_norm: ClassVar[str] = "head"
    inner: int = size("block_ff_dim", "intermediate_size", "inner")
    tied: bool = switch(True, "tie_embedding", "tie_word_embeddings", "tied")
    taps: int = size("conv_L_cache", "taps", default=3)
    conv_bias: bool = switch(False, "conv_bias")
    adjusted: bool = switch(True, "block_auto_adjust_ff_dim")
    rounded: int = size("block_multiple_of", default=256)
    times: float | None = attrs.field(default=1.0, metadata={"config": ("block_ffn_dim_multiplier",), "null": True})
    attention_layers: tuple[int, ...] | None = attrs.field(
        default=None, metadata={"config": ("full_attn_idxs",), "null": True}
    )

    def pattern(self, layer: int) -> str:
        """Attention where listed, everywhere where nothing is."""
        return FULL if self.attention_layers is None or layer in self.attention_layers else "conv"

    def attend(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """Attention, or a convolution between two gates."""
        if self.kind(layer) == FULL:
            return Llama.attend(self, layer, reads, writes)
        b = Tensor(name="conv.b", dims=tokens(Dim(HEADS, self.hidden)))
        c, x, bx, out, gated = (attrs.evolve(b, name=f"conv.{n}") for n in ("c", "x", "bx", "out", "gated"))
        return (
            linear("conv_in", GROUP, reads, b, c, x, bias=self.conv_bias),
            pointwise("conv_gate_in", GROUP, (b, x), bx),
            CausalConv(name="conv", group=GROUP, reads=(bx,), writes=(out,), taps=self.taps, bias=self.conv_bias),
            pointwise("conv_gate_out", GROUP, (c, out), gated),
            linear("conv_out", GROUP, gated, writes, bias=self.conv_bias),
        )

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """A gated feed-forward of the adjusted width."""
        inner = self.inner
        if self.adjusted:
            inner = int(2 * inner / 3)
            if self.times is not None:
                inner = int(self.times * inner)
            inner = -(-inner // self.rounded) * self.rounded
        return feed_forward(reads, writes, inner=max(inner, 1))

    def label(self, layer: int) -> str:
        """What a layer is called."""
        return "decoder" if self.kind(layer) == FULL else "convolution"


@attrs.frozen(kw_only=True)
class Apertus(Llama):
    """Llama that norms queries and keys, with a plain feed-forward whose activation is learned (Apertus, 2025)."""

    family: ClassVar[str] = "apertus"
    model_types: ClassVar[tuple[str, ...]] = ("apertus",)
    source: ClassVar[str] = SOURCE.format("apertus")
    defaults: ClassVar = LLAMA | {"vocabulary": 131072, "inner": 14336}
    gated: ClassVar[bool] = False
    head_norm: ClassVar[str] = "head"
    inner_bias: bool = switch(False, "inner_bias")

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """The activation has two numbers of its own."""
        up, activation, down = Llama.mixer(self, layer, reads, writes)
        assert isinstance(activation, Pointwise)
        return (up, attrs.evolve(activation, width=(Dim("slopes", 2),)), down)


@attrs.frozen(kw_only=True)
class ExaoneMoe(Sparse):
    """Small experts beside shared ones, a window on three layers of four (K-EXAONE, 2026).

    Attributes:
        every: Layers from one that sees all to the next; none sees less where null or 0.
    """

    family: ClassVar[str] = "exaone_moe"
    model_types: ClassVar[tuple[str, ...]] = ("exaone_moe",)
    source: ClassVar[str] = SOURCE.format("exaone_moe")
    defaults: ClassVar = (
        LLAMA
        | {"vocabulary": 102400, "inner": 16384, "kv_heads": 32, "window": 4096, "experts": 64, "top_k": 8}
        | {"expert_inner": 1024, "shared": 1, "first_dense": 1}
    )
    head_norm: ClassVar[str] = "head"
    qkv_bias: bool = switch(False, "qkv_bias")
    out_bias: bool = switch(False, "out_bias")
    inner_bias: bool = switch(False, "inner_bias")
    every: int | None = some("sliding_window_pattern", "every", default=4)

    def pattern(self, layer: int) -> str:
        """Every so many layers see all."""
        return SLIDING if self.every and (layer + 1) % self.every else FULL


@attrs.frozen(kw_only=True)
class Ministral(Mistral):
    """Mistral whose layers are listed with a window or without (Ministral 8B, 2024)."""

    family: ClassVar[str] = "ministral"
    model_types: ClassVar[tuple[str, ...]] = ("ministral",)
    source: ClassVar[str] = SOURCE.format("ministral")
