"""Which layers each pipeline stage holds, and which stages could be the worst.

A stage that holds no more of anything than another, and no more micro batches in flight, is never the worst;
only the others are evaluated, so uneven and hybrid stacks stay exact and cheap.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

from suanli import Case


class StageLoad(NamedTuple):
    """What one pipeline stage holds: numbers, or columns of them.

    Attributes:
        index: Of the stage, from 0.
        layers: Layers of each kind.
        first: 1 where it holds the embedding, else 0.
        last: 1 where it holds the head, else 0.
    """

    index: Any
    layers: tuple[Any, ...]
    first: Any
    last: Any


def chunk_sizes(layers: int, chunks: int) -> tuple[int, ...]:
    """Layers of each model chunk: as even as can be, the ends lighter, as they hold embedding and head too."""
    base, extra = divmod(layers, chunks)
    order = [*range(1, chunks - 1), 0, *([chunks - 1] if chunks > 1 else [])]
    heavier = set(order[:extra])
    return tuple(base + (i in heavier) for i in range(chunks))


@functools.lru_cache(maxsize=4096)
def stage_loads(pattern: tuple[int, ...], kinds: int, stages: int, chunks: int) -> tuple[StageLoad, ...]:
    """What every pipeline stage holds of a stack whose layers are of the kinds in `pattern`."""
    counts = [[0] * kinds for _ in range(stages)]
    start = 0
    for i, size in enumerate(chunk_sizes(len(pattern), stages * chunks)):
        for kind in pattern[start : start + size]:
            counts[i % stages][kind] += 1
        start += size
    return tuple(
        StageLoad(float(i), tuple(map(float, c)), float(i == 0), float(i == stages - 1)) for i, c in enumerate(counts)
    )


@functools.lru_cache(maxsize=4096)
def worst_candidates(pattern: tuple[int, ...], kinds: int, stages: int, chunks: int) -> tuple[StageLoad, ...]:
    """The stages no earlier stage outweighs in every respect."""
    kept: list[StageLoad] = []
    for load in stage_loads(pattern, kinds, stages, chunks):
        if not any(_outweighs(other, load) for other in kept):
            kept.append(load)
    return tuple(kept)


def _outweighs(a: StageLoad, b: StageLoad) -> bool:
    """Whether `a`, which is earlier and so holds as many micro batches, holds as much of everything as `b`."""
    return a.first >= b.first and a.last >= b.last and all(x >= y for x, y in zip(a.layers, b.layers, strict=True))


def placement(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The stages that could be the worst of each layout; the shorter lists padded with their last."""
    model = case.model
    pattern, kinds = model.pattern, len(model.kinds)
    stages, chunks = layout.pipeline, layout.virtual_stages
    if isinstance(stages, float) and isinstance(chunks, float):
        return {"_train.stages": worst_candidates(pattern, kinds, int(stages), int(chunks))}
    import numpy as np

    p, v = np.broadcast_arrays(stages, chunks)
    found = [worst_candidates(pattern, kinds, int(a), int(b)) for a, b in zip(p, v, strict=True)]
    longest = max(len(f) for f in found)
    padded = [f + (f[-1],) * (longest - len(f)) for f in found]

    def column(r: int, pick: Any) -> Any:
        return np.asarray([pick(f[r]) for f in padded])

    return {
        "_train.stages": tuple(
            StageLoad(
                index=column(r, lambda load: load.index),
                layers=tuple(column(r, lambda load, k=k: load.layers[k]) for k in range(kinds)),
                first=column(r, lambda load: load.first),
                last=column(r, lambda load: load.last),
            )
            for r in range(longest)
        )
    }
