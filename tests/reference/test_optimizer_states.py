"""What optimizers keep and compute, against the real ones and against what their papers state."""

from __future__ import annotations

import math
from typing import Any

import pytest

import suanli
from suanli.testing import resolved, run_one

SHAPES = ((1024, 1024), (1024, 2752), (8192,), (1024,))

# Bytes of state a parameter after one step on a tensor of each shape, fp32 and bf16 weights, six decimals:
# optimizers of torch 2.13, transformers 5.23, and bitsandbytes with blocks of 256.
# Whose figures are alike share a row.
TRUTH: list[tuple[str, tuple[float, ...], tuple[float, ...]]] = [
    ("sgd", (0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)),
    ("momentum", (4.0, 4.0, 4.0, 4.0), (2.0, 2.0, 2.0, 2.0)),
    (
        "rmsprop adagrad",
        (4.000004, 4.000001, 4.000488, 4.003906),
        (2.000004, 2.000001, 2.000488, 2.003906),
    ),
    (
        "adam adamw adamw-fused radam adamax rmsprop-momentum adadelta rprop",
        (8.000004, 8.000001, 8.000488, 8.003906),
        (4.000004, 4.000001, 4.000488, 4.003906),
    ),
    (
        "amsgrad rmsprop-centered-momentum",
        (12.000004, 12.000001, 12.000488, 12.003906),
        (6.000004, 6.000001, 6.000488, 6.003906),
    ),
    ("nadam", (8.000008, 8.000003, 8.000977, 8.007812), (4.000008, 4.000003, 4.000977, 4.007812)),
    ("asgd", (4.000011, 4.000004, 4.001465, 4.011719), (2.000011, 2.000004, 2.001465, 2.011719)),
    ("torch-adafactor", (0.007816, 0.005361, 4.000488, 4.003906), (0.00391, 0.002681, 2.000488, 2.003906)),
    ("adafactor", (0.007816, 0.005361, 4.000488, 4.003906), (0.007816, 0.005361, 4.000488, 4.003906)),
    ("adafactor-beta1", (4.007816, 4.005361, 8.000488, 8.003906), (4.007816, 4.005361, 8.000488, 8.003906)),
    # torch.optim.Muon refuses vectors; they are AdamW's here.
    ("muon", (4.0, 4.0, 8.000488, 8.003906), (2.0, 2.0, 4.000488, 4.003906)),
    ("adam8bit adamw8bit paged_adamw_8bit", (2.033203, 2.031977, 2.28125, 8.0), (2.033203, 2.031977, 2.28125, 8.0)),
    (
        "sgd8bit rmsprop8bit adagrad8bit lion8bit",
        (1.016602, 1.015988, 1.140625, 4.0),
        (1.016602, 1.015988, 1.140625, 4.0),
    ),
    ("ademamix8bit", (3.048828, 3.047602, 3.296875, 12.0), (3.048828, 3.047602, 3.296875, 12.0)),
    ("adamw32bit paged_adamw_32bit", (8.0, 8.0, 8.0, 8.0), (8.0, 8.0, 8.0, 8.0)),
]
ROWS = [(name, form, row[i]) for row in TRUTH for name in row[0].split() for i, form in ((1, "fp32"), (2, "bf16"))]


@pytest.mark.parametrize(("name", "form", "expected"), ROWS, ids=[f"{r[0]}-{r[1]}" for r in ROWS])
def test_states_of_a_real_optimizer(name: str, form: str, expected: Any) -> None:
    """Every state tensor of the real optimizer is there, to the byte: tables and step counts included."""
    catalog = suanli.catalog()
    rule: suanli.OptimizerRule = catalog.get("optimizer", name)
    for shape, bytes_each in zip(SHAPES, expected, strict=True):
        assert round(rule.state_bytes(shape, catalog.formats, form) / math.prod(shape), 6) == bytes_each, shape


GPT: dict[str, Any] = {"model_type": "gpt2", "vocab_size": 512, "n_embd": 256, "n_layer": 3, "n_head": 4}
GPT |= {"n_positions": 128, "tie_word_embeddings": False}
# The tensors of such a model (Radford et al. 2019), queries, keys and values apart: shape, how many.
H, V, P, L = 256, 512, 128, 3
HIDDEN = [((H, H), 4 * L), ((H, 4 * H), 2 * L)]
VECTORS = [((H,), L * (2 * 2 + 4 + 1) + 2), ((4 * H,), L)]
OUTER = [((V, H), 2), ((P, H), 1)]


def count(tensors: list[tuple[tuple[int, ...], int]], bytes_of: Any) -> int:
    """The sum over tensors of what each takes."""
    return sum(times * bytes_of(*shape) for shape, times in tensors)


def optimizer_bytes(optimizer: str, recipe: str, **layout: Any) -> tuple[float, int]:
    """Optimizer bytes of a rank of the model above, and its parameters."""
    case = resolved(
        {
            "model": {"config": GPT},
            "system": {"name": "dgx-a100", "accelerators": suanli.Layout(**layout).world},
            "workload": {"sequence": 128, "global_batch": 8},
            "precision": {"recipe": recipe},
            "optimizer": {"name": optimizer},
        }
    )
    return run_one(case, suanli.Layout(**layout))["memory.optimizer_bytes"], case.model.parameters.total


def quantized(*shape: int) -> float:
    """Bytes of two 8-bit states: a byte an element and 4 a block of 256; fp32 below 4096 elements."""
    n = math.prod(shape)
    return 8 * n if n < 4096 else 2 * (n + 4 * n / 256)


@pytest.mark.parametrize(
    ("optimizer", "recipe", "expected"),
    [
        ("adamw", "fp32", 8 * count(HIDDEN + VECTORS + OUTER, lambda *s: math.prod(s))),
        ("adamw", "bf16-pure", 4 * count(HIDDEN + VECTORS + OUTER, lambda *s: math.prod(s))),
        # Shazeer & Stern 2018, sec. 3: rows and columns; 4 bytes a tensor for the root mean square of its weights.
        (
            "adafactor",
            "bf16-pure",
            4 * (count(HIDDEN + OUTER, lambda r, c: r + c + 1) + count(VECTORS, lambda n: n + 1)),
        ),
        # Jordan et al. 2024: momentum for hidden matrices, AdamW for the rest.
        ("muon", "fp32", 4 * count(HIDDEN, lambda r, c: r * c) + 8 * count(VECTORS + OUTER, lambda *s: math.prod(s))),
        # Dettmers et al. 2022; two tables of 256 fp32 codes serve all tensors.
        ("adamw-8bit", "bf16-pure", count(HIDDEN + VECTORS + OUTER, quantized) + 2 * 256 * 4),
        ("adamw-32bit", "bf16-pure", 8 * count(HIDDEN + VECTORS + OUTER, lambda *s: math.prod(s))),
    ],
)
def test_states_of_a_whole_model(optimizer: str, recipe: str, expected: float) -> None:
    """The report's optimizer bytes are the sum over the model's tensors, each by its shape."""
    found, parameters = optimizer_bytes(optimizer, recipe)
    assert parameters == count(HIDDEN + VECTORS + OUTER, lambda *s: math.prod(s))
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("recipe", "masters"), [("bf16-mixed", 4), ("fp32", 0)])
def test_masters_are_beside_the_states(recipe: str, masters: int) -> None:
    """Muon with fp32 masters: 8 bytes a parameter of hidden matrices, 12 of the rest, as Adam's (Liu et al. 2025)."""
    found, parameters = optimizer_bytes("muon", recipe)
    rest = count(VECTORS + OUTER, lambda *s: math.prod(s))
    assert found == parameters * (4 + masters) + 4 * rest


def test_zero_divides_all_but_the_tables() -> None:
    """ZeRO 1 on four ranks keeps a quarter of 8-bit states, and every rank both tables of codes."""
    whole, _ = optimizer_bytes("adamw-8bit", "bf16-pure")
    shard, _ = optimizer_bytes("adamw-8bit", "bf16-pure", data=4, zero=1)
    assert shard - 2048 == pytest.approx((whole - 2048) / 4, rel=1e-12)


def newton_schulz_flops(shape: tuple[int, ...]) -> float:
    """FLOPs of the products Muon's step takes for one matrix."""
    rule: suanli.OptimizerRule = suanli.catalog().get("optimizer", "muon")
    return sum(2.0 * p.m * p.n * p.k * p.times for p in rule.products(shape))


@pytest.mark.parametrize(("rows", "columns"), [(768, 768), (768, 3072), (3072, 768), (16384, 53248)])
def test_products_of_muon(rows: int, columns: int) -> None:
    """Five iterations of 2 (2 n m^2 + m^3) FLOPs for m x n, m the smaller (Jordan et al. 2024, runtime)."""
    m, n = min(rows, columns), max(rows, columns)
    assert newton_schulz_flops((rows, columns)) == 5 * 2 * (2 * n * m**2 + m**3)


@pytest.mark.parametrize(("width", "batch", "percent"), [(768, 524288, 0.7), (16384, 16_000_000, 0.5)])
def test_overhead_of_muon_as_published(width: int, batch: int, percent: float) -> None:
    """A square matrix costs T m / B of its forward and backward: 0.7 % for NanoGPT, 0.5 % for Llama 405B."""
    share = newton_schulz_flops((width, width)) / (6 * width**2 * batch)
    assert share == pytest.approx(5 * width / batch, rel=1e-12)
    assert share * 100 == pytest.approx(percent, abs=0.05)
