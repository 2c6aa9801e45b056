"""A table of layouts and its rows one by one are the same figures, to the last bit."""

from __future__ import annotations

import struct
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import suanli
from suanli.layout import CATEGORICAL, NUMERIC, Layout, LayoutTable
from suanli.stages import CHUNK_ROWS
from suanli.testing import resolved, run_many, run_one
from suanli.testing import strategies as sts


def bits(value: Any) -> bytes:
    """A figure as the eight bytes of its double."""
    return struct.pack("<d", float(value))


def row_of(column: Any, row: int) -> Any:
    """A figure of one row; one that is the same on every row is a plain number."""
    return column if isinstance(column, (int, float, str)) else column[row]


def alike(draw: st.DrawFn, config: dict[str, Any], *, training: bool) -> list[Layout]:
    """Layouts that differ in every numeric field and agree in the others."""
    first = draw(sts.layouts(config, training=training))
    rest = sts.layouts(
        config,
        training=training,
        schedules=(first.schedule,),
        sequence_parallel=first.sequence_parallel,
        recompute=first.recompute,
    )
    drawn = draw(st.lists(rest, min_size=1, max_size=6))
    same = {f: getattr(first, f) for f in CATEGORICAL}
    return [first, *(x for x in drawn if all(getattr(x, f) == v for f, v in same.items()))]


@st.composite
def training_tables(draw: st.DrawFn) -> tuple[dict[str, Any], list[Layout]]:
    """A training scenario, and layouts of it: a global batch that all of them divide."""
    config = draw(sts.configs())
    found = alike(draw, config, training=True)
    scenario = draw(sts.training_scenarios(config=config, layout=found[0]))
    scenario["workload"]["global_batch"] = 48 * draw(st.integers(1, 4))
    return scenario, found


@st.composite
def serving_tables(draw: st.DrawFn) -> tuple[dict[str, Any], list[Layout]]:
    """A serving scenario, and layouts of it."""
    config = draw(sts.configs())
    found = alike(draw, config, training=False)
    return draw(sts.serving_scenarios(config=config, layout=found[0])), found


def compare(scenario: dict[str, Any], layouts: list[Layout]) -> None:
    """Hold every public figure of a table against the same layout alone."""
    case = resolved(scenario)
    columns = run_many(case, layouts)
    assert {k.partition(".")[0] for k in columns} >= {"memory", "time"}
    for row, layout in enumerate(layouts):
        alone = run_one(case, layout, detail=False)
        for key, column in columns.items():
            assert bits(row_of(column, row)) == bits(alone[key]), (key, row, layout)


@given(training_tables())
def test_a_training_table_is_its_rows(drawn: tuple[dict[str, Any], list[Layout]]) -> None:
    """Every time and every byte of training, whatever the model, schedule, ZeRO stage and recompute."""
    compare(*drawn)


@given(serving_tables())
def test_a_serving_table_is_its_rows(drawn: tuple[dict[str, Any], list[Layout]]) -> None:
    """Every time, byte and rate of serving."""
    compare(*drawn)


def test_a_table_with_a_group_of_a_fraction_is_its_rows() -> None:
    """Where experts do not fit the tensor group evenly, both paths still agree."""
    config = {"model_type": "mixtral", "vocab_size": 97, "hidden_size": 48, "intermediate_size": 48}
    config |= {"num_hidden_layers": 1, "num_attention_heads": 6, "num_key_value_heads": 1}
    config |= {"num_local_experts": 4, "num_experts_per_tok": 1}
    scenario = {
        "model": {"config": config},
        "system": {"name": "dgx-a100", "accelerators": 12},
        "workload": {"kind": "serve", "prompt": 1, "output": 1},
    }
    compare(scenario, [Layout(tensor=3, context=2, expert=4, attention_data=2), Layout()])


@pytest.mark.parametrize("schedule", sts.SCHEDULES)
@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
@pytest.mark.parametrize("model", ["llama-3-8b", "mixtral-8x7b", "qwen1.5-moe-a2.7b"])
def test_a_large_table_is_its_rows(model: str, recompute: str, schedule: str) -> None:
    """Rows of a table with repeated combinations, where figures are gathered, are what they are alone."""
    case = resolved(
        {
            "model": {"name": model},
            "system": {"name": "dgx-h100", "accelerators": 64},
            "workload": {"kind": "pretrain", "sequence": 4096, "global_batch": 64},
        }
    )
    layouts = [
        Layout(
            tensor=t,
            pipeline=p,
            context=c,
            data=64 // (t * p * c),
            expert=e,
            expert_tensor=w,
            micro_batch=m,
            zero=z,
            virtual_stages=2 if schedule == "interleaved" else 1,
            schedule=schedule,
            recompute=recompute,
            sequence_parallel=True,
        )
        for t in (1, 2, 4)
        for p in (1, 2, 4)
        for c in (1, 2)
        for e, w in (((1, 1), (2, 1), (2, t)) if "llama" not in model else ((1, 1),))
        for m in (1, 2)
        for z in range(4)
    ]
    columns = run_many(case, layouts)
    for row in range(0, len(layouts), 17):
        alone = run_one(case, layouts[row], detail=False)
        for key, column in columns.items():
            assert bits(row_of(column, row)) == bits(alone[key]), (key, layouts[row])


@given(training_tables())
def test_a_table_holds_its_layouts(drawn: tuple[dict[str, Any], list[Layout]]) -> None:
    """What goes into a table comes out again, row by row and in chunks."""
    _, layouts = drawn
    table = LayoutTable.of(layouts)
    assert list(table) == layouts
    assert [x for part in table.chunks(2) for x in part] == layouts
    assert all(part.rows <= 2 for part in table.chunks(2))


@given(training_tables(), st.sets(st.sampled_from(NUMERIC)))
def test_distinct_combinations_gather_to_the_columns(
    drawn: tuple[dict[str, Any], list[Layout]], fields: set[str]
) -> None:
    """The distinct combinations of some fields, gathered, are the fields' columns, and none is there twice."""
    table = LayoutTable.of(drawn[1] * 3)
    columns, inverse = table.distinct(fields)
    assert set(columns) == fields
    for field in fields:
        column = columns[field]
        if not isinstance(column, float) and inverse is not None:
            column = column[inverse]
        assert np.all(column == table.column(field))
    if inverse is not None:
        arrays = [c for c in columns.values() if not isinstance(c, float)]
        combinations = list(zip(*arrays, strict=True))
        assert len(set(combinations)) == len(combinations)


def test_a_table_has_one_value_of_what_is_not_a_number() -> None:
    """Layouts that differ in a categorical field are refused, and the field is named."""
    with pytest.raises(suanli.SuanliError, match="recompute"):
        LayoutTable.of([Layout(), attrs.evolve(Layout(), recompute="full")])


def test_search_agrees_with_estimates_across_chunks() -> None:
    """A plan's score is its report's figure, bit for bit, though it was found in a table of many chunks."""
    asked = {
        "model": {"name": "llama-7b"},
        "system": {"name": "dgx-a100", "accelerators": 512},
        "workload": {"kind": "pretrain", "sequence": 2048, "global_batch": 1024},
    }
    found = suanli.search(asked, top=5)
    assert found.evaluated > CHUNK_ROWS / 8
    assert len(found.plans) == 5
    for plan in found.plans:
        assert bits(plan.score) == bits(plan.report.time.step_s)
        assert bits(plan.total_bytes) == bits(plan.report.memory.per_accelerator.total_bytes)
