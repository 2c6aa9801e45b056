"""Checkpoints against their published sizes: bytes of quantised weights with their scales."""

from __future__ import annotations

from typing import Any

import pytest

import suanli

LLAMA_2_7B = {
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
}
FP8 = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}
GROUPS = {"weights": {"num_bits": 8, "type": "float", "strategy": "channel", "symmetric": True}}


def stored(config: dict[str, Any], block: dict[str, Any] | None) -> suanli.Model:
    """The model of a configuration with a quantisation block."""
    return suanli.model(config | ({"quantization_config": block} if block else {}))


def test_deepseek_v3_is_its_checkpoint() -> None:
    """The published files hold 688.59 GB (model.safetensors.index.json): the model, and 15.4 GB of prediction module.

    The module has 11.6 B weights of its own, one byte each, and repeats embedding and head in two.
    """
    model = stored({**suanli_config("deepseek-v3")}, FP8)
    repeated = 2 * 2 * 129280 * 7168
    assert model.weight_bytes + model.draft_parameters + repeated == pytest.approx(688_586_727_753, rel=5e-4)


def suanli_config(name: str) -> dict[str, Any]:
    """The configuration of a preset."""
    found: dict[str, Any] = dict(suanli.catalog().get("model", name).config)
    return found


@pytest.mark.parametrize(
    ("block", "published"),
    [
        (None, 13_476_831_232),  # 6,738,415,616 parameters in 2 bytes
        # TheBloke/Llama-2-7B-AWQ model card: 3.89 GB; Llama-2-7B-GPTQ, 4 bits in groups of 128: 3.90 GB
        ({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}, 3.89e9),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": True}, 3.90e9),
        # A row of every matrix has one scale of two bytes; head, embedding and norms stay.
        ({"quant_method": "compressed-tensors", "config_groups": {"group_0": GROUPS}, "ignore": ["lm_head"]}, 7.00e9),
    ],
)
def test_a_quantised_llama_is_its_checkpoint(block: dict[str, Any] | None, published: float) -> None:
    """Llama-2-7B takes what its published quantisations take."""
    assert stored(LLAMA_2_7B, block).weight_bytes == pytest.approx(published, rel=2e-3)


def test_what_is_not_to_be_converted_stays() -> None:
    """A group on the skip list keeps two bytes; of one layer, in that layer only."""
    plain, narrow = stored(LLAMA_2_7B, None), stored(LLAMA_2_7B, FP8)
    attention = 4 * 4096 * 4096
    one = stored(LLAMA_2_7B, FP8 | {"modules_to_not_convert": ["lm_head", "model.layers.3.self_attn"]})
    every = stored(LLAMA_2_7B, FP8 | {"ignored_layers": ["re:.*self_attn.*"]})
    scales = 4 * attention // 128**2
    assert one.weight_bytes - narrow.weight_bytes == attention - scales
    assert every.weight_bytes - narrow.weight_bytes == 32 * (attention - scales)
    assert narrow.parameters == plain.parameters


def test_gpt_oss_keeps_its_attention_wide() -> None:
    """MXFP4 narrows the experts only: 65.3 GB of checkpoint for 116.8 B parameters (gpt-oss model card: 60.8 GiB)."""
    block = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}
    model = stored(suanli_config("gpt-oss-120b"), block)
    assert model.weight_bytes == pytest.approx(60.8 * 2**30, rel=5e-3)


@pytest.mark.parametrize("block", [{"quant_method": "zzz"}, {}, FP8 | {"weight_block_size": "x"}, {"bits": [4]}])
def test_a_block_nobody_knows_is_said(block: dict[str, Any]) -> None:
    """An unknown or broken block leaves two bytes a weight, and a note says so."""
    model = stored(LLAMA_2_7B, None) if block is None else suanli.model(LLAMA_2_7B | {"quantization_config": block})
    assert model.weight_bytes == 2 * model.parameters.total
    assert any("2 bytes" in note for note in model.notes)


def test_serving_starts_from_what_is_stored() -> None:
    """A checkpoint in FP8 is served in FP8 unless another recipe is given, and the report says why."""
    scenario: dict[str, Any] = {
        "model": {"config": LLAMA_2_7B | {"quantization_config": FP8}},
        "system": {"name": "dgx-h100", "accelerators": 1},
        "workload": {"kind": "serve", "prompt": 128, "output": 16, "batch": 1},
    }
    plain = suanli.estimate(scenario | {"precision": {"recipe": "bf16"}})
    narrow = suanli.estimate(scenario)
    assert narrow.memory.per_accelerator.weights_bytes < 0.6 * plain.memory.per_accelerator.weights_bytes
    assert narrow.to_dict()["origins"]["precision.recipe"]["why"] == "the configuration's quantization_config"
