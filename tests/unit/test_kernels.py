"""Kernels by hand: what each operation computes and moves, on sizes small enough to count."""

from __future__ import annotations

from typing import Any

import pytest

import suanli
from suanli import SuanliError
from suanli.kernels import Formats, attention, elementwise, experts, formats_on, gemm, latent_attention

NARROW = Formats(precision="fp8", compute="fp8", weights=0.5, activations=3.0, cache=0.25)
"""Weights of half a byte, inputs of three, a cache of a quarter: no two alike. Outputs of a product are two."""


def test_a_product_passes_each_operand_once() -> None:
    """(2, 4) x (4, 3): 24 multiply-adds; 8 inputs of three bytes, 12 weights of half a byte, 6 results of two."""
    kernel = gemm(m=2.0, n=3.0, k=4.0, formats=NARROW, launches=5.0)
    assert (kernel.flops, kernel.bytes, kernel.launches) == (48.0, 8 * 3 + 12 * 0.5 + 6 * 2, 5.0)
    assert (kernel.kind, kernel.precision, kernel.compute) == ("gemm", "fp8", "fp8")
    wide = gemm(m=2.0, n=3.0, k=4.0)
    assert (wide.bytes, wide.launches) == ((8 + 12 + 6) * 2, 1.0)


CORE: dict[str, Any] = {"phase": "prefill", "batch": 2.0, "query": 3.0, "kv_tokens": 5.0, "heads": 4.0}
CORE |= {"kv_heads": 2.0, "head_dim": 8.0}


@pytest.mark.parametrize(
    ("how", "pairs", "read"),
    [
        ({}, 3 + 4 + 5, 5),
        ({"causal": False}, 3 * 5, 5),
        ({"window": 2.0}, 2 + 2 + 2, 4),  # the first of three queries looks back on one token more
        ({"window": 4.0}, 3 + 4 + 4, 5),
        ({"window": 1.0}, 3, 3),
        ({"window": 9.0}, 12, 5),
        ({"phase": "decode", "query": 1.0}, 5, 5),
        ({"phase": "decode", "query": 1.0, "window": 1.0}, 1, 1),
    ],
)
def test_attention_scores_pairs_and_reads_what_is_seen(how: dict[str, Any], pairs: int, read: int) -> None:
    """4 heads of 8 score and sum their pairs; each query goes in and out, each token seen has a key and a value."""
    kernel = attention(**CORE | how, formats=NARROW)
    query = how.get("query", 3.0)
    assert kernel.flops == 2 * 2 * 4 * pairs * (8 + 8)
    assert kernel.bytes == 2 * (query * (4 * 8 + 4 * 8) * 3 + read * (2 * 8 + 2 * 8) * 0.25)
    assert (kernel.shape["pairs"], kernel.shape["seen"], kernel.shape["token_bytes"]) == (pairs, read, 16 * 0.25)
    assert kernel.kind == f"attention_{how.get('phase', 'prefill')}"


def test_latent_attention_keeps_one_latent_a_token_in_decode() -> None:
    """Absorbed: every head reads the one latent of 6 + 2, whose first 6 are its values. Expanded: heads of 4 + 2, 4."""
    shape: dict[str, Any] = {"batch": 2.0, "kv_tokens": 5.0, "heads": 4.0}
    shape |= {"kv_lora_rank": 6.0, "rope_dim": 2.0, "head_dim": 4.0}
    step = latent_attention(phase="decode", query=1.0, **shape, formats=NARROW)
    assert step.flops == 2 * 2 * 4 * 5 * (8 + 6)
    assert step.bytes == 2 * (1 * 4 * (8 + 6) * 3 + 5 * 8 * 0.25)
    assert (step.shape["kv_heads"], step.shape["token_bytes"], step.kind) == (1.0, 8 * 0.25, "mla_decode")
    prompt = latent_attention(phase="prefill", query=3.0, **shape, formats=NARROW)
    assert prompt.flops == 2 * 2 * 4 * 12 * (6 + 4)
    assert prompt.bytes == 2 * (3 * 4 * (6 + 4) * 3 + 5 * 4 * (6 + 4) * 0.25)
    assert (prompt.shape["kv_heads"], prompt.shape["token_bytes"], prompt.kind) == (4.0, 10 * 0.25, "mla_prefill")


def test_latent_attention_is_deepseek_s_unless_told() -> None:
    """A latent of 512 and 64 rotated dimensions, heads of 128 (DeepSeek-V2, sec. 3.1.2): 1088 a pair, 576 a token."""
    step = latent_attention(phase="decode", batch=1.0, query=1.0, kv_tokens=3.0, heads=1.0)
    assert (step.flops, step.shape["token_bytes"]) == (2 * 3 * (576 + 512), 576 * 2)
    prompt = latent_attention(phase="prefill", batch=1.0, query=1.0, kv_tokens=3.0, heads=1.0)
    assert prompt.flops == 2 * 3 * (192 + 128)


def test_experts_compute_for_the_tokens_that_come() -> None:
    """6 tokens to 2 of 4 experts on 2 ranks, the busiest with half as many again: 9 copies through 3 x 8 x 6.

    Of 4 experts 4 (1 - (1/2)^6) are picked by any; a rank reads its half of them. Each copy comes in and goes out at
    the model's width of 8, and through 3 inner tensors of 6, at two bytes.
    """
    kernel = experts(
        tokens=6.0, hidden=8.0, intermediate=12.0, experts=4.0, top_k=2.0, tensor=2.0, expert=2.0, imbalance=1.5,
        formats=NARROW,
    )  # fmt: skip
    active = 4 * (1 - 0.5**6) / 2
    assert kernel.flops == 2 * 9 * 8 * (3 * 6)
    assert kernel.bytes == pytest.approx(active * 3 * 8 * 6 * 0.5 + 9 * (2 * 8 + 3 * 6) * 2, rel=1e-12)
    assert kernel.shape["active"] == pytest.approx(active, rel=1e-12)
    whole = experts(tokens=6.0, hidden=8.0, intermediate=12.0, experts=4.0, top_k=2.0)
    assert whole.flops == 2 * 12 * 8 * (3 * 12)
    plain = experts(tokens=6.0, hidden=8.0, intermediate=12.0, experts=4.0, top_k=2.0, matrices=2.0)
    assert plain.flops == 2 * 12 * 8 * (2 * 12)


def test_a_pass_over_memory_is_its_bytes() -> None:
    """An elementwise pass computes nothing unless it is said to, once, on the vector unit."""
    kernel = elementwise(bytes=12.0)
    assert (kernel.kind, kernel.compute, kernel.bytes, kernel.flops, kernel.launches) == (
        "elementwise",
        "fp32",
        12.0,
        0.0,
        1.0,
    )


@pytest.mark.parametrize(
    ("part", "weights", "compute", "expected"),
    [
        # An A100 has no fp8 path: products widen to bf16, and narrower weights are only stored so
        ("a100", "fp8", "fp8", ("fp8_wo", "bf16", 1.0, 2.0)),
        ("a100", "bf16", "fp8", ("bf16", "bf16", 2.0, 2.0)),
        ("a100", "bf16", "bf16", ("bf16", "bf16", 2.0, 2.0)),
        ("a100", "int4", "bf16", ("int4_wo", "bf16", None, 2.0)),
        ("a100", "int8", "int8", ("int8", "int8", 1.0, 1.0)),
        ("h100", "fp8", "fp8", ("fp8", "fp8", 1.0, 1.0)),
        ("h100", "bf16", "fp8", ("fp8", "fp8", 2.0, 1.0)),
    ],
)
def test_a_part_multiplies_what_it_has_a_path_for(
    part: str, weights: str, compute: str, expected: tuple[str, str, float | None, float]
) -> None:
    """Inputs widen to the nearest format there is; weights narrower than what is multiplied are named weight-only."""
    known = suanli.catalog().formats
    found = formats_on(suanli.accelerator(part), weights=known[weights], compute=known[compute], cache=known["fp8"])
    label, native, stored, activations = expected
    assert (found.precision, found.compute, found.activations, found.cache) == (label, native, activations, 1.0)
    assert found.weights == (known[weights].bytes_per_element if stored is None else stored)


@pytest.mark.parametrize("make", [attention, latent_attention])
def test_a_phase_is_one_of_two(make: Any) -> None:
    """Attention is of a prompt or of a step; anything else is said."""
    shape = CORE | {"phase": "decoding"}
    if make is latent_attention:
        del shape["kv_heads"]
    with pytest.raises(SuanliError, match="'prefill' or 'decode', got 'decoding'"):
        make(**shape)
