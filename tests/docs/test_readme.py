"""What the documents show is what a reader gets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import suanli
from suanli.cli.main import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line.strip().split("#")[0].split() for line in README.splitlines() if line.startswith("    suanli ")]


def run(*arguments: str) -> str:
    """What a command prints on a wide terminal."""
    result = CliRunner().invoke(cli, list(arguments), env={"COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    return result.output


def test_the_first_command_prints_what_the_readme_shows() -> None:
    """Every line of the README's output, but the elided ones, is printed by the command above it."""
    command = re.search(r"\.venv/bin/suanli (train .*)", README)
    block = re.search(r"```text\n(.*?)```", README, re.S)
    assert command
    assert block
    printed = run(*command[1].split()).splitlines()
    shown = [line for line in block[1].splitlines() if line.strip() not in ("", "…")]
    assert len(shown) > 5
    assert [line for line in shown if line not in printed] == []


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_of_the_readme_is_one(command: list[str], tmp_path: Path) -> None:
    """Each command the README lists is known, and answers where the files it names are at hand."""
    (tmp_path / "scenario.toml").write_text(
        '[model]\nname = "llama-7b"\n[system]\nname = "dgx-a100"\n[workload]\nglobal_batch = 64\n', encoding="utf-8"
    )
    (tmp_path / "config.json").write_text(
        '{"model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008,'
        ' "num_hidden_layers": 32, "num_attention_heads": 32}',
        encoding="utf-8",
    )
    words = [str(tmp_path / w) if w in ("scenario.toml", "config.json") else w for w in command[1:]]
    assert run(*words)


def test_every_link_leads_somewhere() -> None:
    """Each relative link of the documents names a file or folder of the repository."""
    named = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")]
    for document in (*named, *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_library_lines_work() -> None:
    """The calls the README names give what it says they do."""
    assert suanli.model("mixtral-8x7b").parameters.total == 46_702_792_704
    assert 0.0 < suanli.accelerator("h100").gemm_s(m=4096, n=8192, k=8192) < 1e-2


def test_the_oldest_dependencies_tested_are_those_allowed() -> None:
    """tox's lowest environment pins exactly the lower bounds that pyproject.toml states."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("dependencies = [")[1].split("]")[0]
    allowed = dict(re.findall(r'"([a-z]+)>=([0-9.]+)"', project))
    pinned = dict(re.findall(r"^    ([a-z]+)==([0-9.]+)$", (ROOT / "tox.ini").read_text(encoding="utf-8"), re.M))
    for name, version in allowed.items():
        assert pinned[name] == version or pinned[name] == f"{version}.0", name
