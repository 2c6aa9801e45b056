"""What a paged engine reserves next to what a model needs."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import suanli
from suanli.testing import architectures

GEMMA: dict[str, Any] = {
    "model_type": "gemma3_text",
    "vocab_size": 100,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "sliding_window": 64,
}


@pytest.mark.parametrize(
    ("tokens", "block", "blocks"), [(1, 16, 1), (16, 16, 1), (17, 16, 2), (100, 32, 4), (0, 16, 0)]
)
def test_a_plain_model_takes_whole_blocks(tokens: int, block: int, blocks: int) -> None:
    """Llama-3-8B: 131,072 bytes a token, in blocks."""
    assert suanli.model("llama-3-8b").kv_cache_reserved_bytes(tokens, block_size=block) == blocks * block * 131072


def test_latent_attention_pages_its_rank() -> None:
    """DeepSeek-V3: 512 + 64 numbers a token and layer, 61 layers."""
    assert suanli.model("deepseek-v3").kv_cache_reserved_bytes(33) == 3 * 16 * 61 * 576 * 2


def test_windows_take_one_block_more_than_they_hold() -> None:
    """5 layers of 6 have a window of 64: 4 blocks and one it ends in; groups of as many layers as see all."""
    model = suanli.model(GEMMA | {"num_hidden_layers": 12})
    page = 16 * 2 * 2 * 16 * 2  # tokens, keys and values, heads, width, bytes
    assert model.kv_cache_reserved_bytes(1000) == page * (2 * math.ceil(1000 / 16) + 10 * 5)
    assert model.kv_cache_reserved_bytes(20) == page * 12 * 2


def test_the_last_group_is_padded() -> None:
    """13 layers are 2 that see all and 11 with a window: groups of 2, the sixth of them half empty."""
    model = suanli.model(GEMMA | {"num_hidden_layers": 13})
    page = 16 * 2 * 2 * 16 * 2
    assert model.kv_cache_reserved_bytes(1000) == page * (2 * math.ceil(1000 / 16) + 12 * 5)


def test_blocks_grow_to_the_size_of_a_state() -> None:
    """A hybrid's attention has blocks whose bytes hold its recurrent state, and each state takes a page."""
    model = suanli.model("qwen3-next-80b-a3b")
    state = (model.kv_cache_bytes(1) - 12 * 2 * 2 * 256 * 2) // 36
    token = 2 * 2 * 256 * 2
    block = math.ceil(state / (token * 16)) * 16
    assert model.kv_cache_reserved_bytes(1) == 48 * block * token
    assert model.kv_cache_reserved_bytes(block + 1) == (36 + 2 * 12) * block * token


def test_an_engine_reserves_pages_for_its_requests() -> None:
    """With `block_size` a report's cache is whole pages, and fewer requests fit; without, what the model needs."""
    asked: dict[str, Any] = {
        "model": {"name": "llama-3-8b"},
        "system": {"accelerator": "h100-sxm", "accelerators": 1},
        "workload": {"kind": "serve", "prompt": 100, "output": 1, "batch": 4},
        "layout": {"tensor": 1},
    }
    plain = suanli.estimate(asked)
    assert plain.memory.per_accelerator.kv_cache_bytes == 4 * 101 * 131072
    paged = suanli.estimate(asked | {"implementation": {"block_size": 64}})
    assert paged.memory.per_accelerator.kv_cache_bytes == pytest.approx(4 * 128 * 131072)
    assert paged.serving.max_concurrency < plain.serving.max_concurrency
    assert paged.to_dict()["scenario"]["implementation"]["block_size"] == 64
    training = asked | {"workload": {"kind": "pretrain"}, "implementation": {"block_size": 64}}
    with pytest.raises(suanli.ScenarioError, match=r"implementation\.block_size: has no meaning for training"):
        suanli.estimate(training)


@settings(max_examples=60, deadline=None)
@given(config=architectures.configs(), tokens=st.integers(1, 3000), block=st.sampled_from((1, 16, 64)))
def test_never_less_than_the_model_needs(config: dict[str, Any], tokens: int, block: int) -> None:
    """Of every architecture: reserved is at least needed, and grows with tokens."""
    model = suanli.model(config)
    reserved = model.kv_cache_reserved_bytes(tokens, block_size=block)
    assert reserved >= model.kv_cache_bytes(tokens)
    assert model.kv_cache_reserved_bytes(tokens + 100, block_size=block) >= reserved


@pytest.mark.parametrize("bad", [{"tokens": -1}, {"tokens": 1.5}, {"tokens": 5, "block_size": 0}])
def test_what_makes_no_sense_is_refused(bad: dict[str, Any]) -> None:
    """Negative tokens and empty blocks are refused by name."""
    with pytest.raises(suanli.SuanliError, match="must be a whole number"):
        suanli.model("gpt2").kv_cache_reserved_bytes(**bad)
