"""The operators of a model on one rank, at sizes asked for: what a roofline shows and a measurement runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from suanli.catalogs import Catalog
from suanli.errors import SuanliError
from suanli.kernels import BF16, Formats
from suanli.layout import Degrees, Layout, fields_of
from suanli.models import Block, Model
from suanli.operators import Operator
from suanli.tensors import Local


class Step(NamedTuple):
    """An operator where it runs.

    Attributes:
        block: The block it is in.
        times: How often the model has that block.
        operator: Itself.
        at: The sizes it works on.
    """

    block: Block
    times: int
    operator: Operator
    at: Local


def steps(
    catalog: Catalog,
    model: Model,
    *,
    tensor: int = 1,
    batch: int = 1,
    sequence: int,
    kv_tokens: int,
    phase: str = "prefill",
    formats: Formats = BF16,
) -> Iterator[Step]:
    """Every operator of a forward pass, each kind of block once.

    Args:
        catalog: With the rule of tensor parallelism.
        model: The model.
        tensor: Ranks each layer is divided over.
        batch: Sequences.
        sequence: New tokens of each.
        kv_tokens: Tokens attended to, the new ones included.
        phase: ``"prefill"`` or ``"decode"``.
        formats: Of the products.

    Raises:
        SuanliError: Where the model cannot be divided so.
    """
    faults = divided_badly(catalog, model, tensor)
    if faults:
        raise SuanliError("; ".join(faults))
    numbers, names = fields_of(Layout(tensor=tensor, expert_tensor=tensor))
    view = Degrees(numbers, names, frozenset((*numbers, *names, *catalog.axes)), "tensor parallelism")
    divided = [rule.degrees(view) for rule in catalog.axes.values()] if tensor > 1 else []
    degrees = {role: degree for found in divided for role, degree in found.items() if degree != 1.0}
    width = dict(catalog.element_bytes)
    width |= {"activations": width["bf16"], "cache": width["bf16"], "logits": width["fp32"], "mask": 1.0}
    at = Local(
        batch=float(batch),
        sequence=float(sequence),
        whole_sequence=float(sequence),
        kv_tokens=float(kv_tokens),
        phase=phase,
        degrees=degrees,
        formats=formats,
        bytes_of=width,
    )
    for block, times in model.parts:
        for operator in block.operators:
            yield Step(block, times, operator, at)


def divided_badly(catalog: Catalog, model: Model, tensor: int) -> list[str]:
    """Why a model's layers cannot be divided over so many ranks; empty where they can."""
    rule = catalog.axes.get("tensor")
    if tensor == 1:
        return []
    if rule is None:
        return ["no plugin provides tensor parallelism"]
    return list(rule.faults(tensor, model))
