"""A report as people read it: the answer in a few sentences, then what it is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from suanli import units
from suanli.cli.amounts import amount, is_money, measure_of, share
from suanli.cli.blocks import Block, Rows, Table, Text
from suanli.cli.report_notes import basis, problems, settings
from suanli.report import SECTIONS, MemoryParts, Report

PARTS = tuple(f.name for f in attrs.fields(MemoryParts))
SHOWN_STAGES = 2
"""Pipeline stages shown at either end; those between are summed up."""


def blocks(report: Report) -> list[Block]:
    """The whole report."""
    found: list[Block] = [Text(text=_title(report), style="headline"), *headline(report)]
    found += problems(report, ("error", "warning"))
    found += [settings(report), _memory(report)]
    found.append(_step(report) if report.kind != "serve" else _serving(report))
    if len(report.memory.stages) > 1:
        found.append(_stages(report))
    found.append(_rates(report))
    found += basis(report)
    found += problems(report, ("note",))
    return found


def _title(report: Report) -> str:
    system, model = report.scenario["system"], report.scenario["model"]
    name = model.get("name") or model.get("family") or model.get("config")
    what = {"pretrain": "pre-training", "finetune": "fine-tuning", "serve": "serving"}.get(report.kind, report.kind)
    name = name if isinstance(name, str) else "a model"
    count = system["accelerators"]
    return f"{what} {name} on {count} accelerator{'s' if count != 1 else ''} of {system['name']}"


def headline(report: Report) -> Iterator[Text]:
    """Whether it fits, how fast it is, and what it takes, in a sentence each."""
    memory = report.memory
    need = amount("_bytes", memory.per_accelerator.total_bytes)
    have = amount("_bytes", memory.capacity_bytes) if memory.capacity_bytes is not None else "what is confidential"
    fits = "yes" if memory.fits else "no"
    verb = "" if memory.fits else "needs "
    yield Text(text=f"fits: {fits}, {verb}{need} of {have} on the worst rank", style="good" if memory.fits else "bad")
    said = _training(report) if report.kind != "serve" else _answering(report)
    for name, parts in said:
        if parts:
            yield Text(text=f"{name} {', '.join(parts)}")


def _training(report: Report) -> Iterator[tuple[str, list[str]]]:
    time, rate, run = report.time, report.throughput, report.run
    step = [f"{amount('_s', time.step_s)}{_range(report, 'time.step_s')}"]
    step += [amount("tokens_per_s", rate.tokens_per_s)] if rate.tokens_per_s is not None else []
    step += [f"MFU {amount('_ratio', rate.mfu_ratio)}"] if rate.mfu_ratio is not None else []
    yield "step:", step
    if run is not None and run.duration_s is not None:
        whole = [f"{amount('_s', run.duration_s)}{_range(report, 'run.duration_s')}"]
        if run.accelerator_hours is not None:
            whole.append(f"{amount('count', run.accelerator_hours)} accelerator-hours")
        whole += [amount("_j", run.energy_j)] if run.energy_j is not None else []
        whole += [f"{amount('cost', run.cost)} {run.currency}"] if run.cost is not None else []
        yield "run: ", whole


def _answering(report: Report) -> Iterator[tuple[str, list[str]]]:
    s = report.serving
    if s is None:
        return
    yield "first token (TTFT):  ", [f"{amount('_s', s.ttft_s)}{_range(report, 'serving.ttft_s')}"]
    whole = [f"{amount('_s', s.latency_s)} a request"] if s.latency_s is not None else []
    yield "each token (TPOT):   ", [f"{amount('_s', s.tpot_s)}{_range(report, 'serving.tpot_s')}", *whole]
    key = "serving.output_tokens_per_s"
    rates = [f"{amount('count', s.output_tokens_per_s)} output tokens/s{_range(report, key)}"]
    rates += [amount("requests_per_s", s.requests_per_s)] if s.requests_per_s is not None else []
    yield "all engines together:", [*rates, *([f"bound by {s.bound}"] if s.bound else [])]
    key = "serving.cost_per_million_output_tokens"
    cost = []
    if s.cost_per_hour is not None:
        cost.append(f"{amount_of(report, 'serving.cost_per_hour', s.cost_per_hour)} an hour")
    if s.cost_per_million_output_tokens is not None:
        each = amount_of(report, key, s.cost_per_million_output_tokens)
        cost.append(f"{each} a million output tokens{_range(report, key)}")
    drawn = s.energy_per_output_token_j
    yield "cost and energy:     ", [*cost, *([f"{amount('_j', drawn)} a token"] if drawn is not None else [])]


def _range(report: Report, key: str) -> str:
    """The 80 % interval of a figure, where its error is known."""
    known = report.basis.get(key)
    value = report.figure(key)
    if known is None or not known.band or value is None:
        return ""
    low, high = (amount(key, value * b).removesuffix(" tokens/s") for b in (known.band[0], known.band[-1]))
    return f" (80 %: {low} to {high})"


def _memory(report: Report) -> Table:
    memory = report.memory
    parts, whole = memory.per_accelerator, memory.capacity_bytes
    rows = [(p.removesuffix("_bytes").replace("_", " "), getattr(parts, p)) for p in PARTS]
    rows = [(name, size) for name, size in rows if size is None or size > 0.0] + [("total", parts.total_bytes)]
    total = len(rows) - 1
    if whole is not None:
        rows.append(("capacity", whole))
    return Table(
        title="Memory of the worst rank",
        columns=("", "size", "share"),
        rows=tuple((name, amount("_bytes", size), share(size, whole) if whole else "—") for name, size in rows),
        right=(1, 2),
        strong=(total,),
        beside=True,
    )


def _step(report: Report) -> Table:
    time = report.time
    step = time.step_s or 0.0
    names = [f.name for f in attrs.fields(type(time))]
    rows = []
    for name in names:
        value = getattr(time, name)
        if name in ("step_s", "prefill_s", "decode_s") or not value:
            continue
        plain = name.removesuffix("_s").replace("_", " ")
        inner = name.startswith("exposed_") and name != "exposed_communication_s"
        rows.append((f"  of it {plain.removeprefix('exposed ')}" if inner else plain, amount(name, value), value))
    table = [(name, text, share(value, step)) for name, text, value in rows]
    table.append(("step", amount("_s", time.step_s), share(step, step)))
    return Table(
        title="Time of a step",
        columns=("", "time", "share"),
        rows=tuple(table),
        right=(1, 2),
        strong=(len(table) - 1,),
        beside=True,
    )


def _serving(report: Report) -> Table:
    s = report.serving
    assert s is not None
    rows = [
        ("prefill of a batch", amount("_s", report.time.prefill_s)),
        ("decode of a token", amount("_s", report.time.decode_s)),
        ("requests an engine answers", amount("count", s.batch)),
        ("requests an engine has room for", amount("count", s.max_concurrency)),
        ("tokens its cache has room for", amount("count", s.kv_cache_tokens)),
    ]
    return Table(
        title="One engine", columns=("", ""), rows=tuple(r for r in rows if r[1] != "—"), right=(1,), beside=True
    )


def _stages(report: Report) -> Table:
    stages = report.memory.stages
    sizes = [p for p in PARTS if any(getattr(s, p) for s in stages) and p != "reserve_bytes"]
    columns = [[getattr(s, p) for s in stages] for p in sizes] + [[s.total_bytes for s in stages]]
    hidden = range(SHOWN_STAGES, len(stages) - SHOWN_STAGES)
    rows = [(str(i), *(_size(c[i]) for c in columns)) for i in range(len(stages)) if len(hidden) < 2 or i not in hidden]
    if len(hidden) > 1:
        most = [max(c[i] for i in hidden) for c in columns]
        least = [min(c[i] for i in hidden) for c in columns]
        cells = [
            f"{'≤ ' if _size(low) != _size(high) else ''}{_size(high)}" for low, high in zip(least, most, strict=True)
        ]
        rows.insert(SHOWN_STAGES, (f"{hidden[0]}–{hidden[-1]}", *cells))
    return Table(
        title=f"Memory by pipeline stage{' (the reserve is in the total)' if stages[0].reserve_bytes else ''}",
        columns=("stage", *(p.removesuffix("_bytes").replace("_", " ") for p in sizes), "total"),
        rows=tuple(rows),
        right=tuple(range(1, len(sizes) + 2)),
        keep=tuple(range(len(sizes) + 2)),
    )


def _size(value: float) -> str:
    return amount("_bytes", value) if value else "—"


def _rates(report: Report) -> Table:
    count = report.parameters
    active = f", {amount('count', count.active)} for a token" if count.active != count.total else ""
    rows = [("parameters", f"{amount('count', count.total)}{active}")]
    rate, flops = report.throughput, report.flops
    each = [
        (amount("tokens_per_s", rate.tokens_per_s_per_accelerator), rate.tokens_per_s_per_accelerator),
        (amount("samples_per_s", rate.samples_per_s_per_accelerator), rate.samples_per_s_per_accelerator),
    ]
    if report.serving is not None:
        served = report.serving.output_tokens_per_s_per_accelerator
        each = [(f"{amount('count', served)} output tokens/s", served)]
    rows.append(("an accelerator", ", ".join(text for text, value in each if value is not None)))
    if rate.model_flops_per_s_per_accelerator is not None:
        peak = f" of {amount('_flops_per_s', rate.peak_flops_per_s)} {rate.peak_precision or ''}".rstrip()
        peak = peak if rate.peak_flops_per_s is not None else ""
        rows[-1] = (
            rows[-1][0],
            f"{rows[-1][1]}, {amount('_flops_per_s', rate.model_flops_per_s_per_accelerator)}{peak}",
        )
    if rate.mfu_ratio is not None:
        hfu = f", HFU {amount('_ratio', rate.hfu_ratio)}" if rate.hfu_ratio is not None else ""
        rows.append(("utilisation", f"MFU {amount('_ratio', rate.mfu_ratio)}{hfu}"))
    if flops.model_flops is not None:
        rows.append(("FLOPs of a step", amount("_flops", flops.model_flops)))
    elif flops.prefill_flops is not None:
        both = f"{amount('_flops', flops.prefill_flops)} prefill, {amount('_flops', flops.decode_flops)} a token"
        rows.append(("FLOPs of a request", both))
    if flops.convention:
        rows.append(("counted as", flops.convention))
    for key, value in report.extra.items():
        rows.append((key, amount(key, value)))
    return Table(title="Throughput", columns=("", ""), rows=tuple(r for r in rows if r[1]))


def figures(report: Report) -> Iterator[tuple[str, Any]]:
    """Every figure of a report, by the key that explains it; a section's null figures are left out."""
    count = report.parameters
    yield "parameters.total", count.total
    yield "parameters.active", count.active
    yield from ((f"parameters.{group}", number) for group, number in count.by_group.items())
    memory = report.memory
    yield "memory.fits", memory.fits
    yield from ((f"memory.{p}", getattr(memory.per_accelerator, p)) for p in PARTS)
    yield "memory.total_bytes", memory.per_accelerator.total_bytes
    yield "memory.capacity_bytes", memory.capacity_bytes
    for i, stage in enumerate(memory.stages):
        yield from ((f"memory.stages.{i}.{p}", getattr(stage, p)) for p in PARTS)
        yield f"memory.stages.{i}.total_bytes", stage.total_bytes
    for name in SECTIONS:
        section = getattr(report, name)
        if section is not None:
            found = ((f"{name}.{f.name}", getattr(section, f.name)) for f in attrs.fields(type(section)))
            yield from ((key, value) for key, value in found if value is not None or key in report.basis)
    yield from report.extra.items()


def unit_of(report: Report, key: str) -> str:
    """The unit of a figure's bare number."""
    if is_money(key):
        part = report.run if key.startswith("run.") else report.serving
        return (part.currency if part is not None else None) or ""
    return measure_of(key)[1]


def rows(report: Report) -> Rows:
    """Every figure with its unit, and what it rests on."""
    found = []
    for key, value in figures(report):
        known = report.basis.get(key)
        band = known.band if known is not None and known.band else ()
        found.append(
            {
                "figure": key,
                "value": value,
                "unit": unit_of(report, key),
                "rung": known.rung if known is not None else "",
                "band_low": band[0] if band else None,
                "band_high": band[-1] if band else None,
            }
        )
    return found


def amount_of(report: Report, key: str, value: Any) -> str:
    """A figure of a report for people."""
    if is_money(key) and value is not None:
        return f"{units.format(value, 'currency')} {unit_of(report, key)}"
    return amount(key, value)
