"""Optimizer rules: which state tensors a parameter needs, and what a step computes and moves."""

from __future__ import annotations

import attrs

from suanli.formulas import formula
from suanli.numeric import Number


@attrs.frozen(kw_only=True)
class StateTensor:
    """One state tensor of a parameter.

    Attributes:
        name: Such as ``"momentum"``.
        elements: How many.
        format: A format name; None for the recipe's.
    """

    name: str
    elements: int
    format: str | None = None


@attrs.frozen(kw_only=True)
class OptimizerRule:
    """An optimizer; plugins derive from this.

    Attributes:
        name: Unique among optimizers.
        aliases: Other names people use.
        flops_per_parameter: Of a step.
        source: The document it is described in.
    """

    name: str
    aliases: tuple[str, ...] = ()
    flops_per_parameter: float = 0.0
    source: str = ""

    def states(self, shape: tuple[int, ...]) -> tuple[StateTensor, ...]:
        """State tensors of a parameter of `shape`."""
        return ()


@attrs.frozen(kw_only=True)
class ElementwiseOptimizer(OptimizerRule):
    """An optimizer whose every state tensor has the shape of its parameter.

    Attributes:
        tensors: Names of the state tensors.
    """

    tensors: tuple[str, ...] = ()

    def states(self, shape: tuple[int, ...]) -> tuple[StateTensor, ...]:
        """One tensor of the parameter's shape for each name."""
        elements = 1
        for size in shape:
            elements *= size
        return tuple(StateTensor(name=n, elements=elements) for n in self.tensors)


@formula(unit="bytes", source="definition: gradient and state read; state, master and weight written")
def step_bytes(
    *, parameters: Number, gradient_bytes: float, state_bytes: Number, master_bytes: float, weight_bytes: float
) -> Number:
    """Bytes an optimizer step moves for `parameters`: 30 a parameter for Adam with an fp32 master.

    Args:
        parameters: Updated on this rank.
        gradient_bytes: Of one gradient as it is read.
        state_bytes: Of all states of one parameter.
        master_bytes: Of one master weight; 0 where the weights are updated in place.
        weight_bytes: Of one weight that computes.
    """
    copied = master_bytes * 2.0 + weight_bytes if master_bytes else weight_bytes * 2.0
    return parameters * (gradient_bytes + state_bytes * 2.0 + copied)
