"""Laws every Ascend entry keeps, and what its plugin warns of."""

from __future__ import annotations

import math
from importlib.resources import files
from typing import Any

import pytest

import suanli
from suanli import Accelerator, System, read_catalog

FLOP_PER_CLOCK = 2 * 16**3
"""Of one Cube core: 16 x 16 x 16 multiply-adds, on every server part (CANN platform configuration, cube_m_size ...)."""


FILES = read_catalog(files("suanli_ascend"))
ACCELERATORS, SYSTEMS = FILES.accelerators, FILES.systems
each_accelerator = pytest.mark.parametrize("part", ACCELERATORS, ids=lambda a: a.id)
each_system = pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.id)
PACKAGES = [("ascend-910c", "ascend-910c-die"), ("atlas-300i-duo", "atlas-300i-duo-chip")]
COUNTED_TWICE = [
    ("atlas-800t-a3", "atlas-800t-a3-dies"),
    ("atlas-900-a3-superpod", "atlas-900-a3-superpod-dies"),
    ("atlas-800-3000-duo", "atlas-800-3000-duo-chips"),
]


def near(value: float, wanted: float, tolerance: float = 3e-3) -> bool:
    """Whether two figures agree to the digits datasheets give."""
    return math.isclose(value, wanted, rel_tol=tolerance)


@each_accelerator
def test_the_peak_is_the_cube_s(part: Accelerator) -> None:
    """FP16 is cores x 8192 FLOP x clock: the Cube alone, without the vector unit."""
    assert part.cores is not None
    assert part.clock_hz is not None
    assert near(part.rates["fp16"], part.cores * FLOP_PER_CLOCK * part.clock_hz)


@each_accelerator
def test_the_formats_of_the_cube(part: Accelerator) -> None:
    """INT8 is twice FP16 and BF16 its equal; FP8 and FP4 are twice and four times it where there is a path."""
    half = part.rates["fp16"]
    assert near(part.rates["int8"], 2.0 * half)
    assert part.rates["bf16"] in (0.0, half)
    for precision, times in (("fp8", 2.0), ("fp4", 4.0)):
        assert part.rates[precision] == 0.0 or near(part.rates[precision], times * half, 1e-2)


@each_accelerator
def test_what_each_generation_has(part: Accelerator) -> None:
    """BF16 and 32-bit Cube products came with the 910B, FP8 and FP4 with the 950; a missing path is stated as none."""
    first = part.generation in ("davinci-max", "davinci-310p")
    assert (part.rates["bf16"] == 0.0) == first
    assert ("tf32" not in part.rates) == first
    for precision in ("fp8", "fp4"):
        assert (part.rates[precision] > 0.0) == (part.generation == "ascend-950")
    if not first:
        share = 0.5 if part.generation == "ascend-950" else 0.25
        assert near(part.rates["tf32"], share * part.rates["fp16"])


@each_accelerator
def test_a_headline_is_the_cube_and_more(part: Accelerator) -> None:
    """A headline is never below the peak; it is Cube plus vector, or the entry says that it does not add up."""
    vector = part.rates.get("fp32", 0.0)
    for headline in part.headline_peak:
        assert headline.flops_per_s >= part.rates[headline.precision]
    headlines = {r.precision: r.flops_per_s for r in part.headline_peak}
    if "fp16" not in headlines or not vector:
        return
    if not near(headlines["fp16"], part.rates["fp16"] + 2.0 * vector):
        assert "unresolved" in part.note
        assert part.confidence == "low"


@each_accelerator
def test_elementwise_work_is_held_against_the_vector_unit(part: Accelerator) -> None:
    """The FP32 peak, where it is stated, is the vector unit's: a small share of the Cube's FP16."""
    if "fp32" in part.rates:
        assert 0.0 < part.rates["fp32"] < 0.08 * part.rates["fp16"]
        assert part.vector_precision == "fp32"


@each_accelerator
def test_every_part_can_be_named_alone(part: Accelerator) -> None:
    """Its default system is there, and is built of it."""
    assert part.default_system is not None
    system = suanli.system(part.default_system)
    assert system.accelerator == part.id
    assert system.device is not None


@each_accelerator
def test_figures_have_documents(part: Accelerator) -> None:
    """Peak and memory are each stated in a document, and so is a headline, a power and a usable memory."""
    groups = {s.group for s in part.source}
    assert {"peak", "memory"} <= groups
    assert "headline_peak" in groups or not part.headline_peak
    assert "power" in groups or part.power_w is None
    assert "usable_memory" in groups or part.usable_memory_bytes is None


@each_accelerator
def test_a_contested_part_says_so(part: Accelerator) -> None:
    """Low confidence comes with a note of what is contested."""
    assert part.confidence == "high" or part.note


@each_accelerator
def test_siblings_are_there(part: Accelerator) -> None:
    """What an alias could also have meant is in the catalog, and is another part."""
    for name in part.siblings:
        assert suanli.catalog().entry("accelerator", name).name == name != part.id


@each_accelerator
def test_products_in_every_precision_it_has(part: Accelerator) -> None:
    """Each precision with a path gives a finite time, no shorter than the peak allows."""
    device = suanli.accelerator(part.id)
    for precision, rate in part.rates.items():
        if rate > 0.0:
            seconds = device.gemm_s(m=2048, n=4096, k=4096, precision=precision)
            assert math.isfinite(seconds)
            assert seconds >= 2.0 * 2048 * 4096 * 4096 / rate


@each_accelerator
def test_only_the_measured_architecture_is_calibrated(part: Accelerator) -> None:
    """The 910B's fitted efficiencies serve the parts with its cores; other cores have the datasheet's."""
    model = suanli.accelerator(part.id).kernels
    assert model is not None
    same = part.architecture.startswith("DaVinci C220")
    assert model.name == ("roofline-davinci-c220" if same else "roofline-datasheet")
    assert model.rung == ("calibrated" if same else "analytic")


@each_system
def test_a_mesh_has_a_link_to_every_peer(system: System) -> None:
    """On a full mesh the bandwidth of an accelerator is its peers times the link to one; nothing else states one."""
    for tier in system.tiers:
        if tier.topology == "full-mesh":
            assert tier.span is not None
            assert tier.per_peer_bytes_per_s is not None
            assert tier.bandwidth_bytes_per_s == pytest.approx((tier.span - 1) * tier.per_peer_bytes_per_s)
        else:
            assert tier.per_peer_bytes_per_s is None


@each_system
def test_tiers_are_innermost_first(system: System) -> None:
    """Each tier joins more than the one inside it, at no more bandwidth; only the last joins any number."""
    assert system.tiers
    assert all(t.span is not None for t in system.tiers[:-1])
    spans = [t.span or math.inf for t in system.tiers]
    assert spans == sorted(set(spans))
    rates = [t.bandwidth_bytes_per_s for t in system.tiers]
    assert rates == sorted(rates, reverse=True)
    assert system.reach is None or system.reach >= system.accelerators_per_node


@each_system
def test_a_pair_gets_one_link(system: System) -> None:
    """Two accelerators of one mesh exchange over their one link, others over all of theirs."""
    found, tier = suanli.system(system.id), system.tiers[0]
    seconds = found.collective_s("p2p", bytes=1 << 28, ranks=2)
    assert seconds >= (1 << 28) / (tier.per_peer_bytes_per_s or tier.bandwidth_bytes_per_s)


@each_system
def test_a_system_names_its_documents(system: System) -> None:
    """What is stated of the machine, its latencies and its power is stated somewhere."""
    groups = {s.group for s in system.source}
    assert "all" in groups
    assert "latency" in groups or all(t.latency_s is None for t in system.tiers)
    assert "power" in groups or system.power_per_node_w is None
    assert system.confidence == "high" or system.note


@pytest.mark.parametrize(("package", "part"), PACKAGES)
def test_a_package_is_two_of_its_parts(package: str, part: str) -> None:
    """Memory, bandwidth, cores, cache and every rate of the package are twice the part's."""
    whole, half = suanli.accelerator(package), suanli.accelerator(part)
    assert whole.memory_bytes == 2 * half.memory_bytes
    assert near(whole.memory_bandwidth_bytes_per_s, 2 * half.memory_bandwidth_bytes_per_s)
    assert whole.cores == 2 * (half.cores or 0)
    assert whole.l2_cache_bytes == 2 * (half.l2_cache_bytes or 0)
    assert whole.rates.keys() == half.rates.keys()
    for precision, rate in whole.rates.items():
        assert near(rate, 2.0 * half.rates[precision])
    assert part in whole.siblings


@pytest.mark.parametrize(("packages", "parts"), COUNTED_TWICE)
def test_a_machine_counted_both_ways_is_one_machine(packages: str, parts: str) -> None:
    """The same node, power and host memory; twice the ranks, and a link shared by two."""
    sold, seen = suanli.system(packages), suanli.system(parts)
    assert seen.accelerators_per_node == 2 * sold.accelerators_per_node
    assert seen.power_per_node_w == sold.power_per_node_w
    assert seen.host_memory_bytes == sold.host_memory_bytes
    for ours, theirs in zip(seen.tiers, sold.tiers, strict=True):
        assert ours.span == (None if theirs.span is None else 2 * theirs.span)
        assert ours.bandwidth_bytes_per_s == pytest.approx(0.5 * theirs.bandwidth_bytes_per_s)
    assert parts in sold.note


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("910", "ascend-910a"),
        ("910A", "ascend-910a"),
        ("Ascend-910", "ascend-910a"),
        ("910b", "ascend-910b2"),
        ("910b1", "ascend-910b1"),
        ("910b3", "ascend-910b3"),
        ("910B4-1", "ascend-910b4-64"),
        ("910b2c", "ascend-910b2c"),
        ("910c", "ascend-910c"),
        ("910c-die", "ascend-910c-die"),
        ("310p", "ascend-310p3"),
        ("310P3", "ascend-310p3"),
        ("300i-duo", "atlas-300i-duo"),
        ("300i-a2", "atlas-300i-a2"),
        ("950pr", "ascend-950pr-server"),
        ("950dt", "ascend-950dt"),
        ("atlas-350", "atlas-350-950pr"),
    ],
)
def test_names_people_type(typed: str, found: str) -> None:
    """The names of npu-smi, of Huawei's pages and of forums find the part."""
    assert suanli.accelerator(typed).id == found


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("cm384", "atlas-900-a3-superpod"),
        ("CloudMatrix-384", "atlas-900-a3-superpod"),
        ("atlas-900-a3", "atlas-900-a3-superpod"),
        ("cm384-dies", "atlas-900-a3-superpod-dies"),
        ("atlas-800i-a3", "atlas-800i-a3-dies"),
        ("atlas-800-9000", "ascend-910a-8"),
        ("atlas-350-host", "atlas-350-16"),
        ("atlas-950", "atlas-950-superpod"),
    ],
)
def test_machines_people_type(typed: str, found: str) -> None:
    """So do the names of machines."""
    assert suanli.system(typed).id == found


@pytest.mark.parametrize("typed", ["910", "910b", "910b4", "910c", "310p", "950pr", "atlas-350"])
def test_a_name_of_several_parts_says_which_was_taken(typed: str) -> None:
    """An ambiguous name is resolved, and the report names what else it could have meant."""
    device = suanli.accelerator(typed)
    notes = [p.message for p in served({"accelerator": typed}).problems if p.code == "ambiguous-accelerator"]
    assert len(notes) == 1
    assert all(name in notes[0] for name in (device.id, *device.siblings))


def served(system: dict[str, Any], **precision: str) -> suanli.Report:
    """One request served by a small model."""
    return suanli.estimate(
        {
            "model": {"name": "llama-2-7b"},
            "system": {"accelerators": 1} | system,
            "workload": {"kind": "serve", "prompt": 512, "output": 64},
            "layout": {"tensor": 1},
            "precision": precision,
        }
    )


def trained(system: str) -> suanli.Report:
    """A step of a small model on one node."""
    return suanli.estimate(
        {
            "model": {"name": "llama-2-7b"},
            "system": {"name": system},
            "workload": {"kind": "pretrain", "global_batch": 64, "tokens": "1B"},
        }
    )


@each_system
def test_every_system_is_estimated(system: System) -> None:
    """Training and serving end in finite figures on every machine."""
    step, first = trained(system.id).time.step_s, served({"name": system.id}).serving.ttft_s
    assert math.isfinite(step)
    assert math.isfinite(first)
    assert min(step, first) > 0.0


@pytest.mark.parametrize(("packages", "parts"), COUNTED_TWICE)
def test_a_package_taken_for_a_rank_is_said(packages: str, parts: str) -> None:
    """The report of a machine counted in packages warns, and names the same machine counted in devices."""
    count = 2
    found = [p for p in served({"name": packages, "accelerators": count}).problems if p.code == "package-as-rank"]
    assert [p.severity for p in found] == ["warning"]
    assert f"{2 * count} ranks" in found[0].message
    assert f"{parts} with {2 * count} accelerators" in found[0].hint
    assert not [p for p in served({"name": parts}).problems if p.code == "package-as-rank"]


def test_the_package_is_an_upper_bound() -> None:
    """A node of dies trains a model no faster than the same node counted in packages, and within a fifth of it."""
    sold, seen = trained("atlas-800t-a3"), trained("atlas-800t-a3-dies")
    ratio = seen.throughput.tokens_per_s / sold.throughput.tokens_per_s
    assert 0.8 < ratio <= 1.0


@pytest.mark.parametrize("system", ["atlas-800-3000-pro", "atlas-800-3000-duo-chips"])
def test_a_310p_does_not_train(system: str) -> None:
    """Training on a part made for inference is warned of; serving on it is not."""
    assert "inference-only" in {p.code for p in trained(system).problems}
    assert "inference-only" not in {p.code for p in served({"name": system}).problems}
    assert "inference-only" not in {p.code for p in trained("ascend-910a-8").problems}


@pytest.mark.parametrize(("part", "runs"), [("910b2", "bf16"), ("910c-die", "bf16"), ("310p", "fp16")])
def test_fp8_is_widened_before_the_950(part: str, runs: str) -> None:
    """Asked for FP8, a part without it runs products in 16 bits and says so."""
    notes = [p.message for p in served({"accelerator": part}, recipe="fp8").problems if p.code == "widened-precision"]
    assert len(notes) == 1
    assert f"run in {runs}" in notes[0]


@pytest.mark.parametrize("recipe", ["fp8", "mxfp8"])
def test_fp8_is_the_950_s_own(recipe: str) -> None:
    """The 950 computes FP8 and MXFP8 itself, twice as fast at its peak as BF16."""
    device = suanli.accelerator("950pr")
    assert device.peak_flops_per_s("fp8") == pytest.approx(2 * device.peak_flops_per_s("bf16"), rel=2e-3)
    codes = {p.code for p in served({"accelerator": "950pr"}, recipe=recipe).problems}
    assert "widened-precision" not in codes
