"""Hypothesis strategies: small models of every family, hardware that does not exist, legal layouts, whole scenarios.

Everything drawn is legal by construction, so that a test need not filter;
sizes are small, so that an example takes about a millisecond.

    >>> from hypothesis import given
    >>> from suanli.testing import strategies as sts
    >>> @given(sts.scenarios())
    ... def test_mine(scenario):
    ...     assert suanli.estimate(scenario).time.step_s > 0
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from hypothesis import strategies as st

from suanli.hardware import Accelerator, Rate, Source, System, Tier
from suanli.layout import RECOMPUTES, Layout

SYSTEMS = ("dgx-a100", "dgx-h100", "atlas-800t-a2")
"""Systems scenarios are drawn on: both vendors, a switched and a meshed node, networks of any size."""

TRAINING_RECIPES = ("bf16-mixed", "fp16-mixed", "fp16-mixed-main-gradients", "bf16-no-master", "fp32", "fp8-mixed")
SERVING_RECIPES = ("bf16", "fp16", "fp8", "int8", "int4", "nf4")
OPTIMIZERS = ("sgd", "momentum", "adam", "adamw", "adamw-8bit", "adafactor", "muon")
SCHEDULES = ("gpipe", "1f1b", "interleaved")

_HEADS = (1, 2, 4, 6, 8, 12)
_DEGREES = (1, 2, 3, 4, 6, 8)


def _divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


@st.composite
def _decoder(draw: st.DrawFn, *, layers: int) -> dict[str, Any]:
    heads = draw(st.sampled_from(_HEADS))
    head_dim = draw(st.sampled_from((8, 16, 64)))
    return {
        "vocab_size": draw(st.sampled_from((97, 128, 1000))),
        "hidden_size": heads * head_dim,
        "intermediate_size": heads * draw(st.sampled_from((8, 24, 64))),
        "num_hidden_layers": draw(st.integers(1, layers)),
        "num_attention_heads": heads,
        "num_key_value_heads": draw(st.sampled_from(_divisors(heads))),
        "tie_word_embeddings": draw(st.booleans()),
        "max_position_embeddings": 1 << 20,
    }


@st.composite
def dense_configs(draw: st.DrawFn, *, layers: int = 8) -> dict[str, Any]:
    """Configurations of Llama-like decoders: grouped queries, windows, biases, norms of heads.

    Args:
        draw: Hypothesis's.
        layers: The most they have.
    """
    config = draw(_decoder(layers=layers))
    kind = draw(st.sampled_from(("llama", "mistral", "qwen2", "qwen3")))
    config["model_type"] = kind
    if kind == "llama":
        config |= {"attention_bias": draw(st.booleans()), "mlp_bias": draw(st.booleans())}
    if kind == "mistral":
        config["sliding_window"] = draw(st.sampled_from((None, 16, 64)))
    if kind == "qwen2" and draw(st.booleans()):
        config |= {"use_sliding_window": True, "sliding_window": 32, "max_window_layers": draw(st.integers(0, layers))}
    if kind == "qwen3":
        config["head_dim"] = draw(st.sampled_from((8, 32)))
    return config


@st.composite
def gpt2_configs(draw: st.DrawFn, *, layers: int = 8) -> dict[str, Any]:
    """Configurations of GPT-2-like decoders."""
    base = draw(_decoder(layers=layers))
    return {
        "model_type": "gpt2",
        "vocab_size": base["vocab_size"],
        "n_embd": base["hidden_size"],
        "n_layer": base["num_hidden_layers"],
        "n_head": base["num_attention_heads"],
        "n_positions": 1 << 20,
        "n_inner": draw(st.sampled_from((None, base["intermediate_size"]))),
        "tie_word_embeddings": base["tie_word_embeddings"],
    }


@st.composite
def moe_configs(draw: st.DrawFn, *, layers: int = 8) -> dict[str, Any]:
    """Configurations of mixtures of experts whose every layer has experts."""
    experts = draw(st.sampled_from((2, 4, 6, 8)))
    return draw(_decoder(layers=layers)) | {
        "model_type": "mixtral",
        "num_local_experts": experts,
        "num_experts_per_tok": draw(st.integers(1, min(experts, 3))),
    }


@st.composite
def hybrid_configs(draw: st.DrawFn, *, layers: int = 8) -> dict[str, Any]:
    """Configurations whose dense and expert layers alternate, some with a shared expert beside the routed ones."""
    base = draw(_decoder(layers=layers))
    experts = draw(st.sampled_from((2, 4, 6, 8)))
    width = base["num_attention_heads"] * 8
    kind = draw(st.sampled_from(("qwen2_moe", "qwen3_moe")))
    shared = draw(st.sampled_from((None, width, 2 * width))) if kind == "qwen2_moe" else None
    return base | {
        "model_type": kind,
        "num_experts": experts,
        "num_experts_per_tok": draw(st.integers(1, min(experts, 3))),
        "moe_intermediate_size": width * draw(st.sampled_from((1, 2))),
        "shared_expert_intermediate_size": shared,
        "decoder_sparse_step": draw(st.integers(1, 3)),
        "mlp_only_layers": draw(st.sampled_from(([], [0]))),
    }


def configs(*, layers: int = 8) -> st.SearchStrategy[dict[str, Any]]:
    """Configurations of every family.

    Args:
        layers: The most they have.
    """
    return st.one_of(
        dense_configs(layers=layers),
        gpt2_configs(layers=layers),
        moe_configs(layers=layers),
        hybrid_configs(layers=layers),
    )


@attrs.frozen
class _Sizes:
    heads: int
    kv_heads: int
    layers: int
    experts: int
    width: int


def _sizes(config: dict[str, Any]) -> _Sizes:
    heads = config.get("num_attention_heads") or config["n_head"]
    layers = config.get("num_hidden_layers") or config["n_layer"]
    step, plain = config.get("decoder_sparse_step", 1), config.get("mlp_only_layers", [])
    routed = any((i + 1) % step == 0 and i not in plain for i in range(layers))
    return _Sizes(
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        layers=layers,
        experts=(config.get("num_local_experts") or config.get("num_experts") or 0) if routed else 0,
        width=config.get("moe_intermediate_size") or config.get("intermediate_size") or 0,
    )


@st.composite
def layouts(
    draw: st.DrawFn,
    config: dict[str, Any],
    *,
    training: bool = True,
    schedules: Sequence[str] = SCHEDULES,
    sequence_parallel: bool | None = None,
    recompute: str | None = None,
) -> Layout:
    """Layouts a model of `config` may have; the system has ``layout.world * layout.replicas`` accelerators.

    For training, `context` divides sequences of multiples of 4,
    and some global batch of ``data * micro_batch * pipeline * n`` sequences goes with it.

    Args:
        draw: Hypothesis's.
        config: As drawn from :func:`configs`.
        training: Whether it is for training, else for serving.
        schedules: Pipeline schedules to draw from.
        sequence_parallel: As it must be; either where None.
        recompute: As it must be; any where None.
    """
    size = _sizes(config)
    fits = [t for t in _DEGREES if size.heads % t == 0 and (size.kv_heads % t == 0 or t % size.kv_heads == 0)]
    if training and size.experts and sequence_parallel is False:
        fits = [1]
    tensor = draw(st.sampled_from(fits))
    pipeline = draw(st.integers(1, min(size.layers, 4)))
    context = draw(st.sampled_from((1, 2, 4)))
    data = draw(st.sampled_from((1, 2, 3, 4))) if training else 1
    attention_data = 1 if training else draw(st.sampled_from((1, 2)))
    found: dict[str, Any] = {"tensor": tensor, "pipeline": pipeline, "context": context}
    if size.experts:
        ranks = tensor * context * data * attention_data
        widths = [w for w in _divisors(ranks) if size.width % w == 0 and (tensor % w == 0 or w % tensor == 0)]
        width = draw(st.sampled_from(widths))
        fitting = [e for e in _divisors(size.experts) if ranks % (e * width) == 0]
        found |= {"expert_tensor": width, "expert": draw(st.sampled_from(fitting))}
    if not training:
        return Layout(**found, attention_data=attention_data, replicas=draw(st.integers(1, 3)))
    possible = [s for s in schedules if s != "interleaved" or (1 < pipeline <= size.layers // 2)] or ["1f1b"]
    schedule = draw(st.sampled_from(possible))
    if schedule == "interleaved":
        found["virtual_stages"] = draw(st.integers(2, size.layers // pipeline))
    if sequence_parallel is None:
        sequence_parallel = bool(size.experts) or draw(st.booleans())
    return Layout(
        **found,
        data=data,
        schedule=schedule,
        micro_batch=draw(st.sampled_from((1, 2, 4))),
        zero=draw(st.integers(0, 3)),
        recompute=recompute or draw(st.sampled_from(RECOMPUTES)),
        sequence_parallel=sequence_parallel,
    )


@st.composite
def training_scenarios(
    draw: st.DrawFn,
    *,
    config: dict[str, Any] | None = None,
    layout: Layout | None = None,
    systems: Sequence[str] = SYSTEMS,
) -> dict[str, Any]:
    """Training scenarios as plain data, complete enough that nothing is left to be chosen.

    Args:
        draw: Hypothesis's.
        config: Of the model; drawn where None.
        layout: Its layout; drawn where None.
        systems: Names of systems to draw from; their networks must be unbounded.
    """
    config = draw(configs()) if config is None else config
    layout = draw(layouts(config)) if layout is None else layout
    micro = layout.pipeline * draw(st.integers(1, 3))
    fields = layout.to_dict()
    return {
        "model": {"config": config},
        "system": {"name": draw(st.sampled_from(tuple(systems))), "accelerators": layout.world},
        "workload": {
            "kind": draw(st.sampled_from(("pretrain", "finetune"))),
            "sequence": 4 * draw(st.integers(1, 64)),
            "global_batch": layout.data * layout.micro_batch * micro,
            "tokens": draw(st.sampled_from((None, 10**6, 10**12))),
        },
        "layout": {k: v for k, v in fields.items() if k not in ("attention_data", "replicas")},
        "precision": {"recipe": draw(st.sampled_from(TRAINING_RECIPES))},
        "optimizer": {"name": draw(st.sampled_from(OPTIMIZERS))},
        "implementation": {
            "profile": draw(st.sampled_from(("megatron", "fused"))),
            "attention": draw(st.sampled_from(("flash", "eager"))),
            "dropout": draw(st.sampled_from((0.0, 0.1))),
            "overlap": draw(st.booleans()),
        },
        "assumptions": {"reserve": draw(st.sampled_from((0, 2**30)))},
    }


@st.composite
def serving_scenarios(
    draw: st.DrawFn,
    *,
    config: dict[str, Any] | None = None,
    layout: Layout | None = None,
    systems: Sequence[str] = SYSTEMS,
) -> dict[str, Any]:
    """Serving scenarios as plain data, complete enough that nothing is left to be chosen; arguments as above."""
    config = draw(configs()) if config is None else config
    layout = draw(layouts(config, training=False)) if layout is None else layout
    fields = ("tensor", "pipeline", "context", "expert", "expert_tensor", "attention_data", "replicas")
    load = draw(st.sampled_from(("batch", "concurrency")))
    return {
        "model": {"config": config},
        "system": {"name": draw(st.sampled_from(tuple(systems))), "accelerators": layout.world * layout.replicas},
        "workload": {
            "kind": "serve",
            "prompt": draw(st.integers(1, 4096)),
            "output": draw(st.integers(1, 512)),
            "prefix_hit_ratio": draw(st.sampled_from((0.0, 0.5, 1.0))),
            load: draw(st.integers(1, 64)),
        },
        "layout": {f: getattr(layout, f) for f in fields},
        "precision": {"recipe": draw(st.sampled_from(SERVING_RECIPES))},
        "implementation": {"profile": draw(st.sampled_from(("vllm", "transformers-generate")))},
    }


def scenarios() -> st.SearchStrategy[dict[str, Any]]:
    """Training and serving scenarios as plain data; :func:`suanli.scenario` takes them."""
    return st.one_of(training_scenarios(), serving_scenarios())


def _figure(least: float, most: float) -> st.SearchStrategy[float]:
    return st.floats(least, most, allow_nan=False, allow_infinity=False)


@st.composite
def accelerators(draw: st.DrawFn, *, id: str = "made-up") -> Accelerator:
    """Accelerators nobody sells, with a bf16 path and an fp32 one; served by the datasheet fallback."""
    bf16 = draw(_figure(1e12, 1e16))
    rates = [Rate("bf16", bf16), Rate("fp32", draw(_figure(1e11, 1e15)))]
    if draw(st.booleans()):
        rates.append(Rate("fp8", draw(st.sampled_from((0.0, 2.0 * bf16)))))
    memory = draw(st.integers(2**30, 2**40))
    return Accelerator(
        id=id,
        vendor="Nobody",
        product="Made Up",
        memory_bytes=memory,
        usable_memory_bytes=draw(st.one_of(st.none(), st.integers(1, memory))),
        memory_bandwidth_bytes_per_s=draw(_figure(1e9, 1e14)),
        power_w=draw(st.one_of(st.none(), _figure(1.0, 1e4))),
        sparsity=draw(st.sampled_from((None, "2:4"))),
        peak=tuple(rates),
        default_system=f"{id}-node",
        source=(Source("all", "suanli.testing.strategies"),),
    )


@st.composite
def systems(draw: st.DrawFn, *, accelerator: str = "made-up", per_node: int | None = None) -> System:
    """Systems nobody builds: a node of any topology and an unbounded network no faster than it.

    Args:
        draw: Hypothesis's.
        accelerator: Id of the accelerator they are built of.
        per_node: Accelerators in a node; drawn where None.
    """
    each = draw(st.sampled_from((2, 4, 8, 16))) if per_node is None else per_node
    inner = draw(_figure(1e10, 1e12))
    topology = draw(st.sampled_from(("switch", "ring", "full-mesh", "pcie")))
    peer = inner / (each - 1) if topology == "full-mesh" and each > 1 else None
    outer = min(draw(_figure(1e9, 1e11)), inner, peer or inner)
    return System(
        id=f"{accelerator}-node",
        accelerator=accelerator,
        accelerators_per_node=each,
        power_per_node_w=draw(st.one_of(st.none(), _figure(1.0, 1e5))),
        tiers=(
            Tier(name="inside", span=each, topology=topology, bandwidth_bytes_per_s=inner, per_peer_bytes_per_s=peer),
            Tier(name="outside", bandwidth_bytes_per_s=outer),
        ),
        source=(Source("all", "suanli.testing.strategies"),),
    )
