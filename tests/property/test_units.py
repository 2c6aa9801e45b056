"""Laws of reading and writing quantities."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanli.units import DIMENSIONS, QuantityError, format, parse

DIMENSION = st.sampled_from(DIMENSIONS)
FRAGMENT = st.sampled_from(
    ["1", "0", "9", ".", ",", "_", "e", "E", "+", "-", " ", "k", "K", "M", "m", "B", "b", "G", "i", "T", "P", "/s",
     "FLOP", "W", "h", "d", "s", "%", "万", "亿", "兆", "１", "％", "GB", "GiB", "tokens"]
)  # fmt: skip
ANY = st.one_of(
    st.text(),
    st.lists(FRAGMENT, max_size=12).map("".join),
    st.integers(),
    st.floats(),
    st.none(),
    st.booleans(),
    st.binary(),
    st.complex_numbers(),
    st.decimals(),
    st.fractions(),
    st.lists(st.integers()),
    st.dictionaries(st.text(), st.integers()),
    st.dates(),
)
PREFIXES = ["k", "M", "G", "T", "P", "E"]


@given(value=ANY, dimension=DIMENSION)
def test_parse_answers_or_refuses(value: Any, dimension: str) -> None:
    """Whatever comes in, out comes a finite number or a short QuantityError."""
    try:
        number = parse(value, dimension)
    except QuantityError as error:
        assert 0 < len(str(error)) < 400
    else:
        assert type(number) in (int, float)
        assert abs(number) < float("inf")


@given(value=ANY, dimension=ANY)
def test_an_unknown_dimension_is_refused_whatever_it_is(value: Any, dimension: Any) -> None:
    """Nothing but a known dimension is accepted, and no other error escapes."""
    if dimension not in DIMENSIONS:
        with pytest.raises(QuantityError):
            parse(value, dimension)


@given(value=ANY, dimension=DIMENSION, digits=st.integers(-2, 20), binary=st.booleans())
def test_format_answers_or_refuses(value: Any, dimension: str, digits: int, binary: bool) -> None:
    """Whatever is shown is one short line, or refused as QuantityError."""
    try:
        text = format(value, dimension, digits, binary=binary)
    except QuantityError:
        return
    assert 0 < len(text) < 64 and "\n" not in text and text == text.strip()


@given(
    value=st.floats(min_value=1e-300, max_value=1e300),
    dimension=st.sampled_from([d for d in DIMENSIONS if d not in ("count", "bytes", "currency")]),
    digits=st.integers(2, 15),
)
def test_what_is_shown_reads_back(value: float, dimension: str, digits: int) -> None:
    """Parsing the shown text gives the value again, to the digits shown."""
    assert parse(format(value, dimension, digits), dimension) == pytest.approx(value, rel=0.51 * 10.0 ** (1 - digits))


@given(value=st.integers(0, 10**27), digits=st.integers(2, 15), dimension=st.sampled_from(["count", "bytes"]))
def test_whole_amounts_shown_read_back_whole(value: int, digits: int, dimension: str) -> None:
    """Counts and sizes read back to the digits shown, as ints, with binary prefixes to the nearest byte."""
    for binary in (False, True):
        if dimension == "count" or value >= 1000 or not binary:
            back = parse(format(value, dimension, digits, binary=binary), dimension)
            assert type(back) is int
            assert abs(back - value) <= 1 + 0.51 * 10.0 ** (1 - digits) * value


@given(value=st.floats(min_value=1e-3, max_value=1e15))
def test_money_shown_reads_back(value: float) -> None:
    """Money reads back to the cent below a million, to three digits otherwise."""
    assert parse(format(value, "currency"), "currency") == pytest.approx(value, rel=0.0051, abs=0.0051)


@given(number=st.integers(0, 10**9), power=st.integers(0, 5))
def test_each_decimal_prefix_is_a_thousand_times_the_one_before(number: int, power: int) -> None:
    """k M G T P E are powers of 1000 in every dimension that takes them."""
    prefix, factor = PREFIXES[power], 1000 ** (power + 1)
    assert parse(f"{number}{prefix}", "count") == number * factor
    assert parse(f"{number} {prefix}B", "bytes") == number * factor
    assert parse(f"{number} {prefix}B/s", "bytes/s") == float(number * factor)
    assert parse(f"{number} {prefix}FLOP/s", "flop/s") == parse(f"{number}{prefix}", "flop/s") == float(number * factor)


@given(number=st.integers(0, 10**9), power=st.integers(0, 3))
def test_binary_prefixes_are_powers_of_1024(number: int, power: int) -> None:
    """Ki Mi Gi Ti are powers of 1024, for counts and for bytes."""
    prefix, factor = ["Ki", "Mi", "Gi", "Ti"][power], 1024 ** (power + 1)
    assert parse(f"{number}{prefix}", "count") == parse(f"{number} {prefix}B", "bytes") == number * factor


@given(number=st.integers(0, 10**9), prefix=st.sampled_from(["", *PREFIXES]))
def test_eight_bits_are_a_byte(number: int, prefix: str) -> None:
    """A rate in bits is an eighth of the same rate in bytes."""
    assert parse(f"{8 * number} {prefix}b/s", "bytes/s") == parse(f"{number} {prefix}B/s", "bytes/s")


@given(value=st.decimals(0, 10**6, allow_nan=False, allow_infinity=False, places=6))
def test_decimals_are_exact(value: Decimal) -> None:
    """A decimal number of trillions is exactly what it says, with no float in between."""
    assert parse(f"{value:f}T", "count") == int(value * 10**12)


@given(value=st.integers(), dimension=DIMENSION)
def test_ints_stay(value: int, dimension: str) -> None:
    """An int is already in the base unit."""
    result = parse(value, dimension)
    assert (result, type(result)) == (value, int)


@given(value=st.floats(allow_nan=False, allow_infinity=False), dimension=DIMENSION)
def test_floats_keep_their_value(value: float, dimension: str) -> None:
    """A float keeps its value."""
    assert parse(value, dimension) == value


@given(number=st.integers(0, 10**12), dimension=DIMENSION)
def test_grouping_and_width_change_nothing(number: int, dimension: str) -> None:
    """Thousands marks, full-width digits and spaces around do not change a number."""
    wide = str(number).translate({c: c + 0xFEE0 for c in range(0x30, 0x3A)})
    texts = [str(number), f"{number:,}", f"{number:_}", wide, f"  {number}\t"]
    assert {parse(text, dimension) for text in texts} == {number}


@given(a=st.integers(0, 10**15), b=st.integers(0, 10**15), dimension=DIMENSION)
def test_parse_keeps_order(a: int, b: int, dimension: str) -> None:
    """The larger text reads as the larger number."""
    low, high = sorted((a, b))
    assert parse(str(low), dimension) <= parse(str(high), dimension)
