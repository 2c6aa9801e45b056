"""The model of a published row: from the catalog, from public configurations, or built of the row's own shape."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from judge_data import UnfitError, needed, whole
from suanli import SuanliError
from suanli.workspace import Workspace

# Row families -> the model type that has their operators.  MPT, BLOOM and OPT differ from GPT-2 in biases
# and positions only; Baichuan, Aquila, InternLM and Yi have Llama's layer.
GPT = ("gpt", "gpt3", "bloom", "opt", "mpt")
LLAMA = (
    *("llama", "llama-2", "llama2", "llama3", "llama3.1", "llama3_1", "llama-like", "codellama"),
    *("aquila", "baichuan", "baichuan2", "internlm", "yi"),
)
QWEN = {"qwen": "qwen2", "qwen1.5": "qwen2", "qwen1_5": "qwen2", "qwen2": "qwen2", "qwen3": "qwen3"}
UNKNOWN_VOCABULARY = 32000

KEYS = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
# Models the catalog does not name, from config.json at huggingface.co.
CONFIGS: dict[str, dict[str, Any]] = {
    "internlm-20b": {
        "model_type": "internlm",
        **dict(zip(KEYS, (5120, 13824, 60, 40, 40), strict=True)),
        "vocab_size": 103168,
        "tie_word_embeddings": False,
    },
    "qwen3.5-35b-a3b": {
        "model_type": "qwen3_5_moe_text",
        "hidden_size": 2048,
        "num_hidden_layers": 40,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "head_dim": 256,
        "layer_types": ["linear_attention", "linear_attention", "linear_attention", "full_attention"] * 10,
        "linear_num_key_heads": 16,
        "linear_num_value_heads": 32,
        "linear_key_head_dim": 128,
        "linear_value_head_dim": 128,
        "linear_conv_kernel_dim": 4,
        "num_experts": 256,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512,
        "vocab_size": 248320,
        "tie_word_embeddings": False,
    },
    "glm-5": {
        "model_type": "glm_moe_dsa",
        **dict(zip(KEYS, (6144, 12288, 78, 64, 64), strict=True)),
        "vocab_size": 154880,
        "moe_intermediate_size": 2048,
        "n_routed_experts": 256,
        "n_shared_experts": 1,
        "num_experts_per_tok": 8,
        "first_k_dense_replace": 3,
        "q_lora_rank": 2048,
        "kv_lora_rank": 512,
        "qk_nope_head_dim": 192,
        "qk_rope_head_dim": 64,
        "v_head_dim": 256,
        "index_head_dim": 128,
        "index_n_heads": 32,
        "index_topk": 2048,
        "tie_word_embeddings": False,
    },
}
# Published under another name: newer weights of the same configuration, or another spelling.
SAME = {
    "llama-3.3-70b": "llama-3.1-70b",
    "glm-4.6": "glm-4.5",
    "minimax-m2.5": "minimax-m2",
    "glm26b": "chatglm3-6b",
    "glm36b": "chatglm3-6b",
    "glm36b32k": "chatglm3-6b",
    "nemotron340b": "nemotron-4-340b",
}
# Further weights of a release, which have its shape.
WEIGHTS = re.compile(r"-(instruct|hf|fp8|nvfp4|2507|chat|it)(?=-|$)")


def named(published: str, workspace: Workspace) -> dict[str, Any]:
    """The model section for a published name.

    Raises:
        UnfitError: Where nobody knows its shape.
    """
    short = WEIGHTS.sub("", published.rpartition("/")[2].lower().removeprefix("meta-")).strip()
    short = SAME.get(short) or SAME.get(_squeezed(short)) or short
    if short in CONFIGS:
        return {"config": CONFIGS[short] | {"name": short}}
    for name in (short, re.sub(r"-(v0\.1|\d{4})$", "", short)):
        try:
            return {"name": workspace.model(name).name}
        except SuanliError:
            continue
    # Spelled with other marks between its words.
    known = workspace.catalog().entries("model")
    spelled = {e.name for e in known for n in (e.name, *e.value.aliases) if _squeezed(n) == _squeezed(short)}
    if len(spelled) == 1:
        return {"name": spelled.pop()}
    raise UnfitError(f"model not in the catalog: {short}")


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9.]", "", name.lower())


def shaped(row: Mapping[str, str], workspace: Workspace) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The model section for a training row, and what of it the row leaves open."""
    family = row["family"].lower()
    if "lora" in row["model"].lower() or row["precision"].startswith("nf4"):
        raise UnfitError("adapters (LoRA) are not there yet")
    if row["experts"] or family not in (*GPT, *LLAMA, *QWEN):
        return _by_name(row, workspace), ()
    if not row["layers"] or not row["heads"]:
        raise UnfitError("not stated: the model's shape")
    hidden, heads, seq = needed(row, "hidden"), needed(row, "heads"), needed(row, "seq_len")
    open_: tuple[str, ...] = ()
    vocabulary = whole(row, "vocab")
    if vocabulary is None:
        vocabulary, open_ = UNKNOWN_VOCABULARY, ("vocabulary",)
    inner = whole(row, "ffn")
    if family in GPT:
        if hidden % heads:
            raise UnfitError("heads that do not divide the width")
        config: dict[str, Any] = {"model_type": "gpt2", "n_embd": hidden, "n_layer": needed(row, "layers")}
        config |= {"n_head": heads, "n_positions": seq, "vocab_size": vocabulary, "n_inner": inner or 4 * hidden}
        return {"config": config | {"name": row["model"]}}, open_
    if inner is None:
        raise UnfitError("not stated: the model's shape")
    sizes = (hidden, inner, needed(row, "layers"), heads, whole(row, "kv_heads") or heads)
    config = {"model_type": QWEN.get(family, "llama"), "name": row["model"], "vocab_size": vocabulary}
    config |= dict(zip(KEYS, sizes, strict=True)) | {"tie_word_embeddings": False}
    if row["head_dim"]:
        config["head_dim"] = needed(row, "head_dim")
    return {"config": config}, open_


def _by_name(row: Mapping[str, str], workspace: Workspace) -> dict[str, Any]:
    """A model by name, where a row does not tell its whole shape; with as many layers as the row says."""
    told = re.sub(r" \(.*$", "", row["model"])
    cut = "layer-reduced" in row["model"]
    section = named(re.sub(r"-\d+layers$", "", told) if cut else told, workspace)
    layers = whole(row, "layers")
    built = workspace.model(section.get("name") or section["config"])
    if not layers or layers == sum(n for _, n in built.kinds):
        return section
    if not cut or "name" not in section:
        raise UnfitError("another number of layers than the model of that name has")
    preset = workspace.catalog().get("model", section["name"])
    return {"config": dict(preset.config) | {"num_hidden_layers": layers, "name": row["model"]}}
