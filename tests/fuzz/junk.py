"""Real inputs, and what hypothesis makes of them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from suanli import SuanliError

EXAMPLES = settings(
    max_examples=150,
    deadline=timedelta(seconds=2),
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""Two seconds an example: anything slower is a hang. The same examples everywhere; raise max_examples to dig."""

WORDS = ("", " ", "llama-7b", "none", "auto", "-1", "1e400", "0x10", "5万", "1.4T", "80 GiB", "400 Gb/s", "nan", "∞")
NUMBERS = (0, 1, -1, 2**63, -(2**64), 10**400, 10**5000, 0.0, -0.0, 0.5, 1e308, math.inf, -math.inf, math.nan)


def nested(depth: int, table: bool) -> Any:
    """Tables in tables, or lists in lists."""
    found: Any = {} if table else []
    for _ in range(depth):
        found = {"a": found} if table else [found]
    return found


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS),
    st.sampled_from(WORDS),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
)
junk = st.one_of(
    leaves,
    leaves,
    st.lists(leaves, max_size=3),
    st.dictionaries(st.text(max_size=8), leaves, max_size=3),
    st.builds(nested, st.sampled_from([3, 60]), st.booleans()),
    st.lists(st.lists(leaves, max_size=2), max_size=2),
)


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value of a table, tables themselves among them."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield (*path, key)
            yield from places(value, (*path, key))


def at(data: Any, path: tuple[Any, ...]) -> Any:
    """The value at a path; KeyError where there is none."""
    for key in path:
        data = data[key]
    return data


def changed(data: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy with another value at a path."""
    made = copy.deepcopy(data)
    at(made, path[:-1])[path[-1]] = value
    return made


@st.composite
def mutated(draw: st.DrawFn, bases: list[dict[str, Any]]) -> dict[str, Any]:
    """A real table with one to three values replaced, taken out, or added."""
    made = copy.deepcopy(draw(st.sampled_from(bases)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(made)) or [()]))
        if not path:
            break
        parent = at(made, path[:-1])
        what = draw(st.sampled_from(["replace", "replace", "replace", "take", "add"]))
        if what == "take":
            del parent[path[-1]]
        elif what == "add":
            parent[draw(st.one_of(st.text(max_size=12), st.integers(), st.none()))] = draw(junk)
        else:
            parent[path[-1]] = draw(junk)
    return made


@st.composite
def scrambled(draw: st.DrawFn, bases: list[str]) -> str:
    """A real text with slices cut, repeated, or replaced."""
    made = draw(st.sampled_from(bases))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(made)))
        end = min(len(made), start + draw(st.integers(0, 12)))
        put = draw(
            st.one_of(
                st.sampled_from(["", "[", "]", "{", '"', "=", "\n", "[[", "\x00", "\ufeff", "1" * 400, "'''", "nan"]),
                st.just(made[start:end] * 3),
                st.text(max_size=6),
            )
        )
        made = made[:start] + put + made[end:]
    return made


def answer(call: Callable[[], Any]) -> Any:
    """What a call gives; None where it refuses, as it may, with a SuanliError. Anything else fails the test."""
    try:
        return call()
    except SuanliError as error:
        text = str(error)
        assert text.strip()
        assert len(text) < 20_000, "a message that grows with its input"
        assert "recursion depth" not in text, "an accident of the interpreter, told as the user's fault"
        return None


def finite(data: Any) -> bool:
    """Whether every number of plain data is one."""
    if isinstance(data, dict):
        return all(finite(v) for v in data.values())
    if isinstance(data, (list, tuple)):
        return all(finite(v) for v in data)
    return not isinstance(data, float) or math.isfinite(data)
