"""Folders with safetensors files: tensors and bytes from their headers, held against the configuration."""

from __future__ import annotations

import importlib.util
import json
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

H, F, V, L = 64, 128, 100, 2
CONFIG = {"model_type": "llama", "hidden_size": H, "intermediate_size": F, "num_hidden_layers": L, "vocab_size": V} | {
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
LAYER = {
    "self_attn.q_proj.weight": (H, H),
    "self_attn.k_proj.weight": (H // 2, H),
    "self_attn.v_proj.weight": (H // 2, H),
    "self_attn.o_proj.weight": (H, H),
    "mlp.gate_proj.weight": (F, H),
    "mlp.up_proj.weight": (F, H),
    "mlp.down_proj.weight": (H, F),
    "input_layernorm.weight": (H,),
    "post_attention_layernorm.weight": (H,),
}
Tensors = dict[str, tuple[str, tuple[int, ...]]]


def llama(dtype: str = "BF16") -> Tensors:
    """The tensors of a Llama of two layers."""
    found: Tensors = {"model.embed_tokens.weight": (dtype, (V, H)), "model.norm.weight": (dtype, (H,))}
    found["lm_head.weight"] = (dtype, (V, H))
    return found | {f"model.layers.{i}.{k}": (dtype, s) for i in range(L) for k, s in LAYER.items()}


def folder(path: Path, tensors: Tensors, config: dict[str, Any] = CONFIG, shards: int = 1, **how: Any) -> int:
    """Write a configuration and its files; the bytes of their tensors."""
    (path / "config.json").write_text(json.dumps(config))
    if shards == 1:
        return int(files.safetensors(path / "model.safetensors", tensors, **how))
    names = [f"model-{i + 1:05d}-of-{shards:05d}.safetensors" for i in range(shards)]
    size = 0
    where: dict[str, str] = {}
    for i, name in enumerate(names):
        part = dict(list(tensors.items())[i::shards])
        size += files.safetensors(path / name, part, **how)
        where |= dict.fromkeys(part, name)
    index = {"metadata": {"total_size": size}, "weight_map": where}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    return size


def notes(path: Path) -> str:
    """The notes of the model of a folder."""
    return "\n".join(suanli.model(path).notes)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("dtype", ["BF16", "F32"])
def test_headers_give_tensors_and_bytes(shards: int, dtype: str, tmp_path: Path) -> None:
    """Tensors, parameters and bytes are those of the files, and agree with the configuration."""
    size = folder(tmp_path, llama(dtype), shards=shards)
    model = suanli.model(str(tmp_path) + "/")
    assert model.checkpoint is not None
    assert model.checkpoint.tensors == 3 + L * len(LAYER)
    assert (model.checkpoint.files, model.checkpoint.bytes, model.weight_bytes) == (shards, size, size)
    assert model.checkpoint.parameters == model.parameters.total
    assert model.checkpoint.by_format == ((dtype, size),)
    assert "parameters the configuration describes" in notes(tmp_path)


def test_headers_alone_are_enough(tmp_path: Path) -> None:
    """Files cut after their headers still say what they would hold, and that they are cut."""
    size = folder(tmp_path, llama(), shards=2, data=False)
    assert suanli.model(tmp_path).weight_bytes == size
    assert "cut short" in notes(tmp_path)


def test_the_configuration_alone_reads_no_file(tmp_path: Path) -> None:
    """The path of config.json is the configuration, whatever lies beside it."""
    folder(tmp_path, llama())
    assert suanli.model(tmp_path / "config.json").checkpoint is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model.layers.0.mlp.extra.weight": ("BF16", (3, 7))}, "21 more in the files"),
        ({"model.layers.1.mlp.up_proj.weight": ("BF16", (F, H - 1))}, f"{F} fewer in the files"),
    ],
)
def test_a_mismatch_is_told(change: Tensors, told: str, tmp_path: Path) -> None:
    """A tensor too many or too small is a note that says by how much, in reports too."""
    folder(tmp_path, llama() | change)
    assert "MISMATCH" in notes(tmp_path)
    assert told in notes(tmp_path)
    report = suanli.estimate(
        {"model": {"config": str(tmp_path)}, "system": {"name": "dgx-h100"}, "workload": {"kind": "serve", "batch": 1}}
    )
    assert any("MISMATCH" in p.message and p.severity == "warning" for p in report.problems)


def test_what_is_no_weight_of_the_model_is_kept_aside(tmp_path: Path) -> None:
    """Buffers, encoders and modules past the last layer are in the bytes of the files, and in no count."""
    more: Tensors = {
        "model.layers.0.self_attn.rotary_emb.inv_freq": ("F32", (8,)),
        "visual.blocks.0.attn.qkv.weight": ("BF16", (10, 10)),
        f"model.layers.{L}.eh_proj.weight": ("BF16", (H, 2 * H)),
    }
    size = folder(tmp_path, llama() | more)
    model = suanli.model(tmp_path)
    assert model.checkpoint is not None
    assert model.checkpoint.parameters == model.parameters.total
    aside = {"buffers": 32, "encoders of other modalities": 200, "multi-token prediction": 4 * H * H}
    assert dict(model.checkpoint.aside) == aside
    assert model.weight_bytes == size - sum(aside.values())


def test_a_tied_head_may_be_stored_or_not(tmp_path: Path) -> None:
    """Both are what the configuration describes."""
    tied = CONFIG | {"tie_word_embeddings": True}
    for tensors in (llama(), {k: v for k, v in llama().items() if k != "lm_head.weight"}):
        folder(tmp_path, tensors, tied)
        assert "MISMATCH" not in notes(tmp_path)


AWQ = {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 32}
FP8 = {"quant_method": "fp8", "weight_block_size": [32, 32]}
BNB = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}


def narrowed(method: str) -> Tensors:
    """The tensors of a quantised Llama, as each format lays them out."""
    found: Tensors = {}
    for name, (dtype, shape) in llama().items():
        if "_proj" not in name:
            found[name] = (dtype, shape)
            continue
        base, (rows, columns) = name.removesuffix(".weight"), shape
        if method == "awq":
            found[f"{base}.qweight"] = ("I32", (columns, rows // 8))
            found[f"{base}.qzeros"] = ("I32", (columns // 32, rows // 8))
            found[f"{base}.scales"] = ("BF16", (columns // 32, rows))
        elif method == "gptq":
            found[f"{base}.qweight"] = ("I32", (columns // 8, rows))
            found[f"{base}.qzeros"] = ("I32", (columns // 32, rows // 8))
            found[f"{base}.scales"] = ("BF16", (columns // 32, rows))
            found[f"{base}.g_idx"] = ("I32", (columns,))
        elif method == "fp8":
            found[name] = ("F8_E4M3", shape)
            found[f"{name}_scale_inv"] = ("F32", (-(-rows // 32), -(-columns // 32)))
        else:
            found[name] = ("U8", (rows * columns // 2, 1))
            found[f"{name}.absmax"] = ("F32", (rows * columns // 64,))
    return found


@pytest.mark.parametrize(("method", "block"), [("awq", AWQ), ("gptq", GPTQ), ("fp8", FP8), ("bitsandbytes", BNB)])
def test_packed_weights_are_counted_as_weights(method: str, block: dict[str, Any], tmp_path: Path) -> None:
    """Integers of several weights count as so many; scales, zeros and indices as bytes; bytes are exact."""
    size = folder(tmp_path, narrowed(method), CONFIG | {"quantization_config": block})
    model = suanli.model(tmp_path)
    assert model.checkpoint is not None
    assert model.checkpoint.parameters == model.parameters.total
    assert model.weight_bytes == size == suanli.model(tmp_path / "config.json").weight_bytes


def test_an_index_without_its_files_still_tells(tmp_path: Path) -> None:
    """Tensors and bytes are the index's, and the missing files are said."""
    size = folder(tmp_path, llama(), shards=3)
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    model = suanli.model(tmp_path)
    assert model.checkpoint is not None
    assert (model.checkpoint.tensors, model.checkpoint.bytes) == (3 + L * len(LAYER), size)
    assert model.checkpoint.parameters is None
    assert "1 of the 3 files its index names are not there" in notes(tmp_path)


def test_an_index_that_disagrees_with_its_files_is_told(tmp_path: Path) -> None:
    """A tensor the index names and no file has is a mismatch."""
    folder(tmp_path, llama(), shards=2)
    path = tmp_path / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["model.ghost.weight"] = "model-00001-of-00002.safetensors"
    path.write_text(json.dumps(index))
    assert "MISMATCH: 1 tensors" in notes(tmp_path)


def header(told: Any) -> bytes:
    """A file of only a header."""
    raw = json.dumps(told).encode()
    return struct.pack("<Q", len(raw)) + raw


def one(**told: Any) -> bytes:
    """A file of one tensor."""
    return header({"a": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]} | told})


BROKEN = {
    "empty": b"",
    "short": b"abc",
    "huge header": struct.pack("<Q", 2**63) + b"{}",
    "cut header": one()[:-5],
    "not JSON": struct.pack("<Q", 4) + b"{{{{",
    "not UTF-8": struct.pack("<Q", 4) + b"\xff\xfe\xfd\xfc",
    "not a table": header([1]),
    "deep": struct.pack("<Q", 4000) + b"[" * 4000,
    "entry": header({"a": 1}),
    "dtype": one(dtype="X9"),
    "shape": one(shape=[-1, 2]),
    "floats": one(shape=[2.0, 2]),
    "huge": one(shape=[2**62, 2**62]),
    "offsets": one(data_offsets=[8, 0]),
    "bytes": one(data_offsets=[0, 9]),
    "gap": one(data_offsets=[100, 108]),
    "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_gets_one_message(name: str, tmp_path: Path) -> None:
    """Whatever a header says, it is refused at once, in one line, with the file's name."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "model.safetensors").write_bytes(BROKEN[name])
    with pytest.raises(ModelConfigError, match=r"model\.safetensors") as told:
        suanli.model(tmp_path)
    assert len(told.value.errors) == 1
    assert len(str(told.value)) < 600


@pytest.mark.parametrize("names", [{"a": "../elsewhere.safetensors"}, {"a": 7}, [], {"a": "weights.bin"}])
def test_an_index_names_files_beside_it(names: Any, tmp_path: Path) -> None:
    """Nothing outside the folder is opened, whatever an index says."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    with pytest.raises(ModelConfigError, match="weight_map"):
        suanli.model(tmp_path)
