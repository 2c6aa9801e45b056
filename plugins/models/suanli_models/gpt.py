"""Decoders of the GPT line: plain feed-forward, layer norms, biases, positions of every sort."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from suanli import Block, Operator, Tensor
from suanli_models.decoder import FULL, SLIDING, Decoder
from suanli_models.dense import SOURCE
from suanli_models.fields import maybe, number, size, switch
from suanli_models.parts import AttentionShape, embedding, feed_forward, head, norm


@attrs.frozen(kw_only=True)
class Gpt(Decoder):
    """Biases everywhere, layer norms and a plain feed-forward; the GPT families derive from this.

    Attributes:
        inner: Width of the feed-forward; 4 x hidden where not given.
        learned: Whether positions are learned.
        qkv_bias: Whether query, key and value projections have biases.
        out_bias: Whether the output projection has one.
        inner_bias: Whether the feed-forward has biases.
    """

    norms: ClassVar[str] = "layer"
    gated: ClassVar[bool] = False
    rotary: ClassVar[bool] = True
    qkv_bias: ClassVar[bool] = True
    out_bias: ClassVar[bool] = True
    inner_bias: ClassVar[bool] = True

    inner: int | None = maybe("n_inner", "intermediate_size", "ffn_dim", "ffn_hidden_size", "inner")

    def shape(self, layer: int) -> AttentionShape:
        """The attention of a layer."""
        return attrs.evolve(
            Decoder.shape(self, layer), qkv_bias=self.qkv_bias, out_bias=self.out_bias, rotary=self.rotary
        )

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """The feed-forward of a layer."""
        inner = self.inner or 4 * self.hidden
        return feed_forward(reads, writes, inner=inner, gated=self.gated, bias=self.inner_bias)


@attrs.frozen(kw_only=True)
class Gpt2(Gpt):
    """Pre-norm decoder with learned positions (Radford et al. 2019).

    Attributes:
        positions: Rows of the position table.
    """

    family: ClassVar[str] = "gpt2"
    model_types: ClassVar[tuple[str, ...]] = ("gpt2", "gpt-sw3")
    source: ClassVar[str] = f"Radford et al. 2019; {SOURCE.format('gpt2')}"
    defaults: ClassVar = {"vocabulary": 50257, "hidden": 768, "layers": 12, "heads": 12, "positions": 1024}
    familiar: ClassVar[tuple[str, ...]] = ("vocab_size", "n_embd", "n_layer", "n_head")
    rotary: ClassVar[bool] = False

    positions: int = size("n_positions", "max_position_embeddings", "positions", default=1024)
    tied: bool = switch(True, "tie_word_embeddings", "tied")

    def context(self) -> int | None:
        """As many tokens as it has positions."""
        return self.positions

    def embedding(self) -> Block:
        """Token and position embedding, dropout."""
        return embedding(self.vocabulary, self.hidden, positions=self.positions, dropout=True)


@attrs.frozen(kw_only=True)
class GptBigCode(Gpt2):
    """GPT-2 with one key and value head (SantaCoder, StarCoder; Li et al. 2023).

    Attributes:
        multi_query: Whether all query heads share one key and value head.
    """

    family: ClassVar[str] = "gpt_bigcode"
    model_types: ClassVar[tuple[str, ...]] = ("gpt_bigcode",)
    source: ClassVar[str] = f"Li et al. 2023; {SOURCE.format('gpt_bigcode')}"
    familiar: ClassVar[tuple[str, ...]] = ()
    multi_query: bool = switch(True, "multi_query")

    def shape(self, layer: int) -> AttentionShape:
        """One key and value head."""
        return attrs.evolve(Gpt2.shape(self, layer), kv_heads=1 if self.multi_query else self.heads)


@attrs.frozen(kw_only=True)
class GptJ(Gpt):
    """Attention without biases beside a feed-forward, behind one norm (GPT-J, 2021; CodeGen, 2022)."""

    family: ClassVar[str] = "gptj"
    model_types: ClassVar[tuple[str, ...]] = ("gptj", "codegen")
    source: ClassVar[str] = SOURCE.format("gptj")
    defaults: ClassVar = {"vocabulary": 50400, "hidden": 4096, "layers": 28, "heads": 16, "longest": 2048}
    wiring: ClassVar[str] = "parallel"
    qkv_bias: ClassVar[bool] = False
    out_bias: ClassVar[bool] = False
    head_bias: ClassVar[bool] = True


@attrs.frozen(kw_only=True)
class GptNeo(Gpt2):
    """GPT-2 without biases on queries, keys and values, every other layer with a window (Black et al. 2021)."""

    family: ClassVar[str] = "gpt_neo"
    model_types: ClassVar[tuple[str, ...]] = ("gpt_neo",)
    source: ClassVar[str] = SOURCE.format("gpt_neo")
    defaults: ClassVar = {
        **{"vocabulary": 50257, "hidden": 2048, "layers": 24, "heads": 16, "positions": 2048, "window": 256},
    }
    familiar: ClassVar[tuple[str, ...]] = ()
    qkv_bias: ClassVar[bool] = False

    window: int | None = maybe("window_size", "window")

    @classmethod
    def prepare(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Its ``attention_types``, pairs of a pattern and how often it is repeated, as one kind a layer."""
        pairs = config.get("attention_types")
        if not isinstance(pairs, list) or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
            return config
        names = {"local": SLIDING, "global": FULL}
        try:
            listed = [names.get(kind, kind) for kinds, times in pairs for _ in range(min(times, 2000)) for kind in kinds]
        except TypeError:
            return config
        return {"layer_types": listed, **config}

    def pattern(self, layer: int) -> str:
        """Every other layer."""
        return SLIDING if layer % 2 else FULL


@attrs.frozen(kw_only=True)
class GptNeoX(Gpt):
    """Attention beside a feed-forward, each behind its own norm (GPT-NeoX, Pythia; Black et al. 2022).

    Attributes:
        biased: Whether attention has biases.
        parallel: Whether the two stand side by side.
    """

    family: ClassVar[str] = "gpt_neox"
    model_types: ClassVar[tuple[str, ...]] = ("gpt_neox",)
    source: ClassVar[str] = f"Black et al. 2022; {SOURCE.format('gpt_neox')}"
    defaults: ClassVar = {"vocabulary": 50432, "hidden": 6144, "layers": 44, "heads": 64, "inner": 24576}

    biased: bool = switch(True, "attention_bias")
    parallel: bool = switch(True, "use_parallel_residual")

    def wires(self) -> str:
        """Side by side, or one after the other."""
        return "parallel-two" if self.parallel else "pre"

    def shape(self, layer: int) -> AttentionShape:
        """Biases where stated."""
        return attrs.evolve(Gpt.shape(self, layer), qkv_bias=self.biased, out_bias=self.biased)


@attrs.frozen(kw_only=True)
class Opt(Gpt):
    """Pre-norm decoder with learned positions, two rows more than tokens (Zhang et al. 2022).

    Attributes:
        rows: Positions.
        narrow: Width of the embedding, where it is not that of the stream.
        biased: Whether its products have biases.
        first: Whether norms come before their branches; only then is there a last one.
        affine: Whether norms have weights.
    """

    family: ClassVar[str] = "opt"
    model_types: ClassVar[tuple[str, ...]] = ("opt",)
    source: ClassVar[str] = f"Zhang et al. 2022; {SOURCE.format('opt')}"
    defaults: ClassVar = {
        **{"vocabulary": 50272, "hidden": 768, "layers": 12, "heads": 12, "inner": 3072, "rows": 2048, "tied": True},
    }
    rotary: ClassVar[bool] = False

    rows: int = size("max_position_embeddings", "rows", default=2048)
    narrow: int | None = maybe("word_embed_proj_dim")
    biased: bool = switch(True, "enable_bias")
    first: bool = switch(True, "do_layer_norm_before")
    removed: bool = switch(False, "_remove_final_layer_norm")
    affine: bool = switch(True, "layer_norm_elementwise_affine")

    def _narrow(self) -> int:
        return self.narrow if self.narrow and self.narrow != self.hidden else 0

    def context(self) -> int | None:
        """As many tokens as it has positions."""
        return self.rows

    def shape(self, layer: int) -> AttentionShape:
        """Biases where stated."""
        return attrs.evolve(Gpt.shape(self, layer), qkv_bias=self.biased, out_bias=self.biased)

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """Biases where stated."""
        return feed_forward(reads, writes, inner=self.inner or 4 * self.hidden, gated=False, bias=self.biased)

    def normed(self, name: str, reads: Tensor, writes: Tensor) -> Operator:
        """A layer norm, with weights where stated."""
        return norm(name, reads, writes, kind="layer" if self.affine else "none")

    def embedding(self) -> Block:
        """Tokens and positions."""
        return embedding(self.vocabulary, self.hidden, positions=self.rows + 2, dropout=True, narrow=self._narrow())

    def head(self) -> Block:
        """The last norm, where there is one, and a projection back to the embedding's width."""
        kind = ("layer" if self.affine else "none") if self.first and not self.removed else None
        return head(self.vocabulary, self.hidden, tied=self.tied, kind=kind, narrow=self._narrow())


@attrs.frozen(kw_only=True)
class Bloom(Gpt):
    """Pre-norm decoder with ALiBi and a norm after the embedding (Le Scao et al. 2022)."""

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

    family: ClassVar[str] = "mpt"
    model_types: ClassVar[tuple[str, ...]] = ("mpt",)
    source: ClassVar[str] = SOURCE.format("mpt")
    defaults: ClassVar = {"vocabulary": 50368, "hidden": 2048, "layers": 24, "heads": 16, "tied": True}
    norms: ClassVar[str] = "rms"
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
        return feed_forward(reads, writes, inner=self.inner or self.expansion * self.hidden, gated=False)


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
        return feed_forward(reads, writes, inner=self.inner or 4 * self.hidden, gated=False, bias=self.biased)


@attrs.frozen(kw_only=True)
class Phi(Gpt):
    """Attention beside a feed-forward behind one norm, biases everywhere (Phi-1, 1.5, 2; 2023).

    Attributes:
        normed_heads: Whether queries and keys are normed head by head.
    """

    family: ClassVar[str] = "phi"
    model_types: ClassVar[tuple[str, ...]] = ("phi", "phi-msft", "mixformer-sequential")
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

    family: ClassVar[str] = "starcoder2"
    model_types: ClassVar[tuple[str, ...]] = ("starcoder2",)
    source: ClassVar[str] = f"Lozhkov et al. 2024; {SOURCE.format('starcoder2')}"
    defaults: ClassVar = {
        **{"vocabulary": 49152, "hidden": 3072, "inner": 12288, "layers": 30, "heads": 24, "kv_heads": 2},
        "tied": True,
    }
    biased: bool = switch(True, "use_bias")

    def pattern(self, layer: int) -> str:
        """The window on every layer."""
        return SLIDING

    def shape(self, layer: int) -> AttentionShape:
        """Biases where stated."""
        return attrs.evolve(Gpt.shape(self, layer), qkv_bias=self.biased, out_bias=self.biased)

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """Biases where stated."""
        return feed_forward(reads, writes, inner=self.inner or 4 * self.hidden, gated=False, bias=self.biased)


@attrs.frozen(kw_only=True)
class Nemotron(Gpt):
    """Pre-norm decoder with layer norms, grouped queries and a squared ReLU (Nemotron-4, 2024).

    Attributes:
        biased: Whether attention has biases.
        inner_biased: Whether the feed-forward has.
    """

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
        return feed_forward(reads, writes, inner=self.inner or 4 * self.hidden, gated=False, bias=self.inner_biased)


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
    defaults: ClassVar = {
        **{"vocabulary": 50304, "hidden": 2560, "inner": 6912, "layers": 32, "heads": 32, "kv_heads": 32},
    }
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
