"""Exchanges worked by hand: what each figure of a fabric does, on machines made up for it."""

from __future__ import annotations

import itertools
import math
from typing import Any

import attrs
import numpy as np
import pytest

from suanli import trace
from suanli.collectives import CollectiveModel, FabricEfficiency, Hierarchical
from suanli.collectives.formulas import ring_messages
from suanli.formulas import derivation
from suanli.hardware import Source, System, Tier
from suanli.numeric import Number

MB, GB = 1e6, 1e9


def fabric(kind: str, **figures: Any) -> FabricEfficiency:
    """A fabric that sustains all of its bandwidth, but for what is given."""
    return FabricEfficiency(fabric=kind, bandwidth_ratio=figures.pop("ratio", 1.0), source="made up", **figures)


def machine(*tiers: Tier, per_node: int = 8) -> System:
    """A system of made-up tiers."""
    made = (Source("all", "made up"),)
    return System(id="made-up", accelerator="made-up", accelerators_per_node=per_node, tiers=tiers, source=made)


def seconds(
    system: System, *fabrics: FabricEfficiency, of: str, size: float, ranks: int, stride: int = 1, **how: Any
) -> float:
    """Seconds of one exchange."""
    model = Hierarchical(name="made-up", fabrics=fabrics, **how)
    found = model.time_s(of, bytes=size, ranks=float(ranks), stride=float(stride), system=system)
    assert isinstance(found, float)
    return found


def close(expected: float) -> Any:
    """Equal but for rounding."""
    return pytest.approx(expected, rel=1e-9)


SWITCH = Tier(name="in", span=8, bandwidth_bytes_per_s=100 * GB)
NETWORK = Tier(name="out", bandwidth_bytes_per_s=10 * GB)
NIC = fabric("nic", latency_s=10e-6)
NODE, CLUSTER = machine(SWITCH), machine(SWITCH, NETWORK)


def test_a_ring_sends_a_message_for_each_rank_and_pass() -> None:
    """Launch 5 us, 2 x 7 messages of 1 us, 2 x 7/8 of 80 MB at 80 % of 100 GB/s, a share of 10 MB copied at 1 TB/s."""
    sustained = fabric("switch", ratio=0.8, launch_s=5e-6, latency_s=1e-6, copy_bytes_per_s=1e12)
    found = seconds(NODE, sustained, of="all_reduce", size=80 * MB, ranks=8)
    assert found == close(5e-6 + 14e-6 + 2 * 70 * MB / (80 * GB) + 10 * MB / 1e12)
    gathered = seconds(NODE, sustained, of="all_gather", size=80 * MB, ranks=8)
    assert gathered == close(5e-6 + 7e-6 + 70 * MB / (80 * GB) + 10 * MB / 1e12)


def test_short_transfers_ramp_up() -> None:
    """A transfer of t at full rate takes t (1 + ramp / t) ^ 1/4: twice as long where the ramp is 15 t."""
    # 2 ranks gather 2 MB: 1 MB at 100 GB/s is 10 us.
    assert seconds(NODE, fabric("switch", ramp_s=150e-6), of="all_gather", size=2 * MB, ranks=2) == close(20e-6)


def test_a_broadcast_hands_on_the_whole_buffer() -> None:
    """Every rank but the first receives all of it, whatever their number."""
    for ranks in (2, 8):
        assert seconds(NODE, fabric("switch"), of="broadcast", size=1 * GB, ranks=ranks) == close(0.01)


def test_a_copy_is_never_slower_than_the_link() -> None:
    """The own share takes no more than the link would, or a larger group would be sooner done."""
    slow = fabric("switch", copy_bytes_per_s=1 * GB)
    assert seconds(NODE, slow, of="all_gather", size=8 * MB, ranks=8) == close(8 * MB / (100 * GB))


def test_a_copy_is_held_to_what_the_link_sustains() -> None:
    """At half of 100 GB/s the own eighth of 8 MB takes as long as each of the seven that are sent."""
    slow = fabric("switch", ratio=0.5, copy_bytes_per_s=1 * GB)
    assert seconds(NODE, slow, of="all_gather", size=8 * MB, ranks=8) == close(8 * MB / (50 * GB))


def test_what_is_only_handed_on_is_not_copied() -> None:
    """A broadcast and a message have no share that stays with its owner."""
    copied = fabric("switch", copy_bytes_per_s=1e12)
    for of, size in (("broadcast", 1 * GB), ("p2p", 1 * GB)):
        assert seconds(NODE, copied, of=of, size=size, ranks=8) == close(0.01)


def test_messages_of_each_exchange() -> None:
    """8 ranks of a node, 1 us a message: a chain of 7 to broadcast or gather, two of them to reduce; one to a peer.

    An all-to-all has all its peers at once: a message, and one more for each of the 3 doublings of 1 to 8.
    """
    wire = fabric("switch", latency_s=1e-6)
    counted = {"broadcast": 7, "all_gather": 7, "reduce_scatter": 7, "all_reduce": 14, "p2p": 1, "all_to_all": 4}
    for of, messages in counted.items():
        assert seconds(NODE, wire, of=of, size=0.0, ranks=8) == close(messages * 1e-6), of


def test_messages_across_nodes() -> None:
    """16 ranks on two nodes: a level of a tree joins them, 10 us a message; a message goes over the network alone."""
    wires = (fabric("switch", latency_s=1e-6), fabric("nic", latency_s=10e-6))
    counted = {"broadcast": 7e-6 + 10e-6, "all_gather": 7e-6 + 10e-6, "p2p": 10e-6, "all_to_all": 4e-6 + 10e-6}
    for of, expected in counted.items():
        assert seconds(CLUSTER, *wires, of=of, size=0.0, ranks=16) == close(expected), of


@pytest.mark.parametrize(("ranks", "messages"), [(4, 3), (8, 7), (16, 8), (17, 9), (72, 11)])
def test_a_large_domain_joins_chains_by_a_tree(ranks: int, messages: int) -> None:
    """72 accelerators behind one switch pass messages along 8 of a host, then up a tree: 7 and a level a doubling."""
    rack = machine(Tier(name="rack", span=72, bandwidth_bytes_per_s=100 * GB), per_node=72)
    assert seconds(rack, fabric("switch", latency_s=1e-6), of="all_gather", size=0.0, ranks=ranks) == close(
        messages * 1e-6
    )


@pytest.mark.parametrize("ranks", [2, 7, 8, 9, 12, 16, 100, 1000])
@pytest.mark.parametrize("spans", [(8,), (2, 8), (8, 32, 128), (3, 7)])
def test_a_ring_visits_everybody_once(ranks: int, spans: tuple[int, ...]) -> None:
    """Its steps over all tiers are one fewer than its ranks, evenly divided or not."""
    steps: Number = 0.0
    inside = 1.0
    for span in (*spans, None):
        reached = max(inside, float(ranks) if span is None else float(min(ranks, span)))
        steps = steps + ring_messages(ranks=float(ranks), inside=inside, reached=reached)
        inside = reached
    if all(outer % inner == 0 for inner, outer in itertools.pairwise(spans)):
        assert steps == ranks - 1
    else:
        assert steps >= ranks - 1


def test_what_is_further_out_never_starts_sooner() -> None:
    """A network fitted to launch, answer and ramp in no time takes what the node's links take."""
    wires = (fabric("switch", launch_s=5e-6, latency_s=2e-6, ramp_s=15e-6), fabric("nic"))
    # 1 MB over 10 GB/s to a rank of its own on another node is 100 us; a ramp of 15 times as long doubles it.
    assert seconds(CLUSTER, *wires, of="p2p", size=0.0, ranks=2, stride=8) == close(5e-6 + 2e-6)
    ramped = (fabric("switch", ramp_s=1500e-6), fabric("nic"))
    assert seconds(CLUSTER, *ramped, of="p2p", size=1 * MB, ranks=2, stride=8) == close(200e-6)


def test_a_broadcast_is_divided_over_the_rails_of_a_node() -> None:
    """Each of 8 ranks hands an eighth on to the next node, at 10 GB/s, and all of it inside, at 100."""
    wires = (fabric("switch"), fabric("nic"))
    assert seconds(CLUSTER, *wires, of="broadcast", size=1 * GB, ranks=16) == close(0.125 * GB / (10 * GB))


def test_the_narrowest_link_inside_limits_what_goes_outside() -> None:
    """One rank a node sends half of 1 GB through a pair's link, the node's links and the network, in any order."""
    for widths in ((5, 100, 50), (100, 5, 50), (100, 50, 5)):
        tiers = [
            Tier(name=f"t{span}", span=span, bandwidth_bytes_per_s=width * GB)
            for span, width in zip((2, 8, None), widths, strict=True)
        ]
        found = seconds(machine(*tiers), fabric("switch"), fabric("nic"), of="all_gather", size=GB, ranks=2, stride=8)
        assert found == close(0.5 * GB / (5 * GB)), widths


def test_a_mesh_and_a_bus_are_left_by_what_one_rank_has_of_them() -> None:
    """Over a mesh one link of 10 GB/s leads out, at the half it sustains; of a bus of 8 that crowd it, a quarter."""
    fast = Tier(name="out", bandwidth_bytes_per_s=100 * GB)
    mesh = machine(*MESH.tiers, fast)
    asked: dict[str, Any] = {"of": "all_gather", "size": 1 * GB, "ranks": 2, "stride": 8}
    network = fabric("nic", ratio=0.8)
    assert seconds(mesh, fabric("full-mesh", ratio=0.5), network, **asked) == close(0.5 * GB / (5 * GB))
    bus = machine(Tier(name="bus", span=8, topology="pcie", bandwidth_bytes_per_s=10 * GB), fast)
    assert seconds(bus, fabric("pcie", crowding=1.0), network, **asked) == close(0.5 * GB / (2.5 * GB))


def test_nodes_are_joined_by_a_tree_or_a_ring_whichever_is_sooner() -> None:
    """Small buffers go up and down a tree, large ones around a ring: 128 ranks on 16 nodes of 8.

    Tree: 7 messages of a chain and 4 levels, the whole buffer. Ring: 112 steps inside and 15 across, 127/128 of it.
    """
    wires = (fabric("switch", latency_s=1e-6), fabric("nic", latency_s=10e-6))
    small = seconds(CLUSTER, *wires, of="all_reduce", size=8.0, ranks=128)
    assert small == close(2 * (7 * 1e-6 + 4 * 10e-6) + 2 * 8.0 / 8 / (10 * GB))
    large = seconds(CLUSTER, *wires, of="all_reduce", size=800 * GB, ranks=128)
    assert large == close(2 * (112 * 1e-6 + 15 * 10e-6) + 2 * 800 * GB * 127 / 128 / 8 / (10 * GB))


def test_a_group_of_one_rank_a_node_has_one_share_of_the_network() -> None:
    """Neighbours' groups use the node's other links at the same time: 8 apart, each rank has its own 10 GB/s."""
    found = seconds(CLUSTER, fabric("switch"), fabric("nic"), of="all_gather", size=1 * GB, ranks=4, stride=8)
    assert found == close(0.75 * GB / (10 * GB))


def test_a_longer_stated_latency_counts_between_nodes() -> None:
    """A network said to take 50 us for a message takes them, whatever was fitted elsewhere; a node's links do not."""
    far = Tier(name="far", bandwidth_bytes_per_s=10 * GB, latency_s=50e-6)
    near = Tier(name="near", span=8, bandwidth_bytes_per_s=100 * GB, latency_s=50e-6)
    wires = (fabric("switch", latency_s=1e-6), fabric("nic", latency_s=10e-6))
    found = seconds(machine(near, far), *wires, of="all_gather", size=0.0, ranks=16)
    assert found == close(7 * 1e-6 + 50e-6)


def test_switches_that_add_save_a_pass() -> None:
    """Each rank sends its buffer and one sum of an eighth: 9/8 of 800 MB at half of 100 GB/s, less than a ring's 14/8.

    Where the library does not use it, or the tier cannot, it is the ring.
    """
    adding = machine(Tier(name="in", span=8, bandwidth_bytes_per_s=100 * GB, in_network_reduction=True))
    used = fabric("switch", ratio=0.5, reduction_ratio=0.5, reduction_s=3e-6)
    ring = 2 * 700 * MB / (50 * GB)
    assert seconds(adding, used, of="all_reduce", size=800 * MB, ranks=8) == close(3e-6 + 900 * MB / (50 * GB))
    assert seconds(adding, fabric("switch", ratio=0.5), of="all_reduce", size=800 * MB, ranks=8) == close(ring)
    assert seconds(NODE, used, of="all_reduce", size=800 * MB, ranks=8) == close(ring)


def test_switches_add_within_a_node_and_a_tree_joins_nodes() -> None:
    """8 MB on 2 nodes: 9/8 of it inside or an eighth of it twice across, whichever takes longer, a level up and down.

    Between ranks of different nodes alone no switch adds.
    """
    adding = Tier(name="in", span=8, bandwidth_bytes_per_s=100 * GB, in_network_reduction=True)
    for outside, wire in ((10 * GB, 2 * 1 * MB / (10 * GB)), (1000 * GB, 9 * MB / (100 * GB))):
        cluster = machine(adding, Tier(name="out", bandwidth_bytes_per_s=outside))
        wires = (fabric("switch", latency_s=1e-6, reduction_ratio=1.0, reduction_s=3e-6), NIC)
        found = seconds(cluster, *wires, of="all_reduce", size=8 * MB, ranks=16)
        assert found == close(3e-6 + 2 * 10e-6 + wire)
        plain = (fabric("switch", latency_s=1e-6), NIC)
        apart: dict[str, Any] = {"of": "all_reduce", "size": 8 * MB, "ranks": 4, "stride": 8}
        assert seconds(cluster, *wires, **apart) == seconds(cluster, *plain, **apart)


def test_the_algorithm_that_is_soonest_done_is_named() -> None:
    """Of 128 ranks a tree reduces few bytes and a ring many; switches that add are named where they win and only there.

    Other exchanges have nothing to choose.
    """
    wires = (fabric("switch", latency_s=1e-6, reduction_ratio=1.0, reduction_s=3e-6), NIC)
    model = Hierarchical(name="made-up", fabrics=wires)
    adding = machine(Tier(name="in", span=8, bandwidth_bytes_per_s=100 * GB, in_network_reduction=True), NETWORK)
    asked = [
        (CLUSTER, 8.0, 128.0, 1.0, "tree"),
        (CLUSTER, 800 * GB, 128.0, 1.0, "ring"),
        (adding, 8 * MB, 8.0, 1.0, "switches"),
        (adding, 8.0, 128.0, 8.0, "tree"),
        (adding, 800 * GB, 128.0, 1.0, "ring"),
    ]
    for system, size, ranks, stride, name in asked:
        found = model.algorithm("all_reduce", bytes=size, ranks=ranks, stride=stride, system=system)
        assert found == name, (size, ranks, stride)
    assert model.algorithm("all_gather", bytes=8.0, ranks=8.0, stride=1.0, system=CLUSTER) == ""


def test_switches_add_no_faster_than_a_ring_sends() -> None:
    """Links that sustain half of their bandwidth do not sustain nine tenths while switches add."""
    adding = machine(Tier(name="in", span=8, bandwidth_bytes_per_s=100 * GB, in_network_reduction=True))
    used = fabric("switch", ratio=0.5, reduction_ratio=0.9)
    assert seconds(adding, used, of="all_reduce", size=800 * MB, ranks=8) == close(900 * MB / (50 * GB))


def test_an_engine_reads_all_buffers_at_once_or_in_two_shots() -> None:
    """8 ranks: 7 buffers in one shot while small, then 2 x 7/8; only with the engine, and not across nodes."""
    own = fabric("switch", launch_s=20e-6, engine_ratio=0.5, engine_launch_s=2e-6, engine_latency_s=1e-7)
    library = seconds(NODE, own, of="all_reduce", size=8e3, ranks=8)
    assert library == close(20e-6 + 2 * 7e3 / (100 * GB))
    small = seconds(NODE, own, of="all_reduce", size=800.0, ranks=8, engine=True)
    assert small == close(2e-6 + 7 * 1e-7 + 7 * 800 / (50 * GB))
    medium = seconds(NODE, own, of="all_reduce", size=400e3, ranks=8, engine=True)
    assert medium == close(2e-6 + 14 * 1e-7 + 14 / 8 * 400e3 / (50 * GB))
    apart: dict[str, Any] = {"of": "all_reduce", "size": 8e3, "ranks": 8, "stride": 8}
    wires = (own, fabric("nic"))
    assert seconds(CLUSTER, *wires, **apart, engine=True) == seconds(CLUSTER, *wires, **apart)


def test_a_profile_without_its_own_all_reduce_leaves_a_model_as_it_is() -> None:
    """A plugin's model that knows nothing of engines or dispatch answers as ever."""
    model = CollectiveModel(name="plain")
    assert model.of_engine() is model
    assert model.dispatching(8.0) is model


def test_tokens_cross_once_to_a_node() -> None:
    """8 copies of a token to 16 ranks on 2 nodes: it crosses to the other node once, nearly always, not 4 times.

    Of 2 nodes 8 experts drawn evenly lie in 2 (1 - 2^-8), half of which are the own; inside, what came is handed on.
    """
    wires = (fabric("switch"), fabric("nic"))
    apart = seconds(CLUSTER, *wires, of="all_to_all", size=8 * GB, ranks=16)
    assert apart == close(8 * GB * 8 / 16 / (10 * GB))
    once = seconds(CLUSTER, *wires, of="all_to_all", size=8 * GB, ranks=16, copies=8.0)
    assert once == close(1 * GB * 2 * (1 - 2**-8) / 2 / (10 * GB))


def test_sending_once_never_loses() -> None:
    """With one copy of each token there is nothing to save, and it is the plain exchange."""
    asked: dict[str, Any] = {"of": "all_to_all", "size": 1 * GB, "ranks": 16}
    wires = (fabric("switch"), fabric("nic"))
    assert seconds(CLUSTER, *wires, **asked, copies=1.0) == close(seconds(CLUSTER, *wires, **asked))


MESH = machine(
    Tier(name="mesh", span=8, topology="full-mesh", bandwidth_bytes_per_s=70 * GB, per_peer_bytes_per_s=10 * GB)
)


def test_a_mesh_reaches_each_peer_over_its_own_link() -> None:
    """Two ranks have one link of 10 GB/s, eight have seven; all peers are a message away."""
    wire = fabric("full-mesh", latency_s=1e-6)
    assert seconds(MESH, wire, of="all_gather", size=80 * MB, ranks=2) == close(1e-6 + 40 * MB / (10 * GB))
    assert seconds(MESH, wire, of="all_gather", size=80 * MB, ranks=8) == close(1e-6 + 70 * MB / (70 * GB))
    assert seconds(MESH, wire, of="p2p", size=80 * MB, ranks=2) == close(1e-6 + 80 * MB / (10 * GB))


def test_a_mesh_passes_sums_along_a_tree() -> None:
    """Eight ranks that are all neighbours: 3 doublings there and 3 back, 1 us each."""
    assert seconds(MESH, fabric("full-mesh", latency_s=1e-6), of="all_reduce", size=0.0, ranks=8) == close(6e-6)


@pytest.mark.parametrize(("ranks", "hops"), [(4, 4 / 3), (16, 32 / 15), (64, 256 / 63)])
def test_a_torus_is_two_rings_across(ranks: int, hops: float) -> None:
    """Of 2 x 2 others are 1/2 away along each side on average, of 4 x 4 one, of 8 x 8 two; those that are not self."""
    torus = machine(Tier(name="t", span=ranks, topology="torus", bandwidth_bytes_per_s=100 * GB), per_node=ranks)
    exchanged = seconds(torus, fabric("torus"), of="all_to_all", size=ranks * MB, ranks=ranks)
    assert exchanged == close(hops * (ranks - 1) * MB / (100 * GB))


@pytest.mark.parametrize(("topology", "hops"), [("hypercube", 12 / 7), ("ring", 16 / 7), ("switch", 1.0)])
def test_what_is_no_neighbour_is_reached_by_detours(topology: str, hops: float) -> None:
    """Of 8 ranks a cube's others are 12/7 links away on average, a ring's 16/7; rings of neighbours take none."""
    node = machine(Tier(name="links", span=8, topology=topology, bandwidth_bytes_per_s=100 * GB))
    exchanged = seconds(node, fabric(topology), of="all_to_all", size=800 * MB, ranks=8)
    assert exchanged == close(hops * 700 * MB / (100 * GB))
    assert seconds(node, fabric(topology), of="all_gather", size=800 * MB, ranks=8) == close(700 * MB / (100 * GB))


def test_a_bus_is_crowded_by_those_who_use_it() -> None:
    """Four ranks on a bus halve it (crowding 1); two bridged pairs cross it as two do; apart, all groups count."""
    bus = Tier(name="bus", span=8, topology="pcie", bandwidth_bytes_per_s=10 * GB)
    bridge = Tier(
        name="bridge", span=2, topology="full-mesh", bandwidth_bytes_per_s=100 * GB, per_peer_bytes_per_s=100 * GB
    )
    wires = (fabric("pcie", crowding=1.0), fabric("full-mesh"))
    gathered: dict[str, Any] = {"of": "all_gather", "size": 80 * MB, "ranks": 4}
    assert seconds(machine(bus), *wires, **gathered) == close(60 * MB / (5 * GB))
    assert seconds(machine(bridge, bus), *wires, **gathered) == close(60 * MB / (10 * GB))
    assert seconds(machine(bus), *wires, **gathered, stride=2) == close(60 * MB / (2.5 * GB))


def test_a_bus_is_crowded_by_all_who_exchange_directly() -> None:
    """In an all-to-all each of two bridged pairs' ranks sends half of its 80 MB over the bus by itself: four use it."""
    bus = Tier(name="bus", span=8, topology="pcie", bandwidth_bytes_per_s=10 * GB)
    bridge = Tier(
        name="bridge", span=2, topology="full-mesh", bandwidth_bytes_per_s=100 * GB, per_peer_bytes_per_s=100 * GB
    )
    wires = (fabric("pcie", crowding=1.0), fabric("full-mesh"))
    found = seconds(machine(bridge, bus), *wires, of="all_to_all", size=80 * MB, ranks=4)
    assert found == close(40 * MB / (5 * GB))


@pytest.mark.parametrize("topology", ["hypercube", "ring", "switch"])
def test_two_are_neighbours(topology: str) -> None:
    """Two ranks are one link apart, whatever joins them: half of the buffer goes to the other."""
    node = machine(Tier(name="links", span=8, topology=topology, bandwidth_bytes_per_s=100 * GB))
    assert seconds(node, fabric(topology), of="all_to_all", size=1 * GB, ranks=2) == close(0.5 * GB / (100 * GB))


def test_a_network_may_be_crowded_too() -> None:
    """Two ranks 8 apart have 7 groups beside them: 16 ranks on a shared network have an eighth of it each."""
    wires = (fabric("switch"), fabric("nic", crowding=1.0))
    found = seconds(CLUSTER, *wires, of="all_gather", size=1 * GB, ranks=2, stride=8)
    assert found == close(0.5 * GB / (10 * GB / 8))


PAIR = Tier(name="pair", span=2, bandwidth_bytes_per_s=1000 * GB)


def test_pairs_are_counted_once_further_out() -> None:
    """Four pairs are four places of a ring, 4/3 links apart, three links of a mesh, and two doublings of peers."""
    ring = machine(PAIR, Tier(name="ring", span=8, topology="ring", bandwidth_bytes_per_s=100 * GB))
    wires = (fabric("switch"), fabric("ring"))
    exchanged = seconds(ring, *wires, of="all_to_all", size=800 * MB, ranks=8)
    assert exchanged == close(4 / 3 * 600 * MB / (100 * GB))
    mesh = machine(PAIR, *MESH.tiers)
    gathered = seconds(mesh, fabric("switch"), fabric("full-mesh"), of="all_gather", size=800 * MB, ranks=8)
    assert gathered == close(350 * MB / (30 * GB))
    # A message to the other of a pair and one for its doubling; of four pairs two doublings more.
    message = (fabric("switch", latency_s=1e-6),)
    assert seconds(machine(PAIR, SWITCH), *message, of="all_to_all", size=0.0, ranks=8) == close(4e-6)


def test_a_trace_remembers_what_was_known_before_it() -> None:
    """Asked without a trace first, a model still says under one what its figures rest on."""
    model = Hierarchical(name="made-up", fabrics=(fabric("switch", generation="x", launch_s=5e-6),))
    asked: dict[str, Any] = {"bytes": 8 * MB, "ranks": 8.0, "stride": 1.0, "system": NODE}
    before = model.time_s("all_gather", **asked)
    with trace():
        made = model.time_s("all_gather", **asked)
    assert made == before
    queue, names = [derivation(made)], set()
    while queue:
        node = queue.pop()
        queue += node.inputs
        names.add(node.name)
    assert {"x.switch.launch_s", "x.switch.bandwidth_ratio", "made-up.in.bandwidth"} <= names


def test_a_model_of_columns_may_be_a_key() -> None:
    """What a model is told of the tokens it dispatches may be a column, and is no part of which model it is."""
    model = Hierarchical(name="made-up", fabrics=(fabric("switch"),))
    assert model.dispatching(np.array([1.0, 8.0])) == model
    assert len({model, model.dispatching(np.array([1.0, 8.0])), model.dispatching(8.0)}) == 1


def test_one_model_serves_nodes_of_different_sizes() -> None:
    """The same tiers in nodes of 8 are a network beyond 8 ranks, in nodes of 16 the node's own links."""
    small = machine(SWITCH, Tier(name="wide", span=16, bandwidth_bytes_per_s=100 * GB), NETWORK)
    model = Hierarchical(name="made-up", fabrics=(fabric("switch"), fabric("nic", ratio=0.1)))
    for _ in range(2):
        for per_node, ratio in ((8, 0.1), (16, 1.0)):
            system = attrs.evolve(small, accelerators_per_node=per_node)
            found = model.time_s("p2p", bytes=GB, ranks=2.0, stride=8.0, system=system)
            assert found == close(GB / (100 * GB * ratio)), per_node


def test_what_nobody_measured_is_asked_of_the_rest() -> None:
    """A model asks the fallback it is bound to for a fabric it does not have; a fallback has nobody to ask."""
    rest = Hierarchical(name="rest", fabrics=(fabric("switch", ratio=0.5), fabric("nic", ratio=0.25)), fallback=True)
    own = Hierarchical(name="own", fabrics=(fabric("switch", ratio=0.8),))
    bound = own.bind(rest)
    assert isinstance(bound, Hierarchical)
    assert [bound.fabric(SWITCH, outer).bandwidth_ratio for outer in (False, True)] == [0.8, 0.25]
    assert rest.bind(own) is rest
    ring = Tier(name="ring", span=8, topology="ring", bandwidth_bytes_per_s=100 * GB)
    assert own.fabric(ring, False).bandwidth_ratio == 0.8  # of the nearest kind there is


def test_figures_are_told_with_their_units() -> None:
    """Under a trace each figure is a fact of the fabric, in seconds, bytes a second, or a share."""
    figures = {"latency_s": 1e-6, "copy_bytes_per_s": 1e12, "reduction_ratio": 0.5, "bandwidth_ratio": 0.25}
    told = FabricEfficiency(fabric="switch", generation="x", source="made up", **figures)  # type: ignore[arg-type]
    units = dict(zip(figures, ("s", "bytes_per_s", "ratio", "ratio"), strict=True))
    with trace():
        for name, unit in units.items():
            found = derivation(told.told(name))
            assert (found.name, found.value, found.unit) == (f"x.switch.{name}", figures[name], unit)
    assert type(told.told("latency_s")) is float


FIGURES = ["ramp_s", "crowding", "launch_s", "latency_s", "copy_bytes_per_s", "reduction_ratio", "reduction_s"]
FIGURES += ["engine_ratio", "engine_launch_s", "engine_latency_s"]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_nothing_or_more(name: str) -> None:
    """What is not stated costs nothing; nothing is a figure, and less than nothing is none."""
    assert getattr(fabric("switch"), name) == 0.0
    assert getattr(fabric("switch", **{name: 0.0}), name) == 0.0
    with pytest.raises(ValueError, match=name):
        fabric("switch", **{name: -1e-9})


@pytest.mark.parametrize("name", ["bandwidth_ratio", "reduction_ratio", "engine_ratio"])
def test_a_share_is_one_at_most(name: str) -> None:
    """All of a bandwidth can be sustained, and no more; of the bandwidth a tier has, none is no share."""
    figures: dict[str, Any] = {"bandwidth_ratio": 1.0}
    assert getattr(FabricEfficiency(fabric="switch", source="made up", **figures | {name: 1.0}), name) == 1.0
    with pytest.raises(ValueError, match=name):
        FabricEfficiency(fabric="switch", source="made up", **figures | {name: 1.001})
    with pytest.raises(ValueError, match="bandwidth_ratio"):
        FabricEfficiency(fabric="switch", source="made up", bandwidth_ratio=0.0)


def test_nothing_is_exchanged_by_one() -> None:
    """A group of one takes no time, and an empty buffer takes a launch and its messages."""
    assert seconds(CLUSTER, fabric("switch"), of="all_reduce", size=1 * GB, ranks=1) == 0.0
    idle = seconds(CLUSTER, fabric("switch", launch_s=1e-6), of="all_reduce", size=0.0, ranks=8)
    assert math.isclose(idle, 1e-6)
