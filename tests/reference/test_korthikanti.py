"""Korthikanti et al. 2022, "Reducing activation recomputation in large transformer models" (arXiv:2205.05198).

Activation memory is the paper's formula exactly; iteration times are measurements, held to 30 %.
"""

from __future__ import annotations

from typing import Any

import pytest

import suanli

# Table 3: size, layers, hidden, heads, accelerators, pipeline, chunks, micro batch, global batch
# (tensor 8, data 1, sequence 2048, vocabulary 51200 for all of them).
TABLE_3 = {
    "22B": (48, 6144, 64, 8, 1, 1, 4, 4),
    "175B": (96, 12288, 96, 64, 8, 3, 1, 64),
    "530B": (105, 20480, 128, 280, 35, 3, 1, 280),
    "1T": (128, 25600, 160, 512, 64, 1, 1, 512),
}
# Table 5: seconds of an iteration with full recompute, and with sequence parallelism and selective recompute.
TABLE_5 = {"22B": (1.42, 1.10), "175B": (18.13, 13.75), "530B": (49.05, 37.83), "1T": (94.42, 71.49)}
FIRST_ORDER = 0.30
"""What a first-order estimator is held to; the worst of the eight is 21 % off when this was written."""

# Figure 7: memory in percent of tensor parallelism alone: sequence parallel, selective, both, full recompute
# (read off the figure, as digitised by calculon).
FIGURE_7 = {
    "22B": (66.84, 49.42, 16.18, 7.64),
    "175B": (62.04, 56.53, 18.49, 8.71),
    "530B": (58.31, 62.04, 20.27, 9.42),
    "1T": (58.31, 62.04, 20.27, 9.42),
}
SEQUENCE, TENSOR = 2048, 8


def config(layers: int, hidden: int, heads: int) -> dict[str, Any]:
    """A model of the paper."""
    return {
        "model_type": "gpt2",
        "vocab_size": 51200,
        "n_embd": hidden,
        "n_layer": layers,
        "n_head": heads,
        "n_positions": SEQUENCE,
    }


def scenario(size: str, *, recompute: str, spread: bool) -> dict[str, Any]:
    """A run of Table 5."""
    layers, hidden, heads, ranks, pipeline, chunks, micro, batch = TABLE_3[size]
    return {
        "model": {"config": config(layers, hidden, heads)},
        "system": {"name": "dgx-a100", "accelerators": ranks},
        "workload": {"kind": "pretrain", "sequence": SEQUENCE, "global_batch": batch},
        "layout": {
            "tensor": TENSOR,
            "pipeline": pipeline,
            "data": 1,
            "virtual_stages": chunks,
            "schedule": "interleaved" if chunks > 1 else "1f1b",
            "micro_batch": micro,
            "sequence_parallel": spread,
            "zero": 0,
            "recompute": recompute,
        },
        "precision": {"recipe": "fp16-mixed"},
        "implementation": {"profile": "megatron", "attention": "eager", "dropout": 0.1},
    }


def layer_bytes(size: str, *, tensor: int, recompute: str, spread: bool, batch: int = 1) -> float:
    """Bytes one layer keeps on one rank, as the estimator has it: the difference that one more layer makes."""
    _, hidden, heads, *_ = TABLE_3[size]
    found = []
    for layers in (1, 2):
        report = suanli.estimate(
            {
                "model": {"config": config(layers, hidden, heads)},
                "system": {"name": "dgx-a100", "accelerators": tensor},
                "workload": {"kind": "pretrain", "sequence": SEQUENCE, "global_batch": batch},
                "layout": {"tensor": tensor, "pipeline": 1, "data": 1, "micro_batch": batch, "zero": 0}
                | {"sequence_parallel": spread, "recompute": recompute},
                "implementation": {"attention": "eager", "dropout": 0.1},
            }
        )
        found.append(report.memory.per_accelerator.activations_bytes)
    return found[1] - found[0]


@pytest.mark.parametrize("size", TABLE_3)
@pytest.mark.parametrize("batch", [1, 3])
def test_a_layer_keeps_34sbh_and_5as2b(size: str, batch: int) -> None:
    """Equation 1: s b h (34 + 5 a s / h) bytes without parallelism, to the byte."""
    layers, h, a, *_ = TABLE_3[size]
    s, b = SEQUENCE, batch
    model = suanli.model(config(layers, h, a))
    kept = model.saved_activation_bytes(batch=b, sequence=s, attention="eager", dropout=0.1)
    assert kept == 34 * s * b * h + 5 * a * s * s * b


@pytest.mark.parametrize("tensor", [2, 8])
@pytest.mark.parametrize("size", TABLE_3)
def test_parallel_and_recomputed_layers_keep_what_table_2_says(size: str, tensor: int) -> None:
    """Table 2, row by row: tensor, with sequence parallelism, with selective recompute, both, full recompute."""
    _, h, a, *_ = TABLE_3[size]
    s, t = SEQUENCE, tensor
    scores = 5 * a * s / h
    rows = [
        ("none", False, 10 + 24 / t + scores / t),
        ("none", True, 34 / t + scores / t),
        ("selective", False, 10 + 24 / t),
        ("selective", True, 34 / t),
        ("full", False, 2),
    ]
    for recompute, spread, per_sbh in rows:
        kept = layer_bytes(size, tensor=t, recompute=recompute, spread=spread)
        assert kept == pytest.approx(per_sbh * s * h, rel=1e-12), (recompute, spread)


@pytest.mark.parametrize("size", FIGURE_7)
def test_memory_falls_as_in_figure_7(size: str) -> None:
    """Each technique leaves the share of memory the figure shows, within the half percent it can be read to."""
    ways = [("none", True), ("selective", False), ("selective", True), ("full", False)]
    base = layer_bytes(size, tensor=TENSOR, recompute="none", spread=False)
    shares = [100 * layer_bytes(size, tensor=TENSOR, recompute=r, spread=s) / base for r, s in ways]
    assert shares == pytest.approx(FIGURE_7[size], abs=0.5)


@pytest.mark.parametrize("size", TABLE_5)
def test_iteration_times_of_table_5(size: str) -> None:
    """Both columns of Table 5, each within what a first-order estimator is held to."""
    full, ours = TABLE_5[size]
    slow = suanli.estimate(scenario(size, recompute="full", spread=False))
    fast = suanli.estimate(scenario(size, recompute="selective", spread=True))
    assert slow.time.step_s == pytest.approx(full, rel=FIRST_ORDER)
    assert fast.time.step_s == pytest.approx(ours, rel=FIRST_ORDER)
    # The paper's headline, about 30 % faster, is a ratio: what is wrong with both alike drops out.
    assert slow.time.step_s / fast.time.step_s == pytest.approx(full / ours, rel=0.1)


@pytest.mark.parametrize("size", TABLE_5)
def test_the_runs_of_table_5_fit(size: str) -> None:
    """Every configuration the paper ran on 80 GB parts fits, and without any recompute the large ones do not."""
    assert suanli.estimate(scenario(size, recompute="selective", spread=True)).fits
    if size != "22B":
        assert not suanli.estimate(scenario(size, recompute="none", spread=False)).fits


@pytest.mark.parametrize("size", TABLE_3)
def test_flops_of_an_iteration(size: str) -> None:
    """Model FLOPs are the paper's 72 B L s h^2 (1 + s/6h + v/12hL) exactly; recompute adds the cores once, s/18h.

    The paper's own hardware FLOPs (s/3h in place of s/6h) count that addition three times.
    """
    layers, h, _, _, _, _, _, batch = TABLE_3[size]
    s, v = SEQUENCE, 51200
    report = suanli.estimate(scenario(size, recompute="selective", spread=True))
    unit = 72 * batch * layers * s * h * h
    model = unit * (1 + s / (6 * h) + v / (12 * h * layers))
    assert report.flops.model_flops == pytest.approx(model, rel=1e-12)
    assert report.flops.hardware_flops == pytest.approx(model + unit * s / (18 * h), rel=1e-12)


def test_the_embedding_keeps_its_dropout_mask() -> None:
    """Section 4.3: besides its layers the first stage keeps the mask of the embedding's dropout, s b h bytes."""
    _, h, a, *_ = TABLE_3["22B"]
    report = suanli.estimate(
        {
            "model": {"config": config(2, h, a)},
            "system": {"name": "dgx-a100", "accelerators": 1},
            "workload": {"kind": "pretrain", "sequence": SEQUENCE, "global_batch": 3},
            "layout": {"tensor": 1, "pipeline": 1, "data": 1, "micro_batch": 3, "zero": 0, "recompute": "none"},
            "implementation": {"attention": "eager", "dropout": 0.1},
        }
    )
    s, b = SEQUENCE, 3
    kept = 2 * (34 * s * b * h + 5 * a * s * s * b)
    assert report.memory.per_accelerator.activations_bytes == kept + s * b * h
