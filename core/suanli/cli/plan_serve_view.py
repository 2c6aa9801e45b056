"""A plan of a service as people read it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from suanli.cli.amounts import amount
from suanli.cli.blocks import Block, Rows, Table, Text
from suanli.cli.plan_train_view import layout_of
from suanli.cli.plan_view import ambiguous, costs, left_out, money, plural, power_note, price_notes
from suanli.cli.report_notes import problems, settings
from suanli.planning.services import ServingOption, ServingPlan

SPOKEN = {"output_tokens_per_s": "output tokens/s", "requests_per_s": "requests/s", "requests": "requests in flight"}


def blocks(plan: ServingPlan, top: int) -> list[Block]:
    """The whole plan."""
    good = [o for o in plan.options if o.meets]
    bad = [o for o in plan.options if not o.meets]
    first = next((o for o in plan.options if o.report is not None), None)
    found: list[Block] = [
        Text(text=_title(first), style="headline"),
        Text(text=_demand(plan)),
        Text(text=_targets(plan)),
    ]
    if good:
        found += _best(good[0])
        found += [*_tables(good[:top], plan.ranked_by), *left_out(min(top, len(good)), len(good))]
    else:
        found.append(Text(text="no system meets the targets", style="bad"))
    if bad:
        rows = tuple((o.accelerator, o.reason, o.hint) for o in bad[:top])
        columns = ("accelerator", "why", "what would do")
        found += [Table(title="These miss them", columns=columns, rows=rows), *left_out(len(rows), len(bad))]
    if first is not None and first.report is not None:
        found += problems(first.report, ("error", "warning")) if good else []
        found.append(attrs.evolve(settings(first.report), title="One engine"))
    said = "latencies are means of a steady state: no queue before an engine, no bursts but the peak factor"
    found.append(Text(text=said, style="note"))
    found += ambiguous(o.report for o in plan.options)
    found += power_note(o.keep for o in good[:top])
    return found + price_notes(
        (o.accelerator, o.keep.price_per_hour, o.keep.currency, o.keep.price_source)
        for o in good[:top]
        if o.keep is not None
    )


def _title(first: ServingOption | None) -> str:
    if first is None or first.report is None:
        return "serving"
    asked = first.report.scenario["model"]
    name = asked.get("name") or asked.get("family") or asked.get("config")
    return f"serving {name if isinstance(name, str) else 'a model'}"


def _demand(plan: ServingPlan) -> str:
    asked = plan.demand
    parts = []
    if asked.users is not None:
        parts.append(f"{amount('count', asked.users)} users at a time")
    if asked.measure != "requests" or asked.peak_factor != 1.0:
        parts.append(f"{amount('count', asked.mean)} {SPOKEN[asked.measure]} on average")
    if asked.peak_factor != 1.0:
        parts.append(f"{amount('count', asked.peak)} at the peak ({asked.peak_factor:g} x)")
    return f"demand:  {', '.join(parts)}"


def _targets(plan: ServingPlan) -> str:
    slo = plan.slo
    pairs = (("TTFT", slo.ttft_s), ("TPOT", slo.tpot_s))
    said = ", ".join(f"{name} {amount('_s', most)} at most" for name, most in pairs if most is not None)
    return f"targets: {said}{f' ({slo.why})' if slo.why else ''}"


def _best(option: ServingOption) -> list[Block]:
    size = option.engine_accelerators or 0
    engines = plural(option.engines or 0, "engine")
    said = f"{plural(option.accelerators or 0, 'accelerator')} of {option.system}: {engines} of {size}"
    said += f", {plural(option.concurrency or 0, 'request')} at a time in each"
    cost = []
    if option.keep is not None and option.keep.cost_per_hour is not None:
        currency = option.keep.currency
        cost = [f"{money(option.keep.cost_per_hour, currency)} an hour"]
        mean, busy = option.mean_cost_per_million_tokens, option.cost_per_million_tokens
        if busy is not None:
            cost.append(f"{money(busy, currency)} a million output tokens with every engine busy")
        if mean is not None:
            cost.append(f"{money(mean, currency)} at the average demand")
    return [Text(text=said, style="good"), *([Text(text=", ".join(cost))] if cost else [])]


def _tables(options: Sequence[ServingOption], ranked_by: str) -> list[Block]:
    """The engines, and what they take: two tables, so that a narrow terminal has room."""
    rows = []
    for o in options:
        s = o.serving
        assert s is not None
        assert o.report is not None
        rows.append(
            (
                o.accelerator,
                f"{o.accelerators:,}",
                amount("count", o.concurrency),
                amount("_s", s.ttft_s),
                amount("_s", s.tpot_s),
                amount("count", o.full_tokens_per_s),
                layout_of(o.report.layout),
            )
        )
    columns = ("accelerator", "number", "each", "TTFT", "TPOT", "tokens/s", "engine")
    title, right = f"Ranked by {ranked_by}", (1, 2, 3, 4, 5)
    engines = Table(title=title, columns=columns, rows=tuple(rows), right=right, keep=(0, *right))
    kept = [(o.accelerator, o.keep) for o in options if o.keep is not None]
    more: list[tuple[str, list[float | None]]] = [("M tokens", [o.cost_per_million_tokens for o in options])]
    if any(o.mean_cost_per_million_tokens is not None for o in options):
        more.append(("on average", [o.mean_cost_per_million_tokens for o in options]))
    return [engines, costs(kept, more)]


def rows(plan: ServingPlan) -> Rows:
    """An option a row."""
    found = []
    for o in plan.options:
        data = {k: v for k, v in o.to_dict().items() if not isinstance(v, (dict, list))}
        s = o.serving
        for name in ("ttft_s", "tpot_s", "output_tokens_per_s", "requests_per_s"):
            data[f"engine_{name}"] = getattr(s, name) if s is not None else None
        data |= o.report.layout.to_dict() if o.report is not None else {}
        found.append(data)
    return found
