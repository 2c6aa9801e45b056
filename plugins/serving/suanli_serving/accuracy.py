"""How far published measurements were from these stages, and how long PyTorch takes to launch a layer.

``tools/judge.py`` makes the tables these figures are from, ``docs/accuracy.md``; ``tools/judge_bands.py`` says how a
band is set.
"""

from __future__ import annotations

from suanli import Band

LAUNCH_S = 0.84e-3
"""Seconds PyTorch takes to launch a layer of a dense transformer: the median over runs of single requests whose kernels
are shorter, which the Qwen team published of transformers on A100 and H20; ``tools/fit_overhead.py``.
Engines of PyTorch without graphs take as long: vLLM of November 2023, 0.6 to 0.9 ms a layer."""

RUNS = "published serving runs, none of them fitted to; 80 % of those of a source left out lie inside; docs/accuracy.md"

TPOT = Band(fitted=(0.71, 1.85), unmeasured=(0.71, 1.85), evidence=f"1,043 {RUNS}")
TTFT = Band(
    fitted=(1.1, 11.0),
    unmeasured=(1.04, 11.0),
    evidence=f"1,005 {RUNS}; a benchmark's requests start together and queue, here they come and go",
)
THROUGHPUT = Band(
    fitted=(0.37, 1.17),
    unmeasured=(0.37, 1.21),
    evidence=f"640 {RUNS}; those of transformers fitted to in one figure",
)
