"""Latent attention after DeepSeek: GLM-4.7-Flash, GLM-5, MiniCPM3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from suanli import Operator, Tensor
from suanli.building.fields import maybe, number, size
from suanli_models.dense import SOURCE, Llama
from suanli_models.latent import DeepseekV3, DeepseekV32, LatentShape, latent_attention


@attrs.frozen(kw_only=True)
class GlmDsa(DeepseekV32):
    """DeepSeek-V3.2's attention with an indexer on some layers only (GLM-5, 2026).

    Attributes:
        index_kinds: For each layer ``"full"`` (an indexer) or ``"shared"`` (the one before's keys).
        every: Layers from one with an indexer to the next, where they are not listed.
        offset: Layers at the start that all have one.
    """

    family: ClassVar[str] = "glm_moe_dsa"
    model_types: ClassVar[tuple[str, ...]] = ("glm_moe_dsa",)
    source: ClassVar[str] = SOURCE.format("glm_moe_dsa")
    defaults: ClassVar = (
        {"vocabulary": 154880, "hidden": 6144, "inner": 12288, "layers": 78, "heads": 64, "expert_inner": 2048}
        | {"experts": 256, "top_k": 8, "shared": 1, "first_dense": 3, "query_rank": 2048, "rank": 512}
        | {"plain_dim": 192, "rope_dim": 64, "value_dim": 256}
        | {"index_heads": 32, "index_dim": 128, "selects": 2048}
    )
    familiar: ClassVar[tuple[str, ...]] = ()
    index_kinds: tuple[str, ...] | None = attrs.field(
        default=None, metadata={"config": ("indexer_types", "index_topk_pattern"), "null": True}
    )
    every: int = number("index_topk_freq", default=1)
    offset: int = number("index_skip_topk_offset", default=2)

    @classmethod
    def prepare(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """A pattern of letters as one word a layer."""
        pattern = config.get("index_topk_pattern")
        if isinstance(pattern, str):
            return {**config, "index_topk_pattern": ["shared" if c == "S" else "full" for c in pattern]}
        return config

    def picks(self, layer: int) -> bool:
        """As listed, else every so many layers past the first."""
        if self.index_kinds is not None and layer < len(self.index_kinds):
            return self.index_kinds[layer] == "full"
        return max(layer - self.offset + 1, 0) % max(self.every, 1) == 0


@attrs.frozen(kw_only=True)
class Glm4Lite(DeepseekV3):
    """DeepSeek-V3's layer in a small model (GLM-4.7-Flash, 2026)."""

    family: ClassVar[str] = "glm4_moe_lite"
    model_types: ClassVar[tuple[str, ...]] = ("glm4_moe_lite",)
    source: ClassVar[str] = SOURCE.format("glm4_moe_lite")
    defaults: ClassVar = (
        {"vocabulary": 154880, "hidden": 2048, "inner": 10240, "layers": 47, "heads": 20, "expert_inner": 1536}
        | {"experts": 64, "top_k": 4, "shared": 1, "first_dense": 1, "query_rank": 768, "rank": 512}
        | {"plain_dim": 192, "rope_dim": 64, "value_dim": 256}
    )
    familiar: ClassVar[tuple[str, ...]] = ()


@attrs.frozen(kw_only=True)
class MiniCpm3(Llama):
    """Latent attention with a dense feed-forward (MiniCPM3-4B, 2024).

    Attributes:
        query_rank: Width queries are compressed to.
        rank: Width keys and values are compressed to.
        plain_dim: Width of a head's part that positions do not rotate.
        rope_dim: Width of the part they rotate.
        value_dim: Width of a head of values; hidden / heads where not given.
    """

    family: ClassVar[str] = "minicpm3"
    model_types: ClassVar[tuple[str, ...]] = ("minicpm3",)
    source: ClassVar[str] = SOURCE.format("minicpm3")
    defaults: ClassVar = {
        "vocabulary": 73448,
        "hidden": 2560,
        "inner": 6400,
        "layers": 62,
        "heads": 40,
        "query_rank": 768,
    } | {"rank": 256, "plain_dim": 64, "rope_dim": 32, "tied": True}
    familiar: ClassVar[tuple[str, ...]] = (*Llama.familiar, "kv_lora_rank", "qk_rope_head_dim")

    query_rank: int | None = maybe("q_lora_rank", "query_rank")
    rank: int = size("kv_lora_rank", "rank")
    plain_dim: int = size("qk_nope_head_dim", "plain_dim")
    rope_dim: int = size("qk_rope_head_dim", "rope_dim")
    value_dim: int | None = maybe("v_head_dim", "value_dim")

    def attend(self, layer: int, reads: Tensor, writes: Tensor) -> tuple[Operator, ...]:
        """The attention of a layer."""
        shape = LatentShape(
            heads=self.heads,
            query_rank=self.query_rank or 0,
            rank=self.rank,
            plain_dim=self.plain_dim,
            rope_dim=self.rope_dim,
            value_dim=self.value_dim or self.hidden // self.heads,
            bias=self.qkv_bias,
        )
        return latent_attention(reads, writes, shape)
