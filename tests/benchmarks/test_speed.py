"""How fast, how many, how much memory; times are reported, never asserted.

To see them: ``pytest tests/benchmarks --benchmark-enable``.
"""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest

import suanli

ESTIMATE: dict[str, Any] = {
    "model": {"name": "llama-65b"},
    "system": {"name": "dgx-a100", "accelerators": 2048},
    "workload": {"kind": "pretrain", "tokens": "1.4T", "sequence": 2048, "global_batch": 2048},
    "layout": {"tensor": 8, "pipeline": 8, "data": 32, "micro_batch": 1, "zero": 1, "recompute": "selective"},
}
SERVE: dict[str, Any] = {
    "model": {"name": "llama-3-70b"},
    "system": {"name": "dgx-h100", "accelerators": 8},
    "workload": {"kind": "serve", "batch": 32},
    "layout": {"tensor": 8, "pipeline": 1},
}
GPT3: dict[str, Any] = {
    "model": {"name": "gpt3-175b"},
    "system": {"name": "dgx-a100", "accelerators": 4096},
    "workload": {"kind": "pretrain", "tokens": "300B", "sequence": 2048, "global_batch": 45 * 4096},
    "layout": {
        "zero": [0, 1, 2, 3],
        "schedule": ["gpipe", "1f1b", "interleaved"],
        "micro_batch": [1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 16, 18, 20, 24, 30, 32, 36, 40, 45, 48, 60, 64],
    },
}
"""A global batch with many divisors, so that there are 194,040 legal layouts; with the paper's 1,536 sequences, few."""


@pytest.mark.parametrize("scenario", [ESTIMATE, SERVE], ids=["train", "serve"])
def test_one_estimate(benchmark: Any, scenario: dict[str, Any]) -> None:
    """One report of a given layout, warm: the aim is a millisecond."""
    workspace = suanli.Workspace()
    asked = workspace.scenario(scenario)
    workspace.estimate(asked)
    report = benchmark(workspace.estimate, asked)
    assert report.fits


def test_table_rate(benchmark: Any) -> None:
    """GPT-3 175B on 4096 A100, every layout: the aim is a million layouts a CPU-second on one core."""
    workspace = suanli.Workspace()
    workspace.search(GPT3, top=1, max_layouts=1000)

    def search() -> tuple[int, float]:
        began = time.process_time()
        found = workspace.search(GPT3, top=10)
        return found.evaluated, time.process_time() - began

    evaluated, seconds = benchmark.pedantic(search, rounds=1, iterations=1)
    benchmark.extra_info["layouts"] = evaluated
    benchmark.extra_info["layouts_per_cpu_second"] = evaluated / seconds
    assert evaluated > 150_000


def peak_bytes(layouts: int) -> int:
    """The most memory a search of so many layouts holds at once."""
    workspace = suanli.Workspace()
    workspace.search(GPT3, top=10, max_layouts=1000)
    tracemalloc.start()
    try:
        found = workspace.search(GPT3, top=10, max_layouts=layouts)
        assert found.evaluated == layouts
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_flat_in_the_number_of_layouts() -> None:
    """Nearly ten times the layouts need no more memory than a chunk and the frames do."""
    few, many = peak_bytes(20_000), peak_bytes(190_000)
    assert many < 2.0 * few + 20_000_000
