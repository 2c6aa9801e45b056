"""Training state, pipelines and optimizers against what their papers and their real implementations state."""

from __future__ import annotations

from typing import Any

import pytest

import suanli

# 36 layers of width 4096 and a vocabulary that brings them to 7.5 billion parameters (7,500,002,304 exactly).
PSI = {"model_type": "gpt2", "vocab_size": 60089, "n_embd": 4096, "n_layer": 36, "n_head": 32, "n_positions": 1024}
# ZeRO (Rajbhandari et al. 2020, fig. 1): GB of model state for 7.5 B parameters on 64 ranks, mixed precision Adam;
# exactly 16 P, 4 P + 12 P / n, 2 P + 14 P / n, 16 P / n (seed case zero-stages-7.5b).
ZERO = [(0, 120.0, 120e9), (1, 31.4, 31.40625e9), (2, 16.6, 16.640625e9), (3, 1.9, 1.875e9)]


def states(recipe: str, *, zero: int = 0, data: int = 1, optimizer: str = "adam") -> tuple[float, float, float, int]:
    """Bytes of weights, gradients and optimizer states of a rank, and the parameters of the model."""
    report = suanli.estimate(
        {
            "model": {"config": PSI},
            "system": {"name": "dgx-a100", "accelerators": data},
            "workload": {"kind": "pretrain", "sequence": 1024, "global_batch": data},
            "layout": {"tensor": 1, "pipeline": 1, "data": data, "micro_batch": 1, "zero": zero, "recompute": "full"},
            "precision": {"recipe": recipe},
            "optimizer": {"name": optimizer},
        }
    )
    parts = report.memory.per_accelerator
    return parts.weights_bytes, parts.gradients_bytes, parts.optimizer_bytes, report.parameters.total


@pytest.mark.parametrize(("zero", "published_gb", "exact"), ZERO)
def test_zero_stages_of_the_paper(zero: int, published_gb: float, exact: float) -> None:
    """7.5 billion parameters on 64 ranks need 120, 31.4, 16.6 and 1.9 GB of state."""
    *parts, parameters = states("fp16-mixed", zero=zero, data=64)
    assert parameters == pytest.approx(7.5e9, rel=1e-6)
    assert sum(parts) == pytest.approx(exact, rel=1e-6)
    assert sum(parts) / 1e9 == pytest.approx(published_gb, abs=0.05)


@pytest.mark.parametrize(
    ("recipe", "weights", "gradients", "optimizer"),
    [
        ("bf16-mixed", 2, 4, 12),  # 18 N: 6 + 4 + 8 (seed case train-memory-7b-18n; Megatron-LM's fp32 gradients)
        ("fp16-mixed", 2, 2, 12),  # 16 N (Rajbhandari et al. 2020, sec. 3.1)
        ("fp16-mixed-main-gradients", 2, 6, 12),  # 20 P (seed case train-memory-13b-20p)
        ("bf16-no-master", 2, 2, 8),  # 2 + 2 + 8 (seed case train-10b-params)
        ("fp32", 4, 4, 8),
        ("bf16-pure", 2, 2, 4),
    ],
)
def test_bytes_of_a_parameter(recipe: str, weights: int, gradients: int, optimizer: int) -> None:
    """Each recipe keeps the bytes a parameter its source states, part by part."""
    *parts, parameters = states(recipe)
    assert parts == [weights * parameters, gradients * parameters, optimizer * parameters]


# Bytes of optimizer state a parameter: torch 2.13 optimizers after one step on a 1024 x 1024 matrix
# (the step count, 4 bytes a tensor, is the 4e-6 of Adam).
OPTIMIZERS = [
    ("sgd", "fp32", 0.0),
    ("momentum", "fp32", 4.0),
    ("momentum", "bf16-pure", 2.0),
    ("adam", "fp32", 8.000004),
    ("adam", "bf16-pure", 4.000004),
    ("adamw", "fp32", 8.000004),
    ("adamw", "bf16-pure", 4.000004),
]


@pytest.mark.parametrize(("optimizer", "recipe", "truth"), OPTIMIZERS)
def test_state_of_a_real_optimizer(optimizer: str, recipe: str, truth: float) -> None:
    """The estimator keeps what the real optimizer keeps for a parameter, but for its step count."""
    _, _, kept, parameters = states(recipe, optimizer=optimizer)
    assert kept / parameters == pytest.approx(truth, abs=5e-6)


@pytest.mark.parametrize(
    ("schedule", "stages", "chunks", "micro_batches", "fraction"),
    [
        # Narayanan et al. 2021, sec. 2.2: (p - 1) / m, and (p - 1) / (v m) with v chunks;
        # its figures 3 and 4 have p = 4, m = 8.
        ("gpipe", 4, 1, 8, 3 / 8),
        ("1f1b", 4, 1, 8, 3 / 8),
        ("interleaved", 4, 2, 8, 3 / 16),
        ("1f1b", 64, 1, 512, 63 / 512),
        ("interleaved", 8, 3, 64, 7 / 192),
        ("1f1b", 1, 1, 8, 0.0),
    ],
)
def test_bubble_of_equal_stages(schedule: str, stages: int, chunks: int, micro_batches: int, fraction: float) -> None:
    """The bubble over the ideal time is (p - 1) / (v m)."""
    rule: suanli.PipelineSchedule = suanli.catalog().get("schedule", schedule)
    one = 0.125
    bubble = rule.bubble_s(slowest_s=one, total_s=one * stages, stages=float(stages), chunks=float(chunks))
    assert bubble / (one * micro_batches) == pytest.approx(fraction, rel=1e-12)


@pytest.mark.parametrize(
    ("schedule", "chunks", "held"),
    [
        ("gpipe", 1.0, (12.0, 12.0, 12.0, 12.0)),  # Huang et al. 2019: every micro batch
        ("1f1b", 1.0, (4.0, 3.0, 2.0, 1.0)),  # Narayanan et al. 2019: as many as stages follow
        # Megatron-LM warms up with 2 (p - i - 1) + (v - 1) p chunk passes, and holds one more; v chunks are a stage.
        ("interleaved", 2.0, (11 / 2, 9 / 2, 7 / 2, 5 / 2)),
        ("interleaved", 3.0, (15 / 3, 13 / 3, 11 / 3, 9 / 3)),
    ],
)
def test_micro_batches_in_flight(schedule: str, chunks: float, held: tuple[float, ...]) -> None:
    """Each of four stages holds the micro batches of its schedule's paper, of twelve."""
    rule: suanli.PipelineSchedule = suanli.catalog().get("schedule", schedule)
    found: list[Any] = [rule.in_flight(stage=float(i), stages=4.0, micro_batches=12.0, chunks=chunks) for i in range(4)]
    assert found == pytest.approx(held, rel=1e-12)
    if schedule == "interleaved":
        # Korthikanti et al. 2022, sec. 4.2.3: (1 + (p - 1) / (p v)) times the p of plain 1F1B on the first stage.
        assert found[0] == pytest.approx(4 * (1 + 3 / (4 * chunks)), rel=1e-12)
