"""The blocks of the model on one rank: seconds, bytes and parameters of one micro batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from suanli import Case, Number, formula, maximum
from suanli.figures import (
    PassTime,
    Weights,
    block_kept_bytes,
    core_forward_s,
    pass_time,
    weights,
)


class TrainedBlock(NamedTuple):
    """One kind of block (the embedding, a kind of layer, the head) on one rank, one micro batch."""

    forward: PassTime
    backward: PassTime
    recompute: PassTime
    kept_bytes: Number
    remade_bytes: Number


@formula(unit="bytes", source="Korthikanti et al. 2022, sec. 5: one layer is made again at a time")
def remade_bytes(*, whole_bytes: Number, kept_bytes: Number) -> Number:
    """Bytes a layer's backward pass needs besides what was kept for it."""
    return maximum(whole_bytes - kept_bytes, 0.0)


def blocks(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of the embedding, of each kind of layer and of the head, in that order."""
    at = case.local(
        layout,
        batch=layout.micro_batch,
        sequence=float(case.sequence),
        kv_tokens=float(case.sequence),
    )
    found = []
    parts = case.model.parts
    for i, (block, _) in enumerate(parts):
        layer = 0 < i < len(parts) - 1
        recompute = layout.recompute if layer else "none"
        forward = pass_time(case, layout, block, at, "forward")
        zero = tuple(0.0 for _ in forward.exposed_s)
        again = PassTime(0.0, zero)
        if recompute == "full":
            again = forward
        elif recompute == "selective":
            again = PassTime(core_forward_s(case, block, at), zero)
        kept = block_kept_bytes(case, block, at, recompute)
        whole = kept if recompute == "none" else block_kept_bytes(case, block, at, "none")
        found.append(
            TrainedBlock(
                forward=forward,
                backward=pass_time(case, layout, block, at, "backward"),
                recompute=again,
                kept_bytes=kept,
                remade_bytes=remade_bytes(whole_bytes=whole, kept_bytes=kept),
            )
        )
    stream = case.model.layers[0].operators[0].reads[0]
    return {"_train.blocks": tuple(found), "_train.boundary_bytes": at.held(stream)}


def block_weights(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of the embedding, of each kind of layer and of the head on one rank."""
    at = case.local(layout, batch=1.0, sequence=1.0, kv_tokens=1.0)
    return {"_train.weights": tuple(weights(case, block, at) for block, _ in case.model.parts)}
