"""What docs/measuring.md says of a file of measurements is what is read and written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import suanli
from suanli.bench.grids import KINDS
from suanli.calibration import fitting, scaling
from suanli.catalog_files import read_catalog
from suanli.cli.bench import command
from suanli.cli.calibrate import command as calibrate
from suanli.cli.main import cli
from suanli.measurement_schema import CERTAIN, COLUMNS, ELEMENTWISE, KERNELS, SCALINGS, make_shape, predicted_s
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


def test_the_calibrations_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command that calibrates an H100 runs on a file of copies and exchanges, and writes what the page says."""
    pytest.importorskip("scipy", reason="fitting needs scipy")
    commands = re.findall(r"^    suanli (calibrate h100\.csv .*?)(?: {2,}#.*)?$", TEXT, re.M)
    assert len(commands) == 3
    device, system = suanli.accelerator("h100"), suanli.system("dgx-h100")
    shapes = [make_shape("elementwise", "bf16", operation="copy", bytes=2**i) for i in range(12, 30)]
    shapes += [make_shape("collective", "bf16", operation=o, bytes=2**i, ranks=8)
               for o in ("all_reduce", "all_gather", "all_to_all") for i in range(10, 30, 2)]  # fmt: skip
    lines = [row_of(Measurement(shape=s, time_s=1.4 * predicted_s(s, device, system))) for s in shapes]
    text = "\n".join([",".join(COLUMNS), *(",".join(row[c] for c in COLUMNS) for row in lines)]) + "\n"
    (tmp_path / "h100.csv").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for words in commands:
        with pytest.raises(SystemExit) as ended:
            cli([*shlex.split(words), "--jobs", "1"])
        assert ended.value.code == 0, capsys.readouterr().err
        assert "dgx-h100: exchanges over switch" in capsys.readouterr().out
    found = read_catalog(tmp_path / "h100-sxm5-80-calibration.toml")
    assert [m.systems for m in found.collective_models] == [("dgx-h100",)]
    assert (tmp_path / "fit.svg").exists()
