"""Data parallelism and ZeRO: who holds which part of the training state, and what is exchanged for it."""

from __future__ import annotations

from typing import Any

import attrs

from suanli import Number, ParallelismRule, StateShards, StepExchange, formula, where

ZERO = "Rajbhandari et al. 2020, ZeRO, sec. 5 and 7"


@formula(unit="ranks", source=ZERO)
def zero_shards(*, zero: Number, stage: float, ranks: Number) -> Number:
    """Ranks a kind of state is divided over: all of them from its ZeRO stage on, else one."""
    return where(zero >= stage, ranks, 1.0)


@attrs.frozen(kw_only=True)
class DataParallel(ParallelismRule):
    """Divides the batch; sums gradients; divides training state by ZeRO stage."""

    def shards(self, *, zero: Number, ranks: Number) -> StateShards:
        """By how much optimizer states, gradients and weights are divided over `ranks` copies."""
        return StateShards(
            optimizer=zero_shards(zero=zero, stage=1.0, ranks=ranks),
            gradients=zero_shards(zero=zero, stage=2.0, ranks=ranks),
            weights=zero_shards(zero=zero, stage=3.0, ranks=ranks),
        )

    def step_exchanges(self, *, zero: Number) -> tuple[StepExchange, ...]:
        """Gradients are all-reduced; from ZeRO 1 on reduce-scattered, and weights gathered.

        Once a step, but for gradients that are not kept whole (ZeRO 2) and weights that are not (ZeRO 3).
        """
        plain = where(zero < 1.0, 1.0, 0.0)
        sharded = 1.0 - plain
        fully = where(zero >= 3.0, 1.0, 0.0)
        scattered = where(zero >= 2.0, 1.0, 0.0)
        return (
            StepExchange(operation="all_reduce", what="gradients", phase="backward", times=plain),
            StepExchange(
                operation="reduce_scatter", what="gradients", phase="backward", times=sharded, each_pass=scattered
            ),
            StepExchange(operation="all_gather", what="weights", phase="forward", times=sharded, each_pass=fully),
            StepExchange(operation="all_gather", what="weights", phase="backward", times=fully, each_pass=fully),
        )

    def group(self, name: str, layout: Any) -> tuple[Number, Number]:
        """Copies lie a tensor and context group apart; copies of an expert, an expert group apart."""
        if name == "expert":
            ranks = layout.tensor * layout.context * layout.data / (layout.expert * layout.expert_tensor)
            return ranks, layout.expert * layout.expert_tensor
        return layout.data * layout.context, layout.tensor
