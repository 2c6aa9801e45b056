"""Quantities as people write them, and as people read them."""

from __future__ import annotations

import enum
import math
import pickle
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import pytest

from suanli import units
from suanli.errors import SuanliError
from suanli.units import QuantityError, format, parse


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.4T", 1_400_000_000_000),
        ("15T", 15 * 10**12),
        ("0.1T", 10**11),
        ("65B", 65 * 10**9),
        ("4k", 4000),
        ("4K", 4000),
        ("4Ki", 4096),
        ("1_000_000", 10**6),
        ("1,000,000", 10**6),
        ("1e12", 10**12),
        ("2.5e11", 250_000_000_000),
        ("1E3", 1000),
        ("2E", 2 * 10**18),
        ("5亿", 5 * 10**8),
        ("5 万", 50_000),
        ("1.2 万亿", 1_200_000_000_000),
        ("千亿", None),
        ("3千万", 30_000_000),
        ("５万", 50_000),
        ("１，０００", 1000),
        ("1.4 trillion tokens", 1_400_000_000_000),
        ("7B params", 7 * 10**9),
        (" 12 ", 12),
        ("\u22125", -5),
    ],
)
def test_counts(text: str, number: int | None) -> None:
    """A count is read exactly, as an int, in Western and Chinese scales; a scale alone is no number."""
    if number is None:
        with pytest.raises(QuantityError):
            parse(text, "count")
        return
    result = parse(text, "count")
    assert (result, type(result)) == (number, int)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("80 GB", 80 * 10**9),
        ("80GB", 80 * 10**9),
        ("80 GiB", 80 * 2**30),
        ("1.44 TB", 1_440_000_000_000),
        ("80Gi", 80 * 2**30),
        ("64 kB", 64_000),
        ("64 KB", 64_000),
        ("64 KiB", 65_536),
        ("143771 MiB", 143_771 * 2**20),
        ("12 bytes", 12),
        ("12", 12),
        ("74.4 GiB", 79_886_391_706),
    ],
)
def test_capacities(text: str, number: int) -> None:
    """GB is 1e9, GiB is 2^30, and a capacity is an int of bytes."""
    result = parse(text, "bytes")
    assert (result, type(result)) == (number, int)


@pytest.mark.parametrize(
    ("text", "dimension", "number"),
    [
        ("400 Gb/s", "bytes/s", 50e9),
        ("400 Gbit/s", "bytes/s", 50e9),
        ("400 Gbps", "bytes/s", 50e9),
        ("200 GB/s", "bytes/s", 200e9),
        ("3.2 TB/s", "bytes/s", 3.2e12),
        ("1 GiB/s", "bytes/s", 2.0**30),
        ("312 TFLOP/s", "flop/s", 312e12),
        ("312 TFLOPS", "flop/s", 312e12),
        ("312 tflops", "flop/s", 312e12),
        ("312 TF", "flop/s", 312e12),
        ("1000 TOP/s", "flop/s", 1e15),
        ("1000 TOPS", "flop/s", 1e15),
        ("1000P", "flop/s", 1e18),
        ("5.46e23", "flop", 5.46e23),
        ("546 ZFLOP", "flop", 5.46e23),
        ("3640 PF-days", "flop", 3640 * 86400e15),
        ("3 us", "s", 3e-6),
        ("3 µs", "s", 3e-6),
        ("3 μs", "s", 3e-6),
        ("500 ms", "s", 0.5),
        ("2 h", "s", 7200.0),
        ("30 d", "s", 2_592_000.0),
        ("30天", "s", 2_592_000.0),
        ("1.5 weeks", "s", 907_200.0),
        ("10 min", "s", 600.0),
        ("700 W", "w", 700.0),
        ("10.2 kW", "w", 10_200.0),
        ("1.6 GHz", "hz", 1.6e9),
        ("1.85 GHz", "hz", 1.85e9),
        ("1410 mhz", "hz", 1.41e9),
        ("1.2 kWh", "j", 4.32e6),
        ("3 GWh", "j", 1.08e13),
        ("300 mJ", "j", 0.3),
        ("98.32", "currency", 98.32),
        ("5万", "currency", 50_000.0),
        ("1.5M", "currency", 1.5e6),
        ("45%", "ratio", 0.45),
        ("45 ％", "ratio", 0.45),
        ("0.45", "ratio", 0.45),
    ],
)
def test_other_dimensions(text: str, dimension: str, number: float) -> None:
    """Everything else is the float nearest to what was written."""
    result = parse(text, dimension)
    assert (result, type(result)) == (number, float)


@pytest.mark.parametrize(
    ("text", "dimension", "number"),
    [
        # Prefixes of the SI brochure, 9th ed., table 7, and of IEC 80000-13
        *((f"1{p}", "count", 10 ** (3 * (i + 1))) for i, p in enumerate("kMGTPEZY")),
        *((f"1 {p}B", "bytes", 10 ** (3 * (i + 1))) for i, p in enumerate("kMGTPEZY")),
        *((f"1 {p}i", "count", 2 ** (10 * (i + 1))) for i, p in enumerate("KMGTPE")),
        # 百 and 千 count below 万 (10^4); 万 and 亿 (10^8) take them as prefixes
        ("2百", "count", 200),
        ("2千", "count", 2000),
        ("2万", "count", 20_000),
        ("2十万", "count", 200_000),
        ("2百万", "count", 2_000_000),
        ("2千万", "count", 20_000_000),
        ("2亿", "count", 2 * 10**8),
        ("2十亿", "count", 2 * 10**9),
        ("2百亿", "count", 2 * 10**10),
        ("2千亿", "count", 2 * 10**11),
        ("2万亿", "count", 2 * 10**12),
        ("2 thousand", "count", 2000),
        ("2 million", "count", 2 * 10**6),
        ("2 billion", "count", 2 * 10**9),
        ("2bn", "count", 2 * 10**9),
        ("2 trillion", "count", 2 * 10**12),
        ("2 个", "count", 2),
        ("8 bit/s", "bytes/s", 1),
        ("8 bytes/sec", "bytes/s", 8),
        ("2 OP", "flop", 2),
        ("2 FLOP/s-days", "flop", 172_800),
        ("2 F", "flop/s", 2),
        ("2 ns", "s", 2e-9),
        ("2 微秒", "s", 2e-6),
        ("2 毫秒", "s", 2e-3),
        ("2 secs", "s", 2),
        ("2 分钟", "s", 120),
        ("2 小时", "s", 7200),
        ("2 wk", "s", 14 * 86400),
        ("2 mW", "w", 0.002),
        ("2 THz", "hz", 2e12),
        ("2 Wh", "j", 7200),
        ("2 度", "j", 2 * 1000 * 3600),
        ("2B", "currency", 2e9),
        ("2 percent", "ratio", 0.02),
        ("5 HZ", "hz", 5),
    ],
)
def test_each_unit_is_as_large_as_it_is_defined(text: str, dimension: str, number: float) -> None:
    """Every prefix, scale and unit is what its definition makes it."""
    assert parse(text, dimension) == number


ONE = {
    "bytes": "B byte bytes",
    "bytes/s": "B/s byte/s bytes/s Bps B/sec",
    "flop": "FLOP FLOPs OP OPs",
    "flop/s": "FLOP/s FLOPS FLOPs FLOPs/s OP/s OPS OPs OPs/s F",
    "count": "token tokens parameter parameters param params sample samples sequence sequences request requests user "
    "users 个",
    "s": "s sec secs second seconds 秒",
    "w": "W",
    "hz": "Hz",
    "j": "J",
}


@pytest.mark.parametrize("dimension", ONE)
def test_names_of_one_unit_are_that_unit(dimension: str) -> None:
    """However the base unit is called, so many of it are so many, and a thousand times as many with a k."""
    for unit in ONE[dimension].split():
        assert parse(f"3 {unit}", dimension) == 3, unit
        if dimension != "s":
            assert parse(f"3 k{unit}", dimension) == 3000, unit


def test_what_may_be_written_ends_somewhere() -> None:
    """A text has 64 characters and an exponent 400 at most, and both of them are read."""
    assert parse("0" * 63 + "1", "count") == 1
    assert parse("0e400", "s") == 0
    assert parse("1e-400", "s") == 0  # nearer to nothing than to any float
    assert parse("1e0000000001", "count") == 10
    for beyond in ("0e401", "1e-401"):
        with pytest.raises(QuantityError, match="exponent beyond 400"):
            parse(beyond, "s")


def test_whole_floats_are_counts_while_floats_are_exact() -> None:
    """Up to 2^53 every whole number is a float of its own, so that the int is what was meant; beyond it may not be."""
    assert type(parse(2.0**53, "count")) is int
    assert type(parse(2.0**53 + 2, "count")) is float


def test_numbers_pass_through() -> None:
    """A number is in the base unit already, and keeps its kind; a whole float of a count becomes an int."""
    assert (parse(5, "s"), type(parse(5, "s"))) == (5, int)
    assert parse(80.9, "bytes") == 80.9
    assert (parse(15e12, "count"), type(parse(15e12, "count"))) == (15 * 10**12, int)
    assert type(parse(1e30, "count")) is float
    assert parse(Fraction(1, 4), "ratio") == 0.25
    assert type(parse(enum.IntEnum("E", {"A": 3}).A, "count")) is int  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "dimension", "hint"),
    [
        ("80 Gb", "bytes", "probably GB or GiB"),
        ("80 Gbit", "bytes", "probably GB or GiB"),
        ("80 gb", "bytes", "write GB (1000s) or GiB (1024s)"),
        ("80gb", "bytes", "write GB (1000s) or GiB (1024s)"),
        ("80G", "bytes", "1000 or 1024"),
        ("400 gb/s", "bytes/s", "GB/s or Gb/s"),
        ("400G", "bytes/s", "bits or bytes"),
        ("400 Gb", "bytes/s", "write Gb/s"),
        ("312 TFLOP", "flop/s", "write TFLOP/s"),
        ("312 TFLOPS", "flop", "a rate"),
        ("7b", "count", "write B"),
        ("8m", "count", "write M"),
        ("3兆", "count", "10^6 in some places"),
        ("1.5", "count", "whole number"),
        ("1.5 tokens", "count", "whole number"),
        ("1.5 B", "bytes", "whole number"),
        ("0.00000000000001 TB", "bytes", "whole number"),
        ("5 m", "s", "write min"),
        ("1 month", "s", "write days"),
        ("5 mw", "w", "MW or mW"),
        ("5万元", "currency", "its own field"),
        ("80 GB", "s", "not a unit of time"),
        ("1,5", "count", "commas group thousands"),
        ("1,00,000", "count", "commas group thousands"),
        ("1__0", "count", "does not start with a number"),
        ("1 000", "count", "not a unit"),
        ("1.2.3", "count", "does not start with a number"),
        ("10²", "count", "not a unit"),
        ("٣", "count", "does not start with a number"),
        ("~5", "count", "does not start with a number"),
        (".", "count", "does not start with a number"),
        ("", "count", "does not start with a number"),
        ("nan", "s", "does not start with a number"),
        ("inf", "s", "does not start with a number"),
        ("1e999999999", "count", "exponent"),
        ("1e400", "s", "too large"),
        ("5", "parsec", "no dimension named 'parsec'"),
        ("5 H", "s", "write h"),
    ],
)
def test_what_is_unclear_is_refused_with_a_hint(text: str, dimension: str, hint: str) -> None:
    """What could mean two things, or nothing, is refused in words that lead on."""
    with pytest.raises(QuantityError) as caught:
        parse(text, dimension)
    message = str(caught.value)
    assert hint in message
    assert repr(text) in message or dimension == "parsec"
    assert "\n" not in message and len(message) < 400


@pytest.mark.parametrize(
    "value",
    [True, False, None, math.nan, math.inf, -math.inf, 10**5000, b"80 GB", [1], {}, object(), 1j, Decimal(1),
     Fraction(10**400), "9" * 65, "x" * 1_000_000, "\ud800", "5 GB\x00", "1\n2"],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_anything_else_is_refused_quickly(value: object) -> None:
    """Whatever comes in, the answer is a short QuantityError."""
    with pytest.raises(QuantityError) as caught:
        parse(value, "bytes")  # type: ignore[arg-type]
    assert len(str(caught.value)) < 400
    str(caught.value).encode("utf-8")


def test_the_error_is_one_of_ours_and_a_value_error() -> None:
    """QuantityError can be caught as SuanliError and as ValueError, and survives pickling."""
    assert issubclass(QuantityError, SuanliError) and issubclass(QuantityError, ValueError)
    error = pickle.loads(pickle.dumps(QuantityError("no")))
    assert (type(error), str(error)) == (QuantityError, "no")


def test_every_error_shows_examples_that_are_accepted() -> None:
    """The quoted examples of each dimension's error message are themselves accepted."""
    for dimension in units.DIMENSIONS:
        with pytest.raises(QuantityError) as caught:
            parse("?", dimension)
        quoted = str(caught.value).partition("for example")[2].split('"')[1::2]
        assert quoted and all(parse(example, dimension) > 0 for example in quoted)


@pytest.mark.parametrize(
    ("value", "dimension", "text"),
    [
        (80e9, "bytes", "80.0 GB"),
        (999.96e9, "bytes", "1.0 TB"),
        (512, "bytes", "512 B"),
        (0, "bytes", "0 B"),
        (0, "count", "0"),
        (0.0, "s", "0 s"),
        (0, "ratio", "0 %"),
        (0, "w", "0 W"),
        (1e9, "bytes", "1.0 GB"),
        (-5e9, "bytes", "-5.0 GB"),
        (3.35e12, "bytes/s", "3.35 TB/s"),
        (312e12, "flop/s", "312 TFLOP/s"),
        (5.46e23, "flop", "546 ZFLOP"),
        (3e-6, "s", "3.0 us"),
        (0.0123, "s", "12.3 ms"),
        (4.2, "s", "4.2 s"),
        (200, "s", "3.33 min"),
        (2e6, "s", "23.1 days"),
        (1.4e12, "count", "1.4 T"),
        (65.3e9, "count", "65.3 B"),
        (4096, "count", "4096"),
        (12_345, "count", "12.3 k"),
        (9999, "count", "9999"),
        (10_000, "count", "10.0 k"),
        (2.5, "count", "2.5"),
        (0.452, "ratio", "45.2 %"),
        (1, "ratio", "100 %"),
        (700, "w", "700 W"),
        (10_200, "w", "10.2 kW"),
        (1.41e9, "hz", "1.41 GHz"),
        (0.3, "j", "300 mJ"),
        (5e9, "j", "1.39 MWh"),
        (3e13, "j", "8.33 GWh"),
        (12_345.678, "currency", "12,345.68"),
        (2.5e6, "currency", "2.5 M"),
        (0, "currency", "0.00"),
        (1, "currency", "1.00"),
        (999_999.99, "currency", "999,999.99"),
        (1_000_000, "currency", "1.0 M"),
        (0.5, "currency", "0.5"),
        (0.00015, "currency", "0.00015"),
        (1e40, "flop", "1.00e+40 FLOP"),
        (86400 * 999_000, "s", "999000 days"),
        (86400 * 1_000_000, "s", "8.64e+10 s"),
        (1e-13, "s", "0.0001 ns"),
        (9e-14, "s", "9.00e-14 s"),
        (1e5, "ratio", "1.00e+05"),
        (math.inf, "s", "∞"),
        (-math.inf, "s", "-∞"),
        (math.nan, "s", "—"),
        (None, "bytes", "—"),
    ],
)
def test_shown_for_people(value: float | None, dimension: str, text: str) -> None:
    """A figure is shown in the unit that suits its size, with three significant digits."""
    assert format(value, dimension) == text


def test_shown_with_other_digits_and_binary_prefixes() -> None:
    """The number of digits is the caller's, and binary prefixes are asked for by name."""
    assert format(80e9, "bytes", binary=True) == "74.5 GiB"
    assert format(2**30, "bytes/s", binary=True) == "1.0 GiB/s"
    assert format(1_234_567, "bytes", 5) == "1.2346 MB"
    assert format(1_234_567, "bytes", 0) == "1 MB"


@pytest.mark.parametrize("value", ["5", True, 10**4000, [1]])
def test_showing_what_is_no_number_is_an_error(value: object) -> None:
    """Only numbers are shown."""
    with pytest.raises(QuantityError):
        format(value, "s")  # type: ignore[arg-type]


def test_an_unknown_dimension_cannot_be_shown() -> None:
    """A misspelt dimension is named, with the known ones."""
    with pytest.raises(QuantityError, match="known: count, bytes"):
        format(1, "bites")


def test_the_module_needs_nothing_but_the_standard_library() -> None:
    """Importing it loads no third-party package."""
    code = "import sys, suanli.units; print(sorted({'numpy', 'attrs', 'attr', 'cattrs', 'pluggy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
