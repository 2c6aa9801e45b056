"""One row about anything a catalog holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs

from suanli.catalogs import Catalog, Entry
from suanli.cli.amounts import amount
from suanli.errors import PluginError, SuanliError, UnknownNameError
from suanli.hardware import Accelerator, System
from suanli.prices import Price


@attrs.frozen
class Column:
    """A column of a listing.

    Attributes:
        name: Its heading.
        key: Of a row: what it shows.
        right: Whether it holds numbers.
        rank: Where there is no room for all, the columns of the highest rank are left out first; 0 stays.
    """

    name: str
    key: str
    right: bool = False
    rank: int = 0


COLUMNS: dict[str, tuple[Column, ...]] = {
    "accelerator": (
        Column("accelerator", "name"),
        Column("vendor", "vendor", rank=7),
        Column("year", "year", True, rank=6),
        Column("memory", "memory_bytes", True, rank=1),
        Column("bandwidth", "memory_bandwidth_bytes_per_s", True, rank=2),
        Column("16-bit dense", "peak_flops_per_s", True),
        Column("ops:byte", "ops_per_byte", True, rank=4),
        Column("power", "power_w", True, rank=5),
        Column("price", "price_per_hour", True, rank=3),
        Column("also", "aliases", rank=8),
    ),
    "system": (
        Column("system", "name"),
        Column("accelerator", "accelerator"),
        Column("a node", "accelerators_per_node", True),
        Column("scale-up", "scale_up_accelerators", True),
        Column("reach", "reach", True),
        Column("network, one way each", "network", rank=1),
    ),
    "model": (
        Column("model", "name"),
        Column("parameters", "parameters", True),
        Column("for a token", "active_parameters", True),
        Column("layers", "layers", True),
        Column("context", "context", True),
        Column("cache a token", "kv_cache_growth_bytes", True),
        Column("family", "family"),
    ),
    "precision": (
        Column("precision", "name"),
        Column("bits", "bits", True),
        Column("bytes an element", "bytes_per_element", True),
        Column("block", "block", True),
        Column("aliases", "aliases"),
    ),
    "recipe": (
        Column("recipe", "name"),
        Column("kind", "kind"),
        Column("weights", "weights"),
        Column("gradients", "gradients"),
        Column("main", "main_gradients"),
        Column("master", "master_weights"),
        Column("states", "optimizer_states"),
        Column("compute", "compute"),
    ),
    "optimizer": (
        Column("optimizer", "name"),
        Column("state tensors of a matrix", "states"),
        Column("bytes a parameter", "bytes_per_fp32_parameter", True),
        Column("in bf16", "bytes_per_bf16_parameter", True),
        Column("FLOPs", "flops_per_parameter", True),
    ),
    "price": (
        Column("offer", "name"),
        Column("accelerator", "accelerator"),
        Column("an hour", "price_per_hour", True),
        Column("terms", "standing"),
        Column("as of", "date"),
        Column("note", "note", rank=1),
    ),
    "rule": (
        Column("rule", "name"),
        Column("formula", "formula"),
        Column("gives", "unit"),
        Column("holds for", "valid_for"),
    ),
    "exporter": (
        Column("format", "name"),
        Column("writes", "about"),
        Column("for", "kinds"),
        Column("suffix", "suffix", rank=1),
        Column("aliases", "aliases", rank=2),
    ),
    "schedule": (
        Column("schedule", "name"),
        Column("aliases", "aliases"),
        Column("source", "source"),
    ),
    "profile": (
        Column("profile", "name"),
        Column("for", "kind"),
        Column("attention", "attention"),
        Column("aliases", "aliases"),
        Column("source", "source"),
    ),
}
"""What the table of each kind shows."""


ENDLESS: dict[str, tuple[str, ...]] = {"system": ("reach", "scale_up_accelerators")}
"""Figures of which None means that there is no limit."""

SIXTEEN = ("bf16", "fp16")
"""The formats whose peaks are compared where nobody asks for one."""


def about(catalog: Catalog, entry: Entry, precisions: Sequence[str] = SIXTEEN) -> dict[str, Any]:
    """Everything a listing says of an entry; the figures of a confidential one are left out.

    Args:
        catalog: What is installed.
        entry: One thing.
        precisions: Of an accelerator: the formats whose highest peak is told as its peak.
    """
    row: dict[str, Any] = {"name": entry.name, "aliases": list(entry.aliases)}
    value, kind = entry.value, entry.kind
    if kind == "accelerator":
        given = _accelerator(catalog, value, precisions)
    elif kind == "model":
        given = _model(catalog, entry)
    elif kind == "price":
        given = _price(catalog, value)
    elif kind == "optimizer":
        given = _optimizer(catalog, value)
    else:
        given = _system(value) if kind == "system" else _plain(value)
    if kind == "recipe":
        row["name"] = entry.name.removeprefix("serve-")
    if getattr(value, "confidential", False):
        given = {k: v if k in OPEN else None for k, v in given.items()}
        return row | given | {"source": None, "provider": str(entry.provider)}
    return row | given | {"source": entry.source, "provider": str(entry.provider)}


OPEN = ("product", "vendor", "accelerator", "confidential")
"""What may be told of a confidential entry."""


def _plain(value: Any) -> dict[str, Any]:
    """The fields of a value that are plain numbers and texts, or several of them."""
    found = {f.name: getattr(value, f.name) for f in attrs.fields(type(value))}
    skip = ("name", "aliases", "source", "cases")
    return {k: v for k, v in found.items() if k not in skip and _is_plain(v)} | _derived(value)


def _is_plain(value: Any) -> bool:
    several = value if isinstance(value, (tuple, list)) else (value,)
    return all(v is None or isinstance(v, (str, int, float)) for v in several)


def _derived(value: Any) -> dict[str, Any]:
    size = getattr(value, "bytes_per_element", None)
    return {} if size is None else {"bytes_per_element": size}


def _accelerator(catalog: Catalog, value: Accelerator, precisions: Sequence[str]) -> dict[str, Any]:
    stated = {p: value.rates[p] for p in precisions if p in value.rates}
    peak = max(stated.values(), default=None)
    price = catalog.price(value.id)
    device = catalog.accelerator(value.id)
    return {
        "product": value.product,
        "vendor": value.vendor,
        "generation": value.generation,
        "architecture": value.architecture,
        "year": value.year,
        "memory_bytes": value.memory_bytes,
        "usable_memory_bytes": value.capacity_bytes,
        "memory_bandwidth_bytes_per_s": value.memory_bandwidth_bytes_per_s,
        "peak_flops_per_s": peak,
        "peak_precision": next((p for p, rate in stated.items() if rate == peak), None),
        "ops_per_byte": peak / value.memory_bandwidth_bytes_per_s if peak else None,
        **{f"{p}_flops_per_s": value.rates.get(p) for p in peak_precisions(catalog)},
        "sparsity": value.sparsity,
        "cores": value.cores,
        "clock_hz": value.clock_hz,
        "l2_cache_bytes": value.l2_cache_bytes,
        "power_w": value.power_w,
        "pcie_bandwidth_bytes_per_s": value.pcie_bandwidth_bytes_per_s,
        "price_per_hour": price.price_per_hour if price is not None else None,
        "currency": price.currency if price is not None else None,
        "default_system": value.default_system,
        "fitted": device.kernels is not None and device.kernels.rung == "calibrated",
        "confidence": value.confidence,
        "confidential": value.confidential,
    }


def peak_precisions(catalog: Catalog) -> list[str]:
    """Every format some accelerator that is not confidential states a peak in, as catalogs order them."""
    shown = [e.value for e in catalog.entries("accelerator") if not e.value.confidential]
    return list(dict.fromkeys(rate.precision for value in shown for rate in value.peak))


def _system(value: System) -> dict[str, Any]:
    inner = next((t for t in value.tiers[:1] if t.topology != "pcie"), None)
    return {
        "accelerator": value.accelerator,
        "accelerators_per_node": value.accelerators_per_node,
        "scale_up": inner.name if inner is not None else None,
        "scale_up_accelerators": inner.span if inner is not None else 1,
        "scale_up_bytes_per_s": inner.bandwidth_bytes_per_s if inner is not None else None,
        "reach": value.reach,
        "network": [f"{t.name} {amount('_bytes_per_s', t.bandwidth_bytes_per_s)}" for t in value.tiers],
        "power_per_node_w": value.power_per_node_w,
        "host_memory_bytes": value.host_memory_bytes,
        "confidence": value.confidence,
        "confidential": value.confidential,
    }


def _price(catalog: Catalog, value: Price) -> dict[str, Any]:
    found = attrs.asdict(value)
    for key in ("name", "source"):
        found.pop(key)
    try:
        assumed = catalog.price(value.accelerator, value.currency) == value
        standing = "assumed" if assumed else "superseded" if value.superseded else value.terms
    except (UnknownNameError, PluginError):
        assumed, standing = False, "no such accelerator"
    return found | {"assumed": assumed, "standing": standing}


def _model(catalog: Catalog, entry: Entry) -> dict[str, Any]:
    from suanli.finding import find_model

    try:
        model = find_model(catalog, entry.name)
    except SuanliError as exc:  # one bad preset must not hide the others
        return {"family": None, "parameters": None, "error": str(exc)}
    return {
        "family": model.family,
        "parameters": model.parameters.total,
        "active_parameters": model.parameters.active,
        "layers": len(model.layers),
        "context": model.context,
        "kv_cache_growth_bytes": model.kv_cache_growth_bytes(),
    }


MATRIX = (4096, 4096)
"""The parameter a listing states an optimizer's bytes for."""


def _optimizer(catalog: Catalog, value: Any) -> dict[str, Any]:
    held = [s for s in value.states(MATRIX) if not (s.host or s.shared)]
    each = {
        f"bytes_per_{states}_parameter": round(
            value.state_bytes(MATRIX, catalog.formats, states) / math.prod(MATRIX), 4
        )
        for states in ("fp32", "bf16")
    }
    return {"states": [s.name for s in held], **each, "flops_per_parameter": value.flops_per_parameter}
