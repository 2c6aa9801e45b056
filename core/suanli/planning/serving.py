"""From traffic to the accelerators that serve it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from suanli.errors import InvalidInputError, ScenarioError
from suanli.formulas import formula
from suanli.hardware import System
from suanli.numeric import ceil
from suanli.planning import counts
from suanli.planning.asked import Candidate, Question, question
from suanli.planning.demand import Demand, Slo, demand_of, slo_of
from suanli.planning.running import Keep, power_w, ranked
from suanli.planning.services import ServingOption, ServingPlan
from suanli.report import Report

if TYPE_CHECKING:
    from suanli.workspace import Workspace

KINDS = ("serve",)
REFUSED = dict.fromkeys(
    ("system.accelerators", "workload.batch", "workload.concurrency", "layout.replicas"),
    "is what the plan finds; leave it out",
)
MOST_ENGINE = 512
"""Accelerators of one engine, at most."""


@formula(unit="engines", source="definition: the last engine is built whole")
def engines_for(*, demand: float, engine: float) -> float:
    """Engines that together do what is asked for."""
    return float(ceil(demand / engine))


def plan_serving(
    workspace: Workspace,
    asked: Any,
    *,
    users: float | str | None = None,
    rate: float | str | None = None,
    traffic: Mapping[str, Any] | None = None,
    tokens_per_s: float | str | None = None,
    peak_factor: float | str | None = None,
    slo: Mapping[str, Any] | None = None,
    on: str | Iterable[str] = (),
    progress: Callable[[str], None] | None = None,
) -> ServingPlan:
    """The accelerators that serve a demand within latency targets, on each of several systems.

    Args:
        workspace: Whose catalog and estimator are asked.
        asked: A model, or a scenario that leaves its system open.
        users: There at a time, on average: each with a request in flight, or reading `tokens_per_s`.
        rate: Requests in a second, on average.
        traffic: ``visits_per_month`` and ``minutes_per_visit``; with ``tokens_per_s`` and ``peak_factor`` if known.
        tokens_per_s: That each user reads.
        peak_factor: Highest demand over the mean; 1 by default.
        slo: ``ttft`` and ``tpot``, such as ``"500 ms"``: held against the mean.
        on: Systems or accelerators; that of the scenario by default, else the default system of every accelerator.
        progress: Told what is tried.

    Raises:
        ScenarioError: Naming every bad argument and field. A target nobody meets is an answer: see ``meets``.
    """
    faults: list[str] = []
    demand = demand_of(users, rate, traffic, tokens_per_s, peak_factor, faults)
    target = slo_of(slo, demand, faults)
    found = question(workspace, asked, on, kinds=KINDS, faults=faults, refused=REFUSED, progress=progress)
    assert demand is not None  # else there was a fault
    options = []
    errors: list[str] = []
    for candidate in found.candidates:
        why = found.unable.get(candidate.system.id)
        if why is None:
            try:
                options.append(_Engines(found, candidate, demand, target).best())
                continue
            except ScenarioError as exc:
                errors += exc.errors
                why = "; ".join(exc.errors)
        about: dict[str, Any] = {"accelerator": candidate.accelerator, "system": candidate.system.id}
        options.append(ServingOption(**about, per_node=candidate.per_node, meets=False, reason=why))
    if errors and all(o.report is None for o in options):
        raise ScenarioError(list(dict.fromkeys(errors)))
    best, rank = ranked(
        options,
        meets=lambda o: o.meets,
        cost=lambda o: (o.keep.cost_per_hour, o.keep.currency) if o.keep is not None else (None, None),
        count=lambda o: float(o.accelerators or 0),
        miss=lambda o: (o.serving.tpot_s or math.inf) if o.serving is not None else math.inf,
    )
    return ServingPlan(demand=demand, slo=target, ranked_by=rank, options=best)


@attrs.define(eq=False)
class _Engines:
    """Engines of every size on one system, each at the most requests that meet the targets."""

    question: Question
    candidate: Candidate
    demand: Demand
    slo: Slo
    found: dict[tuple[int, int], Report] = attrs.Factory(dict)
    errors: list[str] = attrs.Factory(list)

    def best(self) -> ServingOption:
        """The engine of which the fewest accelerators meet the demand; where none does, the nearest.

        Raises:
            ScenarioError: Where no size has a legal layout.
        """
        good: list[ServingOption] = []
        for size in counts.ladder(self.candidate.per_node, self.candidate.system.reach, MOST_ENGINE):
            if good and size > self.candidate.per_node:
                break  # an engine over several nodes is for what does not fit in one
            most = self._most(size)
            if most:
                good.append(self._option(size, most))
        if good:
            return min(good, key=lambda o: (o.accelerators or 0, o.serving.tpot_s if o.serving is not None else 0.0))
        if not self.found:
            raise ScenarioError(list(dict.fromkeys(self.errors)))
        return self._nearest()

    def _at(self, size: int, requests: int) -> Report | None:
        """One engine on so many accelerators with so many requests; None where no layout of them is legal."""
        if (size, requests) not in self.found:
            changes = {"workload.concurrency": requests, "layout.replicas": 1}
            try:
                self.found[size, requests] = self.question.report(self.candidate, size, changes)
            except InvalidInputError as exc:
                self.errors += exc.errors
                return None
        return self.found[size, requests]

    def _meets(self, size: int, requests: int) -> bool:
        report = self._at(size, requests)
        if report is None or not report.fits or report.serving is None:
            return False
        room = report.serving.max_concurrency
        return (room is None or requests <= room) and not self.slo.missed(report.serving)

    def _most(self, size: int) -> int:
        """The most requests at a time that meet the targets; 0 where not even one does."""
        if not self._meets(size, 1):
            return 0
        one = self._at(size, 1)
        least = one.serving if one is not None else None
        most = max(1, int((least.max_concurrency if least is not None else None) or 1))
        if self._meets(size, most):
            return most
        full = self._at(size, most)
        guess = self.slo.between(least, full.serving if full is not None else None) * most
        return counts.largest(lambda n: self._meets(size, n), 1, most, int(guess))

    def _option(self, size: int, requests: int) -> ServingOption:
        report = self._at(size, requests)
        assert report is not None
        assert report.serving is not None
        each = self.demand.of(report.serving, requests)
        exact = self.demand.peak / each
        engines = int(engines_for(demand=self.demand.peak, engine=each))
        total = counts.at_least(engines * size, self.candidate.per_node)
        tokens = (report.serving.output_tokens_per_s or 0.0) * engines
        mean = self.demand.mean_tokens_per_s(report.scenario["workload"]["output"])
        return ServingOption(
            accelerator=self.candidate.accelerator,
            system=self.candidate.system.id,
            per_node=self.candidate.per_node,
            meets=True,
            engine_accelerators=size,
            concurrency=requests,
            exact_engines=exact,
            engines=engines,
            accelerators=total,
            report=report,
            keep=_kept(self.candidate.system, size, total, report),
            full_tokens_per_s=tokens,
            mean_tokens_per_s=mean,
        )

    def _nearest(self) -> ServingOption:
        """One request on the size that comes nearest, and what it misses."""
        ones = {size: r for (size, requests), r in self.found.items() if requests == 1}
        fitting = {size: r for size, r in ones.items() if r.fits and r.serving is not None}
        about: dict[str, Any] = {"accelerator": self.candidate.accelerator, "system": self.candidate.system.id}
        about |= {"per_node": self.candidate.per_node, "meets": False}
        if not fitting:
            size = min(ones, key=lambda s: ones[s].memory.per_accelerator.total_bytes)
            reason = f"one engine does not fit on {max(ones)} accelerator{'' if max(ones) == 1 else 's'}"
            return ServingOption(**about, engine_accelerators=size, report=ones[size], reason=reason)
        size = min(fitting, key=lambda s: self.slo.excess(fitting[s].serving))
        missed = self.slo.missed(fitting[size].serving)
        reason = f"one request at a time on {size}: {'; '.join(m.said for m in missed)}"
        hint = f"allow {', '.join(m.allow for m in missed)}"
        return ServingOption(
            **about, engine_accelerators=size, concurrency=1, report=fitting[size], reason=reason, hint=hint
        )


def _kept(system: System, size: int, total: int, report: Report) -> Keep:
    """What all accelerators take, from what the estimate says one engine takes."""
    power, of = power_w(system, total)
    one = report.serving.cost_per_hour if report.serving is not None else None
    origin = report.origins.get("assumptions.price_per_hour")
    return Keep(
        power_w=power,
        power_of=of,
        price_per_hour=report.scenario["assumptions"].get("price_per_hour"),
        price_source="" if origin is None else origin.why or origin.origin,
        cost_per_hour=None if one is None else one * total / size,
        currency=None if one is None or report.serving is None else report.serving.currency,
    )
