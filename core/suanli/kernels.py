"""Kernels: what one operation computes and moves.

A :class:`Kernel` states its work; a :class:`suanli.KernelModel` turns work into seconds on an accelerator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from suanli.errors import SuanliError
from suanli.formulas import formula
from suanli.numeric import Number, is_scalar, maximum, minimum, power, where

if TYPE_CHECKING:
    from suanli.hardware import Accelerator
    from suanli.precision import NumberFormat

KINDS = (
    "gemm",
    "attention_prefill",
    "attention_decode",
    "mla_prefill",
    "mla_decode",
    "moe",
    "elementwise",
)
"""Kernel kinds every kernel model should know; a model may declare more."""


@attrs.define(eq=False, kw_only=True)
class Kernel:
    """The work of one launch (or of `launches` alike), numbers or columns of them.

    Attributes:
        kind: One of ``KINDS``, or what a plugin's model declares.
        precision: How its matrix inputs are stored and multiplied; ``int4_wo`` widens stored weights first.
        compute: The format the matrix unit multiplies in.
        flops: FLOPs of one launch.
        bytes: Bytes of one launch to and from memory.
        launches: How many alike are launched, one after another.
        shape: The dimensions it was made from, for models that look closer than a roofline.
    """

    kind: str
    precision: str
    compute: str
    flops: Number
    bytes: Number
    launches: Number = 1.0
    shape: Mapping[str, Any] = attrs.Factory(dict)


@attrs.frozen(kw_only=True)
class Formats:
    """The formats of one matrix operation on one accelerator.

    Attributes:
        precision: What a kernel model looks its figures up by: `compute`, or ``int4_wo`` and the like.
        compute: The format the matrix unit multiplies in.
        weights: Bytes of a stored weight.
        activations: Bytes of an activation read.
        cache: Bytes of an element of cached keys and values.
    """

    precision: str = "bf16"
    compute: str = "bf16"
    weights: float = 2.0
    activations: float = 2.0
    cache: float = 2.0


BF16 = Formats()


def formats_on(
    accelerator: Accelerator, *, weights: NumberFormat, compute: NumberFormat, cache: NumberFormat
) -> Formats:
    """How `accelerator` multiplies `compute` inputs with stored `weights`.

    Hardware without a path for `compute` widens both to the nearest format it has.
    """
    native = accelerator.computes(compute)
    own = native == compute.compute
    narrow = weights.bytes_per_element < (compute.bytes_per_element if own else 2.0)
    label = f"{weights.name}_wo" if narrow else native
    activations = compute.bytes_per_element if own else 2.0
    return Formats(
        precision=label,
        compute=native,
        weights=weights.bytes_per_element,
        activations=activations,
        cache=cache.bytes_per_element,
    )


@formula(unit="flops", source="definition")
def matmul_flops(*, m: Number, n: Number, k: Number) -> Number:
    """FLOPs of an (m, k) x (k, n) product, a multiply-add counting as two."""
    return 2.0 * m * n * k


@formula(unit="bytes", source="definition: each operand once, the result once")
def matmul_bytes(
    *, m: Number, n: Number, k: Number, input_bytes: float, weight_bytes: float, output_bytes: float
) -> Number:
    """Bytes an (m, k) x (k, n) product moves when each operand passes once."""
    return m * k * input_bytes + k * n * weight_bytes + m * n * output_bytes


@formula(unit="pairs", source="definition")
def attended_pairs(*, query: Number, kv_tokens: Number, window: Number, causal: bool) -> Number:
    """Query-key pairs one head of one sequence scores.

    Args:
        query: Queries, the last of the sequence.
        kv_tokens: Tokens in the sequence, the queries included.
        window: Keys a query may look back on, itself included; 0 for all.
        causal: Whether a query sees no later key.
    """
    before = kv_tokens - query
    if not causal:
        return query * kv_tokens
    whole = query * before + query * (query + 1.0) / 2.0
    if is_scalar(window) and window <= 0:
        return whole
    # The first `short` queries see fewer keys than the window, the rest exactly the window.
    short = minimum(maximum(window - before, 0.0), query)
    limited = short * before + short * (short + 1.0) / 2.0 + (query - short) * window
    return where(window > 0, limited, whole)


@formula(unit="flops", source="Dao et al. 2022, FlashAttention, sec. 2: two products over the scored pairs")
def attention_flops(*, batch: Number, heads: Number, pairs: Number, key_dim: Number, value_dim: Number) -> Number:
    """FLOPs of scores and weighted sum over `pairs` query-key pairs a head."""
    return 2.0 * batch * heads * pairs * (key_dim + value_dim)


@formula(unit="bytes", source="definition: queries, keys, values and output once")
def attention_bytes(
    *,
    batch: Number,
    query: Number,
    kv_tokens: Number,
    query_width: Number,
    kv_width: Number,
    activation_bytes: float,
    cache_bytes: float,
) -> Number:
    """Bytes of a fused attention: `query_width` elements a query, `kv_width` a key-value token."""
    return batch * (query * query_width * activation_bytes + kv_tokens * kv_width * cache_bytes)


def gemm(*, m: Number, n: Number, k: Number, formats: Formats = BF16, launches: Number = 1.0) -> Kernel:
    """C[m, n] = A[m, k] B[k, n]."""
    flops = matmul_flops(m=m, n=n, k=k)
    bytes_ = matmul_bytes(
        m=m, n=n, k=k, input_bytes=formats.activations, weight_bytes=formats.weights, output_bytes=2.0
    )
    return Kernel(
        kind="gemm",
        precision=formats.precision,
        compute=formats.compute,
        flops=flops,
        bytes=bytes_,
        launches=launches,
        shape={"m": m, "n": n, "k": k, "input_bytes": formats.activations, "weight_bytes": formats.weights},
    )


def attention(
    *,
    phase: str,
    batch: Number,
    query: Number,
    kv_tokens: Number,
    heads: Number,
    kv_heads: Number,
    head_dim: Number,
    window: Number = 0.0,
    causal: bool = True,
    formats: Formats = BF16,
) -> Kernel:
    """One layer's attention core, fused, in `phase` ``"prefill"`` or ``"decode"``."""
    pairs = attended_pairs(query=query, kv_tokens=kv_tokens, window=window, causal=causal)
    # Queries look back over at most `window` keys each, so that many older tokens are read and no more.
    seen = where(window > 0, minimum(kv_tokens, window + query - 1.0), kv_tokens)
    flops = attention_flops(batch=batch, heads=heads, pairs=pairs, key_dim=head_dim, value_dim=head_dim)
    bytes_ = attention_bytes(
        batch=batch,
        query=query,
        kv_tokens=seen,
        query_width=2.0 * heads * head_dim,
        kv_width=2.0 * kv_heads * head_dim,
        activation_bytes=formats.activations,
        cache_bytes=formats.cache,
    )
    shape = {"batch": batch, "query": query, "kv_tokens": kv_tokens, "heads": heads, "kv_heads": kv_heads}
    shape |= {"key_dim": head_dim, "value_dim": head_dim, "window": window, "pairs": pairs, "seen": seen}
    shape["token_bytes"] = 2.0 * head_dim * formats.cache
    return Kernel(
        kind=f"attention_{_phase(phase)}",
        precision=formats.precision,
        compute=formats.compute,
        flops=flops,
        bytes=bytes_,
        shape=shape,
    )


def latent_attention(
    *,
    phase: str,
    batch: Number,
    query: Number,
    kv_tokens: Number,
    heads: Number,
    kv_lora_rank: Number = 512.0,
    rope_dim: Number = 64.0,
    head_dim: Number = 128.0,
    formats: Formats = BF16,
) -> Kernel:
    """One layer's multi-head latent attention core: expanded in prefill, absorbed in decode (DeepSeek-V2)."""
    pairs = attended_pairs(query=query, kv_tokens=kv_tokens, window=0, causal=True)
    absorbed = _phase(phase) == "decode"
    key_dim = kv_lora_rank + rope_dim if absorbed else head_dim + rope_dim
    value_dim = kv_lora_rank if absorbed else head_dim
    kv_width = kv_lora_rank + rope_dim if absorbed else heads * (key_dim + value_dim)
    flops = attention_flops(batch=batch, heads=heads, pairs=pairs, key_dim=key_dim, value_dim=value_dim)
    bytes_ = attention_bytes(
        batch=batch,
        query=query,
        kv_tokens=kv_tokens,
        query_width=heads * (key_dim + value_dim),
        kv_width=kv_width,
        activation_bytes=formats.activations,
        cache_bytes=formats.cache,
    )
    shape = {"batch": batch, "query": query, "kv_tokens": kv_tokens, "heads": heads, "window": 0.0, "pairs": pairs}
    shape |= {"kv_heads": 1.0 if absorbed else heads, "key_dim": key_dim, "value_dim": value_dim, "seen": kv_tokens}
    # Absorbed, the values are the first `kv_lora_rank` of the keys, and loaded with them.
    shape["token_bytes"] = (key_dim if absorbed else key_dim + value_dim) * formats.cache
    return Kernel(
        kind=f"mla_{phase}",
        precision=formats.precision,
        compute=formats.compute,
        flops=flops,
        bytes=bytes_,
        shape=shape,
    )


@formula(unit="experts", source="definition: idle if no token picks it; each token picks top_k at random")
def active_experts(*, experts: Number, tokens: Number, top_k: Number) -> Number:
    """Experts at least one of `tokens` tokens is expected to be routed to."""
    return experts * (1.0 - power(1.0 - top_k / experts, tokens))


def experts(
    *,
    tokens: Number,
    hidden: Number,
    intermediate: Number,
    experts: Number,
    top_k: Number,
    tensor: Number = 1.0,
    expert: Number = 1.0,
    matrices: float = 3.0,
    imbalance: Number = 1.0,
    active: Number | None = None,
    dispatched: bool = False,
    formats: Formats = BF16,
) -> Kernel:
    """One rank's routed experts, fused: `tokens` enter the layer on the whole expert group's behalf of this rank.

    Args:
        tokens: Tokens routed among the experts of the group, per rank of it times the ranks.
        hidden: Model width.
        intermediate: Width of an expert before it is divided.
        experts: Experts in the layer.
        top_k: Experts a token goes to.
        tensor: Ranks an expert's width is divided over.
        expert: Ranks the experts are divided over.
        matrices: Weight matrices of an expert: 3 gated, 2 plain.
        imbalance: Load of the busiest rank over the mean.
        active: Experts of this rank that any token chose; by default what is expected when all are as likely.
        dispatched: Whether an exchange brings this rank the copies routed to it and no others; else every rank of
            the group has all tokens, and sorts out its own.
        formats: Of the matrix inputs.
    """
    routed = tokens * top_k / expert * imbalance
    inner = intermediate / tensor
    flops = matmul_flops(m=routed, n=inner * matrices, k=hidden)
    if active is None:
        expected = active_experts(experts=experts, tokens=tokens, top_k=top_k) / expert
        active = maximum(expected, minimum(routed, 1.0))
    weights = active * matrices * hidden * inner * formats.weights
    # Tokens in and out at the model's width, and the inner tensors, all of them in two bytes.
    moved = routed * (2.0 * hidden + matrices * inner) * 2.0
    shape = {"tokens": tokens, "hidden": hidden, "inner": inner, "experts": experts, "top_k": top_k}
    shape |= {"routed": routed, "active": active, "matrices": matrices}
    shape |= {"copies": routed if dispatched else tokens * top_k, "listed": experts / expert if dispatched else experts}
    shape |= {"input_bytes": formats.activations, "weight_bytes": formats.weights}
    return Kernel(
        kind="moe",
        precision=formats.precision,
        compute=formats.compute,
        flops=flops,
        bytes=weights + moved,
        shape=shape,
    )


def elementwise(*, bytes: Number, flops: Number = 0.0, launches: Number = 1.0) -> Kernel:
    """A memory-bound pass (norm, activation, residual, optimizer step) moving `bytes`."""
    return Kernel(kind="elementwise", precision="fp32", compute="fp32", flops=flops, bytes=bytes, launches=launches)


def _phase(phase: str) -> str:
    if phase not in ("prefill", "decode"):
        raise SuanliError(f"phase must be 'prefill' or 'decode', got {phase!r}")
    return phase
