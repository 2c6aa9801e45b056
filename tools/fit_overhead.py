"""What published runs take beyond their kernels and exchanges: of training stacks, and of launching layer by layer.

    python tools/fit_overhead.py REFERENCE_DIR

Each figure is a median that counts a source for ten rows on an accelerator at most; beside it is the range of the
medians without one source.  Run it after `tools/fit_kernels.py`; `plugins/training/suanli_training/accuracy.py` and
`plugins/serving/suanli_serving/accuracy.py` hold its figures.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fit_report import table
from judge_bands import quantile, weights
from judge_data import RATE, STEP, Trial, UnfitError
from judge_run import values
from judge_serving import published
from judge_training import training
from suanli import Model, SuanliError
from suanli.workspace import Workspace

LAUNCHED = "transformers-generate"
Sample = tuple[str, str, float]


def overheads(reference: Path, workspace: Workspace) -> Iterator[tuple[str, Sample]]:
    """Overheads of single training runs over their kernels' time, by stack: source, accelerator and share."""
    for trial in training(reference, workspace):
        if not isinstance(trial, Trial) or trial.figure != STEP or trial.open:
            continue
        if _routed(workspace, trial):  # how long their experts take is known less well than any overhead
            continue
        try:
            found = values(workspace.estimate(trial.scenario))
            step, overhead = found["time.step_s"], found["time.overhead_s"]
            predicted = trial.predict(found)
        except (SuanliError, UnfitError, KeyError):
            continue
        if overhead <= 0.0:
            continue
        # The measured figure is a step, in seconds or as a rate turned into them.
        measured = trial.measured / predicted * step
        kernels = sum(found[f"time.{part}_s"] for part in ("forward", "backward", "recompute"))
        stack = str(trial.scenario["implementation"]["profile"])
        yield f"{stack}: overhead / kernels", (trial.source, trial.part, (measured - (step - overhead)) / kernels)


def launches(reference: Path, workspace: Workspace) -> Iterator[tuple[str, Sample]]:
    """Seconds a layer takes where its launches decide: one request of one token, bf16 weights."""
    for trial in published(reference, workspace):
        if not isinstance(trial, Trial) or trial.figure != RATE:
            continue
        asked, workload = trial.scenario, trial.scenario["workload"]
        profile = asked["implementation"].get("profile")
        plain = asked["precision"] == asked["precision"] | {"recipe": "bf16"} and "weights" not in asked["precision"]
        if profile != LAUNCHED or not plain or workload["prompt"] > 1 or workload.get("batch", 1) > 1:
            continue
        if _routed(workspace, trial):  # transformers launches each expert by itself
            continue
        found = values(workspace.estimate(asked))
        measured = found["serving.latency_s"] * trial.predict(found) / trial.measured
        layers = len(_model(workspace, trial).layers)
        yield "launching: s for each layer", (trial.source, trial.part, measured / workload["output"] / layers)


def _model(workspace: Workspace, trial: Trial) -> Model:
    asked = trial.scenario["model"]
    return workspace.model(asked.get("name") or asked["config"])


def _routed(workspace: Workspace, trial: Trial) -> bool:
    return any(p.group == "experts" for block, _ in _model(workspace, trial).kinds for p in block.parameters)


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("reference", type=Path, help="directory with training_runs.csv, inference_runs.csv")
    reference = parser.parse_args().reference
    workspace = Workspace()
    found: dict[str, list[Sample]] = defaultdict(list)
    for make in (overheads, launches):
        for what, sample in make(reference, workspace):
            found[what].append(sample)
    print(table(["what", "rows", "sources", "median", "without one source"], map(_line, sorted(found.items()))))


def _line(item: tuple[str, list[Sample]]) -> list[str]:
    what, samples = item
    places = sorted({s[:2] for s in samples})
    left = [_median([s for s in samples if s[:2] != p]) for p in places] if len(places) > 1 else []
    told = f"{min(left):.3g}-{max(left):.3g}" if left else ""
    return [what, str(len(samples)), str(len(places)), f"{_median(samples):.3g}", told]


def _median(samples: list[Sample]) -> float:
    figures = np.array([s[2] for s in samples])
    return float(quantile(figures, weights([s[:2] for s in samples]), [0.5])[0])


if __name__ == "__main__":
    main()
