"""suanli bench, on a made-up device, and on the processor where torch is installed."""

from __future__ import annotations

import csv
import importlib.util
import io
import itertools
import json

import attrs
import pytest

import suanli
import suanli.cli.bench as module
from suanli.bench.device import About, CannotMeasureError
from suanli.bench.sensors import Reading
from suanli.errors import SuanliError
from suanli.measurement_schema import COLUMNS, Measurement, make_shape, predicted_s
from suanli.measurements import read_measurements, row_of

HAS_TORCH = importlib.util.find_spec("torch") is not None
FORMATS = ("table", "json", "csv", "markdown")
QUICK = ("bench", "--quick", "--kinds", "gemm,attention,elementwise", "--dtype", "bf16")


class Work:
    implementation, timing, rotated_bytes, least_launches = "fake", "events", 0, 1

    def __init__(self, time_s):
        self._time_s = time_s

    def run(self, launches):
        return self._time_s * launches

    def close(self):
        pass


class Device:
    """A device that takes twice what is predicted of an H100, and refuses softmax."""

    def __init__(self, stop_after=None):
        self.about = About(name="Fake H100", kind="cuda", versions="fake 1", ranks=(2,))
        self._left = itertools.repeat(True) if stop_after is None else iter([True] * stop_after)
        self.closed = False

    def prepare(self, shape):
        if not next(self._left, False):
            raise KeyboardInterrupt
        if shape.group == "elementwise softmax":
            raise CannotMeasureError("no softmax here")
        h100 = suanli_h100()
        return Work(2.0 * predicted_s(shape, *h100))

    def reading(self, since_s):
        return Reading()

    def close(self):
        self.closed = True


def suanli_h100():
    """What is compared with."""
    return suanli.accelerator("h100"), suanli.system("dgx-h100")


@pytest.fixture
def device(monkeypatch):
    """A made-up device in place of torch's."""
    made = Device()
    monkeypatch.setattr(module, "open_device", lambda name: made)
    monkeypatch.setattr(module, "open_ranks", lambda about: made)
    return made


def wrote(path, rows):
    """A file of measurements."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(row_of(r) for r in rows)
    return str(path)


@pytest.mark.parametrize("format", FORMATS)
def test_rows_go_to_the_file_and_a_summary_to_the_reader(run, device, tmp_path, format):
    """Every format tells of every class; the file has every row; what was refused is told with its reason."""
    out = tmp_path / "m.csv"
    result = run(*QUICK, "--out", str(out), "--format", format, columns=100)
    assert (result.exit_code, result.stderr) == (0, "")
    rows = read_measurements(out)
    assert device.closed
    if format == "json":
        found = json.loads(result.stdout)
        assert found["measured"] == len(rows) == len(found["measurements"])
        assert found["refused"] == {"elementwise softmax bf16: no softmax here": 2}
        assert not found["stopped"]
    elif format == "csv":
        assert list(csv.DictReader(io.StringIO(result.stdout))) == list(
            csv.DictReader(io.StringIO(out.read_text(encoding="utf-8")))
        )
    else:
        assert f"{len(rows)} measured on Fake H100" in result.stdout
        assert "2 not run: elementwise softmax bf16: no softmax here" in result.stdout
        assert "attention decode" in result.stdout
    if format == "table":
        assert max(len(line) for line in result.stdout.splitlines() if str(tmp_path) not in line) <= 100


def test_the_same_again_measures_nothing(run, device, tmp_path):
    """What the file has is shown, and nothing is added to it."""
    out = tmp_path / "m.csv"
    run(*QUICK, "--out", str(out))
    before = out.read_bytes()
    result = run(*QUICK, "--out", str(out))
    assert "0 measured on Fake H100, " in result.stdout
    assert "known already" in result.stdout
    assert out.read_bytes() == before


def test_an_interrupt_ends_with_130_and_whole_rows(run, monkeypatch, tmp_path):
    """The rows so far are in the file, the reader is told, and the device is given back."""
    made = Device(stop_after=3)
    monkeypatch.setattr(module, "open_device", lambda name: made)
    out = tmp_path / "m.csv"
    result = run(*QUICK, "--out", str(out))
    assert result.exit_code == 130
    assert "stopped; the same command goes on from here" in result.stdout
    assert len(read_measurements(out)) == 3
    assert made.closed


def test_a_comparison_follows_where_it_is_asked_for(run, device, tmp_path):
    """Rows that take twice what is predicted have a bias of -50 % in every class, exchanges too."""
    kinds = ("bench", "--quick", "--kinds", "gemm,collective", "--dtype", "bf16", "--out", str(tmp_path / "m.csv"))
    found = json.loads(run(*kinds, "--compare", "h100", "--format", "json").stdout)["comparison"]
    assert found["accelerator"] == "h100-sxm5-80"
    assert {c["kernel"] for c in found["classes"]} >= {"gemm", "collective all_reduce"}
    for c in found["classes"]:
        assert c["bias"] == pytest.approx(-0.5)
        assert c["median_error"] == pytest.approx(0.5)
    assert (found["unanswered"], found["impossible"]) == ({}, [])
    shown = run(*kinds, "--compare", "h100", columns=120).stdout
    assert "m.csv on Fake H100, against what is predicted for h100-sxm5-80" in shown
    assert "-50.0 %" in shown


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_is_compared_without_a_device(run, tmp_path, format):
    """--from needs no torch; the errors are by class, and impossible rows are pointed out."""
    device, _ = suanli_h100()
    shapes = [make_shape("gemm", "bf16", m=m, n=4096, k=4096) for m in (1024, 4096)]
    rows = [Measurement(shape=s, time_s=predicted_s(s, device), device="Mine") for s in shapes]
    rows += [attrs.evolve(rows[0], time_s=rows[0].time_s / 100.0)]
    path = wrote(tmp_path / "m.csv", rows)
    result = run("bench", "--from", path, "--compare", "h100", "--format", format, columns=120)
    assert (result.exit_code, result.stderr) == (0, "")
    if format == "json":
        (only,) = json.loads(result.stdout)["classes"]
        assert (only["kernel"], only["rows"], only["bias"]) == ("gemm", 3, pytest.approx(0.0))
    elif format == "table":
        assert "row 4: gemm bf16" in " ".join(result.stdout.split())


def test_rows_of_another_device_are_told_as_such(run, tmp_path):
    """Where most rows cannot be seconds on the accelerator, one line asks whether it is the right one."""
    rows = [Measurement(shape=make_shape("gemm", "bf16", m=m, n=64, k=64), time_s=0.5) for m in range(1, 50)]
    shown = run("bench", "--from", wrote(tmp_path / "m.csv", rows), "--compare", "h100", columns=120).stdout
    assert "49 of 49 rows cannot be seconds on h100-sxm5-80; was it another device?" in shown
    assert "row 3" not in shown


def test_shapes_come_from_a_file_or_a_model(run, device, tmp_path):
    """A file's shapes, or a model's, in place of the grid; both at once are refused."""
    shapes = [make_shape("gemm", p, m=8, n=64, k=64) for p in ("bf16", "fp16")]
    path = wrote(tmp_path / "s.csv", [Measurement(shape=s, time_s=1.0) for s in shapes])
    out = tmp_path / "m.csv"
    run("bench", "--shapes", path, "--dtype", "fp16", "--out", str(out))
    assert [m.shape for m in read_measurements(out)] == shapes[1:]
    other = tmp_path / "n.csv"
    result = run("bench", "--model", "llama-3-8b", "--tensor", "8", "--kinds", "gemm", "--out", str(other))
    assert "note: llama-3-8b over 8 tensor ranks" in result.stdout
    assert {m.shape["n"] for m in read_measurements(other)} == {768, 4096, 3584, 16032}
    both = run("bench", "--shapes", path, "--model", "gpt2")
    assert (both.exit_code, both.stderr.splitlines()[0]) == (2, "error: give --shapes or --model, not both")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--kinds", "gem,norm"), "--kinds: no such thing as 'gem', 'norm'; choose from gemm"),
        (("--dtype", "bf61"), "Did you mean 'bf16'?"),
        (("--ranks", "two"), "--ranks: expected whole numbers"),
        (("--tensor", "2"), "--tensor: divides the layers of a model; name one by --model"),
        (("--from", "m.csv"), "--from: reads a file to compare"),
        (("--compare", "h10"), "no accelerator named 'h10'. Did you mean 'h100'"),
        (("--from", "none.csv", "--compare", "h100"), "cannot read none.csv"),
        (("--model", "llama-3-70", "--tensor", "2"), "no model named 'llama-3-70'"),
        (("--model", "gpt2", "--tensor", "5"), "--tensor 5: 5 does not divide 12 heads"),
    ],
)
def test_what_makes_no_sense_is_told(run, device, args, said):
    """Each mistake is one block that names the option, with near matches."""
    result = run("bench", *args)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


@pytest.mark.skipif(HAS_TORCH, reason="needs an environment without torch")
def test_without_torch_the_command_that_installs_it_is_told(run, tmp_path):
    """One block, status 2, and no file begun."""
    out = tmp_path / "m.csv"
    result = run("bench", "--quick", "--out", str(out))
    assert result.exit_code == 2
    said = "error: measuring needs torch, which is not installed; install it with: pip install 'suanli[bench]'"
    assert result.stderr.startswith(said)
    assert not out.exists()


ATTENDED = {"batch": 2, "kv_tokens": 64, "heads": 4, "head_dim": 64}
SMALL = (
    *(make_shape("gemm", p, m=64, n=64, k=64) for p in ("bf16", "fp32", "int8_static", "fp8_static", "tf32")),
    make_shape("attention", "bf16", phase="prefill", query=64, kv_heads=4, **ATTENDED),
    make_shape("attention", "bf16", phase="prefill", query=64, kv_heads=1, **ATTENDED),
    make_shape("attention", "bf16", phase="decode", query=1, kv_heads=2, **ATTENDED),
)


@pytest.mark.skipif(not HAS_TORCH, reason="torch is not installed: pip install 'suanli[bench]'")
@pytest.mark.filterwarnings("ignore")  # torch's own
def test_the_processor_is_measured_end_to_end(run, tmp_path):
    """Products, attention, every pass over memory and exchanges between two ranks run on the processor,
    and give a file that is read again, with what torch does not offer there told.
    """
    from suanli.bench.grids import pass_shape
    from suanli.measurement_schema import ELEMENTWISE

    passes = [pass_shape(o, "fp32", 16, 128, 64 if o == "embedding" else 1) for o in ELEMENTWISE]
    exchanges = [make_shape("collective", "fp32", operation=o, bytes=4096, ranks=2) for o in ("all_reduce", "p2p")]
    shapes = [*SMALL, *passes, *exchanges]
    path = wrote(tmp_path / "s.csv", [Measurement(shape=s, time_s=1.0) for s in shapes])
    out = tmp_path / "m.csv"
    args = ("bench", "--quick", "--device", "cpu", "--shapes", path, "--out", str(out), "--format", "json")
    found = json.loads(run(*args).stdout)
    rows = read_measurements(out)
    assert {str(s) for s in shapes} - {str(m.shape) for m in rows} == {str(s) for s in SMALL[3:5]}
    assert len(found["refused"]) == 2
    for row in rows:
        assert 1e-7 < row.time_s < 1.0, row
        assert row.implementation.startswith("torch."), row
        assert (row.repeats or 0) >= 3
        assert "torch " in row.versions
        assert row.rotated_bytes
    again = json.loads(run(*args).stdout)
    assert (again["measured"], again["known"]) == (0, len(rows))


@pytest.mark.skipif(not HAS_TORCH, reason="torch is not installed: pip install 'suanli[bench]'")
@pytest.mark.filterwarnings("ignore")
def test_a_larger_product_takes_longer():
    """On the processor, 32,000 times the work takes five times as long at least: what is timed is the work."""
    from suanli.bench.timing import QUICK as EFFORT
    from suanli.bench.timing import measure
    from suanli.bench.torch_device import TorchDevice

    device = TorchDevice("cpu")
    try:
        times = []
        for size in (64, 2048):
            work = device.prepare(make_shape("gemm", "fp32", m=size, n=size, k=size))
            times.append(measure(work, EFFORT).time_s)
            work.close()
    finally:
        device.close()
    assert times[1] > 5.0 * times[0]


@pytest.mark.skipif(not HAS_TORCH, reason="torch is not installed: pip install 'suanli[bench]'")
@pytest.mark.parametrize("name", ["tpu", "cuda:99", "cpu:1"])
def test_a_device_that_is_not_there_is_told(name):
    """With the devices there are."""
    from suanli.bench.opening import Opened

    with pytest.raises(SuanliError, match="cpu"):
        Opened(name)


@pytest.mark.skipif(not HAS_TORCH, reason="torch is not installed: pip install 'suanli[bench]'")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("phase", "query", "kept"), [("prefill", 48, 4), ("prefill", 48, 2), ("prefill", 16, 1), ("decode", 1, 2)]
)
def test_the_attention_that_runs_is_the_one_that_is_stated(phase, query, kept):
    """Causal, the queries the last of the sequence, heads grouped: equal to softmax(QK)V worked out in fp32."""
    from suanli.bench.attention import build
    from suanli.bench.candidates import Tools
    from suanli.bench.torch_import import import_torch

    torch = import_torch()
    drawn = []

    class Noting(Tools):
        def random(self, *size, precision):
            drawn.append(super().random(*size, precision=precision))
            return drawn[-1]

    sizes = {"batch": 2, "query": query, "kv_tokens": 48, "heads": 4, "kv_heads": kept, "head_dim": 32}
    (candidate,) = build(Noting(torch, torch.device("cpu")), make_shape("attention", "fp32", phase=phase, **sizes))
    with torch.no_grad(), candidate.within():
        result = candidate.make()()
    q, k, v = (t.transpose(1, 2) for t in drawn)
    k, v = (t.repeat_interleave(4 // kept, dim=1) for t in (k, v))
    scores = q @ k.transpose(2, 3) / 32**0.5
    seen = torch.arange(48)[None, :] <= torch.arange(48 - query, 48)[:, None]
    expected = scores.masked_fill(~seen, float("-inf")).softmax(-1) @ v
    assert torch.allclose(result, expected, atol=1e-5)


@pytest.mark.skipif(not HAS_TORCH, reason="torch is not installed: pip install 'suanli[bench]'")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("precision", ["bf16", "fp32", "int8_static"])
def test_the_product_that_runs_is_the_one_that_is_stated(precision):
    """C[m, n] = A[m, k] W[n, k]^T, and the bytes stated are those of the three tensors."""
    from suanli.bench.candidates import Tools
    from suanli.bench.products import build
    from suanli.bench.torch_import import import_torch

    torch = import_torch()
    drawn = []

    class Noting(Tools):
        def random(self, *size, precision):
            drawn.append(super().random(*size, precision=precision))
            return drawn[-1]

    (candidate,) = build(Noting(torch, torch.device("cpu")), make_shape("gemm", precision, m=24, n=16, k=32))
    with torch.no_grad(), candidate.within():
        result = candidate.make()()
    a, w = (t.double() for t in drawn)
    assert result.shape == (24, 16)
    assert torch.allclose(result.double(), a @ w.T, rtol=2e-2, atol=1e-1)
    assert candidate.set_bytes == sum(t.numel() * t.element_size() for t in (*drawn, result))
