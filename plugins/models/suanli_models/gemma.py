"""Google's Gemma 1, 2, 3, 3n and 4."""

from __future__ import annotations

from typing import ClassVar

import attrs

from suanli.building.decoder import FULL, SLIDING
from suanli.building.fields import size, switch
from suanli.building.parts import AttentionShape
from suanli_models.dense import SOURCE, Llama


@attrs.frozen(kw_only=True)
class Gemma(Llama):
    """Llama with wide heads and its embedding for a head (Gemma, 2024)."""

    family: ClassVar[str] = "gemma"
    model_types: ClassVar[tuple[str, ...]] = ("gemma",)
    source: ClassVar[str] = f"Gemma report 2024; {SOURCE.format('gemma')}"
    defaults: ClassVar = {
        "vocabulary": 256000,
        "hidden": 3072,
        "inner": 24576,
        "layers": 28,
        "heads": 16,
        "kv_heads": 16,
    } | {"head_dim": 256, "tied": True}
    norms: ClassVar[str] = "rms-wide"
    inner_bias: bool = switch(False, "inner_bias")
    cap: float | None = attrs.field(default=None, metadata={"config": ("attn_logit_softcapping", "cap"), "null": True})

    def shape(self, layer: int) -> AttentionShape:
        """Scores through a tanh where stated."""
        return attrs.evolve(Llama.shape(self, layer), capped=self.cap is not None)


@attrs.frozen(kw_only=True)
class Gemma2(Gemma):
    """Gemma that norms its branches before and after, a window on every other layer (Gemma 2, 2024)."""

    family: ClassVar[str] = "gemma2"
    model_types: ClassVar[tuple[str, ...]] = ("gemma2",)
    source: ClassVar[str] = f"Gemma 2 report 2024; {SOURCE.format('gemma2')}"
    defaults: ClassVar = {
        "vocabulary": 256000,
        "hidden": 2304,
        "inner": 9216,
        "layers": 26,
        "heads": 8,
        "kv_heads": 4,
    } | {"head_dim": 256, "window": 4096, "tied": True}
    wiring: ClassVar[str] = "sandwich"
    cap: float | None = attrs.field(default=50.0, metadata={"config": ("attn_logit_softcapping", "cap"), "null": True})

    def pattern(self, layer: int) -> str:
        """The window on every other layer, the first included."""
        return SLIDING if (layer + 1) % 2 else FULL


@attrs.frozen(kw_only=True)
class Gemma3(Gemma2):
    """Gemma 2 that norms queries and keys, a window on five layers of six (Gemma 3, 2025).

    Attributes:
        every: Layers from one that sees all to the next.
        both_ways: Whether a window reaches to both sides, half as far.
    """

    family: ClassVar[str] = "gemma3"
    model_types: ClassVar[tuple[str, ...]] = ("gemma3_text", "gemma3")
    source: ClassVar[str] = f"Gemma 3 report 2025; {SOURCE.format('gemma3')}"
    defaults: ClassVar = Gemma2.defaults | {"vocabulary": 262208}
    head_norm: ClassVar[str] = "head"
    cap: float | None = attrs.field(default=None, metadata={"config": ("attn_logit_softcapping", "cap"), "null": True})
    every: int = size("sliding_window_pattern", "_sliding_window_pattern", default=6)

    def pattern(self, layer: int) -> str:
        """Every so many layers see all."""
        return SLIDING if (layer + 1) % self.every else FULL
