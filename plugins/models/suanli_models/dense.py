"""Dense decoders like Llama: Mistral, Qwen, Yi, Granite, OLMo, EXAONE, GLM and their kin."""

from __future__ import annotations

from typing import ClassVar

import attrs

from suanli import Operator, Tensor
from suanli.building.decoder import FULL, SLIDING, Decoder
from suanli.building.fields import maybe, number, numbers, size, switch
from suanli.building.parts import AttentionShape, feed_forward

SOURCE = "huggingface/transformers 5.23, models/{0}/configuration_{0}.py and modeling_{0}.py"
LLAMA = {"vocabulary": 32000, "hidden": 4096, "inner": 11008, "layers": 32, "heads": 32}


@attrs.frozen(kw_only=True)
class Llama(Decoder):
    """Pre-norm decoder with rotary positions, grouped queries and a gated feed-forward (Touvron et al. 2023).

    Attributes:
        inner: Width of the feed-forward.
        qkv_bias: Whether query, key and value projections have biases.
        out_bias: Whether the output projection has one.
        inner_bias: Whether the feed-forward has biases.
    """

    family: ClassVar[str] = "dense"
    model_types: ClassVar[tuple[str, ...]] = ("llama", "aquila", "yi", "Yi", "cwm", "arcee_llama", "xverse")
    gguf_names: ClassVar[tuple[str, ...]] = ("llama",)
    source: ClassVar[str] = f"Touvron et al. 2023; {SOURCE.format('llama')}"
    defaults: ClassVar = LLAMA
    familiar: ClassVar[tuple[str, ...]] = (
        *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    )

    inner: int = size("intermediate_size", "ffn_hidden_size", "inner")
    qkv_bias: bool = switch(False, "attention_bias", "qkv_bias")
    out_bias: bool = switch(False, "attention_bias", "out_bias")
    inner_bias: bool = switch(False, "mlp_bias", "inner_bias")

    def shape(self, layer: int) -> AttentionShape:
        """The attention of a layer."""
        return attrs.evolve(Decoder.shape(self, layer), qkv_bias=self.qkv_bias, out_bias=self.out_bias)

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """The feed-forward of a layer."""
        return feed_forward(
            reads, writes, inner=self.inner, gated=self.gated, bias=self.inner_bias, activation=self.act()
        )


@attrs.frozen(kw_only=True)
class Mistral(Llama):
    """Llama whose queries look back on a window (Jiang et al. 2023)."""

    family: ClassVar[str] = "mistral"
    model_types: ClassVar[tuple[str, ...]] = ("mistral",)
    source: ClassVar[str] = f"Jiang et al. 2023; {SOURCE.format('mistral')}"
    defaults: ClassVar = LLAMA | {"inner": 14336, "kv_heads": 8, "window": 4096}

    def pattern(self, layer: int) -> str:
        """The window on every layer."""
        return SLIDING


@attrs.frozen(kw_only=True)
class Ministral3(Mistral):
    """Mistral without a window unless one is stated (Ministral 3, Mistral Small 3)."""

    family: ClassVar[str] = "ministral3"
    model_types: ClassVar[tuple[str, ...]] = ("ministral3",)
    source: ClassVar[str] = SOURCE.format("ministral3")
    defaults: ClassVar = LLAMA | {"vocabulary": 131072, "inner": 14336, "layers": 34, "kv_heads": 8, "head_dim": 128}


@attrs.frozen(kw_only=True)
class Qwen2(Llama):
    """Llama with biases on queries, keys and values, and a window on the upper layers (Qwen2 report, 2024).

    Attributes:
        windowed: Whether windows are used at all.
        full_layers: Layers below the first with a window.
    """

    family: ClassVar[str] = "qwen2"
    model_types: ClassVar[tuple[str, ...]] = (
        *("qwen2", "qwen2_vl", "qwen2_5_vl", "qwen2_vl_text", "qwen2_5_vl_text", "qwen2_5_omni", "qwen2_audio", "mimo"),
        *("qwen2_5_omni_text",),
    )
    source: ClassVar[str] = f"Qwen2 technical report 2024; {SOURCE.format('qwen2')}"
    defaults: ClassVar = LLAMA | {
        "vocabulary": 151936,
        "inner": 22016,
        "kv_heads": 32,
        "window": 4096,
        "full_layers": 28,
    }

    qkv_bias: bool = switch(True, "qkv_bias")
    out_bias: bool = switch(False, "out_bias")
    inner_bias: bool = switch(False, "inner_bias")
    windowed: bool = switch(False, "use_sliding_window")
    full_layers: int = number("max_window_layers", "full_layers")

    def pattern(self, layer: int) -> str:
        """The window on layers past `full_layers`."""
        return SLIDING if layer >= self.full_layers else FULL

    def reach(self, layer: int) -> int:
        """The window, where windows are used."""
        return Llama.reach(self, layer) if self.windowed else 0


@attrs.frozen(kw_only=True)
class Qwen3(Qwen2):
    """Qwen2 without those biases, queries and keys normed head by head (Qwen3 report, 2025)."""

    family: ClassVar[str] = "qwen3"
    model_types: ClassVar[tuple[str, ...]] = ("qwen3", "qwen3_vl", "qwen3_vl_text")
    source: ClassVar[str] = f"Qwen3 technical report 2025; {SOURCE.format('qwen3')}"
    defaults: ClassVar = Qwen2.defaults | {"head_dim": 128}
    head_norm: ClassVar[str] = "head"

    head_dim: int | None = maybe("head_dim", default=128)
    qkv_bias: bool = switch(False, "attention_bias", "qkv_bias")
    out_bias: bool = switch(False, "attention_bias", "out_bias")


@attrs.frozen(kw_only=True)
class Granite(Llama):
    """Llama with scaled streams, which count nothing (Granite 3, 2024); SmolLM3, Helium, Arcee likewise."""

    family: ClassVar[str] = "granite"
    model_types: ClassVar[tuple[str, ...]] = ("granite",)
    source: ClassVar[str] = SOURCE.format("granite")


@attrs.frozen(kw_only=True)
class SmolLm3(Llama):
    """Llama without rotation on every fourth layer (SmolLM3, 2025)."""

    family: ClassVar[str] = "smollm3"
    model_types: ClassVar[tuple[str, ...]] = ("smollm3",)
    source: ClassVar[str] = SOURCE.format("smollm3")
    defaults: ClassVar = {
        "vocabulary": 128256,
        "hidden": 2048,
        "inner": 11008,
        "layers": 36,
        "heads": 16,
        "kv_heads": 4,
    } | {"tied": True}

    windowed: bool = switch(False, "use_sliding_window")
    turned: tuple[int, ...] = numbers("no_rope_layers")
    every: int = size("no_rope_layer_interval", default=4)

    def turns(self, layer: int) -> bool:
        """Whether positions rotate queries and keys of a layer."""
        return bool(self.turned[layer] if layer < len(self.turned) else (layer + 1) % self.every)

    def pattern(self, layer: int) -> str:
        """The window where positions do not rotate."""
        return FULL if self.turns(layer) else SLIDING

    def reach(self, layer: int) -> int:
        """The window, where windows are used."""
        return Llama.reach(self, layer) if self.windowed else 0

    def shape(self, layer: int) -> AttentionShape:
        """No rotation on some layers."""
        return attrs.evolve(Llama.shape(self, layer), rotary=self.turns(layer))


@attrs.frozen(kw_only=True)
class Phi3(Llama):
    """Llama with a window (Phi-3 report, 2024)."""

    family: ClassVar[str] = "phi3"
    model_types: ClassVar[tuple[str, ...]] = ("phi3", "phi4mm", "phi3_v", "phi4_multimodal")
    source: ClassVar[str] = SOURCE.format("phi3")
    defaults: ClassVar = {"vocabulary": 32064, "hidden": 3072, "inner": 8192, "layers": 32, "heads": 32}

    qkv_bias: bool = switch(False, "qkv_bias")
    out_bias: bool = switch(False, "out_bias")
    inner_bias: bool = switch(False, "inner_bias")

    def pattern(self, layer: int) -> str:
        """The window on every layer."""
        return SLIDING
