"""A training run on each system, as values."""

from __future__ import annotations

from typing import Any

import attrs

from suanli.report import SCHEMA_VERSION, Report, Run


@attrs.frozen(kw_only=True)
class Neighbour:
    """The next number of accelerators one could build, and what is wrong with it.

    Attributes:
        accelerators: How many.
        duration_s: Of the run on them; None where it cannot run.
        cost: Of the run on them; None where it cannot run or no price is known.
        why: It is not the answer.
    """

    accelerators: int
    duration_s: float | None
    cost: float | None
    why: str


@attrs.frozen(kw_only=True)
class TrainingOption:
    """The run on one system.

    Attributes:
        accelerator: Id of the system's accelerator.
        system: Its id.
        meets: Whether the target is met.
        accelerators: How many; where the target is missed, those that come nearest.
        per_node: Accelerators of a node.
        report: The estimate on them; None where no number of them can run it.
        neighbour: The next smaller number, or for a budget the next larger one.
        reason: Why the target is missed.
        hint: What would be met.
    """

    accelerator: str
    system: str
    meets: bool
    accelerators: int | None = None
    per_node: int
    report: Report | None = None
    neighbour: Neighbour | None = None
    reason: str = ""
    hint: str = ""

    @property
    def run(self) -> Run | None:
        """Length, energy and cost of the run; None where it does not fit."""
        return self.report.run if self.report is not None and self.report.fits else None

    @property
    def duration_s(self) -> float | None:
        """Of the run, without restarts."""
        return self.run.duration_s if self.run is not None else None

    @property
    def duration_band_s(self) -> tuple[float, float] | None:
        """The 80 % interval of the duration; None where nobody measured."""
        known = self.report.basis.get("run.duration_s") if self.report is not None else None
        if known is None or not known.band or self.duration_s is None:
            return None
        return self.duration_s * known.band[0], self.duration_s * known.band[-1]

    @property
    def cost(self) -> float | None:
        """Of the run; None where no price is known."""
        return self.run.cost if self.run is not None else None

    @property
    def currency(self) -> str | None:
        """Of the cost."""
        return self.run.currency if self.run is not None and self.run.cost is not None else None

    def to_dict(self) -> dict[str, Any]:
        """The figures, with the whole scenario they are for, JSON-ready."""
        data: dict[str, Any] = {
            "accelerator": self.accelerator,
            "system": self.system,
            "meets": self.meets,
            "accelerators": self.accelerators,
            "nodes": self.accelerators / self.per_node if self.accelerators is not None else None,
            "reason": self.reason,
            "hint": self.hint,
            "neighbour": attrs.asdict(self.neighbour) if self.neighbour is not None else None,
        }
        if self.report is None:
            return data
        whole = self.report.to_dict()
        kept = ("layout", "memory", "time", "throughput", "run", "scenario", "origins", "basis", "problems")
        band = self.duration_band_s
        return data | {"duration_band_s": None if band is None else list(band)} | {k: whole[k] for k in kept}


@attrs.frozen(kw_only=True)
class TrainingPlan:
    """Accelerators for a training run, best first.

    Attributes:
        days: The run may take; None where only money is short.
        budget: The run may cost; None where only time is short.
        ranked_by: What ranks the options.
        options: One for each system.
    """

    days: float | None
    budget: float | None
    ranked_by: str
    options: tuple[TrainingOption, ...]

    @property
    def meets(self) -> bool:
        """Whether any system meets the target."""
        return any(o.meets for o in self.options)

    def to_dict(self) -> dict[str, Any]:
        """The plan, JSON-ready."""
        target = {"days": self.days, "budget": self.budget, "meets": self.meets, "ranked_by": self.ranked_by}
        return {
            "schema_version": SCHEMA_VERSION,
            "plan": "training",
            **target,
            "options": [o.to_dict() for o in self.options],
        }
