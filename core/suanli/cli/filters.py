"""Which rows of a listing to show, and in what order: conditions on any column, in any unit."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import attrs

from suanli import units
from suanli.cli.amounts import is_money, measure_of
from suanli.cli.blocks import Rows
from suanli.errors import InvalidInputError, near, show

_CONDITION = re.compile(r"([^<>=!~]+?)\s*(>=|<=|!=|==|=|>|<|~)\s*(.*)", re.DOTALL)
_ORDERS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
}
_TRUTHS = {"yes": True, "true": True, "no": False, "false": False}
_SPELT = {"bytes": "GB", "bytes/s": "GB/s", "flop/s": "TFLOP/s"}
"""Dimensions nobody means in base units, and what is meant instead."""

NOTHING = "none"
"""What stands for a figure nobody states, or a path the hardware lacks."""


@attrs.frozen(kw_only=True)
class Condition:
    """A test of one column.

    Attributes:
        key: Of the rows.
        sign: ``>= <= > < = !=``, or ``~`` for texts that contain another.
        value: To compare with: a number in the unit of the key, a truth, a text, or ``"none"``.
    """

    key: str
    sign: str
    value: Any

    def holds(self, row: Mapping[str, Any], endless: Collection[str] = ()) -> bool:
        """Whether it is so in a row; what nobody states passes no test but ``= none`` and ``!=``.

        Args:
            row: Of a listing.
            endless: Keys whose None is no limit.
        """
        given = row.get(self.key)
        if given is None and self.key in endless and not row.get("confidential"):
            given = math.inf
        if self.value == NOTHING and self.sign in ("=", "!="):
            return (not given) == (self.sign == "=")
        if given is None:
            return self.sign == "!=" and not row.get("confidential")
        if self.sign in _ORDERS:
            return _ORDERS[self.sign](given, self.value)
        return self._same(given) != (self.sign == "!=")

    def _same(self, given: Any) -> bool:
        if isinstance(given, (list, tuple)):
            return any(self._same(g) for g in given)
        if isinstance(given, str):
            own, other = given.lower(), str(self.value).lower()
            return other in own if self.sign == "~" else own == other
        if isinstance(given, bool) or isinstance(self.value, bool):
            return given is self.value
        dimension = _dimension(self.key)  # numbers are the same where a reader sees no difference
        return given == self.value or units.format(given, dimension) == units.format(self.value, dimension)


def _dimension(key: str) -> str:
    return "currency" if is_money(key) else measure_of(key)[0]


def names_of_keys(rows: Rows, headings: Mapping[str, str]) -> dict[str, str]:
    """The key each name a person may type stands for: the key, the key without its unit, the heading of its column.

    Args:
        rows: Of a listing.
        headings: The key under each heading of its table.
    """
    known: dict[str, str] = {}
    keys = list(dict.fromkeys(k for row in rows for k in row))
    for key in keys:
        known.setdefault(_plain(key), key)
    for heading, key in headings.items():
        known.setdefault(_plain(heading), key)
    for key in keys:
        known.setdefault(short(key), key)
    return known


_SUFFIX = re.compile(r"_(flops_per_s|bytes_per_s|bytes|per_hour|w|hz|s)$")


def short(key: str) -> str:
    """A key without its unit."""
    return _SUFFIX.sub("", key)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


class Filter:
    """Conditions and an order, read against the columns there are.

    Args:
        rows: Of a listing, before any is left out.
        headings: The key under each heading of its table.
    """

    def __init__(self, rows: Rows, headings: Mapping[str, str]) -> None:
        self._rows = rows
        self._names = names_of_keys(rows, headings)
        self._faults: list[str] = []
        self.conditions: list[Condition] = []
        self.order: list[tuple[str, bool]] = []

    def where(self, texts: Iterable[str]) -> None:
        """Add conditions such as ``"memory>=80 GB"``."""
        for text in texts:
            parts = _CONDITION.fullmatch(text.strip())
            if parts is None:
                self._faults.append(
                    f"--where {show(text)}: expected KEY>=VALUE, also with <= > < = != and ~ (contains)"
                )
                continue
            self._add(f"--where {text}", parts[1], "=" if parts[2] == "==" else parts[2], parts[3].strip())

    def bound(self, option: str, sign: str, texts: Iterable[str]) -> None:
        """Add bounds such as ``"memory=80GB"``."""
        for text in texts:
            name, equals, value = text.partition("=")
            if not equals:
                self._faults.append(f"{option} {show(text)}: expected KEY=VALUE, such as memory=80GB")
            else:
                self._add(f"{option} {text}", name, sign, value.strip())

    def sort(self, texts: Iterable[str]) -> None:
        """Add keys to sort by, each with ``-`` before it for the largest first."""
        for name in (part for text in texts for part in text.split(",")):
            key = self._key(f"--sort {name.strip()}", name.strip().removeprefix("-"))
            if key is not None:
                self.order.append((key, name.strip().startswith("-")))

    def check(self) -> None:
        """Raise InvalidInputError naming every fault found so far."""
        if self._faults:
            raise InvalidInputError(self._faults)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys asked about."""
        return tuple(dict.fromkeys([*(c.key for c in self.conditions), *(k for k, _ in self.order)]))

    def apply(self, rows: Rows, endless: Collection[str] = ()) -> Rows:
        """The rows every condition holds for, in order; what nobody states comes last."""
        found = [row for row in rows if all(c.holds(row, endless) for c in self.conditions)]
        for key, descending in reversed(self.order):
            stated = [r for r in found if r.get(key) is not None]
            rest = [r for r in found if r.get(key) is None]
            found = sorted(stated, key=lambda r: _sortable(r[key]), reverse=descending)
            found = rest + found if descending and key in endless else found + rest
        return found

    def _add(self, option: str, name: str, sign: str, value: str) -> None:
        key = self._key(option, name)
        if key is None:
            return
        try:
            self.conditions.append(Condition(key=key, sign=sign, value=self._value(key, sign, value)))
        except ValueError as exc:
            self._faults.append(f"{option}: {exc}")

    def _key(self, option: str, name: str) -> str | None:
        key = self._names.get(_plain(name))
        if key is None:
            close = near(_plain(name), self._names)
            known = dict.fromkeys(short(k) for k in self._names.values())
            meant = f"did you mean {' or '.join(map(repr, close))}?" if close else f"known: {', '.join(known)}"
            self._faults.append(f"{option}: no column {show(name.strip())}; {meant}")
        return key

    def _value(self, key: str, sign: str, text: str) -> Any:
        if not text:
            raise ValueError("expected a value after the sign")
        if text.lower() == NOTHING and sign in ("=", "!="):
            return NOTHING
        kinds: Sequence[Any] = [r[key] for r in self._rows if r.get(key) is not None]
        first = kinds[0] if kinds else None
        if isinstance(first, bool):
            if text.lower() not in _TRUTHS or sign not in ("=", "!="):
                raise ValueError(f"{short(key)} is yes or no; compare it by = or !=")
            return _TRUTHS[text.lower()]
        if isinstance(first, (int, float)):
            if sign == "~":
                raise ValueError(f"{short(key)} is a number; compare it by >= <= > < = or !=")
            dimension = _dimension(key)
            if dimension in _SPELT and re.fullmatch(r"[0-9.,_]+", text):
                raise ValueError(f"{text} of what? write the unit, such as {text} {_SPELT[dimension]}")
            return units.parse(text, dimension)
        if sign in _ORDERS and first is not None:
            raise ValueError(f"{short(key)} is a text; compare it by = or != or ~ (contains)")
        return text


def _sortable(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
