"""One row about anything a catalog holds."""

from __future__ import annotations

from typing import Any

import attrs

from suanli.catalogs import Catalog, Entry
from suanli.errors import SuanliError


@attrs.frozen
class Column:
    """A column of a listing: its heading, the key of a row it shows, and whether it holds numbers."""

    name: str
    key: str
    right: bool = False


COLUMNS: dict[str, tuple[Column, ...]] = {
    "accelerator": (
        Column("accelerator", "name"),
        Column("product", "product"),
        Column("year", "year", True),
        Column("memory", "memory_bytes", True),
        Column("bandwidth", "memory_bandwidth_bytes_per_s", True),
        Column("bf16 dense", "bf16_flops_per_s", True),
        Column("also", "aliases"),
    ),
    "system": (
        Column("system", "name"),
        Column("accelerator", "accelerator"),
        Column("a node", "accelerators_per_node", True),
        Column("network, one way each", "network"),
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
        Column("state tensors", "states"),
        Column("FLOPs a parameter", "flops_per_parameter", True),
        Column("source", "source"),
    ),
    "rule": (
        Column("rule", "name"),
        Column("formula", "formula"),
        Column("gives", "unit"),
        Column("holds for", "valid_for"),
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


def about(catalog: Catalog, entry: Entry) -> dict[str, Any]:
    """Everything a listing says of an entry; the figures of a confidential one are left out."""
    row: dict[str, Any] = {"name": entry.name, "aliases": list(entry.aliases)}
    given = {"accelerator": _accelerator, "system": _system, "optimizer": _optimizer}.get(entry.kind, _plain)(
        entry.value
    )
    if entry.kind == "recipe":
        row["name"] = entry.name.removeprefix("serve-")
    if entry.kind == "model":
        given = _model(catalog, entry)
    if getattr(entry.value, "confidential", False):
        given = {k: v if k in ("product", "vendor", "accelerator", "confidential") else None for k, v in given.items()}
        return row | given | {"source": None, "provider": str(entry.provider)}
    return row | given | {"source": entry.source, "provider": str(entry.provider)}


def _plain(value: Any) -> dict[str, Any]:
    """The fields of a value that are plain numbers and texts."""
    found = {f.name: getattr(value, f.name) for f in attrs.fields(type(value))}
    skip = ("name", "aliases", "source", "cases")
    return {k: v for k, v in found.items() if k not in skip and not callable(v)} | _derived(value)


def _derived(value: Any) -> dict[str, Any]:
    size = getattr(value, "bytes_per_element", None)
    return {} if size is None else {"bytes_per_element": size}


def _accelerator(value: Any) -> dict[str, Any]:
    return {
        "product": value.product,
        "vendor": value.vendor,
        "year": value.year,
        "memory_bytes": value.memory_bytes,
        "memory_bandwidth_bytes_per_s": value.memory_bandwidth_bytes_per_s,
        "bf16_flops_per_s": value.rates.get("bf16"),
        "power_w": value.power_w,
        "default_system": value.default_system,
        "confidence": value.confidence,
        "confidential": value.confidential,
    }


def _system(value: Any) -> dict[str, Any]:
    from suanli.cli.amounts import amount

    return {
        "accelerator": value.accelerator,
        "accelerators_per_node": value.accelerators_per_node,
        "reach": value.reach,
        "network": [f"{t.name} {amount('_bytes_per_s', t.bandwidth_bytes_per_s)}" for t in value.tiers],
        "power_per_node_w": value.power_per_node_w,
        "confidence": value.confidence,
        "confidential": value.confidential,
    }


def _model(catalog: Catalog, entry: Entry) -> dict[str, Any]:
    from suanli.resolve import find_model

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


def _optimizer(value: Any) -> dict[str, Any]:
    return {"states": [s.name for s in value.states((1,))], "flops_per_parameter": value.flops_per_parameter}
