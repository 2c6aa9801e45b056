"""Planning backwards: what is found meets the target, by the estimator's own word, and what is next does not."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

import suanli
from suanli.planning import counts
from suanli.planning.runs import TrainingOption

DAY = 86400.0
RUN: dict[str, Any] = {"model": {"name": "llama-65b"}, "workload": {"tokens": "1.4T"}}
SMALL: dict[str, Any] = {"model": {"name": "llama-7b"}, "workload": {"tokens": "10B"}}


def trained(option: TrainingOption, accelerators: int, asked: dict[str, Any]) -> suanli.Report | None:
    """The estimate of a plan's scenario on so many of its accelerators; None where no layout is legal."""
    try:
        return suanli.estimate(asked | {"system": {"name": option.system, "accelerators": accelerators}})
    except suanli.ScenarioError:
        return None


# Cases of two of the five source articles: 1000P of H100s, and the cards that GPT-3.5's and ChatGLM-6B's traffic
# take. The rate is in FLOP/s; the article's own figure is the last, and its peaks are with sparsity (tf32 312,
# fp16 624, int8 1248, int4 2496 of an A100). It says 128 nodes where it doubles 64; 127 are enough.
CARDS = [
    ("cards-1000P-h100-sparse", "1000P", "h100", "bf16", True, 64, 505.3567, None),
    ("cards-1000P-h100-dense", "1000P", "h100", "bf16", False, 127, 1010.7134, None),
    ("gpt35-cards-tf32", 1.2973333333333334e20, "a100", "tf32", True, 51977, 415811.9658, 41.55e4),
    ("gpt35-cards-fp16", 1.2973333333333334e20, "a100", "fp16", True, 25989, 207905.9829, 20.78e4),
    ("gpt35-cards-int8", 1.2973333333333334e20, "a100", "int8", True, 12995, 103952.9915, 10.39e4),
    ("gpt35-cards-int4", 1.2973333333333334e20, "a100", "int4", True, 6498, 51976.4957, 5.19e4),
    ("glm6b-cards-a100-tf32", 8e15, "a100", "tf32", True, 4, 25.6410, 25.64),
    ("glm6b-cards-a100-fp16", 8e15, "a100", "fp16", True, 2, 12.8205, 12.82),
    ("glm6b-cards-a100-int8", 8e15, "a100", "int8", True, 1, 6.4103, 6.41),
]


@pytest.mark.parametrize(("rate", "on", "precision", "sparse", "nodes", "exact", "told"), [c[1:] for c in CARDS])
def test_cards_for_a_rate(rate, on, precision, sparse, nodes, exact, told) -> None:
    """The articles' cards for a total rate come out, and whole nodes hold them."""
    option = suanli.plan_compute(rate, on, precision, sparse).options[0]
    assert (option.nodes, option.accelerators) == (nodes, 8 * nodes)
    assert option.exact_accelerators == pytest.approx(exact, rel=1e-5)
    assert told is None or option.exact_accelerators == pytest.approx(told, rel=0.002)


def test_a_power_of_two_of_nodes_is_suggested() -> None:
    """1000P dense is 127 nodes of H100s, and 128 is the next power of two."""
    assert suanli.plan_compute("1000P", "h100").options[0].power_of_two_nodes == 128


def test_a_whole_number_of_nodes_is_not_rounded_up() -> None:
    """The rate of exactly n nodes takes n nodes, whatever is lost in the last bit of a division."""
    peak = suanli.accelerator("h100").peak_flops_per_s("bf16")
    assert [suanli.plan_compute(peak * 8 * n, "h100").options[0].nodes for n in (1, 3, 7, 100)] == [1, 3, 7, 100]


def test_a_name_of_several_parts_says_which_was_taken() -> None:
    """910B names several parts: which is meant and which others there are is said, and the part's own id is quiet."""
    asked, own = suanli.plan_compute("1P", ("910b", "h100-sxm5-80")).options
    if asked.accelerator == "h100-sxm5-80":
        asked, own = own, asked
    assert asked.note.startswith("'910b' is taken to be ascend-910b2")
    assert "ascend-910b3" in asked.note
    assert own.note == ""


def test_all_accelerators_with_the_path_are_ranked_by_cost() -> None:
    """Without a choice every accelerator that has the path is there, those with a price first, cheapest first."""
    found = suanli.plan_compute("100P", precision="fp8")
    known = [e.value for e in suanli.catalog().entries("accelerator")]
    assert {o.accelerator for o in found.options} == {a.id for a in known if a.rates.get("fp8")}
    costs = [o.keep.cost_per_hour for o in found.options if o.keep is not None]
    priced = [c for c in costs if c is not None]
    assert priced == sorted(priced)
    assert costs[: len(priced)] == priced
    assert priced


def test_a_path_that_is_not_there_is_an_answer() -> None:
    """An A100 multiplies no fp8, no Ascend 910B has sparsity, and vector units know none: each says so."""
    for on, precision, sparse, said in (
        ("a100", "fp8", False, "has no fp8 path"),
        ("910b", "bf16", True, "no structured sparsity"),
        ("h100", "fp32", True, "vector unit"),
    ):
        found = suanli.plan_compute("1P", on, precision, sparse)
        assert not found.meets
        assert said in found.options[0].reason


def test_power_is_the_nodes_where_it_is_stated() -> None:
    """A DGX H100 draws 10.2 kW; of an Atlas 800T A2 only the accelerators' power is known, and that is said."""
    h100, ascend = (suanli.plan_compute("1P", on).options[0].keep for on in ("dgx-h100", "atlas-800t-a2"))
    assert h100 is not None
    assert ascend is not None
    assert (h100.power_w, h100.power_of) == (10200.0, "the nodes, as stated")
    assert "accelerators alone" in ascend.power_of
    assert ascend.power_w == 8 * (suanli.accelerator("910b").power_w or 0.0)


@pytest.fixture(scope="module")
def month() -> suanli.TrainingPlan:
    """LLaMA-65B on 1.4T tokens in 30 days, on three systems."""
    return suanli.plan_training("llama-65b", tokens="1.4T", days=30, on=("h100", "a100", "910b"))


def test_a_run_in_time(month: suanli.TrainingPlan) -> None:
    """On each system the number found runs in 30 days by the estimate, and the next smaller one does not."""
    assert {o.system for o in month.options} == {"dgx-h100", "dgx-a100", "atlas-800t-a2"}
    for o in month.options:
        assert o.meets
        assert o.accelerators is not None
        report = trained(o, o.accelerators, RUN)
        assert report is not None
        assert report.run == o.run
        assert report.layout == (o.report.layout if o.report is not None else None)
        assert report.fits
        assert (o.duration_s or 0.0) <= 30 * DAY
        less = trained(o, o.accelerators - o.per_node, RUN)
        assert less is None or less.run is None or not less.fits or (less.run.duration_s or 0.0) > 30 * DAY


def test_the_run_of_the_llama_paper() -> None:
    """2048 A100s trained it in about 21 days (Touvron et al. 2023, sec. 2.4): no more are needed for those days."""
    option = suanli.plan_training("llama-65b", tokens="1.4T", days=21, on="a100").options[0]
    assert option.accelerators is not None
    assert 1024 < option.accelerators <= 2048


def test_the_neighbour_is_the_next_that_can_be_laid_out(month: suanli.TrainingPlan) -> None:
    """What is said of the next smaller number is the estimate of it, and every number between has no legal layout."""
    for o in month.options:
        near = o.neighbour
        assert near is not None
        assert o.accelerators is not None
        report = trained(o, near.accelerators, RUN)
        assert report is not None
        assert report.run is not None
        assert near.duration_s == report.run.duration_s
        assert (near.duration_s or 0.0) > 30 * DAY
        between = range(near.accelerators + o.per_node, o.accelerators, o.per_node)
        assert all(trained(o, n, RUN) is None for n in between)


def test_runs_are_ranked_by_cost(month: suanli.TrainingPlan) -> None:
    """The cheapest is first, and a system nobody prices comes after."""
    costs = [o.cost for o in month.options]
    priced = [c for c in costs if c is not None]
    assert priced == sorted(priced)
    assert costs[: len(priced)] == priced
    assert month.ranked_by.startswith("cost in USD")


def test_a_price_for_all_of_them() -> None:
    """A price that is given replaces the catalog's, on every system."""
    asked = SMALL | {"assumptions": {"price_per_hour": 2.0}}
    for o in suanli.plan_training(asked, days=2, on=("h100", "910b")).options:
        assert o.run is not None
        assert o.cost == pytest.approx(2.0 * (o.run.accelerator_hours or 0.0))


def test_without_prices_the_fewest_accelerators_are_first() -> None:
    """Where no price is known, options are ranked by their number, and a budget cannot be asked for."""
    alone = suanli.Workspace(disable=["prices"])
    found = alone.plan_training(SMALL, days=2, on=("a100", "h100"))
    numbers = [o.accelerators for o in found.options]
    assert (found.ranked_by, numbers) == ("accelerators", sorted(numbers, key=lambda n: n or 0))
    with pytest.raises(suanli.ScenarioError, match="budget: no price is known of a100-sxm4-80, h100-sxm5-80"):
        alone.plan_training(SMALL, budget=1000, on=("a100", "h100"))


def test_a_budget_buys_the_shortest_run() -> None:
    """The run costs no more than the budget, and the next larger number costs more or takes longer."""
    found = suanli.plan_training(SMALL, budget=700, on="h100")
    option = found.options[0]
    assert found.ranked_by == "duration"
    assert option.meets
    assert option.cost is not None
    assert option.cost <= 700
    assert option.accelerators is not None
    assert option.neighbour is not None
    more = trained(option, option.neighbour.accelerators, SMALL)
    assert more is not None
    assert more.run is not None
    assert (more.run.cost or 0.0) > 700 or (more.run.duration_s or 0.0) >= (option.duration_s or 0.0)
    for fewer in (option.accelerators // 2, option.accelerators // 4):
        report = trained(option, fewer, SMALL)
        assert report is None or report.run is None or not report.fits or report.run.duration_s > option.duration_s


def test_days_and_a_budget_are_both_kept() -> None:
    """A run in time but past the budget misses, and says what it costs; a larger budget is met."""
    tight = suanli.plan_training(SMALL, days=1, budget=10, on="h100")
    assert not tight.meets
    assert "in that time" in tight.options[0].reason
    wide = suanli.plan_training(SMALL, days=1, budget=10_000, on="h100")
    assert wide.meets
    assert (wide.options[0].duration_s or 0.0) <= DAY


def test_what_misses_says_what_would_do() -> None:
    """A run that no number of accelerators does in time says how long it takes, and that long is met."""
    missed = suanli.plan_training(SMALL, days=0.001, on="h100").options[0]
    assert not missed.meets
    assert missed.reason.startswith("takes ")
    assert missed.hint.startswith("allow ")
    assert missed.duration_s is not None
    assert suanli.plan_training(SMALL, days=missed.duration_s / DAY, on="h100").meets


def test_what_fits_nowhere_says_so() -> None:
    """A model too large for all a network joins is an answer with the reason, not an error."""
    option = suanli.plan_training(RUN, days=30, on="a10").options[0]
    assert (option.meets, option.duration_s) == (False, None)
    assert option.reason == "it does not fit on the 8 that its network joins"


def test_a_figure_of_a_plan_can_be_explained(month: suanli.TrainingPlan) -> None:
    """A plan's report explains itself as any other, and its scenario gives it again."""
    report = month.options[0].report
    assert report is not None
    assert suanli.estimate(report.scenario).run == report.run
    assert report.explain("run.duration_s").value == report.figure("run.duration_s")


TRAFFIC = {"visits_per_month": "1.6B", "minutes_per_visit": 7.5, "tokens_per_s": 20, "peak_factor": 10}


def test_users_from_traffic() -> None:
    """1.6e9 visits a month of 7.5 minutes are 278 thousand users at a time (the GPT-3.5 article's figure)."""
    demand = suanli.plan_serving("gpt3-175b", traffic=TRAFFIC, on="h100").demand
    assert demand.users == pytest.approx(277777.77777777775)
    assert demand.users == pytest.approx(278000, rel=0.001)
    assert demand.peak == pytest.approx(277777.77777777775 * 20 * 10)


SERVED = [
    ("llama-3-70b", {"users": 500, "tokens_per_s": 8}),
    ("llama-3-70b", {"rate": 30, "slo": {"tpot": "50 ms", "ttft": "500 ms"}}),
    ("gpt3-175b", {"traffic": TRAFFIC}),
    ("llama-7b", {"users": 200, "peak_factor": 3}),
]


@pytest.mark.parametrize(("model", "target"), SERVED)
def test_engines_meet_the_demand_and_the_targets(model: str, target: dict[str, Any]) -> None:
    """All engines do what is asked at the peak, one less would not; each keeps the targets, at one request more not."""
    found = suanli.plan_serving(model, **target, on=("h100", "910b"))
    assert found.meets
    for o in found.options:
        assert o.serving is not None
        assert o.concurrency is not None
        assert o.engines is not None
        assert o.accelerators is not None
        assert o.engine_accelerators is not None
        each = found.demand.of(o.serving, o.concurrency)
        assert o.engines * each >= found.demand.peak > (o.engines - 1) * each
        assert o.accelerators >= o.engines * o.engine_accelerators
        assert o.accelerators == counts.at_least(o.accelerators, o.per_node)
        assert (
            counts.below(o.accelerators, o.per_node) is None
            or (counts.below(o.accelerators, o.per_node) or 0) < o.engines * o.engine_accelerators
        )
        for requests, keeps in ((o.concurrency, True), (o.concurrency + 1, False)):
            asked = {
                "model": {"name": model},
                "system": {"name": o.system, "accelerators": o.engine_accelerators},
                "workload": {"kind": "serve", "concurrency": requests},
                "layout": {"replicas": 1},
            }
            report = suanli.estimate(asked)
            s = report.serving
            assert s is not None
            room = requests <= (s.max_concurrency or 0)
            assert (report.fits and room and not found.slo.missed(s)) == keeps


def test_costs_of_a_service() -> None:
    """An hour costs the price of all accelerators; a token costs more at the average than with every engine busy."""
    option = suanli.plan_serving("llama-7b", users=200, tokens_per_s=10, peak_factor=5, on="h100").options[0]
    kept = option.keep
    price = suanli.catalog().price("h100-sxm5-80")
    assert price is not None
    assert kept is not None
    assert kept.cost_per_hour is not None
    assert kept.cost_per_hour == pytest.approx((option.accelerators or 0) * price.price_per_hour)
    assert kept.cost_per_month == pytest.approx(720 * kept.cost_per_hour)
    assert price.seller in kept.price_source
    million = kept.cost_per_hour / 3600 / (option.full_tokens_per_s or 1.0) * 1e6
    assert option.cost_per_million_tokens == pytest.approx(million)
    mean = option.mean_cost_per_million_tokens
    assert mean == pytest.approx(kept.cost_per_hour / 3600 / (200 * 10) * 1e6)
    assert mean is not None
    assert mean > million


def test_engines_are_bought_in_whole_nodes() -> None:
    """Eleven engines of one card are two nodes of eight, and the five idle cards are in the price of a token."""
    one = suanli.plan_serving("llama-7b", rate=1, on="h100").options[0]
    assert one.engine_accelerators == 1
    assert one.serving is not None
    eleven = suanli.plan_serving("llama-7b", rate=10.5 * (one.serving.requests_per_s or 0.0), on="h100").options[0]
    assert (eleven.engines, eleven.accelerators) == (11, 16)
    each = one.serving.cost_per_million_output_tokens
    assert eleven.cost_per_million_tokens == pytest.approx((each or 0.0) * 16 / 11)


def test_a_user_s_rate_is_a_target() -> None:
    """Users who read 8 tokens/s are given them: TPOT is 125 ms at most, and without any rate a usual one holds."""
    assert suanli.plan_serving("llama-7b", users=5, tokens_per_s=8, on="a10").slo.tpot_s == 0.125
    usual = suanli.plan_serving("llama-7b", users=5, on="a10").slo
    assert (usual.tpot_s, usual.why) == (0.1, "TPOT by default: faster than most people read")
    given = suanli.plan_serving("llama-7b", users=5, tokens_per_s=8, slo={"tpot": "1 s"}, on="a10").slo
    assert (given.tpot_s, given.why) == (1.0, "")


def test_targets_that_cannot_be_met_say_what_can() -> None:
    """A target past what one request alone gets is missed, with the nearest engine and its latencies."""
    option = suanli.plan_serving("llama-3-70b", rate=1, slo={"tpot": "1 ms"}, on="h100").options[0]
    assert not option.meets
    assert option.serving is not None
    assert option.reason.startswith("one request at a time on 8: TPOT ")
    tpot = option.serving.tpot_s or 0.0
    assert suanli.plan_serving("llama-3-70b", rate=1, slo={"tpot": tpot}, on="h100").meets


@pytest.mark.parametrize(
    ("model", "on", "how"),
    [
        ("llama-3-8b", "rtx-4090", {}),
        ("llama-3-70b", "h100", {"context": "4k"}),
        ("mistral-7b-v0.1", "a10", {"context": 16384, "batch": 4}),
        ("llama-3-70b", "h100", {"accelerators": 4, "batch": 8}),
    ],
)
def test_what_fits_does(model: str, on: str, how: dict[str, Any]) -> None:
    """What is said to fit does by the estimate; one more token, request or one card less does not."""
    found = suanli.fit(model, on, **how)
    assert found.meets
    node = suanli.system(found.system).accelerators_per_node

    def fits(recipe: str, accelerators: int, context: int, batch: int) -> bool:
        asked = {
            "model": {"name": model},
            "system": {"name": found.system, "accelerators": accelerators},
            "workload": {"kind": "serve", "prompt": context - (found.output or 0), "output": found.output}
            | {"batch": batch},
            "precision": {"recipe": recipe},
            "layout": {"replicas": 1},
        }
        try:
            return suanli.estimate(asked).fits
        except suanli.ScenarioError:
            return False

    for o in found.options:
        assert o.fits == fits(o.recipe, found.accelerators, found.context, found.batch)
        if o.largest_context:
            assert fits(o.recipe, found.accelerators, o.largest_context, 1)
            assert not fits(o.recipe, found.accelerators, o.largest_context + 1, 1)
        if o.largest_context == 0:
            assert not fits(o.recipe, found.accelerators, (found.output or 0) + 1, 1)
        if o.largest_batch is not None:
            assert o.largest_batch == 0 or fits(o.recipe, found.accelerators, found.context, o.largest_batch)
            assert not fits(o.recipe, found.accelerators, found.context, o.largest_batch + 1)
        if o.smallest is not None:
            less = counts.below(o.smallest, node)
            assert fits(o.recipe, o.smallest, found.context, found.batch)
            assert less is None or not fits(o.recipe, less, found.context, found.batch)


def test_a_window_sets_no_limit() -> None:
    """Mistral 7B keeps the last 4096 tokens only (Jiang et al. 2023): where it fits at all, any context does."""
    found = suanli.fit("mistral-7b-v0.1", "rtx-4090", context="32k")
    bf16 = next(o for o in found.options if o.recipe == "bf16")
    assert bf16.fits
    assert bf16.largest_context is None


def test_the_weights_of_a_published_model() -> None:
    """Llama 3 8B has 8.03e9 parameters: 16.06 GB in bf16, and less room is left than an RTX 4090 has beside them."""
    bf16 = next(o for o in suanli.fit("llama-3-8b", "rtx-4090").options if o.recipe == "bf16")
    assert bf16.memory is not None
    assert bf16.room_bytes is not None
    assert bf16.memory.weights_bytes == pytest.approx(2 * 8030261248)
    capacity = suanli.accelerator("rtx-4090").capacity_bytes
    assert 0 < bf16.room_bytes < capacity - bf16.memory.weights_bytes


def test_what_does_not_fit_for_training_fits_more_cards() -> None:
    """Full fine-tuning of an 8B model in mixed precision needs several 80 GB cards; the fewest are found."""
    found = suanli.fit("llama-3-8b", "a100", kind="finetune")
    mixed = next(o for o in found.options if o.recipe == "bf16-mixed")
    assert not mixed.fits
    assert mixed.smallest is not None
    assert mixed.smallest > 1
    assert mixed.smallest_report is not None
    assert mixed.smallest_report.fits
    assert mixed.where_it_fits is mixed.smallest_report


def test_a_model_can_be_a_configuration_or_a_path(tmp_path: Path) -> None:
    """A configuration, its file, and a whole scenario give the answer a name gives."""
    config = {
        "model_type": "llama",
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "max_position_embeddings": 2048,
    }
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    scenario = {"model": {"name": "llama-7b"}, "system": {"accelerator": "a10"}, "workload": {"kind": "serve"}}
    asked = ["llama-7b", config, str(file), file, scenario, suanli.scenario(scenario)]
    found = [suanli.fit(one, None if "system" in str(one) or i == 5 else "a10") for i, one in enumerate(asked)]
    limits = {tuple((o.recipe, o.largest_context, o.largest_batch) for o in f.options) for f in found}
    assert len(limits) == 1


def test_plans_are_values() -> None:
    """Plans are JSON without a number that is none, and come back from a pickle as they were."""
    for plan in (
        suanli.plan_compute("1P", ("h100", "910b"), sparse=True),
        suanli.plan_training(SMALL, days=2, on=("h100", "a10")),
        suanli.plan_serving("llama-7b", rate=2, on=("h100", "a10")),
        suanli.fit("llama-7b", "a10"),
    ):
        data = plan.to_dict()
        assert data["schema_version"]
        assert json.loads(json.dumps(data, allow_nan=False)) == data
        assert pickle.loads(pickle.dumps(plan)) == plan


SECRET = """
[[accelerator]]
id = "secret-one"
vendor = "Acme"
product = "Secret One"
memory = "80 GB"
memory_bandwidth = "3 TB/s"
power = "600 W"
confidential = true
peak = { fp32 = "30 TFLOP/s", bf16 = "777 TFLOP/s" }
default_system = "secret-node"
source = { all = "under NDA" }
[[system]]
id = "secret-node"
accelerator = "secret-one"
accelerators_per_node = 8
power_per_node = "7.77 kW"
confidential = true
source = { all = "under NDA" }
[[system.tier]]
name = "inside"
span = 8
bandwidth = "200 GB/s"
"""


def test_confidential_figures_stay_so(tmp_path: Path) -> None:
    """Of a confidential accelerator the number is told, and neither its peak, its power, nor what gives them away."""
    (tmp_path / "secret.toml").write_text(SECRET, encoding="utf-8")
    workspace = suanli.Workspace(paths=[tmp_path])
    option = workspace.plan_compute("100P", "secret-one").options[0]
    assert option.nodes == 17
    assert option.keep is not None
    hidden = (option.peak_flops_per_s, option.exact_accelerators, option.exact_nodes, option.total_flops_per_s)
    assert (*hidden, option.keep.power_w) == (None,) * 5
    served = workspace.plan_serving("llama-7b", rate=1, on="secret-one").options[0]
    assert served.keep is not None
    assert served.keep.power_w is None
    assert all(o.room_bytes is None for o in workspace.fit("llama-7b", "secret-one").options)


BAD = [
    (
        lambda: suanli.plan_compute("soon", "h10", "bf17"),
        ("compute: 'soon'", "on: no system", "precision: no precision"),
    ),
    (lambda: suanli.plan_compute(None), ("compute: required",)),  # type: ignore[arg-type]
    (lambda: suanli.plan_compute("1P", 5), ("on: expected names",)),  # type: ignore[arg-type]
    (
        lambda: suanli.plan_training("llama-65c", tokens="x", days="soon", budget=-3, on="h10"),
        ("days: 'soon'", "budget: must be above 0", "on: no system", "workload.tokens: 'x'", "model.name: no model"),
    ),
    (lambda: suanli.plan_training("llama-65b", on="h100"), ("days: required", "workload.tokens: required")),
    (lambda: suanli.plan_training(7, days=3), ("expected a model",)),
    (lambda: suanli.plan_training({"workload": {"tokens": 5}}, days=3), ("model: required",)),
    (
        lambda: suanli.plan_training(RUN | {"system": {"name": "dgx-h100", "accelerators": 8}}, days=3),
        ("system.accelerators: is what the plan finds",),
    ),
    (
        lambda: suanli.plan_training({"model": {"name": "gpt2"}, "workload": {"kind": "serve"}}, days=1, tokens=5),
        ("workload.kind: this plan is for pretrain or finetune",),
    ),
    (
        lambda: suanli.plan_training(RUN | {"layout": {"pipeline": 81, "schedule": "1f1c"}}, days=30, on="h100"),
        ("layout.schedule: no pipeline schedule named '1f1c'",),
    ),
    (
        lambda: suanli.plan_training(RUN | {"layout": {"pipeline": 81, "tensor": 1}}, days=30, on="h100"),
        ("layout.pipeline: 81 stages",),
    ),
    (
        lambda: suanli.plan_training(RUN | {"optimizer": {"name": "adan"}}, days=30, on="h100"),
        ("optimizer.name: no optimizer named 'adan'",),
    ),
    (lambda: suanli.plan_serving("llama-7b", on="a10"), ("demand: give one of users",)),
    (
        lambda: suanli.plan_serving("llama-7b", users=5, rate=-2, slo={"tp": 1}, peak_factor=0.5, on="a10"),
        (
            "demand: give one of users",
            "rate: must be above 0",
            "slo: unknown key 'tp'; did you mean 'tpot'?",
            "peak_factor: the peak is no less",
        ),
    ),
    (
        lambda: suanli.plan_serving("llama-7b", traffic={"visits": 5}, on="a10"),
        ("traffic: unknown key 'visits'", "traffic.visits_per_month: required", "traffic.minutes_per_visit: required"),
    ),
    (
        lambda: suanli.plan_serving({"model": {"name": "gpt2"}, "workload": {"kind": "serve", "batch": 3}}, users=2),
        ("workload.batch: is what the plan finds",),
    ),
    (
        lambda: suanli.plan_serving("llama-7b", users=2, slo={"percentile": 90}, on="a10"),
        ("slo.percentile: not there yet",),
    ),
    (
        lambda: suanli.fit("llama-7b", kind="srve", context=8.5, accelerators=0),
        (
            "kind: must be one of serve",
            "context: must be a whole number",
            "accelerators: must be above 0",
            "on: required",
        ),
    ),
    (lambda: suanli.fit("llama-7b", "a10", accelerators=9), ("accelerators: a10-8-pcie joins at most 8",)),
    (
        lambda: suanli.fit({"model": {"name": "gpt2"}, "workload": {"kind": "serve", "output": 9}}, "a10", context=9),
        ("context: 9 tokens leave no prompt",),
    ),
    (
        lambda: suanli.fit({"model": {"name": "gpt2"}, "precision": {"recipe": "fp9"}}, "a10"),
        ("precision.recipe: no serving recipe named 'fp9'",),
    ),
]


@pytest.mark.parametrize(("ask", "said"), BAD)
def test_every_fault_is_told_at_once(ask, said: tuple[str, ...]) -> None:
    """Bad input is one error that lists every fault with its path, and a near match where there is one."""
    with pytest.raises(suanli.InvalidInputError) as caught:
        ask()
    for text in said:
        assert any(error.startswith(text) for error in caught.value.errors), caught.value.errors


def test_progress_is_told() -> None:
    """A plan tells what it tries, system by system."""
    told: list[str] = []
    suanli.plan_training(SMALL, days=2, on=("h100", "a100"), progress=told.append)
    assert told[0].endswith(": 1 accelerator")
    assert {t.partition(":")[0] for t in told} == {"dgx-h100", "dgx-a100"}


def test_a_plan_changes_nothing_it_is_given() -> None:
    """Neither tables nor a scenario are touched, and a plan is the same every time."""
    asked = {"model": {"name": "llama-7b"}, "workload": {"tokens": "10B"}}
    kept = json.loads(json.dumps(asked))
    assert suanli.plan_training(asked, days=2, on="h100") == suanli.plan_training(asked, days=2, on="h100")
    assert asked == kept


ODD = """
[[accelerator]]
id = "counts-only"
vendor = "Acme"
product = "Counts Only"
memory = "80 GB"
memory_bandwidth = "3 TB/s"
peak = { int8 = "900 TOP/s" }
default_system = "counts-node"
source = { all = "made up" }
[[system]]
id = "counts-node"
accelerator = "counts-only"
accelerators_per_node = 8
source = { all = "made up" }
[[system.tier]]
name = "inside"
bandwidth = "200 GB/s"
"""


def test_a_system_that_cannot_run_it_leaves_the_others(tmp_path: Path) -> None:
    """A system without a path for the precision says so, and the others are planned; alone it is an error."""
    (tmp_path / "odd.toml").write_text(ODD, encoding="utf-8")
    workspace = suanli.Workspace(paths=[tmp_path])
    found = workspace.plan_training(SMALL, days=2, on=("counts-only", "h100"))
    assert [(o.accelerator, o.meets) for o in found.options] == [("h100-sxm5-80", True), ("counts-only", False)]
    assert "counts-only states no peak a fp16 product could run at" in found.options[1].reason
    with pytest.raises(suanli.ScenarioError, match="counts-only states no peak"):
        workspace.plan_training(SMALL, days=2, on="counts-only")
