"""Bands set from rows of few sources: how the judge weighs them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

TOOL = Path(__file__).parents[2] / "tools" / "judge_bands.py"


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("judge_bands", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["judge_bands"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


bands = _tool()


def test_a_source_counts_for_so_many_rows_at_most() -> None:
    """A hundred rows of one source weigh as ten, three as three."""
    weight = bands.weights(["sweep"] * 100 + ["card"] * 3)
    assert weight[:100].sum() == pytest.approx(10.0)
    assert weight[100:].sum() == pytest.approx(3.0)


def test_equal_weights_give_the_usual_median() -> None:
    """The middle of rows that count alike; of ten, the middle of the six one row counts for is its value."""
    values = np.array([3.0, 1.0, 2.0, 5.0, 4.0])
    assert bands.quantile(values, np.ones(5), [0.5])[0] == 3.0
    assert bands.quantile(values, np.array([1.0, 1.0, 1.0, 1.0, 6.0]), [0.6])[0] == 4.0


def test_repeating_one_source_does_not_move_the_band() -> None:
    """What a source says a thousand times it says once."""
    rows = [("a", np.exp(np.linspace(-0.3, 0.1, 40))), ("b", np.exp(np.linspace(-0.1, 0.4, 40))), ("c", np.ones(40))]

    def band(times: int) -> tuple[float, float]:
        told = [(n, np.tile(v, times) if n == "a" else v) for n, v in rows]
        names = [n for n, v in told for _ in v]
        found = bands.interval(np.concatenate([v for _, v in told]), names, names)
        return found.low, found.high

    assert band(25) == pytest.approx(band(1), rel=0.01)


def test_tails_are_cut_no_further_than_left_out_sources_allow() -> None:
    """Sources that agree leave a tenth at each end; of sources that do not, the widest band is told with its cover."""
    names = [n for n in "abcd" for _ in range(30)]
    alike = bands.interval(np.tile(np.exp(np.linspace(-0.2, 0.2, 30)), 4), names, names)
    assert (alike.tail, alike.sources) == (0.1, 4)
    assert alike.covered == pytest.approx(0.8, abs=0.05)
    apart = bands.interval(np.repeat([0.5, 1.0, 2.0, 4.0], 30), names, names)
    assert (apart.tail, apart.low, apart.high) == (0.0, pytest.approx(0.5), pytest.approx(4.0))
    assert apart.covered == pytest.approx(0.5)  # the outer two are outside what the others say


def test_few_rows_have_no_band_and_few_sources_no_check() -> None:
    """Nine rows set none; ten of one source set one that nobody was left to check."""
    assert bands.interval(np.ones(9), ["a"] * 9, ["a"] * 9) is None
    assert bands.interval(np.ones(10), ["a"] * 10, ["a"] * 10).covered is None
