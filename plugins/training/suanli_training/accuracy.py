"""How far published runs were from these stages.

Nothing was fitted to those runs. ``tools/judge.py`` makes the tables these figures are from, ``docs/accuracy.md``.
"""

from __future__ import annotations

from suanli import Band

RUNS = "published training runs, none of them fitted to; docs/accuracy.md"

STEP = Band(fitted=(1.04, 1.71), unmeasured=(1.04, 1.72), evidence=f"196 {RUNS}")
MEMORY = Band(fitted=(0.69, 1.49), unmeasured=(0.69, 1.49), evidence=f"20 {RUNS}")
