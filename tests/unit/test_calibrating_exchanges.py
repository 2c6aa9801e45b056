"""Calibration of exchanges: the figures of a fabric that times come from are found again, and used."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

import suanli
from suanli.bench.grids import default_shapes
from suanli.calibration.calibrating import calibrate
from suanli.calibration.exchanges import by_fabric
from suanli.calibration.results import CalibratedFabric
from suanli.catalog_files import read_catalog
from suanli.collectives import OPERATIONS, FabricEfficiency, Hierarchical
from suanli.hardware import System
from suanli.measurement_schema import Measurement, Shape, make_shape
from suanli.workspace import Workspace

NOISE = 0.02
SWITCH = {"bandwidth_ratio": 0.6, "ramp_s": 6e-5, "launch_s": 1.1e-5, "latency_s": 1.6e-6, "copy_bytes_per_s": 9e11}
ADDING = {**SWITCH, "reduction_ratio": 0.5, "reduction_s": 3e-5}
BUS = {**SWITCH, "bandwidth_ratio": 0.45, "copy_bytes_per_s": 2e11, "crowding": 1.4}
NETWORK = {"bandwidth_ratio": 0.5, "ramp_s": 2e-4, "latency_s": 2.5e-5}


def own(system: str, fabric: str, figures: Mapping[str, float]) -> FabricEfficiency:
    """An entry of one system."""
    return FabricEfficiency(system=system, fabric=fabric, source="truth", **dict[str, Any](figures))


def measured(
    shapes: Iterable[Shape], system: System, *fabrics: FabricEfficiency, noise: float = NOISE
) -> list[Measurement]:
    """What would be measured on a system were these its figures."""
    assert isinstance(system.exchanges, Hierarchical)
    truth = Hierarchical(name="truth", fabrics=fabrics, rest=system.exchanges)
    draw = random.Random(7)
    return [
        Measurement(shape=s, time_s=float(taken(truth, s, system)) * draw.lognormvariate(0.0, noise), row=i + 2)
        for i, s in enumerate(shapes)
    ]


def taken(model: Any, shape: Shape, system: System) -> float:
    """Seconds of a shape by a model."""
    sizes = {k: float(shape[k]) for k in ("bytes", "ranks", "stride")}
    return float(model.time_s(str(shape["operation"]), system=system, **sizes))


def inside(*ranks: int) -> tuple[Shape, ...]:
    """What `suanli bench` measures on a machine."""
    return default_shapes(("collective",), ("bf16",), ranks)


def beyond(sizes: Iterable[int] = range(12, 31, 2)) -> list[Shape]:
    """Exchanges of one rank in each of two, four and eight nodes of eight."""
    return [
        make_shape("collective", "bf16", operation=operation, bytes=2**i, ranks=ranks, stride=8)
        for operation in OPERATIONS
        for i in sizes
        for ranks in ((2,) if operation == "p2p" else (2, 4, 8))
    ]


def calibrated(rows: Iterable[Measurement], system: System, **more: Any) -> tuple[CalibratedFabric, ...]:
    """Its fabrics."""
    pytest.importorskip("scipy", reason="fitting needs scipy")
    device = suanli.accelerator(system.accelerator)
    return calibrate(rows, device, source="test", system=system, **more).fabrics


def figures(found: CalibratedFabric) -> dict[str, float]:
    """What was fitted."""
    assert found.fit is not None
    return dict(zip(found.fit.names, found.fit.params, strict=True))


@pytest.mark.parametrize(
    ("system", "fabric", "truth"),
    [
        ("dgx-h100", "switch", ADDING),
        ("dgx-a100", "switch", SWITCH),
        ("l40s-8-pcie", "pcie", BUS),
        ("atlas-800t-a2", "full-mesh", SWITCH),
    ],
)
def test_a_known_fabric_is_found_again(system: str, fabric: str, truth: Mapping[str, float]) -> None:
    """From what bench measures, with noise of 2 %: figures within a tenth, every exchange held out within 4 %.

    But for those that few rows speak of, of which a half has three.
    """
    machine = suanli.system(system)
    (found,) = calibrated(measured(inside(2, 4, 8), machine, own(system, fabric, truth)), machine)
    assert (found.system, found.fabric, found.how, found.rows) == (system, fabric, "fitted", 176)
    made = figures(found)
    assert made.keys() == truth.keys()
    assert made["bandwidth_ratio"] == pytest.approx(truth["bandwidth_ratio"], rel=0.05)
    assert made["launch_s"] == pytest.approx(truth["launch_s"], rel=0.05)
    assert made["latency_s"] == pytest.approx(truth["latency_s"], rel=0.1)
    assert found.held_out is not None
    assert len(found.held_out.ratios) == 176
    assert found.held_out.median < 0.03
    assert found.before.median > 4 * found.held_out.median
    assert sum(e.rows for e in found.exchanges) == 176
    assert {e.operation for e in found.exchanges} == set(OPERATIONS)
    for part in found.exchanges:
        assert part.held_out is not None
        assert part.held_out.median < (0.04 if part.rows > 10 else 0.1), part


def test_sizes_and_groups_nobody_measured_follow() -> None:
    """Groups of 8, and sizes between those measured, are predicted within 5 % by a fit to groups of 2 and 4."""
    machine = suanli.system("dgx-a100")
    truth = own("dgx-a100", "switch", SWITCH)
    (found,) = calibrated(measured(inside(2, 4), machine, truth), machine)
    fitted, true = (
        Hierarchical(name="x", fabrics=(e,)) for e in (own("dgx-a100", "switch", figures(found)), truth)
    )  # fmt: skip
    for operation in OPERATIONS[:5]:
        for size in (3000, 98_304, 3_145_728, 402_653_184):
            shape = make_shape("collective", "bf16", operation=operation, bytes=size, ranks=8)
            assert taken(fitted, shape, machine) == pytest.approx(taken(true, shape, machine), rel=0.05), shape


def test_a_network_is_fitted_beside_the_fabric_inside() -> None:
    """A file of both gives both, innermost first; the network's figures come back, though messages pass both."""
    machine = suanli.system("dgx-a100", 64)
    both = (own("dgx-a100", "switch", SWITCH), own("dgx-a100", "nic", NETWORK))
    across = [make_shape("collective", "bf16", operation=o, bytes=2**i, ranks=16) for o in OPERATIONS[:3]
              for i in range(12, 31, 3)]  # fmt: skip
    rows = measured([*beyond(), *inside(2, 4, 8), *across], machine, *both)
    switch, network = calibrated(rows, machine)
    assert (switch.fabric, switch.rows) == ("switch", 176)
    assert (network.fabric, network.rows) == ("nic", len(rows) - 176)
    assert figures(network) == pytest.approx(NETWORK, rel=0.1)
    assert network.held_out is not None
    assert network.held_out.median < 0.03
    assert {e.algorithm for e in network.exchanges if e.operation == "all_reduce"} == {"ring", "tree"}


def test_what_no_row_tells_stays_as_it_was() -> None:
    """Groups of one size say nothing of crowding or of the band of others; without all-reduces none of their sums."""
    bus = suanli.system("l40s-8-pcie")
    assert isinstance(bus.exchanges, Hierarchical)
    known = bus.exchanges.fabric(bus.tiers[0], False)
    pairs = measured(inside(2), bus, own("l40s-8-pcie", "pcie", BUS))
    (found,) = calibrated(pairs, bus)
    assert figures(found)["crowding"] == pytest.approx(known.crowding, rel=0.001)
    assert figures(found)["bandwidth_ratio"] == pytest.approx(BUS["bandwidth_ratio"], rel=0.05)
    assert found.fit is not None
    assert known.interval is not None
    assert found.fit.band[0] <= known.interval[0]
    assert found.fit.band[1] >= known.interval[1]
    assert "all groups are of 2, so the band is no narrower" in found.why

    machine = suanli.system("dgx-h100")
    assert isinstance(machine.exchanges, Hierarchical)
    before = machine.exchanges.fabric(machine.tiers[0], False)
    gathers = [s for s in inside(2, 4, 8) if s["operation"] != "all_reduce"]
    (found,) = calibrated(measured(gathers, machine, own("dgx-h100", "switch", ADDING)), machine)
    assert found.fit is not None
    assert "reduction_ratio" not in found.fit.names
    assert found.fit.fixed["reduction_ratio"] == before.reduction_ratio
    assert found.fit.fixed["engine_ratio"] == before.engine_ratio > 0.0
    assert "engine_ratio, engine_launch_s, engine_latency_s of hopper's switch" in found.fit.source


def test_small_all_reduces_do_not_switch_off_the_sums() -> None:
    """Where only buffers too small for the switches' sums were measured, large ones still use them."""
    machine = suanli.system("dgx-h100")
    small = [s for s in inside(2, 4, 8) if s["bytes"] <= 2**18]
    (found,) = calibrated(measured(small, machine, own("dgx-h100", "switch", ADDING)), machine)
    assert found.how == "fitted"
    assert figures(found)["reduction_ratio"] > 0.4


def test_a_figure_at_its_bound_is_named() -> None:
    """Messages slower than any search goes: the figure that is as far as it may be is named."""
    machine = suanli.system("dgx-a100", 64)
    truth = own("dgx-a100", "nic", {**NETWORK, "latency_s": 4e-4})
    (found,) = calibrated(measured(beyond(), machine, truth), machine)
    assert found.how == "fitted"
    assert figures(found)["latency_s"] == pytest.approx(1e-4)
    assert "; as far as a search goes: latency_s" in found.why


def test_figures_that_hold_are_kept_with_their_errors() -> None:
    """Rows of the shipped figures themselves: written as the system's own, with the band of these rows."""
    machine = suanli.system("dgx-a100")
    assert isinstance(machine.exchanges, Hierarchical)
    known = machine.exchanges.fabric(machine.tiers[0], False)
    (found,) = calibrated(measured(inside(2, 4, 8), machine), machine)
    assert found.how == "kept"
    assert "ampere's switch figures meet the rows better" in found.why
    made = figures(found)
    assert made
    assert made == {name: getattr(known, name) for name in made}
    assert found.held_out is not None
    assert found.held_out.median == found.before.median < 0.1


def test_few_rows_are_said_and_not_fitted() -> None:
    """A quick bench of two devices is no fit: nothing is written, the errors so far are told all the same."""
    pytest.importorskip("scipy", reason="fitting needs scipy")
    machine = suanli.system("dgx-a100")
    shapes = default_shapes(("collective",), ("bf16",), (2,), quick=True)
    rows = measured(shapes, machine, own("dgx-a100", "switch", SWITCH))
    made = calibrate(rows, suanli.accelerator("a100-80gb"), source="test", system=machine)
    (found,) = made.fabrics
    assert (found.how, found.fit, found.held_out) == ("unchanged", None, None)
    assert found.why == "18 rows are too few, a fit needs 10 in each half of them"
    assert found.before.median > 0.04
    assert made.fits == ()
    assert "[[fabric_efficiency]]" not in made.toml()


def test_the_file_is_found_and_changes_the_estimate(tmp_path: Path) -> None:
    """A workspace with the folder exchanges, and trains, as the measured system; another system does not."""
    pytest.importorskip("scipy", reason="fitting needs scipy")
    machine = suanli.system("dgx-h100")
    truth = own("dgx-h100", "switch", {**ADDING, "bandwidth_ratio": 0.3, "reduction_ratio": 0.1})
    rows = measured(inside(2, 4, 8), machine, truth)
    made = calibrate(rows, suanli.accelerator("h100"), source='Acme "lab" \\ run\t1', date="2026-02-03", system=machine)
    (tmp_path / "c.toml").write_text(made.toml(), encoding="utf-8")
    (model,) = read_catalog(tmp_path).collective_models
    assert isinstance(model, Hierarchical)
    (entry,) = model.fabrics
    assert (entry.system, entry.fabric, entry.rows, entry.date) == ("dgx-h100", "switch", 176, "2026-02-03")
    assert entry.source.startswith('Acme "lab" \\ run\t1')
    assert entry.median_error is not None
    own_place = Workspace(paths=[tmp_path])
    shape = make_shape("collective", "bf16", operation="all_gather", bytes=2**28, ranks=8)
    sizes = {"bytes": 2**28, "ranks": 8}
    there = own_place.system("dgx-h100").collective_s("all_gather", **sizes)
    assert there == pytest.approx(
        taken(Hierarchical(name="x", fabrics=(truth,)), shape, machine), rel=0.05
    )  # fmt: skip
    assert own_place.system("dgx-h200").collective_s("all_gather", **sizes) == suanli.system("dgx-h200").collective_s(
        "all_gather", **sizes
    )
    scenario = {
        "model": {"name": "llama-3-70b"},
        "system": {"name": "dgx-h100", "accelerators": 8},
        "workload": {"kind": "serve", "prompt": 2048, "output": 128, "batch": 8},
        "layout": {"tensor": 8},
        "precision": {"recipe": "fp8"},
    }
    before, after = (w.estimate(w.scenario(scenario)) for w in (suanli.Workspace(), own_place))
    assert after.serving.ttft_s > 1.05 * before.serving.ttft_s


def test_an_earlier_calibration_is_not_what_is_known(tmp_path: Path) -> None:
    """Calibrating again starts from the generation's figures, and tells the errors of the file that is there."""
    machine = suanli.system("dgx-a100")
    rows = measured(inside(2, 4, 8), machine, own("dgx-a100", "switch", SWITCH))
    pytest.importorskip("scipy", reason="fitting needs scipy")
    device = suanli.accelerator("a100-80gb")
    first = calibrate(rows, device, source="test", system=machine)
    (tmp_path / "c.toml").write_text(first.toml(), encoding="utf-8")
    again = calibrate(rows, device, source="test", system=Workspace(paths=[tmp_path]).system("dgx-a100"))
    assert again.fabrics[0].before.median < 0.03 < first.fabrics[0].before.median
    assert figures(again.fabrics[0]) == figures(first.fabrics[0])


def test_exchanges_of_no_system_are_counted() -> None:
    """Without a system, beyond its network, or of another accelerator: said, and never taken for the default's."""
    device, rows = suanli.accelerator("l40"), [Measurement(shape=s, time_s=1e-3) for s in beyond([20])[:3]]
    groups, left_out = by_fabric(rows, device, None)
    assert groups == {}
    assert list(left_out.values()) == [3]
    assert "no system of l40 is known" in next(iter(left_out))
    groups, left_out = by_fabric(rows, device, suanli.system("l40-8-pcie"))
    assert groups == {}
    assert "exchanges of more accelerators than the network of l40-8-pcie joins" in left_out
    with pytest.raises(suanli.SuanliError, match="dgx-h100 is a system of h100-sxm5-80, not of l40"):
        by_fabric(rows, device, suanli.system("dgx-h100"))


@pytest.mark.parametrize(("ranks", "used"), [(2, {"ring"}), (8, {"ring", "switches"}), (64, {"ring", "tree"})])
def test_the_algorithm_named_is_the_soonest(ranks: int, used: set[str]) -> None:
    """Small buffers of many nodes go by a tree, large ones of eight ranks by the switches; nothing else has a choice.

    Where switches add no more, what they added takes longer, and nothing else does.
    """
    machine = suanli.system("dgx-h100", 64)
    model = machine.exchanges
    assert isinstance(model, Hierarchical)
    entry = model.fabric(machine.tiers[0], False)
    plain = Hierarchical(name="x", fabrics=(attrs.evolve(entry, reduction_ratio=0.0),), rest=model)
    found = set()
    for size in (2**i for i in range(8, 34, 2)):
        group = {"bytes": float(size), "ranks": float(ranks), "stride": 1.0, "system": machine}
        one = model.algorithm("all_reduce", **group)
        longer = plain.time_s("all_reduce", **group) > model.time_s("all_reduce", **group)
        assert longer == (one == "switches")
        assert model.algorithm("all_gather", **group) == ""
        found.add(one)
    assert found == used
