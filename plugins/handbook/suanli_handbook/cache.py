"""What the keys and values of served tokens take, and how to make them smaller."""

from __future__ import annotations

from suanli import Asked, SuanliError, floor, formula, minimum
from suanli_handbook.asking import SEQUENCE, model_of, whole
from suanli_handbook.citations import (
    AINSLIE,
    BASETEN,
    DATABRICKS,
    DEEPSEEK_V2,
    INFERENCE,
    MISTRAL,
    PAGED,
    POPE,
    RESOURCES,
    SHAZEER,
    STREAMING,
)
from suanli_handbook.making import _rule
from suanli_handbook.served import form_of, room


@formula(unit="bytes", source=f"{SHAZEER}; {POPE}; {INFERENCE}; {RESOURCES}")
def kv_cache(*, batch: float = 1.0, sequence: float, hidden: float, layers: float, bytes: float = 2.0) -> float:
    """Bytes of keys and values of every token and layer, each as wide as the model."""
    return 2.0 * batch * sequence * hidden * layers * bytes


@formula(unit="bytes", source=f"{SHAZEER}; {BASETEN}; {INFERENCE}")
def kv_cache_heads(
    *,
    layers: float,
    heads: float,
    head_dim: float,
    bytes: float = 2.0,
    sequence: float = 1.0,
    batch: float = 1.0,
) -> float:
    """Bytes of keys and values of a token, or of `batch` sequences; `heads` are those with keys of their own."""
    return 2.0 * layers * heads * head_dim * bytes * sequence * batch


@formula(unit="bytes", source=f"{AINSLIE}; {DATABRICKS}; {INFERENCE}")
def kv_cache_gqa(
    *,
    batch: float = 1.0,
    sequence: float,
    hidden: float,
    kv_heads: float,
    heads: float,
    layers: float,
    bytes: tuple[float, ...] = (2.0, 1.0),
) -> tuple[float, ...]:
    """Bytes of keys and values shared by groups of query heads, in each of some formats: 16 and 8 bits."""
    return tuple(2.0 * batch * sequence * hidden * kv_heads / heads * layers * each for each in bytes)


@formula(unit="bytes", source=f"{MISTRAL}; {STREAMING}: the first tokens, as sinks, stay; {INFERENCE}")
def kv_cache_window(
    *,
    tokens: float,
    window: float,
    layers: float,
    kv_heads: float,
    head_dim: float,
    bytes: float = 2.0,
    sinks: float = 0.0,
) -> tuple[float, float]:
    """Bytes of keys and values of a sequence: in a rolling buffer of a window, and of every token."""
    each = 2.0 * layers * kv_heads * head_dim * bytes
    return each * float(minimum(tokens, window + sinks)), each * tokens


@formula(unit="bytes", source=f"{DEEPSEEK_V2}: one latent and one rotated key for all heads")
def kv_cache_latent(
    *, layers: float, kv_lora_rank: float = 512.0, rope_dim: float = 64.0, tokens: float = 1.0, bytes: float = 2.0
) -> float:
    """Bytes multi-head latent attention keeps of a token, or of several."""
    return layers * (kv_lora_rank + rope_dim) * bytes * tokens


@formula(unit="tokens", source=f"{BASETEN}; {INFERENCE}")
def kv_cache_tokens(*, free_bytes: float, per_token: float, sequence: float = SEQUENCE) -> float:
    """Tokens whose keys and values fit in what the weights leave free.

    `sequence` is the length the estimator's figure is for; a token of the rule takes as much in any.
    """
    return float(floor(free_bytes / per_token))


@formula(unit="tokens, sequences", source=f"{BASETEN}; {INFERENCE}")
def kv_cache_sequences(*, free_bytes: float, per_token: float, sequence: float) -> tuple[float, float]:
    """Tokens whose keys and values fit in what the weights leave free, and whole sequences: the largest batch."""
    tokens = kv_cache_tokens(free_bytes=free_bytes, per_token=per_token)
    return tokens, float(floor(tokens / sequence))


@formula(unit="ratio", source=f"{INFERENCE}, after Liu et al. 2023, LLM-QAT")
def kv_quantisation(*, bits: tuple[float, ...] = (16.0, 4.0)) -> float:
    """How many times smaller a cache of fewer bits is; `bits` before and after, of an element with its scales."""
    if len(bits) != 2:
        raise SuanliError(f"bits: expected two numbers (before, after), got {len(bits)}")
    return bits[0] / bits[1]


@formula(unit="ratio", source=f"{SHAZEER}; {AINSLIE}; {INFERENCE}, which calls 8 to 1 seven times: it saves 7/8")
def kv_head_ratio(*, heads_before: float, heads_after: float = 1.0) -> float:
    """How many times smaller a cache of fewer key-value heads is; it saves one part less than that of them."""
    return heads_before / heads_after


@formula(unit="tokens", source=f"{PAGED}, sec. 4: waste only in the last block of a sequence; {INFERENCE}")
def paging_waste(*, block: float = 16.0) -> float:
    """Tokens reserved and not used of a paged sequence, at most; half as many on average."""
    return block - 1.0


@formula(unit="ratio", source=f"{PAGED}, sec. 3.1 and fig. 2: 20 to 38 % of a reserved cache is used; {INFERENCE}")
def reservation_waste(*, used: float, reserved: float) -> float:
    """Share of a cache that is reserved in one piece for the longest sequence, and not used."""
    return 1.0 - used / reserved


def _cached(asked: Asked, name: str = "sequence", bytes: float | None = None) -> float:
    """Bytes the model keeps for a batch of sequences."""
    each = float(asked.inputs["bytes"]) if bytes is None else bytes
    tokens = whole(name, float(asked.inputs[name]))
    return model_of(asked).kv_cache_bytes(tokens, form_of(asked, each)) * float(asked.inputs.get("batch", 1.0))


def _windowed(asked: Asked) -> list[float]:
    """Bytes the model keeps for a sequence, and those it would if every token took what the second takes."""
    model, form = model_of(asked), form_of(asked, float(asked.inputs["bytes"]))
    first, second = model.kv_cache_bytes(1, form), model.kv_cache_bytes(2, form)  # the first brings constant state
    return [_cached(asked, "tokens"), first + (second - first) * (float(asked.inputs["tokens"]) - 1.0)]


def _shared(asked: Asked) -> float:
    """A cache as wide as the model's queries, over the one it keeps."""
    model = model_of(asked)
    width = float((asked.size("heads") or 0) * (asked.size("head_dim") or 0))
    kept = model.kv_cache_bytes(2, "bf16") - model.kv_cache_bytes(1, "bf16")
    if not width or not kept:
        raise SuanliError(f"{model.name} keeps no keys and values of heads")
    return 4.0 * len(model.layers) * width / kept


def _room(asked: Asked) -> list[float | None]:
    found = room(asked, sequence=float(asked.inputs["sequence"]))
    return [found.kv_cache_tokens, found.max_concurrency]


KEPT = "bytes the model keeps, by its operators"
SIZES = {"sequence": (2048.0, 32768.0)}
FREE = {"system": ("a10-8-pcie", "dgx-a100", "dgx-h100"), "sequence": (4096.0,)}
NEEDS = ("model", "system")


def _cached_each(asked: Asked) -> list[float]:
    return [_cached(asked, bytes=float(each)) for each in asked.inputs["bytes"]]


def _room_tokens(asked: Asked) -> float | None:
    return _room(asked)[0]


RULES = (
    _rule(
        "kv-cache",
        kv_cache,
        "2 b s h l bytes",
        "as many key-value heads as query heads, no window",
        aliases=("kv", "kv-cache-mha"),
        cases=("kv-7b-1x2048", "kv-13b-seq"),
        exact=_cached,
        exact_by=KEPT,
        over=SIZES,
    ),
    _rule(
        "kv-cache-heads",
        kv_cache_heads,
        "2 l heads d bytes s b",
        "no window; heads are key-value heads",
        aliases=("kv-cache-per-token", "kv-bytes-per-token"),
        cases=("kv-llama2-7b-token", "llama3-8b-kv"),
        reads={"heads": "kv_heads"},
        exact=_cached,
        exact_by=KEPT,
        over=SIZES,
    ),
    _rule(
        "kv-cache-gqa",
        kv_cache_gqa,
        "2 b s h (kv heads / heads) l, in 2 bytes and in 1",
        "heads of h / heads each, no window; a format with scales has its share of them",
        aliases=("gqa-kv-cache",),
        cases=("kv-llama2-70b-gqa-b1", "kv-llama2-70b-gqa-b16", "kv-llama2-70b-gqa-b32", "kv-llama2-70b-gqa-b64"),
        exact=_cached_each,
        exact_by=KEPT,
        over=SIZES,
    ),
    _rule(
        "kv-cache-window",
        kv_cache_window,
        "2 l heads d bytes min(s, window + sinks), and of every token",
        "the same window in every layer",
        aliases=("kv-window", "streaming-kv-cache", "rolling-kv-cache"),
        cases=("kv-window-mistral",),
        exact=_windowed,
        exact_by=f"{KEPT}; and what they would if none had a window",
        over={"tokens": tuple(float(2**n) for n in range(7, 17))},
    ),
    _rule(
        "kv-cache-latent",
        kv_cache_latent,
        "l (c + r) bytes",
        "multi-head latent attention",
        aliases=("mla-kv-cache",),
    ),
    _rule(
        "kv-cache-tokens",
        kv_cache_tokens,
        "floor(free / bytes of a token)",
        "nothing but weights and cache in memory, on one accelerator",
        cases=("kv-tokens-a10",),
        reads={"per_token": "kv_bytes_per_token"},
        exact=_room_tokens,
        exact_by="tokens whose cache fits beside weights, workspace and reserve of one accelerator",
        exact_needs=NEEDS,
        over=FREE,
    ),
    _rule(
        "kv-cache-sequences",
        kv_cache_sequences,
        "floor(free / bytes of a token), floor(that / s)",
        "nothing but weights and cache in memory, on one accelerator; every sequence as long",
        aliases=("largest-batch", "batch-that-fits"),
        cases=("kv-tokens-t4",),
        reads={"per_token": "kv_bytes_per_token"},
        exact=_room,
        exact_by="tokens and requests whose cache fits beside weights, workspace and reserve of one accelerator",
        exact_needs=NEEDS,
        over=FREE,
    ),
    _rule(
        "kv-quantisation",
        kv_quantisation,
        "bits before / bits after",
        "scales counted in the bits",
        aliases=("kv-quantization", "quantised-cache"),
        cases=("kv-int4",),
    ),
    _rule(
        "kv-head-ratio",
        kv_head_ratio,
        "heads before / heads after",
        "multi-query and grouped-query attention",
        aliases=("mqa-ratio", "gqa-ratio"),
        cases=("mqa-7x",),
        reads={"heads_before": "heads", "heads_after": "kv_heads"},
        exact=_shared,
        exact_by="a cache as wide as all query heads, over the model's own",
    ),
    _rule(
        "paging-waste",
        paging_waste,
        "block - 1",
        "a paged cache; each sequence leaves its last block part empty",
        aliases=("kv-fragmentation", "paged-attention-waste"),
        cases=("kv-fragmentation",),
    ),
    _rule(
        "reservation-waste",
        reservation_waste,
        "1 - used / reserved",
        "a cache reserved in one piece for the longest sequence",
        aliases=("kv-over-reservation",),
    ),
)
