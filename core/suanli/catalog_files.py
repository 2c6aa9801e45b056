"""Catalog files: accelerators, systems, prices, fitted efficiencies and model presets written as TOML."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

import attrs
import cattrs

from suanli import data_files, serialize
from suanli.collectives import CollectiveModel, FabricEfficiency, Hierarchical
from suanli.errors import CatalogError, clip, show
from suanli.families import ModelPreset
from suanli.hardware import Accelerator, System, register
from suanli.kernel_models import Efficiency, KernelModel, Roofline
from suanli.prices import Price

T = TypeVar("T")

KEYS = ("accelerator", "system", "efficiency", "fabric_efficiency", "model", "price")
"""Arrays of tables a catalog file may hold."""

FALLBACK = "datasheet"
"""The generation whose fitted figures serve every accelerator nobody measured."""


@attrs.frozen(kw_only=True)
class CatalogFile:
    """What a catalog file, or a folder of them, gives."""

    accelerators: tuple[Accelerator, ...] = ()
    systems: tuple[System, ...] = ()
    kernel_models: tuple[KernelModel, ...] = ()
    collective_models: tuple[CollectiveModel, ...] = ()
    models: tuple[ModelPreset, ...] = ()
    prices: tuple[Price, ...] = ()


def read_catalog(files: Traversable | str | Path) -> CatalogFile:
    """What a catalog file, or every ``.toml`` file of a folder, holds.

    Args:
        files: A file or folder; a plugin passes its own, ``importlib.resources.files("acme")``.

    Raises:
        CatalogError: Naming every fault with its file, entry and key.
    """
    root: Any = Path(files) if isinstance(files, str) else files
    if root.is_dir():
        found = sorted((f for f in root.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    else:
        found = [root]
    return _read_catalog(tuple((f, _stamp(f)) for f in found))


def _stamp(file: Traversable) -> tuple[int, int] | None:
    """What changes when a file does; None for one inside an archive, and for one that is not there."""
    if isinstance(file, Path) and file.exists():
        status = file.stat()
        return status.st_mtime_ns, status.st_size
    return None


@functools.lru_cache(maxsize=64)
def _read_catalog(found: tuple[tuple[Any, Any], ...]) -> CatalogFile:
    faults: list[str] = []
    entries: dict[str, list[Any]] = {k: [] for k in KEYS}
    for file, _ in found:
        try:
            data = _read(file)
        except CatalogError as exc:
            faults += [f"{file.name}: {e}" for e in exc.errors]
            continue
        for key, tables in data.items():
            if key not in KEYS:
                faults.append(f"{file.name}: {serialize.unknown_key(key, list(KEYS))}")
            elif not isinstance(tables, list):
                faults.append(f"{file.name}: {key}: write [[{key}]], with two brackets")
            else:
                entries[key] += [(file.name, i, t) for i, t in enumerate(tables)]
    accelerators = _entries(entries["accelerator"], Accelerator, "accelerator", faults)
    systems = _entries(entries["system"], System, "system", faults)
    efficiencies = _entries(entries["efficiency"], Efficiency, "efficiency", faults)
    fabrics = _entries(entries["fabric_efficiency"], FabricEfficiency, "fabric_efficiency", faults)
    faults += _twice(efficiencies, ("generation", "accelerator", "kernel", "precision"))
    faults += _twice(fabrics, ("generation", "system", "fabric"))
    models = _entries(entries["model"], ModelPreset, "model", faults)
    prices = _entries(entries["price"], Price, "price", faults)
    if faults:
        raise CatalogError(faults)
    return CatalogFile(
        accelerators=accelerators,
        systems=systems,
        kernel_models=_kernel_models(efficiencies),
        collective_models=_collective_models(fabrics),
        models=models,
        prices=prices,
    )


def _read(file: Traversable) -> dict[str, Any]:
    if isinstance(file, Path):
        return data_files.read_data(file, CatalogError)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise CatalogError([f"cannot be read: {clip(str(exc))}"]) from None
    return data_files.parse_data(text, json_text=False, where="", error=CatalogError)


def _entries(tables: list[tuple[str, int, Any]], cls: type[T], kind: str, faults: list[str]) -> tuple[T, ...]:
    found = []
    for file, index, table in tables:
        name = next(
            (table[k] for k in ("id", "name") if isinstance(table, dict) and isinstance(table.get(k), str)), index
        )
        try:
            found.append(_converter().structure(table, cls))
        except Exception as exc:
            said = serialize.explain_faults(exc, cls)
            if isinstance(table, dict) and table.get("confidential"):
                said = [_without_figures(fault, table) for fault in said]
            faults += [f"{file}: {kind} {clip(str(name))}: {fault}" for fault in said]
    return tuple(found)


def _twice(entries: tuple[Any, ...], names: tuple[str, ...]) -> list[str]:
    """Fitted entries of one class in two places, of which only one could be used."""
    seen = Counter(tuple(getattr(e, n) for n in names) for e in entries)
    return [f"fitted twice: {' '.join(filter(None, key))}; keep one of them" for key, n in seen.items() if n > 1]


HIDDEN = "a confidential value"

OPEN_KEYS = ("id", "aliases", "vendor", "product", "generation", "accelerator", "default_system", "name")


def _without_figures(fault: str, table: Any) -> str:
    """What is wrong with a confidential entry, without the figures it states, or parts of them that are quoted."""
    written = set(_written(table))
    for text in sorted(written, key=len, reverse=True):
        fault = re.sub(rf"(?<![\w.]){re.escape(text)}(?![\w.])", HIDDEN, fault)
    stated = {"".join(text.split()) for text in written}

    def hide(quoted: re.Match[str]) -> str:
        part = "".join(quoted[1].rstrip("…").split())
        told = any(c.isdigit() for c in part) and any(part in text for text in stated)
        return HIDDEN if told else quoted[0]

    return re.sub("'([^']*)'", hide, fault)


def _written(value: Any) -> Iterator[str]:
    """Every way a message may write what a table states."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in OPEN_KEYS:
                yield from _written(inner)
    elif isinstance(value, list):
        yield show(value)
        for inner in value:
            yield from _written(inner)
    elif not isinstance(value, bool):
        yield from (repr(value), str(value), show(value))
        if isinstance(value, int):
            yield repr(float(value))


@functools.cache
def _converter() -> cattrs.Converter:
    converter = serialize.make_converter()
    register(converter)
    return converter


def to_table(value: Accelerator | System) -> dict[str, Any]:
    """A catalog entry as the table a file would hold; :func:`read_catalog` takes it back."""
    table: dict[str, Any] = _converter().unstructure(value)
    return table


def from_table(table: dict[str, Any], cls: type[T]) -> T:
    """A catalog entry from its table.

    Raises:
        CatalogError: Naming every fault with its key.
    """
    return serialize.structure(table, cls, converter=_converter(), error=CatalogError)


def _kernel_models(entries: tuple[Efficiency, ...]) -> tuple[KernelModel, ...]:
    return tuple(
        Roofline(accelerators=own, efficiencies=found, **about)
        for own, found, about in _grouped(entries, "roofline", "accelerator")
    )


def _collective_models(entries: tuple[FabricEfficiency, ...]) -> tuple[CollectiveModel, ...]:
    return tuple(
        Hierarchical(systems=own, fabrics=found, **about)
        for own, found, about in _grouped(entries, "hierarchical", "system")
    )


def _grouped(
    entries: tuple[T, ...], kind: str, own: str
) -> Iterator[tuple[tuple[str, ...], tuple[T, ...], dict[str, Any]]]:
    """Fitted entries by what they were measured on: the one thing named `own`, else a generation.

    With each group: the name of that one thing, the entries, and what every model says of itself.
    """
    groups: dict[tuple[str, str], list[Any]] = {}
    for entry in entries:
        groups.setdefault((entry.generation, getattr(entry, own)), []).append(entry)  # type: ignore[attr-defined]
    for (generation, name), found in groups.items():
        fallback = generation == FALLBACK
        about = {
            "name": f"{kind}-{name or generation}",
            "generations": (generation,) if generation and not fallback and not name else (),
            "fallback": fallback,
            "rung": "analytic" if fallback else "calibrated",
            "source": "; ".join(dict.fromkeys(e.source for e in found)),
        }
        yield (name,) if name else (), tuple(found), about
