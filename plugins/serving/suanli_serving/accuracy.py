"""How far published measurements were from these stages.

Nothing was fitted to those runs. ``tools/judge.py`` makes the tables these figures are from, ``docs/accuracy.md``.
"""

from __future__ import annotations

from suanli import Band

RUNS = "published serving runs, none of them fitted to; docs/accuracy.md"

TPOT = Band(fitted=(0.64, 0.94), unmeasured=(0.60, 0.86), evidence=f"474 {RUNS}")
TTFT = Band(
    fitted=(1.35, 7.8),
    unmeasured=(1.32, 7.63),
    evidence=f"495 {RUNS}; a benchmark's requests often arrive together and queue, here they are spread evenly",
)
THROUGHPUT = Band(fitted=(0.50, 1.10), unmeasured=(0.37, 0.99), evidence=f"375 {RUNS}")
