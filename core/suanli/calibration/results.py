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
class ExchangeErrors:
    """The errors of one exchange over one fabric, where one algorithm is soonest done.

    Attributes:
        operation: The exchange.
        algorithm: Of an all-reduce: ``ring``, ``tree`` or ``switches``; of others empty.
        rows: Measured.
        before: Errors of what was predicted before.
        fitted: Errors of the new figures, on the rows they are from; None where unchanged.
        held_out: Errors on rows not fitted; None where unchanged.
    """

    operation: str
    algorithm: str
    rows: int
    before: Errors
    fitted: Errors | None = None
    held_out: Errors | None = None


@attrs.frozen(kw_only=True)
class CalibratedFabric:
    """One fabric of a system.

    Attributes:
        system: Its id.
        fabric: The topology of its tier; ``nic`` for any tier beyond the node.
        rows: Measured, of groups that it joins and no tier further in does.
        how: ``fitted``; ``kept`` where the figures so far meet the rows better; ``unchanged`` where rows are too few.
        why: In words.
        before: Errors of what was predicted before.
        fitted: Errors on the rows the new figures are from; None where unchanged.
        held_out: Errors on rows not fitted; None where unchanged.
        fit: What is written; None where unchanged.
        exchanges: Their errors apart.
    """

    system: str
    fabric: str
    rows: int
    how: str
    why: str
    before: Errors
    fitted: Errors | None = None
    held_out: Errors | None = None
    fit: Fit | None = None
    exchanges: tuple[ExchangeErrors, ...] = ()


@attrs.frozen(kw_only=True)
class Calibration:
    """What was fitted to a file of measurements.

    Attributes:
        accelerator: Its id.
        classes: Of kernels, one by one.
        fabrics: Of the system that exchanges were measured on, innermost first.
        left_out: Rows of no class, counted by reason.
        source: What the measurements are.
        date: Of the fit.
    """

    accelerator: str
    classes: tuple[Calibrated, ...]
    fabrics: tuple[CalibratedFabric, ...] = ()
    left_out: tuple[tuple[str, int], ...]
    source: str
    date: str

    @property
    def fits(self) -> tuple[Fit, ...]:
        """What is written of each class and fabric that has rows enough."""
        made = [*(c.fit for c in self.classes), *(f.fit for f in self.fabrics)]
        return tuple(fit for fit in made if fit is not None)

    def toml(self) -> str:
        """The catalog file: a table for each fit."""
        return toml(self.fits, f"{HEAD} A plugin ships it, or SUANLI_PATH names its folder.")
