"""What kernel and collective models have in common: whom they serve, and how well they were fitted."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Fit:
    """How well a fitted entry does on the measurements it is from.

    Attributes:
        generation: Of accelerators; ``"datasheet"`` for the fallback of those never measured.
        band: Measured over predicted, 10th and 90th percentile, on rows not fitted.
        rows: Rows fitted.
        held_out_rows: Rows the error was taken on.
        median_error: Median relative error on those.
        p90_error: 90th percentile of it.
        bias: Median of predicted over measured, less 1.
        date: When it was fitted; empty where not stated.
        source: The measurements.
    """

    generation: str = ""
    band: tuple[float, ...] = ()
    rows: int = 0
    held_out_rows: int = 0
    median_error: float | None = None
    p90_error: float | None = None
    bias: float | None = None
    date: str = ""
    source: str

    @property
    def interval(self) -> tuple[float, float] | None:
        """The band, where there is one."""
        return (self.band[0], self.band[1]) if len(self.band) == 2 else None


@attrs.frozen(kw_only=True)
class TimeModel:
    """A model of how long something takes, chosen by the catalog for what it serves.

    Attributes:
        name: Unique among models of its kind.
        generations: Accelerator generations it serves.
        fallback: Whether it serves everything no other model does.
        rung: ``analytic`` or ``calibrated``.
        source: The measurements or the theory it rests on.
    """

    name: str
    generations: tuple[str, ...] = ()
    fallback: bool = False
    rung: str = "analytic"
    source: str = ""
