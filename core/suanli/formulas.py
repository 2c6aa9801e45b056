"""Formulas that carry their unit and source, and a trace that says how a figure came about.

A formula is a pure function of keyword arguments.
Under :func:`trace` each call returns a number that remembers the call;
passing that number on to another formula links the two,
so the derivation of a headline is found by walking back from it.
Untraced, a formula costs one look at a context variable.

    >>> @formula(unit="flops", source="definition")
    ... def matmul_flops(*, m, n, k):
    ...     "FLOPs of an (m, k) x (k, n) product, a multiply-add counting as two."
    ...     return 2.0 * m * n * k
    >>> matmul_flops(m=2.0, n=3.0, k=4.0)
    48.0
    >>> with trace():
    ...     print(derivation(matmul_flops(m=2.0, n=3.0, k=4.0)).text())
    matmul_flops = 48 flops  [definition]
      m = 2
      n = 3
      k = 4
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import attrs

if TYPE_CHECKING:
    from suanli.numeric import Number

_TRACING: ContextVar[bool] = ContextVar("suanli_tracing", default=False)
_is_tracing = _TRACING.get
_traces = 0
"""Traces on in any context: while there is none, a formula need not ask its own."""
_LOCK = threading.Lock()

P = ParamSpec("P")
R = TypeVar("R")


@attrs.frozen(kw_only=True)
class Fact:
    """A number somebody stated: a peak from a datasheet, a default from a documented assumption.

    Attributes:
        name: What it is the value of, such as ``"a100-sxm4-80.peak.bf16"``.
        unit: The unit suffix of the names in this package (``flops_per_s``, ``bytes`` ...).
        source: The document that states it.
        confidential: Whether the value must not be shown.
    """

    name: str
    unit: str
    source: str
    confidential: bool = False


@attrs.frozen(kw_only=True)
class Call:
    """One traced call of a formula; `inputs` are the numbers as they were passed."""

    name: str
    unit: str
    source: str
    doc: str
    inputs: tuple[tuple[str, Any], ...]


class Traced(float):
    """A float that remembers the :class:`Call` or :class:`Fact` it came from."""

    __slots__ = ("origin",)
    origin: Call | Fact

    def __new__(cls, value: float, origin: Call | Fact) -> Traced:
        number = super().__new__(cls, value)
        number.origin = origin
        return number

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        return (float, (float(self),))


@attrs.frozen(kw_only=True)
class Formula:
    """What is known of a formula without calling it."""

    name: str
    unit: str
    source: str
    doc: str


def formula(*, unit: str, source: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a pure, keyword-only function as a formula.

    Args:
        unit: Unit of the result, as the suffix of a name would give it (``"s"``, ``"bytes"``).
        source: Where the formula is stated, or ``"definition"``.
    """

    def mark(function: Callable[P, R]) -> Callable[P, R]:
        about = Formula(
            name=function.__name__.lstrip("_"), unit=unit, source=source, doc=(function.__doc__ or "").strip()
        )

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if not _traces or not _is_tracing():
                return function(*args, **kwargs)
            result = function(*args, **kwargs)
            if not isinstance(result, float):
                return result
            made = Call(name=about.name, unit=unit, source=source, doc=about.doc, inputs=tuple(kwargs.items()))
            return cast("R", Traced(result, made))

        call.formula = about  # type: ignore[attr-defined]
        return call

    return mark


def fact(value: R, name: str, unit: str, source: str, confidential: bool = False) -> R:
    """`value`, remembered as a stated fact while a trace is on; unchanged otherwise."""
    if _traces and _is_tracing() and isinstance(value, (int, float)) and not isinstance(value, (bool, Traced)):
        about = Fact(name=name, unit=unit, source=source, confidential=confidential)
        return cast("R", Traced(float(value), about))
    return value


@contextmanager
def trace() -> Iterator[None]:
    """Within this context formulas return numbers that remember how they were made."""
    global _traces
    token = _TRACING.set(True)
    with _LOCK:
        _traces += 1
    try:
        yield
    finally:
        with _LOCK:
            _traces -= 1
        _TRACING.reset(token)


def tracing() -> bool:
    """Whether a trace is on in this context."""
    return _traces > 0 and _is_tracing()


@attrs.frozen(kw_only=True)
class Derivation:
    """How one number came about.

    Attributes:
        name: The formula, fact or argument it is.
        value: The number; None where it is confidential.
        unit: Its unit, empty where the argument carries none.
        source: Where the formula or the fact is stated.
        doc: What the formula computes.
        label: The argument or report key it fills, where that differs from `name`.
        inputs: The derivation of each of its inputs.
    """

    name: str
    value: float | None
    unit: str = ""
    source: str = ""
    doc: str = ""
    label: str = ""
    inputs: tuple[Derivation, ...] = ()

    def text(self, depth: int | None = None) -> str:
        """The derivation as an indented tree, `depth` levels deep (all of them by default)."""
        return "\n".join(self._lines(0, depth))

    def __str__(self) -> str:
        return self.text()

    def to_dict(self) -> dict[str, Any]:
        """The derivation as plain JSON-ready data."""
        data: dict[str, Any] = {"name": self.name, "value": self.value, "unit": self.unit}
        for key in ("source", "doc", "label"):
            if getattr(self, key):
                data[key] = getattr(self, key)
        if self.inputs:
            data["inputs"] = [d.to_dict() for d in self.inputs]
        return data

    def without_numbers(self) -> Derivation:
        """The same formulas and sources, and no number but the answer's."""
        return attrs.evolve(self, inputs=tuple(_blank(given) for given in self.inputs))

    def citations(self) -> tuple[str, ...]:
        """Every source the derivation rests on, in the order first met."""
        found: dict[str, None] = {}
        queue = [self]
        while queue:
            node = queue.pop(0)
            if node.source and node.source != "definition":
                found.setdefault(node.source)
            queue.extend(node.inputs)
        return tuple(found)

    def _lines(self, indent: int, depth: int | None) -> Iterator[str]:
        label = f"{self.label} = " if self.label and self.label != self.name else ""
        value = "confidential" if self.value is None else f"{self.value:.6g}"
        unit = f" {self.unit}" if self.unit else ""
        source = f"  [{self.source}]" if self.source else ""
        yield f"{'  ' * indent}{label}{self.name} = {value}{unit}{source}"
        if depth is not None and indent >= depth:
            if self.inputs:
                yield f"{'  ' * (indent + 1)}…"
            return
        for given in self.inputs:
            yield from given._lines(indent + 1, depth)


def _blank(node: Derivation) -> Derivation:
    return attrs.evolve(node, value=None, inputs=tuple(_blank(given) for given in node.inputs))


def derivation(value: Any, label: str = "") -> Derivation:
    """The derivation of a number made under :func:`trace`; a bare number is its own.

    One that rests on a confidential fact shows no number but its own: two of them could give the fact away.
    """
    found = _derivation(value, label)
    return found.without_numbers() if _is_hidden(value) else found


def _is_hidden(value: Any) -> bool:
    """Whether a number rests on a confidential fact."""
    seen: set[int] = set()
    queue = [value]
    while queue:
        origin = getattr(queue.pop(), "origin", None)
        if isinstance(origin, Fact) and origin.confidential:
            return True
        if isinstance(origin, Call) and id(origin) not in seen:
            seen.add(id(origin))
            queue += [given for _, given in origin.inputs if isinstance(given, Traced)]
    return False


def _derivation(value: Any, label: str = "") -> Derivation:
    origin = value.origin if isinstance(value, Traced) else None
    number = float(value)
    if isinstance(origin, Fact):
        shown = None if origin.confidential else number
        return Derivation(name=origin.name, value=shown, unit=origin.unit, source=origin.source, label=label)
    if isinstance(origin, Call):
        inputs = tuple(_derivation(v, k) for k, v in origin.inputs if isinstance(v, (int, float)))
        doc = origin.doc.splitlines()[0] if origin.doc else ""
        return Derivation(
            name=origin.name, value=number, unit=origin.unit, source=origin.source, doc=doc, label=label, inputs=inputs
        )
    return Derivation(name=label or "value", value=number)


def total(name: str, unit: str, terms: Mapping[str, Number], source: str = "definition: sum") -> Number:
    """The sum of named terms, added left to right; under a trace each term is an input of it."""
    result: Number = 0.0
    for term in terms.values():
        result = result + term
    if _traces and _is_tracing() and isinstance(result, float):
        return Traced(result, Call(name=name, unit=unit, source=source, doc="", inputs=tuple(terms.items())))
    return result


def scaled(unit: str, count: Number, each: Number) -> Number:
    """`count` times `each`; under a trace both are inputs of it."""
    result = count * each
    if _traces and _is_tracing() and isinstance(result, float):
        inputs = (("count", count), ("each", each))
        return Traced(result, Call(name="times", unit=unit, source="definition", doc="", inputs=inputs))
    return result
