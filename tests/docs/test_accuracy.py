"""What the stages say of their own accuracy is what ``docs/accuracy.md`` says, which `tools/judge.py` writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from suanli import Band
from suanli_serving import accuracy as served
from suanli_training import accuracy as trained

TEXT = (Path(__file__).parents[2] / "docs" / "accuracy.md").read_text(encoding="utf-8")
BANDS = {
    "step time": trained.STEP,
    "training memory": trained.MEMORY,
    "TTFT": served.TTFT,
    "TPOT": served.TPOT,
    "serving throughput": served.THROUGHPUT,
}


def row(heading: str, figure: str) -> tuple[int, tuple[float, float]]:
    """How many runs a table judges a figure by, and where the middle four fifths of all of them lie."""
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = next([c.strip() for c in line.split("|")] for line in section.splitlines() if f"| {figure} |" in line)
    low, high = map(float, cells[-2].split("-"))
    return int(cells[2]) + int(cells[3]), (low, high)


@pytest.mark.parametrize("figure", BANDS)
def test_a_band_is_the_one_of_the_table(figure: str) -> None:
    """The bands in reports are those of all judged runs, to the last digit shown, and rest on as many of them."""
    band: Band = BANDS[figure]
    runs, fitted = row("Bands", figure)
    _, unmeasured = row("Bands on accelerators never measured", figure)
    assert band.fitted == pytest.approx(fitted, abs=0.0101)
    assert band.unmeasured == pytest.approx(unmeasured, abs=0.0101)
    said = re.match(r"[\d,]+", band.evidence)
    assert said is not None
    assert int(said.group().replace(",", "")) == runs
