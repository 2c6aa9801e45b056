"""Optimizer rules: which state tensors a parameter needs, and what a step computes and moves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
from attrs.validators import ge, gt

from suanli.formulas import formula
from suanli.numeric import Number
from suanli.precision import NumberFormat

if TYPE_CHECKING:
    from suanli.tensors import Parameter


@attrs.frozen(kw_only=True)
class StateTensor:
    """One state tensor of a parameter.

    Attributes:
        name: Such as ``"momentum"``.
        elements: How many.
        format: A format name; None for the recipe's.
        shared: Whether all parameters share one, such as a table of codes; nothing divides it.
        host: Whether it lies in the host's memory, as the step counts of PyTorch do.
    """

    name: str
    elements: int = attrs.field(validator=ge(0))
    format: str | None = None
    shared: bool = False
    host: bool = False


@attrs.frozen(kw_only=True)
class MatrixProduct:
    """Products of an (m, k) by a (k, n) matrix that a step needs.

    Attributes:
        m: Rows of the result.
        n: Columns of the result.
        k: What is summed over.
        times: How many alike, one after another.
        format: A format name; a wider one where the accelerator has no path for it.
    """

    m: int = attrs.field(validator=gt(0))
    n: int = attrs.field(validator=gt(0))
    k: int = attrs.field(validator=gt(0))
    times: int = attrs.field(default=1, validator=ge(0))
    format: str = "bf16"


@attrs.frozen(kw_only=True, cache_hash=True)
class OptimizerRule:
    """An optimizer; plugins derive from this.

    Attributes:
        name: Unique among optimizers.
        aliases: Other names people use.
        flops_per_parameter: Of a step, matrix products apart; each ``+ - * /``, root, sign, comparison is one.
        source: The document it is described in.
    """

    name: str
    aliases: tuple[str, ...] = ()
    flops_per_parameter: float = 0.0
    source: str = ""

    def states(self, shape: tuple[int, ...]) -> tuple[StateTensor, ...]:
        """State tensors of a parameter of `shape`."""
        return ()

    def products(self, shape: tuple[int, ...]) -> tuple[MatrixProduct, ...]:
        """Matrix products a step takes for a parameter of `shape`, on top of its pass over memory.

        They are of the whole matrix, never of a shard: ranks that divide the optimizer states share whole
        matrices out among themselves, and tensor ranks each multiply what they have gathered.
        Dimensions before the last two count matrices; expert ranks divide those.
        """
        return ()

    def rule_for(self, parameter: Parameter) -> OptimizerRule:
        """The rule that updates `parameter`: this one, unless it leaves some to another."""
        return self

    def state_bytes(self, shape: tuple[int, ...], formats: Mapping[str, NumberFormat], states: str = "fp32") -> int:
        """Exact bytes of all state tensors of one parameter, the shared and the host's included.

        Args:
            shape: Of the parameter.
            formats: By name.
            states: Format of those the rule leaves to the recipe.
        """
        return sum(formats[s.format or states].bytes(s.elements) for s in self.states(shape))


@attrs.frozen(kw_only=True, cache_hash=True)
class ElementwiseOptimizer(OptimizerRule):
    """An optimizer whose every state tensor has the shape of its parameter.

    Attributes:
        tensors: Names of the state tensors.
        format: Their format; None for the recipe's.
        beside: What it keeps for a parameter of any shape besides, such as a step count.
    """

    tensors: tuple[str, ...] = ()
    format: str | None = None
    beside: tuple[StateTensor, ...] = ()

    def states(self, shape: tuple[int, ...]) -> tuple[StateTensor, ...]:
        """One tensor of the parameter's shape for each name, and what is kept beside them."""
        elements = math.prod(shape)
        return (*(StateTensor(name=n, elements=elements, format=self.format) for n in self.tensors), *self.beside)


@formula(unit="bytes", source="definition: gradient and state read; state, master and weight written")
def step_bytes(
    *, parameters: Number, state_bytes: Number, gradient_bytes: float, master_bytes: float, weight_bytes: float
) -> Number:
    """Bytes an optimizer step moves for `parameters`: 30 a parameter for Adam with an fp32 master.

    Args:
        parameters: Updated on this rank.
        state_bytes: Of all their states; read once and written once, as a fused step does.
        gradient_bytes: Of one gradient as it is read.
        master_bytes: Of one master weight; 0 where the weights are updated in place.
        weight_bytes: Of one weight that computes.
    """
    copied = master_bytes * 2.0 + weight_bytes if master_bytes else weight_bytes * 2.0
    return parameters * (gradient_bytes + copied) + state_bytes * 2.0
