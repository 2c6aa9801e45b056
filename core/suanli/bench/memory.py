"""Passes over memory through torch: copies, norms, activations, softmax, gathers, an optimizer step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from suanli.bench.candidates import Candidate, Launch, Tools, keeping
from suanli.bench.device import CannotMeasureError
from suanli.measurement_schema import Shape

ELEMENT = {"bf16": 2, "fp16": 2, "fp32": 4}
ADAM_BYTES = 28
"""Of fp32 AdamW for a parameter: gradient read, two states and the weight read and written."""


def traffic_bytes(operation: str, rows: int, width: int, precision: str) -> int:
    """Bytes of a pass: each operand read once, each result written once, token ids and targets of 8 bytes."""
    one = rows * width * ELEMENT[precision]
    row = width * ELEMENT[precision]
    return {
        "copy": 2 * one,
        "add": 3 * one,
        "rms_norm": 2 * one + row,
        "layer_norm": 2 * one + 2 * row,
        "silu": 2 * one,
        "gelu": 2 * one,
        "softmax": 2 * one,
        "cross_entropy": one + 8 * rows,
        "embedding": 2 * one + 8 * rows,
        "optimizer_step": rows * width * ADAM_BYTES,
    }[operation]


def build(tools: Tools, shape: Shape) -> list[Candidate]:
    """The way to run a pass.

    Raises:
        CannotMeasureError: For a pass nobody wrote down here.
    """
    operation, precision = str(shape["operation"]), shape.precision
    rows, width = int(shape["rows"]), int(shape["width"])
    if operation not in _MAKERS:
        raise CannotMeasureError(f"no pass named {operation} is measured here", whole=True)
    if precision not in ELEMENT or (operation == "optimizer_step" and precision != "fp32"):
        raise CannotMeasureError(f"{operation} is not measured in {precision}", whole=True)
    if not rows or not width:
        raise CannotMeasureError("its rows and width are not stated")
    name, make = _MAKERS[operation]
    sizes: dict[str, Any] = {"rows": rows, "width": width, "precision": precision}
    table = 0
    if operation == "embedding":
        sizes["vocabulary"] = int(shape["vocabulary"]) or 32_000
        table = sizes["vocabulary"] * width * ELEMENT[precision]
    own = traffic_bytes(operation, rows, width, precision)
    # Log-probabilities are written too; a table is larger than what one launch gathers from it.
    held = 2 * own if operation == "cross_entropy" else own // 2 + table if table else own
    return [Candidate(implementation=name, set_bytes=held, make=partial(make, tools, **sizes))]


def _copy(tools: Tools, rows: int, width: int, precision: str) -> Launch:
    x = tools.random(rows, width, precision=precision)
    y = tools.torch.empty_like(x)
    return partial(y.copy_, x)


def _add(tools: Tools, rows: int, width: int, precision: str) -> Launch:
    x, y = (tools.random(rows, width, precision=precision) for _ in range(2))
    return keeping(partial(tools.torch.add, x, y))


def _on_rows(name: str, weights: int = 0) -> Callable[..., Launch]:
    """A function of torch.nn.functional of one tensor, with so many weights of the width of a row."""

    def make(tools: Tools, rows: int, width: int, precision: str) -> Launch:
        x = tools.random(rows, width, precision=precision)
        function: Any = getattr(tools.torch.nn.functional, name)
        if weights:
            return keeping(
                partial(function, x, (width,), *(tools.random(width, precision=precision) for _ in range(weights)))
            )
        return keeping(partial(function, x, dim=-1) if name == "softmax" else partial(function, x))

    return make


def _cross_entropy(tools: Tools, rows: int, width: int, precision: str) -> Launch:
    logits, targets = tools.random(rows, width, precision=precision), tools.indices(rows, width)
    return keeping(partial(tools.torch.nn.functional.cross_entropy, logits, targets))


def _embedding(tools: Tools, rows: int, width: int, precision: str, vocabulary: int) -> Launch:
    table, ids = tools.random(vocabulary, width, precision=precision), tools.indices(rows, vocabulary)
    return keeping(partial(tools.torch.nn.functional.embedding, ids, table))


def _optimizer(tools: Tools, rows: int, width: int, precision: str) -> Launch:
    torch = tools.torch
    weight = torch.nn.Parameter(tools.random(rows, width, precision=precision))
    weight.grad = tools.random(rows, width, precision=precision)
    own = {"fused": True} | ({"capturable": True} if tools.kind == "cuda" else {})
    step: Launch = torch.optim.AdamW([weight], **own).step
    return step


_FUNCTIONAL = "torch.nn.functional"
_MAKERS: Mapping[str, tuple[str, Callable[..., Launch]]] = {
    "copy": ("torch.Tensor.copy_", _copy),
    "add": ("torch.add", _add),
    "rms_norm": (f"{_FUNCTIONAL}.rms_norm", _on_rows("rms_norm", 1)),
    "layer_norm": (f"{_FUNCTIONAL}.layer_norm", _on_rows("layer_norm", 2)),
    "silu": (f"{_FUNCTIONAL}.silu", _on_rows("silu")),
    "gelu": (f"{_FUNCTIONAL}.gelu", _on_rows("gelu")),
    "softmax": (f"{_FUNCTIONAL}.softmax", _on_rows("softmax")),
    "cross_entropy": (f"{_FUNCTIONAL}.cross_entropy", _cross_entropy),
    "embedding": (f"{_FUNCTIONAL}.embedding", _embedding),
    "optimizer_step": ("torch.optim.AdamW, fused", _optimizer),
}
