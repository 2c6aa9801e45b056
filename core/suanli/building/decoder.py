"""What decoders of every family have in common, and the ways a layer is wired."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import attrs

from suanli.building.ends import embedding, head
from suanli.building.fields import count, kinds, maybe, size, some, switch
from suanli.building.parts import AttentionShape, attention, feed_forward, norm, residual, stream
from suanli.families import ModelFamily
from suanli.models import Block
from suanli.operators import Linear, Operator
from suanli.tensors import HIDDEN, Dim, Tensor

SLIDING = "sliding_attention"
FULL = "full_attention"
LEGACY = {"attention": FULL, "global": FULL, "local": SLIDING, "mamba": "linear_attention"}
"""What older configurations call the kinds of layers."""


@attrs.frozen(kw_only=True)
class Decoder(ModelFamily):
    """A stack of layers, each an attention and a feed-forward around a residual stream; families derive from this.

    Attributes:
        vocabulary: Rows of the embedding.
        hidden: Width of the stream.
        layers: Decoder layers.
        heads: Query heads.
        kv_heads: Key and value heads; as many as query heads where not given.
        head_dim: Width of a head; hidden / heads where not given.
        window: Keys a query may look back on, where it is limited.
        tied: Whether the head is the embedding.
        longest: The context it was made for.
        layer_kinds: The kind of each layer, where the configuration lists them.
        activation: Of the feed-forward; the family's own where not given.
        ahead: Multi-token prediction modules.
        norms: The kind of the stream's norms; see :func:`suanli.building.parts.norm`.
        activates: The activation of the feed-forward where the configuration names none.
        head_norm: Norms of queries and keys; see :class:`AttentionShape`.
        gated: Whether the activation of the feed-forward has a gate.
        wiring: ``"pre"``, ``"post"`` (branches normed), ``"sandwich"`` (both), ``"parallel"`` (attention and
            feed-forward side by side behind one norm), ``"parallel-two"`` (behind a norm each).
        head_bias: Whether the logits have one.
        learned_ahead: Whether the modules that predict further ahead are weights of the checkpoint.
    """

    norms: ClassVar[str] = "rms"
    head_norm: ClassVar[str] = ""
    head_norm_bias: ClassVar[bool] = False
    gated: ClassVar[bool] = True
    activates: ClassVar[str] = "silu"
    wiring: ClassVar[str] = "pre"
    head_bias: ClassVar[bool] = False

    vocabulary: int = size("vocab_size", "padded_vocab_size", "vocabulary")
    hidden: int = size("hidden_size", "n_embd", "d_model", "hidden")
    layers: int = count("num_hidden_layers", "n_layer", "num_layers", "n_layers", "layers")
    heads: int = size("num_attention_heads", "n_head", "num_heads", "n_heads", "heads")
    kv_heads: int | None = maybe("num_key_value_heads", "num_kv_heads", "n_head_kv", "kv_heads")
    head_dim: int | None = maybe("head_dim")
    window: int | None = maybe("sliding_window", "window")
    tied: bool = switch(False, "tie_word_embeddings", "tied")
    longest: int | None = maybe("max_position_embeddings", "n_positions", "seq_length", "max_seq_len", "context")
    layer_kinds: tuple[str, ...] | None = kinds("layer_types", "layers_block_type")
    activation: str | None = attrs.field(
        default=None,
        metadata={
            "config": ("hidden_act", "hidden_activation", "activation_function", "mlp_hidden_act", "activation"),
            "null": True,
        },
    )
    ahead: int | None = some("num_nextn_predict_layers", "num_mtp_layers", "mtp_num_hidden_layers", most=100)

    def check(self) -> Iterable[str]:
        """Heads and groups must divide, and each layer have a kind."""
        if self.head_dim is None and self.hidden % self.heads:
            yield f"hidden: {self.hidden} is not a multiple of {self.heads} heads; give head_dim"
        if self.kv_heads is not None:
            if self.kv_heads > self.heads:
                yield f"kv_heads: {self.kv_heads} is more than the {self.heads} heads"
            elif self.heads % self.kv_heads:
                yield f"kv_heads: {self.kv_heads} does not divide {self.heads} heads"
        if self.layer_kinds is not None and len(self.layer_kinds) < self.layers:
            yield f"layer_kinds: {len(self.layer_kinds)} entries for {self.layers} layers"

    def depth(self) -> int:
        """Decoder layers."""
        return self.layers

    def context(self) -> int | None:
        """The context it was made for."""
        return self.longest

    @property
    def width(self) -> int:
        """Width of a head."""
        return self.head_dim or self.hidden // self.heads

    def pattern(self, layer: int) -> str:
        """The kind of a layer where the configuration lists none."""
        return FULL

    def kind(self, layer: int) -> str:
        """The kind of a layer."""
        listed = self.layer_kinds
        if listed is None:
            return self.pattern(layer)
        return LEGACY.get(listed[layer], listed[layer]) if layer < len(listed) else FULL

    def reach(self, layer: int) -> int:
        """Keys a query of a layer may look back on; 0 for all."""
        return (self.window or 0) if self.kind(layer) == SLIDING else 0

    def embedding(self) -> Block:
        """Token embedding."""
        return embedding(self.vocabulary, self.hidden)

    def head(self) -> Block:
        """Norm, logits, loss."""
        return head(self.vocabulary, self.hidden, tied=self.tied, kind=self.norms, bias=self.biased_head())

    def biased_head(self) -> bool:
        """Whether the logits have a bias."""
        return self.head_bias

    def shape(self, layer: int) -> AttentionShape:
        """The attention of a layer."""
        return AttentionShape(
            heads=self.heads,
            kv_heads=self.kv_heads or self.heads,
            head_dim=self.width,
            head_norm=self.head_norm,
            head_norm_bias=self.head_norm_bias,
            window=self.reach(layer),
            norms=self.norms,
        )

    def attend(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """The attention of a layer."""
        return attention(reads, writes, self.shape(layer))

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """The feed-forward of a layer."""
        return feed_forward(reads, writes, inner=4 * self.hidden, gated=self.gated, activation=self.act())

    def act(self) -> str:
        """The activation of the feed-forward."""
        return self.activation or self.activates

    def normed(self, name: str, reads: Tensor, writes: Tensor) -> Operator:
        """A norm of the stream."""
        return norm(name, reads, writes, kind=self.norms)

    def decoder(self, layer: int) -> Block:
        """One layer, wired as its family does."""
        x = stream("stream", self.hidden)
        return Block(name=self.label(layer), checkpoint=x, operators=self.wired(layer, x, stream("next", self.hidden)))

    def wires(self) -> str:
        """How a layer is wired."""
        return self.wiring

    def label(self, layer: int) -> str:
        """What a layer is called."""
        return "decoder"

    def wired(self, layer: int, x: Tensor, z: Tensor) -> tuple[Operator, ...]:
        """The operators of one layer, from the stream to the stream."""
        a, branch, y, m, inner = (
            stream(n, self.hidden) for n in ("attention.in", "attention.out", "middle", "mlp.in", "mlp.out")
        )
        wiring = self.wires()
        if wiring.startswith("parallel"):
            found = [self.normed("attention_norm", x, a), *self.attend(layer, a, branch)]
            if wiring == "parallel-two":
                found.append(self.normed("mlp_norm", x, m))
            found += self.mixer(layer, m if wiring == "parallel-two" else a, inner)
            return (*found, residual("residual", x, branch, inner, z))
        found = []
        before, after = wiring in ("pre", "sandwich"), wiring in ("post", "sandwich")
        if before:
            found.append(self.normed("attention_norm", x, a))
        found += self.attend(layer, a if before else x, branch)
        if after:
            found.append(self.normed("attention_post_norm", branch, stream("attention.normed", self.hidden)))
            branch = stream("attention.normed", self.hidden)
        found.append(residual("attention_residual", x, branch, y))
        if before:
            found.append(self.normed("mlp_norm", y, m))
        found += self.mixer(layer, m if before else y, inner)
        if after:
            found.append(self.normed("mlp_post_norm", inner, stream("mlp.normed", self.hidden)))
            inner = stream("mlp.normed", self.hidden)
        return (*found, residual("mlp_residual", y, inner, z))

    def drafts(self) -> tuple[Block, ...]:
        """Modules that predict tokens further ahead: two norms, a projection, a layer, a norm (DeepSeek-V3, sec. 2.2).

        Embedding and head are the model's own.
        """
        h = self.hidden
        x, token, joint = stream("stream", h), stream("token", h), Tensor(name="joint", dims=stream("", h).dims)
        pair = (Dim(HIDDEN, 2 * h),)
        found = []
        for number in range(self.ahead or 0):
            last = self.layers + number
            found.append(
                Block(
                    name="prediction",
                    operators=(
                        self.normed("token_norm", token, stream("token.normed", h)),
                        self.normed("stream_norm", x, stream("stream.normed", h)),
                        Linear(name="join", group="prediction", reads=(token,), writes=(joint,), inputs=pair),
                        *self.wired(last, joint, stream("next", h)),
                        self.normed("final_norm", stream("next", h), stream("final", h)),
                    ),
                )
            )
        return tuple(found)
