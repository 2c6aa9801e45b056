"""Published training runs as trials."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from judge_data import MEMORY, STEP, Trial, UnfitError, needed, part_of, read, whole
from judge_models import shaped
from suanli.workspace import Workspace

RECIPES = {
    "bf16": "bf16-mixed",
    "fp16": "fp16-mixed",
    "fp8": "fp8-mixed",
    "mxfp8": "mxfp8-mixed",
    "nvfp4": "nvfp4-mixed",
}
SOURCES = {
    "bloomq": "BLOOM layout sweep",
    "korth": "Korthikanti 2022",
    "mpt": "MosaicML llm-foundry",
    "sc21": "Megatron-LM SC21",
    "tt": "torchtitan",
    "mbridge": "Megatron-Bridge",
    "mbskill": "Megatron-Bridge cards",
    "mbcard": "Megatron-Bridge cards",
    "stas": "ml-engineering",
    "mlm": "Megatron-LM H100",
    "mindspeed100": "mindspeed",
    "mindspeed230": "mindspeed",
    "nemo2407": "nemo",
}


# Of a list in which each technique comes on top of those before it, the ones before the loss is cut into chunks.
BEFORE_CHUNKS = ("packed", "compile")


def training(root: Path, workspace: Workspace) -> Iterator[Trial | tuple[str, str]]:
    """A trial for each row that can be expressed; (source, reason) for each that cannot."""
    for row in read(root / "training_runs.csv"):
        prefix = row["id"].partition("-")[0]
        source = SOURCES.get(prefix, prefix)
        try:
            yield _trial(row, source, workspace)
        except UnfitError as why:
            yield source, str(why)


def _profile(source: str) -> str:
    """The stack a source ran: PyTorch FSDP with elementwise steps one by one, or Megatron and its kin."""
    eager = ("llm-foundry", "torchtune", "torchtitan", "litgpt", "nanotron", "ml-engineering")
    return "fsdp" if any(name in source for name in eager) else "megatron"


def _trial(row: Mapping[str, str], source: str, workspace: Workspace) -> Trial:
    memory = row["metric"] == "peak_memory_gib"
    _judgeable(row)
    part = part_of(row["accelerator"], workspace, memory=memory)
    model, open_model = shaped(row, workspace)
    layout, batch, open_layout = _layout(row, memory)
    open_layout += _scheme(row, layout)
    recipe = "bf16-pure" if "pure bf16" in row["notes"] else RECIPES.get(row["precision"])
    if recipe is None:
        raise UnfitError(f"precision not there: {row['precision'] or 'not stated'}")
    sequence = needed(row, "seq_len")
    scenario = {
        "model": model,
        "system": {"accelerator": part, "accelerators": needed(row, "num_accelerators")},
        "workload": {"kind": "pretrain", "sequence": sequence} | batch,
        "layout": layout,
        "precision": {"recipe": recipe},
        "implementation": {"attention": row["attention"] or "flash", "profile": _profile(source)},
    }
    if "8-bit AdamW" in row["notes"]:
        scenario["optimizer"] = {"name": "adamw-8bit"}
    trial = Trial(
        row=row["id"],
        source=source,
        part=part,
        figure=MEMORY if memory else STEP,
        measured=0.0,
        scenario=scenario,
        predict=lambda v: v["time.step_s"],
        open=(*open_model, *open_layout),
    )
    value = float(row["value"])
    if memory:
        return trial.on(measured=value * 2**30, predict=lambda v: v["memory.total_bytes"])
    return _timed(trial, row, value, workspace)


def _judgeable(row: Mapping[str, str]) -> None:
    """Raise where the run is of a kind suanli has not, or the row is no measurement."""
    if row["metric"] == "gpu_hours":
        raise UnfitError("whole-run hours, restarts included")
    if re.search(r"SUSPECT|ANALYTIC|APPROXIMATE", row["notes"]):
        raise UnfitError("marked suspect, analytic or approximate")
    if re.search(r"offload", row["notes"]) and not re.search(r"offload (fraction )?0%", row["notes"]):
        raise UnfitError("offload is not there yet")
    if re.search(r"batches padded|\(padded\)", row["notes"]):
        raise UnfitError("padded batches: the longest sample is told, not how long the others are")
    technique = re.search(r'cumulative technique "([^"]+)"', row["notes"])
    if technique and technique[1] not in BEFORE_CHUNKS:
        raise UnfitError("a technique that is not there, on top of others: chunked loss, fused backward, offload")
    if re.search(r"parallel (transformer )?block", row["notes"]) or "third-party estimate" in row["notes"]:
        raise UnfitError("another model than named, or no measurement")


def _layout(row: Mapping[str, str], memory: bool) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """The layout and batch a row states, and what it leaves open."""
    devices = needed(row, "num_accelerators")
    layout: dict[str, Any] = {}
    open_: list[str] = []
    fields = {"tensor": "tp", "pipeline": "pp", "context": "cp", "expert": "ep", "micro_batch": "micro_batch"}
    for field, key in fields.items():
        value = whole(row, key)
        if value is not None:
            layout[field] = value
        elif field in ("context", "expert"):
            layout[field] = 1
        else:
            open_.append(field)
    if {"tensor", "pipeline"} <= layout.keys():
        used = layout["tensor"] * layout["pipeline"] * layout["context"]
        if devices % used:
            raise UnfitError("a layout that does not divide the accelerators")
        layout["data"] = devices // used
    chunks = whole(row, "vpp")
    if chunks is not None:
        layout["virtual_stages"] = chunks
    elif layout.get("pipeline", 2) > 1:
        open_.append("virtual_stages")
    if row["recompute"]:
        layout["recompute"] = row["recompute"]
    else:
        open_.append("recompute")
    # Blank is Megatron's default, the distributed optimizer.
    layout["zero"] = whole(row, "zero_stage") if row["zero_stage"] else int(layout.get("data", 1) > 1)
    if row["sp"] and layout.get("tensor", 1) > 1:
        layout["sequence_parallel"] = row["sp"] == "true"
    batch = whole(row, "global_batch")
    if batch is None and "micro_batch" in layout and "data" in layout:
        batch = layout["micro_batch"] * layout["data"]
        if not memory:
            open_.append("global_batch")
    if batch is None:
        open_.append("global_batch")
        return layout, {}, tuple(open_)
    return layout, {"global_batch": batch}, tuple(open_)


def _scheme(row: Mapping[str, str], layout: dict[str, Any]) -> tuple[str, ...]:
    """What a stated field means elsewhere than here: another kind of selective recompute, a batch of micro batches."""
    open_: tuple[str, ...] = ()
    if row["recompute"] == "selective" and "torchtitan" in row["source"]:
        open_ += ("recompute",)  # every second layer or product, where here it is the attention core
    if re.search(r"recompute_modules|selective recompute of", row["notes"]) and "core" not in row["notes"]:
        open_ += ("recompute",)
    if "split into PP microbatches" in row["notes"]:
        del layout["micro_batch"]
        open_ += ("micro_batch",)
    return open_


def _timed(trial: Trial, row: Mapping[str, str], value: float, workspace: Workspace) -> Trial:
    """The trial with the step time its row amounts to, by the row's own convention."""
    metric, devices = row["metric"], needed(row, "num_accelerators")
    sequence = trial.scenario["workload"]["sequence"]
    batch = trial.scenario["workload"].get("global_batch")
    if metric == "step_time_s":
        if batch is None:
            raise UnfitError("not stated: global_batch")
        return trial.on(measured=value)
    stated = re.search(r"(?<![a-z_])step_time_s=([0-9.]+)", row["notes"])
    if stated and batch:
        return trial.on(measured=float(stated[1]))
    if metric == "tokens_per_s_per_gpu":
        if batch is None:  # seconds for each million tokens, whatever the batch
            return trial.on(measured=1e6 / value / devices, predict=lambda v: 1e6 / v["throughput.tokens_per_s"])
        return trial.on(measured=batch * sequence / value / devices)
    if batch is None:
        raise UnfitError("not stated: global_batch")
    rate = value * 1e12
    if metric == "mfu":
        rate = value / 100.0 * _peak(row, trial, workspace)
    work = _flops(row, trial, workspace) * batch
    return trial.on(measured=work / rate / devices)


def _peak(row: Mapping[str, str], trial: Trial, workspace: Workspace) -> float:
    stated = re.search(r"peak (?:of )?(\d+)", row["mfu_convention"])
    if "not stated" in row["mfu_convention"] or "not readable" in row["mfu_convention"]:
        raise UnfitError("MFU by a convention that is not stated")
    if stated:
        return float(stated[1]) * 1e12
    raise UnfitError("MFU of a peak that is not stated")


def _flops(row: Mapping[str, str], trial: Trial, workspace: Workspace) -> float:
    """FLOPs of one sequence by the convention the row states."""
    told, sequence = row["mfu_convention"].lower(), trial.scenario["workload"]["sequence"]
    section = trial.scenario["model"]
    model = workspace.model(section.get("name") or section["config"])
    full = model.forward_flops(sequence=sequence, causal=False)
    if "hardware" in told and "96*b*s*l" in told.replace(" ", ""):
        head = full.by_group.get("head", 0.0)
        return float(4.0 * (full.total - head) + 3.0 * head)
    if "non-causal" in told or "full" in told or "palm style" in told:
        return 3.0 * float(full.total)
    if "causal" in told and "not stated" not in told:
        return 3.0 * float(model.forward_flops(sequence=sequence, causal=True).total)
    raise UnfitError("FLOPs by a convention that is not stated")
