"""Models whose own code names their fields: Qwen 1, ChatGLM, Baichuan, InternLM, EXAONE 3, MiniCPM, Orion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from suanli.building.fields import count, maybe, size, switch
from suanli.building.parts import AttentionShape
from suanli_models.dense import LLAMA, Llama


@attrs.frozen(kw_only=True)
class Qwen(Llama):
    """Llama with biases on queries, keys and values; its stated inner width is of gate and up together (Qwen, 2023)."""

    family: ClassVar[str] = "qwen"
    model_types: ClassVar[tuple[str, ...]] = ("qwen",)
    source: ClassVar[str] = "Qwen/Qwen-7B configuration_qwen.py and modeling_qwen.py (QWenAttention, QWenMLP)"
    defaults: ClassVar = {
        "vocabulary": 151936,
        "hidden": 4096,
        "inner": 11008,
        "layers": 32,
        "heads": 32,
        "qkv_bias": True,
    }
    qkv_bias: bool = switch(True, "qkv_bias")
    out_bias: bool = switch(False, "out_bias")
    inner_bias: bool = switch(False, "inner_bias")
    head_dim: int | None = maybe("kv_channels", "head_dim")

    @classmethod
    def prepare(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Half of ``intermediate_size`` is the width of the gate; ``no_bias`` says what biases the rest has."""
        found = dict(config)
        width = config.get("intermediate_size", 22016)
        if isinstance(width, int) and not isinstance(width, bool):
            found["intermediate_size"] = width // 2
        if config.get("no_bias") is False:
            found |= {"out_bias": True, "inner_bias": True}
        return found


@attrs.frozen(kw_only=True)
class ChatGlm(Llama):
    """Llama with biases on queries, keys and values and two key heads (ChatGLM2, 2023; ChatGLM3, GLM-4-9B).

    Attributes:
        groups: Key and value heads, where queries are grouped at all.
        grouped: Whether they are.
    """

    family: ClassVar[str] = "chatglm"
    model_types: ClassVar[tuple[str, ...]] = ("chatglm",)
    source: ClassVar[str] = "THUDM/chatglm3-6b configuration_chatglm.py and modeling_chatglm.py"
    defaults: ClassVar = {
        "vocabulary": 65024,
        "hidden": 4096,
        "inner": 13696,
        "layers": 28,
        "heads": 32,
        "head_dim": 128,
    }
    needed: ClassVar[tuple[str, ...]] = ("hidden",)

    vocabulary: int = size("padded_vocab_size", "vocab_size", "vocabulary")
    layers: int = count("num_layers", "num_hidden_layers", "layers")
    inner: int = size("ffn_hidden_size", "inner_hidden_size", "intermediate_size", "inner")
    head_dim: int | None = maybe("kv_channels", "head_dim")
    grouped: bool = switch(False, "multi_query_attention")
    groups: int = size("multi_query_group_num", default=1)
    biased: bool = switch(False, "add_bias_linear")
    qkv_bias: bool = switch(False, "add_qkv_bias")
    out_bias: bool = switch(False, "add_bias_linear")
    inner_bias: bool = switch(False, "add_bias_linear")
    rms: bool = switch(True, "rmsnorm")

    def shape(self, layer: int) -> AttentionShape:
        """Groups where queries are grouped."""
        shape = Llama.shape(self, layer)
        return attrs.evolve(
            shape, kv_heads=self.groups if self.grouped else self.heads, qkv_bias=self.qkv_bias or self.biased
        )


@attrs.frozen(kw_only=True)
class Baichuan(Llama):
    """Llama with one projection for queries, keys and values; 13B has ALiBi for rotation (Baichuan 1 and 2, 2023)."""

    family: ClassVar[str] = "baichuan"
    model_types: ClassVar[tuple[str, ...]] = ("baichuan", "BaichuanForCausalLM")
    source: ClassVar[str] = "baichuan-inc/Baichuan2-7B-Base and Baichuan2-13B-Base modeling_baichuan.py"
    defaults: ClassVar = LLAMA | {"vocabulary": 64000}
    qkv_bias: bool = switch(False, "qkv_bias")
    out_bias: bool = switch(False, "out_bias")
    longest: int | None = maybe("model_max_length", "max_position_embeddings", "context")


@attrs.frozen(kw_only=True)
class InternLm(Llama):
    """Llama with biases on all of attention (InternLM, 2023)."""

    family: ClassVar[str] = "internlm"
    model_types: ClassVar[tuple[str, ...]] = ("internlm",)
    source: ClassVar[str] = "internlm/internlm-7b modeling_internlm.py (InternLMAttention, bias=config.bias)"
    defaults: ClassVar = LLAMA | {"vocabulary": 103168, "qkv_bias": True, "out_bias": True}
    qkv_bias: bool = switch(True, "bias", "qkv_bias")
    out_bias: bool = switch(True, "bias", "out_bias")


@attrs.frozen(kw_only=True)
class InternLm2(Llama):
    """Llama with grouped queries in one projection (InternLM 2 and 2.5, 2024)."""

    family: ClassVar[str] = "internlm2"
    model_types: ClassVar[tuple[str, ...]] = ("internlm2",)
    source: ClassVar[str] = "internlm/internlm2-20b modeling_internlm2.py (wqkv, wo: bias=config.bias)"
    defaults: ClassVar = LLAMA | {"vocabulary": 103168}
    qkv_bias: bool = switch(False, "bias", "qkv_bias")
    out_bias: bool = switch(False, "bias", "out_bias")


@attrs.frozen(kw_only=True)
class Exaone(Llama):
    """Llama with names of its own (EXAONE 3.0, 3.5, Deep; 2024)."""

    family: ClassVar[str] = "exaone"
    model_types: ClassVar[tuple[str, ...]] = ("exaone",)
    source: ClassVar[str] = "LGAI-EXAONE/EXAONE-3.5-7.8B-Instruct modeling_exaone.py"
    defaults: ClassVar = {"vocabulary": 102400, "hidden": 2048, "inner": 8192, "layers": 32, "heads": 32}
    qkv_bias: bool = switch(False, "qkv_bias")
    out_bias: bool = switch(False, "out_bias")


@attrs.frozen(kw_only=True)
class MiniCpm(Llama):
    """Llama with scaled streams and its embedding for a head (MiniCPM 1 and 2, 2024)."""

    family: ClassVar[str] = "minicpm"
    model_types: ClassVar[tuple[str, ...]] = ("minicpm",)
    source: ClassVar[str] = "openbmb/MiniCPM-2B-sft-bf16 modeling_minicpm.py; its configuration class ties by default"
    defaults: ClassVar = LLAMA | {"tied": True}


@attrs.frozen(kw_only=True)
class Orion(Llama):
    """Llama with layer norms (Orion-14B, 2024)."""

    family: ClassVar[str] = "orion"
    model_types: ClassVar[tuple[str, ...]] = ("orion",)
    source: ClassVar[str] = "OrionStarAI/Orion-14B-Base modeling_orion.py"
    norms: ClassVar[str] = "layer"
