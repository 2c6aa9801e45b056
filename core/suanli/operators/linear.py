"""Products with weights: linear maps, the embedding, and the loss at the end."""

from __future__ import annotations

import functools
import math

import attrs

from suanli.kernels import Kernel, elementwise, gemm, matmul_flops
from suanli.numeric import Number
from suanli.operators.base import How, Operator
from suanli.tensors import HIDDEN, VOCABULARY, WORKLOAD_ROLES, Dim, Local, Parameter, Tensor


@attrs.frozen(kw_only=True)
class Linear(Operator):
    """y = x W (+ b): from the last `inputs` dimensions of what it reads to those of each tensor it writes.

    Several tensors written share one product, as Q, K and V do.

    Attributes:
        inputs: Trailing dimensions of the tensor read that are summed over.
        bias: Whether each output has a bias.
        tied: Whether the weight is another parameter's storage.
        upcasts: Whether plain modules take it in fp32.
    """

    inputs: tuple[Dim, ...]
    bias: bool = False
    tied: bool = False
    upcasts: bool = False

    @functools.cached_property
    def _outputs(self) -> tuple[tuple[Dim, ...], ...]:
        """For each tensor written, the dimensions the product makes."""
        return tuple(tuple(d for d in t.dims if d.role not in WORKLOAD_ROLES) for t in self.writes)

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        found = []
        for tensor, out in zip(self.writes, self._outputs, strict=True):
            weight = Parameter(
                name=f"{self.name}.{tensor.name}",
                dims=(*out, *self.inputs),
                group=self.group,
                tied=self.tied,
                matrix=(math.prod(d.size for d in out), math.prod(d.size for d in self.inputs)),
            )
            found.append(weight)
            if self.bias:
                flat = (math.prod(d.size for d in out),)
                bias = Parameter(name=f"{self.name}.{tensor.name}.bias", dims=out, group=self.group, matrix=flat)
                found.append(bias)
        return tuple(found)

    @property
    def reduces(self) -> tuple[str, ...]:
        return tuple(d.role for d in self.inputs)

    @property
    def expands(self) -> tuple[str, ...]:
        return tuple(d.role for dims in self._outputs for d in dims)

    def _shape(self, at: Local) -> tuple[Number, Number, Number]:
        width: Number = 0.0
        for dims in self._outputs:
            width = width + at.product(dims)
        return at.tokens, width, at.product(self.inputs)

    def flops(self, at: Local) -> Number:
        m, n, k = self._shape(at)
        return matmul_flops(m=m, n=n, k=k)

    def forward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        m, n, k = self._shape(at)
        return (gemm(m=m, n=n, k=k, formats=at.formats),)

    def backward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        m, n, k = self._shape(at)
        return (gemm(m=m, n=k, k=n, formats=at.formats), gemm(m=k, n=n, k=m, formats=at.formats))

    def kept(self, how: How) -> tuple[Tensor, ...]:
        if how.unfused and self.upcasts:
            return tuple(attrs.evolve(t, name=f"{t.name}.wide", format="fp32") for t in self.reads)
        return self.reads


@attrs.frozen(kw_only=True)
class Product(Operator):
    """A product of two activations, for each token: (rows, inner) by (inner, outer); on every rank alike.

    Attributes:
        rows: Of the first.
        inner: Summed over.
        outer: Columns of the second.
    """

    rows: int
    inner: int
    outer: int

    def flops(self, at: Local) -> Number:
        return matmul_flops(m=at.tokens * self.rows, n=float(self.outer), k=float(self.inner))

    def _kernel(self, at: Local, times: float) -> Kernel:
        moved: Number = 0.0
        for tensor in (*self.reads, *self.writes):
            moved = moved + at.held(tensor)
        return elementwise(bytes=times * moved, flops=times * self.flops(at))

    def forward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        return (self._kernel(at, 1.0),)

    def backward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        return (self._kernel(at, 2.0),)

    def kept(self, how: How) -> tuple[Tensor, ...]:
        return self.reads


@attrs.frozen(kw_only=True)
class Embedding(Operator):
    """Rows of a table, one for each token: `writes` is (batch, sequence, hidden).

    Attributes:
        vocabulary: Rows.
        hidden: Width.
        positions: Rows of a learned position table; 0 for none.
        position_width: Width of that table; `hidden` where not stated.
        dropout: Whether dropout follows.
    """

    vocabulary: int
    hidden: int
    positions: int = 0
    position_width: int = 0
    dropout: bool = False

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        table = (Dim(VOCABULARY, self.vocabulary), Dim(HIDDEN, self.hidden))
        found = [Parameter(name=f"{self.name}.weight", dims=table, group=self.group)]
        if self.positions:
            rows = (Dim("positions", self.positions), Dim(HIDDEN, self.position_width or self.hidden))
            found.append(Parameter(name=f"{self.name}.positions", dims=rows, group=self.group))
        return tuple(found)

    @property
    def reduces(self) -> tuple[str, ...]:
        return (VOCABULARY,)

    def forward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        return (elementwise(bytes=2.0 * at.held(self.writes[0])),)

    def backward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        return (elementwise(bytes=3.0 * at.held(self.writes[0])),)

    def kept(self, how: How) -> tuple[Tensor, ...]:
        if self.dropout and how.dropout:
            return tuple(Tensor(name=f"{self.name}.mask", dims=t.dims, format="mask") for t in self.writes)
        return ()


@attrs.frozen(kw_only=True)
class Loss(Operator):
    """Softmax cross-entropy of the logits it reads, in fp32; sums over the vocabulary."""

    @property
    def reduces(self) -> tuple[str, ...]:
        return (VOCABULARY,)

    @functools.cached_property
    def _logits(self) -> Tensor:
        """The logits as the loss keeps them."""
        return attrs.evolve(self.reads[0], name=f"{self.reads[0].name}.fp32", format="logits")

    def forward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        return (elementwise(bytes=at.held(self.reads[0]) + 2.0 * at.held(self._logits)),)

    def backward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        return (elementwise(bytes=at.held(self.reads[0]) + at.held(self._logits)),)

    def kept(self, how: How) -> tuple[Tensor, ...]:
        return (self._logits,)
