"""What this plugin gives: five rules of parallelism and three pipeline schedules."""

from __future__ import annotations

from collections.abc import Iterable

from suanli import ParallelismRule, PipelineSchedule, hookimpl
from suanli.tensors import EXPERT_FFN, EXPERTS, SEQUENCE
from suanli_parallel.context import ContextParallel
from suanli_parallel.data import ZERO, DataParallel
from suanli_parallel.expert import ExpertParallel
from suanli_parallel.pipeline import NARAYANAN, GPipe, Interleaved, OneForwardOneBackward, PipelineParallel
from suanli_parallel.tensor import ROLES, TensorParallel


@hookimpl
def suanli_parallelisms() -> Iterable[ParallelismRule]:
    """Tensor, context, expert, data and pipeline parallelism."""
    yield TensorParallel(
        name="tensor",
        field="tensor",
        roles=ROLES,
        reads=("tensor", "expert_tensor"),
        source="Shoeybi et al. 2019; Korthikanti et al. 2022",
    )
    yield ContextParallel(
        name="context", field="context", roles=(SEQUENCE,), reads=("tensor", "context"), source="Liu et al. 2023"
    )
    yield ExpertParallel(
        name="expert",
        field="expert",
        roles=(EXPERTS, EXPERT_FFN),
        reads=("tensor", "expert", "expert_tensor"),
        source="Lepikhin et al. 2020",
    )
    yield DataParallel(
        name="data", field="data", reads=("tensor", "context", "data", "expert", "expert_tensor"), source=ZERO
    )
    yield PipelineParallel(
        name="pipeline", field="pipeline", reads=("tensor", "context", "data", "pipeline"), source=NARAYANAN
    )


@hookimpl
def suanli_schedules() -> Iterable[PipelineSchedule]:
    """GPipe, 1F1B and interleaved 1F1B."""
    yield GPipe(name="gpipe", source="Huang et al. 2019, GPipe")
    yield OneForwardOneBackward(name="1f1b", aliases=("pipedream-flush",), source=NARAYANAN)
    yield Interleaved(name="interleaved", aliases=("interleaved-1f1b",), chunked=True, source=NARAYANAN)
