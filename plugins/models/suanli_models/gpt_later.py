"""Later decoders of the GPT line: BLOOM, MPT, Falcon, Phi, StarCoder 2, Nemotron-4, StableLM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from suanli import Block, Operator, Tensor
from suanli.building.decoder import SLIDING, Decoder
from suanli.building.ends import embedding
from suanli.building.fields import maybe, number, size, switch
from suanli.building.parts import AttentionShape, feed_forward
from suanli_models.dense import SOURCE
from suanli_models.gpt import Gpt


@attrs.frozen(kw_only=True)
class Bloom(Gpt):
    """Pre-norm decoder with ALiBi and a norm after the embedding (Le Scao et al. 2022)."""

    activates: ClassVar[str] = "gelu"
    family: ClassVar[str] = "bloom"
    model_types: ClassVar[tuple[str, ...]] = ("bloom",)
    source: ClassVar[str] = f"Le Scao et al. 2022; {SOURCE.format('bloom')}"
    defaults: ClassVar = {"vocabulary": 250880, "hidden": 64, "layers": 2, "heads": 8, "tied": True}
    rotary: ClassVar[bool] = False

    hidden: int = size("hidden_size", "n_embed", "hidden")
    inner: int | None = maybe("inner")

    def embedding(self) -> Block:
        """Tokens, and a norm."""
        return embedding(self.vocabulary, self.hidden, normed=True)


@attrs.frozen(kw_only=True)
class Mpt(Gpt):
    """Pre-norm decoder with ALiBi and no bias, not even in its norms (MPT, 2023).

    Attributes:
        expansion: The feed-forward's width over the stream's.
        rows: Learned positions, where there is no ALiBi.
    """

    activates: ClassVar[str] = "gelu"
    family: ClassVar[str] = "mpt"
    model_types: ClassVar[tuple[str, ...]] = ("mpt",)
    source: ClassVar[str] = SOURCE.format("mpt")
    defaults: ClassVar = {"vocabulary": 50368, "hidden": 2048, "layers": 24, "heads": 16, "tied": True}
    norms: ClassVar[str] = "plain"
    rotary: ClassVar[bool] = False
    qkv_bias: ClassVar[bool] = False
    out_bias: ClassVar[bool] = False
    inner_bias: ClassVar[bool] = False

    expansion: int = size("expansion_ratio", "expansion", default=4)
    inner: int | None = maybe("inner")
    rows: int = number("rows")

    @classmethod
    def prepare(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Its ``attn_config`` opened: heads that share keys, and learned positions where there is no ALiBi."""
        inner = config.get("attn_config")
        attn: Mapping[str, Any] = inner if isinstance(inner, Mapping) else {}
        more: dict[str, Any] = {}
        if attn.get("attn_type") == "multiquery_attention":
            more["kv_heads"] = 1
        elif "kv_n_heads" in attn:
            more["kv_heads"] = attn["kv_n_heads"]
        if attn.get("alibi") is False and attn.get("rope") is not True and config.get("learned_pos_emb", True):
            more["rows"] = config.get("max_seq_len", 2048)
        return {**more, **config}

    def embedding(self) -> Block:
        """Tokens, and positions where they are learned."""
        return embedding(self.vocabulary, self.hidden, positions=self.rows)

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """The feed-forward, so many times as wide as the stream."""
        return feed_forward(
            reads, writes, inner=self.inner or self.expansion * self.hidden, gated=False, activation=self.act()
        )


@attrs.frozen(kw_only=True)
class Falcon(Gpt):
    """Attention beside a feed-forward with few key heads (Almazrouei et al. 2023); the oldest and 7B share one norm.

    Attributes:
        newer: The architecture of 40B and 180B: grouped queries and two norms.
        multi_query: One key and value head, in the older one.
        parallel: Whether attention and feed-forward stand side by side.
        norms_of_layer: 1 or 2 in front of them; by architecture where not given.
        biased: Whether products have biases.
    """

    activates: ClassVar[str] = "gelu"
    family: ClassVar[str] = "falcon"
    model_types: ClassVar[tuple[str, ...]] = ("falcon", "RefinedWeb", "RefinedWebModel")
    source: ClassVar[str] = f"Almazrouei et al. 2023; {SOURCE.format('falcon')}"
    defaults: ClassVar = {"vocabulary": 65024, "hidden": 4544, "layers": 32, "heads": 71, "tied": True}

    hidden: int = size("n_embed", "hidden_size", "hidden")
    newer: bool = switch(False, "new_decoder_architecture")
    multi_query: bool = switch(True, "multi_query")
    parallel: bool = switch(True, "parallel_attn")
    norms_of_layer: int | None = maybe("num_ln_in_parallel_attn")
    biased: bool = switch(False, "bias")

    @classmethod
    def prepare(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """The first ``RefinedWeb`` files leave the architecture to be told from ``n_head_kv``."""
        if config.get("model_type") == "RefinedWeb" and "new_decoder_architecture" not in config:
            return {"new_decoder_architecture": "n_head_kv" in config, **config}
        return config

    def wires(self) -> str:
        """Side by side behind one norm or two, or one after the other."""
        if not self.parallel:
            return "pre"
        return "parallel-two" if (self.norms_of_layer or (2 if self.newer else 1)) == 2 else "parallel"

    def shape(self, layer: int) -> AttentionShape:
        """Grouped queries in the newer architecture, one key head or all in the older."""
        kv = (self.kv_heads or self.heads) if self.newer else 1 if self.multi_query else self.heads
        return attrs.evolve(Gpt.shape(self, layer), kv_heads=kv, qkv_bias=self.biased, out_bias=self.biased)

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """Biases where stated."""
        return feed_forward(
            reads, writes, inner=self.inner or 4 * self.hidden, gated=False, bias=self.biased, activation=self.act()
        )


@attrs.frozen(kw_only=True)
class Phi(Gpt):
    """Attention beside a feed-forward behind one norm, biases everywhere (Phi-1, 1.5, 2; 2023).

    Attributes:
        normed_heads: Whether queries and keys are normed head by head.
    """

    activates: ClassVar[str] = "gelu_new"
    family: ClassVar[str] = "phi"
    model_types: ClassVar[tuple[str, ...]] = ("phi", "phi-msft", "mixformer-sequential")
    gguf_names: ClassVar[tuple[str, ...]] = ("phi2",)
    source: ClassVar[str] = SOURCE.format("phi")
    defaults: ClassVar = {"vocabulary": 51200, "hidden": 2048, "layers": 24, "heads": 32}
    wiring: ClassVar[str] = "parallel"
    head_bias: ClassVar[bool] = True

    normed_heads: bool = switch(False, "qk_layernorm")

    def shape(self, layer: int) -> AttentionShape:
        """Norms of queries and keys where stated."""
        normed = "head" if self.normed_heads else ""
        return attrs.evolve(Gpt.shape(self, layer), head_norm=normed, head_norm_bias=True)


@attrs.frozen(kw_only=True)
class Persimmon(Gpt):
    """Pre-norm decoder that norms queries and keys head by head (Persimmon-8B, 2023)."""

    activates: ClassVar[str] = "relu2"
    family: ClassVar[str] = "persimmon"
    model_types: ClassVar[tuple[str, ...]] = ("persimmon",)
    source: ClassVar[str] = SOURCE.format("persimmon")
    defaults: ClassVar = {"vocabulary": 262144, "hidden": 4096, "inner": 16384, "layers": 36, "heads": 64}
    normed_heads: bool = switch(True, "qk_layernorm")

    def shape(self, layer: int) -> AttentionShape:
        """Norms of queries and keys where stated."""
        return Phi.shape(self, layer)  # type: ignore[arg-type]


@attrs.frozen(kw_only=True)
class StarCoder2(Gpt):
    """Pre-norm decoder with grouped queries and a window (Lozhkov et al. 2024).

    Attributes:
        biased: Whether products have biases.
    """

    activates: ClassVar[str] = "gelu_pytorch_tanh"
    family: ClassVar[str] = "starcoder2"
    model_types: ClassVar[tuple[str, ...]] = ("starcoder2",)
    source: ClassVar[str] = f"Lozhkov et al. 2024; {SOURCE.format('starcoder2')}"
    defaults: ClassVar = {
        "vocabulary": 49152,
        "hidden": 3072,
        "inner": 12288,
        "layers": 30,
        "heads": 24,
        "kv_heads": 2,
    } | {"tied": True}
    biased: bool = switch(True, "use_bias")

    def pattern(self, layer: int) -> str:
        """The window on every layer."""
        return SLIDING

    def shape(self, layer: int) -> AttentionShape:
        """Biases where stated."""
        return attrs.evolve(Gpt.shape(self, layer), qkv_bias=self.biased, out_bias=self.biased)

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """Biases where stated."""
        return feed_forward(
            reads, writes, inner=self.inner or 4 * self.hidden, gated=False, bias=self.biased, activation=self.act()
        )


@attrs.frozen(kw_only=True)
class Nemotron(Gpt):
    """Pre-norm decoder with layer norms, grouped queries and a squared ReLU (Nemotron-4, 2024).

    Attributes:
        biased: Whether attention has biases.
        inner_biased: Whether the feed-forward has.
    """

    activates: ClassVar[str] = "relu2"
    family: ClassVar[str] = "nemotron"
    model_types: ClassVar[tuple[str, ...]] = ("nemotron",)
    source: ClassVar[str] = f"Nemotron-4 340B technical report 2024; {SOURCE.format('nemotron')}"
    defaults: ClassVar = {"vocabulary": 256000, "hidden": 6144, "inner": 24576, "layers": 32, "heads": 48}

    biased: bool = switch(False, "attention_bias")
    inner_biased: bool = switch(False, "mlp_bias")

    def shape(self, layer: int) -> AttentionShape:
        """Biases where stated."""
        return attrs.evolve(Gpt.shape(self, layer), qkv_bias=self.biased, out_bias=self.biased)

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """Biases where stated."""
        return feed_forward(
            reads,
            writes,
            inner=self.inner or 4 * self.hidden,
            gated=False,
            bias=self.inner_biased,
            activation=self.act(),
        )


@attrs.frozen(kw_only=True)
class StableLm(Decoder):
    """Llama with layer norms (StableLM 3B, 2 1.6B and 12B; 2023).

    Attributes:
        inner: Width of the feed-forward.
        biased: Whether query, key and value projections have biases.
        normed_heads: Whether each head of queries and keys has a norm of its own.
        parallel: Whether attention and feed-forward stand side by side behind one norm.
    """

    family: ClassVar[str] = "stablelm"
    model_types: ClassVar[tuple[str, ...]] = ("stablelm", "stablelm_epoch")
    source: ClassVar[str] = SOURCE.format("stablelm")
    defaults: ClassVar = {"vocabulary": 50304, "hidden": 2560, "inner": 6912, "layers": 32, "heads": 32, "kv_heads": 32}
    norms: ClassVar[str] = "layer"

    inner: int = size("intermediate_size", "inner")
    biased: bool = switch(False, "use_qkv_bias")
    normed_heads: bool = switch(False, "qk_layernorm")
    parallel: bool = switch(False, "use_parallel_residual")

    def wires(self) -> str:
        """Side by side where stated."""
        return "parallel" if self.parallel else "pre"

    def shape(self, layer: int) -> AttentionShape:
        """Biases and norms where stated."""
        normed = "whole" if self.normed_heads else ""
        return attrs.evolve(Decoder.shape(self, layer), qkv_bias=self.biased, head_norm=normed)

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """A gated feed-forward."""
        return feed_forward(reads, writes, inner=self.inner)
