"""Context parallelism: ranks share a sequence and pass keys and values around."""

from __future__ import annotations

from typing import Any

import attrs

from suanli import Block, Exchange, Number, ParallelismRule
from suanli.tensors import KV_SEQUENCE


@attrs.frozen(kw_only=True)
class ContextParallel(ParallelismRule):
    """Divides the sequence; keys and values reach every rank of it (Liu et al. 2023, ring attention).

    Forward gathers keys and values; backward gathers them again and scatters their gradients.
    Passed around a ring while attention computes, they hide behind it.
    """

    def exchanges(self, block: Block, *, sequence_parallel: bool) -> tuple[Exchange, ...]:
        """The gathers of every operator that reduces over keys."""
        found = []
        for op in block.operators:
            if KV_SEQUENCE not in op.reduces:
                continue
            for tensor in op.reads[1:]:
                for operation, phase in (
                    ("all_gather", "forward"),
                    ("all_gather", "backward"),
                    ("reduce_scatter", "backward"),
                ):
                    found.append(
                        Exchange(
                            operation=operation,
                            tensor=tensor,
                            phase=phase,
                            group="context",
                            widen=("context",),
                            hides=True,
                        )
                    )
        return tuple(found)

    def group(self, name: str, layout: Any) -> tuple[Number, Number]:
        """Context ranks lie a tensor group apart."""
        return layout.context, layout.tensor
