"""Cohere's Command-R, R+, R7B, A, and Aya."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from suanli.building.decoder import FULL, SLIDING
from suanli.building.fields import size, switch
from suanli.building.parts import AttentionShape
from suanli_models.dense import SOURCE, Llama


@attrs.frozen(kw_only=True)
class Cohere(Llama):
    """Attention beside a feed-forward behind one norm without bias, the embedding for a head (Command-R, Aya; 2024).

    Attributes:
        normed_heads: Whether each head of queries and keys has a norm of its own (Command-R+).
    """

    family: ClassVar[str] = "cohere"
    model_types: ClassVar[tuple[str, ...]] = ("cohere",)
    gguf_names: ClassVar[tuple[str, ...]] = ("command-r",)
    source: ClassVar[str] = SOURCE.format("cohere")
    defaults: ClassVar = {"vocabulary": 256000, "hidden": 8192, "inner": 22528, "layers": 40, "heads": 64, "tied": True}
    norms: ClassVar[str] = "rms-wide"
    wiring: ClassVar[str] = "parallel"
    normed_heads: bool = switch(False, "use_qk_norm")
    inner_bias: bool = switch(False, "inner_bias")

    def shape(self, layer: int) -> AttentionShape:
        """Norms of queries and keys where stated."""
        return attrs.evolve(Llama.shape(self, layer), head_norm="whole" if self.normed_heads else "")


@attrs.frozen(kw_only=True)
class Cohere2(Cohere):
    """Cohere's layer with a window on three of four (Command R7B, Command A; 2025).

    Attributes:
        every: Layers from one that sees all to the next.
    """

    family: ClassVar[str] = "cohere2"
    model_types: ClassVar[tuple[str, ...]] = ("cohere2", "cohere2_vision", "aya_vision")
    source: ClassVar[str] = SOURCE.format("cohere2")
    defaults: ClassVar = Cohere.defaults | {"window": 4096}
    normed_heads: bool = switch(False, "normed_heads")
    every: int = size("sliding_window_pattern", "every", default=4)

    @classmethod
    def prepare(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """A width of heads is not read: it is hidden / heads."""
        return {k: v for k, v in config.items() if k != "head_dim"}

    def pattern(self, layer: int) -> str:
        """Every so many layers see all."""
        return SLIDING if (layer + 1) % self.every else FULL
