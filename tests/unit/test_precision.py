"""Bytes of every number format, scales of blocks included, and bytes of state of every recipe."""

from __future__ import annotations

from typing import Any

import pytest
from attrs.exceptions import FrozenInstanceError

import suanli
from suanli import NumberFormat, Recipe
from suanli.testing import resolved, run_one

# name, significant bits, bits stored, bytes of an element in a long tensor, bytes of 100 elements
FORMATS = [
    ("fp64", 64, 64, 8.0, 800),
    ("fp32", 32, 32, 4.0, 400),
    ("tf32", 19, 32, 4.0, 400),
    ("bf16", 16, 16, 2.0, 200),
    ("fp16", 16, 16, 2.0, 200),
    ("fp8", 8, 8, 1.0, 100),
    ("fp8-e5m2", 8, 8, 1.0, 100),
    ("mxfp8", 8, 8, 1.0 + 1 / 32, 100 + 4),
    ("int8", 8, 8, 1.0, 100),
    ("int4", 4, 4, 0.5, 50),
    ("nf4", 4, 4, 0.5 + 1 / 64, 50 + 2),
    ("mxfp4", 4, 4, 0.5 + 1 / 32, 50 + 4),
    ("nvfp4", 4, 4, 0.5 + 1 / 16, 50 + 7),
]


@pytest.mark.parametrize(("name", "bits", "stored", "each", "hundred"), FORMATS, ids=[f[0] for f in FORMATS])
def test_a_format_s_bytes(name: str, bits: int, stored: int, each: float, hundred: int) -> None:
    """Bits, bytes of an element with its share of the scale, and exact bytes of a tensor with every begun block."""
    found: NumberFormat = suanli.catalog().get("precision", name)
    assert (found.bits, found.stored_bits) == (bits, stored)
    assert found.bytes_per_element == each
    assert found.bytes(100) == hundred
    assert found.bytes(0) == 0
    assert found.bytes(10**15) >= 10**15 * stored // 8


def test_every_format_has_a_row() -> None:
    """A format that is installed is held to its definition: give it a row when it comes."""
    ours = {e.name for e in suanli.catalog().entries("precision") if e.provider.plugin == "precisions"}
    assert ours == {f[0] for f in FORMATS}


def test_a_tensor_takes_whole_bytes() -> None:
    """Elements of less than a byte are rounded up once for a tensor, and a begun block has a whole scale."""
    four = NumberFormat(name="four", bits=4)
    assert [four.bytes(n) for n in (0, 1, 2, 3)] == [0, 1, 1, 2]
    blocks = NumberFormat(name="blocks", bits=4, block=32, scale_bits=8)
    assert [blocks.bytes(n) for n in (1, 32, 33)] == [2, 17, 19]


@pytest.mark.parametrize("wrong", [{"bits": 0}, {"bits": -4}, {"bits": 4, "block": -1}, {"bits": 4, "scale_bits": -8}])
def test_a_format_has_bits(wrong: dict[str, Any]) -> None:
    """Formats of no bits, and blocks of less than nothing, are refused."""
    with pytest.raises(ValueError, match="must be"):
        NumberFormat(name="wrong", **wrong)


# recipe by any name people use, bytes a parameter of weights, gradients, and optimizer (master weights included)
RECIPES = [
    ("18n", 2, 4, 12, 18),
    ("bf16-mixed", 2, 4, 12, 18),
    ("16n", 2, 2, 12, 16),
    ("fp16-mixed", 2, 2, 12, 16),
    ("20p", 2, 6, 12, 20),
    ("2+2+8", 2, 2, 8, 12),
    ("fp32", 4, 4, 8, 16),
    ("bf16-pure", 2, 2, 4, 8),
    ("fp8-mixed", 2, 4, 12, 18),
    ("mxfp8-mixed", 2, 4, 12, 18),
    ("nvfp4-mixed", 2, 4, 12, 18),
]


def states(recipe: str, optimizer: str = "adamw", **precision: str) -> tuple[float, float, float, int]:
    """Bytes of weights, gradients and optimizer a parameter of a small model needs, and how many there are."""
    config = {"model_type": "gpt2", "vocab_size": 96, "n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 128}
    case = resolved(
        {
            "model": {"config": config},
            "system": {"name": "dgx-h100", "accelerators": 1},
            "workload": {"sequence": 128, "global_batch": 1},
            "precision": {"recipe": recipe, **precision},
            "optimizer": {"name": optimizer},
        }
    )
    values = run_one(case, suanli.Layout())
    count = case.model.parameters.total
    w, g, o = (values[f"memory.{k}_bytes"] / count for k in ("weights", "gradients", "optimizer"))
    return w, g, o, count


@pytest.mark.parametrize(("recipe", "weights", "gradients", "optimizer", "whole"), RECIPES, ids=[r[0] for r in RECIPES])
def test_a_recipe_s_bytes_of_state(recipe: str, weights: int, gradients: int, optimizer: int, whole: int) -> None:
    """Weights, gradients and Adam's states are exactly the bytes a parameter the recipe is known by."""
    found = states(recipe)
    assert found[:3] == (weights, gradients, optimizer)
    assert sum(found[:3]) == whole


@pytest.mark.parametrize(("optimizer", "each"), [("sgd", 4), ("momentum", 8), ("adam", 12), ("adamw", 12)])
def test_an_optimizer_s_states(optimizer: str, each: int) -> None:
    """Beside the fp32 master weights, no state for SGD, one for momentum, two for Adam."""
    assert states("bf16-mixed", optimizer)[2] == each


def test_any_format_of_a_recipe_can_be_overridden() -> None:
    """ZeRO's 16 bytes are the default recipe with half gradients; without master weights it is 2 + 2 + 8."""
    assert states("bf16-mixed", gradients="bf16", main_gradients="none")[:3] == (2, 2, 12)
    assert states("bf16-mixed", gradients="bf16", main_gradients="none", master_weights="none")[:3] == (2, 2, 8)
    assert states("bf16-mixed", optimizer_states="bf16")[:3] == (2, 4, 8)
    assert states("bf16-mixed", gradients="fp16")[:3] == (2, 6, 12)


def test_zero_divides_sixteen_bytes() -> None:
    """ZeRO, sec. 3: of 2 + 2 + 12 bytes on eight ranks stage 1 keeps 4 + 12/8, 2 keeps 2 + 14/8, 3 keeps 16/8."""
    config = {"model_type": "gpt2", "vocab_size": 96, "n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 128}
    case = resolved(
        {
            "model": {"config": config},
            "system": {"name": "dgx-h100", "accelerators": 8},
            "workload": {"sequence": 128, "global_batch": 8},
            "precision": {"recipe": "16n"},
        }
    )
    expected = [16.0, 4 + 12 / 8, 2 + 14 / 8, 16 / 8]
    for zero, bytes_each in enumerate(expected):
        values = run_one(case, suanli.Layout(data=8, zero=zero))
        held = sum(values[f"memory.{k}_bytes"] for k in ("weights", "gradients", "optimizer"))
        assert held == pytest.approx(bytes_each * case.model.parameters.total, rel=1e-12)


def test_every_recipe_names_formats_that_exist() -> None:
    """No recipe mentions a format nobody provides, and every one names its source."""
    catalog = suanli.catalog()
    for entry in catalog.entries("recipe"):
        recipe: Recipe = entry.value
        assert set(recipe.formats()) <= set(catalog.formats), recipe.name
        assert recipe.kind in ("training", "serving")
        assert recipe.source
    for entry in catalog.entries("precision"):
        assert {entry.value.compute, *entry.value.wider} <= {*catalog.formats, "fp4"}


@pytest.mark.parametrize(
    "name", ["bf16", "fp16", "fp32", "fp8", "int8", "int4", "nf4", "w8a8", "w4a16", "fp4", "mxfp4"]
)
def test_serving_recipes_by_the_names_people_type(name: str) -> None:
    """Layers take the bytes of the format the name says, in serving; embedding and head stay in two at least."""
    expected = {"w8a8": 1.0, "w4a16": 0.5, "fp4": 0.5625}
    bits = expected.get(name) or suanli.catalog().get("precision", name).bytes_per_element
    case = resolved(
        {
            "model": {"name": "tinyllama-1.1b"},
            "system": {"name": "dgx-b200", "accelerators": 1},
            "workload": {"kind": "serve"},
            "precision": {"recipe": name},
        }
    )
    held = run_one(case, suanli.Layout())["memory.weights_bytes"]
    ends = sum(p.elements for b in (case.model.embedding, case.model.head) for p in b.parameters)
    expected_bytes = bits * (case.model.parameters.total - ends) + max(bits, 2.0) * ends
    assert held == pytest.approx(expected_bytes, rel=1e-12)


def test_values_are_frozen() -> None:
    """A format and a recipe cannot be changed under whoever shares them."""
    form = suanli.catalog().get("precision", "bf16")
    with pytest.raises(FrozenInstanceError):
        form.bits = 8
    with pytest.raises(FrozenInstanceError):
        suanli.catalog().get("recipe", "bf16-mixed").weights = "fp8"
