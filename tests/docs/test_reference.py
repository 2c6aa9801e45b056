"""The reference of hooks and values is what their docstrings say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

import suanli
from suanli import testing
from suanli.hookspecs import HOOKS

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "make_reference.py"
HOOK_PAGE = (ROOT / "docs" / "reference" / "hooks.md").read_text(encoding="utf-8")
VALUE_PAGE = (ROOT / "docs" / "reference" / "values.md").read_text(encoding="utf-8")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The tool, as a person runs it."""
    return subprocess.run([sys.executable, str(TOOL), *arguments], capture_output=True, text=True, check=False)


def test_the_pages_are_what_the_tool_makes() -> None:
    """The committed pages are up to date: run `python tools/make_reference.py` where this fails."""
    done = run("--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_page_that_is_not_up_to_date_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check names a page that is missing or old, writes nothing, and is content after the tool has written."""
    monkeypatch.syspath_prepend(str(TOOL.parent))
    import make_reference

    monkeypatch.setattr(make_reference, "FOLDER", tmp_path)
    assert make_reference.main(["--check"]) == 1
    assert list(tmp_path.iterdir()) == []
    assert make_reference.main([]) == 0
    (tmp_path / "hooks.md").write_text("old", encoding="utf-8")
    assert make_reference.main(["--check"]) == 1
    assert (tmp_path / "hooks.md").read_text(encoding="utf-8") == "old"
    assert (make_reference.main([]), make_reference.main(["--check"])) == (0, 0)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_there_with_its_contract(hook: str) -> None:
    """A hook's part has its signature, what it returns, how it is collected, and an example."""
    part = HOOK_PAGE.partition(f"\n## `{hook}`\n")[2].partition("\n## ")[0]
    for said in (f"{hook}(", "\nReturns: ", "\nCollected from every plugin", ">>> @hookimpl"):
        assert said in part, said


@pytest.mark.parametrize("name", [*suanli.__all__, *testing.__all__])
def test_every_public_name_is_there(name: str) -> None:
    """A public function or class has its part; of a value, every field stands in it."""
    value = getattr(suanli, name, None) or getattr(testing, name)
    if not getattr(value, "__module__", "").startswith("suanli"):
        return  # a type alias, a version, pluggy's marker
    part = VALUE_PAGE.partition(f"\n### `{name}`\n")[2].partition("\n### ")[0]
    assert part.strip()
    if isinstance(value, type) and attrs.has(value):
        told = set(re.findall(r"^\| `(\w+)` \|", part, re.M))
        public = {f.name for f in attrs.fields(value) if not f.name.startswith("_") and not f.metadata.get("runtime")}
        assert told == public


def test_no_markup_of_docstrings_is_left() -> None:
    """The pages are Markdown: no roles, no doubled backticks, no headings of docstring sections."""
    for page in (HOOK_PAGE, VALUE_PAGE):
        plain = re.sub(r"```.*?```", "", page, flags=re.S)
        assert not re.findall(r":\w+:`|``|^\s*(?:Args|Attributes|Example):", plain, re.M)
