"""Exchanges worked by hand: what each figure of a fabric does, on machines made up for it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from suanli.collectives import CollectiveModel, FabricEfficiency, Hierarchical
from suanli.hardware import Source, System, Tier

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


def test_nothing_is_exchanged_by_one() -> None:
    """A group of one takes no time, and an empty buffer takes a launch and its messages."""
    assert seconds(CLUSTER, fabric("switch"), of="all_reduce", size=1 * GB, ranks=1) == 0.0
    idle = seconds(CLUSTER, fabric("switch", launch_s=1e-6), of="all_reduce", size=0.0, ranks=8)
    assert math.isclose(idle, 1e-6)
