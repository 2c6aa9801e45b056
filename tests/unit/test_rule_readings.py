"""What rules read of a model that is no field of it: its round size, its window, its cache, the room it leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import suanli
from suanli import Asked, InvalidInputError, SuanliError, Workspace
from suanli.rule_inputs import LOOKED_UP, looked_up
from suanli.workspace import default

SECRET = """
[[accelerator]]
id = "hush"
vendor = "Hush"
product = "Hush 1"
generation = "hush-1"
memory = "96 GB"
memory_bandwidth = "3.21 TB/s"
power = "777 W"
confidential = true
default_system = "hush-box"
peak = { bf16 = "543 TFLOP/s", fp32 = "32.1 TFLOP/s", fp64 = "1.23 TFLOP/s" }
source = { all = "under NDA" }

[[accelerator]]
id = "plain"
vendor = "Hush"
product = "Plain 1"
memory = "96 GB"
memory_bandwidth = "3 TB/s"
default_system = "hush-box-of-plain"
peak = { bf16 = "500 TFLOP/s" }
source = { all = "Plain 1 datasheet" }

[[system]]
id = "hush-box"
accelerator = "hush"
accelerators_per_node = 1
source = { all = "under NDA" }

[[system]]
id = "hush-box-of-plain"
accelerator = "plain"
accelerators_per_node = 4
confidential = true
source = { all = "under NDA" }
[[system.tier]]
name = "HushLink"
span = 4
topology = "switch"
bandwidth = "123 GB/s"
"""


def read(name: str, **subjects: Any) -> float | None:
    """An input as it is looked up; None where the subjects do not tell."""
    found = looked_up(Asked(default(), subjects), name)
    return None if found is None else found.value


@pytest.fixture
def secretive(tmp_path: Path) -> Workspace:
    """A workspace with confidential entries."""
    (tmp_path / "hush.toml").write_text(SECRET)
    return Workspace(paths=[tmp_path])


@pytest.mark.parametrize(
    ("model", "called"),
    [
        ("gpt-3-175b", 175e9),
        ("gpt3", 175e9),  # by another of its names
        ("llama-7b", 7e9),
        ("qwen3-0.6b", 0.6e9),
        ("gpt2", 124e6),
        ("qwen2-57b-a14b", 57e9),  # of all, not of those a token uses
        ("qwen3-235b-a22b", 235e9),
        ("tinyllama-1.1b", 1.1e9),
    ],
)
def test_a_model_is_called_by_a_round_size(model: str, called: float) -> None:
    """The size in any of a model's names is the one people mean, near its count."""
    assert read("nominal_params", model=model) == called
    assert suanli.model(model).parameters.total == pytest.approx(called, rel=0.15)


@pytest.mark.parametrize("model", ["mixtral-8x7b", "gpt2-xl"])
def test_a_model_no_name_of_which_says_its_size_has_its_count(model: str) -> None:
    """A name without a size, or with that of an expert, leaves the count."""
    assert read("nominal_params", model=model) == suanli.model(model).parameters.total


def test_a_size_far_from_the_count_is_none(tmp_path: Path) -> None:
    """A number in a name that is not near the count means something else."""
    sizes = {"n_layer": 2, "n_embd": 64, "n_head": 4, "vocab_size": 100, "n_positions": 32}
    (tmp_path / "toy-7b.json").write_text(json.dumps({"model_type": "gpt2"} | sizes))
    name = str(tmp_path / "toy-7b.json")
    assert read("nominal_params", model=name) == suanli.model(name).parameters.total


@pytest.mark.parametrize(("off", "called"), [(0.86, True), (1.14, True), (0.8, False), (1.2, False)])
def test_a_size_in_a_name_is_round_by_a_seventh_at_most(tmp_path: Path, off: float, called: bool) -> None:
    """A name within 15 % of the count is what the model is called; one that is 20 % off says something else."""
    config = {"model_type": "gpt2", "n_layer": 2, "n_embd": 512, "n_head": 4, "vocab_size": 100, "n_positions": 32}
    count = suanli.model(config).parameters.total
    millions = round(count * off / 1e6, 3)
    (tmp_path / f"toy-{millions}m.json").write_text(json.dumps(config))
    found = read("nominal_params", model=str(tmp_path / f"toy-{millions}m.json"))
    assert found == pytest.approx(millions * 1e6 if called else count)


def test_a_window_is_the_model_s_or_none() -> None:
    """The window is read where a layer has one, and is no figure where none has."""
    assert read("window", model="mistral-7b-v0.1") == 4096
    assert read("window", model="llama-7b") is None
    with pytest.raises(InvalidInputError, match="window: required"):
        suanli.rule("kv-cache-window", model="llama-7b", tokens=1)


def test_a_token_s_cache_and_the_room_for_it_go_by_the_precision() -> None:
    """Both are of two bytes unless a format is named; the room is what weights leave, and not below nothing."""
    model, device = suanli.model("llama-2-7b"), suanli.accelerator("a10")
    assert read("kv_bytes_per_token", model="llama-2-7b") == 524288
    assert read("kv_bytes_per_token", model="llama-2-7b", precision="fp8") == 262144
    named = {"model": "llama-2-7b", "accelerator": "a10"}
    assert read("free_bytes", **named) == device.capacity_bytes - 2 * model.parameters.total
    assert read("free_bytes", **named, precision="int8") == device.capacity_bytes - model.parameters.total
    assert read("free_bytes", model="llama-2-70b", accelerator="a10") == 0.0
    assert read("free_bytes", model="llama-2-7b") is None
    assert read("free_bytes", accelerator="a10") is None


def test_a_token_s_cache_is_what_grows() -> None:
    """A state of constant size is no part of what a token takes: of Jamba 4 layers of 32 keep keys and values.

    2 x 8 heads x 128 x 2 bytes in each, 16,384 bytes; over 256K tokens the 4 GB of Lieber et al. 2024, table 1.
    A model without keys and values takes nothing for a token.
    """
    token = 4 * 2 * 8 * 128 * 2
    assert read("kv_bytes_per_token", model="jamba-v0.1") == token
    assert 2**18 * token == 4 * 2**30
    assert read("kv_bytes_per_token", model="mamba-2.8b") == 0.0
    model = suanli.model("jamba-v0.1")
    state = model.kv_cache_bytes(1) - token
    sizes = {"window": 64, "kv_heads": 8, "head_dim": 128, "layers": 4}
    found = suanli.rule("kv-cache-window", model="jamba-v0.1", tokens=1000, **sizes)
    assert found.exact == [model.kv_cache_bytes(1000), state + 1000 * token]
    assert suanli.rule("kv-cache-tokens", model="jamba-v0.1", free_bytes=1e9).value == 1e9 // token


@pytest.mark.parametrize("name", ["nominal_params", "window", "kv_bytes_per_token", "free_bytes"])
def test_nothing_is_read_of_what_is_not_named(name: str) -> None:
    """Without its subjects an input is not looked up, and they are said where it is required."""
    assert read(name, precision="fp8") is None
    assert "model" in LOOKED_UP[name].subjects


def test_the_room_of_a_confidential_accelerator_is_not_shown(secretive: Workspace) -> None:
    """What weights leave of confidential memory enters the answer and is not shown: it gives the memory away."""
    asked = {"model": "llama-7b", "accelerator": "hush"}
    found = secretive.rule("kv-cache-tokens", **asked)
    assert found.value > 0
    assert found.inputs["free_bytes"] is None
    assert found.inputs["per_token"] == 524288


@pytest.mark.parametrize(
    ("rule", "inputs"),
    [
        ("spec-sheet", {"accelerator": "hush"}),
        ("vector-and-matrix-peaks", {"accelerator": "hush"}),
        ("vector-and-matrix-peaks", {"system": "hush-box"}),
        ("spec-table", {"accelerators": ["a10", "hush"]}),
        ("spec-table", {"accelerators": ["plain"]}),  # whose usual system is confidential
    ],
)
def test_a_confidential_datasheet_is_not_recited(secretive: Workspace, rule: str, inputs: dict[str, Any]) -> None:
    """Rules that tell what a datasheet says refuse a confidential one, and name none of its figures."""
    with pytest.raises(SuanliError, match="confidential") as caught:
        secretive.rule(rule, **inputs)
    assert not any(figure in str(caught.value) for figure in ("543", "3.21", "777", "123", "32.1"))


def test_a_sheet_leaves_open_what_nobody_states() -> None:
    """A path an accelerator lacks, a link without NVLink's rate, a tier it does not have: None, not 0."""
    assert suanli.rule("spec-sheet", accelerator="h100").value["int4"] is None
    assert suanli.rule("vector-and-matrix-peaks", accelerator="910b").value[2] is None
    table = suanli.rule("spec-table", accelerators=["910b3", "gh200-96", "b200"]).value
    assert table["links"] == [None, None, 18]
    assert table["link_bidir_gb_s"] == [392, None, 1800]
    with pytest.raises(InvalidInputError, match="accelerator: required"):
        suanli.rule("spec-sheet")
    with pytest.raises(InvalidInputError, match="a100"):
        suanli.rule("spec-table", accelerators=["a1000"])


@pytest.mark.parametrize(
    ("rule", "inputs", "fault"),
    [
        ("kv-quantisation", {"bits": [16]}, "two numbers"),
        ("continuous-batching-gain", {"batch": 0}, "at least one request"),
        ("kv-cache-tokens", {"free_bytes": 1e9, "per_token": 0}, "no finite answer"),
        ("phase-intensity", {"prompt": 8, "output": 8}, "no model is named"),
        ("phase-intensity", {"model": "gpt2", "prompt": 8.5, "output": 8}, "prompt is no whole number"),
        ("reading-speed", {"tpot_s": 0}, "no finite answer"),
    ],
)
def test_what_makes_no_sense_is_refused(rule: str, inputs: dict[str, Any], fault: str) -> None:
    """Rules of serving say what is wrong with their inputs, never with a traceback."""
    with pytest.raises(InvalidInputError, match=fault):
        suanli.rule(rule, **inputs)
