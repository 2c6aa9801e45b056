"""Plans are inverses of the estimator: an easier target never takes more, and what is found is the edge."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

import suanli
from suanli.planning import counts
from suanli.testing import strategies as sts

PLANS = settings(max_examples=15)
"""Each example is a few hundred estimates."""

NAMED = ("gpt2-xl", "llama-7b", "mistral-7b-v0.1", "qwen1.5-moe-a2.7b", "llama-3-70b")

models = st.one_of(
    st.sampled_from(NAMED).map(lambda name: {"name": name}),
    sts.configs(layers=4).map(lambda config: {"config": config}),
)
"""Published models, of which a few accelerators are too few, and small ones that nobody trained."""

per_node = st.sampled_from((1, 2, 4, 6, 8, 16, 72))
numbers = st.integers(1, 20_000)


@given(per_node, st.one_of(st.none(), st.integers(1, 4096)))
def test_the_ladder_climbs_whole_nodes(each: int, reach: int | None) -> None:
    """Numbers to try grow, are divisors of a node or whole nodes, and end within what the network joins."""
    rungs = list(counts.ladder(each, reach, 2**16))
    assert rungs == sorted(set(rungs))
    assert all(each % n == 0 if n < each else n % each == 0 for n in rungs)
    assert all(n <= (reach or 2**16) for n in rungs)
    if reach is not None and reach >= each:
        assert rungs[-1] == reach - reach % each


@given(per_node, numbers, st.one_of(st.none(), st.integers(1, 40_000)))
def test_the_smallest_that_meets_is_found(each: int, least: int, reach: int | None) -> None:
    """Of a target that every larger number meets too, it is the smallest one can build, or none within reach."""
    found = counts.smallest(lambda n: n >= least, each, reach)
    best = counts.at_least(least, each)
    assert found == (best if reach is None or best <= reach else None)
    if found is not None:
        less = counts.below(found, each)
        assert less is None or less < least
        assert counts.above(found, each) > found


@given(per_node, st.sets(st.integers(1, 600), max_size=60), st.sets(st.integers(1, 600), max_size=60))
def test_an_easier_target_never_takes_more(each: int, some: set[int], others: set[int]) -> None:
    """Whatever numbers meet a target, one that they and others meet takes no more."""
    hard = counts.smallest(lambda n: n // each in some, each, None, 600 * each)
    easy = counts.smallest(lambda n: n // each in some | others, each, None, 600 * each)
    assert hard is None or (easy is not None and easy <= hard)


@given(st.integers(1, 50), st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 4000))
def test_the_largest_that_fits_is_found(least: int, span: int, limit: int, guess: int) -> None:
    """Wherever one begins, it is the last number below the limit; one less than the least where none fits."""
    most = least + span
    assert counts.largest(lambda n: n <= limit, least, most, guess) == max(least - 1, min(limit, most))


@given(st.floats(1e9, 1e23), st.booleans(), st.sampled_from(("bf16", "fp16", "fp8", "int8", "tf32")))
def test_cards_make_up_the_rate(rate: float, sparse: bool, precision: str) -> None:
    """The peaks of all cards reach the rate, and without the last node they do not."""
    for o in suanli.plan_compute(rate, (), precision, sparse).options:
        assert o.accelerators is not None
        assert o.nodes is not None
        assert o.peak_flops_per_s is not None
        near = rate * (1.0 + 1e-12)
        assert o.accelerators == o.nodes * o.per_node
        assert o.accelerators * o.peak_flops_per_s * (1.0 + 1e-12) >= rate
        assert (o.accelerators - o.per_node) * o.peak_flops_per_s < near
        assert o.exact_accelerators is not None
        assert o.accelerators - o.per_node < o.exact_accelerators * (1.0 + 1e-12)
        assert o.nodes <= (o.power_of_two_nodes or 0) < 2 * o.nodes
        assert (o.power_of_two_nodes or 0).bit_count() == 1


@st.composite
def runs(draw: st.DrawFn) -> dict[str, Any]:
    """A training run that leaves its system open."""
    batch = draw(st.sampled_from((24, 64, 96, 512, 1000)))
    workload = {"tokens": 10**9, "sequence": draw(st.sampled_from((128, 1024))), "global_batch": batch}
    return {"model": draw(models), "workload": workload}


def duration(asked: dict[str, Any], system: str, accelerators: int) -> float | None:
    """Seconds of a run by the estimate; None where it cannot be run on so many."""
    try:
        report = suanli.estimate(asked | {"system": {"name": system, "accelerators": accelerators}})
    except suanli.ScenarioError:
        return None
    return report.run.duration_s if report.run is not None and report.fits else None


@PLANS
@given(runs(), st.sampled_from(sts.SYSTEMS), st.floats(0.02, 1.0), st.floats(1.0, 3.0))
def test_more_days_never_need_more(asked: dict[str, Any], system: str, share: float, more: float) -> None:
    """The number found runs in time by the estimate, the next smaller does not, and more days take no more."""
    first = next((n for n in (1, 2, 4, 8, 16, 32, 64) if duration(asked, system, n) is not None), None)
    assume(first is not None)
    days = (duration(asked, system, first or 1) or 0.0) / 86400.0 * share
    option = suanli.plan_training(asked, days=days, on=system).options[0]
    if not option.meets:
        assert option.duration_s is not None
        assert option.duration_s > days * 86400.0
        return
    assert option.accelerators is not None
    found = duration(asked, system, option.accelerators)
    assert found is not None
    assert found <= days * 86400.0
    less = counts.below(option.accelerators, option.per_node)
    missed = None if less is None else duration(asked, system, less)
    assert missed is None or missed > days * 86400.0
    longer = suanli.plan_training(asked, days=days * more, on=system).options[0]
    assert longer.accelerators is not None
    assert longer.accelerators <= option.accelerators


@PLANS
@given(models, st.floats(0.1, 1e4), st.floats(1.0, 20.0), st.sampled_from(("users", "rate")))
def test_more_demand_never_needs_fewer(model: dict[str, Any], much: float, more: float, kind: str) -> None:
    """More users, or more requests, or a higher peak, take no fewer accelerators, and the same engines."""
    target: dict[str, Any] = {kind: much, "slo": {"tpot": 1.0}}
    options = []
    for asked in (target, target | {kind: much * more}, target | {"peak_factor": more}):
        options.append(suanli.plan_serving({"model": model}, **asked, on="dgx-h100").options[0])
    few, many, peak = options
    assert few.meets
    assert (few.accelerators or 0) <= (many.accelerators or 0)
    assert many.accelerators == peak.accelerators  # a peak is as much as more on average


@PLANS
@given(models, st.integers(2, 5000), st.integers(1, 64), st.sampled_from(("a10", "dgx-h100")))
def test_what_fits_is_the_edge(model: dict[str, Any], context: int, batch: int, system: str) -> None:
    """By the estimate the longest context and the largest batch fit, and one more does not."""
    scenario = {"model": model, "precision": {"recipe": "bf16"}}
    found = suanli.fit(scenario, system, context=context, batch=batch)
    option = found.options[0]

    def fits(tokens: int, requests: int) -> bool:
        workload = {"kind": "serve", "prompt": tokens - (found.output or 0), "output": found.output, "batch": requests}
        place = {"name": found.system, "accelerators": 1}
        return suanli.estimate(scenario | {"system": place, "workload": workload}).memory.fits

    assert option.fits == fits(context, batch)
    if option.largest_context:
        assert fits(option.largest_context, 1)
        assert not fits(option.largest_context + 1, 1)
    if option.largest_context == 0:
        assert not fits((found.output or 0) + 1, 1)
    if option.largest_batch is not None:
        assert option.largest_batch == 0 or fits(context, option.largest_batch)
        assert not fits(context, option.largest_batch + 1)
