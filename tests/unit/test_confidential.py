"""What is confidential is shown nowhere: not by a command, a report, a derivation, an error, or one step from those."""

from __future__ import annotations

import contextlib
import csv
import inspect
import json
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import suanli
from suanli import CatalogError, SuanliError, Workspace
from suanli.catalogs import KINDS, LISTED
from suanli.cli.command import FORMATS
from suanli.cli.main import COMMANDS, cli
from suanli.errors import InvalidInputError
from suanli.measurement_schema import make_shape
from suanli.measurements import COLUMNS, Measurement, row_of

sys.path.insert(0, str(Path(__file__).parent))
from leaks import SECRETS, catalog_file, numbers, one_step_away, shown

MODEL: dict[str, Any] = {"model": {"name": "llama-7b"}}
BOX: dict[str, Any] = MODEL | {"system": {"name": "hush-box", "accelerators": 16}}
TRAIN = BOX | {
    "workload": {"kind": "pretrain", "tokens": "1T", "global_batch": 64},
    "layout": {"tensor": 2, "pipeline": 2, "micro_batch": 1, "zero": 1, "recompute": "none"},
}
SERVE = BOX | {"workload": {"kind": "serve", "batch": 8}, "layout": {"tensor": 2}}
FULL = BOX | {"workload": {"kind": "serve", "concurrency": 100_000}, "layout": {"tensor": 2}}
SCENARIOS: dict[str, dict[str, Any]] = {
    "train": TRAIN,
    "open": BOX | {"workload": TRAIN["workload"]},
    "electricity": TRAIN | {"assumptions": {"electricity_price": 0.1}},
    "both": TRAIN | {"assumptions": {"electricity_price": 0.1, "price_per_hour": 2.0}},
    "reserve": TRAIN | {"assumptions": {"reserve": "2 GB"}},
    "too big": {
        "model": {"name": "gpt3-175b"},
        "system": {"accelerator": "hush-one", "accelerators": 8},
        "workload": {"kind": "finetune", "tokens": "1G", "global_batch": 64},
    },
    "serve": SERVE,
    "full": FULL | {"assumptions": {"price_per_hour": 2.0}},
    "fp8": FULL | {"precision": {"recipe": "fp8"}, "assumptions": {"electricity_price": 0.2}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of catalog files under NDA."""
    made = tmp_path_factory.mktemp("nda")
    (made / "hush.toml").write_text(catalog_file(), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def workspace(folder: Path) -> Workspace:
    """A workspace that reads it."""
    return Workspace(paths=[folder])


@pytest.fixture
def run(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs a command where the folder is on the path; everything it says."""
    monkeypatch.setattr("suanli.workspace._DEFAULT", [workspace])

    def invoke(*args: str, columns: int = 140) -> str:
        result = CliRunner().invoke(cli, args, env={"COLUMNS": str(columns)})
        assert result.exit_code in (0, 1, 2), result.output
        return result.output

    return invoke


def leaks(said: Any) -> list[str]:
    """Every figure that a text or plain data shows, or is one step from."""
    if isinstance(said, str):
        return list(shown(said))
    return [*shown(json.dumps(said)), *one_step_away(numbers(said))]


def test_the_search_finds_what_is_there() -> None:
    """Each figure is found raw, scaled, rounded, for people, and as what a sum, product or quotient gives."""
    for name, (value, dimension) in SECRETS.items():
        written = [f"{value}", f"{value:.6g}", f"{value / 1e3!r}", suanli.units.format(value, dimension)]
        written += [f"{value * 0.06!r}", f"{value / 2**30!r}"] if dimension == "bytes" else []
        for text in written if name != "cores" else written[:1]:
            assert any(name in found for found in shown(f'"a figure": {text}, of some kind')), (name, text)
        for pair in ((value * 7.7, 7.7), (value / 7.7, 7.7), (value + 7.7, 7.7), (value * 0.06 - 7.7, 7.7)):
            assert any(found.startswith(name) for found in one_step_away(pair)), (name, pair)
    assert not list(shown("llama-7b on 16 accelerators at 0.731 and 98765, 2026-10-01, 5.4 TB, v1.2.3"))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_report_shows_none(workspace: Workspace, name: str) -> None:
    """Neither the report, its representation or pickle, nor what an exporter makes of it shows a figure."""
    report = workspace.estimate(SCENARIOS[name])
    assert leaks(report.to_dict()) == []
    assert leaks(repr(report)) == []
    again = pickle.loads(pickle.dumps(report))
    assert again == report
    assert leaks(repr(again.__reduce_ex__(2))) == []
    for entry in workspace.catalog().entries("exporter"):
        if report.kind in entry.value.kinds:
            assert leaks(str(workspace.export(report, entry.name))) == []
    codes = {p.figure for p in report.problems if p.code == "confidential"}
    assert "memory.capacity_bytes" in codes
    assert all(report.figure(key) is None for key in codes if key and not key.startswith("memory"))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_derivation_shows_none(workspace: Workspace, name: str) -> None:
    """No figure of a report is explained by what is confidential, nor by numbers one step from it."""
    report = workspace.estimate(SCENARIOS[name])
    explained = 0
    for key in {*report.basis, "memory.total_bytes", "memory.capacity_bytes", "memory.per_accelerator.total_bytes"}:
        try:
            found = workspace.explain(report, key)
        except SuanliError as exc:
            assert leaks(str(exc)) == []
            continue
        explained += 1
        assert leaks(found.text()) == []
        assert leaks(repr(found)) == []
        assert leaks(found.to_dict()) == []
        # The answer and the report's other numbers together give none away either.
        assert not list(one_step_away([*numbers(found.to_dict()), *numbers(report.to_dict()["memory"])]))
    assert explained > 8


def test_a_hidden_figure_says_why(workspace: Workspace) -> None:
    """What a confidential machine's report leaves out is null with a reason, and answers and sources stay."""
    report = workspace.estimate(SCENARIOS["electricity"])
    hidden = ("throughput.mfu_ratio", "throughput.peak_flops_per_s", "run.energy_j", "run.cost")
    for key in hidden:
        assert report.figure(key) is None
        (why,) = [p for p in report.problems if p.figure == key]
        assert (why.code, why.message) == (
            "confidential",
            f"{key} is not shown: the figures of hush-one are confidential",
        )
        with pytest.raises(SuanliError, match="would give confidential figures away"):
            workspace.explain(report, key)
    assert report.memory.per_accelerator.reserve_bytes is None
    assert report.scenario["assumptions"]["reserve"] is None
    assert (report.time.step_s or 0.0) > 0.0
    assert "Hush One preliminary datasheet" in workspace.explain(report, "time.step_s").citations()
    given = workspace.estimate(SCENARIOS["reserve"]).memory.per_accelerator.reserve_bytes
    assert given == 2e9  # the reader's own


def test_a_system_alone_may_be_confidential(tmp_path: Path) -> None:
    """Of a confidential system of a public accelerator the energy is left out, and the accelerator's share told."""
    text = catalog_file().replace("confidential = true", "confidential = false", 1)
    (tmp_path / "hush.toml").write_text(text, encoding="utf-8")
    report = Workspace(paths=[tmp_path]).estimate(TRAIN)
    assert report.throughput.mfu_ratio is not None
    assert report.memory.per_accelerator.reserve_bytes == int(0.06 * SECRETS["memory"][0])
    assert report.run is not None
    assert report.run.energy_j is None
    assert "run.energy_j is not shown: the figures of hush-box are confidential" in [p.message for p in report.problems]
    assert not [found for found in leaks(report.to_dict()) if found.startswith(("tier", "power_per_node", "host"))]


def test_confidential_or_not_the_answer_is_the_same(workspace: Workspace, tmp_path: Path) -> None:
    """To keep figures back changes none of the answers."""
    text = catalog_file().replace("confidential = true", "confidential = false")
    (tmp_path / "open.toml").write_text(text, encoding="utf-8")
    for asked in (TRAIN, FULL, SCENARIOS["open"]):
        hidden, told = workspace.estimate(asked), Workspace(paths=[tmp_path]).estimate(asked)
        assert (hidden.layout, hidden.time, hidden.fits) == (told.layout, told.time, told.fits)
        reserve = ("memory.total_bytes", "memory.stages")  # counted there where it is told
        kept = [k for k in told.basis if hidden.figure(k) is not None and k not in reserve]
        assert len(kept) > 15
        assert [hidden.figure(k) for k in kept] == [told.figure(k) for k in kept]


@pytest.mark.parametrize("asked", [TRAIN, FULL], ids=["train", "serve"])
def test_a_search_shows_none(workspace: Workspace, asked: dict[str, Any]) -> None:
    """The plans of a search say of memory what their reports do, and give nothing away between them."""
    found = workspace.search({k: v for k, v in asked.items() if k != "layout"}, top=5)
    assert found.plans
    for plan in found.plans:
        assert plan.total_bytes == pytest.approx(plan.report.memory.per_accelerator.total_bytes, rel=1e-12)
        assert leaks(repr(plan)) == []
        parts = list(numbers(plan.report.to_dict()["memory"]))
        assert not list(one_step_away([plan.total_bytes, plan.score, *parts]))


def test_the_catalog_shows_none(workspace: Workspace) -> None:
    """Entries and values stand in a representation by name, without their figures."""
    catalog = workspace.catalog()
    values = [catalog.entry("accelerator", "hush-one"), catalog.entry("system", "hush-box")]
    values += [workspace.accelerator("hush-one"), workspace.system("hush-box", 16)]
    values += [workspace.accelerator("hush-one").loaded_kernels]
    for value in values:
        assert leaks(repr(value)) == []
    for kind in KINDS:
        assert leaks("".join(f"{e!r} {e.source}" for e in catalog.entries(kind) if "hush" in e.name)) == []
    assert "hush-one" in repr(values[2])


def measured(folder: Path) -> Path:
    """A file of measurements: kernels and an exchange, possible and faster than any hardware."""
    shapes = (make_shape("gemm", "bf16", m=4096, n=4096, k=4096), make_shape("gemm", "bf16", m=1, n=8192, k=8192))
    shapes += (make_shape("collective", "bf16", operation="all_reduce", bytes=1 << 28, ranks=8),)
    rows = [row_of(Measurement(shape=s, time_s=t, repeats=7)) for s in shapes for t in (1e-2, 1e-9)]
    with (folder / "measured.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return folder / "measured.csv"


def lines_of(scenario: Path, serving: Path) -> Iterator[tuple[str, ...]]:
    """A command line of every command, of each kind of answer it gives."""
    rows = str(measured(scenario.parent))
    yield ("bench", "--from", rows, "--compare", "hush-one")
    yield ("calibrate", rows, "--on", "hush-one", "--out", str(scenario.parent / "calibration.toml"))
    yield ("roofline", "hush-one", "--points", rows)
    yield ("roofline", "hush-one", "--model", "llama-7b")
    on = ("--on", "hush-box")
    yield ("train", "llama-7b", *on, "--tokens", "1T", "--tensor", "2", "--electricity-price", "0.1")
    yield ("train", "gpt3-175b", *on)
    yield ("serve", "llama-7b", *on, "--concurrency", "64")
    for file in (scenario, serving):
        yield ("run", str(file))
        yield ("explain", str(file))
        yield ("compare", str(file), str(file))
    yield ("search", str(scenario), "--set", "layout.tensor=", "--set", "layout.zero=")
    yield ("search", "gpt3-175b", *on, "-n", "8")
    yield ("fit", "llama-7b", "--on", "hush-one")
    yield ("fit", "gpt3-175b", *on)
    yield ("fit", "llama-7b", *on, "--kind", "train")
    yield ("plan", "--compute", "100P", *on)
    yield ("plan", "--compute", "100P", *on, "--sparse", "--precision", "fp8")
    yield ("plan", "train", "llama-7b", "--tokens", "1T", "--days", "30", *on)
    yield ("plan", "serve", "llama-7b", "--rate", "10", *on)
    yield ("compare", "hush-one", "h100", "--sources")
    yield ("list", "accelerators", "hush")
    yield ("list", "systems", "hush")
    yield ("list", "accelerators", "--sort", "-memory", "--where", "vendor=hush")
    yield from (("list", kind) for kind in LISTED)
    yield ("list", "accelerators", "--where", "memory=96385274111")
    yield ("model", "llama-7b")
    yield ("plugins",)
    yield ("rule", "kv-cache", "model=llama-7b", "accelerator=hush-one", "sequence=2048")
    yield ("schema",)
    yield ("completion", "bash")
    yield ("new-plugin", "hush one")
    yield ("train", "llama-7b", "--on", "hush-on")
    yield ("train", "llama-7b", *on, "-n", "3", "--tensor", "7")
    yield ("plan", "--compute", "1P", *on, "--precision", "int8")
    yield ("plan", "--compute", "1P", *on, "--precision", "fp64")


def test_no_command_shows_any(run: Callable[..., str], tmp_path: Path) -> None:
    """Every command, asked about confidential hardware in every format, shows no figure of it."""
    scenario, serving = tmp_path / "train.json", tmp_path / "serve.json"
    scenario.write_text(json.dumps(TRAIN), encoding="utf-8")
    serving.write_text(json.dumps(FULL), encoding="utf-8")
    asked = set()
    found = {}
    for line in lines_of(scenario, serving):
        asked.add(line[0])
        for form in FORMATS:
            text = run(*line, "--format", form)
            if "96385274111" in line[-1]:  # what was asked for is in the error, or nothing is found
                assert "hush-one" not in text
                continue
            if leaked := leaks(text):
                found[line, form] = leaked
            if (
                form == "json"
                and line[0] not in ("list", "schema")  # so many numbers of others that some come near
                and text.startswith(("{", "["))
                and (leaked := list(one_step_away(numbers(json.loads(text)))))
            ):
                found[line, "one step away"] = leaked
    assert found == {}
    assert asked == set(COMMANDS) - {"verify"}  # which knows no hardware


def test_no_figure_of_a_report_is_explained_on_the_command_line(run: Callable[..., str], tmp_path: Path) -> None:
    """`suanli explain` of each figure there is, and of those left out, shows none at any depth."""
    scenario = tmp_path / "train.json"
    scenario.write_text(json.dumps(TRAIN), encoding="utf-8")
    keys = [row.partition(",")[0] for row in run("explain", str(scenario), "--format", "csv").splitlines()[1:]]
    assert len(keys) > 15
    for key in (*keys, "throughput.mfu_ratio", "run.energy_j", "memory.total_bytes"):
        for form in ("table", "json"):
            assert leaks(run("explain", str(scenario), key, "--depth", "9", "--format", form)) == [], (key, form)


@pytest.mark.parametrize("value", [1.0, 2.0, 64.0])
def test_no_rule_shows_any(workspace: Workspace, value: float) -> None:
    """Every rule of thumb, asked about confidential hardware with all it needs, shows and answers with no figure."""
    answered, found = 0, {}
    subjects: tuple[dict[str, Any], ...] = (
        {"accelerator": "hush-one"},
        {"accelerator": "hush-one", "sparse": True, "precision": "fp8"},
        {"system": "hush-box", "model": "llama-7b"},
        {"accelerators": ["hush-one", "h100"]},
        {"vendor": "Hush"},
    )
    for name in workspace.catalog().names("rule"):
        rule = workspace.catalog().get("rule", name)
        needed = {
            k: value
            for k, p in rule.parameters.items()
            if p.default is inspect.Parameter.empty and k not in rule.readable
        }
        for about in subjects:
            if not about.keys() <= {*rule.parameters, "accelerator", "system", "model", "precision", "sparse"}:
                continue
            for inputs in (about, about | needed):
                try:
                    said = json.dumps(workspace.rule(name, **inputs).to_dict(), default=str)
                except SuanliError as exc:
                    said = str(exc)
                else:
                    answered += 1
                if leaked := leaks(said):
                    found[name, str(inputs)] = leaked
    assert found == {}
    assert answered > 60


BAD = (
    ("memory_bandwidth = 5432198761234", "memory_bandwidth = '5432198.761234 GBB/s'"),
    ("memory = 96385274111", "memory = -96385274111"),
    ("power = 791.3157", "power = [791.3157]"),
    ("clock = 1765432198", "clock = '1765.432198 GHzz'"),
    ("sustained_ratio = 0.7315937", "sustained_ratio = 73.15937"),
    ("cores = 13579", "cores = 13579.5"),
    ("fp32 = 71234987651234", "fp32 = '71.234987651234 TFLOP/ss'"),
    ("bf16 = 876543219876543", "bf16 = -876543219876543"),
    ("latency = 3.171393e-06", "latency = '3.171393 uss'"),
    ("power_per_node = 9371.3577", "power_per_node = '9371.3577 WW'\npower_per_nod = 9371.3577"),
)


@pytest.mark.parametrize("fault", [*range(len(BAD)), None])
def test_no_fault_of_a_catalog_file_shows_any(tmp_path: Path, fault: int | None) -> None:
    """A file with figures that make no sense is refused by file, entry and key, without the figures."""
    text = catalog_file()
    for old, new in BAD if fault is None else [BAD[fault]]:
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / "hush.toml").write_text(text, encoding="utf-8")
    with pytest.raises(CatalogError) as caught:
        Workspace(paths=[tmp_path]).accelerator("hush-one")
    assert leaks(str(caught.value)) == []
    assert leaks(repr(caught.value)) == []
    assert len(caught.value.errors) == (len(BAD) + 1 if fault is None else 2 if fault == 9 else 1)
    assert all(e.startswith("hush.toml: ") and "hush-" in e for e in caught.value.errors)


ASKED: tuple[Callable[[Workspace], object], ...] = (
    lambda w: w.accelerator("hush-one").gemm_s(m=-1, n=8, k=8),
    lambda w: w.accelerator("hush-one").gemm_s(m=8, n=8, k=8, precision="fp64"),
    lambda w: w.accelerator("hush-one").gemm_s(m=8, n=8, k=8, precision="int8"),
    lambda w: w.system("hush-box", 0),
    lambda w: w.system("hush-box").collective_s("all_reduc", bytes=1, ranks=8),
    lambda w: w.estimate(BOX | {"precision": {"recipe": "int8"}, "workload": {"kind": "serve"}}),
    lambda w: w.estimate(TRAIN | {"layout": {"tensor": 7}}),
    lambda w: w.explain(TRAIN, "hardware.peak"),
    lambda w: w.plan_compute("1P", "hush-one", precision="fp64").options[0].reason,
    lambda w: w.rule("spec-table", accelerators=["hush-one"]),
    lambda w: w.catalog().entry("accelerator", "hush-tow"),
)


@pytest.mark.parametrize("asked", range(len(ASKED)))
def test_no_error_shows_any(workspace: Workspace, asked: int) -> None:
    """An error that names confidential hardware tells none of its figures."""
    said = ""
    with contextlib.suppress(SuanliError):
        said = str(ASKED[asked](workspace))
        assert leaks(said) == []
        return
    try:
        ASKED[asked](workspace)
    except SuanliError as exc:
        assert leaks(str(exc)) == []
        assert leaks(repr(exc)) == []
        assert leaks(" ".join(exc.errors) if isinstance(exc, InvalidInputError) else "") == []


def test_a_trace_of_one_s_own_shows_none(workspace: Workspace) -> None:
    """Of a kernel or an exchange traced by hand, the formulas and the answer are shown, and nothing between."""
    from suanli.formulas import derivation, trace

    with trace():
        times = [workspace.accelerator("hush-one").gemm_s(m=4096, n=4096, k=4096)]
        times.append(workspace.system("hush-box", 16).collective_s("all_reduce", bytes=2**30, ranks=16))
        found = [derivation(t) for t in times]
    for derived in found:
        assert derived.value
        assert leaks(derived.to_dict()) == []
        assert leaks(derived.text()) == []


def test_the_conformance_kit_shows_none(tmp_path: Path) -> None:
    """What the kit finds wrong with confidential figures is told without them."""
    from suanli.testing import check_plugin

    text = catalog_file().replace("memory_bandwidth = 5432198761234", "memory_bandwidth = 5432.198761234")
    text = text.replace("power = 791.3157", "power = 791315.7").replace(
        "bandwidth = 431975318642", "bandwidth = 431.975"
    )
    (tmp_path / "hush.toml").write_text(text, encoding="utf-8")
    records = check_plugin(str(tmp_path))
    assert {r.outcome for r in records} == {"passed", "failed"}
    assert leaks(repr(records)) == []
    assert not any("5432" in r.message or "791315" in r.message for r in records)
