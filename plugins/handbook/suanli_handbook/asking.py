"""What the rules ask the estimator, so that its figure can stand beside theirs."""

from __future__ import annotations

from typing import Any

from suanli import Asked, Model, Recipe, Report, SuanliError
from suanli.report import MemoryParts

SEQUENCE = 2048.0
"""Tokens of a sequence where a rule has none and the estimator needs one."""


def whole(name: str, number: float) -> int:
    """A count as the estimator takes it.

    Raises:
        SuanliError: Where it is none.
    """
    if not float(number).is_integer() or number < 1:
        raise SuanliError(f"{name} is no whole number above 0")
    return int(number)


def model_of(asked: Asked) -> Model:
    """The model named; a rule asks where it has been told of one."""
    if asked.model is None:
        raise SuanliError("no model is named")
    return asked.model


def alone(asked: Asked, count: int = 1, **sections: Any) -> Report:
    """The report on the model undivided by tensor and pipeline parallelism, whether or not it fits.

    What the model and its training keep does not depend on the accelerator: where no system is named, the first of
    the catalog that joins so many will do.
    """
    systems = [e.value for e in asked.workspace.catalog().entries("system")]
    wide = (s.id for s in systems if s.reach is None or s.reach >= count)
    system = asked.system.id if asked.system is not None else next(wide, None)
    layout = {"tensor": 1, "pipeline": 1} | sections.pop("layout", {})
    return asked.estimate(system={"name": system, "accelerators": count}, layout=layout, **sections)


def fitting(report: Report) -> Report:
    """A report that can be had.

    Raises:
        SuanliError: Where the scenario cannot run.
    """
    if not report.fits:
        wrong = next((p.message for p in report.problems if p.severity == "error"), "it does not fit")
        raise SuanliError(f"the scenario cannot run: {wrong}")
    return report


def state_bytes(parts: MemoryParts) -> float:
    """Weights, gradients and optimizer states."""
    return parts.weights_bytes + parts.gradients_bytes + parts.optimizer_bytes


def recipe_of(asked: Asked, *bytes: float) -> str:
    """The training recipe named, else one whose Adam keeps so much for a parameter: in all, or part by part.

    Args:
        asked: The question.
        *bytes: Of a parameter in all; or of its weight, of its gradients, and of master weight and states together.

    Raises:
        SuanliError: Where no recipe of the catalog keeps that.
    """
    if asked.recipe is not None:
        return asked.recipe.name
    known: list[Recipe] = [e.value for e in asked.workspace.catalog().entries("recipe")]
    for recipe in known:
        if recipe.kind == "training":
            weights = asked.bytes_of(recipe.weights)
            gradients = asked.bytes_of(recipe.gradients, recipe.main_gradients)
            rest = asked.bytes_of(recipe.master_weights, recipe.optimizer_states, recipe.optimizer_states)
            if bytes in ((weights, gradients, rest), (weights + gradients + rest,)):
                return recipe.name
    raise SuanliError(f"no recipe keeps {' + '.join(f'{b:g}' for b in bytes)} bytes for each parameter; name one")


def trained_alone(
    asked: Asked, recipe: str, *, batch: float = 1.0, sequence: float = SEQUENCE, data: float = 1.0, zero: int = 0
) -> MemoryParts:
    """Memory of an accelerator that trains the whole model, of `data` that do; nothing is made again."""
    micro, ranks = whole("batch", batch), whole("data", data)
    report = alone(
        asked,
        ranks,
        workload={"kind": "pretrain", "sequence": whole("sequence", sequence), "global_batch": micro * ranks},
        layout={"data": ranks, "micro_batch": micro, "zero": zero, "recompute": "none"},
        precision={"recipe": recipe},
        **({} if asked.optimizer is None else {"optimizer": {"name": asked.optimizer.name}}),
    )
    return report.memory.per_accelerator


def kept_bytes(asked: Asked, *, batch: float, sequence: float, **how: Any) -> float:
    """Bytes all layers keep for the backward pass; `how` as :meth:`suanli.Model.saved_activation_bytes` takes it."""
    model = model_of(asked)
    count, length = whole("batch", batch), whole("sequence", sequence)
    of_kind: dict[int, int] = {}
    for layer, kind in enumerate(model.pattern):
        if kind not in of_kind:
            of_kind[kind] = model.saved_activation_bytes(layer=layer, batch=count, sequence=length, **how)
    return float(sum(of_kind[kind] for kind in model.pattern))
