"""Rules of parallelism: which roles an axis divides, and which exchanges follow.

No operator names an axis and no rule names an operator:
an operator says what it reduces over and what it introduces,
and :func:`partial_sums` and :func:`partial_gradients` find the tensors that must be exchanged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import attrs
from attrs.validators import in_

from suanli.collectives import OPERATIONS
from suanli.errors import SuanliError
from suanli.models import Block, Model
from suanli.numeric import Number
from suanli.tensors import VOCABULARY, Tensor

PHASES = ("forward", "backward")


@attrs.frozen(kw_only=True)
class Exchange:
    """One exchange a block makes on each pass.

    Attributes:
        operation: A collective operation.
        tensor: What is exchanged; its bytes on a rank before the sequence is spread are the buffer.
        phase: ``"forward"`` or ``"backward"``.
        group: Which ranks take part, in the words of the rule that made it.
        share: Layout fields whose product divides the buffer.
        widen: Layout fields whose product multiplies it: a rank's own part, times the parts gathered.
        hides: Whether an implementation that overlaps hides it behind the block's computation.
        copies: Of an all-to-all of tokens: to how many experts each goes; 0 for anything else.
        narrows: Whether an implementation may send it in the format of the products that follow, where narrower.
    """

    operation: str = attrs.field(validator=in_(OPERATIONS))
    tensor: Tensor
    phase: str = attrs.field(validator=in_(PHASES))
    group: str
    share: tuple[str, ...] = ()
    widen: tuple[str, ...] = ()
    hides: bool = False
    copies: float = 0.0
    narrows: bool = False


@attrs.define(eq=False, kw_only=True)
class StepExchange:
    """One exchange of training state: numbers, or columns of them.

    Attributes:
        operation: A collective operation.
        what: ``"gradients"`` or ``"weights"``.
        phase: The pass it can hide behind.
        times: How often: 0 where the layout does not need it.
        each_pass: 1 where every micro batch makes it, 0 where a step makes it once.
    """

    operation: str
    what: str
    phase: str
    times: Number
    each_pass: Number = 0.0


@attrs.define(eq=False, kw_only=True)
class StateShards:
    """By how much each kind of training state is divided: numbers, or columns of them."""

    optimizer: Number
    gradients: Number
    weights: Number


@attrs.frozen(kw_only=True)
class ParallelismRule:
    """One axis of parallelism; plugins derive from this.

    Attributes:
        name: Unique among rules.
        field: The layout field that holds its degree.
        roles: Roles it divides; each of their sizes must be a multiple of the degree.
        reads: Layout fields its exchanges and groups depend on.
        copies: Of an axis a plugin adds: whether its ranks hold copies of the weights, to be kept equal.
            Such an axis is placed outside tensor, context and data.
        source: The document it is described in.
    """

    name: str
    field: str
    roles: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    copies: bool = False
    source: str = ""

    def degrees(self, layout: Any) -> Mapping[str, Number]:
        """By how much each role is divided, from the layout fields in `reads`."""
        if not self.roles:
            return {}
        return dict.fromkeys(self.roles, layout[self.field])

    def exchanges(self, block: Block, *, sequence_parallel: bool) -> tuple[Exchange, ...]:
        """The exchanges a block needs when this axis is wider than one rank."""
        return ()

    def shards(self, *, zero: Number, ranks: Number) -> StateShards:
        """By how much training state is divided over `ranks` copies; only the data axis divides it."""
        return StateShards(optimizer=1.0, gradients=1.0, weights=1.0)

    def step_exchanges(self, *, zero: Number) -> tuple[StepExchange, ...]:
        """The exchanges of training state a step needs."""
        return ()

    def group(self, name: str, layout: Any) -> tuple[Number, Number]:
        """Ranks in a group of this axis, and the distance between neighbours in rank order."""
        raise SuanliError(f"parallelism rule {self.name!r} has no group {name!r}")

    def faults(self, degree: int, model: Model) -> Iterable[str]:
        """Why a model cannot be divided so; empty where it can."""
        for role in self.roles:
            if role == VOCABULARY:  # padded by every implementation
                continue
            for size in role_sizes(model, role):
                if size % degree:
                    yield f"{degree} does not divide {size} {role.replace('_', ' ')} of {model.name}"


class Axes(dict[str, ParallelismRule]):
    """The rules of a catalog by layout field; one object for its whole life, and known by identity."""

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other


@attrs.frozen(kw_only=True)
class PipelineSchedule:
    """The order pipeline stages work in; plugins derive from this.

    Attributes:
        name: Unique among schedules.
        aliases: Other names people use.
        chunked: Whether a stage may hold several model chunks.
        source: The document it is described in.
    """

    name: str
    aliases: tuple[str, ...] = ()
    chunked: bool = False
    source: str = ""

    def in_flight(self, *, stage: Number, stages: Number, micro_batches: Number, chunks: Number) -> Number:
        """Micro batches whose activations a stage holds at its peak, in shares of all its layers."""
        raise SuanliError(f"schedule {self.name!r} does not define in_flight")

    def bubble_s(self, *, slowest_s: Number, total_s: Number, stages: Number, chunks: Number) -> Number:
        """Seconds a step spends filling and draining.

        Args:
            slowest_s: Forward and backward of one micro batch on the slowest stage.
            total_s: The same summed over the stages.
            stages: Pipeline stages.
            chunks: Model chunks on each.
        """
        raise SuanliError(f"schedule {self.name!r} does not define bubble_s")


def partial_sums(block: Block, roles: Collection[str]) -> tuple[Tensor, ...]:
    """Tensors a block writes as a partial sum when `roles` are divided: reduced over one, holding none."""
    found: dict[str, Tensor] = {}
    for op in block.operators:
        if any(r in roles for r in op.reduces):
            found |= {t.name: t for t in op.writes if not any(r in roles for r in t.roles)}
    return tuple(found.values())


def partial_gradients(block: Block, roles: Collection[str]) -> tuple[Tensor, ...]:
    """Tensors whose gradient is a partial sum when `roles` are divided: each named once, however many read it."""
    found: dict[str, Tensor] = {}
    for op in block.operators:
        if any(r in roles for r in op.expands):
            found |= {t.name: t for t in op.reads if not any(r in roles for r in t.roles)}
    return tuple(found.values())


def role_sizes(model: Model, role: str) -> tuple[int, ...]:
    """Every size a role has in a model, smallest first."""
    return model.role_sizes.get(role, ())
