"""suanli calibrate: what is written, said and refused."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import subprocess
import sys
from xml.etree import ElementTree

import attrs
import pytest

import suanli
from suanli.bench.grids import default_shapes
from suanli.catalog_files import read_catalog
from suanli.cli.scatter import Series, draw, svg
from suanli.collectives import OPERATIONS, FabricEfficiency, Hierarchical
from suanli.measurement_schema import make_shape, predicted_s
from suanli.measurements import COLUMNS, Measurement, read_measurements, row_of

H100 = "h100-sxm5-80"
SLOWER = 1.25


def shapes():
    """Products and residuals, few enough for a quick fit."""
    draw = random.Random(1)
    sizes = [tuple(round(2 ** draw.uniform(8, 13)) for _ in "mnk") for _ in range(8)]
    found = [make_shape("gemm", "bf16", m=m, n=n, k=k) for m, n, k in sizes]
    found += [make_shape("elementwise", "bf16", operation="add", bytes=round(2 ** (12 + i / 2))) for i in range(40)]
    return [*found, make_shape("collective", "bf16", operation="all_reduce", bytes=1 << 24, ranks=8)]


def save(path, rows):
    """A file of these measurements."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(row_of(r) for r in rows)
    return path


@pytest.fixture
def measurements(tmp_path):
    """Times a quarter longer than predicted, with a little noise."""
    device, noise = suanli.accelerator(H100), random.Random(2)
    system = suanli.system(device.default_system)
    rows = [
        Measurement(
            shape=s,
            time_s=predicted_s(s, device, system) * SLOWER * noise.lognormvariate(0.0, 0.01),
            device="NVIDIA H100 80GB HBM3",
            date="2026-03-04T05:06:07Z",
        )
        for s in shapes()
    ]
    return save(tmp_path / "h100.csv", rows)


@pytest.fixture
def fitted(run, tmp_path, measurements):
    """Runs the command on the file, one process, into a folder of its own."""
    pytest.importorskip("scipy", reason="fitting needs scipy")
    folder = tmp_path / "mine"
    folder.mkdir()

    def calibrated(*more):
        out = str(folder / "c.toml")
        return run("calibrate", str(measurements), "--on", "h100", "--out", out, "--jobs", "1", *more)

    return calibrated


def test_it_says_what_it_fitted_and_how_wrong(fitted, tmp_path):
    """Classes with rows and held-out errors, what is scaled and what has too few rows, the source, and the file."""
    result = fitted("--source", "Acme lab, run 12")
    assert result.exit_code == 0, result.stderr
    text = " ".join(result.stdout.split())
    assert f"{H100}: 49 of 49 rows of h100.csv" in text
    assert "gemm bf16 8 scaled" in text
    assert "hopper's gemm bf16, 1.2" in text
    assert "elementwise fp32 40" in text
    assert "dgx-h100: exchanges over switch" in text
    assert "dgx-h100 switch unchanged: 1 rows are too few, a fit needs 10 in each half of them" in text
    assert "Acme lab, run 12" in text
    assert "SUANLI_PATH" in text
    assert "○" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    (model,) = read_catalog(tmp_path / "mine").kernel_models
    assert all(e.source.startswith("Acme lab, run 12") and e.date for e in model.efficiencies)


def test_the_file_is_found_by_suanli_path(fitted, run, tmp_path):
    """With the folder named in SUANLI_PATH, a product takes as long as was measured."""
    assert fitted().exit_code == 0
    from suanli.workspace import Workspace

    sizes = {"m": 2048, "n": 2048, "k": 2048}
    before = suanli.accelerator("h100").gemm_s(**sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUANLI_PATH", str(tmp_path / "mine"))
        after = Workspace().accelerator("h100").gemm_s(**sizes)
    assert after == pytest.approx(before * SLOWER, rel=0.03)


def test_json_and_csv_hold_the_same(fitted):
    """Programs read the errors and the figures; the source says the device and the day."""
    data = json.loads(fitted("--format", "json").stdout)
    assert [c["kernel"] for c in data["classes"]] == ["elementwise", "gemm"]
    assert data["source"] == "h100.csv; NVIDIA H100 80GB HBM3; 2026-03-04"
    assert data["left_out"] == {}
    (fabric,) = data["fabrics"]
    assert (fabric["how"], fabric["rows"], fabric["figures"]) == ("unchanged", 1, None)
    rows = list(csv.DictReader(io.StringIO(fitted("--format", "csv").stdout)))
    exchanges = [r for r in rows if r["kernel"] == "collective"]
    assert [(r["fabric"], r["operation"]) for r in exchanges] == [("switch", ""), ("switch", "all_reduce")]
    for row, one in zip((r for r in rows if r not in exchanges), data["classes"], strict=True):
        assert float(row["held_out_median_error"]) == pytest.approx(one["held_out"]["median_error"])
        assert one["held_out"]["median_error"] < 0.05 < 0.15 < one["before"]["median_error"]
        assert 0.0 < one["figures"]["bandwidth_ratio"] <= 1.0


def test_the_drawing_has_every_row_not_fitted(fitted, tmp_path):
    """One point for each row that was held out, in well-formed SVG."""
    picture = tmp_path / "fit.svg"
    assert fitted("--svg", str(picture)).exit_code == 0
    root = ElementTree.fromstring(picture.read_text(encoding="utf-8"))
    titles = [t.text for t in root.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == 48
    assert all("measured" in t and "predicted" in t for t in titles)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_scatter_puts_equal_times_on_the_diagonal(width):
    """Rows predicted exactly rise from the lower left to the upper right, and nothing is wider than asked."""
    text = draw([Series(label="x", pairs=tuple((t, t) for t in (1e-6, 1e-4, 1e-2)))], width)
    assert max(map(len, text.splitlines())) <= width
    places = [line.index("○") for line in text.splitlines() if "○" in line]
    assert len(places) == 3
    assert places == sorted(places, reverse=True)
    assert "<svg" in svg([Series(label="<&>", pairs=((1e-6, 1e-6),))], "a < b")


def test_impossible_rows_are_refused_by_line(run, tmp_path):
    """Microseconds for seconds, a time beyond the peak and a negative one: nothing is written."""
    shape = make_shape("gemm", "bf16", m=4096, n=4096, k=4096)  # 139 us at the peak
    out = tmp_path / "c.toml"
    path = save(tmp_path / "m.csv", [Measurement(shape=shape, time_s=t) for t in (200e-6, 200.0, 20e-6)])
    result = run("calibrate", str(path), "--on", "h100", "--out", str(out), "--jobs", "1")
    assert result.exit_code == 2
    assert "row 2" not in result.stderr
    assert "row 3" in result.stderr
    assert "is it in microseconds?" in result.stderr
    assert "row 4" in result.stderr
    assert "faster than h100-sxm5-80's bf16 peak" in result.stderr
    path = save(tmp_path / "m.csv", [Measurement(shape=shape, time_s=-1e-4)])
    result = run("calibrate", str(path), "--on", "h100", "--out", str(out), "--jobs", "1")
    assert result.exit_code == 2
    assert "row 2: time_s: must be above 0" in result.stderr
    assert not out.exists()


def test_another_hand_s_file_is_not_replaced(fitted, run, tmp_path, measurements):
    """A file of its own is written again; any other is left as it is."""
    assert fitted().exit_code == 0
    assert fitted().exit_code == 0
    other = tmp_path / "notes.toml"
    other.write_text("# mine\n", encoding="utf-8")
    result = run("calibrate", str(measurements), "--on", "h100", "--out", str(other))
    assert result.exit_code == 2
    assert "was not written by suanli calibrate" in result.stderr
    assert other.read_text(encoding="utf-8") == "# mine\n"


def test_what_is_missing_is_said(run, tmp_path, measurements):
    """No accelerator, an unknown one, no file: status 2 and what to do."""
    assert "--on" in run("calibrate", str(measurements)).stderr
    result = run("calibrate", str(measurements), "--on", "h1000")
    assert result.exit_code == 2
    assert "h100" in result.stderr
    result = run("calibrate", str(tmp_path / "none.csv"), "--on", "h100", "--out", str(tmp_path / "c.toml"))
    assert result.exit_code == 2
    assert "none.csv" in result.stderr
    result = run("calibrate", str(measurements), "--on", "h100", "--out", str(tmp_path / "no" / "c.toml"))
    assert result.exit_code == 2
    assert "--out: no folder" in result.stderr
    result = run("calibrate", str(measurements), "--on", "h100", "--out", str(tmp_path))
    assert result.exit_code == 2
    assert "--out: cannot read" in result.stderr


def test_too_few_exchanges_are_said(run, tmp_path):
    """A file of one exchange: what is predicted of it is told, and no file is written."""
    pytest.importorskip("scipy", reason="fitting needs scipy")
    shape = make_shape("collective", "bf16", operation="all_reduce", bytes=1 << 24, ranks=8)
    path = save(tmp_path / "m.csv", [Measurement(shape=shape, time_s=3e-4)])
    result = run("calibrate", str(path), "--on", "h100", "--out", str(tmp_path / "c.toml"), "--jobs", "1")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert "dgx-h100 switch unchanged: 1 rows are too few" in text
    assert "nothing written: every class has too few rows" in text
    assert not (tmp_path / "c.toml").exists()


SLOW_LINKS = {"bandwidth_ratio": 0.35, "ramp_s": 6e-5, "launch_s": 1.6e-5, "latency_s": 2e-6, "copy_bytes_per_s": 8e11}


@pytest.fixture
def exchanges(tmp_path):
    """Exchanges of a machine with slower links than those shipped: three sizes of each, in groups of 2, 4 and 8."""
    system, noise = suanli.system("dgx-a100"), random.Random(2)
    entry = FabricEfficiency(system="dgx-a100", fabric="switch", source="truth", **SLOW_LINKS)
    truth = attrs.evolve(system, exchanges=Hierarchical(name="truth", fabrics=(entry,)))
    shapes = default_shapes(("collective",), ("bf16",), (2, 4, 8), quick=True)
    rows = [
        Measurement(
            shape=s,
            time_s=predicted_s(s, suanli.accelerator("a100-80gb"), truth) * noise.lognormvariate(0.0, 0.01),
            device="NVIDIA A100-SXM4-80GB",
        )
        for s in shapes
    ]
    return save(tmp_path / "a100.csv", rows)


def test_exchanges_are_fitted_drawn_written_and_used(run, tmp_path, exchanges):
    """A quick bench of eight devices: errors told by exchange and algorithm, the file found, the estimate changed."""
    pytest.importorskip("scipy", reason="fitting needs scipy")
    folder, picture = tmp_path / "mine", tmp_path / "fit.svg"
    folder.mkdir()
    asked = ["calibrate", str(exchanges), "--on", "a100-80gb", "--out", str(folder / "c.toml"), "--jobs", "1"]
    result = run(*asked, "--svg", str(picture))
    assert result.exit_code == 0, result.stderr
    text = " ".join(result.stdout.split())
    assert "48 of 48 rows of a100.csv" in text
    assert "dgx-a100: exchanges over switch" in text
    for said in ("all_reduce ring 9", "all_gather 9", "reduce_scatter 9", "all_to_all 9", "broadcast 9", "p2p 3"):
        assert said in text
    assert "all 48 fitted" in text
    assert "dgx-a100 switch fitted: 5 figures" in text
    assert "taken to be of dgx-a100, the default system of a100-sxm4-80" in text
    assert max(map(len, result.stdout.splitlines())) <= 80
    titles = ElementTree.fromstring(picture.read_text(encoding="utf-8")).iter("{http://www.w3.org/2000/svg}title")
    assert len(list(titles)) == 48

    data = json.loads(run(*asked, "--format", "json").stdout)
    (fabric,) = data["fabrics"]
    assert (fabric["system"], fabric["fabric"], fabric["how"]) == ("dgx-a100", "switch", "fitted")
    assert fabric["held_out"]["median_error"] < 0.05 < 0.2 < fabric["before"]["median_error"]
    assert fabric["figures"]["bandwidth_ratio"] == pytest.approx(0.35, rel=0.05)
    assert {e["operation"] for e in fabric["exchanges"]} == set(OPERATIONS)
    rows = list(csv.DictReader(io.StringIO(run(*asked, "--format", "csv").stdout)))
    assert [float(r["held_out_median_error"]) for r in rows] == pytest.approx(
        [e["held_out"]["median_error"] for e in (fabric, *fabric["exchanges"])]
    )

    serve = ["serve", "llama-2-70b", "--on", "dgx-a100", "-n", "8", "--tensor", "8", "--batch", "1"]
    serve += ["--prompt", "4096", "--output", "16", "--format", "json"]
    before = json.loads(run(*serve).stdout)
    command = [sys.executable, "-m", "suanli.cli", *serve]  # a process of its own reads the variable
    there = subprocess.run(command, env={**os.environ, "SUANLI_PATH": str(folder)}, capture_output=True, check=True)
    assert json.loads(there.stdout)["serving"]["ttft_s"] > 1.05 * before["serving"]["ttft_s"]


def test_exchanges_apart_from_the_others_are_named(run, tmp_path, exchanges):
    """Gathers three times as slow as the links explain: the rest is fitted, and they are said not to be described."""
    pytest.importorskip("scipy", reason="fitting needs scipy")
    rows = read_measurements(exchanges)
    slow = [attrs.evolve(r, time_s=r.time_s * (3.0 if r.shape["operation"] == "all_gather" else 1.0)) for r in rows]
    path = save(tmp_path / "slow.csv", slow)
    result = run("calibrate", str(path), "--on", "a100-80gb", "--out", str(tmp_path / "c.toml"), "--jobs", "1")
    assert result.exit_code == 0, result.stderr
    text = " ".join(result.stdout.split())
    assert "dgx-a100 switch: one set of figures does not describe (median error): all_gather (6" in text
    assert "broadcast (" not in text


def test_the_system_of_exchanges_is_the_one_named(run, tmp_path, exchanges):
    """Another system of the same accelerator is fitted by its links; one of another accelerator is refused."""
    asked = ["calibrate", str(exchanges), "--on", "a100-80gb", "--out", str(tmp_path / "c.toml"), "--jobs", "1"]
    result = run(*asked, "--system", "dgx-h100")
    assert result.exit_code == 2
    assert "--system: dgx-h100 is a system of h100-sxm5-80, not of a100-sxm4-80" in result.stderr
    result = run(*asked, "--system", "dgx-a10")
    assert result.exit_code == 2
    assert "dgx-a100" in result.stderr
    result = run(*asked, "--system", "dgx-a100")
    assert result.exit_code == 0
    assert "taken to be" not in result.stdout


def test_impossible_exchanges_are_refused_by_line(run, tmp_path, exchanges):
    """Microseconds for seconds, faster than the links, an algorithm bandwidth: by number, and nothing is written."""
    lines = exchanges.read_text(encoding="utf-8").splitlines()
    columns = lines[0].split(",")

    def changed(line, **cells):
        found = dict(zip(columns, line.split(","), strict=True)) | cells
        return ",".join(found[c] for c in columns)

    large = next(i for i, line in enumerate(lines) if str(2**26) in line)
    lines[large] = changed(lines[large], time_s="0.00001")
    lines[1] = changed(lines[1], time_s="21.5")
    lines[2] = changed(lines[2], bytes="182.5")
    exchanges.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = run("calibrate", str(exchanges), "--on", "a100-80gb", "--out", str(tmp_path / "c.toml"), columns=400)
    assert result.exit_code == 2
    assert "row 2: " in result.stderr
    assert "is it in microseconds?" in result.stderr
    assert "row 3: bytes: must be a whole number, got '182.5'; is it a bandwidth?" in result.stderr
    assert f"row {large + 1}: " in result.stderr
    assert "faster than dgx-a100's links of 300 GB/s one way allow" in result.stderr
    assert result.stderr.count("row ") == 3
    assert not (tmp_path / "c.toml").exists()
