"""The command itself: help, versions, exit statuses, and how errors are told."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest

from suanli.cli import main
from suanli.cli.failures import block_of, status_of

FORMATS = ("table", "json", "csv", "markdown")


def test_help_names_every_command_and_shows_examples(run):
    """`suanli --help` is the map of the whole."""
    result = run("--help")
    assert result.exit_code == 0
    for name in main.COMMANDS:
        assert f"  {name}" in result.stdout
    assert "Examples:" in result.stdout


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_has_help_with_an_example_and_a_format(run, name):
    """Each command shows a line one can copy, and takes --format."""
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"  suanli {name}" in result.stdout.partition("Examples:")[2] or f"suanli {name}" in result.stdout
    assert "[table|json|csv|markdown]" in result.stdout


def test_help_loads_click_alone():
    """`suanli --help` imports neither NumPy nor rich nor attrs, so that it is instant."""
    code = (
        "import sys; from suanli.cli.main import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('numpy', 'rich', 'attrs', 'cattrs', 'pluggy') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"


def test_version(run):
    """`suanli --version` says which."""
    assert run("--version").stdout.startswith("suanli ")


def test_without_a_command_it_shows_its_help(run):
    """A newcomer who types `suanli` is helped."""
    result = run()
    assert (result.exit_code, result.stdout.startswith("Usage:")) == (0, True)


def test_an_unknown_command_is_told_with_the_nearest(run):
    """A misspelt command meets the one that was meant."""
    result = run("trian")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: no command named 'trian'. Did you mean 'train'?")


@pytest.mark.parametrize(
    "args",
    [
        ("train", "gpt2", "--nope"),
        ("train", "gpt2", "--on"),
        ("train", "gpt2", "extra", "--on", "a10"),
        ("model",),
        ("run",),
        ("completion", "tcsh"),
        ("list", "nothing"),
        ("search",),
        ("train", "gpt2", "--on", "a10", "--format", "yaml"),
        ("run", "nowhere.toml"),
        ("explain", "nowhere.toml", "time.step_s"),
        ("compare", "nowhere.toml"),
        ("compare", "a99"),
        ("rule", "kv-cache", "sequence=x"),
        ("rule", "no-such-rule"),
        ("rule", "kv-cache", "sequence"),
        ("model", "gpt2", "--sequence", "-3"),
        ("model", "gpt2", "--precision", "bf17"),
        ("model", "gpt9"),
        ("search", "gpt2", "--on", "a10", "--deadline", "soon"),
    ],
)
def test_bad_input_is_one_block_on_stderr_with_status_2(run, args):
    """Whatever is wrong, nothing is on standard output, and the block starts with `error:`."""
    result = run(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("error: ") == 1


def test_a_fault_of_our_own_says_so(run, monkeypatch):
    """An exception nobody meant to raise ends with 70 and the way to see more."""

    def broken(*args, **kwargs):
        raise RuntimeError("the roof fell in")

    monkeypatch.setattr("suanli.estimate", broken, raising=False)
    result = run("train", "gpt2", "--on", "a10")
    assert result.exit_code == 70
    assert "a fault of suanli's own" in result.stderr
    assert "RuntimeError: the roof fell in" in result.stderr
    assert "SUANLI_TRACEBACK=1" in result.stderr


def test_the_traceback_of_a_fault_can_be_asked_for(monkeypatch):
    """SUANLI_TRACEBACK=1 lets the exception through."""

    def broken(*args, **kwargs):
        raise RuntimeError("the roof fell in")

    monkeypatch.setattr("suanli.estimate", broken, raising=False)
    monkeypatch.setenv("SUANLI_TRACEBACK", "1")
    with pytest.raises(RuntimeError):
        main.cli.main(["train", "gpt2", "--on", "a10"])


def test_interrupts_end_with_130(run, monkeypatch):
    """Ctrl-C is no error to explain."""

    def stopped(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("suanli.estimate", stopped, raising=False)
    result = run("train", "gpt2", "--on", "a10")
    assert (result.exit_code, result.stderr.strip()) == (130, "interrupted")


def test_errors_of_click_read_as_ours():
    """Click's messages lose their capital and full stop."""
    exc = click.UsageError("Missing argument 'MODEL'.")
    assert (status_of(exc), block_of(exc)) == (2, "error: missing argument 'MODEL'")


@pytest.mark.skipif(os.name == "nt", reason="pipes close otherwise there")
def test_a_reader_who_leaves_is_no_error():
    """`suanli schema | head -1` ends without a word on stderr."""
    reading, writing = os.pipe()
    os.close(reading)
    found = subprocess.run(
        [sys.executable, "-m", "suanli.cli", "schema"], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert (found.returncode, found.stderr) == (141, "")


@pytest.mark.parametrize("encoding", ["ascii", "gbk", "cp1252"])
def test_terminals_that_lack_characters_are_written_to_all_the_same(encoding):
    """A stream that cannot show a dash shows another character, and the answer stands."""
    env = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    args = [sys.executable, "-m", "suanli.cli", "model", "gpt2"]
    found = subprocess.run(args, capture_output=True, env=env)
    assert (found.returncode, found.stderr) == (0, b"")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(run, shell):
    """Each shell gets a script that names the command and its variable."""
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_SUANLI_COMPLETE" in result.stdout
    for name in FORMATS[1:]:
        assert "_SUANLI_COMPLETE" in run("completion", shell, "--format", name).stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("suanli tra", "train"),
        ("suanli train llama-6", "llama-65b"),
        ("suanli train llama-65b --on dgx-a", "dgx-a100"),
        ("suanli train llama-65b --micro", "--micro-batch"),
        ("suanli list acc", "accelerators"),
        ("suanli train llama-65b --recipe bf16-m", "bf16-mixed"),
    ],
)
def test_completion_offers_names(run, words, expected):
    """Commands, options, and the names of the catalog are completed."""
    env = {"_SUANLI_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    assert f"plain,{expected}" in run(**env).stdout.splitlines()
