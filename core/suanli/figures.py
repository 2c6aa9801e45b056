"""What one block costs one rank: seconds, bytes, FLOPs and parameters, from its operators and the axes' rules.

Training and serving both start here; a plugin's stage may too.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import attrs

from suanli.case import Case
from suanli.formulas import formula, scaled, total
from suanli.kernels import Kernel
from suanli.models import Block, kept_bytes
from suanli.numeric import Number, maximum, minimum
from suanli.operators import Attention, Operator
from suanli.parallelism import Axes, Exchange, ParallelismRule
from suanli.tensors import EXPERTS, TOP_K, Local, Parameter


class Weights(NamedTuple):
    """Parameters of a block on one rank.

    Attributes:
        dense: Of which every rank of the data axis holds a copy.
        expert: Of which only the ranks outside the expert group do.
        tied: Storage of another block's parameter; a copy only where that block is on another rank.
    """

    dense: Number
    expert: Number
    tied: Number


class PassTime(NamedTuple):
    """Seconds of one pass of one micro batch through a block.

    Attributes:
        compute_s: In kernels.
        exposed_s: In exchanges that nothing hides, by axis in the case's order.
        covering_s: Of the kernels' seconds, those that an exchange already hides behind.
    """

    compute_s: Number
    exposed_s: tuple[Number, ...]
    covering_s: Number


@formula(unit="s", source="definition: what the attention it travels behind does not cover")
def uncovered_s(*, exchange_s: Number, cover_s: Number) -> Number:
    """Seconds of an exchange that outlast the computation it hides behind."""
    return maximum(exchange_s - cover_s, 0.0)


def weights(case: Case, block: Block, at: Local) -> Weights:
    """Parameters of a block on one rank."""
    sums: dict[str, Number] = {"dense": 0.0, "expert": 0.0, "tied": 0.0}
    for parameter, group in parameter_groups(block):
        sums[group] = sums[group] + at.product(parameter.dims)
    return Weights(**sums)


@functools.lru_cache(maxsize=4096)
def parameter_groups(block: Block) -> tuple[tuple[Parameter, str], ...]:
    """Each parameter of a block with the field of :class:`Weights` it counts under."""

    def group(p: Parameter) -> str:
        if p.tied:
            return "tied"
        return "expert" if any(d.role == EXPERTS for d in p.dims) else "dense"

    return tuple((p, group(p)) for p in block.parameters)


def forward_flops(block: Block, at: Local) -> Number:
    """Matrix FLOPs of a block's forward pass on one rank."""
    return total(f"{block.name}_flops", "flops", {op.name: op.flops(at) for op in block.operators})


def pass_time(case: Case, layout: Any, block: Block, at: Local, phase: str) -> PassTime:
    """Seconds of a ``"forward"`` or ``"backward"`` pass of a block on one rank."""
    model = case.kernels
    terms: dict[str, Number] = {}
    cover: Number = 0.0
    for op in block.operators:
        for i, kernel in enumerate(_kernels(op, at, case, phase)):
            seconds = model.time_s(kernel, case.device)
            terms[f"{op.name}.{i}" if i else op.name] = seconds
            if isinstance(op, Attention):
                cover = cover + seconds
    compute = total(f"{block.name}_{phase}_s", "s", terms)
    shown: list[Number] = []
    covering: Number = 0.0
    for rule, plan in plans_of(case.axes, block, layout.sequence_parallel, phase):
        exposed: Number = 0.0
        if plan:
            exposed, behind = _exposed(case, layout, rule, plan, at, f"{block.name}_{phase}", cover - covering)
            covering = covering + behind
        shown.append(exposed)
    return PassTime(compute, tuple(shown), covering)


def _kernels(op: Operator, at: Local, case: Case, phase: str) -> tuple[Kernel, ...]:
    return op.forward(at, case.how) if phase == "forward" else op.backward(at, case.how)


def core_forward_s(case: Case, block: Block, at: Local) -> Number:
    """Seconds of the attention cores of a block: what selective recompute repeats."""
    model = case.kernels
    cores = [op for op in block.operators if isinstance(op, Attention)]
    terms = {
        f"{op.name}.{i}": model.time_s(k, case.device) for op in cores for i, k in enumerate(op.forward(at, case.how))
    }
    return total(f"{block.name}_core_s", "s", terms)


Plan = tuple[tuple[Exchange, float], ...]
"""Exchanges of one axis on one pass of a block, each with how often one just like it is made."""


def _exposed(
    case: Case, layout: Any, rule: ParallelismRule, plan: Plan, at: Local, name: str, cover: Number
) -> tuple[Number, Number]:
    """Seconds of an axis's exchanges that nothing hides, and those of the cover the others take up."""
    terms: dict[str, Number] = {}
    hidden: dict[str, Number] = {}
    library = case.exchanges
    for exchange, times in plan:
        ranks, stride = rule.group(exchange.group, layout)
        size, model = _buffer(exchange, layout, at), library
        if exchange.copies and case.profile.dispatch_once:
            # Where tensor ranks hold the same tokens, each sends its share of the copies.
            model = library.dispatching(exchange.copies / at.degrees.get(TOP_K, 1.0))
        if exchange.narrows and case.profile.dispatch_narrow:
            size = size * min(at.formats.activations / at.bytes_of["activations"], 1.0)
        seconds = model.time_s(exchange.operation, bytes=size, ranks=ranks, stride=stride, system=case.system)
        into = hidden if exchange.hides and case.overlap else terms
        into[f"{exchange.operation}.{exchange.tensor.name}"] = scaled("s", times, seconds)
    shown = total(f"{name}_{rule.name}_s", "s", terms)
    if not hidden:
        return shown, 0.0
    behind = total(f"{name}_{rule.name}_hidden_s", "s", hidden)
    outlasting = uncovered_s(exchange_s=behind, cover_s=cover)
    exposed = total(f"{name}_{rule.name}_exposed_s", "s", {"shown_s": shown, "uncovered_s": outlasting})
    return exposed, minimum(behind, cover)


@functools.lru_cache(maxsize=4096)
def plans_of(axes: Axes, block: Block, sequence_parallel: bool, phase: str) -> tuple[tuple[ParallelismRule, Plan], ...]:
    """Each axis with the exchanges it makes on one pass of a block."""
    return tuple((rule, _plan(rule, block, sequence_parallel, phase)) for rule in axes.values())


def _plan(rule: ParallelismRule, block: Block, sequence_parallel: bool, phase: str) -> Plan:
    found: dict[Exchange, tuple[Exchange, float]] = {}
    for exchange in rule.exchanges(block, sequence_parallel=sequence_parallel):
        if exchange.phase == phase:
            alike = attrs.evolve(exchange, tensor=attrs.evolve(exchange.tensor, name=""))
            first, times = found.get(alike, (exchange, 0.0))
            found[alike] = (first, times + 1.0)
    return tuple(found.values())


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
