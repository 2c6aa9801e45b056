"""Accelerators, systems and prices: figures in range, in the right unit, and consistent with each other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from suanli.catalog_files import from_table, to_table
from suanli.errors import SuanliError
from suanli.hardware import Accelerator, System
from suanli.testing.checks.registry import Faults, Subject, check

PLAUSIBLE: dict[str, tuple[float, float, str]] = {
    "memory_bytes": (1e9, 1e13, 'is it in GB rather than bytes? write "80 GiB"'),
    "memory_bandwidth_bytes_per_s": (1e10, 1e15, 'is it in GB/s rather than bytes/s? write "3350 GB/s"'),
    "clock_hz": (1e8, 1e10, 'is it in MHz rather than Hz? write "1830 MHz"'),
    "l2_cache_bytes": (1e5, 1e10, 'is it in MB rather than bytes? write "50 MB"'),
    "power_w": (5.0, 1e4, 'is it in kW rather than W? write "700 W"'),
    "pcie_bandwidth_bytes_per_s": (1e9, 1e12, 'is it in GB/s rather than bytes/s? write "64 GB/s"'),
    "cores": (1.0, 1e5, "cores are streaming multiprocessors or AI cores"),
    "year": (1990, 2100, "of launch"),
}
"""Least and most a figure of an accelerator can be, and the mistake that is usually behind one outside."""

PLAUSIBLE_PEAK = (1e10, 1e18)
PLAUSIBLE_LINK = (1e8, 1e13)
PLAUSIBLE_LATENCY_S = (1e-8, 1e-2)
PLAUSIBLE_NODE_W = (50.0, 1e6)
MOST_FLOPS_PER_CLOCK = 65_536
"""FLOP a core does in a cycle, dense; the largest known is half of it (fp4 on Blackwell)."""

MOST_STEP = 3.5
MOST_STEP_WITHOUT_SPARSITY = 5.0
"""Most a format's peak can be over the next wider one's: twice is usual, 4.4 times is known (fp8 over bf16, Rubin)."""

RANGES = "catalog figures are in SI base units (docs: add an accelerator)"


@check("accelerator", "system", rule="a catalog entry and its table are the same (INTERFACE, catalog files)")
def entry_survives_its_table(subject: Subject) -> Faults:
    """Writing an entry and reading it again gives the same entry."""
    if from_table(to_table(subject.value), type(subject.value)) != subject.value:
        yield "differs from itself after a round trip through a catalog table"


@check("accelerator", rule=RANGES)
def figures_are_plausible(subject: Subject) -> Faults:
    """No figure is off by the factor a wrong unit makes."""
    for field, (least, most, hint) in PLAUSIBLE.items():
        value = getattr(subject.value, field)
        if value is not None and not least <= value <= most:
            yield f"{field}={value:g} is outside {least:g}..{most:g}; {hint}"


@check("accelerator", rule=RANGES)
def peaks_are_plausible(subject: Subject) -> Faults:
    """Peaks are in FLOP/s, not TFLOP/s."""
    least, most = PLAUSIBLE_PEAK
    for rate in (*subject.value.peak, *subject.value.sparse_peak, *subject.value.headline_peak):
        if rate.flops_per_s and not least <= rate.flops_per_s <= most:
            yield (
                f"peak.{rate.precision}={rate.flops_per_s:g} is outside {least:g}..{most:g}; "
                'is it in TFLOP/s rather than FLOP/s? write "989 TFLOP/s"'
            )


@check("accelerator", rule="peaks are dense; sparsity is asked for by name (DESIGN, words)")
def peaks_are_dense(subject: Subject) -> Faults:
    """A narrower format is about twice as fast as the next one; four times is what sparsity would make of it.

    Parts of which that is true say so: they have no sparsity, or state the sparse peak of that format too.
    """
    device: Accelerator = subject.value
    rates = {p: r for p, r in device.rates.items() if r > 0.0}
    stated = {r.precision: r.flops_per_s for r in device.sparse_peak}
    for precision, rate in stated.items():
        if 0.0 < rate <= rates.get(precision, 0.0):
            yield f"sparse_peak.{precision} is not above peak.{precision}; is `peak` with sparsity?"
    most = MOST_STEP if device.sparsity else MOST_STEP_WITHOUT_SPARSITY
    for narrow, wide in (("fp8", "bf16"), ("int4", "int8"), ("bf16", "tf32")):
        if narrow in rates and wide in rates and narrow not in stated and rates[narrow] > most * rates[wide]:
            yield (
                f"peak.{narrow} is {rates[narrow] / rates[wide]:.1f} times peak.{wide}; is it with sparsity? "
                f"halve it, or state sparse_peak.{narrow} besides"
            )


@check("accelerator", rule="peak = cores x FLOP per clock x clock (docs: add an accelerator)")
def peak_follows_from_cores_and_clock(subject: Subject) -> Faults:
    """No core does more in a cycle than any known does."""
    device: Accelerator = subject.value
    if not device.cores or not device.clock_hz:
        return
    for precision, rate in device.rates.items():
        each = rate / (device.cores * device.clock_hz)
        if each > MOST_FLOPS_PER_CLOCK:
            yield (
                f"peak.{precision} needs {each:,.0f} FLOP from each of {device.cores} cores in a cycle; "
                "is the peak with sparsity, or are `cores` or `clock` of another part?"
            )


@check("accelerator", rule="`peak` is the matrix unit's; what a headline adds goes to `headline_peak` (hardware)")
def headline_is_above_the_matrix_peak(subject: Subject) -> Faults:
    """A headline that adds the vector unit is more than the matrix unit's peak."""
    for rate in subject.value.headline_peak:
        own = subject.value.rates.get(rate.precision, 0.0)
        if rate.flops_per_s < own:
            yield f"headline_peak.{rate.precision} is below peak.{rate.precision}; are the two exchanged?"
        if rate.flops_per_s == own:
            yield f"headline_peak.{rate.precision} equals peak.{rate.precision}; is the headline entered as the peak?"


@check("accelerator", rule="nominal memory is not usable memory (DESIGN, hardware facts)")
def usable_memory_is_below_nominal(subject: Subject) -> Faults:
    """A process never sees more than there is."""
    device: Accelerator = subject.value
    if device.usable_memory_bytes and device.usable_memory_bytes > device.memory_bytes:
        yield "usable_memory is more than memory; is `memory` in GB where the label means GiB?"


@check("accelerator", "system", rule="every figure group has a source (INTERFACE, catalog files)")
def sources_cover_the_figures(subject: Subject) -> Faults:
    """Each group of figures is stated somewhere."""
    groups = {s.group for s in subject.value.source}
    if "all" in groups:
        return
    wanted = ["peak", "memory"] if subject.kind == "accelerator" else ["tier"]
    for group in wanted:
        if not any(g == group or g.startswith(f"{group}_") for g in groups):
            yield f"no source for {group}: add source.{group}, or source.all"


@check("accelerator", rule="every name an entry mentions is in the catalog (hookspecs)")
def references_resolve(subject: Subject) -> Faults:
    """Siblings, the default system and the kernel model are there."""
    catalog, device = subject.workspace.catalog(), subject.value
    named = [("accelerator", s) for s in device.siblings]
    named += [("system", device.default_system)] if device.default_system else []
    named += [("kernel model", device.kernel_model)] if device.kernel_model else []
    for kind, name in named:
        try:
            catalog.entry(kind, name)
        except SuanliError as exc:
            yield str(exc)


@check("system", rule="a system's accelerator is in the catalog (hookspecs)")
def accelerator_resolves(subject: Subject) -> Faults:
    """Its accelerator is there, and a system of one node can be had."""
    try:
        subject.workspace.system(subject.name)
    except SuanliError as exc:
        yield str(exc)


@check("system", rule="tiers are innermost first (INTERFACE, catalog files)")
def tiers_widen(subject: Subject) -> Faults:
    """Each tier joins more accelerators than the one inside it, and only the last may be unbounded."""
    spans = [t.span for t in subject.value.tiers]
    for inner, outer in itertools.pairwise(spans):
        if inner is None or (outer is not None and outer <= inner):
            yield f"tier spans {spans} do not grow outwards; list the innermost first, an unbounded one last"
            return


@check("system", rule="links are one way, in bytes/s, per accelerator (DESIGN, words)")
def links_are_plausible(subject: Subject) -> Faults:
    """Bandwidths and latencies are in SI units."""
    for tier in subject.value.tiers:
        least, most = PLAUSIBLE_LINK
        if not least <= tier.bandwidth_bytes_per_s <= most:
            yield (
                f"tier {tier.name}: bandwidth={tier.bandwidth_bytes_per_s:g} is outside {least:g}..{most:g}; "
                'is it in GB/s or Gb/s? write "400 GB/s" or "400 Gb/s"'
            )
        if tier.latency_s and not PLAUSIBLE_LATENCY_S[0] <= tier.latency_s <= PLAUSIBLE_LATENCY_S[1]:
            yield f'tier {tier.name}: latency={tier.latency_s:g} s; is it in microseconds? write "3 us"'


@check("system", rule="links are one way: vendors quote both ways added (DESIGN, words)")
def links_are_one_way(subject: Subject) -> Faults:
    """A full mesh's links add up to its bandwidth, and a PCIe tier is no faster than the slot."""
    system: System = subject.value
    for tier, peers in _meshes(system):
        told = tier.bandwidth_bytes_per_s / (tier.per_peer_bytes_per_s * peers)
        if told > 1.5:
            yield f"tier {tier.name}: {peers} links make {1 / told:.0%} of its bandwidth; is the bandwidth both ways?"
        if told < 0.67:
            yield f"tier {tier.name}: {peers} links make {1 / told:.0%} of its bandwidth; is per_peer both ways?"
    try:
        device = subject.workspace.accelerator(system.accelerator)
    except SuanliError:
        return
    slot = device.pcie_bandwidth_bytes_per_s
    for tier in system.tiers:
        if tier.topology == "pcie" and slot and tier.bandwidth_bytes_per_s > 1.5 * slot:
            yield f"tier {tier.name} is faster than the PCIe link of {device.id}; is it both ways?"


def _meshes(system: System) -> Iterator[tuple[Any, int]]:
    inside = 1
    for tier in system.tiers:
        if tier.topology == "full-mesh" and tier.per_peer_bytes_per_s and tier.span:
            yield tier, max(1, tier.span // inside - 1)
        inside = tier.span or inside


@check("system", rule=RANGES)
def node_power_is_plausible(subject: Subject) -> Faults:
    """A node draws at least a good part of what its accelerators are rated at."""
    system: System = subject.value
    if system.power_per_node_w is None:
        return
    least, most = PLAUSIBLE_NODE_W
    if not least <= system.power_per_node_w <= most:
        yield f'power_per_node={system.power_per_node_w:g} W is outside {least:g}..{most:g}; write "6.5 kW"'
    device = subject.workspace.accelerator(system.accelerator)
    if device.power_w and system.power_per_node_w < 0.5 * device.power_w * system.accelerators_per_node:
        yield "power_per_node is less than half of what its accelerators are rated at; is it of one accelerator?"


@check("price", rule="a price is of one accelerator for one hour (hookspecs)")
def price_is_plausible(subject: Subject) -> Faults:
    """A price is of an accelerator in the catalog, dated, and not of a whole node."""
    price = subject.value
    try:
        subject.workspace.accelerator(price.accelerator)
    except SuanliError as exc:
        yield str(exc)
    if not price.date.strip():
        yield "`date` is empty; a price without a date is no price"
    if not 0.0 < price.price_per_hour < 1000.0:
        yield f"price_per_hour={price.price_per_hour:g} is not that of one accelerator for an hour; of a node?"
