"""How far published runs were from these stages, and what they say no kernel and no exchange explains.

``tools/judge.py`` makes the tables these figures are from, ``docs/accuracy.md``; ``tools/judge_bands.py`` says how a
band is set, ``tools/fit_overhead.py`` makes the overheads.
"""

from __future__ import annotations

from suanli import Band

OVERHEAD_SOURCE = "median over the published runs of a stack, each source counting alike; docs/accuracy.md"
MEGATRON_OVERHEAD = 0.23
FSDP_OVERHEAD = 0.26

STEP = Band(
    fitted=(0.84, 1.57),
    unmeasured=(0.82, 1.57),
    evidence="216 published training runs, one overhead for each stack fitted to them; 80 % of those of a source "
    "left out lie inside; docs/accuracy.md",
)
MEMORY = Band(
    fitted=(0.59, 1.71),
    unmeasured=(0.59, 1.71),
    evidence="25 published training runs of five sources, none of them fitted to; all of them lie inside, of a "
    "source left out 70 %; docs/accuracy.md",
)
