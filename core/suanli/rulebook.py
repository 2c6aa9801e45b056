"""Rules of thumb: named, cited, with what each is valid for and how far it usually lies off."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from suanli.errors import InvalidInputError, SuanliError, near, show
from suanli.rule_inputs import LOOKED_UP, SUBJECTS, Asked, looked_up, subjects_of

if TYPE_CHECKING:
    from suanli.workspace import Workspace

CONTEXT = "asked"
"""A parameter of this name is given the :class:`Asked` itself: such a rule looks things up rather than computing."""


@attrs.frozen(kw_only=True)
class UsualError:
    """How far a rule lies from the estimator over many scenarios: rule / estimator - 1, so signed.

    Attributes:
        median: Of all of them; the rule's bias.
        low: 10th percentile.
        high: 90th percentile.
        count: Scenarios it was held against.
        over: Which scenarios.
    """

    median: float
    low: float
    high: float
    count: int
    over: str


@attrs.frozen(kw_only=True)
class Answer:
    """What a rule says.

    Attributes:
        rule: Its name.
        value: The figure; a list where an input was a list, or where the rule gives several.
        unit: Of the figure.
        formula: As a person would write it.
        source: Where it is stated.
        valid_for: When it holds.
        inputs: What it was asked with, defaults filled in.
        looked_up: The inputs that were read from a model, system or format, and from which.
        exact: The estimator's figure for the same question, where a model or system was named.
        exact_by: What of the estimator that is.
        difference_ratio: Value / exact - 1.
        usual_error: How far the rule lies off over the models known.
        notes: What a reader should know, such as why there is no exact figure.
    """

    rule: str
    value: Any
    unit: str
    formula: str
    source: str
    valid_for: str
    inputs: Mapping[str, Any] = attrs.field(eq=False)
    looked_up: Mapping[str, str] = attrs.field(factory=dict, eq=False)
    exact: Any = None
    exact_by: str = ""
    difference_ratio: Any = None
    usual_error: UsualError | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON-ready data."""
        return attrs.asdict(self) | {"notes": list(self.notes)}


@attrs.frozen(kw_only=True)
class Rule:
    """A rule of thumb.

    Attributes:
        name: Such as ``"kv-cache"``.
        aliases: Other names.
        function: A formula of keyword arguments. An input that :data:`suanli.rule_inputs.LOOKED_UP` names is read
            from the model, system or format named, where it is not given; one annotated as a tuple takes a list whole,
            and any other takes a list one by one. A parameter ``asked`` is given the :class:`Asked` itself.
        unit: Of what it gives.
        formula: As a person would write it.
        source: Where it is stated.
        valid_for: When it holds.
        cases: Ids of the worked examples it answers.
        exact: The estimator's figure for the same question.
        exact_by: What of the estimator that is, in words.
        exact_needs: The subjects it must be told: ``"model"``, ``"system"`` (or its accelerator).
        usual_error: How far the rule lies from that figure, over many scenarios.
    """

    name: str
    aliases: tuple[str, ...] = ()
    function: Callable[..., Any]
    unit: str
    formula: str
    source: str
    valid_for: str
    cases: tuple[str, ...] = ()
    exact: Callable[[Asked], Any] | None = None
    exact_by: str = ""
    exact_needs: tuple[str, ...] = ("model",)
    usual_error: UsualError | None = None

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The inputs of its function, by name."""
        found = inspect.signature(self.function).parameters
        return {name: p for name, p in found.items() if name != CONTEXT}

    def __call__(self, **inputs: Any) -> Answer:
        """The rule's answer in the default workspace; see :meth:`ask`."""
        from suanli.workspace import default

        return self.ask(default(), inputs)

    def ask(self, workspace: Workspace, inputs: Mapping[str, Any]) -> Answer:
        """The rule's answer, and the estimator's beside it where a model or system is named.

        Args:
            workspace: Where names are looked up.
            inputs: Under the names of the function's parameters, and any of :data:`SUBJECTS`.

        Raises:
            InvalidInputError: Naming every input that is missing, unknown or of the wrong kind.
        """
        asked = Asked(workspace, dict(inputs))
        given, read = self._inputs(asked)
        where = f"rule {self.name}"
        value = self._value(Asked(workspace, dict(inputs) | given), given, where)
        answer = Answer(
            rule=self.name,
            value=value,
            unit=self.unit,
            formula=self.formula,
            source=self.source,
            valid_for=self.valid_for,
            inputs={k: v for k, v in inputs.items() if k not in given} | given,
            looked_up=read,
            usual_error=self.usual_error,
            notes=tuple(f"{k}: nothing here depends on it" for k in inputs if k in SUBJECTS and not self._heeds(k)),
        )
        return self._beside(answer, Asked(workspace, dict(inputs) | given))

    def _heeds(self, subject: str) -> bool:
        """Whether anything of the answer can depend on a subject."""
        if subject in self.parameters or CONTEXT in inspect.signature(self.function).parameters:
            return True
        return subject in subjects_of(self.parameters) or (self.exact is not None)

    def _inputs(self, asked: Asked) -> tuple[dict[str, Any], dict[str, str]]:
        """Every input of the function, and which of them were looked up where."""
        parameters = self.parameters
        faults = [f for key, value in asked.inputs.items() for f in self._faults(key, value)]
        bad = {k: f for k in SUBJECTS if asked.inputs.get(k) is not None for f in _unknown(asked, k)}
        faults += bad.values()
        given: dict[str, Any] = {}
        read: dict[str, str] = {}
        for key, parameter in parameters.items():
            if key in asked.inputs:
                given[key] = asked.inputs[key]
                continue
            if not bad.keys().isdisjoint(subjects_of([key])):
                continue  # told above; nothing can be read from it
            try:
                found = looked_up(asked, key)
            except SuanliError as exc:
                faults.append(f"{key}: {exc}")
                continue
            if found is not None:
                given[key], read[key] = found
            elif parameter.default is not inspect.Parameter.empty:
                given[key] = parameter.default
            else:
                hint = f"; or give {' or '.join(LOOKED_UP[key][0])} to read it from" if key in LOOKED_UP else ""
                faults.append(f"{key}: required{hint}")
        if faults:
            raise InvalidInputError(faults, f"rule {self.name}")
        return given, read

    def _faults(self, key: str, value: Any) -> list[str]:
        """What is wrong with one input, without looking anything up."""
        parameters = self.parameters
        if key not in parameters:
            if key in SUBJECTS:
                return [] if _fits_subject(key, value) else [f"{key}: expected a name, got {show(value)}"]
            close = near(key, (*parameters, *SUBJECTS))
            meant = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(parameters) or 'none'}"
            return [f"{key}: unknown input; {meant}"]
        kind = str(parameters[key].annotation)
        if "tuple" in kind:
            many = isinstance(value, (list, tuple)) and 0 < len(value) <= MOST
            inner = "str" if "str" in kind else "float"
            if many and all(_fits(v, inner) for v in value):
                return []
            return [f"{key}: expected a list of {'names' if inner == 'str' else 'numbers'}, got {show(value)}"]
        values = value if isinstance(value, (list, tuple)) and 0 < len(value) <= MOST else [value]
        if all(_fits(v, kind) for v in values):
            return []
        wanted = "a name" if "str" in kind else "true or false" if kind == "bool" else "a number"
        return [f"{key}: expected {wanted}, got {show(value)}"]

    def _value(self, asked: Asked, given: Mapping[str, Any], where: str) -> Any:
        """The function's value; of each element where an input it takes singly is a list."""
        parameters = self.parameters
        many = {
            k: v
            for k, v in given.items()
            if isinstance(v, (list, tuple)) and "tuple" not in str(parameters[k].annotation)
        }
        context = {CONTEXT: asked} if CONTEXT in inspect.signature(self.function).parameters else {}
        if not many:
            return self._one(context | dict(given), where)
        lengths = {len(v) for v in many.values()}
        if len(lengths) > 1:
            raise InvalidInputError([f"{', '.join(many)}: lists of different lengths"], where)
        rows = [{k: v[i] for k, v in many.items()} for i in range(lengths.pop())]
        return [self._one(context | dict(given) | row, where) for row in rows]

    def _one(self, given: Mapping[str, Any], where: str) -> Any:
        try:
            value = self.function(**given)
        except (ArithmeticError, ValueError) as exc:
            raise InvalidInputError([f"no finite answer: {exc}"], where) from None
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidInputError(["no finite answer"], where)
        return list(value) if isinstance(value, tuple) else value

    def _beside(self, answer: Answer, asked: Asked) -> Answer:
        """The answer with the estimator's figure, where the subjects it needs are named."""
        if self.exact is None:
            return answer
        try:
            have = {"model": asked.model, "system": asked.system, "accelerator": asked.device}
            if any(have.get(s) is None for s in self.exact_needs):
                return answer
            exact = self.exact(asked)
        except SuanliError as exc:
            return attrs.evolve(answer, exact_by=self.exact_by, notes=(*answer.notes, f"no exact figure: {exc}"))
        if exact is None:
            return answer
        return attrs.evolve(
            answer, exact=exact, exact_by=self.exact_by, difference_ratio=_difference(answer.value, exact)
        )


MOST = 4096
"""The longest list an input may be."""


def _unknown(asked: Asked, key: str) -> list[str]:
    """What is wrong with the name of a subject."""
    try:
        getattr(asked, {"accelerator": "device", "sparse": "inputs"}.get(key, key))
    except SuanliError as exc:
        return [f"{key}: {exc}"]
    return []


def _difference(value: Any, exact: Any) -> Any:
    """Value / exact - 1, one by one in lists; None where that has no meaning."""
    if isinstance(value, list) and isinstance(exact, (list, tuple)) and len(value) == len(exact):
        return [_difference(v, e) for v, e in zip(value, exact, strict=True)]
    numbers = all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in (value, exact))
    return float(value) / float(exact) - 1.0 if numbers and exact else None


def _fits_subject(key: str, value: object) -> bool:
    if key == "sparse":
        return isinstance(value, bool)
    return isinstance(value, str) or (key == "model" and isinstance(value, Mapping))


def _fits(value: object, kind: str) -> bool:
    """Whether an input is of the kind its parameter is annotated with: a name, a truth value, else a finite number."""
    if kind == "Any":
        return True
    if "str" in kind:
        return isinstance(value, str)
    if kind == "bool":
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < 1e300
