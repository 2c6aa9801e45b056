"""Every error suanli raises on purpose: what is wrong, whose it is, what to do next."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable


class SuanliError(Exception):
    """Base of every error suanli raises on purpose; its text is meant to be read by a person."""

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.args, self.__dict__))


class UnknownNameError(SuanliError, LookupError):
    """A name that no installed plugin provides.

    Attributes:
        kind: What was looked up, such as ``"accelerator"``.
        name: The name that was not found.
        near: Known names that resemble it, best first.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str] = (), hint: str = "") -> None:
        names = sorted(known)
        self.kind = kind
        self.name = clip(str(name))
        self.near = near(self.name, names)
        meant = f" Did you mean {' or '.join(repr(n) for n in self.near)}?" if self.near else ""
        count = f" {len(names)} known." if names else ""
        super().__init__(f"no {kind} named {self.name!r}.{meant}{count}{' ' + hint if hint else ''}")


class InvalidInputError(SuanliError, ValueError):
    """Input that breaks one or more rules; every one of them is listed.

    Attributes:
        errors: One ``"path: what is wrong"`` line for each fault.
    """

    def __init__(self, errors: Iterable[str], where: str = "") -> None:
        self.errors = tuple(errors)
        self.where = where
        head = f"{where}: " if where else ""
        if len(self.errors) == 1:
            text = head + self.errors[0]
        else:
            lines = "\n".join(f"  - {line}" for line in self.errors)
            text = f"{head}{len(self.errors)} errors\n{lines}"
        super().__init__(text)


class ScenarioError(InvalidInputError):
    """A scenario that cannot be read; ``errors`` has the path of every offending field."""


class ModelConfigError(InvalidInputError):
    """A model configuration that cannot be read; ``errors`` has the path of every offending key."""


class CatalogError(InvalidInputError):
    """A catalog file, or a catalog entry of a plugin, that breaks the rules of its kind."""


class PluginError(SuanliError):
    """A plugin that could not be loaded, or that broke the contract of a hook."""


class NotThereYetError(SuanliError):
    """Something the documented interface names and this version does not do."""

    def __init__(self, what: str, instead: str = "") -> None:
        super().__init__(f"{what} is not there yet in this version of suanli" + (f"; {instead}" if instead else ""))


def clip(text: str, limit: int = 80) -> str:
    """`text` cut to `limit` characters, so that no message grows with its input."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def show(value: object) -> str:
    """A short rendering of an input value, for an error message; whatever its size."""
    return clip(_brief(value, 4), 60)


def _brief(value: object, depth: int) -> str:
    """About the first 60 characters of a value's repr, written without walking the rest of it."""
    if isinstance(value, str):
        return repr(clip(value, 60))
    if type(value) is int and abs(value) >= 10**60:
        return "a whole number of more than 60 digits"
    if isinstance(value, (dict, list, tuple)):
        if not depth:
            return "..."
        if isinstance(value, dict):
            inside = [f"{_brief(k, 0)}: {_brief(v, depth - 1)}" for k, v in itertools.islice(value.items(), 8)]
        else:
            inside = [_brief(v, depth - 1) for v in itertools.islice(value, 8)]
        inside += ["..."] if len(value) > 8 else []
        ends = "{}" if isinstance(value, dict) else "[]" if isinstance(value, list) else "()"
        return ends[0] + ", ".join(inside) + ends[1]
    return repr(value)


def near(name: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """Names among `known` that resemble `name`, best first; at most `count`."""
    lowered = {k.lower(): k for k in known}
    wanted = name.lower()
    found = difflib.get_close_matches(wanted, lowered, n=count, cutoff=0.6)
    if len(wanted) >= 3:
        found += [k for k in sorted(lowered) if wanted in k and k not in found]
    return tuple(lowered[k] for k in found[:count])


def _rebuild(cls: type[SuanliError], args: tuple[object, ...], state: dict[str, object]) -> SuanliError:
    error = cls.__new__(cls)
    Exception.__init__(error, *args)
    error.__dict__.update(state)
    return error
