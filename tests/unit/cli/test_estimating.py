"""train, serve and run: every field an option, every format, every exit status."""

from __future__ import annotations

import csv
import io
import json
import re

import attrs
import click
import pytest

import suanli
from suanli.cli import asking, report_view
from suanli.cli.fields import POSITIONAL, fields, option_names, read
from suanli.cli.main import cli
from suanli.report import Basis
from suanli.specs import SECTIONS
from suanli.workload import KINDS

TRAIN = ("train", "llama-65b", "--on", "dgx-a100", "-n", "2048", "--tokens", "1.4T", "--tensor", "8")
TRAIN += ("--pipeline", "8", "--micro-batch", "1", "--recompute", "selective", "--zero", "1")
SERVE = ("serve", "llama-3-70b", "--on", "dgx-h100", "-n", "8", "--prompt", "4k", "--output", "1k", "--tensor", "8")
SERVE += ("--pipeline", "1", "--concurrency", "64")
BAND = r"(?: \(80 %: [\w. ]+\))?"
"""An interval that stands behind a figure whose error is known."""
TOO_BIG = ("serve", "llama-3-70b", "--on", "a10", "-n", "1")


def _scenario(args):
    """What the options of a command line make, without estimating it."""
    command = cli.get_command(click.Context(cli), args[0])
    made = command.make_context(args[0], list(args[1:]))
    kinds = tuple(k for k, c in KINDS.items() if c.training == (args[0] == "train"))
    return asking.from_options(made.params, kinds)[0]


@pytest.mark.parametrize("args", [TRAIN, SERVE])
def test_json_is_exactly_to_dict(run, args):
    """--format json is what Report.to_dict gives for the same scenario."""
    result = run(*args, "--format", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == suanli.estimate(_scenario(args)).to_dict()


def test_run_gives_the_report_of_the_file(run, scenario):
    """`suanli run` writes the report that suanli.load and suanli.estimate make."""
    result = run("run", str(scenario), "--format", "json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, suanli.estimate(suanli.load(scenario)).to_dict())


def test_run_changes_fields(run, scenario):
    """--set replaces a field, and an empty value leaves it open."""
    changes = ("--set", "layout.tensor=4", "--set", "layout.data=", "--set", "workload.global_batch=4Ki")
    found = json.loads(run("run", str(scenario), *changes, "--format", "json").stdout)
    assert (found["layout"]["tensor"], found["layout"]["data"]) == (4, 64)
    assert found["scenario"]["workload"]["global_batch"] == 4096
    assert found["origins"]["layout.data"]["origin"] != "given"


@pytest.mark.parametrize("args", [TRAIN, SERVE])
def test_the_table_is_plain_readable_text(run, args):
    """At 80 columns no line is longer, none has a control character, and no float is raw."""
    result = run(*args, columns=80)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert max(len(line) for line in result.stdout.splitlines()) <= 80
    assert not re.search(r"\d\.\d{5,}|\de[+-]\d|\b\d{6,}\b", result.stdout)
    for title in ("fits: yes, ", "Scenario", "Memory of the worst rank", "Throughput", "What the figures rest on"):
        assert title in result.stdout


def test_the_headline_of_training(run):
    """The first lines answer: does it fit, how fast, how long, at what cost."""
    lines = run(*TRAIN, columns=120).stdout.splitlines()
    assert lines[0] == "pre-training llama-65b on 2048 accelerators of dgx-a100"
    assert re.fullmatch(r"fits: yes, [\d.]+ GB of 85\.9 GB on the worst rank", lines[1])
    assert re.fullmatch(rf"step: [\d.]+ s{BAND}, [\d.]+ [kM] tokens/s, MFU [\d.]+ %", lines[2])
    assert re.fullmatch(
        rf"run:  [\d.]+ days{BAND}, [\d.]+ [kM] accelerator-hours, [\d.]+ [MG]Wh, [\d.]+ M USD", lines[3]
    )


def test_the_headline_of_serving_has_its_cost(run):
    """The last line of the headline says what an hour and a million tokens cost, and what a token draws."""
    lines = run(*SERVE, columns=140).stdout.splitlines()
    said = rf"cost and energy: +[\d.]+ USD an hour, [\d.]+ USD a million output tokens{BAND}, [\d.]+ J a token"
    assert re.fullmatch(said, lines[5])
    unpriced = run(*SERVE, "--currency", "EUR", columns=140).stdout.splitlines()
    assert re.fullmatch(r"cost and energy: +[\d.]+ J a token", unpriced[5])


@pytest.mark.parametrize("args", [TRAIN, SERVE])
def test_assumptions_of_cost_are_options_and_echoed(run, args):
    """Prices, currency and PUE work on the command line, are echoed as given, and are what the cost is made of."""
    given = ("--price-per-hour", "2.5", "--electricity-price", "0.2", "--pue", "1.3", "--currency", "EUR")
    found = json.loads(run(*args, *given, "--format", "json").stdout)
    known = found["scenario"]["assumptions"]
    assert (known["price_per_hour"], known["electricity_price"], known["pue"]) == (2.5, 0.2, 1.3)
    assert known["currency"] == "EUR"
    for field in ("price_per_hour", "electricity_price", "pue", "currency"):
        assert found["origins"][f"assumptions.{field}"]["origin"] == "given"
    if args is TRAIN:
        electricity = found["run"]["energy_j"] / 3.6e6 * 0.2
        assert found["run"]["cost"] == pytest.approx(found["run"]["accelerator_hours"] * 2.5 + electricity)
    section = found["run" if args is TRAIN else "serving"]
    assert section["currency"] == "EUR"
    text = run(*args, *given, columns=140).stdout
    assert " EUR" in text.partition("Scenario")[0]
    shown = next(line for line in text.splitlines() if line.startswith("assumptions"))
    for said in ("price per hour 2.50", "electricity price 0.2", "currency EUR", "pue 1.3", "given"):
        assert said in shown


def test_the_price_assumed_is_shown_with_its_source(run):
    """The scenario table has the price with seller, date, document and how many offers there are."""
    text = run(*TRAIN, "--format", "markdown").stdout
    price = suanli.catalog().price("a100")
    assert price is not None
    for said in (f"price per hour {price.amount} ({price.seller}, on-demand", price.date, price.source, "offers"):
        assert said in text


def test_origins_are_marked(run):
    """Each value stands with where it came from, chosen ones with why."""
    text = run("train", "gpt2", "--on", "a10", "-n", "1", columns=140).stdout
    assert re.search(r"model +gpt2 +given", text)
    assert "chosen: the best of" in text
    assert re.search(r"sequence 1024 \(the model's context, 8192 at most\).* default", text)


def test_stages_between_the_first_and_last_are_summed_up(run):
    """A deep pipeline takes five rows, not one a stage."""
    text = run(*TRAIN).stdout.partition("Memory by pipeline stage")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["stage", "0", "1", "2–5", "6", "7"]


@pytest.mark.parametrize("args", [TRAIN, SERVE])
def test_csv_is_flat(run, args):
    """CSV has a row a figure: key, bare number, unit, rung."""
    rows = list(csv.DictReader(io.StringIO(run(*args, "--format", "csv").stdout)))
    by_key = {row["figure"]: row for row in rows}
    assert len(by_key) == len(rows)
    report = suanli.estimate(_scenario(args))
    assert float(by_key["memory.total_bytes"]["value"]) == report.memory.per_accelerator.total_bytes
    assert (by_key["memory.total_bytes"]["unit"], by_key["memory.fits"]["value"]) == ("B", "true")
    key = "time.step_s" if args[0] == "train" else "serving.ttft_s"
    assert (float(by_key[key]["value"]), by_key[key]["unit"]) == (report.figure(key), "s")
    assert by_key[key]["rung"] == report.basis[key].rung


def test_markdown_has_tables(run):
    """Markdown has headings, and every row of a table as many cells as its head."""
    text = run(*TRAIN, "--format", "markdown").stdout
    assert "### Scenario" in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_what_does_not_fit_is_an_answer_with_status_1(run):
    """A scenario that does not fit is answered in full, with status 1 and the reason first."""
    result = run(*TOO_BIG)
    assert (result.exit_code, result.stderr) == (1, "")
    assert "fits: no, needs " in result.stdout
    assert "error: a rank needs" in result.stdout.partition("Scenario")[0]
    assert json.loads(run(*TOO_BIG, "--format", "json").stdout)["memory"]["fits"] is False


def test_an_ambiguous_alias_is_said(run):
    """910b is several parts: the one taken and the others are named."""
    text = " ".join(run("serve", "llama-2-7b", "--on", "910b", "-n", "1").stdout.split())
    assert "'910b' is taken to be ascend-910b2" in text
    assert "it could also mean ascend-910b1" in text


def test_a_band_is_shown_where_it_is_known():
    """An 80 % interval stands beside its figure and in the table of what figures rest on."""
    report = suanli.estimate(_scenario(TRAIN))
    known = Basis(rung="calibrated", provider="training-step: training", band=(0.9, 1.2), evidence="measured")
    judged = attrs.evolve(report, basis={**report.basis, "time.step_s": known})
    text = "\n".join(b.text for b in report_view.headline(judged))
    assert re.search(r"step: [\d.]+ s \(80 %: [\d.]+ s to [\d.]+ s\)", text)
    table, note = report_view.basis(judged)
    assert "0.9 to 1.2" in {row[2] for row in table.rows}
    assert "time.step_s: measured" in note.text.splitlines()
    assert report_view.rows(judged)[0].keys() >= {"band_low", "band_high"}


def test_every_scenario_field_has_an_option(run):
    """Each field of each section is reachable by an option, whose help is the field's."""
    names = option_names()
    for section, cls in [*SECTIONS.items(), *(("workload", c) for c in KINDS.values())]:
        for field in attrs.fields(cls):
            path = f"{section}.{field.name}"
            if "help" in field.metadata:
                assert path in names or path in POSITIONAL
    assert len(set(names.values())) == len(names)
    offered = {o for c in ("train", "serve") for p in cli.get_command(click.Context(cli), c).params for o in p.opts}
    assert set(names.values()) <= offered


VALUES = {"choice": "1,2", "truth": None, "truths": None, "number": "1.5", "bytes": "2 GiB", "ratio": "40%"}
TEXTS = {"layout.schedule": "1f1b", "layout.recompute": "none,full", "layout.offload": "none"}
TEXTS |= {"implementation.attention": "eager", "workload.method": "full"}


@pytest.mark.parametrize(
    "field", [f for f in fields() if not f.later and f.path not in POSITIONAL], ids=lambda f: f.path
)
def test_every_option_reaches_its_field(field):
    """What an option is given stands in the scenario under its path."""
    if field.section == "model":
        pytest.skip("stands in for MODEL")
    command = "serve" if field.path in {f.path for f in fields(("serve",))} and field.section == "workload" else "train"
    text = TEXTS.get(field.path, VALUES.get(field.form, "3"))
    flag = option_names()[field.path]
    made = _scenario((command, "gpt2", "--on", "a10", flag, *([text] if text is not None else [])))
    value = getattr(getattr(made, field.section), field.name)
    expected = True if text is None else read(field.path, text)
    expected = {"2 GiB": 2 << 30, "40%": 0.4, "3": 3 if field.form in ("count", "currency") else "3"}.get(
        text, expected
    )
    assert value == (tuple(expected) if isinstance(expected, list) else expected)


def test_booleans_can_be_denied():
    """--no-overlap is false, and neither is open."""
    base = ("train", "gpt2", "--on", "a10")
    given = [_scenario((*base, *extra)).implementation.overlap for extra in ((), ("--overlap",), ("--no-overlap",))]
    assert given == [None, True, False]


def test_method_implies_fine_tuning():
    """A field only fine-tuning has makes it fine-tuning."""
    assert _scenario(("train", "gpt2", "--on", "a10", "--method", "full")).workload.kind == "finetune"
    assert _scenario(("train", "gpt2", "--on", "a10")).workload.kind == "pretrain"


def test_an_accelerator_stands_for_its_default_system():
    """--on takes a system first, else an accelerator."""
    assert _scenario(("train", "gpt2", "--on", "dgx-a100")).system.name == "dgx-a100"
    assert _scenario(("train", "gpt2", "--on", "h100")).system.accelerator == "h100"


def test_a_model_may_be_a_path_or_options(tmp_path, run):
    """A config.json, its folder, --config and --family all take the place of a name."""
    config = {"model_type": "gpt2", "n_layer": 2, "n_embd": 64, "n_head": 4, "vocab_size": 100, "n_positions": 128}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    args = ("--on", "a10", "-n", "1", "--format", "json")
    totals = set()
    for way in ((str(path),), (str(tmp_path),), ("--config", str(path))):
        result = run("train", *way, *args)
        assert result.exit_code == 0, result.stderr
        totals.add(json.loads(result.stdout)["parameters"]["total"])
    assert len(totals) == 1


def test_errors_are_told_by_option_and_all_at_once(run):
    """Every wrong value is named by what was typed."""
    args = ("train", "lama-65b", "--on", "dgx-a10", "-n", "20x8", "--tokens", "1.4Q", "--tensor", "x")
    result = run(*args, "--recompute", "ful")
    assert result.exit_code == 2
    for start in ("--on: ", "MODEL: ", "-n: ", "--tokens: ", "--tensor: ", "--recompute: "):
        assert f"  - {start}" in result.stderr
    for meant in ("'dgx-a100'", "'llama-65b'", "'full'"):
        assert meant in result.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("train", "gpt2"), "--on: required"),
        (("train", "--on", "a10"), "MODEL: required"),
        (("train", "llama-65b", "--on", "dgx-a100", "--tensor", "3"), "--tensor: 3 does not divide 64 heads"),
        (("train", "gpt2", "--on", "a10", "-n", "1e9"), "-n: must be <= 10000000"),
        (("train", "gpt2", "--on", "a10", "--reserve", "80G"), "--reserve: '80G' is not clear"),
        (("train", "gpt2", "--on", "a10", "--schedule", "dualpipe"), "--schedule: 'dualpipe' is not there yet"),
        (("serve", "gpt2", "--on", "a10", "--users", "5"), "--users: not there yet"),
        (("train", "gpt2", "--on", "a10", "--mfu", "0.4"), "--mfu: not there yet"),
        (("train", "./nowhere.json", "--on", "a10"), "MODEL: cannot read"),
        (("train", "gpt2", "--on", "a10", "--set", "layout.tensr=2"), "did you mean 'tensor'?"),
        (("train", "gpt2", "--on", "a10", "--set", "tensor"), "expected PATH=VALUE"),
        (("train", "gpt2", "--on", "a10", "--set", "workload.tokens=x"), "--set workload.tokens: 'x'"),
        (("train", "gpt2", "--on", "a10", "--overlap", "--recipe", "bf17"), "--recipe: no training recipe"),
    ],
)
def test_an_error_says_what_to_change(run, args, said):
    """Each mistake is told by its option or path."""
    result = run(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_an_error_in_a_file_names_the_file_and_path(run, scenario):
    """A scenario file's faults stand with the file and the field."""
    scenario.write_text(scenario.read_text() + 'schedul = "1f1b"\n', encoding="utf-8")
    result = run("run", str(scenario))
    assert result.exit_code == 2
    assert f"{scenario}: layout: unknown key 'schedul'; did you mean 'schedule'?" in result.stderr


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("layout.tensor", "4", 4),
        ("layout.tensor", "1, 2,4", [1, 2, 4]),
        ("layout.tensor", "[2]", [2]),
        ("layout.tensor", "x", "x"),
        ("layout.tensor", "9" * 40, "9" * 40),
        ("layout.recompute", "none,full", ["none", "full"]),
        ("layout.sequence_parallel", "true", True),
        ("layout.sequence_parallel", "[true, false]", [True, False]),
        ("assumptions.pue", "1.3", 1.3),
        ("assumptions.pue", "inf", "inf"),
        ("workload.tokens", "1.4T", "1.4T"),
        ("layout.acme", "3", 3),
        ("model.hidden_size", "4096", 4096),
        ("model.anything", "1979-05-27", "1979-05-27"),
        ("model.anything", "x\ny = 1", "x\ny = 1"),
    ],
)
def test_texts_are_read_by_the_form_of_their_field(path, text, value):
    """A layout field takes a list, a number a number, and what no field is known for reads as TOML."""
    assert read(path, text) == value


def test_exporters_are_formats(run, scenario):
    """--format takes an exporter's name or alias, and writes what it writes, whatever the exit status."""
    report = suanli.estimate(suanli.load(scenario))
    assert run("run", str(scenario), "--format", "megatron").stdout == report.export("megatron-args")
    assert run(*SERVE, "--format", "html").stdout == suanli.estimate(_scenario(SERVE)).export("html")
    result = run(*TOO_BIG, "--format", "html")
    assert (result.exit_code, result.stdout.startswith("<!doctype html>")) == (1, True)


def test_bytes_of_an_exporter_are_written_as_they_are(run, scenario, monkeypatch):
    """What is not text is not taken for it; text ends with a line's end."""
    for written, shown in ((b"\x00\xff", b"\x00\xff"), ("a row", b"a row\n"), ("a row\n", b"a row\n")):
        monkeypatch.setattr(suanli.Report, "export", lambda self, name, written=written: written)
        result = run("run", str(scenario), "--format", "html")
        assert result.stdout_bytes == shown


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("htlm", "no format named 'htlm'. Did you mean 'html'?"),
        ("vllm-args", "format 'vllm-args' is for serve; for pretrain: html, megatron-args"),
        ("yaml", "See `suanli list exporters`."),
    ],
)
def test_a_format_that_is_none_is_told(run, scenario, name, said):
    """A misspelt format, or one for other workloads, is refused with those there are."""
    result = run("run", str(scenario), "--format", name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_only_reports_have_exporters(run):
    """A command whose answer is no report takes the four formats alone."""
    result = run("model", "gpt2", "--format", "html")
    assert (result.exit_code, result.stdout) == (2, "")
