"""Optimizers, formats, recipes, rules of parallelism, schedules, stages and rules of thumb."""

from __future__ import annotations

import inspect
from typing import Any

import attrs

from suanli.errors import SuanliError, clip
from suanli.precision import NumberFormat, Recipe
from suanli.report import SECTIONS
from suanli.testing.checks.registry import Faults, Subject, check

SHAPES = ((1,), (4096,), (64, 64), (1024, 4096), (8192, 8192))


@check("optimizer", rule="an optimizer states the tensors each parameter shape needs (optimizer.OptimizerRule)")
def states_are_sound(subject: Subject) -> Faults:
    """States have names, whole sizes and known formats, and are the same each time."""
    known = subject.workspace.catalog().formats
    for shape in SHAPES:
        states = tuple(subject.value.states(shape))
        if states != tuple(subject.value.states(shape)):
            yield f"states of shape {shape} differ the second time"
        for state in states:
            if not isinstance(state.elements, int) or state.elements < 0:
                yield f"state {state.name!r} of shape {shape} has {state.elements!r} elements"
            if state.format is not None and state.format not in known:
                yield f"state {state.name!r} is in {state.format!r}, which is no known format"


@check("optimizer", rule="a larger parameter never needs less state (optimizer.OptimizerRule)")
def states_grow_with_shape(subject: Subject) -> Faults:
    """Bytes of state grow with the rows of a matrix."""
    known = subject.workspace.catalog().element_bytes
    held = [
        sum(s.elements * known[s.format or "fp32"] for s in subject.value.states((rows, 4096)))
        for rows in (1024, 2048, 8192)
    ]
    if held != sorted(held):
        yield f"matrices of 1024, 2048 and 8192 rows need {held} bytes of state"


@check("precision", rule="a format falls back to wider ones that are in the catalog (precision.NumberFormat)")
def wider_formats_are_wider(subject: Subject) -> Faults:
    """The formats a product falls back to are known, and hold what this one holds."""
    number: NumberFormat = subject.value
    known = subject.workspace.catalog().formats
    for name in (number.compute, *number.wider):
        if name not in known:
            yield f"{name!r} is no known format"
        elif known[name].bits < number.bits and name in number.wider:
            yield f"falls back to {name!r}, which has fewer bits"
    if not 1 <= number.stored_bits <= 128 or number.stored_bits < number.bits:
        yield f"{number.bits} bits are stored in {number.stored_bits}; both are bits, not bytes"


@check("recipe", rule="a recipe's formats are in the catalog (hookspecs, suanli_precisions)")
def formats_resolve(subject: Subject) -> Faults:
    """Every format a recipe mentions is known, and its kind is one of the two."""
    recipe: Recipe = subject.value
    known = subject.workspace.catalog().formats
    for name in recipe.formats():
        if name not in known:
            yield f"{name!r} is no known format"
    if recipe.kind not in ("training", "serving"):
        yield f"kind {recipe.kind!r} is neither 'training' nor 'serving'"


@check("parallelism", rule="an axis of one rank divides nothing (parallelism.ParallelismRule)")
def one_rank_divides_nothing(subject: Subject) -> Faults:
    """A degree of 1 is legal for every model, and its field can be a key of a file."""
    rule = subject.value
    if not rule.field.isidentifier() or not rule.field.islower():
        yield f"field {rule.field!r} is no lower-case key"
    for entry in subject.workspace.catalog().entries("model")[:3]:
        try:
            model = subject.workspace.model(entry.name)
        except SuanliError:
            continue
        for fault in rule.faults(1, model):
            yield f"refuses a degree of 1: {fault}"


@check("schedule", rule="a schedule's bubble and memory lie within their bounds (parallelism.PipelineSchedule)")
def schedule_is_within_bounds(subject: Subject) -> Faults:
    """One stage has no bubble; no stage holds more than every micro batch."""
    schedule = subject.value
    chunks = 2.0 if schedule.chunked else 1.0
    alone = schedule.bubble_s(slowest_s=1.0, total_s=1.0, stages=1.0, chunks=chunks)
    if abs(alone) > 1e-12:
        yield f"one stage waits {alone} s for nobody"
    for stages in (2.0, 4.0, 8.0):
        bubble = schedule.bubble_s(slowest_s=1.0, total_s=stages, stages=stages, chunks=chunks)
        if not 0.0 <= bubble <= stages:
            yield f"{stages:g} stages of 1 s have a bubble of {bubble} s"
        for micro in (1.0, 8.0, 64.0):
            held = schedule.in_flight(stage=0.0, stages=stages, micro_batches=micro, chunks=chunks)
            if not 0.0 < held <= micro + 1.0:
                yield f"the first of {stages:g} stages holds {held:g} of {micro:g} micro batches"


@check("stage", rule="a stage gives the keys it says (stages.Stage)")
def stage_gives_what_it_says(subject: Subject) -> Faults:
    """Run on a plain scenario, a stage gives every key it declares and no other."""
    from suanli.layout import Degrees, fields_of
    from suanli.stages import order
    from suanli.testing.runs import resolved

    workspace, stage = subject.workspace, subject.value
    for kind in stage.workloads:
        scenario = _plain(kind)
        case = resolved(scenario, workspace)
        report = workspace.estimate(scenario)
        case.layout = report.layout
        catalog = workspace.catalog()
        entries = catalog.replaced("stage", catalog.entries("stage"))
        steps = order([e.value for e in entries if kind in e.value.workloads], axes=workspace.axes())
        if stage.name not in [s.stage.name for s in steps]:
            yield f"is not run for {kind}: nothing needs what it gives, or another replaces it"
            continue
        given: dict[str, Any] = {}
        numbers, names = fields_of(report.layout)
        for step in steps:
            allowed = frozenset((*numbers, *names))
            view = Degrees(numbers, names, allowed, step.stage.name)
            made = dict(step.stage.run(case, view, given))
            if step.stage.name == stage.name:
                missing, more = set(stage.gives) - made.keys(), made.keys() - set(stage.gives)
                if missing:
                    yield f"says it gives {', '.join(sorted(missing))} for {kind}, and does not"
                if more:
                    yield f"gives {', '.join(sorted(more))} for {kind} without saying so"
                break
            given |= made


@check("exporter", rule="an exporter writes text or bytes, the same each time (hookspecs, suanli_exporters)")
def exporter_writes_reports(subject: Subject) -> Faults:
    """Reports of every kind it names are written, those with figures that are not known too."""
    for kind in subject.value.kinds:
        report = subject.workspace.estimate(_plain(kind))
        unknown = {name: cls() for name, cls in SECTIONS.items() if getattr(report, name) is not None}
        bare = attrs.evolve(report, memory=attrs.evolve(report.memory, capacity_bytes=None), **unknown)
        for what, given in ((f"a report on {kind}", report), (f"a report on {kind} without figures", bare)):
            try:
                written = subject.value.write(given)
                again = subject.value.write(given)
            except Exception as exc:
                yield f"{what} is not written: {clip(f'{type(exc).__name__}: {exc}', 200)}"
                continue
            if not isinstance(written, (str, bytes)):
                yield f"{what} is written as {type(written).__name__}, not as text or bytes"
            elif not written.strip():
                yield f"{what} is written as nothing"
            elif written != again:
                yield f"{what} is written otherwise the second time"


def _plain(kind: str) -> dict[str, Any]:
    if kind == "serve":
        workload: dict[str, Any] = {"kind": kind, "prompt": 128, "output": 16, "batch": 1}
    else:
        workload = {"kind": kind, "tokens": "1G", "sequence": 2048, "global_batch": 64}
    return {
        "model": {"name": "llama-7b"},
        "system": {"name": "dgx-a100", "accelerators": 8},
        "workload": workload,
        "layout": {"tensor": 2, "pipeline": 1}
        | ({} if kind == "serve" else {"micro_batch": 1, "zero": 1, "recompute": "none"}),
    }


@check("rule", rule="a rule of thumb says what it gives, when it holds and who states it (rulebook.Rule)")
def rule_explains_itself(subject: Subject) -> Faults:
    """Unit, formula, validity and a line of help are there; its inputs have names."""
    rule = subject.value
    for field in ("unit", "formula", "source", "valid_for"):
        if not getattr(rule, field).strip():
            yield f"`{field}` is empty"
    if not (inspect.getdoc(rule.function) or "").strip():
        yield "its function has no docstring"
    for name, parameter in rule.parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            yield f"input {name!r} must be keyword-only: def rule(*, {name}: float)"
