"""Which layouts are legal, and which values of a field are worth trying."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs

from suanli.case import Case
from suanli.errors import UnknownNameError
from suanli.layout import NUMERIC, Layout
from suanli.numeric import Flag
from suanli.parallelism import role_sizes
from suanli.tensors import EXPERT_FFN, EXPERTS


@attrs.frozen
class Condition:
    """A law a layout obeys.

    Attributes:
        path: The field to change where it is broken.
        after: The last of the fields it ties, in the order a search fills them in.
        holds: From the fields of a layout, numbers or columns.
        says: What is wrong, from the fields of one layout.
    """

    path: str
    after: str
    holds: Callable[[Any], Flag]
    says: Callable[[Any], str]


def conditions(
    case: Case, *, schedule: str, sequence_parallel: bool, strict_zero: bool = False
) -> tuple[Condition, ...]:
    """The laws that tie fields together; those of one axis alone are the rules' own."""
    world = float(case.system.accelerators)
    layers = len(case.model.layers)
    found = [
        Condition(
            "layout.pipeline",
            "virtual_stages",
            lambda x: x.pipeline * x.virtual_stages <= layers,
            lambda x: (
                f"{x.pipeline:.0f} stages of {x.virtual_stages:.0f} chunks need as many layers; "
                f"{case.model.name} has {layers}"
            ),
        ),
        Condition(
            "layout.expert",
            "",
            lambda x: (x.tensor * x.context * x.data * x.attention_data) % (x.expert * x.expert_tensor) == 0,
            lambda x: (
                f"expert x expert_tensor = {x.expert * x.expert_tensor:.0f} does not divide the "
                f"{x.tensor * x.context * x.data * x.attention_data:.0f} ranks of a stage"
            ),
        ),
        Condition(
            "layout.expert_tensor",
            "",
            lambda x: all_hold(size % x.expert_tensor == 0 for size in role_sizes(case.model, EXPERT_FFN)),
            lambda x: (
                f"{x.expert_tensor:.0f} does not divide the "
                f"{role_sizes(case.model, EXPERT_FFN)} inner width of an expert"
            ),
        ),
        Condition(
            "layout.expert_tensor",
            "",
            lambda x: (x.tensor % x.expert_tensor == 0) | (x.expert_tensor % x.tensor == 0),
            lambda x: f"{x.expert_tensor:.0f} and tensor {x.tensor:.0f} do not divide each other",
        ),
    ]
    extra = [f for f in case.axes if f not in NUMERIC]

    def ranks(x: Any) -> Any:
        count = x.tensor * x.pipeline * x.context * x.data * x.attention_data * x.replicas
        for field in extra:
            count = count * x[field]
        return count

    found.append(
        Condition(
            "layout.data" if case.training else "layout.replicas",
            "",
            lambda x: ranks(x) == world,
            lambda x: f"the degrees multiply to {ranks(x):.0f} ranks, the system has {world:.0f} accelerators",
        )
    )
    if not case.training:
        return tuple(found)
    batch = float(case.global_batch)
    chunked = case.schedules[schedule].chunked
    found += [
        Condition(
            "layout.micro_batch",
            "micro_batch",
            lambda x: batch % (x.data * x.micro_batch) == 0,
            lambda x: (
                f"data {x.data:.0f} x micro_batch {x.micro_batch:.0f} does not divide the global batch of {batch:.0f}"
            ),
        ),
        Condition(
            "layout.context",
            "",
            lambda x: case.sequence % x.context == 0,
            lambda x: f"{x.context:.0f} does not divide the sequence of {case.sequence}",
        ),
        Condition(
            "layout.virtual_stages",
            "virtual_stages",
            lambda x: (x.virtual_stages > 1) == chunked,
            lambda x: (
                f"schedule {schedule!r} {'needs several chunks' if chunked else 'has one chunk'} on a stage, "
                f"got {x.virtual_stages:.0f}"
            ),
        ),
    ]
    if chunked:
        found += [
            Condition(
                "layout.schedule",
                "",
                lambda x: x.pipeline > 1,
                lambda x: f"{schedule!r} needs at least two pipeline stages",
            ),
            Condition(
                "layout.micro_batch",
                "micro_batch",
                lambda x: (batch / (x.data * x.micro_batch)) % x.pipeline == 0,
                lambda x: (
                    f"{schedule!r} needs micro batches a multiple of the {x.pipeline:.0f} stages, "
                    f"got {batch / (x.data * x.micro_batch):.0f}"
                ),
            ),
        ]
    if strict_zero:
        found.append(
            Condition(
                "layout.zero",
                "zero",
                lambda x: (x.zero <= 1) | (x.pipeline == 1),
                lambda x: "ZeRO 2 and 3 exchange gradients for every micro batch of a pipeline; choose 0 or 1",
            )
        )
    if case.has_experts and not sequence_parallel:
        found.append(
            Condition(
                "layout.sequence_parallel",
                "",
                lambda x: x.tensor == 1,
                lambda x: "experts trained with tensor parallelism need sequence_parallel = true",
            )
        )
    return tuple(found)


def all_hold(flags: Iterable[Flag]) -> Flag:
    """Whether every flag holds, element by element; true of none."""
    found: Flag = True
    for flag in flags:
        found = found & flag
    return found


class _View:
    """A layout whose every field is a float, axes of plugins among them."""

    def __init__(self, layout: Layout) -> None:
        self._fields = {f: float(getattr(layout, f)) for f in NUMERIC} | {f: float(d) for f, d in layout.extra}

    def __getattr__(self, field: str) -> float:
        return self._fields.get(field, 1.0)

    __getitem__ = __getattr__


def faults(case: Case, layout: Layout) -> Iterator[str]:
    """What is wrong with one layout, each as ``"path: what is wrong"``."""
    if layout.schedule not in case.schedules:
        yield f"layout.schedule: {UnknownNameError('pipeline schedule', layout.schedule, case.schedules)}"
        return
    degrees = layout.to_dict()
    axis_faults = []
    for field, rule in case.axes.items():
        for fault in rule.faults(int(degrees.get(field, 1)), case.model):
            axis_faults.append(f"layout.{field}: {fault}")
    if axis_faults:  # what follows from them is not worth telling
        yield from axis_faults
        return
    view = _View(layout)
    for law in conditions(case, schedule=layout.schedule, sequence_parallel=layout.sequence_parallel):
        if not law.holds(view):
            yield f"{law.path}: {law.says(view)}"


def divisors(number: int) -> tuple[int, ...]:
    """Every divisor of a number, smallest first."""
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return tuple(sorted({*small, *(number // d for d in small)}))


def domains(case: Case, given: dict[str, tuple[Any, ...]], *, wide: bool) -> dict[str, tuple[Any, ...]]:
    """The values to try of each field: those given, else what is worth trying.

    Args:
        case: Without a layout.
        given: Values asked for, by field.
        wide: Every legal value, as a search wants; else those a person would try first.
    """
    world = case.system.accelerators
    ranks = divisors(world)
    node = case.system.tiers[0].span or case.system.accelerators_per_node if case.system.tiers else 1
    layers = len(case.model.layers)

    def fit(axis: str, values: Any) -> tuple[int, ...]:
        rule = case.axes.get(axis)
        return tuple(v for v in values if rule is None or not any(True for _ in rule.faults(v, case.model))) or (1,)

    experts = role_sizes(case.model, EXPERTS)
    tensor = fit("tensor", [d for d in ranks if d <= (64 if wide else node)])
    found: dict[str, tuple[Any, ...]] = {
        "tensor": tensor,
        "expert": fit("expert", [d for d in ranks if experts and d <= max(experts)]) if experts else (1,),
        "expert_tensor": tuple(sorted({1, *given.get("tensor", tensor)})) if experts else (1,),
        "context": (1,),
        "pipeline": tuple(d for d in ranks if d <= layers),
        "attention_data": (1,),
        "offload": ("none",),
    }
    if case.training:
        powers = tuple(2**i for i in range(7 if wide else 4))
        longest = case.sequence // 1024
        found |= {
            "context": tuple(d for d in ranks if wide and d <= max(1, longest) and case.sequence % (2 * d) == 0)
            or (1,),
            "data": ranks,
            "micro_batch": powers,
            "virtual_stages": tuple(d for d in range(1, 13) if layers % d == 0 or d == 1),
            "schedule": tuple(sorted({s.name for s in case.schedules.values()} - {"gpipe"}))
            if wide
            else ("1f1b", "interleaved"),
            "sequence_parallel": (True, False) if wide else (case.profile.sequence_parallel,),
            "zero": (0, 1, 2, 3) if wide else (1,),
            "recompute": ("none", "selective", "full"),
            "replicas": (1,),
        }
    else:
        found |= {
            "pipeline": found["pipeline"] if wide else tuple(d for d in found["pipeline"] if d <= case.system.nodes),
            "data": (1,),
            "micro_batch": (1,),
            "virtual_stages": (1,),
            "schedule": ("1f1b",),
            "sequence_parallel": (False,),
            "zero": (0,),
            "recompute": ("none",),
            "replicas": ranks,
        }
        if experts and not wide:
            found["expert"] = (1,)
    for field in case.axes:
        found.setdefault(field, (1,))
    return found | given
