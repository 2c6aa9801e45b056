"""Quantities at the edge: people's units in, SI base units inside, people's units out.

Inside suanli every figure is a plain number in bytes, bytes per second, FLOP, FLOP per second,
seconds, watts, hertz, joules, a currency (named elsewhere), a ratio (0 to 1) or a count.
`parse` reads what people and catalog files write; `format` writes what people read.

    >>> parse("15T", "count"), parse("0.1T", "count"), parse("5 亿", "count"), parse("4Ki", "count")
    (15000000000000, 100000000000, 500000000, 4096)
    >>> parse("80 GB", "bytes"), parse("80 GiB", "bytes")
    (80000000000, 85899345920)
    >>> parse("400 Gb/s", "bytes/s"), parse("1000P", "flop/s"), parse("3 us", "s"), parse("45%", "ratio")
    (50000000000.0, 1e+18, 3e-06, 0.45)
    >>> format(80e9, "bytes"), format(80e9, "bytes", binary=True), format(3.35e12, "bytes/s")
    ('80.0 GB', '74.5 GiB', '3.35 TB/s')

GB is 1e9 bytes and GiB is 2**30 bytes; b is a bit and B is a byte; what could mean two things is refused.
"""

from __future__ import annotations

import math
import numbers
import re
import sys
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Final

from suanli.errors import SuanliError, clip

KB, MB, GB, TB = 10**3, 10**6, 10**9, 10**12
KIB, MIB, GIB, TIB = 2**10, 2**20, 2**30, 2**40


class QuantityError(SuanliError, ValueError):
    """A quantity that cannot be read, or could be read in two ways; the message says what would be accepted."""


_MAX_CHARS, _MAX_EXPONENT = 64, 400
_Units = dict[str, int | Fraction]
_DECIMAL: Final[_Units] = {
    "k": KB,
    "K": KB,
    "M": MB,
    "G": GB,
    "T": TB,
    "P": 10**15,
    "E": 10**18,
    "Z": 10**21,
    "Y": 10**24,
}
_BINARY: Final[_Units] = {"Ki": KIB, "Mi": MIB, "Gi": GIB, "Ti": TIB, "Pi": 2**50, "Ei": 2**60}
_CHINESE: Final[_Units] = {
    "百": 10**2, "千": 10**3, "万": 10**4, "十万": 10**5, "百万": 10**6, "千万": 10**7, "亿": 10**8,
    "十亿": 10**9, "百亿": 10**10, "千亿": 10**11, "万亿": 10**12,
}  # fmt: skip
_WORDS: Final[_Units] = {"thousand": KB, "million": MB, "billion": GB, "trillion": TB, "bn": GB}
_THINGS: Final = ("token", "parameter", "param", "sample", "sequence", "request", "user")
_NOUNS: Final = ("个", *_THINGS, *(noun + "s" for noun in _THINGS))


def _with_prefixes(units: _Units, prefixes: _Units) -> _Units:
    """Every unit, bare and with every prefix."""
    return units | {prefix + unit: m * factor for unit, factor in units.items() for prefix, m in prefixes.items()}


_SI: Final = _DECIMAL | _BINARY
_BYTE: Final[_Units] = {"B": 1, "byte": 1, "bytes": 1}
_BIT: Final[_Units] = dict.fromkeys(("b", "bit", "bits"), Fraction(1, 8))
_RATE: Final[_Units] = dict.fromkeys(["FLOP/s", "FLOPS", "FLOPs", "FLOPs/s", "OP/s", "OPS", "OPs", "OPs/s", "F"], 1)
_DAYS: Final[_Units] = dict.fromkeys(("FLOP/s-day", "FLOP/s-days", "F-day", "F-days"), 86400)
_MILLI: Final = Fraction(1, 1000)
_COUNT: Final = {**_DECIMAL, **_BINARY, **_CHINESE, **_WORDS, "B": GB}

_UNITS: Final[dict[str, _Units]] = {
    "count": {**_COUNT, **_with_prefixes(dict.fromkeys(_NOUNS, 1), _COUNT)},
    "bytes": _with_prefixes(_BYTE, _SI) | _BINARY,
    "bytes/s": _with_prefixes({u + s: f for u, f in (_BYTE | _BIT).items() for s in ("/s", "ps", "/sec")}, _SI),
    "flop": _with_prefixes(_DAYS | dict.fromkeys(("FLOP", "FLOPs", "OP", "OPs"), 1), _DECIMAL) | _DECIMAL,
    "flop/s": _with_prefixes(_RATE, _DECIMAL) | _DECIMAL,
    "s": {unit: factor for units, factor in (
        ("ns 纳秒", Fraction(1, 10**9)), ("us µs μs 微秒", Fraction(1, 10**6)), ("ms 毫秒", _MILLI),
        ("s sec secs second seconds 秒", 1), ("min mins minute minutes 分钟", 60), ("h hr hrs hour hours 小时", 3600),
        ("d day days 天", 86400), ("wk week weeks 周", 604800)) for unit in units.split()},
    "w": _with_prefixes({"W": 1}, {p: _DECIMAL[p] for p in "kKMG"}) | {"mW": _MILLI},
    "hz": _with_prefixes({"Hz": 1}, {p: _DECIMAL[p] for p in "kKMGT"}),
    "j": _with_prefixes({"J": 1, "Wh": 3600}, {p: _DECIMAL[p] for p in "kKMGT"}) | {"mJ": _MILLI, "度": 3_600_000},
    "currency": {**{p: _DECIMAL[p] for p in "kKM"}, "B": GB, **_CHINESE, **_WORDS},
    "ratio": {"%": Fraction(1, 100), "percent": Fraction(1, 100)},
}  # fmt: skip
DIMENSIONS: Final = tuple(_UNITS)

_EXAMPLES: Final = {
    "count": '4096, "15T", "65B", "4k", "4Ki", "1_000_000", "5 亿"',
    "bytes": '"80 GB" (1 GB = 1e9 bytes), "80 GiB" (1 GiB = 2^30 bytes)',
    "bytes/s": '"3.35 TB/s", "200 GB/s", "400 Gb/s" (bits: 50e9 bytes/s)',
    "flop": '"5.46e23", "546 ZFLOP", "3640 PF-days"',
    "flop/s": '"312 TFLOP/s", "1000 TOP/s", "1000P"',
    "s": '"3 us", "500 ms", "2 h", "30 d", "1.5 weeks"',
    "w": '"700 W", "10.2 kW"', "hz": '"1.6 GHz", "1410 MHz"',
    "j": '"300 J", "1.2 kWh", "3 GWh"',
    "currency": '98.32, "1.5M", "5 万" (the currency is named in its own field)',
    "ratio": '0.45, "45%"',
}  # fmt: skip

# What is understood but is not, or not surely, this dimension: unit -> why.
_ZHAO: Final = {"兆": "兆 is 10^6 in some places and 10^12 in others; write 百万 or M, or 万亿 or T"}
_TRAPS: Final[dict[str, dict[str, str]]] = {
    "count": _ZHAO,
    "bytes": dict.fromkeys(_DECIMAL, "a prefix alone leaves open 1000 or 1024; write GB (1e9) or GiB (2^30)")
    | dict.fromkeys(_with_prefixes(_BIT, _SI), "b is a bit, a capacity is in bytes; probably GB or GiB was meant"),
    "bytes/s": dict.fromkeys(_SI, "a prefix alone leaves open bits or bytes; write GB/s (bytes) or Gb/s (bits)"),
    "flop": dict.fromkeys(_with_prefixes(dict.fromkeys(("FLOPS", "FLOP/s", "OPS", "OP/s"), 1), _DECIMAL),
                          "this is a rate, and a number of operations is asked for; write FLOP"),
    "s": dict.fromkeys(("month", "months", "year", "years", "y", "yr"), "its length varies; write days, as 30 d")
    | {"m": "m could be minutes, months or milliseconds; write min, d or ms"},
    "currency": dict.fromkeys(("$", "¥", "€", "元", "万元", "亿元", "USD", "CNY", "RMB", "EUR"),
                              "the currency is named in its own field; leave it out here") | _ZHAO,
}  # fmt: skip

_NUMBER: Final = re.compile(
    r"(?P<number>[+-]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+(?:_[0-9]+)*)?(?:\.[0-9]*)?)"
    r"(?:[eE](?P<exponent>[+-]?[0-9]+))?(?P<unit>[^0-9.,_+-].*)?"
)
# Full-width ASCII (U+FF01..FF5E) and the minus sign as their plain selves; spaces of every width are dropped below.
_PLAIN: Final = {c: c - 0xFEE0 for c in range(0xFF01, 0xFF5F)} | {0x2212: 0x2D}


def parse(value: float | str, dimension: str) -> float | int:
    """A quantity as a plain number in the SI base unit of its dimension.

    Args:
        value: A number, already in the base unit, or a string: a number with an optional prefix and unit.
            Decimal prefixes are powers of 1000 (k and K alike); Ki, Mi, Gi are powers of 1024; 千 万 亿 万亿 count
            as in Chinese; thousands may be grouped by `,` or `_`; full-width characters are as their plain ones.
        dimension: One of `DIMENSIONS`: count, bytes, bytes/s, flop, flop/s, s, w, hz, j, currency, ratio.

    Returns:
        The number in the base unit, computed exactly and rounded once. Counts and bytes are an int whenever they are
        whole (a float beyond 2^53 stays a float); a size with a binary prefix ("74.4 GiB") is the nearest byte.
        Numbers given as numbers are otherwise passed through; the sign is not judged here.

    Raises:
        QuantityError: Not a number, not a unit of this dimension, ambiguous, not whole ("1.5" tokens), or too large.

    Example:
        >>> parse("1.4T", "count"), parse("200 GB/s", "bytes/s"), parse(80.9, "bytes")
        (1400000000000, 200000000000.0, 80.9)
    """
    _check_dimension(dimension)
    if isinstance(value, str):
        return _parse_text(value, dimension)
    number = _plain_number(value, dimension)
    whole = dimension in ("count", "bytes") and isinstance(number, float) and number.is_integer()
    return int(number) if whole and abs(number) <= 2**53 else number


def _check_dimension(dimension: str) -> None:
    if not isinstance(dimension, str) or dimension not in _UNITS:
        raise QuantityError(f"no dimension named {_shown(dimension)}; known: {', '.join(DIMENSIONS)}")


def _plain_number(value: object, dimension: str) -> float | int:
    """The value as a finite int or float; NumPy's scalars are numbers too, bool is not."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise _error(value, dimension, "is not a number or a text")
    try:
        number: float | int = int(value) if isinstance(value, numbers.Integral) else float(value)
    except (ArithmeticError, TypeError, ValueError):
        raise _error(value, dimension, "is too large or not a plain number") from None
    if abs(number) > sys.float_info.max or math.isnan(number):
        raise _error(value, dimension, "is not a finite number of usual size")
    return number


def _parse_text(text: str, dimension: str) -> float | int:
    if len(text) > _MAX_CHARS:
        raise _error(text, dimension, f"is longer than {_MAX_CHARS} characters")
    match = _NUMBER.fullmatch(text.translate(_PLAIN).strip())
    if match is None or not any(c.isdigit() for c in match["number"]):
        grouping = " (commas group thousands, and the decimal point is a point)" if "," in text else ""
        raise _error(text, dimension, f"does not start with a number{grouping}")
    exponent, unit = match["exponent"] or "0", "".join((match["unit"] or "").split())
    if abs(int(exponent)) > _MAX_EXPONENT:
        raise _error(text, dimension, f"has an exponent beyond {_MAX_EXPONENT}")
    factor = 1 if not unit else _factor(unit, text, dimension)
    digits = match["number"].replace(",", "").replace("_", "")
    exact = Fraction(Decimal(digits)) * Fraction(10) ** int(exponent) * factor
    if abs(exact) > sys.float_info.max:
        raise _error(text, dimension, "is too large")
    if dimension not in ("count", "bytes"):
        return float(exact)
    if exact.denominator != 1:
        if dimension == "count" or unit[1:2] != "i":
            raise _error(text, dimension, "is not a whole number")
        return round(exact)
    return exact.numerator


def _factor(unit: str, text: str, dimension: str) -> int | Fraction:
    """What one `unit` is in the base unit; case may differ where only one reading is left."""
    units, traps = _UNITS[dimension], _TRAPS.get(dimension, {})
    if unit in units:
        return units[unit]
    low = unit.lower()
    near = [known for known in units if known.lower() == low]
    trapped = traps.get(unit) or next((why for known, why in traps.items() if known.lower() == low), "")
    if near and not trapped and len(unit) > 1 and len({units[known] for known in near}) == 1:
        return units[near[0]]
    if dimension == "bytes" and unit not in traps and low in ("kb", "mb", "gb", "tb", "pb"):
        prefix = unit[0].upper()
        raise _error(text, dimension, f"has a b of unclear case; write {prefix}B (1000s) or {prefix}iB (1024s)")
    if near and unit not in traps:
        raise _error(text, dimension, f"has a unit whose case decides; write {' or '.join(near[:3])}")
    if trapped:
        raise _error(text, dimension, f"is not clear: {trapped}")
    if unit + "/s" in units:
        raise _error(text, dimension, f"has no time in its unit; write {unit}/s")
    raise _error(text, dimension, f"has {_shown(unit)}, which is not a unit of {_NAMES.get(dimension, dimension)}")


_NAMES: Final = {"s": "time", "w": "power", "hz": "frequency", "j": "energy", "count": "a count", "ratio": "a ratio"}


def _shown(value: object) -> str:
    """A value for a message: short, and whatever it is."""
    if isinstance(value, str):
        return clip(repr(clip(value, _MAX_CHARS)), 2 * _MAX_CHARS)
    if type(value) in (bool, float) or (type(value) is int and abs(value) < 10**_MAX_CHARS):
        return repr(value)
    return f"a value of type {clip(type(value).__name__, _MAX_CHARS)}"


def _error(value: object, dimension: str, why: str) -> QuantityError:
    return QuantityError(f"{_shown(value)} {why}; for {dimension}, write for example {_EXAMPLES[dimension]}")


_SCALES: Final[dict[str, tuple[tuple[str, Fraction], ...]]] = {
    name: tuple((unit, Fraction(_UNITS[name.removesuffix(" binary")].get(unit, 1))) for unit in units)
    for name, units in (
        ("count", ("", "k", "M", "B", "T", "P", "E")),
        ("bytes", ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB")),
        ("bytes binary", ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")),
        ("bytes/s", ("B/s", "kB/s", "MB/s", "GB/s", "TB/s", "PB/s", "EB/s")),
        ("bytes/s binary", ("B/s", "KiB/s", "MiB/s", "GiB/s", "TiB/s", "PiB/s")),
        ("flop", ("FLOP", *(p + "FLOP" for p in "kMGTPEZY"))),
        ("flop/s", ("FLOP/s", *(p + "FLOP/s" for p in "kMGTPEZY"))),
        ("s", ("ns", "us", "ms", "s", "min", "h", "days")),
        ("w", ("mW", "W", "kW", "MW", "GW")),
        ("hz", ("Hz", "kHz", "MHz", "GHz")),
        ("j", ("mJ", "J", "kJ", "kWh", "MWh", "GWh", "TWh")),
        ("currency", ("", "M", "B")),
        ("ratio", ("%",)),
    )
}


def format(  # noqa: A001  # units.format reads well, and nothing here needs the builtin
    value: float | None, dimension: str, digits: int = 3, *, binary: bool = False
) -> str:
    """A quantity for people, in a unit that `parse` reads back (within the rounding).

    Args:
        value: A number in the base unit of its dimension; None and NaN, being absent, are shown as "—".
        dimension: One of `DIMENSIONS`.
        digits: Significant digits, at least 1; whole counts below 10,000 and money below a million are shown in full.
        binary: Bytes in KiB, MiB, GiB (2^10, 2^20, 2^30) instead of kB, MB, GB (10^3, 10^6, 10^9).

    Returns:
        For example "80.0 GB", "312 TFLOP/s", "12.3 ms", "23.1 days", "65.3 B" (a billion), "45.2 %", "1.2 MWh".

    Raises:
        QuantityError: An unknown dimension, or a value that is no number.

    Example:
        >>> format(65.3e9, "count"), format(0.0123, "s"), format(2e6, "s"), format(0.452, "ratio"), format(None, "s")
        ('65.3 B', '12.3 ms', '23.1 days', '45.2 %', '—')
    """
    _check_dimension(dimension)
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "∞" if value == math.inf else "-∞" if value == -math.inf else "—"
    number = _plain_number(value, dimension)
    if dimension == "count" and abs(number) < 10_000 and number == int(number):
        return str(int(number))
    if dimension == "currency" and (number == 0 or 1 <= abs(number) < 1_000_000):
        return f"{number:,.2f}"
    return _scaled(number, dimension, max(1, digits), binary)


def _scaled(number: float, dimension: str, digits: int, binary: bool) -> str:
    """The number in the largest unit of its scale in which it is, once rounded, at least one."""
    scales = _SCALES[f"{dimension} binary" if binary and dimension in ("bytes", "bytes/s") else dimension]
    context = Context(prec=digits, rounding=ROUND_HALF_EVEN, Emax=9999, Emin=-9999)
    base = next(unit for unit, factor in reversed(scales) if factor <= 1)
    if number == 0:
        return f"0 {base}".strip()
    for (unit, factor), above in zip(scales, [*(f for _, f in scales[1:]), None], strict=True):  # noqa: B007
        exact = Fraction(number) / factor
        rounded = context.divide(Decimal(exact.numerator), Decimal(exact.denominator))
        if above is None or max(abs(exact), Fraction(abs(rounded))) < above / factor:
            break
    if not Decimal("0.0001") <= abs(rounded) < Decimal(10) ** 6:
        return f"{number:.{digits - 1}e} {'' if dimension == 'ratio' else base}".strip()
    text = f"{rounded:f}"
    whole, _, decimals = text.partition(".")
    decimals = decimals.rstrip("0") or ("0" if len(whole.lstrip("-")) < digits else "")
    return f"{whole}{'.' if decimals else ''}{decimals} {unit}".strip()
