"""Plugins made up on the spot, to be used beside the installed ones in a workspace of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import metadata
from types import ModuleType
from typing import Any

from suanli.hookspecs import hookimpl
from suanli.plugins import GROUP


def make_plugin(name: str, **hooks: Iterable[Any] | Callable[..., Any]) -> ModuleType:
    """A plugin module that gives what it is told to.

    Args:
        name: Of the plugin; unique in its workspace.
        hooks: By hook name without ``suanli_``: the values it gives, or the function that is the hook.

    Example:
        >>> from suanli import NumberFormat, Workspace
        >>> plugin = make_plugin("six", precisions=[NumberFormat(name="fp6", bits=6)])
        >>> Workspace(plugins=[plugin]).catalog().names("precision")
        ('fp6',)
    """
    module = ModuleType(name)
    for hook, given in hooks.items():
        setattr(module, f"suanli_{hook}", hookimpl(given if callable(given) else _giving(given)))
    return module


def _giving(values: Iterable[Any]) -> Callable[[], Iterable[Any]]:
    def give() -> Iterable[Any]:
        return values

    return give


def installed_plugins(*without: str) -> list[Any]:
    """The modules of the installed plugins, but for those named; sorted by entry-point name."""
    points = {p.name: p for p in metadata.entry_points(group=GROUP)}
    return [points[name].load() for name in sorted(points) if name not in without]
