"""plan: a total rate, a training run, a service; every format, every exit status."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

import suanli
from suanli.cli import planning
from suanli.cli.fields import option_names
from suanli.cli.main import cli

COMPUTE = ("plan", "--compute", "1000P", "--sparse", "--on", "h100", "--on", "a100", "--on", "910b")
TRAIN = ("plan", "train", "llama-7b", "--tokens", "10B", "--days", "2", "--on", "h100", "--on", "910b", "--on", "a10")
SERVE = ("plan", "serve", "llama-3-70b", "--users", "500", "--tokens-per-s", "8", "--on", "h100", "--on", "910b")
ALL = [COMPUTE, TRAIN, SERVE]


def plan_of(args):
    """The same plan from Python."""
    if args is COMPUTE:
        return suanli.plan_compute("1000P", ("h100", "a100", "910b"), sparse=True)
    if args is TRAIN:
        return suanli.plan_training("llama-7b", tokens="10B", days=2, on=("h100", "910b", "a10"))
    return suanli.plan_serving("llama-3-70b", users=500, tokens_per_s=8, on=("h100", "910b"))


@pytest.mark.parametrize("args", ALL, ids=" ".join)
def test_json_is_exactly_to_dict(run, args):
    """--format json is what to_dict gives for the same plan from Python."""
    result = run(*args, "--format", "json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, plan_of(args).to_dict())


@pytest.mark.parametrize("args", ALL, ids=" ".join)
def test_csv_has_a_row_for_each_option(run, args):
    """The options in the order of their rank, with their figures as plain numbers."""
    rows = list(csv.DictReader(io.StringIO(run(*args, "--format", "csv").stdout)))
    options = plan_of(args).options
    assert [r["accelerator"] for r in rows] == [o.accelerator for o in options]
    assert [r["meets"] for r in rows] == ["true" if o.meets else "false" for o in options]
    assert [r["accelerators"] for r in rows if r["meets"] == "true"] == [
        str(o.accelerators) for o in options if o.meets
    ]


@pytest.mark.parametrize("args", ALL, ids=" ".join)
@pytest.mark.parametrize("columns", [80, 100])
def test_the_table_is_plain_readable_text(run, args, columns):
    """No line is longer than the terminal, none has a control character, and no float is raw."""
    result = run(*args, columns=columns)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert max(len(line) for line in result.stdout.splitlines()) <= columns
    assert not re.search(r"\d\.\d{5,}|\d\d{6,}\b", re.sub(r"\b[0-9a-f]{7,}\b", "", result.stdout))
    assert "Ranked by cost in USD" in result.stdout
    assert "an hour: " in result.stdout


def test_the_headline_of_a_rate(run):
    """The article's 1000P of sparse bf16: 64 nodes and 512 H100s, and why the 910B is not among them."""
    said = run(*COMPUTE, columns=100).stdout
    assert "512 accelerators of h100-sxm5-80 (505.4 exactly) in 64 nodes of dgx-h100" in said
    assert "ascend-910b2 has no structured sparsity" in said
    dense = run("plan", "--compute", "1000P", "--on", "h100", columns=100).stdout
    assert "in 127 nodes of dgx-h100; the next power of two is 128 nodes" in " ".join(dense.split())


def test_the_headline_of_a_run(run):
    """How many, how long with its interval, what it costs; what the next smaller number takes; what misses."""
    lines = run(*TRAIN, columns=100).stdout.splitlines()
    best = plan_of(TRAIN).options[0]
    assert lines[0] == "pre-training llama-7b on 10.0 B tokens in 2 days"
    said = rf"{best.accelerators} accelerators of {best.system}: [\d.]+ (h|days) \(80 %: .*\), [\d,.]+ USD"
    assert re.fullmatch(said, lines[1])
    assert re.fullmatch(r"\d+ would not do: (takes [\d.]+ days|it does not fit)", lines[2])
    assert "These miss it" in lines
    assert "with a global batch of 2048 sequences" in " ".join(" ".join(lines).split())


def test_the_headline_of_a_service(run):
    """What is asked for, the target that follows from it, how many, and what a million tokens cost."""
    lines = run(*SERVE, columns=100).stdout.splitlines()
    assert lines[0] == "serving llama-3-70b"
    assert lines[1] == "demand:  500 users at a time, 4000 output tokens/s on average"
    assert lines[2] == "targets: TPOT 125 ms at most (TPOT so that each user gets 8 tokens/s)"
    assert re.fullmatch(r"\d+ accelerators of dgx-h100: \d+ engines? of \d, \d+ requests at a time in each", lines[3])
    assert re.match(r"[\d.]+ USD an hour, [\d.]+ USD a million output tokens with every engine busy, ", lines[4])


def test_what_nothing_meets_ends_with_1(run):
    """An answer that misses shows what comes nearest and what would do."""
    for args, near in (
        (("plan", "train", "llama-7b", "--tokens", "1T", "--days", "0.01", "--on", "h100"), "allow "),
        (("plan", "serve", "llama-7b", "--rate", "1", "--slo-tpot", "1us", "--on", "h100"), "allow TPOT"),
        (("plan", "--compute", "1P", "--precision", "fp8", "--on", "a100"), "has no fp8 path"),
        (("plan", "train", "llama-65b", "--tokens", "1T", "--days", "9", "--on", "a10"), "its network joins"),
    ):
        result = run(*args)
        assert (result.exit_code, result.stderr) == (1, "")
        assert near in " ".join(result.stdout.split())


def test_traffic_in_options(run):
    """Visits and minutes make users; a peak multiplies them; targets can be told in one option or two."""
    traffic = (
        "--visits-per-month",
        "1.6B",
        "--minutes-per-visit",
        "7.5",
        "--tokens-per-s",
        "20",
        "--peak-factor",
        "10",
    )
    said = run("plan", "serve", "gpt3-175b", *traffic, "--on", "h100", columns=100).stdout
    assert "278 k users at a time, 5.56 M output tokens/s on average, 55.6 M at the peak (10 x)" in said
    one, two = (
        run("plan", "serve", "llama-7b", "--rate", "3", "--on", "a10", *slo, "--format", "json").stdout
        for slo in (("--slo", "tpot=50ms,ttft=900ms"), ("--slo-tpot", "50ms", "--slo-ttft", "900 ms"))
    )
    assert one == two
    assert json.loads(one)["slo"] == {"ttft_s": 0.9, "tpot_s": 0.05, "why": ""}


def test_fields_are_options_and_settings(run):
    """Any field of a scenario is an option here too, and --set reaches it."""
    base = ("plan", "train", "llama-7b", "--tokens", "10B", "--days", "3", "--on", "h100", "--format", "json")
    found = json.loads(run(*base, "--global-batch", "512", "--set", "layout.recompute=full").stdout)["options"][0]
    assert found["scenario"]["workload"]["global_batch"] == 512
    assert (found["layout"]["recompute"], found["origins"]["layout.recompute"]["origin"]) == ("full", "given")
    known = {o for p in (cli.get_command(None, "plan").get_command(None, n) for n in ("train", "serve"))  # type: ignore[arg-type, union-attr]
             for q in p.params for o in q.opts}  # fmt: skip
    assert set(option_names(("pretrain", "finetune")).values()) <= known


def test_several_systems_in_one_option(run):
    """--on a,b is --on a --on b."""
    one, two = (
        run("plan", "--compute", "1P", *on).stdout for on in (("--on", "a100,h100"), ("--on", "a100", "--on", "h100"))
    )
    assert one == two


def test_top_shortens_the_table_only(run):
    """--top N shows N options, says how many there are, and leaves JSON whole."""
    said = run("plan", "--compute", "1P", "--top", "3", columns=100).stdout
    everyone = suanli.plan_compute("1P").options
    assert f"3 of {len(everyone)}; --top {len(everyone)} shows all" in said
    assert everyone[2].accelerator in said
    assert everyone[3].accelerator not in said
    assert len(json.loads(run("plan", "--compute", "1P", "--top", "3", "--format", "json").stdout)["options"]) > 3


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "give --compute RATE"),
        (("trian",), "no plan named 'trian'. Did you mean 'train'?"),
        (("--compute", "1P", "train", "gpt2"), "--compute goes behind 'train'"),
        (("--compute", "soon", "--on", "h10", "--precision", "bf17"), "3 errors"),
        (("train",), "MODEL: required"),
        (("train", "llama-65c", "--on", "h10", "--tokens", "x", "--days", "soon", "--budget", "-3"), "5 errors"),
        (("train", "llama-65b", "--tokens", "1T", "--days", "3", "--on", "910b", "--budget", "1M", "-n", "5"), "-n"),
        (("train", "llama-65b", "--tokens", "1T", "--budget", "1M", "--on", "910b"), "--budget: no price is known"),
        (
            ("train", "llama-65b", "--tokens", "1T", "--days", "3", "--set", "system.accelerators=8"),
            "--set system.accel",
        ),
        (("serve", "llama-7b"), "--users, --rate, --visits-per-month: give one of"),
        (("serve", "llama-7b", "--visits-per-month", "5M"), "--minutes-per-visit: required"),
        (("serve", "llama-7b", "--rate", "1", "--slo", "tp=5"), "--slo: unknown key 'tp'; did you mean 'tpot'?"),
        (("serve", "llama-7b", "--rate", "1", "--slo", "fast"), "--slo 'fast': expected TARGET=TIME"),
        (("serve", "llama-7b", "--rate", "1", "--slo-ttft", "soon"), "--slo-ttft: 'soon'"),
        (("serve", "llama-7b", "--rate", "1", "--batch", "3", "--replicas", "2"), "2 errors"),
        (("serve", "llama-7b", "--rate", "1", "--peak-factor", "0.5"), "--peak-factor: the peak is no less"),
    ],
)
def test_bad_input_is_one_block_told_by_option(run, args, said):
    """Whatever is wrong is told on standard error by the option that caused it, with status 2."""
    result = run("plan", *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert said in result.stderr


@pytest.mark.parametrize("args", [("plan",), ("plan", "train"), ("plan", "serve")])
def test_help_has_examples_that_are_commands(run, args):
    """The help of each shows examples that start with it, and its options under headings."""
    said = run(*args, "--help", columns=100).stdout
    assert f"  suanli {' '.join(args)} " in said
    assert "Target:" in said


def test_progress_is_for_a_terminal_alone(run, monkeypatch):
    """Nothing is written while a plan runs elsewhere; on a terminal one line is written over, and wiped."""
    assert run(*TRAIN).stderr == ""
    monkeypatch.setattr(planning, "_on_a_terminal", lambda: True)
    told = run(*TRAIN).stderr
    assert "\rdgx-h100: 1 accelerator" in told
    assert told.endswith("\r")
