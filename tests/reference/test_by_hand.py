"""One case worked by hand: uneven stages, dense and MoE layers alternating, ranks across nodes.

Seven layers on three stages (2, 3, 2: the ends lighter, as they hold embedding and head too), every second layer a
mixture of experts. 48 accelerators in nodes of 4: tensor groups of 2 inside a node, data and expert groups across
nodes, stages 16 ranks apart. The accelerator is made up so that everything divides: 100 TFLOP/s, 1 TB/s, nothing
lost; links of 100 GB/s in a node and 10 GB/s between, no latency.

Everything below is arithmetic on those numbers. Conventions are those the operators document:
a kernel takes its FLOPs at peak plus its bytes at bandwidth; a norm, gate or optimizer pass moves what it reads and
writes, half as much again backward; a product's backward is two like it; flash attention's backward is 2.5 times its
FLOPs and twice its bytes; rotary and residual are folded into their neighbours (profile `fused`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

import suanli
from suanli.testing import installed_plugins, make_plugin

CATALOG = """
[[accelerator]]
id = "hand-one"
vendor = "Hand"
product = "Hand One"
generation = "hand"
memory = "80 GB"
memory_bandwidth = "1 TB/s"
sustained_ratio = 1.0
peak = { bf16 = "100 TFLOP/s", fp32 = "10 TFLOP/s" }
source = { all = "made up" }

[[system]]
id = "hand-cluster"
accelerator = "hand-one"
accelerators_per_node = 4
power_per_node = "5 kW"
source = { all = "made up" }
[[system.tier]]
name = "inside"
span = 4
bandwidth = "100 GB/s"
[[system.tier]]
name = "between"
bandwidth = "10 GB/s"

[[system]]
id = "dark-cluster"
accelerator = "hand-one"
accelerators_per_node = 48
source = { all = "made up, and nobody states its power" }
[[system.tier]]
name = "everywhere"
bandwidth = "10 GB/s"
"""
EFFICIENCY = """
[[efficiency]]
generation = "hand"
kernel = "{kernel}"
precision = "{precision}"
compute_ratio = 1.0
bandwidth_ratio = 1.0
source = "made up"
"""
FABRIC = """
[[fabric_efficiency]]
generation = "hand"
fabric = "{fabric}"
bandwidth_ratio = 1.0
source = "made up"
"""
KERNELS = {"gemm": "bf16", "attention_prefill": "bf16", "moe": "bf16", "elementwise": "fp32"}

CONFIG = {
    "model_type": "qwen2_moe",
    "vocab_size": 16384,
    "hidden_size": 1024,
    "intermediate_size": 2048,
    "num_hidden_layers": 7,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 512,
    "shared_expert_intermediate_size": 1024,
    "decoder_sparse_step": 2,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
}
SCENARIO: dict[str, Any] = {
    "model": {"config": CONFIG},
    "system": {"name": "hand-cluster", "accelerators": 48},
    "workload": {"kind": "pretrain", "sequence": 512, "global_batch": 128},
    # Ranks of a stage: 2 x 8 = 16. Experts on 4 x 2 of them, so two copies of each expert, 8 ranks apart.
    "layout": {"tensor": 2, "pipeline": 3, "data": 8, "expert": 4, "expert_tensor": 2}
    | {"micro_batch": 2, "zero": 1, "recompute": "none", "schedule": "1f1b", "sequence_parallel": True},
    "precision": {"recipe": "bf16-mixed"},
    "optimizer": {"name": "adam"},
    "implementation": {"profile": "fused", "attention": "flash", "overlap": True},
    "assumptions": {"reserve": "1 GB"},
}
PEAK, VECTOR, MEMORY, INSIDE, BETWEEN = 100e12, 10e12, 1e12, 100e9, 10e9
H, T, S, B = 1024, 1024, 512, 2  # width; tokens of a micro batch, 2 x 512
TH = T * H
MICRO_BATCHES = 8  # 128 / (8 data x 2)

# ---- Parameters ----------------------------------------------------------------------------------------------------
# q 1024 x 1024 + 1024; k and v 1024 x 512 + 512 each; out 1024 x 1024; two norms of 1024.
ATTENTION = (1048576 + 1024) + 2 * (524288 + 512) + 1048576
assert ATTENTION == 3147776
NORMS = 2 * 1024
MLP = 3 * 1024 * 2048
ROUTER, GATE, SHARED, EXPERTS = 1024 * 8, 1024, 3 * 1024 * 1024, 8 * 3 * 1024 * 512
DENSE_LAYER = ATTENTION + NORMS + MLP  # 9,441,280
MOE_LAYER = ATTENTION + NORMS + ROUTER + GATE + SHARED + EXPERTS  # 18,887,680
EMBEDDING = 16384 * 1024
# Layers 0, 2, 4, 6 are dense, 1, 3, 5 MoE.
TOTAL = 4 * DENSE_LAYER + 3 * MOE_LAYER + 2 * EMBEDDING + 1024
ACTIVE = TOTAL - 3 * EXPERTS * 6 // 8  # two of eight experts

# On a rank of a tensor group of 2: norms, router and gate whole, the rest halved; experts over 4 x 2 ranks.
RANK_DENSE = ATTENTION // 2 + NORMS + MLP // 2  # 4,721,664
RANK_MOE = ATTENTION // 2 + NORMS + ROUTER + GATE + SHARED // 2  # 3,158,016
RANK_EXPERTS = EXPERTS // 8  # 1,572,864
# Stage 0: embedding, dense, MoE; stage 1: dense, MoE, dense; stage 2: MoE, dense, norm, head.
STAGE_PARAMETERS = (
    EMBEDDING // 2 + RANK_DENSE + RANK_MOE,
    2 * RANK_DENSE + RANK_MOE,
    RANK_MOE + RANK_DENSE + 1024 + EMBEDDING // 2,
)
assert STAGE_PARAMETERS == (16268288, 12601344, 16269312)

# ---- Memory --------------------------------------------------------------------------------------------------------
# Kept by a layer, in tensors of T x 1024 elements, 2 bytes: x, its norm, their MLP twins lie spread over the 2 ranks
# (1 x TH bytes each); queries and attended 512 wide (1 TH each), keys and values 256 (TH / 2); 4 heads' lse, fp32.
ATTENTION_KEPT = (1 + 1 + 1 + 0.5 + 0.5 + 1) * TH + T * 4 * 4
# Gate, up and their product, 1024 wide on a rank (2 TH each), the norm and its input (1 TH each).
DENSE_KEPT = ATTENTION_KEPT + (1 + 1 + 3 * 2) * TH
# Two copies of each token in and out (4 TH each); 256 wide gate, up, product of two copies (1 TH each); shared 512
# wide gate, up, product (1 TH each); the norm and its input.
MOE_KEPT = ATTENTION_KEPT + (1 + 1 + 2 * 4 + 3 + 3) * TH
# The last norm and its input spread, fp32 logits of 8192 words.
HEAD_KEPT = (1 + 1) * TH + T * 8192 * 4
IN_FLIGHT = (3, 2, 1)
ACTIVATIONS = (
    3 * (DENSE_KEPT + MOE_KEPT),
    2 * (2 * DENSE_KEPT + MOE_KEPT),
    1 * (DENSE_KEPT + MOE_KEPT),
)
LOGITS = (0, 0, HEAD_KEPT)
# bf16 weights, fp32 gradients, fp32 master and two states; ZeRO 1 divides the last over 8 copies, experts' over 2.
WEIGHTS = tuple(2 * (d + RANK_EXPERTS) for d in STAGE_PARAMETERS)
GRADIENTS = tuple(4 * (d + RANK_EXPERTS) for d in STAGE_PARAMETERS)
OPTIMIZER = tuple(12 * (d / 8 + RANK_EXPERTS / 2) for d in STAGE_PARAMETERS)
RESERVE = 1e9

# ---- Exchanges -----------------------------------------------------------------------------------------------------
# Tensor group: 2 ranks of a node. A gather or scatter of T x H in 2 bytes sends half of it.
TENSOR_ONE = (2 * TH * 1 / 2) / INSIDE
# Attention and MLP (or shared expert) each gather before and scatter after; backward gathers both and scatters once,
# and gathers again for the weight gradient.
TENSOR_FORWARD, TENSOR_BACKWARD = 4 * TENSOR_ONE, 6 * TENSOR_ONE
# Embedding: one scatter, one gather back. Head: one gather; one gather, one scatter back; the loss summed, T fp32,
# each of 2 ranks sending 2 x (1 / 2) of it.
LOSS_SUM = 2 * (T * 4) * 1 / 2 / INSIDE
# Expert group: 4 ranks, every second one, so 2 in a node. An all-to-all of half (expert_tensor 2) of the 4 TH bytes
# of two copies of each token: to 1 peer of 4 inside, to 2 of 4 between, which takes longer.
ALL_TO_ALL = max((2 * TH * 1 / 4) / INSIDE, (2 * TH * 2 / 4) / BETWEEN)
# Around the experts their 2 tensor ranks gather the 4 TH bytes, and scatter the result.
EXPERT_GATHER = (4 * TH * 1 / 2) / INSIDE
EXPERT_PASS = 2 * ALL_TO_ALL + 2 * EXPERT_GATHER
# Stages: TH bytes (half of T x H, spread) to a rank 16 away, and its gradient back.
HAND_OVER = 2 * TH / BETWEEN

# Data group: 8 ranks, every second one: 2 in each of 4 nodes. A ring sends 7/8 of the buffer inside; the NIC of the
# pair is crossed by half as much of it per rank. Copies of an expert: 2 ranks 8 apart, in two nodes.
HEAVIEST = 16269312


def data_s(bytes_each: int) -> float:
    """Seconds to scatter or gather the state of the heaviest stage, dense and expert parts."""
    dense = max(HEAVIEST * bytes_each * 7 / 8 / INSIDE, HEAVIEST * bytes_each * 7 / 8 / 2 / BETWEEN)
    return dense + RANK_EXPERTS * bytes_each * 1 / 2 / BETWEEN


# ---- Kernels -------------------------------------------------------------------------------------------------------


def product(m: int, n: int, k: int) -> float:
    """Seconds of a product: 2 m n k FLOPs, and each matrix once, 2 bytes an element."""
    return 2 * m * n * k / PEAK + 2 * (m * k + k * n + m * n) / MEMORY


def moved(size: float) -> float:
    """Seconds of a pass over memory."""
    return size / MEMORY


# Causal pairs of 512 tokens; 4 heads of 128; queries and output 512 wide, keys and values 256.
CORE_FLOPS = 2 * B * 4 * (512 * 513 / 2) * (128 + 128)
CORE_BYTES = B * S * (2 * 512 + 2 * 256) * 2
NORM = moved(2 * TH)
ATTENTION_PRODUCTS = product(T, 1024, 1024) + product(T, 1024, 512)
ATTENTION_FORWARD = NORM + ATTENTION_PRODUCTS + CORE_FLOPS / PEAK + CORE_BYTES / MEMORY
ATTENTION_BACKWARD = 1.5 * NORM + 2 * ATTENTION_PRODUCTS + 2.5 * CORE_FLOPS / PEAK + 2 * CORE_BYTES / MEMORY

MLP_PRODUCTS = product(T, 2048, 1024) + product(T, 1024, 1024)
MLP_GATE = moved(3 * T * 1024 * 2)
DENSE_FORWARD = ATTENTION_FORWARD + NORM + MLP_PRODUCTS + MLP_GATE
DENSE_BACKWARD = ATTENTION_BACKWARD + 1.5 * NORM + 2 * MLP_PRODUCTS + 1.5 * MLP_GATE

# Router, shared expert of 512 on a rank, its gate.
SIDE_PRODUCTS = product(T, 8, 1024) + product(T, 1024, 1024) + product(T, 1024, 512) + product(T, 1, 1024)
SIDE_GATE = moved(3 * T * 512 * 2)
DISPATCH = moved(TH + 4 * TH)  # the normed stream, spread; two copies of each token
COMBINE = moved(4 * TH + TH + T * 8 * 4 / 2 + TH)  # copies, shared output, fp32 scores spread over 2, result
# 4 T tokens go twice to 8 experts, 2 T copies to the 2 experts of this rank, 256 wide here.
EXPERT_FLOPS = 2 * (2 * T) * (3 * 256) * 1024
EXPERT_BYTES = 2 * 3 * 1024 * 256 * 2 + (2 * T) * (2 * 1024 + 3 * 256) * 2
EXPERTS_ONCE = EXPERT_FLOPS / PEAK + EXPERT_BYTES / MEMORY
MOE_FORWARD = ATTENTION_FORWARD + NORM + SIDE_PRODUCTS + SIDE_GATE + DISPATCH + EXPERTS_ONCE + COMBINE
MOE_BACKWARD = (
    ATTENTION_BACKWARD
    + 1.5 * NORM
    + 2 * SIDE_PRODUCTS
    + 1.5 * (SIDE_GATE + DISPATCH + COMBINE)
    + 2 * EXPERTS_ONCE  # twice the FLOPs
)
EMBEDDING_FORWARD, EMBEDDING_BACKWARD = moved(2 * TH), moved(3 * TH)
# 8192 words on a rank: bf16 logits read, fp32 ones written and read; read and written once back.
HEAD_PRODUCT = product(T, 8192, 1024)
HEAD_FORWARD = NORM + HEAD_PRODUCT + moved(T * 8192 * (2 + 2 * 4))
HEAD_BACKWARD = 1.5 * NORM + 2 * HEAD_PRODUCT + moved(T * 8192 * (2 + 4))

FORWARD = (
    EMBEDDING_FORWARD + DENSE_FORWARD + MOE_FORWARD,
    2 * DENSE_FORWARD + MOE_FORWARD,
    MOE_FORWARD + DENSE_FORWARD + HEAD_FORWARD,
)
BACKWARD = (
    EMBEDDING_BACKWARD + DENSE_BACKWARD + MOE_BACKWARD,
    2 * DENSE_BACKWARD + MOE_BACKWARD,
    MOE_BACKWARD + DENSE_BACKWARD + HEAD_BACKWARD,
)
TENSOR_SHOWN = (
    2 * (TENSOR_FORWARD + TENSOR_BACKWARD) + 2 * TENSOR_ONE,
    3 * (TENSOR_FORWARD + TENSOR_BACKWARD),
    2 * (TENSOR_FORWARD + TENSOR_BACKWARD) + 3 * TENSOR_ONE + LOSS_SUM,
)
EXPERT_SHOWN = 2 * EXPERT_PASS  # one MoE layer on every stage
STAGE = tuple(f + b + t + EXPERT_SHOWN + HAND_OVER for f, b, t in zip(FORWARD, BACKWARD, TENSOR_SHOWN, strict=True))
SLOWEST = 2  # the head's product is worth more than a dense layer
LAYERS_THERE = 2
BUBBLE = STAGE[0] + STAGE[1]  # 1F1B: the other stages' work on one micro batch

GRADIENTS_S, WEIGHTS_S = data_s(4), data_s(2)
# Overlapped with the passes of the last micro batch, in as many buckets as layers; the last bucket never hides.
DATA_SHOWN = max(GRADIENTS_S - BACKWARD[SLOWEST], GRADIENTS_S / LAYERS_THERE) + max(
    WEIGHTS_S - FORWARD[SLOWEST], WEIGHTS_S / LAYERS_THERE
)
# Adam on the rank's shard: gradient 4, states 2 x 8, master 2 x 4, weight 2 bytes; 12 FLOPs a parameter.
UPDATED = HEAVIEST / 8 + RANK_EXPERTS / 2
OPTIMIZER_S = UPDATED * 30 / MEMORY + UPDATED * 12 / VECTOR


def close(expected: float) -> Any:
    """Equal but for rounding."""
    return pytest.approx(expected, rel=1e-9, abs=0)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> suanli.Workspace:
    """The installed plugins, and a folder with the made-up machine."""
    return suanli.Workspace(paths=[made(tmp_path_factory.mktemp("hand"))])


def made(folder: Path) -> Path:
    """A folder with the made-up machine."""
    parts = [CATALOG, *(EFFICIENCY.format(kernel=k, precision=p) for k, p in KERNELS.items())]
    parts += [FABRIC.format(fabric=f) for f in ("switch", "nic")]
    (folder / "hand.toml").write_text("\n".join(parts), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def report(workspace: suanli.Workspace) -> suanli.Report:
    """What the estimator makes of the case."""
    return workspace.estimate(SCENARIO)


def test_parameters(report: suanli.Report) -> None:
    """Parameters of the model, and those one token uses, are the sums above."""
    assert report.parameters.total == TOTAL == 127983616
    assert report.parameters.active == ACTIVE


def test_stages_hold_their_parameters(report: suanli.Report) -> None:
    """Weights, gradients and optimizer states of each stage follow from the parameters it holds."""
    stages = report.memory.stages
    assert [s.weights_bytes for s in stages] == [close(w) for w in WEIGHTS]
    assert [s.gradients_bytes for s in stages] == [close(g) for g in GRADIENTS]
    assert [s.optimizer_bytes for s in stages] == [close(o) for o in OPTIMIZER]


def test_activations_in_flight(report: suanli.Report) -> None:
    """Stages hold activations of three, two and one micro batches, and the last its logits."""
    stages = report.memory.stages
    assert [s.activations_bytes for s in stages] == [close(a) for a in ACTIVATIONS]
    assert [s.logits_bytes for s in stages] == [close(x) for x in LOGITS]
    schedule: suanli.PipelineSchedule = suanli.catalog().get("schedule", "1f1b")
    held = [schedule.in_flight(stage=float(i), stages=3.0, micro_batches=8.0, chunks=1.0) for i in range(3)]
    assert held == list(IN_FLIGHT)


def test_memory_of_the_worst_rank(report: suanli.Report) -> None:
    """The first stage needs the most, part by part what was worked out, nothing besides."""
    worst = report.memory.per_accelerator
    assert worst.weights_bytes == close(WEIGHTS[0])
    assert worst.gradients_bytes == close(GRADIENTS[0])
    assert worst.optimizer_bytes == close(OPTIMIZER[0])
    assert worst.activations_bytes == close(ACTIVATIONS[0])
    assert worst.logits_bytes == worst.kv_cache_bytes == worst.workspace_bytes == 0
    assert worst.reserve_bytes == RESERVE
    totals = [sum(p) + RESERVE for p in zip(WEIGHTS, GRADIENTS, OPTIMIZER, ACTIVATIONS, LOGITS, strict=True)]
    assert totals[0] == max(totals)
    assert worst.total_bytes == close(totals[0])


@pytest.mark.parametrize(
    ("operation", "size", "ranks", "stride", "seconds"),
    [
        ("all_gather", 2 * TH, 2, 1, TENSOR_ONE),
        ("reduce_scatter", 2 * TH, 2, 1, TENSOR_ONE),
        ("all_reduce", 4 * T, 2, 1, LOSS_SUM),
        ("all_to_all", 2 * TH, 4, 2, ALL_TO_ALL),
        ("all_gather", 4 * TH, 2, 1, EXPERT_GATHER),
        ("p2p", TH, 2, 16, TH / BETWEEN),
        ("reduce_scatter", HEAVIEST * 4, 8, 2, HEAVIEST * 4 * 7 / 16 / BETWEEN),
        ("reduce_scatter", RANK_EXPERTS * 4, 2, 8, RANK_EXPERTS * 4 / 2 / BETWEEN),
    ],
)
def test_one_exchange(
    workspace: suanli.Workspace, operation: str, size: int, ranks: int, stride: int, seconds: float
) -> None:
    """Each exchange takes what its bytes take on the slowest tier its ranks reach."""
    system = workspace.system("hand-cluster", 48)
    assert system.collective_s(operation, bytes=size, ranks=ranks, stride=stride) == close(seconds)


def test_stage_two_is_the_slowest() -> None:
    """The stage whose times the step is made of, by the arithmetic above."""
    assert STAGE[SLOWEST] == max(STAGE)


def test_passes_of_a_step(report: suanli.Report) -> None:
    """Forward and backward of eight micro batches on the slowest stage."""
    assert report.time.forward_s == close(MICRO_BATCHES * FORWARD[SLOWEST])
    assert report.time.backward_s == close(MICRO_BATCHES * BACKWARD[SLOWEST])
    assert report.time.recompute_s == 0


def test_exposed_exchanges_of_a_step(report: suanli.Report) -> None:
    """Every axis's exchanges that nothing hides, over the tiers its groups reach."""
    assert report.time.exposed_tensor_s == close(MICRO_BATCHES * TENSOR_SHOWN[SLOWEST])
    assert report.time.exposed_expert_s == close(MICRO_BATCHES * EXPERT_SHOWN)
    assert report.time.exposed_pipeline_s == close(MICRO_BATCHES * HAND_OVER)
    assert report.time.exposed_data_s == close(DATA_SHOWN)
    assert report.time.exposed_context_s == report.time.exposed_other_s == 0


def test_bubble_optimizer_and_step(report: suanli.Report) -> None:
    """The bubble is the other two stages' work, and the step is the sum of its parts."""
    assert report.time.bubble_s == close(BUBBLE)
    assert report.time.optimizer_s == close(OPTIMIZER_S)
    # The slowest stage's eight micro batches, hand-over included, and what happens once.
    assert report.time.step_s == close(MICRO_BATCHES * STAGE[SLOWEST] + DATA_SHOWN + BUBBLE + OPTIMIZER_S)


def test_nothing_hides_without_overlap(workspace: suanli.Workspace) -> None:
    """Without overlap the data exchanges count in full, once a step, and nothing else changes."""
    plain = workspace.estimate(SCENARIO | {"implementation": SCENARIO["implementation"] | {"overlap": False}})
    assert plain.time.exposed_data_s == close(GRADIENTS_S + WEIGHTS_S)
    assert plain.time.bubble_s == close(BUBBLE)


def test_throughput(report: suanli.Report) -> None:
    """128 sequences of 512 tokens a step, and model FLOPs of three forward passes with full attention."""
    step = MICRO_BATCHES * STAGE[SLOWEST] + DATA_SHOWN + BUBBLE + OPTIMIZER_S
    assert report.throughput.tokens_per_s == close(128 * 512 / step)
    # Matrices a token passes: those it uses, less embedding, biases (2048 a layer) and norms; 2 FLOPs each.
    matrices = ACTIVE - EMBEDDING - 7 * (2048 + NORMS) - 1024
    core = 7 * 4 * 512 * 512 * 1024  # two products of 512 x 512 pairs, 1024 wide
    flops = 3 * 128 * (2 * 512 * matrices + core)
    assert report.flops.model_flops == close(flops)
    assert report.throughput.mfu_ratio == close(flops / step / (48 * PEAK))


def changed(workspace: suanli.Workspace, **sections: Any) -> suanli.Report:
    """The case with some sections changed."""
    return workspace.estimate(SCENARIO | {k: SCENARIO.get(k, {}) | v for k, v in sections.items()})


def test_rates_of_one_accelerator(report: suanli.Report) -> None:
    """Each rate of one accelerator is a 48th of all of them; without recompute both utilisations are one."""
    step, speed = report.time.step_s or 0.0, report.throughput
    assert speed.tokens_per_s_per_accelerator == close(128 * 512 / step / 48)
    assert speed.samples_per_s == close(128 / step)
    assert speed.samples_per_s_per_accelerator == close(128 / step / 48)
    assert speed.model_flops_per_s_per_accelerator == close((report.flops.model_flops or 0.0) / step / 48)
    assert speed.hfu_ratio == speed.mfu_ratio
    assert (speed.peak_flops_per_s, speed.peak_precision) == (PEAK, "bf16")
    assert report.flops.backward_flops == close(2 * (report.flops.forward_flops or 0.0))
    assert report.flops.recompute_flops == 0


def test_a_run_takes_so_many_steps(workspace: suanli.Workspace) -> None:
    """1e9 tokens are 1e9 / 65,536 steps; 48 accelerators at 2 an hour; 12 nodes of 5 kW, 20 % more for the site."""
    prices = {"price_per_hour": 2.0, "currency": "CNY", "pue": 1.2}
    found = changed(workspace, workload={"tokens": 1e9}, assumptions=prices)
    assert found.run is not None
    seconds = 1e9 / (128 * 512) * (found.time.step_s or 0.0)
    assert found.run.duration_s == close(seconds)
    assert found.run.accelerator_hours == close(48 * seconds / 3600)
    assert (found.run.cost, found.run.currency) == (close(2 * 48 * seconds / 3600), "CNY")
    assert found.run.energy_j == close(12 * 5000 * 1.2 * seconds)


def test_a_run_of_no_stated_length_is_none(report: suanli.Report) -> None:
    """Without a number of tokens the run's figures are absent, and a note says so of each."""
    assert report.run is not None
    noted = {p.figure for p in report.problems if p.code == "no-tokens"}
    for key in ("duration_s", "accelerator_hours", "energy_j", "cost"):
        assert getattr(report.run, key) is None
        assert f"run.{key}" in noted


def test_what_nobody_states_of_a_run_is_noted(workspace: suanli.Workspace) -> None:
    """Where no power and no price is known, a run has a length and hours, and a note for its energy and its cost."""
    found = changed(workspace, system={"name": "dark-cluster"}, workload={"tokens": 1e9})
    assert found.run is not None
    assert found.run.accelerator_hours == close(48 * (found.run.duration_s or 0.0) / 3600)
    assert (found.run.energy_j, found.run.cost) == (None, None)
    assert {("run.energy_j", "no-power"), ("run.cost", "no-price")} <= {(p.figure, p.code) for p in found.problems}


LAYERS_FORWARD = (DENSE_FORWARD + MOE_FORWARD, 2 * DENSE_FORWARD + MOE_FORWARD, MOE_FORWARD + DENSE_FORWARD)
LAYER_COUNTS = (2, 3, 2)


def test_full_recompute_runs_the_layers_again(workspace: suanli.Workspace) -> None:
    """Every layer keeps the stream it reads, and makes the rest again, one layer at a time, exchanges included.

    A checkpoint is T x 1024 elements spread over two ranks: TH bytes. The mixture's layer has the most to make again.
    """
    found = changed(workspace, layout={"recompute": "full"})
    for stage, (held, layers) in enumerate(zip(IN_FLIGHT, LAYER_COUNTS, strict=True)):
        parts = found.memory.stages[stage]
        assert parts.activations_bytes == close(held * layers * TH)
        assert parts.workspace_bytes == close(MOE_KEPT - TH)
    stages = [
        s + f + n * TENSOR_FORWARD + EXPERT_PASS for s, f, n in zip(STAGE, LAYERS_FORWARD, LAYER_COUNTS, strict=True)
    ]
    slowest = max(range(3), key=lambda i: stages[i])
    assert found.time.recompute_s == close(MICRO_BATCHES * LAYERS_FORWARD[slowest])
    assert found.time.bubble_s == close(sum(stages) - stages[slowest])
    tensor = TENSOR_SHOWN[slowest] + LAYER_COUNTS[slowest] * TENSOR_FORWARD
    assert found.time.exposed_tensor_s == close(MICRO_BATCHES * tensor)
    assert found.time.exposed_expert_s == close(MICRO_BATCHES * 3 * EXPERT_PASS)


def test_flops_made_again_are_hardware_s_alone(workspace: suanli.Workspace, report: suanli.Report) -> None:
    """Full recompute repeats all forward FLOPs but the head's, selective those of the attention core."""
    forward, useful = report.flops.forward_flops or 0.0, report.flops.model_flops or 0.0
    head = 128 * 512 * 2 * 16384 * 1024
    core = 128 * 7 * 4 * 512 * 512 * 1024
    for kind, again in (("full", forward - head), ("selective", core)):
        found = changed(workspace, layout={"recompute": kind})
        assert found.flops.model_flops == useful
        assert found.flops.recompute_flops == close(again)
        assert found.flops.hardware_flops == close(useful + again)
        step, speed = found.time.step_s or 0.0, found.throughput
        assert speed.hfu_ratio == close((useful + again) / step / (48 * PEAK))
        assert speed.mfu_ratio == close(useful / step / (48 * PEAK))


def test_zero_3_gathers_two_layers(workspace: suanli.Workspace) -> None:
    """ZeRO 3 divides weights and gradients over 8 copies, experts' over 2, and gathers two layers at a time.

    The largest layer on a rank is the mixture's, 3,158,016 dense and 1,572,864 expert parameters.
    """
    found = changed(workspace, layout={"zero": 3})
    for stage, dense in enumerate(STAGE_PARAMETERS):
        parts = found.memory.stages[stage]
        held = dense / 8 + RANK_EXPERTS / 2
        assert parts.weights_bytes == close(2 * held)
        assert parts.gradients_bytes == close(4 * held)
        missing = 2 * (dense + RANK_EXPERTS - held)
        assert parts.workspace_bytes == close(min(2 * 2 * (RANK_MOE + RANK_EXPERTS), missing))
    # Of every micro batch: weights gathered on both passes, gradients scattered; behind as many buckets as layers.
    gathered, scattered = data_s(2), data_s(4)
    late = []
    for forward, backward, layers, stage_s in zip(FORWARD, BACKWARD, LAYER_COUNTS, STAGE, strict=True):
        shown = max(gathered - forward, gathered / layers)
        shown += max(gathered + scattered - backward, (gathered + scattered) / layers)
        # A stage that works less than the slowest has so much longer for its exchanges.
        late.append(MICRO_BATCHES * (shown - (STAGE[SLOWEST] - stage_s)))
    assert late.index(max(late)) != SLOWEST
    assert found.time.exposed_data_s == close(max(late))


def test_zero_3_gathers_no_more_than_is_missing(workspace: suanli.Workspace) -> None:
    """Of dense layers alike two are gathered; of one alone, beside the ends, no more than there is to gather.

    Without experts the axis of theirs is left out, and there are 8 copies of all.
    """
    layout = {"zero": 3, "expert": 1, "expert_tensor": 2}
    for count, held in ((7, (EMBEDDING // 2 + 2 * RANK_DENSE, 3 * RANK_DENSE)), (3, (EMBEDDING // 2 + RANK_DENSE,))):
        config = CONFIG | {"decoder_sparse_step": 100, "num_hidden_layers": count}
        found = changed(workspace, model={"config": config}, layout=layout).memory.stages
        for parts, parameters in zip(found, held, strict=False):
            assert parts.weights_bytes == close(2 * parameters / 8)
            assert parts.workspace_bytes == close(2 * min(2 * RANK_DENSE, parameters * 7 / 8))


def test_zero_2_scatters_gradients_of_every_micro_batch(workspace: suanli.Workspace) -> None:
    """Gradients that are not kept whole leave a rank with every micro batch; weights are gathered once a step."""
    found = changed(workspace, layout={"zero": 2}, implementation={"overlap": False})
    assert found.time.exposed_data_s == close(MICRO_BATCHES * data_s(4) + data_s(2))


def test_one_layer_alone_hides_nothing_of_its_exchange(workspace: suanli.Workspace) -> None:
    """Its gradients are there when its backward pass is over: with a layer on each stage overlap changes nothing."""
    config = CONFIG | {"num_hidden_layers": 3}
    asked = {"model": {"config": config}}
    both = [
        changed(workspace, **asked, implementation={"overlap": overlap}).time.exposed_data_s
        for overlap in (True, False)
    ]
    assert both[0] == close(both[1] or 0.0)


def test_a_tied_head_is_a_copy_on_the_last_of_several_stages(workspace: suanli.Workspace) -> None:
    """With the embedding on another rank the last stage has half of a table of its own; alone there is one table."""
    tied = {"model": {"config": CONFIG | {"tie_word_embeddings": True}}}
    apart = changed(workspace, **tied).memory.stages
    assert [s.weights_bytes for s in apart] == [close(w) for w in WEIGHTS]
    alone = {"layout": {"pipeline": 1, "data": 24}, "workload": {"global_batch": 48}}
    together = changed(workspace, **tied, **alone).memory.stages
    whole = EMBEDDING // 2 + 4 * RANK_DENSE + 3 * (RANK_MOE + RANK_EXPERTS) + 1024
    assert [s.weights_bytes for s in together] == [close(2 * whole)]


@attrs.frozen(kw_only=True)
class Twins(suanli.ParallelismRule):
    """Ranks that hold copies of the weights and divide nothing, outside all other axes."""

    def group(self, name: str, layout: Any) -> Any:
        """A whole job of the others apart."""
        return layout[self.field], layout.tensor * layout.context * layout.data * layout.pipeline


def test_copies_of_a_plugin_s_axis_share_the_optimizer_too(tmp_path: Path) -> None:
    """On twice as many copies, ZeRO 1 leaves half of the optimizer's states on each, and all of weights and gradients.

    Gradients are then summed over 16 ranks of a stage, and those of an expert over 4.
    """
    rule = Twins(name="twins", field="twins", copies=True, reads=("twins", *["tensor", "context", "data", "pipeline"]))
    plugin = make_plugin("twins", parallelisms=[attrs.evolve(rule, source="made up")])
    workspace = suanli.Workspace(plugins=[*installed_plugins(), plugin], paths=[made(tmp_path)])
    found = changed(workspace, system={"accelerators": 96}, layout={"twins": 2}).memory.stages
    assert [s.optimizer_bytes for s in found] == [close(12 * (d / 16 + RANK_EXPERTS / 4)) for d in STAGE_PARAMETERS]
    assert [s.weights_bytes for s in found] == [close(w) for w in WEIGHTS]
    assert [s.gradients_bytes for s in found] == [close(g) for g in GRADIENTS]


def test_chunks_travel_while_others_compute(workspace: suanli.Workspace) -> None:
    """Interleaved stages hand over once for each chunk, which others hide where exchanges overlap, and else do not."""
    layout = {"virtual_stages": 2, "schedule": "interleaved"}
    nine = {"workload": {"global_batch": 9 * 16}}  # micro batches: a multiple of the stages
    hidden = changed(workspace, **nine, layout=layout)
    shown = changed(workspace, **nine, layout=layout, implementation={"overlap": False})
    assert hidden.time.exposed_pipeline_s == 0
    assert shown.time.exposed_pipeline_s == close(9 * 2 * HAND_OVER)


def test_the_only_copy_of_an_expert_is_not_divided(workspace: suanli.Workspace) -> None:
    """With an expert on each pair of 16 ranks there is one copy of it, and ZeRO divides the dense part alone."""
    found = changed(workspace, layout={"expert": 8}).memory.stages
    expected = [close(12 * (d / 8 + RANK_EXPERTS / 2)) for d in STAGE_PARAMETERS]  # half as many experts, undivided
    assert [s.optimizer_bytes for s in found] == expected
    assert [s.weights_bytes for s in found] == [close(2 * (d + RANK_EXPERTS / 2)) for d in STAGE_PARAMETERS]


def test_tensor_ranks_past_a_node_are_warned_of_once(workspace: suanli.Workspace) -> None:
    """Eight tensor ranks reach past the four of a node, and training is told so once, not as an engine besides."""

    def warned(tensor: int) -> list[str]:
        found = changed(workspace, layout={"tensor": tensor, "data": 16 // tensor})
        return [p.code for p in found.problems if p.code == "tensor-past-scale-up"]

    assert warned(8) == ["tensor-past-scale-up"]
    assert warned(4) == []


def test_tables_all_parameters_share_are_whole_on_every_rank(workspace: suanli.Workspace) -> None:
    """Of 8-bit Adam's states f(n) on n ranks, 2 f(2n) - f(n) is what nothing divides: two tables of 256 fp32 codes."""

    def kept(ranks: int) -> float:
        layout = {"tensor": 1, "pipeline": 1, "data": ranks, "expert": 1, "expert_tensor": 1, "zero": 1}
        system = {"accelerators": ranks}
        asked = changed(workspace, layout=layout, system=system, optimizer={"name": "adamw-8bit"})
        return asked.memory.per_accelerator.optimizer_bytes

    assert 2 * kept(8) - kept(4) == pytest.approx(2 * 256 * 4)
