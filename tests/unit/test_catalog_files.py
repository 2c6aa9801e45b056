"""Catalog files: every fault at once, and a vendor without a package is served end to end."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest

import suanli
from suanli import CatalogError, Workspace, read_catalog

ACCELERATOR = """
[[accelerator]]
id = "acme-one"
aliases = ["acme1"]
vendor = "Acme"
product = "Acme One 96GB"
generation = "acme-1"
memory = "96 GB"
memory_bandwidth = "3.2 TB/s"
cores = 64
clock = "1.6 GHz"
l2_cache = "64 MB"
power = "600 W"
sparsity = "2:4"
default_system = "acme-pod"
confidential = false
peak = { fp32 = "30 TFLOP/s", bf16 = "500 TFLOP/s", fp8 = "1000 TFLOP/s", int8 = "1000 TOP/s", fp4 = "none" }
source = { peak = "Acme One datasheet v1.2, p. 3", memory = "the same, p. 4" }
"""
SYSTEM = """
[[system]]
id = "acme-pod"
accelerator = "acme-one"
accelerators_per_node = 8
power_per_node = "8 kW"
source = { all = "Acme Pod datasheet" }

[[system.tier]]
name = "AcmeLink"
span = 8
topology = "switch"
bandwidth = "200 GB/s"
latency = "3 us"

[[system.tier]]
name = "Ethernet"
bandwidth = "400 Gb/s"
"""
CALIBRATION = """
[[efficiency]]
generation = "acme-1"
kernel = "gemm"
precision = "bf16"
compute_ratio = 0.5
bandwidth_ratio = 0.25
launch_s = "100 us"
band = [0.9, 1.2]
source = "measured by Acme"

[[fabric_efficiency]]
generation = "acme-1"
fabric = "switch"
bandwidth_ratio = 0.5
launch_s = "1 ms"
source = "measured by Acme"
"""
MODEL = """
[[model]]
name = "acme-tiny"
aliases = ["tiny"]
source = "Acme"
config = { model_type = "llama", vocab_size = 128, hidden_size = 64, intermediate_size = 128, \
num_hidden_layers = 2, num_attention_heads = 4 }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as a vendor under NDA would keep it."""
    for name, text in (("a", ACCELERATOR), ("b", SYSTEM), ("c", CALIBRATION), ("d", MODEL)):
        (tmp_path / f"{name}.toml").write_text(text)
    (tmp_path / "readme.txt").write_text("not a catalog")
    return tmp_path


TRAIN = {
    "model": {"name": "tiny"},
    "system": {"accelerator": "acme1", "accelerators": 16},
    "workload": {"kind": "pretrain", "sequence": 64, "global_batch": 16, "tokens": "1M"},
}


def test_a_folder_serves_end_to_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that SUANLI_PATH names gives devices, systems, calibrations and models, in every answer."""
    monkeypatch.setenv("SUANLI_PATH", str(folder))
    workspace = Workspace()
    device = workspace.accelerator("acme1")
    assert device.capacity_bytes == 96_000_000_000
    assert device.rates == {"fp32": 3e13, "bf16": 5e14, "fp8": 1e15, "int8": 1e15, "fp4": 0.0}
    assert device.peak_flops_per_s("bf16", sparse=True) == 1e15
    assert workspace.system("acme-pod").tiers[1].bandwidth_bytes_per_s == 5e10
    report = workspace.estimate(TRAIN)
    assert report.fits
    assert report.scenario["system"] == {"name": "acme-pod", "accelerators": 16}
    assert report.run is not None
    assert report.run.energy_j == pytest.approx(16_000 * (report.run.duration_s or 0.0))
    assert workspace.search(TRAIN, top=3).plans
    serve = workspace.estimate(TRAIN | {"workload": {"kind": "serve", "prompt": 8, "output": 8}})
    assert (serve.serving.tpot_s if serve.serving else 0.0) > 0.0  # type: ignore[operator]
    assert str(workspace.catalog().entry("accelerator", "acme-one").provider) == str(folder)
    monkeypatch.delenv("SUANLI_PATH")
    assert "acme-one" not in suanli.catalog().names("accelerator")


def test_a_calibration_is_used(folder: Path) -> None:
    """A fitted kernel and a fitted network serve the device they name, to the digit; the rest is the datasheet's."""
    workspace = Workspace(paths=[folder])
    device = workspace.accelerator("acme-one")
    m = n = k = 4096
    flops, moved = 2.0 * m * n * k, 2.0 * 3 * m * n
    expected = 1e-4 + flops / (5e14 * 0.5) + moved / (3.2e12 * 0.25)
    assert device.gemm_s(m=m, n=n, k=k) == pytest.approx(expected, rel=1e-12)
    assert device.attention_s(phase="decode", batch=1, query=1, kv_tokens=8, heads=8, kv_heads=8, head_dim=64) > 0.0
    assert device.kernels is not None
    assert (device.kernels.name, device.kernels.rung) == ("roofline-acme-1", "calibrated")
    assert device.kernels.band("gemm", "bf16") == (0.9, 1.2)
    assert workspace.system("acme-pod").collective_s("all_reduce", bytes=1, ranks=2) >= 1e-3
    gemm = workspace.explain(TRAIN | {"layout": {"tensor": 1, "pipeline": 1, "micro_batch": 1, "zero": 0} | {
        "recompute": "none"}}, "time.forward_s").text()  # fmt: skip
    assert "acme-one.peak.bf16 = 5e+14 flops_per_s  [Acme One datasheet v1.2, p. 3]" in gemm
    assert "acme-1.gemm.bf16.compute_ratio = 0.5 ratio  [measured by Acme]" in gemm


def test_a_calibration_of_one_accelerator(folder: Path) -> None:
    """A calibration may name an accelerator in place of its generation, and goes before it."""
    own = CALIBRATION.replace('generation = "acme-1"', 'accelerator = "acme-one"', 1).replace("0.5", "0.75", 1)
    (folder / "e.toml").write_text(own.partition("[[fabric")[0])
    device = Workspace(paths=[folder]).accelerator("acme-one")
    assert device.kernels is not None
    assert device.kernels.name == "roofline-acme-one"


def test_several_folders(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders are separated as the system separates paths, and a name in two of them is an error naming both."""
    other = tmp_path_factory.mktemp("other")
    (other / "x.toml").write_text(ACCELERATOR.replace("acme-one", "acme-two").replace('"acme1"', '"acme2"'))
    monkeypatch.setenv("SUANLI_PATH", os.pathsep.join([str(folder), "", str(other)]))
    assert {"acme-one", "acme-two"} <= set(Workspace().catalog().names("accelerator"))
    third = tmp_path_factory.mktemp("third")
    (third / "y.toml").write_text(ACCELERATOR)
    monkeypatch.setenv("SUANLI_PATH", os.pathsep.join([str(folder), str(third)]))
    with pytest.raises(suanli.PluginError, match=r"'acme-one'") as caught:
        Workspace().accelerator("acme-one")
    assert str(folder) in str(caught.value)
    assert str(third) in str(caught.value)


def test_a_changed_file_is_read_again(folder: Path) -> None:
    """A new workspace sees what a folder holds now, not what it held before."""
    assert Workspace(paths=[folder]).accelerator("acme-one").power_w == 600.0
    (folder / "a.toml").write_text(ACCELERATOR.replace("600 W", "700 W"))
    assert Workspace(paths=[folder]).accelerator("acme-one").power_w == 700.0


def test_confidential_figures_are_not_shown(folder: Path) -> None:
    """An entry under NDA answers, and its figures are in no derivation and no report."""
    secret = ACCELERATOR.replace("confidential = false", "confidential = true").replace("500 TFLOP/s", "512.25 TFLOP/s")
    (folder / "a.toml").write_text(secret.replace("3.2 TB/s", "3.1875 TB/s"))
    workspace = Workspace(paths=[folder])
    report = workspace.estimate(TRAIN)
    derived = workspace.explain(report, "time.step_s")
    text = derived.text() + json.dumps(derived.to_dict())
    assert "acme-one.peak.bf16 = confidential" in derived.text()
    assert "acme-one.memory_bandwidth = confidential" in derived.text()
    assert report.memory.capacity_bytes is None
    assert "96000000000" not in json.dumps(report.to_dict())
    for figure in ("512.25", "5.1225e+14", "512250000000000", "3.1875", "3187500000000"):
        assert figure not in text, figure
        assert figure not in json.dumps(report.to_dict()), figure
    with pytest.raises(suanli.SuanliError, match="would give confidential figures away"):
        workspace.explain(report, "throughput.mfu_ratio")


TEN_ERRORS = """
[[acelerator]]
id = "x"

[[accelerator]]
id = "Bad Name"
vendor = 5
product = "P"
memory = "96 parsecs"
memory_bandwidth = "-3 TB/s"
cores = 1.5
confidence = "maybe"
memroy = 1
peak = { bf16 = "fast" }
source = { all = "" }

[[accelerator]]
id = "second"
vendor = "V"
memory = "1 GB"
memory_bandwidth = "1 GB/s"
peak = [1]
source = "datasheet"

[[system]]
id = "pod"
accelerator = "x"
accelerators_per_node = 0
source = { all = "s" }
[[system.tier]]
name = "t"
topology = "star"
bandwidth = "1 furlong"
"""


def test_ten_errors_are_ten_lines(tmp_path: Path) -> None:
    """Every fault of a file is told at once, with the file, the entry and the key as it is written."""
    file = tmp_path / "bad.toml"
    file.write_text(TEN_ERRORS)
    with pytest.raises(CatalogError) as caught:
        read_catalog(file)
    errors = caught.value.errors
    assert all(e.startswith("bad.toml: ") for e in errors)
    expected = [
        "unknown key 'acelerator'; did you mean 'accelerator'",
        "accelerator Bad Name: vendor: expected a string, got 5",
        "accelerator Bad Name: memory: ",
        "accelerator Bad Name: cores: expected an integer, got 1.5",
        "unknown key 'memroy'; did you mean 'memory'",
        "accelerator Bad Name: peak.bf16: ",
        "accelerator Bad Name: source.all: expected a text, got ",
        "accelerator second: product: required, and missing",
        "accelerator second: peak: expected a table of rates",
        "accelerator second: source: expected a table",
        "system pod: tier[0].bandwidth: ",
    ]
    for said in expected:
        assert any(said in e for e in errors), said


RANGES = ["id", "memory_bandwidth", "confidence", "accelerators_per_node", "topology"]


@pytest.mark.parametrize("key", RANGES)
def test_values_out_of_range_are_told_with_the_rest(tmp_path: Path, key: str) -> None:
    """A value of the right type but out of range is a fault like any other, told with the faults beside it."""
    file = tmp_path / "bad.toml"
    file.write_text(TEN_ERRORS)
    with pytest.raises(CatalogError) as caught:
        read_catalog(file)
    assert any(key in e for e in caught.value.errors), caught.value.errors


SINGLE = [
    (ACCELERATOR.replace('peak = {', 'peak = { bf16x = "none" }\n#'), "at least one rate"),
    (ACCELERATOR.replace('"96 GB"', '"0 GB"'), "memory"),
    (ACCELERATOR.replace('"96 GB"', "96.5"), "memory: expected a whole number"),
    (ACCELERATOR.replace('"acme-one"', '"Acme One"'), "id"),
    (ACCELERATOR.replace("[[accelerator]]", "[accelerator]"), "two brackets"),
    (ACCELERATOR.replace('source = {', '# source = {'), "source: required, and missing"),
    (ACCELERATOR.replace("confidential = false", 'confidential = "no"'), "confidential: expected true or false"),
    (SYSTEM.replace('"switch"', '"star"'), "topology"),
    (SYSTEM.replace('"200 GB/s"', '"200 GB"'), "bandwidth"),
    (CALIBRATION.replace("compute_ratio = 0.5", "compute_ratio = 1.5"), "compute_ratio"),
    (CALIBRATION.replace("bandwidth_ratio = 0.25", "bandwidth_ratio = 0"), "bandwidth_ratio"),
    (MODEL.replace('name = "acme-tiny"', ""), "name: required, and missing"),
    ("[[", "not valid TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), SINGLE, ids=range(len(SINGLE)))
def test_one_error_is_said(tmp_path: Path, text: str, said: str) -> None:
    """Each rule of the format is held, and told with the key as the file has it."""
    file = tmp_path / "one.toml"
    file.write_text(text)
    with pytest.raises(CatalogError, match=r"one\.toml") as caught:
        read_catalog(file)
    assert len(caught.value.errors) == 1
    assert said in str(caught.value)


def test_a_renamed_key_is_told_as_it_is_written(tmp_path: Path) -> None:
    """Faults speak of `memory`, the file's key, never of the attribute behind it."""
    file = tmp_path / "one.toml"
    file.write_text(ACCELERATOR.replace('"96 GB"', '"96 parsecs"').replace('"3.2 TB/s"', '"3.2 TB"'))
    with pytest.raises(CatalogError) as caught:
        read_catalog(file)
    assert [e.partition("acme-one: ")[2].partition(":")[0] for e in caught.value.errors] == [
        "memory",
        "memory_bandwidth",
    ]


def test_nothing_is_left_of_a_confidential_figure_that_holds_another(tmp_path: Path) -> None:
    """A fault hides the whole of "64 parsecs", also where 64 alone is a figure of the entry."""
    text = ACCELERATOR.replace("confidential = false", "confidential = true").replace('"96 GB"', '"64 parsecs"')
    (tmp_path / "one.toml").write_text(text)
    with pytest.raises(CatalogError) as caught:
        read_catalog(tmp_path)
    assert "memory: a confidential value has 'parsecs', which is not a unit" in str(caught.value)


@pytest.mark.parametrize("figure", ["64 777 MB", "64 GB 777", "64777.5.3 GB", f"64777{'1' * 80} GB"])
def test_no_part_of_a_confidential_figure_is_quoted(tmp_path: Path, figure: str) -> None:
    """What is taken for a unit, or cut because it is long, may be the rest of a number: it is not shown either."""
    text = ACCELERATOR.replace("confidential = false", "confidential = true").replace("96 GB", figure)
    (tmp_path / "one.toml").write_text(text)
    with pytest.raises(CatalogError, match="one.toml: accelerator acme-one: memory: a confidential value") as caught:
        read_catalog(tmp_path)
    assert "777" not in str(caught.value)


def test_files_inside_an_archive_are_read(tmp_path: Path) -> None:
    """A plugin that is run from a zip archive gives the catalog it would give unpacked, and its faults too."""
    (tmp_path / "one.toml").write_text(ACCELERATOR + SYSTEM, encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "acme.zip", "w") as archive:
        archive.writestr("good/one.toml", ACCELERATOR + SYSTEM)
        archive.writestr("bad/one.toml", "[[accelerator")
        archive.writestr("bad/two.toml", b"\xff\xfe")
    packed = zipfile.Path(tmp_path / "acme.zip")
    assert read_catalog(packed / "good/") == read_catalog(tmp_path / "one.toml")
    with pytest.raises(CatalogError) as caught:
        read_catalog(packed / "bad/")
    assert [e.partition(": ")[0] for e in caught.value.errors] == ["one.toml", "two.toml"]
    assert "not valid TOML" in caught.value.errors[0]
    assert "cannot be read" in caught.value.errors[1]


def test_a_place_may_be_a_text(folder: Path) -> None:
    """A folder, or a file, may be named by its path as text."""
    assert read_catalog(str(folder)) == read_catalog(folder)
    assert read_catalog(str(folder / "a.toml")) == read_catalog(folder / "a.toml")


def test_every_file_of_ours_is_read() -> None:
    """What ships parses, each entry with a source for its figures."""
    from importlib.resources import files

    for package in ("suanli_nvidia", "suanli_ascend"):
        root = files(package)
        found = [read_catalog(folder) for folder in (root, *(f for f in root.iterdir() if f.is_dir()))]
        accelerators = [a for part in found for a in part.accelerators]
        assert accelerators
        assert any(part.systems for part in found)
        assert all(a.source for a in accelerators)
