"""The judge's verdicts as markdown tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fit_report import table
from judge_bands import interval
from judge_data import FIGURES, Verdict

Key = TypeVar("Key", bound=Hashable)
Refused = tuple[str, str]
ERRORS = ("n", "median error", "p90", "bias", "measured / predicted, p10 to p90")

INTRODUCTION = """\
# Accuracy

Made by `python tools/judge.py REFERENCE_DIR --markdown docs/accuracy.md`; not to be edited.

- **Fitted**: kernel times and collectives (`tools/fit_kernels.py`); [kernels.md](kernels.md) says what each
  parameter of a kernel means.
- **Kernels**: a hash of each shape puts it in one of two halves; errors are those of each half, predicted by a
  fit to the other. What is shipped is fitted to both. "Inside it" is the share of one half's rows inside the
  band of the other's, or of one generation's inside that of all others; a band leaves out 10 % at each end, or 7.5,
  5, 2.5 or 0 % where it takes that for three quarters to lie inside.
  **Fabrics**: fitted to one half, judged on the other.
- **Judged**: published training and serving runs, end to end. A few numbers are fitted to them, each a median that
  counts every source alike (`tools/fit_overhead.py`): the overhead of each training stack that no kernel and no
  exchange explains, and the time PyTorch takes to launch a layer. No row is treated specially: each becomes a
  scenario with what the row states. What a row leaves open suanli chooses, and such rows are listed apart ("open");
  so are runs told alike that differ by more than a quarter, which leave open what differs, and runs of which only
  the mean length is told. Runs listed several times are judged once.
  Rows that cannot be expressed are counted by reason at the end.
- **Bands**: quantiles of measured over predicted, from rows that state everything. A source's rows say much the same,
  so on one accelerator it counts as ten rows at most, and a band is checked on sources it was not set on: each source
  is left out, and its rows are compared with the band of the others. A tail of 10 % is cut off at each end, or 7.5,
  5, 2.5 or 0 % where that is what it takes for 80 % of the left-out rows to lie inside ("inside, left out").
- **TTFT** is that of requests that come and go. In most of the runs judged here all requests in flight start together
  and ten follow each other (InferenceMAX: `--num-prompts` ten times the concurrency), so a tenth of them wait for all
  the prompts before theirs; neither the start nor a server's own waiting is in the figure, and the band says so.
- **Never measured**: the same rows, each accelerator known only by a fit to the other generations (fabrics: by
  their medians).

Errors are |predicted / measured - 1|; bias is the median of predicted / measured - 1.
FLOP/s and MFU are turned into step times by the convention that the source states.
"""


def report(verdicts: Sequence[Verdict], strangers: Sequence[Verdict], refused: Iterable[Refused]) -> str:
    """Everything the judge has to say about end-to-end runs."""
    stated = [v for v in verdicts if not v.trial.open]
    opened = [v for v in verdicts if v.trial.open]
    foreign = [v for v in strangers if not v.trial.open]
    sections = {
        "Bands": _bands(stated),
        "Bands on accelerators never measured": _bands(foreign),
        "Bands of rows that leave something open": _bands(opened),
        "By source and accelerator": _errors(stated, lambda v: (v.trial.figure, v.trial.source, v.trial.part)),
        "By source and accelerator, open": _errors(opened, lambda v: (v.trial.figure, v.trial.source, v.trial.part)),
        "By accelerator": _errors(stated, lambda v: (v.trial.figure, v.trial.part)),
        "By accelerator, never measured": _errors(foreign, lambda v: (v.trial.figure, v.trial.part)),
        "Not judged": _refusals(refused),
    }
    return "\n".join(f"## {title}\n\n{body}" for title, body in sections.items())


def _ratios(verdicts: Iterable[Verdict]) -> NDArray[np.float64]:
    return np.array([v.ratio for v in verdicts], dtype=np.float64)


def _interval(ratios: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(ratios, [0.1, 0.9])
    return float(low), float(high)


def cells(verdicts: Sequence[Verdict]) -> list[str]:
    """Errors of some verdicts, in the order of ``ERRORS``."""
    ratios = _ratios(verdicts)
    relative = 1.0 / ratios - 1.0
    errors = np.abs(relative)
    low, high = _interval(ratios)
    return [
        str(len(ratios)),
        f"{np.median(errors):.1%}",
        f"{np.quantile(errors, 0.9):.1%}",
        f"{np.median(relative):+.1%}",
        f"{low:.2f}-{high:.2f}",
    ]


def _grouped(verdicts: Iterable[Verdict], key: Callable[[Verdict], Key]) -> Mapping[Key, list[Verdict]]:
    groups: dict[Key, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        groups[key(verdict)].append(verdict)
    return groups


def _errors(verdicts: Sequence[Verdict], key: Callable[[Verdict], tuple[str, ...]]) -> str:
    groups = _grouped(verdicts, key)
    order = sorted(groups, key=lambda k: (FIGURES.index(k[0]), k[1:]))
    head = ["figure", "source", "accelerator"] if order and len(order[0]) == 3 else ["figure", "accelerator"]
    return table([*head, *ERRORS], ([*k, *cells(groups[k])] for k in order))


def _bands(verdicts: Sequence[Verdict]) -> str:
    """The band of each figure, and the share of left-out sources inside it."""
    groups = _grouped(verdicts, lambda v: v.trial.figure)
    lines = []
    for figure in (f for f in FIGURES if f in groups):
        members = groups[figure]
        sources = [source_of(v) for v in members]
        found = interval(_ratios(members), sources, [(s, v.trial.part) for s, v in zip(sources, members, strict=True)])
        if found is None:
            told = ["too few rows", "", ""]
        else:
            covered = "too few sources" if found.covered is None else f"{found.covered:.0%}"
            told = [f"{found.low:.2f}-{found.high:.2f}", f"{found.tail:.1%}", covered]
        lines.append([figure, str(len(members)), str(len(set(sources))), *told, *cells(members)[1:]])
    head = ["figure", "rows", "sources", "band", "tail", "inside, left out", *ERRORS[1:-1], "all rows, p10 to p90"]
    return table(head, lines)


def source_of(verdict: Verdict) -> str:
    """Whose a verdict's row is, however its requests arrived."""
    return verdict.trial.source.partition(", ")[0] if "e2e" not in verdict.trial.source else verdict.trial.source


def _refusals(refused: Iterable[Refused]) -> str:
    counted = Counter(refused)
    order = sorted(counted.items(), key=lambda item: (item[0][0], -item[1], item[0][1]))
    return table(["source", "reason", "rows"], ([source, why, str(n)] for (source, why), n in order))
