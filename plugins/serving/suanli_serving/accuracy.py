"""How far published measurements were from these stages.

Nothing was fitted to those runs. ``tools/judge.py`` makes the tables these figures are from, ``docs/accuracy.md``.
"""

from __future__ import annotations

from suanli import Band

RUNS = "published serving runs, none of them fitted to; docs/accuracy.md"

TPOT = Band(fitted=(0.65, 0.99), unmeasured=(0.61, 0.88), evidence=f"474 {RUNS}")
TTFT = Band(
    fitted=(1.58, 8.72),
    unmeasured=(1.40, 7.52),
    evidence=f"495 {RUNS}; a benchmark's requests often arrive together and queue, here they are spread evenly",
)
THROUGHPUT = Band(fitted=(0.56, 1.09), unmeasured=(0.47, 1.07), evidence=f"375 {RUNS}")
