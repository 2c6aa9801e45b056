"""What the judge compares: trials made of published rows, and the reasons other rows are not."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from suanli.workspace import Workspace

Tables = dict[str, Any]
Values = dict[str, float]
STEP, MEMORY = "step time", "training memory"
TTFT, TPOT, RATE = "TTFT", "TPOT", "serving throughput"
LATENCY, CACHE, SERVED = "request latency", "KV-cache tokens", "serving memory"
FIGURES = (STEP, MEMORY, TTFT, TPOT, LATENCY, RATE, CACHE, SERVED)

# The system a published accelerator name stands for: the maker's own node with it.
SYSTEMS = {
    "a10": "a10-8-pcie",
    "a100": "dgx-a100",
    "a100-80gb": "dgx-a100",
    "a100-80gb-sxm": "dgx-a100",
    "a100-sxm4-80gb": "dgx-a100",
    "a100-40gb": "dgx-a100-40",
    "a100-sxm4-40gb": "dgx-a100-40",
    "a100-80gb-pcie": "a100-pcie-8",
    "h100-80gb": "dgx-h100",
    "h100-80gb-sxm": "dgx-h100",
    "h100-80gb-(79.22-gib-visible)": "dgx-h100",
    "h100-sxm5-80gb": "dgx-h100",
    "h100-sxm": "dgx-h100",
    "h100-80gb-pcie": "h100-pcie-8",
    "h200-141gb-sxm": "dgx-h200",
    "h200-sxm-141gb": "dgx-h200",
    "h200-sxm": "dgx-h200",
    "b200-sxm": "dgx-b200",
    "b200-180gb": "dgx-b200",
    "l40s-48gb": "l40s-8-pcie",
    "ascend-910b": "atlas-800t-a2",
    "ascend-910b-64gb": "atlas-800t-a2",
    "ascend-910b2-64gb": "atlas-800t-a2",
}
# Bytes a job needs do not depend on the part; only these are judged on another part than the row's.
SAME_MEMORY = {"h100-sxm-96gb-hbm2e-500w": "dgx-h100"}


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
        filled: Serving: whether the batch is what the cache holds, at most `requests`.
        requests: Serving: requests sent at once; None where as many as can be.
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
    requests: int | None = None

    def on(self, **changes: Any) -> Trial:
        """This trial with some of it changed."""
        return replace(self, **changes)

    @property
    def half(self) -> Literal["set", "check"]:
        """Bands are set on one half of the rows and checked on the other, by a hash of what was run."""
        run = re.sub(r"[-_](mem|mfu|tps|hfu)$", "", self.row)
        return "check" if hashlib.sha256(run.encode()).digest()[0] % 2 else "set"


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


def system_of(name: str, *, memory: bool = False) -> str:
    """The system a published accelerator name stands for."""
    key = re.sub(r"^nvidia[ -]", "", name.strip().lower()).replace(" ", "-")
    key = re.sub(r"-\(atlas-(900-a2-pod.*|800t-a2|800)\)$", "", key).replace("_", "-")
    found = SYSTEMS.get(key) or (SAME_MEMORY.get(key) if memory else None)
    if found is None:
        raise UnfitError(f"accelerator not in the catalogs: {name}")
    return found


def part_of(system: str, workspace: Workspace) -> str:
    """The accelerator of a system."""
    device = workspace.system(system).device
    return device.id if device is not None else system


def whole(row: Mapping[str, str], key: str) -> int | None:
    """A whole number, None where the cell is blank."""
    return int(float(row[key])) if row[key] else None


def needed(row: Mapping[str, str], key: str) -> int:
    """A whole number the row must state."""
    found = whole(row, key)
    if found is None:
        raise UnfitError(f"not stated: {key}")
    return found
