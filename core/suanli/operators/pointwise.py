"""Passes over memory: norms, activations, rotations, residuals."""

from __future__ import annotations

import functools

import attrs

from suanli.kernels import Kernel, elementwise
from suanli.numeric import Number
from suanli.operators.base import How, Operator
from suanli.tensors import Dim, Local, Parameter, Tensor


@attrs.frozen(kw_only=True)
class Pointwise(Operator):
    """A memory-bound pass from what it reads to what it writes: norm, activation, gate, rotary, residual.

    Attributes:
        width: Dimensions of its weights (none for a residual).
        bias: Whether it has a bias beside its weight.
        keeps_input: Whether the backward pass needs what it reads.
        dropout: Whether dropout follows it, keeping a mask of what it writes.
        fusable: Whether a fused implementation folds it into its neighbours' passes.
        steps: What it keeps when it runs as elementary steps; None for what a fused kernel keeps.
    """

    width: tuple[Dim, ...] = ()
    bias: bool = False
    keeps_input: bool = True
    dropout: bool = False
    fusable: bool = False
    steps: tuple[Tensor, ...] | None = None

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        if not self.width:
            return ()
        weight = Parameter(name=f"{self.name}.weight", dims=self.width, group=self.group)
        if not self.bias:
            return (weight,)
        return (weight, Parameter(name=f"{self.name}.bias", dims=self.width, group=self.group))

    def _moved(self, at: Local, how: How) -> Number:
        total: Number = 0.0
        for tensor in (*self.reads, *self.writes):
            total = total + at.held(tensor)
        return total * how.passes

    def forward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        if self.fusable and how.fused:
            return ()
        return (elementwise(bytes=self._moved(at, how)),)

    def backward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        if self.fusable and how.fused:
            return ()
        return (elementwise(bytes=1.5 * self._moved(at, how)),)

    def kept(self, how: How) -> tuple[Tensor, ...]:
        kept = self.reads if self.keeps_input else ()
        if how.unfused and self.steps is not None:
            kept = self.steps
        if self.dropout and how.dropout:
            masks = (Tensor(name=f"{self.name}.mask", dims=t.dims, format="mask") for t in self.writes)
            return (*kept, *masks)
        return kept
