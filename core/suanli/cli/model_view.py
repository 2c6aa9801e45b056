"""The anatomy of a model: blocks, operators, and what each costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from suanli import units
from suanli.cli.amounts import amount, share
from suanli.cli.blocks import Block as Shown
from suanli.cli.blocks import Table, Text
from suanli.errors import SuanliError
from suanli.models import Block, Model
from suanli.operators import Operator
from suanli.tensors import WORKLOAD_ROLES, Local, Tensor


@attrs.frozen(kw_only=True)
class Asked:
    """The sizes a model is looked at with: tokens of a sequence, sequences, and the format of the cache."""

    sequence: int
    batch: int
    precision: str

    def local(self) -> Local:
        """The same as one undivided rank sees it."""
        length = float(self.sequence)
        return Local(batch=float(self.batch), sequence=length, whole_sequence=length, kv_tokens=length, causal=True)


def anatomy(model: Model, asked: Asked) -> dict[str, Any]:
    """What a model is made of, as data."""
    flops = model.forward_flops(batch=asked.batch, sequence=asked.sequence)
    count = model.parameters
    return {
        "name": model.name,
        "family": model.family,
        "layers": len(model.layers),
        "context": model.context,
        "parameters": count.total,
        "active_parameters": count.active,
        "draft_parameters": model.draft_parameters,
        "weight_bytes": model.weight_bytes,
        "sequence": asked.sequence,
        "batch": asked.batch,
        "precision": asked.precision,
        "forward_flops": flops.total,
        "flops_per_token": flops.total / (asked.sequence * asked.batch),
        "kv_cache_bytes_per_token": model.kv_cache_growth_bytes(asked.precision),
        "kv_cache_bytes": model.kv_cache_bytes(asked.sequence, asked.precision) * asked.batch,
        "saved_bytes_per_layer": _saved(model, asked),
        "parameters_by_group": dict(count.by_group),
        "flops_by_group": dict(flops.by_group),
        "blocks": [_block(b, times, asked) for b, times in model.parts],
        "notes": list(model.notes),
        "source": model.source,
    }


def _block(block: Block, times: int, asked: Asked) -> dict[str, Any]:
    at = asked.local()
    return {
        "name": block.name,
        "times": times,
        "operators": [
            {
                "operator": op.name,
                "kind": type(op).__name__,
                "group": op.group,
                "shape": _shape(op),
                "parameters": sum(p.elements for p in op.parameters if not p.tied),
                "tied": any(p.tied for p in op.parameters),
                "flops": float(op.flops(at)),
            }
            for op in block.operators
        ],
    }


def _shape(op: Operator) -> str:
    """What an operator reads and writes of each token."""
    if getattr(op, "heads", None):
        kv = f" on {op.kv_heads}" if getattr(op, "kv_heads", op.heads) != op.heads else ""  # type: ignore[attr-defined]
        return f"{op.heads}{kv} heads of {getattr(op, 'head_dim', '?')}"  # type: ignore[attr-defined]
    read = " + ".join(dict.fromkeys(_width(t) for t in op.reads)) or "token"
    written = " + ".join(_width(t) for t in op.writes)
    return f"{read} → {written}" if written != read else read


def _width(tensor: Tensor) -> str:
    sizes = [str(d.size) for d in tensor.dims if d.role not in WORKLOAD_ROLES]
    return "×".join(sizes) or "1"


def _saved(model: Model, asked: Asked) -> dict[str, int | None]:
    """Bytes a layer of each kind keeps for its backward pass, by the number of its first layer."""
    found: dict[str, int | None] = {}
    for kind, (block, _) in enumerate(model.kinds):
        first = model.pattern.index(kind)
        try:
            kept = model.saved_activation_bytes(layer=first, batch=asked.batch, sequence=asked.sequence)
        except SuanliError:
            kept = None
        found[block.name if len(model.kinds) == 1 else f"{block.name} (layer {first})"] = kept
    return found


def blocks(model: Model, asked: Asked) -> list[Shown]:
    """The anatomy of one model for people."""
    data = anatomy(model, asked)
    active = (
        f", {_number(data['active_parameters'])} for a token" if model.parameters.active != data["parameters"] else ""
    )
    context = f", made for {model.context} tokens" if model.context else ""
    head = f"{model.name}: {_number(data['parameters'])} parameters{active}, {len(model.layers)} layers{context}"
    found: list[Shown] = [Text(text=head, style="headline"), _facts(data), _operators(data)]
    found.append(_groups(data))
    found += [Text(text=f"note: {note}", style="note") for note in model.notes]
    if model.source:
        found.append(Text(text=f"source: {model.source}", style="note"))
    return found


def _number(count: float) -> str:
    return units.format(count, "count")


def _facts(data: dict[str, Any]) -> Table:
    saved = [
        (f"kept for backward by a {name}", amount("_bytes", size))
        for name, size in data["saved_bytes_per_layer"].items()
    ]
    at = f"{data['batch']} × {data['sequence']} tokens"
    rows = (
        ("weights as stored", amount("_bytes", data["weight_bytes"])),
        (f"forward pass of {at}", amount("_flops", data["forward_flops"])),
        ("a token of it", amount("_flops", data["flops_per_token"])),
        (f"cache of a token, {data['precision']}", amount("_bytes", data["kv_cache_bytes_per_token"])),
        (f"cache of {at}", amount("_bytes", data["kv_cache_bytes"])),
        *saved,
    )
    return Table(columns=("", ""), rows=rows, right=(1,), keep=(0, 1))


def _operators(data: dict[str, Any]) -> Table:
    rows: list[tuple[str, ...]] = []
    strong = []
    for block in data["blocks"]:
        times = block["times"]
        parameters = sum(op["parameters"] for op in block["operators"])
        flops = sum(op["flops"] for op in block["operators"])
        strong.append(len(rows))
        name = f"{block['name']} × {times}" if times > 1 else block["name"]
        rows.append((name, "", "", _number(parameters * times), share(flops * times, data["forward_flops"])))
        operators = block["operators"]
        for i, op in enumerate(operators):
            branch = "└─" if i == len(operators) - 1 else "├─"
            count = "tied" if op["tied"] else _number(op["parameters"]) if op["parameters"] else ""
            part = share(op["flops"] * times, data["forward_flops"]) if op["flops"] else ""
            rows.append((f"{branch} {op['operator']}", op["kind"], op["shape"], count, part))
    return Table(
        title="Blocks and operators (an operator's parameters are of one block)",
        columns=("", "kind", "width of a token", "parameters", "FLOPs"),
        rows=tuple(rows),
        right=(3, 4),
        strong=tuple(strong),
        keep=(0, 1, 3, 4),
    )


def _groups(data: dict[str, Any]) -> Table:
    groups = dict.fromkeys([*data["parameters_by_group"], *data["flops_by_group"]])
    rows = []
    for group in groups:
        count, flops = data["parameters_by_group"].get(group, 0), data["flops_by_group"].get(group, 0.0)
        rows.append(
            (
                group.replace("_", " "),
                _number(count) if count else "",
                share(count, data["parameters"]) if count else "",
                share(flops, data["forward_flops"]) if flops else "",
            )
        )
    return Table(
        title="By group",
        columns=("", "parameters", "share", "FLOPs"),
        rows=tuple(rows),
        right=(1, 2, 3),
        keep=(0, 1, 2, 3),
    )


def side_by_side(found: Sequence[dict[str, Any]]) -> list[Shown]:
    """Several models, a column each."""
    lines: list[tuple[str, list[str]]] = [
        ("family", [d["family"] for d in found]),
        ("layers", [str(d["layers"]) for d in found]),
        ("made for", [f"{d['context']} tokens" if d["context"] else "—" for d in found]),
        ("parameters", [_number(d["parameters"]) for d in found]),
        ("used for a token", [_number(d["active_parameters"]) for d in found]),
        (f"FLOPs of a token, at {found[0]['sequence']}", [amount("_flops", d["flops_per_token"]) for d in found]),
        (
            f"cache of a token, {found[0]['precision']}",
            [amount("_bytes", d["kv_cache_bytes_per_token"]) for d in found],
        ),
        (
            f"kept by a layer, at {found[0]['sequence']}",
            [_span([s for s in d["saved_bytes_per_layer"].values() if s is not None]) for d in found],
        ),
    ]
    for group in dict.fromkeys(g for d in found for g in d["parameters_by_group"]):
        counts = [d["parameters_by_group"].get(group) for d in found]
        cells = [
            f"{_number(c)} ({share(c, d['parameters'])})" if c else "—" for c, d in zip(counts, found, strict=True)
        ]
        lines.append((f"  {group.replace('_', ' ')}", cells))
    rows = tuple((name, *cells) for name, cells in lines)
    width = len(found) + 1
    columns = ("", *(d["name"] for d in found))
    return [Table(columns=columns, rows=rows, right=tuple(range(1, width)), keep=(0,))]


def _span(sizes: list[int]) -> str:
    if not sizes:
        return "—"
    low, high = amount("_bytes", min(sizes)), amount("_bytes", max(sizes))
    return low if low == high else f"{low} to {high}"
