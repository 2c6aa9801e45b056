"""A service on each system, as values."""

from __future__ import annotations

from typing import Any

import attrs

from suanli.planning.demand import Demand, Slo
from suanli.planning.running import Keep
from suanli.report import SCHEMA_VERSION, Report, Serving


@attrs.frozen(kw_only=True)
class ServingOption:
    """The service on one system.

    Attributes:
        accelerator: Id of the system's accelerator.
        system: Its id.
        per_node: Accelerators of a node.
        meets: Whether an engine on it meets the latency targets at all.
        engine_accelerators: Of one engine.
        concurrency: Requests one engine answers at a time.
        exact_engines: How many it takes, a fraction left as it is.
        engines: Rounded up.
        accelerators: Of all engines, rounded up to whole nodes (within one node, to a divisor of it).
        report: The estimate of one engine at that concurrency; where the targets are missed, the nearest one.
        keep: Power and cost.
        full_tokens_per_s: Output of all engines, every one at its concurrency.
        mean_tokens_per_s: Output asked for on average; None where the demand does not say.
        reason: Why the target is missed.
        hint: What would be met.
    """

    accelerator: str
    system: str
    per_node: int
    meets: bool
    engine_accelerators: int | None = None
    concurrency: int | None = None
    exact_engines: float | None = None
    engines: int | None = None
    accelerators: int | None = None
    report: Report | None = None
    keep: Keep | None = None
    full_tokens_per_s: float | None = None
    mean_tokens_per_s: float | None = None
    reason: str = ""
    hint: str = ""

    @property
    def serving(self) -> Serving | None:
        """What a client of one engine sees."""
        return self.report.serving if self.report is not None else None

    @property
    def cost_per_million_tokens(self) -> float | None:
        """Of output, every engine busy: one engine's, with what rounding adds; None where no price is known."""
        one = self.serving.cost_per_million_output_tokens if self.serving is not None else None
        if one is None or not self.accelerators or not self.engines or not self.engine_accelerators:
            return None
        return one * self.accelerators / (self.engines * self.engine_accelerators)

    @property
    def mean_cost_per_million_tokens(self) -> float | None:
        """Of output at the average demand: what is kept for the peak is paid for too."""
        busy = self.cost_per_million_tokens
        if busy is None or not self.full_tokens_per_s or not self.mean_tokens_per_s:
            return None
        return busy * self.full_tokens_per_s / self.mean_tokens_per_s

    def to_dict(self) -> dict[str, Any]:
        """The figures, with the whole scenario of one engine, JSON-ready."""
        data = attrs.asdict(self, recurse=False, filter=lambda a, _: a.name not in ("report", "keep"))
        data["nodes"] = self.accelerators / self.per_node if self.accelerators is not None else None
        data["cost_per_million_tokens"] = self.cost_per_million_tokens
        data["mean_cost_per_million_tokens"] = self.mean_cost_per_million_tokens
        if self.keep is not None:
            data |= self.keep.to_dict()
        if self.report is not None:
            whole = self.report.to_dict()
            kept = ("layout", "memory", "time", "throughput", "serving", "scenario", "origins", "basis", "problems")
            data["engine"] = {k: whole[k] for k in kept}
        return data


@attrs.frozen(kw_only=True)
class ServingPlan:
    """Accelerators for a service, best first.

    Attributes:
        demand: What is asked for.
        slo: The latency targets.
        ranked_by: What ranks the options.
        options: One for each system.
    """

    demand: Demand
    slo: Slo
    ranked_by: str
    options: tuple[ServingOption, ...]

    @property
    def meets(self) -> bool:
        """Whether any system meets the targets."""
        return any(o.meets for o in self.options)

    def to_dict(self) -> dict[str, Any]:
        """The plan, JSON-ready."""
        about = {
            "schema_version": SCHEMA_VERSION,
            "plan": "serving",
            "demand": self.demand.to_dict(),
            "slo": attrs.asdict(self.slo),
        }
        rest = {"meets": self.meets, "ranked_by": self.ranked_by, "options": [o.to_dict() for o in self.options]}
        return about | rest
