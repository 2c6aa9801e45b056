"""Optimizers that keep sums over rows and columns of a matrix instead of one number for each element."""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs

from suanli import OptimizerRule, StateTensor
from suanli_optimizers.elementwise import STEP

SHAZEER = "Shazeer & Stern 2018, Adafactor, algorithm 4"


@attrs.frozen(kw_only=True, cache_hash=True)
class Adafactor(OptimizerRule):
    """Mean squares of the rows and of the columns of a matrix; of every element of a vector.

    Of more than two dimensions the last two are factored.

    Attributes:
        momentum: Whether it keeps a mean of the updates besides (beta1).
        format: Of its tensors; None for the recipe's.
        scalar: What it keeps for a parameter of any shape.
    """

    momentum: bool = False
    format: str | None = None
    scalar: StateTensor = STEP

    def states(self, shape: tuple[int, ...]) -> tuple[StateTensor, ...]:
        """Rows and columns of a matrix, or the whole vector; the mean of the updates; the scalar."""
        sizes = {"exp_avg_sq": math.prod(shape)}
        if len(shape) > 1:
            sizes = {"exp_avg_sq_row": math.prod(shape[:-1]), "exp_avg_sq_col": math.prod((*shape[:-2], shape[-1]))}
        if self.momentum:
            sizes["exp_avg"] = math.prod(shape)
        tensors = (StateTensor(name=n, elements=count, format=self.format) for n, count in sizes.items())
        return (*tensors, self.scalar)


@attrs.frozen(kw_only=True, cache_hash=True)
class CoverOptimizer(OptimizerRule):
    """SM3: the largest sum of squares along each dimension, and a momentum of every element."""

    def states(self, shape: tuple[int, ...]) -> tuple[StateTensor, ...]:
        """One vector a dimension, and a tensor of the parameter's shape."""
        covers = (StateTensor(name=f"accumulator_{i}", elements=size) for i, size in enumerate(shape))
        return (*covers, StateTensor(name="momentum", elements=math.prod(shape)))


def rules() -> Iterable[OptimizerRule]:
    """Adafactor as transformers and as PyTorch keep it, and SM3.

    14 FLOPs: 2 for the square with its floor, 2 for sums of rows and columns, product, root and quotient, 3 to clip
    the update by its root mean square, 2 for that of the weights, 2 for the step.
    """
    hf = "huggingface/transformers, src/transformers/optimization.py: fp32 whatever the weights"
    rms = StateTensor(name="RMS", elements=1, format="fp32")
    yield Adafactor(
        name="adafactor",
        aliases=("adafactor-transformers", "transformers-adafactor"),
        format="fp32",
        scalar=rms,
        flops_per_parameter=14.0,
        source=f"{SHAZEER}; {hf}",
    )
    yield Adafactor(
        name="adafactor-momentum",
        aliases=("adafactor-beta1", "transformers-adafactor-beta1"),
        momentum=True,
        format="fp32",
        scalar=rms,
        flops_per_parameter=17.0,
        source=f"{SHAZEER}; {hf}",
    )
    yield Adafactor(
        name="adafactor-torch",
        aliases=("torch-adafactor",),
        flops_per_parameter=16.0,
        source=f"{SHAZEER}; pytorch/pytorch, torch/optim/_adafactor.py: decoupled weight decay",
    )
    yield CoverOptimizer(
        name="sm3", flops_per_parameter=12.0, source="Anil et al. 2019, Memory-efficient adaptive optimization, SM3-II"
    )
