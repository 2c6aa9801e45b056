"""A plan of a training run as people read it."""

from __future__ import annotations

from collections.abc import Sequence

from suanli import units
from suanli.cli.amounts import amount
from suanli.cli.blocks import Block, Rows, Table, Text
from suanli.cli.plan_view import ambiguous, left_out, money, monies, plural, price_notes
from suanli.cli.report_notes import problems, settings
from suanli.layout import Layout
from suanli.planning.asked import SECONDS_PER_DAY
from suanli.planning.runs import TrainingOption, TrainingPlan
from suanli.report import Report

SHORT = (("tensor", "TP"), ("context", "CP"), ("expert", "EP"), ("pipeline", "PP"), ("data", "DP"))


def layout_of(layout: Layout) -> str:
    """A layout in the letters of the field; degrees of 1 are left out."""
    degrees = layout.to_dict()
    said = [f"{letters}{degrees[field]}" for field, letters in SHORT if degrees[field] > 1]
    said += [f"{field} {degree}" for field, degree in layout.extra if degree > 1]
    parts = [" ".join(said)] if said else []
    parts += [] if layout.recompute == "none" else [f"{layout.recompute} recompute"]
    return ", ".join(parts) or "one rank"


def blocks(plan: TrainingPlan, top: int) -> list[Block]:
    """The whole plan."""
    good = [o for o in plan.options if o.meets]
    bad = [o for o in plan.options if not o.meets]
    first = next((o for o in plan.options if o.report is not None), None)
    found: list[Block] = [Text(text=_title(plan, first), style="headline")]
    if good:
        found += _best(good[0], plan.days)
        found += [*_tables(good[:top], plan.ranked_by), *left_out(min(top, len(good)), len(good))]
    else:
        found.append(Text(text="no system meets the target", style="bad"))
    if bad:
        found += [_missed(bad[:top]), *left_out(min(top, len(bad)), len(bad))]
    if first is not None and first.report is not None:
        found += problems(first.report, ("error", "warning")) if good else []
        found.append(settings(first.report))
        found.append(Text(text=_batch(first.report), style="note"))
    found += ambiguous(o.report for o in plan.options)
    return found + price_notes(_price(o) for o in good[:top])


def _title(plan: TrainingPlan, first: TrainingOption | None) -> str:
    what = "training"
    if first is not None and first.report is not None:
        asked = first.report.scenario
        name = asked["model"].get("name") or asked["model"].get("family") or asked["model"].get("config")
        kind = {"pretrain": "pre-training", "finetune": "fine-tuning"}[first.report.kind]
        name = name if isinstance(name, str) else "a model"
        what = f"{kind} {name} on {amount('count', asked['workload']['tokens'])} tokens"
    limits = [f"in {plan.days:g} day{'' if plan.days == 1 else 's'}" if plan.days is not None else ""]
    currency = f" {first.currency}" if first is not None and first.currency is not None else ""
    limits += [f"for {units.format(plan.budget, 'currency')}{currency}" if plan.budget is not None else ""]
    return " ".join([what, *(said for said in limits if said)])


def _best(option: TrainingOption, days: float | None) -> list[Block]:
    where = f"{plural(option.accelerators or 0, 'accelerator')} of {option.system}"
    report, run = option.report, option.run
    assert report is not None
    assert run is not None
    band = option.duration_band_s
    time = amount("_s", run.duration_s)
    time += f" (80 %: {amount('_s', band[0])} to {amount('_s', band[1])})" if band is not None else ""
    said = [time, money(run.cost, run.currency)] if run.cost is not None else [time]
    found: list[Block] = [Text(text=f"{where}: {', '.join(said)}", style="good")]
    if option.neighbour is not None:
        found.append(Text(text=f"{option.neighbour.accelerators:,} would not do: {option.neighbour.why}"))
    if band is not None and days is not None and band[1] > days * SECONDS_PER_DAY:
        past = "the target is met by the estimate itself; the interval of its error reaches past it"
        found.append(Text(text=past, style="warning"))
    return found


def _tables(options: Sequence[TrainingOption], ranked_by: str) -> list[Block]:
    """How many and how fast, and what they take: two tables, so that a narrow terminal has room."""
    currency, costs = monies([(o.cost, o.currency) for o in options])
    fast, taken = [], []
    for o, cost in zip(options, costs, strict=True):
        report, run = o.report, o.run
        assert report is not None
        assert run is not None
        mfu, step = amount("_ratio", report.throughput.mfu_ratio), amount("_s", report.time.step_s)
        fast.append((o.accelerator, f"{o.accelerators:,}", amount("_s", run.duration_s), mfu, step, cost))
        hours, energy = amount("count", run.accelerator_hours), amount("_j", run.energy_j)
        taken.append((o.accelerator, hours, energy, layout_of(report.layout)))
    title, right = f"Ranked by {ranked_by}", (1, 2, 3, 4, 5)
    columns = ("accelerator", "number", "time", "MFU", "step", currency or "cost")
    return [
        Table(title=title, columns=columns, rows=tuple(fast), right=right, keep=(0, *right)),
        Table(
            title="What they take",
            columns=("accelerator", "accelerator-hours", "energy", "layout"),
            rows=tuple(taken),
            right=(1, 2),
            keep=(0, 1, 2),
        ),
    ]


def _missed(options: Sequence[TrainingOption]) -> Table:
    rows = tuple((o.accelerator, o.reason, o.hint) for o in options)
    return Table(title="These miss it", columns=("accelerator", "why", "what would do"), rows=rows)


def _batch(report: Report) -> str:
    batch = report.scenario["workload"]["global_batch"]
    return (
        f"each number was tried with a global batch of {batch} sequences, which the data ranks must divide: "
        "another --global-batch allows other numbers"
    )


def _price(option: TrainingOption) -> tuple[str, float | None, str | None, str]:
    report = option.report
    assert report is not None
    origin = report.origins.get("assumptions.price_per_hour")
    why = "" if origin is None else origin.why or origin.origin
    assumed = report.scenario["assumptions"]
    return option.accelerator, assumed.get("price_per_hour"), assumed.get("currency"), why


def rows(plan: TrainingPlan) -> Rows:
    """An option a row."""
    found = []
    for o in plan.options:
        row = {"accelerator": o.accelerator, "system": o.system, "meets": o.meets, "accelerators": o.accelerators}
        run, band = o.run, o.duration_band_s
        row |= {"nodes": o.accelerators / o.per_node if o.accelerators is not None else None}
        row |= {"duration_s": o.duration_s, "duration_low_s": band[0] if band else None}
        row |= {"duration_high_s": band[1] if band else None}
        for name in ("accelerator_hours", "energy_j", "cost"):
            row[name] = getattr(run, name) if run is not None else None
        row["currency"] = o.currency
        row["step_s"] = o.report.time.step_s if o.report is not None else None
        row["mfu_ratio"] = o.report.throughput.mfu_ratio if o.report is not None else None
        row |= {"reason": o.reason, "hint": o.hint}
        row |= o.report.layout.to_dict() if o.report is not None else {}
        found.append(row)
    return found
