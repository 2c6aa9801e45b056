"""A report as one HTML page that needs nothing else: to mail, to archive, to print."""

from __future__ import annotations

import json
from html import escape

from suanli import Exporter, Report
from suanli.cli.blocks import Block, Node, Table, Text

STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; }
p { margin: .2rem 0; white-space: pre-line; }
.good { color: light-dark(#176b34, #6fd08c); font-weight: 600; }
.bad { color: light-dark(#b3261e, #f2998f); font-weight: 600; }
.warning { color: light-dark(#8a5a00, #e8bf6a); } .note { opacity: .75; }
table { border-collapse: collapse; } td, th { padding: .15rem 1rem .15rem 0; text-align: left; vertical-align: top; }
th { font-weight: 400; opacity: .75; } .number { text-align: right; font-variant-numeric: tabular-nums; }
.sum { font-weight: 700; border-top: 1px solid currentColor; }
.share { background: linear-gradient(to right, #4a90d966 var(--part), transparent var(--part)); min-width: 9rem; }
@media print { body { max-width: none; } }
""".strip()

SHARE = "share"
"""The column of a table whose cells are also drawn as bars."""


def page(report: Report) -> str:
    """The report as an HTML page that says what the terminal does, in the same words.

    The element of id ``report`` holds :meth:`suanli.Report.to_dict` as JSON.
    """
    from suanli.cli.report_view import blocks  # the command line's, and only needed here

    found = blocks(report)
    title = next((b.text for b in found if isinstance(b, Text) and b.style == "headline"), "a report")
    data = json.dumps(report.to_dict(), ensure_ascii=False).replace("<", "\\u003c")
    version = f"suanli {report.versions.get('suanli', '')}, schema {report.schema_version}"
    lines = (
        "<!doctype html>",
        '<html lang="en">',
        '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{STYLE}\n</style></head>",
        "<body>",
        *(_element(block) for block in found),
        f'<p class="note">{escape(version)}</p>',
        f'<script type="application/json" id="report">{data}</script>',
        "</body></html>",
    )
    return "\n".join(lines) + "\n"


def _element(block: Block) -> str:
    if isinstance(block, Text):
        if block.style == "headline":
            return f"<h1>{escape(block.text)}</h1>"
        return f'<p class="{block.style or "plain"}">{escape(block.text)}</p>'
    return _table(block) if isinstance(block, Table) else f"<ul>{_branch(block)}</ul>"


def _branch(node: Node) -> str:
    note = f' <span class="note">{escape(node.note)}</span>' if node.note else ""
    below = "".join(_branch(child) for child in node.children)
    return f"<li>{escape(node.text)}{note}{f'<ul>{below}</ul>' if below else ''}</li>"


def _table(table: Table) -> str:
    title = [f"<h2>{escape(table.title)}</h2>"] if table.title else []
    head = "".join(f"<th{_class(table, i)}>{escape(name)}</th>" for i, name in enumerate(table.columns))
    rows = []
    for number, row in enumerate(table.rows):
        cells = "".join(_cell(table, i, text) for i, text in enumerate(row))
        rows.append(f'<tr class="sum">{cells}</tr>' if number in table.strong else f"<tr>{cells}</tr>")
    headed = [f"<tr>{head}</tr>"] if any(table.columns) else []
    return "\n".join([*title, "<table>", *headed, *rows, "</table>"])


def _cell(table: Table, column: int, text: str) -> str:
    """A cell; a share of a whole is drawn as a bar too."""
    percent = text.removesuffix(" %")
    if table.columns[column] == SHARE and percent != text and percent.replace(".", "", 1).isdigit():
        return f'<td class="share number" style="--part: {percent}%">{escape(text)}</td>'
    return f"<td{_class(table, column)}>{escape(text)}</td>"


def _class(table: Table, column: int) -> str:
    return ' class="number"' if column in table.right else ""


EXPORTER = Exporter(
    name="html",
    write=page,
    about="a page that needs nothing else, with the report's data inside",
    suffix=".html",
    media_type="text/html",
    source="WHATWG, HTML Living Standard",
)
