"""Which way every answer moves: what costs memory, what costs time, and that better hardware is never slower."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import suanli
from suanli.case import Case
from suanli.hardware import Accelerator, Rate, System
from suanli.layout import Layout
from suanli.testing import installed_plugins, make_plugin, resolved, run_one
from suanli.testing import strategies as sts

ROUNDING = 1.0 + 1e-12
"""Sums are added in another order when a part grows: the last bits may differ, nothing more."""

Drawn = tuple[dict[str, Any], Layout]


@st.composite
def trained(draw: st.DrawFn) -> Drawn:
    """A training scenario and its layout."""
    config = draw(sts.configs())
    layout = draw(sts.layouts(config))
    return draw(sts.training_scenarios(config=config, layout=layout)), layout


@st.composite
def served(draw: st.DrawFn) -> Drawn:
    """A serving scenario and its layout."""
    config = draw(sts.configs())
    layout = draw(sts.layouts(config, training=False))
    return draw(sts.serving_scenarios(config=config, layout=layout)), layout


@given(trained())
def test_zero_never_needs_more_memory(drawn: Drawn) -> None:
    """Each ZeRO stage needs at most what the stage before it needs, on the worst rank."""
    case = resolved(drawn[0])
    need = [run_one(case, attrs.evolve(drawn[1], zero=z))["memory.total_bytes"] for z in range(4)]
    for less, more in zip(need[1:], need, strict=False):
        assert less <= more * ROUNDING, need


@pytest.mark.parametrize("data", [1, 2, 8])
@pytest.mark.parametrize("layers", [1, 2, 3, 32])
def test_zero_3_of_a_shallow_model_never_needs_more_memory(layers: int, data: int) -> None:
    """Gathering never needs more than the weights that were divided: with one rank or one layer there is nothing."""
    config = {"model_type": "gpt2", "vocab_size": 64, "n_embd": 512, "n_layer": layers, "n_head": 8}
    scenario = {
        "model": {"config": config},
        "system": {"name": "dgx-a100", "accelerators": data},
        "workload": {"sequence": 128, "global_batch": 8},
    }
    case = resolved(scenario)
    two, three = (run_one(case, Layout(data=data, zero=z))["memory.total_bytes"] for z in (2, 3))
    assert three <= two * ROUNDING


@given(trained())
def test_recompute_saves_memory(drawn: Drawn) -> None:
    """No recompute needs at least what selective needs, and selective what full needs; activations alone as well."""
    case = resolved(drawn[0])
    found = [run_one(case, attrs.evolve(drawn[1], recompute=r)) for r in ("none", "selective", "full")]
    for figure in ("memory.total_bytes", "memory.activations_bytes"):
        for less, more in zip(found[1:], found, strict=False):
            assert less[figure] <= more[figure] * ROUNDING, figure
    # Stage by stage, whichever is the worst.
    for rows in zip(*(v["memory.stages"] for v in found), strict=True):
        kept = [dict(r)["activations_bytes"] for r in rows]
        assert kept[0] * ROUNDING >= kept[1] * ROUNDING >= kept[2]
        whole = [dict(r)["total_bytes"] for r in rows]
        assert whole[2] <= whole[1] * ROUNDING <= whole[0] * ROUNDING * ROUNDING


@given(trained())
def test_recompute_costs_time(drawn: Drawn) -> None:
    """No recompute is never slower than selective, nor selective than full; what is made again is what it costs."""
    case = resolved(drawn[0])
    found = [run_one(case, attrs.evolve(drawn[1], recompute=r)) for r in ("none", "selective", "full")]
    for figure in ("time.step_s", "time.recompute_s"):
        for faster, slower in itertools.pairwise(found):
            assert faster[figure] <= slower[figure] * ROUNDING, figure
    assert found[0]["time.recompute_s"] == 0.0
    assert found[0]["flops.recompute_flops"] == 0.0
    assert found[1]["flops.recompute_flops"] <= found[2]["flops.recompute_flops"]


@given(trained())
def test_sequence_parallelism_saves_memory(drawn: Drawn) -> None:
    """Dividing the sequence over tensor ranks never makes a rank keep more."""
    case = resolved(drawn[0])
    spread, plain = (run_one(case, attrs.evolve(drawn[1], sequence_parallel=s)) for s in (True, False))
    assert spread["memory.activations_bytes"] <= plain["memory.activations_bytes"] * ROUNDING


@given(trained(), st.integers(2, 4))
def test_more_of_everything_needs_more_memory(drawn: Drawn, factor: int) -> None:
    """A longer sequence, or more sequences in a pass, never need less memory."""
    scenario, layout = drawn
    longer = scenario | {"workload": scenario["workload"] | {"sequence": scenario["workload"]["sequence"] * factor}}
    wider = scenario | {
        "workload": scenario["workload"] | {"global_batch": scenario["workload"]["global_batch"] * factor}
    }
    base = run_one(resolved(scenario), layout)["memory.total_bytes"]
    assert base <= run_one(resolved(longer), layout)["memory.total_bytes"] * ROUNDING
    more = attrs.evolve(layout, micro_batch=layout.micro_batch * factor)
    assert base <= run_one(resolved(wider), more)["memory.total_bytes"] * ROUNDING


@given(trained())
def test_the_parts_of_memory_are_its_total(drawn: Drawn) -> None:
    """Parts sum to the total, the worst stage is the worst of the stages, and it fits if that is what there is."""
    report = suanli.estimate(drawn[0])
    worst, stages = report.memory.per_accelerator, report.memory.stages
    assert len(stages) == drawn[1].pipeline
    assert worst.total_bytes == pytest.approx(max(s.total_bytes for s in stages), rel=1e-12)
    assert report.memory.fits == (worst.total_bytes <= (report.memory.capacity_bytes or 0.0))
    assert all(part >= 0.0 for part in attrs.astuple(worst))


@given(trained())
def test_the_parts_of_a_step_are_the_step(drawn: Drawn) -> None:
    """Parts sum to the step, the axes to the exposed communication, and none is negative."""
    time = suanli.estimate(drawn[0]).time
    parts = (
        time.forward_s,
        time.backward_s,
        time.recompute_s,
        time.exposed_communication_s,
        time.bubble_s,
        time.overhead_s,
        time.optimizer_s,
    )
    assert sum(p or 0.0 for p in parts) == pytest.approx(time.step_s, rel=1e-12)
    axes = [v for k, v in attrs.asdict(time).items() if k.startswith("exposed_") and k != "exposed_communication_s"]
    assert sum(axes) == pytest.approx(time.exposed_communication_s, rel=1e-12, abs=1e-18)
    assert min(*(p or 0.0 for p in parts), *axes) >= -1e-12 * (time.step_s or 0.0)


@given(trained())
def test_utilisation_is_a_share(drawn: Drawn) -> None:
    """Model FLOPs are within the peak, hardware FLOPs are no fewer, and rates are work over time."""
    report = suanli.estimate(drawn[0])
    rate, work = report.throughput, drawn[0]["workload"]
    assert 0.0 < (rate.mfu_ratio or 0.0) <= (rate.hfu_ratio or 0.0)
    causal = report.layout.recompute == "none" or drawn[0]["implementation"]["attention"] == "flash"
    assert (rate.hfu_ratio or 0.0) < (2.0 if causal else 1.0)
    tokens = work["sequence"] * work["global_batch"]
    assert rate.tokens_per_s == pytest.approx(tokens / (report.time.step_s or 0.0), rel=1e-12)


FASTER = ("memory_bandwidth", "flops", "flops_and_bandwidth", "inner", "outer", "per_peer", "launch", "latency")


def faster(case: Case, what: str, factor: float) -> Case:
    """The same case on hardware that is better in one respect."""
    device, system = case.device, case.system
    tiers = system.tiers
    if what in ("memory_bandwidth", "flops_and_bandwidth"):
        device = attrs.evolve(device, memory_bandwidth_bytes_per_s=device.memory_bandwidth_bytes_per_s * factor)
    if what in ("flops", "flops_and_bandwidth"):
        device = attrs.evolve(device, peak=tuple(Rate(r.precision, r.flops_per_s * factor) for r in device.peak))
    if what == "inner":
        tiers = (attrs.evolve(tiers[0], bandwidth_bytes_per_s=tiers[0].bandwidth_bytes_per_s * factor), *tiers[1:])
    if what == "outer":
        tiers = (*tiers[:-1], attrs.evolve(tiers[-1], bandwidth_bytes_per_s=tiers[-1].bandwidth_bytes_per_s * factor))
    if what == "per_peer" and tiers[0].per_peer_bytes_per_s:
        tiers = (attrs.evolve(tiers[0], per_peer_bytes_per_s=tiers[0].per_peer_bytes_per_s * factor), *tiers[1:])
    if what == "launch":
        model: Any = device.kernels
        quick = tuple(attrs.evolve(e, launch_s=e.launch_s / factor) for e in model.efficiencies)
        device = attrs.evolve(device, kernels=attrs.evolve(model, efficiencies=quick))
    if what == "latency":
        net: Any = system.exchanges
        quick_net = tuple(
            attrs.evolve(f, latency_s=f.latency_s / factor, launch_s=f.launch_s / factor) for f in net.fabrics
        )
        system = attrs.evolve(system, exchanges=attrs.evolve(net, fabrics=quick_net))
    return attrs.evolve(case, device=device, system=attrs.evolve(system, tiers=tiers, device=device))


@given(trained(), st.sampled_from(FASTER), st.floats(1.0, 100.0))
def test_better_hardware_never_trains_slower(drawn: Drawn, what: str, factor: float) -> None:
    """More bandwidth, FLOP/s, or less latency, never makes a step longer, nor changes what it needs."""
    case = resolved(drawn[0])
    before = run_one(case, drawn[1])
    after = run_one(faster(case, what, factor), drawn[1])
    assert after["time.step_s"] <= before["time.step_s"] * ROUNDING
    assert after["memory.total_bytes"] == before["memory.total_bytes"]
    assert after["flops.model_flops"] == before["flops.model_flops"]


def test_nothing_hides_behind_the_same_work_twice() -> None:
    """Context and data exchanges share what they can hide behind, so that faster products never lengthen a step."""
    config: dict[str, Any] = {"model_type": "gpt2", "vocab_size": 97, "n_embd": 16, "n_layer": 2, "n_head": 2}
    config |= {"tie_word_embeddings": False, "n_positions": 1 << 20}
    case = resolved(
        {
            "model": {"config": config},
            "system": {"name": "dgx-a100", "accelerators": 4},
            "workload": {"sequence": 84, "global_batch": 12},
            "precision": {"recipe": "fp32"},
            "optimizer": {"name": "sgd"},
            "implementation": {"attention": "eager", "overlap": True},
        }
    )
    layout = Layout(context=2, data=2, micro_batch=2, zero=2)
    steps = [run_one(faster(case, "flops", f), layout)["time.step_s"] for f in (1.0, 2.0, 4.0)]
    assert all(after <= before * ROUNDING for before, after in itertools.pairwise(steps)), steps


@given(served(), st.sampled_from(FASTER), st.floats(1.0, 100.0))
def test_better_hardware_never_serves_slower(drawn: Drawn, what: str, factor: float) -> None:
    """More bandwidth, FLOP/s, or less latency, never makes a client wait longer, nor serves fewer tokens."""
    case = resolved(drawn[0])
    before = run_one(case, drawn[1])
    after = run_one(faster(case, what, factor), drawn[1])
    for figure in ("serving.ttft_s", "serving.tpot_s", "serving.latency_s"):
        assert after[figure] <= before[figure] * ROUNDING, figure
    assert after["serving.output_tokens_per_s"] * ROUNDING >= before["serving.output_tokens_per_s"]


@pytest.mark.parametrize("zero", [0, 1, 2, 3])
def test_a_faster_device_never_slows_a_starved_network(zero: int) -> None:
    """Where gradients outlast the pass they hide behind, faster products shorten the step or leave it as it is."""
    case = resolved(
        {
            "model": {"name": "llama-7b"},
            "system": {"name": "dgx-h100", "accelerators": 64},
            "workload": {"sequence": 256, "global_batch": 64},
        }
    )
    layout = Layout(data=64, zero=zero)
    steps = [run_one(faster(case, "flops_and_bandwidth", f), layout)["time.step_s"] for f in (1.0, 1.5, 2.0, 4.0)]
    assert steps == sorted(steps, reverse=True)


@given(st.data())
def test_a_better_machine_in_a_catalog_is_never_slower(data: st.DataObject) -> None:
    """The same end to end: a plugin's machine, and one that is better in every figure, training and serving."""
    base = data.draw(sts.accelerators(id="slow"))
    node = data.draw(sts.systems(accelerator="slow"))
    plugin = make_plugin("vendor", accelerators=[base, *_better([base])], systems=[node, *_better_systems([node])])
    workspace = suanli.Workspace(plugins=[*installed_plugins(), plugin])
    for scenario in (
        data.draw(sts.training_scenarios(systems=("slow-node",))),
        data.draw(sts.serving_scenarios(systems=("slow-node",))),
    ):
        slow = workspace.estimate(scenario)
        fast = workspace.estimate(scenario | {"system": scenario["system"] | {"name": "fast-node"}})
        for figure in ("time.step_s", "serving.tpot_s", "serving.ttft_s"):
            section, _, name = figure.partition(".")
            before, after = (getattr(getattr(r, section), name, None) for r in (slow, fast))
            assert before is None or after <= before * ROUNDING
        assert fast.memory.per_accelerator.weights_bytes == slow.memory.per_accelerator.weights_bytes


def _better(found: list[Accelerator]) -> list[Accelerator]:
    return [
        attrs.evolve(
            a,
            id="fast",
            default_system="fast-node",
            memory_bandwidth_bytes_per_s=a.memory_bandwidth_bytes_per_s * 2.0,
            peak=tuple(Rate(r.precision, r.flops_per_s * 2.0) for r in a.peak),
        )
        for a in found
    ]


def _better_systems(found: list[System]) -> list[System]:
    return [
        attrs.evolve(
            s,
            id="fast-node",
            accelerator="fast",
            tiers=tuple(
                attrs.evolve(
                    t,
                    bandwidth_bytes_per_s=t.bandwidth_bytes_per_s * 2.0,
                    per_peer_bytes_per_s=t.per_peer_bytes_per_s and t.per_peer_bytes_per_s * 2.0,
                )
                for t in s.tiers
            ),
        )
        for s in found
    ]


@given(served())
def test_serving_figures_hang_together(drawn: Drawn) -> None:
    """Latency is the first token and the rest; rates are work over it; what fits is what there is."""
    scenario = drawn[0]
    report = suanli.estimate(scenario)
    serving, work = report.serving, scenario["workload"]
    assert serving is not None
    assert serving.latency_s == pytest.approx(
        (serving.ttft_s or 0.0) + (serving.tpot_s or 0.0) * (work["output"] - 1), rel=1e-12
    )
    assert serving.output_tokens_per_s == pytest.approx((serving.requests_per_s or 0.0) * work["output"], rel=1e-12)
    assert serving.bound in ("compute", "memory", "communication", "overhead", "capacity")
    memory = report.memory
    assert memory.fits == (memory.per_accelerator.total_bytes <= (memory.capacity_bytes or 0.0))
    if memory.fits:
        requests = work.get("concurrency") or work["batch"] * drawn[1].replicas
        assert (serving.max_concurrency or 0.0) >= requests


@given(served(), st.integers(2, 4))
def test_a_longer_answer_or_prompt_never_serves_faster(drawn: Drawn, factor: int) -> None:
    """More tokens to read or to write never shorten a wait, nor need a smaller cache."""
    scenario, layout = drawn
    before = run_one(resolved(scenario), layout)
    for field in ("prompt", "output"):
        longer = scenario | {"workload": scenario["workload"] | {field: scenario["workload"][field] * factor}}
        after = run_one(resolved(longer), layout)
        assert before["serving.latency_s"] <= after["serving.latency_s"] * ROUNDING
        assert before["memory.kv_cache_bytes"] <= after["memory.kv_cache_bytes"] * ROUNDING


@pytest.mark.parametrize("pipeline", [2, 4])
def test_a_served_pipeline_hands_on(pipeline: int) -> None:
    """One request passes every stage of an engine, and is handed on once at each boundary, as p2p takes."""
    scenario = {
        "model": {"name": "llama-7b"},
        "system": {"name": "dgx-a100", "accelerators": pipeline},
        "workload": {"kind": "serve", "prompt": 512, "output": 8, "batch": 1},
    }
    case = resolved(scenario)
    one, many = (run_one(case, Layout(pipeline=p)) for p in (1, pipeline))
    for figure, tokens in (("time.prefill_s", 512), ("time.decode_s", 1)):
        each = case.system.collective_s("p2p", bytes=tokens * 4096 * 2, ranks=2, stride=1)
        assert many[figure] - one[figure] == pytest.approx((pipeline - 1) * each, rel=1e-6)
