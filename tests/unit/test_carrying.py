"""Figures of the accelerator measured, carried to others by what they state of themselves."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

import suanli
from suanli.hardware import Accelerator, Rate, Source
from suanli.kernel_models import Efficiency, Roofline
from suanli.kernel_models.carrying import RESTRAINED_RATIO, carried, facts_of
from suanli.kernels import BF16, Formats, gemm

MEASURED = Accelerator(
    id="measured",
    vendor="Acme",
    product="Measured",
    memory_bytes=1 << 36,
    memory_bandwidth_bytes_per_s=1e12,
    cores=10,
    clock_hz=1e9,
    sustained_ratio=0.8,
    peak=(Rate("bf16", 1e14), Rate("fp8", 2e14), Rate("fp32", 1e13)),
    source=(Source("all", "made up"),),
)


def fitted(**figures: Any) -> Efficiency:
    """Figures fitted to `MEASURED`."""
    about: dict[str, Any] = {"compute_ratio": 0.6, "bandwidth_ratio": 0.9, "launch_s": 4e-6, "tile_s": 1e-6}
    return Efficiency(
        kernel="gemm", precision="bf16", source="made up", **(about | facts_of(MEASURED)._asdict() | figures)
    )


def other(**facts: Any) -> Accelerator:
    """Another accelerator of the generation."""
    return attrs.evolve(MEASURED, id="other", **facts)


def test_nothing_changes_on_the_accelerator_measured() -> None:
    """What was fitted is what it is asked for."""
    assert carried(fitted(), MEASURED) == (fitted(), 1.0)


def test_latencies_are_cycles() -> None:
    """Twice the clock, half the seconds; shares stay; a clock nobody states leaves seconds as they are."""
    fast = carried(fitted(), other(clock_hz=2e9)).fitted
    assert (fast.launch_s, fast.tile_s, fast.bandwidth_ratio) == (2e-6, 0.5e-6, 0.9)
    unknown = carried(fitted(), other(clock_hz=None)).fitted
    assert (unknown.launch_s, unknown.tile_s) == (4e-6, 1e-6)


@pytest.mark.parametrize(
    ("sustained", "expected"),
    [
        (0.8, 0.6),
        (0.4, 0.3),  # half of what the measured one sustains, and so half in this kernel
        (1.0, 0.75),
        (None, 0.6),
    ],
)
def test_power_decides_what_is_sustained(sustained: float | None, expected: float) -> None:
    """The share of the peak goes with the accelerator's own."""
    assert carried(fitted(), other(sustained_ratio=sustained)).fitted.compute_ratio == pytest.approx(expected)


def test_no_more_than_the_accelerator_sustains() -> None:
    """In proportion would be 0.9 x 0.9 / 0.8 = 1.01 of the peak."""
    assert carried(fitted(compute_ratio=0.9), other(sustained_ratio=0.9)).fitted.compute_ratio == 0.9


def test_cores_held_back_sustain_nearly_all_they_are_let() -> None:
    """An export version with the same cores and a quarter of the peak: 0.6 of the cores is more than it is let."""
    held = tuple(Rate(r.precision, r.flops_per_s / 4) for r in MEASURED.peak)
    own, headroom = carried(fitted(), other(peak=held, sustained_ratio=0.97))
    assert (own.compute_ratio, headroom) == (0.97, 4.0)
    assert carried(fitted(), other(peak=held, sustained_ratio=None)).fitted.compute_ratio == RESTRAINED_RATIO


def test_cores_held_back_load_as_they_were_built_to() -> None:
    """A product bound by its cores' loads takes as long on them as on the accelerator measured."""
    entry = fitted(launch_s=0.0, core_bytes_per_flop=0.03, tiles=((16, 16),), exposed_ratio=0.0)
    model = Roofline(name="by-hand", efficiencies=(entry,))
    kernel = gemm(m=640.0, n=640.0, k=65536.0, formats=BF16)
    held = other(peak=tuple(Rate(r.precision, r.flops_per_s / 2) for r in MEASURED.peak))
    assert model.time_s(kernel, held) == pytest.approx(model.time_s(kernel, MEASURED))


def test_a_higher_peak_is_of_use_but_where_cores_bind() -> None:
    """Twice the peak halves the arithmetic; of what a core unpacks by itself it changes nothing."""
    twice = other(peak=tuple(Rate(r.precision, r.flops_per_s * 2) for r in MEASURED.peak))
    kernel = gemm(m=6400.0, n=6400.0, k=65536.0)
    for bound, expected in ((False, 0.5), (True, 1.0)):
        entry = fitted(launch_s=0.0, tile_s=0.0, exposed_ratio=0.0, bound_by_cores=bound, tiles=((64, 64),))
        model = Roofline(name="by-hand", efficiencies=(entry,))
        assert model.time_s(kernel, twice) == pytest.approx(expected * model.time_s(kernel, MEASURED))


def test_what_a_confidential_accelerator_states_stays_hidden() -> None:
    """A figure made with its clock would tell it."""
    assert carried(fitted(), other(clock_hz=2e9, confidential=True)).fitted.confidential
    assert not carried(fitted(), other(clock_hz=2e9)).fitted.confidential


def test_static_scales_spare_the_pass_over_the_inputs() -> None:
    """Where only the dynamic format was fitted, its figures serve the static one, less what quantising takes."""
    entry = attrs.evolve(fitted(quantise_bandwidth_ratio=0.5, quantise_s=1e-5, tiles=((64, 64),)), precision="fp8")
    model = Roofline(name="by-hand", efficiencies=(entry,))
    dynamic, static = (
        model.time_s(gemm(m=64.0, n=64.0, k=4096.0, formats=Formats(precision=p, compute="fp8")), MEASURED)
        for p in ("fp8", "fp8_static")
    )
    assert dynamic - static == pytest.approx(1e-5 + 64 * 4096 * 4.0 / 0.5e12)


def test_an_export_version_is_predicted_by_its_generation() -> None:
    """An H20, whose products nobody fitted, reaches nine tenths of its peak, where an H100 has seven tenths.

    alibaba/InferSim measured 8,610 us for 32768 x 7168 x 5120 in fp8 with block scales (DeepGEMM, 94 % of 296 TFLOP/s).
    """
    h20 = suanli.accelerator("h20")
    kernel = gemm(
        m=32768.0,
        n=7168.0,
        k=5120.0,
        formats=Formats(precision="fp8_block_static", compute="fp8", weights=1.0, activations=1.0),
    )
    assert h20.kernels is not None
    assert h20.kernels.time_s(kernel, h20) == pytest.approx(8610e-6, rel=0.1)
