"""What an engine does with many requests: prompts beside tokens, limits of its own, launches."""

from __future__ import annotations

from typing import Any

import pytest

import suanli
from suanli import Attention, Limits, Profile, ScenarioError
from suanli.operators import How
from suanli.tensors import Local, Tensor


def served(model: str, system: str, *, count: int = 1, engine: dict[str, Any] | None = None, **workload: Any) -> Any:
    """The report of requests to one engine."""
    return suanli.estimate(
        {
            "model": {"name": model},
            "system": {"name": system, "accelerators": count},
            "workload": {"kind": "serve"} | workload,
            "layout": {"tensor": count, "replicas": 1},
            "implementation": {"profile": "vllm"} | (engine or {}),
        }
    )


def test_prompts_that_pass_beside_tokens_read_the_weights_once() -> None:
    """Short prompts lengthen a step by less than their own pass, which is nearly all weights."""
    report = served("llama-3-8b", "dgx-h100", prompt=64, output=64, concurrency=16)
    alone, step, told = report.time.prefill_s, report.time.decode_s, report.serving.tpot_s
    # Fifteen others pass their prompt once in 64 steps.
    assert step < told < step + 15 / 64 * alone * 0.5


def test_an_engine_that_does_not_mix_stops_for_each_prompt() -> None:
    """SGLang by default: a token takes a step and its share of the others' prompts, each a pass of its own."""
    report = served("llama-3-8b", "dgx-h100", prompt=64, output=64, concurrency=16, engine={"profile": "sglang"})
    expected = report.time.decode_s + 15 / 64 * report.time.prefill_s
    assert report.serving.tpot_s == pytest.approx(expected, rel=1e-12)


def test_requests_that_join_at_the_same_step_pass_together() -> None:
    """256 requests of 8 tokens: at each step 32 end and 32 prompts join, as many as 8192 tokens hold."""
    together = served("llama-3-8b", "dgx-h100", prompt=128, output=8, concurrency=256).time.prefill_s
    batch = served("llama-3-8b", "dgx-h100", prompt=128, output=8, batch=32).time.prefill_s
    assert together == pytest.approx(batch, rel=1e-12)


def test_no_step_carries_more_prompts_than_a_chunk() -> None:
    """Long prompts and short answers: a token waits for a chunk of 2048 tokens at most, a request for the rest."""
    report = served("llama-3-8b", "dgx-a100", prompt=32768, output=16, concurrency=12)
    chunk = report.time.prefill_s * 2048 / 32768
    assert report.serving.tpot_s <= report.time.decode_s + chunk
    assert report.serving.ttft_s > 5 * report.time.prefill_s


@pytest.mark.parametrize("output", [16, 128, 1024])
def test_as_many_are_in_flight_as_run(output: int) -> None:
    """Little's law: what leaves in the time a request takes is what was there."""
    serving = served("llama-3-8b", "dgx-a100", prompt=4096, output=output, concurrency=64).serving
    assert serving.requests_per_s * serving.latency_s == pytest.approx(serving.batch, rel=1e-12)


@pytest.mark.parametrize(("system", "most"), [("dgx-a100", 256), ("dgx-h100", 1024), ("l40s-8-pcie", 256)])
def test_an_engine_has_limits_of_its_own(system: str, most: int) -> None:
    """VLLM answers 256 requests at a time by default, 1024 on large accelerators but the A100, and a note says so."""
    report = served("qwen2.5-0.5b", system, prompt=64, output=64, concurrency=3000)
    assert report.serving.batch == most
    assert f"takes {most} requests" in next(p.message for p in report.problems if p.code == "engine-limit")
    fewer = served("qwen2.5-0.5b", system, prompt=64, output=64, concurrency=most)
    assert not any(p.code == "engine-limit" for p in fewer.problems)
    static = served("qwen2.5-0.5b", system, prompt=64, output=64, batch=3000)
    assert static.serving.batch == 3000


def test_the_first_limits_that_hold_are_an_accelerators() -> None:
    """A profile lists limits from the special to the general; without any it takes as many as fit."""
    large = Limits(requests=8, tokens=100, least_memory_bytes=50, other_generations=("old",))
    profile = Profile(name="mine", kind="serving", limits=(large, Limits(requests=2)))
    assert profile.limits_on(50, "new") is large
    assert (profile.limits_on(49, "new").requests, profile.limits_on(80, "old").requests) == (2, 2)
    assert Profile(name="other", kind="serving").limits_on(1, "").requests is None


def test_without_graphs_launches_are_waited_for() -> None:
    """A small model's step is its layers' launches, a large one's still its kernels: they run meanwhile."""
    eager = {"graphs": False}
    small = served("qwen2.5-0.5b", "dgx-a100", prompt=64, output=64, engine=eager).time.decode_s
    launch = small / 24
    assert 0.5e-3 < launch < 1.0e-3
    assert small > 2 * served("qwen2.5-0.5b", "dgx-a100", prompt=64, output=64).time.decode_s
    large = served("qwen2.5-32b", "dgx-a100", prompt=64, output=64, batch=256, engine=eager).time.decode_s
    assert large == served("qwen2.5-32b", "dgx-a100", prompt=64, output=64, batch=256).time.decode_s
    assert served("qwen2.5-32b", "dgx-a100", engine=eager).scenario["implementation"]["graphs"] is False


def test_graphs_are_of_serving() -> None:
    """A training job that names them is told so."""
    with pytest.raises(ScenarioError, match=r"implementation\.graphs: has no meaning for training"):
        suanli.estimate({"model": {"name": "gpt2"}, "system": {"name": "dgx-a100"}, "implementation": {"graphs": True}})


@pytest.mark.parametrize(
    ("kv_heads", "phase", "passes"), [(2, "decode", 2 * 2 + 2 * 8), (8, "decode", 2 * 8), (2, "prefill", 2 * 8)]
)
def test_plain_modules_copy_keys_and_values(kv_heads: int, phase: str, passes: int) -> None:
    """A cache grows by being written anew, and is repeated for each query head, written and read so."""
    stream = Tensor(name="x", dims=())
    core = Attention(name="core", group="attention_core", reads=(stream,), heads=8, kv_heads=kv_heads, head_dim=64)
    at = Local(batch=3.0, sequence=1.0, whole_sequence=1.0, kv_tokens=1000.0, phase=phase)
    plain, fused = core.forward(at, How(unfused=True)), core.forward(at, How())
    assert len(plain) == len(fused) + 1
    assert plain[-1].bytes == 3 * 1000 * passes * (64 + 64) * at.bytes_of["activations"]
    same = Attention(name="core", group="attention_core", reads=(stream,), heads=8, kv_heads=8, head_dim=64)
    assert len(same.forward(Local(batch=3.0, sequence=5.0, whole_sequence=5.0, kv_tokens=5.0), How(unfused=True))) == 1
