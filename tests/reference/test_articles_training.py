"""Worked examples of three articles on planning, training and memory, each answered by a rule and by the estimator.

The articles: 'GPU算力理解和规划' (GPU compute: understanding and planning it); 'The complete guide to GPU requirements
for training and inference of LLM' (in NSDT's Chinese edition); 'AICC大模型Cheat Sheet' (2023-09-13).
A row has the inputs of the example in SI base units, the answer recomputed exactly, what the article prints in the
same unit, and how far that may lie from exact. Where an article errs, its row says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import suanli
from suanli import units
from suanli.report import MemoryParts

DAY, GB = 86400.0, 1e9
SPARSE_H100 = {"total_flops_per_s": 1e18, "accelerator": "h100-sxm5-80", "precision": "bf16", "per_node": 8}
LLAMA_65B = {"params": 65e9, "tokens": 1.4e12, "accelerators": 2048}
GPT3 = {"layers": 96, "hidden": 12288, "heads": 96, "sequence": 2048}
GPT3_STEP = {"batch": 1024, "sequence": 2048, "layers": 96, "hidden": 12288, "vocab": 51200}
TWELVE_LAYERS = {"batch": 32, "layers": 12, "sequence": 1024, "hidden": 4096, "bytes": 4}
TEN_B = {"params": 10e9, "activation_bytes": [20e9, 40e9]}


class Example(NamedTuple):
    """A worked example; `published` and `within` are None where the article prints no figure."""

    case: str
    rule: str
    inputs: dict[str, Any]
    exact: Any
    published: Any = None
    within: float | None = None
    verdict: str = "agrees"
    why: str = ""


def formats(**sizes: float) -> list[Example]:
    """Bytes of a parameter by format, as the articles list them."""
    return [Example(f"bytes-{f}", "bytes-per-parameter", {"precision": f}, b, b, 0.0) for f, b in sizes.items()]


def stack(layers: int, hidden: int, actual: float, exact: int) -> Example:
    """A row of the cheat sheet's table of 12 l h^2."""
    inputs = {"layers": layers, "hidden": hidden, "actual": actual}
    return Example(f"params-12lh2-{hidden}", "parameters", inputs, exact, exact, 0.0)


EXAMPLES = [
    # GPU算力理解和规划: units, formats, nodes
    Example(
        "units-flops-ladder",
        "unit-ladder",
        {"text": ["1M", "1G", "1T", "1P", "1E", "1000P"]},
        [1e6, 1e9, 1e12, 1e15, 1e18, 1e18],
        [1e6, 1e9, 1e12, 1e15, 1e18, None],
        0.0,
    ),
    *formats(fp64=8, fp32=4, fp16=2, bf16=2, int8=1, int4=0.5),
    Example(
        "bytes-tf32",
        "bytes-per-parameter",
        {"precision": "tf32"},
        4,
        2.375,
        0.0,
        "erratum",
        "19 bits are significant, and 32 are stored",
    ),
    Example("cards-1000P-h100-sparse", "nodes-for-compute", SPARSE_H100 | {"sparse": True}, 64, 64, 0.0),
    Example("cards-1000P-h100-dense", "nodes-for-compute", SPARSE_H100 | {"sparse": False}, 127, 128, 0.01, "rounded"),
    # FLOPs and time of training
    Example("train-flops-65b-1.4T", "training-flops", {"params": 65e9, "tokens": 1.4e12}, 5.46e23, 5.46e23, 0.001),
    Example(
        "train-days-65b-h100",
        "training-time",
        LLAMA_65B | {"accelerator": "h100-sxm5-80", "mfu": 0.5, "peak_flops_per_s": 1e15},
        533203.125,
        7 * DAY,
        0.15,
        "rounded",
    ),
    Example(
        "train-days-65b-a100",
        "training-time",
        LLAMA_65B | {"accelerator": "a100-sxm4-80", "mfu": 0.5},
        1708984.3750000002,
        21 * DAY,
        0.07,
        "rounded",
    ),
    Example(
        "train-time-8nd",
        "training-time-recompute",
        LLAMA_65B | {"accelerator": "a100-sxm4-80", "hfu": 0.5, "recompute": "full"},
        2278645.8333333335,
        verdict="formula only",
    ),
    Example(
        "train-days-gpt3-8nd",
        "training-time-recompute",
        {"params": 175e9, "tokens": 300e9, "accelerators": 1024, "peak_flops_per_s": 312e12, "hfu": 0.45},
        2921340.811965812,
        34 * DAY,  # Narayanan et al. 2021, sec. 5.1; the article's own image is lost
        0.02,
    ),
    Example(
        "train-days-llama65b-paper",
        "training-time-at-rate",
        {"tokens": 1.4e12, "accelerators": 2048, "tokens_per_s_per_accelerator": 380},
        1798930.9210526317,
        21 * DAY,  # Touvron et al. 2023, sec. 2.4
        0.02,
    ),
    Example("mfu-prior", "mfu-prior", {}, [0.3, 0.5], [0.3, 0.5], 0.0),
    Example(
        "ascendspeed-flops",
        "iteration-flops",
        GPT3_STEP | {"c": 3},
        2.2554853766615532e18,
        verdict="formula only",
    ),
    Example("ascendspeed-c4", "iteration-flops", GPT3_STEP | {"c": 4}, 3.0073138355487375e18, verdict="formula only"),
    Example(
        "ascendspeed-tflops",
        "achieved-flops",
        {"flops": 3.0073138355487375e18, "elapsed_s": 20, "accelerators": 1024},
        146841495876403.2,
        verdict="formula only",
    ),
    Example("3d-parallel", "parallel-ranks", {"dp": 8, "pp": 4, "tp": 8}, 256, verdict="formula only"),
    Example("global-batch", "global-batch", {"micro": 2, "dp": 8, "accum": 16}, 256, verdict="formula only"),
    Example(
        "samples-per-device",
        "rate-per-accelerator",
        {"batch": 256, "elapsed_s": 10, "accelerators": 64, "sequence": 4096},
        [0.4, 1638.4],
        verdict="formula only",
    ),
    # parameters and weights
    stack(32, 4096, 6.7e9, 6442450944),
    stack(40, 5120, 13.0e9, 12582912000),
    stack(60, 6656, 32.5e9, 31897681920),
    stack(80, 8192, 65.0e9, 64424509440),
    Example("weights-7b-fp16", "weight-memory", {"params": 7e9, "precision": "fp16"}, 14e9, 14 * GB, 0.0),
    Example("weights-7b-16bit", "weight-memory", {"params": 7e9, "bits": 16}, 14e9, 14 * GB, 1e-9),
    Example("weights-7b-8bit", "weight-memory", {"params": 7e9, "bits": 8}, 7e9, 7 * GB, 1e-9),
    Example("weights-7b-4bit", "weight-memory", {"params": 7e9, "bits": 4}, 3.5e9, 3.5 * GB, 1e-9),
    Example("model-file-13b", "weight-memory", {"params": 13e9}, 26e9, 26 * GB, 0.0),
    Example("gpt3-weights", "model-sizes", {"params": 175e9}, [350e9, 3500e9], [350 * GB, 3500 * GB], 0.0),
    Example(
        "weights-70b-fp16-overhead",
        "inference-memory",
        {"params": 70e9, "bits": 16, "overhead": 1.2},
        168e9,
        168 * GB,
        1e-9,
    ),
    Example(
        "kv-7b-1x2048",
        "kv-cache",
        {"batch": 1, "sequence": 2048, "hidden": 4096, "layers": 32, "bytes": 2},
        1073741824,
        2**30,
        1e-9,
    ),
    Example(
        "llama3-8b-kv",
        "kv-cache-heads",
        {"model": "llama-3-8b", "sequence": 2048, "batch": 1},
        268435456,
        2**30,
        0.0,
        "erratum",
        "4096 wide and 32 layers deep is LLaMA-7B; Llama-3-8B has 8 key-value heads for its 32 heads",
    ),
    Example("ascend-hbm", "usual-memory", {"vendor": "huawei"}, [32e9, 64e9], [32 * GB, 64 * GB], 0.0),
    # training state
    Example("train-memory-13b-20p", "training-state", {"params": 13e9}, 260e9, 260 * GB, 0.0),
    Example(
        "train-memory-7b-18n",
        "training-memory",
        {"params": 7e9, "optimizer": "adam", "weights_bytes": 6, "grad_bytes": 4, "state_bytes": 8},
        126e9,
        126 * GB,
        0.0,
    ),
    Example(
        "train-10b-params",
        "training-memory",
        TEN_B | {"weights_bytes": 2, "grad_bytes": 2, "state_bytes": 8},
        [140e9, 160e9],
        [140 * GB, 160 * GB],
        0.0,
    ),
    Example(
        "train-10b-2gpu",
        "sharded-training-memory",
        TEN_B | {"accelerators": 2},
        [80e9, 100e9],
        [80 * GB, 100 * GB],
        0.0,
    ),
    Example(
        "zero-stages-7.5b",
        "zero-memory",
        {"params": 7.5e9, "data": 64, "bytes": [2, 2, 12], "zero": [0, 1, 2, 3]},
        [120e9, 31406250000, 16640625000, 1875000000],
        verdict="formula only",
    ),
    Example("sgd-states", "optimizer-states", {"params": 1e6, "optimizer": "sgd"}, 0, 0, 0.0),
    Example("adam-states", "optimizer-states", {"params": 1e6, "optimizer": "adam"}, 2e6, 2e6, 0.0),
    Example(
        "lora-7b-r8",
        "lora-parameters",
        {"model": "llama-7b", "rank": 8, "targets": ["q_proj", "v_proj"]},
        4194304,
        verdict="formula only",
    ),
    # activations
    Example("activation-naive", "activations-of-outputs", TWELVE_LAYERS, 6442450944, 6 * GB, 0.08, "rounded"),
    Example(
        "train-total-7b-132",
        "training-total",
        TWELVE_LAYERS | {"params": 7e9},
        132442450944,
        132 * GB,
        0.005,
        "rounded",
    ),
    Example("act-gpt3-b1", "activations", GPT3 | {"batch": 1}, 275414777856, 275 * GB, 0.005),
    Example("act-gpt3-b64", "activations", GPT3 | {"batch": 64}, 17626545782784, 17600 * GB, 0.005),
    Example("act-neurons", "activations-of-neurons", {"params": 10e9, "batch": 32, "bytes": 2}, 6400000, 6.4e6, 0.0),
    Example(
        "act-neurons-total",
        "activations-of-layers",
        {"per_layer_bytes": 6400000, "layers": [100, 500]},
        [640000000, 3200000000],
        [20 * GB, 40 * GB],
        0.0,
        "erratum",
        "hundreds of layers of 6.4 MB are a few GB; 20 GB would take 3,125",
    ),
]


def pairs(left: Any, right: Any) -> list[tuple[Any, Any]]:
    """Figures against figures, those that are there."""
    both = zip(left, right, strict=True) if isinstance(left, list) else [(left, right)]
    return [(a, b) for a, b in both if a is not None and b is not None]


@pytest.mark.parametrize("example", EXAMPLES, ids=[e.case for e in EXAMPLES])
def test_a_rule_answers_the_example(example: Example) -> None:
    """Exactly one rule lists the case; it takes the inputs under their keys, every one of them, and gives the answer.

    What the article prints agrees within its tolerance, but for its errata, where it does not.
    """
    listing = [r.name for r in suanli.rules() if example.case in r.cases]
    assert listing == [example.rule]
    answer = suanli.rule(example.rule, **example.inputs)
    assert answer.value == pytest.approx(example.exact, rel=1e-9, abs=0.0)
    assert set(example.inputs) <= set(answer.inputs)
    printed = pairs(example.published, example.exact) if example.published is not None else []
    agrees = [math.isclose(a, b, rel_tol=0.0, abs_tol=(example.within or 0.0) * abs(b)) for a, b in printed]
    if example.verdict == "erratum":
        assert example.why
        assert not any(agrees)
    else:
        assert all(agrees)
        assert bool(printed) == (example.verdict != "formula only")


ELSEWHERE = {"act-b-s-h", "bytes-fp8", "gopher-params", "infer-flops-32b", "weights-32b-fp32"}
"""Cases of the articles on serving that rules of training, memory and counting answer; tested with those."""


def test_no_rule_lists_a_case_nobody_holds_it_to() -> None:
    """What the rules of counting, training, memory and machines claim to answer has a row, here or with serving's."""
    themes = {f"suanli_handbook.{m}" for m in ("activations", "adapters", "counting", "machines", "memory", "training")}
    listed = [case for r in suanli.rules() if r.function.__module__ in themes for case in r.cases]
    assert len(listed) == len(set(listed))
    assert set(listed) - ELSEWHERE <= {e.case for e in EXAMPLES}


def stored(name: str) -> float:
    """Bytes of an element of a format in the catalog."""
    number: suanli.NumberFormat = suanli.catalog().get("precision", name)
    return number.bytes_per_element


def nodes(*, sparse: bool) -> int:
    """Nodes of eight H100 whose peak is 1000 PFLOP/s."""
    peak = suanli.accelerator("h100-sxm5-80").peak_flops_per_s("bf16", sparse=sparse)
    return math.ceil(1e18 / (suanli.system("dgx-h100").accelerators_per_node * peak))


def run_s(model: str, system: str, accelerators: int, tokens: float, **layout: Any) -> float:
    """Seconds of a pre-training run of sequences of 2048, in the best layout found."""
    report = suanli.estimate(
        {
            "model": {"name": model},
            "system": {"name": system, "accelerators": accelerators},
            "workload": {"kind": "pretrain", "tokens": int(tokens), "sequence": 2048},
            "layout": layout,
        }
    )
    assert report.fits
    assert report.run is not None
    return report.run.duration_s or 0.0


def trained(model: str, recipe: str, *, data: int = 1, zero: int = 0, **layout: Any) -> MemoryParts:
    """Memory of one of `data` accelerators that each train a whole model."""
    batch = layout.get("micro_batch", 1)
    return suanli.estimate(
        {
            "model": {"name": model},
            "system": {"name": "dgx-a100", "accelerators": data},
            "workload": {"kind": "pretrain", "sequence": 2048, "global_batch": batch * data},
            "layout": {
                "tensor": 1,
                "pipeline": 1,
                "data": data,
                "zero": zero,
                "recompute": "none",
                "micro_batch": batch,
            },
            "precision": {"recipe": recipe},
        }
    ).memory.per_accelerator


def state(model: str, recipe: str, **divided: int) -> float:
    """Bytes of weights, gradients and optimizer states."""
    parts = trained(model, recipe, **divided)
    return parts.weights_bytes + parts.gradients_bytes + parts.optimizer_bytes


def each(model: str, recipe: str, **divided: int) -> float:
    """The same for each parameter of the model."""
    return state(model, recipe, **divided) / suanli.model(model).parameters.total


def served(model: str, recipe: str) -> MemoryParts:
    """Memory of one accelerator that serves one request of the default length with a whole model."""
    return suanli.estimate(
        {
            "model": {"name": model},
            "system": {"name": "dgx-h100", "accelerators": 1},
            "workload": {"kind": "serve", "batch": 1},
            "layout": {"tensor": 1, "pipeline": 1},
            "precision": {"recipe": recipe},
        }
    ).memory.per_accelerator


def serving_bytes(model: str, recipe: str) -> float:
    """Of that, what is not kept in reserve."""
    parts = served(model, recipe)
    return parts.weights_bytes + parts.kv_cache_bytes + parts.workspace_bytes


def train_flops(model: str, tokens: float) -> float:
    """FLOPs of forward and backward passes over sequences of 2048, attention over the full sequence."""
    return 3.0 * suanli.model(model).forward_flops(sequence=2048, causal=False).total / 2048 * tokens


def step_flops(recompute: str) -> float:
    """Hardware FLOPs the report states of a step of GPT-3."""
    report = suanli.estimate(
        {
            "model": {"name": "gpt3-175b"},
            "system": {"name": "dgx-a100", "accelerators": 1024},
            "workload": {"kind": "pretrain", "sequence": 2048, "global_batch": 1024},
            "layout": {"tensor": 8, "pipeline": 8, "micro_batch": 1, "zero": 1, "recompute": recompute},
        }
    )
    return report.flops.hardware_flops or 0.0


def kept(model: str, batch: int) -> float:
    """Bytes the layers keep for the backward pass, scores and masks written out."""
    found = suanli.model(model)
    layers = range(len(found.layers))
    how: dict[str, Any] = {"batch": batch, "sequence": 2048, "attention": "eager", "dropout": 0.1}
    return float(sum(found.saved_activation_bytes(layer=i, **how) for i in layers))


def states(optimizer: str) -> float:
    """Values an optimizer keeps on the accelerator for a matrix of a million."""
    rule: suanli.OptimizerRule = suanli.catalog().get("optimizer", optimizer)
    return float(sum(s.elements for s in rule.states((1000, 1000)) if not (s.host or s.shared)))


def adapters() -> float:
    """Parameters of rank-8 adapters beside the query and value weights of LLaMA-7B."""
    weights = [(p, n) for b, n in suanli.model("llama-7b").kinds for p in b.parameters]
    chosen = [(p, n) for p, n in weights if p.name.endswith((".query", ".value"))]
    return float(sum(n * 8 * (p.matrix[0] + p.matrix[1]) for p, n in chosen))


def ascend_memory() -> list[float]:
    """Memory sizes of the Ascend 910 and 910B, the parts there were when the article was written."""
    parts = [e.value for e in suanli.catalog().entries("accelerator") if e.name.startswith("ascend-910")]
    return sorted({float(p.memory_bytes) for p in parts if p.year is not None and p.year <= 2023})


SAME = (1e-12, "the same count")
NOMINAL_7B = "LLaMA-7B has 6.74e9 parameters"
BEST = "the estimator's best layout, without restarts; the example assumes a utilisation"

REAL: list[tuple[str, Callable[[], Any], Any, float, str]] = [
    # id, what a catalog, a model or the estimator answers, exact, how far apart they may be, and why
    (
        "units-flops-ladder",
        lambda: [units.parse(f"{n}FLOP/s", "flop/s") for n in ("1 M", "1 G", "1 T", "1 P", "1 E", "1000 P")],
        [1e6, 1e9, 1e12, 1e15, 1e18, 1e18],
        *SAME,
    ),
    *((e.case, lambda e=e: stored(e.inputs["precision"]), e.exact, *SAME) for e in EXAMPLES if "bytes-" in e.case),
    ("cards-1000P-h100-sparse", lambda: nodes(sparse=True), 64, *SAME),
    ("cards-1000P-h100-dense", lambda: nodes(sparse=False), 127, *SAME),
    ("train-flops-65b-1.4T", lambda: train_flops("llama-65b", 1.4e12), 5.46e23, 0.05, "6 N D leaves attention out"),
    ("train-days-65b-h100", lambda: run_s("llama-65b", "dgx-h100", 2048, 1.4e12), 533203.125, 0.1, BEST),
    ("train-days-65b-a100", lambda: run_s("llama-65b", "dgx-a100", 2048, 1.4e12), 1708984.375, 0.15, BEST),
    (
        "train-time-8nd",
        lambda: run_s("llama-65b", "dgx-a100", 2048, 1.4e12, recompute="full"),
        2278645.8333333335,
        0.17,
        BEST,
    ),
    (
        "train-days-gpt3-8nd",
        lambda: run_s(
            "gpt3-175b", "dgx-a100", 1024, 300e9, tensor=8, pipeline=8, micro_batch=1, zero=0, recompute="full"
        ),
        2921340.811965812,
        0.15,
        "close to the paper's layout; its 34 days were extrapolated from a measured step",
    ),
    (
        "train-days-llama65b-paper",
        lambda: run_s("llama-65b", "dgx-a100", 2048, 1.4e12),
        1798930.9210526317,
        0.2,
        "the paper's code of 2022 against the best layout found, without restarts",
    ),
    ("ascendspeed-flops", lambda: step_flops("none"), 2.2554853766615532e18, 0.002, "GPT-3's own vocabulary, 50,257"),
    ("ascendspeed-c4", lambda: step_flops("full"), 3.0073138355487375e18, 0.002, "GPT-3's own vocabulary, 50,257"),
    ("3d-parallel", lambda: suanli.Layout(data=8, pipeline=4, tensor=8).world, 256, *SAME),
    *(
        (f"params-12lh2-{h}", lambda m=m: suanli.model(m).parameters.total, e, t, "12 l h^2 leaves the embedding out")
        for h, m, e, t in (
            (4096, "llama-7b", 6442450944, 0.05),
            (5120, "llama-13b", 12582912000, 0.04),
            (6656, "llama-33b", 31897681920, 0.02),
            (8192, "llama-65b", 64424509440, 0.015),
        )
    ),
    ("weights-7b-fp16", lambda: served("llama-7b", "serve-fp16").weights_bytes, 14e9, 0.04, NOMINAL_7B),
    ("weights-7b-16bit", lambda: served("llama-7b", "serve-bf16").weights_bytes, 14e9, 0.04, NOMINAL_7B),
    ("weights-7b-8bit", lambda: served("llama-7b", "serve-int8").weights_bytes, 7e9, 0.04, NOMINAL_7B),
    (
        "weights-7b-4bit",
        lambda: served("llama-7b", "serve-int4").weights_bytes,
        3.5e9,
        0.08,
        f"{NOMINAL_7B}, of which embedding and head stay in 16 bits",
    ),
    ("model-file-13b", lambda: served("llama-13b", "serve-fp16").weights_bytes, 26e9, 0.002, "13.02e9 parameters"),
    (
        "gpt3-weights",
        lambda: [trained("gpt3-175b", "20p").weights_bytes, state("gpt3-175b", "20p")],
        [350e9, 3500e9],
        0.003,
        "174.6e9 parameters",
    ),
    (
        "weights-70b-fp16-overhead",
        lambda: serving_bytes("llama-2-70b", "serve-bf16"),
        168e9,
        0.18,
        "69.0e9 parameters, and one short request needs next to nothing beside the weights",
    ),
    ("kv-7b-1x2048", lambda: suanli.model("llama-7b").kv_cache_bytes(2048, "fp16"), 1073741824, *SAME),
    ("llama3-8b-kv", lambda: suanli.model("llama-3-8b").kv_cache_bytes(2048), 268435456, *SAME),
    ("ascend-hbm", ascend_memory, [32e9, 64e9], 0.08, "sold as GB, the parts have GiB"),
    ("train-memory-13b-20p", lambda: state("llama-13b", "20p"), 260e9, 0.002, "13.02e9 parameters"),
    ("train-memory-7b-18n", lambda: state("llama-7b", "18n"), 126e9, 0.04, NOMINAL_7B),
    (
        "train-10b-params",
        lambda: [10e9 * each("llama-13b", "2+2+8") + activations for activations in (20e9, 40e9)],
        [140e9, 160e9],
        1e-9,
        "bytes a parameter of another model, scaled; activations as the example has them",
    ),
    (
        "train-10b-2gpu",
        lambda: [10e9 * each("llama-13b", "2+2+8", data=2, zero=3) + activations for activations in (20e9, 40e9)],
        [80e9, 100e9],
        1e-9,
        "the same, divided as ZeRO stage 3 does",
    ),
    (
        "zero-stages-7.5b",
        lambda: [7.5e9 * each("llama-7b", "16n", data=64, zero=z) for z in range(4)],
        [120e9, 31406250000, 16640625000, 1875000000],
        1e-9,
        "bytes a parameter of another model, scaled",
    ),
    ("sgd-states", lambda: states("sgd"), 0, *SAME),
    ("adam-states", lambda: states("adam"), 2e6, *SAME),
    ("lora-7b-r8", adapters, 4194304, *SAME),
    ("act-gpt3-b1", lambda: kept("gpt3-175b", 1), 275414777856, 1e-9, "GPT-3 is what the formula was made for"),
    ("act-gpt3-b64", lambda: kept("gpt3-175b", 64), 17626545782784, 1e-9, "GPT-3 is what the formula was made for"),
]


@pytest.mark.parametrize(("case", "answer", "exact", "within", "why"), REAL, ids=[r[0] for r in REAL])
def test_the_estimator_answers_beside_it(
    case: str, answer: Callable[[], Any], exact: Any, within: float, why: str
) -> None:
    """Catalogs, models and the estimator answer the same question, as near as the row says, and for its reason."""
    assert case in {e.case for e in EXAMPLES}
    assert why
    assert answer() == pytest.approx(exact, rel=within, abs=0.0)


def test_a_layer_keeps_far_more_than_its_output() -> None:
    """Cases activation-naive and train-total-7b-132: one fp32 output a layer is an eighth of what GPT layers keep."""
    config = {"model_type": "gpt2", "n_layer": 12, "n_embd": 4096, "n_head": 32, "vocab_size": 50257}
    model = suanli.model(config | {"n_positions": 1024})
    real = 12 * model.saved_activation_bytes(batch=32, sequence=1024)
    assert real / 6442450944 == pytest.approx(8.0, rel=0.01)  # 32 s b h bytes and the statistics, against 4


def test_neurons_by_the_root_are_no_activations() -> None:
    """Cases act-neurons and act-neurons-total: the rule knows no tokens, and is a thousand times too low with 2048."""
    answer = suanli.rule("act-neurons", model="llama-7b", batch=32)
    assert answer.exact / answer.value > 1000.0


def test_rates_of_a_report_are_the_cheat_sheet_s() -> None:
    """Cases samples-per-device, ascendspeed-tflops, global-batch: the report's own rates follow by those rules."""
    report = suanli.estimate(
        {
            "model": {"name": "llama-7b"},
            "system": {"name": "dgx-a100", "accelerators": 64},
            "workload": {"kind": "pretrain", "sequence": 4096, "global_batch": 256},
            "layout": {"tensor": 8, "pipeline": 1, "data": 8, "micro_batch": 2, "zero": 1, "recompute": "none"},
        }
    )
    step, speed = report.time.step_s, report.throughput
    assert suanli.rule("global-batch", micro=2, dp=8, accum=16).value == 256
    rates = suanli.rule("rate-per-accelerator", batch=256, elapsed_s=step, accelerators=64, sequence=4096).value
    assert rates == pytest.approx([speed.samples_per_s_per_accelerator, speed.tokens_per_s_per_accelerator])
    done = {"flops": report.flops.model_flops, "elapsed_s": step, "accelerators": 64}
    assert suanli.rule("achieved-flops", **done).value == pytest.approx(speed.model_flops_per_s_per_accelerator)
    assert suanli.rule("mfu", **done, system="dgx-a100").value == pytest.approx(speed.mfu_ratio)


def test_the_measured_llama_run_lies_in_the_usual_range() -> None:
    """Case mfu-prior: LLaMA-65B's 380 tokens a second on an A100 are 47 % of its peak, recompute not counted."""
    flops = suanli.rule("6nd", params=65e9, tokens=380).value
    mfu = suanli.rule("mfu", flops=flops, elapsed_s=1, accelerator="a100-sxm4-80").value
    low, high = suanli.rule("mfu-prior").value
    assert mfu == pytest.approx(0.475, rel=0.001)
    assert low <= mfu <= high


def test_sparse_headlines_are_twice_the_dense_peaks_but_not_everywhere() -> None:
    """The planning article halves sparse peaks: right for the H100, and 33 % low for the FP4 of the B300."""
    for precision in ("bf16", "fp8", "int8"):
        answer = suanli.rule("dense-peak", accelerator="h100-sxm5-80", precision=precision)
        assert answer.value == answer.exact == suanli.accelerator("h100-sxm5-80").peak_flops_per_s(precision)
    assert suanli.rule("dense-peak", accelerator="b300-sxm", precision="fp4").difference_ratio < -0.3
