"""A plan from a total rate as people read it; and what every plan's view needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from suanli import units
from suanli.cli.amounts import amount, rate
from suanli.cli.blocks import Block, Rows, Table, Text
from suanli.planning.compute import ComputeOption, ComputePlan
from suanli.planning.running import Keep
from suanli.report import Report

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


def notes(lines: Iterable[str]) -> list[Block]:
    """Lines a reader should know, each once."""
    said = "\n".join(dict.fromkeys(line for line in lines if line))
    return [Text(text=said, style="note")] if said else []


def ambiguous(reports: Iterable[Report | None]) -> list[Block]:
    """Which accelerators were meant by names that several go by."""
    told = (p for report in reports if report is not None for p in report.problems)
    return notes(p.message for p in told if p.code == "ambiguous-accelerator")


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
        blocks += _tables(good[:top], plan.ranked_by)
        blocks += left_out(min(top, len(good)), len(good))
    bad = [o for o in plan.options if not o.meets]
    if bad or not good:
        said = "\n".join(f"{o.accelerator}: {o.reason}" for o in bad) or f"no accelerator has a {plan.precision} path"
        blocks.append(Text(text=said, style="bad"))
    blocks += notes(o.note for o in plan.options)
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


def _tables(options: Sequence[ComputeOption], ranked_by: str) -> list[Block]:
    """How many, and what they take: two tables, so that a narrow terminal has room."""
    kept = [(o.accelerator, o.keep) for o in options if o.keep is not None]
    rows = [
        (
            o.accelerator,
            amount("_flops_per_s", o.peak_flops_per_s),
            f"{o.exact_accelerators:,.1f}" if o.exact_accelerators is not None else "—",
            f"{o.accelerators:,}",
            f"{o.nodes:,} x {o.per_node}",
        )
        for o in options
    ]
    columns = ("accelerator", "each", "exactly", "built", "nodes")
    title, right = f"Ranked by {ranked_by}", (1, 2, 3, 4)
    return [Table(title=title, columns=columns, rows=tuple(rows), right=right, keep=(0, *right)), costs(kept)]


def costs(kept: Sequence[tuple[str, Keep]], more: Sequence[tuple[str, list[float | None]]] = ()) -> Table:
    """Power and money, an accelerator a row.

    Args:
        kept: The accelerator and what it takes.
        more: Further columns of money: a head, and an amount for each row.
    """
    amounts = {"an hour": [k.cost_per_hour for _, k in kept], "30 days": [k.cost_per_month for _, k in kept]}
    amounts |= dict(more)
    currencies = [k.currency for _, k in kept]
    told = {head: monies(list(zip(values, currencies, strict=True))) for head, values in amounts.items()}
    rows = tuple((name, power_of(k), *(cells[i] for _, cells in told.values())) for i, (name, k) in enumerate(kept))
    columns = ("accelerator", "power", *(f"{currency} {head}".strip() for head, (currency, _) in told.items()))
    right = tuple(range(1, len(columns)))
    return Table(title="What they take", columns=columns, rows=rows, right=right, keep=(0, *right))


def compute_rows(plan: ComputePlan) -> Rows:
    """An option a row."""
    about: dict[str, Any] = {"flops_per_s": plan.flops_per_s, "precision": plan.precision, "sparse": plan.sparse}
    return [about | {"meets": o.meets} | o.to_dict() for o in plan.options]
