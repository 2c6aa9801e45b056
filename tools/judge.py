"""Judge the estimator against published and measured runs, end to end.

    python tools/judge.py REFERENCE_DIR [--markdown docs/accuracy.md]

One command makes the whole accuracy document: end-to-end errors and bands, then the kernel and fabric
tables of `tools/fit_kernels.py`.  Nothing is fitted to the runs judged here.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fit_kernels import tables
from judge_data import Trial, Verdict
from judge_measured import measured
from judge_report import INTRODUCTION, Refused, report
from judge_run import ask, stranger
from judge_serving import published
from judge_training import training
from suanli.workspace import Workspace


def main() -> None:
    """Judge, then write or print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("reference", type=Path, help="directory with training_runs.csv, inference_runs.csv, measured/")
    parser.add_argument("--markdown", type=Path, help="write the document here, not to the terminal")
    options = parser.parse_args()

    workspace = Workspace()
    trials: list[Trial] = []
    refused: list[Refused] = []
    for read in (training, measured, published):
        for found in read(options.reference, workspace):
            if isinstance(found, Trial):
                trials.append(found)
            else:
                refused.append(found)
    verdicts: list[Verdict] = []
    for outcome in ask(trials, workspace):
        if isinstance(outcome, Verdict):
            verdicts.append(outcome)
        else:
            refused.append((outcome[0].source, outcome[1]))
    fitted, left_out = tables(options.reference)
    strangers = [v for v in ask(trials, stranger(workspace, left_out)) if isinstance(v, Verdict)]
    text = "\n".join((INTRODUCTION, report(verdicts, strangers, refused), fitted))
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
