"""``suanli plugins``."""

from __future__ import annotations

from typing import Any

import suanli
from suanli.catalogs import KINDS
from suanli.cli.blocks import Block, Rows, Table, Text
from suanli.cli.command import Command
from suanli.cli.render import write
from suanli.errors import SuanliError


def plugins(format: str) -> int:
    """Write what is installed, by plugin."""
    found = _rows()
    faults = suanli.catalog().plugins.faults
    write(
        format,
        data=lambda: {"plugins": found, "faults": faults},
        rows=lambda: [{**row, "gives": _counts(row["gives"])} for row in found],
        blocks=lambda: _blocks(found, faults),
    )
    return 0


def _rows() -> Rows:
    catalog = suanli.catalog()
    known = catalog.plugins
    gives: dict[str, dict[str, int]] = {}
    for kind in KINDS:
        try:
            entries = catalog.entries(kind)
        except SuanliError as exc:
            if str(exc) not in known.faults:
                known.faults.append(str(exc))
            continue
        for entry in entries:
            counts = gives.setdefault(entry.provider.plugin, {})
            counts[kind] = counts.get(kind, 0) + 1
    found: Rows = []
    for provider in known.providers:
        found.append(
            {
                "plugin": provider.plugin,
                "distribution": provider.distribution,
                "version": provider.version,
                "module": provider.module,
                "loaded": not provider.error,
                "error": provider.error,
                "hooks": list(known.hooks_of(provider)) if not provider.error else [],
                "gives": gives.get(provider.plugin, {}),
            }
        )
    for path in catalog.paths:
        given = gives.get(str(path), {})
        found.append({"plugin": str(path), "distribution": "", "version": "", "module": "SUANLI_PATH"} | _fine(given))
    return found


def _fine(gives: dict[str, int]) -> dict[str, Any]:
    return {"loaded": True, "error": "", "hooks": [], "gives": gives}


def _counts(gives: dict[str, int]) -> str:
    return ", ".join(f"{count} {_plural(kind) if count > 1 else kind}" for kind, count in gives.items())


def _plural(kind: str) -> str:
    return f"{kind[:-1]}ies" if kind.endswith("y") else kind if kind.endswith("ism") else f"{kind}s"


def _blocks(found: Rows, faults: list[str]) -> list[Block]:
    rows = tuple(
        (
            row["plugin"],
            f"{row['distribution']} {row['version']}".strip() or row["module"],
            _counts(row["gives"]) or "nothing",
            ", ".join(h.removeprefix("suanli_") for h in row["hooks"]),
        )
        for row in found
        if row["loaded"]
    )
    blocks: list[Block] = [Table(title="Plugins", columns=("plugin", "from", "gives", "hooks"), rows=rows, keep=(0, 1))]
    for row in found:
        if not row["loaded"]:
            where = f"{row['distribution']} {row['version']}, {row['module']}"
            blocks.append(Text(text=f"did not load: {row['plugin']} ({where})\n  {row['error']}", style="bad"))
    blocks += [Text(text=f"fault: {fault}", style="warning") for fault in faults]
    return blocks


command = Command(
    "plugins",
    callback=plugins,
    help="""Every plugin: where it is from, what it gives, and why one did not load.

    SUANLI_DISABLE_PLUGINS=name,name leaves plugins out; SUANLI_PATH names folders of catalog files.
    """,
    examples=("suanli plugins", "SUANLI_DISABLE_PLUGINS=acme suanli plugins --format json"),
)
