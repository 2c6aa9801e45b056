"""How much is asked of a service, and how fast it must answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from suanli import units
from suanli.errors import near, show
from suanli.formulas import formula
from suanli.planning.asked import HOURS_PER_MONTH, quantity
from suanli.report import Serving

TRAFFIC = ("visits_per_month", "minutes_per_visit", "tokens_per_s", "peak_factor")
TARGETS = ("ttft", "tpot")
MINUTES_PER_HOUR = 60.0

USUAL_TPOT_S = 0.1
"""Between tokens where nothing else is asked: 10 tokens/s, about 450 words a minute, which is faster than a typical
person reads (Agarwal et al. 2023, LLM inference performance engineering: best practices, Databricks)."""


@formula(unit="users", source="Little 1961: L = lambda W, visits spread over a month of 30 days")
def concurrent_users(*, visits_per_month: float, minutes_per_visit: float) -> float:
    """Visitors there at a time, on average."""
    return visits_per_month * minutes_per_visit / (HOURS_PER_MONTH * MINUTES_PER_HOUR)


@formula(unit="tokens_per_s", source="definition: every user there reads at that rate")
def asked_tokens_per_s(*, users: float, tokens_per_s: float) -> float:
    """Output tokens in a second over all users."""
    return users * tokens_per_s


@attrs.frozen(kw_only=True)
class Demand:
    """What is asked for.

    Attributes:
        measure: What engines are counted by: ``output_tokens_per_s``, ``requests_per_s`` or ``requests`` in flight.
        mean: Of that, on average.
        peak_factor: Highest demand over the mean.
        users: There at a time, on average; None where a rate is given.
        tokens_per_s: Of one user; None where not given.
        visits_per_month: Where traffic is given.
        minutes_per_visit: Where traffic is given.
    """

    measure: str
    mean: float
    peak_factor: float = 1.0
    users: float | None = None
    tokens_per_s: float | None = None
    visits_per_month: float | None = None
    minutes_per_visit: float | None = None

    @property
    def peak(self) -> float:
        """What the service is built for."""
        return self.mean * self.peak_factor

    def of(self, serving: Serving, requests: int) -> float:
        """What one engine does of it, at so many requests."""
        if self.measure == "requests":
            return float(requests)
        found = serving.output_tokens_per_s if self.measure == "output_tokens_per_s" else serving.requests_per_s
        return found or 0.0

    def mean_tokens_per_s(self, output: int) -> float | None:
        """Output tokens in a second on average; None where the demand does not say."""
        if self.measure == "requests":
            return None
        return self.mean if self.measure == "output_tokens_per_s" else self.mean * output

    def to_dict(self) -> dict[str, Any]:
        """The demand, JSON-ready."""
        return attrs.asdict(self) | {"peak": self.peak}


@attrs.frozen(kw_only=True)
class Missed:
    """A latency target that is missed.

    Attributes:
        said: By how much, in words.
        allow: What would be met, in words.
    """

    said: str
    allow: str


@attrs.frozen(kw_only=True)
class Slo:
    """Latency targets on the mean.

    Attributes:
        ttft_s: To the first token; None for any.
        tpot_s: Between tokens; None for any.
        why: Where one is from that was not given.
    """

    ttft_s: float | None = None
    tpot_s: float | None = None
    why: str = ""

    def missed(self, serving: Serving | None) -> tuple[Missed, ...]:
        """The targets an engine misses."""
        found = []
        for name, most, got in self._pairs(serving):
            if got > most:
                time = units.format(got, "s")
                found.append(Missed(said=f"{name} {time}, past {units.format(most, 's')}", allow=f"{name} {time}"))
        return tuple(found)

    def excess(self, serving: Serving | None) -> float:
        """The worst latency over its target."""
        return max((got / most for _, most, got in self._pairs(serving)), default=0.0)

    def between(self, least: Serving | None, most: Serving | None) -> float:
        """How far from the one to the other the first target is missed, were latencies to grow evenly."""
        low, high = ({name: got for name, _, got in self._pairs(s)} for s in (least, most))
        limits = {name: limit for name, limit, _ in self._pairs(least)}
        shares = [
            (limits[name] - low[name]) / (high[name] - low[name])
            for name in high
            if high[name] > max(low[name], limits[name])
        ]
        return min(1.0, max(0.0, min(shares, default=1.0)))

    def _pairs(self, serving: Serving | None) -> list[tuple[str, float, float]]:
        if serving is None:
            return []
        pairs = (("TTFT", self.ttft_s, serving.ttft_s), ("TPOT", self.tpot_s, serving.tpot_s))
        return [(name, most, got) for name, most, got in pairs if most is not None and got is not None]


def demand_of(
    users: Any, rate: Any, traffic: Any, tokens_per_s: Any, peak_factor: Any, faults: list[str]
) -> Demand | None:
    """The demand, given in one of three ways; None where something is wrong, which is noted."""
    told = len(faults)
    ways = [n for n, v in (("users", users), ("rate", rate), ("traffic", traffic)) if v is not None]
    if len(ways) != 1:
        got = f"got {' and '.join(ways)}" if ways else "got none"
        faults.append(f"demand: give one of users, rate (requests a second) or traffic; {got}")
    given = _table("traffic", traffic, TRAFFIC, faults)
    for name, value in (("tokens_per_s", tokens_per_s), ("peak_factor", peak_factor)):
        if value is not None and name in given:
            faults.append(f"{name}: given twice, in traffic too")
    both = {"tokens_per_s": tokens_per_s, "peak_factor": peak_factor}
    path = {n: f"traffic.{n}" if n in given else n for n in TRAFFIC}
    numbers = {n: quantity(path[n], given.get(n, both.get(n)), "count", faults) for n in TRAFFIC}
    people, asked = quantity("users", users, "count", faults), quantity("rate", rate, "count", faults)
    for name in TRAFFIC[:2]:
        if isinstance(traffic, Mapping) and given.get(name) is None:
            faults.append(f"traffic.{name}: required")
    peak = numbers["peak_factor"]
    if peak is not None and peak < 1.0:
        faults.append(f"{path['peak_factor']}: the peak is no less than the mean: must be at least 1, got {peak:g}")
    if rate is not None and tokens_per_s is not None:
        faults.append("tokens_per_s: has no meaning for a rate of requests")
    if len(faults) > told:
        return None
    each = numbers["tokens_per_s"]
    about: dict[str, Any] = {"peak_factor": peak or 1.0, "tokens_per_s": each}
    if asked is not None:
        return Demand(measure="requests_per_s", mean=asked, **about)
    visits, minutes = numbers["visits_per_month"], numbers["minutes_per_visit"]
    if visits is not None and minutes is not None:
        people = concurrent_users(visits_per_month=visits, minutes_per_visit=minutes)
        about |= {"visits_per_month": visits, "minutes_per_visit": minutes}
    assert people is not None
    if each is None:
        return Demand(measure="requests", mean=people, users=people, **about)
    mean = asked_tokens_per_s(users=people, tokens_per_s=each)
    return Demand(measure="output_tokens_per_s", mean=mean, users=people, **about)


def slo_of(slo: Any, demand: Demand | None, faults: list[str]) -> Slo:
    """The latency targets; without one of tokens, each user's own rate is one."""
    if isinstance(slo, Mapping) and "percentile" in slo:
        faults.append("slo.percentile: not there yet in this version of suanli; targets are held against the mean")
        slo = {k: v for k, v in slo.items() if k != "percentile"}
    given = _table("slo", slo, TARGETS, faults)
    ttft, tpot = (quantity(f"slo.{n}", given.get(n), "s", faults) for n in TARGETS)
    if tpot is None and demand is not None and demand.tokens_per_s is not None:
        why = f"TPOT so that each user gets {demand.tokens_per_s:g} tokens/s"
        return Slo(ttft_s=ttft, tpot_s=1.0 / demand.tokens_per_s, why=why)
    if tpot is None:
        return Slo(ttft_s=ttft, tpot_s=USUAL_TPOT_S, why="TPOT by default: faster than most people read")
    return Slo(ttft_s=ttft, tpot_s=tpot)


def _table(path: str, value: Any, known: Iterable[str], faults: list[str]) -> dict[str, Any]:
    """A table of targets; a fault is noted for a key that is not known."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        faults.append(f"{path}: expected a table, got {show(value)}")
        return {}
    names = tuple(known)
    for key in value:
        if key not in names:
            close = near(str(key), names)
            meant = f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names)}"
            faults.append(f"{path}: unknown key {show(key)}{meant}")
    return {k: v for k, v in value.items() if k in names}
