"""How far published measurements were from these stages.

Nothing was fitted to those runs. ``tools/judge.py`` makes the tables these figures are from, ``docs/accuracy.md``.
"""

from __future__ import annotations

from suanli import Band

LAUNCH_S = 0.84e-3
"""Seconds PyTorch takes to launch a layer of a dense transformer: the median over runs of single requests whose kernels
are shorter, which the Qwen team published of transformers on A100 and H20; ``tools/fit_overhead.py``."""

RUNS = "published serving runs, none of them fitted to; docs/accuracy.md"

TPOT = Band(fitted=(0.57, 1.15), unmeasured=(0.58, 1.12), evidence=f"1,329 {RUNS}")
TTFT = Band(
    fitted=(1.81, 12.76),
    unmeasured=(1.76, 12.57),
    evidence=f"1,354 {RUNS}; a benchmark's requests often arrive together and queue, here they are spread evenly",
)
THROUGHPUT = Band(fitted=(0.56, 1.08), unmeasured=(0.47, 1.06), evidence=f"376 {RUNS}")
