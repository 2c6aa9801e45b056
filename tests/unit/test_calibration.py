"""Calibration: figures that measurements come from are found again, by a fit or by one factor."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path

import attrs
import pytest

import suanli
from suanli.bench.grids import default_shapes
from suanli.calibration import scaling
from suanli.calibration.calibrating import calibrate
from suanli.calibration.fitting import MINIMUM_ROWS
from suanli.calibration.records import halved
from suanli.calibration.results import Calibrated, Calibration
from suanli.calibration.sampling import by_class
from suanli.catalog_files import read_catalog
from suanli.hardware import Accelerator
from suanli.kernel_models import Efficiency, Roofline
from suanli.measurement_schema import CERTAIN, Measurement, Shape, kernel_of, make_shape
from suanli.workspace import Workspace

H100 = "h100-sxm5-80"
NOISE = 0.02


@pytest.fixture(scope="module")
def h100() -> Accelerator:
    """An accelerator with fitted products and attention, and passes by the datasheet's figures."""
    return suanli.accelerator(H100)


def measured(
    shapes: Iterable[Shape], accelerator: Accelerator, change: Callable[[Efficiency], Efficiency], noise: float = NOISE
) -> list[Measurement]:
    """What would be measured were the figures of each class changed so."""
    model, draw = accelerator.kernels, random.Random(3)
    assert isinstance(model, Roofline)
    found = []
    for i, shape in enumerate(shapes):
        kernel = kernel_of(shape, accelerator)
        known = model.efficiency(kernel.kind, kernel.precision)
        own = attrs.evolve(known, kernel=kernel.kind, precision=kernel.precision)
        truth = Roofline(name="truth", efficiencies=(change(own),))
        time_s = float(truth.time_s(kernel, accelerator)) * draw.lognormvariate(0.0, noise)
        found.append(Measurement(shape=shape, time_s=time_s, row=i + 2))
    return found


def products(count: int, precision: str = "bf16") -> list[Shape]:
    """Products of sizes spread over the logarithms."""
    draw = random.Random(1)
    sizes = [[round(2 ** draw.uniform(*span)) for span in ((0, 13), (8, 14), (8, 14))] for _ in range(count)]
    return [make_shape("gemm", precision, m=m, n=n, k=k) for m, n, k in sizes]


def decodes(count: int) -> list[Shape]:
    """Decode steps of batches and contexts spread over the logarithms."""
    draw = random.Random(2)
    sizes = [(round(2 ** draw.uniform(0, 8)), round(2 ** draw.uniform(6, 14))) for _ in range(count)]
    known = {"phase": "decode", "query": 1, "heads": 32, "kv_heads": 8, "head_dim": 128}
    return [make_shape("attention", "bf16", batch=b, kv_tokens=t, **known) for b, t in sizes]


def passes(count: int) -> list[Shape]:
    """Residuals of many lengths."""
    sizes = [round(2 ** (12 + 18 * i / count)) for i in range(count)]
    return [make_shape("elementwise", "bf16", operation="add", bytes=size) for size in sizes]


def another(known: Efficiency) -> Efficiency:
    """A device that computes less well, moves more slowly and launches later: not by one factor."""
    return attrs.evolve(
        known, compute_ratio=known.compute_ratio * 0.6, bandwidth_ratio=0.5, launch_s=known.launch_s + 6e-6
    )


def slower(known: Efficiency) -> Efficiency:
    """A device slower by a third in everything."""
    return scaling.scaled(known, 4.0 / 3.0)


def one_class(made: Calibration) -> Calibrated:
    """The only class there is."""
    (found,) = made.classes
    return found


def test_a_known_pass_is_found_again(h100: Accelerator) -> None:
    """Three figures of a roofline come back within a few percent from times with noise."""
    pytest.importorskip("scipy", reason="fitting needs scipy")
    truth = {"compute_ratio": 0.5, "bandwidth_ratio": 0.6, "launch_s": 7e-6}
    rows = measured(passes(80), h100, lambda e: attrs.evolve(e, warm_ratio=0.0, **truth))  # type: ignore[arg-type]
    found = one_class(calibrate(rows, h100, source="test"))
    assert (found.how, found.kernel, found.precision) == ("fitted", "elementwise", "fp32")
    assert found.fit is not None
    figures = dict(zip(found.fit.names, found.fit.params, strict=True))
    assert figures["bandwidth_ratio"] == pytest.approx(0.6, rel=0.05)
    assert figures["launch_s"] == pytest.approx(7e-6, rel=0.05)


@pytest.mark.parametrize(("shapes", "most"), [(products(150), 0.05), (decodes(100), 0.05)])
def test_another_device_is_predicted_on_rows_not_fitted(shapes: list[Shape], most: float, h100: Accelerator) -> None:
    """Times of other figures, with noise of 2 %: held out within a few percent, where the known figures miss."""
    pytest.importorskip("scipy", reason="fitting needs scipy")
    found = one_class(calibrate(measured(shapes, h100, another), h100, source="test"))
    assert found.how == "fitted"
    assert found.held_out is not None
    assert len(found.held_out.ratios) == len(shapes)
    assert found.held_out.median < most
    assert abs(found.held_out.bias) < 0.02
    assert found.before.median > 4 * found.held_out.median


def test_few_rows_are_scaled(h100: Accelerator) -> None:
    """Fewer rows than a fit needs move the known figures by one factor, and say whose they are."""
    pytest.importorskip("scipy", reason="fitting needs scipy")
    found = one_class(calibrate(measured(products(MINIMUM_ROWS), h100, slower), h100, source="Acme, run 1"))
    assert found.how == "scaled"
    assert "hopper's gemm bf16, 1.3" in found.why
    assert f"a fit needs {MINIMUM_ROWS} rows in each half" in found.why
    assert found.held_out is not None
    assert found.held_out.median < 0.04
    assert found.fit is not None
    known = h100.kernels
    assert isinstance(known, Roofline)
    band = known.efficiency("gemm", "bf16").band
    assert found.fit.band[0] <= band[0]
    assert found.fit.band[1] >= band[1]


def test_two_rows_change_nothing(h100: Accelerator) -> None:
    """Rows that say nothing are not written, and the class says so."""
    pytest.importorskip("scipy", reason="fitting needs scipy")
    made = calibrate(measured(products(2), h100, slower), h100, source="test")
    found = one_class(made)
    assert (found.how, found.fit, found.held_out) == ("unchanged", None, None)
    assert "2 rows are too few" in found.why
    assert "[[efficiency]]" not in made.toml()


@pytest.mark.parametrize("factor", [0.8, 1.5, 4.0])
def test_a_scaled_entry_takes_the_factor(factor: float, h100: Accelerator) -> None:
    """Every kind of kernel takes `factor` times as long where nothing bounds its figures.

    Slow figures to begin with, so that faster ones are allowed; and cores that load any amount: what a core loads at
    least is the memory's to say.
    """
    moe = make_shape("moe", "bf16", tokens=512, hidden=4096, intermediate=14336, experts=8, top_k=2)
    prefill = make_shape(
        "attention", "bf16", phase="prefill", batch=2, query=1024, kv_tokens=1024, heads=32, kv_heads=8, head_dim=128
    )
    model = h100.kernels
    assert isinstance(model, Roofline)
    for shape in (*products(20), *decodes(10), *passes(5), moe, prefill):
        kernel = kernel_of(shape, h100)
        known = attrs.evolve(model.efficiency(kernel.kind, kernel.precision), core_bytes_per_flop=0.0)
        slow = scaling.scaled(known, 3.0)
        own = [attrs.evolve(e, kernel=kernel.kind, precision=kernel.precision)
               for e in (slow, scaling.scaled(slow, factor))]  # fmt: skip
        one, other = (float(Roofline(name="x", efficiencies=(e,)).time_s(kernel, h100)) for e in own)
        assert other / one == pytest.approx(factor, rel=0.005), shape


def test_rows_of_no_class_are_counted(h100: Accelerator) -> None:
    """Passes whose traffic is the implementation's are left out by name; exchanges are of no class of kernels."""
    shapes = [
        make_shape("collective", "bf16", operation="all_reduce", bytes=1 << 20, ranks=8),
        make_shape("elementwise", "bf16", operation="softmax", bytes=1 << 20),
        *passes(1),
    ]
    groups, left_out = by_class([Measurement(shape=s, time_s=1e-3) for s in shapes], h100)
    assert list(groups) == [("elementwise", "fp32")]
    assert left_out == {"passes other than copy and add: their traffic is the implementation's": 1}


@pytest.mark.parametrize("precisions", [("bf16",), ("fp32",), ("bf16", "fp16", "tf32", "fp32", "fp8", "int8")])
def test_bench_measures_passes_enough_to_fit(precisions: tuple[str, ...], h100: Accelerator) -> None:
    """Whatever precisions are asked for, copies and residuals of the default shapes are fitted, not scaled."""
    pytest.importorskip("scipy", reason="fitting needs scipy")
    shapes = default_shapes(("elementwise",), precisions)
    rows = [s for s in shapes if s["operation"] in CERTAIN]
    others = [Measurement(shape=s, time_s=1e-3) for s in shapes if s["operation"] not in CERTAIN]
    made = calibrate([*measured(rows, h100, another), *others], h100, source="test")
    found = one_class(made)
    assert (found.how, found.kernel, found.rows) == ("fitted", "elementwise", len(rows))
    assert found.held_out is not None
    assert found.held_out.median < 0.05
    assert [n for _, n in made.left_out] == [len(others)]


def test_one_shape_is_never_in_both_halves(h100: Accelerator) -> None:
    """Repeats of a shape are on one side of the split: what is held out was not seen."""
    rows = [Measurement(shape=s, time_s=1e-3) for s in products(40) * 2]
    groups, _ = by_class(rows, h100)
    left, right = halved(groups["gemm", "bf16"])
    assert not {r.shape for r in left} & {r.shape for r in right}
    assert left
    assert right


def test_the_file_is_found_and_changes_the_time(tmp_path: Path, h100: Accelerator) -> None:
    """A workspace with the folder predicts as the measured device; other kernels stay the generation's."""
    pytest.importorskip("scipy", reason="fitting needs scipy")
    shapes = products(60)
    made = calibrate(measured(shapes, h100, slower), h100, source='Acme "lab" \\ run\t1', date="2026-02-03")
    (tmp_path / "acme-calibration.toml").write_text(made.toml(), encoding="utf-8")
    (entry,) = read_catalog(tmp_path).kernel_models[0].efficiencies  # type: ignore[attr-defined]
    assert (entry.accelerator, entry.rows, entry.date) == (H100, 60, "2026-02-03")
    assert entry.source.startswith('Acme "lab" \\ run\t1')
    assert entry.held_out_rows == 60
    assert entry.median_error is not None
    own = Workspace(paths=[tmp_path]).accelerator("h100")
    sizes = {"m": 4096, "n": 8192, "k": 4096}
    assert own.gemm_s(**sizes) == pytest.approx(h100.gemm_s(**sizes) * 4 / 3, rel=0.05)
    decode = dict(decodes(1)[0].dims)
    assert own.attention_s(**decode) == h100.attention_s(**decode)
    assert own.gemm_s(**sizes, precision="fp8") == h100.gemm_s(**sizes, precision="fp8")


def test_an_earlier_calibration_is_not_scaled(tmp_path: Path, h100: Accelerator) -> None:
    """Calibrating again starts from the generation's figures: its own have seen the rows."""
    pytest.importorskip("scipy", reason="fitting needs scipy")
    rows = measured(products(12), h100, slower)
    first = calibrate(rows, h100, source="test")
    (tmp_path / "c.toml").write_text(first.toml(), encoding="utf-8")
    again = one_class(calibrate(rows, Workspace(paths=[tmp_path]).accelerator("h100"), source="test"))
    assert again.before.median < 0.05 < one_class(first).before.median
    assert again.why == one_class(first).why
    assert again.held_out is not None
    assert again.held_out.median == one_class(first).held_out.median  # type: ignore[union-attr]


def test_a_class_fitted_twice_is_refused(tmp_path: Path) -> None:
    """Two files of one folder that calibrate the same class: neither is taken in silence."""
    text = f'[[efficiency]]\naccelerator = "{H100}"\nkernel = "gemm"\nprecision = "bf16"\n'
    text += 'compute_ratio = 0.5\nbandwidth_ratio = 0.5\nsource = "x"\n'
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(suanli.SuanliError, match=f"fitted twice: {H100} gemm bf16"):
        read_catalog(tmp_path)


def test_without_scipy_the_command_that_installs_it_is_told(h100: Accelerator, monkeypatch: pytest.MonkeyPatch) -> None:
    """One message, before anything is fitted."""
    import importlib

    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])

    monkeypatch.setattr(importlib, "import_module", missing)
    rows = [Measurement(shape=s, time_s=1e-3) for s in products(3)]
    with pytest.raises(suanli.SuanliError, match=r"scipy.*pip install 'suanli\[calibrate\]'"):
        calibrate(rows, h100, source="test")
