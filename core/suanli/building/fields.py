"""Fields of families: how a configuration's keys are read and checked."""

from __future__ import annotations

from typing import Any

import attrs
from attrs.validators import deep_iterable, ge, gt, in_, instance_of, le, optional

MOST = 2**31
MOST_LAYERS = 2_000

LAYER_KINDS = (
    *("full_attention", "sliding_attention", "chunked_attention", "linear_attention", "attention", "mamba", "conv"),
    *("moe", "mlp", "hybrid", "dense", "sparse", "recurrent", "compressed_sparse_attention"),
    *("heavily_compressed_attention", "global", "local", "hash_moe", "indexed_attention", "window_attention"),
    *("deepseek_sparse_attention", "qwen_sparse_attention", "hybrid_sliding", "reference_sliding_attention"),
)
"""What configurations call the kinds of their layers (transformers 5.23, configuration_utils.py, and before)."""


def size(*keys: str, **options: Any) -> Any:
    """A required whole number above 0, read from the first of `keys` a configuration has."""
    return attrs.field(validator=[gt(0), le(MOST)], metadata={"config": keys}, **options)


def maybe(*keys: str, default: int | None = None) -> Any:
    """A whole number above 0, or None where the configuration has none or says null."""
    return attrs.field(default=default, validator=optional([gt(0), le(MOST)]), metadata={"config": keys, "null": True})


def number(*keys: str, default: int = 0) -> Any:
    """A whole number, 0 included."""
    return attrs.field(default=default, validator=[ge(0), le(MOST)], metadata={"config": keys})


def some(*keys: str, default: int | None = None, most: int = MOST) -> Any:
    """A whole number, 0 included, or None where the configuration has none or says null."""
    return attrs.field(default=default, validator=optional([ge(0), le(most)]), metadata={"config": keys, "null": True})


def count(*keys: str) -> Any:
    """The number of layers."""
    return attrs.field(validator=[gt(0), le(MOST_LAYERS)], metadata={"config": keys})


def switch(default: bool, *keys: str) -> Any:
    """A flag with a default."""
    return attrs.field(default=default, metadata={"config": keys})


def ratio(default: float, *keys: str) -> Any:
    """A number from 0 to 1."""
    return attrs.field(default=default, validator=[ge(0.0), le(1.0)], metadata={"config": keys})


def kinds(*keys: str) -> Any:
    """The kind of each layer, or None where it follows from a pattern."""
    return attrs.field(
        default=None,
        validator=optional(deep_iterable(in_(LAYER_KINDS), instance_of(tuple))),
        metadata={"config": keys, "null": True},
    )


def numbers(*keys: str) -> Any:
    """Whole numbers, such as the indices of layers; none by default."""
    return attrs.field(default=(), validator=deep_iterable(ge(0)), metadata={"config": keys})
