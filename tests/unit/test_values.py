"""Public values: named fields, never changed, told apart by what they hold."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from attrs.exceptions import FrozenInstanceError

import suanli
from suanli.catalog_files import CatalogFile
from suanli.catalogs import Entry
from suanli.formulas import Call, Fact, Formula
from suanli.plugins import Plugins, Provider

COLUMNS = ("Case", "Kernel", "LayoutTable", "Local", "StateShards", "StepExchange")
"""May hold columns of an evaluation, which have no one answer to whether they are equal."""
PLACED = ("Asked", "Dim", "LayoutTable", "Rate", "Source")
"""Two things at most that people give, known by their places: a role and its size, a format and its rate."""
ANSWERS = [Call, CatalogFile, Entry, Fact, Formula, Plugins, Provider]
"""What public names answer with, and are made of."""
CLASSES = [getattr(suanli, name) for name in sorted(dir(suanli)) if attrs.has(getattr(suanli, name))] + ANSWERS
NAMED = [c for c in CLASSES if c.__name__ not in PLACED]
VALUES = [c for c in CLASSES if c.__name__ not in COLUMNS]


def test_there_are_values() -> None:
    """The classes below are those people meet: hardware, layouts, workloads, reports."""
    assert {"Accelerator", "Layout", "Report", "System", "StateTensor"} <= {c.__name__ for c in VALUES}


@pytest.mark.parametrize("cls", NAMED, ids=lambda c: c.__name__)
def test_fields_are_given_by_name(cls: Any) -> None:
    """Fields of a public value go by their names alone, so that another may be put before them."""
    assert [f.name for f in attrs.fields(cls) if f.init and not f.kw_only] == []


@pytest.mark.parametrize("cls", VALUES, ids=lambda c: c.__name__)
def test_values_never_change(cls: Any) -> None:
    """A public value cannot be changed under whoever shares it, and may be a key."""
    value = cls.__new__(cls)
    for field in attrs.fields(cls):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field.name, None)
    assert cls.__hash__ is not None
