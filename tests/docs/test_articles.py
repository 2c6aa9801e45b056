"""The walk through the five articles shows what its commands print, in both languages.

A row of a table has a number; the commands below the table end in the numbers of the rows they answer. What a row has
in bold is a figure of one of its commands: under "rule" the answer of a rule of thumb, under "estimator" the figure
beside it or what any other command prints, under other headings either.
"""

from __future__ import annotations

import re
import shlex
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

import suanli
from suanli.cli.main import cli

sys.path.insert(0, str(Path(__file__).parent))
from guides import steps_of

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("articles.md", "articles.zh.md")
RULE, ESTIMATOR = ("rule", "公式"), ("estimator", "估算器")
MEASURED, ERROR = ("measured", "实测"), ("error", "误差")


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


@cache
def rows_of(page: str) -> tuple[Row, ...]:
    """The numbered rows of a page, in order."""
    found, headings = [], []
    for line in (DOCS / page).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells and cells[0] == "#":
            headings = cells
        elif cells and cells[0].isdigit():
            found.append(Row(int(cells[0]), tuple(zip(headings, cells, strict=True))))
    return tuple(found)


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


def figures(cell: str) -> list[str]:
    """What a cell has in bold."""
    return re.findall(r"\*\*(.+?)\*\*", cell)


def shows(text: str, figure: str) -> bool:
    """Whether a figure stands in a text, whole."""
    return re.search(rf"(?<![\w.,]){re.escape(figure)}(?!\w|[.,]\d)", text) is not None


@pytest.fixture(scope="module", autouse=True)
def files(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A folder with the files the pages show, which the commands run in."""
    folder = tmp_path_factory.mktemp("articles")
    shown = {step.file: step.body for page in PAGES for step in steps_of(DOCS / page) if step.file}
    for name, body in shown.items():
        (folder / name).write_text(body, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for page in PAGES:
            for command in commands_of(page):
                printed(command.words)


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


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_is_printed(page: str) -> None:
    """What a row has in bold is printed by a command with its number, under the heading where it stands."""
    missing = []
    for row in rows_of(page):
        said = [printed(command.words) for command in commands_of(page) if row.number in command.rows]
        for heading, cell in row.cells:
            texts = [s.rule for s in said if heading not in ESTIMATOR]
            texts += [s.estimator for s in said if heading not in RULE]
            if absent := [f for f in figures(cell) if not any(shows(t, f) for t in texts)]:
                missing.append(f"row {row.number}, {heading}: {absent} not in {[t[:300] for t in texts if t]}")
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_has_a_figure_on_the_page(page: str) -> None:
    """No command stands there for nothing: a row it is numbered with shows something only it was asked for."""
    bold = {row.number: [f for _, cell in row.cells for f in figures(cell)] for row in rows_of(page)}
    idle = [
        shlex.join(command.words)
        for command in commands_of(page)
        if not any(shows(t, f) for t in printed(command.words) for n in command.rows for f in bold[n])
    ]
    assert idle == []


@pytest.mark.parametrize("page", PAGES)
def test_rows_are_numbered_through(page: str) -> None:
    """Row numbers count from one, so that a number names one row."""
    assert [row.number for row in rows_of(page)] == list(range(1, len(rows_of(page)) + 1))


def test_both_pages_have_the_same_commands_and_figures() -> None:
    """The Chinese page types the same commands in the same order, shows the same figures and comes to the same end."""
    english, chinese = PAGES
    assert commands_of(english) == commands_of(chinese)
    for left, right in zip(rows_of(english), rows_of(chinese), strict=True):
        assert [figures(c) for _, c in left.cells] == [figures(c) for _, c in right.cells], left.number
        assert left.cells[-1][1][:1] == right.cells[-1][1][:1], left.number


@pytest.mark.parametrize("page", PAGES)
def test_the_errors_follow_from_the_figures(page: str) -> None:
    """Against the one measurement, the error shown is the estimator's figure over the measured one, less one."""
    measured = [row for row in rows_of(page) if row.of(MEASURED)]
    assert len(measured) == 5
    for row in measured:
        estimate, seen = (float(row.of(h).strip("* ms")) for h in (ESTIMATOR, MEASURED))
        assert row.of(ERROR) == f"{estimate / seen - 1.0:+.0%}".replace("%", " %"), row.number


@pytest.mark.parametrize("page", PAGES)
def test_every_rule_that_answers_an_article_is_asked(page: str) -> None:
    """No rule of thumb that claims an example of an article is left out."""
    asked = {command.words[2] for command in commands_of(page) if command.words[1] == "rule"}
    assert {r.name for r in suanli.rules() if r.cases} - asked == set()
