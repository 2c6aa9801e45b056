"""What this plugin gives: optimizers as PyTorch, transformers and bitsandbytes implement them."""

from __future__ import annotations

from collections.abc import Iterable

from suanli import Case, NumberFormat, OptimizerRule, Problem, hookimpl
from suanli_optimizers import blockwise, elementwise, factored, orthogonal
from suanli_optimizers.checks import checks


@hookimpl
def suanli_optimizers() -> Iterable[OptimizerRule]:
    """Elementwise, factored, quantized and orthogonalized updates."""
    for module in (elementwise, factored, blockwise, orthogonal):
        yield from module.rules()


@hookimpl
def suanli_precisions() -> Iterable[NumberFormat]:
    """The format of 8-bit states."""
    yield blockwise.CODED


@hookimpl
def suanli_check(scenario: Case) -> Iterable[Problem]:
    """What is not counted of paged states and of divided matrices."""
    return checks(scenario)
