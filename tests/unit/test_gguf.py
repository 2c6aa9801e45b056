"""GGUF files: sizes from their keys, exact weights from their list of tensors, one message for a broken one."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from typing import Any

import pytest

import suanli
from suanli.errors import ModelConfigError

_spec = importlib.util.spec_from_file_location("checkpoint_files", Path(__file__).parent / "checkpoint_files.py")
assert _spec is not None and _spec.loader is not None
files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(files)

Case = tuple[dict[str, Any], dict[str, tuple[int, ...]], str]
V, H, F, L = 512, 256, 768, 2


def keys(arch: str, **more: Any) -> dict[str, Any]:
    """What every file says."""
    told = {"block_count": L, "embedding_length": H, "feed_forward_length": F, "context_length": 1024}
    told |= {"attention.head_count": 8, "attention.head_count_kv": 2}
    given = {k.replace("__", "."): v for k, v in more.items()}
    found = {f"{arch}.{k}": v for k, v in (told | given).items() if v is not None}
    tokens = {"tokenizer.ggml.tokens": ["a", "b", "c"], "tokenizer.ggml.scores": [1, 2, 3]}
    return {"general.architecture": arch, "general.alignment": 32} | found | tokens


def tensors(layer: dict[str, tuple[int, ...]], *, head: bool = True, norm_bias: bool = False) -> dict[str, Any]:
    """The tensors of a file with so many equal layers, named as llama.cpp names them; innermost size first."""
    found: dict[str, Any] = {"token_embd.weight": (H, V), "output_norm.weight": (H,)}
    found |= {"output_norm.bias": (H,)} if norm_bias else {}
    found |= {"output.weight": (H, V)} if head else {}
    return found | {f"blk.{i}.{name}": shape for i in range(L) for name, shape in layer.items()}


KV = 2 * (H // 8)
NORMS: dict[str, tuple[int, ...]] = {"attn_norm.weight": (H,), "ffn_norm.weight": (H,)}
HEADS: dict[str, Any] = {"attn_q.weight": (H, H), "attn_k.weight": (H, KV), "attn_v.weight": (H, KV)} | {
    "attn_output.weight": (H, H)
}
MLP: dict[str, tuple[int, ...]] = {"ffn_gate.weight": (H, F), "ffn_up.weight": (H, F), "ffn_down.weight": (F, H)}
BIASES: dict[str, tuple[int, ...]] = {"attn_q.bias": (H,), "attn_k.bias": (KV,), "attn_v.bias": (KV,)}
EXPERTS: dict[str, tuple[int, ...]] = {
    "ffn_gate_inp.weight": (H, 4),
    "ffn_gate_exps.weight": (H, 256, 4),
    "ffn_up_exps.weight": (H, 256, 4),
    "ffn_down_exps.weight": (256, H, 4),
}
MIXTRAL = {
    "ffn_gate_inp.weight": (H, 4),
    "ffn_gate_exps.weight": (H, F, 4),
    "ffn_up_exps.weight": (H, F, 4),
    "ffn_down_exps.weight": (F, H, 4),
}
LATENT: dict[str, tuple[int, ...]] = {
    "attn_q_a.weight": (H, 96),
    "attn_q_a_norm.weight": (96,),
    "attn_q_b.weight": (96, 8 * 48),
    "attn_kv_a_mqa.weight": (H, 64 + 16),
    "attn_kv_a_norm.weight": (64,),
    "attn_k_b.weight": (32, 64, 8),
    "attn_v_b.weight": (64, 32, 8),
    "attn_output.weight": (8 * 32, H),
}
SSM = {
    "attn_norm.weight": (H,),
    "ssm_in.weight": (H, 4 * H),
    "ssm_conv1d.weight": (4, 2 * H),
    "ssm_conv1d.bias": (2 * H,),
    "ssm_x.weight": (2 * H, 16 + 2 * 16),
    "ssm_dt.weight": (16, 2 * H),
    "ssm_dt.bias": (2 * H,),
    "ssm_a": (16, 2 * H),
    "ssm_d": (2 * H,),
    "ssm_out.weight": (2 * H, H),
}
SANDWICH = {"post_attention_norm.weight": (H,), "post_ffw_norm.weight": (H,)}
HEAD_NORMS = {"attn_q_norm.weight": (H // 8,), "attn_k_norm.weight": (H // 8,)}
GPT2 = {
    "attn_norm.weight": (H,),
    "attn_norm.bias": (H,),
    "ffn_norm.weight": (H,),
    "ffn_norm.bias": (H,),
    "attn_qkv.weight": (H, 3 * H),
    "attn_qkv.bias": (3 * H,),
    "attn_output.weight": (H, H),
    "attn_output.bias": (H,),
    "ffn_up.weight": (H, F),
    "ffn_up.bias": (F,),
    "ffn_down.weight": (F, H),
    "ffn_down.bias": (H,),
}
MLA_KEYS: dict[str, Any] = {
    "attention__head_count_kv": 1,
    "attention__key_length": 80,
    "attention__value_length": 64,
    "attention__key_length_mla": 48,
    "attention__value_length_mla": 32,
    "attention__q_lora_rank": 96,
    "attention__kv_lora_rank": 64,
    "rope__dimension_count": 16,
    "expert_count": 4,
    "expert_used_count": 2,
    "expert_feed_forward_length": 256,
    "expert_shared_count": 1,
    "leading_dense_block_count": 1,
}
SHARED = {"ffn_gate_shexp.weight": (H, 256), "ffn_up_shexp.weight": (H, 256), "ffn_down_shexp.weight": (256, H)}


def deepseek() -> dict[str, Any]:
    """A dense layer, then one of experts with a correction of the router's scores."""
    found = {k: v for k, v in tensors(NORMS | LATENT).items() if k.startswith(("token", "output", "blk"))}
    found |= {f"blk.0.{k}": v for k, v in MLP.items()}
    return found | {f"blk.1.{k}": v for k, v in (EXPERTS | SHARED | {"exp_probs_b.bias": (4,)}).items()}


CASES: dict[str, Case] = {
    "llama": (keys("llama"), tensors(NORMS | HEADS | MLP), "dense"),
    "llama-tied": (keys("llama"), tensors(NORMS | HEADS | MLP, head=False) | {"rope_freqs.weight": (16,)}, "dense"),
    "mixtral": (keys("llama", expert_count=4, expert_used_count=2), tensors(NORMS | HEADS | MIXTRAL), "mixtral"),
    "qwen2": (keys("qwen2"), tensors(NORMS | HEADS | MLP | BIASES), "qwen2"),
    "qwen3": (
        keys("qwen3", attention__key_length=32, attention__value_length=32),
        tensors(NORMS | HEADS | MLP | HEAD_NORMS),
        "qwen3",
    ),
    "qwen3moe": (
        keys("qwen3moe", expert_count=4, expert_used_count=2, expert_feed_forward_length=256)
        | {"qwen3moe.attention.key_length": 32},
        tensors(NORMS | HEADS | EXPERTS | HEAD_NORMS),
        "qwen3_moe",
    ),
    "gemma3": (
        keys("gemma3", attention__key_length=32, attention__sliding_window=64),
        tensors(NORMS | HEADS | MLP | HEAD_NORMS | SANDWICH, head=False),
        "gemma3",
    ),
    "deepseek2": (keys("deepseek2", **MLA_KEYS), deepseek(), "deepseek_v3"),
    "mamba": (
        keys("mamba", ssm__conv_kernel=4, ssm__inner_size=2 * H, ssm__state_size=16, ssm__time_step_rank=16)
        | {"mamba.attention.head_count": 0, "mamba.attention.head_count_kv": 0, "mamba.feed_forward_length": 0},
        tensors(SSM, head=False),
        "mamba",
    ),
    "gpt2": (
        keys("gpt2", attention__head_count_kv=8),
        tensors(GPT2, head=False, norm_bias=True) | {"position_embd.weight": (H, 1024)},
        "gpt2",
    ),
    "phi3": (
        keys("phi3", attention__sliding_window=64),
        tensors(
            NORMS
            | {"attn_qkv.weight": (H, H + 2 * KV), "attn_output.weight": (H, H)}
            | {"ffn_up.weight": (H, 2 * F), "ffn_down.weight": (F, H)}
        ),
        "phi3",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_file_is_its_model(name: str, tmp_path: Path) -> None:
    """Keys and tensors give the family, and its parameters are those the file holds, to the last."""
    told, held, family = CASES[name]
    size = files.gguf(tmp_path / f"{name}.gguf", told, held)
    model = suanli.model(str(tmp_path / f"{name}.gguf"))
    assert model.family == family
    assert model.checkpoint is not None
    assert model.parameters.total == model.checkpoint.parameters
    assert model.checkpoint.bytes == size
    assert model.checkpoint.tensors == len(held)
    assert any("parameters the configuration describes" in n for n in model.notes), model.notes
    assert not any("MISMATCH" in n for n in model.notes)
    assert model.context == 1024


def test_the_cache_is_that_of_the_configuration(tmp_path: Path) -> None:
    """Latent attention caches its rank and its rotated part, however many heads a converted file states."""
    told, held, _ = CASES["deepseek2"]
    files.gguf(tmp_path / "x.gguf", told, held)
    assert suanli.model(str(tmp_path / "x.gguf")).kv_cache_bytes(10) == L * 10 * (64 + 16) * 2
    told, held, _ = CASES["llama"]
    files.gguf(tmp_path / "y.gguf", told, held)
    assert suanli.model(tmp_path / "y.gguf").kv_cache_bytes(10) == L * 10 * 2 * KV * 2


@pytest.mark.parametrize(("form", "block", "width"), [("Q4_K", 256, 144), ("Q6_K", 256, 210), ("Q8_0", 32, 34)])
def test_quantised_weights_are_exact(form: str, block: int, width: int, tmp_path: Path) -> None:
    """Matrices take what their blocks take, vectors four bytes an element, and serving takes the nearest recipe."""
    told, held, _ = CASES["llama"]
    files.gguf(tmp_path / "x.gguf", told, held, form)
    vectors = (2 * L + 1) * H
    model = suanli.model(tmp_path / "x.gguf")
    assert model.weight_bytes == (model.parameters.total - vectors) // block * width + 4 * vectors
    assert model.storage is not None
    assert model.storage.format == ("int4" if form == "Q4_K" else "int8")


def test_parts_of_a_split_file_are_read_together(tmp_path: Path) -> None:
    """Any part names the model; a missing part is said."""
    told, held, _ = CASES["llama"]
    first = dict(list(held.items())[:5])
    rest = dict(list(held.items())[5:])
    size = files.gguf(tmp_path / "x-00001-of-00002.gguf", told | {"split.count": 2}, first)
    with pytest.raises(ModelConfigError, match=r"1 of its 2 parts are missing, x-00002-of-00002\.gguf first"):
        suanli.model(tmp_path / "x-00001-of-00002.gguf")
    size += files.gguf(tmp_path / "x-00002-of-00002.gguf", {"split.no": 1}, rest)
    model = suanli.model(tmp_path / "x-00002-of-00002.gguf")
    assert model.checkpoint is not None
    assert (model.checkpoint.files, model.checkpoint.bytes) == (2, size)
    assert model.parameters.total == model.checkpoint.parameters


def test_a_file_that_holds_something_else_is_said(tmp_path: Path) -> None:
    """A tensor too many, or data cut short, is a note; the model is what the keys describe."""
    told, held, _ = CASES["llama"]
    files.gguf(tmp_path / "x.gguf", told, held | {"blk.0.extra.weight": (H, 2)})
    assert any("MISMATCH" in n and "512 more in the files" in n for n in suanli.model(tmp_path / "x.gguf").notes)
    files.gguf(tmp_path / "y.gguf", told, held, data=False)
    assert any("cut short" in n for n in suanli.model(tmp_path / "y.gguf").notes)


HEAD = b"GGUF" + struct.pack("<I", 3)
BROKEN = {
    "empty": b"",
    "other": b"PK\x03\x04 and more",
    "pointer": b"version https://git-lfs.github.com/spec/v1\n",
    "version": b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "many tensors": HEAD + struct.pack("<QQ", 2**63, 0),
    "many keys": HEAD + struct.pack("<QQ", 0, 2**64 - 1),
    "long name": HEAD + struct.pack("<QQQ", 0, 1, 2**62),
    "long array": HEAD + struct.pack("<QQ", 0, 1) + files.text("a") + struct.pack("<IIQ", 9, 0, 2**60),
    "array of texts": HEAD + struct.pack("<QQ", 0, 1) + files.text("a") + struct.pack("<IIQ", 9, 8, 3_000_000),
    "nested": HEAD + struct.pack("<QQ", 0, 1) + files.text("a") + struct.pack("<IIQ", 9, 9, 1) * 50,
    "unknown value": HEAD + struct.pack("<QQ", 0, 1) + files.text("a") + struct.pack("<I", 99),
    "dimensions": HEAD + struct.pack("<QQ", 1, 0) + files.text("a") + struct.pack("<I", 2**31),
    "size": HEAD + struct.pack("<QQ", 1, 0) + files.text("a") + struct.pack("<I2QIQ", 2, 2**63, 2**63, 0, 0),
    "unknown type": HEAD + struct.pack("<QQ", 1, 0) + files.text("a") + struct.pack("<I1QIQ", 1, 32, 77, 0),
    "odd rows": HEAD + struct.pack("<QQ", 1, 0) + files.text("a") + struct.pack("<I1QIQ", 1, 33, 12, 0),
    "no architecture": HEAD + struct.pack("<QQ", 0, 0),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_gets_one_message(name: str, tmp_path: Path) -> None:
    """Whatever a file says of itself, it is refused at once, in one line, with its name."""
    path = tmp_path / "broken.gguf"
    path.write_bytes(BROKEN[name])
    with pytest.raises(ModelConfigError, match=r"broken\.gguf") as told:
        suanli.model(path)
    assert len(told.value.errors) == 1
    assert len(str(told.value)) < 500


def test_every_length_of_a_cut_file_is_refused_or_read(tmp_path: Path) -> None:
    """A file cut anywhere in its header is refused; a folder and a missing file are too."""
    told, held, _ = CASES["llama"]
    files.gguf(tmp_path / "x.gguf", told, held, data=False)
    whole = (tmp_path / "x.gguf").read_bytes()
    for length in range(0, len(whole) - 32, 37):
        (tmp_path / "cut.gguf").write_bytes(whole[:length])
        with pytest.raises(ModelConfigError):
            suanli.model(tmp_path / "cut.gguf")
    for path in (tmp_path / "none.gguf", "no-such.gguf"):
        with pytest.raises(ModelConfigError, match="cannot be read"):
            suanli.model(path)


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"llama.block_count": 0}, "block_count"),
        ({"llama.attention.head_count": 7}, "head"),
        ({"llama.embedding_length": 0}, "hidden_size"),
        ({"llama.attention.head_count_kv": [2, 4]}, "head_count_kv"),
        ({"general.architecture": "never-heard-of"}, "never-heard-of"),
    ],
)
def test_keys_that_make_no_sense_are_named(more: dict[str, Any], wrong: str, tmp_path: Path) -> None:
    """Sizes out of range, and layers that differ, are said with the key."""
    told, held, _ = CASES["llama"]
    files.gguf(tmp_path / "x.gguf", told | more, held)
    with pytest.raises(ModelConfigError, match=wrong):
        suanli.model(tmp_path / "x.gguf")
