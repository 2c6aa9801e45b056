"""Arithmetic that takes one number or a column: floats in, floats out; the same bits either way."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from suanli import numeric

VALUES = [0.0, 0.1, 0.96875, 1.0, 1.5, 2.0, 2.5, 3.0, 7.0, 8.0, 9.0, 1e-300, 1e15, 2.0**53]
ONE: dict[str, Callable[[Any], Any]] = {
    "ceil": numeric.ceil,
    "floor": numeric.floor,
    "sqrt": numeric.sqrt,
    "doublings": numeric.doublings,
}
TWO: dict[str, Callable[[Any, Any], Any]] = {
    "minimum": numeric.minimum,
    "maximum": numeric.maximum,
    "power": numeric.power,
    "added": numeric.added,
}


@pytest.mark.parametrize("name", ONE)
def test_of_one_number(name: str) -> None:
    """A column gives the bits of its rows, and a number a plain float."""
    alone = [ONE[name](v) for v in VALUES]
    assert {type(v) for v in alone} == {float}
    column = ONE[name](np.asarray(VALUES))
    assert column.dtype == np.float64
    assert [struct.pack("<d", v) for v in column] == [struct.pack("<d", v) for v in alone]


@pytest.mark.parametrize("name", TWO)
def test_of_two_numbers(name: str) -> None:
    """The same with two of them, column with column and column with number."""
    pairs = [(a, b) for a in VALUES for b in (0.0, 0.3, 1.0, 2.0)]
    alone = [TWO[name](a, b) for a, b in pairs]
    assert {type(v) for v in alone} == {float}
    first, second = (np.asarray(c) for c in zip(*pairs, strict=True))
    assert [struct.pack("<d", v) for v in TWO[name](first, second)] == [struct.pack("<d", v) for v in alone]
    mixed = TWO[name](np.asarray(VALUES), 2.0)
    assert [struct.pack("<d", v) for v in mixed] == [struct.pack("<d", TWO[name](v, 2.0)) for v in VALUES]


def test_where_takes_flags_and_columns_of_them() -> None:
    """A flag chooses a number, a column of flags row by row, also among numbers."""
    assert numeric.where(True, 1.0, 2.0) == 1.0
    assert numeric.where(False, 1.0, 2.0) == 2.0
    assert np.array_equal(numeric.where(np.array([True, False]), 1.0, np.array([3.0, 4.0])), [1.0, 4.0])
    assert np.array_equal(numeric.where(True, np.array([1.0, 2.0]), 0.0), [1.0, 2.0])


def test_sums_are_folded_from_the_left() -> None:
    """Terms are added in their order, so that a table and its rows round alike."""
    assert numeric.added(0.1, 0.2, 0.3) == (0.1 + 0.2) + 0.3
    assert numeric.added() == 0.0
    assert numeric.added(0.1, 0.2, 0.3) != math.fsum((0.1, 0.2, 0.3))


@pytest.mark.parametrize(
    ("ranks", "depth"), [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4), (4096, 12)]
)
def test_doublings(ranks: int, depth: int) -> None:
    """The depth of a binary tree over so many ranks."""
    assert numeric.doublings(ranks) == depth
    assert numeric.doublings(float(ranks)) == depth


def test_what_is_a_scalar() -> None:
    """Python's and NumPy's floats are numbers, arrays of any size are columns."""
    assert numeric.is_scalar(1)
    assert numeric.is_scalar(1.5)
    assert numeric.is_scalar(np.float64(1.5))
    assert not numeric.is_scalar(np.array([1.5]))
    assert not numeric.is_scalar(np.array(1.5))
    assert not numeric.is_scalar("1.5")


def test_any_true() -> None:
    """A flag is itself, a column is whether one of it holds."""
    assert numeric.any_true(True) is True
    assert numeric.any_true(np.array([False, True])) is True
    assert numeric.any_true(np.array([False, False])) is False
