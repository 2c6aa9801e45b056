"""A router, the experts its tokens go to, and a shared expert beside them."""

from __future__ import annotations

import attrs

from suanli.building.parts import feed_forward, latent, linear, pointwise, remembered
from suanli.operators import Experts, Operator, Pointwise
from suanli.tensors import CHOICES, HIDDEN, TOP_K, Dim, Tensor, tokens


@attrs.frozen(kw_only=True)
class ExpertsShape:
    """What one layer's mixture of experts looks like.

    Attributes:
        experts: In the layer.
        top_k: A token goes to.
        inner: Width of one.
        gated: Whether their activation has a gate.
        bias: Whether their matrices have biases.
        router_bias: Whether the router has one.
        shared: Width of the shared expert; 0 for none.
        shared_bias: Whether its matrices have biases.
        shared_gate: Whether a gate of one number opens it.
        correction: Whether a weight corrects the router's scores.
        wide_router: Whether plain modules take the router's product in fp32.
        through: Width experts work in, where tokens are compressed before they are sent; 0 for none.
        through_bias: Whether the projections to it and back have biases.
    """

    experts: int
    top_k: int
    inner: int
    gated: bool = True
    bias: bool = False
    router_bias: bool = False
    shared: int = 0
    shared_bias: bool = False
    shared_gate: bool = False
    correction: bool = False
    wide_router: bool = False
    through: int = 0
    through_bias: bool = False


@remembered
def routed_experts(
    reads: Tensor, writes: Tensor, shape: ExpertsShape, *, routes: Tensor | None = None
) -> tuple[Operator, ...]:
    """A router (of `routes` where it reads another tensor), the experts its tokens go to, a shared expert."""
    scores = Tensor(name="router.scores", dims=tokens(Dim(CHOICES, shape.experts)), format="fp32")
    width = shape.through or reads.dims[-1].size
    sent = Tensor(name="dispatched", dims=tokens(Dim(TOP_K, shape.top_k), Dim(HIDDEN, width)))
    back = attrs.evolve(sent, name="returned")
    router = linear("router", "router", routes or reads, scores, bias=shape.router_bias)
    found: list[Operator] = [attrs.evolve(router, upcasts=shape.wide_router)]
    if shape.correction:
        corrected = attrs.evolve(scores, name="router.corrected")
        found.append(
            Pointwise(name="correction", group="router", reads=(scores,), writes=(corrected,), width=scores.dims[-1:])
        )
        scores = corrected
    source, sum_of = reads, writes
    if shape.through:
        source, sum_of = latent("experts.in", width), latent("experts.out", width)
        found.append(linear("experts_in", "experts", reads, source, bias=shape.through_bias))
    found += [
        pointwise("dispatch", "router", (source,), sent, keeps=False),
        Experts(
            name="experts",
            group="experts",
            reads=(sent,),
            writes=(back,),
            experts=shape.experts,
            top_k=shape.top_k,
            hidden=width,
            width=shape.inner,
            gated=shape.gated,
            bias=shape.bias,
        ),
    ]
    merged: tuple[Tensor, ...] = (back,)
    if shape.shared:
        side = attrs.evolve(writes, name="shared.out")
        found += feed_forward(
            reads, side, inner=shape.shared, gated=shape.gated, bias=shape.shared_bias, group="shared_experts"
        )
        if shape.shared_gate:
            opening = Tensor(name="shared.gate", dims=tokens(Dim("gate", 1)))
            found.append(linear("shared_gate", "router", reads, opening))
        merged = (back, side)
    if shape.through:
        found.append(pointwise("gather", "router", (back, scores), sum_of, keeps=False))
        wide = attrs.evolve(writes, name="experts.wide")
        found.append(linear("experts_out", "experts", sum_of, wide, bias=shape.through_bias))
        merged = (wide, *merged[1:])
        scores = sum_of
    found.append(pointwise("combine", "router", (*merged, scores), writes, keeps=False))
    return tuple(found)
