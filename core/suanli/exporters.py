"""Exporters: a report written in a format of somebody's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
from attrs.validators import and_, deep_iterable, in_, matches_re, min_len, not_

from suanli.errors import PluginError, SuanliError, clip
from suanli.hardware import NAME
from suanli.workload import KINDS

if TYPE_CHECKING:
    from suanli.catalogs import Catalog
    from suanli.report import Report

OWN_FORMATS = ("table", "json", "csv", "markdown")
"""What every command writes by itself; no exporter may take one of these names."""


@attrs.frozen(kw_only=True)
class Exporter:
    """Writes a report in a format of its own: a page, a launch script, a tracker's upload.

    Attributes:
        name: Such as ``"html"``; what ``--format`` and ``report.export`` ask for.
        aliases: Other names.
        write: Called with the report; returns the whole text, or bytes. A named function, so that it pickles.
            What a report does not show (a confidential figure) is None there too.
        about: What it writes, in a line.
        suffix: Of a file that holds it, with its dot, such as ``".html"``.
        media_type: As IANA registers it, such as ``"text/html"``.
        kinds: Of workload that it can write.
        source: The document that states the format.
    """

    name: str = attrs.field(validator=and_(NAME, not_(in_(OWN_FORMATS))))
    aliases: tuple[str, ...] = attrs.field(
        default=(), validator=deep_iterable(member_validator=and_(NAME, not_(in_(OWN_FORMATS))))
    )
    write: Callable[[Report], str | bytes]
    about: str
    suffix: str = attrs.field(default=".txt", validator=matches_re(r"(\.[a-z0-9]+)+"))
    media_type: str = attrs.field(default="text/plain", validator=matches_re(r"[a-z]+/[a-z0-9.+-]+"))
    kinds: tuple[str, ...] = attrs.field(
        default=tuple(KINDS), validator=[min_len(1), deep_iterable(member_validator=in_(tuple(KINDS)))]
    )
    source: str


def exporter_for(catalog: Catalog, name: str, kind: str) -> Exporter:
    """The exporter of a name or alias, that writes reports on workloads of a kind.

    Raises:
        UnknownNameError: With near matches.
        SuanliError: Where it writes no reports of that kind.
    """
    found: Exporter = catalog.get("exporter", name)
    if kind not in found.kinds:
        fit = [e.name for e in catalog.entries("exporter") if kind in e.value.kinds]
        instead = f"; for {kind}: {', '.join(fit)}" if fit else ""
        raise SuanliError(f"format {found.name!r} is for {' and '.join(found.kinds)}{instead}")
    return found


def export(catalog: Catalog, report: Report, name: str) -> str | bytes:
    """A report as an exporter writes it.

    Raises:
        UnknownNameError: With near matches.
        SuanliError: Where it writes no reports of that kind.
        PluginError: Where it fails, or gives neither text nor bytes; naming its plugin.
    """
    exporter = exporter_for(catalog, name, report.kind)
    whose = f"exporter {exporter.name!r} of plugin {catalog.entry('exporter', name).provider}"
    try:
        written = exporter.write(report)
    except SuanliError:
        raise
    except Exception as exc:
        raise PluginError(f"{whose} failed: {clip(f'{type(exc).__name__}: {exc}', 300)}") from exc
    if not isinstance(written, (str, bytes)):
        raise PluginError(f"{whose} must return text or bytes, got {type(written).__name__}")
    return written
