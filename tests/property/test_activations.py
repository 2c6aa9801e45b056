"""What a layer keeps for its backward pass, byte for byte, for any size, and what a cache holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import suanli
from suanli.figures import block_kept_bytes
from suanli.layout import Degrees, Layout, fields_of
from suanli.operators import How
from suanli.testing import resolved, run_one
from suanli.testing import strategies as sts

HEADS = st.sampled_from((2, 4, 8, 12, 16))
HEAD_DIM = st.sampled_from((8, 64, 128))


@st.composite
def gpts(draw: st.DrawFn) -> tuple[dict[str, Any], int, int, int]:
    """A GPT configuration, tensor ranks that divide it, a micro batch and a sequence."""
    heads = draw(HEADS)
    config = {
        "model_type": "gpt2",
        "vocab_size": 128,
        "n_embd": heads * draw(HEAD_DIM),
        "n_layer": 1,
        "n_head": heads,
        "n_positions": 1 << 20,
    }
    tensor = draw(st.sampled_from([t for t in (1, 2, 4, 8) if heads % t == 0]))
    return config, tensor, draw(st.integers(1, 8)), draw(st.integers(1, 4096))


def kept(config: dict[str, Any], layout: Layout, batch: int, sequence: int, dropout: float, recompute: str) -> float:
    """Bytes the only layer keeps on one rank, attention written out."""
    case = resolved(
        {
            "model": {"config": config},
            "system": {"name": "dgx-a100", "accelerators": layout.world},
            "workload": {"sequence": sequence, "global_batch": batch},
            "implementation": {"attention": "eager", "dropout": dropout},
        }
    )
    numbers, names = fields_of(layout)
    at = case.local(
        Degrees(numbers, names, frozenset((*numbers, *names))),
        batch=float(batch),
        sequence=float(sequence),
        kv_tokens=float(sequence),
    )
    return float(block_kept_bytes(case, case.model.layers[0], at, recompute))


@given(gpts())
def test_a_gpt_block_with_dropout(drawn: tuple[dict[str, Any], int, int, int]) -> None:
    """Korthikanti 2022, table 2: s b h (10 + 24/t + 5 a s/(h t)), and (34 + 5 a s/h)/t with sequence parallelism."""
    config, t, b, s = drawn
    h, a = config["n_embd"], config["n_head"]
    plain, spread = Layout(tensor=t), Layout(tensor=t, sequence_parallel=True)
    scores = 5 * a * s * s * b // t
    assert kept(config, plain, b, s, 0.1, "none") == 10 * s * b * h + 24 * s * b * h // t + scores
    assert kept(config, plain, b, s, 0.1, "selective") == 10 * s * b * h + 24 * s * b * h // t
    assert kept(config, plain, b, s, 0.1, "full") == 2 * s * b * h
    whole = 34 * s * b * h + 5 * a * s * s * b
    assert kept(config, spread, b, s, 0.1, "none") * t == pytest.approx(whole, rel=1e-14)
    assert kept(config, spread, b, s, 0.1, "selective") * t == pytest.approx(34 * s * b * h, rel=1e-14)
    assert kept(config, spread, b, s, 0.1, "full") * t == pytest.approx(2 * s * b * h, rel=1e-14)


@given(gpts())
def test_a_gpt_block_without_dropout(drawn: tuple[dict[str, Any], int, int, int]) -> None:
    """Without dropout its three masks go: 32 s b h, and 2 a s s b of softmax output."""
    config, t, b, s = drawn
    h, a = config["n_embd"], config["n_head"]
    spread = Layout(tensor=t, sequence_parallel=True)
    assert kept(config, spread, b, s, 0.0, "none") * t == pytest.approx(32 * s * b * h + 2 * a * s * s * b, rel=1e-14)
    plain = kept(config, Layout(tensor=t), b, s, 0.0, "none")
    assert plain == 8 * s * b * h + 24 * s * b * h // t + 2 * a * s * s * b // t


@given(gpts(), st.sampled_from((0.0, 0.1)))
def test_saved_activation_bytes_is_the_layer_s(drawn: tuple[dict[str, Any], int, int, int], dropout: float) -> None:
    """The model's own figure is the layer's on one rank."""
    config, _, b, s = drawn
    model = suanli.model(config)
    asked = model.saved_activation_bytes(batch=b, sequence=s, attention="eager", dropout=dropout)
    assert asked == kept(config, Layout(), b, s, dropout, "none")


@given(sts.configs(), st.sampled_from(("flash", "eager")), st.sampled_from((0.0, 0.1)), st.booleans())
def test_each_tensor_is_kept_once(config: dict[str, Any], attention: str, dropout: float, fused: bool) -> None:
    """However many operators need a tensor, a layer keeps it once; selective keeps a part of them, full one."""
    how = How(attention=attention, dropout=dropout, fused=fused)
    for block, _ in suanli.model(config).parts:
        names = [t.name for t in block.kept(how)]
        assert len(names) == len(set(names))
        wanted = {t.name for op in block.operators for t in op.kept(how)}
        assert set(names) == wanted
        assert {t.name for t in block.kept(how, "selective")} <= wanted
        assert len(block.kept(how, "full")) <= 1


@given(
    heads=HEADS, head_dim=HEAD_DIM, groups=st.sampled_from((1, 2)), inner=st.integers(1, 4096), s=st.integers(1, 4096)
)
def test_a_llama_layer_keeps_each_named_tensor_once(heads: int, head_dim: int, groups: int, inner: int, s: int) -> None:
    """Two streams, two normed ones, Q, K, V and the output, a log-sum-exp a head, gate, up and their product."""
    hidden, kv = heads * head_dim, heads // groups
    model = suanli.model(
        {
            "model_type": "llama",
            "vocab_size": 128,
            "hidden_size": hidden,
            "intermediate_size": inner,
            "num_hidden_layers": 1,
            "num_attention_heads": heads,
            "num_key_value_heads": kv,
        }
    )
    halves = 4 * hidden + 2 * hidden + 2 * kv * head_dim + 3 * inner
    assert model.saved_activation_bytes(batch=3, sequence=s) == 3 * s * (2 * halves + 4 * heads)


@given(sts.configs(), st.integers(0, 100_000), st.integers(1, 100_000))
def test_a_cache_grows_with_its_tokens(config: dict[str, Any], tokens: int, more: int) -> None:
    """A cache of more tokens is never smaller, one of none is empty, and one format's is another's by its bits."""
    model = suanli.model(config)
    assert model.kv_cache_bytes(0) == 0
    assert model.kv_cache_bytes(tokens) <= model.kv_cache_bytes(tokens + more)
    assert model.kv_cache_bytes(tokens, "fp32") == 2 * model.kv_cache_bytes(tokens)
    assert model.kv_cache_bytes(tokens, "fp8") * 2 == model.kv_cache_bytes(tokens)


@given(st.integers(1, 512), st.integers(0, 4096), st.integers(1, 8))
def test_a_window_bounds_the_cache(window: int, tokens: int, layers: int) -> None:
    """With a window on every layer the cache is that of the window's tokens at most, and the whole one below it."""
    config = {
        "model_type": "mistral",
        "vocab_size": 128,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    windowed, whole = suanli.model(config | {"sliding_window": window}), suanli.model(config)
    assert whole.kv_cache_bytes(tokens) == 2 * 2 * layers * 2 * 16 * tokens
    assert windowed.kv_cache_bytes(tokens) == whole.kv_cache_bytes(min(tokens, window))


@given(st.data())
def test_a_served_cache_is_the_model_s(data: st.DataObject) -> None:
    """Undivided, the cache of an engine is that of its requests, each as the model states it."""
    config = data.draw(sts.configs())
    scenario = data.draw(sts.serving_scenarios(config=config, layout=Layout()))
    case = resolved(scenario)
    held = run_one(case, Layout())["memory.kv_cache_bytes"]
    work = scenario["workload"]
    requests = work.get("batch") or work["concurrency"]
    one = case.model.kv_cache_bytes(work["prompt"] + work["output"], case.recipe.kv_cache)
    assert held == pytest.approx(one * requests, rel=1e-12)
