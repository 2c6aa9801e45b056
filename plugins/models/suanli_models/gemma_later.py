"""Gemmas whose layers share keys and values and have inputs of their own: 3n and 4."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import attrs

from suanli import Block, Embedding, Linear, Operator, Pointwise, Product, Tensor
from suanli.building.decoder import FULL, SLIDING
from suanli.building.ends import head
from suanli.building.fields import maybe, number, numbers, size, switch
from suanli.building.mixtures import ExpertsShape, routed_experts
from suanli.building.parts import (
    AttentionShape,
    attention,
    feed_forward,
    latent,
    linear,
    norm,
    pointwise,
    residual,
    stream,
)
from suanli.tensors import HIDDEN, LATENT, Dim, tokens
from suanli_models.dense import SOURCE
from suanli_models.gemma import Gemma3


@attrs.frozen(kw_only=True)
class Sharing(Gemma3):
    """Gemmas whose last layers look at the keys and values of an earlier one, with an input of each layer's own.

    Attributes:
        sharing: Layers at the end that share.
        own: Width of a layer's own input; 0 for none.
        own_vocabulary: Rows of the table of those.
    """

    sharing: int = number("num_kv_shared_layers")
    own: int = number("hidden_size_per_layer_input")
    own_vocabulary: int = number("vocab_size_per_layer_input")

    def check(self) -> Iterable[str]:
        """There must be a layer to share with."""
        yield from Gemma3.check(self)
        if self.sharing >= self.layers:
            yield f"sharing: {self.sharing} of {self.layers} layers leave none to share with"

    def shares(self, layer: int) -> bool:
        """Whether keys and values of a layer are an earlier one's."""
        return layer >= self.layers - self.sharing > 0

    def shape(self, layer: int) -> AttentionShape:
        """Shared keys and values, values normed."""
        return attrs.evolve(Gemma3.shape(self, layer), shared=self.shares(layer))

    def embedding(self) -> Block:
        """Tokens, and each layer's own input: a row of a table plus a projection."""
        plain = Gemma3.embedding(self)
        if not self.own:
            return plain
        own = Tensor(name="own", dims=tokens(Dim("layers", self.layers), Dim(LATENT, self.own)))
        projected, normed = (attrs.evolve(own, name=f"own.{n}") for n in ("projected", "normed"))
        table = Embedding(
            name="own_embedding",
            group="embedding",
            writes=(own,),
            vocabulary=self.own_vocabulary,
            hidden=self.layers * self.own,
        )
        x = plain.operators[0].writes[0]
        rest = (
            table,
            linear("own_projection", "embedding", x, projected),
            norm("own_norm", projected, normed),
            pointwise("own_sum", "embedding", (own, normed), attrs.evolve(own, name="own.in"), keeps=False),
        )
        return attrs.evolve(plain, operators=(*plain.operators, *rest))

    def own_input(self, x: Tensor, out: Tensor) -> tuple[Operator, ...]:
        """The layer's own input, gated by the stream, added to it."""
        gate, mixed = latent("own.gate", self.own), latent("own.gated", self.own)
        wide, normed = stream("own.out", self.hidden), stream("own.out.normed", self.hidden)
        return (
            linear("own_gate", "mlp", x, gate),
            pointwise("own_gated", "mlp", (gate,), mixed),
            linear("own_out", "mlp", mixed, wide),
            norm("own_out_norm", wide, normed),
            residual("own_residual", x, normed, out),
        )


@attrs.frozen(kw_only=True)
class Gemma4(Sharing):
    """Wider heads on the layers that see all, experts beside the feed-forward in some models (Gemma 4, 2026).

    Attributes:
        wide_dim: Width of a head on layers that see all.
        wide_kv_heads: Key and value heads there.
        same: Whether keys are values there.
        mixed: Whether there are experts.
        experts: In each layer; the fields below are theirs.
        doubled: Whether layers that share have a feed-forward twice as wide.
    """

    family: ClassVar[str] = "gemma4"
    model_types: ClassVar[tuple[str, ...]] = ("gemma4_text", "gemma4", "gemma4_unified", "gemma4_unified_text")
    source: ClassVar[str] = SOURCE.format("gemma4")
    defaults: ClassVar = Gemma3.defaults | {
        "vocabulary": 262144,
        "layers": 30,
        "window": 512,
        "own": 256,
        "own_vocabulary": 262144,
        "wide_dim": 512,
    }

    wide_dim: int = size("global_head_dim", "wide_dim", default=512)
    wide_kv_heads: int | None = maybe("num_global_key_value_heads", "wide_kv_heads")
    same: bool = switch(False, "attention_k_eq_v")
    mixed: bool = switch(False, "enable_moe_block")
    experts: int | None = maybe("num_experts", "experts")
    top_k: int | None = maybe("top_k_experts", "top_k")
    expert_inner: int | None = maybe("moe_intermediate_size", "expert_inner")
    doubled: bool = switch(False, "use_double_wide_mlp")

    def check(self) -> Iterable[str]:
        """Experts need numbers."""
        yield from Sharing.check(self)
        if self.mixed and not (self.experts and self.top_k and self.expert_inner):
            yield "experts: num_experts, top_k_experts and moe_intermediate_size are all needed"
        elif self.mixed and (self.top_k or 0) > (self.experts or 0):
            yield f"top_k: {self.top_k} is more than the {self.experts} experts"

    def pattern(self, layer: int) -> str:
        """Every sixth layer sees all."""
        return SLIDING if (layer + 1) % 6 else FULL

    def kind(self, layer: int) -> str:
        """The last layer always sees all."""
        return FULL if layer >= self.layers - 1 else Sharing.kind(self, layer)

    def shape(self, layer: int) -> AttentionShape:
        """Wider, and fewer, heads on layers that see all."""
        shape = Sharing.shape(self, layer)
        if self.kind(layer) == SLIDING:
            return shape
        few = self.wide_kv_heads if self.same and self.wide_kv_heads else shape.kv_heads
        return attrs.evolve(shape, head_dim=self.wide_dim, kv_heads=few, same=self.same)

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """The feed-forward, and experts of the same stream beside it."""
        inner = self.inner * (2 if self.doubled and self.shares(layer) else 1)
        if not self.mixed:
            return feed_forward(reads, writes, inner=inner)
        h, middle = self.hidden, stream("middle", self.hidden)
        dense, dense1 = stream("dense.out", h), stream("dense.normed", h)
        sent, back, back1 = stream("experts.in", h), stream("experts.out", h), stream("experts.normed", h)
        scaled = stream("router.in", h)
        shape = ExpertsShape(
            experts=self.experts or 1, top_k=self.top_k or 1, inner=self.expert_inner or 1, correction=True
        )
        scale = Pointwise(
            name="router_scale", group="router", reads=(middle,), writes=(scaled,), width=(Dim(HIDDEN, h),)
        )
        return (
            *feed_forward(reads, dense, inner=inner),
            norm("dense_norm", dense, dense1),
            scale,
            norm("experts_norm", middle, sent),
            *routed_experts(sent, back, shape, routes=scaled),
            norm("experts_post_norm", back, back1),
            pointwise("sum", "mlp", (dense1, back1), writes, keeps=False),
        )

    def wired(self, layer: int, x: Tensor, z: Tensor) -> tuple[Operator, ...]:
        """The layer's own input comes last."""
        if not self.own:
            return Sharing.wired(self, layer, x, z)
        before = stream("before", self.hidden)
        return (*Sharing.wired(self, layer, x, before), *self.own_input(before, z))


@attrs.frozen(kw_only=True)
class Gemma3n(Sharing):
    """Several streams of which one is computed (AltUp), a low-rank branch beside attention (Gemma 3n, 2025).

    Attributes:
        streams: Of the residual.
        rank: Of the branch beside attention.
        widths: Of the feed-forward, layer by layer, where they differ.
    """

    family: ClassVar[str] = "gemma3n"
    model_types: ClassVar[tuple[str, ...]] = ("gemma3n_text", "gemma3n")
    source: ClassVar[str] = SOURCE.format("gemma3n")
    defaults: ClassVar = {
        "vocabulary": 262400,
        "hidden": 2048,
        "inner": 16384,
        "layers": 35,
        "heads": 8,
        "kv_heads": 2,
    } | {"head_dim": 256, "window": 512, "own": 256, "own_vocabulary": 262144, "sharing": 15, "tied": True}

    streams: int = size("altup_num_inputs", "streams", default=4)
    rank: int = size("laurel_rank", default=64)
    widths: tuple[int, ...] = numbers("widths")

    @classmethod
    def prepare(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """A width for each layer."""
        listed = config.get("intermediate_size")
        if isinstance(listed, list) and listed:
            return {**config, "intermediate_size": listed[0], "widths": listed}
        return config

    def pattern(self, layer: int) -> str:
        """Every fifth layer sees all."""
        return SLIDING if (layer + 1) % 5 else FULL

    def mixer(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """As wide as listed."""
        return feed_forward(reads, writes, inner=self.widths[layer] if layer < len(self.widths) else self.inner)

    def _many(self, name: str, *dims: Dim) -> Tensor:
        return Tensor(name=name, dims=tokens(Dim("streams", self.streams), *dims))

    def _joined(self, name: str, x: Tensor, z: Tensor) -> tuple[Operator, ...]:
        """Projections from one stream to the others, or back."""
        inputs = (Dim(HIDDEN, self.hidden),)
        wide = Tensor(name=f"{name}.out", dims=tokens(Dim("others", self.streams - 1), Dim(HIDDEN, self.hidden)))
        project = Linear(name=name, group="altup", reads=(x,), writes=(wide,), inputs=inputs)
        return (project, pointwise(f"{name}_scale", "altup", (x, wide), z))

    def embedding(self) -> Block:
        """Tokens, each layer's own input, and the other streams made of the first."""
        plain = Sharing.embedding(self)
        first, others = plain.operators[0].writes[0], stream("streams", self.hidden)
        return attrs.evolve(plain, operators=(*plain.operators, *self._joined("altup_in", first, others)))

    def head(self) -> Block:
        """The streams joined, then norm, logits, loss."""
        plain = head(self.vocabulary, self.hidden, tied=self.tied)
        last = plain.operators[0].reads[0]
        joined = self._joined("altup_out", attrs.evolve(last, name="streams"), last)
        return attrs.evolve(plain, operators=(*joined, *plain.operators))

    def wired(self, layer: int, x: Tensor, z: Tensor) -> tuple[Operator, ...]:
        """Streams predicted, one computed, all corrected (Baykal et al. 2023, alg. 1)."""
        h, n = self.hidden, self.streams
        a, branch, y, m, inner = (
            stream(t, h) for t in ("attention.in", "attention.out", "middle", "mlp.in", "mlp.out")
        )
        low, side, side1 = latent("laurel.low", self.rank), stream("laurel.out", h), stream("laurel.normed", h)
        after, last, done = stream("attention.normed", h), stream("mlp.normed", h), stream("computed", h)
        few = Tensor(name="altup.modalities", dims=tokens(Dim("streams", n)))
        pairs = Tensor(name="altup.pairs", dims=tokens(Dim("streams", n), Dim("streams", n)))
        wide, routed = self._many("altup.streams", Dim(HIDDEN, h)), stream("altup.router.in", h)
        fixed, again = attrs.evolve(few, name="altup.fixed"), attrs.evolve(few, name="altup.modalities.after")
        router = linear("altup_router", "altup", routed, few)
        found: list[Operator] = [
            norm("altup_norm", x, routed),
            router,
            linear("altup_predict", "altup", few, pairs),
            Product(name="altup_mix", group="altup", reads=(x, pairs), writes=(wide,), rows=h, inner=n, outer=n),
            norm("attention_norm", x, a),
            linear("laurel_down", "mlp", a, low),
            linear("laurel_up", "mlp", low, side),
            norm("laurel_norm", side, side1),
            *attention(a, branch, self.shape(layer)),
            norm("attention_post_norm", branch, after),
            residual("attention_residual", x, after, side1, y),
            norm("mlp_norm", y, m),
            *self.mixer(layer, m, inner),
            norm("mlp_post_norm", inner, last),
            residual("mlp_residual", y, last, done),
            # The same router and its norm again, on the computed stream.
            Product(name="altup_again", group="altup", reads=(done,), writes=(again,), rows=1, inner=h, outer=n),
            linear("altup_correct", "altup", again, fixed),
            Pointwise(name="altup_scale", group="altup", reads=(done,), writes=(z,), width=(Dim(HIDDEN, h),)),
        ]
        return (*found, *self.own_input(done, z))
