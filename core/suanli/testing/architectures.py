"""Hypothesis strategies of architectures: small configurations with every sort of layer there is.

Widths are multiples of 8 heads and of 16, so that tensor ranks up to 8 divide them.

    >>> from hypothesis import given
    >>> from suanli.testing import architectures
    >>> @given(architectures.configs())
    ... def test_mine(config):
    ...     assert suanli.model(config).parameters.total > 0
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

HIDDEN = {"hidden_size": (64, 128), "vocab_size": (128, 1000), "num_hidden_layers": (1, 2, 5, 7)}
HEADS = {"num_attention_heads": (8,), "num_key_value_heads": (1, 2, 8)}
DENSE = HIDDEN | HEADS | {"intermediate_size": (64, 128), "tie_word_embeddings": (True, False)}
GPT = {
    "vocab_size": (128, 1000),
    "n_embd": (64, 128),
    "n_layer": (1, 3),
    "n_head": (8,),
    "n_inner": (None, 64),
    "n_positions": (1 << 20,),
    "tie_word_embeddings": (True, False),
}
WINDOW = {"sliding_window": (None, 4, 16)}
SPARSE = {"num_experts_per_tok": (1, 2), "moe_intermediate_size": (32, 64)}
MANY = DENSE | SPARSE | {"n_routed_experts": (4, 8), "n_shared_experts": (1, 2), "first_k_dense_replace": (0, 1)}
LATENT = {
    "num_key_value_heads": (8,),
    "kv_lora_rank": (16, 32),
    "q_lora_rank": (None, 24),
    "qk_nope_head_dim": (16,),
    "qk_rope_head_dim": (8,),
    "v_head_dim": (16, 24),
}
INDEX = {"q_lora_rank": (24,), "index_n_heads": (2, 4), "index_head_dim": (16,), "index_topk": (4, 2048)}
SSM = {"mamba_n_heads": (16,), "mamba_d_head": ("auto",), "mamba_d_state": (8, 16), "mamba_n_groups": (1, 2)}
DELTA = {
    "linear_num_key_heads": (8,),
    "linear_num_value_heads": (8, 16),
    "linear_key_head_dim": (16,),
    "linear_value_head_dim": (16, 32),
    "head_dim": (16,),
    "full_attention_interval": (2, 4),
}
PER_LAYER = {"hidden_size_per_layer_input": (16,), "vocab_size_per_layer_input": (96,), "num_kv_shared_layers": (0, 2)}

ARCHITECTURES: dict[str, dict[str, tuple[Any, ...]]] = {
    "gptj": GPT,
    "gpt_bigcode": GPT | {"multi_query": (True, False)},
    "gpt_neo": DENSE | {"window_size": (8,), "max_position_embeddings": (1 << 20,)},
    "gpt_neox": DENSE | {"use_parallel_residual": (True, False), "attention_bias": (True, False)},
    "opt": HIDDEN | {"num_attention_heads": (8,), "ffn_dim": (64,), "word_embed_proj_dim": (32, 64)},
    "bloom": {"hidden_size": (64,), "n_layer": (1, 3), "n_head": (8,), "vocab_size": (128,)},
    "mpt": {"d_model": (64,), "n_layers": (1, 3), "n_heads": (8,), "vocab_size": (128,)},
    "falcon": HIDDEN | {"num_attention_heads": (8,), "new_decoder_architecture": (True, False), "num_kv_heads": (2, 8)},
    "phi": DENSE | {"qk_layernorm": (True, False)},
    "phi3": DENSE | WINDOW,
    "starcoder2": DENSE | WINDOW | {"use_bias": (True, False)},
    "nemotron": DENSE,
    "stablelm": DENSE | {"use_parallel_residual": (True, False), "qk_layernorm": (True, False)},
    "olmo": DENSE,
    "olmo3": DENSE | WINDOW,
    "exaone4": DENSE | WINDOW | {"sliding_window_pattern": (0, 2, "LLG")},
    "glm4": DENSE | {"head_dim": (16,)},
    "gemma2": DENSE | WINDOW | {"head_dim": (16,)},
    "gemma3_text": DENSE | WINDOW | {"head_dim": (16, 32), "sliding_window_pattern": (2, 6)},
    "gemma3n_text": DENSE | PER_LAYER | {"head_dim": (16,), "num_hidden_layers": (6, 7), "num_kv_shared_layers": (1,)},
    "gemma4_text": DENSE
    | PER_LAYER
    | {"num_hidden_layers": (4, 7), "head_dim": (16,), "global_head_dim": (32,), "attention_k_eq_v": (True, False)}
    | {"enable_moe_block": (True, False), "num_experts": (4,), "top_k_experts": (2,), "moe_intermediate_size": (32,)},
    "cohere2": DENSE | WINDOW,
    "olmoe": DENSE | SPARSE | {"num_experts": (8,)},
    "gpt_oss": DENSE | SPARSE | {"num_local_experts": (4, 8), "head_dim": (16,), "sliding_window": (4,)},
    "glm4_moe": MANY | {"use_qk_norm": (True, False), "num_nextn_predict_layers": (0, 1)},
    "ernie4_5_moe": DENSE | {"moe_num_experts": (8,), "moe_k": (2,), "moe_intermediate_size": (32,)},
    "llama4_text": DENSE
    | {"num_local_experts": (4,), "intermediate_size_mlp": (128,), "interleave_moe_layer_step": (1, 2)}
    | {"attention_chunk_size": (8, 8192), "num_experts_per_tok": (1,), "head_dim": (16,)},
    "deepseek_v2": MANY | LATENT,
    "deepseek_v3": MANY | LATENT | {"num_nextn_predict_layers": (0, 1)},
    "deepseek_v32": MANY | LATENT | INDEX,
    "minicpm3": DENSE | LATENT,
    "deepseek_v4": HIDDEN
    | {"num_attention_heads": (8,), "head_dim": (32,), "q_lora_rank": (24,), "o_groups": (8,), "o_lora_rank": (16,)}
    | {"n_routed_experts": (4,), "num_experts_per_tok": (2,), "moe_intermediate_size": (32,), "sliding_window": (8,)}
    | {"index_n_heads": (2,), "index_head_dim": (16,), "index_topk": (4, 512)},
    "mamba": HIDDEN | {"state_size": (8, 16)},
    "mamba2": HIDDEN | {"hidden_size": (64,), "num_heads": (8,), "head_dim": (16,), "n_groups": (1, 2)},
    "nemotron_h": HIDDEN
    | HEADS
    | {"hybrid_override_pattern": ("M*-E", "M-M*", "*-"), "head_dim": (16,), "mamba_num_heads": (8,)}
    | {"mamba_head_dim": (16,), "ssm_state_size": (16,), "n_groups": (1, 8), "n_routed_experts": (4,)}
    | {"moe_intermediate_size": (32,), "moe_shared_expert_intermediate_size": (32,), "intermediate_size": (64,)}
    | {"moe_latent_size": (None, 16)},
    "bamba": DENSE | SSM | {"attn_layer_indices": ([], [0])},
    "granitemoehybrid": DENSE
    | SSM
    | {"num_local_experts": (0, 4), "num_experts_per_tok": (2,), "shared_intermediate_size": (64,)},
    "jamba": DENSE | {"num_experts": (4,), "num_experts_per_tok": (2,), "mamba_d_state": (8,)},
    "qwen3_5_text": DENSE | DELTA,
    "qwen3_next": DENSE | SPARSE | DELTA | {"num_experts": (8,), "shared_expert_intermediate_size": (32,)},
    "minimax": DENSE | {"num_local_experts": (4,), "num_experts_per_tok": (2,), "head_dim": (16,)},
    "chatglm": {"hidden_size": (64,), "num_layers": (1, 3), "num_attention_heads": (8,), "padded_vocab_size": (128,)}
    | {"ffn_hidden_size": (64,), "kv_channels": (8,), "multi_query_attention": (True, False)}
    | {"multi_query_group_num": (2,), "add_qkv_bias": (True, False)},
    "falcon_h1": DENSE
    | {"mamba_d_ssm": (128,), "mamba_n_heads": (8,), "mamba_d_head": (16,), "mamba_d_state": (8,)}
    | {"mamba_rms_norm": (True, False), "projectors_bias": (True, False)},
    "lfm2": DENSE | {"full_attn_idxs": ([0], None), "block_multiple_of": (64,), "conv_bias": (True, False)},
    "qwen": HIDDEN | {"num_attention_heads": (8,), "intermediate_size": (128,)},
    "baichuan": HIDDEN | {"num_attention_heads": (8,), "intermediate_size": (128,)},
}
"""For each model type, the keys a small configuration has and the values they are drawn from."""


@st.composite
def configs(draw: st.DrawFn, *, of: tuple[str, ...] = tuple(ARCHITECTURES)) -> dict[str, Any]:
    """A small configuration of one of the model types `of`."""
    kind = draw(st.sampled_from(of))
    drawn = {key: draw(st.sampled_from(values)) for key, values in ARCHITECTURES[kind].items()}
    return {"model_type": kind, **drawn}
