"""Stages run in an order that gives each what it needs, and hold to what they declared."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from suanli import Layout, LayoutTable, PluginError, Stage, SuanliError
from suanli.stages import order, run_layout, run_table
from suanli.testing import steps

CASE: Any = None


def stage(name: str, needs: tuple[str, ...] = (), gives: tuple[str, ...] = (), **options: Any) -> Stage:
    """A stage that gives each of its keys the sum of what it needs, and one more."""
    gives = gives or (f"{name}.out",)

    def run(case: Any, layout: Any, given: Any) -> dict[str, Any]:
        found = 1.0
        for need in needs:
            found = found + given[need]
        for field in options.get("reads", ()):
            found = found + layout[field]
        return dict.fromkeys(gives, found)

    return Stage(name=name, needs=needs, gives=gives, **{"run": run} | options)


CHAIN = [stage("a"), stage("b", ("a.out",)), stage("c", ("a.out", "b.out")), stage("d", ("c.out",))]


@pytest.mark.parametrize("seed", range(5))
def test_order_follows_from_needs(seed: int) -> None:
    """However the stages come, each runs after those it needs, once."""
    shuffled = CHAIN.copy()
    random.Random(seed).shuffle(shuffled)
    names = [s.stage.name for s in order(shuffled)]
    assert sorted(names) == ["a", "b", "c", "d"]
    assert names == ["a", "b", "c", "d"]
    assert run_layout(order(shuffled), CASE, Layout())["d.out"] == 5.0


def test_only_what_a_target_needs_runs() -> None:
    """Stages no target needs are left out; a target nobody gives leaves nothing."""
    assert [s.stage.name for s in order(CHAIN, ["b.out"])] == ["a", "b"]
    assert order(CHAIN, ["no.such"]) == ()


def test_what_only_a_report_needs_stays_out_of_a_search() -> None:
    """A detail stage is left out of a search, and in a report."""
    both = [stage("a"), stage("b", ("a.out",), detail=True)]
    assert [s.stage.name for s in order(both, detail=False)] == ["a"]
    assert [s.stage.name for s in order(both)] == ["a", "b"]


def test_a_circle_is_named() -> None:
    """Stages that need each other are named in their circle."""
    circle = [stage("a", ("c.out",)), stage("b", ("a.out",)), stage("c", ("b.out",))]
    with pytest.raises(PluginError, match="circle: a -> c -> b -> a"):
        order(circle)
    with pytest.raises(PluginError, match="circle: self -> self"):
        order([stage("self", ("self.out",))])


def test_a_missing_need_is_named() -> None:
    """A need nobody gives is named with the stage that has it."""
    with pytest.raises(PluginError, match=r"stage 'a' needs 'x.out', which no stage gives"):
        order([stage("a", ("x.out",))])


def test_a_key_given_twice_is_named() -> None:
    """Two stages that give one key are both named."""
    with pytest.raises(PluginError, match=r"'a' and 'b' both give 'k'"):
        order([stage("a", gives=("k",)), stage("b", gives=("k",))])


def test_a_stage_depends_on_what_its_needs_read() -> None:
    """Fields are handed down: a stage depends on its own and on those of all it needs."""
    chain = [
        stage("a", reads=("tensor",)),
        stage("b", ("a.out",), reads=("data",)),
        stage("c", ("b.out",)),
        stage("d", divided=True),
    ]
    found = {s.stage.name: s for s in order(chain, axes=("ulysses",))}
    assert found["c"].reads == frozenset()
    assert found["c"].depends == {"tensor", "data"}
    assert found["d"].reads == {"ulysses"}


def test_an_undeclared_field_is_refused() -> None:
    """A stage that reads a field it did not declare is named with the field, for a layout and for a table."""

    def peek(case: Any, layout: Any, given: Any) -> dict[str, Any]:
        return {"a.out": layout.pipeline}

    wrong = order([Stage(name="peeking", gives=("a.out",), reads=("tensor",), run=peek)])
    with pytest.raises(SuanliError, match=r"'peeking' read layout.pipeline without declaring"):
        run_layout(wrong, CASE, Layout())
    with pytest.raises(SuanliError, match=r"'peeking' read layout.pipeline without declaring"):
        run_table(wrong, CASE, LayoutTable.of([Layout()]), ["a.out"])


@pytest.mark.parametrize(("made", "said"), [({}, "does not give a.out"), ({"a.out": 1.0, "b": 2.0}, "undeclared b")])
def test_a_stage_gives_what_it_declared(made: dict[str, float], said: str) -> None:
    """What is missing and what is undeclared is said, with the stage."""
    wrong = order([Stage(name="wrong", gives=("a.out",), run=lambda *_: made)])
    with pytest.raises(PluginError, match=f"stage 'wrong' .*{said}"):
        run_layout(wrong, CASE, Layout())
    with pytest.raises(PluginError, match=f"stage 'wrong' .*{said}"):
        run_table(wrong, CASE, LayoutTable.of([Layout()]), ["a.out"])


def test_a_table_is_evaluated_on_distinct_combinations() -> None:
    """A stage that reads one field of two values sees two rows, however many the table has, and is gathered."""
    seen: list[Any] = []

    def run(case: Any, layout: Any, given: Any) -> dict[str, Any]:
        seen.append(np.size(layout.tensor))
        return {"a.out": layout.tensor * 10.0}

    chain = [
        Stage(name="a", gives=("a.out",), reads=("tensor",), run=run),
        stage("b", ("a.out",), reads=("data",)),
        stage("c", ("b.out",), reads=("zero",)),
    ]
    layouts = [Layout(tensor=t, data=d, zero=z) for t in (1, 2) for d in (1, 2, 4) for z in range(4) for _ in range(3)]
    columns = run_table(order(chain), CASE, LayoutTable.of(layouts), ["a.out", "b.out", "c.out"])
    assert seen == [2]
    assert list(columns["a.out"]) == [10.0 * x.tensor for x in layouts]
    assert list(columns["b.out"]) == [10.0 * x.tensor + 1.0 + x.data for x in layouts]
    assert list(columns["c.out"]) == [10.0 * x.tensor + 2.0 + x.data + x.zero for x in layouts]


def test_gathering_goes_through_tuples() -> None:
    """Figures that are tuples of columns are gathered column by column; words and numbers stay as they are."""

    def run(case: Any, layout: Any, given: Any) -> dict[str, Any]:
        return {"a.out": (layout.tensor, (layout.tensor * 2.0, "word")), "a.word": "same", "a.none": None}

    def take(case: Any, layout: Any, given: Any) -> dict[str, Any]:
        first, (second, word) = given["a.out"]
        assert (word, given["a.word"], given["a.none"]) == ("word", "same", None)
        return {"b.out": first + second + layout.data}

    chain = [
        Stage(name="a", gives=("a.out", "a.word", "a.none"), reads=("tensor",), run=run),
        Stage(name="b", needs=("a.out", "a.word", "a.none"), gives=("b.out",), reads=("data",), run=take),
    ]
    layouts = [Layout(tensor=t, data=d) for t in (1, 2, 8) for d in (1, 2) for _ in range(4)]
    columns = run_table(order(chain), CASE, LayoutTable.of(layouts), ["b.out", "a.word"])
    assert list(columns["b.out"]) == [3.0 * x.tensor + x.data for x in layouts]
    assert columns["a.word"] == "same"


@pytest.mark.parametrize("kind", ["pretrain", "finetune", "serve"])
def test_our_stages_are_in_order(kind: str) -> None:
    """Every installed stage runs after those it needs, gives what nobody else gives, and names its source."""
    given: set[str] = set()
    for step in steps(kind):
        assert set(step.stage.needs) <= given
        assert not given & set(step.stage.gives)
        assert step.stage.source
        assert step.stage.rung in ("handbook", "analytic", "calibrated", "simulated")
        given |= set(step.stage.gives)
    assert {"memory.total_bytes", "memory.fits"} <= given
