"""Headers of safetensors files: huggingface/safetensors, README.md, "Format".

Eight bytes of little-endian length, then that much JSON: for each tensor its type, shape and place in the data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suanli.checkpoints import MOST_BYTES, Checkpoint, Entry, checked, gathered
from suanli.data_files import parse_data
from suanli.errors import ModelConfigError, clip, show
from suanli.storage import Storage

if TYPE_CHECKING:
    from suanli.models import Model

MOST_HEADER = 100_000_000
"""Bytes of a header; what the format's own reader allows."""
MOST_FILES = 10_000
INDEX = "model.safetensors.index.json"

BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
}
"""Bits of an element by type: huggingface/safetensors, safetensors/src/tensor.rs, Dtype::bitsize."""
PACKED = ("qweight", "weight_packed", "_blocks")
"""Ends of names whose integers hold several weights each."""


def files_of(folder: Path) -> tuple[list[str], dict[str, Any] | None]:
    """Names of a folder's checkpoint files, and its index where it has one.

    Raises:
        ModelConfigError: Where the index cannot be read, or names what is no file beside it.
    """
    index = folder / INDEX
    if index.is_file():
        where = clip(str(index), 200)
        data = parse_data(_text(index), json_text=True, where=where, error=ModelConfigError)
        listed = data.get("weight_map")
        if not isinstance(listed, dict) or not all(isinstance(v, str) for v in listed.values()):
            raise ModelConfigError([f"weight_map: required, a table of file names, got {show(listed)}"], where)
        names = sorted(set(listed.values()))
        bad = [n for n in names if Path(n).name != n or not n.endswith(".safetensors")]
        if bad or len(names) > MOST_FILES:
            what = show(bad[0]) if bad else f"{len(names)} files"
            raise ModelConfigError([f"weight_map: {what}; wanted at most {MOST_FILES} names of files beside it"], where)
        return names, data
    try:
        found = sorted(p.name for p in folder.glob("*.safetensors"))
    except OSError:
        found = []
    whole = [n for n in found if n.startswith("model")]
    return (whole or [n for n in found if not n.startswith(("adapter", "consolidated"))])[:MOST_FILES], None


def read_folder(model: Model, folder: Path) -> Model:
    """The model with what the files beside its configuration say of its weights; as it is where there are none.

    Raises:
        ModelConfigError: For the first file whose header cannot be read.
    """
    names, index = files_of(folder)
    there = [n for n in names if (folder / n).is_file()]
    further = []
    if index is not None and len(there) < len(names):
        further.append(f"{len(names) - len(there)} of the {len(names)} files its index names are not there")
    if not names or (not there and index is None):
        return model
    if len(there) < len(names):
        return checked(model, _of_index(index or {}, len(names)), tuple(further))
    entries: list[Entry] = []
    cut = []
    for name in there:
        found, lacking = read_header(folder / name, model.storage)
        entries += found
        cut += [name] if lacking else []
    if cut:
        further.append(f"{len(cut)} of {len(there)} files end before their data does, {cut[0]} first: cut short")
    stated = index and set(index["weight_map"]) ^ {e.name for e in entries}
    if stated:
        further.append(f"MISMATCH: {len(stated)} tensors are in the index or in the files, not in both: {min(stated)}")
    quantised = model.storage is not None
    return checked(model, gathered("safetensors", len(there), entries, len(model.layers), quantised), tuple(further))


def _of_index(index: Mapping[str, Any], files: int) -> Checkpoint:
    """What an index says where its files are not all there."""
    told = index.get("metadata")
    size: Any = told.get("total_size") if isinstance(told, Mapping) else None
    tensors = len(index["weight_map"])
    return Checkpoint(kind="safetensors", files=files, tensors=tensors, bytes=size if _whole(size) else 0)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_HEADER:
            raise ModelConfigError([f"larger than {MOST_HEADER} bytes"], clip(str(path), 200))
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ModelConfigError([f"cannot be read: {clip(str(exc))}"], clip(str(path), 200)) from None


def read_header(path: Path, storage: Storage | None = None) -> tuple[list[Entry], int]:
    """The tensors of a file, and how many bytes of their data are missing from it.

    Args:
        path: Of the file.
        storage: What the configuration says of its format: how many weights an integer holds.

    Raises:
        ModelConfigError: In one line, where the header is not one.
    """
    where = clip(str(path), 200)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8 or length > MOST_HEADER:
                raise ModelConfigError([_too_long(size, length, path)], where)
            text = file.read(length).decode("utf-8")
    except UnicodeDecodeError as exc:
        raise ModelConfigError([f"its header is not UTF-8 text (byte {exc.start})"], where) from None
    except OSError as exc:
        raise ModelConfigError([f"cannot be read: {exc.strerror or exc}"], where) from None
    data = parse_data(text, json_text=True, where=where, error=ModelConfigError)
    entries, end = [], 0
    for name, told in data.items():
        if name != "__metadata__":
            entry, last = _entry(name, told, where, storage)
            entries.append(entry)
            end = max(end, last)
    if sum(e.bytes for e in entries) != end:
        raise ModelConfigError(["its header is wrong: the tensors overlap, or leave gaps"], where)
    return entries, max(0, end - (size - 8 - length))


def _too_long(size: int, length: int, path: Path) -> str:
    with path.open("rb") as file:
        if file.read(20).startswith(b"version https://git-"):
            return "a Git LFS pointer, not the file: fetch it with `git lfs pull`"
    if size < 8:
        return f"not a safetensors file: {size} bytes"
    return f"not a safetensors file, or cut short: it says its header takes {length:,} bytes, and has {size - 8:,}"


def _entry(name: str, told: Any, where: str, storage: Storage | None) -> tuple[Entry, int]:
    def refuse(why: str) -> ModelConfigError:
        return ModelConfigError([f"its header is wrong at {show(name)}: {why}"], where)

    if not isinstance(told, Mapping):
        raise refuse(f"expected a table, got {show(told)}")
    dtype, shape, place = told.get("dtype"), told.get("shape"), told.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in BITS:
        raise refuse(f"dtype {show(dtype)} is not known")
    if not isinstance(shape, list) or len(shape) > 16 or not all(_whole(n) for n in shape):
        raise refuse(f"shape {show(shape)} is not a list of sizes")
    if not isinstance(place, list) or len(place) != 2 or not all(_whole(n) for n in place) or place[0] > place[1]:
        raise refuse(f"data_offsets {show(place)} are not a beginning and an end")
    count = math.prod(shape)
    size = -(-count * BITS[dtype] // 8)
    if size > MOST_BYTES or place[1] - place[0] != size:
        raise refuse(
            f"{dtype} of shape {show(shape)} takes {show(size)} bytes, data_offsets give it {place[1] - place[0]}"
        )
    return Entry(name, dtype, tuple(shape), _weights(name, dtype, count, storage), size), place[1]


def _weights(name: str, dtype: str, count: int, storage: Storage | None) -> int:
    """Weights that `count` elements of a file hold."""
    if storage is None or dtype[0] not in "UI":
        return count
    # bitsandbytes stores two weights in a byte, under the plain name.
    packed = name.endswith(PACKED) or (dtype == "U8" and storage.bits == 4 and name.endswith(".weight"))
    return count * BITS[dtype] // storage.bits if packed else count


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST_BYTES
