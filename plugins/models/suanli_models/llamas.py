"""Llamas by other names: OLMo, Seed-OSS, Hunyuan, ERNIE, EXAONE, GLM, InternLM and more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from suanli.building.decoder import FULL, SLIDING
from suanli.building.fields import some, switch
from suanli_models.dense import LLAMA, SOURCE, Llama


@attrs.frozen(kw_only=True)
class Helium(Llama):
    """Llama of Kyutai's Helium (2025); no bias after attention."""

    family: ClassVar[str] = "helium"
    model_types: ClassVar[tuple[str, ...]] = ("helium",)
    source: ClassVar[str] = SOURCE.format("helium")
    defaults: ClassVar = {
        "vocabulary": 48000,
        "hidden": 2560,
        "inner": 7040,
        "layers": 24,
        "heads": 20,
        "kv_heads": 20,
    } | {"head_dim": 128}
    out_bias: bool = switch(False, "out_bias")


@attrs.frozen(kw_only=True)
class Arcee(Llama):
    """Llama with a plain, squared-ReLU feed-forward (Arcee AFM, 2025)."""

    activates: ClassVar[str] = "relu2"
    family: ClassVar[str] = "arcee"
    model_types: ClassVar[tuple[str, ...]] = ("arcee",)
    source: ClassVar[str] = SOURCE.format("arcee")
    defaults: ClassVar = LLAMA | {"hidden": 2560, "inner": 18432}
    gated: ClassVar[bool] = False


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
    norms: ClassVar[str] = "rms-wide"
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
        "vocabulary": 155136,
        "hidden": 4096,
        "inner": 27648,
        "layers": 64,
        "heads": 80,
        "kv_heads": 8,
    } | {"head_dim": 128, "qkv_bias": True}
    out_bias: bool = switch(False, "attention_out_bias", "out_bias")


@attrs.frozen(kw_only=True)
class Hunyuan(Llama):
    """Llama that norms queries and keys head by head (Hunyuan dense, 2025)."""

    family: ClassVar[str] = "hunyuan_v1_dense"
    model_types: ClassVar[tuple[str, ...]] = ("hunyuan_v1_dense", "hunyuan")
    gguf_names: ClassVar[tuple[str, ...]] = ("hunyuan-dense",)
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
        "vocabulary": 103424,
        "hidden": 1024,
        "inner": 3072,
        "layers": 18,
        "heads": 16,
        "kv_heads": 2,
    } | {"head_dim": 128, "tied": True}
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
    every: int | None = some("sliding_window_pattern", "every", default=4)
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
        "vocabulary": 151552,
        "hidden": 4096,
        "inner": 13696,
        "layers": 40,
        "heads": 32,
        "kv_heads": 2,
    } | {"head_dim": 128, "qkv_bias": True}
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
        "vocabulary": 128512,
        "hidden": 4096,
        "inner": 10240,
        "layers": 48,
        "heads": 32,
        "kv_heads": 2,
    } | {"head_dim": 128}
    qkv_bias: bool = switch(False, "qkv_bias", "attention_bias")
    out_bias: bool = switch(False, "bias", "mlp_bias")
    inner_bias: bool = switch(False, "bias", "mlp_bias")
