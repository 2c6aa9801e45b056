"""Measured against predicted: the error of an accelerator's models, by class of kernel."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from suanli.bench.timing import quantile
from suanli.errors import SuanliError
from suanli.hardware import Accelerator, System
from suanli.measurement_schema import Measurement, predicted_s


@attrs.frozen(kw_only=True)
class ClassErrors:
    """The errors of one class of kernels; each error is predicted / measured - 1.

    Attributes:
        kernel: The class, such as ``"attention decode"``.
        precision: Of its inputs.
        rows: Measurements compared.
        median_error: Median of the size of the error.
        p90_error: 90th percentile of it.
        bias: Median of the error: above 0 where the model is slower than the device.
        measured_s: Seconds of all of them, measured.
        predicted_s: And predicted.
    """

    kernel: str
    precision: str
    rows: int
    median_error: float
    p90_error: float
    bias: float
    measured_s: float
    predicted_s: float


@attrs.frozen(kw_only=True)
class Comparison:
    """Every class, and what could not be compared.

    Attributes:
        classes: In the order first met.
        unanswered: For each reason, how many rows have no prediction.
    """

    classes: tuple[ClassErrors, ...]
    unanswered: tuple[tuple[str, int], ...]


def compare(measurements: Iterable[Measurement], accelerator: Accelerator, system: System | None = None) -> Comparison:
    """The errors of what is predicted for `accelerator`, and for `system` in exchanges."""
    pairs: dict[tuple[str, str], list[tuple[float, float]]] = {}
    unanswered: dict[str, int] = {}
    for one in measurements:
        try:
            guess = predicted_s(one.shape, accelerator, system)
        except SuanliError as exc:
            reason = f"{one.shape.group}: {exc}"
            unanswered[reason] = unanswered.get(reason, 0) + 1
            continue
        pairs.setdefault((one.shape.group, one.shape.precision), []).append((one.time_s, guess))
    classes = tuple(_errors(*key, found) for key, found in pairs.items())
    return Comparison(classes=classes, unanswered=tuple(unanswered.items()))


def _errors(kernel: str, precision: str, pairs: list[tuple[float, float]]) -> ClassErrors:
    relative = [guess / time_s - 1.0 for time_s, guess in pairs]
    sizes = [abs(e) for e in relative]
    return ClassErrors(
        kernel=kernel,
        precision=precision,
        rows=len(pairs),
        median_error=quantile(sizes, 0.5),
        p90_error=quantile(sizes, 0.9),
        bias=quantile(relative, 0.5),
        measured_s=sum(t for t, _ in pairs),
        predicted_s=sum(g for _, g in pairs),
    )
