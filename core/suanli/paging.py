"""What an engine that keeps its cache in pages reserves for a sequence, next to what the model needs.

Pages of every group of layers have one size, so that any free page serves any group (vllm-project/vllm,
docs/design/hybrid_kv_cache_manager.md and vllm/v1/core/kv_cache_utils.py):
layers of one kind are cut into groups of equally many, the last one padded, and each group has its own pages.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs

from suanli.operators import Operator
from suanli.precision import NumberFormat
from suanli.tensors import KV_SEQUENCE, Tensor

if TYPE_CHECKING:
    from suanli.models import Model

FAR = 1 << 24
"""Tokens past every window people use; a wider one is none."""
UNEVEN = 1.25
"""Kinds of layers whose numbers differ by less are padded to the larger (vLLM, the same file)."""


@attrs.frozen
class Kept:
    """What one layer keeps of a sequence in one way: entries that grow with it, or a state.

    Attributes:
        token_bytes: Of a token.
        window: Tokens it is limited to; 0 for none.
        state_bytes: Of a state of constant size.
    """

    token_bytes: float
    window: int
    state_bytes: int


def kept_by(operators: tuple[Operator, ...], form: NumberFormat, state_bytes: dict[str, int]) -> tuple[Kept, ...]:
    """What one layer keeps: its tensors of one window together, its states together."""
    windows: dict[int, float] = {}
    state = 0
    for op in operators:
        for tensor in op.cached:
            elements = math.prod(d.size for d in tensor.dims if d.role != KV_SEQUENCE)
            if KV_SEQUENCE not in {d.role for d in tensor.dims}:
                width = form.bytes(elements) if tensor.format == "cache" else elements * state_bytes[tensor.format]
                state += int(width)
                continue
            window, rate = _reach(op, tensor)
            width = form.bytes(elements) if tensor.format == "cache" else elements * state_bytes[tensor.format]
            windows[window] = windows.get(window, 0.0) + width * rate
    found = [Kept(size, window, 0) for window, size in windows.items()]
    return (*found, Kept(0.0, 0, state)) if state else tuple(found)


def _reach(op: Operator, tensor: Tensor) -> tuple[int, float]:
    """Tokens a cached tensor is limited to (0 for none), and entries it keeps of each."""
    held = float(op.entries(tensor, float(FAR)))
    more = float(op.entries(tensor, 2.0 * FAR)) - held
    return (0, more / FAR) if more else (int(held), 1.0)


def reserved_bytes(model: Model, tokens: int, form: NumberFormat, block_size: int, state_bytes: dict[str, int]) -> int:
    """Bytes of the pages one sequence of so many tokens takes."""
    layers: dict[Kept, int] = {}
    for layer, times in model.kinds:
        for kept in kept_by(layer.operators, form, state_bytes):
            layers[kept] = layers.get(kept, 0) + times
    if not layers or not tokens:
        return 0
    # A page holds a whole state: where that is more than a block of tokens, blocks grow to hold as much.
    state = max(k.state_bytes for k in layers)
    widest = max((k.token_bytes for k in layers), default=0.0)
    block = block_size
    if state and widest:
        block = max(block_size, math.ceil(state / (widest * block_size)) * block_size)
    page = max(math.ceil(widest * block), state if not widest else 0)
    fewest, most = min(layers.values()), max(layers.values())
    together = most if most < UNEVEN * fewest else fewest
    total = 0
    for kept, count in layers.items():
        groups = math.ceil(count / together)
        total += groups * together * pages(kept, tokens, block, page) * page
    return total


def pages(kept: Kept, tokens: int, block: int, page: int) -> int:
    """Pages a sequence takes in a layer: a window's move with it, and end anywhere in a page.

    Args:
        kept: What the layer keeps.
        tokens: Of the sequence.
        block: Tokens in a page of the widest layers.
        page: Bytes of a page.
    """
    if kept.state_bytes:
        return 1
    # Layers that keep less of a token have so many more of them in a page, where it divides.
    times = int(page // (kept.token_bytes * block)) or 1
    whole = math.ceil(tokens / (block * times))
    return min(whole, math.ceil(kept.window / (block * times)) + 1) if kept.window else whole
