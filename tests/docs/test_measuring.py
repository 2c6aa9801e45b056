"""What docs/measuring.md says of a file of measurements is what is read and written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from suanli.bench.grids import KINDS
from suanli.calibration import fitting, scaling
from suanli.cli.bench import command
from suanli.cli.calibrate import command as calibrate
from suanli.measurement_schema import CERTAIN, COLUMNS, ELEMENTWISE, KERNELS, SCALINGS, make_shape
from suanli.measurements import Measurement, row_of

TEXT = (Path(__file__).parents[2] / "docs" / "measuring.md").read_text(encoding="utf-8")


def test_every_column_is_described_once() -> None:
    """The table of columns names each column of a file, and no other."""
    table = TEXT.partition("| column | meaning |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("|")]
    named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(COLUMNS)


def test_kernels_operations_and_options_are_those_there_are() -> None:
    """Kinds, passes, scalings and options that the page names exist, and each one there is has a place on it."""
    for word in (*KINDS, *KERNELS, *SCALINGS, *ELEMENTWISE):
        assert word in TEXT, word
    measuring, _, calibrating = TEXT.partition("\n## Calibrating")
    options = {o for p in command.params for o in p.opts}
    assert set(re.findall(r"(--[a-z]+)", measuring)) - {"--points", "--svg"} <= options
    options = {o for p in calibrate.params for o in p.opts}
    assert set(re.findall(r"(--[a-z]+)", calibrating)) <= options


def test_the_rows_a_calibration_needs_are_those_it_takes() -> None:
    """The page's tables state the least rows of a fit and of a factor, and the passes that are used."""
    kernels, _, exchanges = TEXT.partition("\n### Exchanges")
    assert f"| {fitting.MINIMUM_ROWS} or more in each half | fitted" in kernels
    assert f"| {fitting.MINIMUM_ROWS} or more in each half | fitted" in exchanges
    assert f"| {scaling.MINIMUM_ROWS} or more | scaled" in TEXT
    assert f"only {' and '.join(f'`{p}`' for p in CERTAIN)} are used" in TEXT


def test_the_example_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page's program prints a measured and a predicted time, and that nothing is impossible."""
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    cells = row_of(Measurement(shape=make_shape("gemm", "bf16", m=4096, n=4096, k=4096), time_s=0.0002))
    path = tmp_path / "m.csv"
    path.write_text(",".join(cells) + "\n" + ",".join(cells.values()) + "\n", encoding="utf-8")
    exec(example.replace('"h100.csv"', repr(str(path))), {})
    times, wrong = capsys.readouterr().out.splitlines()
    assert times.startswith("0.0002 0.000")
    assert wrong == "()"
