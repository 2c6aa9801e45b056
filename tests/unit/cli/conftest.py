"""A runner that keeps the two output streams apart, and files to run on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from suanli.cli.main import cli

Run = Callable[..., Result]

SCENARIO = """
[model]
name = "llama-65b"
[system]
name = "dgx-a100"
accelerators = 2048
[workload]
tokens = "1.4T"
[layout]
tensor = 8
pipeline = 8
data = 32
micro_batch = 1
recompute = "selective"
zero = 1
"""


def _runner() -> CliRunner:
    try:
        return CliRunner(mix_stderr=False)  # type: ignore[call-arg]  # click before 8.2
    except TypeError:
        return CliRunner()


@pytest.fixture
def run() -> Run:
    """Runs the command line; fails on any exception but an exit."""

    def invoke(*args: str, columns: int = 80, **env: Any) -> Result:
        result = _runner().invoke(cli, list(args), env={"COLUMNS": str(columns), **env})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        assert "Traceback" not in result.stdout + result.stderr
        return result

    return invoke


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """A scenario file with a whole layout, which is estimated in a millisecond."""
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO, encoding="utf-8")
    return path
