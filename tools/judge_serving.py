"""Published serving runs as trials."""

from __future__ import annotations

import re
from collections import defaultdict
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
# Before there were graphs to replay: vLLM has them since December 2023 (vllm-project/vllm, pull request 2148 documents
# them), its plugin for Ascend 0.9 only on the engine its guide switches on by hand (docs, Graph Mode Guide, v0.9.1).
BEFORE_GRAPHS = re.compile(r"vLLM (\(Nov-2023\)|~?0\.(1\.|2\.[0-5]))|vLLM-Ascend v0\.[0-9]\.")
# A batch that stays until all are done; elsewhere requests come and go.
STATIC = re.compile(r"static batch|fixed batch|batch 1|output tokens/\(prefill")
# Digits of a figure that tell it from another machine's.
TOLD_APART = 4
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
    rows = list(read(root / "inference_runs.csv"))
    parts: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for row in rows:
        parts[_figures_of(row)].add(row["accelerator"])
    for row in rows:
        engine = re.split(r"[ ,+]", row["engine+version"])[0] or "not stated"
        source = engine.lower()
        try:
            if len(parts[_figures_of(row)]) > 1 and len(row["value"].replace(".", "")) >= TOLD_APART:
                raise UnfitError("the same figure published for two accelerators")
            yield _published(row, source, workspace)
        except UnfitError as why:
            yield source, str(why)


def _figures_of(row: Mapping[str, str]) -> tuple[str, ...]:
    """What two different machines do not have in common by chance: a time or a rate to several digits."""
    if row["metric"] in ("memory_gib", "kv_cache_tokens"):
        return (row["id"],)
    keys = ("model", "engine+version", "batch_or_concurrency", "input_len", "output_len", "metric", "value")
    return tuple(row[k] for k in keys)


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
    layout, open_ = _layout(row, devices)
    workload, filled = _requests(row)
    if "ShareGPT" in row["notes"]:
        open_ += ("the spread of the lengths",)
    implementation: dict[str, Any] = {}
    if source in PROFILES:
        implementation["profile"] = PROFILES[source]
    if BEFORE_GRAPHS.search(row["engine+version"]):
        implementation["graphs"] = False
    if "flash-attn" in row["engine+version"]:
        implementation["attention"] = "flash"
    trial = Trial(
        row=row["id"],
        source=f"{source}{_arrivals(row)}",
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
    )
    return _figure(trial, row, devices)


def _layout(row: Mapping[str, str], devices: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The layout a row states, and what it leaves open."""
    tensor, stages, experts = whole(row, "tp"), whole(row, "pp"), whole(row, "ep") or 1
    layout: dict[str, Any] = {"tensor": tensor or 1, "pipeline": stages or 1}
    layout |= {"expert": experts, "attention_data": 1, "replicas": 1}
    used = layout["tensor"] * layout["pipeline"]
    if "attention-DP enabled" in row["notes"] and used == devices:  # "tensor" ranks that divide requests instead
        return layout | {"tensor": 1, "attention_data": tensor, "expert": tensor}, ("expert",)
    if used == devices:
        return layout, () if tensor or devices == 1 else ("tensor",)
    if tensor and experts == devices:  # experts over all of them: attention is told to be divided into fewer
        return layout | {"attention_data": devices // used}, ()
    if tensor and not stages:  # not divided otherwise than into layers
        return layout | {"pipeline": devices // tensor}, ()
    return layout | {"tensor": devices // layout["pipeline"]}, ("tensor",)


def _arrivals(row: Mapping[str, str]) -> str:
    if row["batch_or_concurrency"].startswith("max"):
        return ", as many as fit"
    return ", all at once" if "burst" in row["notes"] else ""


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


def _requests(row: Mapping[str, str]) -> tuple[dict[str, int], bool]:
    """The workload; and whether there are always more requests than fit."""
    lengths = [row[k].removeprefix("~") for k in ("input_len", "output_len")]
    if any(x and not re.fullmatch(r"[0-9.]+", x) for x in lengths):
        raise UnfitError("lengths told only as the name of a data set")
    prompt, output = (max(1, int(float(x))) if x else 1024 for x in lengths)
    workload = {"prompt": prompt, "output": output}
    asked = row["batch_or_concurrency"]
    if row["metric"] == "kv_cache_tokens" or (row["metric"] == "memory_gib" and not asked):
        return workload | {"batch": 1}, False
    if "QPS" in asked or "req/s" in asked:
        raise UnfitError("arrivals at a rate are not there yet")
    if asked.startswith("max"):
        return workload | {"batch": 1}, True
    count = re.fullmatch(r"([0-9.]+)(/GPU)?", asked)
    if count is None:
        raise UnfitError("not stated: batch" if not asked else "a batch nobody can read")
    requests = int(float(count[1])) * (needed(row, "num_accelerators") if count[2] else 1)
    return workload | {"batch" if STATIC.search(row["notes"]) else "concurrency": requests}, False
