"""How a checkpoint stores its weights: what a configuration's quantisation block says, in bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
from attrs.validators import ge, gt

from suanli.errors import show
from suanli.tensors import EXPERTS, Parameter

if TYPE_CHECKING:
    from suanli.models import Block, Model

BLOCKS = ("quantization_config", "compression_config", "quantization")
"""Where configurations keep their quantisation block."""
PLAIN = ("embedding", "head", "router", "norm")
"""Groups that stay as they are in every scheme: looked up, or too small and too telling to narrow."""
RECIPES = {"fp8": "fp8", "int8": "int8", "int4": "int4", "nf4": "nf4", "mxfp4": "mxfp4", "nvfp4": "nvfp4"}
"""The serving recipe that computes with weights of a format."""

# Words of module names, as skip lists have them, and the group of ours they stand for; the first that fits holds.
WORDS = (
    ("lm_head", "head"),
    ("embed", "embedding"),
    ("shared_expert_gate", "router"),
    ("shared_expert", "shared_experts"),
    ("experts", "experts"),
    ("router", "router"),
    (r"mlp\.gate$", "router"),
    ("norm", "norm"),
    ("self_attn", "attention"),
    (r"\battn", "attention"),
    ("linear_attn", "ssm_linear_attention"),
    ("mamba", "ssm_linear_attention"),
    (r"\bmlp\b", "mlp"),
)


@attrs.frozen(kw_only=True)
class Storage:
    """The format of a checkpoint's narrow weights.

    Attributes:
        method: What the configuration calls it, such as ``"fp8"`` or ``"awq"``.
        format: A format name: of matrices that are narrowed.
        bits: Of an element.
        group: Elements along a row that share a scale; 0 for a whole row, -1 for a whole matrix.
        rows: Rows that share it too.
        scale_bits: Of a scale.
        zero_bits: Of a zero point beside each scale; 0 for none.
        index_bits: Of an index for each input, as GPTQ's.
        experts_only: Whether only routed experts are narrowed.
        experts: The format of routed experts, where it is another.
        skipped: Groups that are not narrowed; a pair of layer and group where a layer is named.
        source: The document that lays the format out.
    """

    method: str
    format: str
    bits: int = attrs.field(validator=gt(0))
    group: int = 0
    rows: int = attrs.field(default=1, validator=gt(0))
    scale_bits: int = attrs.field(default=0, validator=ge(0))
    zero_bits: int = attrs.field(default=0, validator=ge(0))
    index_bits: int = attrs.field(default=0, validator=ge(0))
    experts_only: bool = False
    experts: Storage | None = None
    skipped: tuple[tuple[int | None, str], ...] = ()
    source: str = ""

    def narrows(self, parameter: Parameter, layer: int | None) -> bool:
        """Whether a parameter of a layer (None outside the layers) is stored in the narrow format."""
        routed = any(d.role == EXPERTS for d in parameter.dims)
        if layer is None or parameter.group in PLAIN or parameter.name.endswith(".bias"):
            return False
        if (routed and len(parameter.dims) < 3) or len(parameter.matrix) != (3 if routed else 2):
            return False
        if self.experts_only and not routed:
            return False
        return (None, parameter.group) not in self.skipped and (layer, parameter.group) not in self.skipped

    def bytes(self, parameter: Parameter) -> int:
        """Bytes of a narrowed parameter: its elements, and the scales, zeros and indices beside them."""
        if self.experts is not None and any(d.role == EXPERTS for d in parameter.dims):
            return self.experts.bytes(parameter)
        *outer, rows, columns = parameter.matrix
        copies = 1
        for size in outer:
            copies *= size
        if self.group < 0:
            groups = 1
        else:
            across = -(-columns // self.group) if self.group else 1
            groups = -(-rows // self.rows) * across
        bits = rows * columns * self.bits + groups * (self.scale_bits + self.zero_bits) + columns * self.index_bits
        return copies * -(-bits // 8)


def read_storage(config: Mapping[str, Any]) -> tuple[Storage | None, str]:
    """What a configuration's quantisation block says, and a note where it cannot be read."""
    block = next((config[k] for k in BLOCKS if isinstance(config.get(k), Mapping)), None)
    if block is None:
        return None, ""
    method = str(block.get("quant_method") or block.get("quant_algo") or block.get("quant_type") or "").lower()
    try:
        made = _read(method, block)
    except (TypeError, ValueError, AttributeError, LookupError) as exc:
        return None, f"quantization_config of method {show(method)} cannot be read ({exc}); weights taken as 2 bytes"
    if made is None:
        return None, f"quantization_config of method {show(method)} is not known; weights taken as 2 bytes each"
    if (block.get("expert_dtype") or config.get("expert_dtype")) == "fp4":
        # DeepSeek-V4: experts in FP4, 32 elements to a scale of 8 bits.
        made = attrs.evolve(made, experts=Storage(method=method, format="mxfp4", bits=4, group=32, scale_bits=8))
    return attrs.evolve(made, skipped=(*made.skipped, *_skips(block))), ""


def _read(method: str, block: Mapping[str, Any]) -> Storage | None:
    bits, group = block.get("bits") or block.get("w_bit"), block.get("group_size", block.get("q_group_size"))
    if method in ("fp8", "fbgemm_fp8", "finegrained_fp8"):
        size = block.get("weight_block_size")
        if size:
            return _fp8(group=int(size[1]), rows=int(size[0]), method=method)
        return _fp8(group=0 if method == "fbgemm_fp8" else -1, rows=1, method=method)
    if method == "awq":
        bits, group = int(bits or 4), int(group or 128)
        zero = bits if block.get("zero_point", True) else 0
        return Storage(
            method=method, format=f"int{bits}", bits=bits, group=max(group, 0), scale_bits=16, zero_bits=zero
        )
    if method == "gptq":
        bits, group = int(bits or 4), int(group or 128)
        form = f"int{bits}" if bits in (4, 8) else "int4" if bits < 4 else "int8"
        return Storage(
            method=method, format=form, bits=bits, group=max(group, 0), scale_bits=16, zero_bits=bits, index_bits=32
        )
    if method in ("bitsandbytes", "bnb"):
        if block.get("load_in_8bit") or block.get("_load_in_8bit"):
            return Storage(method=method, format="int8", bits=8, scale_bits=32)
        # A second quantisation turns the scales of 64 elements into 8 bits, with one of 32 for 256 of them.
        scale = 8 if block.get("bnb_4bit_use_double_quant") else 32
        return Storage(method=method, format="nf4", bits=4, group=64, scale_bits=scale)
    if method == "mxfp4":
        return Storage(method=method, format="mxfp4", bits=4, group=32, scale_bits=8, experts_only=True)
    if method in ("compressed-tensors", "modelopt", "modelopt_fp4"):
        return _compressed(method, block)
    if method in ("nvfp4", "w4a4_nvfp4"):
        return Storage(method=method, format="nvfp4", bits=4, group=16, scale_bits=8)
    return None


def _fp8(*, group: int, rows: int, method: str) -> Storage:
    return Storage(method=method, format="fp8", bits=8, group=group, rows=rows, scale_bits=32)


def _compressed(method: str, block: Mapping[str, Any]) -> Storage | None:
    """The schemes of llm-compressor and of NVIDIA's Model Optimizer: one group of layers, its weights' scheme."""
    algorithm = str(block.get("quant_algo") or "").upper()
    if algorithm in ("NVFP4", "W4A16_NVFP4"):
        return Storage(method=method, format="nvfp4", bits=4, group=16, scale_bits=8)
    if algorithm.startswith("FP8"):
        return _fp8(group=-1, rows=1, method=method)
    groups = block.get("config_groups")
    first = next(iter(groups.values()), None) if isinstance(groups, Mapping) else None
    weights = first.get("weights") if isinstance(first, Mapping) else None
    if not isinstance(weights, Mapping):
        return None
    bits, floating = int(weights.get("num_bits", 8)), weights.get("type") == "float"
    strategy, size = weights.get("strategy") or "tensor", weights.get("group_size")
    if floating and bits == 4:
        return Storage(method=method, format="nvfp4", bits=4, group=int(size or 16), scale_bits=8)
    form = "fp8" if floating else "int8" if bits == 8 else "int4"
    rows, group = 1, {"tensor": -1, "channel": 0}.get(str(strategy), int(size or 128))
    if strategy == "block":
        shape = weights.get("block_structure") or (128, 128)
        rows, group = int(shape[0]), int(shape[1])
    zero = 0 if weights.get("symmetric", True) else bits
    return Storage(method=method, format=form, bits=bits, group=group, rows=rows, scale_bits=16, zero_bits=zero)


def _skips(block: Mapping[str, Any]) -> tuple[tuple[int | None, str], ...]:
    """Groups a block's skip list names, with the layer where it names one."""
    found: dict[tuple[int | None, str], None] = {}
    for key in ("modules_to_not_convert", "ignore", "ignored_layers", "exclude_modules"):
        listed = block.get(key)
        for name in listed if isinstance(listed, list) else ():
            text = str(name).replace("\\", "").replace("*", "")
            group = next((g for word, g in WORDS if re.search(word, text)), None)
            number = re.search(r"layers\.(\d+)\b", text)
            if group is not None:
                found[int(number.group(1)) if number else None, group] = None
            elif number and text.endswith(number.group(0)):
                found |= {(int(number.group(1)), g): None for _, g in WORDS}
    return tuple(found)


def weight_bytes(model: Model) -> int:
    """Bytes of a checkpoint's weights: tied ones once, narrow ones with their scales, the rest in 2 bytes each."""
    storage, total = model.storage, 0
    blocks: list[tuple[Block, int | None, int]] = [(model.embedding, None, 1), (model.head, None, 1)]
    if storage is None or not any(layer is not None for layer, _ in storage.skipped):
        blocks += [(block, -1, times) for block, times in model.kinds]
    else:
        blocks += [(block, i, 1) for i, block in enumerate(model.layers)]
    for block, layer, times in blocks:
        for p in block.parameters:
            if p.tied:
                continue
            narrow = storage is not None and storage.narrows(p, layer)
            total += times * (storage.bytes(p) if storage is not None and narrow else 2 * p.elements)
    return total
