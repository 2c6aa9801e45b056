"""What one block costs one rank: seconds, bytes, FLOPs and parameters, from its operators and the axes' rules.

Training and serving both start here; a plugin's stage may too.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from suanli.case import Case
from suanli.formulas import formula, total
from suanli.kernels import Kernel
from suanli.models import Block, kept_bytes
from suanli.numeric import Number, maximum
from suanli.operators import Attention, Operator
from suanli.parallelism import Exchange, ParallelismRule
from suanli.tensors import EXPERTS, Local, Parameter


class Weights(NamedTuple):
    """Parameters of a block on one rank.

    Attributes:
        dense: Of which every rank of the data axis holds a copy.
        expert: Of which only the ranks outside the expert group do.
        tied: Storage of another block's parameter; a copy only where that block is on another rank.
        states: Optimizer state elements of one parameter, on average.
    """

    dense: Number
    expert: Number
    tied: Number
    states: float


class PassTime(NamedTuple):
    """Seconds of one pass of one micro batch through a block.

    Attributes:
        compute_s: In kernels.
        exposed_s: In exchanges that nothing hides, by axis in the case's order.
    """

    compute_s: Number
    exposed_s: tuple[Number, ...]


@formula(unit="s", source="definition: what the attention it travels behind does not cover")
def uncovered_s(*, exchange_s: Number, cover_s: Number) -> Number:
    """Seconds of an exchange that outlast the computation it hides behind."""
    return maximum(exchange_s - cover_s, 0.0)


def weights(case: Case, block: Block, at: Local) -> Weights:
    """Parameters of a block on one rank."""
    sums: dict[str, Number] = {"dense": 0.0, "expert": 0.0, "tied": 0.0}
    elements = states = 0
    for parameter in block.parameters:
        group = "tied" if parameter.tied else "expert" if _is_expert(parameter) else "dense"
        sums[group] = sums[group] + at.product(parameter.dims)
        elements += parameter.elements
        if case.optimizer is not None:
            shape = tuple(d.size for d in parameter.dims)
            states += sum(s.elements for s in case.optimizer.states(shape))
    return Weights(**sums, states=states / elements if elements else 0.0)


def _is_expert(parameter: Parameter) -> bool:
    return any(d.role == EXPERTS for d in parameter.dims)


def forward_flops(block: Block, at: Local) -> Number:
    """Matrix FLOPs of a block's forward pass on one rank."""
    return total(f"{block.name}_flops", "flops", {op.name: op.flops(at) for op in block.operators})


def pass_time(case: Case, layout: Any, block: Block, at: Local, phase: str) -> PassTime:
    """Seconds of a ``"forward"`` or ``"backward"`` pass of a block on one rank."""
    model = case.device.kernels
    assert model is not None
    terms: dict[str, Number] = {}
    cover: Number = 0.0
    for op in block.operators:
        for i, kernel in enumerate(_kernels(op, at, case, phase)):
            seconds = model.time_s(kernel, case.device)
            terms[f"{op.name}.{i}" if i else op.name] = seconds
            if isinstance(op, Attention):
                cover = cover + seconds
    compute = total(f"{block.name}_{phase}_s", "s", terms)
    return PassTime(compute, tuple(_exposed(case, layout, name, block, at, phase, cover) for name in case.axes))


def _kernels(op: Operator, at: Local, case: Case, phase: str) -> tuple[Kernel, ...]:
    return op.forward(at, case.how) if phase == "forward" else op.backward(at, case.how)


def core_forward_s(case: Case, block: Block, at: Local) -> Number:
    """Seconds of the attention cores of a block: what selective recompute repeats."""
    model = case.device.kernels
    assert model is not None
    cores = [op for op in block.operators if isinstance(op, Attention)]
    terms = {
        f"{op.name}.{i}": model.time_s(k, case.device)
        for op in cores
        for i, k in enumerate(op.forward(at, case.how))
    }
    return total(f"{block.name}_core_s", "s", terms)


def _exposed(case: Case, layout: Any, axis: str, block: Block, at: Local, phase: str, cover: Number) -> Number:
    rule = case.axes[axis]
    plan = plan_of(rule, block, layout.sequence_parallel)
    terms: dict[str, Number] = {}
    hidden: dict[str, Number] = {}
    model = case.system.exchanges
    assert model is not None
    for exchange in plan:
        if exchange.phase != phase:
            continue
        ranks, stride = rule.group(exchange.group, layout)
        seconds = model.time_s(
            exchange.operation, bytes=_buffer(exchange, layout, at), ranks=ranks, stride=stride, system=case.system
        )
        into = hidden if exchange.hides and case.overlap else terms
        into[f"{exchange.operation}.{exchange.tensor.name}.{len(into)}"] = seconds
    if not terms and not hidden:
        return 0.0
    shown = total(f"{block.name}_{axis}_{phase}_s", "s", terms)
    if not hidden:
        return shown
    outlasting = uncovered_s(exchange_s=total(f"{axis}_hidden_s", "s", hidden), cover_s=cover)
    return shown + outlasting


@functools.lru_cache(maxsize=4096)
def plan_of(rule: ParallelismRule, block: Block, sequence_parallel: bool) -> tuple[Exchange, ...]:
    """The exchanges of one axis in a block."""
    return rule.exchanges(block, sequence_parallel=sequence_parallel)


def _buffer(exchange: Exchange, layout: Any, at: Local) -> Number:
    size = at.gathered(exchange.tensor)
    for field in exchange.widen:
        size = size * layout[field]
    for field in exchange.share:
        size = size / layout[field]
    return size


def block_kept_bytes(case: Case, block: Block, at: Local, recompute: str) -> Number:
    """Bytes a block keeps for its backward pass on one rank."""
    return kept_bytes(at, block.kept(case.how, recompute))
