"""What a batch amounts to: latency, throughput, and what holds it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suanli import Case, Number, formula, maximum, minimum, where
from suanli.costs import SECONDS_PER_HOUR, cost_of, energy_of, no_cost, no_energy
from suanli_serving.cache import engine_batch, limits, pass_batch
from suanli_serving.passes import fresh_tokens, prompts_together

STEADY = "steady state of continuous batching: a request leaves, another joins (Yu et al. 2022, Orca)"
CHUNKED = "Agrawal et al. 2024, Sarathi-Serve, sec. 4: prompts pass in chunks, beside those who write"
STATIC = "static batching: prompts together, then one token each until all are done"


@formula(unit="s", source="definition: the first token comes with the prompt, one step for each of the others")
def latency_s(*, ttft_s: Number, tpot_s: Number, output: float) -> Number:
    """Seconds from a request to its last token."""
    return ttft_s + tpot_s * (output - 1.0)


@formula(unit="s", source=STEADY)
def joining_s(*, step_s: Number, others: Number, queued_s: Number, prefill_s: Number) -> Number:
    """Seconds to the first token of a request that joins others.

    It is sent when one before it has its last token, so the next step is under way without it; then its prompt passes.

    Args:
        step_s: A step with the prompts it carries.
        others: Requests that run beside it; with none there is no step to wait for.
        queued_s: Waiting for the prompts before its own.
        prefill_s: The pass of its prompt.
    """
    return minimum(others, 1.0) * step_s + queued_s + prefill_s


@formula(unit="s", source=STEADY)
def prompts_s(*, added_s: Number, others: Number, together: Number, output: float) -> Number:
    """Seconds of prompts for each token: each of `others` requests passes its prompt once while one writes its output.

    Args:
        added_s: By which a pass of prompts lengthens a step.
        others: Requests that run beside the one.
        together: Prompts in a pass.
        output: Tokens it writes.
    """
    return others / together * added_s / output


@formula(unit="s", source=CHUNKED)
def chunk_s(*, added_s: Number, tokens: Number, most_tokens: float) -> Number:
    """Seconds of the prompts in one step: what of a pass of so many tokens an engine puts into one."""
    return added_s * minimum(most_tokens / tokens, 1.0)


@formula(unit="s", source=CHUNKED)
def shared_s(*, decode_s: Number, prompts_s: Number, chunk_s: Number) -> Number:
    """Seconds a token, with the prompts that pass meanwhile, and no more of them than a step carries."""
    return decode_s + minimum(prompts_s, chunk_s)


@formula(unit="s", source="Little's law: who is not among those that write waits for its prompt to pass")
def queued_s(*, prompts_s: Number, chunk_s: Number, output: float) -> Number:
    """Seconds a request waits for the prompts before its own, where more come than steps can carry."""
    return maximum(prompts_s - chunk_s, 0.0) * output


@formula(unit="tokens_per_s", source=STATIC)
def output_tokens_per_s(*, requests: Number, output: float, latency_s: Number) -> Number:
    """Tokens generated in a second over all requests in flight."""
    return requests * output / latency_s


@formula(unit="currency", source="definition")
def cost_per_million_tokens(*, cost_per_hour: Number, tokens_per_s: Number) -> Number:
    """Price of a million tokens, when so many are generated in every second that is paid for."""
    return cost_per_hour / SECONDS_PER_HOUR / tokens_per_s * 1e6


@formula(unit="j", source="definition: rated power throughout, an upper bound on what is drawn")
def energy_per_token_j(*, energy_per_s: Number, tokens_per_s: Number) -> Number:
    """Joules a token that is generated takes."""
    return energy_per_s / tokens_per_s


def serving(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Latency and throughput of every engine: of a batch that stays, or of requests that come and go."""
    ttft = given["time.prefill_s"]
    tpot = given["time.decode_s"]
    running = given["_serve.running"]
    if case.concurrency is not None:
        # While one request is answered every other one is replaced once, and its prompt stops all.
        together = prompts_together(case, layout, running)
        others = maximum(running / (layout.attention_data * layout.pipeline) - together, 0.0)
        output, tokens = float(case.output), together * fresh_tokens(case)
        added = given["_serve.added_s"]
        prompts = prompts_s(added_s=added, others=others, together=together, output=output)
        chunk = chunk_s(added_s=added, tokens=tokens, most_tokens=float(limits(case).tokens))
        queued = queued_s(prompts_s=prompts, chunk_s=chunk, output=output)
        tpot = shared_s(decode_s=tpot, prompts_s=prompts, chunk_s=chunk)
        ttft = joining_s(step_s=tpot, others=others, queued_s=queued, prefill_s=ttft)
    whole = latency_s(ttft_s=ttft, tpot_s=tpot, output=float(case.output))
    requests = running * layout.replicas
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
        "serving.batch": running,
        "throughput.tokens_per_s": rate * (case.prompt + case.output) / float(case.output),
    }


def price(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """What all engines cost in an hour, busy or not; None with a note where no price is known."""
    hourly = cost_of(case, SECONDS_PER_HOUR)
    if hourly is None:
        case.problems.append(no_cost(case, "serving.cost_per_hour"))
    return {"serving.cost_per_hour": hourly, "serving.currency": case.currency}


def cost(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a token costs and draws at this rate; None with a note where price or power is not known."""
    rate, hourly, drawn = given["serving.output_tokens_per_s"], given["serving.cost_per_hour"], energy_of(case, 1.0)
    found = dict.fromkeys(("serving.cost_per_million_output_tokens", "serving.energy_per_output_token_j"))
    if hourly is None:
        case.problems.append(no_cost(case, "serving.cost_per_million_output_tokens"))
    else:
        each = cost_per_million_tokens(cost_per_hour=hourly, tokens_per_s=rate)
        found["serving.cost_per_million_output_tokens"] = each
    if drawn is None:
        case.problems.append(no_energy(case, "serving.energy_per_output_token_j"))
    else:
        found["serving.energy_per_output_token_j"] = energy_per_token_j(energy_per_s=drawn, tokens_per_s=rate)
    return found


def bound(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """What most of a decode step is spent on, at full rate: arithmetic, memory, exchanges, or launches."""
    middle = case.prompt + case.output / 2.0
    at = case.local(
        layout, batch=pass_batch(layout, given["_serve.running"]), sequence=1.0, kv_tokens=middle, phase="decode"
    )
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
