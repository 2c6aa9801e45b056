"""A kernel model, an optimizer, an axis of parallelism, a schedule, a rule of thumb, an exporter and two stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from suanli import (
    Accelerator,
    Block,
    Case,
    Exchange,
    Kernel,
    KernelModel,
    Model,
    Number,
    OptimizerRule,
    ParallelismRule,
    PipelineSchedule,
    Report,
    StateTensor,
    formula,
    maximum,
    minimum,
    role_sizes,
)
from suanli.tensors import HEADS, KV_SEQUENCE


@formula(unit="s", source="Acme One white paper, sec. 4: a launch, and a quarter more than the roofline")
def acme_kernel_s(*, flops: Number, bytes: Number, peak: Number, bandwidth: Number, launches: Number) -> Number:
    """Seconds of a kernel on an Acme One."""
    return launches * (2e-6 + 1.25 * maximum(flops / peak, bytes / bandwidth))


@attrs.frozen(kw_only=True)
class AcmeKernels(KernelModel):
    """Acme's own measurements, in one factor."""

    def time_s(self, kernel: Kernel, accelerator: Accelerator) -> Number:
        """Seconds of all the launches of `kernel`."""
        peak = (
            accelerator.vector_flops_per_s()
            if kernel.kind == "elementwise"
            else accelerator.peak_flops_per_s(kernel.compute)
        )
        return acme_kernel_s(
            flops=kernel.flops,
            bytes=kernel.bytes,
            peak=peak,
            bandwidth=accelerator.bandwidth_bytes_per_s,
            launches=kernel.launches,
        )


@attrs.frozen(kw_only=True)
class Factored(OptimizerRule):
    """Keeps a row and a column of each matrix, and all of a vector."""

    def states(self, shape: tuple[int, ...]) -> tuple[StateTensor, ...]:
        """State tensors of a parameter of `shape`."""
        rows = 1
        for size in shape[:-1]:
            rows *= size
        if len(shape) < 2:
            return (StateTensor(name="all", elements=shape[0] if shape else 1),)
        return (StateTensor(name="row", elements=rows), StateTensor(name="column", elements=shape[-1]))


@attrs.frozen(kw_only=True)
class Ulysses(ParallelismRule):
    """Ranks share a sequence, and swap it for heads around attention (Jacobs et al. 2023, DeepSpeed-Ulysses)."""

    def exchanges(self, block: Block, *, sequence_parallel: bool) -> tuple[Exchange, ...]:
        """Queries, keys and values there, the output back; the gradients the other way."""
        return tuple(
            Exchange(operation="all_to_all", tensor=tensor, phase=phase, group="ulysses")
            for op in block.operators
            if KV_SEQUENCE in op.reduces
            for tensor in (*op.reads, *op.writes)
            for phase in ("forward", "backward")
        )

    def group(self, name: str, layout: Any) -> tuple[Number, Number]:
        """The outermost axis: a whole job of the others apart."""
        return layout.ulysses, layout.tensor * layout.context * layout.data * layout.pipeline

    def faults(self, degree: int, model: Model) -> Iterable[str]:
        """Every rank needs as many heads."""
        for size in role_sizes(model, HEADS):
            if size % degree:
                yield f"{degree} does not divide {size} heads of {model.name}"


@attrs.frozen(kw_only=True)
class ThirdOfABubble(PipelineSchedule):
    """1F1B with weight gradients put off until there is nothing else to do."""

    def in_flight(self, *, stage: Number, stages: Number, micro_batches: Number, chunks: Number) -> Number:
        """As 1F1B."""
        return minimum(stages - stage, micro_batches)

    def bubble_s(self, *, slowest_s: Number, total_s: Number, stages: Number, chunks: Number) -> Number:
        """A third of 1F1B's."""
        return (total_s - slowest_s) / 3.0


@formula(unit="accelerators", source="Acme Pod handbook, p. 12")
def acme_chips(*, params: float, gigabytes: float = 96.0) -> float:
    """Acme Ones that hold a model in 16 bits."""
    return -(-2.0 * params // (gigabytes * 1e9))


KG_PER_KWH = 0.4


@formula(unit="kg", source="Acme sustainability report 2025: grid average")
def carbon_kg(*, energy_j: Number) -> Number:
    """Kilograms of carbon dioxide of a run."""
    return energy_j / 3.6e6 * KG_PER_KWH


def carbon(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The carbon of a run; None where its energy is not known."""
    energy = given["run.energy_j"]
    return {"carbon.kg": None if energy is None else carbon_kg(energy_j=energy)}


@formula(unit="s", source="Acme operations: one day in twenty is lost to restarts")
def interrupted_s(*, tokens: Number, tokens_per_step: Number, step_s: Number) -> Number:
    """Seconds of a run, restarts included."""
    return tokens / tokens_per_step * step_s / 0.95


def run(case: Case, layout: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """A run with its restarts, in place of one without."""
    keys = ("duration_s", "accelerator_hours", "energy_j", "cost")
    found: dict[str, Any] = dict.fromkeys(f"run.{k}" for k in keys) | {"run.currency": case.currency}
    if case.tokens is not None:
        duration = interrupted_s(
            tokens=float(case.tokens),
            tokens_per_step=float(case.global_batch * case.sequence),
            step_s=given["time.step_s"],
        )
        found["run.duration_s"] = duration
        found["run.accelerator_hours"] = duration * float(case.system.accelerators) / 3600.0
        if case.system.power_per_node_w is not None:
            nodes = float(case.system.accelerators) / float(case.system.accelerators_per_node)
            found["run.energy_j"] = duration * nodes * case.system.power_per_node_w * case.pue
    return found


def sheet(report: Report) -> str:
    """A report as a row of Acme's planning sheet; an empty cell where a figure is not known."""
    system = report.scenario["system"]
    cells = (report.kind, system["name"], system["accelerators"], report.fits, report.throughput.tokens_per_s)
    return "\t".join("" if cell is None else str(cell) for cell in cells) + "\n"
