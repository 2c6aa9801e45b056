"""Seconds of exchanges: none alone, more with bytes and ranks, never cheaper across nodes than within one."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import suanli
from suanli.collectives import OPERATIONS, ranks_inside
from suanli.formulas import derivation
from suanli.hardware import System
from suanli.numeric import doublings
from suanli.testing import installed_plugins, make_plugin
from suanli.testing import strategies as sts

SYSTEMS = {n: suanli.system(n) for n in suanli.catalog().names("system")}
MANY = st.sampled_from([n for n, s in SYSTEMS.items() if s.reach is None])
OPERATION = st.sampled_from(OPERATIONS)
BYTES = st.one_of(st.just(0), st.integers(1, 1 << 12), st.integers(1, 1 << 36))
ROUNDING = 1.0 + 1e-12


def grows(system: System) -> bool:
    """Whether more ranks cannot help: a mesh gains links with ranks, a shared bus is less crowded with fewer."""
    return not any(t.per_peer_bytes_per_s or t.topology == "pcie" for t in system.tiers)


SWITCHED = st.sampled_from([n for n, s in SYSTEMS.items() if s.reach is None and grows(s)])
RING = st.sampled_from([o for o in OPERATIONS if o not in ("all_to_all", "p2p")])
"""An all-to-all sends each peer less when there are more of them, and only two take part in a p2p."""


@given(MANY, OPERATION, BYTES, st.integers(1, 512), st.sampled_from((1, 2, 8, 64)))
def test_an_exchange_takes_positive_finite_time(name: str, operation: str, size: int, ranks: int, stride: int) -> None:
    """One rank exchanges in no time, more in some, always a finite float."""
    system = SYSTEMS[name]
    seconds = system.collective_s(operation, bytes=size, ranks=ranks, stride=stride)
    assert type(seconds) is float
    assert math.isfinite(seconds)
    assert seconds == 0.0 if ranks == 1 else seconds > 0.0


@given(MANY, OPERATION, BYTES, st.integers(1, 1 << 30), st.integers(2, 512))
def test_more_bytes_never_take_less_time(name: str, operation: str, size: int, more: int, ranks: int) -> None:
    """Times grow with the buffer."""
    system = SYSTEMS[name]
    less = system.collective_s(operation, bytes=size, ranks=ranks)
    assert less <= system.collective_s(operation, bytes=size + more, ranks=ranks) * ROUNDING


@given(SWITCHED, RING, BYTES, st.integers(1, 512), st.integers(1, 64))
def test_more_ranks_never_take_less_time(name: str, operation: str, size: int, ranks: int, more: int) -> None:
    """Times of ring exchanges over switched nodes grow with the group."""
    system = SYSTEMS[name]
    fewer = system.collective_s(operation, bytes=size, ranks=ranks)
    assert fewer <= system.collective_s(operation, bytes=size, ranks=ranks + more) * ROUNDING


WITHIN = {
    t: [n for n, s in SYSTEMS.items() if s.reach is None and s.tiers[0].topology == t]
    for t in sorted({s.tiers[0].topology for s in SYSTEMS.values() if s.reach is None})
}


@pytest.mark.parametrize("topology", WITHIN)
@given(st.data(), OPERATION, BYTES, st.integers(2, 8))
def test_across_nodes_is_never_cheaper_than_within(
    topology: str, data: st.DataObject, operation: str, size: int, ranks: int
) -> None:
    """The same group spread over nodes, one rank on each, never takes less than side by side.

    But for a bus that the ranks of a node crowd: there only two ranks are held to it.
    """
    system = SYSTEMS[data.draw(st.sampled_from(WITHIN[topology]))]
    ranks = 2 if topology == "pcie" else ranks
    within = system.collective_s(operation, bytes=size, ranks=ranks)
    across = system.collective_s(operation, bytes=size, ranks=ranks, stride=system.accelerators_per_node)
    assert within <= across * ROUNDING


@given(SWITCHED, RING, BYTES, st.integers(2, 64), st.sampled_from((1, 2, 4)))
def test_farther_apart_is_never_cheaper(name: str, operation: str, size: int, ranks: int, stride: int) -> None:
    """A group with fewer members in each node never takes less, on a switched node and for ring exchanges."""
    system = SYSTEMS[name]
    near = system.collective_s(operation, bytes=size, ranks=ranks, stride=stride)
    assert near <= system.collective_s(operation, bytes=size, ranks=ranks, stride=2 * stride) * ROUNDING


@given(MANY, st.integers(1, 1 << 36), st.integers(2, 8))
def test_an_all_reduce_is_at_least_its_halves(name: str, size: int, ranks: int) -> None:
    """An all-reduce moves what a reduce-scatter and an all-gather move, and takes no less than either."""
    system = SYSTEMS[name]
    both = system.collective_s("all_reduce", bytes=size, ranks=ranks)
    for half in ("reduce_scatter", "all_gather"):
        assert system.collective_s(half, bytes=size, ranks=ranks) <= both * ROUNDING


@given(MANY, st.sampled_from(("all_reduce", "all_gather", "reduce_scatter")), st.integers(2, 8))
def test_no_exchange_beats_its_wire(name: str, operation: str, ranks: int) -> None:
    """A ring never sends faster than the tier's one-way bandwidth; where switches add, each sends its buffer."""
    system = SYSTEMS[name]
    size = 1 << 32
    tier = system.tiers[0]
    passes = 2.0 if operation == "all_reduce" else 1.0
    wire = passes * size * (ranks - 1) / ranks / tier.bandwidth_bytes_per_s
    if operation == "all_reduce" and tier.in_network_reduction:
        wire = min(wire, size / tier.bandwidth_bytes_per_s)
    assert system.collective_s(operation, bytes=size, ranks=ranks) >= wire


@given(MANY, BYTES, st.integers(1, 1 << 30), st.integers(2, 64), st.sampled_from((1, 2, 8)))
def test_an_engines_all_reduce_keeps_the_laws(name: str, size: int, more: int, ranks: int, stride: int) -> None:
    """With an engine's own all-reduce a group is never slower than with the library, and larger buffers take longer."""
    system = SYSTEMS[name]
    assert system.exchanges is not None
    engine = system.exchanges.of_engine()

    def took(bytes: int) -> float:
        found = engine.time_s("all_reduce", bytes=float(bytes), ranks=float(ranks), stride=float(stride), system=system)
        assert isinstance(found, float)
        return found

    assert 0.0 < took(size) <= system.collective_s("all_reduce", bytes=size, ranks=ranks, stride=stride) * ROUNDING
    assert took(size) <= took(size + more) * ROUNDING


@given(MANY, BYTES, st.integers(2, 512), st.sampled_from((1, 2, 8)), st.floats(1.0, 16.0), st.floats(1.0, 16.0))
def test_tokens_sent_once_keep_the_laws(
    name: str, size: int, ranks: int, stride: int, copies: float, others: float
) -> None:
    """Sending a token once to a domain never takes longer, less for more copies of as many bytes; columns as rows."""
    system = SYSTEMS[name]
    assert system.exchanges is not None
    asked = {"bytes": float(size), "ranks": float(ranks), "stride": float(stride), "system": system}
    took = [system.exchanges.dispatching(c).time_s("all_to_all", **asked) for c in (copies, others)]  # type: ignore[arg-type]
    apart = system.collective_s("all_to_all", bytes=size, ranks=ranks, stride=stride)
    assert 0.0 < max(took) <= apart * ROUNDING
    fewer, many = sorted(zip((copies, others), took, strict=True))
    assert many[1] <= fewer[1] * ROUNDING
    column = system.exchanges.dispatching(np.asarray((copies, others))).time_s("all_to_all", **asked)  # type: ignore[arg-type]
    assert [struct.pack("<d", v) for v in np.asarray(column)] == [struct.pack("<d", v) for v in took]


@given(MANY, st.integers(1, 1 << 36), st.integers(2, 64))
def test_an_all_reduce_moves_every_buffer(name: str, size: int, ranks: int) -> None:
    """No buffer is reduced sooner than it passes the widest tier once, whoever adds, engines too."""
    system = SYSTEMS[name]
    assert system.exchanges is not None
    widest = max(t.bandwidth_bytes_per_s for t in system.tiers)
    asked = {"bytes": float(size), "ranks": float(ranks), "stride": 1.0, "system": system}
    took = system.exchanges.of_engine().time_s("all_reduce", **asked)  # type: ignore[arg-type]
    assert took >= size / widest / ROUNDING


@given(
    MANY,
    OPERATION,
    st.lists(st.tuples(BYTES, st.integers(1, 100), st.sampled_from((1, 2, 8))), min_size=1, max_size=6),
)
def test_arrays_are_their_scalars(name: str, operation: str, rows: list[tuple[int, int, int]]) -> None:
    """Columns of bytes, ranks and strides give the times of their rows, to the last bit."""
    system = SYSTEMS[name]
    size, ranks, stride = (np.asarray(c) for c in zip(*rows, strict=True))
    found = system.collective_s(operation, bytes=size, ranks=ranks, stride=stride)
    alone = [system.collective_s(operation, bytes=b, ranks=r, stride=s) for b, r, s in rows]
    assert [struct.pack("<d", v) for v in found] == [struct.pack("<d", v) for v in alone]
    assert system.exchanges is not None
    engine = system.exchanges.of_engine()
    found = engine.time_s(operation, bytes=size * 1.0, ranks=ranks * 1.0, stride=stride * 1.0, system=system)
    alone = [engine.time_s(operation, bytes=b * 1.0, ranks=r * 1.0, stride=s * 1.0, system=system) for b, r, s in rows]
    assert [struct.pack("<d", v) for v in np.broadcast_to(found, len(rows))] == [struct.pack("<d", v) for v in alone]


@given(MANY, OPERATION, BYTES, st.integers(1, 100), st.lists(st.sampled_from((1, 2, 8, 64)), min_size=1, max_size=4))
def test_one_group_placed_in_several_ways(name: str, operation: str, size: int, ranks: int, strides: list[int]) -> None:
    """A column of strides of one group, or of buffers, gives the times of its rows, to the last bit."""
    system = SYSTEMS[name]
    found = system.collective_s(operation, bytes=size, ranks=ranks, stride=np.asarray(strides))
    alone = [system.collective_s(operation, bytes=size, ranks=ranks, stride=s) for s in strides]
    assert [struct.pack("<d", v) for v in np.broadcast_to(found, len(alone))] == [struct.pack("<d", v) for v in alone]
    sizes = [size * s for s in strides]
    found = system.collective_s(operation, bytes=np.asarray(sizes), ranks=ranks)
    alone = [system.collective_s(operation, bytes=s, ranks=ranks) for s in sizes]
    assert [struct.pack("<d", v) for v in np.broadcast_to(found, len(alone))] == [struct.pack("<d", v) for v in alone]


@given(MANY, OPERATION, BYTES, st.integers(2, 100), st.sampled_from((1, 2, 8)))
def test_a_trace_changes_no_exchange(name: str, operation: str, size: int, ranks: int, stride: int) -> None:
    """Under a trace an exchange takes the same time to the last bit, and each formula in it has a unit and source."""
    system = SYSTEMS[name]
    plain = system.collective_s(operation, bytes=size, ranks=ranks, stride=stride)
    with suanli.trace():
        made = system.collective_s(operation, bytes=size, ranks=ranks, stride=stride)
    assert float(made) == plain
    queue = [derivation(made)]
    while queue:
        node = queue.pop()
        queue += node.inputs
        assert not node.inputs or (node.unit and node.source), node.name


BAD: list[tuple[dict[str, Any], str]] = [
    ({"bytes": -1, "ranks": 2}, "bytes"),
    ({"bytes": math.nan, "ranks": 2}, "bytes"),
    ({"bytes": math.inf, "ranks": 2}, "bytes"),
    ({"bytes": 8, "ranks": 0}, "ranks"),
    ({"bytes": 8, "ranks": math.nan}, "ranks"),
    ({"bytes": 8, "ranks": math.inf}, "ranks"),
    ({"bytes": 8, "ranks": 2, "stride": 0}, "stride"),
    ({"bytes": 8, "ranks": 2, "stride": math.nan}, "stride"),
]


@pytest.mark.parametrize(("asked", "named"), BAD, ids=repr)
def test_what_is_no_exchange_is_refused(asked: dict[str, Any], named: str) -> None:
    """Bytes below nothing, groups of nobody and figures that are no numbers are refused, and named."""
    with pytest.raises(suanli.InvalidInputError, match=named):
        suanli.system("dgx-a100").collective_s("all_reduce", **asked)


def test_a_group_past_the_network_is_refused() -> None:
    """Where no network beyond the node is stated, a larger group is refused with the reach; so is an unknown name."""
    lone = suanli.system("a10-8-pcie")
    with pytest.raises(suanli.InvalidInputError, match="joins 8"):
        lone.collective_s("all_reduce", bytes=1, ranks=9)
    with pytest.raises(suanli.UnknownNameError, match="all_reduce"):
        lone.collective_s("all_redcue", bytes=1, ranks=2)


@given(st.integers(1, 512), st.integers(1, 64), st.integers(1, 64))
def test_ranks_inside_are_counted(ranks: int, stride: int, span: int) -> None:
    """Members that share the first domain are a whole number: those whose place lies in it, and one at least."""
    found = ranks_inside(ranks=float(ranks), stride=float(stride), span=float(span))
    full = span // stride * stride  # a group that does not fill a domain evenly leaves the rest of it empty
    assert found == max(1, sum(i * stride < full for i in range(ranks)))


@given(st.integers(1, 1 << 40))
def test_doublings_are_the_depth_of_a_tree(ranks: int) -> None:
    """The least number of doublings that reaches the group."""
    depth = doublings(float(ranks))
    assert 2.0**depth >= ranks
    assert depth == 0.0 or 2.0 ** (depth - 1.0) < ranks


@given(st.lists(st.floats(0.5, 1e6), min_size=1, max_size=5))
def test_doublings_of_a_column_are_those_of_its_rows(ranks: list[float]) -> None:
    """A column and its rows agree for any number, whole or not: a group may be a fraction while layouts are weighed."""
    column = np.asarray(doublings(np.asarray(ranks)))
    assert list(column) == [doublings(r) for r in ranks]


@given(st.data(), st.integers(2, 64), st.integers(0, 1 << 34))
def test_a_made_up_network_keeps_the_laws(data: st.DataObject, ranks: int, size: int) -> None:
    """A network nobody measured is served by the datasheet: alone in no time, across nodes never cheaper."""
    node = data.draw(sts.systems())
    plugin = make_plugin("vendor", accelerators=[data.draw(sts.accelerators())], systems=[node])
    system = suanli.Workspace(plugins=[*installed_plugins(), plugin]).system("made-up-node", 1 << 20)
    assert system.collective_s("all_reduce", bytes=size, ranks=1) == 0.0
    ranks = min(ranks, node.accelerators_per_node)
    within = system.collective_s("all_reduce", bytes=size, ranks=ranks)
    across = system.collective_s("all_reduce", bytes=size, ranks=ranks, stride=node.accelerators_per_node)
    assert 0.0 < within <= across * ROUNDING
