"""What a step amounts to: throughput, utilisation, length of the run, energy and cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suanli import Case, Number, Problem, fact, formula

PALM = "Chowdhery et al. 2022, PaLM, appendix B"
CONVENTION = (
    "model FLOPs: matrix products of forward and backward (2 x forward), attention over the full sequence, "
    "no recompute (PaLM); hardware FLOPs add recompute"
)
JOULES_PER_KWH = 3.6e6
SECONDS_PER_HOUR = 3600.0


@formula(unit="flops", source=PALM)
def model_flops(*, forward_flops: Number) -> Number:
    """FLOPs of forward and backward passes; the backward of a product is two products."""
    return 3.0 * forward_flops


@formula(unit="tokens_per_s", source="definition")
def tokens_per_s(*, sequences: Number, sequence: Number, step_s: Number) -> Number:
    """Tokens trained on in a second."""
    return sequences * sequence / step_s


@formula(unit="ratio", source=PALM)
def utilisation(*, flops: Number, step_s: Number, accelerators: Number, peak_flops_per_s: Number) -> Number:
    """Share of the peak rate of all accelerators that `flops` a step amount to."""
    return flops / step_s / (accelerators * peak_flops_per_s)


@formula(unit="s", source="definition: whole steps")
def run_s(*, tokens: Number, sequences: Number, sequence: Number, step_s: Number) -> Number:
    """Seconds of a run of so many tokens, without restarts."""
    return tokens / (sequences * sequence) * step_s


@formula(unit="j", source="definition: rated power throughout, an upper bound on what is drawn")
def energy_j(*, power_w: Number, nodes: Number, duration_s: Number, pue: Number) -> Number:
    """Joules at rated power of every node, the site's overhead included."""
    return power_w * nodes * duration_s * pue


@formula(unit="currency", source="definition")
def rental_cost(*, accelerators: Number, duration_s: Number, price_per_hour: Number) -> Number:
    """Price of all accelerators for the run."""
    return accelerators * duration_s / SECONDS_PER_HOUR * price_per_hour


@formula(unit="currency", source="definition")
def electricity_cost(*, energy_j: Number, price_per_kwh: Number) -> Number:
    """Price of the energy."""
    return energy_j / JOULES_PER_KWH * price_per_kwh


def flops(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """FLOPs of a step over all ranks."""
    one = case.model.forward_flops(sequence=case.sequence, causal=False)
    groups = one.by_group
    forward = float(one.total) * case.global_batch
    extra = 0.0
    if layout.recompute == "full":
        outside = sum(f for g, f in groups.items() if g == "head")
        extra = (float(one.total) - outside) * case.global_batch
    elif layout.recompute == "selective":
        extra = groups.get("attention_core", 0.0) * case.global_batch
    useful = model_flops(forward_flops=forward)
    return {
        "flops.forward_flops": forward,
        "flops.backward_flops": 2.0 * forward,
        "flops.recompute_flops": extra,
        "flops.model_flops": useful,
        "flops.hardware_flops": useful + extra,
        "flops.convention": CONVENTION,
    }


def throughput(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Tokens and FLOP/s, in all and of one accelerator."""
    step = given["time.step_s"]
    count = float(case.system.accelerators)
    rate = tokens_per_s(sequences=float(case.global_batch), sequence=float(case.sequence), step_s=step)
    peak = case.device.peak_flops_per_s(case.formats.compute)
    ratios = {
        name: utilisation(flops=given[f"flops.{kind}_flops"], step_s=step, accelerators=count, peak_flops_per_s=peak)
        for name, kind in (("mfu", "model"), ("hfu", "hardware"))
    }
    return {
        "throughput.tokens_per_s": rate,
        "throughput.tokens_per_s_per_accelerator": rate / count,
        "throughput.samples_per_s": float(case.global_batch) / step,
        "throughput.samples_per_s_per_accelerator": float(case.global_batch) / step / count,
        "throughput.model_flops_per_s_per_accelerator": given["flops.model_flops"] / step / count,
        "throughput.mfu_ratio": ratios["mfu"],
        "throughput.hfu_ratio": ratios["hfu"],
        "throughput.peak_flops_per_s": peak,
        "throughput.peak_precision": case.formats.compute,
    }


def run(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The run of so many tokens; None with a note where something it needs is not known."""
    keys = ("run.duration_s", "run.accelerator_hours", "run.energy_j", "run.cost")
    found: dict[str, Any] = dict.fromkeys(keys) | {"run.currency": case.currency}
    if case.tokens is None:
        for key in keys:
            _absent(case, key, "no-tokens", "the number of tokens to train on is not given", "give workload.tokens")
        return found
    system, count = case.system, float(case.system.accelerators)
    duration = run_s(
        tokens=float(case.tokens),
        sequences=float(case.global_batch),
        sequence=float(case.sequence),
        step_s=given["time.step_s"],
    )
    found |= {"run.duration_s": duration, "run.accelerator_hours": count * duration / SECONDS_PER_HOUR}
    energy = None
    if system.power_per_node_w is None:
        _absent(
            case,
            "run.energy_j",
            "no-power",
            f"nobody states the power of a {system.id} node",
            "add power_per_node in a catalog file",
        )
    else:
        power = fact(system.power_per_node_w, f"{system.id}.power_per_node", "w", system.source_of("power"))
        nodes = count / float(system.accelerators_per_node)
        energy = energy_j(power_w=power, nodes=nodes, duration_s=duration, pue=case.pue)
    found["run.energy_j"] = energy
    cost = None
    if case.price_per_hour is not None:
        cost = rental_cost(accelerators=count, duration_s=duration, price_per_hour=case.price_per_hour)
    if case.electricity_price is not None and energy is not None:
        power_cost = electricity_cost(energy_j=energy, price_per_kwh=case.electricity_price)
        cost = power_cost if cost is None else cost + power_cost
    if cost is None:
        _absent(
            case,
            "run.cost",
            "no-price",
            "no price is known",
            "give assumptions.price_per_hour (--price-per-hour), or electricity_price",
        )
    found["run.cost"] = cost
    return found


def _absent(case: Case, figure: str, code: str, message: str, hint: str) -> None:
    case.problems.append(
        Problem(code=code, severity="note", message=f"{figure} is not known: {message}", hint=hint, figure=figure)
    )
