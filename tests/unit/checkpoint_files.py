"""Writes small GGUF and safetensors files, headers and no data (or zeros)."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Number, weights in a block, bytes of a block: ggml-org/llama.cpp, gguf-py/gguf/constants.py.
GGML = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q8_0": (8, 32, 34), "Q4_K": (12, 256, 144), "Q6_K": (14, 256, 210)}
WIDTHS = {"BF16": 2, "F32": 4, "F8_E4M3": 1, "I32": 4, "U8": 1}


def text(value: str) -> bytes:
    """A GGUF text."""
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(given: Any) -> bytes:
    """A GGUF value with its type."""
    if isinstance(given, bool):
        return struct.pack("<I?", 7, given)
    if isinstance(given, int):
        return struct.pack("<II", 4, given)
    if isinstance(given, float):
        return struct.pack("<If", 6, given)
    if isinstance(given, str):
        return struct.pack("<I", 8) + text(given)
    if given and isinstance(given[0], str):
        return struct.pack("<IIQ", 9, 8, len(given)) + b"".join(map(text, given))
    if given and isinstance(given[0], bool):
        return struct.pack("<IIQ", 9, 7, len(given)) + bytes(given)
    return struct.pack("<IIQ", 9, 4, len(given)) + struct.pack(f"<{len(given)}I", *given)


def gguf(
    path: Path, told: Mapping[str, Any], tensors: Mapping[str, tuple[int, ...]], form: str = "F16", data: bool = True
) -> int:
    """Write a file; vectors are F32, matrices `form`; the bytes of its tensors, padding left out."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(told))
    head += b"".join(text(k) + value(v) for k, v in told.items())
    offset = held = 0
    for name, shape in tensors.items():
        number, block, width = GGML[form if len(shape) > 1 else "F32"]
        size = math.prod(shape) // block * width
        head += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        head += struct.pack("<IQ", number, offset)
        held += size
        offset += -(-size // 32) * 32
    head += b"\0" * (-len(head) % 32)
    path.write_bytes(head + b"\0" * (offset if data else 0))
    return held


def safetensors(path: Path, tensors: Mapping[str, tuple[str, tuple[int, ...]]], data: bool = True) -> int:
    """Write a file of tensors of a type and a shape; the bytes they take."""
    told: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in tensors.items():
        begin, end = end, end + math.prod(shape) * WIDTHS[dtype]
        told[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    head = json.dumps(told).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + b"\0" * (end if data else 0))
    return end
