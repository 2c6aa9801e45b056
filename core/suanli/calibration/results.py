"""What a calibration came to, class by class."""

from __future__ import annotations

import attrs

from suanli.calibration.records import Errors, Fit
from suanli.calibration.writing import toml

HEAD = "Written by `suanli calibrate`."


@attrs.frozen(kw_only=True)
class Calibrated:
    """One class of kernels.

    Attributes:
        kernel: Its kind.
        precision: How its inputs are stored and multiplied.
        rows: Measured.
        how: ``fitted``, ``scaled``, or ``unchanged`` where even for that rows are too few.
        why: In words.
        before: Errors of what was predicted before.
        fitted: Errors on the rows the new figures are from; None where unchanged.
        held_out: Errors on rows not fitted; None where unchanged.
        fit: What is written; None where unchanged.
    """

    kernel: str
    precision: str
    rows: int
    how: str
    why: str
    before: Errors
    fitted: Errors | None = None
    held_out: Errors | None = None
    fit: Fit | None = None


@attrs.frozen(kw_only=True)
class Calibration:
    """What was fitted to a file of measurements.

    Attributes:
        accelerator: Its id.
        classes: One by one.
        left_out: Rows of no class, counted by reason.
        source: What the measurements are.
        date: Of the fit.
    """

    accelerator: str
    classes: tuple[Calibrated, ...]
    left_out: tuple[tuple[str, int], ...]
    source: str
    date: str

    def toml(self) -> str:
        """The catalog file: a table for each class that was fitted or scaled."""
        head = f"{HEAD} A plugin ships it, or SUANLI_PATH names its folder."
        return toml((c.fit for c in self.classes if c.fit is not None), head)
