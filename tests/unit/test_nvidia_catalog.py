"""The NVIDIA catalog obeys the laws of its hardware: peaks, memory, links, names, sources, what each part borrows."""

from __future__ import annotations

import math
import re
from typing import Any

import attrs
import pytest

import suanli
from suanli import Accelerator, System


def ours(kind: str) -> dict[str, Any]:
    """What the plugin gives of a kind, by name."""
    return {e.name: e.value for e in suanli.catalog().entries(kind) if e.provider.plugin == "nvidia"}


ACCELERATORS: dict[str, Accelerator] = ours("accelerator")
SYSTEMS: dict[str, System] = ours("system")

each_accelerator = pytest.mark.parametrize("name", sorted(ACCELERATORS))
each_system = pytest.mark.parametrize("name", sorted(SYSTEMS))

GEFORCE = {"rtx-3090", "rtx-4090", "rtx-4090d", "rtx-5090"}
HALF_RATE = GEFORCE | {"l20", "l40"}
"""Parts whose tensor cores take two clocks where FP32 accumulates."""

PER_CLOCK = {
    "volta": 1024,
    "turing": 1024,
    "ampere": 2048,
    "ampere-ga102": 1024,
    "ada": 1024,
    "hopper": 4096,
    "blackwell": 8192,
    "blackwell-gb202": 1024,
}
"""FLOP a core's tensor units do in a clock, in half precision."""

AGES = ("volta", "turing", "ampere", "ampere-ga102", "ada", "hopper", "blackwell", "blackwell-gb202", "rubin")
ULTRA = {"b300-sxm", "gb300"}


def age(part: Accelerator) -> int:
    """How new a part's design is; larger is newer."""
    return AGES.index(part.generation)


def half(part: Accelerator) -> float:
    """The peak in half precision: bf16, or fp16 on what has no bf16."""
    return part.rates["bf16"] or part.rates["fp16"]


# --- peaks


@each_accelerator
def test_the_peak_is_cores_times_rate_times_clock(name: str) -> None:
    """A stated clock is the one the stated half-precision peak follows from, to a third of a percent."""
    part = ACCELERATORS[name]
    if part.clock_hz is None:
        assert part.cores is None or "throttled" in part.note
        return
    assert part.cores is not None
    rate = PER_CLOCK[part.generation] / (2 if name in HALF_RATE else 1)
    assert half(part) == pytest.approx(part.cores * rate * part.clock_hz, rel=0.003)


@each_accelerator
def test_narrower_formats_run_at_their_multiple(name: str) -> None:
    """tf32 half of bf16, fp8 twice, fp4 twice of that, int8 as fp8; each exception is a known design."""
    part, base = ACCELERATORS[name], half(ACCELERATORS[name])
    fp8 = 4.375 if name == "vr200" else 2.0
    expected = {"tf32": 0.5, "bf16": 1.0, "fp16": 1.0, "fp8": fp8}
    expected["fp4"] = {"rtx-5090": 8.0, "vr200": 8.75}.get(name, 6.0 if name in ULTRA else 4.0)
    expected["int8"] = 4.0 if name in GEFORCE else 2.0
    if part.generation == "volta":  # DP4A: four times the vector rate
        expected["int8"] = 4.0 * part.rates["fp32"] / base
    if name in ULTRA | {"vr200"}:
        del expected["int8"]
        assert part.rates["int8"] < base
    expected["int4"] = expected.get("int8", 0.0) * (1.0 if name == "l40s" else 2.0)
    for precision, multiple in expected.items():
        if part.rates.get(precision, 0.0) > 0.0:
            assert part.rates[precision] == pytest.approx(multiple * base, rel=0.02), precision


@each_accelerator
def test_a_path_the_design_lacks_is_stated(name: str) -> None:
    """What a generation brought is there from it on, and stated as none before; INT4 went with Hopper."""
    part = ACCELERATORS[name]
    for precision, first in (("bf16", "ampere"), ("tf32", "ampere"), ("fp8", "ada"), ("fp4", "blackwell")):
        has = age(part) >= AGES.index(first)
        assert (part.rates[precision] > 0.0) is has, precision
    if name != "vr200":  # neither stated nor denied
        gone = part.generation == "volta" or age(part) >= AGES.index("hopper")
        assert (part.rates.get("int4") == 0.0) is gone


@each_accelerator
def test_sparsity_doubles_but_where_stated(name: str) -> None:
    """2:4 sparsity came with Ampere and doubles every peak, but FP4 on Blackwell Ultra, where it adds a third."""
    part = ACCELERATORS[name]
    assert part.sparsity == ("2:4" if part.generation not in ("volta", "turing", "rubin") else None)
    for precision, dense in part.rates.items():
        factor = 4.0 / 3.0 if name in ULTRA and precision == "fp4" else 2.0
        expected = factor * dense if part.sparsity else 0.0
        assert part.peak_flops_per_s(precision, sparse=True) == pytest.approx(expected)


EXPORT = [
    ("a800-sxm4-80", "a100-sxm4-80"),
    ("a800-pcie-80", "a100-pcie-80"),
    ("h800-sxm5-80", "h100-sxm5-80"),
    ("h800-pcie-80", "h100-pcie-80"),
]


@pytest.mark.parametrize(("cut", "whole"), EXPORT)
def test_export_variants_are_cut_in_links_and_fp64_only(cut: str, whole: str) -> None:
    """An A800 or H800 multiplies and remembers like the part it was cut from."""
    part, other = ACCELERATORS[cut], ACCELERATORS[whole]
    assert {k: v for k, v in part.rates.items() if k != "fp64"} == {k: v for k, v in other.rates.items() if k != "fp64"}
    for field in ("memory_bytes", "memory_bandwidth_bytes_per_s", "cores", "power_w", "generation"):
        assert getattr(part, field) == getattr(other, field), field


@each_accelerator
def test_what_a_process_sees_is_the_label_or_a_little_less(name: str) -> None:
    """Usable memory is the label in GiB, less at most the sixteenth that ECC takes."""
    part = ACCELERATORS[name]
    assert part.memory_bytes % 2**30 == 0
    assert 0.935 * part.memory_bytes < part.capacity_bytes <= part.memory_bytes


# --- sources


def stated(value: Accelerator | System) -> set[str]:
    """The keys under which a catalog file states something of `value`."""
    fields = attrs.fields(type(value))
    given = {f.metadata.get("key", f.name) for f in fields if getattr(value, f.name) not in (None, (), "")}
    return given | {"latency", "in_network_reduction", "network", "power", "all"}


@pytest.mark.parametrize("entry", [*ACCELERATORS.values(), *SYSTEMS.values()], ids=lambda e: e.id)
def test_every_figure_has_a_document(entry: Accelerator | System) -> None:
    """`all` covers an entry; what was derived, measured or reported has a document of its own; none is of nothing."""
    texts = {s.group: s.text for s in entry.source}
    assert "all" in texts
    assert set(texts) <= stated(entry)
    if isinstance(entry, Accelerator):
        own = {"clock", "usable_memory", "sustained_ratio"}
        assert stated(entry) & own == set(texts) & own
    else:
        assert ("latency" in texts) is any(t.latency_s is not None for t in entry.tiers)
        assert ("in_network_reduction" in texts) is any(t.in_network_reduction for t in entry.tiers)
    for document in "; ".join(texts.values()).split("; "):
        assert re.search(r"[a-z]{4}", document), f"{document!r} is an abbreviation, not a document"


@each_accelerator
def test_the_document_of_bandwidth_is_not_that_of_a_memory_report(name: str) -> None:
    """A figure without a document of its own is not attributed to what somebody's nvidia-smi printed."""
    for group in ("memory", "memory_bandwidth", "peak"):
        assert "nvidia-smi" not in ACCELERATORS[name].source_of(group)


# --- systems


@each_accelerator
def test_every_part_has_a_system_of_its_own(name: str) -> None:
    """The default system exists, is built of the part itself, and one node of it can be asked for."""
    default = ACCELERATORS[name].default_system
    assert default in SYSTEMS
    assert SYSTEMS[default].accelerator == name
    assert suanli.system(default).device is not None


@each_system
def test_tiers_widen_and_slow_outwards(name: str) -> None:
    """Each tier reaches further and carries less than the one inside it; only the last may be without end."""
    system = SYSTEMS[name]
    assert system.accelerator in ACCELERATORS
    spans = [t.span for t in system.tiers]
    assert all(s is not None for s in spans[:-1])
    known = [s for s in spans if s is not None]
    assert known == sorted(set(known))
    rates = [t.bandwidth_bytes_per_s for t in system.tiers]
    assert rates == sorted(rates, reverse=True) or name == "l40s-8-pcie"  # NICs wider than a slot, as its source has it
    assert system.tiers or system.accelerators_per_node == 1


@each_system
def test_a_link_is_what_its_part_has(name: str) -> None:
    """A PCIe tier runs at the part's slot; a mesh's links to peers add up to the whole; reduction came with Hopper."""
    system = SYSTEMS[name]
    part = ACCELERATORS[system.accelerator]
    for tier in system.tiers:
        if tier.topology == "pcie":
            assert tier.bandwidth_bytes_per_s == part.pcie_bandwidth_bytes_per_s
        if tier.topology == "full-mesh":
            assert tier.span is not None
            assert tier.per_peer_bytes_per_s == pytest.approx(tier.bandwidth_bytes_per_s / (tier.span - 1))
        if tier.topology == "hypercube":
            assert tier.per_peer_bytes_per_s == pytest.approx(tier.bandwidth_bytes_per_s / 6)
        if tier.in_network_reduction:
            assert tier.topology == "switch"
            assert age(part) >= AGES.index("hopper")
    switched = [t for t in system.tiers if t.topology == "switch" and t.span is not None]
    assert all(t.in_network_reduction for t in switched) is (age(part) >= AGES.index("hopper")) or not switched


@pytest.mark.parametrize("name", ["gb200-nvl72", "gb300-nvl72", "vr-nvl72"])
def test_a_rack_is_eighteen_trays_in_one_domain(name: str) -> None:
    """Seventy-two GPUs meet over NVLink though a node has four: an exchange among 72 crosses no NIC."""
    rack = suanli.system(name, 72)
    assert (rack.accelerators_per_node, rack.nodes, rack.tiers[0].span) == (4, 18, 72)
    wide = suanli.system(name, 144)
    inside = wide.collective_s("all_gather", bytes=1 << 30, ranks=72)
    assert inside < wide.collective_s("all_gather", bytes=1 << 30, ranks=72, stride=2)


def test_a_capped_link_is_slower_by_its_cap() -> None:
    """The same exchange takes an A800 node 300/200 as long as an A100 node, and an H800's 450/200 an H100's."""
    for cut, whole, ratio in (("hgx-a800-8", "dgx-a100", 1.5), ("hgx-h800-8", "dgx-h100", 2.25)):
        times = [suanli.system(n).collective_s("all_reduce", bytes=1 << 34, ranks=8) for n in (cut, whole)]
        assert times[0] / times[1] == pytest.approx(ratio, rel=0.02)


# --- names

TYPED = {
    "v100": "v100-sxm2-32",
    "v100-16gb": "v100-sxm2-16",
    "v100-32gb": "v100-sxm2-32",
    "v100s": "v100s-pcie-32",
    "tesla-t4": "t4",
    "a10": "a10",
    "a16": "a16-gpu",
    "a30": "a30",
    "a40": "a40",
    "a100": "a100-sxm4-80",
    "a100-40gb": "a100-sxm4-40",
    "a100-80gb": "a100-sxm4-80",
    "a800": "a800-sxm4-80",
    "a6000": "rtx-a6000",
    "3090": "rtx-3090",
    "rtx3090": "rtx-3090",
    "l4": "l4",
    "l20": "l20",
    "l40": "l40",
    "l40s": "l40s",
    "4090": "rtx-4090",
    "RTX4090": "rtx-4090",
    "geforce-rtx-4090": "rtx-4090",
    "nvidia-geforce-rtx-4090-d": "rtx-4090d",
    "rtx-6000-ada": "rtx-6000-ada",
    "h100": "h100-sxm5-80",
    "h100-pcie": "h100-pcie-80",
    "h200": "h200-sxm-141",
    "h200-nvl": "h200-nvl-141",
    "h800": "h800-sxm5-80",
    "h20": "h20-sxm-96",
    "h20-3e": "h20-sxm-141",
    "gh200": "gh200-96",
    "b100": "b100-sxm",
    "b200": "b200-sxm",
    "b300": "b300-sxm",
    "gb200": "gb200",
    "gb300": "gb300",
    "rubin": "vr200",
    "5090": "rtx-5090",
    "rtx-pro-6000": "rtx-pro-6000-server",
}


@pytest.mark.parametrize(("typed", "meant"), TYPED.items())
def test_names_people_type(typed: str, meant: str) -> None:
    """The short and the long names of a part lead to it."""
    assert suanli.accelerator(typed).id == meant


def test_names_are_of_one_thing() -> None:
    """No name is both a part and a system, and every alias has the form of a name."""
    parts = {n for a in ACCELERATORS.values() for n in (a.id, *a.aliases)}
    systems = {n for s in SYSTEMS.values() for n in (s.id, *s.aliases)}
    assert not parts & systems
    assert [n for n in parts | systems if not re.fullmatch(r"[a-z0-9][a-z0-9._+-]*", n)] == []


@each_accelerator
def test_siblings_are_other_parts(name: str) -> None:
    """What an ambiguous name could also have meant is in the catalog, under its own id."""
    siblings = ACCELERATORS[name].siblings
    assert name not in siblings
    assert set(siblings) <= set(ACCELERATORS)


# --- estimates

MEASURED = {"ampere", "ada", "hopper", "blackwell"}
"""Designs of which a part was measured: A100, L40S, H100, B200."""


@each_accelerator
def test_what_serves_a_part(name: str) -> None:
    """A part of a measured design borrows what was fitted to it; every other has the datasheet's ratios."""
    part = suanli.accelerator(name)
    assert part.kernels is not None
    assert part.kernels.fallback is (part.generation not in MEASURED)
    assert part.kernels.rung == ("calibrated" if part.generation in MEASURED else "analytic")


@each_accelerator
def test_every_path_multiplies(name: str) -> None:
    """A product takes a finite time in every precision there is a path to, and never less than the peak allows."""
    part = suanli.accelerator(name)
    flops = 2.0 * 4096**3
    for precision, peak in part.rates.items():
        seconds = part.gemm_s(m=4096, n=4096, k=4096, precision=precision)
        assert math.isfinite(seconds)
        assert seconds > 0.0
        assert peak == 0.0 or seconds >= flops / peak, precision


@each_system
def test_every_system_answers(name: str) -> None:
    """A 7B model is served, and trained where eight accelerators are, with figures and without a fault."""
    asked: dict[str, Any] = {"model": {"name": "llama-2-7b"}, "system": {"name": name}}
    served = suanli.estimate(asked | {"workload": {"kind": "serve", "prompt": 512, "output": 64, "batch": 1}})
    assert served.serving is not None
    assert (served.serving.tpot_s or 0.0) > 0.0
    if (SYSTEMS[name].reach or 8) < 8:
        return
    asked["system"] = {"name": name, "accelerators": 8}
    trained = suanli.estimate(asked | {"workload": {"kind": "pretrain", "tokens": "1B", "global_batch": 64}})
    assert trained.time is not None
    assert (trained.time.step_s or 0.0) > 0.0
