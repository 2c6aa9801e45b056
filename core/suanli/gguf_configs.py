"""From the keys of a GGUF file to those of a ``config.json``: ggml-org/llama.cpp, gguf-py/gguf/constants.py, Keys.

What a GGUF file does not say in a key (biases, a tied head, norms of heads) its list of tensors does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from suanli.checkpoints import Checkpoint, checked, gathered
from suanli.errors import ModelConfigError, show
from suanli.gguf import Header
from suanli.storage import Storage

if TYPE_CHECKING:
    from suanli.catalogs import Catalog
    from suanli.families import ModelFamily
    from suanli.models import Model

KEYS: dict[str, tuple[str, ...]] = {
    "embedding_length": ("hidden_size",),
    "feed_forward_length": ("intermediate_size",),
    "context_length": ("max_position_embeddings", "n_positions"),
    "attention.head_count": ("num_attention_heads",),
    "attention.head_count_kv": ("num_key_value_heads",),
    "attention.key_length": ("head_dim",),
    "attention.sliding_window": ("sliding_window",),
    "attention.q_lora_rank": ("q_lora_rank",),
    "attention.kv_lora_rank": ("kv_lora_rank",),
    "attention.indexer.head_count": ("index_n_heads",),
    "attention.indexer.key_length": ("index_head_dim",),
    "attention.indexer.top_k": ("index_topk",),
    "attn_logit_softcapping": ("attn_logit_softcapping",),
    "use_parallel_residual": ("use_parallel_residual",),
    "expert_count": ("num_experts", "num_local_experts", "n_routed_experts"),
    "expert_used_count": ("num_experts_per_tok", "moe_k"),
    "expert_feed_forward_length": ("moe_intermediate_size",),
    "expert_shared_count": ("n_shared_experts",),
    "expert_shared_feed_forward_length": ("shared_expert_intermediate_size", "shared_intermediate_size"),
    "leading_dense_block_count": ("first_k_dense_replace",),
    "nextn_predict_layers": ("num_nextn_predict_layers",),
    "interleave_moe_layer_step": ("interleave_moe_layer_step",),
    "full_attention_interval": ("full_attention_interval",),
    "ssm.conv_kernel": ("conv_kernel", "mamba_d_conv"),
    "ssm.inner_size": ("mamba_d_ssm",),
    "ssm.state_size": ("state_size", "mamba_d_state", "ssm_state_size"),
    "ssm.group_count": ("n_groups", "mamba_n_groups"),
    "shortconv.l_cache": ("conv_L_cache",),
}
"""What a key of a GGUF file, after the architecture's name, is called in configurations."""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def family_of(catalog: Catalog, architecture: str, header: Header) -> type[ModelFamily] | None:
    """The family a file's architecture is of: one that says so, else one whose model type has the same letters."""
    asked = _plain(architecture)
    parts = {e.name.split(".", 2)[-1] for e in header.entries if e.name.startswith("blk.")}
    suited: list[tuple[int, type[ModelFamily]]] = []
    for entry in catalog.entries("model family"):
        own = vars(entry.value)  # not what it inherits
        needs = own.get("gguf_needs", ())
        named = asked in map(_plain, own.get("gguf_names", ()))
        if named and all(any(p.startswith(need) for p in parts) for need in needs):
            suited.append((1 + len(needs), entry.value))
        elif asked in map(_plain, entry.value.model_types):
            suited.append((0, entry.value))
    return max(suited, key=lambda pair: pair[0], default=(0, None))[1]


def config_of(header: Header, where: str) -> tuple[str, dict[str, Any]]:
    """The architecture a file names, and its keys as a configuration has them.

    Raises:
        ModelConfigError: Naming every key that is missing or cannot be one number.
    """
    architecture = header.told.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise ModelConfigError([f"general.architecture: required, a text, got {show(architecture)}"], where)
    told = {k.removeprefix(f"{architecture}."): v for k, v in header.told.items() if k.startswith(f"{architecture}.")}
    sizes = {e.name: e.shape for e in header.entries}
    faults: list[str] = []
    config: dict[str, Any] = {}
    for key, names in KEYS.items():
        if key in told:
            value = _one(told[key])
            if value is None:
                faults.append(f"{architecture}.{key}: {show(told[key])} is not one number for all layers")
            config |= dict.fromkeys(names, value)
    blocks, ahead = told.get("block_count"), told.get("nextn_predict_layers", 0)
    if not _whole(blocks) or not _whole(ahead) or not 0 <= ahead < blocks:
        faults.append(f"{architecture}.block_count: required, a number of layers, got {show(blocks)}")
    else:
        config["num_hidden_layers"] = blocks - ahead
    table = sizes.get("token_embd.weight")
    if table is None or len(table) != 2:
        faults.append("token_embd.weight: no such tensor, or not a matrix")
    else:
        config["vocab_size"] = table[1]
    if faults:
        raise ModelConfigError(faults, where)
    config["tie_word_embeddings"] = "output.weight" not in sizes
    if config.get("head_dim") is None and _whole(config.get("num_attention_heads")):
        config.pop("head_dim", None)
    _latent(config, told)
    _recurrent(config, told)
    _from_tensors(config, set(sizes), told)
    return architecture, config


def _one(value: Any) -> Any:
    """A value for all layers: of a list, what its items that are not 0 agree on; None where they do not."""
    if not isinstance(value, list):
        return value if isinstance(value, (int, float, bool)) else None
    found = {v for v in value if v} or {0}
    return found.pop() if len(found) == 1 else None


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _latent(config: dict[str, Any], told: Mapping[str, Any]) -> None:
    """Widths of latent attention: heads of keys are a part without and a part with positions."""
    if "attention.kv_lora_rank" not in told:
        return
    config.setdefault("q_lora_rank", None)
    turned = told.get("rope.dimension_count", 0)
    # Files converted for the absorbed form state the heads' own widths apart, and one head of keys.
    key = told.get("attention.key_length_mla", told.get("attention.key_length", 0))
    value = told.get("attention.value_length_mla", told.get("attention.value_length", 0))
    config.pop("head_dim", None)
    config |= {
        "qk_rope_head_dim": turned,
        "v_head_dim": value,
        "num_key_value_heads": config.get("num_attention_heads"),
    }
    if _whole(key) and _whole(turned):
        config["qk_nope_head_dim"] = key - turned


def _recurrent(config: dict[str, Any], told: Mapping[str, Any]) -> None:
    """Heads of a state-space layer: as many as steps (Mamba-2), or channels with a rank of steps (Mamba)."""
    inner, rank, hidden = (told.get(k) for k in ("ssm.inner_size", "ssm.time_step_rank", "embedding_length"))
    if not (_whole(inner) and _whole(rank) and _whole(hidden) and rank and hidden):
        return
    config |= {
        "expand": inner // hidden,
        "mamba_expand": inner // hidden,
        "time_step_rank": rank,
        "mamba_dt_rank": rank,
    }
    if "ssm.group_count" in told and inner % rank == 0:
        config |= {"num_heads": rank, "mamba_n_heads": rank, "mamba_num_heads": rank}
        config |= dict.fromkeys(("mamba_d_head", "mamba_head_dim"), inner // rank)
        if "attention.head_count" not in told or not told["attention.head_count"]:
            config |= {"head_dim": inner // rank}
    if not config.get("num_attention_heads"):
        for key in ("num_attention_heads", "num_key_value_heads", "intermediate_size"):
            config.pop(key, None)
        config["intermediate_size"] = inner


def _from_tensors(config: dict[str, Any], names: set[str], told: Mapping[str, Any]) -> None:
    """Switches a file has no key for: biases, windows layer by layer."""
    parts = {n.split(".", 2)[2] for n in names if n.startswith("blk.") and n.count(".") >= 2}
    if "attn_q.bias" in parts or "attn_qkv.bias" in parts:
        config |= dict.fromkeys(("qkv_bias", "attention_bias", "add_qkv_bias"), True)
        config |= {"attention_out_bias": "attn_output.bias" in parts}
    if "ffn_up.bias" in parts:
        config |= {"mlp_bias": True}
    if "attn_q_norm.weight" in parts:
        config |= {"use_qk_norm": True, "qk_layernorm": True}
    pattern = told.get("attention.sliding_window_pattern")
    layers: Any = config.get("num_hidden_layers")
    if isinstance(pattern, list) and _whole(layers) and len(pattern) >= layers:
        config["layer_types"] = ["sliding_attention" if p else "full_attention" for p in pattern[:layers]]


def storage_of(header: Header) -> Storage | None:
    """The serving format nearest to how a file's matrices are stored; None where they have two bytes or more."""
    matrices = [e for e in header.entries if len(e.shape) > 1]
    weights, held = sum(e.elements for e in matrices), sum(e.bytes for e in matrices)
    bits = 8.0 * held / weights if weights else 16.0
    if bits > 12.0:
        return None
    width = 4 if bits < 6.5 else 8
    return Storage(method="gguf", format=f"int{width}", bits=width, source="ggml-org/ggml docs/gguf.md")


def with_files(model: Model, header: Header, files: int, stored: Storage | None) -> Model:
    """The model with what the file says of its weights."""
    checkpoint: Checkpoint = gathered("gguf", files, header.entries, len(model.layers), False)
    further = []
    if "suanli.lacking_bytes" in header.told:
        further.append(f"the file ends {header.told['suanli.lacking_bytes']:,} bytes before its data does: cut short")
    if stored is not None and checkpoint.parameters:
        bits = 8.0 * (checkpoint.weight_bytes or 0) / checkpoint.parameters
        further.append(
            f"{bits:.2f} bits a weight; estimates take the nearest recipe, {stored.format}: weights as stored are exact"
        )
    return checked(model, checkpoint, tuple(further))
