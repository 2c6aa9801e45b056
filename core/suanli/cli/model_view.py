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
from suanli.models import STATE_BYTES, Block, Model, kept_bytes
from suanli.operators import How, Operator
from suanli.paging import kept_by
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
        "kv_cache_reserved_bytes": model.kv_cache_reserved_bytes(asked.sequence, asked.precision) * asked.batch,
        "saved_bytes_per_layer": _saved(model, asked),
        "parameters_by_group": dict(count.by_group),
        "flops_by_group": dict(flops.by_group),
        "blocks": [_block(model, b, times, asked) for b, times in model.parts],
        "checkpoint": attrs.asdict(model.checkpoint) if model.checkpoint else None,
        "notes": list(model.notes),
        "source": model.source,
    }


def _block(model: Model, block: Block, times: int, asked: Asked) -> dict[str, Any]:
    at = asked.local()
    kept = _first_kept(block, at) if block in model.layers else {}
    form = model.known.format(asked.precision)
    return {
        "name": block.name,
        "times": times,
        "layers": [i for i, b in enumerate(model.layers) if b is block or b == block],
        "operators": [
            {
                "operator": op.name,
                "kind": type(op).__name__,
                "group": op.group,
                "shape": _shape(op),
                "parameters": sum(p.elements for p in op.parameters if not p.tied),
                "tied": any(p.tied for p in op.parameters),
                "flops": float(op.flops(at)),
                "saved_bytes": kept.get(op.name, 0),
                "window": op.window,
                "kv_cache_bytes_per_token": sum(k.token_bytes for k in kept_by((op,), form, STATE_BYTES)),
                "state_bytes": sum(k.state_bytes for k in kept_by((op,), form, STATE_BYTES)),
            }
            for op in block.operators
        ],
    }


def _first_kept(block: Block, at: Local) -> dict[str, int]:
    """Bytes each operator keeps for the backward pass that none before it does; flash attention, no dropout."""
    seen: set[str] = set()
    found: dict[str, int] = {}
    for op in block.operators:
        new = {t.name: t for t in op.kept(How()) if t.name not in seen}
        seen |= set(new)
        found[op.name] = int(kept_bytes(at, new.values()))
    return found


def _shape(op: Operator) -> str:
    """What an operator reads and writes of each token."""
    heads, width = getattr(op, "heads", None), getattr(op, "head_dim", getattr(op, "value_dim", None))
    if heads and width:
        kv = f" on {op.kv_heads}" if getattr(op, "kv_heads", heads) != heads else ""  # type: ignore[attr-defined]
        state = f", state {op.key_dim}" if hasattr(op, "key_dim") else ""
        return f"{heads}{kv} heads of {width}{state}" + (f", window {op.window}" if op.window else "")
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
    if any(op["state_bytes"] for block in data["blocks"] for op in block["operators"]):
        found.append(Text(text="+ is a state of one size, however many tokens", style="note"))
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
        ("  in pages of 16 tokens", amount("_bytes", data["kv_cache_reserved_bytes"])),
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
        part = share(flops * times, data["forward_flops"]) if flops else ""
        sums = [sum(op[k] for op in block["operators"]) * times for k in ("saved_bytes", "kv_cache_bytes_per_token")]
        where = _layers(block["layers"]) if len(data["blocks"]) > 3 else ""
        rows.append((name, where, _number(parameters * times), part, *map(_size, sums)))
        operators = block["operators"]
        for i, op in enumerate(operators):
            branch = "└─" if i == len(operators) - 1 else "├─"
            count = "tied" if op["tied"] else _number(op["parameters"]) if op["parameters"] else ""
            part = share(op["flops"] * times, data["forward_flops"]) if op["flops"] else ""
            caches = _size(op["kv_cache_bytes_per_token"]) or (
                f"+ {_size(op['state_bytes'])}" if op["state_bytes"] else ""
            )
            rows.append((f"{branch} {op['operator']}", op["shape"], count, part, _size(op["saved_bytes"]), caches))
    return Table(
        title="Blocks and operators (an operator's parameters, kept and cached bytes are of one block)",
        columns=("", "width of a token", "parameters", "FLOPs", "kept", "cached a token"),
        rows=tuple(rows),
        right=(2, 3, 4, 5),
        strong=tuple(strong),
        keep=(0, 2, 3, 4, 5),
    )


def _size(size: float) -> str:
    return amount("_bytes", size) if size else ""


def _layers(numbers: list[int], most: int = 2) -> str:
    """Layers as ranges, such as ``0 to 2, 5``; the first few of many."""
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    told = [f"{a}" if a == b else f"{a} to {b}" for a, b in runs[:most]]
    return (
        f"layer{'s' if len(numbers) > 1 else ''} {', '.join(told)}{' ...' if len(runs) > most else ''}" if told else ""
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
        (f"cache at {found[0]['sequence']}", [amount("_bytes", d["kv_cache_bytes"]) for d in found]),
        ("  in pages of 16 tokens", [amount("_bytes", d["kv_cache_reserved_bytes"]) for d in found]),
        ("weights as stored", [amount("_bytes", d["weight_bytes"]) for d in found]),
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
