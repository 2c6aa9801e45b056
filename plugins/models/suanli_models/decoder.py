"""Parts shared by decoder families: dimensions, attention, feed-forward, embedding and head."""

from __future__ import annotations

from typing import Any

import attrs
from attrs.validators import ge, gt, le, optional

from suanli import Attention, Block, Dim, Embedding, Experts, Linear, Loss, Operator, Pointwise, Tensor
from suanli.tensors import (
    CHOICES,
    FFN,
    HEAD_DIM,
    HEADS,
    HIDDEN,
    KV_HEADS,
    TOP_K,
    VOCABULARY,
    tokens,
)

MOST = 2**31
MOST_LAYERS = 2_000


def size(*keys: str, **options: Any) -> Any:
    """A required whole number above 0, read from the first of `keys` a configuration has."""
    return attrs.field(validator=[gt(0), le(MOST)], metadata={"config": keys}, **options)


def maybe(*keys: str, default: int | None = None) -> Any:
    """A whole number above 0, or None where the configuration has none."""
    return attrs.field(default=default, validator=optional([gt(0), le(MOST)]), metadata={"config": keys})


def count(*keys: str) -> Any:
    """The number of layers."""
    return attrs.field(validator=[gt(0), le(MOST_LAYERS)], metadata={"config": keys})


def switch(default: bool, *keys: str) -> Any:
    """A flag with a default."""
    return attrs.field(default=default, metadata={"config": keys})


def ratio(default: float, *keys: str) -> Any:
    """A number from 0 to 1."""
    return attrs.field(default=default, validator=[ge(0.0), le(1.0)], metadata={"config": keys})


def stream(name: str, hidden: int) -> Tensor:
    """A tensor of the residual stream's width."""
    return Tensor(name=name, dims=tokens(Dim(HIDDEN, hidden)))


def norm(name: str, reads: Tensor, writes: Tensor, hidden: int, *, bias: bool = False) -> Pointwise:
    """RMSNorm, or LayerNorm with a bias."""
    return Pointwise(name=name, group="norm", reads=(reads,), writes=(writes,), width=(Dim(HIDDEN, hidden),), bias=bias)


def attention(
    reads: Tensor,
    writes: Tensor,
    *,
    hidden: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    qkv_bias: bool = False,
    out_bias: bool = False,
    head_norm: bool = False,
    rotary: bool = True,
    window: int = 0,
) -> tuple[Operator, ...]:
    """Projections to queries, keys and values, the attention core, and the projection back.

    Args:
        reads: The normed stream.
        writes: What is added to the stream.
        hidden: Width of the stream.
        heads: Query heads.
        kv_heads: Key and value heads.
        head_dim: Width of a head.
        qkv_bias: Whether the first projections have biases.
        out_bias: Whether the last has.
        head_norm: Whether queries and keys are normed head by head.
        rotary: Whether positions rotate queries and keys.
        window: Keys a query may look back on; 0 for all.
    """
    q = Tensor(name="query", dims=tokens(Dim(HEADS, heads), Dim(HEAD_DIM, head_dim)))
    k = Tensor(name="key", dims=tokens(Dim(KV_HEADS, kv_heads), Dim(HEAD_DIM, head_dim)))
    v = attrs.evolve(k, name="value")
    out = attrs.evolve(q, name="attended")
    found: list[Operator] = [
        Linear(
            name="qkv",
            group="attention",
            reads=(reads,),
            writes=(q, k, v),
            inputs=(Dim(HIDDEN, hidden),),
            bias=qkv_bias,
        )
    ]
    if head_norm:
        width = (Dim(HEAD_DIM, head_dim),)
        for tensor in (q, k):
            normed = attrs.evolve(tensor, name=f"{tensor.name}.normed")
            found.append(
                Pointwise(name=f"{tensor.name}_norm", group="norm", reads=(tensor,), writes=(normed,), width=width)
            )
        q, k = (attrs.evolve(t, name=f"{t.name}.normed") for t in (q, k))
    if rotary:
        # Rotated in place: the backward pass rotates back, and needs nothing kept.
        found.append(
            Pointwise(name="rotary", group="attention", reads=(q, k), writes=(q, k), keeps_input=False, fusable=True)
        )
    found.append(
        Attention(
            name="core",
            group="attention_core",
            reads=(q, k, v),
            writes=(out,),
            heads=heads,
            kv_heads=kv_heads,
            head_dim=head_dim,
            reach=window,
        )
    )
    inputs = (Dim(HEADS, heads), Dim(HEAD_DIM, head_dim))
    found.append(Linear(name="out", group="attention", reads=(out,), writes=(writes,), inputs=inputs, bias=out_bias))
    return tuple(found)


def residual(name: str, stream_in: Tensor, branch: Tensor, stream_out: Tensor) -> Pointwise:
    """The stream plus a branch, dropout on the branch."""
    return Pointwise(
        name=name,
        group="residual",
        reads=(stream_in, branch),
        writes=(stream_out,),
        keeps_input=False,
        dropout=True,
        fusable=True,
    )


def feed_forward(
    reads: Tensor,
    writes: Tensor,
    *,
    hidden: int,
    inner: int,
    gated: bool = True,
    bias: bool = False,
    group: str = "mlp",
) -> tuple[Operator, ...]:
    """Up (and gate), activation, down."""
    up = Tensor(name=f"{group}.up", dims=tokens(Dim(FFN, inner)))
    gate = attrs.evolve(up, name=f"{group}.gate")
    active = attrs.evolve(up, name=f"{group}.activated")
    raised = (gate, up) if gated else (up,)
    width = (Dim(HIDDEN, hidden),)
    return (
        Linear(name=f"{group}_up", group=group, reads=(reads,), writes=raised, inputs=width, bias=bias),
        Pointwise(name=f"{group}_activation", group=group, reads=raised, writes=(active,)),
        Linear(
            name=f"{group}_down", group=group, reads=(active,), writes=(writes,), inputs=(Dim(FFN, inner),), bias=bias
        ),
    )


def routed_experts(
    reads: Tensor,
    writes: Tensor,
    *,
    hidden: int,
    experts: int,
    top_k: int,
    inner: int,
    shared: int = 0,
    shared_gate: bool = False,
) -> tuple[Operator, ...]:
    """A router, the experts its tokens go to, and a shared expert of width `shared` where there is one."""
    scores = Tensor(name="router.scores", dims=tokens(Dim(CHOICES, experts)), format="fp32")
    sent = Tensor(name="dispatched", dims=tokens(Dim(TOP_K, top_k), Dim(HIDDEN, hidden)))
    back = attrs.evolve(sent, name="returned")
    found: list[Operator] = [
        Linear(name="router", group="router", reads=(reads,), writes=(scores,), inputs=(Dim(HIDDEN, hidden),)),
        Pointwise(name="dispatch", group="router", reads=(reads,), writes=(sent,), keeps_input=False),
        Experts(
            name="experts",
            group="experts",
            reads=(sent,),
            writes=(back,),
            experts=experts,
            top_k=top_k,
            hidden=hidden,
            width=inner,
        ),
    ]
    merged: tuple[Tensor, ...] = (back,)
    if shared:
        side = attrs.evolve(writes, name="shared.out")
        found += feed_forward(reads, side, hidden=hidden, inner=shared, group="shared_experts")
        if shared_gate:
            opening = Tensor(name="shared.gate", dims=tokens(Dim("gate", 1)))
            found.append(
                Linear(
                    name="shared_gate",
                    group="router",
                    reads=(reads,),
                    writes=(opening,),
                    inputs=(Dim(HIDDEN, hidden),),
                )
            )
        merged = (back, side)
    found.append(
        Pointwise(name="combine", group="router", reads=(*merged, scores), writes=(writes,), keeps_input=False)
    )
    return tuple(found)


def embedding(vocabulary: int, hidden: int, *, positions: int = 0, dropout: bool = False) -> Block:
    """Token embedding, with learned positions where there are some."""
    out = stream("stream", hidden)
    table = Embedding(
        name="embedding",
        group="embedding",
        writes=(out,),
        vocabulary=vocabulary,
        hidden=hidden,
        positions=positions,
        dropout=dropout,
    )
    return Block(name="embedding", operators=(table,))


def head(vocabulary: int, hidden: int, *, tied: bool, norm_bias: bool = False) -> Block:
    """The last norm, logits and loss; the logits' weight may be the embedding's."""
    last, normed = stream("stream", hidden), stream("final", hidden)
    logits = Tensor(name="logits", dims=tokens(Dim(VOCABULARY, vocabulary)))
    losses = Tensor(name="loss", dims=tokens(), format="fp32")
    return Block(
        name="head",
        operators=(
            norm("final_norm", last, normed, hidden, bias=norm_bias),
            Linear(
                name="lm_head",
                group="head",
                reads=(normed,),
                writes=(logits,),
                inputs=(Dim(HIDDEN, hidden),),
                tied=tied,
            ),
            Loss(name="loss", group="loss", reads=(logits,), writes=(losses,)),
        ),
    )
