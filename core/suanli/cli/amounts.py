"""Numbers as people read them: each with the unit its name says it has."""

from __future__ import annotations

from typing import Any

from suanli import units
from suanli.errors import SuanliError

EACH = "_per_accelerator"
MEASURES: tuple[tuple[str, str, str], ...] = (
    # the end of a name, the dimension suanli.units knows it by, and how a table of values names the unit
    ("flops_per_s", "flop/s", "FLOP/s"),
    ("bytes_per_s", "bytes/s", "B/s"),
    ("tokens_per_s", "count", "tokens/s"),
    ("samples_per_s", "count", "samples/s"),
    ("requests_per_s", "count", "requests/s"),
    ("gb_s", "count", "GB/s"),
    ("accelerator_hours", "count", "h"),
    ("flops", "flop", "FLOP"),
    ("bytes", "bytes", "B"),
    ("ratio", "ratio", ""),
    ("_w", "w", "W"),
    ("_j", "j", "J"),
    ("_hz", "hz", "Hz"),
    ("_s", "s", "s"),
)
SPOKEN = {"GB/s", "tokens/s", "samples/s", "requests/s", "h"}


def measure_of(name: str) -> tuple[str, str]:
    """The dimension and the unit of the figure or formula input of a name; a bare count has no unit."""
    plain = name.removesuffix(EACH).rpartition(".")[2]
    for end, dimension, unit in MEASURES:
        if plain == end.lstrip("_") or plain.endswith(end if end.startswith("_") else f"_{end}"):
            return dimension, unit
    return "count", ""


def is_money(name: str) -> bool:
    """Whether the figure or formula input of a name is an amount of money."""
    return not {"cost", "price"}.isdisjoint(name.rpartition(".")[2].split("_"))


def amount(name: str, value: Any, unit: str = "") -> str:
    """A figure for people.

    Args:
        name: Its key, whose end tells the unit.
        value: The figure.
        unit: The unit, as formulas state theirs, where the name does not tell it.
    """
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if unit == "currency" or (not unit and is_money(name)):
        return units.format(value, "currency")
    if name.endswith("memory_bytes") and not value % units.GIB:
        return f"{value // units.GIB:,.0f} GiB"  # as labels mean it: an "80 GB" part has 80 GiB
    dimension, spoken = measure_of(unit or name)
    try:
        text = units.format(value, dimension)
    except SuanliError:
        return str(value)
    if spoken in SPOKEN:
        return f"{text} {spoken}"
    return f"{text} {unit}" if unit and dimension == "count" else text


def rate(precision: str, flops_per_s: float) -> str:
    """A peak rate for people: integers count operations; 0 is a path the hardware lacks."""
    text = amount("_flops_per_s", flops_per_s)
    return "none" if flops_per_s == 0.0 else text.replace("FLOP", "OP") if precision.startswith("int") else text


def share(part: float, whole: float) -> str:
    """A part of a whole, in percent with one decimal."""
    if not whole:
        return "—"
    percent = 100.0 * part / whole
    return "< 0.1 %" if 0.0 < percent < 0.05 else f"{percent:.1f} %"
