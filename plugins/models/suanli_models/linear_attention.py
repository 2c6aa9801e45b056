"""Hybrids of linear and full attention: Qwen3-Next, Qwen3.5, MiniMax-01."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from suanli import Operator, Tensor
from suanli.building.decoder import FULL
from suanli.building.fields import number, size
from suanli.building.parts import AttentionShape
from suanli_models.dense import LLAMA, SOURCE, Llama
from suanli_models.moe import Mixtral, Qwen3Moe
from suanli_models.recurrent import DeltaShape, delta_rule, lightning
from suanli_models.state_space import LINEAR

DELTA = {"key_heads": 16, "value_heads": 32, "key_dim": 128, "value_dim": 128, "head_dim": 256}


@attrs.frozen(kw_only=True)
class Qwen35(Llama):
    """Gated DeltaNet on three layers of four, gated attention on the fourth (Qwen3.5, 2026).

    Attributes:
        key_heads: Heads of queries and keys of a linear layer; the fields below are its.
        every: Layers from one with full attention to the next, where they are not listed.
    """

    family: ClassVar[str] = "qwen3_5"
    model_types: ClassVar[tuple[str, ...]] = ("qwen3_5", "qwen3_5_text")
    source: ClassVar[str] = f"Yang et al. 2025, Gated DeltaNet; {SOURCE.format('qwen3_5')}"
    defaults: ClassVar = DELTA | {
        "vocabulary": 248320,
        "hidden": 4096,
        "inner": 12288,
        "layers": 32,
        "heads": 16,
        "kv_heads": 4,
    }
    head_norm: ClassVar[str] = "head"

    key_heads: int = size("linear_num_key_heads", "key_heads")
    value_heads: int = size("linear_num_value_heads", "value_heads")
    key_dim: int = size("linear_key_head_dim", "key_dim")
    value_dim: int = size("linear_value_head_dim", "value_dim")
    taps: int = size("linear_conv_kernel_dim", "taps", default=4)
    every: int = size("full_attention_interval", "every", default=4)

    def pattern(self, layer: int) -> str:
        """Every so many layers see all."""
        return LINEAR if (layer + 1) % self.every else FULL

    def shape(self, layer: int) -> AttentionShape:
        """Attention with a gate."""
        return attrs.evolve(Llama.shape(self, layer), gate=True)

    def attend(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """Linear or full."""
        if self.kind(layer) == FULL:
            return Llama.attend(self, layer, reads, writes)
        shape = DeltaShape(
            key_heads=self.key_heads,
            heads=self.value_heads,
            key_dim=self.key_dim,
            value_dim=self.value_dim,
            taps=self.taps,
        )
        return delta_rule(reads, writes, shape)

    def label(self, layer: int) -> str:
        """What a layer is called."""
        return "decoder" if self.kind(layer) == FULL else "linear_decoder"


@attrs.frozen(kw_only=True)
class Qwen35Moe(Qwen3Moe):
    """Qwen3.5 with experts beside a gated shared one on every layer (Qwen3.5 MoE, 2026).

    Attributes:
        key_heads: Heads of queries and keys of a linear layer; the fields below are its.
        every: Layers from one with full attention to the next, where they are not listed.
    """

    family: ClassVar[str] = "qwen3_5_moe"
    model_types: ClassVar[tuple[str, ...]] = ("qwen3_5_moe", "qwen3_5_moe_text")
    source: ClassVar[str] = SOURCE.format("qwen3_5_moe")
    defaults: ClassVar = (
        DELTA
        | {"vocabulary": 248320, "hidden": 2048, "inner": 5632, "layers": 40, "heads": 16, "kv_heads": 2}
        | {"experts": 256, "top_k": 8, "expert_inner": 512, "shared_inner": 512}
    )

    shared_inner: int = number("shared_expert_intermediate_size", "shared_inner")
    key_heads: int = size("linear_num_key_heads", "key_heads")
    value_heads: int = size("linear_num_value_heads", "value_heads")
    key_dim: int = size("linear_key_head_dim", "key_dim")
    value_dim: int = size("linear_value_head_dim", "value_dim")
    taps: int = size("linear_conv_kernel_dim", "taps", default=4)
    every: int = size("full_attention_interval", "every", default=4)

    def pattern(self, layer: int) -> str:
        """Every so many layers see all."""
        return Qwen35.pattern(self, layer)  # type: ignore[arg-type]

    def shape(self, layer: int) -> AttentionShape:
        """Attention with a gate."""
        return attrs.evolve(Qwen3Moe.shape(self, layer), gate=True)

    def attend(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """Linear or full."""
        return Qwen35.attend(self, layer, reads, writes)  # type: ignore[arg-type]

    def label(self, layer: int) -> str:
        """What a layer is called."""
        sort = "decoder" if self.kind(layer) == FULL else "linear_decoder"
        return sort if self.routed(layer) else f"dense_{sort}"


@attrs.frozen(kw_only=True)
class Qwen3Next(Qwen35Moe):
    """The first of Qwen's hybrids, experts on a choice of layers (Qwen3-Next, 2025)."""

    family: ClassVar[str] = "qwen3_next"
    model_types: ClassVar[tuple[str, ...]] = ("qwen3_next",)
    source: ClassVar[str] = SOURCE.format("qwen3_next")
    defaults: ClassVar = Qwen35Moe.defaults | {"vocabulary": 151936, "layers": 48, "experts": 512, "top_k": 10}


@attrs.frozen(kw_only=True)
class MiniMax(Mixtral):
    """Mixtral with lightning attention on most layers (MiniMax-Text-01, 2025).

    Attributes:
        block: Tokens lightning attention computes at once.
    """

    family: ClassVar[str] = "minimax"
    model_types: ClassVar[tuple[str, ...]] = ("minimax", "minimax_text_01", "minimax_m1")
    source: ClassVar[str] = f"MiniMax-01 report 2025; {SOURCE.format('minimax')}"
    defaults: ClassVar = LLAMA | {"inner": 14336, "kv_heads": 8, "experts": 8, "top_k": 2}
    familiar: ClassVar[tuple[str, ...]] = ()

    block: int = size("block_size", "block", default=256)

    @classmethod
    def prepare(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """The first files' ``attn_type_list``, 1 for a layer that sees all, in today's words."""
        listed = config.get("attn_type_list")
        if isinstance(listed, list) and "layer_types" not in config:
            return {**config, "layer_types": [FULL if k == 1 else LINEAR for k in listed]}
        return config

    def pattern(self, layer: int) -> str:
        """Every other layer."""
        return FULL if (layer + 1) % 2 else LINEAR

    def reach(self, layer: int) -> int:
        """The window, where one is stated."""
        return self.window or 0

    def attend(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """Lightning or full."""
        if self.kind(layer) == FULL:
            return Mixtral.attend(self, layer, reads, writes)
        return lightning(reads, writes, heads=self.heads, head_dim=self.width, chunk=self.block)

    def label(self, layer: int) -> str:
        """What a layer is called."""
        return "decoder" if self.kind(layer) == FULL else "linear_decoder"
