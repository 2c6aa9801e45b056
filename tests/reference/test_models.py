"""Models against the real ones.

Truth: transformers 5.23 modules on the meta device, FLOPs by torch 2.13's FlopCounterMode on one sequence of 2048
tokens (full attention, the head on every position), caches by the real Cache classes (bf16, keys and values).
"""

from __future__ import annotations

import pytest

import suanli

# name, family, parameters, active for a token, forward FLOPs of 1 x 2048, bytes of keys and values at 2048 tokens
TRUTH = [
    ("gpt2", "gpt2", 124439808, 124439808, 660606025728, 75497472),
    ("gpt2-large", "gpt2", 774030080, 774030080, 3935688458240, 377487360),
    ("gpt2-xl", "gpt2", 1557611200, 1557611200, 7657652224000, 629145600),
    ("gpt3-175b", "gpt2", 174604259328, 174604259328, 734804261732352, 9663676416),
    ("llama-7b", "dense", 6738415616, 6738415616, 29261612187648, 1073741824),
    ("llama-13b", "dense", 13015864320, 13015864320, 56076166758400, 1677721600),
    ("llama-33b", "dense", 32528943616, 32528943616, 139062987980800, 3271557120),
    ("llama-65b", "dense", 65285660672, 65285660672, 277326038302720, 5368709120),
    ("llama-2-7b", "dense", 6738415616, 6738415616, 29261612187648, 1073741824),
    ("llama-2-13b", "dense", 13015864320, 13015864320, 56076166758400, 1677721600),
    ("llama-2-70b", "dense", 68976648192, 68976648192, 292444323184640, 671088640),
    ("llama-3-8b", "dense", 8030261248, 8030261248, 32938104193024, 268435456),
    ("llama-3-70b", "dense", 70553706496, 70553706496, 295674138591232, 671088640),
    ("llama-3.1-8b", "dense", 8030261248, 8030261248, 32938104193024, 268435456),
    ("llama-3.1-70b", "dense", 70553706496, 70553706496, 295674138591232, 671088640),
    ("llama-3.1-405b", "dense", 405853388800, 405853388800, 1688386003795968, 1056964608),
    ("llama-3.2-3b", "dense", 3212749824, 3212749824, 14601815064576, 234881024),
    ("tinyllama-1.1b", "dense", 1100048384, 1100048384, 4992899481600, 46137344),
    ("mistral-7b-v0.1", "mistral", 7241732096, 7241732096, 31323196489728, 268435456),
    ("mixtral-8x7b", "mixtral", 46702792704, 12879925248, 54417235640320, 268435456),
    ("mixtral-8x22b", "mixtral", 140620634112, 39152031744, 165331007963136, 469762048),
    ("qwen2-0.5b", "qwen2", 494032768, 494032768, 2384042393600, 25165824),
    ("qwen2.5-7b", "qwen2", 7615616512, 7615616512, 30643517915136, 117440512),
    ("qwen3-0.6b", "qwen3", 596049920, 596049920, 3403224711168, 234881024),
    ("qwen3-32b", "qwen3", 32762123264, 32762123264, 139800648613888, 536870912),
    ("qwen1.5-moe-a2.7b", "qwen2_moe", 14315784192, 2689173504, 10563941826560, 402653184),
    ("qwen2-57b-a14b", "qwen2_moe", 57408658944, 14249270784, 57816844861440, 117440512),
    ("qwen3-235b-a22b", "qwen3_moe", 235093634560, 22190763520, 101260296454144, 394264576),
]
# Constructed as published, and not in the zoo: what the zoo's rows do not exercise.
CONFIGS = [
    (
        # deepseek-llm-67b: 95 layers, which few stages divide
        {"model_type": "llama", "vocab_size": 102400, "hidden_size": 8192, "intermediate_size": 22016}
        | {"num_hidden_layers": 95, "num_attention_heads": 64, "num_key_value_heads": 8},
        (67425001472, 67425001472, 285787123875840, 796917760),
    ),
    (
        # qwen1.5-72b: a qwen2 without grouped queries
        {"model_type": "qwen2", "vocab_size": 152064, "hidden_size": 8192, "intermediate_size": 24576}
        | {"num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 64},
        (72287920128, 72287920128, 301970560647168, 5368709120),
    ),
]
# Parameters by group, the real modules' names renamed to ours (norms, lm_head).
GROUPS = {
    "qwen1.5-moe-a2.7b": {
        "embedding": 311164928,
        "attention": 402800640,
        "router": 2998272,
        "experts": 12457082880,
        "shared_experts": 830472192,
        "norm": 100352,
        "head": 311164928,
    },
    "mixtral-8x7b": {
        "embedding": 131072000,
        "attention": 1342177280,
        "router": 1048576,
        "experts": 45097156608,
        "norm": 266240,
        "head": 131072000,
    },
}


def figures(model: suanli.Model) -> tuple[int, int, float, int]:
    """The four figures of a row of the tables."""
    flops = model.forward_flops(batch=1, sequence=2048, causal=False).total
    return model.parameters.total, model.parameters.active, flops, model.kv_cache_bytes(2048)


@pytest.mark.parametrize(("name", "family", "total", "active", "flops", "cache"), TRUTH, ids=[r[0] for r in TRUTH])
def test_a_preset_is_the_real_model(name: str, family: str, total: int, active: int, flops: int, cache: int) -> None:
    """Parameters, FLOPs and cache of every preset are those of the real module, to the last one."""
    model = suanli.model(name)
    assert model.family == family
    assert figures(model) == (total, active, flops, cache)
    assert sum(model.parameters.by_group.values()) == total


@pytest.mark.parametrize(("config", "truth"), CONFIGS)
def test_a_config_is_the_real_model(config: dict[str, object], truth: tuple[int, ...]) -> None:
    """A configuration that no preset holds gives the real module's figures too."""
    assert figures(suanli.model(config)) == truth


@pytest.mark.parametrize("name", GROUPS)
def test_parameters_are_under_the_right_group(name: str) -> None:
    """Groups hold what the real module's own names say."""
    count = suanli.model(name).parameters
    assert {g: n for g, n in count.by_group.items() if n} == GROUPS[name]


def test_every_family_of_ours_has_a_row() -> None:
    """A family that ships with suanli is held against the real module: give it a row when it comes."""
    own = {e.name for e in suanli.catalog().entries("model family") if e.provider.plugin == "models"}
    assert own == {row[1] for row in TRUTH}


def test_every_preset_of_ours_has_a_row() -> None:
    """A preset that ships with suanli is held against the real module: give it a row when it comes."""
    own = {e.name for e in suanli.catalog().entries("model") if e.provider.plugin == "models"}
    assert own == {row[0] for row in TRUTH}


def test_a_causal_pass_scores_half_the_pairs() -> None:
    """Causal attention is (s + 1) / 2s of the full one, and everything else stays (the reference's README)."""
    model = suanli.model("llama-7b")
    full = model.forward_flops(sequence=2048, causal=False).by_group
    causal = model.forward_flops(sequence=2048).by_group
    assert causal["attention_core"] / full["attention_core"] == 2049 / 4096
    assert {g: f for g, f in causal.items() if g != "attention_core"} == {
        g: f for g, f in full.items() if g != "attention_core"
    }


def test_a_window_limits_the_cache() -> None:
    """Mistral keeps 4096 tokens however long the text is; a Mixtral of the same shape keeps them all."""
    assert suanli.model("mistral-7b-v0.1").kv_cache_bytes(32768) == 2 * 2 * 32 * 8 * 128 * 4096
    assert suanli.model("mixtral-8x7b").kv_cache_bytes(32768) == 2 * 2 * 32 * 8 * 128 * 32768


def test_a_gpt_layer_keeps_what_torch_keeps() -> None:
    """The reference GPT layer keeps 32 s b h + 2 a s^2 b without dropout, 34 and 5 with (torch saved tensors).

    torch keeps fp32 statistics of the norms besides, 0.0013 bytes per s b h.
    """
    model = suanli.model("gpt3-175b")
    h, a, s, b = 12288, 96, 2048, 2
    plain = model.saved_activation_bytes(batch=b, sequence=s, attention="eager", dropout=0.0)
    dropped = model.saved_activation_bytes(batch=b, sequence=s, attention="eager", dropout=0.1)
    assert plain == pytest.approx(32.0013 * s * b * h + 2.0 * a * s * s * b, rel=1e-4)
    assert dropped == pytest.approx(34.0013 * s * b * h + 5.0 * a * s * s * b, rel=1e-4)
