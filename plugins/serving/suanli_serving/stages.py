"""The serving stages with what each needs, gives and reads, and the engines' profiles."""

from __future__ import annotations

from suanli import Limits, Profile, Stage
from suanli_serving import accuracy
from suanli_serving.cache import memory
from suanli_serving.figures import STATIC, STEADY, bound, cost, price, serving
from suanli_serving.passes import decode, prefill

KINDS = ("serve",)
READS = (
    "tensor",
    "context",
    "pipeline",
    "expert",
    "expert_tensor",
    "data",
    "attention_data",
    "replicas",
    "sequence_parallel",
)
FIGURES = (
    "ttft_s",
    "tpot_s",
    "latency_s",
    "output_tokens_per_s",
    "output_tokens_per_s_per_accelerator",
    "requests_per_s",
    "batch",
)

STAGES = (
    Stage(
        name="serving-memory",
        workloads=KINDS,
        gives=(
            "memory.weights_bytes",
            "memory.kv_cache_bytes",
            "memory.workspace_bytes",
            "memory.total_bytes",
            "memory.fits",
            "serving.max_concurrency",
            "serving.kv_cache_tokens",
            "_serve.reserve_bytes",
            "_serve.running",
        ),
        reads=READS,
        divided=True,
        run=memory,
        source="Kwon et al. 2023, PagedAttention",
    ),
    Stage(
        name="serving-prefill",
        workloads=KINDS,
        needs=("_serve.running",),
        gives=("_serve.prefill", "_serve.added_s", "time.prefill_s"),
        reads=READS,
        divided=True,
        run=prefill,
        rung="calibrated",
        source="Pope et al. 2022",
        band=accuracy.TTFT,
    ),
    Stage(
        name="serving-decode",
        workloads=KINDS,
        needs=("_serve.running",),
        gives=("_serve.decode", "time.decode_s"),
        reads=READS,
        divided=True,
        run=decode,
        rung="calibrated",
        source="Pope et al. 2022",
        band=accuracy.TPOT,
    ),
    Stage(
        name="serving-batch",
        workloads=KINDS,
        needs=("time.prefill_s", "time.decode_s", "_serve.added_s", "_serve.running"),
        gives=(*(f"serving.{f}" for f in FIGURES), "throughput.tokens_per_s"),
        reads=READS,
        run=serving,
        rung="calibrated",
        source=f"{STATIC}; {STEADY}",
        band=accuracy.THROUGHPUT,
        bands=(("serving.ttft_s", accuracy.TTFT), ("serving.tpot_s", accuracy.TPOT)),
    ),
    Stage(
        name="serving-price",
        workloads=KINDS,
        gives=("serving.cost_per_hour", "serving.currency"),
        run=price,
        detail=True,
        source="definition: the price of an hour of every accelerator, or its electricity, or both",
    ),
    Stage(
        name="serving-cost",
        workloads=KINDS,
        needs=("serving.output_tokens_per_s", "serving.cost_per_hour"),
        gives=("serving.cost_per_million_output_tokens", "serving.energy_per_output_token_j"),
        run=cost,
        rung="calibrated",
        detail=True,
        source="definition",
        band=accuracy.THROUGHPUT.inverse(),
    ),
    Stage(
        name="serving-bound",
        workloads=KINDS,
        needs=("_serve.decode", "_serve.running", "serving.max_concurrency"),
        gives=("serving.bound", "flops.prefill_flops", "flops.decode_flops", "flops.convention"),
        reads=READS,
        divided=True,
        run=bound,
        detail=True,
        source="the largest part of a decode step",
    ),
)

VLLM_LIMITS = (
    Limits(requests=1024, tokens=8192, least_memory_bytes=70 * 2**30, other_generations=("ampere",)),
    Limits(requests=256, tokens=2048),
)
"""Of its server: vllm/engine/arg_utils.py, as pull requests 16158, 17073 and 17885 of vllm-project/vllm left it."""

PROFILES = (
    Profile(
        name="vllm",
        kind="serving",
        layer_overhead_s=accuracy.LAUNCH_S,
        graphs=True,
        memory_fraction=0.9,
        sequence_parallel=False,
        custom_all_reduce=True,
        mixed=True,
        limits=VLLM_LIMITS,
        source="vllm-project/vllm; prompts in chunks beside tokens: docs/configuration/optimization.md",
    ),
    Profile(
        name="sglang",
        kind="serving",
        layer_overhead_s=accuracy.LAUNCH_S,
        graphs=True,
        memory_fraction=0.88,
        sequence_parallel=False,
        custom_all_reduce=True,
        dispatch_once=True,
        dispatch_narrow=True,
        source="sgl-project/sglang; its DeepEP dispatcher",
    ),
    Profile(
        name="tensorrt-llm",
        kind="serving",
        layer_overhead_s=accuracy.LAUNCH_S,
        graphs=True,
        memory_fraction=0.9,
        sequence_parallel=False,
        custom_all_reduce=True,
        dispatch_once=True,
        dispatch_narrow=True,
        mixed=True,
        aliases=("trtllm",),
        source="NVIDIA/TensorRT-LLM; prompts beside tokens: docs, In-flight Batching",
    ),
    Profile(
        name="fastertransformer",
        kind="serving",
        graphs=True,
        sequence_parallel=False,
        aliases=("ft",),
        source="NVIDIA/FasterTransformer, docs/gpt_guide.md: static batches, all-reduces by NCCL; retired",
    ),
    Profile(
        name="mindie",
        kind="serving",
        graphs=True,
        memory_fraction=0.9,
        sequence_parallel=False,
        source="Huawei MindIE",
    ),
    Profile(
        name="transformers-generate",
        kind="serving",
        attention="eager",
        passes=2.0,
        unfused=True,
        layer_overhead_s=accuracy.LAUNCH_S,
        overlap=False,
        sequence_parallel=False,
        memory_fraction=1.0,
        source="huggingface/transformers: plain modules, a kernel for each elementary step",
    ),
)
