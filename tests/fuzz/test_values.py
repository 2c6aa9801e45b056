"""Configurations, rules, quantities, catalog files and questions asked by hand: an answer or a SuanliError."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import suanli
from suanli import units

from .junk import EXAMPLES, answer, at, changed, finite, junk, leaves, mutated, places, scrambled

# Small ones of the families there are: gpt2, qwen3-0.6b, mixtral-8x7b and qwen1.5-moe-a2.7b as published, fewer layers.
CONFIGS: list[dict[str, Any]] = [
    {"model_type": "gpt2", "vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024},
    {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "head_dim": 128,
        "hidden_act": "silu",
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "max_position_embeddings": 40960,
        "max_window_layers": 28,
        "model_type": "qwen3",
        "num_attention_heads": 16,
        "num_hidden_layers": 28,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "vocab_size": 151936,
    },
    {
        "model_type": "mixtral",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "max_position_embeddings": 32768,
        "num_attention_heads": 32,
        "num_experts_per_tok": 2,
        "num_hidden_layers": 4,
        "num_key_value_heads": 8,
        "num_local_experts": 8,
        "tie_word_embeddings": False,
        "vocab_size": 32000,
    },
    {
        "model_type": "qwen2_moe",
        "vocab_size": 151936,
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 6,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "max_position_embeddings": 32768,
        "sliding_window": 4096,
        "use_sliding_window": True,
        "max_window_layers": 3,
        "tie_word_embeddings": False,
        "num_experts_per_tok": 4,
        "num_experts": 60,
        "moe_intermediate_size": 1408,
        "shared_expert_intermediate_size": 5632,
        "decoder_sparse_step": 2,
        "mlp_only_layers": [],
    },
]
# Keys whose every value changes a figure: a change that is taken must show.
TELLING = [
    "vocab_size",
    "n_embd",
    "n_layer",
    "n_head",
    "hidden_size",
    "num_hidden_layers",
    "head_dim",
    "intermediate_size",
    "num_key_value_heads",
    "num_local_experts",
    "num_experts",
    "num_experts_per_tok",
    "moe_intermediate_size",
    "shared_expert_intermediate_size",
    "tie_word_embeddings",
    "attention_bias",
    "n_positions",
    "max_window_layers",
    "sliding_window",
    "use_sliding_window",
]
TELLING_FIELDS = [(i, k) for i, config in enumerate(CONFIGS) for k in config if k in TELLING]


def figures(model: suanli.Model) -> Any:
    """Everything a configuration decides."""
    flops = model.forward_flops(sequence=8192)
    kept = model.saved_activation_bytes(sequence=128)
    found = (model.parameters.by_group, model.parameters.active, flops.by_group, model.kv_cache_bytes(8192), kept)
    return (*found, model.context)


@EXAMPLES
@given(config=mutated(CONFIGS))
def test_mutated_configs_are_models_or_refused(config: dict[str, Any]) -> None:
    """Whatever is in a configuration, it is a model with finite figures or refused, within two seconds."""
    model = answer(lambda: suanli.model(config))
    if model is not None:
        assert finite(figures(model))
        assert model.parameters.total > 0


@EXAMPLES
@given(field=st.sampled_from(TELLING_FIELDS), value=st.one_of(junk, st.integers(1, 64), st.sampled_from([512, 1024])))
def test_a_config_value_is_used_or_refused(field: tuple[int, str], value: Any) -> None:
    """A changed hyperparameter changes a figure or is refused; null and absent mean the family's default."""
    index, key = field
    config = CONFIGS[index]
    model = answer(lambda: suanli.model(config | {key: value}))
    if model is None or value is None or (type(value) is type(config[key]) and value == config[key]):
        return
    assert type(value) is type(config[key]) or config[key] is None, f"{key}: {value!r} is bent into another type"
    windowed = config.get("use_sliding_window")
    if key in ("max_window_layers", "sliding_window", "use_sliding_window") and not windowed:
        return
    if key == "max_window_layers" and min(value, 6) == min(config[key], 6):
        return  # past the last layer either way
    if key == "sliding_window" and value >= 8192:
        return  # longer than the text asked about
    assert figures(model) != figures(suanli.model(config)), f"{key}: {value!r} is taken and changes nothing"


@pytest.mark.parametrize("key", ["max_window_layers", "mlp_only_layers"])
@pytest.mark.parametrize("value", [-1, [-1], "3", [True], [1.0], [[1]], {"a": 1}, 2.5])
def test_odd_layer_lists_are_refused(key: str, value: Any) -> None:
    """Layer numbers below zero, or of another type, are refused."""
    with pytest.raises(suanli.ModelConfigError, match=key):
        suanli.model(CONFIGS[3] | {key: value})


def test_the_deepest_stack_is_a_model() -> None:
    """The deepest stack a configuration may state is a model of as few kinds of layer as any other."""
    model = suanli.model(CONFIGS[3] | {"num_hidden_layers": 2_000, "decoder_sparse_step": 3})
    assert len(model.kinds) == 4


RULES = [
    ("training-flops", "params"),
    ("training-time", "mfu"),
    ("training-time", "accelerators"),
    ("weight-memory", "bits"),
    ("kv-cache", "sequence"),
    ("parameters", "hidden"),
    ("training-state", "bytes_per_parameter"),
    ("activations", "heads"),
    ("decode-time", "bandwidth_bytes_per_s"),
    ("prefill-time", "tokens"),
]
SOUND: dict[str, dict[str, Any]] = {
    "training-flops": {"params": 7e9, "tokens": 1e12},
    "training-time": {"params": 7e9, "tokens": 1e12, "accelerators": 8, "peak_flops_per_s": 312e12, "mfu": 0.5},
    "weight-memory": {"params": 7e9, "bits": 16},
    "kv-cache": {"sequence": 2048, "hidden": 4096, "layers": 32},
    "parameters": {"layers": 32, "hidden": 4096},
    "training-state": {"params": 7e9, "bytes_per_parameter": 18},
    "activations": {"sequence": 2048, "hidden": 4096, "heads": 32},
    "decode-time": {"params": 7e9, "bandwidth_bytes_per_s": 600e9},
    "prefill-time": {"params": 7e9, "tokens": 350, "peak_flops_per_s": 125e12},
}


@EXAMPLES
@given(rule=st.sampled_from(RULES), value=junk, extra=st.dictionaries(st.text(max_size=8), leaves, max_size=1))
def test_rules_answer_with_a_number_or_refuse(rule: tuple[str, str], value: Any, extra: dict[str, Any]) -> None:
    """A rule of thumb gives a finite number, or refuses the input; a number that is none is no answer."""
    name, field = rule
    found = answer(lambda: suanli.rule(name, **(SOUND[name] | {field: value} | extra)))
    if found is not None:
        assert math.isfinite(found.value), f"{name}({field}={value!r}) = {found.value!r}"
        assert found.inputs[field] == value
        assert set(extra) <= set(found.inputs)


@EXAMPLES
@given(name=junk)
def test_odd_names_are_refused(name: Any) -> None:
    """Any value at all where a name belongs is refused with a name error."""
    for ask in (suanli.rule, suanli.accelerator, suanli.system):
        if not isinstance(name, str) or name not in ("llama-7b",):
            assert answer(lambda ask=ask: ask(name)) is None
    answer(lambda: suanli.model(name))


units_text = st.one_of(
    st.text(max_size=24),
    st.builds(
        "{}{}{}".format,
        st.one_of(
            st.integers().map(str), st.floats().map(str), st.sampled_from(["1e999999", "1_0", ".", "5万", "１２"])
        ),
        st.sampled_from(["", " ", "  ", "\u3000", "\x00"]),
        st.sampled_from([*"kKMGTPEZ万亿", "GiB", "GB", "Gb/s", "TFLOP/s", "ms", "天", "%", "W", "kWh", "/s", "²"]),
    ),
)


@EXAMPLES
@given(text=st.one_of(units_text, leaves), dimension=st.sampled_from(units.DIMENSIONS))
def test_quantities_are_read_or_refused(text: Any, dimension: str) -> None:
    """A text is a finite quantity that is written back as itself, or refused."""
    number = answer(lambda: units.parse(text, dimension))
    if number is not None:
        assert math.isfinite(number)
        again = answer(lambda: units.parse(units.format(number, dimension, digits=17), dimension))
        assert again is None or again == pytest.approx(number, rel=1e-9)


MACHINE = """
[[accelerator]]
id = "fuzz-one"
aliases = ["fuzz"]
vendor = "Fuzz"
product = "Fuzz One 96GB"
generation = "fuzz-1"
memory = "96 GB"
memory_bandwidth = "3.2 TB/s"
cores = 64
clock = "1.6 GHz"
power = "600 W"
sparsity = "2:4"
confidential = false
default_system = "fuzz-pod"
peak = { fp32 = "30 TFLOP/s", bf16 = "500 TFLOP/s", fp8 = "none" }
source = { all = "nobody" }

[[system]]
id = "fuzz-pod"
accelerator = "fuzz-one"
accelerators_per_node = 8
power_per_node = "8 kW"
source = { all = "nobody" }
[[system.tier]]
name = "Link"
span = 8
topology = "full-mesh"
bandwidth = "200 GB/s"
per_peer = "28 GB/s"
latency = "3 us"
"""


@EXAMPLES
@given(text=scrambled([MACHINE]))
def test_scrambled_catalogs_are_read_or_refused(text: str, tmp_path_factory: Any) -> None:
    """A damaged catalog folder is read or refused, and what it still describes can be asked and estimated."""
    folder = tmp_path_factory.mktemp("fuzz", numbered=True)
    (folder / "machine.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    workspace = suanli.Workspace(paths=[folder])
    for name in answer(lambda: workspace.catalog().names("accelerator")) or ():
        if name.startswith("fuzz"):
            device = answer(lambda name=name: workspace.accelerator(name))
            if device is not None:
                seconds = answer(lambda device=device: device.gemm_s(m=128, n=128, k=128))
                assert seconds is None or 0 < seconds < math.inf
    data = {"model": {"name": "llama-7b"}, "system": {"name": "fuzz-pod"}, "layout": {"tensor": 8, "pipeline": 1}}
    data |= {"workload": {"kind": "serve"}}
    report = answer(lambda: workspace.estimate(data))
    assert report is None or finite(report.to_dict())


def _asks() -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    device, system, model = suanli.accelerator("a100"), suanli.system("dgx-a100"), suanli.model("llama-7b")
    shape = {"batch": 1, "query": 128, "kv_tokens": 128, "heads": 32}
    group = {"kv_heads": 8, "head_dim": 128, "window": 0, "precision": "bf16"}
    experts = {"tokens": 64, "hidden": 1024, "intermediate": 512, "experts": 8, "top_k": 2, "tensor": 1, "expert": 1}
    return {
        "gemm_s": (device.gemm_s, {"m": 128, "n": 128, "k": 128, "precision": "bf16"}),
        "attention_s": (device.attention_s, shape | group | {"phase": "prefill"}),
        "mla_s": (device.mla_s, shape | {"phase": "decode", "kv_lora_rank": 512, "rope_dim": 64, "precision": "bf16"}),
        "moe_s": (device.moe_s, experts | {"precision": "bf16", "imbalance": 1.0}),
        "collective_s": (system.collective_s, {"operation": "all_reduce", "bytes": 1 << 20, "ranks": 8, "stride": 1}),
        "system": (suanli.system, {"name": "dgx-a100", "accelerators": 8}),
        "kv_cache_bytes": (model.kv_cache_bytes, {"tokens": 128, "precision": "bf16"}),
        "forward_flops": (
            lambda **k: model.forward_flops(**k).total,
            {"batch": 1, "sequence": 128, "cached_tokens": 0, "causal": True},
        ),
        "saved_activation_bytes": (
            model.saved_activation_bytes,
            {"layer": 0, "batch": 1, "sequence": 128, "attention": "flash", "profile": "megatron", "dropout": 0.0},
        ),
    }


ASKS = _asks()
ODD = [None, "x", "3", "", [], {}, [1, "x"], -1, math.nan, math.inf, -math.inf, 10**400]
WORDS_TAKEN = ("precision", "phase", "profile", "operation", "name", "attention", "causal")


@pytest.mark.parametrize("name", ASKS)
def test_questions_by_hand_are_answered_or_refused(name: str) -> None:
    """A method asked with junk for any one argument gives a sensible number, or refuses with a SuanliError."""
    call, sound = ASKS[name]
    wrong = []
    for key in sound:
        for value in ODD:
            asked = f"{key}={value!r:.12}"
            try:
                found = call(**(sound | {key: value}))
            except suanli.SuanliError:
                continue
            except Exception as error:
                wrong.append(f"{asked}: {type(error).__name__}: {error}"[:100])
                continue
            number = getattr(found, "accelerators", found)
            if isinstance(number, (int, float)) and not (0 <= number < math.inf):
                wrong.append(f"{asked} gives {number!r}")
            elif value == "3" and key not in WORDS_TAKEN:
                wrong.append(f"{asked}: a text is taken for a number")
    assert not wrong, "\n".join(wrong)


def test_places_and_changes() -> None:
    """The helpers of this folder reach every value, and change a copy."""
    data = {"a": {"b": 1}, "c": 2}
    assert list(places(data)) == [("a",), ("a", "b"), ("c",)]
    assert at(changed(data, ("a", "b"), 5), ("a", "b")) == 5
    assert data == {"a": {"b": 1}, "c": 2}
