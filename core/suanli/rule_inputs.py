"""What a rule of thumb is asked with: numbers, and the model, system or format they can be looked up from.

A rule of thumb takes plain numbers: ``layers``, ``hidden``, ``peak_flops_per_s``.
Whoever has a model and a machine at hand names them instead, and what the rule needs is read from them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs

from suanli.errors import SuanliError
from suanli.hardware import Accelerator, System
from suanli.models import Model
from suanli.precision import NumberFormat, Recipe
from suanli.rule_kinds import is_whole
from suanli.rule_readings import (
    free_bytes,
    grad_bytes,
    kv_bytes_per_token,
    nominal_params,
    tier,
    training_bytes,
    weights_bytes,
    window,
)
from suanli.tensors import EXPERT_FFN, FFN, HEAD_DIM, HEADS, HIDDEN, KV_HEADS, VOCABULARY

if TYPE_CHECKING:
    from suanli.optimizer import OptimizerRule
    from suanli.report import Report
    from suanli.workspace import Workspace

SUBJECTS = ("model", "system", "accelerator", "precision", "sparse", "recipe", "optimizer")
"""Inputs every rule takes: what the numbers it is not given are looked up from."""

USUAL_PRECISIONS = ("bf16", "fp16")
"""The formats a rule means where none is named, first that the accelerator has."""

USUAL_OPTIMIZER = "adam"
"""The optimizer whose states a recipe is counted with where none is named."""

USUAL_SHAPE = (4096, 4096)
"""The matrix whose optimizer states stand for every parameter's where no model is named."""


@attrs.frozen(eq=False)
class Asked:
    """What a rule was asked with, and whom it can ask for more.

    Attributes:
        workspace: Where names are looked up and scenarios estimated.
        inputs: The inputs given, then those filled in.
        used: The subjects the answer was found to depend on.
    """

    workspace: Workspace
    inputs: Mapping[str, Any]
    used: set[str] = attrs.field(factory=set, init=False)

    def told(self, subject: str) -> Any:
        """A subject as it was given; None where it was not. The answer depends on it from here on."""
        found = self.inputs.get(subject)
        if found is not None:
            self.used.add(subject)
        return found

    def knows(self, subject: str) -> bool:
        """Whether a model, a system (also by its accelerator) or an accelerator (also by its system) is named."""
        named = {"model": self.model, "system": self.system, "accelerator": self.device}
        return named[subject] is not None if subject in named else self.told(subject) is not None

    @functools.cached_property
    def model(self) -> Model | None:
        """The model named."""
        given = self.told("model")
        return None if given is None else self.workspace.model(given)

    @functools.cached_property
    def system(self) -> System | None:
        """The system named, with its `accelerators`; else the default one of the accelerator named."""
        name = self.told("system")
        if name is None and self.told("accelerator") is not None:
            name = self.workspace.accelerator(self.inputs["accelerator"]).default_system
        if name is None:
            return None
        count = self.inputs.get("accelerators")
        return self.workspace.system(name, int(count) if is_whole(count) else None)

    @functools.cached_property
    def device(self) -> Accelerator | None:
        """The accelerator named, else the system's."""
        if self.told("accelerator") is not None:
            return self.workspace.accelerator(self.inputs["accelerator"])
        return None if self.system is None else self.system.device

    @functools.cached_property
    def precision(self) -> NumberFormat | None:
        """The number format named."""
        given = self.told("precision")
        return None if given is None else self.workspace.catalog().get("precision", given)

    @functools.cached_property
    def recipe(self) -> Recipe | None:
        """The precision recipe named."""
        given = self.told("recipe")
        return None if given is None else self.workspace.catalog().get("recipe", given)

    @functools.cached_property
    def optimizer(self) -> OptimizerRule | None:
        """The optimizer named."""
        given = self.told("optimizer")
        return None if given is None else self.workspace.catalog().get("optimizer", given)

    def size(self, role: str) -> int | None:
        """The largest size a role has in the model; None without a model, or where it has no such role."""
        sizes = () if self.model is None else self.model.role_sizes.get(role, ())
        return sizes[-1] if sizes else None

    def peak_flops_per_s(self, *, sparse: bool | None = None) -> float | None:
        """The accelerator's peak in the precision named, dense unless `sparse` says, or was asked for."""
        device = self.device
        if device is None:
            return None
        known = self.workspace.catalog().formats
        if self.precision is not None:
            name = device.computes(self.precision)
        else:
            usual = next((p for p in USUAL_PRECISIONS if device.rates.get(p, 0.0) > 0.0), None)
            name = usual or device.computes(known[USUAL_PRECISIONS[0]])
        sparse = bool(self.told("sparse")) if sparse is None else sparse
        rate = device.peak_flops_per_s(name, sparse=sparse)
        if rate <= 0.0:
            raise SuanliError(f"{device.id} states no {'sparse ' if sparse else ''}{name} peak")
        return rate

    def bytes_of(self, *formats: str | None) -> float:
        """Bytes of an element in each of some formats, all together; None is no tensor."""
        stored = self.workspace.catalog().element_bytes
        return sum(stored[f] for f in formats if f is not None)

    def states_per_parameter(self) -> float:
        """Elements of state the optimizer keeps for a parameter: of the model's tensors, else of a large matrix."""
        return self._states()[0]

    def state_bytes_per_parameter(self) -> float:
        """Bytes of them, in the recipe's format where the optimizer leaves it to that, else fp32."""
        return self._states()[1]

    def _states(self) -> tuple[float, float]:
        rule = self.optimizer or self.workspace.catalog().get("optimizer", USUAL_OPTIMIZER)
        form = (
            None
            if self.recipe is None
            else self.recipe.optimizer_states or self.recipe.master_weights or self.recipe.weights
        )
        shapes: list[tuple[tuple[int, ...], int, OptimizerRule]] = [(USUAL_SHAPE, 1, rule)]
        if self.model is not None:
            owned = [(p, times) for block, times in self.model.parts for p in block.parameters if not p.tied]
            shapes = [(p.matrix, times, rule.rule_for(p)) for p, times in owned]
        elements, size, parameters = 0, 0.0, 0
        for shape, times, each in shapes:
            for state in each.states(shape):
                if not (state.shared or state.host):
                    elements += state.elements * times
                    size += state.elements * times * self.bytes_of(state.format or form or "fp32")
            parameters += math.prod(shape) * times
        return elements / parameters, size / parameters

    def estimate(self, **sections: Mapping[str, Any]) -> Report:
        """The estimator's report on the model and system named; a section given here completes what they say.

        Raises:
            SuanliError: Where the scenario is no legal one.
        """
        model = self.told("model")
        scenario: dict[str, Any] = {"model": {"config" if isinstance(model, Mapping) else "name": model}}
        if self.system is not None:
            scenario["system"] = {"name": self.system.id, "accelerators": self.system.accelerators}
        return self.workspace.estimate(scenario | sections)


class Lookup(NamedTuple):
    """How an input is looked up.

    Attributes:
        subjects: That can tell it; the first named is said to have.
        find: What it is; None where they do not tell.
    """

    subjects: tuple[str, ...]
    find: Callable[[Asked], float | None]


class Found(NamedTuple):
    """An input that was looked up.

    Attributes:
        value: What it is.
        whose: The name of what told it.
        confidential: Whether the value must not be shown.
    """

    value: float
    whose: str
    confidential: bool


MODEL, MACHINE, FORMAT, STATES = ("model",), ("accelerator", "system"), ("precision",), ("optimizer", "recipe")

LOOKED_UP: dict[str, Lookup] = {
    "params": Lookup(MODEL, lambda a: None if a.model is None else float(a.model.parameters.total)),
    "nominal_params": Lookup(MODEL, nominal_params),
    "active_params": Lookup(MODEL, lambda a: None if a.model is None else float(a.model.parameters.active)),
    "layers": Lookup(MODEL, lambda a: None if a.model is None else len(a.model.layers)),
    "hidden": Lookup(MODEL, lambda a: a.size(HIDDEN)),
    "heads": Lookup(MODEL, lambda a: a.size(HEADS)),
    "kv_heads": Lookup(MODEL, lambda a: a.size(KV_HEADS)),
    "head_dim": Lookup(MODEL, lambda a: a.size(HEAD_DIM)),
    "ffn": Lookup(MODEL, lambda a: a.size(FFN) or a.size(EXPERT_FFN)),
    "vocab": Lookup(MODEL, lambda a: a.size(VOCABULARY)),
    "window": Lookup(MODEL, window),
    "kv_bytes_per_token": Lookup(MODEL, kv_bytes_per_token),
    "peak_flops_per_s": Lookup(MACHINE, lambda a: a.peak_flops_per_s()),
    "sparse_peak_flops_per_s": Lookup(MACHINE, lambda a: a.peak_flops_per_s(sparse=True)),
    "bandwidth_bytes_per_s": Lookup(
        MACHINE, lambda a: None if a.device is None else a.device.memory_bandwidth_bytes_per_s
    ),
    "memory_bytes": Lookup(MACHINE, lambda a: None if a.device is None else a.device.capacity_bytes),
    "free_bytes": Lookup((*MACHINE, *MODEL), free_bytes),
    "accelerators": Lookup(("system",), lambda a: None if a.system is None else a.system.accelerators),
    "per_node": Lookup(MACHINE, lambda a: None if a.system is None else a.system.accelerators_per_node),
    "link_bytes_per_s": Lookup(MACHINE, lambda a: tier(a, "bandwidth_bytes_per_s")),
    "hop_s": Lookup(MACHINE, lambda a: tier(a, "latency_s")),
    "bits": Lookup(FORMAT, lambda a: None if a.precision is None else 8.0 * a.precision.bytes_per_element),
    "bytes": Lookup(FORMAT, lambda a: None if a.precision is None else a.precision.bytes_per_element),
    "weights_bytes": Lookup(("recipe",), weights_bytes),
    "grad_bytes": Lookup(("recipe",), grad_bytes),
    "state_bytes": Lookup(STATES, lambda a: a.state_bytes_per_parameter()),
    "states_per_parameter": Lookup(("optimizer",), lambda a: a.states_per_parameter()),
    "bytes_per_parameter": Lookup(("recipe",), training_bytes),
}
"""Inputs that can be looked up: from which subjects, and how."""

OPEN = ("accelerators", "per_node")
"""What may be told of a confidential machine: it is how many, not how fast."""


def looked_up(asked: Asked, name: str) -> Found | None:
    """An input read from the subjects named; None where they do not tell, or it is none that can be looked up.

    Raises:
        SuanliError: Where the subject cannot have it, such as a peak of a format the accelerator lacks.
    """
    if name not in LOOKED_UP:
        return None
    subjects, find = LOOKED_UP[name]
    named = tuple(s for s in subjects if asked.inputs.get(s) is not None)
    value = find(asked) if named else None
    if value is None:
        return None
    whose = asked.inputs[named[0]]
    machine = set(MACHINE) <= set(subjects) and name not in OPEN
    hidden = machine and any(part is not None and part.confidential for part in (asked.device, asked.system))
    return Found(value, whose if isinstance(whose, str) else "the model given", hidden)


def subjects_of(parameters: Iterable[str]) -> frozenset[str]:
    """The subjects that can tell something about these inputs."""
    names = [name for name in parameters if name in LOOKED_UP]
    found = {s for name in names for s in LOOKED_UP[name].subjects}
    return frozenset(found | {"precision", "sparse"} if any("peak_flops" in n for n in names) else found)


def unknown_name(asked: Asked, subject: str) -> str:
    """What is wrong with the name of a subject; empty where nothing is."""
    if asked.inputs.get(subject) is None or subject == "sparse":
        return ""
    try:
        getattr(asked, "device" if subject == "accelerator" else subject)
    except SuanliError as exc:
        return str(exc)
    return ""
