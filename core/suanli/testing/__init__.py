"""For authors of plugins and of tests: the conformance kit, make-believe plugins, stages run by hand, strategies.

``suanli.testing.strategies`` needs hypothesis and ``suanli.testing.pytest_plugin`` pytest;
nothing else of suanli imports either, and nothing here is loaded before it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from suanli.testing.checks import Check as Check
    from suanli.testing.checks import Record as Record
    from suanli.testing.checks import check_plugin as check_plugin
    from suanli.testing.fakes import installed_plugins as installed_plugins
    from suanli.testing.fakes import make_plugin as make_plugin
    from suanli.testing.runs import resolved as resolved
    from suanli.testing.runs import run_many as run_many
    from suanli.testing.runs import run_one as run_one
    from suanli.testing.runs import steps as steps

_HOMES = {
    "checks": "Check Record check_plugin",
    "fakes": "installed_plugins make_plugin",
    "runs": "resolved run_many run_one steps",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "Check",
    "Record",
    "check_plugin",
    "installed_plugins",
    "make_plugin",
    "resolved",
    "run_many",
    "run_one",
    "steps",
]


def __getattr__(name: str) -> Any:
    """A public name, its module imported."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
