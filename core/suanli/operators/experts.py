"""Routed experts."""

from __future__ import annotations

import functools

import attrs

from suanli import kernels
from suanli.kernels import Kernel, matmul_flops
from suanli.numeric import Number
from suanli.operators.base import How, Operator
from suanli.tensors import EXPERT_FFN, EXPERTS, HIDDEN, TOP_K, Dim, Local, Parameter, Tensor


@attrs.frozen(kw_only=True)
class Experts(Operator):
    """Routed experts: tokens dispatched to `top_k` of `experts` feed-forward networks, and gathered back.

    `reads` and `writes` hold the dispatched and the returned tokens, dimensions (batch, sequence, top_k, hidden).

    Attributes:
        experts: In the layer.
        top_k: A token goes to.
        hidden: Model width.
        width: Inner width of one expert.
        gated: Whether the inner activation has a gate of its own.
        bias: Whether the matrices have biases.
    """

    experts: int
    top_k: int
    hidden: int
    width: int
    gated: bool = True
    bias: bool = False

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        count, inner, outer = Dim(EXPERTS, self.experts), Dim(EXPERT_FFN, self.width), Dim(HIDDEN, self.hidden)
        shapes = {"up": (count, inner, outer), "down": (count, outer, inner)}
        biases = {"up": (count, inner), "down": (count, outer)}
        if self.gated:
            shapes, biases = shapes | {"gate": shapes["up"]}, biases | {"gate": biases["up"]}
        use = (self.top_k, self.experts)
        found = [Parameter(name=f"{self.name}.{n}", dims=d, group=self.group, use=use) for n, d in shapes.items()]
        if self.bias:
            found += [
                Parameter(name=f"{self.name}.{n}.bias", dims=d, group=self.group, use=use) for n, d in biases.items()
            ]
        return tuple(found)

    @property
    def reduces(self) -> tuple[str, ...]:
        return (EXPERT_FFN,)

    @property
    def expands(self) -> tuple[str, ...]:
        return (EXPERTS, EXPERT_FFN)

    @property
    def matrices(self) -> float:
        """Weight matrices of one expert."""
        return 3.0 if self.gated else 2.0

    def _routed(self, at: Local) -> Number:
        """Token copies this rank's experts work on, when every expert is as busy as the next."""
        return at.tokens * at.size(Dim(TOP_K, self.top_k))

    def flops(self, at: Local) -> Number:
        inner = at.size(Dim(EXPERT_FFN, self.width))
        return matmul_flops(m=self._routed(at), n=inner * self.matrices, k=float(self.hidden))

    def _kernel(self, at: Local) -> Kernel:
        group = at.degrees.get(EXPERTS, 1.0)
        return kernels.experts(
            tokens=self._routed(at) * group / float(self.top_k),
            hidden=float(self.hidden),
            intermediate=at.size(Dim(EXPERT_FFN, self.width)),
            experts=float(self.experts),
            top_k=float(self.top_k),
            expert=group,
            matrices=self.matrices,
            dispatched=True,
            formats=at.formats,
        )

    def forward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        return (self._kernel(at),)

    def backward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        kernel = self._kernel(at)
        kernel.launches = 2.0
        return (kernel,)

    def kept(self, how: How) -> tuple[Tensor, ...]:
        inner = (*self.reads[0].dims[:-1], Dim(EXPERT_FFN, self.width))
        names = ("gate", "up", "activated") if self.gated else ("up", "activated")
        if how.unfused and self.gated:
            names = (*names, "opened")
        return (*self.reads, *(Tensor(name=f"{self.name}.{n}", dims=inner) for n in names), *self.writes)
