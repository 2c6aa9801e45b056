"""Single operations against measured times, a few of each kind; the tables they are from are fitted or judged whole.

Times in microseconds of one kernel inside a CUDA graph, or by NPU events.
"""

from __future__ import annotations

from statistics import median
from typing import Any

import pytest

import suanli

AICONFIGURATOR = "ai-dynamo/aiconfigurator (Apache-2.0), measured kernel tables of vLLM 0.14 to 0.24 and TensorRT-LLM"
ASCEND = "hudingyi688/aiconfigurator-npu, measured kernel tables of vllm-ascend 0.18.0"

Measured = tuple[str, str, dict[str, Any], float]


def gemms(device: str, precision: str, *rows: tuple[int, int, int, float]) -> list[Measured]:
    """Products: m, n, k, microseconds."""
    return [(device, "gemm_s", {"m": m, "n": n, "k": k, "precision": precision}, t) for m, n, k, t in rows]


def attentions(device: str, phase: str, *rows: tuple[int, int, int, int, int, float]) -> list[Measured]:
    """Attention of heads of 128: batch, queries, tokens, heads, key-value heads, microseconds."""
    names = ("batch", "query", "kv_tokens", "heads", "kv_heads")
    shared = {"phase": phase, "head_dim": 128}
    return [(device, "attention_s", dict(zip(names, r[:5], strict=True)) | shared, r[5]) for r in rows]


def mixtures(device: str, *rows: tuple[int, int, int, int, int, int, float]) -> list[Measured]:
    """Experts: tokens, width, width of an expert, chosen, experts, ranks of tensor parallelism, microseconds."""
    names = ("tokens", "hidden", "intermediate", "top_k", "experts", "tensor")
    return [(device, "moe_s", dict(zip(names, r[:6], strict=True)), r[6]) for r in rows]


# AICONFIGURATOR
A100 = [
    *gemms("a100-sxm4-80", "bf16", (1024, 2048, 8192, 154.5), (48, 8192, 16384, 194.6), (2048, 6144, 12288, 1170.0)),
    *gemms("a100-sxm4-80", "bf16", (128, 2560, 12288, 56.92), (2048, 16384, 16384, 3876.0)),
    *gemms("a100-sxm4-80", "int8", (2048, 16384, 65536, 8556.0), (8192, 7168, 4096, 937.0)),
    *attentions("a100-sxm4-80", "prefill", (32, 4096, 4096, 2, 1, 1791.0), (1, 2048, 2048, 16, 8, 170.7)),
    *attentions("a100-sxm4-80", "decode", (4, 1, 16384, 48, 4, 109.7), (1, 1, 32768, 16, 8, 105.0)),
    *mixtures("a100-sxm4-80", (65536, 7168, 2048, 8, 256, 16, 42360.0), (768, 4096, 2688, 22, 512, 1, 32410.0)),
]
H100 = [
    *gemms("h100-sxm5-80", "bf16", (160, 51200, 65536, 2349.0), (224, 4096, 1024, 7.079), (4097, 3072, 3584, 112.1)),
    *gemms("h100-sxm5-80", "bf16", (1024, 5120, 6144, 79.11), (11, 5120, 4096, 16.71)),
    *gemms("h100-sxm5-80", "fp8", (8192, 65536, 5120, 4515.0)),
    *attentions("h100-sxm5-80", "prefill", (2, 16384, 16384, 40, 2, 9252.0), (2, 6144, 6144, 48, 4, 1656.0)),
    *attentions("h100-sxm5-80", "decode", (1, 1, 8192, 4, 2, 17.13), (16, 1, 16384, 8, 8, 366.2)),
    *mixtures("h100-sxm5-80", (16384, 4096, 1024, 10, 512, 8, 2919.0), (16384, 6144, 3072, 4, 128, 16, 2060.0)),
]
B200 = [
    *gemms("b200-sxm", "bf16", (16, 65536, 1024, 22.3), (80, 3584, 65536, 76.13), (16384, 1536, 5120, 177.1)),
    *gemms("b200-sxm", "bf16", (64, 16384, 7168, 37.98), (65, 3072, 1024, 3.509)),
    *gemms("b200-sxm", "fp8", (8, 1024, 1024, 5.96)),
    *attentions("b200-sxm", "prefill", (1, 1024, 1024, 20, 4, 27.24), (2, 8192, 8192, 16, 4, 546.8)),
    *attentions("b200-sxm", "decode", (8, 1, 512, 24, 24, 13.18), (8, 1, 8192, 4, 4, 29.8)),
    *mixtures("b200-sxm", (512, 2048, 768, 8, 128, 2, 128.3)),
]
# ASCEND
A910B = [
    *gemms("ascend-910b2", "bf16", (256, 8192, 8192, 218.4), (2048, 12288, 8192, 1392.0), (32, 2048, 12288, 50.08)),
    *gemms("ascend-910b2", "bf16", (256, 8192, 12288, 327.0), (8, 2048, 8192, 25.47)),
    *gemms("ascend-910b2", "int8", (128, 16384, 16384, 202.6), (4096, 1024, 8192, 232.4)),
    *attentions("ascend-910b2", "prefill", (4, 8192, 8192, 32, 4, 15410.0), (2, 8192, 8192, 8, 8, 1839.0)),
    *attentions("ascend-910b2", "decode", (64, 1, 4096, 64, 8, 1134.0), (128, 1, 512, 32, 8, 328.5)),
]
PARTS = {"A100": A100, "H100": H100, "B200": B200, "910B": A910B}


def error(measured: Measured) -> float:
    """Relative error of a prediction."""
    device, method, shape, microseconds = measured
    predicted = getattr(suanli.accelerator(device), method)(**shape)
    return float(abs(predicted * 1e6 / microseconds - 1.0))


@pytest.mark.parametrize("part", PARTS)
def test_measured_kernels(part: str) -> None:
    """Half of a part's kernels are predicted within 8 %, all of these within 30 %."""
    errors = [error(m) for m in PARTS[part]]
    assert median(errors) < 0.08
    assert max(errors) < 0.30
