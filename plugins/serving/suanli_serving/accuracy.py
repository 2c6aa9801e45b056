"""How far published measurements were from these stages.

Nothing was fitted to those runs. ``tools/judge.py`` makes the tables these figures are from, ``docs/accuracy.md``.
"""

from __future__ import annotations

from suanli import Band

RUNS = "published serving runs, none of them fitted to; docs/accuracy.md"

TPOT = Band(fitted=(0.70, 1.02), unmeasured=(0.68, 0.97), evidence=f"474 {RUNS}")
TTFT = Band(
    fitted=(1.39, 8.26),
    unmeasured=(1.38, 8.25),
    evidence=f"495 {RUNS}; a benchmark's requests often arrive together and queue, here they are spread evenly",
)
THROUGHPUT = Band(fitted=(0.50, 1.08), unmeasured=(0.37, 0.98), evidence=f"375 {RUNS}")
