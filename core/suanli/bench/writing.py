"""The file measurements are written to: a row at a time, whole rows only, taken up again where it stopped."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path

from suanli.errors import InvalidInputError, SuanliError, clip
from suanli.measurement_schema import COLUMNS, Measurement, Shape
from suanli.measurements import known_precisions, parsed, row_of

MEASURED = frozenset(("bf16", "fp16", "tf32", "fp32", "fp8", "int8"))
"""Formats a row of ours may have, whatever plugins are installed where it is measured."""


class MeasurementFile:
    """Appends measurements to a CSV file; each row is written in one piece.

    Args:
        path: The file; begun where it is missing or empty.

    Raises:
        InvalidInputError: Where the file there is none of measurements.
        SuanliError: Where it cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._columns: tuple[str, ...] = COLUMNS
        self.known: tuple[Measurement, ...] = ()
        try:
            self._open()
        except OSError as exc:
            raise SuanliError(f"cannot write {clip(str(path), 200)}: {exc.strerror or exc}") from None

    def _open(self) -> None:
        there = self.path.exists() and self.path.stat().st_size > 0
        if there:
            self._cut_short_row()
            self.known, faults = parsed(self.path, precisions=known_precisions() | MEASURED)
            faults = [f for f in faults if f != "no rows under the header"]
            if faults:
                hint = "it is not overwritten; mend it, or write to another with --out"
                raise InvalidInputError([*faults, hint], clip(str(self.path), 200))
            with self.path.open(newline="", encoding="utf-8-sig") as file:
                self._columns = tuple(c.strip() for c in next(csv.reader(file)))
            missing = [c for c in COLUMNS if c not in self._columns]
            if missing:
                said = f"has no column {', '.join(missing)}; write to another file with --out"
                raise InvalidInputError([said], clip(str(self.path), 200))
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        if not there:
            self._write(self._columns)

    def _cut_short_row(self) -> None:
        """Take off the end of a file that stopped in the middle of a row."""
        data = self.path.read_bytes()
        end = data.rfind(b"\n") + 1
        if 0 < end < len(data):
            os.truncate(self.path, end)

    def done(self, device: str) -> frozenset[Shape]:
        """The shapes it has of a device."""
        return frozenset(m.shape for m in self.known if m.device == device)

    def add(self, measurement: Measurement) -> None:
        """Write a row."""
        cells = row_of(measurement)
        self._write([cells.get(c, "") for c in self._columns])

    def _write(self, cells: Iterable[str]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        # One call writes the whole row, so that no signal comes between its halves.
        os.write(self._file, text.getvalue().encode("utf-8"))

    def close(self) -> None:
        """No more rows."""
        os.close(self._file)
