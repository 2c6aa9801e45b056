"""Headers of GGUF files: ggml-org/ggml, docs/gguf.md.

Magic, version, two counts; then keys with typed values; then for each tensor its name, sizes and type.
Every length is held against what is left of the file before anything is read or kept.
"""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path
from typing import Any, BinaryIO

import attrs

from suanli.checkpoints import MOST_BYTES, Entry
from suanli.errors import ModelConfigError, clip, show

MOST_TENSORS = 1_000_000
MOST_KEYS = 100_000
MOST_ITEMS = 4_000_000
"""Items of all arrays of a file together."""
KEPT_ITEMS = 10_000
"""Arrays of numbers longer than this are passed over, as tokens and merges are."""

# ggml-org/llama.cpp, gguf-py/gguf/constants.py, GGMLQuantizationType and GGML_QUANT_SIZES (July 2026):
# number: name, weights in a block, bytes of a block.
TYPES: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    30: ("BF16", 1, 2),
    28: ("F64", 1, 8),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    22: ("IQ2_S", 256, 82),
    18: ("IQ3_XXS", 256, 98),
    21: ("IQ3_S", 256, 110),
    19: ("IQ1_S", 256, 50),
    29: ("IQ1_M", 256, 56),
    20: ("IQ4_NL", 32, 18),
    23: ("IQ4_XS", 256, 136),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Types of values of a fixed size, as `struct` writes them."""
STRING, ARRAY = 8, 9
PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.I)
"""How the parts of a split file are named."""


@attrs.frozen
class Header:
    """What a GGUF file says before its data.

    Attributes:
        told: Values by key; of long arrays and arrays of texts only how many items they have.
        entries: The tensors, innermost size first.
    """

    told: dict[str, Any]
    entries: list[Entry]


class _BrokenError(Exception):
    """Why a file is no GGUF file we can read."""


class _Reader:
    """Values off a file, never past its end."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.left, self.items = file, size, 0

    def bytes(self, count: int) -> bytes:
        """The next so many bytes."""
        if count > self.left:
            raise _BrokenError("cut short, or not what it says")
        self.left -= count
        found = self.file.read(count)
        if len(found) < count:
            raise _BrokenError("cut short")
        return found

    def number(self, form: str) -> Any:
        """The next value of a fixed size, little-endian."""
        return struct.unpack("<" + form, self.bytes(struct.calcsize("<" + form)))[0]

    def skip(self, count: int) -> None:
        """Past so many bytes."""
        if count > self.left:
            raise _BrokenError("cut short, or not what it says")
        self.left -= count
        self.file.seek(count, 1)

    def text(self, most: int = 1 << 16) -> str:
        """The next text, unless it is longer than a name is."""
        length = self.number("Q")
        if length > most:
            raise _BrokenError(f"a name of {length:,} bytes")
        return self.bytes(length).decode("utf-8", "replace")

    def value(self, kind: int, depth: int = 0) -> Any:
        """The next value of a type; an array of texts or of many numbers as its length."""
        if kind in SCALARS:
            return self.number(SCALARS[kind])
        if kind == STRING:
            length = self.number("Q")
            if length > 4096:
                self.skip(length)
                return None
            return self.bytes(length).decode("utf-8", "replace")
        if kind != ARRAY or depth > 3:
            raise _BrokenError(f"a value of type {kind}, nested {depth} deep" if depth else f"a value of type {kind}")
        inner, count = self.number("I"), self.number("Q")
        self.items += count
        if self.items > MOST_ITEMS:
            raise _BrokenError(f"arrays of more than {MOST_ITEMS:,} items")
        if inner in SCALARS:
            width = struct.calcsize("<" + SCALARS[inner])
            if count > KEPT_ITEMS:
                self.skip(count * width)
                return count
            return list(struct.unpack(f"<{count}{SCALARS[inner]}", self.bytes(count * width)))
        for _ in range(count):
            if inner == STRING:
                self.skip(self.number("Q"))
            else:
                self.value(inner, depth + 1)
        return count


def read_header(path: Path) -> Header:
    """Keys and tensors of a file, of all its parts where it is split.

    Raises:
        ModelConfigError: In one line, where it is not a whole GGUF file, or one of its parts is missing.
    """
    part = PART.search(path.name)
    if part is None:
        return _read(path)
    parts = int(part.group(2))
    names = [f"{path.name[: part.start()]}-{n:05d}-of-{parts:05d}.gguf" for n in range(1, parts + 1)]
    missing = [n for n in names[:1000] if not (path.parent / n).is_file()]
    if missing or not 0 < parts <= 1000:
        which = f"{len(missing)} of its {parts} parts are missing, {missing[0]} first" if missing else f"{parts} parts"
        raise ModelConfigError([which], clip(str(path), 200))
    read = [_read(path.parent / n) for n in names]
    return Header(read[0].told, [e for r in read for e in r.entries])


def _read(path: Path) -> Header:
    where = clip(str(path), 200)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            return _header(_Reader(file, size), size)
    except _BrokenError as exc:
        raise ModelConfigError([f"not a GGUF file this can read: {exc}"], where) from None
    except OSError as exc:
        raise ModelConfigError([f"cannot be read: {exc.strerror or exc}"], where) from None


def _header(read: _Reader, size: int) -> Header:
    magic = read.bytes(min(4, read.left))
    if magic != b"GGUF":
        pointer = magic == b"vers" and size < 1024
        raise _BrokenError(
            "it is a Git LFS pointer: fetch the file with `git lfs pull`" if pointer else "it begins otherwise"
        )
    version = read.number("I")
    if version not in (2, 3):
        raise _BrokenError("big-endian" if version > 1 << 16 else f"of version {version}; 2 and 3 are known")
    tensors, keys = read.number("Q"), read.number("Q")
    if tensors > MOST_TENSORS or keys > MOST_KEYS:
        raise _BrokenError(f"it says it has {tensors:,} tensors and {keys:,} keys")
    told: dict[str, Any] = {}
    for _ in range(keys):
        name = read.text()
        told[name] = read.value(read.number("I"))
    entries, places, names = [], [], set()
    for _ in range(tensors):
        entry, offset = _tensor(read)
        entries.append(entry)
        names.add(entry.name)
        places.append(offset + entry.bytes)
    if len(names) != len(entries):
        raise _BrokenError("two tensors have one name")
    align = told.get("general.alignment", 32)
    if not isinstance(align, int) or not 0 < align <= 1 << 20:
        raise _BrokenError(f"its alignment is {show(align)}")
    begins = -(-(size - read.left) // align) * align
    lacking = max(places, default=0) - max(0, size - begins)
    if lacking > 0:
        told["suanli.lacking_bytes"] = lacking
    return Header(told, entries)


def _tensor(read: _Reader) -> tuple[Entry, int]:
    name, dims = read.text(), read.number("I")
    if dims > 8:
        raise _BrokenError(f"tensor {show(name)} has {dims} dimensions")
    shape = tuple(read.number("Q") for _ in range(dims))
    kind, offset = read.number("I"), read.number("Q")
    if kind not in TYPES:
        raise _BrokenError(f"tensor {show(name)} is of type {kind}, which is not known")
    form, block, width = TYPES[kind]
    count = math.prod(shape)
    if count > MOST_BYTES or offset > MOST_BYTES:
        raise _BrokenError(f"tensor {show(name)} has {show(shape)} elements at {offset}")
    if shape and shape[0] % block:
        raise _BrokenError(f"tensor {show(name)} has rows of {shape[0]}: no whole blocks of {block} ({form})")
    return Entry(name, form, shape, count, count // block * width), offset
