"""What a batch amounts to: latency, throughput, and what holds it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suanli import Case, Number, formula, where
from suanli_serving.cache import engine_batch, pass_batch

STATIC = "static batching: prompts together, then one token each until all are done"


@formula(unit="s", source="definition: the first token comes with the prompt, one step for each of the others")
def latency_s(*, ttft_s: Number, tpot_s: Number, output: float) -> Number:
    """Seconds from a request to its last token."""
    return ttft_s + tpot_s * (output - 1.0)


@formula(unit="tokens_per_s", source=STATIC)
def output_tokens_per_s(*, requests: Number, output: float, latency_s: Number) -> Number:
    """Tokens generated in a second over all requests in flight."""
    return requests * output / latency_s


def serving(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Latency and throughput of a static batch on every engine."""
    # A full pipeline is passed by one share of the batch after another; a request waits for its own.
    ttft = given["time.prefill_s"]
    tpot = given["time.decode_s"]
    whole = latency_s(ttft_s=ttft, tpot_s=tpot, output=float(case.output))
    requests = engine_batch(case, layout) * layout.replicas
    if case.concurrency is not None:
        requests = where(requests > float(case.concurrency), float(case.concurrency), requests)
    rate = output_tokens_per_s(requests=requests, output=float(case.output), latency_s=whole)
    count = float(case.system.accelerators)
    return {
        "serving.ttft_s": ttft,
        "serving.tpot_s": tpot,
        "serving.latency_s": whole,
        "serving.output_tokens_per_s": rate,
        "serving.output_tokens_per_s_per_accelerator": rate / count,
        "serving.requests_per_s": rate / float(case.output),
        "serving.batch": engine_batch(case, layout),
        "throughput.tokens_per_s": rate * (case.prompt + case.output) / float(case.output),
    }


def bound(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """What most of a decode step is spent on, at full rate: arithmetic, memory, exchanges, or launches."""
    middle = case.prompt + case.output / 2.0
    at = case.local(layout, batch=pass_batch(case, layout), sequence=1.0, kv_tokens=middle, phase="decode")
    flops = moved = 0.0
    for block, times in case.model.parts:
        for op in block.operators:
            if op.group == "loss":
                continue
            for kernel in op.forward(at, case.how):
                flops += float(kernel.flops * kernel.launches) * times
                moved += float(kernel.bytes * kernel.launches) * times
    device, decode = case.device, given["_serve.decode"]
    shares = {
        "compute": flops / device.peak_flops_per_s(case.formats.compute),
        "memory": moved / device.memory_bandwidth_bytes_per_s,
        "communication": float(decode.communication_s),
    }
    shares["overhead"] = float(decode.total_s) - sum(shares.values())
    decided = max(shares, key=lambda k: shares[k])
    if float(engine_batch(case, layout)) * layout.replicas > given["serving.max_concurrency"]:
        decided = "capacity"
    one = case.model.forward_flops(sequence=1, cached_tokens=int(middle))
    prompt = case.model.forward_flops(sequence=case.prompt)
    return {
        "serving.bound": decided,
        "flops.prefill_flops": float(prompt.total),
        "flops.decode_flops": float(one.total),
        "flops.convention": "one request, all ranks: matrix products, causal attention; decode at half its output",
    }
