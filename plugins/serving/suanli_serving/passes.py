"""Prefill and decode: seconds of one pass through the model."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import attrs

from suanli import Block, Case, Number, formula, maximum, minimum, scaled, total
from suanli.figures import pass_time
from suanli_serving.cache import limits, pass_batch


class Pass(NamedTuple):
    """Seconds of one pass through every stage of an engine."""

    compute_s: Number
    communication_s: Number
    total_s: Number


@formula(unit="s", source="Pope et al. 2022, Efficiently scaling transformer inference, sec. 3")
def pass_s(*, compute_s: Number, communication_s: Number, launching_s: float, overhead_s: float) -> Number:
    """Seconds of one pass: kernels and exchanges, or the launches they wait for, and what the host adds.

    Kernels queue on the accelerator while the host launches the next: the longer of the two decides.
    """
    return maximum(compute_s + communication_s, launching_s) + overhead_s


def _through(case: Case, layout: Any, *, batch: Number, sequence: Number, kv_tokens: Number, phase: str) -> Pass:
    at = case.local(layout, batch=batch, sequence=sequence, kv_tokens=kv_tokens, phase=phase)
    # Only the last position of each request is turned into logits.
    end = case.local(layout, batch=batch, sequence=layout.context * 1.0, kv_tokens=kv_tokens, phase=phase, wide=True)
    compute: dict[str, Number] = {}
    shown: dict[str, Number] = {}
    head = case.model.head
    for block, times in case.model.parts:
        one = pass_time(case, layout, without_loss(block), end if block is head else at, "forward")
        name = f"{block.name}.{len(compute)}"
        compute[name] = scaled("s", float(times), one.compute_s)
        exposed = total("exposed_s", "s", dict(zip(case.axes, one.exposed_s, strict=True)))
        shown[name] = scaled("s", float(times), exposed)
    shown["pipeline"] = _hand_over(case, layout, at)
    a = total(f"{phase}_compute_s", "s", compute)
    b = total(f"{phase}_communication_s", "s", shown)
    launching = 0.0 if case.graphs else case.profile.layer_overhead_s * len(case.model.layers)
    host = case.profile.step_overhead_s
    return Pass(a, b, pass_s(compute_s=a, communication_s=b, launching_s=launching, overhead_s=host))


@functools.lru_cache(maxsize=1024)
def without_loss(block: Block) -> Block:
    """A block as serving runs it."""
    kept = tuple(op for op in block.operators if op.group != "loss")
    return attrs.evolve(block, operators=kept) if len(kept) < len(block.operators) else block


def _hand_over(case: Case, layout: Any, at: Any) -> Number:
    """Seconds activations travel between stages, once for each boundary."""
    stream = case.model.layers[0].operators[0].reads[0]
    ranks, stride = case.axes["pipeline"].group("pipeline", layout)
    one = case.exchanges.time_s("p2p", bytes=at.held(stream), ranks=ranks, stride=stride, system=case.system)
    return scaled("s", maximum(layout.pipeline - 1.0, 0.0), one)


@formula(unit="requests", source="Yu et al. 2022, Orca, sec. 3.1: requests leave and join between two steps")
def joining_requests(*, batch: Number, output: float, most: float) -> Number:
    """Requests whose prompts pass together, when as many join at a step as have written their last token.

    Args:
        batch: Requests in a step.
        output: Tokens each writes, one a step.
        most: Prompts an engine passes at once.
    """
    return maximum(minimum(batch / output, most), 1.0)


def fresh_tokens(case: Case) -> float:
    """Tokens of a prompt that the cache does not have."""
    return max(1.0, round(case.prompt * (1.0 - case.prefix_hit_ratio)))


def prompts_together(case: Case, layout: Any, running: Number) -> Number:
    """Prompts in one pass: those of a batch, or of the requests that join others."""
    batch = pass_batch(layout, running)
    if case.concurrency is None:
        return batch
    most = max(1.0, float(limits(case).tokens) / fresh_tokens(case))
    return joining_requests(batch=batch, output=float(case.output), most=most)


@formula(unit="s", source="Agrawal et al. 2024, Sarathi-Serve, sec. 4.1: weights are read once for both")
def added_s(*, both_s: Number, tokens_s: Number) -> Number:
    """Seconds by which prompts lengthen a step of tokens.

    Args:
        both_s: A pass of the prompts and of one token for each other request.
        tokens_s: A pass of those tokens alone.
    """
    return maximum(both_s - tokens_s, 0.0)


def prefill(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The prompts of a batch together, or of requests that join others; what the cache has is left out."""
    running = given["_serve.running"]
    batch, fresh, prompt = prompts_together(case, layout, running), fresh_tokens(case), float(case.prompt)
    one = _through(case, layout, batch=batch, sequence=fresh, kv_tokens=prompt, phase="prefill")
    added = one.total_s
    if case.concurrency is not None and case.profile.mixed:
        # Context apart, tokens of other requests are more of the same to every product.
        others = pass_batch(layout, running)
        each = others / batch
        both = _through(case, layout, batch=batch, sequence=fresh + each, kv_tokens=prompt + each, phase="prefill")
        tokens = _through(case, layout, batch=others, sequence=1.0, kv_tokens=1.0, phase="decode")
        added = minimum(added, added_s(both_s=both.total_s, tokens_s=tokens.total_s))
    return {"_serve.prefill": one, "_serve.added_s": added, "time.prefill_s": one.total_s}


def decode(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """One more token for every request, half of its output written."""
    middle = case.prompt + case.output / 2.0
    batch = pass_batch(layout, given["_serve.running"])
    one = _through(case, layout, batch=batch, sequence=1.0, kv_tokens=middle, phase="decode")
    return {"_serve.decode": one, "time.decode_s": one.total_s}
