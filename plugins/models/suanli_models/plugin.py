"""What this plugin gives: model families and a zoo of named models."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from importlib.resources import files

from suanli import ModelFamily, ModelPreset, hookimpl, read_catalog

MODULES = (
    *("dense", "llamas", "gpt", "gpt_later", "moe", "moe_later", "latent", "latent_later", "deepseek_v4"),
    *("state_space", "hybrids", "linear_attention", "gemma", "gemma_later", "cohere", "custom", "recent"),
)


@hookimpl
def suanli_model_families() -> Iterable[type[ModelFamily]]:
    """Every family of this plugin's modules that answers a ``model_type``."""
    for name in MODULES:
        module = import_module(f"suanli_models.{name}")
        for value in vars(module).values():
            own = isinstance(value, type) and issubclass(value, ModelFamily) and value.__module__ == module.__name__
            if own and "model_types" in vars(value):
                yield value


@hookimpl
def suanli_models() -> Iterable[ModelPreset]:
    """The zoo: named models of every family, with the repositories their configurations are published in."""
    return read_catalog(files("suanli_models") / "zoo").models
