"""suanli roofline: what is drawn, and that the drawing is right."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from xml.etree import ElementTree

import attrs
import pytest

import suanli
from suanli.cli.roofline_text import Canvas, draw, frame_of
from suanli.measurement_schema import Measurement, make_shape, predicted_s
from suanli.roofline import Pass, attainable_flops_per_s, operator_points, roofline
from suanli.workspace import default

FORMATS = ("table", "json", "csv", "markdown")
SVG = "{http://www.w3.org/2000/svg}"


def h100():
    """An accelerator of several roofs."""
    return suanli.accelerator("h100")


def test_ridges_by_hand():
    """H100 SXM: 989.4 TFLOP/s over 3.35 TB/s is 295 FLOPs for a byte; formats of one peak share a roof."""
    roofs = {r.label: r for r in roofline(h100()).roofs}
    assert roofs["bf16, fp16"].ridge_flops_per_byte == pytest.approx(295.3, rel=1e-3)
    assert roofs["fp8, int8"].ridge_flops_per_byte == pytest.approx(590.7, rel=1e-3)
    assert not any("fp4" in label for label in roofs)  # the hardware has no such path


def test_what_memory_feeds_is_the_roof_below_the_ridge():
    """At a tenth of the ridge a tenth of the peak; past it the peak."""
    peak, bandwidth = 1e15, 2e12
    rates = [
        attainable_flops_per_s(flops_per_byte=x, peak_flops_per_s=peak, bandwidth_bytes_per_s=bandwidth)
        for x in (50.0, 500.0, 5000.0)
    ]
    assert rates == [1e14, 1e15, 1e15]


@pytest.mark.parametrize("name", [e.name for e in suanli.catalog().entries("accelerator")])
def test_every_accelerator_has_a_picture(name):
    """Each line keeps to the width, and every roof is named on the row it is drawn in, or below it."""
    drawn = roofline(suanli.accelerator(name))
    lines = draw(drawn, 90).splitlines()
    assert max(map(len, lines)) <= 90
    for roof in drawn.roofs:
        assert sum(roof.label[:20] in line for line in lines) >= 1, roof.label
    frame = frame_of(drawn)
    for roof in drawn.roofs:
        assert 0.0 < frame.across(roof.ridge_flops_per_byte) < 1.0
        assert 0.0 < frame.up(roof.peak_flops_per_s) < 1.0


def test_points_stand_where_their_numbers_say():
    """A measured product of 1365 FLOPs for a byte at half the peak is a ring on that column and row."""
    shape = make_shape("gemm", "bf16", m=4096, n=4096, k=4096)
    drawn = roofline(h100(), [Measurement(shape=shape, time_s=2 * 2 * 4096**3 / 989.4e12)])
    (point,) = drawn.points
    assert point.flops_per_byte == pytest.approx(4096 / 3)
    assert point.roof_ratio == pytest.approx(0.5)
    frame = frame_of(drawn)
    rings = [(y, line.index("○")) for y, line in enumerate(draw(drawn, 100).splitlines()) if "○" in line]
    ((row, column),) = rings
    edge = draw(drawn, 100).splitlines()[row].index("│" if "│" in draw(drawn, 100).splitlines()[row] else "┤")
    columns = draw(drawn, 100).splitlines()[22].count("─") + draw(drawn, 100).splitlines()[22].count("┴")
    assert (column - edge - 1) / columns == pytest.approx(frame.across(point.flops_per_byte), abs=0.03)
    assert 1.0 - (row + 0.5) / 22 == pytest.approx(frame.up(point.flops_per_s), abs=0.05)


def test_marks_in_one_place():
    """Two rings in a place fill it, a letter stands over rings and under no other letter."""
    canvas = Canvas(4, 1)
    for character in ("○", "○"):
        canvas.mark(0.0, 0.5, character)
    for character in ("a", "b", "○"):
        canvas.mark(1.0, 0.5, character)
    assert canvas.lines() == ["●  a"]
    canvas.mark(0.0, 0.5, "c")
    canvas.dot(2.0, 0.5)  # outside
    assert canvas.lines() == ["c  a"]


def test_a_model_s_operators_lie_at_their_predicted_times():
    """Each product's rate is its FLOPs over what the accelerator predicts for it; passes have no place."""
    device = h100()
    found = list(operator_points(default().catalog(), device, suanli.model("llama-3-70b"), Pass(tensor=8)))
    points = {p.label: p for p in found if p is not None}
    assert None in found
    down = points["decoder mlp_down x 80"]
    time_s = device.gemm_s(m=2048, n=8192, k=3584)
    assert down.time_s == pytest.approx(time_s)
    assert down.flops_per_s == pytest.approx(2 * 2048 * 8192 * 3584 / time_s)
    assert all(p.roof_ratio <= 1.0 for p in points.values())


def test_decode_waits_for_memory():
    """One new token a sequence: every operator lies left of the ridge, prefill's products right of it."""
    device, catalog, model = h100(), default().catalog(), suanli.model("llama-3-8b")
    ridge = roofline(device).roofs[-2].ridge_flops_per_byte
    decode = [p for p in operator_points(catalog, device, model, Pass(phase="decode", batch=8)) if p is not None]
    prefill = [p for p in operator_points(catalog, device, model, Pass(sequence=8192)) if p is not None]
    assert max(p.flops_per_byte for p in decode) < ridge < min(p.flops_per_byte for p in prefill)


@pytest.fixture
def points(tmp_path):
    """A file of two products and a copy, one of the products impossible."""
    lines = ["kernel,precision,m,n,k,operation,bytes,time_s"]
    time_s = predicted_s(make_shape("gemm", "bf16", m=4096, n=4096, k=4096), h100())
    lines += [f"gemm,bf16,4096,4096,4096,,,{time_s!r}", f"gemm,bf16,4096,4096,4096,,,{time_s / 1000!r}"]
    lines += ["elementwise,bf16,,,,copy,1000000,1e-5"]
    path = tmp_path / "m.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_has_roofs_and_points(run, points, format):
    """Peaks, ridges, measured and predicted points, and what is not drawn."""
    args = ("roofline", "h100", "--points", points, "--model", "gpt2", "--format", format)
    result = run(*args, columns=100)
    assert (result.exit_code, result.stderr) == (0, "")
    if format == "json":
        found = json.loads(result.stdout)
        assert len(found["roofs"]) == 5
        assert sum(p["measured"] for p in found["points"]) == 2
        assert len(found["impossible"]) == 1
        assert found["left_out"] > 1
    elif format == "csv":
        rows = list(csv.DictReader(io.StringIO(result.stdout)))
        assert {r["kind"] for r in rows} == {"roof", "measured", "predicted"}
        assert all(float(r["flops_per_s"]) > 0 for r in rows)
    else:
        assert "bf16, fp16" in result.stdout
        assert "not drawn: they multiply nothing" in result.stdout
        assert "faster than" in " ".join(result.stdout.split())
    if format == "table":
        assert max(map(len, result.stdout.splitlines())) <= 100


def test_the_svg_is_a_picture_of_the_same(run, points, tmp_path):
    """Well-formed, every roof's ridge and every point inside the frame at its place, with a title each."""
    path = tmp_path / "r.svg"
    run("roofline", "h100", "--points", points, "--model", "gpt2", "--svg", str(path))
    tree = ElementTree.parse(path).getroot()
    rings = [c for c in tree.iter(f"{SVG}circle") if c.get("fill-opacity")]
    ridges = [c for c in tree.iter(f"{SVG}circle") if not c.get("fill-opacity")]
    assert (len(rings), len(ridges)) == (2, 5)
    assert all(c.find(f"{SVG}title") is not None for c in [*rings, *ridges])
    heights = [float(c.get("cy", "nan")) for c in ridges]
    assert heights == sorted(heights)  # the highest roof first
    x, y = ([float(c.get(k, "nan")) for c in ridges] for k in ("cx", "cy"))
    slopes = [(y[i + 1] - y[i]) / (x[i + 1] - x[i]) for i in range(4)]
    assert all(math.isclose(s, slopes[0], rel_tol=0.05) for s in slopes)  # they lie on one line, the memory's
    texts = [t.text or "" for t in tree.iter(f"{SVG}text")]
    assert "Roofline of h100-sxm5-80, gpt2" in texts
    assert "bf16, fp16 989 TFLOP/s" in texts
    assert any(t.startswith("memory 3.35 TB/s") for t in texts)


def test_text_in_the_svg_is_escaped(run, tmp_path):
    """A model given by a path with marks of XML in it does not break the file."""
    config = tmp_path / "a<b&c" / "config.json"
    config.parent.mkdir()
    config.write_text(
        '{"model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008,'
        ' "num_hidden_layers": 2, "num_attention_heads": 32}',
        encoding="utf-8",
    )
    path = tmp_path / "r.svg"
    assert run("roofline", "a100", "--model", str(config), "--svg", str(path)).exit_code == 0
    assert any("a<b&c" in (t.text or "") for t in ElementTree.parse(path).getroot().iter(f"{SVG}text"))


def test_a_confidential_accelerator_is_not_drawn():
    """Its peaks are what the picture would show."""
    secret = attrs.evolve(h100(), id="secret-one", confidential=True)
    with pytest.raises(suanli.SuanliError, match="secret-one is confidential") as caught:
        roofline(secret)
    assert not re.search(r"989|3\.35", str(caught.value))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("h10",), "no accelerator named 'h10'. Did you mean"),
        (("h100", "--tensor", "2", "--batch", "4"), "--batch, --tensor: of a model's pass; name the model by --model"),
        (("h100", "--model", "llama-3-70b", "--tensor", "3"), "3 does not divide 64 heads"),
        (("h100", "--model", "gpt2", "--precision", "bf61"), "no precision named 'bf61'. Did you mean 'bf16'"),
        (("h100", "--points", "none.csv"), "cannot read none.csv"),
        (("h100", "--svg", "no/such/folder/r.svg"), "--svg: cannot write no/such/folder/r.svg"),
        (("h100", "--phase", "train"), "'train' is not one of"),
    ],
)
def test_what_makes_no_sense_is_told(run, args, said):
    """One block, status 2."""
    result = run("roofline", *args)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
