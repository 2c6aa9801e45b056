"""What the judge compares: trials made of published rows, and the reasons other rows are not."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from suanli import Accelerator
from suanli.workspace import Workspace

Tables = dict[str, Any]
Values = dict[str, float]
STEP, MEMORY = "step time", "training memory"
TTFT, TPOT, RATE = "TTFT", "TPOT", "serving throughput"
LATENCY, CACHE, SERVED = "request latency", "KV-cache tokens", "serving memory"
FIGURES = (STEP, MEMORY, TTFT, TPOT, LATENCY, RATE, CACHE, SERVED)

# What a published name says besides the part: where it stood, or what of its memory the driver shows.
BESIDES = re.compile(r"\((?:atlas|[\d.]+ gib visible)[^)]*\)")
VENDORS = re.compile(r"^(?:nvidia|huawei)[ -]")
# Bytes a job needs do not depend on the part; only these are judged on another part than the row's.
SAME_MEMORY = {"h100-sxm-96gb-hbm2e-500w": "h100-sxm5-80"}


class UnfitError(Exception):
    """Why a row is not judged; the message is what such rows are counted under."""


@dataclass(frozen=True)
class Trial:
    """One published measurement and the scenario that should predict it.

    Attributes:
        row: Its id.
        source: Whose it is.
        part: The accelerator as catalogued here.
        figure: One of ``FIGURES``.
        measured: Its value in SI units.
        scenario: What is asked of suanli.
        predict: The figure, from the values a report has.
        open: What the row does not state and suanli chose.
        filled: Serving: whether there are always more requests than the cache holds.
    """

    row: str
    source: str
    part: str
    figure: str
    measured: float
    scenario: Tables
    predict: Callable[[Values], float]
    open: tuple[str, ...] = ()
    filled: bool = False

    def on(self, **changes: Any) -> Trial:
        """This trial with some of it changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Verdict:
    """A trial and what suanli said."""

    trial: Trial
    predicted: float

    @property
    def ratio(self) -> float:
        """Measured over predicted."""
        return self.trial.measured / self.predicted


def read(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a CSV file, cells stripped."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {k: (v or "").strip() for k, v in row.items()}


def part_of(published: str, workspace: Workspace, *, memory: bool = False) -> str:
    """The catalogued accelerator a published name stands for, which the catalog's own names and aliases decide.

    The words of a published name may stand in any order, and may add the memory and the architecture the part has.
    Any other word (``Ti``, ``330W``, ``HBM2e``) makes it another part.

    Raises:
        UnfitError: Where no accelerator in the catalogs is the one named.
    """
    told = BESIDES.sub("", VENDORS.sub("", published.strip().lower()))
    words = _words(told)
    if memory and "-".join(words) in SAME_MEMORY:
        return SAME_MEMORY["-".join(words)]
    best: str | None = None
    fewest = len(words) + 1
    for entry in workspace.catalog().entries("accelerator"):
        device = entry.value
        beside = {*_words(device.architecture or ""), *_capacities(device)}
        for name in (device.id, *device.aliases):
            left = set(words) - set(_words(name))
            if set(_words(name)) <= set(words) and left <= beside and len(left) < fewest:
                best, fewest = device.id, len(left)
    if best is None:
        raise UnfitError(f"accelerator not in the catalogs: {published}")
    return best


def _words(text: str) -> list[str]:
    return [w for w in re.split(r"[^a-z0-9.]+", text.lower()) if w]


def _capacities(device: Accelerator) -> set[str]:
    """How a part's memory is written: its nominal figure in GB or in GiB."""
    return {f"{round(device.memory_bytes / unit)}gb" for unit in (10**9, 2**30)}


def whole(row: Mapping[str, str], key: str) -> int | None:
    """A whole number, None where the cell is blank."""
    return int(float(row[key])) if row[key] else None


def needed(row: Mapping[str, str], key: str) -> int:
    """A whole number the row must state."""
    found = whole(row, key)
    if found is None:
        raise UnfitError(f"not stated: {key}")
    return found
