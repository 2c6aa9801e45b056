"""A plan from a total rate as people read it; and what every plan's view needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from suanli import units
from suanli.cli.amounts import amount, rate
from suanli.cli.blocks import Block, Rows, Table, Text
from suanli.planning.compute import ComputeOption, ComputePlan
from suanli.planning.running import Keep

MOST_PRICES = 3
"""Prices whose source is shown."""


def money(value: float | None, currency: str | None) -> str:
    """An amount with its currency."""
    return "—" if value is None else f"{units.format(value, 'currency')} {currency}"


def monies(amounts: Sequence[tuple[float | None, str | None]]) -> tuple[str, list[str]]:
    """The currency of several amounts where they share one, and each of them, with its own where they do not."""
    currencies = {currency for value, currency in amounts if value is not None}
    if len(currencies) != 1:
        return "", [money(value, currency) for value, currency in amounts]
    return str(next(iter(currencies))), ["—" if v is None else units.format(v, "currency") for v, _ in amounts]


def plural(count: int, noun: str) -> str:
    """A count of things."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def power_of(kept: Keep | None) -> str:
    """Power; a star where it is the accelerators' alone."""
    if kept is None or kept.power_w is None:
        return "—"
    return f"{amount('_w', kept.power_w)}{'*' if 'alone' in kept.power_of else ''}"


def power_note(keeps: Iterable[Keep | None]) -> list[Block]:
    """What a star at a power means, where there is one."""
    starred = any(k is not None and k.power_w is not None and "alone" in k.power_of for k in keeps)
    said = "* rated power of the accelerators alone: nobody states that of the node"
    return [Text(text=said, style="note")] if starred else []


def price_notes(prices: Iterable[tuple[str, float | None, str | None, str]]) -> list[Block]:
    """Where prices are from: accelerator, price of an hour, currency, source; each once, a few of them."""
    known = dict.fromkeys((name, money(price, currency), why) for name, price, currency, why in prices if price)
    lines = [f"{name}: {price} an hour: {why}" for name, price, why in list(known)[:MOST_PRICES]]
    return [Text(text="\n".join(lines), style="note")] if lines else []


def left_out(shown: int, of: int) -> list[Block]:
    """That a table has not all, where it has not."""
    return [Text(text=f"{shown} of {of}; --top {of} shows all", style="note")] if shown < of else []


def compute_blocks(plan: ComputePlan, top: int) -> list[Block]:
    """The whole plan."""
    what = f"{rate(plan.precision, plan.flops_per_s)} of {plan.precision}"
    what += ", with structured sparsity" if plan.sparse else ", dense"
    good = [o for o in plan.options if o.meets]
    blocks: list[Block] = [Text(text=what, style="headline")]
    if good:
        blocks.append(Text(text=_best(good[0]), style="good"))
        blocks.append(_table(good[:top], plan.ranked_by))
        blocks += left_out(min(top, len(good)), len(good))
    bad = [o for o in plan.options if not o.meets]
    if bad or not good:
        said = "\n".join(f"{o.accelerator}: {o.reason}" for o in bad) or f"no accelerator has a {plan.precision} path"
        blocks.append(Text(text=said, style="bad"))
    blocks += power_note(o.keep for o in good[:top])
    return blocks + price_notes(
        (o.accelerator, o.keep.price_per_hour, o.keep.currency, o.keep.price_source)
        for o in good[:top]
        if o.keep is not None
    )


def _best(option: ComputeOption) -> str:
    nodes = f"{plural(option.nodes or 0, 'node')} of {option.system}" if option.system else "single accelerators"
    exact = f" ({option.exact_accelerators:.1f} exactly)" if option.exact_accelerators is not None else ""
    two = option.power_of_two_nodes
    power = f"; the next power of two is {two} nodes" if two != option.nodes else ""
    return f"{plural(option.accelerators or 0, 'accelerator')} of {option.accelerator}{exact} in {nodes}{power}"


def _table(options: Sequence[ComputeOption], ranked_by: str) -> Table:
    kept = [o.keep for o in options]
    currency, hours = monies([(k.cost_per_hour, k.currency) if k is not None else (None, None) for k in kept])
    months = monies([(k.cost_per_month, k.currency) if k is not None else (None, None) for k in kept])[1]
    rows = []
    for o, hour, month in zip(options, hours, months, strict=True):
        rows.append(
            (
                o.accelerator,
                amount("_flops_per_s", o.peak_flops_per_s),
                f"{o.exact_accelerators:,.1f}" if o.exact_accelerators is not None else "—",
                f"{o.accelerators:,}",
                f"{o.nodes:,} x {o.per_node}",
                power_of(o.keep),
                hour,
                month,
            )
        )
    costs = tuple(f"{currency} {of}".strip() for of in ("an hour", "30 days"))
    columns = ("accelerator", "each", "exactly", "built", "nodes", "power", *costs)
    right = (1, 2, 3, 4, 5, 6, 7)
    return Table(title=f"Ranked by {ranked_by}", columns=columns, rows=tuple(rows), right=right, keep=(0, 1, 6, 7))


def compute_rows(plan: ComputePlan) -> Rows:
    """An option a row."""
    about: dict[str, Any] = {"flops_per_s": plan.flops_per_s, "precision": plan.precision, "sparse": plan.sparse}
    return [about | {"meets": o.meets} | o.to_dict() for o in plan.options]
