"""The anatomy of a model: a tree whose parts sum to the whole, readable in 100 columns."""

from __future__ import annotations

import json

import pytest

MODELS = ("llama-3-8b", "deepseek-v3", "mamba2-2.7b", "gemma-3-12b", "qwen3-next-80b-a3b")


@pytest.mark.parametrize("name", MODELS)
def test_operators_sum_to_the_model(run, name):
    """Parameters, FLOPs and kept bytes of the operators are those of the model, and of each layer."""
    found = json.loads(run("model", name, "--format", "json").stdout)
    rows = [(b, op) for b in found["blocks"] for op in b["operators"]]
    assert sum(op["parameters"] * b["times"] for b, op in rows) == found["parameters"]
    assert sum(op["flops"] * b["times"] for b, op in rows) == pytest.approx(found["forward_flops"])
    saved = [sum(op["saved_bytes"] for op in b["operators"]) for b in found["blocks"][1:-1]]
    assert saved == list(found["saved_bytes_per_layer"].values())
    layers = [i for b in found["blocks"] for i in b["layers"]]
    assert sorted(layers) == list(range(found["layers"]))


@pytest.mark.parametrize("name", MODELS)
def test_operators_cache_what_the_model_does(run, name):
    """Bytes a token adds, past every window, and states, are those of the operators that keep them."""
    found = json.loads(run("model", name, "--format", "json").stdout)
    rows = [(b["times"], op) for b in found["blocks"] for op in b["operators"]]
    assert (
        sum(times * op["kv_cache_bytes_per_token"] for times, op in rows if not op["window"])
        == found["kv_cache_bytes_per_token"]
    )
    grown = sum(
        times * op["kv_cache_bytes_per_token"] * min(found["sequence"], op["window"] or found["sequence"])
        for times, op in rows
    )
    assert grown + sum(times * op["state_bytes"] for times, op in rows) == found["kv_cache_bytes"]
    assert found["kv_cache_reserved_bytes"] >= found["kv_cache_bytes"]


@pytest.mark.parametrize("name", MODELS)
def test_the_tree_fits_a_hundred_columns(run, name, monkeypatch):
    """No line is longer, and every operator has a branch of its own with its figures on it."""
    monkeypatch.setenv("COLUMNS", "100")
    text = run("model", name).stdout
    assert max(map(len, text.splitlines())) <= 100
    found = json.loads(run("model", name, "--format", "json").stdout)
    branches = [line for line in text.splitlines() if line.startswith(("├─", "└─"))]
    assert [b.split()[1] for b in branches] == [op["operator"] for b in found["blocks"] for op in b["operators"]]


def test_several_are_compared_in_a_hundred_columns(run, monkeypatch):
    """A column each: sizes, FLOPs, cache needed and in pages, weights, groups."""
    monkeypatch.setenv("COLUMNS", "100")
    text = run("model", *MODELS[:4]).stdout
    assert max(map(len, text.splitlines())) <= 100
    for label in ("parameters", "used for a token", "in pages of 16 tokens", "weights as stored", "experts"):
        assert label in text
