"""``suanli rule``: what is typed, what is shown."""

from __future__ import annotations

import json

import suanli

SECRET = """
[[accelerator]]
id = "hush"
vendor = "Hush"
product = "Hush 1"
generation = "hush-1"
memory = "96 GB"
memory_bandwidth = "3.21 TB/s"
confidential = true
peak = { bf16 = "543 TFLOP/s" }
source = { all = "under NDA" }
"""


def test_lists_choices_and_names_are_read_from_text(run):
    """Values between commas are lists, of numbers or names; choices and names reach the rule as they are."""
    zero = json.loads(run("rule", "zero-memory", "params=7.5B", "data=64", "zero=0,3", "--format", "json").stdout)
    assert zero["value"] == suanli.rule("zero-memory", params=7.5e9, data=64, zero=[0, 3]).value
    lora = run("rule", "lora", "model=llama-7b", "rank=8", "targets=q_proj,v_proj", "--format", "json")
    assert json.loads(lora.stdout)["value"] == suanli.rule("lora", model="llama-7b", rank=8).value
    ladder = json.loads(run("rule", "unit-ladder", "text=1P,1000P", "--format", "json").stdout)
    assert ladder["value"] == [1e15, 1e18]


def test_a_description_tells_choices_defaults_and_subjects(run):
    """`suanli rule NAME` tells what an input may be, its default, and what it can be read from."""
    text = run("rule", "zero-memory", columns=120).stdout
    assert "zero (0 | 1 | 2 | 3, default 0)" in text
    assert "params: from model=" in text
    assert "usual error" in text


def test_a_rule_that_needs_nothing_says_its_value(run):
    """A rule whose every input has a default tells what it gives by default."""
    assert "30.0 %, 50.0 %" in run("rule", "mfu-prior").stdout


def test_a_wrong_choice_is_told_with_the_right_ones(run):
    """A choice nobody has is refused with those there are."""
    result = run("rule", "training-time-recompute", "model=llama-7b", "tokens=1T", "system=dgx-a100", "recompute=ful")
    assert result.exit_code == 2
    assert "recompute: expected none or full, got 'ful'; did you mean 'full'?" in result.stderr


def test_the_estimator_s_figure_and_the_usual_error_are_shown(run):
    """With a model named, its figure stands beside, how far the rule is off, and how far it usually is."""
    text = run("rule", "parameters", "model=llama-2-70b", columns=160).stdout
    assert "suanli's figure  69.0 B" in text
    assert "the rule is -6.6% off" in text
    assert "usual error" in text
    assert "hidden 8192" in text


def test_figures_of_a_confidential_accelerator_are_not_shown(run, tmp_path, monkeypatch):
    """No format shows what was read from a confidential accelerator; the table says that it is."""
    (tmp_path / "hush.toml").write_text(SECRET, encoding="utf-8")
    monkeypatch.setattr("suanli.workspace._DEFAULT", [suanli.Workspace(paths=[tmp_path])])
    asked = ("training-time", "params=7B", "tokens=1T", "accelerators=4", "accelerator=hush")
    for form in ("table", "json", "csv", "markdown"):
        result = run("rule", *asked, "--format", form, columns=120)
        assert result.exit_code == 0, result.stderr
        assert "543" not in result.stdout, form
        assert "peak_flops_per_s confidential" in result.stdout or form in ("json", "csv")
