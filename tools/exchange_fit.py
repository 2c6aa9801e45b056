"""Fit the fabrics that the reference data measured, by the fit of `suanli.calibration`; judge what it did not see.

What is about that data: which rows stand for a generation, the generations left out in turn, and the fallbacks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from exchange_rows import ENGINES, Exchanged
from kernel_rows import sources
from suanli.calibration.classes import Span
from suanli.calibration.fabric_classes import ENGINE, INSIDE, figures_of
from suanli.calibration.fabrics import Exchanges, best_fabric, crossed_fabric, fit_fabric
from suanli.calibration.records import GUESSED, Errors, Fit, halved, joined, union
from suanli.collectives import FabricEfficiency
from suanli.hardware import System
from suanli.workspace import Workspace

FALLBACK = "datasheet"


class Fabrics:
    """Fits of every fabric measured, and of the fallbacks.

    Attributes:
        fits: Of each generation and fabric.
        core: Of fabrics nobody measured.
        engines: Errors of the engines' own all-reduce on the half not fitted, by generation.
        left_out: Errors on the switches of a generation left out.
    """

    def __init__(self, rows: Sequence[Exchanged], workspace: Workspace) -> None:
        self.systems = systems_of(rows, workspace)
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

    def _measured(self, rows: Sequence[Exchanged], *, engine: bool = False) -> Exchanges:
        return Exchanges(rows, self.systems, engine=engine)

    def _figures(self, fabric: str, members: Sequence[Exchanged]) -> Mapping[str, Span]:
        return figures_of(fabric, adds=any(self.systems[r.system].tiers[0].in_network_reduction for r in members))

    def _fit(self, key: tuple[str, str], members: Sequence[Exchanged]) -> Fit:
        blank = FabricEfficiency(generation=key[0], fabric=key[1], bandwidth_ratio=1.0, source="fit")
        beside = [e for k, e in self.entries.items() if k[0] == key[0]]
        sides = [self._measured(half) for half in halved(members)]
        fitted = fit_fabric(blank, self._figures(key[1], members), sides, beside)
        entry, names = fitted.entry, fitted.names
        if self.own.get(key):
            entry, names = self._engine(key, entry), (*names, *ENGINE)
        self.entries[key] = entry
        return _record(key, entry, names, len(members), fitted.errors, sources(members), members[0].device.vendor)

    def _engine(self, key: tuple[str, str], entry: FabricEfficiency) -> FabricEfficiency:
        """The entry with an engine's own all-reduce, and its errors on the half not fitted."""
        halves = halved(self.own[key])
        sides = [self._measured(half, engine=True) for half in halves]
        self.engines[key[0]] = crossed_fabric(entry, ENGINE, sides)
        self.own[key] = [r for half in halves for r in half]
        return best_fabric(entry, ENGINE, sides)

    def pooled(self, fabric: str, without: str = "") -> FabricEfficiency:
        """One entry fitted to every generation's rows, but for one."""
        keys = [k for k in self.groups if k[1] == fabric and k[0] != without]
        blank = FabricEfficiency(generation=FALLBACK, fabric=fabric, bandwidth_ratio=1.0, source="fit")
        members = [r for k in keys for r in self.groups[k]]
        entry = best_fabric(blank, self._figures(fabric, members), [self._measured(members)])
        own = [r for k in keys for r in self.own.get(k, ())]
        return best_fabric(entry, ENGINE, [self._measured(own, engine=True)]) if own else entry

    def strangers(self, fabric: str) -> dict[str, Errors]:
        """Errors on each generation's rows, known only by the others."""
        found = {}
        for generation, kind in self.groups:
            if kind == fabric:
                entry = self.pooled(fabric, without=generation)
                measured = self._measured(self.groups[generation, kind])
                found[generation] = measured.errors(measured.predict([entry]))
        return found

    def _fallbacks(self) -> list[Fit]:
        """Switches pooled, with the errors of leaving out each; the rest borrowed from the one that was measured."""
        self.left_out = self.strangers("switch")
        errors = joined(self.left_out.values())
        switch = self.pooled("switch")
        rows = [r for k, members in self.groups.items() if k[1] == "switch" for r in members]
        names = (*self._figures("switch", rows), *ENGINE)
        made_of = ", ".join(sorted(self.left_out))
        told = f"one fit of {made_of}; errors: leave one generation out"
        found = [_record((FALLBACK, "switch"), switch, names, len(rows), errors, told, "core")]
        mesh = "nobody measured one: the switch's figures, the band a factor of two either way or more"
        wide = union(errors.band, GUESSED)
        found.append(_record((FALLBACK, "full-mesh"), switch, INSIDE, 0, None, mesh, "core", wide))
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


def _record(
    key: tuple[str, str],
    entry: FabricEfficiency,
    names: Iterable[str],
    rows: int,
    errors: Errors | None,
    about: str,
    vendor: str,
    band: tuple[float, float] | None = None,
) -> Fit:
    chosen = band or (errors.band if errors else GUESSED)
    names = tuple(names)
    params = tuple(float(getattr(entry, n)) for n in names)
    return Fit(key, names, params, rows, errors, chosen, about, vendor)


def systems_of(rows: Iterable[Exchanged], workspace: Workspace) -> dict[str, System]:
    """The systems that rows were measured on, by id."""
    return {name: workspace.system(name) for name in {r.system for r in rows}}


def judged(fits: Mapping[tuple[str, ...], Fit], rows: Sequence[Exchanged], systems: Mapping[str, System]) -> Errors:
    """Errors of the shipped figures on rows of one class that they were not fitted to."""
    measured = Exchanges(rows, systems, engine=rows[0].implementation in ENGINES)
    generation = rows[0].device.generation
    chosen = {k[1]: f for k, f in fits.items() if k[0] == FALLBACK} | {
        k[1]: f for k, f in fits.items() if k[0] == generation
    }
    figures: dict[str, dict[str, Any]] = {k: dict(zip(f.names, f.params, strict=True)) for k, f in chosen.items()}
    entries = [FabricEfficiency(fabric=k, source="fit", **values) for k, values in figures.items()]
    return measured.errors(measured.predict(entries))
