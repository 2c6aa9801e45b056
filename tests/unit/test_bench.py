"""Measuring, on a device that is made up: what is measured, how often, what is written, and what stops it."""

from __future__ import annotations

import ast
import contextlib
import csv
import datetime
import importlib.util
import itertools
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

import suanli
from suanli.bench import grids, opening
from suanli.bench.candidates import Candidate
from suanli.bench.collectives import Group, Ranks
from suanli.bench.comparing import compare
from suanli.bench.device import About, CannotMeasureError
from suanli.bench.memory import traffic_bytes
from suanli.bench.running import run, too_large
from suanli.bench.sensors import Reading, Sampler, Sensor, read_npu_smi, read_nvidia_smi
from suanli.bench.shapes import shapes_of_file, shapes_of_model
from suanli.bench.timing import QUICK, Effort, measure, quantile
from suanli.bench.torch_device import TorchWork
from suanli.bench.writing import MeasurementFile
from suanli.measurement_schema import KERNELS, Measurement, Shape, make_shape, predicted_s
from suanli.measurements import COLUMNS, parsed, read_measurements, row_of
from suanli.workspace import default

SHAPES = tuple(make_shape("gemm", "bf16", m=m, n=128, k=256) for m in (1, 2, 4, 8, 16, 32))
EFFORT = Effort(warm_s=0.0, sample_s=1e-4, repeats=3, least_repeats=3, most_s=1.0)
DATE = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


class FakeWork:
    """A shape that takes as long as it is told to."""

    implementation, timing, rotated_bytes, least_launches = "fake", "clock", 1 << 20, 1

    def __init__(self, times: Iterator[float]) -> None:
        self._times = times
        self.closed = False
        self.asked: list[int] = []

    def run(self, launches: int) -> float:
        self.asked.append(launches)
        return next(self._times) * launches

    def close(self) -> None:
        self.closed = True


class FakeDevice:
    """A device that answers for every shape, but those it refuses or is interrupted at."""

    def __init__(
        self,
        name: str = "Fake One",
        *,
        refuse: Callable[[Shape], CannotMeasureError | None] = lambda shape: None,
        stop_after: int | None = None,
    ) -> None:
        self.about = About(name=name, kind="cpu", versions="fake 1")
        self.prepared: list[Shape] = []
        self.works: list[FakeWork] = []
        self._refuse, self._stop_after = refuse, stop_after

    def prepare(self, shape: Shape) -> FakeWork:
        if len(self.prepared) == self._stop_after:
            raise KeyboardInterrupt
        self.prepared.append(shape)
        reason = self._refuse(shape)
        if reason is not None:
            raise reason
        self.works.append(FakeWork(itertools.repeat(1e-6 * shape["m"])))
        return self.works[-1]

    def reading(self, since_s: float) -> Reading:
        return Reading(clock_hz=1.5e9, power_w=400.0)

    def close(self) -> None:
        pass


@contextlib.contextmanager
def opened(path: Path) -> Iterator[MeasurementFile]:
    """A file that is closed again."""
    file = MeasurementFile(path)
    try:
        yield file
    finally:
        file.close()


def measured_into(path: Path, device: Any, shapes: tuple[Shape, ...] = SHAPES) -> Any:
    """What came of measuring shapes into a file."""
    with opened(path) as file:
        return run(shapes, {"": device}, file, EFFORT, now=lambda: DATE)


def test_each_shape_is_a_row_that_can_be_read(tmp_path: Path) -> None:
    """Time, spread, repeats, device, clock, power, versions and date of every shape are in the file."""
    path, device = tmp_path / "m.csv", FakeDevice()
    outcome = measured_into(path, device)
    found = read_measurements(path)
    assert [m.shape for m in found] == list(SHAPES)
    assert list(found) == outcome.measured
    last = found[-1]
    assert last.time_s == pytest.approx(32e-6)
    assert (last.spread_ratio, last.repeats, last.launches) == (pytest.approx(0.0, abs=1e-6), 3, 4)
    assert (last.device, last.clock_hz, last.power_w, last.temperature_c) == ("Fake One", 1.5e9, 400.0, None)
    assert (last.versions, last.date, last.timing) == ("fake 1", "2026-01-02T03:04:05+00:00", "clock")
    assert all(w.closed for w in device.works)


def test_what_a_file_has_is_not_measured_again(tmp_path: Path) -> None:
    """A second run measures nothing and leaves the file as it is; another device starts anew."""
    path = tmp_path / "m.csv"
    measured_into(path, FakeDevice(), SHAPES[:4])
    device = FakeDevice()
    outcome = measured_into(path, device)
    assert device.prepared == list(SHAPES[4:])
    assert outcome.known == 4
    before = path.read_bytes()
    assert measured_into(path, FakeDevice()).measured == []
    assert path.read_bytes() == before
    assert len(measured_into(path, FakeDevice("Fake Two")).measured) == len(SHAPES)


def test_an_interrupt_leaves_whole_rows_and_the_next_run_goes_on(tmp_path: Path) -> None:
    """Stopped at the third shape, the file has two rows; the same again measures the other four."""
    path = tmp_path / "m.csv"
    outcome = measured_into(path, FakeDevice(stop_after=2))
    assert outcome.stopped
    assert [m.shape for m in read_measurements(path)] == list(SHAPES[:2])
    outcome = measured_into(path, FakeDevice())
    assert not outcome.stopped
    assert [m.shape for m in outcome.measured] == list(SHAPES[2:])
    assert [m.shape for m in read_measurements(path)] == list(SHAPES)


def test_an_interrupt_while_timing_gives_back_what_was_held(tmp_path: Path) -> None:
    """A shape interrupted among its repeats is closed, and has no row."""
    device = FakeDevice()

    def times() -> Iterator[float]:
        yield 1e-6
        raise KeyboardInterrupt

    work = FakeWork(times())
    device.prepare = lambda shape: work  # type: ignore[method-assign]
    outcome = measured_into(tmp_path / "m.csv", device)
    assert outcome.stopped
    assert work.closed
    assert parsed(tmp_path / "m.csv")[0] == ()


def test_a_row_cut_short_is_taken_off(tmp_path: Path) -> None:
    """A file that stopped in the middle of a row loses that row and no other."""
    path = tmp_path / "m.csv"
    measured_into(path, FakeDevice(), SHAPES[:2])
    whole = path.read_bytes()
    path.write_bytes(whole + b"gemm,bf16,12")
    measured_into(path, FakeDevice(), SHAPES[:2])
    assert path.read_bytes() == whole


def test_another_s_file_is_left_alone(tmp_path: Path) -> None:
    """A file that is none of measurements, or lacks columns, is refused and not touched."""
    path = tmp_path / "m.csv"
    for text, said in (
        ("name,price\nx,1\n", "it is not overwritten"),
        ("kernel,precision,m,n,k,time_s\ngemm,bf16,1,1,1,1e-5\n", "has no column phase"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(suanli.SuanliError, match=said):
            MeasurementFile(path)
        assert path.read_text(encoding="utf-8") == text
    with pytest.raises(suanli.SuanliError, match="cannot write"):
        MeasurementFile(tmp_path / "none" / "m.csv")


def test_columns_somebody_added_stay(tmp_path: Path) -> None:
    """Rows are appended in the order of the file's own header, what it has besides left empty."""
    path = tmp_path / "m.csv"
    columns = ["note", *reversed(COLUMNS)]
    path.write_text(",".join(columns) + "\n", encoding="utf-8")
    measured_into(path, FakeDevice(), SHAPES[:2])
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == columns
    assert [r["note"] for r in rows] == ["", ""]
    assert [m.shape for m in read_measurements(path)] == list(SHAPES[:2])


def test_what_cannot_be_measured_is_counted_by_reason(tmp_path: Path) -> None:
    """The rest is measured; a reason that holds of a whole precision is not asked for again."""
    wide = tuple(attrs.evolve(s, precision="fp8_static") for s in SHAPES)

    def refuse(shape: Shape) -> CannotMeasureError | None:
        if shape.precision == "fp8_static":
            return CannotMeasureError("no fp8 here", whole=True)
        return CannotMeasureError("odd") if shape["m"] == 4 else None

    device = FakeDevice(refuse=refuse)
    outcome = measured_into(tmp_path / "m.csv", device, SHAPES + wide)
    assert outcome.refused == {"gemm bf16: odd": 1, "gemm fp8_static: no fp8 here": 6}
    assert len(outcome.measured) == 5
    assert [s.precision for s in device.prepared].count("fp8_static") == 1


def test_what_is_too_large_is_left_out(tmp_path: Path) -> None:
    """A shape of more work or more bytes than the device is asked for is not prepared, and is counted."""
    device = FakeDevice()
    device.about = attrs.evolve(device.about, most_flops=2.0 * 8 * 128 * 256)
    outcome = measured_into(tmp_path / "m.csv", device)
    assert outcome.too_large == 2
    assert [s["m"] for s in device.prepared] == [1, 2, 4, 8]
    copy = make_shape("elementwise", "bf16", operation="copy", bytes=1000)
    assert too_large(copy, attrs.evolve(device.about, most_bytes=999.0))
    assert not too_large(copy, attrs.evolve(device.about, most_bytes=1000.0))


def test_kinds_go_to_their_own_device(tmp_path: Path) -> None:
    """Collectives are prepared on the groups, everything else on the device."""
    device = FakeDevice()
    ranks = FakeDevice()
    ranks.prepare = lambda shape: FakeWork(itertools.repeat(1e-3))  # type: ignore[method-assign]
    exchange = make_shape("collective", "bf16", operation="p2p", bytes=1024, ranks=2)
    with opened(tmp_path / "m.csv") as file:
        outcome = run((*SHAPES[:1], exchange), {"": device, "collective": ranks}, file, EFFORT)
    assert device.prepared == list(SHAPES[:1])
    assert [m.time_s for m in outcome.measured] == pytest.approx([1e-6, 1e-3])


def test_progress_is_told_before_each_shape(tmp_path: Path) -> None:
    """How many are done, of how many, and which comes."""
    told: list[tuple[int, int, Shape]] = []
    with opened(tmp_path / "m.csv") as file:
        run(SHAPES, {"": FakeDevice()}, file, EFFORT, progress=lambda *about: told.append(about))
    assert told == [(i, len(SHAPES), s) for i, s in enumerate(SHAPES)]


def test_a_time_is_the_median_of_the_repeats() -> None:
    """One slow sample among five moves neither the median nor, much, the spread."""
    effort = Effort(warm_s=0.0, sample_s=0.0, repeats=5, least_repeats=5, most_s=1.0)
    found = measure(FakeWork(iter([9.0, 1.0, 1.1, 50.0, 0.9, 1.0])), effort)
    assert found.time_s == 1.0
    assert found.spread_ratio == pytest.approx(0.1)
    assert (found.repeats, found.launches) == (5, 1)


def test_repeats_end_when_they_take_too_long() -> None:
    """A slow shape is timed the least number of times, a quick one the most."""
    effort = Effort(warm_s=0.0, sample_s=0.0, repeats=20, least_repeats=3, most_s=10.0)
    assert measure(FakeWork(itertools.repeat(8.0)), effort).repeats == 3
    assert measure(FakeWork(itertools.repeat(0.001)), effort).repeats == 20


def test_samples_are_whole_rounds_of_the_operands() -> None:
    """Where operands rotate, every sample uses each set equally often, and lasts long enough."""
    work = FakeWork(itertools.repeat(1e-6))
    work.least_launches = 24
    found = measure(work, attrs.evolve(EFFORT, sample_s=1e-3))
    assert found.launches % 24 == 0
    assert 1000 <= found.launches < 1024
    assert all(n % 24 == 0 for n in work.asked[-3:])


def test_a_clock_too_coarse_to_see_a_launch_ends_too() -> None:
    """Launches of no time at all are repeated up to the limit, and no further."""
    found = measure(FakeWork(itertools.repeat(0.0)), QUICK)
    assert found.launches <= QUICK.most_launches
    assert found.spread_ratio == 0.0


def test_quantiles_are_those_of_the_sorted_values() -> None:
    """By hand: of 1 to 5, the median is 3 and the 90th percentile 4.6."""
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert quantile(values, 0.5) == 3.0
    assert quantile(values, 0.9) == pytest.approx(4.6)
    assert quantile([7.0], 0.9) == 7.0


PRECISIONS = ("bf16", "fp16", "tf32", "fp32", "fp8", "int8")


@pytest.mark.parametrize("quick", [False, True])
def test_the_grid_is_of_shapes_a_file_takes(tmp_path: Path, quick: bool) -> None:
    """Every shape of it is there once, and is read back as it is from a file."""
    shapes = grids.default_shapes(grids.KINDS, PRECISIONS, (2, 8), quick=quick)
    assert len(set(shapes)) == len(shapes)
    assert {s.kernel for s in shapes} == set(grids.KINDS)
    path = tmp_path / "s.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(row_of(Measurement(shape=s, time_s=1.0)) for s in shapes)
    assert shapes_of_file(str(path)) == shapes


def test_the_grid_covers_each_size_evenly_and_tiles_part_full() -> None:
    """m, n and k reach from tens to over ten thousand with a fifth of the shapes in each half decade, some m odd."""
    sizes = list(grids.scattered(120))
    for axis in range(3):
        logs = [math.log(s[axis] / 16) / math.log(1024) for s in sizes]
        shares = [sum(i / 5 <= x < (i + 1) / 5 or (i == 4 and x >= 1) for x in logs) / 120 for i in range(5)]
        assert all(0.12 < share < 0.28 for share in shares)
    assert sum(m % 2 for m, _, _ in sizes) == 60
    assert all(n % 16 == 0 and k % 16 == 0 for _, n, k in sizes)


def test_the_quick_grid_is_a_fraction_and_covers_every_operation() -> None:
    """Well under a fifth of the whole, with every pass and every exchange in it."""
    whole = grids.default_shapes(grids.KINDS, PRECISIONS, (2, 8))
    quick = grids.default_shapes(grids.KINDS, PRECISIONS, (2, 8), quick=True)
    assert 5 * len(quick) < 2 * len(whole)
    assert {s.group for s in quick} == {s.group for s in whole}


def test_a_precision_alone_is_measured_on_every_shape() -> None:
    """fp8 beside bf16 has half of its products; alone it has all of them, and 16-bit passes are measured once."""
    both, alone = (grids.default_shapes(("gemm",), p) for p in (("bf16", "fp8"), ("fp8",)))
    products = [s for s in both if s.precision == "bf16"]
    assert len(alone) == len(products)
    assert 2 * (len(both) - len(products)) == len(alone)
    passes = grids.default_shapes(("elementwise",), PRECISIONS)
    assert {s.precision for s in passes} == {"bf16", "fp32"}
    assert {s.precision for s in grids.default_shapes(("elementwise",), ("fp16",))} == {"fp16"}


def test_bytes_of_a_pass_are_its_operands_and_results_once() -> None:
    """By hand for 10 rows of 100: an addition reads two and writes one, AdamW moves 28 bytes a parameter."""
    assert traffic_bytes("add", 10, 100, "bf16") == 6000
    assert traffic_bytes("rms_norm", 10, 100, "bf16") == 4200
    assert traffic_bytes("embedding", 10, 100, "fp32") == 8080
    assert traffic_bytes("optimizer_step", 10, 100, "fp32") == 28000


def test_a_model_s_shapes_are_those_of_its_layers() -> None:
    """Llama 3 70B over 8 ranks: 8 query and 1 key head of 128, and 8192 wide products divided by 8."""
    found = shapes_of_model(default().catalog(), suanli.model("llama-3-70b"), tensor=(8,))
    assert found.degrees == (8,)
    products = {(s["n"], s["k"]) for s in found.shapes if s.kernel == "gemm"}
    assert products == {(1280, 8192), (8192, 1024), (7168, 8192), (8192, 3584), (16032, 8192)}
    attended = {(s["heads"], s["kv_heads"], s["head_dim"]) for s in found.shapes if s.kernel == "attention"}
    assert attended == {(8, 1, 128)}
    assert {s["phase"] for s in found.shapes if s.kernel == "attention"} == {"prefill", "decode"}
    assert {s["operation"] for s in found.shapes if s.kernel == "elementwise"} >= {"rms_norm", "add", "embedding"}


def test_what_of_a_model_is_not_measured_is_told() -> None:
    """Routed experts and latent attention have no kernel here, and a degree that does not divide is refused."""
    catalog = default().catalog()
    assert "experts (Experts)" in shapes_of_model(catalog, suanli.model("mixtral-8x7b"), tensor=(1,)).left_out
    latent = shapes_of_model(catalog, suanli.model("deepseek-v3"), tensor=(8,))
    assert "core (LatentAttention)" in latent.left_out
    assert not [s for s in latent.shapes if s.kernel == "attention"]
    with pytest.raises(suanli.SuanliError, match="--tensor 3: 3 does not divide 64 heads"):
        shapes_of_model(catalog, suanli.model("llama-3-70b"), tensor=(3,))
    of_gpt2 = shapes_of_model(catalog, suanli.model("gpt2"))
    assert 8 not in of_gpt2.degrees  # 12 heads
    assert max(s["kv_tokens"] for s in of_gpt2.shapes if s.kernel == "attention") == 1024  # its context


def test_errors_are_those_of_the_predictions() -> None:
    """Measurements 25 % above, at, and 20 % below what is predicted: errors of -20, 0 and +25 %."""
    device = suanli.accelerator("h100")
    rows = [
        Measurement(shape=s, time_s=predicted_s(s, device) * f) for s, f in zip(SHAPES, (1.25, 1.0, 0.8), strict=False)
    ]
    exchange = make_shape("collective", "bf16", operation="all_reduce", bytes=1 << 20, ranks=8)
    rows.append(Measurement(shape=exchange, time_s=1e-4))
    found = compare(rows, device)
    (only,) = found.classes
    assert (only.kernel, only.precision, only.rows) == ("gemm", "bf16", 3)
    assert only.median_error == pytest.approx(0.2)
    assert only.p90_error == pytest.approx(0.24)
    assert only.bias == pytest.approx(0.0)
    ((reason, times),) = found.unanswered
    assert times == 1
    assert reason.startswith("collective all_reduce: no system of h100-sxm5-80 is known")
    system = suanli.system("dgx-h100")
    with_links = compare([attrs.evolve(rows[-1], time_s=predicted_s(exchange, device, system) / 2)], device, system)
    assert with_links.classes[0].bias == pytest.approx(1.0)
    assert with_links.unanswered == ()


def test_a_line_of_nvidia_smi_is_a_reading() -> None:
    """Megahertz, watts and degrees; what the board does not tell is absent."""
    assert read_nvidia_smi("1980, 651.20, 54\n") == Reading(clock_hz=1.98e9, power_w=651.2, temperature_c=54.0)
    assert read_nvidia_smi("1980, [N/A], 54") == Reading(clock_hz=1.98e9, temperature_c=54.0)
    assert read_nvidia_smi("No devices were found") is None
    assert read_nvidia_smi("") is None


def test_lines_of_npu_smi_are_a_reading() -> None:
    """Names and values of the tool's own lines, in any order; none of them is no reading."""
    text = "\tNPU ID : 0\n\tAicore Freq(MHZ)  : 1800\n\tNPU Real-time Power(W) : 93.1\n\tNPU Temperature (C) : 41\n"
    assert read_npu_smi(text) == Reading(clock_hz=1.8e9, power_w=93.1, temperature_c=41.0)
    assert read_npu_smi("Power Dissipation(W) : 310.5") == Reading(power_w=310.5)
    assert read_npu_smi("command not found") is None


def test_a_reading_is_of_the_time_asked_for() -> None:
    """The median of what was read since a moment; a sensor too slow to have answered says nothing."""
    values = itertools.chain([100.0, 500.0], itertools.repeat(300.0))
    sampler = Sampler(Sensor(ask=lambda: Reading(power_w=next(values)), every_s=0.001))
    try:
        for _ in range(500):
            if sampler.since(0.0).power_w == 300.0:
                break
            time.sleep(0.002)
        assert sampler.since(0.0).power_w == 300.0
        assert sampler.since(time.monotonic() + 60.0) == Reading()
    finally:
        sampler.close()
    now = Sampler(Sensor(ask=lambda: Reading(clock_hz=1.0), every_s=60.0, quick=True))
    try:
        assert now.since(time.monotonic() + 60.0).clock_hz == 1.0
    finally:
        now.close()


@pytest.mark.parametrize("sensor", [None, "raises", "none"])
def test_a_sensor_that_fails_is_none(sensor: str | None) -> None:
    """Whatever it raises, a measurement goes on without it."""

    def ask() -> Reading | None:
        if sensor == "raises":
            raise OSError("driver gone")
        return None

    sampler = Sampler(Sensor(ask=ask, every_s=0.001, quick=True) if sensor else None)
    try:
        assert sampler.since(0.0) == Reading()
    finally:
        sampler.close()


class FakeOpened:
    """What a device of torch does, without torch: counts launches and graphs."""

    kind, records_graphs = "cuda", True

    def __init__(self, *, captures: bool = True) -> None:
        self.torch = self
        self.captures = captures
        self.recovered = 0
        self.lengths: list[int] = []

    no_grad = staticmethod(contextlib.nullcontext)

    def sync(self) -> None:
        pass

    def recover(self) -> None:
        self.recovered += 1

    def record(self, go: Callable[[], None]) -> Any:
        if not self.captures:
            raise RuntimeError("operation not permitted when stream is capturing")
        go()
        return type("Graph", (), {"replay": staticmethod(go)})()

    def timed(self, go: Callable[[], object]) -> float:
        go()
        return 1.0


def work_on(opened: Any, sets: int, launched: list[int]) -> TorchWork:
    """A shape with so many sets of operands; each launch notes which set it used."""
    number = itertools.count()

    def make() -> Callable[[], object]:
        own = next(number)
        return lambda: launched.append(own)

    work = TorchWork(opened, Candidate(implementation="f", set_bytes=100, make=make), sets)
    work.capture()
    return work


def test_graphs_are_recorded_over_every_set_of_operands() -> None:
    """A device that records graphs is timed by them, each replay going round the sets."""
    launched: list[int] = []
    work = work_on(FakeOpened(), 4, launched)
    assert (work.timing, work.least_launches, work.rotated_bytes) == ("graph", 4, 400)
    launched.clear()
    work.run(8)
    assert launched == [0, 1, 2, 3] * 4  # recorded once, replayed once
    launched.clear()
    work.run(8)
    assert launched == [0, 1, 2, 3] * 2


def test_what_cannot_be_recorded_is_timed_by_events() -> None:
    """A launch that no graph takes is queued one by one, the sets of operands taking turns across samples."""
    launched: list[int] = []
    opened = FakeOpened(captures=False)
    work = work_on(opened, 3, launched)
    assert (work.timing, work.least_launches, opened.recovered) == ("events", 1, 1)
    launched.clear()
    work.run(2)
    work.run(2)
    first = launched[0]
    assert launched == [(first + i) % 3 for i in range(4)]


def test_a_launch_that_fails_is_a_refusal() -> None:
    """Out of memory among the repeats ends that shape, with the reason; the device is asked whether it goes on."""
    opened = FakeOpened(captures=False)
    work = work_on(opened, 1, [])

    def broken(go: Callable[[], object]) -> float:
        raise RuntimeError("CUDA out of memory.\n  Tried to allocate")

    opened.timed = broken  # type: ignore[method-assign]
    with pytest.raises(CannotMeasureError, match="CUDA out of memory. Tried to allocate"):
        work.run(1)
    assert opened.recovered == 2


def test_groups_that_are_not_there_are_refused() -> None:
    """More ranks than devices, and ranks of several nodes, are no measurement of one machine."""
    ranks = Ranks(About(name="X", kind="cpu", ranks=(2, 4)))
    with pytest.raises(CannotMeasureError, match="groups of 2, 4 ranks"):
        ranks.prepare(make_shape("collective", "bf16", operation="all_reduce", bytes=64, ranks=8))
    with pytest.raises(CannotMeasureError, match="other nodes"):
        ranks.prepare(make_shape("collective", "bf16", operation="all_reduce", bytes=64, ranks=2, stride=8))
    ranks.close()


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="needs an environment without torch")
def test_ranks_tell_why_they_do_not_start() -> None:
    """Where torch is missing, the processes of a group say so and end."""
    with pytest.raises(CannotMeasureError, match=r"pip install 'suanli\[bench\]'"):
        Group("cpu", 2)


def test_torch_is_imported_in_one_place() -> None:
    """Of everything that measures, one module asks for torch, when it is called."""
    asking = []
    for file in (Path(suanli.__file__).parent / "bench").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                assert "torch" not in {part for a in node.names for part in a.name.split(".")}, file
                assert getattr(node, "module", None) != "torch", file
            elif isinstance(node, ast.Call) and ast.unparse(node).startswith("importlib.import_module('torch'"):
                asking.append(file.name)
    assert asking == ["torch_import.py"]
    modules = "suanli.cli.bench, suanli.bench.torch_device, suanli.bench.collectives"
    code = f"import {modules}, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"


def test_every_kind_measured_is_one_that_is_read() -> None:
    """What bench writes, calibrate reads."""
    assert set(grids.KINDS) <= set(KERNELS)


class FakeEvent:
    """An event of a device whose every queue takes 2 ms."""

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        pass

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, other: FakeEvent) -> float:
        return 2.0


def fake_torch(devices: int = 1, hip: str | None = None) -> Any:
    """As much of torch's interface as opening a device needs."""
    graphs: list[Any] = []

    class Graph:
        def __init__(self) -> None:
            self.replays = 0

        def replay(self) -> None:
            self.replays += 1

    @contextlib.contextmanager
    def graph(made: Any) -> Iterator[None]:
        graphs.append(made)
        yield

    cuda = SimpleNamespace(
        is_available=lambda: devices > 0,
        device_count=lambda: devices,
        set_device=lambda index: None,
        get_device_properties=lambda index: SimpleNamespace(L2_cache_size=50 << 20, uuid="1234-abcd"),
        get_device_capability=lambda index: (9, 0),
        get_device_name=lambda index: "NVIDIA H100 80GB HBM3",
        mem_get_info=lambda index: (80e9, 85e9),
        synchronize=lambda: None,
        empty_cache=lambda: None,
        Event=FakeEvent,
        CUDAGraph=Graph,
        graph=graph,
    )
    return SimpleNamespace(
        __version__="2.9.0+cu130",
        version=SimpleNamespace(cuda=None if hip else "13.0", hip=hip),
        backends=SimpleNamespace(cudnn=SimpleNamespace(version=lambda: 91200)),
        cuda=cuda,
        device=lambda name: SimpleNamespace(type=name.partition(":")[0]),
        manual_seed=lambda seed: None,
    )


def test_a_cuda_device_is_opened_with_what_its_driver_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name, versions, memory, cache and capability are the driver's; groups are as large as there are devices."""
    monkeypatch.setattr(opening, "import_torch", lambda: fake_torch(devices=5))
    monkeypatch.setattr(opening, "import_npu", _no_npu)
    device = opening.Opened()
    about = device.about()
    assert (device.kind, device.index, device.capability) == ("cuda", 0, (9, 0))
    assert device.cache_bytes == 50 << 20
    assert about.name == "NVIDIA H100 80GB HBM3"
    assert about.versions == f"suanli {suanli.__version__}; torch 2.9.0+cu130; CUDA 13.0; cuDNN 91200"
    assert (about.memory_bytes, about.ranks) == (80e9, (2, 4))
    assert "fp8" in about.precisions
    assert opening.Opened("cuda:4").index == 4
    assert opening.Opened("cpu").kind == "cpu"
    with pytest.raises(suanli.SuanliError, match=r"--device cuda:5: .* there is cuda \(5\), cpu"):
        opening.Opened("cuda:5")


def _no_npu() -> Any:
    raise suanli.SuanliError("no torch_npu")


def test_without_an_accelerator_the_processor_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch sees no device, the processor is measured; an NPU asked for is missed by name."""
    monkeypatch.setattr(opening, "import_torch", lambda: fake_torch(devices=0))
    monkeypatch.setattr(opening, "import_npu", _no_npu)
    device = opening.Opened()
    assert (device.kind, device.records_graphs, device.capability) == ("cpu", False, (0, 0))
    assert device.cache_bytes <= 80 << 20
    with pytest.raises(suanli.SuanliError, match="no torch_npu"):
        opening.Opened("npu")


def test_a_device_that_is_not_nvidia_s_has_no_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    """What passes for CUDA under HIP is not asked for NVIDIA's formats."""
    monkeypatch.setattr(opening, "import_torch", lambda: fake_torch(hip="7.0"))
    monkeypatch.setattr(opening, "import_npu", _no_npu)
    assert opening.Opened("cuda").capability == (0, 0)
    assert "HIP 7.0" in opening.Opened("cuda").about().versions


def test_events_time_what_is_queued_behind_one_like_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short samples are queued twice and the second is timed; a graph is recorded once and replayed."""
    monkeypatch.setattr(opening, "import_torch", fake_torch)
    device = opening.Opened("cuda")
    queued: list[int] = []
    assert device.timed(lambda: queued.append(1)) == pytest.approx(2e-3)
    assert len(queued) == 2
    graph = device.record(lambda: queued.append(2))
    assert queued.count(2) == 1
    device.timed(graph.replay)
    assert graph.replays == 2


def test_a_device_that_stopped_answering_ends_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an error that a device does not survive, going on would only write nonsense."""
    torch = fake_torch()
    monkeypatch.setattr(opening, "import_torch", lambda: torch)
    device = opening.Opened("cuda")

    def lost() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    torch.cuda.synchronize = lost
    with pytest.raises(
        suanli.SuanliError, match="stopped answering, and this process cannot reach it again: CUDA error"
    ):
        device.recover()


def test_the_largest_cache_of_a_processor_is_read(tmp_path: Path) -> None:
    """Sizes as Linux writes them, the largest taken; none where there is no such folder."""
    for i, size in enumerate(("48K", "2048K", "105M")):
        (tmp_path / f"index{i}").mkdir()
        (tmp_path / f"index{i}" / "size").write_text(size + "\n", encoding="ascii")
    assert opening.host_cache_bytes(tmp_path) == 105 << 20
    assert opening.host_cache_bytes(tmp_path / "none") == 0
