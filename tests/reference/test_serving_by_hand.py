"""One engine worked by hand: five layers on two stages, heads over two ranks, on a machine made up to divide evenly.

Two engines of 4 accelerators each fill two nodes of 4. An accelerator does 100 TFLOP/s and 1 TB/s, nothing lost;
links carry 100 GB/s in a node and 10 GB/s between, no latency.

Everything below is arithmetic on those numbers. Conventions are those the operators document: a kernel takes its
FLOPs at peak plus its bytes at bandwidth; a product moves each operand once; a norm, rotation, residual or activation
moves what it reads and writes; an attention reads its queries and the cache, and writes what was attended.
Of each request only the last position is turned into logits. A batch that fills a pipeline is divided over its stages.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

import suanli
from suanli import ParallelismRule, Profile, Workspace
from suanli.report import Serving
from suanli.testing import installed_plugins, make_plugin

CATALOG = """
[[accelerator]]
id = "hand-server"
vendor = "Hand"
product = "Hand Server"
generation = "hand"
memory = "20 GB"
memory_bandwidth = "1 TB/s"
sustained_ratio = 1.0
peak = { bf16 = "100 TFLOP/s", fp32 = "10 TFLOP/s" }
source = { all = "made up" }

[[system]]
id = "hand-rack"
accelerator = "hand-server"
accelerators_per_node = 4
power_per_node = "4 kW"
source = { all = "made up" }
[[system.tier]]
name = "inside"
span = 4
bandwidth = "100 GB/s"
[[system.tier]]
name = "between"
bandwidth = "10 GB/s"

[[system]]
id = "slow-rack"
accelerator = "hand-server"
accelerators_per_node = 4
source = { all = "made up" }
[[system.tier]]
name = "inside"
span = 4
bandwidth = "5 GB/s"
[[system.tier]]
name = "between"
bandwidth = "1 GB/s"

[[system]]
id = "flat-rack"
accelerator = "hand-server"
accelerators_per_node = 1
source = { all = "made up" }
[[system.tier]]
name = "everywhere"
bandwidth = "10 GB/s"

[[system]]
id = "hand-alone"
accelerator = "hand-server"
accelerators_per_node = 1
source = { all = "made up" }
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
KERNELS = {"gemm": "bf16", "attention_prefill": "bf16", "attention_decode": "bf16", "elementwise": "fp32"}
# An engine that does nothing else a model of it would have to know, and whose host takes 3 ms a pass and 1 ms a layer.
PLAIN = Profile(name="hand-engine", kind="serving", memory_fraction=0.9, sequence_parallel=False, source="made up")
HOST = Profile(
    name="hand-host",
    kind="serving",
    memory_fraction=0.9,
    sequence_parallel=False,
    step_overhead_s=3e-3,
    layer_overhead_s=1e-3,
    source="made up",
)

H, INNER, VOCABULARY, LAYERS = 1024, 4096, 16384, 5
HEADS, KV_HEADS, WIDTH = 8, 4, 128
CONFIG = {
    "model_type": "llama",
    "vocab_size": VOCABULARY,
    "hidden_size": H,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
PROMPT, OUTPUT, BATCH = 512, 64, 6
SCENARIO: dict[str, Any] = {
    "model": {"config": CONFIG},
    "system": {"name": "hand-rack", "accelerators": 8},
    "workload": {"kind": "serve", "prompt": PROMPT, "output": OUTPUT, "batch": BATCH},
    "layout": {"tensor": 2, "pipeline": 2, "replicas": 2},
    "precision": {"recipe": "bf16"},
    "implementation": {"profile": "hand-engine"},
    "assumptions": {"reserve": "1 GB", "price_per_hour": 3.0, "currency": "EUR", "pue": 1.5},
}
PEAK, MEMORY, INSIDE = 100e12, 1e12, 100e9
CAPACITY = 20e9

# ---- Memory of a rank ----------------------------------------------------------------------------------------------
# q and out 1024 x 1024, k and v 1024 x 512 each, three matrices of 1024 x 4096: halved; two norms of 1024: whole.
LAYER = (2 * 1048576 + 2 * 524288 + 3 * H * INNER) // 2 + 2 * H
END = VOCABULARY * H // 2  # half of the table; the last stage has a norm besides
THREE_LAYERS = 3  # of five on two stages, the fuller has three
WEIGHTS = 2 * (THREE_LAYERS * LAYER + END + H)
# Keys and values of 2 heads on a rank, 128 wide, 2 bytes: 1024 bytes a token and layer.
TOKEN = THREE_LAYERS * 2 * 2 * WIDTH * 2
REQUEST = (PROMPT + OUTPUT) * TOKEN
# A pass has half of the batch; its widest step is the activation: gate, up and their product, 2048 wide on a rank.
TOGETHER = BATCH // 2
WORKSPACE = TOGETHER * PROMPT * 3 * (INNER // 2) * 2
RESERVE = 0.1 * CAPACITY + 1e9
FREE = CAPACITY - WEIGHTS - WORKSPACE - RESERVE


# ---- Seconds of a pass ---------------------------------------------------------------------------------------------
def product(m: int, n: int, k: int) -> float:
    """Seconds of a product: 2 m n k FLOPs, and each matrix once, 2 bytes an element."""
    return 2 * m * n * k / PEAK + 2 * (m * k + k * n + m * n) / MEMORY


def core_work(sequences: int, queries: int, tokens: float) -> tuple[float, float]:
    """FLOPs and bytes of 4 query heads on 2 key-value heads: each query on the tokens up to its own."""
    pairs = queries * (tokens - queries) + queries * (queries + 1) / 2
    flops = 2 * sequences * 4 * pairs * (WIDTH + WIDTH)
    return flops, 2 * sequences * (queries * 2 * 4 * WIDTH + tokens * 2 * 2 * WIDTH)


def layer_s(sequences: int, queries: int, tokens: float) -> float:
    """Seconds of one layer on a rank."""
    t = sequences * queries
    passes = 2 * 2 * H + 2 * 3 * H + 2 * (512 + 256) + 3 * 2048  # norms, residuals, rotations, activation
    products = product(t, 512 + 2 * 256, H) + product(t, H, 512) + product(t, 2 * 2048, H) + product(t, H, 2048)
    flops, moved = core_work(sequences, queries, tokens)
    return 2 * t * passes / MEMORY + products + flops / PEAK + moved / MEMORY


def compute_s(sequences: int, queries: int, tokens: float) -> float:
    """Seconds of the kernels of a pass: embedding, five layers, the head on the last position of each request."""
    embedding = 2 * (sequences * queries * H) * 2 / MEMORY
    head = 2 * (sequences * H) * 2 / MEMORY + product(sequences, VOCABULARY // 2, H)
    return embedding + LAYERS * layer_s(sequences, queries, tokens) + head


def exchanged_s(sequences: int, queries: int) -> float:
    """Seconds of a pass's exchanges: two all-reduces a layer and one of the embedding, over two ranks of a node.

    Each of two ranks sends half of the buffer twice. Then one hand-over to the other stage, in the same node.
    """
    stream = 2 * sequences * queries * H
    reduced = 2 * stream * 1 / 2 / INSIDE
    return (2 * LAYERS + 1) * reduced + stream / INSIDE


PREFILL = compute_s(TOGETHER, PROMPT, PROMPT) + exchanged_s(TOGETHER, PROMPT)
# A step half way through the output.
MIDDLE = PROMPT + OUTPUT / 2
DECODE = compute_s(TOGETHER, 1, MIDDLE) + exchanged_s(TOGETHER, 1)
LATENCY = PREFILL + (OUTPUT - 1) * DECODE
RATE = 2 * BATCH * OUTPUT / LATENCY


def close(expected: float) -> Any:
    """Equal but for rounding."""
    return pytest.approx(expected, rel=1e-9, abs=0)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The installed plugins, the made-up machine, and the made-up engines."""
    engines = make_plugin("engines", profiles=[PLAIN, HOST])
    return Workspace(plugins=[*installed_plugins(), engines], paths=[made(tmp_path_factory.mktemp("hand"))])


def made(folder: Path) -> Path:
    """A folder with the made-up machine."""
    parts = [CATALOG, *(EFFICIENCY.format(kernel=k, precision=p) for k, p in KERNELS.items())]
    parts += [FABRIC.format(fabric=f) for f in ("switch", "nic")]
    (folder / "hand.toml").write_text("\n".join(parts), encoding="utf-8")
    return folder


def served(workspace: Workspace, **sections: Any) -> tuple[suanli.Report, Serving]:
    """The report on the case, some of its sections changed."""
    changed = {k: SCENARIO.get(k, {}) | v for k, v in sections.items()}
    report = workspace.estimate(SCENARIO | changed)
    assert report.serving is not None
    return report, report.serving


@pytest.fixture(scope="module")
def static(workspace: Workspace) -> tuple[suanli.Report, Serving]:
    """What the estimator makes of the batch that stays."""
    return served(workspace)


def test_weights_cache_and_workspace_of_a_rank(static: tuple[suanli.Report, Serving]) -> None:
    """The fuller stage's layers, the heavier end, the cache of six requests, the widest step: as worked out."""
    parts = static[0].memory.per_accelerator
    assert parts.weights_bytes == close(WEIGHTS)
    assert parts.kv_cache_bytes == close(BATCH * REQUEST)
    assert parts.workspace_bytes == close(WORKSPACE)
    assert parts.reserve_bytes == close(RESERVE)
    assert static[0].memory.fits


def test_room_for_the_cache(static: tuple[suanli.Report, Serving]) -> None:
    """Whole requests, and whole tokens, that fit in what is left on a rank; two engines have twice that."""
    assert static[1].max_concurrency == 2 * (FREE // REQUEST)
    assert static[1].kv_cache_tokens == 2 * (FREE // TOKEN)


def test_a_pass_of_the_prompts_and_a_step(static: tuple[suanli.Report, Serving]) -> None:
    """Prefill and decode take their kernels, their exchanges and one hand-over, with half of the batch in a pass."""
    assert static[0].time.prefill_s == close(PREFILL)
    assert static[0].time.decode_s == close(DECODE)


def test_a_batch_that_stays(static: tuple[suanli.Report, Serving]) -> None:
    """The first token comes with the prompts, the others a step each; rates are of two engines, and of each token."""
    found = static[1]
    assert (found.ttft_s, found.tpot_s, found.latency_s) == (close(PREFILL), close(DECODE), close(LATENCY))
    assert found.batch == BATCH
    assert found.output_tokens_per_s == close(RATE)
    assert found.output_tokens_per_s_per_accelerator == close(RATE / 8)
    assert found.requests_per_s == close(RATE / OUTPUT)
    assert static[0].throughput.tokens_per_s == close(RATE / OUTPUT * (PROMPT + OUTPUT))


def test_what_a_token_costs_and_draws(static: tuple[suanli.Report, Serving]) -> None:
    """Eight accelerators at 3 EUR an hour; two nodes of 4 kW, half as much again for the site: 12 kJ a second."""
    found = static[1]
    assert (found.cost_per_hour, found.currency) == (close(24.0), "EUR")
    assert found.cost_per_million_output_tokens == close(24.0 / 3600.0 * 1e6 / RATE)
    assert found.energy_per_output_token_j == close(2 * 4000.0 * 1.5 / RATE)


def test_flops_of_one_request(static: tuple[suanli.Report, Serving]) -> None:
    """All ranks: two FLOPs a weight and token, causal attention; a step half way through the output."""
    matrices = 2 * 1048576 + 2 * 524288 + 3 * H * INNER
    pairs = PROMPT * (PROMPT + 1) / 2
    head = 2 * VOCABULARY * H
    prompt = 2 * PROMPT * LAYERS * matrices + LAYERS * 2 * HEADS * pairs * 2 * WIDTH + PROMPT * head
    assert static[0].flops.prefill_flops == close(prompt)
    step = 2 * LAYERS * matrices + LAYERS * 2 * HEADS * (MIDDLE + 1) * 2 * WIDTH + head
    assert static[0].flops.decode_flops == close(step)


def test_on_one_stage_both_ends_are_held(workspace: Workspace) -> None:
    """Without a pipeline a rank holds every layer and both ends, passes the whole batch, and hands nothing on."""
    report, found = served(workspace, layout={"pipeline": 1, "replicas": 4}, workload={"batch": 3})
    assert report.memory.per_accelerator.weights_bytes == close(2 * (LAYERS * LAYER + 2 * END + H))
    assert report.memory.per_accelerator.kv_cache_bytes == close(3 * (PROMPT + OUTPUT) * LAYERS * 1024)
    hand_over = 2 * TOGETHER * PROMPT * H / INSIDE
    assert report.time.prefill_s == close(PREFILL - hand_over)
    assert found.batch == 3


def test_narrow_weights_leave_both_ends_wide(workspace: Workspace) -> None:
    """With weights of half a byte embedding and head stay in two bytes, where one is held and where both are."""
    narrow = {"recipe": "int4"}
    apart, _ = served(workspace, precision=narrow)
    alone, _ = served(workspace, precision=narrow, layout={"pipeline": 1, "replicas": 4})
    for report, layers, ends in ((apart, THREE_LAYERS, END + H), (alone, LAYERS, 2 * END + H)):
        held = report.memory.per_accelerator.weights_bytes
        assert held == pytest.approx(0.5 * layers * LAYER + 2 * ends, rel=1e-3)


@pytest.mark.parametrize(("batch", "together"), [(1, 1), (2, 1), (3, 2), (6, 3), (7, 4)])
def test_a_pipeline_divides_its_batch(workspace: Workspace, batch: int, together: int) -> None:
    """Of a batch over two stages each passes half at a time, rounded up, and at least one request."""
    report, _ = served(workspace, workload={"batch": batch})
    assert report.time.decode_s == close(compute_s(together, 1, MIDDLE) + exchanged_s(together, 1))


def test_a_long_prompt_is_passed_in_chunks(workspace: Workspace) -> None:
    """At most 8192 tokens are in a pass at a time, so the workspace ends there; the time is of all of them."""
    report, _ = served(workspace, workload={"batch": 40})
    assert 20 * PROMPT > 8192
    assert report.memory.per_accelerator.workspace_bytes == close(8192 * 3 * (INNER // 2) * 2)
    assert report.time.prefill_s == close(compute_s(20, PROMPT, PROMPT) + exchanged_s(20, PROMPT))


def test_what_the_cache_has_of_a_prompt_is_not_passed_again(workspace: Workspace) -> None:
    """With a quarter of the prompt in the cache 384 tokens are passed, each on all that come before it.

    With all of it there, the last is passed all the same: it makes the first token.
    """
    report, _ = served(workspace, workload={"prefix_hit_ratio": 0.25})
    assert report.time.prefill_s == close(compute_s(TOGETHER, 384, PROMPT) + exchanged_s(TOGETHER, 384))
    whole, _ = served(workspace, workload={"prefix_hit_ratio": 1.0})
    assert whole.time.prefill_s == close(compute_s(TOGETHER, 1, PROMPT) + exchanged_s(TOGETHER, 1))


def test_the_host_takes_its_time_for_every_pass(workspace: Workspace) -> None:
    """A host launching a layer in 1 ms takes longer over five than their kernels run; 3 ms a pass come on top."""
    report, _ = served(workspace, implementation={"profile": "hand-host"})
    assert max(PREFILL, DECODE) < 5e-3
    assert report.time.prefill_s == close(5e-3 + 3e-3)
    assert report.time.decode_s == close(5e-3 + 3e-3)


JOB = {"kind": "serve", "prompt": PROMPT, "output": OUTPUT}


def joined(workspace: Workspace, concurrency: int, **sections: Any) -> tuple[suanli.Report, Serving]:
    """The case with requests that come and go, on four engines of one stage."""
    layout = {"tensor": 2, "pipeline": 1, "replicas": 4}
    asked = SCENARIO | {"workload": JOB | {"concurrency": concurrency}, "layout": layout}
    report = workspace.estimate(asked | {k: asked.get(k, {}) | v for k, v in sections.items()})
    assert report.serving is not None
    return report, report.serving


def one_stage_s(sequences: int, queries: int, tokens: float) -> float:
    """A pass on one stage: nothing is handed on."""
    stream = 2 * sequences * queries * H
    return compute_s(sequences, queries, tokens) + exchanged_s(sequences, queries) - stream / INSIDE


def test_requests_that_come_and_go(workspace: Workspace) -> None:
    """Ten requests on four engines: three at a time on the busiest, prompts one by one, all ten answered at once.

    A request waits for the step that is under way, then passes its prompt; while it writes 64 tokens the other two
    are replaced once.
    """
    _, found = joined(workspace, 10)
    prefill, decode = one_stage_s(1, PROMPT, PROMPT), one_stage_s(3, 1, MIDDLE)
    shared = decode + 2 * prefill / OUTPUT
    assert found.batch == 3
    assert found.ttft_s == close(shared + prefill)
    assert found.tpot_s == close(shared)
    latency = shared + prefill + (OUTPUT - 1) * shared
    assert found.latency_s == close(latency)
    assert found.output_tokens_per_s == close(10 * OUTPUT / latency)


def test_a_full_pipeline_replaces_requests_side_by_side(workspace: Workspace) -> None:
    """Of five requests over two stages each pass has three, and a request is stopped by half of the others' prompts.

    2.5 requests share a stage's time, so 1.5 others are replaced while one is answered.
    """
    _, found = joined(workspace, 10, layout={"pipeline": 2, "replicas": 2})
    prefill = compute_s(1, PROMPT, PROMPT) + exchanged_s(1, PROMPT)
    decode = compute_s(3, 1, MIDDLE) + exchanged_s(3, 1)
    assert found.batch == 5
    shared = decode + 1.5 * prefill / OUTPUT
    assert found.ttft_s == close(shared + prefill)
    assert found.tpot_s == close(shared)


def test_a_request_alone_waits_for_nobody(workspace: Workspace) -> None:
    """Where each engine has one request, no other's prompt stops it."""
    _, found = joined(workspace, 4)
    assert found.tpot_s == close(one_stage_s(1, 1, MIDDLE))


def test_requests_beyond_the_room_wait(workspace: Workspace) -> None:
    """Where more come than an engine has room for, it answers as many as fit, and says that capacity decides.

    A rank holds both ends and five layers, and 5120 bytes of cache a token; at 4096 tokens of output few fit.
    """
    long = {"prompt": 512, "output": 3584}
    report, found = joined(workspace, 100_000, workload=long)
    weights = 2 * (LAYERS * LAYER + 2 * END + H)
    free = CAPACITY - weights - 8192 * 3 * (INNER // 2) * 2 - RESERVE
    most = free // (4096 * LAYERS * 1024)
    assert found.batch == most
    assert found.max_concurrency == 4 * most
    assert found.bound == "capacity"
    assert report.memory.fits
    assert report.memory.per_accelerator.kv_cache_bytes == close(most * 4096 * LAYERS * 1024)
    assert found.output_tokens_per_s == close(4 * most * 3584 / (found.latency_s or 0.0))
    just = joined(workspace, int(4 * most), workload=long)[1]
    assert (just.batch, just.bound) == (most, "memory")


def test_a_model_that_fills_its_memory_has_room_for_nothing(workspace: Workspace) -> None:
    """Where weights leave nothing, no request and no token has room, one is charged all the same, and nothing fits."""
    report, found = joined(workspace, 8, assumptions={"reserve": "18 GB"})
    assert (found.max_concurrency, found.kv_cache_tokens, found.batch) == (0, 0, 1)
    assert not report.memory.fits


def test_experts_are_divided_and_requests_shared_out(workspace: Workspace) -> None:
    """Two ranks with half of the experts each, and attention of their own: half of the batch is in each one's cache.

    A layer has 8 experts of three matrices of 1024 x 512, and a router of 8 x 1024; everything else is whole.
    """
    config = CONFIG | {
        "model_type": "mixtral",
        "intermediate_size": 512,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "sliding_window": None,
    }
    layout = {"tensor": 1, "pipeline": 1, "attention_data": 2, "expert": 2, "replicas": 4}
    report, found = served(workspace, model={"config": config}, layout=layout)
    parts = report.memory.per_accelerator
    attention = 2 * 1048576 + 2 * 524288
    layer = attention + 2 * H + 8 * H + 8 * 3 * H * 512 // 2
    assert parts.weights_bytes == close(2 * (LAYERS * layer + 2 * VOCABULARY * H + H))
    token = LAYERS * 2 * KV_HEADS * WIDTH * 2
    assert parts.kv_cache_bytes == close(3 * (PROMPT + OUTPUT) * token)
    free = CAPACITY - parts.weights_bytes - parts.workspace_bytes - RESERVE
    assert found.max_concurrency == 2 * 4 * (free // ((PROMPT + OUTPUT) * token))
    assert found.kv_cache_tokens == 2 * 4 * (free // token)
    assert found.batch == BATCH
    odd, _ = served(workspace, model={"config": config}, layout=layout, workload={"batch": 7})
    assert odd.memory.per_accelerator.kv_cache_bytes == close(4 * (PROMPT + OUTPUT) * token)


# ---- What decides --------------------------------------------------------------------------------------------------
SHORT = {"prompt": 8, "output": 8}  # so that the cache is next to nothing: a step half way sees 12 tokens


def shares(sequences: int, link: float) -> dict[str, float]:
    """Seconds of a step on one stage at full rate: arithmetic, traffic, exchanges."""
    width = 512 + 2 * 256
    matrices = H * width + H * 512 + H * 2 * 2048 + H * 2048
    ends = [(H, width), (512, H), (H, 2 * 2048), (2048, H)]  # of each product, what it reads and writes of a token
    flops, moved = core_work(sequences, 1, 12)
    head = H * VOCABULARY // 2
    passes = 2 * 2 * H + 2 * 3 * H + 2 * (512 + 256) + 3 * 2048
    tokens = 2 * (passes + sum(a + b for a, b in ends))
    ended = 2 * (2 * H + 2 * H + H + VOCABULARY // 2)  # embedding, norm, and what the head reads and writes
    stream = 2 * sequences * H
    return {
        "compute": (LAYERS * (2 * sequences * matrices + flops) + 2 * sequences * head) / PEAK,
        "memory": (LAYERS * (2 * matrices + sequences * tokens + moved) + 2 * head + sequences * ended) / MEMORY,
        "communication": (2 * LAYERS + 1) * 2 * stream * 1 / 2 / link,
    }


@pytest.mark.parametrize(
    ("batch", "machine", "bound"),
    [
        # Traffic is 0.1 ms of weights and 0.34 us a request, arithmetic 0.96 us a request: they meet near 165.
        (3, "hand-rack", "memory"),
        (150, "hand-rack", "memory"),
        (185, "hand-rack", "compute"),
        (2000, "hand-rack", "compute"),
        # Links of 5 GB/s take 4.5 us a request: they meet the traffic near 24.
        (20, "slow-rack", "memory"),
        (28, "slow-rack", "communication"),
    ],
)
def test_what_decides_a_step_is_its_largest_share(workspace: Workspace, batch: int, machine: str, bound: str) -> None:
    """Weights read once weigh most in small batches, arithmetic in large ones, exchanges where links are slow."""
    link = {"hand-rack": INSIDE, "slow-rack": 5e9}[machine]
    by_hand = shares(batch, link)
    assert max(by_hand, key=lambda k: by_hand[k]) == bound
    layout = {"tensor": 2, "pipeline": 1, "replicas": 4}
    report, found = served(workspace, workload=SHORT | {"batch": batch}, layout=layout, system={"name": machine})
    assert report.time.decode_s == close(sum(by_hand.values()))
    assert found.bound == bound


def test_a_slow_host_decides(workspace: Workspace) -> None:
    """8 ms of the host are more than any share of a step of a tenth of a millisecond."""
    assert served(workspace, implementation={"profile": "hand-host"})[1].bound == "overhead"


# ---- Other axes ----------------------------------------------------------------------------------------------------
def test_context_ranks_share_the_tokens_of_a_sequence(workspace: Workspace) -> None:
    """Two ranks that share each sequence keep half of its cache each, and the same weights."""
    layout = {"tensor": 2, "pipeline": 1, "context": 2, "replicas": 2}
    parts = served(workspace, layout=layout)[0].memory.per_accelerator
    assert parts.weights_bytes == close(2 * (LAYERS * LAYER + 2 * END + H))
    assert parts.kv_cache_bytes == close(BATCH * (PROMPT + OUTPUT) * LAYERS * 1024 / 2)


@attrs.frozen(kw_only=True)
class Spread(ParallelismRule):
    """Divides inner widths over neighbours of an axis of its own, and exchanges nothing."""

    def group(self, name: str, layout: Any) -> Any:
        """Neighbours."""
        return layout[self.field], 1.0


def test_an_axis_of_a_plugin_divides_an_engine_too(tmp_path: Path) -> None:
    """Two ranks of an axis that divides inner widths hold half of the feed-forward, and have half of its work."""
    rule = Spread(name="spread", field="spread", roles=("ffn",), reads=("spread",), source="made up")
    plugin = make_plugin("spreading", profiles=[PLAIN], parallelisms=[rule])
    workspace = Workspace(plugins=[*installed_plugins(), plugin], paths=[made(tmp_path)])
    layout = {"tensor": 2, "pipeline": 1, "replicas": 2, "spread": 2}
    report, found = served(workspace, layout=layout, workload={"batch": 1})
    wide, _ = served(workspace, layout=layout | {"spread": 1, "replicas": 4}, workload={"batch": 1})
    assert report.memory.per_accelerator.weights_bytes == close(
        2 * (LAYERS * (LAYER - 3 * H * INNER // 4) + 2 * END + H)
    )
    saved = 2 * H * 2 * 2048 / 2 / PEAK + 2 * H * 2048 / 2 / PEAK  # FLOPs of a token in up, gate and down
    saved += 2 * (3 * H * 2048 / 2 + 2 * 2048 / 2 + 2048 / 2 + 3 * 2048 / 2) / MEMORY  # weights, what is made of them
    assert report.time.decode_s == close((wide.time.decode_s or 0.0) - LAYERS * saved)
    assert found.bound == "memory"


def test_prices_and_power_nobody_states_are_noted(workspace: Workspace) -> None:
    """Without a price there is no cost, without power no energy, and a note says so of each figure."""
    assumed = {k: v for k, v in SCENARIO["assumptions"].items() if k != "price_per_hour"}
    report = workspace.estimate(SCENARIO | {"system": {"name": "slow-rack", "accelerators": 8}, "assumptions": assumed})
    found = report.serving
    assert found is not None
    noted = {p.figure: p.code for p in report.problems if p.severity == "note"}
    for figure, code in (
        ("cost_per_hour", "no-price"),
        ("cost_per_million_output_tokens", "no-price"),
        ("energy_per_output_token_j", "no-power"),
    ):
        assert getattr(found, figure) is None
        assert noted[f"serving.{figure}"] == code


def warned(report: suanli.Report) -> set[str]:
    """Codes of the warnings of a report."""
    return {p.code for p in report.problems if p.severity == "warning"}


def test_tensor_ranks_past_a_node_are_warned_of(workspace: Workspace) -> None:
    """Four tensor ranks fill a node; eight reach past it."""
    inside, _ = served(workspace, layout={"tensor": 4, "pipeline": 1, "replicas": 2})
    past, _ = served(workspace, layout={"tensor": 8, "pipeline": 1, "replicas": 1})
    assert "tensor-past-scale-up" not in warned(inside)
    assert "tensor-past-scale-up" in warned(past)


def test_idle_engines_are_warned_of(workspace: Workspace) -> None:
    """Three requests leave one of four engines idle, four do not; nor does a batch each engine has."""
    assert "idle-replicas" in warned(joined(workspace, 3)[0])
    assert "idle-replicas" not in warned(joined(workspace, 4)[0])
    assert not warned(served(workspace, workload={"batch": 1}, layout={"pipeline": 1, "replicas": 4})[0])


def test_on_a_network_of_one_reach_no_tensor_group_is_too_wide(workspace: Workspace) -> None:
    """Where one network joins all alike, and where an accelerator stands alone, there is nothing to reach past."""
    flat, _ = served(workspace, system={"name": "flat-rack"}, layout={"tensor": 8, "pipeline": 1, "replicas": 1})
    one = {"tensor": 1, "pipeline": 1, "replicas": 1}
    alone, _ = served(workspace, system={"name": "hand-alone", "accelerators": 1}, layout=one)
    assert not warned(flat)
    assert not warned(alone)
