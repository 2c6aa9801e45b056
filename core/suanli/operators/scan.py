"""Recurrences with a state of constant size: state-space models, linear attention, the convolution before them."""

from __future__ import annotations

import functools
import math

import attrs

from suanli.formulas import formula
from suanli.kernels import Kernel, elementwise, gemm
from suanli.numeric import Number, minimum
from suanli.operators.base import How, Operator
from suanli.tensors import (
    HEAD_DIM,
    HEADS,
    KV_HEADS,
    STATE,
    TAPS,
    WORKLOAD_ROLES,
    Dim,
    Local,
    Parameter,
    Tensor,
    tokens,
)

SSD = "Dao & Gu 2024, Transformers are SSMs, sec. 6.3: four products over chunks"
DELTA = "Yang et al. 2024, Parallelizing linear transformers with the delta rule, sec. 3.2 (the WY form)"
SELECTIVE = "Liu et al. 2024, VMamba: 9 operations for each element of the state, after Gu & Dao 2023"


@formula(unit="flops", source=SSD)
def state_space_flops(
    *, tokens: Number, chunk: Number, heads: Number, groups: Number, key: float, value: float
) -> Number:
    """FLOPs of a scan in chunks: scores within a chunk, their weighted sum, the state into it and out of it."""
    return 2.0 * tokens * (groups * chunk * key + heads * (chunk * value + 2.0 * key * value))


@formula(unit="flops", source=DELTA)
def delta_rule_flops(*, tokens: Number, chunk: Number, heads: Number, key: float, value: float) -> Number:
    """FLOPs of the delta rule in chunks: three products over keys, two over values, three with the state."""
    return 2.0 * tokens * heads * (chunk * (3.0 * key + 2.0 * value) + 3.0 * key * value)


@formula(unit="flops", source=SELECTIVE)
def selective_scan_flops(*, tokens: Number, channels: Number, key: float) -> Number:
    """FLOPs of a selective scan, which has no products: every element of the state on its own."""
    return 9.0 * tokens * channels * key


@formula(unit="flops", source="definition: the state is updated and read once for a token")
def recurrent_step_flops(*, tokens: Number, heads: Number, key: float, value: float, products: float) -> Number:
    """FLOPs of steps of a recurrence: outer products into the state and products with it, `products` in all."""
    return 2.0 * tokens * heads * key * value * products


@formula(unit="flops", source="definition: a multiply-add for each channel and tap")
def convolution_flops(*, tokens: Number, channels: Number, taps: float) -> Number:
    """FLOPs of a depthwise convolution along the sequence."""
    return 2.0 * tokens * channels * taps


@attrs.frozen(kw_only=True)
class CausalConv(Operator):
    """A depthwise convolution along the sequence; keeps its last inputs as state.

    Attributes:
        taps: Tokens it looks at.
        bias: Whether each channel has one.
    """

    taps: int
    bias: bool = False

    @functools.cached_property
    def _channels(self) -> tuple[tuple[Dim, ...], ...]:
        return tuple(tuple(d for d in t.dims if d.role not in WORKLOAD_ROLES) for t in self.reads)

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        found = []
        for tensor, dims in zip(self.reads, self._channels, strict=True):
            count = math.prod(d.size for d in dims)
            shape = (count, 1, self.taps)
            weight = (*dims, Dim(TAPS, self.taps))
            found.append(Parameter(name=f"{self.name}.{tensor.name}", dims=weight, group=self.group, matrix=shape))
            if self.bias:
                found.append(Parameter(name=f"{self.name}.{tensor.name}.bias", dims=dims, group=self.group))
        return tuple(found)

    @property
    def cached(self) -> tuple[Tensor, ...]:
        # As the reference implementations allocate it: as many tokens as it looks at, the newest included.
        return tuple(
            Tensor(name=f"{self.name}.{t.name}", dims=(*dims, Dim(TAPS, self.taps)))
            for t, dims in zip(self.reads, self._channels, strict=True)
        )

    def flops(self, at: Local) -> Number:
        channels: Number = 0.0
        for dims in self._channels:
            channels = channels + at.product(dims)
        return convolution_flops(tokens=at.tokens, channels=channels, taps=float(self.taps))

    def _moved(self, at: Local) -> Number:
        total: Number = 0.0
        for tensor in (*self.reads, *self.writes):
            total = total + at.gathered(tensor)
        return total

    def forward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        return (elementwise(bytes=self._moved(at), flops=self.flops(at)),)

    def backward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        return (elementwise(bytes=1.5 * self._moved(at), flops=2.0 * self.flops(at)),)

    def kept(self, how: How) -> tuple[Tensor, ...]:
        return self.reads


@attrs.frozen(kw_only=True)
class Scan(Operator):
    """A linear recurrence with a state of (key, value) for each head, computed in chunks (Mamba-2, linear attention).

    Attributes:
        heads: Each with a state of its own.
        groups: Of heads that share keys and queries (B and C of a state-space model).
        key_dim: Width of a key: the state size of a state-space model.
        value_dim: Width of a head of values.
        chunk: Tokens computed at once.
        vectors: Names of its weights of one number a head: decay, skip, step bias.
        state_format: What the state is kept in.
        owner: Group its weights are counted under; its own where empty.
    """

    heads: int
    groups: int
    key_dim: int
    value_dim: int
    chunk: int = 64
    vectors: tuple[str, ...] = ()
    state_format: str = "fp32"
    owner: str = ""

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        dims, group = (Dim(HEADS, self.heads),), self.owner or self.group
        return tuple(Parameter(name=f"{self.name}.{n}", dims=dims, group=group) for n in self.vectors)

    @property
    def cached(self) -> tuple[Tensor, ...]:
        dims = (Dim(HEADS, self.heads), Dim(STATE, self.key_dim), Dim(HEAD_DIM, self.value_dim))
        return (Tensor(name=f"{self.name}.state", dims=dims, format=self.state_format),)

    def _sizes(self, at: Local) -> tuple[Number, Number]:
        return at.size(Dim(HEADS, self.heads)), at.size(Dim(KV_HEADS, self.groups))

    products = 2.0
    """Products with the state, or into it, that a step takes."""

    def flops(self, at: Local) -> Number:
        heads, _ = self._sizes(at)
        if at.phase == "decode":
            key, value = float(self.key_dim), float(self.value_dim)
            return recurrent_step_flops(tokens=at.tokens, heads=heads, key=key, value=value, products=self.products)
        return self._chunked(at)

    def _chunked(self, at: Local) -> Number:
        heads, groups = self._sizes(at)
        return state_space_flops(
            tokens=at.tokens,
            chunk=minimum(float(self.chunk), at.sequence),
            heads=heads,
            groups=groups,
            key=float(self.key_dim),
            value=float(self.value_dim),
        )

    def _moved(self, at: Local) -> Number:
        heads, _ = self._sizes(at)
        total: Number = 2.0 * at.batch * heads * (self.key_dim * self.value_dim) * at.bytes_of[self.state_format]
        for tensor in (*self.reads, *self.writes):
            total = total + at.gathered(tensor)
        return total

    def _kernel(self, at: Local, times: float) -> Kernel:
        flops, moved = self.flops(at) * times, self._moved(at) * times
        if at.phase == "decode":
            return elementwise(bytes=moved, flops=flops)
        # Products of chunk-sized tiles run on the matrix unit: one product of as many FLOPs stands for them.
        k = float(max(self.key_dim, self.value_dim))
        kernel = gemm(m=at.tokens, n=flops / (2.0 * at.tokens * k), k=k, formats=at.core_formats)
        kernel.flops, kernel.bytes = flops, moved
        return kernel

    def forward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        return (self._kernel(at, 1.0),)

    def backward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        return (self._kernel(at, 2.0),)

    def kept(self, how: How) -> tuple[Tensor, ...]:
        # One state for each chunk, spread over its tokens.
        width = max(1, self.key_dim * self.value_dim // self.chunk)
        states = Tensor(name=f"{self.name}.states", dims=tokens(Dim(HEADS, self.heads), Dim(STATE, width)))
        return (*self.reads, states)


@attrs.frozen(kw_only=True)
class DeltaScan(Scan):
    """A recurrence that replaces what its state holds for a key (DeltaNet, Gated DeltaNet, Kimi Delta Attention)."""

    products = 3.0

    def _chunked(self, at: Local) -> Number:
        heads, _ = self._sizes(at)
        return delta_rule_flops(
            tokens=at.tokens,
            chunk=minimum(float(self.chunk), at.sequence),
            heads=heads,
            key=float(self.key_dim),
            value=float(self.value_dim),
        )


@attrs.frozen(kw_only=True)
class SelectiveScan(Scan):
    """Mamba-1's recurrence, element by element: `heads` are channels, each with a state of `key_dim` numbers."""

    value_dim: int = 1

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        rows, group = Dim(HEADS, self.heads), self.owner or self.group
        decay = Parameter(name=f"{self.name}.decay", dims=(rows, Dim(STATE, self.key_dim)), group=group)
        rest = (Parameter(name=f"{self.name}.{n}", dims=(rows,), group=group) for n in self.vectors)
        return (decay, *rest)

    def flops(self, at: Local) -> Number:
        heads, _ = self._sizes(at)
        return selective_scan_flops(tokens=at.tokens, channels=heads, key=float(self.key_dim))

    def _kernel(self, at: Local, times: float) -> Kernel:
        return elementwise(bytes=self._moved(at) * times, flops=self.flops(at) * times)

    def kept(self, how: How) -> tuple[Tensor, ...]:
        return self.reads
