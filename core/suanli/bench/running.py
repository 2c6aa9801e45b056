"""The measurement itself: every shape that is not in the file yet, one after another, until done or stopped."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from suanli.bench.device import About, CannotMeasureError, Device
from suanli.bench.timing import Effort, measure
from suanli.bench.writing import MeasurementFile
from suanli.measurement_schema import Measurement, Shape, kernel_of


@attrs.define(kw_only=True)
class Outcome:
    """What came of a measurement.

    Attributes:
        measured: Rows written now.
        known: Shapes that were in the file already.
        too_large: Shapes whose work is more than the device is asked for.
        refused: For each reason, how many shapes were not run.
        stopped: Whether it was interrupted.
    """

    measured: list[Measurement] = attrs.Factory(list)
    known: int = 0
    too_large: int = 0
    refused: dict[str, int] = attrs.Factory(dict)
    stopped: bool = False


Progress = Callable[[int, int, Shape], None]
"""Told how many shapes are done, of how many, and the one that comes."""


def run(
    shapes: Sequence[Shape],
    devices: Mapping[str, Device],
    file: MeasurementFile,
    effort: Effort,
    *,
    progress: Progress | None = None,
    now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
) -> Outcome:
    """Measure the shapes that a file does not have of a device, and write each as soon as it is known.

    An interrupt ends it with every row so far in the file.

    Args:
        shapes: To measure.
        devices: By kind of kernel; the key ``""`` serves every kind that has no key of its own.
        file: To write to.
        effort: How hard to measure.
        progress: Told before each shape.
        now: The date to write.
    """
    outcome = Outcome()
    left = _left(shapes, devices, file, outcome)
    hopeless: dict[tuple[str, str], str] = {}
    try:
        for i, shape in enumerate(left):
            if progress is not None:
                progress(i, len(left), shape)
            device = _of(devices, shape)
            reason = hopeless.get((shape.group, shape.precision))
            if reason is None:
                try:
                    row = measured(shape, device, effort, now())
                    file.add(row)
                    outcome.measured.append(row)
                    continue
                except CannotMeasureError as exc:
                    reason = str(exc)
                    if exc.whole:
                        hopeless[shape.group, shape.precision] = reason
            said = f"{shape.group} {shape.precision}: {reason}"
            outcome.refused[said] = outcome.refused.get(said, 0) + 1
    except KeyboardInterrupt:
        outcome.stopped = True
    return outcome


def _of(devices: Mapping[str, Device], shape: Shape) -> Device:
    return devices.get(shape.kernel) or devices[""]


def _left(
    shapes: Iterable[Shape], devices: Mapping[str, Device], file: MeasurementFile, outcome: Outcome
) -> list[Shape]:
    """The shapes still to measure."""
    done = {device.about.name: file.done(device.about.name) for device in devices.values()}
    left = []
    for shape in shapes:
        about = _of(devices, shape).about
        if shape in done[about.name]:
            outcome.known += 1
        elif too_large(shape, about):
            outcome.too_large += 1
        else:
            left.append(shape)
    return left


def too_large(shape: Shape, about: About) -> bool:
    """Whether one launch is more work than a device is asked for."""
    if shape.kernel in ("elementwise", "collective"):
        return float(shape["bytes"]) > about.most_bytes
    work = kernel_of(shape)
    return float(work.flops) > about.most_flops or float(work.bytes) > about.most_bytes


def measured(shape: Shape, device: Device, effort: Effort, date: datetime.datetime) -> Measurement:
    """One measurement.

    Raises:
        CannotMeasureError: Where the device does not run the shape.
    """
    work = device.prepare(shape)
    try:
        began = time.monotonic()
        timing = measure(work, effort)
        reading = device.reading(began)
    finally:
        work.close()
    return Measurement(
        shape=shape,
        time_s=timing.time_s,
        spread_ratio=round(timing.spread_ratio, 6),
        repeats=timing.repeats,
        launches=timing.launches,
        timing=work.timing,
        implementation=work.implementation,
        rotated_bytes=work.rotated_bytes,
        device=device.about.name,
        clock_hz=reading.clock_hz,
        power_w=reading.power_w,
        temperature_c=reading.temperature_c,
        versions=device.about.versions,
        date=date.isoformat(timespec="seconds"),
    )
