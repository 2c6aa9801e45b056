"""Laws of optimizer states: they add up, are divided, and follow the formats they are kept in."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import suanli
from suanli import Layout, OptimizerRule
from suanli.testing import resolved, run_one
from suanli.testing import strategies as sts

ROUNDING = 1.0 + 1e-12
MOST_BYTES = 16
"""Bytes a parameter of the greediest optimizer here, AMSGrad with fp32 masters."""
TABLES = 2 * 256 * 4
"""Bytes of the tables of codes that 8-bit states share."""
NAMES = tuple(e.name for e in suanli.catalog().entries("optimizer") if e.provider.plugin == "optimizers")
RULES: dict[str, OptimizerRule] = {n: suanli.catalog().get("optimizer", n) for n in NAMES}
SHAPES = st.lists(st.integers(1, 300), min_size=1, max_size=3).map(tuple)

Drawn = tuple[dict[str, Any], Layout]


@st.composite
def trained(draw: st.DrawFn) -> Drawn:
    """A training scenario with any optimizer, and its layout."""
    config = draw(sts.configs())
    layout = draw(sts.layouts(config))
    scenario = draw(sts.training_scenarios(config=config, layout=layout))
    return scenario | {"optimizer": {"name": draw(st.sampled_from(NAMES))}}, layout


def small(shape: tuple[int, ...]) -> bool:
    """Whether bitsandbytes keeps fp32 states for a tensor."""
    return math.prod(shape) < 4096


@given(st.sampled_from(NAMES), SHAPES, st.integers(0, 2), st.integers(1, 50))
def test_more_elements_never_need_fewer_bytes(name: str, shape: tuple[int, ...], axis: int, more: int) -> None:
    """A larger tensor needs at least as many bytes, unless it becomes large enough to be quantized."""
    grown = tuple(s + more * (i == axis % len(shape)) for i, s in enumerate(shape))
    if name.endswith("8bit") and small(shape) != small(grown):
        return
    formats = suanli.catalog().formats
    assert RULES[name].state_bytes(grown, formats) >= RULES[name].state_bytes(shape, formats)


@given(st.sampled_from(NAMES), SHAPES)
def test_states_scale_with_the_format_they_are_left_to(name: str, shape: tuple[int, ...]) -> None:
    """In half the bits, states without a format of their own take half the bytes, and the others as many."""
    formats, states = suanli.catalog().formats, RULES[name].states(shape)
    own = sum(formats[s.format].bytes(s.elements) for s in states if s.format)
    wide, half = (RULES[name].state_bytes(shape, formats, form) for form in ("fp32", "bf16"))
    assert wide - own == 2 * (half - own)


@given(trained())
def test_states_of_the_tensors_are_the_whole(drawn: Drawn) -> None:
    """On one rank, master weights and the states of every tensor, by its shape, are the optimizer's bytes."""
    case = resolved(drawn[0])
    recipe, optimizer = case.recipe, case.optimizer
    assert optimizer is not None
    master = case.stored[recipe.master_weights] if recipe.master_weights else 0.0
    total = case.model.parameters.total * master
    shared: dict[str, float] = {}
    for block, times in case.model.parts:
        for parameter in block.parameters:
            if parameter.tied:
                continue
            for state in optimizer.rule_for(parameter).states(parameter.matrix):
                size = state.elements * case.stored[state.format or recipe.optimizer_states or ""]
                if state.shared:
                    shared[state.name] = size
                elif not state.host:
                    total += size * times
    found = run_one(case, Layout())["memory.optimizer_bytes"]
    assert found == pytest.approx(total + sum(shared.values()), rel=1e-9)


@given(trained())
def test_stages_keep_every_state_once(drawn: Drawn) -> None:
    """The stages of a pipeline keep the states of all layers together, and of a tied head once more."""
    case = resolved(drawn[0])
    layout = attrs.evolve(drawn[1], zero=0)
    alone = attrs.evolve(layout, pipeline=1, virtual_stages=1, schedule="1f1b")
    kept, whole = (sum(dict(s)["optimizer_bytes"] for s in run_one(case, a)["memory.stages"]) for a in (layout, alone))
    tied = sum(p.elements for p in case.model.head.parameters if p.tied) if layout.pipeline > 1 else 0
    copies = tied * MOST_BYTES + (layout.pipeline - 1) * TABLES
    assert whole <= kept * ROUNDING
    assert kept <= (whole + copies) * ROUNDING


@given(trained())
def test_zero_divides_states_by_the_copies(drawn: Drawn) -> None:
    """ZeRO 1 divides what the optimizer keeps by the ranks that hold copies, but for what all parameters share."""
    scenario, layout = drawn
    case = resolved(scenario)
    layout = attrs.evolve(layout, expert=1, expert_tensor=layout.tensor)
    whole, shard = (run_one(case, attrs.evolve(layout, zero=z))["memory.stages"] for z in (0, 1))
    copies = layout.data * layout.context
    for a, b in zip(whole, shard, strict=True):
        all_of_it, share = dict(a)["optimizer_bytes"], dict(b)["optimizer_bytes"]
        assert all_of_it / copies <= share * ROUNDING
        assert share <= (all_of_it / copies + TABLES) * ROUNDING


@given(trained())
def test_dividing_states_never_makes_the_step_longer(drawn: Drawn) -> None:
    """A rank that updates a shard of the parameters takes no longer than one that updates them all."""
    case = resolved(drawn[0])
    whole, shard = (run_one(case, attrs.evolve(drawn[1], zero=z))["time.optimizer_s"] for z in (0, 1))
    assert 0.0 < shard <= whole * ROUNDING


@given(st.sampled_from(NAMES), SHAPES)
def test_products_are_of_the_matrix_however_it_lies(name: str, shape: tuple[int, ...]) -> None:
    """A matrix and its transpose need the same products; dimensions before the last two change nothing."""
    rule = RULES[name]
    if len(shape) < 2:
        assert rule.products(shape) == ()
        return
    turned = (*shape[:-2], shape[-1], shape[-2])
    assert rule.products(turned) == rule.products(shape) == rule.products(shape[-2:])
