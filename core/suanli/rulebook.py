"""Rules of thumb: named, cited, with what each is valid for."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from suanli.errors import InvalidInputError, near, show


@attrs.frozen(kw_only=True)
class Answer:
    """What a rule says.

    Attributes:
        rule: Its name.
        value: The figure.
        unit: Of the figure.
        formula: As a person would write it.
        source: Where it is stated.
        valid_for: When it holds.
        inputs: What it was asked with, defaults filled in.
    """

    rule: str
    value: Any
    unit: str
    formula: str
    source: str
    valid_for: str
    inputs: Mapping[str, Any] = attrs.field(eq=False)

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON-ready data."""
        return attrs.asdict(self)


@attrs.frozen(kw_only=True)
class Rule:
    """A rule of thumb.

    Attributes:
        name: Such as ``"kv-cache"``.
        aliases: Other names.
        function: A formula of keyword arguments.
        unit: Of what it gives.
        formula: As a person would write it.
        source: Where it is stated.
        valid_for: When it holds.
        cases: Ids of the worked examples it answers.
    """

    name: str
    aliases: tuple[str, ...] = ()
    function: Callable[..., Any]
    unit: str
    formula: str
    source: str
    valid_for: str
    cases: tuple[str, ...] = ()

    def __call__(self, **inputs: Any) -> Answer:
        """The rule's answer.

        Raises:
            InvalidInputError: Naming every input that is missing, unknown or no number.
        """
        parameters = inspect.signature(self.function).parameters
        faults = []
        for key in inputs:
            if key not in parameters:
                close = near(key, parameters)
                meant = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(parameters)}"
                faults.append(f"{key}: unknown input; {meant}")
        for key, parameter in parameters.items():
            if key not in inputs and parameter.default is inspect.Parameter.empty:
                faults.append(f"{key}: required")
            elif key in inputs and not _fits(inputs[key], parameter.default):
                wanted = "a name" if isinstance(parameter.default, str) else "a number"
                faults.append(f"{key}: expected {wanted}, got {show(inputs[key])}")
        if faults:
            raise InvalidInputError(faults, f"rule {self.name}")
        given = {k: inputs.get(k, p.default) for k, p in parameters.items()}
        try:
            value = self.function(**given)
        except (ArithmeticError, ValueError) as exc:
            raise InvalidInputError([f"no finite answer: {exc}"], f"rule {self.name}") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidInputError(["no finite answer"], f"rule {self.name}")
        return Answer(
            rule=self.name,
            value=value,
            unit=self.unit,
            formula=self.formula,
            source=self.source,
            valid_for=self.valid_for,
            inputs=given,
        )


def _fits(value: object, default: object) -> bool:
    """Whether an input is of the kind its parameter takes: a name where the default is one, else a finite number."""
    if isinstance(default, str):
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < 1e300
