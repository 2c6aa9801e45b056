"""How fast tokens are read and written: by the rates of the accelerators."""

from __future__ import annotations

from suanli import Asked, formula, maximum
from suanli_handbook.asking import SEQUENCE
from suanli_handbook.citations import BASETEN, DATABRICKS, INFERENCE, KIPPLY, POPE, RESOURCES
from suanli_handbook.counting import ACTIVE
from suanli_handbook.making import _rule
from suanli_handbook.served import engine


@formula(unit="s", source=f"{POPE}; {KIPPLY}; {BASETEN}; {INFERENCE}")
def prefill_time(
    *,
    params: float,
    tokens: float = 1.0,
    batch: float = 1.0,
    peak_flops_per_s: float,
    accelerators: float = 1.0,
    mfu: float = 1.0,
) -> float:
    """Seconds the arithmetic of a pass takes: 2 FLOPs a parameter and token, over `batch` sequences of `tokens`."""
    return 2.0 * params * tokens * batch / (accelerators * peak_flops_per_s * mfu)


@formula(unit="s", source=f"{POPE}: every weight is read for every token; {KIPPLY}; {BASETEN}; {INFERENCE}")
def decode_time(
    *,
    params: float,
    bytes: float = 2.0,
    bandwidth_bytes_per_s: float,
    accelerators: float = 1.0,
    sequence: float = SEQUENCE,
) -> float:
    """Seconds of one token of a small batch: the weights over the memory bandwidth.

    `sequence` is the length the estimator's figure is for; the rule has no cache in it.
    """
    return bytes * params / (accelerators * bandwidth_bytes_per_s)


@formula(unit="s", source=f"{BASETEN}; {INFERENCE}")
def request_latency(
    *,
    params: float,
    bytes: float = 2.0,
    bandwidth_bytes_per_s: float,
    peak_flops_per_s: float,
    prompt: float,
    output: float,
    batch: float = 1.0,
    accelerators: float = 1.0,
) -> float:
    """Seconds of a prompt at full rate, and of every output token at full bandwidth."""
    first = prefill_time(
        params=params, tokens=prompt, batch=batch, peak_flops_per_s=peak_flops_per_s, accelerators=accelerators
    )
    each = decode_time(
        params=params, bytes=bytes, bandwidth_bytes_per_s=bandwidth_bytes_per_s, accelerators=accelerators
    )
    return first + output * each


@formula(unit="s", source=f"{KIPPLY}; {INFERENCE}, which holds it against measurements")
def latency_by_batch(
    *,
    params: float,
    bytes: float = 2.0,
    bandwidth_bytes_per_s: float,
    peak_flops_per_s: float,
    prompt: float,
    output: float,
    batches: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0),
    accelerators: float = 1.0,
) -> tuple[float, ...]:
    """Seconds of a request in batches of several sizes, at full rate and bandwidth: what a measurement is held to."""
    about = {"params": params, "bytes": bytes, "prompt": prompt, "output": output, "accelerators": accelerators}
    rates = {"bandwidth_bytes_per_s": bandwidth_bytes_per_s, "peak_flops_per_s": peak_flops_per_s}
    return tuple(request_latency(batch=batch, **about, **rates) for batch in batches)


@formula(unit="tokens_per_s", source=f"{POPE}; {DATABRICKS}; {INFERENCE}: past the knee a batch only adds latency")
def decode_throughput(
    *,
    params: float,
    bytes: float = 2.0,
    bandwidth_bytes_per_s: float,
    peak_flops_per_s: float,
    batch: float = 1.0,
    accelerators: float = 1.0,
    sequence: float = SEQUENCE,
) -> float:
    """Output tokens in a second over a batch: as many as the weights are read for, until arithmetic takes longer.

    `sequence` is the length the estimator's figure is for; the rule has no cache in it.
    """
    read = decode_time(
        params=params, bytes=bytes, bandwidth_bytes_per_s=bandwidth_bytes_per_s, accelerators=accelerators
    )
    counted = prefill_time(params=params, batch=batch, peak_flops_per_s=peak_flops_per_s, accelerators=accelerators)
    return batch / float(maximum(read, counted))


@formula(unit="s", source=RESOURCES)
def uncached_token_time(
    *,
    params: float,
    prompt: float,
    output: float = 1.0,
    peak_flops_per_s: float,
    accelerators: float = 1.0,
    mfu: float = 1.0,
) -> float:
    """Seconds of a token without a cache, which passes all tokens before it again: the mean over `output` of them."""
    tokens = prompt + (output - 1.0) / 2.0
    return prefill_time(
        params=params, tokens=tokens, peak_flops_per_s=peak_flops_per_s, accelerators=accelerators, mfu=mfu
    )


def _given(asked: Asked, *names: str) -> dict[str, float]:
    """Inputs as numbers."""
    return {name: float(asked.inputs[name]) for name in names}


def _first(asked: Asked) -> float | None:
    return engine(asked, prompt=float(asked.inputs["tokens"]), output=1.0, **_given(asked, "batch")).ttft_s


def _each(asked: Asked) -> float | None:
    return engine(asked, prompt=float(asked.inputs["sequence"]), output=1.0, **_given(asked, "bytes")).tpot_s


def _whole(asked: Asked) -> float | None:
    return engine(asked, **_given(asked, "prompt", "output", "batch", "bytes")).latency_s


def _batches(asked: Asked) -> list[float | None]:
    size = _given(asked, "prompt", "output", "bytes")
    return [engine(asked, **size, batch=float(batch)).latency_s for batch in asked.inputs["batches"]]


def _rate(asked: Asked) -> float | None:
    batch, size = float(asked.inputs["batch"]), _given(asked, "bytes")
    found = engine(asked, prompt=float(asked.inputs["sequence"]), output=1.0, batch=batch, **size).tpot_s
    return None if not found else batch / found


def _uncached(asked: Asked) -> float | None:
    sizes = _given(asked, "prompt", "output")
    return engine(asked, prompt=float(round(sizes["prompt"] + (sizes["output"] - 1.0) / 2.0)), output=1.0).ttft_s


MOE = "of a mixture of experts, N is what a token uses"
BOUND = "a lower bound: nothing but the weights, at full rate and bandwidth"
ON = {"system": ("dgx-a100", "dgx-h100"), "accelerators": (1.0, 8.0)}
NEEDS = ("model", "system")

RULES = (
    _rule(
        "prefill-time",
        prefill_time,
        "2 N B s / (n F)",
        f"{BOUND}; prompts long enough to be compute-bound; {MOE}",
        aliases=("prefill", "ttft", "compute-time", "decode-compute-time"),
        cases=(
            "prefill-7b-t4",
            "prefill-7b-a10",
            "prefill-7b-a100-80gb-sxm",
            "gopher-flops-b1",
            "gopher-flops-b512",
        ),
        reads=ACTIVE,
        exact=_first,
        exact_by="time to first token of a batch that stays, tensor parallelism over all accelerators",
        exact_needs=NEEDS,
        over={"tokens": (512.0, 4096.0)} | ON,
    ),
    _rule(
        "decode-time",
        decode_time,
        "N bytes / (n bandwidth)",
        f"{BOUND}; batches below the knee, contexts short beside the weights; {MOE}",
        aliases=("tpot", "time-per-output-token", "decode"),
        cases=("tpot-7b-t4", "tpot-7b-a10", "tpot-7b-a100-80gb-sxm", "gopher-mem"),
        reads=ACTIVE,
        exact=_each,
        exact_by="time per output token of one request, tensor parallelism over all accelerators",
        exact_needs=NEEDS,
        over=ON,
    ),
    _rule(
        "request-latency",
        request_latency,
        "2 N B s_in / (n F) + s_out N bytes / (n bandwidth)",
        f"{BOUND}; {MOE}",
        aliases=("total-latency", "generation-time"),
        cases=("total-7b-t4", "total-7b-a10", "total-7b-a100-80gb-sxm"),
        reads=ACTIVE,
        exact=_whole,
        exact_by="latency of a batch that stays, tensor parallelism over all accelerators",
        exact_needs=NEEDS,
        over={"prompt": (1024.0,), "output": (256.0,), "batch": (1.0, 16.0)} | ON,
    ),
    _rule(
        "latency-by-batch",
        latency_by_batch,
        "2 N B s_in / (n F) + s_out N bytes / (n bandwidth), for each B",
        f"{BOUND}; N as the model is called (175B); dense models",
        aliases=("ideal-latency",),
        cases=("bs-latency-8xa100",),
        reads={"params": "nominal_params"},
        exact=_batches,
        exact_by="latency of each batch, tensor parallelism over all accelerators",
        exact_needs=NEEDS,
        over={"prompt": (128.0,), "output": (8.0,), "system": ("dgx-a100", "dgx-h100")},
    ),
    _rule(
        "decode-throughput",
        decode_throughput,
        "B / max(N bytes / (n bandwidth), 2 N B / (n F))",
        f"an upper bound: no cache is read; {MOE}, though a batch reads more experts",
        aliases=("output-throughput",),
        reads=ACTIVE,
        exact=_rate,
        exact_by="batch over time per output token, tensor parallelism over all accelerators",
        exact_needs=NEEDS,
        over={"batch": (1.0, 32.0, 256.0)} | ON,
    ),
    _rule(
        "uncached-token-time",
        uncached_token_time,
        "2 N (s_in + (s_out - 1) / 2) / (n F mfu)",
        f"generation without a KV cache: every token passes all before it again; {MOE}",
        aliases=("speed-without-cache", "generation-without-cache"),
        cases=("speed-32b-10xa100",),
        reads=ACTIVE,
        exact=_uncached,
        exact_by="time to first token of a prompt as long as the tokens passed again on average",
        exact_needs=NEEDS,
        over={"prompt": (1024.0,), "mfu": (0.462,)} | ON,
    ),
)
