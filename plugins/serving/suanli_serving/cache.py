"""The key-value cache and the memory of one rank of an engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suanli import Case, Limits, Number, added, ceil, floor, formula, maximum, minimum, total, where
from suanli.figures import weights
from suanli.tensors import KV_SEQUENCE
from suanli.workload import MOST_BATCH


@formula(unit="bytes", source="Kwon et al. 2023, PagedAttention, sec. 3: every layer's keys and values of every token")
def request_cache_bytes(*, per_layer_bytes: Number, layers: Number) -> Number:
    """Bytes of cache one request needs on a rank, for one kind of layer."""
    return per_layer_bytes * layers


@formula(unit="bytes", source="Kwon et al. 2023, PagedAttention, sec. 4.1; pages as in suanli.paging")
def paged_cache_bytes(*, needed_bytes: Number, pages_per_need: Number) -> Number:
    """Bytes of the pages one request's cache takes on a rank.

    Args:
        needed_bytes: What the model needs.
        pages_per_need: Bytes of pages for each byte needed, of a whole sequence of so many tokens.
    """
    return needed_bytes * pages_per_need


@formula(unit="requests", source="definition")
def cached_requests(*, free_bytes: Number, request_bytes: Number) -> Number:
    """Requests whose cache fits in what weights leave free."""
    return floor(maximum(free_bytes, 0.0) / maximum(request_bytes, 1.0))


@formula(unit="bytes", source="definition")
def serving_total_bytes(*, weights: Number, kv_cache: Number, workspace: Number, reserve: Number) -> Number:
    """Bytes a rank needs while it answers its requests."""
    return added(weights, kv_cache, workspace, reserve)


def limits(case: Case) -> Limits:
    """How much the engine takes on at once here."""
    return case.profile.limits_on(case.device.memory_bytes, case.device.generation)


def engine_batch(case: Case, layout: Any) -> Number:
    """Requests one engine answers at a time."""
    if case.batch is not None:
        return float(case.batch)
    return ceil(float(case.concurrency or 1) / layout.replicas)


def pass_batch(layout: Any, running: Number) -> Number:
    """Requests in one pass of one rank: divided over attention ranks, and over the stages of a full pipeline."""
    return maximum(ceil(running / (layout.attention_data * layout.pipeline)), 1.0)


def stage_layers(case: Case, layout: Any) -> tuple[Number, ...]:
    """Layers of each kind on the fullest pipeline stage."""
    return tuple(ceil(float(n) / layout.pipeline) for _, n in case.model.kinds)


def cache_bytes_of(case: Case, layout: Any, tokens: float) -> Number:
    """Bytes of cache one request of so many tokens needs on a rank."""
    at = case.local(layout, batch=1.0, sequence=1.0, kv_tokens=tokens)
    terms: dict[str, Number] = {}
    for (block, _), layers in zip(case.model.kinds, stage_layers(case, layout), strict=True):
        each: Number = 0.0
        for op in block.operators:
            for tensor in op.cached:
                length = op.entries(tensor, tokens)
                size: Number = case.stored[tensor.format]
                for dim in tensor.dims:
                    size = size * (length if dim.role == KV_SEQUENCE else at.size(dim))
                # Ranks that share a sequence share its tokens; a state of constant size each of them has.
                each = each + (size / layout.context if KV_SEQUENCE in tensor.roles else size)
        terms[f"{block.name}.{len(terms)}"] = request_cache_bytes(per_layer_bytes=each, layers=layers)
    whole: Number = total("request_cache_bytes", "bytes", terms)
    if case.block_size is None:
        return whole
    model, form, length = case.model, case.recipe.kv_cache, int(tokens)
    needed = model.kv_cache_bytes(length, form)
    reserved = model.kv_cache_reserved_bytes(length, form, case.block_size)
    return paged_cache_bytes(needed_bytes=whole, pages_per_need=reserved / needed if needed else 1.0)


def memory(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Memory of one rank: weights, cache of its requests, transient activations."""
    chunk = minimum(float(case.prompt) * pass_batch(layout, engine_batch(case, layout)), float(limits(case).tokens))
    at = case.local(layout, batch=1.0, sequence=chunk, kv_tokens=float(case.prompt))
    held: dict[str, Number] = {}
    widest: Number = 0.0
    ends: dict[str, Number] = {}
    layers = stage_layers(case, layout)
    parts = case.model.parts
    for i, (block, _) in enumerate(parts):
        own = weights(case, block, at)
        ends_here = i in (0, len(parts) - 1)
        # Embedding and head stay in the activations' format when the layers are narrowed.
        form = max(case.stored[case.recipe.weights], case.stored["activations"]) if ends_here else None
        size = (own.dense + own.expert) * (form or case.stored[case.recipe.weights])
        if 0 < i < len(parts) - 1:
            held[f"layers.{i - 1}"] = size * layers[i - 1]
            for op in block.operators:
                live: Number = 0.0
                for tensor in (*op.reads, *op.writes):
                    live = live + at.gathered(tensor)
                widest = maximum(widest, live)
        else:
            ends[block.name] = size
    # One stage holds both ends; with more, the fuller end decides.
    first, last = ends.values()
    held["ends"] = where(layout.pipeline > 1.0, maximum(first, last), first + last)
    resident = total("weights_bytes", "bytes", held)

    request = cache_bytes_of(case, layout, float(case.prompt + case.output))
    capacity = float(case.device.capacity_bytes)
    reserve = capacity * (1.0 - case.memory_fraction) + float(case.reserve_bytes)
    requests = ceil(engine_batch(case, layout) / layout.attention_data)
    free = capacity - resident - widest - reserve
    most = cached_requests(free_bytes=free, request_bytes=request)
    if case.concurrency is not None:
        # Requests beyond what the cache has room for wait, and those the engine does not take; at least one must fit.
        taken = minimum(most, float(limits(case).requests or MOST_BATCH))
        requests = maximum(minimum(requests, taken), 1.0)
    cache = request * requests
    whole = serving_total_bytes(weights=resident, kv_cache=cache, workspace=widest, reserve=reserve)
    per_token = request / float(case.prompt + case.output)
    tokens = floor(maximum(free, 0.0) / maximum(per_token, 1e-9))
    engines = layout.attention_data * layout.replicas
    return {
        "memory.weights_bytes": resident,
        "memory.kv_cache_bytes": cache,
        "memory.workspace_bytes": widest,
        "memory.total_bytes": whole,
        "memory.fits": whole <= capacity,
        "serving.max_concurrency": most * engines,
        "serving.kv_cache_tokens": tokens * engines,
        "_serve.reserve_bytes": reserve,
        "_serve.running": requests * layout.attention_data,
    }
