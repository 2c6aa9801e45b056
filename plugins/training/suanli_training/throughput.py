"""What a step amounts to: throughput, utilisation, length of the run, energy and cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suanli import Case, Number, Problem, formula
from suanli.costs import accelerator_hours, cost_of, energy_of, no_cost, no_energy

PALM = "Chowdhery et al. 2022, PaLM, appendix B"
CONVENTION = (
    "model FLOPs: matrix products of forward and backward (2 x forward), attention over the full sequence, "
    "no recompute (PaLM); hardware FLOPs add recompute"
)


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
        said, hint = "is not known: the number of tokens to train on is not given", "give workload.tokens"
        for key in keys:
            note = Problem(code="no-tokens", severity="note", message=f"{key} {said}", hint=hint, figure=key)
            case.problems.append(note)
        return found
    duration = run_s(
        tokens=float(case.tokens),
        sequences=float(case.global_batch),
        sequence=float(case.sequence),
        step_s=given["time.step_s"],
    )
    energy, cost = energy_of(case, duration), cost_of(case, duration)
    if energy is None:
        case.problems.append(no_energy(case, "run.energy_j"))
    if cost is None:
        case.problems.append(no_cost(case, "run.cost"))
    hours = accelerator_hours(accelerators=float(case.system.accelerators), duration_s=duration)
    return found | {
        "run.duration_s": duration,
        "run.accelerator_hours": hours,
        "run.energy_j": energy,
        "run.cost": cost,
    }
