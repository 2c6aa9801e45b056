"""Reading the walk through the five articles: its rows, its commands, and what those print.

A row of a table has a number; the commands below the table end in the numbers of the rows they answer. What a row has
in bold is a figure of one of its commands: under "rule" the answer of a rule of thumb, under "estimator" the figure
beside it or what any other command prints, under other headings either.

``python tests/docs/articles.py --write`` puts figures that moved (after a fit, say) into both pages, where it is clear
which they are, and names those it leaves. Read the rows it changed: their words may no longer hold.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from click.testing import CliRunner
from guides import steps_of

from suanli.cli.main import cli

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("articles.md", "articles.zh.md")
RULE, ESTIMATOR = ("rule", "公式"), ("estimator", "估算器")
MEASURED, ERROR = ("measured", "实测"), ("error", "误差")
NUMBER = re.compile(r"(?<![\w.,-])\d[\d.,]*(?![\w-])")


class Row(NamedTuple):
    """A numbered row of a table, its cells with their headings."""

    number: int
    cells: tuple[tuple[str, str], ...]

    def of(self, headings: tuple[str, ...]) -> str:
        """The cell under one of the headings; nothing where the table has none."""
        return next((cell for heading, cell in self.cells if heading in headings), "")


class Command(NamedTuple):
    """A command as typed, and the rows it answers."""

    words: tuple[str, ...]
    rows: range


class Printed(NamedTuple):
    """What a command answers: the rule of thumb, and the estimator or a catalog."""

    rule: str
    estimator: str


def rows_of(page: str) -> list[Row]:
    """The numbered rows of a page, in order."""
    return [row for row in _by_line((DOCS / page).read_text(encoding="utf-8")) if row]


def _by_line(text: str) -> list[Row | None]:
    """The row that each line is, if it is one."""
    found: list[Row | None] = []
    headings: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else [""]
        if cells[0] == "#":
            headings = cells
        is_row = cells[0].isdigit()
        found.append(Row(int(cells[0]), tuple(zip(headings, cells, strict=True))) if is_row else None)
    return found


@cache
def commands_of(page: str) -> tuple[Command, ...]:
    """The commands of a page, in order."""
    typed = [line for step in steps_of(DOCS / page) if step.kind == "bash" for line in step.body.splitlines()]
    found = []
    for line in typed:
        text, _, numbers = line.partition("#")
        first, _, last = numbers.strip().partition("-")
        found.append(Command(tuple(shlex.split(text)), range(int(first), int(last or first) + 1)))
    return tuple(found)


@contextlib.contextmanager
def files() -> Iterator[None]:
    """A folder with the files the pages show, which their commands run in."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for page in PAGES:
            for step in steps_of(DOCS / page):
                if step.file:
                    Path(step.file).write_text(step.body, encoding="utf-8")
        yield


@cache
def printed(words: tuple[str, ...]) -> Printed:
    """What a command answers, on one line."""
    done = CliRunner().invoke(cli, words[1:], env={"COLUMNS": "100"})
    assert done.exit_code == 0, f"{shlex.join(words)}\n{done.output}"
    if words[1] != "rule":
        return Printed("", " ".join(done.output.split()))
    headline, _, rest = done.output.partition("\n\n")
    beside = re.search(r"^suanli's figure (.*?)(?:; the rule is|  \[)", rest, re.M | re.S)
    return Printed(" ".join(headline.split()), " ".join(beside[1].split()) if beside else "")


def texts_for(page: str, row: Row, heading: str) -> list[str]:
    """What may show the figures of a cell: the answers of the row's commands that belong under the heading."""
    texts = []
    for command in commands_of(page):
        if row.number in command.rows:
            said = printed(command.words)
            kinds = (RULE, said.rule), (ESTIMATOR, said.estimator)
            texts += [t for own, t in kinds if t and (heading in own or heading not in RULE + ESTIMATOR)]
    return texts


def figures(cell: str) -> list[str]:
    """What a cell has in bold."""
    return re.findall(r"\*\*(.+?)\*\*", cell)


def shows(text: str, figure: str) -> bool:
    """Whether a figure stands in a text, whole."""
    return re.search(rf"(?<![\w.,]){re.escape(figure)}(?!\w|[.,]\d)", text) is not None


def missing(page: str, row: Row, heading: str, cell: str) -> list[str]:
    """Figures of a cell that no command of its row prints."""
    texts = texts_for(page, row, heading)
    return [f for f in figures(cell) if not any(shows(t, f) for t in texts)]


def error_of(row: Row) -> str:
    """The estimator's figure over the measured one, less one, as a row of the measurement has it."""
    estimate, seen = (float(row.of(h).strip("* ms")) for h in (ESTIMATOR, MEASURED))
    return f"{estimate / seen - 1.0:+.0%}".replace("%", " %")


def renewed(page: str) -> tuple[str, list[str]]:
    """The page with the figures as printed now, and a line about each that is not clear."""
    text = (DOCS / page).read_text(encoding="utf-8")
    lines, left = text.splitlines(), []
    for at, row in enumerate(_by_line(text)):
        for heading, cell in row.cells if row else ():
            old = missing(page, row, heading, cell)
            new = _successors(page, row, heading, cell, old)
            if old and not new:
                left.append(f"{page}, row {row.number}, {heading}: {', '.join(old)}")
            fresh = cell
            for was, now in zip(old, new, strict=False):
                fresh = fresh.replace(f"**{was}**", f"**{now}**")
            lines[at] = lines[at].replace(f" {cell} |", f" {fresh} |") if new else lines[at]
    text = "\n".join(lines) + "\n"
    for row in _by_line(text):
        if row and row.of(ERROR):
            estimate = f" {row.of(ESTIMATOR)} |"
            text = text.replace(f"{estimate} {row.of(ERROR)} |", f"{estimate} {error_of(row)} |")
    return text, left


def _successors(page: str, row: Row, heading: str, cell: str, old: list[str]) -> list[str]:
    """What is printed now in the place of figures: as many of the same form, or none where that leaves a choice."""
    texts = texts_for(page, row, heading)
    sharing = next(c.rows for c in commands_of(page) if row.number in c.rows)
    if len(sharing) > 1:
        items = texts[0].partition(": ")[2].split(", ") if heading in RULE else texts[0].split(", ")
        return [items[row.number - sharing.start]] if len(items) == len(sharing) and len(old) == 1 else []
    kept = [f for f in figures(cell) if f not in old]
    found: list[str] = []
    for form in dict.fromkeys(_form(f) for f in old):
        matches = [m[0] for t in texts for m in re.finditer(rf"(?<![\w.,]){form}(?!\w|[.,]\d)", t)]
        matches = [m for m in dict.fromkeys(matches) if m not in kept]
        if len(matches) != sum(_form(f) == form for f in old):
            return []
        found += matches
    in_form = {form: iter([m for m in found if _form(m) == form]) for form in {_form(m) for m in found}}
    return [next(in_form[_form(f)]) for f in old]


def _form(figure: str) -> str:
    """A pattern of the figure whatever its numbers."""
    parts = NUMBER.split(figure)
    return r"\d[\d.,]*".join(re.escape(p) for p in parts)


def main() -> int:
    """Say what moved, or write it."""
    with files():
        pages = {page: renewed(page) for page in PAGES}
    for page, (text, left) in pages.items():
        sys.stdout.write("".join(f"by hand: {line}\n" for line in left))
        if "--write" in sys.argv:
            (DOCS / page).write_text(text, encoding="utf-8")
    return any(left for _, left in pages.values())


if __name__ == "__main__":
    sys.exit(main())
