"""Decoders of the GPT line: plain feed-forward, layer norms, biases, positions of every sort."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from suanli import Block, Operator, Tensor
from suanli.building.decoder import FULL, SLIDING, Decoder
from suanli.building.ends import embedding, head
from suanli.building.fields import maybe, size, switch
from suanli.building.parts import AttentionShape, feed_forward, norm
from suanli_models.dense import SOURCE


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
        return feed_forward(reads, writes, inner=inner, gated=self.gated, bias=self.inner_bias, activation=self.act())


@attrs.frozen(kw_only=True)
class Gpt2(Gpt):
    """Pre-norm decoder with learned positions (Radford et al. 2019).

    Attributes:
        positions: Rows of the position table.
    """

    activates: ClassVar[str] = "gelu_new"
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

    def shape(self, layer: int) -> AttentionShape:
        """The softmax in the stream's own format."""
        return attrs.evolve(Gpt.shape(self, layer), upcasts=False)

    def embedding(self) -> Block:
        """Token and position embedding, dropout."""
        return embedding(self.vocabulary, self.hidden, positions=self.positions, dropout=True)


@attrs.frozen(kw_only=True)
class GptBigCode(Gpt2):
    """GPT-2 with one key and value head (SantaCoder, StarCoder; Li et al. 2023).

    Attributes:
        multi_query: Whether all query heads share one key and value head.
    """

    activates: ClassVar[str] = "gelu_pytorch_tanh"
    family: ClassVar[str] = "gpt_bigcode"
    model_types: ClassVar[tuple[str, ...]] = ("gpt_bigcode",)
    gguf_names: ClassVar[tuple[str, ...]] = ("starcoder",)
    source: ClassVar[str] = f"Li et al. 2023; {SOURCE.format('gpt_bigcode')}"
    familiar: ClassVar[tuple[str, ...]] = ()
    multi_query: bool = switch(True, "multi_query")

    def shape(self, layer: int) -> AttentionShape:
        """One key and value head."""
        kv_heads = 1 if self.multi_query else self.heads
        return attrs.evolve(Gpt2.shape(self, layer), kv_heads=kv_heads, upcasts=True)


@attrs.frozen(kw_only=True)
class GptJ(Gpt):
    """Attention without biases beside a feed-forward, behind one norm (GPT-J, 2021; CodeGen, 2022)."""

    activates: ClassVar[str] = "gelu_new"
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
        "vocabulary": 50257,
        "hidden": 2048,
        "layers": 24,
        "heads": 16,
        "positions": 2048,
        "window": 256,
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
            listed = [
                names.get(kind, kind) for kinds, times in pairs for _ in range(min(times, 2000)) for kind in kinds
            ]
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

    activates: ClassVar[str] = "gelu"
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
        return attrs.evolve(Gpt.shape(self, layer), qkv_bias=self.biased, out_bias=self.biased, packed=True)


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

    activates: ClassVar[str] = "relu"
    family: ClassVar[str] = "opt"
    model_types: ClassVar[tuple[str, ...]] = ("opt",)
    source: ClassVar[str] = f"Zhang et al. 2022; {SOURCE.format('opt')}"
    defaults: ClassVar = {
        "vocabulary": 50272,
        "hidden": 768,
        "layers": 12,
        "heads": 12,
        "inner": 3072,
        "rows": 2048,
        "tied": True,
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
        return feed_forward(
            reads, writes, inner=self.inner or 4 * self.hidden, gated=False, bias=self.biased, activation=self.act()
        )

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
