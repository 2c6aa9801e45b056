"""Published serving runs as trials."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from judge_data import (
    CACHE,
    LATENCY,
    RATE,
    SERVED,
    TPOT,
    TTFT,
    Trial,
    UnfitError,
    needed,
    part_of,
    read,
    whole,
)
from judge_models import named
from suanli.workspace import Workspace

# How a published precision is asked for; the cache's format is asked for besides.
PRECISIONS: dict[str, dict[str, str]] = {
    "bf16": {"recipe": "bf16"},
    "fp16": {"recipe": "fp16"},
    "f16": {"recipe": "fp16"},
    "fp8": {"recipe": "fp8"},
    "fp8_block": {"recipe": "fp8"},
    "fp8 (w8a8 block)": {"recipe": "fp8"},
    "nvfp4": {"recipe": "nvfp4"},
    "awq-int4 (w4a16)": {"recipe": "int4"},
    "gptq-int4 (w4a16)": {"recipe": "int4"},
    "int4 (w4a16)": {"recipe": "int4"},
    "int4_wo": {"recipe": "int4"},
    "int4 g32 weight-only": {"recipe": "int4"},
    "gptq-int8 (w8a16)": {"recipe": "bf16", "weights": "int8"},
    "int8 weight-only": {"recipe": "bf16", "weights": "int8"},
    "mxfp4": {"recipe": "mxfp4"},
}
# Published engine -> profile; the rest have none, and are asked about with the default.
PROFILES = {
    "tensorrt-llm": "tensorrt-llm",
    "trtllm": "tensorrt-llm",
    "sglang": "sglang",
    "vllm": "vllm",
    "vllm-ascend": "vllm",
    "mindie": "mindie",
    "transformers": "transformers-generate",
}
METRICS = {
    "ttft_ms": (TTFT, 1e-3, "serving.ttft_s"),
    "tpot_ms": (TPOT, 1e-3, "serving.tpot_s"),
    "latency_ms": (LATENCY, 1e-3, "serving.latency_s"),
    "output_tokens_per_s": (RATE, 1.0, "serving.output_tokens_per_s"),
    "total_tokens_per_s": (RATE, 1.0, "throughput.tokens_per_s"),
    "kv_cache_tokens": (CACHE, 1.0, "serving.kv_cache_tokens"),
}


def published(root: Path, workspace: Workspace) -> Iterator[Trial | tuple[str, str]]:
    """Trials of published serving runs."""
    for row in read(root / "inference_runs.csv"):
        engine = re.split(r"[ ,+]", row["engine+version"])[0] or "not stated"
        source = engine.lower()
        try:
            yield _published(row, source, workspace)
        except UnfitError as why:
            yield source, str(why)


def _published(row: Mapping[str, str], source: str, workspace: Workspace) -> Trial:
    if re.search(r"SPECULATIVE|SUSPECT", row["notes"]):
        raise UnfitError("speculative decoding, or marked suspect")
    part = part_of(row["accelerator"], workspace)
    model = named(row["model"], workspace)
    precision = PRECISIONS.get(row["weight_precision"])
    if precision is None:
        raise UnfitError(f"precision not there: {row['weight_precision'] or 'not stated'}")
    if row["kv_precision"]:
        precision = precision | {"kv_cache": row["kv_precision"]}
    devices = needed(row, "num_accelerators")
    layout = {"tensor": whole(row, "tp") or 1, "pipeline": whole(row, "pp") or 1, "replicas": 1}
    layout |= {"expert": whole(row, "ep") or 1, "attention_data": 1}
    open_: tuple[str, ...] = () if row["tp"] else ("tensor",)
    if layout["tensor"] * layout["pipeline"] != devices:
        layout |= {"tensor": devices // layout["pipeline"]}
        open_ = ("tensor",)
    workload, filled, requests = _requests(row)
    implementation: dict[str, Any] = {}
    if source in PROFILES:
        implementation["profile"] = PROFILES[source]
    if "flash-attn" in row["engine+version"]:
        implementation["attention"] = "flash"
    trial = Trial(
        row=row["id"],
        source=f"{source}, filled batch" if filled else source,
        part=part,
        figure=SERVED,
        measured=float(row["value"]),
        scenario={
            "model": model,
            "system": {"accelerator": part, "accelerators": devices},
            "workload": {"kind": "serve"} | workload,
            "layout": layout,
            "precision": precision,
            "implementation": implementation,
        },
        predict=lambda v: v["memory.weights_bytes"],
        open=(*open_, "batch") if filled else open_,
        filled=filled,
        requests=requests,
    )
    return _figure(trial, row, devices)


def _figure(trial: Trial, row: Mapping[str, str], devices: int) -> Trial:
    if row["metric"] == "memory_gib":
        measured = float(row["value"]) * 2**30
        if "component: weights" in row["notes"]:
            return trial.on(measured=measured)
        if "component" in row["notes"] or "KV pool" in row["notes"]:
            raise UnfitError("a part of memory no report has")
        return trial.on(
            measured=measured,
            predict=lambda v: (v["memory.total_bytes"] - v["memory.reserve_bytes"]) * devices,
        )
    figure, unit, key = METRICS[row["metric"]]
    if figure != CACHE and not (row["input_len"] and row["output_len"]):
        raise UnfitError("not stated: prompt or output")
    return trial.on(figure=figure, measured=trial.measured * unit, predict=lambda v: v[key])


def _requests(row: Mapping[str, str]) -> tuple[dict[str, int], bool, int | None]:
    """The workload; whether the batch is what fits, and of how many requests."""
    lengths = [re.sub(r"[^0-9.]", "", row[k]) for k in ("input_len", "output_len")]
    prompt, output = (max(1, int(float(x))) if x else 1024 for x in lengths)
    workload = {"prompt": prompt, "output": output}
    asked = row["batch_or_concurrency"]
    if row["metric"] == "kv_cache_tokens" or (row["metric"] == "memory_gib" and not asked):
        return workload | {"batch": 1}, False, None
    if "QPS" in asked or "req/s" in asked:
        raise UnfitError("arrivals at a rate are not there yet")
    if "output tokens/(prefill" in row["notes"] and output < 2:
        raise UnfitError("no output")
    if asked.startswith("max"):
        return workload | {"batch": 1}, True, None
    if re.fullmatch(r"[0-9.]+", asked):
        count = int(float(asked))
        if "burst" in row["notes"]:
            return workload | {"batch": 1}, True, count
        return workload | {"concurrency": count}, False, None
    raise UnfitError("not stated: batch" if not asked else "a batch nobody can read")
