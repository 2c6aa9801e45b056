"""The arguments of Megatron-LM for a training report: how the job is divided, batched and computed.

The names are those of ``megatron/training/arguments.py``.
"""

from __future__ import annotations

from typing import Any

from suanli import Exporter, Report
from suanli_exporters.arguments import Arguments, title

SOURCE = "NVIDIA/Megatron-LM, megatron/training/arguments.py at commit 000c4ac24f61"

PRECISIONS = {"bf16": "--bf16", "fp16": "--fp16"}
"""The flag of the format weights are in; without one they are fp32."""

COMPUTES = {
    "fp8": (("--fp8-format", "hybrid"),),
    "mxfp8": (("--fp8-format", "e4m3"), ("--fp8-recipe", "mxfp8")),
    "nvfp4": (("--fp4-format", "e2m1"), ("--fp4-recipe", "nvfp4")),
}
"""What products in a narrower format take besides."""

OPTIMIZERS: dict[str, tuple[tuple[str, Any], ...]] = {
    "adam": (("--optimizer", "adam"),),
    "adamw": (("--optimizer", "adam"),),  # Megatron's adam decays weights apart from the gradient
    "muon": (("--optimizer", "muon"),),
    "sgd": (("--optimizer", "sgd"), ("--sgd-momentum", 0.0)),
    "momentum": (("--optimizer", "sgd"), ("--sgd-momentum", 0.9)),
}

SHARDING = {2: "optim_grads", 3: "optim_grads_params"}
"""Strategy of Megatron's FSDP for the ZeRO stages its distributed optimizer does not have."""


def arguments(report: Report) -> str:
    """The layout, batch and precision of a training report as a Bash array of Megatron-LM arguments."""
    found = Arguments()
    _layout(found, report)
    _batch(found, report)
    _numbers(found, report)
    _implementation(found, report)
    head = (
        f"Megatron-LM arguments for {title(report)}: {report.layout.world} ranks.",
        "Add the model's shape (--num-layers, --hidden-size ...), data, checkpoints and learning rate:",
        'torchrun ... pretrain_gpt.py "${SUANLI_ARGS[@]}" ...',
    )
    return found.script("SUANLI_ARGS", head)


def _layout(found: Arguments, report: Report) -> None:
    layout = report.layout
    found.add("--tensor-model-parallel-size", layout.tensor)
    found.add("--pipeline-model-parallel-size", layout.pipeline)
    found.add("--context-parallel-size", layout.context)
    if "experts" in report.parameters.by_group or layout.expert > 1:
        found.add("--expert-model-parallel-size", layout.expert)
        found.add("--expert-tensor-parallel-size", layout.expert_tensor)
    if layout.sequence_parallel and layout.tensor > 1:
        found.add("--sequence-parallel")
    if layout.virtual_stages > 1:
        found.add("--num-virtual-stages-per-pipeline-rank", layout.virtual_stages)
    if layout.pipeline > 1 and layout.schedule not in ("1f1b", "interleaved"):
        found.note(f"the schedule {layout.schedule}; Megatron-LM runs 1F1B, interleaved where there are virtual stages")
    if layout.zero >= 1:
        found.add("--use-distributed-optimizer")
    if layout.zero in SHARDING:
        found.add("--use-megatron-fsdp")
        found.add("--data-parallel-sharding-strategy", SHARDING[layout.zero])
        found.add("--ckpt-format", "fsdp_dtensor")
    if layout.recompute != "none":
        found.add("--recompute-granularity", layout.recompute)
    if layout.recompute == "full":
        found.add("--recompute-method", "uniform")
        found.add("--recompute-num-layers", 1)
    if layout.offload != "none":
        found.note(f"offload {layout.offload}")
    for axis, degree in layout.extra:
        if degree > 1:
            found.note(f"the axis {axis} of {degree} ranks, which Megatron-LM does not have")


def _batch(found: Arguments, report: Report) -> None:
    workload = report.scenario["workload"]
    found.add("--micro-batch-size", report.layout.micro_batch)
    found.add("--global-batch-size", workload["global_batch"])
    found.add("--seq-length", workload["sequence"])
    if workload.get("tokens") is not None:
        found.add("--train-samples", -(-int(workload["tokens"]) // int(workload["sequence"])))


def _numbers(found: Arguments, report: Report) -> None:
    precision, name = report.scenario["precision"], report.scenario["optimizer"]["name"]
    weights, compute = precision.get("weights"), precision.get("compute")
    if weights in PRECISIONS:
        found.add(PRECISIONS[weights])
    elif weights != "fp32":
        found.note(f"weights in {weights}")
    for flag, value in COMPUTES.get(compute, ()):
        found.add(flag, value)
    if compute not in COMPUTES and compute not in (weights, "tf32"):
        found.note(f"products in {compute}")
    if precision.get("main_gradients") == "fp32":
        found.add("--accumulate-allreduce-grads-in-fp32")
    elif weights == "bf16" and precision.get("gradients") == "bf16":
        found.add("--grad-reduce-in-bf16")
    if weights in PRECISIONS and precision.get("master_weights") in (None, "none"):
        found.note("no master weights; Megatron-LM keeps them in fp32")
    states = precision.get("optimizer_states")
    if states not in (None, "fp32"):
        found.note(f"optimizer states in {states}; see --use-precision-aware-optimizer")
    for flag, value in OPTIMIZERS.get(name, ()):
        found.add(flag, value)
    if name not in OPTIMIZERS:
        found.note(f"the optimizer {name}, which Megatron-LM does not have")


def _implementation(found: Arguments, report: Report) -> None:
    given = report.scenario["implementation"]
    found.add("--attention-backend", "flash" if given["attention"] == "flash" else "unfused")
    found.add("--attention-dropout", given["dropout"])
    found.add("--hidden-dropout", given["dropout"])
    if given["overlap"]:
        found.add("--overlap-grad-reduce")
        if report.layout.zero >= 1:
            found.add("--overlap-param-gather")
    if given["profile"] != "megatron":
        found.note(f"the figures are for the implementation {given['profile']}")


EXPORTER = Exporter(
    name="megatron-args",
    aliases=("megatron",),
    write=arguments,
    about="arguments of Megatron-LM, as a Bash array",
    suffix=".sh",
    media_type="text/x-shellscript",
    kinds=("pretrain", "finetune"),
    source=SOURCE,
)
