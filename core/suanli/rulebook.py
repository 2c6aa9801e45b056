"""Rules of thumb: named, cited, with what each is valid for and how far it usually lies off."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from suanli.errors import InvalidInputError, SuanliError, clip, near
from suanli.rule_inputs import (
    LOOKED_UP,
    SUBJECTS,
    Asked,
    Found,
    looked_up,
    subjects_of,
    unknown_name,
)
from suanli.rule_kinds import difference, fault_of, fault_of_subject, finite, is_list

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
        inputs: What it was asked with, defaults filled in; None in place of a confidential figure.
        looked_up: The inputs that were read from a model, system or format, and from which.
        exact: The estimator's figure for the same question, where a model or system was named.
        exact_by: What of the estimator that is.
        difference_ratio: Value / exact - 1; of a range, how far the nearer end lies off, 0 within.
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
            and any other takes a list one by one; one annotated as a ``Literal`` takes its values only.
            A parameter ``asked`` is given the :class:`Asked` itself.
        unit: Of what it gives.
        formula: As a person would write it.
        source: Where it is stated.
        valid_for: When it holds.
        cases: Ids of the worked examples it answers.
        reads: Inputs that are looked up under another name than their own, such as ``params`` as ``active_params``.
        exact: The estimator's figure for the same question; a named function, so that the rule pickles.
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
    reads: Mapping[str, str] = attrs.field(factory=dict, eq=False)
    exact: Callable[[Asked], Any] | None = None
    exact_by: str = ""
    exact_needs: tuple[str, ...] = ("model",)
    usual_error: UsualError | None = None

    @classmethod
    def of(cls, name: str, function: Callable[..., Any], text: str, valid_for: str, **about: Any) -> Rule:
        """A rule of a ``@formula``, which knows its unit and its source.

        Args:
            name: Of the rule.
            function: The formula.
            text: It, as a person would write it.
            valid_for: When it holds.
            **about: Any other attribute.
        """
        known = function.formula  # type: ignore[attr-defined]
        stated = {"unit": known.unit, "source": known.source, "formula": text, "valid_for": valid_for}
        return cls(name=name, function=function, **stated | about)

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The inputs of its function, by name."""
        found = inspect.signature(self.function).parameters
        return {name: p for name, p in found.items() if name != CONTEXT}

    @property
    def readable(self) -> Mapping[str, str]:
        """The inputs that can be looked up, and the name in :data:`suanli.rule_inputs.LOOKED_UP` of each."""
        named = {key: self.reads.get(key, key) for key, p in self.parameters.items() if not is_list(p.annotation)}
        return {key: name for key, name in named.items() if name in LOOKED_UP}

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
        reading = Asked(workspace, inputs)
        given, read = self._inputs(reading)
        rows = self._rows(given)
        asked = [Asked(workspace, dict(inputs) | row) for row in rows or [given]]
        values = [self._value(each, row) for each, row in zip(asked, rows or [given], strict=True)]
        shown = dict(inputs) | given | {key: None for key, found in read.items() if found.confidential}
        answer = Answer(
            rule=self.name,
            value=values if rows else values[0],
            unit=self.unit,
            formula=self.formula,
            source=self.source,
            valid_for=self.valid_for,
            inputs=shown,
            looked_up={key: found.whose for key, found in read.items()},
            usual_error=self.usual_error,
        )
        answer = self._beside(answer, asked, several=rows is not None)
        used = reading.used.union(*(each.used for each in asked))
        idle = tuple(f"{s}: nothing here depends on it" for s in inputs if s in SUBJECTS and s not in used)
        return attrs.evolve(answer, notes=(*idle, *answer.notes))

    def _inputs(self, asked: Asked) -> tuple[dict[str, Any], dict[str, Found]]:
        """Every input of the function, and what was looked up of them."""
        readable = self.readable
        wrong = {key: fault for key, value in asked.inputs.items() if (fault := self._fault(key, value))}
        sound = {key: value for key, value in asked.inputs.items() if key not in wrong}
        names = Asked(asked.workspace, sound)  # one of its own: to look a name up is not to use it
        wrong |= {key: fault for key in SUBJECTS if (fault := unknown_name(names, key))}
        faults = [f"{clip(str(key))}: {fault}" for key, fault in wrong.items()]
        given: dict[str, Any] = {}
        read: dict[str, Found] = {}
        for key, parameter in self.parameters.items():
            name = readable.get(key, "")
            if key in asked.inputs:
                given[key] = asked.inputs[key]
                continue
            if not wrong.keys().isdisjoint(subjects_of([name])):
                continue  # told above; nothing can be read from it
            try:
                found = looked_up(asked, name)
            except SuanliError as exc:
                faults.append(f"{key}: {exc}")
                continue
            if found is not None:
                given[key], read[key] = found.value, found
            elif parameter.default is not inspect.Parameter.empty:
                given[key] = parameter.default
            else:
                hint = f"; or give {' or '.join(LOOKED_UP[name].subjects)} to read it from" if name else ""
                faults.append(f"{key}: required{hint}")
        if faults:
            raise InvalidInputError(faults, f"rule {self.name}")
        return given, read

    def _fault(self, key: str, value: Any) -> str:
        """What is wrong with one input, without looking anything up; empty where nothing is."""
        parameters = self.parameters
        if key in parameters:
            return fault_of(value, str(parameters[key].annotation))
        if key in SUBJECTS:
            return fault_of_subject(key, value)
        close = near(key, (*parameters, *SUBJECTS))
        meant = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(parameters) or 'none'}"
        return f"unknown input; {meant}"

    def _rows(self, given: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """The inputs of each element, where an input the function takes singly is a list; else None."""
        kinds = {k: p.annotation for k, p in self.parameters.items()}
        many = {k: v for k, v in given.items() if isinstance(v, (list, tuple)) and not is_list(kinds[k])}
        if not many:
            return None
        lengths = {len(v) for v in many.values()}
        if len(lengths) > 1:
            raise InvalidInputError([f"{', '.join(many)}: lists of different lengths"], f"rule {self.name}")
        return [dict(given) | {k: v[i] for k, v in many.items()} for i in range(lengths.pop())]

    def _value(self, asked: Asked, given: Mapping[str, Any]) -> Any:
        where = f"rule {self.name}"
        context = {CONTEXT: asked} if CONTEXT in inspect.signature(self.function).parameters else {}
        try:
            value = self.function(**context, **given)
        except SuanliError as exc:
            raise InvalidInputError(exc.errors if isinstance(exc, InvalidInputError) else [str(exc)], where) from None
        except (ArithmeticError, ValueError) as exc:
            raise InvalidInputError([f"no finite answer: {exc}"], where) from None
        if not finite(value):
            raise InvalidInputError(["no finite answer"], where)
        return list(value) if isinstance(value, tuple) else value

    def _beside(self, answer: Answer, asked: list[Asked], *, several: bool) -> Answer:
        """The answer with the estimator's figure, where the subjects it needs are named."""
        if self.exact is None:
            return answer
        try:
            if not all(each.knows(s) for each in asked[:MOST_EXACT] for s in self.exact_needs):
                return answer
            if len(asked) > MOST_EXACT:
                raise SuanliError(f"a list of more than {MOST_EXACT} takes too long; ask for fewer at a time")
            found = [self.exact(each) for each in asked]
        except SuanliError as exc:
            return attrs.evolve(answer, exact_by=self.exact_by, notes=(*answer.notes, f"no exact figure: {exc}"))
        if all(f is None for f in found):
            return answer
        exact = found if several else found[0]
        return attrs.evolve(
            answer, exact=exact, exact_by=self.exact_by, difference_ratio=difference(answer.value, exact)
        )


MOST_EXACT = 16
"""The longest list whose estimator's figures are worked out; each may take a search for a layout."""
