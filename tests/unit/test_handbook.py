"""The handbook's rules that look things up: adapters by shapes, sheets by the catalog, questions it cannot ask."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

import suanli
from suanli import InvalidInputError, Workspace
from suanli.testing import installed_plugins, make_plugin


def figure(name: str, **inputs: Any) -> Any:
    """What a rule says."""
    return suanli.rule(name, **inputs).value


# Hu et al. 2022, LoRA, sec. 4.1: r (in + out) for each matrix, here of rank 8; shapes as in the models' configurations.
R = 8
LLAMA, GPT2, MIXTRAL = 32 * R, 12 * R, 32 * R  # layers times rank
ADAPTED = [
    ("llama-7b", "q_proj", LLAMA * (4096 + 4096)),
    ("llama-7b", "k_proj", LLAMA * (4096 + 4096)),
    ("llama-7b", "v_proj", LLAMA * (4096 + 4096)),
    ("llama-7b", "o_proj", LLAMA * (4096 + 4096)),
    ("llama-7b", "up_proj", LLAMA * (4096 + 11008)),
    ("llama-7b", "gate_proj", LLAMA * (4096 + 11008)),
    ("llama-7b", "down_proj", LLAMA * (11008 + 4096)),
    ("llama-7b", "lm_head", R * (4096 + 32000)),
    ("llama-7b", "all-linear", LLAMA * (4 * (4096 + 4096) + 3 * (4096 + 11008))),  # all but the head
    # matrices one module makes share what comes in
    ("llama-7b", "qkv_proj", LLAMA * (4096 + 3 * 4096)),
    ("llama-7b", "gate_up_proj", LLAMA * (4096 + 2 * 11008)),
    ("gpt2", "c_attn", GPT2 * (768 + 3 * 768)),
    ("gpt2", "c_proj", GPT2 * ((768 + 768) + (4 * 768 + 768))),  # of attention and of the feed-forward
    ("gpt2", "c_fc", GPT2 * (768 + 4 * 768)),
    # grouped heads are narrower, and every expert has its own
    ("mixtral-8x7b", "k_proj", MIXTRAL * (4096 + 1024)),
    ("mixtral-8x7b", "down_proj", MIXTRAL * 8 * (14336 + 4096)),
    ("mixtral-8x7b", "gate_up_proj", MIXTRAL * 8 * (4096 + 2 * 14336)),
]


@pytest.mark.parametrize(("model", "target", "parameters"), ADAPTED, ids=[f"{a[0]}-{a[1]}" for a in ADAPTED])
def test_adapters_are_as_wide_as_what_they_are_put_on(model: str, target: str, parameters: int) -> None:
    """Of each matrix adapted, rank times what goes in and what comes out, in every layer and every expert."""
    assert figure("lora-parameters", model=model, rank=R, targets=[target]) == parameters


def test_adapters_of_several_targets_add_up() -> None:
    """Targets are counted one after another; queries and values unless said; the rank is a factor."""
    each = [figure("lora-parameters", model="llama-7b", rank=R, targets=[t]) for t in ("q_proj", "v_proj", "up_proj")]
    together = figure("lora-parameters", model="llama-7b", rank=R, targets=["q_proj", "v_proj", "up_proj"])
    assert together == sum(each)
    assert figure("lora-parameters", model="llama-7b", rank=R) == each[0] + each[1]
    assert figure("lora-parameters", model="llama-7b", rank=3 * R) == 3 * (each[0] + each[1])


def test_an_adapter_for_nothing_is_refused() -> None:
    """A target the model has no matrix of is named with what is near, and adapters without a model are none."""
    with pytest.raises(InvalidInputError, match=r"'q_prox'.*'q_proj'"):
        figure("lora-parameters", model="llama-7b", rank=R, targets=["q_prox"])
    with pytest.raises(InvalidInputError, match="'gate_proj'"):
        figure("lora-parameters", model="gpt2", rank=R, targets=["gate_proj"])  # GPT-2 has no gate
    with pytest.raises(InvalidInputError, match="model: required"):
        figure("lora-parameters", rank=R)


@pytest.mark.parametrize(
    ("accelerator", "links"),
    [
        # NVIDIA V100, A100, H100 whitepapers and the Blackwell architecture brief: links of a generation
        ("v100-sxm2-32", 6),
        ("a100-sxm4-80", 12),
        ("h100-sxm5-80", 18),
        ("h200-sxm-141", 18),
        ("b200-sxm", 18),
    ],
)
def test_links_are_as_many_as_the_whitepaper_says(accelerator: str, links: int) -> None:
    """The rate of a device over that of one link of its generation is how many it has."""
    assert figure("spec-table", accelerators=[accelerator])["links"] == [links]


def test_nvlink_1_has_four_links() -> None:
    """NVIDIA P100 whitepaper: four links of 20 GB/s each way; an entry of one's own has them too."""
    device = attrs.evolve(
        suanli.accelerator("v100-sxm2-32"), id="p100", aliases=(), siblings=(), default_system="p100-box"
    )
    system = suanli.system(suanli.accelerator("v100-sxm2-32").default_system or "")
    tier = attrs.evolve(system.tiers[0], name="NVLink1", bandwidth_bytes_per_s=80e9)
    box = attrs.evolve(system, id="p100-box", aliases=(), accelerator="p100", tiers=(tier,))
    own = make_plugin("p100", accelerators=[device], systems=[box])
    workspace = Workspace(plugins=[*installed_plugins(), own])
    found = workspace.rule("spec-table", accelerators=["p100"]).value
    assert (found["links"], found["link_bidir_gb_s"]) == ([4], [160])


def test_usual_memory_is_the_commonest_first() -> None:
    """Of made-up parts of one vendor the sizes most of them have are told, smallest first, two unless said.

    A whole number of GiB is called GB, as it is sold; where two sizes are as common the larger is meant.
    """
    gib, base = 2**30, suanli.accelerator("a100-sxm4-80")
    sizes = [64 * gib] * 3 + [32 * gib] * 2 + [96_000_000_000] * 2 + [16 * gib]
    parts = [
        attrs.evolve(base, id=f"acme-{i}", vendor="Acme", aliases=(), siblings=(), memory_bytes=m)
        for i, m in enumerate(sizes)
    ]
    workspace = Workspace(plugins=[*installed_plugins(), make_plugin("acme", accelerators=parts)])

    def usual(**inputs: Any) -> Any:
        return workspace.rule("usual-memory", vendor="acme", **inputs).value

    assert usual(sizes=1) == [64e9]
    assert usual() == usual(sizes=2) == [64e9, 96e9]
    assert usual(sizes=3) == [32e9, 64e9, 96e9]
    assert usual(sizes=9) == [16e9, 32e9, 64e9, 96e9]
    with pytest.raises(InvalidInputError, match="at least 1"):
        usual(sizes=0)
    with pytest.raises(InvalidInputError, match=r"'acne'.*'Acme'"):
        workspace.rule("usual-memory", vendor="acne")


@pytest.mark.parametrize(
    ("name", "inputs", "note"),
    [
        ("kv-cache", {"model": "gpt2", "sequence": 8.5}, "sequence is no whole number above 0"),
        ("kv-cache", {"model": "gpt2", "sequence": 0.0}, "sequence is no whole number above 0"),
        ("kv-cache", {"model": "gpt2", "sequence": 8, "bytes": 3}, "no usual number format has 3 bytes"),
        ("activations", {"model": "gpt2", "sequence": 8, "batch": 1.5}, "batch is no whole number above 0"),
        ("inference-activations", {"model": "gpt2", "tokens": 0.5}, "sequence: a prompt and an output take two tokens"),
        ("weight-memory", {"model": "gpt2", "bits": 3}, "no serving recipe keeps weights in 3 bits"),
        ("training-state", {"model": "gpt2", "bytes_per_parameter": 17}, "no recipe keeps 17 bytes"),
        ("kv-projection-flops", {"model": "mamba-2.8b"}, "makes keys and values by no matrices of their own"),
        ("attention-intensity", {"model": "mamba-2.8b", "sequence": 64, "head_dim": 64}, "has no attention"),
        ("kv-head-ratio", {"model": "mamba-2.8b", "heads_before": 8}, "keeps no keys and values of heads"),
    ],
)
def test_what_the_estimator_cannot_be_asked_is_said(name: str, inputs: dict[str, Any], note: str) -> None:
    """The rule answers all the same; why no figure stands beside it is a note."""
    found = suanli.rule(name, **inputs)
    assert found.exact is None
    assert any(note in n for n in found.notes), found.notes


@pytest.mark.parametrize(("count", "exchanges"), [(1, False), (2, True)])
def test_one_accelerator_has_nobody_to_exchange_with(count: int, exchanges: bool) -> None:
    """Beside the time on a link stands an all-reduce of all accelerators, of which two are the fewest."""
    box = attrs.evolve(suanli.system("dgx-h100"), id="box", aliases=(), accelerators_per_node=count)
    workspace = Workspace(plugins=[*installed_plugins(), make_plugin("box", systems=[box])])
    for name in ("link-time", "link-latency"):
        found = workspace.rule(name, model="gpt2", system="box")
        assert (found.exact is not None) is exchanges
        assert any("exchanges nothing" in n for n in found.notes) is not exchanges


def test_the_figure_beside_a_link_s_time_is_two_all_reduces_a_layer() -> None:
    """For each of 12 layers the sequences' 768 values of 2 bytes are summed twice over eight accelerators."""
    system = suanli.system("dgx-h100")
    for batch, bytes in ((1, 2), (64, 2), (64, 4)):
        one = float(system.collective_s("all_reduce", bytes=batch * 768 * bytes, ranks=8))
        found = suanli.rule("link-time", model="gpt2", system="dgx-h100", batch=batch, bytes=bytes)
        assert found.exact == pytest.approx(12 * 2 * one)
    token = float(system.collective_s("all_reduce", bytes=768 * 2, ranks=8))
    assert suanli.rule("link-latency", model="gpt2", system="dgx-h100").exact == pytest.approx(12 * 2 * token)


def test_the_figure_beside_a_ridge_is_of_a_square_product_and_a_row() -> None:
    """What a device sustains: 2 x 8192^3 FLOPs in the time of the product, 8192^2 elements in the time of a row."""
    device, width = suanli.accelerator("h100-sxm5-80"), 8192
    for form, each in (("bf16", 2.0), ("fp8", 1.0)):
        square, row = (float(device.gemm_s(m=m, n=width, k=width, precision=form)) for m in (width, 1))
        ridge = (2 * width**3 / square) / (each * width**2 / row)
        asked = {"accelerator": "h100-sxm5-80", "precision": form}
        assert suanli.rule("ridge-point", **asked).exact == pytest.approx(ridge)
        # a token is two FLOPs a weight: as many are free as FLOPs fit in the time its bytes take
        assert suanli.rule("batch-knee", **asked).exact == pytest.approx(ridge * each / 2)


@pytest.mark.parametrize("name", ["phase-intensity", "anatomy", "spec-sheet", "vector-and-matrix-peaks"])
def test_a_rule_that_looks_up_needs_something_to_look_at(name: str) -> None:
    """Without a model or an accelerator such a rule says which is missing."""
    inputs = {"prompt": 8, "output": 8} if name == "phase-intensity" else {}
    with pytest.raises(InvalidInputError, match="model|accelerator"):
        figure(name, **inputs)


def test_the_format_named_is_the_cache_s_where_it_has_as_many_bytes() -> None:
    """Two bytes are bf16 unless another format of two is named; a named format of other bytes is not what is meant."""
    asked = {"model": "llama-7b", "sequence": 64}
    plain = suanli.rule("kv-cache", **asked).exact
    assert suanli.rule("kv-cache", **asked, precision="fp16").exact == plain
    assert suanli.rule("kv-cache", **asked, precision="fp8").exact == plain / 2
    assert suanli.rule("kv-cache", **asked, precision="fp8", bytes=2).exact == plain
    assert [suanli.rule("kv-cache", **asked, bytes=b).exact / plain for b in (4, 1, 0.5)] == [2, 0.5, 0.25]


def engine(prompt: int, output: int, batch: int = 1) -> suanli.report.Serving:
    """What a client sees of LLaMA-7B over all eight accelerators of a node."""
    report = suanli.estimate(
        {
            "model": {"name": "llama-7b"},
            "system": {"name": "dgx-h100", "accelerators": 8},
            "workload": {"kind": "serve", "prompt": prompt, "output": output, "batch": batch},
            "layout": {"tensor": 8, "pipeline": 1},
        }
    )
    assert report.serving is not None
    return report.serving


BESIDE: list[tuple[str, dict[str, Any], Any]] = [
    # rule, what it is asked, and the figure of an engine beside it
    ("prefill-time", {"tokens": 512, "batch": 3}, lambda: engine(512, 1, 3).ttft_s),
    ("prefill-time", {}, lambda: engine(1, 1).ttft_s),
    ("decode-time", {"sequence": 16}, lambda: engine(16, 1).tpot_s),
    ("decode-time", {}, lambda: engine(2048, 1).tpot_s),
    ("request-latency", {"prompt": 100, "output": 9, "batch": 3}, lambda: engine(100, 9, 3).latency_s),
    ("latency-by-batch", {"prompt": 100, "output": 9, "batches": [2]}, lambda: [engine(100, 9, 2).latency_s]),
    ("decode-throughput", {"batch": 3, "sequence": 16}, lambda: 3 / (engine(16, 1, 3).tpot_s or 1.0)),
    # the ninth token passes 108 tokens again, the first 100: 104 on average
    ("uncached-token-time", {"prompt": 100, "output": 9}, lambda: engine(104, 1).ttft_s),
]


@pytest.mark.parametrize(("name", "inputs", "figure"), BESIDE, ids=[f"{b[0]}-{len(b[1])}" for b in BESIDE])
def test_beside_a_time_stands_that_of_an_engine_over_the_node(name: str, inputs: dict[str, Any], figure: Any) -> None:
    """Each of these is held to the estimate of just those requests, tensor parallelism over all accelerators."""
    found = suanli.rule(name, model="llama-7b", system="dgx-h100", accelerators=8, **inputs)
    assert found.exact == pytest.approx(figure(), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("training-memory", {"weights_bytes": 2, "grad_bytes": 2, "state_bytes": 12}),
        ("sharded-training-memory", {"accelerators": 4, "bytes_per_parameter": 16}),
    ],
)
def test_activations_given_are_part_of_both_figures(name: str, inputs: dict[str, Any]) -> None:
    """Activations somebody states are added to the training state of each accelerator, in rule and estimate alike.

    GPT-2's 124,439,808 parameters take 16 bytes each, a quarter of them where four accelerators share all state.
    """
    state = 16 * 124_439_808 / inputs.get("accelerators", 1)
    for given in (0.0, 3e9):
        found = suanli.rule(name, model="gpt2", activation_bytes=given, **inputs)
        assert found.value == pytest.approx(state + given)
        assert found.exact == pytest.approx(state + given)
