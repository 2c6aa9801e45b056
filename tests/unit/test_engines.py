"""What serving engines do by their documents: it shows in their figures."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

import suanli
from suanli import Profile, Workspace
from suanli.testing import installed_plugins, make_plugin

DENSE: dict[str, Any] = {
    "model": {"name": "llama-3-70b"},
    "system": {"name": "dgx-h100", "accelerators": 8},
    "workload": {"kind": "serve", "prompt": 1024, "output": 128, "batch": 4},
    "layout": {"tensor": 8, "pipeline": 1},
    "precision": {"recipe": "fp8"},
}
# Experts over two nodes: tokens travel to them.
EXPERTS = DENSE | {
    "model": {"name": "mixtral-8x22b"},
    "system": {"name": "dgx-h100", "accelerators": 16},
    "workload": {"kind": "serve", "prompt": 1024, "output": 128, "batch": 64},
    "layout": {"tensor": 1, "pipeline": 1, "attention_data": 16, "expert": 8},
}
ENGINES = [e.name for e in suanli.catalog().entries("profile") if e.value.kind == "serving"]


def engine(name: str) -> Profile:
    """An engine of the catalog."""
    found: Profile = suanli.catalog().get("profile", name)
    return found


def token_s(scenario: dict[str, Any], profile: Profile) -> float:
    """Seconds of a token on an engine, which need not be one of the catalog."""
    tried = attrs.evolve(profile, name="tried", aliases=())
    workspace = Workspace(plugins=[*installed_plugins(), make_plugin("engine", profiles=[tried])])
    report = workspace.estimate(scenario | {"implementation": {"profile": "tried"}})
    assert report.time.decode_s is not None
    return report.time.decode_s


@pytest.mark.parametrize(
    ("name", "what", "scenario"),
    [
        # vllm-project/vllm csrc/custom_all_reduce.cuh; sgl-project/sglang sgl-kernel/csrc/allreduce;
        # NVIDIA/TensorRT-LLM cpp/tensorrt_llm/kernels/customAllReduceKernels.cu
        ("vllm", "custom_all_reduce", DENSE),
        ("sglang", "custom_all_reduce", DENSE),
        ("tensorrt-llm", "custom_all_reduce", DENSE),
        # deepseek-ai/DeepEP, README: a token crosses once to a node, and in fp8
        ("sglang", "dispatch_once", EXPERTS),
        ("sglang", "dispatch_narrow", EXPERTS),
        ("tensorrt-llm", "dispatch_once", EXPERTS),
        ("tensorrt-llm", "dispatch_narrow", EXPERTS),
    ],
)
def test_what_an_engine_does_besides_makes_it_faster(name: str, what: str, scenario: dict[str, Any]) -> None:
    """An all-reduce of its own, and tokens sent once and narrow, save time against the same engine without it."""
    whole, less = engine(name), dict[str, Any]({what: False})
    assert token_s(scenario, whole) < token_s(scenario, attrs.evolve(whole, **less))


def test_what_an_engine_does_not_do_it_is_not_given() -> None:
    """MindIE and FasterTransformer reduce by the library alone, and are as slow as each other and slower than vLLM."""
    mindie, fast, vllm = (token_s(DENSE, engine(n)) for n in ("mindie", "fastertransformer", "vllm"))
    assert vllm < mindie
    assert mindie == fast


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("vllm", 0.9),  # docs.vllm.ai, engine arguments: --gpu-memory-utilization
        ("sglang", 0.88),  # docs.sglang.ai, server arguments: --mem-fraction-static
        ("tensorrt-llm", 0.9),  # NVIDIA/TensorRT-LLM, KvCacheConfig: free_gpu_memory_fraction
        ("transformers-generate", 1.0),  # no pool of its own
        ("fastertransformer", 1.0),
    ],
)
def test_an_engine_leaves_of_memory_what_it_does_not_take(name: str, share: float) -> None:
    """Kept in reserve is the share of memory an engine does not take by default."""
    asked = DENSE | {"implementation": {"profile": name}, "assumptions": {"reserve": 0}}
    found = suanli.estimate(asked).memory
    reserve = (1.0 - share) * suanli.accelerator("h100-sxm5-80").capacity_bytes
    assert found.per_accelerator.reserve_bytes == pytest.approx(reserve)


@pytest.mark.parametrize("name", ENGINES)
def test_no_engine_takes_more_than_there_is_or_spreads_the_sequence(name: str) -> None:
    """An engine takes no more than all of memory, and keeps whole sequences on every tensor rank by default."""
    found = suanli.estimate(DENSE | {"implementation": {"profile": name}})
    assert (found.memory.per_accelerator.reserve_bytes or 0.0) >= 0.0
    assert found.layout.sequence_parallel is False


def test_plain_modules_take_the_host_s_time_for_every_layer() -> None:
    """Launching a layer of plain modules takes the host 0.84 ms: a small model's token takes that and no more.

    Where kernels take longer than launches, elementwise steps that pass over memory twice are slower than once.
    """
    small = DENSE | {"model": {"name": "gpt2"}, "layout": {"tensor": 1, "pipeline": 1}, "precision": {"recipe": "bf16"}}
    small |= {"system": {"name": "dgx-h100", "accelerators": 1}}
    plain = engine("transformers-generate")
    assert token_s(small, plain) == pytest.approx(12 * 0.84e-3, rel=1e-9)
    at_once = attrs.evolve(plain, layer_overhead_s=0.0)
    once, twice = (token_s(DENSE, attrs.evolve(at_once, passes=n)) for n in (1.0, 2.0))
    assert once < twice == token_s(DENSE, at_once)


@pytest.mark.parametrize("recipe", ["bf16", "fp8", "int4"])
def test_logits_are_a_product_of_two_bytes_whatever_the_layers_are_in(recipe: str) -> None:
    """Twice the words take a token longer by the wider product in 16 bits: the head is not narrowed with the layers."""
    config = {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 2}
    config |= {"num_attention_heads": 32, "max_position_embeddings": 4096}
    asked = DENSE | {"precision": {"recipe": recipe}, "layout": {"tensor": 1, "pipeline": 1}}
    asked |= {"system": {"name": "dgx-h100", "accelerators": 1}}
    taken = []
    for words in (32000, 64000):
        report = suanli.estimate(asked | {"model": {"config": config | {"vocab_size": words}}})
        taken.append(report.time.decode_s or 0.0)
    device = suanli.accelerator("h100-sxm5-80")
    one, two = (float(device.gemm_s(m=4, n=words, k=4096, precision="bf16")) for words in (32000, 64000))
    assert taken[1] - taken[0] == pytest.approx(two - one, rel=1e-9)


def test_an_engine_that_does_not_overlap_shows_its_exchanges() -> None:
    """Plain modules wait for the keys of other context ranks; an engine that overlapped them would be done earlier."""
    asked = DENSE | {"layout": {"tensor": 1, "pipeline": 1, "context": 8}, "precision": {"recipe": "bf16"}}
    asked |= {"model": {"name": "llama-7b"}, "workload": {"kind": "serve", "prompt": 8192, "output": 8, "batch": 1}}
    plain = engine("transformers-generate")

    def prompt_s(profile: Profile) -> float:
        tried = attrs.evolve(profile, name="tried", aliases=())
        workspace = Workspace(plugins=[*installed_plugins(), make_plugin("engine", profiles=[tried])])
        report = workspace.estimate(asked | {"implementation": {"profile": "tried", "attention": "flash"}})
        return report.time.prefill_s or 0.0

    assert prompt_s(attrs.evolve(plain, overlap=True)) < prompt_s(plain)
