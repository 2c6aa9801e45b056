"""The rules of thumb, with what each is valid for and the worked examples it answers."""

from __future__ import annotations

from suanli_handbook import (
    activations,
    anatomy,
    attention,
    cache,
    capacity,
    counting,
    hardware,
    latency,
    links,
    machines,
    memory,
    serving,
    training,
)

RULES = (
    *counting.RULES,
    *anatomy.RULES,
    *training.RULES,
    *memory.RULES,
    *activations.RULES,
    *machines.RULES,
    *serving.RULES,
    *latency.RULES,
    *links.RULES,
    *attention.RULES,
    *cache.RULES,
    *capacity.RULES,
    *hardware.RULES,
)
