"""What a block is made of.

An operator states its tensors, its parameters and the roles it reduces over,
and derives from them its FLOPs, the kernels it launches and the tensors it keeps for the backward pass.
Formulas live here once; an architecture only arranges operators.
"""

from __future__ import annotations

import functools
import math

import attrs

from suanli import kernels
from suanli.kernels import Kernel, attended_pairs, attention_flops, elementwise, gemm, matmul_flops
from suanli.numeric import Number, minimum
from suanli.tensors import (
    EXPERT_FFN,
    EXPERTS,
    HEAD_DIM,
    HEADS,
    HIDDEN,
    KV_HEADS,
    KV_SEQUENCE,
    TOP_K,
    VOCABULARY,
    WORKLOAD_ROLES,
    Dim,
    Local,
    Parameter,
    Tensor,
    tokens,
)


@attrs.frozen(kw_only=True)
class How:
    """What of an implementation the operators need to know.

    Attributes:
        attention: ``"flash"`` (scores never leave the chip) or ``"eager"`` (scores are written out).
        dropout: Probability; 0 keeps no mask.
        fused: Whether residuals and rotations are folded into their neighbours' passes.
        passes: Passes over memory an elementwise step takes, next to one fused kernel.
    """

    attention: str = "flash"
    dropout: float = 0.0
    fused: bool = False
    passes: float = 1.0


@attrs.frozen(kw_only=True)
class Operator:
    """One step of a block; architectures and plugins derive from this.

    Attributes:
        name: Unique in its block.
        group: What its parameters and FLOPs are counted under.
        reads: Tensors it takes.
        writes: Tensors it makes.
    """

    name: str
    group: str
    reads: tuple[Tensor, ...] = ()
    writes: tuple[Tensor, ...] = ()

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Its weights."""
        return ()

    @property
    def reduces(self) -> tuple[str, ...]:
        """Roles it sums over: where one of them is divided, what it writes is a partial sum."""
        return ()

    @property
    def expands(self) -> tuple[str, ...]:
        """Roles it introduces: where one of them is divided, the gradient of what it reads is a partial sum."""
        return ()

    @property
    def cached(self) -> tuple[Tensor, ...]:
        """Tensors kept for later tokens, of KV_SEQUENCE length or of none."""
        return ()

    @property
    def window(self) -> int:
        """Tokens its cache is limited to; 0 for no limit."""
        return 0

    def flops(self, at: Local) -> Number:
        """Matrix FLOPs of the forward pass on this rank."""
        return 0.0

    def forward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        """Kernels of the forward pass."""
        return ()

    def backward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        """Kernels of the backward pass."""
        return ()

    def kept(self, how: How) -> tuple[Tensor, ...]:
        """Tensors the backward pass needs."""
        return ()


@attrs.frozen(kw_only=True)
class Linear(Operator):
    """y = x W (+ b): from the last `inputs` dimensions of what it reads to those of each tensor it writes.

    Several tensors written share one product, as Q, K and V do.

    Attributes:
        inputs: Trailing dimensions of the tensor read that are summed over.
        bias: Whether each output has a bias.
        tied: Whether the weight is another parameter's storage.
    """

    inputs: tuple[Dim, ...]
    bias: bool = False
    tied: bool = False

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
                found.append(Parameter(name=f"{self.name}.{tensor.name}.bias", dims=out, group=self.group))
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
        return self.reads


@attrs.frozen(kw_only=True)
class Attention(Operator):
    """Softmax attention of queries on keys and values: `reads` is (q, k, v), `writes` is one output.

    Attributes:
        heads: Query heads.
        kv_heads: Key and value heads; fewer than `heads` for grouped queries, 1 for multi-query.
        head_dim: Width of a head.
        reach: Keys a query may look back on, itself included; 0 for all.
    """

    heads: int
    kv_heads: int
    head_dim: int
    reach: int = 0

    @property
    def reduces(self) -> tuple[str, ...]:
        return (KV_SEQUENCE,)

    @property
    def cached(self) -> tuple[Tensor, ...]:
        dims = (Dim(KV_SEQUENCE), Dim(KV_HEADS, self.kv_heads), Dim(HEAD_DIM, self.head_dim))
        return tuple(Tensor(name=f"{self.name}.{n}", dims=dims, format="cache") for n in ("key", "value"))

    @property
    def window(self) -> int:
        return self.reach

    def _local(self, at: Local) -> tuple[Number, Number]:
        return at.size(Dim(HEADS, self.heads)), at.size(Dim(KV_HEADS, self.kv_heads))

    def flops(self, at: Local) -> Number:
        heads, _ = self._local(at)
        pairs = attended_pairs(
            query=at.whole_sequence, kv_tokens=at.kv_tokens, window=float(self.reach), causal=at.causal
        )
        # Ranks that share a sequence take equal shares of its pairs (zig-zag order balances a causal mask).
        share = at.sequence / at.whole_sequence
        dim = float(self.head_dim)
        return attention_flops(batch=at.batch, heads=heads, pairs=pairs, key_dim=dim, value_dim=dim) * share

    def _core(self, at: Local, causal: bool) -> Kernel:
        heads, kv_heads = self._local(at)
        return kernels.attention(
            phase=at.phase,
            batch=at.batch * (at.sequence / at.whole_sequence),
            query=at.whole_sequence,
            kv_tokens=at.kv_tokens,
            heads=heads,
            kv_heads=kv_heads,
            head_dim=float(self.head_dim),
            window=float(self.reach) if causal else 0.0,
            causal=causal and at.causal,
            formats=at.core_formats,
        )

    def _scores(self, at: Local) -> Number:
        """Bytes of one written-out score matrix."""
        heads, _ = self._local(at)
        return at.batch * at.sequence * heads * at.kv_tokens * at.bytes_of["activations"]

    def forward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        if how.attention == "flash":
            return (self._core(at, causal=True),)
        # Scores written by the product, read and written by the softmax, read by the weighted sum.
        passes = 4.0 + (2.5 if how.dropout else 0.0)
        return (self._core(at, causal=False), elementwise(bytes=passes * self._scores(at)))

    def backward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        core = self._core(at, causal=how.attention == "flash")
        # Flash scores are made again: five products where the forward pass has two (Dao et al. 2022, alg. 4).
        core.flops = core.flops * (2.5 if how.attention == "flash" else 2.0)
        core.bytes = core.bytes * 2.0
        if how.attention == "flash":
            return (core,)
        passes = 7.0 + (2.5 if how.dropout else 0.0)
        return (core, elementwise(bytes=passes * self._scores(at)))

    def kept(self, how: How) -> tuple[Tensor, ...]:
        scores = tokens(Dim(HEADS, self.heads), Dim(KV_SEQUENCE))
        if how.attention == "flash":
            lse = Tensor(name=f"{self.name}.lse", dims=tokens(Dim(HEADS, self.heads)), format="fp32", core=True)
            return (*self.reads, *self.writes, lse)
        kept = [Tensor(name=f"{self.name}.softmax", dims=scores, core=True)]
        if how.dropout:
            kept.append(Tensor(name=f"{self.name}.mask", dims=scores, format="mask", core=True))
            kept.append(Tensor(name=f"{self.name}.dropped", dims=scores, core=True))
        return (*self.reads, *kept)


@attrs.frozen(kw_only=True)
class Pointwise(Operator):
    """A memory-bound pass from what it reads to what it writes: norm, activation, gate, rotary, residual.

    Attributes:
        width: Dimensions of its weights (none for a residual).
        bias: Whether it has a bias beside its weight.
        keeps_input: Whether the backward pass needs what it reads.
        dropout: Whether dropout follows it, keeping a mask of what it writes.
        fusable: Whether a fused implementation folds it into its neighbours' passes.
    """

    width: tuple[Dim, ...] = ()
    bias: bool = False
    keeps_input: bool = True
    dropout: bool = False
    fusable: bool = False

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
        if self.dropout and how.dropout:
            masks = (Tensor(name=f"{self.name}.mask", dims=t.dims, format="mask") for t in self.writes)
            return (*kept, *masks)
        return kept


@attrs.frozen(kw_only=True)
class Embedding(Operator):
    """Rows of a table, one for each token: `writes` is (batch, sequence, hidden).

    Attributes:
        vocabulary: Rows.
        hidden: Width.
        positions: Rows of a learned position table; 0 for none.
        dropout: Whether dropout follows.
    """

    vocabulary: int
    hidden: int
    positions: int = 0
    dropout: bool = False

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        table = (Dim(VOCABULARY, self.vocabulary), Dim(HIDDEN, self.hidden))
        found = [Parameter(name=f"{self.name}.weight", dims=table, group=self.group)]
        if self.positions:
            rows = (Dim("positions", self.positions), Dim(HIDDEN, self.hidden))
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
        return (*self.reads, *(Tensor(name=f"{self.name}.{n}", dims=inner) for n in names), *self.writes)


def cache_tokens(operator: Operator, tokens: Number) -> Number:
    """Tokens an operator's cache holds after `tokens` of one sequence."""
    return minimum(tokens, float(operator.window)) if operator.window else tokens
