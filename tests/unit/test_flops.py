"""FLOPs that other figures are made of."""

from __future__ import annotations

import pytest

import suanli
from suanli.kernels import BF16, latent_attention

SCENARIO = {
    "model": {"name": "llama-7b"},
    "system": {"name": "dgx-a100", "accelerators": 8},
    "workload": {"kind": "pretrain", "global_batch": 64},
    "layout": {"tensor": 2, "pipeline": 1, "micro_batch": 1, "zero": 1, "recompute": "none"},
}


def test_a_backward_pass_is_two_forward_passes() -> None:
    """The backward pass of a product is two products; model FLOPs are both passes."""
    flops = suanli.estimate(SCENARIO).to_dict()["flops"]
    assert flops["backward_flops"] == 2.0 * flops["forward_flops"]
    assert flops["model_flops"] == flops["hardware_flops"] == 3.0 * flops["forward_flops"]


@pytest.mark.parametrize(("phase", "query", "width"), [("decode", 1.0, 2 * 512 + 64), ("prefill", 4.0, 2 * 128 + 64)])
def test_latent_attention_works_on_the_latent_only_in_decode(phase: str, query: float, width: int) -> None:
    """Absorbed, scores and values are as wide as the latent; expanded, as wide as a head."""
    kernel = latent_attention(
        phase=phase,
        batch=3.0,
        query=query,
        kv_tokens=4.0,
        heads=16.0,
        kv_lora_rank=512.0,
        rope_dim=64.0,
        head_dim=128.0,
        formats=BF16,
    )
    pairs = 4.0 if phase == "decode" else 1 + 2 + 3 + 4
    assert kernel.flops == pytest.approx(2.0 * 3.0 * 16.0 * pairs * width)
