"""What stands around a report's figures: the scenario with its origins, what they rest on, and problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from suanli.case import SEVERITIES
from suanli.cli.amounts import amount
from suanli.cli.blocks import Block, Table, Text
from suanli.cli.fields import fields
from suanli.report import Basis, Report
from suanli.specs import Scenario

ORIGINS = ("given", "chosen", "default", "by the recipe")


def settings(report: Report) -> Table:
    """The scenario, a row for each section and origin, so that what was assumed is seen at once."""
    forms = {f.path: f.form for f in fields()}
    rows = []
    for section in (f.name for f in attrs.fields(Scenario)):
        groups: dict[tuple[str, str], dict[str, str]] = {}
        for name, value in report.scenario.get(section, {}).items():
            path = f"{section}.{name}"
            if value is None or path == "workload.kind":
                continue
            known = report.origins.get(path)
            origin = known.origin if known is not None else "by the recipe" if section == "precision" else "default"
            why = known.why if known is not None else ""
            text = _value(forms.get(path, ""), value)
            if origin == "default" and why:
                text, why = f"{text} ({why})", ""
            groups.setdefault((origin, why), {})[name] = text
        for i, ((origin, why), said) in enumerate(sorted(groups.items(), key=lambda g: ORIGINS.index(g[0][0]))):
            text = _degrees(said) if section == "layout" else ", ".join(_named(n, v) for n, v in said.items())
            rows.append((section if i == 0 else "", text, f"{origin}: {why}" if why else origin))
    return Table(title="Scenario", columns=("", "", ""), rows=tuple(rows), widest=(0, 0, 24))


def _named(name: str, value: str) -> str:
    return value if name == "name" else f"{name.replace('_', ' ')} {value}"


def _degrees(said: dict[str, str]) -> str:
    """A layout, what is 1 told together at the end."""
    ones = [name.replace("_", " ") for name, value in said.items() if value == "1" and name != "zero"]
    if len(ones) < 2:
        ones = []
    rest = [_named(n, v) for n, v in said.items() if n.replace("_", " ") not in ones]
    return "; ".join(part for part in (", ".join(rest), f"1 each: {', '.join(ones)}" if ones else "") if part)


def _value(form: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "given as a table"
    dimension = {"bytes": "_bytes", "ratio": "_ratio", "currency": "cost"}.get(form, "count")
    return str(value) if isinstance(value, str) else amount(dimension, value)


NO_FIGURES = (
    ".fits",
    ".stages",
    ".convention",
    ".currency",
    ".peak_precision",
    ".peak_flops_per_s",
    ".bound",
    ".cost_per_hour",
)
"""Ends of keys that have a basis and no error of their own."""
MOST_NAMES = 4
"""Figures of a section that are named one by one where the section rests on several things."""


def basis(report: Report) -> list[Block]:
    """What the figures rest on: their rung, how measurements compare, and who gave them."""
    groups: dict[Basis, list[str]] = {}
    for key, known in report.basis.items():
        if not key.endswith(NO_FIGURES):
            groups.setdefault(attrs.evolve(known, provider=known.provider.partition(": ")[2], source=""), []).append(
                key
            )
    homes: dict[str, int] = {}
    for keys in groups.values():
        for section in {k.partition(".")[0] for k in keys}:
            homes[section] = homes.get(section, 0) + 1
    rows = []
    judged: dict[str, list[str]] = {}
    for known, keys in groups.items():
        found: dict[str, list[str]] = {}
        for key in keys:
            found.setdefault(key.partition(".")[0], []).append(key)
        named = [s if homes[s] == 1 or len(of) > MOST_NAMES else ", ".join(of) for s, of in found.items()]
        band = f"{amount('count', known.band[0])} to {amount('count', known.band[-1])}" if known.band else "—"
        rows.append((", ".join(named), known.rung, band, known.provider))
        judged.setdefault(known.evidence, []).extend(named)
    table = Table(
        title="What the figures rest on (80 % band: measured over predicted)",
        columns=("figures", "rung", "80 % band", "provider"),
        rows=tuple(rows),
        keep=(1, 2),
    )
    notes = [f"{', '.join(dict.fromkeys(named))}: {evidence}" for evidence, named in judged.items() if evidence]
    return [table, *([Text(text="\n".join(notes), style="note")] if notes else [])]


def problems(report: Report, severities: Sequence[str]) -> list[Block]:
    """What a reader must know, the worst first, each with what to do about it; one reason is told once."""
    told: dict[tuple[str, str, str], list[str]] = {}
    for problem in sorted(report.problems, key=lambda p: SEVERITIES.index(p.severity)):
        if problem.severity in severities:
            reason = problem.message.removeprefix(problem.figure) if problem.figure else problem.message
            figures = told.setdefault((problem.severity, reason, problem.hint), [])
            figures += [problem.figure] if reason != problem.message else []
    found: list[Block] = []
    for (severity, reason, hint), figures in told.items():
        style = {"error": "bad", "warning": "warning", "note": "note"}[severity]
        if len(figures) > 1:
            reason = reason.replace(" is ", " are ", 1)
        todo = f"\n  {hint}" if hint else ""
        found.append(Text(text=f"{severity}: {', '.join(figures)}{reason}{todo}", style=style))
    return found
