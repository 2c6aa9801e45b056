"""How far published runs were from these stages, and what they say no kernel and no exchange explains.

``tools/judge.py`` makes the tables these figures are from, ``docs/accuracy.md``;
``tools/fit_overhead.py`` makes the overheads.
"""

from __future__ import annotations

from suanli import Band

OVERHEAD_SOURCE = "median over the published runs of a stack, each source counting alike; docs/accuracy.md"
MEGATRON_OVERHEAD = 0.23
FSDP_OVERHEAD = 0.26

STEP = Band(
    fitted=(0.83, 1.43),
    unmeasured=(0.82, 1.42),
    evidence="196 published training runs, one overhead for each stack fitted to half of them; docs/accuracy.md",
)
MEMORY = Band(
    fitted=(0.69, 1.49),
    unmeasured=(0.69, 1.49),
    evidence="20 published training runs, none of them fitted to; docs/accuracy.md",
)
