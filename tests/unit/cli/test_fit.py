"""fit: precisions, context, batch and cards; every format, every exit status."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

import suanli
from suanli.cli.fields import option_names
from suanli.cli.main import cli

SERVE = ("fit", "llama-3-8b", "--on", "rtx-4090")
TRAIN = ("fit", "llama-3-8b", "--on", "a100", "--kind", "train")
CONFIG = {
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
}


def fit_of(args):
    """The same from Python."""
    return suanli.fit("llama-3-8b", args[3], kind="train" if args is TRAIN else "serve")


@pytest.mark.parametrize("args", [SERVE, TRAIN], ids=" ".join)
def test_json_is_exactly_to_dict(run, args):
    """--format json is what to_dict gives for the same question from Python."""
    result = run(*args, "--format", "json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, fit_of(args).to_dict())


@pytest.mark.parametrize("args", [SERVE, TRAIN], ids=" ".join)
def test_csv_has_a_row_for_each_precision(run, args):
    """Every recipe of the catalog for that work, the widest weights first."""
    rows = list(csv.DictReader(io.StringIO(run(*args, "--format", "csv").stdout)))
    kind = "training" if args is TRAIN else "serving"
    recipes = [e.value for e in suanli.catalog().entries("recipe") if e.value.kind == kind]
    assert {r["recipe"] for r in rows} == {r.name.removeprefix("serve-") for r in recipes}
    width = suanli.catalog().element_bytes
    sizes = [width[r["weights"]] for r in rows]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("args", [SERVE, TRAIN], ids=" ".join)
@pytest.mark.parametrize("columns", [80, 100])
def test_the_table_is_plain_readable_text(run, args, columns):
    """No line is longer than the terminal, no float is raw, and what was assumed is said."""
    result = run(*args, columns=columns)
    assert result.exit_code == 0
    assert max(len(line) for line in result.stdout.splitlines()) <= columns
    assert not re.search(r"\d\.\d{5,}|\b\d{7,}\b|\x1b", result.stdout)
    assert "by default: context 8192: the model's, 8192 at most" in result.stdout
    assert "Precisions, the widest first" in result.stdout


def test_the_headline(run):
    """What on what, and which precisions fit."""
    lines = run(*SERVE, columns=100).stdout.splitlines()
    assert lines[0] == "serving llama-3-8b on 1 accelerator of rtx-4090"
    good = ", ".join(o.recipe for o in fit_of(SERVE).options if o.fits)
    assert lines[1] == f"fits at context 8192, batch 1: {good}"
    assert next(line for line in lines if line.startswith("fp32 ")).split()[1] == "no"


def test_what_does_not_fit_ends_with_1(run):
    """Where nothing fits, the cards that would do are shown, and the status is 1."""
    result = run("fit", "llama-3-70b", "--on", "a10", columns=100)
    assert result.exit_code == 1
    assert "nothing fits at context 8192, batch 1" in result.stdout
    assert "fp32: no number of accelerators that a10-8-pcie joins is enough" in result.stdout
    bf16 = next(line for line in result.stdout.splitlines() if line.startswith("bf16 "))
    assert re.search(r" -\d+ GB +0 +0 +8 ", bf16)


def test_a_configuration_file(run, tmp_path):
    """A config.json is read where it is named, and as a folder."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    for path in (tmp_path / "config.json", f"{tmp_path}/"):
        result = run("fit", str(path), "--on", "rtx-4090", "--format", "json")
        assert (result.exit_code, json.loads(result.stdout)["accelerator"]) == (0, "rtx-4090")


def test_context_batch_and_cards_are_asked_about(run):
    """--context, --batch, -n and --recipe say what must fit; other fields are options too."""
    asked = ("fit", "llama-3-70b", "--on", "h100", "-n", "4", "--context", "16Ki", "--batch", "8", "--recipe", "fp8")
    found = json.loads(run(*asked, "--output", "1k", "--kv-cache", "fp8", "--format", "json").stdout)
    assert (found["accelerators"], found["context"], found["output"], found["batch"]) == (4, 16384, 1000, 8)
    assert [o["recipe"] for o in found["options"]] == ["fp8"]
    assert found["options"][0]["report"]["scenario"]["precision"]["kv_cache"] == "fp8"
    flags = {o for p in cli.get_command(None, "fit").params for o in p.opts}  # type: ignore[arg-type, union-attr]
    missing = set(option_names(("serve", "pretrain", "finetune")).values()) - flags
    assert missing <= {"--concurrency"}
    assert "--layout-context" in flags


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "MODEL: required"),
        (("gpt2",), "--on: required"),
        (("gpt9", "--on", "h10", "--kind", "srve", "--context", "8.5", "-n", "0"), "5 errors"),
        (("gpt2", "--on", "a10", "-n", "9"), "-n: a10-8-pcie joins at most 8"),
        (("gpt2", "--on", "a10", "--context", "100", "--output", "200"), "--context: 100 tokens leave no prompt"),
        (("gpt2", "--on", "a10", "--recipe", "fp9"), "--recipe: no serving recipe named 'fp9'"),
        (("gpt2", "--on", "a10", "--set", "workload.concurrency=3"), "--set workload.concurrency: give batch"),
        (("gpt2", "--on", "a10", "--layout-context", "x"), "--layout-context: "),
    ],
)
def test_bad_input_is_one_block_told_by_option(run, args, said):
    """Whatever is wrong is told on standard error by the option that caused it, with status 2."""
    result = run("fit", *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
