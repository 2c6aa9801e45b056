"""The command line: an answer (0), an answer that misses (1), or a readable refusal (2); never a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from .junk import EXAMPLES, WORDS, finite

main = pytest.importorskip("suanli.cli.main")

REAL = [
    ["train", "llama-7b", "--on", "dgx-a100", "-n", "8", "--tokens", "1T", "--tensor", "2", "--pipeline", "1"],
    ["train", "mixtral-8x7b", "--on", "atlas-800t-a2", "-n", "64", "--global-batch", "512", "--zero", "1"],
    ["serve", "llama-7b", "--on", "a10", "--prompt", "1k", "--output", "128", "--batch", "4"],
    ["model", "llama-7b"],
    ["rule", "kv-cache", "sequence=2048", "hidden=4096", "layers=32"],
    ["list", "accelerators"],
    ["plugins"],
    ["schema"],
    ["explain", "scenario.toml", "time.step_s"],
    ["run", "scenario.toml", "--set", "layout.tensor=4"],
    ["search", "scenario.toml"],
    ["compare", "a100", "h100"],
    ["completion", "bash"],
]
SCENARIO = """
[model]
name = "llama-7b"
[system]
name = "dgx-a100"
accelerators = 8
[layout]
tensor = [1, 2, 4]
pipeline = 1
micro_batch = 1
zero = 1
recompute = "full"
"""
odd = st.one_of(
    st.sampled_from([*WORDS, "--", "-", "--help", "--format", "json", "csv", "yaml", "--set", "layout.tensor"]),
    st.sampled_from(["=", "==", "a=b", "layout.tensor=x", "layout.=1", ".=1", "model=1", "layout.tensor=[1,2]", "=1"]),
    st.sampled_from(["-n", "-n0", "-n-1", "-n1e9", "--tensor=0", "--tokens=nan", "--on=", "--prompt=1e400", "9" * 400]),
    st.text(max_size=12),
)  # fmt: skip


@st.composite
def commands(draw: st.DrawFn) -> list[str]:
    """A real command with words replaced, taken out and put in."""
    words = list(draw(st.sampled_from(REAL)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(words)))
        words[at : at + draw(st.integers(0, 1))] = draw(st.lists(odd, min_size=0, max_size=2))
    return words


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scenario in it."""
    made = tmp_path_factory.mktemp("cli")
    (made / "scenario.toml").write_text(SCENARIO, encoding="utf-8")
    return made


def run(words: list[str], folder: Path) -> Result:
    """One command, in that folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return CliRunner().invoke(main.cli, words, prog_name="suanli")


def sound(result: Result, words: list[str]) -> None:
    """What every end of every command must be."""
    told = result.output
    assert result.exit_code in (0, 1, 2), f"{words}: status {result.exit_code}\n{told[-600:]}"
    assert "Traceback" not in told, words
    if result.exit_code == 2:
        assert result.stderr.strip(), f"{words}: refused without a word"
        assert len(result.stderr) < 20_000, words


@pytest.mark.parametrize("words", REAL, ids=lambda w: " ".join(w[:2]))
def test_real_commands_answer(words: list[str], folder: Path) -> None:
    """The commands the others are made from are answered."""
    result = run(words, folder)
    sound(result, words)
    assert result.exit_code in (0, 1), result.output


@EXAMPLES
@given(words=commands())
def test_mutated_commands_end_well(words: list[str], folder: Path) -> None:
    """Whatever words a command has, it ends with an answer or a readable refusal."""
    sound(run(words, folder), words)


@EXAMPLES
@given(words=st.lists(st.one_of(odd, st.sampled_from([w for command in REAL for w in command])), max_size=5))
def test_any_words_end_well(words: list[str], folder: Path) -> None:
    """Words in any order end with an answer or a readable refusal."""
    sound(run(words, folder), words)


@pytest.mark.parametrize("command", ["train", "serve", "run", "search", "model", "rule", "list", "plugins", "compare"])
@pytest.mark.parametrize("form", ["json", "csv", "markdown", "table"])
def test_every_format_of_every_command(command: str, form: str, folder: Path) -> None:
    """Each format is written, and JSON is JSON with no number that is none."""
    words = [*next(w for w in REAL if w[0] == command), "--format", form]
    result = run(words, folder)
    sound(result, words)
    assert result.exit_code in (0, 1), result.output
    assert result.stdout.strip()
    if form == "json":
        data: Any = json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
        assert finite(data)


def test_a_huge_or_deep_file_is_refused_at_once(folder: Path) -> None:
    """A file of 100 MB, and one of 100,000 levels, end in a refusal unread."""
    with (folder / "huge.toml").open("wb") as out:
        out.truncate(100_000_000)
    (folder / "deep.json").write_text("[" * 100_000, encoding="utf-8")
    for name in ("huge.toml", "deep.json"):
        for command in (["run", name], ["search", name], ["model", name], ["explain", name, "time.step_s"]):
            result = run(command, folder)
            sound(result, command)
            assert result.exit_code == 2, result.output
