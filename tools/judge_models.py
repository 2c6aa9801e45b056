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
ROUTED = ("mixtral", "qwen3-moe", "qwen3-235b")
UNKNOWN_VOCABULARY = 32000

KEYS = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
# Shapes of models the catalog does not name, from config.json at huggingface.co:
# type, hidden, inner, layers, heads, kv heads, vocabulary, tied.
SHAPES: dict[str, tuple[str, int, int, int, int, int, int, bool]] = {
    "qwen2-1.5b": ("qwen2", 1536, 8960, 28, 12, 2, 151936, True),
    "qwen2-7b": ("qwen2", 3584, 18944, 28, 28, 4, 152064, False),
    "qwen2-72b": ("qwen2", 8192, 29568, 80, 64, 8, 152064, False),
    "qwen2.5-0.5b": ("qwen2", 896, 4864, 24, 14, 2, 151936, True),
    "qwen2.5-1.5b": ("qwen2", 1536, 8960, 28, 12, 2, 151936, True),
    "qwen2.5-3b": ("qwen2", 2048, 11008, 36, 16, 2, 151936, True),
    "qwen2.5-14b": ("qwen2", 5120, 13824, 48, 40, 8, 152064, False),
    "qwen2.5-32b": ("qwen2", 5120, 27648, 64, 40, 8, 152064, False),
    "qwen2.5-72b": ("qwen2", 8192, 29568, 80, 64, 8, 152064, False),
    "qwen3-1.7b": ("qwen3", 2048, 6144, 28, 16, 8, 151936, True),
    "qwen3-4b": ("qwen3", 2560, 9728, 36, 32, 8, 151936, True),
    "qwen3-8b": ("qwen3", 4096, 12288, 36, 32, 8, 151936, False),
    "qwen3-14b": ("qwen3", 5120, 17408, 40, 40, 8, 151936, False),
    "codellama-34b": ("llama", 8192, 22016, 48, 64, 8, 32000, False),
    "qwen3-30b-a3b": ("qwen3_moe", 2048, 6144, 48, 32, 4, 151936, False),
}
EXPERTS = {
    "qwen3-30b-a3b": {
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 768,
        "head_dim": 128,
    },
}
SAME = {"llama-3.3-70b": "llama-3.1-70b"}


def named(published: str, workspace: Workspace) -> dict[str, Any]:
    """The model section for a published name.

    Raises:
        UnfitError: Where nobody knows its shape.
    """
    short = published.rpartition("/")[2].lower()
    short = re.sub(r"-(instruct|hf|fp8|nvfp4|2507|chat)(?=-|$)", "", short.removeprefix("meta-"))
    short = SAME.get(short, short)
    if short in SHAPES:
        kind, *sizes, vocabulary, tied = SHAPES[short]
        config = dict(zip(KEYS, sizes, strict=True)) | {"vocab_size": vocabulary, "tie_word_embeddings": tied}
        return {"config": {"model_type": kind, "name": short} | config | EXPERTS.get(short, {})}
    for name in (short, short.removesuffix("-v0.1")):
        try:
            workspace.model(name)
        except SuanliError:
            continue
        return {"name": name}
    raise UnfitError(f"model family not installed: {family_of(short)}")


def family_of(name: str) -> str:
    """The line a model belongs to, for counting."""
    return re.sub(r"[-_ ].*$", "", name.lower()) or "unnamed"


def shaped(row: Mapping[str, str], workspace: Workspace) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The model section for a training row, and what of it the row leaves open."""
    family = row["family"].lower()
    if "lora" in row["model"].lower() or row["precision"].startswith("nf4"):
        raise UnfitError("adapters (LoRA) are not there yet")
    if family in ROUTED:
        return _routed(row, workspace), ()
    if row["experts"]:
        raise UnfitError(f"model family not installed: {family}")
    if family not in (*GPT, *LLAMA, *QWEN):
        raise UnfitError(f"model family not installed: {family}")
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


def _routed(row: Mapping[str, str], workspace: Workspace) -> dict[str, Any]:
    """A mixture of experts by name: rows give the dense width, not the experts'."""
    section = named(re.sub(r" .*$", "", row["model"]), workspace)
    layers = whole(row, "layers")
    built = workspace.model(section.get("name") or section["config"])
    if layers and layers != sum(n for _, n in built.kinds):
        raise UnfitError("a mixture of experts cut to fewer layers")
    return section
