"""Operators in the arrangements families share: norms, attention, feed-forward, experts, embedding and head."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from suanli.operators import Attention, Linear, Operator, Pointwise
from suanli.tensors import FFN, HEAD_DIM, HEADS, HIDDEN, KV_HEADS, LATENT, Dim, Tensor, tokens

Made = TypeVar("Made", bound=Callable[..., Any])


def remembered(make: Made) -> Made:
    """Equal layers share their parts: a model of thousands of layers is made in the time of a few."""
    return functools.lru_cache(maxsize=4096)(make)  # type: ignore[return-value]


@remembered
def stream(name: str, hidden: int) -> Tensor:
    """A tensor of the residual stream's width."""
    return Tensor(name=name, dims=tokens(Dim(HIDDEN, hidden)))


@remembered
def latent(name: str, width: int) -> Tensor:
    """A compressed tensor, whole on every rank."""
    return Tensor(name=name, dims=tokens(Dim(LATENT, width)))


@remembered
def norm(name: str, reads: Tensor, writes: Tensor, *, kind: str = "rms") -> Pointwise:
    """A norm over the last dimension of `reads`.

    Args:
        name: Of the operator.
        reads: What is normed.
        writes: The result.
        kind: ``"rms"`` (a weight), ``"rms-wide"`` (applied before the cast back from fp32),
            ``"layer"`` (weight and bias), ``"plain"`` (a layer norm's weight alone), ``"none"``.
    """
    width = () if kind == "none" else reads.dims[-1:]
    return Pointwise(
        name=name,
        group="norm",
        reads=(reads,),
        writes=(writes,),
        width=width,
        bias=kind == "layer",
        steps=norm_steps(name, reads, kind),
    )


def norm_steps(name: str, reads: Tensor, kind: str) -> tuple[Tensor, ...]:
    """What a framework's plain norm keeps: a kernel's input and statistics, or each step of an RMSNorm in fp32."""
    one = Tensor(name=f"{name}.deviation", dims=reads.dims[:-1], format="fp32")
    if not kind.startswith("rms"):
        return (reads, one, attrs.evolve(one, name=f"{name}.mean"))
    wide = attrs.evolve(reads, name=f"{name}.wide", format="fp32")
    scaled = attrs.evolve(reads, name=f"{name}.scaled", format="fp32" if kind == "rms-wide" else reads.format)
    return (wide, scaled, one)


ACTIVATION_STEPS = {"gelu_new": 3, "gelu_fast": 6, "gelu_python": 2, "quick_gelu": 1, "relu2": 1}
"""Tensors besides input and output that an activation written in elementary steps keeps; others are one kernel."""
KEEPS_OUTPUT = ("relu", "relu2", "tanh", "sigmoid")
"""Activations whose gradient needs what they gave, not what they took."""


def activation_steps(group: str, raised: tuple[Tensor, ...], active: Tensor, kind: str) -> tuple[Tensor, ...]:
    """What an activation, and the product with its gate, keep when each step is a kernel of its own."""
    first = raised[0]
    more = tuple(attrs.evolve(first, name=f"{group}.{kind}.{i}") for i in range(ACTIVATION_STEPS.get(kind, 0)))
    taken = () if kind in KEEPS_OUTPUT else (first,)
    if len(raised) == 1:
        return (*taken, *more)
    return (*taken, *more, attrs.evolve(active, name=f"{group}.opened"), *raised[1:])


@remembered
def residual(name: str, stream_in: Tensor, *rest: Tensor) -> Pointwise:
    """The stream plus branches, dropout on them; the last tensor is written."""
    *branches, out = rest
    return Pointwise(
        name=name,
        group="residual",
        reads=(stream_in, *branches),
        writes=(out,),
        keeps_input=False,
        dropout=True,
        fusable=True,
    )


@remembered
def pointwise(name: str, group: str, reads: tuple[Tensor, ...], writes: Tensor, *, keeps: bool = True) -> Pointwise:
    """An activation, a gate, a sum."""
    return Pointwise(name=name, group=group, reads=reads, writes=(writes,), keeps_input=keeps)


@remembered
def linear(name: str, group: str, reads: Tensor, *writes: Tensor, bias: bool = False) -> Linear:
    """A product from all of what a tensor holds of a token to `writes`."""
    return Linear(name=name, group=group, reads=(reads,), writes=writes, inputs=reads.dims[2:], bias=bias)


@remembered
def heads_of(name: str, heads: int, width: int, role: str = HEADS) -> Tensor:
    """A tensor of `heads` heads."""
    return Tensor(name=name, dims=tokens(Dim(role, heads), Dim(HEAD_DIM, width)))


@attrs.frozen(kw_only=True)
class AttentionShape:
    """What one layer's attention looks like.

    Attributes:
        heads: Query heads.
        kv_heads: Key and value heads.
        head_dim: Width of a head of queries and keys.
        value_dim: Width of a head of values; 0 for that of keys.
        qkv_bias: Whether the first projections have biases.
        out_bias: Whether the last has.
        head_norm: Norms of queries and keys: ``""``, one weight for all heads ``"head"``, or one for each ``"whole"``.
        head_norm_bias: Whether those norms have biases.
        rotary: Whether positions rotate queries and keys.
        window: Keys a query may look back on; 0 for all.
        chunk: Tokens of a chunk attention stays in; 0 for none.
        sinks: Whether heads have a learned score that joins the softmax.
        gate: Whether another projection of the queries' width gates what is attended.
        same: Whether values are the keys' projection.
        shared: Whether keys and values are an earlier layer's.
        norms: The kind of the norms of queries and keys; see :func:`norm`.
        upcasts: Whether plain modules take the softmax in fp32.
        capped: Whether scores go through a tanh.
        packed: Whether queries, keys and values are views of one tensor, which stays as long as one of them.
    """

    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int = 0
    qkv_bias: bool = False
    out_bias: bool = False
    head_norm: str = ""
    head_norm_bias: bool = False
    rotary: bool = True
    window: int = 0
    chunk: int = 0
    sinks: bool = False
    gate: bool = False
    same: bool = False
    shared: bool = False
    norms: str = "rms"
    upcasts: bool = True
    capped: bool = False
    packed: bool = False


@remembered
def attention(reads: Tensor, writes: Tensor, shape: AttentionShape) -> tuple[Operator, ...]:
    """Projections to queries, keys and values, the attention core, and the projection back."""
    q = heads_of("query", shape.heads, shape.head_dim)
    k = heads_of("key", shape.kv_heads, shape.head_dim, KV_HEADS)
    v = heads_of("value", shape.kv_heads, shape.value_dim or shape.head_dim, KV_HEADS)
    out = heads_of("attended", shape.heads, shape.value_dim or shape.head_dim)
    gate = attrs.evolve(out, name="gate")
    made = [q, *([gate] if shape.gate else [])]
    if not shape.shared:
        made += [k] if shape.same else [k, v]
    found: list[Operator] = [linear("qkv", "attention", reads, *made, bias=shape.qkv_bias)]
    if shape.same and not shape.shared:
        found.append(pointwise("value_norm", "norm", (k,), v))
    if shape.head_norm:
        normed = []
        for tensor in (q,) if shape.shared else (q, k):
            width = tensor.dims[-1:] if shape.head_norm == "head" else tensor.dims[2:]
            normed.append(attrs.evolve(tensor, name=f"{tensor.name}.normed"))
            found.append(
                Pointwise(
                    name=f"{tensor.name}_norm",
                    group="norm",
                    reads=(tensor,),
                    writes=(normed[-1],),
                    width=width if shape.head_norm != "none" else (),
                    bias=shape.head_norm_bias,
                    steps=norm_steps(f"{tensor.name}_norm", tensor, shape.norms),
                )
            )
        q, k = (*normed, k)[:2]
    if shape.rotary:
        # Rotated in place: the backward pass rotates back, and needs nothing kept.
        turned = (q,) if shape.shared else (q, k)
        whole = tuple(attrs.evolve(t, name=f"{t.name}.unrotated") for t in turned) if shape.packed else None
        found.append(
            Pointwise(
                name="rotary",
                group="attention",
                reads=turned,
                writes=turned,
                keeps_input=False,
                fusable=True,
                steps=whole,
            )
        )
    found.append(
        Attention(
            name="core",
            group="attention_core",
            reads=(q, k, v),
            writes=(out,),
            heads=shape.heads,
            kv_heads=shape.kv_heads,
            head_dim=shape.head_dim,
            value_dim=shape.value_dim,
            reach=shape.window,
            chunk=shape.chunk,
            sinks=shape.sinks,
            shares=shape.shared,
            upcasts=shape.upcasts,
            capped=shape.capped,
        )
    )
    if shape.gate:
        gated = attrs.evolve(out, name="gated")
        found.append(pointwise("attention_gate", "attention", (gate, out), gated))
        out = gated
    found.append(linear("out", "attention", out, writes, bias=shape.out_bias))
    return tuple(found)


@remembered
def feed_forward(
    reads: Tensor,
    writes: Tensor,
    *,
    inner: int,
    gated: bool = True,
    bias: bool = False,
    group: str = "mlp",
    activation: str = "silu",
) -> tuple[Operator, ...]:
    """Up (and gate), activation, down."""
    up = Tensor(name=f"{group}.up", dims=tokens(Dim(FFN, inner)))
    gate = attrs.evolve(up, name=f"{group}.gate")
    active = attrs.evolve(up, name=f"{group}.activated")
    raised = (gate, up) if gated else (up,)
    return (
        linear(f"{group}_up", group, reads, *raised, bias=bias),
        Pointwise(
            name=f"{group}_activation",
            group=group,
            reads=raised,
            writes=(active,),
            steps=activation_steps(group, raised, active, activation),
        ),
        linear(f"{group}_down", group, active, writes, bias=bias),
    )
