"""What holds for everything a plugin gives."""

from __future__ import annotations

import pickle
import re

import attrs

from suanli.testing.checks.registry import Faults, Subject, check

WELL_FORMED = re.compile(r"[a-z0-9][a-z0-9._+-]*")
MOST_NAME = 80
UNSOURCED = ("parallelism", "price")
"""Kinds whose source is checked elsewhere, or may be the plugin's own."""


@check(rule="hookspecs: names are lower case, digits and . _ + - (hardware.NAME)")
def name_is_well_formed(subject: Subject) -> Faults:
    """Names and aliases can be typed in a file and on a command line."""
    for name in (subject.name, *getattr(subject.value, "aliases", ())):
        if not isinstance(name, str) or not WELL_FORMED.fullmatch(name) or len(name) > MOST_NAME:
            yield f"name {name!r} is not lower case, digits and . _ + - (at most {MOST_NAME} of them)"


@check(rule="hookspecs: names and aliases are unique")
def aliases_are_distinct(subject: Subject) -> Faults:
    """An alias is neither the name itself nor given twice."""
    aliases = tuple(getattr(subject.value, "aliases", ()))
    if subject.name in aliases:
        yield f"{subject.name!r} is its own alias; leave it out of `aliases`"
    repeated = sorted({a for a in aliases if aliases.count(a) > 1})
    if repeated:
        yield f"aliases given twice: {', '.join(repeated)}"


@check(rule="DESIGN, values: public values are frozen and hashable")
def value_is_frozen(subject: Subject) -> Faults:
    """Nobody can change a value that others share."""
    value = subject.value
    if isinstance(value, type):
        return
    hash(value)
    for field in attrs.fields(type(value)):
        try:
            setattr(value, field.name, getattr(value, field.name))
        except attrs.exceptions.FrozenInstanceError:
            continue
        yield f"{type(value).__name__}.{field.name} can be set; derive with @attrs.frozen(kw_only=True)"
        return


@check(rule="INTERFACE: values pickle")
def value_pickles(subject: Subject) -> Faults:
    """A search may run in other processes."""
    again = pickle.loads(pickle.dumps(subject.value))
    if type(again) is not type(subject.value) or again != subject.value:
        yield "differs from itself after pickling"


@check(rule="every fact has a source beside it (CONTRIBUTING)")
def source_is_stated(subject: Subject) -> Faults:
    """A figure without a document behind it is a guess."""
    source = getattr(subject.value, "source", None)
    if source is None or subject.kind in UNSOURCED:
        return
    texts = [s.text for s in source] if isinstance(source, tuple) else [source]
    if not any(t.strip() for t in texts):
        yield "`source` is empty; name the document: datasheet and page, paper and section, repository and file"
