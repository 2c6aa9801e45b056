"""What is suspicious about how requests are served."""

from __future__ import annotations

from collections.abc import Iterable

from suanli import Case, Problem
from suanli_serving.cache import limits


def checks(case: Case) -> Iterable[Problem]:
    """Warnings about the layout of a serving case."""
    layout = case.layout
    if layout is None or case.training:
        return
    inner = case.system.tiers[0].span if case.system.tiers else 1
    if inner is not None and layout.tensor > inner:
        yield Problem(
            code="tensor-past-scale-up",
            message=f"{layout.tensor} tensor ranks reach past the {inner} that {case.system.tiers[0].name} joins",
            hint=f"every layer of every token waits for the exchange: keep it within {inner}",
        )
    most = limits(case).requests
    if case.concurrency is not None and most is not None:
        taken = most * layout.attention_data * layout.replicas
        if case.concurrency > taken:
            yield Problem(
                code="engine-limit",
                severity="note",
                message=f"{case.profile.name} takes {taken} requests at a time by default; others wait",
                hint="more engines, or a higher limit of its own",
            )
    if case.concurrency is not None and case.concurrency < layout.replicas:
        yield Problem(
            code="idle-replicas",
            message=f"{layout.replicas} engines share {case.concurrency} requests: some are idle",
            hint="fewer accelerators, or more tensor ranks for each engine",
        )
