"""Number formats, and recipes that say which tensor is kept in which.

>>> NumberFormat(name="mxfp8", bits=8, block=32, scale_bits=8).bytes(64)
66
>>> NumberFormat(name="tf32", bits=19, stored_bits=32).bytes_per_element
4.0
"""

from __future__ import annotations

import attrs
from attrs.validators import ge, gt


@attrs.frozen(kw_only=True)
class NumberFormat:
    """How one element of a tensor is written.

    Attributes:
        name: Such as ``"bf16"``.
        bits: Significant bits of an element.
        stored_bits: Bits an element takes in memory; `bits` unless stated (TF32: 19 in 32).
        block: Elements sharing a scale; 0 for formats without one.
        scale_bits: Bits of the scale of each block.
        compute: The format whose matrix unit multiplies it; itself unless stated.
            A format that is only stored (nf4 weights) is widened to this first.
        wider: Formats a product falls back to, nearest first, on hardware without a path for `compute`.
        aliases: Other names people use.
        source: The document that defines it.
    """

    name: str
    bits: int = attrs.field(validator=gt(0))
    stored_bits: int = attrs.field(validator=gt(0))
    block: int = attrs.field(default=0, validator=ge(0))
    scale_bits: int = attrs.field(default=0, validator=ge(0))
    compute: str = attrs.field()
    wider: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    source: str = ""

    @stored_bits.default
    def _stored_bits(self) -> int:
        return self.bits

    @compute.default
    def _compute(self) -> str:
        return self.name

    @property
    def bytes_per_element(self) -> float:
        """Bytes of one element in a long tensor, its share of the scales included."""
        scale = self.scale_bits / self.block if self.block else 0.0
        return (self.stored_bits + scale) / 8.0

    def bytes(self, elements: int) -> int:
        """Exact bytes of `elements` of them, rounded up to a whole byte, every begun block with its scale."""
        scales = -(-elements // self.block) * self.scale_bits if self.block else 0
        return -(-(elements * self.stored_bits + scales) // 8)


@attrs.frozen(kw_only=True)
class Recipe:
    """Which tensor is kept in which format, by format name; None where no such tensor is kept.

    Attributes:
        name: Such as ``"bf16-mixed"``.
        kind: ``"training"`` or ``"serving"``.
        weights: The weights that compute.
        gradients: The gradients the backward pass writes; None where it adds straight into the main ones.
        main_gradients: The accumulated copy the optimizer reads, where one is kept beside the gradients.
        master_weights: The wider copy the optimizer updates, where one is kept.
        optimizer_states: The optimizer's state tensors.
        activations: Activations, and what is exchanged of them.
        kv_cache: Cached keys and values.
        compute: The inputs of the matrix products.
        logits: The logits the loss is taken of.
        aliases: Other names people use.
        source: The document the recipe is stated in.
    """

    name: str
    kind: str
    weights: str
    gradients: str | None = None
    main_gradients: str | None = None
    master_weights: str | None = None
    optimizer_states: str | None = None
    activations: str = "bf16"
    kv_cache: str = "bf16"
    compute: str = "bf16"
    logits: str = "fp32"
    aliases: tuple[str, ...] = ()
    source: str = ""

    @property
    def reduced(self) -> str | None:
        """Format in which gradients are summed over the data-parallel ranks."""
        return self.main_gradients or self.gradients

    def formats(self) -> tuple[str, ...]:
        """Every format name the recipe mentions."""
        fields = (
            self.weights,
            self.gradients,
            self.main_gradients,
            self.master_weights,
            self.optimizer_states,
            self.activations,
            self.kv_cache,
            self.compute,
            self.logits,
        )
        return tuple(f for f in fields if f)
