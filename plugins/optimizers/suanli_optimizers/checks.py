"""What a reader must know of the optimizer's figures."""

from __future__ import annotations

from collections.abc import Iterable

from suanli import Case, Problem
from suanli_optimizers.blockwise import is_paged
from suanli_optimizers.orthogonal import Muon


def checks(case: Case) -> Iterable[Problem]:
    """Notes on paged states, and on matrices that must be gathered."""
    if case.optimizer is None or case.layout is None:
        return
    name = case.optimizer.name
    if is_paged(case.optimizer):
        yield Problem(
            code="paged-optimizer",
            severity="note",
            message=f"the states of {name} are counted on the accelerator; "
            "the driver may move them to the host's memory when it is full, which costs time that is not counted",
        )
    if isinstance(case.optimizer, Muon) and case.layout.tensor > 1:
        yield Problem(
            code="gathered-matrices",
            severity="note",
            message=f"{name} multiplies whole matrices on every tensor rank; gathering them is not timed: "
            "2 bytes a parameter of the rank's share, once a step (Liu et al. 2025, sec. 2.3)",
        )
