"""suanli calibrate: what is written, said and refused."""

from __future__ import annotations

import csv
import io
import json
import random
from xml.etree import ElementTree

import pytest

import suanli
from suanli.catalog_files import read_catalog
from suanli.cli.scatter import Series, draw, svg
from suanli.measurement_schema import make_shape, predicted_s
from suanli.measurements import COLUMNS, Measurement, row_of

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
    """Classes with rows and held-out errors, what is scaled and not fitted yet, the source, and the file."""
    result = fitted("--source", "Acme lab, run 12")
    assert result.exit_code == 0, result.stderr
    text = " ".join(result.stdout.split())
    assert f"{H100}: 48 of 49 rows of h100.csv" in text
    assert "gemm bf16 8 scaled" in text
    assert "hopper's gemm bf16, 1.2" in text
    assert "elementwise fp32 40" in text
    assert "1 rows not used: exchanges are not fitted yet" in text
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
    """Programs read the errors, the figures and what was left out; the source says the device and the day."""
    data = json.loads(fitted("--format", "json").stdout)
    assert [c["kernel"] for c in data["classes"]] == ["elementwise", "gemm"]
    assert data["source"] == "h100.csv; NVIDIA H100 80GB HBM3; 2026-03-04"
    assert sum(data["left_out"].values()) == 1
    rows = list(csv.DictReader(io.StringIO(fitted("--format", "csv").stdout)))
    for row, one in zip(rows, data["classes"], strict=True):
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


def test_only_exchanges_cannot_be_fitted(run, tmp_path):
    """A file of nothing a fit can use says so, and no file is written."""
    pytest.importorskip("scipy", reason="fitting needs scipy")
    shape = make_shape("collective", "bf16", operation="all_reduce", bytes=1 << 24, ranks=8)
    path = save(tmp_path / "m.csv", [Measurement(shape=shape, time_s=3e-4)])
    result = run("calibrate", str(path), "--on", "h100", "--out", str(tmp_path / "c.toml"), "--jobs", "1")
    assert result.exit_code == 2
    assert "exchanges are not fitted yet" in result.stderr
    assert not (tmp_path / "c.toml").exists()
