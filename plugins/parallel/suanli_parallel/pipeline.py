"""Pipeline parallelism and its schedules."""

from __future__ import annotations

from typing import Any

import attrs

from suanli import Number, ParallelismRule, PipelineSchedule, formula, minimum

NARAYANAN = "Narayanan et al. 2021, Efficient large-scale language model training, sec. 2.2"


@formula(unit="s", source=NARAYANAN)
def fill_and_drain_s(*, total_s: Number, slowest_s: Number, chunks: Number) -> Number:
    """Seconds a step idles on its slowest stage: the others' work on one micro batch, divided by the chunks.

    For equal stages it is (p - 1)(t_f + t_b) / v.
    """
    return (total_s - slowest_s) / chunks


@formula(unit="micro batches", source=NARAYANAN)
def one_forward_one_backward(*, stage: Number, stages: Number, micro_batches: Number) -> Number:
    """Micro batches a stage holds when each backward follows as soon as it can."""
    return minimum(stages - stage, micro_batches)


@formula(unit="micro batches", source="Korthikanti et al. 2022, sec. 4.2.3: 1 + (p - 1)/(p v) on the first stage")
def interleaved_in_flight(*, stage: Number, stages: Number, micro_batches: Number, chunks: Number) -> Number:
    """Micro batches a stage holds, in shares of all its layers, when it works on its chunks in turn."""
    held = 2.0 * (stages - stage - 1.0) + (chunks - 1.0) * stages + 1.0
    return minimum(held, micro_batches * chunks) / chunks


@attrs.frozen(kw_only=True)
class PipelineParallel(ParallelismRule):
    """Divides the layers; activations pass from stage to stage."""

    def group(self, name: str, layout: Any) -> tuple[Number, Number]:
        """Neighbouring stages lie a whole stage of ranks apart."""
        apart = layout.tensor * layout.context * layout.data
        return minimum(layout.pipeline, 2.0), apart


@attrs.frozen(kw_only=True)
class GPipe(PipelineSchedule):
    """All forward passes, then all backward passes (Huang et al. 2019)."""

    def in_flight(self, *, stage: Number, stages: Number, micro_batches: Number, chunks: Number) -> Number:
        """Every micro batch of the step."""
        return micro_batches + 0.0 * stage

    def bubble_s(self, *, slowest_s: Number, total_s: Number, stages: Number, chunks: Number) -> Number:
        """The work of the other stages on one micro batch."""
        return fill_and_drain_s(total_s=total_s, slowest_s=slowest_s, chunks=1.0)


@attrs.frozen(kw_only=True)
class OneForwardOneBackward(PipelineSchedule):
    """Backward as early as possible (Narayanan et al. 2019, PipeDream-Flush)."""

    def in_flight(self, *, stage: Number, stages: Number, micro_batches: Number, chunks: Number) -> Number:
        """As many as stages follow, itself included."""
        return one_forward_one_backward(stage=stage, stages=stages, micro_batches=micro_batches)

    def bubble_s(self, *, slowest_s: Number, total_s: Number, stages: Number, chunks: Number) -> Number:
        """The work of the other stages on one micro batch."""
        return fill_and_drain_s(total_s=total_s, slowest_s=slowest_s, chunks=1.0)


@attrs.frozen(kw_only=True)
class Interleaved(PipelineSchedule):
    """Several model chunks a stage, each micro batch visiting it as often: a bubble that much shorter."""

    def in_flight(self, *, stage: Number, stages: Number, micro_batches: Number, chunks: Number) -> Number:
        """More than without chunks, less than twice as many."""
        return interleaved_in_flight(stage=stage, stages=stages, micro_batches=micro_batches, chunks=chunks)

    def bubble_s(self, *, slowest_s: Number, total_s: Number, stages: Number, chunks: Number) -> Number:
        """The work of the other stages on one chunk of one micro batch."""
        return fill_and_drain_s(total_s=total_s, slowest_s=slowest_s, chunks=chunks)
