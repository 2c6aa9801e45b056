"""Holding a plugin to the checks: what it gives, one record for each thing and check."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from suanli.catalogs import KINDS
from suanli.errors import SuanliError, UnknownNameError, clip
from suanli.plugins import Provider
from suanli.testing.checks.registry import CHECKS, PLUGIN, Check, Subject
from suanli.workspace import Workspace

OUTCOMES = ("passed", "failed", "expected")


@attrs.frozen(kw_only=True)
class Record:
    """What became of one check.

    Attributes:
        id: Plugin, kind, name and check: ``"acme/accelerator/acme-one/figures_are_plausible"``.
        outcome: ``"passed"``, ``"failed"``, or ``"expected"``: failed, as was announced.
        message: Every way the rule is broken, or why that was expected.
        rule: The documented rule.
    """

    id: str
    outcome: str
    message: str = ""
    rule: str = ""


@attrs.frozen(kw_only=True, eq=False)
class Pair:
    """One check on one thing a plugin gives."""

    id: str
    check: Check
    subject: Subject


def pairs_of(plugin: str, workspace: Workspace | None = None) -> tuple[Pair, ...]:
    """Every check that applies to what a plugin gives.

    Args:
        plugin: Entry-point name of an installed plugin, or path of a folder of catalog files.
        workspace: Where to find it; one of everything installed by default.

    Raises:
        UnknownNameError: For a plugin that is not installed.
        SuanliError: Where its catalog cannot be read at all.
    """
    folder = Path(plugin) if _is_path(plugin) else None
    found = workspace or Workspace(paths=[folder] if folder is not None else ())
    provider, module = _whose(plugin, folder, found)
    subjects = [Subject(kind=PLUGIN, name=provider.plugin, value=module, provider=provider, workspace=found)]
    for kind in KINDS:
        try:
            entries = found.catalog().entries(kind)
        except SuanliError:
            continue  # told by the plugin's own checks
        subjects += [
            Subject(kind=kind, name=e.name, value=e.value, provider=e.provider, workspace=found)
            for e in entries
            if e.provider.plugin == provider.plugin
        ]
    own = Path(plugin).name if folder is not None else plugin
    return tuple(
        Pair(id=f"{own}/{s.kind.replace(' ', '-')}/{s.name}/{c.name}", check=c, subject=s)
        for s in subjects
        for c in CHECKS
        if c.applies(s.kind)
    )


def _is_path(plugin: str) -> bool:
    return "/" in plugin or "\\" in plugin or plugin in (".", "..")


def _whose(plugin: str, folder: Path | None, workspace: Workspace) -> tuple[Provider, Any]:
    if folder is not None:
        if not folder.is_dir():
            raise SuanliError(f"{plugin}: no such folder; name an installed plugin, or a folder of catalog files")
        return Provider(plugin=str(folder), module="SUANLI_PATH"), None
    known = {p.plugin: p for p in workspace.catalog().plugins.providers}
    if plugin not in known:
        raise UnknownNameError("plugin", plugin, known, "See `suanli plugins`.")
    provider = known[plugin]
    return provider, workspace.catalog().plugins.module_of(provider)


def run_check(pair: Pair) -> tuple[str, ...]:
    """Every way a thing breaks a rule; an exception is one. Of what is confidential it says no number."""
    try:
        faults = tuple(pair.check.function(pair.subject))
    except Exception as exc:
        faults = (clip(f"{type(exc).__name__}: {exc}", 600),)
    return tuple(_without_numbers(f) for f in faults) if _is_hidden(pair.subject) else faults


def _is_hidden(subject: Subject) -> bool:
    parts = [subject.value]
    if subject.kind == "system":
        with contextlib.suppress(SuanliError):  # told by other checks
            parts.append(subject.workspace.accelerator(subject.value.accelerator))
    return any(getattr(part, "confidential", False) for part in parts)


_NUMBER = re.compile(r"(?<![\w.])\d[\w.,+-]*")


def _without_numbers(fault: str) -> str:
    """A fault without the numbers in it; the advice behind its last semicolon is the same for everybody."""
    what, semicolon, advice = fault.rpartition("; ")
    return f"{_NUMBER.sub('…', what if semicolon else fault)}{semicolon}{advice if semicolon else ''}"


def check_plugin(
    plugin: str, *, expected_failures: Mapping[str, str] | None = None, workspace: Workspace | None = None
) -> tuple[Record, ...]:
    """Hold a plugin to every check, without pytest.

    Args:
        plugin: Entry-point name of an installed plugin, or path of a folder of catalog files.
        expected_failures: By id, why a check is known to fail. One that passes, or names no check, is a failure.
        workspace: Where to find the plugin; one of everything installed by default.

    Returns:
        A record for each thing it gives and each check.

    Raises:
        UnknownNameError: For a plugin that is not installed.
    """
    expected = dict(expected_failures or {})
    records = []
    for pair in pairs_of(plugin, workspace):
        faults, why = run_check(pair), expected.pop(pair.id, None)
        if why is None:
            outcome, message = ("failed" if faults else "passed"), "; ".join(faults)
        elif faults:
            outcome, message = "expected", why
        else:
            outcome, message = "failed", f"expected to fail ({why}), and passes; take it off the list"
        records.append(Record(id=pair.id, outcome=outcome, message=message, rule=pair.check.rule))
    records += [
        Record(id=id_, outcome="failed", message=f"expected to fail ({why}), but there is no such check")
        for id_, why in expected.items()
    ]
    return tuple(records)
