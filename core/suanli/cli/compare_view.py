"""What an accelerator is, in facts that stand beside another's."""

from __future__ import annotations

import contextlib
from typing import Any

import attrs

from suanli.catalogs import Catalog
from suanli.cli.amounts import amount
from suanli.cli.blocks import Block, Table, Text
from suanli.errors import UnknownNameError
from suanli.hardware import Accelerator, System

SECRET = "confidential"
SIXTEEN = ("bf16", "fp16")


@attrs.frozen(kw_only=True)
class Facts:
    """One column of a comparison.

    Attributes:
        data: The facts, as JSON has them.
        asked: The name it was asked by.
        siblings: Parts that name could also have meant.
    """

    data: dict[str, Any]
    asked: str
    siblings: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """The facts without what is nested, for CSV."""
        flat = {k: v for k, v in self.data.items() if not isinstance(v, (dict, list))}
        return flat | {f"{p}_flops_per_s": v for p, v in (self.data["peak_flops_per_s"] or {}).items()}


def device_facts(catalog: Catalog, name: str) -> Facts:
    """The facts of an accelerator, or of a system's accelerator in that system.

    Raises:
        UnknownNameError: With near matches of both kinds.
    """
    asked_system: str | None = None
    try:
        device = catalog.accelerator(name)
        siblings = device.siblings if name.strip().lower() != device.id else ()
    except UnknownNameError:
        try:
            found: System = catalog.get("system", name)
        except UnknownNameError:
            known = [n for k in ("accelerator", "system") for e in catalog.entries(k) for n in (e.name, *e.aliases)]
            hint = "List them with `suanli list accelerators`."
            raise UnknownNameError("accelerator or system", name, set(known), hint) from None
        asked_system, siblings = found.id, ()
        device = catalog.accelerator(found.accelerator)
    system: System | None = None
    with contextlib.suppress(UnknownNameError):
        system = catalog.get("system", asked_system or device.default_system or "")
    return Facts(data=_data(device, system), asked=name, siblings=siblings)


def _data(device: Accelerator, system: System | None) -> dict[str, Any]:
    secret = device.confidential
    tiers = system.tiers if system is not None and not system.confidential else ()
    inner, outer = (tiers[0], tiers[-1]) if tiers else (None, None)
    best = max((device.rates.get(p, 0.0) for p in SIXTEEN), default=0.0)
    data: dict[str, Any] = {
        "id": device.id,
        "product": device.product,
        "vendor": device.vendor,
        "architecture": device.architecture,
        "year": device.year,
        "confidential": secret,
        "memory_bytes": device.memory_bytes,
        "usable_memory_bytes": device.usable_memory_bytes,
        "memory_bandwidth_bytes_per_s": device.memory_bandwidth_bytes_per_s,
        "peak_flops_per_s": dict(device.rates),
        "sparsity": device.sparsity,
        "ops_per_byte": best / device.memory_bandwidth_bytes_per_s if best else None,
        "power_w": device.power_w,
        "flops_per_joule": best / device.power_w if best and device.power_w else None,
        "system": system.id if system is not None else None,
        "scale_up": inner.name if inner is not None else None,
        "scale_up_accelerators": inner.span if inner is not None else None,
        "scale_up_bytes_per_s": inner.bandwidth_bytes_per_s if inner is not None else None,
        "scale_out": outer.name if outer is not inner and outer is not None else None,
        "scale_out_bytes_per_s": outer.bandwidth_bytes_per_s if outer is not inner and outer is not None else None,
        "note": device.note,
        "sources": {s.group: s.text for s in device.source},
    }
    if secret:
        open_keys = ("id", "product", "vendor", "confidential", "system")
        data = {k: v if k in open_keys else {} if isinstance(v, dict) else None for k, v in data.items()}
    return data


def device_blocks(facts: list[Facts], sources: bool) -> list[Block]:
    """Accelerators, a column each."""
    data = [f.data for f in facts]

    def line(name: str, key: str, dimension: str = "") -> tuple[str, ...]:
        cells = []
        for d in data:
            value = d[key]
            hidden = value is None and d["confidential"]
            cells.append(SECRET if hidden else amount(dimension or key, value) if dimension else str(value or "—"))
        return (name, *cells)

    precisions = dict.fromkeys(p for d in data for p in d["peak_flops_per_s"])
    peaks = [(f"peak {p}, dense", *(_peak(d, p) for d in data)) for p in precisions]
    rows = [
        line("product", "product"),
        line("vendor", "vendor"),
        line("year", "year"),
        line("memory", "memory_bytes", "_bytes"),
        line("memory bandwidth", "memory_bandwidth_bytes_per_s", "_bytes_per_s"),
        *peaks,
        line("sparsity", "sparsity"),
        line("16-bit FLOP a byte", "ops_per_byte", "count"),
        line("power", "power_w", "_w"),
        line("16-bit FLOP a joule", "flops_per_joule", "_flops"),
        line("in the system", "system"),
        line("scale-up link, one way", "scale_up_bytes_per_s", "_bytes_per_s"),
        line("  kind", "scale_up"),
        line("  joins", "scale_up_accelerators", "count"),
        line("scale-out link, one way", "scale_out_bytes_per_s", "_bytes_per_s"),
        line("  kind", "scale_out"),
    ]
    rows = [r for r in rows if any(c != "—" for c in r[1:])]
    right = tuple(range(1, len(facts) + 1))
    blocks: list[Block] = [Table(columns=("", *(d["id"] for d in data)), rows=tuple(rows), right=right)]
    for f in facts:
        if f.siblings:
            also = ", ".join(f.siblings)
            text = f"{f.asked!r} is taken to be {f.data['id']}; it could also mean {also}"
            blocks.append(Text(text=text, style="warning"))
    blocks += [Text(text=f"{d['id']}: {d['note']}", style="note") for d in data if d["note"]]
    if sources:
        for d in data:
            stated = tuple((group, text) for group, text in d["sources"].items())
            if stated:
                blocks.append(Table(title=f"Sources of {d['id']}", columns=("", ""), rows=stated))
    return blocks


def _peak(data: dict[str, Any], precision: str) -> str:
    """A peak; a format the hardware lacks a path for is told apart from one nobody states."""
    if data["confidential"]:
        return SECRET
    rate = data["peak_flops_per_s"].get(precision)
    if rate is None:
        return "not stated"
    unit = amount("_flops_per_s", rate)
    return "none" if rate == 0.0 else unit.replace("FLOP", "OP") if precision.startswith("int") else unit
