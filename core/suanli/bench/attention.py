"""Attention cores through torch's scaled_dot_product_attention, each fused kernel it has tried in turn."""

from __future__ import annotations

from functools import partial
from typing import Any

from suanli.bench.candidates import Candidate, Launch, Tools, keeping
from suanli.bench.device import CannotMeasureError
from suanli.bench.torch_import import torch_part
from suanli.measurement_schema import Shape

BACKENDS = (
    ("FLASH_ATTENTION", "flash"),
    ("CUDNN_ATTENTION", "cuDNN"),
    ("EFFICIENT_ATTENTION", "memory-efficient"),
)
"""Fused kernels; the unfused one writes its scores out and is another kernel."""

ELEMENT = {"bf16": 2, "fp16": 2, "fp32": 4}
FUNCTION = "torch.nn.functional.scaled_dot_product_attention"


def build(tools: Tools, shape: Shape) -> list[Candidate]:
    """The ways to run an attention core: causal in prefill, one query over a cache in decode.

    Raises:
        CannotMeasureError: For what torch has no fused kernel for.
    """
    if shape.precision not in ELEMENT:
        raise CannotMeasureError(f"torch has no fused attention in {shape.precision}", whole=True)
    if shape["window"]:
        raise CannotMeasureError("torch's fused attention has no sliding window")
    size = {name: int(shape[name]) for name in ("batch", "query", "kv_tokens", "heads", "kv_heads", "head_dim")}
    if size["heads"] % size["kv_heads"]:
        raise CannotMeasureError("heads are no multiple of kv_heads")
    settings = _settings(tools, shape, size)
    queries = size["batch"] * size["query"] * size["heads"] * size["head_dim"]
    keys = size["batch"] * size["kv_tokens"] * size["kv_heads"] * size["head_dim"]
    make = partial(_make, tools, size, shape.precision, settings)
    set_bytes = 2 * (queries + keys) * ELEMENT[shape.precision]
    attention = torch_part("nn.attention")
    found = []
    for constant, name in BACKENDS if tools.kind == "cuda" else BACKENDS[:1]:
        backend = getattr(attention.SDPBackend, constant, None)
        if backend is None:
            continue
        within = partial(attention.sdpa_kernel, backend)
        said = f"{FUNCTION}, {name}"
        if tools.kind == "npu":  # torch_npu has one kernel of its own, and no choice of backends
            found.append(Candidate(implementation=FUNCTION, set_bytes=set_bytes, make=make))
            break
        found.append(Candidate(implementation=said, set_bytes=set_bytes, make=make, within=within))
    return found


def _settings(tools: Tools, shape: Shape, size: dict[str, int]) -> dict[str, Any]:
    """The mask and the grouping of heads, as the function takes them."""
    settings: dict[str, Any] = {}
    if size["query"] == size["kv_tokens"]:
        settings["is_causal"] = size["query"] > 1
    elif size["query"] > 1:
        bias = torch_part("nn.attention.bias")
        settings["attn_mask"] = bias.causal_lower_right(size["query"], size["kv_tokens"])
    if size["heads"] != size["kv_heads"]:
        version = tuple(int(p) for p in tools.torch.__version__.split("+")[0].split(".")[:2])
        if version < (2, 5):
            raise CannotMeasureError("fewer key than query heads need torch 2.5")
        settings["enable_gqa"] = True
    return settings


def _make(tools: Tools, size: dict[str, int], precision: str, settings: dict[str, Any]) -> Launch:
    batch, width = size["batch"], size["head_dim"]

    def heads_first(tokens: int, heads: int) -> Any:
        """Tokens outermost in memory, as engines keep them."""
        return tools.random(batch, tokens, heads, width, precision=precision).transpose(1, 2)

    q = heads_first(size["query"], size["heads"])
    k, v = (heads_first(size["kv_tokens"], size["kv_heads"]) for _ in range(2))
    return keeping(partial(tools.torch.nn.functional.scaled_dot_product_attention, q, k, v, **settings))
