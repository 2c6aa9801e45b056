"""Judge the estimator against published and measured runs, end to end.

    python tools/judge.py REFERENCE_DIR [--markdown docs/accuracy.md]

One command makes the whole accuracy document: end-to-end errors and bands, then the kernel and fabric
tables of `tools/fit_kernels.py`.
"""

from __future__ import annotations

import argparse
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

from fit_kernels import tables
from judge_data import Trial, Verdict
from judge_measured import measured
from judge_report import INTRODUCTION, Refused, report
from judge_run import ask, stranger
from judge_serving import published
from judge_training import training
from kernel_fallback import LeftOut
from suanli.workspace import Workspace


def main() -> None:
    """Judge, then write or print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("reference", type=Path, help="directory with training_runs.csv, inference_runs.csv, measured/")
    parser.add_argument("--markdown", type=Path, help="write the document here, not to the terminal")
    options = parser.parse_args()

    with ProcessPoolExecutor(1) as beside:
        fits = beside.submit(tables, options.reference)
        text = _judged(options.reference, fits)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    else:
        print(text)


def _judged(reference: Path, fits: Future[tuple[str, LeftOut]]) -> str:
    """The document, while kernels are fitted in another process."""
    workspace = Workspace()
    trials: list[Trial] = []
    refused: list[Refused] = []
    for read in (training, measured, published):
        for found in read(reference, workspace):
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
    fitted, left_out = fits.result()
    strangers = [v for v in ask(trials, stranger(workspace, left_out)) if isinstance(v, Verdict)]
    return "\n".join((INTRODUCTION, report(verdicts, strangers, refused), fitted))


if __name__ == "__main__":
    main()
