"""Reading measured kernel times: every fault of a file at once, by line, with what was probably meant."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from suanli.errors import InvalidInputError, UnknownNameError, clip, near, show
from suanli.hardware import Accelerator, System
from suanli.measurement_limits import impossible as impossible
from suanli.measurement_schema import (
    COLUMNS,
    DIMENSIONS,
    KERNELS,
    NO_MORE_THAN,
    SCALINGS,
    Dimension,
    Measurement,
    Shape,
    Value,
    plain,
)

MAX_FILE_BYTES = 100_000_000
"""A file larger than this is refused unread."""

MOST_FAULTS = 40
"""Faults listed one by one; the rest are counted."""

LEAST_S, MOST_S = 1e-7, 3600.0
"""No launch takes less, no kernel more."""

TIMES = re.compile(r"(?:latency|time|duration|elapsed)_?(?P<unit>ns|us|µs|ms|s|sec|seconds)?\Z", re.IGNORECASE)
BANDWIDTH = "; is it a bandwidth? bytes is the whole buffer of one rank"
"""What a fraction of a byte was probably mistaken for."""
SCALES = {"ns": "1e9", "us": "1e6", "µs": "1e6", "ms": "1000"}


def read_measurements(
    path: str | Path,
    *,
    accelerator: Accelerator | None = None,
    system: System | None = None,
    precisions: Collection[str] | None = None,
) -> tuple[Measurement, ...]:
    """The measurements in a CSV file of the columns that `docs/measuring.md` describes; other columns are passed over.

    Args:
        path: The file.
        accelerator: Also refuse what its peaks and its bandwidth do not allow, see :func:`impossible`.
        system: The same of exchanges over its links.
        precisions: Names of number formats; those of the installed catalog by default.

    Raises:
        InvalidInputError: Naming the line and the column of every fault.
    """
    found, faults = parsed(path, precisions=precisions)
    if accelerator is not None:
        faults += impossible(found, accelerator, system)
    if faults:
        raise InvalidInputError(_cut(faults), clip(str(path), 200))
    return found


def parsed(
    path: str | Path, *, precisions: Collection[str] | None = None, timed: bool = True
) -> tuple[tuple[Measurement, ...], list[str]]:
    """The measurements in a file, and its faults; `timed` False also takes shapes without a time."""
    rows, header = _rows(Path(path))
    faults = _header_faults(header, timed)
    if faults:
        return (), faults
    faults = [
        f"row {line}: {len(cells)} cells under {len(header)} columns"
        for line, cells in rows
        if any(c.strip() for c in cells[len(header) :])
    ]
    known = frozenset(precisions) if precisions is not None else known_precisions()
    found = []
    for line, cells in rows:
        row = dict(zip(header, (c.strip() for c in cells), strict=False))
        wrong: list[str] = []
        made = _measurement(line, row, known, wrong, timed)
        faults += [f"row {line}: {w}" for w in wrong]
        if made is not None and not wrong:
            found.append(made)
    if not found and not faults:
        faults = ["no rows under the header"]
    return tuple(found), faults


def _rows(path: Path) -> tuple[list[tuple[int, list[str]]], list[str]]:
    """The cells of each row with its line, and the header.

    Raises:
        InvalidInputError: Where it is no readable CSV of UTF-8 text.
    """
    name = clip(str(path), 200)
    try:
        if path.is_dir():
            raise InvalidInputError([f"{name} is a folder; give a file"])
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InvalidInputError([f"file of {size} bytes; the limit is {MAX_FILE_BYTES}"], name)
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = [c.strip() for c in next(reader, [])]
            rows = [(reader.line_num, cells) for cells in reader if any(c.strip() for c in cells)]
    except UnicodeDecodeError as exc:
        raise InvalidInputError([f"not UTF-8 text (byte {exc.start})"], name) from None
    except csv.Error as exc:
        raise InvalidInputError([f"not CSV: {exc}"], name) from None
    except OSError as exc:
        raise InvalidInputError([f"cannot read {name}: {exc.strerror or exc}"]) from None
    return rows, header


def _header_faults(header: list[str], timed: bool) -> list[str]:
    if not header:
        return ["empty; the first line names the columns, see docs/measuring.md"]
    faults = [f"column {c!r} is there twice" for c in dict.fromkeys(header) if c and header.count(c) > 1]
    needed = ("kernel", "precision", *(("time_s",) if timed else ()))
    for name in needed:
        if name not in header:
            faults.append(f"no column {name!r}{_meant(name, header)}")
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        return ["columns are separated by commas, and this header has none"]
    return faults


def _meant(name: str, header: list[str]) -> str:
    if name == "time_s":
        other = next(((c, m) for c in header if (m := TIMES.match(c))), None)
        if other is not None:
            column, match = other
            scale = SCALES.get((match["unit"] or "").lower())
            return f"; divide {column!r} by {scale} and name it time_s" if scale else f"; rename {column!r} if seconds"
    close = near(name, header)
    return f"; did you mean {close[0]!r}?" if close else f"; the columns are {clip(', '.join(header), 200)}"


def known_precisions() -> frozenset[str]:
    """Names and aliases of the number formats that are installed."""
    from suanli.workspace import default

    return frozenset(n for f in default().catalog().known.formats for n in (f.name, *f.aliases))


def _measurement(
    line: int, row: Mapping[str, str], known: frozenset[str], wrong: list[str], timed: bool
) -> Measurement | None:
    shape = _shape(row, known, wrong)
    time_s = 1.0
    if timed:
        time_s = _seconds(row.get("time_s", ""), wrong)
    extra: dict[str, Any] = {}
    for field in attrs.fields(Measurement):
        cell = row.get(field.name, "")
        if not cell or field.name in ("shape", "row", "time_s"):
            continue
        if field.default == "":
            extra[field.name] = cell
        else:
            number = _number(field.name, cell, wrong)
            if number is not None and number < 0.0 and field.name != "temperature_c":
                wrong.append(f"{field.name}: must not be negative, got {show(cell)}")
            whole = field.name in ("repeats", "launches", "rotated_bytes")
            extra[field.name] = plain(number) if whole and number is not None else number
    return Measurement(shape=shape, time_s=time_s, row=line, **extra) if shape is not None else None


def _shape(row: Mapping[str, str], known: frozenset[str], wrong: list[str]) -> Shape | None:
    kernel, precision = row.get("kernel", "").lower(), row.get("precision", "").lower()
    stem = precision
    for end in SCALINGS:
        stem = stem.removesuffix(end)
    if not precision:
        wrong.append("precision: missing")
    elif stem not in known:
        wrong.append(f"precision: {UnknownNameError('precision', precision, known)}")
    if kernel not in KERNELS:
        said = UnknownNameError("kernel", kernel, KERNELS) if kernel else "missing"
        wrong.append(f"kernel: {said} Kernels: {', '.join(KERNELS)}" if kernel else f"kernel: {said}")
        return None
    dims = tuple((d.name, _size(d, row.get(d.name, ""), kernel, wrong)) for d in KERNELS[kernel])
    sizes = dict(dims)
    for a, b in NO_MORE_THAN:
        if a in sizes and b in sizes and float(sizes[a]) > float(sizes[b]):
            wrong.append(f"{a}: must not be more than {b}; got {sizes[a]} and {sizes[b]}")
    return Shape(kernel=kernel, precision=precision, dims=dims)


def _size(about: Dimension, cell: str, kernel: str, wrong: list[str]) -> Value:
    if not cell:
        if about.default is None:
            wrong.append(f"{about.name}: missing; a {kernel} needs it: {about.about}")
        return plain(about.default if about.default is not None else 1)
    if about.word:
        word = cell.lower()
        if about.words and word not in about.words:
            close = near(word, about.words)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            wrong.append(f"{about.name}: must be one of {', '.join(about.words)}; got {show(cell)}{meant}")
        return word
    number = _number(about.name, cell, wrong)
    if number is None:
        return 1
    meant = BANDWIDTH if kernel == "collective" and about.name == "bytes" and not number.is_integer() else ""
    if number < about.least or number > 1e18:
        wrong.append(f"{about.name}: must be {about.least:g} or more and not absurd, got {show(cell)}{meant}")
    elif about.whole and not number.is_integer():
        wrong.append(f"{about.name}: must be a whole number, got {show(cell)}{meant}")
    return plain(number)


def _number(name: str, cell: str, wrong: list[str]) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        wrong.append(f"{name}: expected a plain number, got {show(cell)}")
        return None
    return number


def _seconds(cell: str, wrong: list[str]) -> float:
    if not cell:
        wrong.append("time_s: missing")
        return 1.0
    number = _number("time_s", cell, wrong)
    if number is None:
        return 1.0
    if number <= 0.0:
        wrong.append(f"time_s: must be above 0, got {show(cell)}")
    elif number < LEAST_S:
        wrong.append(f"time_s: {cell} s is shorter than any launch; was it divided by 1000 once too often?")
    elif number > MOST_S:
        wrong.append(f"time_s: {cell} s is more than an hour; is it in microseconds or nanoseconds?")
    return number


def _cut(faults: Iterable[str]) -> list[str]:
    """The first faults, and how many more there are."""
    found = list(faults)
    more = len(found) - MOST_FAULTS
    return found if more <= 0 else [*found[:MOST_FAULTS], f"and {more} more"]


def row_of(measurement: Measurement) -> dict[str, str]:
    """A measurement as a file holds it: a text for each column, empty where there is nothing to say."""
    about = attrs.asdict(measurement, recurse=False)
    about |= {"kernel": measurement.shape.kernel, "precision": measurement.shape.precision}
    about |= dict(measurement.shape.dims)
    optional = {d.name for d in KERNELS[measurement.shape.kernel] if d.default == 0.0}
    return {c: _cell(about.get(c), c in optional and c != "window") for c in COLUMNS}


def _cell(value: Any, skip_zero: bool) -> str:
    if value is None or (skip_zero and not value):
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)


__all__ = ["COLUMNS", "DIMENSIONS", "Measurement", "Shape", "impossible", "parsed", "read_measurements", "row_of"]
