"""Every rule of thumb computes what it prints: its formula, as a person would write it, read and worked out again.

``2 N B s / (n F)`` is read as a person reads it: what stands side by side is multiplied, ``^`` is a power, and each
letter is one of the rule's inputs. What the formula does not name has no part in the answer.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from typing import Any

import pytest

import suanli
from suanli import Rule

LETTERS = {
    "N": "params",
    "n": "accelerators",
    "F": "peak_flops_per_s",
    "bandwidth": "bandwidth_bytes_per_s",
    "B": "batch",
    "b": "batch",
    "s": "sequence",
    "l": "layers",
    "h": "hidden",
    "f": "ffn",
    "V": "vocab",
    "d": "head_dim",
    "a": "heads",
    "D": "tokens",
    "t": "elapsed_s",
    "s_in": "prompt",
    "s_out": "output",
    "FLOPs": "flops",
    "hop": "hop_s",
    "link": "link_bytes_per_s",
    "TTFT": "ttft_s",
    "TPOT": "tpot_s",
    "rate": "tokens_per_s_per_accelerator",
    "activations": "activation_bytes",
    "overhead": "overhead",
}
"""What a letter stands for where a rule does not mean something else by it."""

NEUTRAL: dict[str, Any] = {
    **dict.fromkeys(("batch", "tokens", "accelerators", "dp", "pp", "tp", "accum", "data", "concurrency"), 1.0),
    **dict.fromkeys(("mfu", "output", "layers", "params", "heads_after"), 1.0),
    **dict.fromkeys(("activation_bytes", "sinks", "per_token"), 0.0),
    "bits": 16.0,
    "bytes": 2.0,
}
"""What an input left out is, unless the rule says otherwise: one of it, all of a rate, nothing added, 16 bits."""


class Printed:
    """One formula of a rule's text, with what its own words mean.

    Attributes:
        text: The part of the rule's formula that is worked out, in the order the rule gives its figures.
        means: Words of this rule, and the inputs they stand for.
        left_out: What an input left out is, where it is not :data:`NEUTRAL`, and who says so.
    """

    def __init__(self, *text: str, means: Mapping[str, str] | None = None, **left_out: Any) -> None:
        self.text = text
        self.means = LETTERS | dict(means or {})
        self.left_out = NEUTRAL | left_out


PRINTED: dict[str, Printed] = {
    "accelerators-for-flops": Printed("required / F", means={"required": "required_flops_per_s"}),
    "accelerators-for-weights": Printed("ceil(N bytes / memory)", means={"memory": "memory_bytes"}),
    "achieved-flops": Printed("FLOPs / (t n)"),
    "activations": Printed("l s b h (34 + 5 a s / h)"),
    "activations-of-layers": Printed("l x layer", means={"layer": "per_layer_bytes"}),
    "activations-of-neurons": Printed("b sqrt(N) bytes", batch=32.0),  # 2 bytes, and the article's batch
    "activations-of-outputs": Printed("b l s h bytes", bytes=4.0),  # fp32, as its text says
    "activations-like-weights": Printed("2 N b / 32", "2 (2 N b / 32)", batch=32.0),
    "attention-intensity": Printed("(4 s^2 d + 3 s^2) / (bytes (4 s^2 + 4 s d))"),
    "fused-attention-intensity": Printed("(4 s^2 d + 3 s^2) / (4 s d bytes)"),
    "batch-knee": Printed("F bytes / (2 bandwidth)"),
    "bytes-per-parameter": Printed("bits / 8"),
    "concurrent-users": Printed(
        "visits x minutes / (days x 24 x 60)",
        means={"visits": "visits_per_month", "minutes": "minutes_per_visit", "days": "days_per_month"},
        days_per_month=30.0,
    ),
    "decode-throughput": Printed("B / max(N bytes / (n bandwidth), 2 N B / (n F))"),
    "decode-time": Printed("N bytes / (n bandwidth)"),
    "dense-peak": Printed("sparse / 2", means={"sparse": "sparse_peak_flops_per_s"}),
    "exact-parameters": Printed("N"),
    "flops-for-traffic": Printed(
        "2 N users rate peak / utilisation",
        means={"users": "concurrency", "rate": "tokens_per_s", "peak": "peak_factor", "utilisation": "utilisation"},
        tokens_per_s=20.0,  # the article's three
        peak_factor=10.0,
        utilisation=0.15,
    ),
    "forward-flops": Printed("2 N tokens"),
    "global-batch": Printed("micro dp accum"),
    "inference-activations": Printed(
        "b s (h + 2 f) bytes",
        means={"s": "tokens"},
        tokens=2048.0,  # a prompt of a 7B model
        hidden=4096.0,
        ffn=16384.0,
    ),
    "inference-memory": Printed("N bits / 8 x overhead", overhead=1.2),
    "iteration-flops": Printed("24 c B s l h^2 (1 + s / (6 h) + V / (16 l h))", c=3.0),
    "kv-cache": Printed("2 b s h l bytes"),
    "kv-cache-heads": Printed("2 l heads d bytes s b", sequence=1.0),
    "kv-cache-latent": Printed(
        "l (c + r) bytes tokens",
        means={"c": "kv_lora_rank", "r": "rope_dim"},
        kv_lora_rank=512.0,  # DeepSeek-V2 and V3
        rope_dim=64.0,
    ),
    "kv-cache-tokens": Printed("floor(free / token)", means={"free": "free_bytes", "token": "per_token"}),
    "kv-cache-sequences": Printed(
        "floor(free / token)", "floor(floor(free / token) / s)", means={"free": "free_bytes", "token": "per_token"}
    ),
    "kv-cache-window": Printed(
        "2 l heads d bytes min(tokens, window + sinks)", "2 l heads d bytes tokens", means={"heads": "kv_heads"}
    ),
    "kv-head-ratio": Printed("before / after", means={"before": "heads_before", "after": "heads_after"}),
    "kv-projection-flops": Printed("tokens 4 l h^2"),
    "kv-projection-read-time": Printed("2 l h^2 bytes / bandwidth"),
    "kv-projection-time": Printed("tokens 4 l h^2 / F"),
    "latency": Printed("TTFT + TPOT n", means={"n": "tokens"}),
    "latency-after-first": Printed("TTFT + TPOT (n - 1)", means={"n": "tokens"}),
    "layer-flops": Printed("24 l h^2"),
    "link-latency": Printed("4 l hop", hop_s=8e-6),  # the article's
    "link-time": Printed("4 B l h bytes / link"),
    "matmul-flops": Printed("2 m n p", means={"n": "n"}, p=1.0),  # a vector
    "model-sizes": Printed("2 N", "20 N"),
    "nodes-for-compute": Printed("ceil(total / (per_node x F))", means={"total": "total_flops_per_s"}, per_node=8.0),
    "optimizer-memory": Printed(
        "N bytes states", means={"states": "states_per_parameter"}, bytes=4.0, states_per_parameter=2.0
    ),
    "optimizer-states": Printed("states x N", means={"states": "states_per_parameter"}, states_per_parameter=2.0),
    "overlap": Printed("max(t, c)", "t + c", means={"t": "compute_s", "c": "communication_s"}),
    "paging-waste": Printed("block - 1", block=16.0),  # vLLM's
    "parallel-ranks": Printed("dp pp tp"),
    "parameters": Printed("12 l h^2"),
    "prefill-time": Printed("2 N B s / (n F mfu)", means={"s": "tokens"}),
    "rate-per-accelerator": Printed("B / (t n)", "B s / (t n)"),
    "reading-speed": Printed("60 words / TPOT", means={"words": "words_per_token"}, words_per_token=0.75),
    "request-latency": Printed("2 N B s_in / (n F) + s_out N bytes / (n bandwidth)"),
    "requests-per-second": Printed("B / t"),
    "reservation-waste": Printed("1 - used / reserved"),
    "ridge-point": Printed("F / bandwidth"),
    "serving-memory": Printed(
        "N bytes + requests s token + activations",
        means={"requests": "concurrency", "token": "per_token"},
        sequence=2048.0,
    ),
    "serving-mfu": Printed(
        "2 N B (s_in + s_out) / (n F t)",
        params=175e9,  # the article's measurement: GPT-3 on eight accelerators, 128 tokens in and 8 out
        prompt=128.0,
        output=8.0,
        accelerators=8.0,
    ),
    "serving-utilisation": Printed("2 N B s_out / (n F t)", "2 N B (s_in + s_out) / (n F t)"),
    "sharded-training-memory": Printed(
        "bytes N / n + activations", means={"bytes": "bytes_per_parameter"}, bytes_per_parameter=12.0
    ),
    "tokens-per-second": Printed("n / (TTFT + TPOT n)", means={"n": "tokens"}),
    "training-flops": Printed("6 N D"),
    "training-flops-recompute": Printed("8 N D"),
    "training-memory": Printed(
        "N (weights + gradients + states) + activations",
        means={"weights": "weights_bytes", "gradients": "grad_bytes", "states": "state_bytes"},
        weights_bytes=6.0,  # 18n: a 16-bit weight and its fp32 master, a gradient and two states in fp32
        grad_bytes=4.0,
        state_bytes=8.0,
    ),
    "training-state": Printed("bytes N", means={"bytes": "bytes_per_parameter"}, bytes_per_parameter=20.0),
    "training-time": Printed("6 N D / (n F mfu)", mfu=0.45),
    "training-time-recompute": Printed("8 N D / (n F hfu)", hfu=0.5),
    "training-time-at-rate": Printed("D / (n rate)"),
    "training-total": Printed("18 N + b l s h bytes", bytes=4.0),
    "uncached-token-time": Printed("2 N (s_in + (s_out - 1) / 2) / (n F mfu)"),
    "utilisation": Printed("FLOPs / (t n F)"),
    "weight-memory": Printed("N bits / 8"),
}
OTHERWISE = {
    # rules that look up, draw up tables or take lists, each held to its own figures in a test of its own
    *("anatomy", "spec-sheet", "spec-table", "usual-memory", "vector-and-matrix-peaks", "unit-ladder", "mfu-prior"),
    *("flops-table", "phase-intensity", "kv-cache-gqa", "kv-quantisation", "latency-by-batch", "lora-parameters"),
    *("zero-memory", "training-to-inference-memory", "continuous-batching-gain"),
}
FUNCTIONS = {"ceil": math.ceil, "floor": math.floor, "sqrt": math.sqrt, "max": max, "min": min}
ATOM = r"(?:\d+(?:\.\d+)?|[A-Za-z_]+)"


def worked_out(text: str, values: Mapping[str, Any]) -> float:
    """A formula as a person writes it, of some values."""
    code = re.sub(r" x ", " * ", text).replace("^", "**")
    code = re.sub(rf"({ATOM}|\)) +(?={ATOM}|\()", r"\1 * ", code)
    code = re.sub(rf"({ATOM}|\)) +(?={ATOM}|\()", r"\1 * ", code)
    assert {type(n) for n in ast.walk(ast.parse(code, mode="eval"))} <= {
        *(ast.Expression, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.Call, ast.Name, ast.Load),
        ast.Constant,
    }
    return float(eval(code, {"__builtins__": {}} | FUNCTIONS, dict(values)))


def letters(text: str) -> set[str]:
    """The words of a formula that are inputs."""
    return set(re.findall(r"[A-Za-z_]+", text)) - set(FUNCTIONS) - {"x"}


OURS: dict[str, Rule] = {e.name: e.value for e in suanli.catalog().entries("rule") if e.provider.plugin == "handbook"}
PRIMES = [float(p) for p in range(3, 400) if all(p % q for q in range(2, p))]
LARGE = {"params", "peak_flops_per_s", "bandwidth_bytes_per_s", "flops", "required_flops_per_s", "free_bytes"}
LARGE |= {"total_flops_per_s", "sparse_peak_flops_per_s"}


def values(rule: Rule, shift: int = 0) -> dict[str, Any]:
    """A number of its own for each input of a rule, none of them 0 or 1."""
    found: dict[str, Any] = {}
    for i, (name, parameter) in enumerate(rule.parameters.items()):
        if str(parameter.annotation) == "float":
            found[name] = PRIMES[7 * i + shift] * (1e9 if name in LARGE else 1.0)
    return found


def named(printed: Printed, found: Mapping[str, Any]) -> dict[str, Any]:
    """The words of a formula with the values of what they stand for."""
    words = {w for text in printed.text for w in letters(text)}
    return {w: found[printed.means.get(w, w)] for w in words}


def answered(rule: Rule, **inputs: Any) -> list[float]:
    """The figures of a rule."""
    value = rule(**inputs).value
    return value if isinstance(value, list) else [value]


def test_every_rule_is_held_to_its_formula() -> None:
    """Each rule has a row above, or is one of those that are no formula."""
    assert set(PRINTED) | OTHERWISE == set(OURS)
    assert not set(PRINTED) & OTHERWISE


@pytest.mark.parametrize("name", PRINTED)
def test_what_is_read_above_is_what_the_rule_prints(name: str) -> None:
    """Each number of a row stands in the text of the rule, but for those the text leaves to an input."""
    told = OURS[name].formula
    for text in PRINTED[name].text:
        for number in re.findall(r"(?<![\w.])\d+", text):
            assert re.search(rf"(?<!\d){number}(?!\d)", told), (text, told)


@pytest.mark.parametrize("name", PRINTED)
@pytest.mark.parametrize("shift", [0, 1, 2])
def test_a_rule_computes_what_it_prints(name: str, shift: int) -> None:
    """Asked with a number of its own for every input, a rule gives what its formula comes to."""
    rule, printed = OURS[name], PRINTED[name]
    given = values(rule, shift)
    expected = [worked_out(text, named(printed, given)) for text in printed.text]
    assert answered(rule, **given) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", PRINTED)
def test_what_a_rule_does_not_print_has_no_part_in_it(name: str) -> None:
    """An input the formula does not name, such as the sequence of the figure beside it, changes nothing."""
    rule, printed = OURS[name], PRINTED[name]
    given = values(rule)
    words = {printed.means.get(w, w) for text in printed.text for w in letters(text)}
    for other in set(given) - words:
        assert answered(rule, **given | {other: given[other] + 1.0}) == answered(rule, **given), other


@pytest.mark.parametrize("name", PRINTED)
def test_what_is_left_out_is_what_one_would_mean(name: str) -> None:
    """Left out, a count is one, a share all of it, what is added nothing, a number 16 bits, or what its source says."""
    rule, printed = OURS[name], PRINTED[name]
    given = values(rule)
    required = {k: v for k, v in given.items() if rule.parameters[k].default is rule.parameters[k].empty}
    full = {k: required.get(k, printed.left_out.get(k)) for k in given}
    expected = [worked_out(text, named(printed, full)) for text in printed.text]
    assert answered(rule, **required) == pytest.approx(expected, rel=1e-12)
    for one in set(given) - set(required):
        mixed = {k: v for k, v in given.items() if k != one}
        expected = [worked_out(t, named(printed, mixed | {one: printed.left_out.get(one)})) for t in printed.text]
        assert answered(rule, **mixed) == pytest.approx(expected, rel=1e-12), one


# ---- Rules whose answer is a list, a table or a choice ------------------------------------------------------------


@pytest.mark.parametrize("data", [1.0, 2.0, 64.0])
def test_zero_divides_what_its_stage_says(data: float) -> None:
    """Each of the four formulas printed is that of one stage (Rajbhandari et al. 2020, fig. 1); stage 0 by default."""
    printed = OURS["zero-memory"].formula.split("; ")
    found = OURS["zero-memory"](params=7.5e9, data=data, zero=[0, 1, 2, 3]).value
    assert found == pytest.approx([worked_out(text, {"N": 7.5e9, "n": data}) for text in printed], rel=1e-12)
    assert OURS["zero-memory"](params=7.5e9).value == 16 * 7.5e9
    assert OURS["zero-memory"](params=7.5e9, data=4.0, zero=3, bytes=[2, 4, 8]).value == 14 * 7.5e9 / 4
    with pytest.raises(suanli.InvalidInputError, match="three numbers"):
        OURS["zero-memory"](params=7.5e9, bytes=[2, 2])


def test_without_recompute_training_takes_six_eighths() -> None:
    """8 N D counts the forward pass that is made again; without it there are 6."""
    job = {"params": 65e9, "tokens": 1.4e12, "accelerators": 2048, "peak_flops_per_s": 312e12}
    again, once = OURS["training-time-recompute"](**job, recompute=["full", "none"]).value
    assert OURS["training-time-recompute"](**job).value == again
    assert once == pytest.approx(again * 6 / 8)


def test_grouped_heads_share_the_cache_in_each_format() -> None:
    """Two bytes and one unless said: one sequence of 11 tokens, 3 layers of 64, 2 of 8 heads with keys of their own."""
    sizes = {"sequence": 11, "hidden": 64, "kv_heads": 2, "heads": 8, "layers": 3}
    one = 2 * 11 * 64 * 2 / 8 * 3
    assert OURS["kv-cache-gqa"](**sizes).value == [2 * one, one]
    assert OURS["kv-cache-gqa"](**sizes, batch=5, bytes=[4, 0.5]).value == [5 * 4 * one, 5 * 0.5 * one]


def test_a_cache_of_fewer_bits_is_so_much_smaller() -> None:
    """Sixteen bits to four unless said."""
    assert OURS["kv-quantisation"]().value == 4.0
    assert OURS["kv-quantisation"](bits=[8, 5]).value == 1.6


def test_latency_by_batch_is_the_request_s_of_each() -> None:
    """Batches of 1, 2, 4, 8 and 16 unless said, on one accelerator, in two bytes."""
    job = {"params": 7e9, "bandwidth_bytes_per_s": 2e12, "peak_flops_per_s": 3e14, "prompt": 350, "output": 150}
    each, one = OURS["latency-by-batch"], OURS["request-latency"]
    assert each(**job).value == [one(**job, batch=b).value for b in (1, 2, 4, 8, 16)]
    more = job | {"bytes": 1, "accelerators": 4}
    assert each(**more, batches=[3, 5]).value == [one(**more, batch=b).value for b in (3, 5)]


def test_training_over_inference_is_a_table() -> None:
    """A row for each bytes of a weight, 4 and 2 unless said, and in it each number of bytes added, 12 and 20."""
    rule = OURS["training-to-inference-memory"]
    assert rule().value == [[(4 + 12) / 4, (4 + 20) / 4], [(2 + 12) / 2, (2 + 20) / 2]]
    assert rule(params=13e9, inference_bytes=[1], extra=[3, 5, 7]).value == [[4, 6, 8]]


def harmonic(count: int) -> float:
    """1 + 1/2 + ... + 1/count."""
    return math.fsum(1 / k for k in range(1, count + 1))


@pytest.mark.parametrize("batch", [1, 2, 3, 99, 100, 101, 1000, 4096])
def test_the_longest_of_a_batch_is_a_harmonic_number(batch: int) -> None:
    """Exponential lengths: the longest of B is 1 + 1/2 + ... + 1/B of their mean, summed or by its expansion alike."""
    gain = OURS["continuous-batching-gain"]
    assert gain(batch=batch).value == pytest.approx(harmonic(batch), rel=1e-10)
    assert gain(batch=batch, spread=0.25).value == pytest.approx(0.75 + 0.25 * harmonic(batch), rel=1e-10)
    assert gain(batch=batch, spread=0).value == 1.0
    assert gain().value == gain(batch=64).value
    with pytest.raises(suanli.InvalidInputError, match="at least one request"):
        gain(batch=0.5)


def test_a_table_of_flops_is_kaplan_s() -> None:
    """Kaplan et al. 2020, table 1, of one layer of 4 wide, feed-forward of 16, 10 words, 6 positions.

    Embedding 4 d; queries, keys and values 2 d 3 d; the mask 2 s d; the way back 2 d d; feed-forward 2 (2 d f).
    """
    found = OURS["flops-table"](layers=1, hidden=4, ffn=16, sequence=6, vocab=10).value
    assert found == {
        "embed_params": (10 + 6) * 4,
        "embed_flops": 4 * 4,
        "qkv": 2 * 4 * 3 * 4,
        "mask": 2 * 6 * 4,
        "project": 2 * 4 * 4,
        "feed_forward": 2 * 2 * 4 * 16,
        "de_embed": 2 * 4 * 10,
        "N": 2 * 4 * (2 * 4 + 16),
        "C": 2 * 2 * 4 * (2 * 4 + 16) + 2 * 6 * 4,
    }
    short = OURS["flops-table"](layers=1, hidden=4, ffn=16, vocab=10).value
    assert short["mask"] == 2 * 2048 * 4


def test_phases_are_of_the_batches_asked_for() -> None:
    """One, four, eight and sixteen requests unless said, in both rows."""
    job = {"model": "gpt2", "prompt": 64, "output": 16}
    phases = OURS["phase-intensity"]
    assert phases(**job).value == phases(**job, batches=[1, 4, 8, 16]).value
    assert phases(**job, batches=[4]).value == [[row[1]] for row in phases(**job).value]
