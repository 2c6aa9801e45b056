"""The arguments of ``vllm serve`` for a serving report: how an engine is divided, filled and computed.

The names are those of ``vllm/engine/arg_utils.py``.
"""

from __future__ import annotations

import math

from suanli import Exporter, Report
from suanli_exporters.arguments import Arguments, title

SOURCE = "vllm-project/vllm, vllm/engine/arg_utils.py and docs/configuration/engine_args.md"

DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
"""vLLM's names of the formats activations may be in."""

QUANTIZATIONS = {"fp8": "fp8", "nf4": "bitsandbytes", "mxfp4": "mxfp4"}
"""The method by which vLLM makes, or reads, weights in a format; of others the checkpoint's own config says it."""


def arguments(report: Report) -> str:
    """The layout, limits and precision of one engine of a serving report as a Bash array of vLLM arguments."""
    found = Arguments()
    _layout(found, report)
    _limits(found, report)
    _precision(found, report)
    profile = report.scenario["implementation"]["profile"]
    if profile != "vllm":
        found.note(f"the figures are for the engine {profile}")
    each = f"{report.layout.world} accelerators" if report.layout.world > 1 else "1 accelerator"
    engines = f"{report.layout.replicas} engines of {each}" if report.layout.replicas > 1 else f"one engine of {each}"
    head = (
        f"vLLM arguments for {title(report)}: {engines}.",
        'vllm serve MODEL "${SUANLI_ARGS[@]}"',
    )
    return found.script("SUANLI_ARGS", head)


def _layout(found: Arguments, report: Report) -> None:
    layout = report.layout
    found.add("--tensor-parallel-size", layout.tensor)
    found.add("--pipeline-parallel-size", layout.pipeline)
    if layout.attention_data > 1:
        found.add("--data-parallel-size", layout.attention_data)
    if layout.expert > 1:
        found.add("--enable-expert-parallel")
        if layout.expert != layout.tensor * layout.attention_data:
            found.note(f"{layout.expert} expert ranks; vLLM divides experts over all tensor and data ranks")
    if layout.context > 1:
        found.note(f"{layout.context} context ranks; see --prefill-context-parallel-size of recent versions")
    for axis, degree in layout.extra:
        if degree > 1:
            found.note(f"the axis {axis} of {degree} ranks, which vLLM does not have")


def _limits(found: Arguments, report: Report) -> None:
    workload = report.scenario["workload"]
    found.add("--max-model-len", int(workload["prompt"]) + int(workload["output"]))
    batch = report.serving.batch if report.serving is not None else None
    if batch is not None:
        found.add("--max-num-seqs", max(1, math.ceil(batch / report.layout.attention_data)))
    fraction = report.scenario["implementation"].get("memory_fraction")
    if fraction is not None:
        found.add("--gpu-memory-utilization", fraction)
    found.add("--enable-prefix-caching" if workload.get("prefix_hit_ratio") else "--no-enable-prefix-caching")


def _precision(found: Arguments, report: Report) -> None:
    precision = report.scenario["precision"]
    weights, activations, cache = (precision.get(k) for k in ("weights", "activations", "kv_cache"))
    if activations in DTYPES:
        found.add("--dtype", DTYPES[activations])
    if weights in QUANTIZATIONS:
        found.add("--quantization", QUANTIZATIONS[weights])
    elif weights not in DTYPES:
        found.note(f"weights in {weights}: serve a checkpoint quantized so, whose own config names the method")
    if cache == "fp8":
        found.add("--kv-cache-dtype", "fp8")
    elif cache != activations:
        found.note(f"a cache in {cache}")


EXPORTER = Exporter(
    name="vllm-args",
    aliases=("vllm",),
    write=arguments,
    about="arguments of `vllm serve` for one engine, as a Bash array",
    suffix=".sh",
    media_type="text/x-shellscript",
    kinds=("serve",),
    source=SOURCE,
)
