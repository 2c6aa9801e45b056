"""Finding, loading, blocking and attributing plugins.

Distributions are visited sorted by name, so that results do not differ between machines.
What is wrong with one plugin is said with its name, distribution and cause, and the others work.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from importlib import metadata
from typing import Any

import attrs
import pluggy

from suanli import hookspecs
from suanli.errors import InvalidInputError, PluginError, clip

GROUP = "suanli"
DISABLE = "SUANLI_DISABLE_PLUGINS"


@attrs.frozen(kw_only=True)
class Provider:
    """Where a plugin comes from.

    Attributes:
        plugin: Its entry-point name.
        module: What the entry point names.
        distribution: The installed distribution that declares it.
        version: Of that distribution.
        error: Why it could not be loaded; empty when it was.
    """

    plugin: str
    module: str = ""
    distribution: str = ""
    version: str = ""
    error: str = ""

    def __str__(self) -> str:
        return f"{self.plugin} ({self.distribution} {self.version})" if self.distribution else self.plugin


@attrs.frozen(kw_only=True, eq=False)
class Plugins:
    """The plugins of one workspace.

    Attributes:
        providers: Every plugin found, loaded or not, sorted by name.
        faults: What loaded plugins did wrong since.
    """

    _manager: pluggy.PluginManager
    providers: tuple[Provider, ...]
    faults: list[str] = attrs.field(factory=list)

    @property
    def loaded(self) -> tuple[Provider, ...]:
        """Those that work."""
        return tuple(p for p in self.providers if not p.error)

    @property
    def failed(self) -> tuple[Provider, ...]:
        """Those that do not, with why."""
        return tuple(p for p in self.providers if p.error)

    def collect(self, hook: str, **arguments: Any) -> list[tuple[Provider, Any]]:
        """What every plugin gives for a hook, each thing with its provider.

        A plugin whose hook raises, or returns no bounded iterable, gives nothing; :attr:`faults` says why.
        """
        found: list[tuple[Provider, Any]] = []
        if not getattr(self._manager.hook, hook).get_hookimpls():
            return found
        everyone = dict(self._manager.list_name_plugin())
        for provider in self.loaded:
            others = [p for n, p in everyone.items() if n != provider.plugin]
            caller = self._manager.subset_hook_caller(hook, others)
            try:
                items = [item for given in caller(**arguments) for item in _bounded(given)]
            except Exception as exc:
                most = MOST_SAID if isinstance(exc, InvalidInputError) else 600  # every error of a catalog file is told
                self.fault(provider, f"{hook}: {clip(f'{type(exc).__name__}: {exc}', most)}")
                continue
            found += [(provider, item) for item in items]
        return found

    def fault(self, provider: Provider, reason: str, *, other: Provider | None = None) -> None:
        """Note what a plugin did wrong; or two of them together, of which a stranger is told first."""
        if other is not None and provider.distribution == OURS:
            provider, other = other, provider
        way_out = _way_out(provider)
        if other is not None and other != provider:
            way_out += f" or {_way_out(other)}"
        said = f"plugin {provider}: {reason}; {way_out} to go on without it"
        if said not in self.faults:
            self.faults.append(said)

    def module_of(self, provider: Provider) -> Any:
        """The module, or object, a plugin is; None for one that does not work."""
        return self._manager.get_plugin(provider.plugin)

    def hooks_of(self, provider: Provider) -> tuple[str, ...]:
        """The hooks a plugin implements."""
        plugin = self._manager.get_plugin(provider.plugin)
        callers = (self._manager.get_hookcallers(plugin) or []) if plugin else []
        return tuple(sorted(c.name for c in callers))


def _way_out(provider: Provider) -> str:
    if provider.module == "SUANLI_PATH":
        return f"take {provider.plugin} off SUANLI_PATH"
    return f"set {DISABLE}={provider.plugin}"


OURS = "suanli"
"""The distribution of our own plugins."""

MOST_ITEMS = 100_000
MOST_SAID = 20_000
"""Characters a fault may have that lists the errors of a file."""


def _bounded(given: Any) -> Iterable[Any]:
    if given is None:
        return ()
    if isinstance(given, (str, bytes, dict)) or not isinstance(given, Iterable):
        raise PluginError(f"must return an iterable of values, got {type(given).__name__}")
    items = []
    for item in given:
        items.append(item)
        if len(items) > MOST_ITEMS:
            raise PluginError(f"gave more than {MOST_ITEMS} values")
    return items


def load(plugins: Iterable[Any] | None = None, disable: Collection[str] = ()) -> Plugins:
    """The plugins of a workspace.

    Args:
        plugins: Modules to use instead of those installed; None finds the installed ones.
        disable: Entry-point names to leave out, besides those ``SUANLI_DISABLE_PLUGINS`` lists.

    An entry-point name that two distributions declare is loaded from neither; both say so.
    """
    manager = pluggy.PluginManager("suanli")
    manager.add_hookspecs(hookspecs)
    blocked = {*disable, *(n.strip() for n in os.environ.get(DISABLE, "").split(",") if n.strip())}
    if plugins is not None:
        given = [(Provider(plugin=_name(p), module=_name(p)), p) for p in plugins]
        found = [_register(manager, provider, plugin) for provider, plugin in given]
    else:
        found = [
            provider if provider.error else _install(manager, provider, point)
            for provider, point in _installed(blocked)
        ]
    return Plugins(manager=manager, providers=tuple(sorted(found, key=lambda p: p.plugin)))


def _name(plugin: Any) -> str:
    return str(getattr(plugin, "__name__", type(plugin).__name__))


def _installed(blocked: Collection[str]) -> list[tuple[Provider, metadata.EntryPoint]]:
    """Every plugin there is; those that share a name with that as their error."""
    seen: dict[str, dict[Provider, metadata.EntryPoint]] = {}
    for dist in sorted(metadata.distributions(), key=lambda d: (d.name or "").lower()):
        for point in dist.entry_points:
            if point.group != GROUP or point.name in blocked:
                continue
            provider = Provider(plugin=point.name, module=point.value, distribution=dist.name, version=dist.version)
            # One distribution may be seen through two entries of sys.path.
            seen.setdefault(point.name, {}).setdefault(provider, point)
    found = []
    for name, same in seen.items():
        error = ""
        if len(same) > 1:
            whose = " and ".join(f"{p.distribution} {p.version}" for p in same)
            error = (
                f"entry point {name!r} is declared by both {whose}, and loaded from neither; "
                f"uninstall one, or set {DISABLE}={name} to go on without both"
            )
        found += [(attrs.evolve(provider, error=error), point) for provider, point in same.items()]
    return found


def _install(manager: pluggy.PluginManager, provider: Provider, point: metadata.EntryPoint) -> Provider:
    try:
        plugin = point.load()
    except (Exception, SystemExit) as exc:
        return attrs.evolve(provider, error=clip(f"failed to load: {type(exc).__name__}: {exc}", 300))
    return _register(manager, provider, plugin)


def _register(manager: pluggy.PluginManager, provider: Provider, plugin: Any) -> Provider:
    wanted = getattr(plugin, "suanli_api", None)
    if wanted is not None and not _compatible(wanted):
        from suanli import api_version

        return attrs.evolve(provider, error=f"written for suanli api {wanted!r}; this is {api_version}")
    try:
        manager.register(plugin, name=provider.plugin)
    except Exception as exc:
        return attrs.evolve(provider, error=clip(str(exc), 500))
    hooks = {c.name for c in manager.get_hookcallers(plugin) or []}
    unknown = sorted(hooks - set(hookspecs.HOOKS))
    if unknown:
        from suanli.errors import near

        manager.unregister(plugin)
        close = {h: near(h, hookspecs.HOOKS) for h in unknown}
        said = "; ".join(f"no hook named {h!r}" + (f", did you mean {c[0]!r}?" if c else "") for h, c in close.items())
        return attrs.evolve(provider, error=said)
    return provider


def _compatible(wanted: object) -> bool:
    """Whether this package's api version is in a plugin's declared range, such as ``">=1,<2"``."""
    from suanli import api_version

    if not isinstance(wanted, str):
        return False
    own = int(api_version)
    for part in wanted.replace(" ", "").split(","):
        digits = part.lstrip("<>=!")
        sign = part[: len(part) - len(digits)] or "=="
        if not digits.isdigit():
            return False
        bound = int(digits)
        holds = {"==": own == bound, ">=": own >= bound, "<=": own <= bound, "<": own < bound, ">": own > bound}
        if not holds.get(sign, False):
            return False
    return True
