"""What fits, as values: one precision, and all of them."""

from __future__ import annotations

from typing import Any

import attrs

from suanli.report import SCHEMA_VERSION, MemoryParts, Report


@attrs.frozen(kw_only=True)
class PrecisionFit:
    """One precision.

    Attributes:
        recipe: Of precision.
        weights: The format weights are kept in.
        compute: The format products run in.
        fits: Whether it fits as asked.
        accelerators: How many were asked about.
        report: The estimate on them; None where it cannot be made.
        largest_context: Tokens of the longest sequence that fits alone; None where memory sets no limit.
        largest_batch: Serving: requests of that context that fit at a time; None where memory sets no limit.
        smallest: The smallest number of accelerators it fits on as asked; None where none was found.
        smallest_report: The estimate on those.
        reason: Why it does not fit, or cannot be estimated.
    """

    recipe: str
    weights: str
    compute: str
    fits: bool
    accelerators: int
    report: Report | None = None
    largest_context: int | None = 0
    largest_batch: int | None = 0
    smallest: int | None = None
    smallest_report: Report | None = None
    reason: str = ""

    @property
    def memory(self) -> MemoryParts | None:
        """Of the worst rank, on the accelerators asked about."""
        return self.report.memory.per_accelerator if self.report is not None else None

    @property
    def room_bytes(self) -> float | None:
        """What weights, workspace and reserve leave for the cache, or the whole job leaves; negative where short."""
        if self.report is None or self.memory is None or self.report.memory.capacity_bytes is None:
            return None
        return self.report.memory.capacity_bytes - self.memory.total_bytes + self.memory.kv_cache_bytes

    @property
    def where_it_fits(self) -> Report | None:
        """The estimate whose speed counts: as asked where that fits, else on the smallest number."""
        return self.report if self.fits else self.smallest_report

    def to_dict(self) -> dict[str, Any]:
        """The figures, with the scenario they are for, JSON-ready."""
        data = attrs.asdict(self, recurse=False, filter=lambda a, _: not a.name.endswith("report"))
        data["room_bytes"] = self.room_bytes
        for name in ("report", "smallest_report"):
            report: Report | None = getattr(self, name)
            if report is not None:
                whole = report.to_dict()
                kept = ("layout", "memory", "time", "throughput", "serving", "scenario", "basis", "problems")
                data[name] = {k: whole[k] for k in kept}
        return data


@attrs.frozen(kw_only=True)
class Fitting:
    """Which precisions fit.

    Attributes:
        model: Its name.
        kind: Of workload.
        system: Id of the system.
        accelerator: Id of its accelerator.
        accelerators: How many were asked about.
        context: Tokens of a sequence asked about: prompt and output together, or a training sequence.
        output: Serving: of which generated.
        batch: Serving: requests at a time; training: sequences of a step.
        model_context: Tokens the model was made for; None where it does not say.
        why: Where context and batch are from that were not given.
        options: One for each precision, the widest weights first.
    """

    model: str
    kind: str
    system: str
    accelerator: str
    accelerators: int
    context: int
    output: int | None
    batch: int
    model_context: int | None
    why: str
    options: tuple[PrecisionFit, ...]

    @property
    def meets(self) -> bool:
        """Whether any precision fits as asked."""
        return any(o.fits for o in self.options)

    def to_dict(self) -> dict[str, Any]:
        """The answer, JSON-ready."""
        data = attrs.asdict(self, recurse=False, filter=lambda a, _: a.name != "options")
        return {
            "schema_version": SCHEMA_VERSION,
            "plan": "fit",
            **data,
            "fits": self.meets,
            "options": [o.to_dict() for o in self.options],
        }
