"""Everything installed, by kind and name, with who provides it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import attrs

from suanli.catalog_files import CatalogFile, read_catalog
from suanli.collectives import CollectiveModel
from suanli.errors import CatalogError, PluginError, SuanliError, UnknownNameError, near, show
from suanli.exporters import Exporter
from suanli.families import ModelFamily, ModelPreset
from suanli.hardware import TYPICAL_SUSTAINED_RATIO, Accelerator, System
from suanli.kernel_models import KernelModel
from suanli.optimizer import OptimizerRule
from suanli.parallelism import Axes, ParallelismRule, PipelineSchedule
from suanli.plugins import Plugins, Provider
from suanli.precision import NumberFormat, Recipe
from suanli.prices import Market, Price, market
from suanli.profiles import Known, Profile
from suanli.rulebook import Rule
from suanli.stages import Stage

T = TypeVar("T")

CORE = Provider(plugin="core", distribution="suanli")


@attrs.frozen(kw_only=True)
class Entry:
    """One named thing.

    Attributes:
        kind: Such as ``"accelerator"``.
        name: Its own name.
        aliases: Its other names.
        value: The thing.
        provider: Who gave it.
    """

    kind: str
    name: str
    aliases: tuple[str, ...]
    value: Any = attrs.field(eq=False)
    provider: Provider

    @property
    def source(self) -> str:
        """The document it is stated in, in a line."""
        given = getattr(self.value, "source", "")
        if isinstance(given, tuple):
            return "; ".join(dict.fromkeys(s.text for s in given))
        return str(given)


@attrs.frozen
class _Kind:
    hook: str
    type: type[Any]
    file_field: str = ""
    listing: str = "--"


_KINDS: dict[str, _Kind] = {
    "accelerator": _Kind("suanli_accelerators", Accelerator, "accelerators", "accelerators"),
    "system": _Kind("suanli_systems", System, "systems", "systems"),
    "precision": _Kind("suanli_precisions", NumberFormat, listing="precisions"),
    "recipe": _Kind("suanli_precisions", Recipe, listing="recipes"),
    "optimizer": _Kind("suanli_optimizers", OptimizerRule, listing="optimizers"),
    "model family": _Kind("suanli_model_families", type),
    "model": _Kind("suanli_models", ModelPreset, "models", "models"),
    "parallelism": _Kind("suanli_parallelisms", ParallelismRule),
    "schedule": _Kind("suanli_schedules", PipelineSchedule, listing="schedules"),
    "kernel model": _Kind("suanli_kernel_models", KernelModel, "kernel_models"),
    "collective model": _Kind("suanli_collective_models", CollectiveModel, "collective_models"),
    "profile": _Kind("suanli_profiles", Profile, listing="profiles"),
    "stage": _Kind("suanli_stages", Stage),
    "rule": _Kind("suanli_rules", Rule, listing="rules"),
    "price": _Kind("suanli_prices", Price, "prices", "prices"),
    "exporter": _Kind("suanli_exporters", Exporter, listing="exporters"),
}

APART = ("accelerator", "system", "model", "recipe", "optimizer", "rule", "exporter")
"""Kinds that are looked up one at a time: where two plugins give one name, that name is an error, and the rest works.

Of the others every one has a part in every estimate, and a name given twice stops them all.
"""

KINDS = tuple(_KINDS)
"""Every kind of thing a catalog holds."""

LISTED = {k.listing: name for name, k in _KINDS.items() if k.listing != "--"}
"""The kinds a person can list, by plural."""


class Catalog:
    """Named things by kind; each kind is collected when it is first asked for.

    Args:
        plugins: What was loaded.
        paths: Folders of catalog files besides.
    """

    def __init__(self, plugins: Plugins, paths: Iterable[str | Path] = ()) -> None:
        self.plugins = plugins
        self.paths = tuple(Path(p) for p in paths)
        self._lock = threading.RLock()
        self._entries: dict[str, dict[str, Entry]] = {}
        self._names: dict[str, dict[str, Entry]] = {}
        self._clashes: dict[str, dict[str, str]] = {}
        self._files: list[tuple[Provider, CatalogFile]] | None = None
        self._bound: dict[str, Accelerator] = {}
        self._models: dict[tuple[str, str], Any] = {}

    def entries(self, kind: str) -> tuple[Entry, ...]:
        """Everything of a kind, sorted by name."""
        own, _ = self._index(kind)
        return tuple(own[name] for name in sorted(own))

    def names(self, kind: str) -> tuple[str, ...]:
        """The names of a kind, sorted."""
        return tuple(sorted(self._index(kind)[0]))

    def entry(self, kind: str, name: str) -> Entry:
        """One thing by name or alias, in any case.

        Raises:
            UnknownNameError: With near matches.
            PluginError: For a name that two plugins give.
        """
        known = self._index(kind)[1]
        found = known.get(name) if isinstance(name, str) else None
        if found is None and isinstance(name, str):
            plain = name.strip().lower()
            if plain in self._clashes.get(kind, ()):
                raise PluginError(self._clashes[kind][plain])
            found = known.get(plain)
        if found is None:
            listing = _KINDS[kind].listing
            hint = f"List them with `suanli list {listing}`." if listing != "--" else ""
            if self.plugins.failed or self.plugins.faults:
                hint = f"{hint} Not all plugins work; see `suanli plugins`.".strip()
            raise UnknownNameError(kind, name if isinstance(name, str) else show(name), known, hint)
        return found

    def get(self, kind: str, name: str) -> Any:
        """The value of :meth:`entry`."""
        return self.entry(kind, name).value

    def accelerator(self, name: str) -> Accelerator:
        """An accelerator, bound to the kernel model that serves it."""
        found: Accelerator = self.get("accelerator", name)
        with self._lock:
            if found.id not in self._bound:
                model = self._serving("kernel model", found.id, found.generation, found.kernel_model)
                sustained = found.sustained_ratio or TYPICAL_SUSTAINED_RATIO
                loaded = model.under_load(sustained)
                formats = self.known.formats
                self._bound[found.id] = attrs.evolve(found, kernels=model, loaded_kernels=loaded, formats=formats)
            return self._bound[found.id]

    def system(self, name: str, accelerators: int | None = None) -> System:
        """A system of so many accelerators (one node by default), bound to its device and collective model.

        Raises:
            SuanliError: Where its network does not join so many, or the number is not positive.
        """
        found: System = self.get("system", name)
        device = self.accelerator(found.accelerator)
        count = found.accelerators_per_node if accelerators is None else accelerators
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise SuanliError(f"accelerators must be a whole number above 0, got {show(count)}")
        if found.reach is not None and count > found.reach:
            raise SuanliError(
                f"{found.id} joins at most {found.reach} accelerators: no network beyond that is stated for it; "
                f"asked for {count}. Choose another system, or add an outer tier in a catalog file"
            )
        model = self._serving("collective model", found.id, device.generation, None)
        return attrs.evolve(found, accelerators=count, device=device, exchanges=model)

    def market(self, accelerator: str, currency: str | None = None) -> Market | None:
        """The current on-demand offers of an accelerator; None where none is known.

        Args:
            accelerator: Its id or alias.
            currency: The currency wanted; US dollars by default, else the one most offers are in.

        Raises:
            UnknownNameError: For an accelerator nobody provides, with near matches.
        """
        own = self.entry("accelerator", accelerator).name
        return market((e.value for e in self.entries("price") if e.value.accelerator == own), currency)

    def price(self, accelerator: str, currency: str | None = None) -> Price | None:
        """The offer an estimate assumes: the median of :meth:`market`; None where none is known."""
        found = self.market(accelerator, currency)
        return found.price if found is not None else None

    @functools.cached_property
    def known(self) -> Known:
        """The number formats and profiles installed."""
        formats = tuple(e.value for e in self.entries("precision"))
        return Known(formats=formats, profiles=tuple(e.value for e in self.entries("profile")))

    @functools.cached_property
    def axes(self) -> Axes:
        """The rules of parallelism by layout field."""
        return Axes({e.value.field: e.value for e in self.entries("parallelism")})

    @functools.cached_property
    def schedules(self) -> Mapping[str, PipelineSchedule]:
        """The pipeline schedules by name and alias."""
        return {n: e.value for e in self.entries("schedule") for n in (e.name, *e.aliases)}

    @functools.cached_property
    def formats(self) -> Mapping[str, NumberFormat]:
        """The number formats by name and alias."""
        return {n: f for f in self.known.formats for n in (f.name, *f.aliases)}

    @functools.cached_property
    def element_bytes(self) -> Mapping[str, float]:
        """Bytes of one element in each number format, by name and alias."""
        return {n: f.bytes_per_element for n, f in self.formats.items()}

    def family_of(self, model_type: str) -> type[ModelFamily] | None:
        """The family that answers a ``model_type``; None where none does."""
        for entry in self.entries("model family"):
            if model_type in entry.value.model_types:
                found: type[ModelFamily] = entry.value
                return found
        return None

    def nearest_family(self, config: Mapping[str, Any]) -> type[ModelFamily] | None:
        """The family whose familiar keys a configuration has, the most demanding first; None where none has."""
        fitting = [f for f in self.familiar_families() if all(k in config for k in f.familiar)]
        return max(fitting, key=lambda f: len(f.familiar), default=None)

    def familiar_families(self) -> tuple[type[ModelFamily], ...]:
        """Families that state familiar keys of their own."""
        found = [e.value for e in self.entries("model family")]
        return tuple(f for f in found if vars(f).get("familiar"))

    def replaced(self, kind: str, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """Entries left when those that others replace are taken out.

        Raises:
            PluginError: Where two replace the same one, or one replaces what is not there.
        """
        by_name = {e.name: e for e in entries}
        taken: dict[str, Entry] = {}
        for e in entries:
            target = e.value.replaces
            if not target:
                continue
            if target not in by_name:
                raise PluginError(f"plugin {e.provider}: {kind} {e.name!r} replaces {target!r}, which nobody provides")
            if target in taken:
                raise PluginError(f"{kind} {target!r} is replaced by both {taken[target].provider} and {e.provider}")
            taken[target] = e
        return tuple(e for e in entries if e.name not in taken)

    def _serving(self, kind: str, own: str, generation: str, named: str | None) -> Any:
        """The model that serves a device or system: named, its own, its generation's, else the fallback.

        What a model was not fitted to, it asks of the next of these.
        """
        with self._lock:
            if (kind, own) not in self._models:
                self._models[kind, own] = self._choose(kind, own, generation, named)
            return self._models[kind, own]

    def _choose(self, kind: str, own: str, generation: str, named: str | None) -> Any:
        models = [e.value for e in self.entries(kind)]
        fallback = next((m for m in models if m.fallback), None)
        field = "accelerators" if kind == "kernel model" else "systems"
        whose = self.get(kind, named) if named else next((m for m in models if own in getattr(m, field)), None)
        kin = next((m for m in models if generation and generation in m.generations), None)
        found = fallback
        for model in (kin, whose):
            if model is None or model is found:
                continue
            bound = model.bind(fallback) if fallback is not None else model
            found = bound.bind(found) if found is not None and model is not kin else bound
        if found is None:
            raise SuanliError(f"no {kind} serves {own}")
        return found

    def _index(self, kind: str) -> tuple[Mapping[str, Entry], Mapping[str, Entry]]:
        with self._lock:
            if kind not in self._entries:
                if kind not in _KINDS:
                    raise UnknownNameError("kind", kind, _KINDS)
                self._entries[kind], self._names[kind] = self._collect(kind)
            return self._entries[kind], self._names[kind]

    def _collect(self, kind: str) -> tuple[dict[str, Entry], dict[str, Entry]]:
        about = _KINDS[kind]
        given = self.plugins.collect(about.hook)
        if about.file_field:
            given = given + [(p, v) for p, f in self._catalog_files() for v in getattr(f, about.file_field)]
        entries: dict[str, Entry] = {}
        names: dict[str, Entry] = {}
        clashes: dict[str, str] = {}
        serves: dict[str, Entry] = {}
        for provider, value in given:
            if not isinstance(value, about.type) or (about.type is type and not issubclass(value, ModelFamily)):
                if about.hook == "suanli_precisions" and isinstance(value, (NumberFormat, Recipe)):
                    continue
                self.plugins.fault(
                    provider, f"{about.hook} gave a {type(value).__name__} where a {about.type.__name__} belongs"
                )
                continue
            entry = _entry(kind, self._placed(value) if kind == "price" else value, provider)
            for name in (entry.name, *entry.aliases):
                if name in names:
                    first = names[name].provider
                    said = f"{kind} {name!r} is provided by both {first} and {provider}"
                    if kind not in APART:
                        raise PluginError(said)
                    clashes.setdefault(name, f"{said}; neither is used: disable one of them, or change its name")
                    self.plugins.fault(provider, f"{said}, and neither is used", other=first)
                    continue
                names[name] = entry
            answers = {"model family": "model_types", "parallelism": "field"}.get(kind, "generations")
            claims = getattr(value, answers, ())
            for served in (claims,) if isinstance(claims, str) else claims:
                if served in serves:
                    whose = f"{serves[served].name!r} of {serves[served].provider} and {entry.name!r} of {provider}"
                    raise PluginError(f"{kind}s {whose} both claim {served!r}")
                serves[served] = entry
            entries.setdefault(entry.name, entry)
        if clashes:
            self._clashes[kind] = _without_clashes(entries, names, clashes)
        self._note_strays(kind, entries.values())
        return entries, names

    def _note_strays(self, kind: str, entries: Iterable[Entry]) -> None:
        """Say which models were fitted to what nobody provides: they would never be used, and nobody would know."""
        serves = {"kernel model": "accelerator", "collective model": "system"}.get(kind)
        if serves is None:
            return
        for entry in entries:
            for own in getattr(entry.value, f"{serves}s"):
                known = self._index(serves)[1]
                if own not in known and own not in self._clashes.get(serves, ()):
                    close = near(own, known)
                    meant = f"; did you mean {close[0]!r}?" if close else ""
                    said = f"{kind} {entry.name!r} was fitted to {serves} {own!r}, which nobody provides{meant}"
                    self.plugins.fault(entry.provider, said)

    def _placed(self, price: Price) -> Price:
        """A price with the id of its accelerator; as it is where no plugin here provides that, or two do."""
        try:
            return attrs.evolve(price, accelerator=self.entry("accelerator", price.accelerator).name)
        except (UnknownNameError, PluginError):
            return price

    def _catalog_files(self) -> list[tuple[Provider, CatalogFile]]:
        if self._files is None:
            core = read_catalog(resources.files("suanli") / "datasheet.toml")
            files = [(CORE, core)]
            for path in self.paths:
                provider = Provider(plugin=str(path), module="SUANLI_PATH")
                if not path.is_dir():
                    raise CatalogError([f"{path}: no such folder; SUANLI_PATH names folders of catalog files"])
                files.append((provider, read_catalog(path)))
            self._files = files  # only now: a fault in one file must be told each time
        return self._files


def _without_clashes(entries: dict[str, Entry], names: dict[str, Entry], clashes: dict[str, str]) -> dict[str, str]:
    """Take out what has a name that another has too, by all its names; what is said of each of them."""
    said = dict(clashes)
    for name, entry in list(names.items()):
        if entry.name in clashes:  # an alias that is its own all the same could mean either
            said.setdefault(name, clashes[entry.name])
        if name in said:
            del names[name]
    for name in clashes:
        entries.pop(name, None)
    return said


def _entry(kind: str, value: Any, provider: Provider) -> Entry:
    name: Callable[[Any], str] = {
        "accelerator": lambda v: v.id,
        "system": lambda v: v.id,
        "model family": lambda v: v.family,
    }.get(kind, lambda v: v.name)
    return Entry(
        kind=kind, name=name(value), aliases=tuple(getattr(value, "aliases", ())), value=value, provider=provider
    )
