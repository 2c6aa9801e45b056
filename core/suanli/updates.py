"""What an optimizer keeps for the parameters of a block on one rank, and what its step takes.

Counted from the shapes of the tensors as stored, before the data axis divides anything.
A tensor's states are divided as the tensor is. That is exact for states of its shape. Of a factored state every shard
repeats rows or columns, so that what is counted is too little by less than the state itself, which is next to nothing.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

from suanli.case import Case
from suanli.errors import SuanliError
from suanli.figures import Weights, parameter_groups
from suanli.formulas import fact, scaled, total
from suanli.kernels import formats_on, gemm
from suanli.models import Block
from suanli.numeric import Number, maximum
from suanli.optimizer import MatrixProduct, OptimizerRule, StateTensor
from suanli.tensors import Local, Parameter


class Update(NamedTuple):
    """What the optimizer keeps and does for some parameters of one rank.

    Attributes:
        state_bytes: Of their states.
        flops: Of a step, matrix products apart.
        products_s: Seconds of a step's matrix products.
        longest_s: Of these, seconds of the matrix that takes longest: no more ranks than matrices share them.
        rates: Bytes of state and FLOPs of one parameter, of each kind there is.
    """

    state_bytes: Number = 0.0
    flops: Number = 0.0
    products_s: Number = 0.0
    longest_s: Number = 0.0
    rates: tuple[tuple[float, float], ...] = ()


class Updates(NamedTuple):
    """The same for each group of a block's parameters, grouped as :class:`suanli.figures.Weights` are."""

    dense: Update = Update()
    expert: Update = Update()
    tied: Update = Update()


def updates(case: Case, block: Block, at: Local, held: Weights) -> Updates:
    """What the optimizer keeps and does for a block on one rank.

    Args:
        case: With the optimizer; without one nothing is kept.
        block: Of the model.
        at: The sizes one rank works on.
        held: The block's parameters there.
    """
    if case.optimizer is None:
        return Updates()
    return Updates(**{g.name: _update(case, at, g, held) for g in _groups(block, case.optimizer)})


def shared_state_bytes(case: Case) -> float:
    """Bytes of state that all parameters share: on every rank once."""
    if case.optimizer is None:
        return 0.0
    found = {s.name: s for block, _ in case.model.parts for s in _shared(block, case.optimizer)}
    size = 0.0
    for state in found.values():
        size = size + state.elements * _stored(case, state.format or state_format(case))
    return size


def state_format(case: Case) -> str:
    """Format of the states a rule leaves to the recipe: that of the weights it updates, unless stated."""
    recipe = case.recipe
    return recipe.optimizer_states or recipe.master_weights or recipe.weights


def state_format_is_given(case: Case) -> bool:
    """Whether the scenario itself states the format of the states; then it holds for every optimizer's."""
    origin = case.origins.get("precision.optimizer_states")
    return origin is not None and origin.origin == "given"


def own_state_formats(case: Case) -> tuple[str, ...]:
    """Formats of states that the optimizer itself chooses; none where the scenario states the format."""
    if case.optimizer is None or state_format_is_given(case):
        return ()
    groups = [g for block, _ in case.model.parts for g in _groups(block, case.optimizer)]
    return tuple(dict.fromkeys(form for g in groups for k in g.kinds for form, _ in k.rates if form is not None))


class _Kind(NamedTuple):
    """Parameters for which as much is kept and done, one as the other."""

    rule: OptimizerRule
    rates: tuple[tuple[str | None, float], ...]
    """Elements of state for each parameter, by format."""
    parameters: tuple[Parameter, ...]


class _Matrix(NamedTuple):
    """Parameters that are matrices of one shape, with the products a step needs for one of them."""

    products: tuple[MatrixProduct, ...]
    parameters: tuple[Parameter, ...]


_Kinds = dict[tuple[OptimizerRule, tuple[tuple[str | None, float], ...]], list[Parameter]]
_Matrices = dict[tuple[MatrixProduct, ...], list[Parameter]]


class _Group(NamedTuple):
    """One group of a block's parameters."""

    name: str
    kinds: tuple[_Kind, ...]
    matrices: tuple[_Matrix, ...]


@functools.lru_cache(maxsize=4096)
def _groups(block: Block, optimizer: OptimizerRule) -> tuple[_Group, ...]:
    found: dict[str, tuple[_Kinds, _Matrices]] = {}
    for parameter, group in parameter_groups(block):
        if not parameter.elements:
            continue
        kinds, matrices = found.setdefault(group, ({}, {}))
        rule = optimizer.rule_for(parameter)
        elements: dict[str | None, int] = {}
        for state in rule.states(parameter.matrix):
            if not (state.shared or state.host):
                elements[state.format] = elements.get(state.format, 0) + state.elements
        rates = tuple((form, count / parameter.elements) for form, count in elements.items())
        kinds.setdefault((rule, rates), []).append(parameter)
        products = rule.products(parameter.matrix)
        if products:
            matrices.setdefault(products, []).append(parameter)
    return tuple(
        _Group(
            name,
            tuple(_Kind(rule, rates, tuple(alike)) for (rule, rates), alike in kinds.items()),
            tuple(_Matrix(products, tuple(alike)) for products, alike in matrices.items()),
        )
        for name, (kinds, matrices) in found.items()
    )


@functools.lru_cache(maxsize=4096)
def _shared(block: Block, optimizer: OptimizerRule) -> tuple[StateTensor, ...]:
    kept = [s for p in block.parameters for s in optimizer.rule_for(p).states(p.matrix)]
    return tuple({s.name: s for s in kept if s.shared}.values())


def _update(case: Case, at: Local, group: _Group, held: Weights) -> Update:
    """What the optimizer keeps and does for one group of a block's parameters."""
    kept: dict[str, Number] = {}
    done: dict[str, Number] = {}
    rates: list[tuple[float, float]] = []
    for i, kind in enumerate(group.kinds):
        rule = kind.rule
        here = getattr(held, group.name) if len(group.kinds) == 1 else _held(at, kind.parameters)
        each = fact(_bytes_each(case, kind), f"{rule.name}.state_bytes_per_parameter", "bytes", rule.source)
        kept[f"tensors.{i}"] = scaled("bytes", here, each)
        flops = fact(rule.flops_per_parameter, f"{rule.name}.flops_per_parameter", "flops", rule.source)
        done[f"tensors.{i}"] = scaled("flops", here, flops)
        rates.append((each, flops))
    seconds: dict[str, Number] = {}
    longest: Number = 0.0
    for i, matrix in enumerate(group.matrices):
        one = _products_s(case, matrix.products)
        count: Number = 0.0
        for parameter in matrix.parameters:
            count = count + _count(at, parameter)
        seconds[f"matrices.{i}"] = scaled("s", count, one)
        longest = maximum(longest, one)
    return Update(
        state_bytes=total(f"{group.name}_state_bytes", "bytes", kept),
        flops=total(f"{group.name}_step_flops", "flops", done),
        products_s=total(f"{group.name}_products_s", "s", seconds),
        longest_s=longest,
        rates=tuple(rates),
    )


def _held(at: Local, parameters: tuple[Parameter, ...]) -> Number:
    """Elements of some parameters on this rank."""
    count: Number = 0.0
    for parameter in parameters:
        count = count + at.product(parameter.dims)
    return count


def _bytes_each(case: Case, kind: _Kind) -> float:
    """Bytes of state for one parameter."""
    stated = state_format(case)
    given = state_format_is_given(case)
    size = 0.0
    for form, elements in kind.rates:
        size = size + elements * _stored(case, stated if given or form is None else form)
    return size


def _stored(case: Case, form: str) -> float:
    """Bytes of an element of a state."""
    size = case.stored.get(form)
    if size is None:
        name = case.optimizer.name if case.optimizer else ""
        raise SuanliError(f"optimizer {name!r} keeps states in {form!r}, a format nobody provides")
    return size


def _count(at: Local, parameter: Parameter) -> Number:
    """Matrices of a parameter of which this rank holds some: the experts of a layer are so many."""
    if len(parameter.matrix) != len(parameter.dims):
        return float(math.prod(parameter.matrix[:-2]))
    count: Number = 1.0
    for dim in parameter.dims[:-2]:
        count = count * at.size(dim)
    return count


def _products_s(case: Case, products: tuple[MatrixProduct, ...]) -> Number:
    """Seconds of the products of one matrix on the case's accelerator."""
    terms: dict[str, Number] = {}
    for i, product in enumerate(products):
        stored = case.model.known.format(product.format)
        formats = formats_on(case.device, weights=stored, compute=stored, cache=stored)
        m, n, k = float(product.m), float(product.n), float(product.k)
        kernel = gemm(m=m, n=n, k=k, formats=formats, launches=float(product.times))
        terms[f"product.{i}"] = case.kernels.time_s(kernel, case.device)
    return total("matrix_products_s", "s", terms)
