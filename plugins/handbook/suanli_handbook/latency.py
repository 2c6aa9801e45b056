"""What a client of a service sees, and what measured times say of the accelerators behind it."""

from __future__ import annotations

from suanli import Asked, formula
from suanli_handbook.asking import model_of, whole
from suanli_handbook.citations import DATABRICKS, INFERENCE, PALM, RESOURCES
from suanli_handbook.counting import ACTIVE
from suanli_handbook.making import _rule


@formula(unit="s", source=f"{DATABRICKS}; {INFERENCE}; {RESOURCES}")
def latency(*, ttft_s: float, tpot_s: float, tokens: float) -> float:
    """Seconds from a request to its last token, TPOT spread over every token of the output."""
    return ttft_s + tpot_s * tokens


@formula(unit="s", source=f"definition of TPOT: it begins with the second token; {RESOURCES}, which then counts all")
def latency_after_first(*, ttft_s: float, tpot_s: float, tokens: float) -> float:
    """Seconds from a request to its last token, the first one being there at TTFT."""
    return ttft_s + tpot_s * (tokens - 1.0)


@formula(unit="tokens_per_s", source=RESOURCES)
def tokens_per_second(*, ttft_s: float, tpot_s: float, tokens: float) -> float:
    """Output tokens in a second of one request, its wait for the first included."""
    return tokens / latency(ttft_s=ttft_s, tpot_s=tpot_s, tokens=tokens)


@formula(unit="words/min", source=f"{DATABRICKS}; {INFERENCE}")
def reading_speed(*, tpot_s: float, words_per_token: float = 0.75) -> float:
    """Words a user gets in a minute; 450 of them are faster than most people read."""
    return 60.0 / tpot_s * words_per_token


@formula(unit="requests_per_s", source=f"definition; {INFERENCE}")
def requests_per_second(*, batch: float, elapsed_s: float) -> float:
    """Requests answered in a second by a batch that stays until all are done."""
    return batch / elapsed_s


@formula(unit="ratio", source=f"{INFERENCE}; after {PALM}")
def serving_mfu(
    *,
    params: float = 175e9,
    batch: float = 1.0,
    prompt: float = 128.0,
    output: float = 8.0,
    elapsed_s: float,
    peak_flops_per_s: float,
    accelerators: float = 8.0,
) -> float:
    """Share of the peak that 2 FLOPs a parameter and token take, prompt and output counted.

    The defaults are the article's measurement: 175B parameters, 128 tokens in and 8 out, on 8 accelerators.
    """
    return 2.0 * params * batch * (prompt + output) / (accelerators * peak_flops_per_s * elapsed_s)


@formula(unit="ratio", source=f"{INFERENCE}; after {PALM}")
def serving_utilisation(
    *,
    params: float,
    batch: float = 1.0,
    prompt: float,
    output: float,
    elapsed_s: float,
    peak_flops_per_s: float,
    accelerators: float = 1.0,
) -> tuple[float, float]:
    """Share of the peak that is used, by both ways to count: the output alone, and prompt and output."""
    about = {"params": params, "batch": batch, "output": output, "elapsed_s": elapsed_s}
    about |= {"peak_flops_per_s": peak_flops_per_s, "accelerators": accelerators}
    return serving_mfu(prompt=0.0, **about), serving_mfu(prompt=prompt, **about)


def _request_flops(asked: Asked) -> tuple[float, float]:
    """FLOPs of the model's operators for a batch of requests: of the steps that write, and of the prompts too."""
    model = model_of(asked)
    sizes = {k: whole(k, float(asked.inputs[k])) for k in ("batch", "prompt", "output")}
    middle = sizes["prompt"] + sizes["output"] // 2
    steps = model.forward_flops(batch=sizes["batch"], sequence=1, cached_tokens=middle).total * sizes["output"]
    prompts = model.forward_flops(batch=sizes["batch"], sequence=sizes["prompt"])
    # A service turns only the last position of a prompt into logits.
    head = prompts.by_group.get("head", 0.0) * (1.0 - 1.0 / sizes["prompt"])
    return steps, steps + prompts.total - head


def _used(asked: Asked) -> list[float]:
    supply = 1.0
    for name in ("accelerators", "peak_flops_per_s", "elapsed_s"):
        supply *= float(asked.inputs[name])
    return [flops / supply for flops in _request_flops(asked)]


COUNTED = "FLOPs of the model's operators over the same supply, attention included"
SAMPLES = {
    "batch": (1.0,),
    "prompt": (128.0, 2048.0),
    "output": (8.0, 512.0),
    "elapsed_s": (1.0,),
    "peak_flops_per_s": (312e12,),
    "accelerators": (8.0,),
}


def _used_writing(asked: Asked) -> float:
    return _used(asked)[1]


RULES = (
    _rule(
        "latency",
        latency,
        "TTFT + TPOT n",
        "TPOT as latency after the first token over all n; see latency-after-first for the other convention",
        aliases=("latency-identity", "e2e-latency"),
        cases=("latency-identity",),
    ),
    _rule(
        "latency-after-first",
        latency_after_first,
        "TTFT + TPOT (n - 1)",
        "TPOT as the time between tokens, which begins with the second; see latency for the other convention",
        aliases=("tpot-convention", "itl-latency"),
        cases=("tpot-convention",),
    ),
    _rule(
        "tokens-per-second",
        tokens_per_second,
        "n / (TTFT + TPOT n)",
        "one request; a service answers many at a time",
        aliases=("tps",),
        cases=("tps",),
    ),
    _rule(
        "reading-speed",
        reading_speed,
        "60 words / TPOT",
        "English text, about three words to four tokens",
        cases=("reading-speed",),
    ),
    _rule(
        "requests-per-second",
        requests_per_second,
        "B / t",
        "one batch at a time, t its whole latency",
        aliases=("qps",),
        cases=("qps-b1", "qps-b2", "qps-b4", "qps-b8", "qps-b16"),
    ),
    _rule(
        "serving-mfu",
        serving_mfu,
        "2 N B (s_in + s_out) / (n F t)",
        "the dense peak of the format that was multiplied in; contexts short beside 6 x hidden",
        cases=("gpt35-util-dense",),
        reads=ACTIVE,
        exact=_used_writing,
        exact_by=COUNTED,
        over=SAMPLES,
    ),
    _rule(
        "serving-utilisation",
        serving_utilisation,
        "2 N B s_out / (n F t), 2 N B (s_in + s_out) / (n F t)",
        "as serving-mfu; output alone is no measure of the work, and is what some report",
        aliases=("serving-utilization",),
        cases=("gpt35-util-b1", "gpt35-util-b2", "gpt35-util-b4", "gpt35-util-b8", "gpt35-util-b16"),
        reads=ACTIVE,
        exact=_used,
        exact_by=COUNTED,
        over=SAMPLES,
    ),
)
