"""State-space models and hybrids: Mamba, Mamba-2, Bamba, Jamba, Nemotron-H, Granite 4."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import attrs

from suanli import Block, Operator, Tensor
from suanli.building.decoder import FULL, Decoder
from suanli.building.fields import kinds, maybe, number, size, switch
from suanli.building.mixtures import ExpertsShape, routed_experts
from suanli.building.parts import AttentionShape, attention, feed_forward, residual, stream
from suanli_models.dense import SOURCE
from suanli_models.recurrent import StateSpace, mamba, mamba2

LINEAR = "linear_attention"
NAMES = {"mamba": LINEAR, "attention": FULL, "hybrid": "hybrid"}
"""What older configurations call the kinds of layers."""


def renamed(config: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """The configuration with the kinds of layers in today's words."""
    found = dict(config)
    for key in keys:
        listed = config.get(key)
        if isinstance(listed, list):
            found[key] = [NAMES.get(k, k) if isinstance(k, str) else k for k in listed]
    if found.get("mamba_d_head") == "auto":
        del found["mamba_d_head"]
    return {k: v for k, v in found.items() if not (k in ("time_step_rank", "mamba_dt_rank") and v == "auto")}


@attrs.frozen(kw_only=True)
class Mamba(Decoder):
    """A stack of Mamba layers and nothing else (Gu & Dao 2023).

    Attributes:
        state: Size of the state.
        expand: Channels over the width of the stream.
        taps: Tokens the convolution looks at.
        rank: Width steps are compressed to; hidden / 16, rounded up, where not given.
        conv_bias: Whether the convolution has biases.
        bias: Whether the projections have.
    """

    family: ClassVar[str] = "mamba"
    model_types: ClassVar[tuple[str, ...]] = ("mamba", "falcon_mamba")
    source: ClassVar[str] = f"Gu & Dao 2023; {SOURCE.format('mamba')}; {SOURCE.format('falcon_mamba')}"
    defaults: ClassVar = {"vocabulary": 50280, "hidden": 768, "layers": 32, "state": 16, "tied": True}

    heads: int = size("unused_heads", default=1)
    state: int = size("state_size", "d_state", "state")
    expand: int = size("expand", default=2)
    taps: int = size("conv_kernel", "d_conv", "taps", default=4)
    rank: int | None = maybe("time_step_rank", "dt_rank", "rank")
    conv_bias: bool = switch(True, "use_conv_bias", "conv_bias")
    bias: bool = switch(False, "use_bias", "bias")

    @classmethod
    def prepare(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """``"auto"`` is no number; a padded vocabulary is the table's."""
        return renamed(config)

    def ssm(self) -> StateSpace:
        """The layer."""
        return StateSpace(
            heads=self.expand * self.hidden,
            state=self.state,
            taps=self.taps,
            conv_bias=self.conv_bias,
            bias=self.bias,
            rank=self.rank or -(-self.hidden // 16),
        )

    def attend(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """The state-space layer."""
        return mamba(reads, writes, self.ssm())

    def wired(self, layer: int, x: Tensor, z: Tensor) -> tuple[Operator, ...]:
        """Norm, layer, residual."""
        a, branch = stream("mixer.in", self.hidden), stream("mixer.out", self.hidden)
        return (
            self.normed("norm", x, a),
            *self.attend(layer, a, branch),
            residual("residual", x, branch, z),
        )

    def label(self, layer: int) -> str:
        """What a layer is called."""
        return "mamba"


@attrs.frozen(kw_only=True)
class Mamba2(Mamba):
    """A stack of Mamba-2 layers and nothing else (Dao & Gu 2024; Codestral Mamba).

    Attributes:
        groups: Of heads that share B and C.
        chunk: Tokens scanned at once.
    """

    family: ClassVar[str] = "mamba2"
    model_types: ClassVar[tuple[str, ...]] = ("mamba2",)
    source: ClassVar[str] = f"Dao & Gu 2024; {SOURCE.format('mamba2')}"
    defaults: ClassVar = {
        "vocabulary": 32768,
        "hidden": 4096,
        "layers": 64,
        "heads": 128,
        "head_dim": 64,
        "state": 128,
        "groups": 8,
    }

    heads: int = size("num_heads", "heads")
    groups: int = size("n_groups", "groups")
    chunk: int = size("chunk_size", "chunk", default=256)

    def check(self) -> Iterable[str]:
        """Heads make up the channels."""
        if self.heads * (self.head_dim or 1) != self.expand * self.hidden:
            yield f"heads: {self.heads} of {self.head_dim} are not {self.expand} x {self.hidden} channels"

    def ssm(self) -> StateSpace:
        """The layer."""
        shape = Mamba.ssm(self)
        width = self.head_dim or 1
        return attrs.evolve(shape, heads=self.heads, head_dim=width, groups=self.groups, chunk=self.chunk, rank=0)

    def attend(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """The state-space layer."""
        return mamba2(reads, writes, self.ssm())


@attrs.frozen(kw_only=True)
class NemotronH(Mamba2):
    """Layers of one part each: Mamba-2, attention, a plain feed-forward or experts (Nemotron-H, 2025; Nemotron 3).

    Attributes:
        attention_heads: Query heads.
        inner: Width of the feed-forward.
        experts: Of a layer of experts; the fields below are theirs.
        through: Width experts work in, where tokens are compressed first.
    """

    family: ClassVar[str] = "nemotron_h"
    model_types: ClassVar[tuple[str, ...]] = ("nemotron_h",)
    source: ClassVar[str] = f"Nemotron-H report 2025; {SOURCE.format('nemotron_h')}"
    defaults: ClassVar = (
        {"vocabulary": 131072, "hidden": 4096, "attention_heads": 32, "kv_heads": 8, "attention_dim": 128}
        | {"inner": 21504, "state": 128, "heads": 128, "head_dim": 64, "groups": 8, "chunk": 128}
        | {"experts": 8, "expert_inner": 7688, "shared_inner": 7688, "top_k": 2}
    )

    tied: bool = switch(False, "tied")  # its class never ties, whatever the configuration says
    heads: int = size("mamba_num_heads", "heads")
    head_dim: int | None = maybe("mamba_head_dim")
    attention_dim: int = size("head_dim", "attention_head_dim")
    attention_heads: int = size("num_attention_heads", "attention_heads")
    groups: int = size("mamba_n_groups", "n_groups", "groups")
    taps: int = size("mamba_d_conv", "conv_kernel", default=4)
    conv_bias: bool = switch(True, "mamba_conv_bias", "use_conv_bias")
    state: int = size("ssm_state_size", "mamba_state_dim", "state")
    chunk: int = size("mamba_chunk_size", "chunk_size", default=128)
    inner: int = size("intermediate_size", "inner")
    inner_bias: bool = switch(False, "mlp_bias")
    experts: int = size("n_routed_experts", "num_local_experts", "experts")
    top_k: int = size("num_experts_per_tok", "top_k")
    expert_inner: int = size("moe_intermediate_size", "expert_inner")
    shared_inner: int = number("moe_shared_expert_intermediate_size", "shared_inner")
    through: int | None = maybe("moe_latent_size", "through")
    ahead_kinds: tuple[str, ...] | None = kinds("mtp_layers_block_type")

    @classmethod
    def prepare(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """A pattern such as ``"M-M*"`` as one kind a layer, which says how many layers there are."""
        found = dict(renamed(config, "layers_block_type", "layer_types", "mtp_layers_block_type"))
        letters = {"M": LINEAR, "*": FULL, "-": "mlp", "E": "moe"}
        for old, new in (
            ("hybrid_override_pattern", "layer_types"),
            ("mtp_hybrid_override_pattern", "mtp_layers_block_type"),
        ):
            pattern = config.get(old)
            if isinstance(pattern, str) and found.get(new) is None and found.get("layers_block_type") is None:
                found[new] = [letters.get(c, c) for c in pattern]
        listed = found.get("layer_types") or found.get("layers_block_type")
        if isinstance(listed, list):
            found["num_hidden_layers"] = len(listed)
        return found

    def check(self) -> Iterable[str]:
        """Every layer has a kind; heads and experts are as many as they may be."""
        if self.layer_kinds is None:
            yield "layer_kinds: required, as hybrid_override_pattern, layers_block_type or layer_types"
        if self.kv_heads is not None and self.attention_heads % self.kv_heads:
            yield f"kv_heads: {self.kv_heads} does not divide {self.attention_heads} heads"
        if self.top_k > self.experts:
            yield f"top_k: {self.top_k} is more than the {self.experts} experts"

    def ssm(self) -> StateSpace:
        """The layer; its heads need not make up a multiple of the stream."""
        return attrs.evolve(Mamba2.ssm(self), bias=self.bias)

    def attend(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """The one part of a layer."""
        kind = self.kind(layer) if layer < self.layers else self.ahead_kind(layer - self.layers)
        if kind == LINEAR:
            return mamba2(reads, writes, self.ssm())
        if kind == FULL:
            shape = AttentionShape(
                heads=self.attention_heads,
                kv_heads=self.kv_heads or self.attention_heads,
                head_dim=self.attention_dim,
                rotary=False,
            )
            return attention(reads, writes, shape)
        if kind == "mlp":
            return feed_forward(reads, writes, inner=self.inner, gated=False, bias=self.inner_bias, activation="relu2")
        mixture = ExpertsShape(
            experts=self.experts,
            top_k=self.top_k,
            inner=self.expert_inner,
            gated=False,
            shared=self.shared_inner,
            shared_bias=self.inner_bias,
            through=self.through or 0,
            through_bias=self.inner_bias,
        )
        return routed_experts(reads, writes, mixture)

    def ahead_kind(self, number: int) -> str:
        """The kind of a layer that predicts further ahead."""
        listed = self.ahead_kinds or (FULL, "moe")
        return listed[number % len(listed)]

    def label(self, layer: int) -> str:
        """What a layer is called."""
        return {LINEAR: "mamba", FULL: "attention"}.get(self.kind(layer), self.kind(layer))

    def drafts(self) -> tuple[Block, ...]:
        """Left out: its modules hold several layers each, and released configurations have none."""
        return ()
