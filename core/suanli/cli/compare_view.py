"""What an accelerator is, in facts that stand beside another's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import attrs

from suanli.catalogs import Catalog
from suanli.cli.amounts import amount, rate
from suanli.cli.blocks import Block, Table, Text
from suanli.cli.list_view import SIXTEEN
from suanli.errors import UnknownNameError
from suanli.hardware import Accelerator, System, Tier

SECRET = "confidential"
NARROW = 19
"""Characters of a column that is folded so that others fit beside it."""
SERVED = (("kernel times", "kernels", "kernel_model"), ("exchange times", "exchanges", "collective_model"))
VECTOR = ("fp64", "fp32")
"""Formats of the vector units, which know no structured sparsity."""


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
        for kind, start in (("peak", ""), ("sparse_peak", "sparse_"), ("headline_peak", "headline_")):
            flat |= {f"{start}{p}_flops_per_s": v for p, v in self.data[f"{kind}_flops_per_s"].items()}
        return flat


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
        system = catalog.system(asked_system or device.default_system or "")
    return Facts(data=_data(catalog, device, system), asked=name, siblings=siblings)


def _data(catalog: Catalog, device: Accelerator, system: System | None) -> dict[str, Any]:
    tiers = system.tiers if system is not None and not system.confidential else ()
    inner, outer = (tiers[0], tiers[-1] if len(tiers) > 1 else None) if tiers else (None, None)
    best = max((device.rates.get(p, 0.0) for p in SIXTEEN), default=0.0)
    offers = catalog.market(device.id)
    data: dict[str, Any] = {
        "id": device.id,
        "product": device.product,
        "vendor": device.vendor,
        "architecture": device.architecture,
        "year": device.year,
        "confidence": device.confidence,
        "confidential": device.confidential,
        "memory_bytes": device.memory_bytes,
        "usable_memory_bytes": device.usable_memory_bytes,
        "memory_bandwidth_bytes_per_s": device.memory_bandwidth_bytes_per_s,
        "peak_flops_per_s": dict(device.rates),
        "sparsity": device.sparsity,
        "sparse_peak_flops_per_s": _sparse(device),
        "headline_peak_flops_per_s": {r.precision: r.flops_per_s for r in device.headline_peak},
        "ops_per_byte": best / device.memory_bandwidth_bytes_per_s if best else None,
        "power_w": device.power_w,
        "flops_per_joule": best / device.power_w if best and device.power_w else None,
        "pcie_bandwidth_bytes_per_s": device.pcie_bandwidth_bytes_per_s,
        "system": system.id if system is not None else None,
        "accelerators_per_node": system.accelerators_per_node if system is not None else None,
        "scale_up": inner.name if inner is not None else None,
        "scale_up_accelerators": inner.span if inner is not None else None,
        "scale_up_bytes_per_s": inner.bandwidth_bytes_per_s if inner is not None else None,
        "scale_out": outer.name if outer is not None else None,
        "scale_out_bytes_per_s": outer.bandwidth_bytes_per_s if outer is not None else None,
        "tiers": [_tier(t) for t in tiers],
        "price_per_hour": offers.price.price_per_hour if offers is not None else None,
        "currency": offers.price.currency if offers is not None else None,
        "price_offers": len(offers.offers) if offers is not None else None,
        "price_lowest": offers.offers[0].price_per_hour if offers is not None else None,
        "price_highest": offers.offers[-1].price_per_hour if offers is not None else None,
        "kernel_model": device.kernels.name if device.kernels is not None else None,
        "kernels": _served(device.kernels),
        "collective_model": system.exchanges.name if system is not None and system.exchanges is not None else None,
        "exchanges": _served(system.exchanges if system is not None else None),
        "siblings": list(device.siblings),
        "note": device.note,
        "sources": _sources(catalog, device, system),
    }
    if device.confidential:
        open_keys = ("id", "product", "vendor", "confidential", "system")
        data = {k: v if k in open_keys else {} if isinstance(v, dict) else None for k, v in data.items()}
    return data


def _sparse(device: Accelerator) -> dict[str, float]:
    """Peaks with structured sparsity, of the formats it can speed up."""
    if device.sparsity is None:
        return {}
    matrix = [p for p, peak in device.rates.items() if peak > 0.0 and p not in VECTOR]
    return {p: device.peak_flops_per_s(p, sparse=True) for p in matrix}


def _tier(tier: Tier) -> dict[str, Any]:
    return {
        "name": tier.name,
        "joins": tier.span,
        "topology": tier.topology,
        "bandwidth_bytes_per_s": tier.bandwidth_bytes_per_s,
        "per_peer_bytes_per_s": tier.per_peer_bytes_per_s,
        "latency_s": tier.latency_s,
    }


def _served(model: Any) -> str | None:
    """Whether what is known of its speed was fitted to measurements of its kind, or is the fallback's."""
    if model is None:
        return None
    return "fitted" if model.rung == "calibrated" else "datasheet"


def _sources(catalog: Catalog, device: Accelerator, system: System | None) -> dict[str, str]:
    """The document of each group of figures shown, the system's, the price's and the fits' among them."""
    found = {s.group: s.text for s in device.source}
    if system is not None and not system.confidential:
        found |= {f"system, {s.group}": s.text for s in system.source}
    offers = catalog.market(device.id)
    if offers is not None:
        found["price"] = offers.why
    for name, model in (("kernels", device.kernels), ("exchanges", system.exchanges if system is not None else None)):
        if model is not None and model.source:
            found[name] = f"{model.name}: {model.source}"
    return found


def device_blocks(facts: list[Facts], *, sources: bool, sparse: bool, room: int | None) -> list[Block]:
    """Accelerators, a column each.

    Args:
        facts: Of each.
        sources: Whether to say where each group of figures is stated.
        sparse: Whether to show peaks with structured sparsity.
        room: Characters of a line; a table that needs more is divided. None for any number.
    """
    data = [f.data for f in facts]
    rows = [r for r in _rows(data, sparse) if any(c != "—" for c in r[1:])]
    blocks: list[Block] = list(_tables(["", *(d["id"] for d in data)], rows, room))
    links = "links are one way, of one accelerator, all its links of that network together"
    blocks.append(Text(text=links, style="note"))
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


def _tables(names: list[str], rows: list[tuple[str, ...]], room: int | None) -> Iterator[Table]:
    """One table, or several beneath each other where the columns do not fit beside each other."""
    widths = [max(len(name), *(len(r[i]) for r in rows)) for i, name in enumerate(names)]
    if room is not None and sum(widths) + 2 * (len(widths) - 1) > room:
        widths[1:] = [min(w, NARROW) for w in widths[1:]]
    groups: list[list[int]] = [[]]
    for i in range(1, len(names)):
        if room is not None and groups[-1] and widths[0] + sum(widths[j] + 2 for j in [*groups[-1], i]) > room:
            groups.append([])
        groups[-1].append(i)
    for group in groups:
        shown = tuple((r[0], *(r[i] for i in group)) for r in rows if any(r[i] != "—" for i in group))
        right, widest = tuple(range(1, len(group) + 1)), (0, *(widths[i] for i in group))
        yield Table(columns=("", *(names[i] for i in group)), rows=shown, right=right, widest=widest)


def _rows(data: list[dict[str, Any]], sparse: bool) -> Iterator[tuple[str, ...]]:
    def line(name: str, key: str, dimension: str = "") -> tuple[str, ...]:
        return (name, *(_cell(d, d[key], dimension) for d in data))

    def peaks(name: str, key: str, absent: str) -> Iterator[tuple[str, ...]]:
        for p in dict.fromkeys(p for d in data for p in d[key]):
            yield (name.format(p), *(SECRET if d["confidential"] else _peak(d[key], p, absent) for d in data))

    yield line("product", "product")
    yield line("vendor", "vendor")
    yield line("architecture", "architecture")
    yield line("year", "year")
    yield line("confidence", "confidence")
    yield line("memory", "memory_bytes", "memory_bytes")
    yield line("  usable", "usable_memory_bytes", "memory_bytes")
    yield line("  bandwidth", "memory_bandwidth_bytes_per_s", "_bytes_per_s")
    yield from peaks("peak {}, dense", "peak_flops_per_s", "not stated")
    yield from peaks("  headline {}", "headline_peak_flops_per_s", "—")
    yield line("sparsity", "sparsity")
    if sparse:
        yield from peaks("peak {}, sparse", "sparse_peak_flops_per_s", "none")
    yield line("ops:byte, 16-bit", "ops_per_byte", "count")
    yield line("power", "power_w", "_w")
    yield line("  FLOP/J, 16-bit", "flops_per_joule", "_flops")
    yield line("PCIe, one way", "pcie_bandwidth_bytes_per_s", "_bytes_per_s")
    yield line("in the system", "system")
    yield line("  a node has", "accelerators_per_node", "count")
    for level in range(max(len(d["tiers"] or ()) for d in data)):
        yield from _links(data, level)
    prices = (SECRET if d["confidential"] else _price(d) for d in data)
    yield ("price of an hour", *prices)
    yield ("  offers", *(_offers(d) for d in data))
    for name, served, model in SERVED:
        yield (name, *(SECRET if d["confidential"] else _fit(d[served], d[model]) for d in data))


def _cell(data: dict[str, Any], value: Any, dimension: str) -> str:
    if value is None and data["confidential"]:
        return SECRET
    return amount(dimension, value) if dimension else str(value or "—")


def _links(data: list[dict[str, Any]], level: int) -> Iterator[tuple[str, ...]]:
    """One tier of each: its bandwidth, its name, how many it joins, and what one peer gets of a mesh."""
    tiers = [d["tiers"][level] if d["tiers"] and level < len(d["tiers"]) else None for d in data]
    hidden = [SECRET if d["confidential"] else "—" for d in data]

    def line(name: str, key: str, dimension: str = "") -> tuple[str, ...]:
        cells = (
            _cell({"confidential": False}, t[key], dimension) if t else h for t, h in zip(tiers, hidden, strict=True)
        )
        return (name, *cells)

    yield line(f"link {level + 1}", "bandwidth_bytes_per_s", "_bytes_per_s")
    yield line("  to one peer", "per_peer_bytes_per_s", "_bytes_per_s")
    yield line("  name", "name")
    joins = ("—" if t is None else "any number" if t["joins"] is None else str(t["joins"]) for t in tiers)
    yield ("  joins", *joins)


def _peak(peaks: dict[str, float], precision: str, absent: str) -> str:
    """A peak; a format the hardware lacks a path for is told apart from one nobody states."""
    found = peaks.get(precision)
    return absent if found is None else rate(precision, found)


def _fit(served: str | None, model: str | None) -> str:
    """What serves it: fitted to its kind (named without the sort of model), or the datasheet fallback."""
    return "—" if served is None else f"fitted: {(model or '').partition('-')[2]}" if served == "fitted" else served


def _price(data: dict[str, Any]) -> str:
    value = data["price_per_hour"]
    return "—" if value is None else f"{amount('price', value)} {data['currency']}"


def _offers(data: dict[str, Any]) -> str:
    if data["price_offers"] is None:
        return "—"
    low, high = (amount("price", data[f"price_{end}"]) for end in ("lowest", "highest"))
    return "1" if data["price_offers"] == 1 else f"{data['price_offers']}, {low} to {high}"
