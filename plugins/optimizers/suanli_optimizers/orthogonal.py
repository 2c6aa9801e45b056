"""Muon: momentum, made orthogonal by matrix products."""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs

from suanli import ElementwiseOptimizer, MatrixProduct, OptimizerRule, Parameter, StateTensor
from suanli.tensors import EXPERTS
from suanli_optimizers.elementwise import MEAN, SQUARE, STEP

JORDAN = "Jordan et al. 2024, Muon: an optimizer for hidden layers in neural networks"
MOONLIGHT = "Liu et al. 2025, Muon is scalable for LLM training, sec. 2"
ITERATIONS = 5
"""Of Newton-Schulz (Jordan et al. 2024)."""
OUTER = ("embedding", "head")
"""Groups of parameters that are no hidden layers (Jordan et al. 2024)."""


@attrs.frozen(kw_only=True, cache_hash=True)
class Muon(OptimizerRule):
    """One momentum for each matrix of a hidden layer; everything else is left to another rule.

    Attributes:
        rest: The rule of vectors, embeddings and head.
        iterations: Of Newton-Schulz.
    """

    rest: OptimizerRule
    iterations: int = ITERATIONS

    def rule_for(self, parameter: Parameter) -> OptimizerRule:
        """This rule for a matrix of a hidden layer, and for one of each expert."""
        return self if parameter.group not in OUTER and _is_matrix(parameter) else self.rest

    def states(self, shape: tuple[int, ...]) -> tuple[StateTensor, ...]:
        """The momentum of a matrix."""
        if len(shape) < 2:
            return self.rest.states(shape)
        return (StateTensor(name="momentum_buffer", elements=math.prod(shape)),)

    def products(self, shape: tuple[int, ...]) -> tuple[MatrixProduct, ...]:
        """X X', its square, and their sum times X, in bf16; X lies so that it has no more rows than columns."""
        if len(shape) < 2:
            return ()
        rows, columns = sorted(shape[-2:])
        gram = MatrixProduct(m=rows, n=rows, k=columns, times=self.iterations)
        square = MatrixProduct(m=rows, n=rows, k=rows, times=self.iterations)
        applied = MatrixProduct(m=rows, n=columns, k=rows, times=self.iterations)
        return (gram, square, applied)


def _is_matrix(parameter: Parameter) -> bool:
    """Whether there is something to make orthogonal: not in the bias of each expert, nor in a single row."""
    own = [d for d in parameter.dims if d.role != EXPERTS]
    return len(own) > 1 and len(parameter.matrix) > 1 and min(parameter.matrix[-2:]) > 1


def rules() -> Iterable[OptimizerRule]:
    """Muon with AdamW for the rest.

    11 FLOPs besides the products: momentum 2, Nesterov 2, norm 2, division by it 1, step with decay 4.
    """
    rest = ElementwiseOptimizer(
        name="muon-adamw",
        tensors=(MEAN, SQUARE),
        beside=(STEP,),
        flops_per_parameter=14.0,
        source=f"{MOONLIGHT}: AdamW for what is no matrix of a hidden layer",
    )
    yield Muon(name="muon", rest=rest, flops_per_parameter=11.0, source=f"{JORDAN}; {MOONLIGHT}")
