"""Layers with a state of constant size: Mamba, Mamba-2, the gated delta rule, lightning attention."""

from __future__ import annotations

import attrs

from suanli import CausalConv, DeltaScan, Operator, Pointwise, Scan, SelectiveScan, Tensor
from suanli.building.parts import heads_of, latent, linear, norm, pointwise
from suanli.tensors import HEAD_DIM, HEADS, KV_HEADS, STATE, Dim, tokens

GROUP = "ssm_linear_attention"
"""What parameters and FLOPs of these layers are counted under."""
CORE = "scan"


@attrs.frozen(kw_only=True)
class StateSpace:
    """A state-space layer.

    Attributes:
        heads: Heads (Mamba-2) or channels (Mamba-1).
        head_dim: Width of a head; 1 for Mamba-1.
        state: Size of the state.
        groups: Of heads that share B and C.
        taps: Tokens the convolution looks at.
        conv_bias: Whether it has biases.
        bias: Whether the projections in and out have biases.
        out_bias: Whether the projection out has one, where it is on its own.
        chunk: Tokens scanned at once.
        rank: Width steps are compressed to (Mamba-1).
        normed: Whether steps, B and C are normed (Jamba).
        gated_norm: Whether the output is normed with its gate.
    """

    heads: int
    head_dim: int = 1
    state: int
    groups: int = 1
    taps: int = 4
    conv_bias: bool = True
    bias: bool = False
    out_bias: bool | None = None
    chunk: int = 256
    rank: int = 0
    normed: bool = False
    gated_norm: bool = True


def _convolved(tensors: tuple[Tensor, ...], taps: int, *, bias: bool) -> tuple[CausalConv, tuple[Tensor, ...]]:
    after = tuple(attrs.evolve(t, name=f"{t.name}.convolved") for t in tensors)
    return CausalConv(name="conv", group=GROUP, reads=tensors, writes=after, taps=taps, bias=bias), after


def mamba2(reads: Tensor, writes: Tensor, shape: StateSpace) -> tuple[Operator, ...]:
    """One projection in, a convolution, the scan, a gated norm, the projection out (Dao & Gu 2024, fig. 6)."""
    x, z = heads_of("ssm.x", shape.heads, shape.head_dim), heads_of("ssm.gate", shape.heads, shape.head_dim)
    b = Tensor(name="ssm.b", dims=tokens(Dim(KV_HEADS, shape.groups), Dim(STATE, shape.state)))
    c = attrs.evolve(b, name="ssm.c")
    step = Tensor(name="ssm.step", dims=tokens(Dim(HEADS, shape.heads)))
    out, normed = attrs.evolve(x, name="ssm.out"), attrs.evolve(x, name="ssm.normed")
    conv, (x1, b1, c1) = _convolved((x, b, c), shape.taps, bias=shape.conv_bias)
    scan = Scan(
        name="scan",
        group=CORE,
        reads=(x1, b1, c1, step),
        writes=(out,),
        heads=shape.heads,
        groups=shape.groups,
        key_dim=shape.state,
        value_dim=shape.head_dim,
        chunk=shape.chunk,
        vectors=("decay", "skip", "step_bias"),
        owner=GROUP,
    )
    width = x.dims[2:] if shape.gated_norm else ()
    gate = Pointwise(name="gated_norm", group="norm" if width else GROUP, reads=(out, z), writes=(normed,), width=width)
    first = linear("ssm_in", GROUP, reads, z, x, b, c, step, bias=shape.bias)
    out_bias = shape.bias if shape.out_bias is None else shape.out_bias
    return (first, conv, scan, gate, linear("ssm_out", GROUP, normed, writes, bias=out_bias))


def mamba(reads: Tensor, writes: Tensor, shape: StateSpace) -> tuple[Operator, ...]:
    """Mamba-1: steps, B and C are made of the convolved channels (Gu & Dao 2023, sec. 3)."""
    x = Tensor(name="ssm.x", dims=tokens(Dim(HEADS, shape.heads)))
    z, step, out, gated = (attrs.evolve(x, name=f"ssm.{n}") for n in ("gate", "step", "out", "gated"))
    low, b, c = latent("ssm.rank", shape.rank), latent("ssm.b", shape.state), latent("ssm.c", shape.state)
    conv, (x1,) = _convolved((x,), shape.taps, bias=shape.conv_bias)
    found: list[Operator] = [
        linear("ssm_in", GROUP, reads, x, z, bias=shape.bias),
        conv,
        linear("ssm_parameters", GROUP, x1, low, b, c),
    ]
    if shape.normed:
        after = [attrs.evolve(t, name=f"{t.name}.normed") for t in (low, b, c)]
        found += [norm(f"{t.name}_norm", t, n) for t, n in zip((low, b, c), after, strict=True)]
        low, b, c = after
    found += [
        linear("ssm_step", GROUP, low, step, bias=True),
        SelectiveScan(
            name="scan",
            group=CORE,
            reads=(x1, b, c, step),
            writes=(out,),
            heads=shape.heads,
            groups=1,
            key_dim=shape.state,
            chunk=shape.chunk,
            vectors=("skip",),
            owner=GROUP,
        ),
        pointwise("ssm_gate", GROUP, (out, z), gated),
        linear("ssm_out", GROUP, gated, writes, bias=shape.bias),
    ]
    return tuple(found)


@attrs.frozen(kw_only=True)
class DeltaShape:
    """A layer of the gated delta rule.

    Attributes:
        key_heads: Of queries and keys.
        heads: Of values.
        key_dim: Width of a head of keys.
        value_dim: Width of a head of values.
        taps: Tokens the convolution looks at.
    """

    key_heads: int
    heads: int
    key_dim: int
    value_dim: int
    taps: int = 4


def delta_rule(reads: Tensor, writes: Tensor, shape: DeltaShape) -> tuple[Operator, ...]:
    """Gated DeltaNet as Qwen3-Next has it: one convolution, a scan, a norm of each head with its gate."""
    q = heads_of("linear.query", shape.key_heads, shape.key_dim, KV_HEADS)
    k = attrs.evolve(q, name="linear.key")
    v, z = (heads_of(f"linear.{n}", shape.heads, shape.value_dim) for n in ("value", "gate"))
    beta, decay = (Tensor(name=f"linear.{n}", dims=tokens(Dim(HEADS, shape.heads))) for n in ("beta", "decay"))
    out, normed = attrs.evolve(v, name="linear.out"), attrs.evolve(v, name="linear.normed")
    conv, (q1, k1, v1) = _convolved((q, k, v), shape.taps, bias=False)
    scan = DeltaScan(
        name="scan",
        group=CORE,
        reads=(v1, k1, q1, beta, decay),
        writes=(out,),
        heads=shape.heads,
        groups=shape.key_heads,
        key_dim=shape.key_dim,
        value_dim=shape.value_dim,
        vectors=("decay", "step_bias"),
        owner=GROUP,
    )
    gate = Pointwise(
        name="gated_norm", group="norm", reads=(out, z), writes=(normed,), width=(Dim(HEAD_DIM, shape.value_dim),)
    )
    first = linear("linear_in", GROUP, reads, q, k, v, z, beta, decay)
    return (first, conv, scan, gate, linear("linear_out", GROUP, normed, writes))


def lightning(reads: Tensor, writes: Tensor, *, heads: int, head_dim: int, chunk: int) -> tuple[Operator, ...]:
    """Lightning attention as MiniMax-01 has it: linear attention with fixed decay, a norm, a gate (2025, sec. 2.2)."""
    q, k, v = (heads_of(f"linear.{n}", heads, head_dim) for n in ("query", "key", "value"))
    z, out, normed, gated = (attrs.evolve(v, name=f"linear.{n}") for n in ("gate", "out", "normed", "gated"))
    return (
        linear("linear_in", GROUP, reads, q, k, v),
        Scan(
            name="scan",
            group=CORE,
            reads=(v, k, q),
            writes=(out,),
            heads=heads,
            groups=heads,
            key_dim=head_dim,
            value_dim=head_dim,
            chunk=chunk,
            owner=GROUP,
        ),
        Pointwise(name="linear_norm", group="norm", reads=(out,), writes=(normed,), width=v.dims[2:]),
        linear("linear_gate", GROUP, reads, z),
        pointwise("linear_gated", GROUP, (normed, z), gated),
        linear("linear_out", GROUP, gated, writes),
    )
