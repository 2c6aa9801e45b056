"""What a rule of thumb is asked with: numbers, and the model, system or format they can be looked up from.

A rule of thumb takes plain numbers: ``layers``, ``hidden``, ``peak_flops_per_s``.
Whoever has a model and a machine at hand names them instead, and what the rule needs is read from them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from suanli.errors import SuanliError
from suanli.hardware import Accelerator, System
from suanli.models import Model
from suanli.precision import NumberFormat
from suanli.tensors import EXPERT_FFN, FFN, HEAD_DIM, HEADS, HIDDEN, KV_HEADS, VOCABULARY

if TYPE_CHECKING:
    from suanli.optimizer import OptimizerRule
    from suanli.report import Report
    from suanli.workspace import Workspace

SUBJECTS = ("model", "system", "accelerator", "precision", "sparse", "optimizer")
"""Inputs every rule takes: what the numbers it is not given are looked up from."""

USUAL_PRECISIONS = ("bf16", "fp16")
"""The formats a rule means where none is named, first that the accelerator has."""


@attrs.frozen(eq=False)
class Asked:
    """What a rule was asked with, and whom it can ask for more.

    Attributes:
        workspace: Where names are looked up and scenarios estimated.
        inputs: The inputs given, then those filled in.
    """

    workspace: Workspace
    inputs: Mapping[str, Any]

    @functools.cached_property
    def model(self) -> Model | None:
        """The model named."""
        given = self.inputs.get("model")
        return None if given is None else self.workspace.model(given)

    @functools.cached_property
    def system(self) -> System | None:
        """The system named, with its `accelerators`; else the default one of the accelerator named."""
        name = self.inputs.get("system")
        if name is None and self.inputs.get("accelerator") is not None:
            name = self.workspace.accelerator(self.inputs["accelerator"]).default_system
        if name is None:
            return None
        count = self.inputs.get("accelerators")
        whole = isinstance(count, (int, float)) and not isinstance(count, bool) and float(count).is_integer()
        return self.workspace.system(name, int(count) if whole else None)  # type: ignore[arg-type]

    @functools.cached_property
    def device(self) -> Accelerator | None:
        """The accelerator named, else the system's."""
        if self.inputs.get("accelerator") is not None:
            return self.workspace.accelerator(self.inputs["accelerator"])
        return None if self.system is None else self.system.device

    @functools.cached_property
    def precision(self) -> NumberFormat | None:
        """The number format named."""
        given = self.inputs.get("precision")
        return None if given is None else self.workspace.catalog().get("precision", given)

    @functools.cached_property
    def optimizer(self) -> OptimizerRule | None:
        """The optimizer named."""
        given = self.inputs.get("optimizer")
        return None if given is None else self.workspace.catalog().get("optimizer", given)

    def size(self, role: str) -> int | None:
        """The largest size a role has in the model; None without a model, or where it has no such role."""
        sizes = () if self.model is None else self.model.role_sizes.get(role, ())
        return sizes[-1] if sizes else None

    def peak_flops_per_s(self) -> float | None:
        """The accelerator's peak in the precision named, dense unless `sparse` is asked for."""
        device = self.device
        if device is None:
            return None
        known = self.workspace.catalog().formats
        if self.precision is not None:
            name = device.computes(self.precision)
        else:
            usual = next((p for p in USUAL_PRECISIONS if device.rates.get(p, 0.0) > 0.0), None)
            name = usual or device.computes(known[USUAL_PRECISIONS[0]])
        rate = device.peak_flops_per_s(name, sparse=bool(self.inputs.get("sparse", False)))
        if rate <= 0.0:
            raise SuanliError(f"{device.id} states no {'sparse ' if self.inputs.get('sparse') else ''}{name} peak")
        return rate

    def estimate(self, **sections: Mapping[str, Any]) -> Report:
        """The estimator's report on the model and system named; a section given here completes what they say.

        Raises:
            SuanliError: Where the scenario is no legal one.
        """
        scenario: dict[str, Any] = {"model": {"name": self.inputs.get("model")}}
        if self.system is not None:
            scenario["system"] = {"name": self.system.id, "accelerators": self.system.accelerators}
        return self.workspace.estimate(scenario | sections)


Found = Callable[[Asked], float | None]

MODEL, MACHINE, FORMAT = ("model",), ("accelerator", "system"), ("precision",)

LOOKED_UP: dict[str, tuple[tuple[str, ...], Found]] = {
    "params": (MODEL, lambda a: None if a.model is None else float(a.model.parameters.total)),
    "active_params": (MODEL, lambda a: None if a.model is None else float(a.model.parameters.active)),
    "layers": (MODEL, lambda a: None if a.model is None else len(a.model.layers)),
    "hidden": (MODEL, lambda a: a.size(HIDDEN)),
    "heads": (MODEL, lambda a: a.size(HEADS)),
    "kv_heads": (MODEL, lambda a: a.size(KV_HEADS)),
    "head_dim": (MODEL, lambda a: a.size(HEAD_DIM)),
    "ffn": (MODEL, lambda a: a.size(FFN) or a.size(EXPERT_FFN)),
    "vocab": (MODEL, lambda a: a.size(VOCABULARY)),
    "peak_flops_per_s": (MACHINE, lambda a: a.peak_flops_per_s()),
    "bandwidth_bytes_per_s": (MACHINE, lambda a: None if a.device is None else a.device.memory_bandwidth_bytes_per_s),
    "memory_bytes": (MACHINE, lambda a: None if a.device is None else a.device.capacity_bytes),
    "accelerators": (("system",), lambda a: None if a.system is None else a.system.accelerators),
    "per_node": (MACHINE, lambda a: None if a.system is None else a.system.accelerators_per_node),
    "link_bytes_per_s": (MACHINE, lambda a: _tier(a, "bandwidth_bytes_per_s")),
    "hop_s": (MACHINE, lambda a: _tier(a, "latency_s")),
    "bits": (FORMAT, lambda a: None if a.precision is None else 8.0 * a.precision.bytes_per_element),
    "bytes": (FORMAT, lambda a: None if a.precision is None else a.precision.bytes_per_element),
}
"""Inputs that can be looked up: from which subjects, and how."""


def _tier(asked: Asked, field: str) -> float | None:
    """A figure of the innermost tier of the system's network."""
    if asked.system is None or not asked.system.tiers:
        return None
    found: float | None = getattr(asked.system.tiers[0], field)
    return found


def looked_up(asked: Asked, name: str) -> tuple[float, str] | None:
    """An input read from the subjects named, and which one; None where they do not tell.

    Raises:
        SuanliError: Where the subject cannot have it, such as a peak of a format the accelerator lacks.
    """
    subjects, find = LOOKED_UP.get(name, ((), lambda _: None))
    whose = next((asked.inputs[s] for s in subjects if asked.inputs.get(s) is not None), None)
    value = None if whose is None else find(asked)
    return None if value is None else (value, whose if isinstance(whose, str) else "the model given")


def subjects_of(parameters: Iterable[str]) -> frozenset[str]:
    """The subjects that can tell something about these inputs."""
    found = {s for name in parameters if name in LOOKED_UP for s in LOOKED_UP[name][0]}
    return frozenset(found | {"precision", "sparse"} if "accelerator" in found else found)
