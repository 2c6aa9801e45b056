"""Looks for the figures of confidential hardware in whatever suanli says, in any unit and rounding."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from suanli import units

ACCELERATOR: dict[str, tuple[float, str]] = {
    "memory": (96385274111, "bytes"),
    "memory_bandwidth": (5432198761234, "bytes/s"),
    "cores": (13579, "count"),
    "clock": (1765432198, "hz"),
    "l2_cache": (87654321, "bytes"),
    "power": (791.3157, "w"),
    "sustained_ratio": (0.7315937, "ratio"),
    "pcie_bandwidth": (61734567891, "bytes/s"),
}
PEAKS: dict[str, tuple[float, str]] = {
    "fp32": (71234987651234, "flop/s"),
    "bf16": (876543219876543, "flop/s"),
    "fp8": (1794613798246135, "flop/s"),
}
SYSTEM: dict[str, tuple[float, str]] = {
    "power_per_node": (9371.3577, "w"),
    "host_memory": (2217131517191, "bytes"),
}
TIERS: tuple[dict[str, tuple[float, str]], ...] = (
    {"bandwidth": (431975318642, "bytes/s"), "per_peer": (58937159806, "bytes/s"), "latency": (3.171393e-6, "s")},
    {"bandwidth": (53197531864, "bytes/s"), "latency": (7.319317e-6, "s")},
)
SECRETS = {
    **ACCELERATOR,
    **{f"peak.{k}": v for k, v in PEAKS.items()},
    **SYSTEM,
    **{f"tier {i} {k}": v for i, tier in enumerate(TIERS) for k, v in tier.items()},
}
"""Every figure by name, odd enough that no other number is like it, with its dimension."""


def catalog_file() -> str:
    """A catalog file that states them all, under a promise not to show them."""
    figures = "\n".join(f"{k} = {v!r}" for k, (v, _) in ACCELERATOR.items())
    peak = ", ".join(f"{k} = {v!r}" for k, (v, _) in PEAKS.items())
    tiers = "\n".join(
        f'[[system.tier]]\nname = "HushLink {i}"\ntopology = "{("full-mesh", "switch")[i]}"\n'
        + ("span = 8\n" if i == 0 else "")
        + "\n".join(f"{k} = {v!r}" for k, (v, _) in tier.items())
        for i, tier in enumerate(TIERS)
    )
    return f"""
[[accelerator]]
id = "hush-one"
vendor = "Hush"
product = "Hush One"
generation = "hush-1"
sparsity = "2:4"
confidence = "low"
confidential = true
default_system = "hush-box"
note = "measured: 876.54 TFLOP/s of 877, 98.8 GB"
source = {{ all = "Hush One preliminary datasheet" }}
{figures}
peak = {{ {peak}, int8 = "none" }}

[[system]]
id = "hush-box"
accelerator = "hush-one"
accelerators_per_node = 8
confidential = true
source = {{ all = "Hush One preliminary datasheet" }}
{chr(10).join(f"{k} = {v!r}" for k, (v, _) in SYSTEM.items())}
{tiers}
"""


NUMBER = re.compile(r"(?<![\w.])-?\d[\d,_]*(?:\.\d+)?(?:[eE][+-]?\d+)?")
KNOWN = (1.0, 2.0, 0.5, 4.0, 8.0, 1 / 8, 16.0, 1 / 16, 0.06, 0.94, 0.9, 0.1, 0.88, 1e-2, 1e2, 3600.0, 1 / 3600.0, 3.6e6)
"""What a figure may be multiplied by, as everybody knows: nodes, bits, shares kept free, percents, hours."""


def _multiples(*, short: bool) -> tuple[Any, list[str]]:
    """Every number that is a figure in another unit, sorted, and whose; few of them for numbers of few digits."""
    found = []
    for name, (value, dimension) in SECRETS.items():
        for thousands in range(-5, 6):
            for binary in range(5 if dimension.startswith("bytes") and not short else 1):
                for known in (1.0,) if short else KNOWN:
                    found.append((value * known * 1000.0**thousands / 1024.0**binary, name))
    found.sort()
    return np.array([f[0] for f in found]), [f[1] for f in found]


SHORT, LONG = _multiples(short=True), _multiples(short=False)
# A short count has no unit that would tell it from any other number; all of its digits are looked for below.
SAID = {
    units.format(value, dimension, digits, binary=binary and dimension.startswith("bytes")): name
    for name, (value, dimension) in SECRETS.items()
    if dimension != "count"
    for digits in (3, 4, 5)
    for binary in (False, True)
}
"""Every figure as people write it."""


def shown(text: str) -> Iterator[str]:
    """Every way a text shows a figure: to a person with its unit, or as digits in any unit."""
    for said, name in SAID.items():
        if said in text and re.search(rf"(?<![\d.]){re.escape(said)}(?![\d.])", text):
            yield f"{name} as {said}"
    for written in dict.fromkeys(NUMBER.findall(text)):
        digits = re.sub(r"[eE].*|[^\d]", "", written).lstrip("0")
        if len(digits.rstrip("0")) < 5:  # shorter ones are everywhere; with their unit they are found above
            continue
        number = abs(float(re.sub(r"[,_]", "", written)))
        values, names = SHORT if len(digits) < 6 else LONG
        near = 0.5 * 10.0 ** (1 - min(len(digits), 10)) * number
        for i in range(*np.searchsorted(values, (number - near, number + near))):
            yield f"{names[i]} as {written}"


def numbers(data: Any) -> Iterator[float]:
    """Every number in plain data, and in the texts in it."""
    if isinstance(data, dict):
        for value in data.values():
            yield from numbers(value)
    elif isinstance(data, (list, tuple)):
        for value in data:
            yield from numbers(value)
    elif isinstance(data, (int, float)) and not isinstance(data, bool):
        yield float(data)


def one_step_away(found: Iterable[float]) -> Iterator[str]:
    """The figures that the sum, difference, product or quotient of two numbers gives."""
    given = np.unique([abs(x) for x in found if x and math.isfinite(x) and 1e-30 < abs(x) < 1e30])
    left, right = given[:, None], given[None, :]
    made = {"sum": left + right, "difference": left - right, "product": left * right, "quotient": left / right}
    for name, (value, _) in SECRETS.items():
        for way, results in made.items():
            for known in KNOWN:
                wanted = value * known
                for i, j in np.argwhere(np.abs(results - wanted) <= 1e-9 * wanted)[:1]:
                    yield f"{name} times {known:g} is the {way} of {float(given[i])!r} and {float(given[j])!r}"
