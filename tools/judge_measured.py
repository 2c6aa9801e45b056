"""Measured TTFT and TPOT of one engine under fixed concurrency, as trials.

The table gathers several collections of the same runs, so a run may be listed more than once, and not every
collection tells its layout the same way: engines put experts on the ranks that hold attention, and one collection
multiplies the two. What a run's own id says of its layout (``tp8_ep8``: eight accelerators) is believed first,
then another listing of the same run, then the table where it can be meant.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from judge_data import TPOT, TTFT, Trial, UnfitError, needed, part_of, read, whole
from judge_models import named
from judge_serving import PRECISIONS, PROFILES
from suanli.workspace import Workspace

Row = Mapping[str, str]
ID = re.compile(r"_tp(\d+)(?:_0)?_ep(\d+|none)(?:_|$)")
RUN = ("backend", "system", "mode", "isl", "osl", "concurrency")
# Two runs of the same thing differ by less than this factor.
ALIKE = 1.25
FIGURES = ("silicon_ttft_ms", "silicon_tpot_ms")


def measured(root: Path, workspace: Workspace) -> Iterator[Trial | tuple[str, str]]:
    """Two trials for each run."""
    runs: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    row: Row
    for row in read(root / "measured" / "e2e_silicon.csv"):
        figures = (f"{float(row[k]):.4g}" for k in FIGURES)
        runs[*(row[k] for k in RUN), *figures].append(row)
    trials: list[tuple[Row, Trial]] = []
    for listings in runs.values():
        # The listing whose id tells the layout speaks for all.
        row = min(listings, key=lambda r: ID.search(r["id"]) is None)
        source = f"aiconfigurator e2e, {row['backend']}"
        for again in listings:
            if again is not row:
                yield source, "the same run listed again"
        try:
            trials.append((row, _trial(row, source, workspace)))
        except UnfitError as why:
            yield source, str(why)
    untold = _untold(trials)
    for row, trial in trials:
        open_ = (*trial.open, *(("speculation, or a version",) if _sweep(row, trial) in untold else ()))
        for figure, column, key in ((TTFT, "silicon_ttft_ms", "ttft_s"), (TPOT, "silicon_tpot_ms", "tpot_s")):
            name, value = f"serving.{key}", float(row[column]) * 1e-3
            if value > 0.0:
                yield trial.on(figure=figure, measured=value, open=open_, predict=lambda v, name=name: v[name])
            else:
                yield trial.source, f"no measurement: {column}"


def _sweep(row: Row, trial: Trial) -> tuple[str, ...]:
    """Runs made together: of one engine and version, on one day, of one model in one precision."""
    model = json.dumps(trial.scenario["model"], sort_keys=True)
    return (row["backend"], row["backend_version"], row["measured_on"], trial.part, model, row["gemm_quant_mode"])


def _untold(trials: Iterable[tuple[Row, Trial]]) -> set[tuple[str, ...]]:
    """Sweeps with a run that another told in just the same words differs from by more than chance.

    The table does not tell whether a model speculates, which halves a token's time: where two runs that it cannot
    tell apart are that far apart, none of either sweep says which it is.
    """
    alike: dict[str, list[tuple[Row, Trial]]] = defaultdict(list)
    for row, trial in trials:
        alike[json.dumps(trial.scenario, sort_keys=True)].append((row, trial))
    found: set[tuple[str, ...]] = set()
    for same in alike.values():
        times = [float(row["silicon_tpot_ms"]) for row, _ in same]
        if max(times) > ALIKE * min(times):
            found |= {_sweep(*one) for one in same}
    return found


def _trial(row: Row, source: str, workspace: Workspace) -> Trial:
    if row["mode"] != "agg":
        raise UnfitError("prefill and decode apart (disaggregated) is not there yet")
    model, part = named(row["model_path"], workspace), part_of(row["system"], workspace)
    layout = _layout(row)
    precision = PRECISIONS.get(row["gemm_quant_mode"] or row["precision"] or "bf16")
    if precision is None:
        raise UnfitError(f"precision not there: {row['gemm_quant_mode']}")
    workload = {"prompt": needed(row, "isl"), "output": needed(row, "osl"), "concurrency": needed(row, "concurrency")}
    return Trial(
        row=row["id"],
        source=source,
        part=part,
        figure=TPOT,
        measured=1.0,
        scenario={
            "model": model,
            "system": {
                "accelerator": part,
                "accelerators": layout["tensor"] * layout["attention_data"] * layout["pipeline"],
            },
            "workload": {"kind": "serve"} | workload,
            "layout": layout,
            "precision": precision,
            "implementation": {"profile": PROFILES[row["backend"]]},
        },
        predict=lambda v: v["serving.tpot_s"],
        open=() if row["gemm_quant_mode"] or row["precision"] else ("precision",),
    )


def _layout(row: Row) -> dict[str, Any]:
    """Attention ranks, which are all the accelerators there are, and the experts laid over them."""
    tensor, requests = needed(row, "tp_size"), max(whole(row, "attention_dp_size") or 1, 1)
    experts, slices = max(whole(row, "moe_ep_size") or 1, 1), max(whole(row, "moe_tp_size") or 1, 1)
    found = ID.search(row["id"])
    if found is not None:
        ranks = int(found[1])
        tensor, requests = (ranks, 1) if requests == 1 else (1, ranks)
        experts = experts if found[2] == "none" else int(found[2])
        slices = ranks // experts
    elif (tensor > 1 and requests > 1) or (slices > 1 and experts > 1 and tensor * requests > 8):
        raise UnfitError("a layout multiplied by its expert ranks: how many accelerators is not told")
    layout = {"tensor": tensor, "pipeline": whole(row, "pp_size") or 1, "attention_data": requests, "replicas": 1}
    return layout | ({"expert": experts, "expert_tensor": slices} if experts > 1 else {})
