"""Dense decoders: the Llama line (with Mistral and Qwen), and GPT-2."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import attrs
from attrs.validators import ge

from suanli import Block, ModelFamily, Operator, Tensor
from suanli_models.decoder import (
    attention,
    count,
    embedding,
    feed_forward,
    head,
    maybe,
    norm,
    residual,
    size,
    stream,
    switch,
)


@attrs.frozen(kw_only=True)
class Llama(ModelFamily):
    """Pre-norm decoder with rotary positions, grouped queries and a gated feed-forward (Touvron et al. 2023).

    Attributes:
        vocabulary: Rows of the embedding.
        hidden: Width of the stream.
        inner: Width of the feed-forward.
        layers: Decoder layers.
        heads: Query heads.
        kv_heads: Key and value heads; as many as query heads where not given.
        head_dim: Width of a head; hidden / heads where not given.
        window: Keys a query may look back on, where it is limited.
        tied: Whether the head is the embedding.
        qkv_bias: Whether query, key and value projections have biases.
        out_bias: Whether the output projection has one.
        inner_bias: Whether the feed-forward has biases.
        longest: The context it was made for.
    """

    family: ClassVar[str] = "dense"
    model_types: ClassVar[tuple[str, ...]] = ("llama",)
    source: ClassVar[str] = "Touvron et al. 2023; huggingface/transformers modeling_llama"
    head_norm: ClassVar[bool] = False

    vocabulary: int = size("vocab_size", "vocabulary")
    hidden: int = size("hidden_size", "hidden")
    inner: int = size("intermediate_size", "inner")
    layers: int = count("num_hidden_layers", "layers")
    heads: int = size("num_attention_heads", "heads")
    kv_heads: int | None = maybe("num_key_value_heads", "kv_heads")
    head_dim: int | None = maybe("head_dim")
    window: int | None = maybe("sliding_window", "window")
    tied: bool = switch(False, "tie_word_embeddings", "tied")
    qkv_bias: bool = switch(False, "attention_bias", "qkv_bias")
    out_bias: bool = switch(False, "attention_bias", "out_bias")
    inner_bias: bool = switch(False, "mlp_bias", "inner_bias")
    longest: int | None = maybe("max_position_embeddings", "context")

    def check(self) -> Iterable[str]:
        """Heads and groups must divide."""
        if self.head_dim is None and self.hidden % self.heads:
            yield f"hidden: {self.hidden} is not a multiple of {self.heads} heads; give head_dim"
        if self.kv_heads is not None:
            if self.kv_heads > self.heads:
                yield f"kv_heads: {self.kv_heads} is more than the {self.heads} heads"
            elif self.heads % self.kv_heads:
                yield f"kv_heads: {self.kv_heads} does not divide {self.heads} heads"

    def depth(self) -> int:
        """Decoder layers."""
        return self.layers

    def context(self) -> int | None:
        """The context it was made for."""
        return self.longest

    def reach(self, layer: int) -> int:
        """Keys a query of a layer may look back on; 0 for all."""
        return 0

    def embedding(self) -> Block:
        """Token embedding."""
        return embedding(self.vocabulary, self.hidden)

    def head(self) -> Block:
        """Norm, logits, loss."""
        return head(self.vocabulary, self.hidden, tied=self.tied)

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """The feed-forward of a layer."""
        return feed_forward(reads, writes, hidden=self.hidden, inner=self.inner, bias=self.inner_bias)

    def decoder(self, layer: int) -> Block:
        """Norm, attention, residual; norm, feed-forward, residual."""
        h = self.hidden
        x, a, branch = stream("stream", h), stream("attention.in", h), stream("attention.out", h)
        y, m, inner, z = stream("middle", h), stream("mlp.in", h), stream("mlp.out", h), stream("next", h)
        return Block(
            name="decoder",
            checkpoint=x,
            operators=(
                norm("attention_norm", x, a, h),
                *attention(
                    a,
                    branch,
                    hidden=h,
                    heads=self.heads,
                    kv_heads=self.kv_heads or self.heads,
                    head_dim=self.head_dim or h // self.heads,
                    qkv_bias=self.qkv_bias,
                    out_bias=self.out_bias,
                    head_norm=self.head_norm,
                    window=self.reach(layer),
                ),
                residual("attention_residual", x, branch, y),
                norm("mlp_norm", y, m, h),
                *self.mixer(layer, m, inner),
                residual("mlp_residual", y, inner, z),
            ),
        )


@attrs.frozen(kw_only=True)
class Mistral(Llama):
    """Llama whose queries look back on a window (Jiang et al. 2023)."""

    family: ClassVar[str] = "mistral"
    model_types: ClassVar[tuple[str, ...]] = ("mistral",)
    source: ClassVar[str] = "Jiang et al. 2023; huggingface/transformers modeling_mistral"

    def reach(self, layer: int) -> int:
        """The window on every layer."""
        return self.window or 0


@attrs.frozen(kw_only=True)
class Qwen2(Llama):
    """Llama with biases on queries, keys and values, and a window on the upper layers (Qwen2 report, 2024)."""

    family: ClassVar[str] = "qwen2"
    model_types: ClassVar[tuple[str, ...]] = ("qwen2",)
    source: ClassVar[str] = "Qwen2 technical report 2024; huggingface/transformers modeling_qwen2"

    qkv_bias: bool = switch(True, "qkv_bias")
    out_bias: bool = switch(False, "out_bias")
    windowed: bool = switch(False, "use_sliding_window")
    full_layers: int = attrs.field(
        default=0, validator=ge(0), metadata={"config": ("max_window_layers", "full_layers")}
    )

    def reach(self, layer: int) -> int:
        """The window on layers past `full_layers`, where windows are used."""
        if not self.windowed or not self.window:
            return 0
        return self.window if layer >= self.full_layers else 0


@attrs.frozen(kw_only=True)
class Qwen3(Qwen2):
    """Qwen2 without those biases, queries and keys normed head by head (Qwen3 report, 2025)."""

    family: ClassVar[str] = "qwen3"
    model_types: ClassVar[tuple[str, ...]] = ("qwen3",)
    source: ClassVar[str] = "Qwen3 technical report 2025; huggingface/transformers modeling_qwen3"
    head_norm: ClassVar[bool] = True

    head_dim: int | None = maybe("head_dim", default=128)
    qkv_bias: bool = switch(False, "attention_bias", "qkv_bias")
    out_bias: bool = switch(False, "attention_bias", "out_bias")


@attrs.frozen(kw_only=True)
class Gpt2(ModelFamily):
    """Pre-norm decoder with learned positions, biases everywhere and a plain feed-forward (Radford et al. 2019).

    Attributes:
        vocabulary: Rows of the embedding.
        hidden: Width of the stream.
        inner: Width of the feed-forward; 4 x hidden where not given.
        layers: Decoder layers.
        heads: Heads.
        positions: Rows of the position table.
        tied: Whether the head is the embedding.
    """

    family: ClassVar[str] = "gpt2"
    model_types: ClassVar[tuple[str, ...]] = ("gpt2",)
    source: ClassVar[str] = "Radford et al. 2019; huggingface/transformers modeling_gpt2"

    vocabulary: int = size("vocab_size", "vocabulary")
    hidden: int = size("n_embd", "hidden_size", "hidden")
    inner: int | None = maybe("n_inner", "inner")
    layers: int = count("n_layer", "num_hidden_layers", "layers")
    heads: int = size("n_head", "num_attention_heads", "heads")
    positions: int = size("n_positions", "max_position_embeddings", "positions", default=1024)
    tied: bool = switch(True, "tie_word_embeddings", "tied")

    def check(self) -> Iterable[str]:
        """Heads must divide the width."""
        if self.hidden % self.heads:
            yield f"hidden: {self.hidden} is not a multiple of {self.heads} heads"

    def depth(self) -> int:
        """Decoder layers."""
        return self.layers

    def context(self) -> int | None:
        """As many tokens as it has positions."""
        return self.positions

    def embedding(self) -> Block:
        """Token and position embedding, dropout."""
        return embedding(self.vocabulary, self.hidden, positions=self.positions, dropout=True)

    def head(self) -> Block:
        """Norm, logits, loss."""
        return head(self.vocabulary, self.hidden, tied=self.tied, norm_bias=True)

    def decoder(self, layer: int) -> Block:
        """Norm, attention, residual; norm, feed-forward, residual."""
        h = self.hidden
        x, a, branch = stream("stream", h), stream("attention.in", h), stream("attention.out", h)
        y, m, inner, z = stream("middle", h), stream("mlp.in", h), stream("mlp.out", h), stream("next", h)
        shape: dict[str, Any] = {"heads": self.heads, "kv_heads": self.heads, "head_dim": h // self.heads}
        return Block(
            name="decoder",
            checkpoint=x,
            operators=(
                norm("attention_norm", x, a, h, bias=True),
                *attention(a, branch, hidden=h, **shape, qkv_bias=True, out_bias=True, rotary=False),
                residual("attention_residual", x, branch, y),
                norm("mlp_norm", y, m, h, bias=True),
                *feed_forward(m, inner, hidden=h, inner=self.inner or 4 * h, gated=False, bias=True),
                residual("mlp_residual", y, inner, z),
            ),
        )
