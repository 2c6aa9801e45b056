"""Optimizers of bitsandbytes: states of 8 bits quantized block by block, or of 32, and paged ones of either."""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs

from suanli import ElementwiseOptimizer, NumberFormat, OptimizerRule, StateTensor

SOURCE = "Dettmers et al. 2022, 8-bit optimizers via block-wise quantization; bitsandbytes-foundation/bitsandbytes"
SMALLEST = 4096
"""A tensor of fewer elements keeps its states in fp32 (min_8bit_size of bitsandbytes/optim/optimizer.py)."""
CODES = 256
"""Entries of a table of codes, fp32; one for signed states and one for squares serve all tensors."""
QUANTIZED = 12.0
"""FLOPs of taking a state from its codes and back: a product; absolute value and maximum of the block; a quotient; the
nearest of 256 codes in 8 comparisons."""

CODED = NumberFormat(
    name="dynamic8",
    bits=8,
    block=256,
    scale_bits=32,
    compute="bf16",
    wider=("fp16", "tf32", "fp32"),
    aliases=("8bit-blockwise",),
    source=f"{SOURCE}, optim/optimizer.py: one fp32 maximum for 256 elements",
)

# Name of the rule in fp32, its states, whether some of them are squares and so have codes of their own, FLOPs.
BASES: tuple[tuple[str, tuple[str, ...], bool, float], ...] = (
    ("sgd", ("state1",), False, 4.0),
    ("adagrad", ("state1",), False, 7.0),
    ("rmsprop", ("state1",), False, 9.0),
    ("lion", ("state1",), False, 11.0),
    ("lars", ("state1",), False, 10.0),
    ("adam", ("state1", "state2"), True, 12.0),
    ("adamw", ("state1", "state2"), True, 14.0),
    ("lamb", ("state1", "state2"), True, 18.0),
    ("ademamix", ("state1.0", "state1.1", "state2"), True, 19.0),
)
PAGED = ("adam", "adamw", "lion", "ademamix")


@attrs.frozen(kw_only=True, cache_hash=True)
class Blockwise(ElementwiseOptimizer):
    """States of the parameter's shape in 8 bits with a scale for each block; in fp32 where the tensor is small.

    Attributes:
        tables: Tables of codes, which all parameters share.
    """

    tables: int = 1

    def states(self, shape: tuple[int, ...]) -> tuple[StateTensor, ...]:
        """One tensor of the parameter's shape for each name, and the tables of codes."""
        elements = math.prod(shape)
        small = elements < SMALLEST
        form = "fp32" if small else CODED.name
        states = tuple(StateTensor(name=n, elements=elements, format=form) for n in self.tensors)
        if small:
            return states
        tables = range(1, 1 + self.tables)
        return (*states, *(StateTensor(name=f"qmap{i}", elements=CODES, format="fp32", shared=True) for i in tables))


def is_paged(rule: OptimizerRule) -> bool:
    """Whether a rule of this module keeps its states in memory that the driver may move to the host."""
    return rule.name.startswith("paged-")


def rules() -> Iterable[OptimizerRule]:
    """Each optimizer of bitsandbytes, in 8 and in 32 bits, by its name and by the Trainer's of transformers."""
    for base, tensors, squares, flops in BASES:
        for paged in (False, True) if base in PAGED else (False,):
            prefix, start = ("paged-", "paged") if paged else ("", "")
            trainer = f"{prefix}{base}".replace("-", "_")
            also = (f"{trainer}_bnb_8bit",) if base in ("adamw", "rmsprop") and not paged else ()
            yield Blockwise(
                name=f"{prefix}{base}-8bit",
                aliases=(f"{start}{base}8bit", f"{trainer}_8bit", *also),
                tensors=tensors,
                tables=2 if squares else 1,
                flops_per_parameter=flops + QUANTIZED * len(tensors),
                source=SOURCE,
            )
            yield ElementwiseOptimizer(
                name=f"{prefix}{base}-32bit",
                aliases=(f"{start}{base}32bit", f"{trainer}_32bit"),
                tensors=tensors,
                format="fp32",
                flops_per_parameter=flops,
                source=f"bitsandbytes-foundation/bitsandbytes, optim/{base}.py: fp32 whatever the weights",
            )
