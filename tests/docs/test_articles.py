"""The walk through the five articles shows what its commands print, in both languages; ``articles.py`` reads it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import suanli

sys.path.insert(0, str(Path(__file__).parent))
from articles import ERROR, MEASURED, PAGES, commands_of, error_of, figures, files, missing, printed, rows_of, shows


@pytest.fixture(scope="module", autouse=True)
def folder() -> Iterator[None]:
    """The folder the commands run in, with the files the pages show."""
    with files():
        yield


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_is_printed(page: str) -> None:
    """What a row has in bold is printed by a command with its number, under the heading where it stands."""
    absent = [
        f"row {row.number}, {heading}: {', '.join(figures)}"
        for row in rows_of(page)
        for heading, cell in row.cells
        if (figures := missing(page, row, heading, cell))
    ]
    assert not absent, "`python tests/docs/articles.py --write` puts in what moved:\n" + "\n".join(absent)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_has_a_figure_on_the_page(page: str) -> None:
    """No command stands there for nothing: a row it is numbered with shows something it prints."""
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
        assert row.of(ERROR) == error_of(row), row.number


@pytest.mark.parametrize("page", PAGES)
def test_every_rule_that_answers_an_article_is_asked(page: str) -> None:
    """No rule of thumb that claims an example of an article is left out."""
    asked = {command.words[2] for command in commands_of(page) if command.words[1] == "rule"}
    assert {r.name for r in suanli.rules() if r.cases} - asked == set()
