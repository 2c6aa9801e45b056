"""What is suspicious about how a training job is divided."""

from __future__ import annotations

from collections.abc import Iterable

from suanli import Case, Problem

IDLE_SHARE = 0.2
"""A pipeline that idles for more of a step than this is worth a word."""


def checks(case: Case) -> Iterable[Problem]:
    """Warnings about the layout of a training case."""
    layout = case.layout
    if layout is None or not case.training:
        return
    inner = case.system.tiers[0].span if case.system.tiers else 1
    if inner is not None and layout.tensor > inner:
        yield Problem(
            code="tensor-past-scale-up",
            message=f"{layout.tensor} tensor ranks reach past the {inner} that {case.system.tiers[0].name} joins",
            hint=f"tensor parallelism exchanges every layer: keep it within {inner}",
        )
    micro_batches = case.global_batch // (layout.data * layout.micro_batch)
    idle = (layout.pipeline - 1) / (layout.virtual_stages * micro_batches)
    if idle > IDLE_SHARE:
        yield Problem(
            code="long-bubble",
            message=f"{layout.pipeline} pipeline stages share {micro_batches} micro batches: "
            f"filling and draining adds about {idle:.0%} to the work",
            hint="a larger global batch, fewer stages, or several chunks on each (layout.virtual_stages)",
        )
    if layout.zero >= 2 and layout.pipeline > 1:
        yield Problem(
            code="zero-in-pipeline",
            message=f"ZeRO {layout.zero} with {layout.pipeline} pipeline stages exchanges state for every micro batch",
            hint="most frameworks allow ZeRO 0 or 1 here",
        )
    if layout.sequence_parallel and layout.tensor == 1 and case.origins["layout.sequence_parallel"].origin == "given":
        yield Problem(
            code="no-sequence-parallel",
            severity="note",
            message="sequence_parallel has no effect with one tensor rank",
        )
