"""Estimates of one scenario on more and more accelerators of one system, each made once."""

from __future__ import annotations

import attrs

from suanli.errors import InvalidInputError
from suanli.hardware import Accelerator
from suanli.planning.asked import Candidate, Question
from suanli.report import Report, Run

SLACK = 2.0
"""How much worse an awkward number of accelerators may divide a model than a larger one."""

GAIN = 4.0
"""How much faster an accelerator may work among more of them: memory for larger batches, no recompute."""


def fewest_that_could_fit(report: Report, accelerators: int, device: Accelerator) -> float:
    """Fewer than these cannot fit what so many do not: dividing more saves no more than in proportion."""
    if report.memory.fits:
        return 1.0
    parts = report.memory.per_accelerator
    reserve = parts.reserve_bytes or 0.0
    need, room = parts.total_bytes - reserve, device.capacity_bytes - reserve
    return accelerators * need / max(room, 1.0) / SLACK


@attrs.define(eq=False)
class Trials:
    """The estimates on one system, each made once.

    Attributes:
        question: What is estimated.
        candidate: The system.
        limit_s: How long the run may take; None for any time.
        found: The report for each number of accelerators tried; None where no layout of them is legal.
        errors: Why not.
        least: Fewer accelerators than these are not worth an estimate.
    """

    question: Question
    candidate: Candidate
    limit_s: float | None = None
    found: dict[int, Report | None] = attrs.Factory(dict)
    errors: dict[int, tuple[str, ...]] = attrs.Factory(dict)
    least: float = 1.0

    def in_time(self, accelerators: int) -> bool:
        """Whether so many can run it in time; told without an estimate where what was tried leaves no doubt."""
        if accelerators < self.least:
            return False
        report, run, device = self.at(accelerators), self.runs(accelerators), self.candidate.system.device
        if report is not None and device is not None:
            self.least = max(self.least, fewest_that_could_fit(report, accelerators, device))
        if run is None or self.limit_s is None or run.duration_s is None:
            return run is not None and self.limit_s is None
        self.least = max(self.least, accelerators * run.duration_s / self.limit_s / GAIN)
        return run.duration_s <= self.limit_s

    def at(self, accelerators: int) -> Report | None:
        """The estimate on so many; None where no layout of them is legal."""
        if accelerators not in self.found:
            try:
                self.found[accelerators] = self.question.report(self.candidate, accelerators)
            except InvalidInputError as exc:
                self.found[accelerators], self.errors[accelerators] = None, exc.errors
        return self.found[accelerators]

    def runs(self, accelerators: int) -> Run | None:
        """The run on so many; None where they cannot run it."""
        report = self.at(accelerators)
        return report.run if report is not None and report.fits else None

    def able(self) -> dict[int, Run]:
        """Every number tried that can run it."""
        return {n: run for n in sorted(self.found) if (run := self.runs(n)) is not None}

    @property
    def whatever(self) -> tuple[str, ...]:
        """Why no number has a legal layout: what is wrong with every one, else with a whole node."""
        every = [set(e) for e in self.errors.values()]
        common = set.intersection(*every) if every else set()
        whole = self.errors.get(self.candidate.per_node, ())
        return tuple(e for e in whole if e in common) or whole
