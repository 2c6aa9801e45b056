"""Tensor parallelism, with and without sequence parallelism."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from suanli import Block, Exchange, Model, Number, ParallelismRule, partial_gradients, partial_sums, role_sizes
from suanli.tensors import BATCH, EXPERT_FFN, EXPERTS, FFN, HEADS, HIDDEN, KV_HEADS, TOP_K, VOCABULARY

ROLES = (HEADS, KV_HEADS, FFN, VOCABULARY)


@attrs.frozen(kw_only=True)
class TensorParallel(ParallelismRule):
    """Divides heads, inner widths and vocabulary (Shoeybi et al. 2019, Megatron-LM).

    A tensor summed over a divided role is all-reduced; so is a gradient.
    With sequence parallelism (Korthikanti et al. 2022) each all-reduce becomes a reduce-scatter and an all-gather,
    and what is gathered is not kept but gathered again for the weight gradient.
    """

    def degrees(self, layout: Any) -> Mapping[str, Number]:
        """Heads, widths and vocabulary by the degree; routed tokens by what experts do not divide themselves."""
        return dict.fromkeys(ROLES, layout.tensor) | {TOP_K: layout.tensor / layout.expert_tensor}

    def exchanges(self, block: Block, *, sequence_parallel: bool) -> tuple[Exchange, ...]:
        """The collectives of one block."""
        routed = {TOP_K, EXPERTS, EXPERT_FFN}
        sums = [t for t in partial_sums(block, ROLES) if routed.isdisjoint(t.roles)]
        combined = [t for op in block.operators for t in op.writes if _combines(op) and routed.isdisjoint(t.roles)]
        gradients = [t for t in partial_gradients(block, ROLES) if routed.isdisjoint(t.roles)]
        plan: list[tuple[str, object, str]] = []
        if not sequence_parallel:
            plan += [("all_reduce", t, "forward") for t in (*sums, *combined)]
            plan += [("all_reduce", t, "backward") for t in gradients]
        else:
            wide = [t for t in sums if HIDDEN in t.roles]
            plan += [("all_reduce", t, "forward") for t in sums if t not in wide]
            plan += [("reduce_scatter", t, "forward") for t in wide]
            plan += [("all_gather", t, "backward") for t in wide]
            plan += [("all_gather", t, "forward") for t in gradients]
            plan += [("all_gather", t, "backward") for t in gradients]
            plan += [("reduce_scatter", t, "backward") for t in gradients]
        return tuple(Exchange(operation=o, tensor=t, phase=p, group="tensor") for o, t, p in plan)  # type: ignore[arg-type]

    def group(self, name: str, layout: Any) -> tuple[Number, Number]:
        """Tensor ranks are neighbours."""
        return layout.tensor, 1.0

    def faults(self, degree: int, model: Model) -> Iterable[str]:
        """Heads and widths must be multiples of the degree; key and value heads may be replicated."""
        for role in (HEADS, FFN):
            for size in role_sizes(model, role):
                if size % degree:
                    yield f"{degree} does not divide {size} {role} of {model.name}"
        for size in role_sizes(model, KV_HEADS):
            if size % degree and degree % size:
                yield f"{degree} neither divides nor is a multiple of {size} kv heads of {model.name}"


def _combines(operator: Any) -> bool:
    """Whether an operator gathers routed tokens back, so that every rank has a share of what it writes."""
    reads = any(TOP_K in t.roles for t in operator.reads)
    return (
        reads and not any(TOP_K in t.roles for t in operator.writes) and any(BATCH in t.roles for t in operator.writes)
    )
