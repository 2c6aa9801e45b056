"""search, explain, model, compare, list, plugins, schema and rule."""

from __future__ import annotations

import csv
import io
import json

import pytest

import suanli
from suanli.catalogs import LISTED

FORMATS = ("table", "json", "csv", "markdown")
SEARCH = (
    "search",
    "llama-65b",
    "--on",
    "dgx-a100",
    "-n",
    "64",
    "--pipeline",
    "8",
    "--zero",
    "1",
    "--recompute",
    "full",
)


def _rows(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "args",
    [
        SEARCH,
        ("model", "mixtral-8x7b"),
        ("model", "gpt2", "llama-3-8b"),
        ("compare", "a100", "910b", "--sources"),
        ("compare", "dgx-h100"),
        ("plugins",),
        ("schema",),
        ("rule",),
        ("rule", "kv-cache"),
        ("rule", "training-flops", "params=65B", "tokens=1.4T"),
        ("list",),
        *(("list", kind) for kind in LISTED),
    ],
    ids=" ".join,
)
def test_every_command_writes_every_format(run, args, format):
    """Each answer is a table, JSON that parses, CSV of equal rows, and Markdown."""
    result = run(*args, "--format", format, columns=120)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.strip()
    if format == "json":
        assert json.loads(result.stdout)
    elif format == "csv":
        assert len({len(row) for row in csv.reader(io.StringIO(result.stdout))}) == 1
    elif format == "table":
        assert max(len(line) for line in result.stdout.splitlines()) <= 120


def test_search_ranks_as_the_library_does(run, scenario):
    """The plans are those of suanli.search, best first."""
    args = ("search", str(scenario), "--set", "layout.tensor=2,4,8", "--set", "layout.data=", "--top", "3")
    found = json.loads(run(*args, "--format", "json").stdout)
    scores = [plan["score"] for plan in found["plans"]]
    assert scores == sorted(scores)
    assert len(scores) == 3
    data = suanli.load(scenario).to_dict()
    data["layout"] |= {"tensor": [2, 4, 8]}
    del data["layout"]["data"]
    assert scores == [p.score for p in suanli.search(data, top=3).plans]


def test_search_takes_options_over_a_file(run, scenario):
    """An option given beside a scenario file replaces its field."""
    args = ("search", str(scenario), "--tensor", "4", "-n", "512", "--set", "layout.data=", "--format", "json")
    layouts = [plan["layout"] for plan in json.loads(run(*args).stdout)["plans"]]
    assert {(x["tensor"], x["data"]) for x in layouts} == {(4, 16)}
    assert "--tensor: expected a whole number" in run("search", str(scenario), "--tensor", "x").stderr


def test_search_with_nothing_that_fits_ends_with_1(run):
    """Where nothing fits, the nearest is told, and the status is 1."""
    args = ("search", "llama-65b", "--on", "a10", "-n", "2", "--micro-batch", "1")
    result = run(*args)
    assert result.exit_code == 1
    assert "none of" in result.stdout
    assert "needs the least memory needs" in result.stdout
    assert json.loads(run(*args, "--format", "json").stdout)["plans"] == []


def test_search_can_be_cut_short(run):
    """A limit on layouts is kept and said."""
    result = run(*SEARCH, "--max-layouts", "20", "--deadline", "1 min")
    assert "20 legal layouts" in result.stdout
    assert "stopped before every layout was evaluated" in " ".join(result.stdout.split())


def test_search_serves_too(run):
    """--kind serve ranks by output tokens a second."""
    args = ("search", "llama-2-7b", "--on", "dgx-a100", "-n", "8", "--kind", "serve", "--concurrency", "64")
    found = json.loads(run(*args, "--format", "json").stdout)
    assert found["measure"] == "serving.output_tokens_per_s"


def test_explain_shows_the_tree_and_its_sources(run, scenario):
    """A derivation is a tree, as deep as asked for, with the documents it rests on."""
    result = run("explain", str(scenario), "time.step_s", "--depth", "1")
    assert result.exit_code == 0
    assert result.stdout.startswith("time.step_s = step_s")
    assert "├── forward_s" in result.stdout
    assert "│   ├──" not in result.stdout
    assert "Sources of the whole derivation" in result.stdout
    deeper = run("explain", str(scenario), "time.step_s", "--depth", "3").stdout
    assert len(deeper) > len(result.stdout)


def test_explain_as_json_is_the_derivation(run, scenario):
    """JSON has every level, and the citations."""
    found = json.loads(run("explain", str(scenario), "memory.total_bytes", "--format", "json").stdout)
    derived = suanli.explain(suanli.load(scenario), "memory.total_bytes")
    assert found == json.loads(json.dumps(derived.to_dict() | {"citations": list(derived.citations())}))


@pytest.mark.parametrize("format", FORMATS)
def test_explain_without_a_figure_lists_them(run, scenario, format):
    """Every figure listed can be explained."""
    result = run("explain", str(scenario), "--format", format)
    assert result.exit_code == 0
    assert "time.step_s" in result.stdout
    if format == "json":
        for row in json.loads(result.stdout):
            assert suanli.explain(suanli.load(scenario), row["figure"]).value == row["value"]


def test_explain_tells_of_an_unknown_figure(run, scenario):
    """A misspelt figure meets the ones that resemble it."""
    result = run("explain", str(scenario), "time.stp_s")
    assert result.exit_code == 2
    assert "'time.step_s'" in result.stderr


def test_model_counts_are_the_library_s(run):
    """The anatomy adds up to what the library counts."""
    found = json.loads(run("model", "mixtral-8x7b", "--sequence", "4k", "--format", "json").stdout)
    m = suanli.model("mixtral-8x7b")
    assert (found["parameters"], found["active_parameters"]) == (m.parameters.total, m.parameters.active)
    assert found["forward_flops"] == m.forward_flops(sequence=4000).total
    parts = [(op, b["times"]) for b in found["blocks"] for op in b["operators"]]
    assert sum(op["parameters"] * times for op, times in parts) == m.parameters.total
    assert sum(op["flops"] * times for op, times in parts) == pytest.approx(found["forward_flops"])
    assert found["kv_cache_bytes_per_token"] == m.kv_cache_bytes(1)
    assert found["saved_bytes_per_layer"]["decoder"] == m.saved_activation_bytes(sequence=4000)


def test_model_tells_every_unknown_name(run):
    """Several wrong names are told at once."""
    result = run("model", "gpt9", "nowhere.json", "gpt2")
    assert result.exit_code == 2
    assert "'gpt9'" in result.stderr
    assert "nowhere.json" in result.stderr


def test_compare_says_what_an_alias_is_taken_for(run):
    """Accelerators stand under their ids, peaks told apart from paths they lack."""
    text = run("compare", "a100", "910b", columns=100).stdout
    assert "ascend-910b2" in text.splitlines()[0]
    assert "'910b' is taken to be ascend-910b2" in text
    fp8 = next(line for line in text.splitlines() if line.startswith("peak fp8"))
    assert fp8.split()[-2:] == ["none", "none"]
    assert "Sources of" in run("compare", "a100", "--sources").stdout


@pytest.mark.parametrize("format", FORMATS)
def test_compare_reports(run, scenario, tmp_path, format):
    """Scenario files are estimated and stand side by side."""
    other = tmp_path / "other.toml"
    other.write_text(scenario.read_text().replace("dgx-a100", "dgx-h100"), encoding="utf-8")
    result = run("compare", str(scenario), str(other), "--format", format)
    assert result.exit_code == 0
    assert "time.step_s" in result.stdout or format == "json"
    if format == "json":
        found = json.loads(result.stdout)
        assert [f["report"] for f in found] == [suanli.estimate(suanli.load(p)).to_dict() for p in (scenario, other)]


def test_compare_mixes_nothing(run, scenario):
    """A scenario file beside an accelerator is refused."""
    result = run("compare", str(scenario), "a100")
    assert result.exit_code == 2
    assert "'a100' is no scenario file" in result.stderr


def test_a_confidential_accelerator_keeps_its_figures(run, tmp_path, monkeypatch):
    """Neither list nor compare shows what an entry keeps to itself."""
    (tmp_path / "secret.toml").write_text(
        '[[accelerator]]\nid = "hush-1"\nvendor = "Hush"\nproduct = "Hush 1"\nmemory = "123 GB"\n'
        'memory_bandwidth = "4.56 TB/s"\npeak = { bf16 = "789 TFLOP/s" }\nconfidential = true\n'
        'source = { all = "NDA" }\n',
        encoding="utf-8",
    )
    monkeypatch.setattr("suanli.workspace._DEFAULT", [suanli.Workspace(paths=[tmp_path])])
    for args in (("list", "accelerators", "hush"), ("compare", "hush-1", "a100", "--sources")):
        for name in FORMATS:
            text = run(*args, "--format", name, columns=140).stdout.replace(str(tmp_path), "FOLDER")
            assert "hush-1" in text
            assert not any(secret in text for secret in ("123", "4.56", "789", "NDA"))


def test_list_can_be_narrowed(run):
    """A pattern keeps names and aliases that contain it."""
    names = {row["name"] for row in _rows(run("list", "accelerators", "910b", "--format", "csv").stdout)}
    assert names
    assert all("910b" in name for name in names)
    assert "no models of that name" in run("list", "models", "zzz").stdout


def test_list_has_every_entry(run):
    """JSON lists as many entries as the catalog holds."""
    for plural, kind in LISTED.items():
        assert len(json.loads(run("list", plural, "--format", "json").stdout)) == len(suanli.catalog().names(kind))


def test_plugins_says_what_failed_and_why(run, monkeypatch):
    """A plugin that does not load is named with its reason, and errors mention it."""
    from suanli.plugins import Plugins, Provider

    broken = Provider(plugin="acme", module="acme.plugin", distribution="acme-suanli", version="1.2", error="no chips")
    workspace = suanli.Workspace()
    known = workspace.catalog().plugins
    with_broken = Plugins(manager=known._manager, providers=(*known.providers, broken))
    workspace.catalog().plugins = with_broken
    monkeypatch.setattr("suanli.workspace._DEFAULT", [workspace])
    text = run("plugins").stdout
    assert "did not load: acme (acme-suanli 1.2, acme.plugin)\n  no chips" in text
    found = json.loads(run("plugins", "--format", "json").stdout)["plugins"]
    assert {p["plugin"]: p["loaded"] for p in found}["acme"] is False
    assert next(p for p in found if p["plugin"] == "nvidia")["gives"]["accelerator"] > 0
    assert "note: plugin acme (acme-suanli 1.2) did not load: no chips" in run("model", "acme-net").stderr


def test_schema_is_the_library_s(run):
    """`suanli schema` prints suanli.schema()."""
    assert json.loads(run("schema").stdout) == suanli.schema()


def test_rule_answers_as_the_library_does(run):
    """Values take units, and the answer is the library's."""
    args = (
        "training-time",
        "params=65B",
        "tokens=1.4T",
        "accelerators=2048",
        "peak-flops-per-s=312 TFLOP/s",
        "mfu=50%",
    )
    found = json.loads(run("rule", *args, "--format", "json").stdout)
    inputs = {"params": 65e9, "tokens": 1.4e12, "accelerators": 2048.0, "peak_flops_per_s": 312e12, "mfu": 0.5}
    assert found == suanli.rule("training-time", **inputs).to_dict()
    assert "training-time: 19.8 days" in run("rule", *args).stdout


def test_rule_tells_every_wrong_input(run):
    """Missing and unknown inputs are told together."""
    result = run("rule", "kv-cache", "batch=1", "sequense=3")
    assert result.exit_code == 2
    assert "did you mean 'sequence'?" in result.stderr
    assert "hidden: required" in result.stderr
