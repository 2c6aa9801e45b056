"""The training stages with what each needs, gives and reads, and the implementation profiles."""

from __future__ import annotations

from suanli import Profile, Stage
from suanli_training import accuracy
from suanli_training.blocks import blocks
from suanli_training.memory import PARTS, memory, memory_by_stage
from suanli_training.placement import placement
from suanli_training.state import block_state, state
from suanli_training.step import AXES, NARAYANAN, step
from suanli_training.throughput import PALM, flops, run, throughput

KINDS = ("pretrain", "finetune")
BLOCK_READS = (
    "tensor",
    "context",
    "expert",
    "expert_tensor",
    "data",
    "pipeline",
    "micro_batch",
    "sequence_parallel",
    "recompute",
)
STATE_READS = (
    "tensor",
    "context",
    "data",
    "pipeline",
    "expert",
    "expert_tensor",
    "micro_batch",
    "virtual_stages",
    "zero",
    "schedule",
)
UPDATES = ("_train.update_bytes", "_train.shared_bytes")
MEMORY = tuple(f"memory.{p}_bytes" for p in (*PARTS, "total"))
TIME = tuple(f"time.{p}_s" for p in ("forward", "backward", "recompute", "bubble", "overhead", "step"))
EXPOSED = ("time.exposed_communication_s", *(f"time.exposed_{a}_s" for a in (*AXES, "other")))
FLOPS = tuple(
    f"flops.{k}"
    for k in ("forward_flops", "backward_flops", "recompute_flops", "model_flops", "hardware_flops", "convention")
)
RATES = tuple(
    f"throughput.{k}"
    for k in (
        "tokens_per_s",
        "tokens_per_s_per_accelerator",
        "samples_per_s",
        "samples_per_s_per_accelerator",
        "model_flops_per_s_per_accelerator",
        "mfu_ratio",
        "hfu_ratio",
        "peak_flops_per_s",
        "peak_precision",
    )
)
RUN = ("run.duration_s", "run.accelerator_hours", "run.energy_j", "run.cost", "run.currency")

STAGES = (
    Stage(
        name="training-blocks",
        workloads=KINDS,
        gives=("_train.blocks", "_train.pipeline_s", "_train.boundary_bytes"),
        reads=tuple(r for r in BLOCK_READS if r not in ("data", "pipeline")),
        divided=True,
        run=blocks,
        rung="calibrated",
        source="operators x kernel model x collective model",
    ),
    Stage(
        name="training-weights",
        workloads=KINDS,
        gives=("_train.weights", "_train.work", *UPDATES),
        reads=("tensor", "context", "expert", "expert_tensor", "sequence_parallel"),
        divided=True,
        run=block_state,
        rung="calibrated",
        source="definition",
    ),
    Stage(
        name="training-placement",
        workloads=KINDS,
        gives=("_train.stages",),
        reads=("pipeline", "virtual_stages"),
        run=placement,
        source="layers as even as can be",
    ),
    Stage(
        name="training-memory",
        workloads=KINDS,
        needs=("_train.weights", *UPDATES, "_train.blocks", "_train.stages"),
        gives=(*MEMORY, "memory.fits"),
        reads=STATE_READS,
        divided=True,
        run=memory,
        source="Korthikanti et al. 2022; Rajbhandari et al. 2020",
        band=accuracy.MEMORY,
    ),
    Stage(
        name="training-memory-by-stage",
        workloads=KINDS,
        needs=("_train.weights", *UPDATES, "_train.blocks"),
        gives=("memory.stages",),
        reads=STATE_READS,
        divided=True,
        run=memory_by_stage,
        detail=True,
        source="Korthikanti et al. 2022; Rajbhandari et al. 2020",
        band=accuracy.MEMORY,
    ),
    Stage(
        name="training-state",
        workloads=KINDS,
        needs=("_train.weights", "_train.work", "_train.stages"),
        gives=("_train.state_exchanges", "time.optimizer_s"),
        reads=tuple(r for r in STATE_READS if r not in ("micro_batch", "schedule")),
        divided=True,
        run=state,
        rung="calibrated",
        source="Rajbhandari et al. 2020",
    ),
    Stage(
        name="training-step",
        workloads=KINDS,
        needs=(
            "_train.blocks",
            "_train.pipeline_s",
            "_train.boundary_bytes",
            "_train.stages",
            "_train.state_exchanges",
            "time.optimizer_s",
        ),
        gives=(*TIME, *EXPOSED),
        reads=STATE_READS,
        divided=True,
        run=step,
        rung="calibrated",
        source=NARAYANAN,
        band=accuracy.STEP,
    ),
    Stage(
        name="training-flops", workloads=KINDS, gives=FLOPS, reads=("recompute",), run=flops, detail=True, source=PALM
    ),
    Stage(
        name="training-throughput",
        workloads=KINDS,
        needs=("time.step_s", *FLOPS),
        gives=RATES,
        run=throughput,
        rung="calibrated",
        detail=True,
        source=PALM,
        band=accuracy.STEP.inverse(),
    ),
    Stage(
        name="training-run",
        workloads=KINDS,
        needs=("time.step_s",),
        gives=RUN,
        run=run,
        rung="calibrated",
        detail=True,
        source="definition",
        band=accuracy.STEP,
    ),
)

PROFILES = (
    Profile(
        name="megatron",
        kind="training",
        aliases=("megatron-lm", "mindspeed"),
        overhead_ratio=accuracy.MEGATRON_OVERHEAD,
        dispatch_once=True,
        source="NVIDIA/Megatron-LM; experts by its flex dispatcher, megatron/core/transformer/moe/README.md",
    ),
    Profile(name="fused", kind="training", fused=True, source="residuals and rotations folded into their neighbours"),
    Profile(
        name="fsdp",
        kind="training",
        aliases=("llm-foundry", "torchtune", "torchtitan"),
        passes=2.0,
        overhead_ratio=accuracy.FSDP_OVERHEAD,
        sequence_parallel=False,
        source="PyTorch FSDP with elementwise steps run one by one: a norm and an activation pass over memory twice",
    ),
    Profile(
        name="transformers",
        kind="training",
        aliases=("hf",),
        passes=2.0,
        unfused=True,
        sequence_parallel=False,
        source="huggingface/transformers: plain modules, each elementary step a kernel that keeps its own inputs",
    ),
)
