"""Bytes one layer of a plain transformers model keeps for its backward pass, against torch's saved-tensor hooks.

Truth: transformers 5.23 decoder layers in bf16 on torch 2.13, torch.autograd.graph.saved_tensors_hooks, each storage
once, weights left out; "flash" keeps q, k, v, output and the fp32 log-sum-exp of the core.
"""

from __future__ import annotations

import pytest

import suanli

# model, attention, dropout, layer, batch, sequence, bytes
ROWS = [
    ("gpt2-xl", "eager", 0.0, 0, 1, 2048, 393248768),
    ("gpt2-xl", "eager", 0.0, 0, 2, 1024, 288391168),
    ("gpt2-xl", "eager", 0.1, 0, 1, 2048, 714375168),
    ("gpt2-xl", "eager", 0.1, 0, 2, 1024, 452231168),
    ("gpt2-xl", "flash", 0.0, 0, 1, 2048, 183738368),
    ("gpt2-xl", "flash", 0.0, 0, 2, 1024, 183738368),
    ("gpt2-xl", "flash", 0.1, 0, 1, 2048, 190291968),
    ("gpt2-xl", "flash", 0.1, 0, 2, 1024, 190291968),
    ("gpt3-175b", "eager", 0.0, 0, 1, 2048, 2214625280),
    ("gpt3-175b", "eager", 0.0, 0, 2, 1024, 1811972096),
    ("gpt3-175b", "eager", 0.1, 0, 1, 2048, 3472916480),
    ("gpt3-175b", "eager", 0.1, 0, 2, 1024, 2466283520),
    ("gpt3-175b", "flash", 0.0, 0, 1, 2048, 1410105344),
    ("gpt3-175b", "flash", 0.0, 0, 2, 1024, 1410105344),
    ("gpt3-175b", "flash", 0.1, 0, 1, 2048, 1460436992),
    ("gpt3-175b", "flash", 0.1, 0, 2, 1024, 1460436992),
    ("opt-66b", "eager", 0.0, 0, 1, 2048, 2264956928),
    ("opt-66b", "eager", 0.0, 0, 2, 1024, 1358987264),
    ("opt-66b", "eager", 0.1, 0, 1, 2048, 2604695552),
    ("opt-66b", "eager", 0.1, 0, 2, 1024, 1547730944),
    ("opt-66b", "flash", 0.0, 0, 1, 2048, 453607424),
    ("opt-66b", "flash", 0.0, 0, 2, 1024, 453607424),
    ("opt-66b", "flash", 0.1, 0, 1, 2048, 491356160),
    ("opt-66b", "flash", 0.1, 0, 2, 1024, 491356160),
    ("llama-3.1-70b", "eager", 0.0, 0, 1, 2048, 2483044352),
    ("llama-3.1-70b", "eager", 0.0, 0, 2, 1024, 1677737984),
    ("llama-3.1-70b", "flash", 0.0, 0, 1, 2048, 814235648),
    ("llama-3.1-70b", "flash", 0.0, 0, 2, 1024, 814235648),
    ("qwen2.5-7b", "eager", 0.0, 0, 1, 2048, 1191198720),
    ("qwen2.5-7b", "eager", 0.0, 0, 2, 1024, 838877184),
    ("qwen2.5-7b", "flash", 0.0, 0, 1, 2048, 461619200),
    ("qwen2.5-7b", "flash", 0.0, 0, 2, 1024, 461619200),
    ("gemma-7b", "eager", 0.0, 0, 1, 2048, 998285312),
    ("gemma-7b", "eager", 0.0, 0, 2, 1024, 796958720),
    ("gemma-7b", "flash", 0.0, 0, 1, 2048, 595763200),
    ("gemma-7b", "flash", 0.0, 0, 2, 1024, 595763200),
    ("gemma-2-9b", "eager", 0.0, 0, 1, 2048, 1103192064),
    ("gemma-2-9b", "eager", 0.0, 0, 2, 1024, 834756608),
    ("gemma-2-9b", "flash", 0.0, 0, 1, 2048, 549675008),
    ("gemma-2-9b", "flash", 0.0, 0, 2, 1024, 549675008),
    ("gemma-3-27b-text", "eager", 0.0, 0, 1, 2048, 1722274816),
    ("gemma-3-27b-text", "eager", 0.0, 0, 2, 1024, 1319621632),
    ("gemma-3-27b-text", "flash", 0.0, 0, 1, 2048, 900453376),
    ("gemma-3-27b-text", "flash", 0.0, 0, 2, 1024, 900453376),
    ("gpt-neox-20b", "eager", 0.0, 0, 1, 2048, 2642444288),
    ("gpt-neox-20b", "flash", 0.0, 0, 1, 2048, 1032355840),
    ("olmo2-7b", "eager", 0.0, 0, 1, 2048, 1354792960),
    ("olmo2-7b", "eager", 0.0, 0, 2, 1024, 952139776),
    ("olmo2-7b", "flash", 0.0, 0, 1, 2048, 549748736),
    ("olmo2-7b", "flash", 0.0, 0, 2, 1024, 549748736),
    ("mixtral-8x7b", "eager", 0.0, 0, 1, 2048, 1543757856),
    ("mixtral-8x7b", "eager", 0.0, 0, 2, 1024, 1141104672),
    ("mixtral-8x7b", "flash", 0.0, 0, 1, 2048, 713547808),
    ("mixtral-8x7b", "flash", 0.0, 0, 2, 1024, 713547808),
    ("deepseek-v2-lite", "eager", 0.0, 1, 1, 2048, 831987968),
    ("deepseek-v2-lite", "eager", 0.0, 1, 2, 1024, 622272768),
    ("deepseek-v2-lite", "flash", 0.0, 1, 1, 2048, 429465856),
    ("deepseek-v2-lite", "flash", 0.0, 1, 2, 1024, 429465856),
]


@pytest.mark.parametrize("row", ROWS, ids=[f"{r[0]}-{r[1]}-{r[2]}-{r[4]}x{r[5]}" for r in ROWS])
def test_a_plain_layer_keeps_what_torch_keeps(row: tuple[str, str, float, int, int, int, int]) -> None:
    """The named tensors of unfused steps add up to what the hooks saw, within 1 % (DeepSeek-V2 eager within 1.2 %)."""
    name, attention, dropout, layer, batch, sequence, kept = row
    ours = suanli.model(name).saved_activation_bytes(
        layer=layer, batch=batch, sequence=sequence, attention=attention, profile="transformers", dropout=dropout
    )
    assert ours == pytest.approx(kept, rel=0.012 if name.startswith("deepseek") else 0.001)


def test_plain_modules_keep_more_than_fused_ones() -> None:
    """What a step keeps of itself comes on top: no model keeps less unfused than megatron's kernels do."""
    for name in ("llama-3-8b", "gpt2", "mixtral-8x7b", "gemma-2-9b", "deepseek-v2-lite"):
        model = suanli.model(name)
        plain, fused = (model.saved_activation_bytes(sequence=512, profile=p) for p in ("transformers", "megatron"))
        assert plain > fused


def test_training_with_plain_modules_is_answered() -> None:
    """A training scenario with profile transformers has its memory, and needs more of it than megatron's."""
    scenario = {
        "model": {"name": "llama-3-8b"},
        "system": {"name": "dgx-h100", "accelerators": 8},
        "workload": {"sequence": 4096, "global_batch": 8},
        "layout": {"tensor": 1, "pipeline": 1, "micro_batch": 1, "zero": 3, "recompute": "none"},
    }
    plain, fused = (
        suanli.estimate(scenario | {"implementation": {"profile": p}}).memory.per_accelerator.activations_bytes
        for p in ("transformers", "megatron")
    )
    assert plain > 1.3 * fused
