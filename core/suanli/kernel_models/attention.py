"""Attention cores: blocks of queries over the cores, or one query's keys and values divided among them."""

from __future__ import annotations

from suanli.formulas import formula
from suanli.kernel_models.efficiency import Efficiency
from suanli.kernel_models.limits import INFINITE, Limits, core_rate, operations, settled_s
from suanli.kernels import Kernel
from suanli.numeric import Number, ceil, maximum, minimum, where

KEY_BLOCK = 128.0
"""Keys scored together: half of one block a tile of queries is masked away on the diagonal."""
ROW_BLOCK = 16.0
"""Rows a matrix unit multiplies at once, NVIDIA's and the Cube alike; fewer are padded."""
WIDE_HEAD = 256.0
"""Widest head whose running output a core can hold; wider ones make their scores again."""
DECODE_ROWS = 32.0
"""Query heads of one key-value head that a decoding core takes together."""


@formula(unit="s", source="Dao 2023, FlashAttention-2, sec. 3.2: blocks of queries over the cores")
def blocks_s(
    *,
    tiles: Number,
    longest_pairs: Number,
    pairs: Number,
    flops_per_pair: Number,
    core_flops_per_s: float,
    cores: float,
    tile_s: float,
    tail_ratio: float,
) -> Number:
    """Seconds the cores take for tiles of unequal length: their share of the pairs, or the longest tile.

    Tiles beyond the first wave end unevenly, half of the longest times `tail_ratio`.
    """
    waves = tiles / cores
    longest = longest_pairs * flops_per_pair / core_flops_per_s
    share = pairs * flops_per_pair / cores / core_flops_per_s
    tail = tail_ratio * longest * 0.5 * minimum(1.0, maximum(waves - 1.0, 0.0))
    return maximum(share, longest) + maximum(waves, 1.0) * tile_s + tail


def prefill_s(kernel: Kernel, fitted: Efficiency, limits: Limits) -> Number:
    """Seconds of attention of many queries, or of its backward pass, which repeats it by its FLOPs."""
    s = kernel.shape
    query, kv, window, heads = s["query"], s["kv_tokens"], s["window"], s["heads"]
    block = float(fitted.block)
    # Heads that share keys are packed into one tile where each has a single query (FlashAttention's decode path).
    alone = query <= 1.0
    rows = where(alone, ROW_BLOCK, minimum(block, ceil(query / ROW_BLOCK) * ROW_BLOCK))
    blocks = where(alone, s["kv_heads"] * ceil(heads / s["kv_heads"] / block), heads * ceil(query / block))
    tiles = s["batch"] * blocks
    reach = where(window > 0, minimum(kv, window + block), kv)
    width = s["key_dim"] + s["value_dim"]
    forward = 2.0 * s["batch"] * heads * s["pairs"] * width
    scores = 2.0 * width * maximum(1.0, width / (2.0 * WIDE_HEAD))
    per_pair = (scores + fitted.pair_flops / limits.headroom) * (kernel.flops / forward)
    cores_take = blocks_s(
        tiles=tiles,
        longest_pairs=(reach + KEY_BLOCK * 0.5) * rows,
        pairs=s["batch"] * heads * s["pairs"] + tiles * rows * (KEY_BLOCK * 0.5),
        flops_per_pair=per_pair,
        core_flops_per_s=core_rate(limits),
        cores=limits.cores,
        tile_s=fitted.tile_s,
        tail_ratio=fitted.tail_ratio,
    )
    return settled_s(kernel, fitted, limits, cores_take)


@formula(unit="s", source="Dao et al. 2023, Flash-Decoding: keys and values divided over the cores, then joined")
def split_keys_s(
    *,
    units: Number,
    tokens: Number,
    token_s: Number,
    cores: float,
    splits: tuple[int, ...],
    tile_s: float,
    split_s: float,
) -> Number:
    """Seconds the cores take for `units` sequences of keys and values, with the best number of splits."""
    _, longer, shorter = operations(units, tokens, token_s)
    whole = tokens * token_s
    share = units / cores
    best: Number = INFINITE
    joins = 0.0
    for split in splits:
        busy = longer(share * split, 1.0) * (whole / split + tile_s) + joins
        best = shorter(best, busy)
        joins = joins + split_s
    return best


def decode_s(kernel: Kernel, fitted: Efficiency, limits: Limits) -> Number:
    """Seconds of attention of a few queries for each sequence on its cache."""
    s = kernel.shape
    packed = ceil(s["heads"] * s["query"] / s["kv_heads"] / DECODE_ROWS)
    loads = s["token_bytes"] / (fitted.core_bandwidth_ratio * limits.core_share_bytes_per_s)
    width = s["key_dim"] + s["value_dim"]
    multiplies = 2.0 * DECODE_ROWS * width / core_rate(limits)
    cores_take = split_keys_s(
        units=s["batch"] * s["kv_heads"] * packed,
        tokens=s["seen"],
        token_s=maximum(loads, multiplies),
        cores=limits.cores,
        splits=fitted.splits,
        tile_s=fitted.tile_s,
        split_s=fitted.split_s,
    )
    cached = s["batch"] * s["kv_heads"] * s["seen"] * s["token_bytes"]
    return settled_s(kernel, fitted, limits, cores_take, s["batch"] * fitted.sequence_s, kept_bytes=cached)
