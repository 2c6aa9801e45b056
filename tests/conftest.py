"""Every report and scenario that a test writes as data is held against the JSON Schema that `suanli schema` prints."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import jsonschema
import pytest

from suanli.json_schema import schema
from suanli.layout import Layout
from suanli.report import Report
from suanli.specs import Scenario

MOST = 20
"""Of one kind in one test: a few milliseconds each; properties make hundreds alike."""

KNOWN = {f.name for f in attrs.fields(Layout)}
_left = {"report": MOST, "scenario": MOST}


@functools.cache
def validator(name: str, axes: tuple[str, ...]) -> jsonschema.Draft202012Validator:
    """What holds reports, or scenarios, of a workspace with these axes besides our own."""
    whole = schema(axes)
    return jsonschema.Draft202012Validator(
        {"$schema": whole["$schema"], "$ref": f"#/$defs/{name}", "$defs": whole["$defs"]}
    )


def hold(name: str, data: dict[str, Any]) -> None:
    """Raises AssertionError where data is not what the schema says."""
    layout = data.get("layout") or {}
    told = (data.get("scenario") or {}).get("layout") or {}
    axes = tuple(sorted({*layout, *told} - KNOWN))
    wrong = [f"{e.json_path}: {e.message[:300]}" for e in validator(name, axes).iter_errors(data)]
    assert not wrong, f"a {name} breaks the schema: {'; '.join(wrong[:5])}"


def checked(name: str, to_dict: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    """A `to_dict` whose data is held against the schema."""

    @functools.wraps(to_dict)
    def write(self: Any) -> dict[str, Any]:
        data = to_dict(self)
        if _left[name] > 0:
            _left[name] -= 1
            hold(name, data)
        return data

    return write


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test may write so many."""
    _left.update(dict.fromkeys(_left, MOST))


@pytest.fixture(autouse=True, scope="session")
def _schema_holds() -> Iterator[None]:
    """Reports and scenarios say in tests what they break of the schema."""
    patch = pytest.MonkeyPatch()
    patch.setattr(Report, "to_dict", checked("report", Report.to_dict))
    patch.setattr(Scenario, "to_dict", checked("scenario", Scenario.to_dict))
    yield
    patch.undo()
