"""The blocks of the model on one rank: seconds and bytes of one micro batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from suanli import Block, Case, Local, Number, formula, maximum, scaled, total
from suanli.figures import block_kept_bytes, core_forward_s, pass_time


class TrainedBlock(NamedTuple):
    """One kind of block (the embedding, a kind of layer, the head) on one rank, one micro batch.

    Attributes:
        forward_s: In the kernels of the forward pass.
        backward_s: In those of the backward pass.
        recompute_s: In those that run again.
        exposed_s: In exchanges that nothing hides, by axis in the case's order.
        one_s: All of it.
        forward_cover_s: Of the forward kernels, what another exchange can hide behind.
        backward_cover_s: The same of the backward kernels.
        kept_bytes: Kept for the backward pass.
        remade_bytes: Made again for it.
    """

    forward_s: Number
    backward_s: Number
    recompute_s: Number
    exposed_s: tuple[Number, ...]
    one_s: Number
    forward_cover_s: Number
    backward_cover_s: Number
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
    parts = case.model.parts
    found = tuple(
        _block(case, layout, block, at, layout.recompute if 0 < i < len(parts) - 1 else "none")
        for i, (block, _) in enumerate(parts)
    )
    terms = {
        f"{block.name}.{i}": scaled("s", float(n), made.one_s)
        for i, (made, (block, n)) in enumerate(zip(found, parts, strict=True))
    }
    stream = case.model.layers[0].operators[0].reads[0]
    return {
        "_train.blocks": found,
        "_train.pipeline_s": total("pipeline_s", "s", terms),
        "_train.boundary_bytes": at.held(stream),
    }


def _block(case: Case, layout: Any, block: Block, at: Local, recompute: str) -> TrainedBlock:
    forward = pass_time(case, layout, block, at, "forward")
    backward = pass_time(case, layout, block, at, "backward")
    passes = {"forward_s": forward, "backward_s": backward}
    again: Number = 0.0
    if recompute == "full":
        again = forward.compute_s
        passes["again_s"] = forward
    elif recompute == "selective":
        again = core_forward_s(case, block, at)
    exposed = tuple(
        total(f"exposed_{axis}_s", "s", {name: one.exposed_s[i] for name, one in passes.items()})
        for i, axis in enumerate(case.axes)
    )
    terms = {"forward_s": forward.compute_s, "backward_s": backward.compute_s, "recompute_s": again}
    terms |= {f"exposed_{axis}_s": e for axis, e in zip(case.axes, exposed, strict=True)}
    kept = block_kept_bytes(case, block, at, recompute)
    whole = kept if recompute == "none" else block_kept_bytes(case, block, at, "none")
    return TrainedBlock(
        forward_s=forward.compute_s,
        backward_s=backward.compute_s,
        recompute_s=again,
        exposed_s=exposed,
        one_s=total(f"{block.name}_s", "s", terms),
        forward_cover_s=forward.compute_s - forward.covering_s,
        backward_cover_s=backward.compute_s - backward.covering_s,
        kept_bytes=kept,
        remade_bytes=remade_bytes(whole_bytes=whole, kept_bytes=kept),
    )
