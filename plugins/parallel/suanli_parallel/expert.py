"""Expert parallelism: experts live on different ranks, tokens travel to them and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from suanli import Block, Exchange, Model, Number, ParallelismRule, maximum, minimum, role_sizes
from suanli.tensors import EXPERT_FFN, EXPERTS, TOP_K


@attrs.frozen(kw_only=True)
class ExpertParallel(ParallelismRule):
    """Divides the experts by ``expert`` and their width by ``expert_tensor`` (Lepikhin et al. 2020, GShard).

    Where tensor ranks hold different tokens (sequence parallelism) every token copy is dispatched;
    where they hold the same ones, copies travel only between tensor groups.
    """

    def degrees(self, layout: Any) -> Mapping[str, Number]:
        """Experts by the degree, their width by the tensor degree inside them."""
        return {EXPERTS: layout.expert, EXPERT_FFN: layout.expert_tensor}

    def exchanges(self, block: Block, *, sequence_parallel: bool) -> tuple[Exchange, ...]:
        """Dispatch and return of the routed tokens, each way, forward and backward."""
        found = []
        for op in block.operators:
            if EXPERTS not in op.expands:
                continue
            group = "spread" if sequence_parallel else "replicated"
            share = ("expert_tensor",) if sequence_parallel else ()
            for tensor in (*op.reads, *op.writes):
                for phase in ("forward", "backward"):
                    found.append(
                        Exchange(
                            operation="all_to_all",
                            tensor=tensor,
                            phase=phase,
                            group=group,
                            share=share,
                            copies=float(max((d.size for d in tensor.dims if d.role == TOP_K), default=0)),
                            narrows=phase == "forward" and tensor in op.reads,
                        )
                    )
            if sequence_parallel:
                steps = [("all_gather", op.reads, "forward"), ("reduce_scatter", op.writes, "forward")]
                steps += [("all_gather", op.writes, "backward"), ("reduce_scatter", op.reads, "backward")]
                for operation, tensors, phase in steps:
                    found += [
                        Exchange(operation=operation, tensor=t, phase=phase, group="expert_tensor") for t in tensors
                    ]
        return tuple(found)

    def group(self, name: str, layout: Any) -> tuple[Number, Number]:
        """Expert ranks lie an expert's width apart; only those past the tensor group where tokens are replicated."""
        if name == "expert_tensor":
            return layout.expert_tensor, 1.0
        if name == "spread":
            return layout.expert, layout.expert_tensor
        within = minimum(layout.expert, maximum(layout.tensor / layout.expert_tensor, 1.0))
        return layout.expert / within, layout.tensor

    def faults(self, degree: int, model: Model) -> Iterable[str]:
        """There must be experts, and as many on every rank."""
        sizes = role_sizes(model, EXPERTS)
        if degree > 1 and not sizes:
            yield f"{model.name} has no experts to divide"
        for size in sizes:
            if size % degree:
                yield f"{degree} does not divide {size} experts of {model.name}"
