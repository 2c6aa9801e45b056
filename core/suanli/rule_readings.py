"""What a rule of thumb reads of its subjects that is no field of them: a round size, a cache, the bytes of a recipe."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from suanli.rule_inputs import Asked

CALLED = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)([bm])(?!\w)", re.IGNORECASE)
"""How the name of a model says its size: 175b, 0.6b, 124m."""

CALLED_WITHIN = 0.15
"""How far a size in a name may lie from the count; what is further off means something else."""

TWO_BYTES = "bf16"
"""The format weights and cache are taken to be in where none is named."""


def nominal_params(asked: Asked) -> float | None:
    """Parameters a model is called by, such as the 175e9 of gpt-3-175b; its count where no name of it says."""
    if asked.model is None:
        return None
    count = float(asked.model.parameters.total)
    own = [e for e in asked.workspace.catalog().entries("model") if asked.model.name in (e.name, *e.aliases)]
    for name in (asked.model.name, *(n for e in own for n in (e.name, *e.aliases))):
        for size, unit in CALLED.findall(name):
            called = float(size) * (1e9 if unit in "bB" else 1e6)
            if abs(called / count - 1.0) <= CALLED_WITHIN:
                return called
    return count


def window(asked: Asked) -> float | None:
    """Tokens the cache of a layer is limited to, the widest of the model's windows; None where it has none."""
    if asked.model is None:
        return None
    return max((op.window for block, _ in asked.model.kinds for op in block.operators if op.window), default=None)


def kv_bytes_per_token(asked: Asked) -> float | None:
    """Bytes the cache of a sequence grows by with a token, in all layers and the format named.

    The first token brings whatever state has a constant size, so it is the second that tells.
    """
    if asked.model is None:
        return None
    form = TWO_BYTES if asked.precision is None else asked.precision.name
    return float(asked.model.kv_cache_bytes(2, form) - asked.model.kv_cache_bytes(1, form))


def free_bytes(asked: Asked) -> float | None:
    """Bytes the weights leave of the memory of one accelerator, in the format named."""
    if asked.model is None or asked.device is None:
        return None
    form = TWO_BYTES if asked.precision is None else asked.precision.name
    taken = asked.model.parameters.total * asked.bytes_of(form)
    return max(0.0, asked.device.capacity_bytes - taken)


def weights_bytes(asked: Asked) -> float | None:
    """Bytes of a weight with its master copy, in the recipe."""
    return None if asked.recipe is None else asked.bytes_of(asked.recipe.weights, asked.recipe.master_weights)


def grad_bytes(asked: Asked) -> float | None:
    """Bytes of a gradient with its accumulated copy, in the recipe."""
    return None if asked.recipe is None else asked.bytes_of(asked.recipe.gradients, asked.recipe.main_gradients)


def training_bytes(asked: Asked) -> float | None:
    """Bytes of a parameter in training: weights, gradients and the optimizer's states."""
    if asked.recipe is None:
        return None
    return (weights_bytes(asked) or 0.0) + (grad_bytes(asked) or 0.0) + asked.state_bytes_per_parameter()


def tier(asked: Asked, field: str) -> float | None:
    """A figure of the innermost tier of the system's network."""
    if asked.system is None or not asked.system.tiers:
        return None
    found: float | None = getattr(asked.system.tiers[0], field)
    return found
