"""How far each precision of a model goes on so many accelerators: by estimates, one after another."""

from __future__ import annotations

from typing import Any

import attrs

from suanli.case import Case, product_formats
from suanli.errors import InvalidInputError, ScenarioError, SuanliError
from suanli.planning import counts
from suanli.planning.asked import Candidate, Question
from suanli.planning.fits import Fitting, PrecisionFit
from suanli.planning.trials import fewest_that_could_fit
from suanli.precision import Recipe
from suanli.report import Report
from suanli.resolve import LONGEST_DEFAULT, resolve

MOST_CONTEXT = 10**8
"""Tokens tried, at most: where so many fit, memory sets no limit."""

SEQUENCE_UNIT = 1024
"""Training sequences tried are multiples of so many tokens, or shorter."""

MOST_BATCH = 10**6
"""Requests tried, at most."""

MOST_ACCELERATORS = 2**14
"""Accelerators tried for a precision that does not fit, at most."""


@attrs.define(eq=False)
class Settled:
    """A question of what fits, with its context and batch settled.

    Attributes:
        question: The scenario, and the one system.
        case: It with everything looked up.
        accelerators: How many are asked about.
        context: Tokens of a sequence.
        output: Serving: of which generated.
        batch: Serving: requests at a time; training: sequences of a step.
        why: Where those are from that were not given.
        found: The estimates so far, by recipe, accelerators, context and batch; None where no layout is legal.
        errors: Why not.
    """

    question: Question
    case: Case
    accelerators: int
    context: int
    output: int
    batch: int
    why: str
    found: dict[tuple[str, int, int, int], Report | None] = attrs.Factory(dict)
    errors: dict[str, tuple[str, ...]] = attrs.Factory(dict)

    @property
    def where(self) -> Candidate:
        """The system."""
        return self.question.candidates[0]

    @property
    def serving(self) -> bool:
        """Whether requests are answered."""
        return not self.case.training

    def at(self, recipe: str, accelerators: int, context: int, batch: int) -> Report | None:
        """The estimate of one precision; None where no layout of so many is legal."""
        key = (recipe, accelerators, context, batch)
        if key not in self.found:
            try:
                self.found[key] = self.question.report(self.where, accelerators, self._changes(recipe, context, batch))
            except InvalidInputError as exc:
                self.found[key], self.errors[recipe] = None, exc.errors
        return self.found[key]

    def fits(self, recipe: str, accelerators: int, context: int, batch: int) -> bool:
        """Whether one precision fits."""
        report = self.at(recipe, accelerators, context, batch)
        return report is not None and report.fits

    def _changes(self, recipe: str, context: int, batch: int) -> dict[str, Any]:
        changes: dict[str, Any] = {"precision.recipe": recipe}
        if not self.serving:
            return changes | {"workload.sequence": context, "workload.global_batch": batch}
        one_engine: dict[str, Any] = {} if self.case.scenario.layout.replicas is not None else {"layout.replicas": 1}
        sizes = {"workload.prompt": context - self.output, "workload.output": self.output, "workload.batch": batch}
        return changes | one_engine | sizes


def settled(question: Question, accelerators: int, context: int | None, batch: int | None) -> Settled:
    """A question with its context and batch settled: as given, else by default, and said.

    Raises:
        ScenarioError: Where a context leaves no room for a prompt.
    """
    scenario = question.workspace.scenario({**question.sections, "system": question.candidates[0].section(1)})
    case = resolve(question.workspace.catalog(), scenario, {})
    given: Any = scenario.workload
    why: list[str] = []
    whole: int | None = given.sequence if case.training else None
    if not case.training and given.prompt is not None:
        whole = case.prompt + case.output
    length = context or whole or min(case.model.context or LONGEST_DEFAULT, LONGEST_DEFAULT)
    if context is None and whole is None:
        why.append(f"context {length}: the model's, {LONGEST_DEFAULT} at most")
    output = 0
    if not case.training:
        output = case.output if given.output is not None else min(case.output, max(1, length // 2))
        if output >= length:
            raise ScenarioError([f"context: {length} tokens leave no prompt beside {output} of output"])
        if given.output is None:
            why.append(f"output {output} of it")
    own = case.global_batch if case.training else case.batch or 1
    if batch is None and (given.global_batch if case.training else given.batch) is None:
        why.append(f"batch {own}{': about 4M tokens a step' if case.training else ''}")
    return Settled(question, case, accelerators, length, output, batch or own, "; ".join(why))


def search(asked: Settled) -> Fitting:
    """How far each precision goes; the one given, else every one of the catalog.

    Raises:
        ScenarioError: Where none can be estimated.
    """
    kind = "serving" if asked.serving else "training"
    catalog = asked.question.workspace.catalog()
    recipes: list[Recipe] = [asked.case.recipe]
    if asked.case.scenario.precision.recipe is None:
        recipes = [e.value for e in catalog.entries("recipe") if e.value.kind == kind]
    options = [_precision(asked, recipe) for recipe in recipes]
    if all(o.report is None and o.smallest is None for o in options):
        raise ScenarioError(list(dict.fromkeys(e for errors in asked.errors.values() for e in errors)))

    def width(option: PrecisionFit) -> float:
        weights = catalog.element_bytes.get(option.weights, 0.0)
        return -weights

    return Fitting(
        model=asked.case.model.name,
        kind=asked.case.kind,
        system=asked.where.system.id,
        accelerator=asked.where.accelerator,
        accelerators=asked.accelerators,
        context=asked.context,
        output=asked.output if asked.serving else None,
        batch=asked.batch,
        model_context=asked.case.model.context,
        why=asked.why,
        options=tuple(sorted(options, key=width)),
    )


def _precision(asked: Settled, recipe: Recipe) -> PrecisionFit:
    name, count = recipe.name.removeprefix("serve-"), asked.accelerators
    report = asked.at(name, count, asked.context, asked.batch)
    fits = report is not None and report.fits
    smallest = _smallest(asked, name)
    reason = ""
    if report is None:
        reason = "; ".join(asked.errors.get(name, ()))
    elif not fits:
        reason = next((p.message for p in report.problems if p.severity == "error"), "it does not fit")
    return PrecisionFit(
        recipe=name,
        weights=recipe.weights,
        compute=_compute(asked, recipe),
        fits=fits,
        accelerators=count,
        report=report,
        largest_context=_largest_context(asked, name),
        largest_batch=_largest_batch(asked, name, report) if asked.serving else None,
        smallest=smallest,
        smallest_report=None if smallest is None else asked.at(name, smallest, asked.context, asked.batch),
        reason=reason,
    )


def _compute(asked: Settled, recipe: Recipe) -> str:
    """The format products run in there; empty where there is none."""
    formats = asked.question.workspace.catalog().formats
    try:
        return product_formats(asked.case.device, recipe, formats)[0].compute
    except SuanliError:
        return ""


def _largest_context(asked: Settled, recipe: str) -> int | None:
    """Tokens of the longest sequence that fits alone; 0 for none, None where memory sets no limit.

    Serving: to the token. Training: the longest of those one would choose, a quarter of a power of two apart.
    """
    count, least = asked.accelerators, asked.output + 1
    if asked.serving:
        guess = _room(asked.at(recipe, count, asked.context, asked.batch))
        found = counts.largest(lambda n: asked.fits(recipe, count, n, 1), least, MOST_CONTEXT, guess)
        return None if found == MOST_CONTEXT else 0 if found < least else found
    usual = {n * unit for n in counts.ladder(1, None, MOST_CONTEXT // SEQUENCE_UNIT) for unit in (1, SEQUENCE_UNIT)}
    lengths = sorted({n for n in usual if n < SEQUENCE_UNIT or n % SEQUENCE_UNIT == 0} | {asked.context})

    def fits(place: int) -> bool:
        return asked.fits(recipe, count, lengths[place], asked.batch)

    last = len(lengths) - 1
    place = counts.largest(fits, 0, last, lengths.index(asked.context))
    return None if place == last else 0 if place < 0 else lengths[place]


def _room(report: Report | None) -> int:
    """A guess: the tokens one request has room for."""
    tokens = report.serving.kv_cache_tokens if report is not None and report.serving is not None else None
    return int(tokens or 1)


def _largest_batch(asked: Settled, recipe: str, report: Report | None) -> int | None:
    """Requests of the context asked about that fit at a time; 0 for none, None where memory sets no limit."""
    room = report.serving.max_concurrency if report is not None and report.serving is not None else None

    def fits(batch: int) -> bool:
        return asked.fits(recipe, asked.accelerators, asked.context, batch)

    found = counts.largest(fits, 1, MOST_BATCH, int(room or 1))
    return None if found == MOST_BATCH else found


def _smallest(asked: Settled, recipe: str) -> int | None:
    """The smallest number of accelerators on which it fits as asked; None where none does."""
    least = 1.0

    def fits(count: int) -> bool:
        nonlocal least
        if count < least:
            return False
        report = asked.at(recipe, count, asked.context, asked.batch)
        if report is not None:
            least = max(least, fewest_that_could_fit(report, count, asked.case.device))
        return report is not None and report.fits

    return counts.smallest(fits, asked.where.per_node, asked.where.system.reach, MOST_ACCELERATORS)
