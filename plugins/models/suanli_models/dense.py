"""Dense decoders like Llama: Mistral, Qwen, Yi, Granite, OLMo, EXAONE, GLM and their kin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from suanli import Operator, Tensor
from suanli_models.decoder import FULL, SLIDING, Decoder
from suanli_models.fields import maybe, number, numbers, size, switch
from suanli_models.parts import AttentionShape, feed_forward

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
        return feed_forward(reads, writes, inner=self.inner, gated=self.gated, bias=self.inner_bias)


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
        **{"vocabulary": 151936, "inner": 22016, "kv_heads": 32, "window": 4096, "full_layers": 28},
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
        **{"vocabulary": 128256, "hidden": 2048, "inner": 11008, "layers": 36, "heads": 16, "kv_heads": 4},
        "tied": True,
    }

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
class Helium(Llama):
    """Llama of Kyutai's Helium (2025); no bias after attention."""

    family: ClassVar[str] = "helium"
    model_types: ClassVar[tuple[str, ...]] = ("helium",)
    source: ClassVar[str] = SOURCE.format("helium")
    defaults: ClassVar = {
        **{"vocabulary": 48000, "hidden": 2560, "inner": 7040, "layers": 24, "heads": 20, "kv_heads": 20},
        "head_dim": 128,
    }
    out_bias: bool = switch(False, "out_bias")


@attrs.frozen(kw_only=True)
class Arcee(Llama):
    """Llama with a plain, squared-ReLU feed-forward (Arcee AFM, 2025)."""

    family: ClassVar[str] = "arcee"
    model_types: ClassVar[tuple[str, ...]] = ("arcee",)
    source: ClassVar[str] = SOURCE.format("arcee")
    defaults: ClassVar = LLAMA | {"hidden": 2560, "inner": 18432}
    gated: ClassVar[bool] = False


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


@attrs.frozen(kw_only=True)
class Olmo(Llama):
    """Llama whose norms have no weights (Groeneveld et al. 2024)."""

    family: ClassVar[str] = "olmo"
    model_types: ClassVar[tuple[str, ...]] = ("olmo",)
    source: ClassVar[str] = SOURCE.format("olmo")
    defaults: ClassVar = LLAMA | {"vocabulary": 50304}
    norms: ClassVar[str] = "none"
    inner_bias: bool = switch(False, "inner_bias")


@attrs.frozen(kw_only=True)
class Olmo2(Llama):
    """Llama that norms its branches and its queries and keys, all heads at once (OLMo 2, 2024)."""

    family: ClassVar[str] = "olmo2"
    model_types: ClassVar[tuple[str, ...]] = ("olmo2",)
    source: ClassVar[str] = SOURCE.format("olmo2")
    defaults: ClassVar = Olmo.defaults
    wiring: ClassVar[str] = "post"
    head_norm: ClassVar[str] = "whole"
    inner_bias: bool = switch(False, "inner_bias")


@attrs.frozen(kw_only=True)
class Olmo3(Olmo2):
    """OLMo 2 with a window on three layers of four (OLMo 3, 2025)."""

    family: ClassVar[str] = "olmo3"
    model_types: ClassVar[tuple[str, ...]] = ("olmo3",)
    source: ClassVar[str] = SOURCE.format("olmo3")
    defaults: ClassVar = Olmo.defaults | {"window": 4096}

    def pattern(self, layer: int) -> str:
        """Every fourth layer sees all."""
        return SLIDING if (layer + 1) % 4 else FULL


@attrs.frozen(kw_only=True)
class SeedOss(Llama):
    """Llama with a choice of biases (Seed-OSS, 2025)."""

    family: ClassVar[str] = "seed_oss"
    model_types: ClassVar[tuple[str, ...]] = ("seed_oss",)
    source: ClassVar[str] = SOURCE.format("seed_oss")
    defaults: ClassVar = {
        **{"vocabulary": 155136, "hidden": 4096, "inner": 27648, "layers": 64, "heads": 80, "kv_heads": 8},
        **{"head_dim": 128, "qkv_bias": True},
    }
    out_bias: bool = switch(False, "attention_out_bias", "out_bias")


@attrs.frozen(kw_only=True)
class Hunyuan(Llama):
    """Llama that norms queries and keys head by head (Hunyuan dense, 2025)."""

    family: ClassVar[str] = "hunyuan_v1_dense"
    model_types: ClassVar[tuple[str, ...]] = ("hunyuan_v1_dense", "hunyuan")
    source: ClassVar[str] = SOURCE.format("hunyuan_v1_dense")
    defaults: ClassVar = LLAMA | {"vocabulary": 290943}
    head_norm: ClassVar[str] = "head"
    inner_bias: bool = switch(False, "inner_bias")


@attrs.frozen(kw_only=True)
class Ernie(Llama):
    """Llama with biases everywhere or nowhere (ERNIE 4.5, 2025)."""

    family: ClassVar[str] = "ernie4_5"
    model_types: ClassVar[tuple[str, ...]] = ("ernie4_5",)
    source: ClassVar[str] = SOURCE.format("ernie4_5")
    defaults: ClassVar = {
        **{"vocabulary": 103424, "hidden": 1024, "inner": 3072, "layers": 18, "heads": 16, "kv_heads": 2},
        **{"head_dim": 128, "tied": True},
    }
    qkv_bias: bool = switch(False, "use_bias")
    out_bias: bool = switch(False, "use_bias")
    inner_bias: bool = switch(False, "use_bias")


@attrs.frozen(kw_only=True)
class Exaone4(Llama):
    """Llama that norms its branches, queries and keys, with a window on three layers of four (EXAONE 4, 2025).

    Attributes:
        every: Layers from one that sees all to the next; none sees less where null or 0.
    """

    family: ClassVar[str] = "exaone4"
    model_types: ClassVar[tuple[str, ...]] = ("exaone4",)
    source: ClassVar[str] = SOURCE.format("exaone4")
    defaults: ClassVar = LLAMA | {"vocabulary": 102400, "inner": 16384, "kv_heads": 32, "window": 4096}
    wiring: ClassVar[str] = "post"
    head_norm: ClassVar[str] = "head"
    every: int | None = attrs.field(default=4, metadata={"config": ("sliding_window_pattern", "every"), "null": True})
    qkv_bias: bool = switch(False, "qkv_bias")
    out_bias: bool = switch(False, "out_bias")
    inner_bias: bool = switch(False, "inner_bias")

    @classmethod
    def prepare(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """A pattern such as ``"LLLG"`` as one kind a layer; the last layer sees all."""
        letters, depth = config.get("sliding_window_pattern"), config.get("num_hidden_layers")
        if not isinstance(letters, str) or not isinstance(depth, int) or not 0 < depth <= 2000:
            return config
        found = {k: v for k, v in config.items() if k != "sliding_window_pattern"}
        listed = [SLIDING if letters[i % len(letters)] == "L" else FULL for i in range(depth - 1)] if letters else []
        return {"layer_types": [*listed, FULL] if listed else None, **found}

    def pattern(self, layer: int) -> str:
        """Every so many layers see all."""
        return SLIDING if self.every and (layer + 1) % self.every else FULL


@attrs.frozen(kw_only=True)
class Glm(Llama):
    """Llama with biases on queries, keys and values (GLM-4-9B, 2024)."""

    family: ClassVar[str] = "glm"
    model_types: ClassVar[tuple[str, ...]] = ("glm",)
    source: ClassVar[str] = SOURCE.format("glm")
    defaults: ClassVar = {
        **{"vocabulary": 151552, "hidden": 4096, "inner": 13696, "layers": 40, "heads": 32, "kv_heads": 2},
        **{"head_dim": 128, "qkv_bias": True},
    }
    out_bias: bool = switch(False, "out_bias")
    inner_bias: bool = switch(False, "inner_bias")


@attrs.frozen(kw_only=True)
class Glm4(Glm):
    """GLM that norms its branches before and after (GLM-4-0414, 2025)."""

    family: ClassVar[str] = "glm4"
    model_types: ClassVar[tuple[str, ...]] = ("glm4", "glm4v_text", "glm4v", "glm46v")
    source: ClassVar[str] = SOURCE.format("glm4")
    wiring: ClassVar[str] = "sandwich"


@attrs.frozen(kw_only=True)
class InternLm3(Llama):
    """Llama with a choice of biases on queries, keys and values (InternLM 3, 2025)."""

    family: ClassVar[str] = "internlm3"
    model_types: ClassVar[tuple[str, ...]] = ("internlm3",)
    source: ClassVar[str] = SOURCE.format("internlm3")
    defaults: ClassVar = {
        **{"vocabulary": 128512, "hidden": 4096, "inner": 10240, "layers": 48, "heads": 32, "kv_heads": 2},
        "head_dim": 128,
    }
    qkv_bias: bool = switch(False, "qkv_bias", "attention_bias")
    out_bias: bool = switch(False, "bias", "mlp_bias")
    inner_bias: bool = switch(False, "bias", "mlp_bias")
