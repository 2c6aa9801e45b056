"""Fit the collective model of `suanli` to measurements, and measure its errors on rows not fitted.

Each fabric is fitted three times. Two fits on the halves of its rows, chosen by a hash of the shape, predict each
other's half: those are the errors stated. A third fit on all rows is what is shipped.
What is predicted is always the model itself, on the systems of the catalog.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares  # type: ignore[import-untyped]

from exchange_rows import ENGINES, Exchanged
from kernel_rows import sources
from suanli.calibration.records import Errors, Fit, held_out
from suanli.collectives import FabricEfficiency, Hierarchical
from suanli.workspace import Workspace

Array = NDArray[np.float64]
FALLBACK = "datasheet"
SCALE = 0.05
"""Relative error beyond which a row is taken for an outlier (Cauchy's loss)."""
STARTS = 3
# Each parameter with its start, its least and its most.
RANGES = {
    "bandwidth_ratio": (0.7, 0.05, 1.0),
    "ramp_s": (1e-4, 1e-8, 1e-2),
    "launch_s": (6e-6, 1e-7, 1e-4),
    "latency_s": (1e-6, 1e-8, 1e-4),
    "copy_bytes_per_s": (1e12, 1e10, 1e13),
    "reduction_ratio": (0.65, 0.05, 1.0),
    "reduction_s": (2e-5, 1e-6, 2e-4),
    "crowding": (2.0, 0.01, 4.0),
    "engine_ratio": (0.5, 0.05, 1.0),
    "engine_launch_s": (4e-6, 1e-7, 1e-4),
    "engine_latency_s": (1e-7, 1e-9, 1e-5),
}
INSIDE = ("bandwidth_ratio", "ramp_s", "launch_s", "latency_s", "copy_bytes_per_s")
SWITCHES = ("reduction_ratio", "reduction_s")
ENGINE = ("engine_ratio", "engine_launch_s", "engine_latency_s")
# A network was measured at one hop only, where a launch and a hop look alike: its launch is that inside a node.
NETWORK = ("bandwidth_ratio", "ramp_s", "latency_s")
STARTS_THERE = {"ramp_s": 2e-5, "latency_s": 1e-5}
# Figures of the switches' sums that lower the mean error by less than this are left out: the library's rows do not
# tell them, because it leaves that unused.
TELLING = 0.002
# Nobody measured a full mesh: a factor of two either way is a guess.
GUESSED = (0.5, 2.0)


class Measured:
    """Exchanges as columns, and what a model makes of them; `engine` asks for the engine's own all-reduce."""

    def __init__(self, rows: Sequence[Exchanged], workspace: Workspace, *, engine: bool = False) -> None:
        self.rows, self.engine = rows, engine
        self.seconds = np.array([r.seconds for r in rows])
        groups: dict[tuple[str, str], list[int]] = defaultdict(list)
        for i, row in enumerate(rows):
            groups[row.system, row.operation].append(i)
        self.parts = []
        for (system, operation), index in groups.items():
            columns = {k: np.array([float(getattr(rows[i], k)) for i in index]) for k in ("bytes", "ranks", "stride")}
            self.parts.append((workspace.system(system), operation, columns, np.array(index)))

    def predict(self, fabrics: Iterable[FabricEfficiency]) -> Array:
        """Seconds of every row."""
        model = Hierarchical(name="fit", fabrics=tuple(fabrics), engine=self.engine)
        out = np.empty(len(self.rows))
        for system, operation, columns, index in self.parts:
            out[index] = model.time_s(operation, system=system, **columns)
        return out


def best(
    entry: FabricEfficiency,
    names: Sequence[str],
    measured: Sequence[Measured],
    beside: Sequence[FabricEfficiency] = (),
) -> FabricEfficiency:
    """`entry` with the figures `names` that are nearest the measurements; `beside` are the other fabrics crossed."""
    ranges = {n: RANGES[n] for n in names}
    if entry.fabric == "nic":
        ranges |= {n: (start, *ranges[n][1:]) for n, start in STARTS_THERE.items()}
    start, low, high = np.log(np.array(list(ranges.values()))).T
    seconds = np.log(np.concatenate([m.seconds for m in measured]))

    def made(x: Array) -> FabricEfficiency:
        values = np.exp(np.clip(x, low, high))
        changes: dict[str, Any] = {n: _rounded(float(v)) for n, v in zip(names, values, strict=True)}
        return attrs.evolve(entry, **changes)

    def residual(x: Array) -> Array:
        fabrics = (made(x), *beside)
        found: Array = np.log(np.concatenate([m.predict(fabrics) for m in measured])) - seconds
        return found

    draw = np.random.default_rng(0)
    found: list[tuple[float, tuple[float, ...]]] = []
    for i in range(STARTS):
        x = start if i == 0 else start + draw.normal(0.0, 0.4, len(start))
        x = np.clip(x, low + 1e-6, high - 1e-6)
        fit = least_squares(residual, x, bounds=(low, high), loss="cauchy", f_scale=SCALE, diff_step=1e-3, max_nfev=80)
        found.append((float(fit.cost), tuple(fit.x)))
    return made(np.array(min(found)[1]))


def _rounded(value: float) -> float:
    """Four digits: more mean nothing, and a file read back says the same."""
    return float(f"{value:.4g}")


class Fabrics:
    """Fits of every fabric measured, and of the fallbacks.

    Attributes:
        fits: Of each generation and fabric.
        core: Of fabrics nobody measured.
        engines: Errors of the engines' own all-reduce on the half not fitted, by generation.
        left_out: Errors on the switches of a generation left out.
    """

    def __init__(self, rows: Sequence[Exchanged], workspace: Workspace) -> None:
        self.workspace = workspace
        self.groups: dict[tuple[str, str], list[Exchanged]] = defaultdict(list)
        self.own: dict[tuple[str, str], list[Exchanged]] = defaultdict(list)
        for row in rows:
            if row.fitted:
                self.groups[row.key].append(row)
            elif row.implementation in ENGINES and row.fabric == "switch":
                self.own[row.key].append(row)
        self.entries: dict[tuple[str, str], FabricEfficiency] = {}
        self.engines: dict[str, Errors] = {}
        self.fits: list[Fit] = []
        for key, members in sorted(self.groups.items(), key=lambda g: (g[0][1] == "nic", g[0])):
            self.fits.append(self._fit(key, members))
        self.core = self._fallbacks()

    def _names(self, fabric: str, members: Sequence[Exchanged]) -> tuple[str, ...]:
        if fabric == "nic":
            return NETWORK
        adds = any(self.workspace.system(r.system).tiers[0].in_network_reduction for r in members)
        return INSIDE + (SWITCHES if adds else ()) + (("crowding",) if fabric == "pcie" else ())

    def _fit(self, key: tuple[str, str], members: Sequence[Exchanged]) -> Fit:
        names = self._names(key[1], members)
        blank = FabricEfficiency(generation=key[0], fabric=key[1], bandwidth_ratio=1.0, source="fit")
        beside = [e for k, e in self.entries.items() if k[0] == key[0]]
        halves = [[r for r in members if held_out(r.shape) is s] for s in (False, True)]
        sides = [Measured(h, self.workspace) for h in halves]
        if set(SWITCHES) <= set(names) and not self._tells(blank, names, sides, beside):
            names = tuple(n for n in names if n not in SWITCHES)
        crossed = [best(blank, names, [side], beside) for side in reversed(sides)]
        ratios = [m.seconds / m.predict([e, *beside]) for m, e in zip(sides, crossed, strict=True)]
        errors = Errors(np.concatenate(ratios), np.concatenate([m.seconds for m in sides]))
        entry = best(blank, names, sides, beside)
        if self.own.get(key):
            names += ENGINE
            entry = self._engine(key, entry)
        self.entries[key] = entry
        vendor = members[0].device.vendor
        return self._record(key, entry, names, len(members), errors, sources(members), vendor)

    def _engine(self, key: tuple[str, str], entry: FabricEfficiency) -> FabricEfficiency:
        """The entry with an engine's own all-reduce, and its errors on the half not fitted."""
        halves = [[r for r in self.own[key] if held_out(r.shape) is s] for s in (False, True)]
        sides = [Measured(h, self.workspace, engine=True) for h in halves]
        crossed = [best(entry, ENGINE, [side]) for side in reversed(sides)]
        ratios = [m.seconds / m.predict([e]) for m, e in zip(sides, crossed, strict=True)]
        self.engines[key[0]] = Errors(np.concatenate(ratios), np.concatenate([m.seconds for m in sides]))
        self.own[key] = [r for half in halves for r in half]
        return best(entry, ENGINE, sides)

    def _tells(
        self,
        blank: FabricEfficiency,
        names: Sequence[str],
        measured: Sequence[Measured],
        beside: Sequence[FabricEfficiency],
    ) -> bool:
        """Whether the rows tell what switches that add sustain."""
        less = [n for n in names if n not in SWITCHES]
        errors = []
        for chosen in (less, names):
            fabrics = (best(blank, chosen, measured, beside), *beside)
            errors.append(np.mean([np.abs(np.log(m.predict(fabrics) / m.seconds)).mean() for m in measured]))
        return bool(errors[0] - errors[1] > TELLING)

    def _record(
        self,
        key: tuple[str, str],
        entry: FabricEfficiency,
        names: Sequence[str],
        rows: int,
        errors: Errors | None,
        about: str,
        vendor: str,
        band: tuple[float, float] | None = None,
    ) -> Fit:
        chosen = band or (errors.band if errors else GUESSED)
        params = tuple(float(getattr(entry, n)) for n in names)
        return Fit(key, tuple(names), params, rows, errors, chosen, about, vendor)

    def pooled(self, fabric: str, without: str = "") -> FabricEfficiency:
        """One entry fitted to every generation's rows, but for one."""
        keys = [k for k in self.groups if k[1] == fabric and k[0] != without]
        blank = FabricEfficiency(generation=FALLBACK, fabric=fabric, bandwidth_ratio=1.0, source="fit")
        members = [r for k in keys for r in self.groups[k]]
        entry = best(blank, self._names(fabric, members), [Measured(members, self.workspace)])
        own = [r for k in keys for r in self.own.get(k, ())]
        return best(entry, ENGINE, [Measured(own, self.workspace, engine=True)]) if own else entry

    def strangers(self, fabric: str) -> dict[str, Errors]:
        """Errors on each generation's rows, known only by the others."""
        found = {}
        for generation, kind in self.groups:
            if kind == fabric:
                entry = self.pooled(fabric, without=generation)
                measured = Measured(self.groups[generation, kind], self.workspace)
                found[generation] = Errors(measured.seconds / measured.predict([entry]), measured.seconds)
        return found

    def _fallbacks(self) -> list[Fit]:
        """Switches pooled, with the errors of leaving out each; the rest borrowed from the one that was measured."""
        self.left_out = self.strangers("switch")
        errors = joined(self.left_out.values())
        switch = self.pooled("switch")
        rows = [r for k, members in self.groups.items() if k[1] == "switch" for r in members]
        names = self._names("switch", rows)
        made_of = ", ".join(sorted(self.left_out))
        told = f"one fit of {made_of}; errors: leave one generation out"
        found = [self._record((FALLBACK, "switch"), switch, names + ENGINE, len(rows), errors, told, "core")]
        mesh = "nobody measured one: the switch's figures, the band a factor of two either way or more"
        wide = union(errors.band, GUESSED)
        found.append(self._record((FALLBACK, "full-mesh"), switch, INSIDE, 0, None, mesh, "core", wide))
        for generation, fabric in self.groups:
            if fabric in ("nic", "pcie"):
                one = next(f for f in self.fits if f.key == (generation, fabric))
                about = f"{generation}'s; band widened to that of switches left out in turn"
                band = union(one.band, errors.band)
                found.append(replace(one, key=(FALLBACK, fabric), errors=None, band=band, source=about, vendor="core"))
        # The one network measured was point to point between two nodes: it says little of others.
        self.fits = [
            replace(f, band=union(f.band, errors.band), source=f"{f.source}; one pair of nodes, point to point")
            if f.key[1] == "nic"
            else f
            for f in self.fits
        ]
        return sorted(found, key=lambda f: f.key)


def joined(errors: Iterable[Errors]) -> Errors:
    """Errors of several groups as one."""
    found = list(errors)
    return Errors(np.concatenate([e.ratios for e in found]), np.concatenate([e.measured for e in found]))


def union(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """The band that holds both."""
    return min(one[0], other[0]), max(one[1], other[1])


def judged(fits: Mapping[tuple[str, ...], Fit], rows: Sequence[Exchanged], workspace: Workspace) -> Errors:
    """Errors of the shipped figures on rows of one class that they were not fitted to."""
    measured = Measured(rows, workspace, engine=rows[0].implementation in ENGINES)
    generation = rows[0].device.generation
    chosen = {k[1]: f for k, f in fits.items() if k[0] == FALLBACK} | {
        k[1]: f for k, f in fits.items() if k[0] == generation
    }
    figures: dict[str, dict[str, Any]] = {k: dict(zip(f.names, f.params, strict=True)) for k, f in chosen.items()}
    entries = [FabricEfficiency(fabric=k, source="fit", **values) for k, values in figures.items()]
    return Errors(measured.seconds / measured.predict(entries), measured.seconds)
