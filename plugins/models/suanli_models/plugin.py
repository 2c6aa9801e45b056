"""What this plugin gives: model families and a zoo of named models."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

from suanli import ModelFamily, ModelPreset, hookimpl, read_catalog
from suanli_models.dense import Gpt2, Llama, Mistral, Qwen2, Qwen3
from suanli_models.moe import Mixtral, Qwen2Moe, Qwen3Moe


@hookimpl
def suanli_model_families() -> Iterable[type[ModelFamily]]:
    """Dense decoders and mixtures of experts."""
    return (Llama, Mistral, Qwen2, Qwen3, Gpt2, Mixtral, Qwen2Moe, Qwen3Moe)


@hookimpl
def suanli_models() -> Iterable[ModelPreset]:
    """LLaMA 1 to 3.1, GPT-2 and GPT-3, Mistral, Mixtral, Qwen."""
    return read_catalog(files("suanli_models") / "zoo").models
