"""Small configurations of every family against the real modules, with keys left out, null, or by an older name.

Truth: transformers 5.23 modules on the meta device (AutoModelForCausalLM), torch 2.13 FlopCounterMode on one sequence
of 48 tokens, the real Cache classes in bf16 after it; windowed layers hold one token more than those classes keep.
A key that is not there takes its class's default.  None where the classes are no measure: FLOPs of scans and of
Llama 4, caches that spread grouped keys over all heads or leave a recurrent state out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import suanli

Row = tuple[dict[str, Any], int, int | None, int | None]
# configuration, parameters, forward FLOPs of 1 x 48, bytes of cache at 48 tokens
ROWS: list[Row] = [
    (row["config"], row["parameters"], row["flops"], row["cache"])
    for row in json.loads((Path(__file__).parent / "families.json").read_text(encoding="utf-8"))["rows"]
]
SAME = [
    # Code of their own: the same layers under other names.
    (
        {"model_type": "qwen", "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "vocab_size": 100}
        | {"num_attention_heads": 4, "no_bias": True, "kv_channels": 16, "seq_length": 64},
        {"model_type": "qwen2", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 100}
        | {"num_attention_heads": 4, "num_key_value_heads": 4},
    ),
    (
        {"model_type": "chatglm", "hidden_size": 64, "ffn_hidden_size": 128, "num_layers": 2, "padded_vocab_size": 100}
        | {"num_attention_heads": 4, "kv_channels": 16, "multi_query_attention": True, "multi_query_group_num": 2}
        | {"add_qkv_bias": True, "add_bias_linear": False},
        {"model_type": "glm", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 100}
        | {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "attention_bias": True},
    ),
    (
        {"model_type": "internlm", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
        | {"vocab_size": 100, "num_attention_heads": 4, "bias": True},
        {"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 100}
        | {"num_attention_heads": 4, "attention_bias": True},
    ),
    (
        {"model_type": "RefinedWeb", "hidden_size": 64, "n_layer": 2, "n_head": 4, "n_head_kv": 2, "vocab_size": 100},
        {"model_type": "falcon", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        | {"num_kv_heads": 2, "new_decoder_architecture": True, "vocab_size": 100},
    ),
    (
        {"model_type": "minimax_text_01", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
        | {"num_attention_heads": 4, "num_key_value_heads": 2, "attn_type_list": [0, 1], "vocab_size": 100},
        {"model_type": "minimax", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
        | {"num_attention_heads": 4, "layer_types": ["linear_attention", "full_attention"], "vocab_size": 100}
        | {"num_key_value_heads": 2},
    ),
]


def counts(model: suanli.Model) -> tuple[int, float, int]:
    """Parameters, full FLOPs and cache at 48 tokens."""
    return (
        model.parameters.total,
        model.forward_flops(sequence=48, causal=False).total,
        model.kv_cache_bytes(48),
    )


@pytest.mark.parametrize("row", ROWS, ids=[f"{r[0]['model_type']}-{i}" for i, r in enumerate(ROWS)])
def test_a_configuration_is_the_real_module(row: Row) -> None:
    """Parameters, FLOPs and cache are those of the class a configuration is read by, to the last one."""
    config, total, flops, cache = row
    ours = counts(suanli.model(config))
    assert ours == (total, ours[1] if flops is None else flops, ours[2] if cache is None else cache)


@pytest.mark.parametrize(("own", "native"), SAME, ids=[str(s[0]["model_type"]) for s in SAME])
def test_fields_of_other_names_say_the_same(own: dict[str, Any], native: dict[str, Any]) -> None:
    """A configuration by its own code's names has the counts of the same one by transformers' names."""
    assert counts(suanli.model(own)) == counts(suanli.model(native))


def test_a_missing_key_is_not_null() -> None:
    """DeepSeek-V2 without q_lora_rank compresses queries as its class does by default; with null it does not."""
    config = dict(next(c for c, *_ in ROWS if c["model_type"] == "deepseek_v2"))
    config.pop("q_lora_rank", None)
    missing, null = suanli.model(config), suanli.model(config | {"q_lora_rank": None})
    default = suanli.model(config | {"q_lora_rank": 1536})
    assert missing.parameters == default.parameters != null.parameters
    assert any("q_lora_rank 1536" in note for note in missing.notes)
    assert not any("q_lora_rank" in note for note in null.notes)


def test_a_part_of_a_larger_configuration_is_read() -> None:
    """The language model of a multimodal configuration: its own keys, the outer tie, the class's defaults."""
    text = {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34}
    outer = {"model_type": "gemma3", "text_config": text | {"sliding_window": 1024}, "vision_config": {"depth": 27}}
    model = suanli.model(outer)
    assert model.parameters.total == 3_880_263_168  # google/gemma-3-4b-it without its vision tower
    assert any("language model only" in note for note in model.notes)
    bare = suanli.model({"model_type": "llava", "text_config": {"model_type": "llama", "vocab_size": 32064}})
    assert bare.parameters.total == 6_738_939_904  # llava-hf/llava-1.5-7b-hf: all of Llama's defaults
    tied = suanli.model({"model_type": "qwen3_vl", "text_config": {"hidden_size": 64}, "tie_word_embeddings": True})
    assert tied.parameters.by_group.get("head", 0) == 0


def test_an_unknown_type_is_taken_for_the_nearest() -> None:
    """Familiar keys are read as the nearest family's, with a note; what is missing for it is told."""
    llama = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    llama |= {"vocab_size": 100}
    routed = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    latent = {"kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 16, "q_lora_rank": None}
    for more, family in (({}, "dense"), (routed, "glm4_moe"), (routed | latent, "deepseek_v3")):
        model = suanli.model({"model_type": "brand_new"} | llama | more)
        assert model.family == family
        assert any("brand_new" in note and family in note for note in model.notes)
    with pytest.raises(suanli.ModelConfigError, match=r"'brand_new' is not known.*lacks: vocab_size"):
        suanli.model({"model_type": "brand_new"} | {k: v for k, v in llama.items() if k != "vocab_size"})


def test_kinds_of_layers_go_by_old_and_new_names() -> None:
    """A list of layer kinds is read by whatever release wrote it, and a kind nobody knows is refused."""
    bamba = dict(next(c for c, *_ in ROWS if c["model_type"] == "bamba"))
    depth = bamba["num_hidden_layers"]
    bamba.pop("attn_layer_indices", None)
    old = suanli.model(bamba | {"layer_types": ["attention"] + ["mamba"] * (depth - 1)})
    new = suanli.model(bamba | {"layer_types": ["full_attention"] + ["linear_attention"] * (depth - 1)})
    assert counts(old) == counts(new) == counts(suanli.model(bamba | {"attn_layer_indices": [0]}))
    glm = dict(next(c for c, *_ in ROWS if c["model_type"] == "glm_moe_dsa"))
    listed = glm | {"layer_types": ["indexed_attention"] * glm["num_hidden_layers"]}
    assert counts(suanli.model(listed)) == counts(suanli.model(glm))
    with pytest.raises(suanli.ModelConfigError, match="layer_types"):
        suanli.model(bamba | {"layer_types": ["foo"] * depth})


def test_an_unknown_type_has_wider_bands() -> None:
    """An estimate for a model read as its nearest family says so as a warning, and widens each band."""
    config = {"model_type": "llama", "hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 2}
    config |= {"num_attention_heads": 8, "vocab_size": 1000}
    scenario = {
        "system": {"name": "dgx-h100", "accelerators": 1},
        "workload": {"sequence": 128, "global_batch": 1},
    }
    known = suanli.estimate(scenario | {"model": {"config": config}})
    strange = suanli.estimate(scenario | {"model": {"config": config | {"model_type": "brand_new"}}})
    low, high = known.basis["time.step_s"].band or (0.0, 0.0)
    wide_low, wide_high = strange.basis["time.step_s"].band or (0.0, 0.0)
    assert 0.0 < wide_low < low < high < wide_high
    assert [p.severity for p in strange.problems if p.code == "unknown-model-type"] == ["warning"]
    assert not [p for p in known.problems if p.code == "unknown-model-type"]


def test_a_long_cache_grows_by_what_a_token_adds() -> None:
    """Past every window only the layers that see all add to a cache; a recurrent model's does not grow."""
    gemma, mamba = suanli.model("gemma-3-1b"), suanli.model("mamba2-2.7b")
    assert gemma.kv_cache_growth_bytes() == 4 * 2 * 1 * 256 * 2  # layers, keys and values, head, width, bytes
    assert mamba.kv_cache_growth_bytes() == 0 < mamba.kv_cache_bytes(1) == mamba.kv_cache_bytes(100_000)
    assert suanli.model("deepseek-v3").kv_cache_growth_bytes() == 61 * (512 + 64) * 2


def test_every_family_of_ours_has_a_row() -> None:
    """A family that ships with suanli is held against the real module: give it a row when it comes."""
    from_names = {
        suanli.model(e.name).family for e in suanli.catalog().entries("model") if e.provider.plugin == "models"
    }
    held = from_names | {suanli.model(c).family for c, *_ in ROWS} | {suanli.model(c).family for c, _ in SAME}
    own = {e.name for e in suanli.catalog().entries("model family") if e.provider.plugin == "models"}
    assert own - held == UNHELD


UNHELD = {"bailing_moe", "dbrx", "deepseek", "exaone", "minicpm", "orion", "qwen3_vl_moe"}
"""Families whose classes are not in transformers 5.23 or do not run there on the meta device: read from their code."""
