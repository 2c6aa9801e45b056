"""What published training runs take beyond their kernels and exchanges, as a share of the kernels, for each stack.

    python tools/fit_overhead.py REFERENCE_DIR

The median over the half of the fully stated runs that bands are set on, and, to compare, over the other half.
Run it after `tools/fit_kernels.py`; `plugins/training/suanli_training/accuracy.py` holds its figures.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from fit_report import table
from judge_data import STEP, Trial, UnfitError
from judge_run import values
from judge_training import training
from suanli.errors import SuanliError
from suanli.workspace import Workspace


def overheads(reference: Path) -> dict[tuple[str, str], list[float]]:
    """Overheads of single runs over their kernels' time, by stack and half."""
    workspace = Workspace()
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for trial in training(reference, workspace):
        if not isinstance(trial, Trial) or trial.figure != STEP or trial.open:
            continue
        try:
            found_here = values(workspace.estimate(trial.scenario))
            step, overhead = found_here["time.step_s"], found_here["time.overhead_s"]
            predicted = trial.predict(found_here)
        except (SuanliError, UnfitError, KeyError):
            continue
        if overhead <= 0.0:
            continue
        # The measured figure is a step, in seconds or as a rate turned into them.
        measured = trial.measured / predicted * step
        kernels = sum(found_here[f"time.{part}_s"] for part in ("forward", "backward", "recompute"))
        stack = str(trial.scenario["implementation"]["profile"])
        found[stack, trial.half].append((measured - (step - overhead)) / kernels)
    return found


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("reference", type=Path, help="directory with training_runs.csv")
    found = overheads(parser.parse_args().reference)
    lines = ([*key, str(len(x)), f"{np.median(x):.3f}"] for key, x in sorted(found.items()))
    print(table(["stack", "half", "runs", "median overhead / kernels"], lines))


if __name__ == "__main__":
    main()
