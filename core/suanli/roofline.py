"""The roofline of an accelerator, and where measured and predicted kernels lie under it.

Williams, Waterman & Patterson 2009, Roofline, CACM 52(4): at so many FLOPs for a byte of memory traffic,
a kernel reaches the peak or what the memory feeds it, whichever is less.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from suanli.asking import formats_named
from suanli.catalogs import Catalog
from suanli.errors import SuanliError
from suanli.formulas import formula
from suanli.hardware import Accelerator
from suanli.kernel_models.limits import ROOFLINE
from suanli.kernels import Kernel
from suanli.measurement_schema import Measurement, kernel_of
from suanli.model_passes import steps
from suanli.models import Model
from suanli.numeric import Number, minimum
from suanli.operators import How


@formula(unit="flops_per_s", source=ROOFLINE)
def attainable_flops_per_s(
    *, flops_per_byte: Number, peak_flops_per_s: Number, bandwidth_bytes_per_s: Number
) -> Number:
    """The rate no kernel of so many FLOPs for a byte exceeds."""
    return minimum(peak_flops_per_s, flops_per_byte * bandwidth_bytes_per_s)


@formula(unit="flops_per_byte", source=ROOFLINE)
def ridge_flops_per_byte(*, peak_flops_per_s: Number, bandwidth_bytes_per_s: Number) -> Number:
    """FLOPs for a byte at which memory feeds the peak; below it a kernel waits for memory."""
    return peak_flops_per_s / bandwidth_bytes_per_s


@attrs.frozen(kw_only=True)
class Roof:
    """One peak, and the formats computed at it.

    Attributes:
        precisions: The formats.
        peak_flops_per_s: The peak.
        ridge_flops_per_byte: Where it meets the memory's slope.
    """

    precisions: tuple[str, ...]
    peak_flops_per_s: float
    ridge_flops_per_byte: float

    @property
    def label(self) -> str:
        """Its formats, in a line."""
        return ", ".join(self.precisions)


@attrs.frozen(kw_only=True)
class Point:
    """A kernel under the roofline.

    Attributes:
        label: What it is.
        group: The class of kernels it belongs to.
        precision: Of its inputs.
        measured: Whether its time was measured, not predicted.
        flops_per_byte: FLOPs for a byte, each operand and result passing once.
        flops_per_s: The rate it reaches.
        roof_ratio: That rate over what the roofline allows.
        time_s: Of one launch.
    """

    label: str
    group: str
    precision: str
    measured: bool
    flops_per_byte: float
    flops_per_s: float
    roof_ratio: float
    time_s: float


@attrs.frozen(kw_only=True)
class Roofline:
    """What is drawn.

    Attributes:
        accelerator: Its id.
        bandwidth_bytes_per_s: The slope.
        roofs: Lowest first.
        points: Under them.
        left_out: How many rows or operators compute nothing, and have no place.
    """

    accelerator: str
    bandwidth_bytes_per_s: float
    roofs: tuple[Roof, ...]
    points: tuple[Point, ...] = ()
    left_out: int = 0


def roofline(
    accelerator: Accelerator, measurements: Iterable[Measurement] = (), points: Iterable[Point] = ()
) -> Roofline:
    """The roofs of an accelerator, with measured kernels and other points under them.

    Raises:
        SuanliError: Where its figures must not be shown.
    """
    if accelerator.confidential:
        raise SuanliError(f"{accelerator.id} is confidential: its peaks and its bandwidth are not drawn")
    bandwidth = accelerator.memory_bandwidth_bytes_per_s
    by_peak: dict[float, list[str]] = {}
    for precision, peak in accelerator.rates.items():
        if peak > 0.0:
            by_peak.setdefault(peak, []).append(precision)
    roofs = tuple(
        Roof(
            precisions=tuple(names),
            peak_flops_per_s=peak,
            ridge_flops_per_byte=float(ridge_flops_per_byte(peak_flops_per_s=peak, bandwidth_bytes_per_s=bandwidth)),
        )
        for peak, names in sorted(by_peak.items())
    )
    found, left_out = list(points), 0
    for one in measurements:
        point = _measured(accelerator, one)
        found += [point] if point is not None else []
        left_out += point is None
    return Roofline(
        accelerator=accelerator.id,
        bandwidth_bytes_per_s=bandwidth,
        roofs=roofs,
        points=tuple(found),
        left_out=left_out,
    )


def _measured(accelerator: Accelerator, one: Measurement) -> Point | None:
    if one.shape.kernel in ("elementwise", "collective"):
        return None
    kernel = kernel_of(one.shape, accelerator)
    return _point(
        accelerator,
        [kernel],
        one.time_s,
        label=str(one.shape),
        group=one.shape.group,
        precision=one.shape.precision,
        measured=True,
    )


def _point(
    accelerator: Accelerator,
    kernels: list[Kernel],
    time_s: float,
    *,
    label: str,
    group: str,
    precision: str,
    measured: bool,
) -> Point | None:
    flops = sum(float(k.flops) * float(k.launches) for k in kernels)
    moved = sum(float(k.bytes) * float(k.launches) for k in kernels)
    if flops <= 0.0 or moved <= 0.0 or time_s <= 0.0:
        return None
    intensity = flops / moved
    limit = attainable_flops_per_s(
        flops_per_byte=intensity,
        peak_flops_per_s=accelerator.rates[kernels[0].compute],
        bandwidth_bytes_per_s=accelerator.memory_bandwidth_bytes_per_s,
    )
    return Point(
        label=label,
        group=group,
        precision=precision,
        measured=measured,
        flops_per_byte=intensity,
        flops_per_s=flops / time_s,
        roof_ratio=flops / time_s / float(limit),
        time_s=time_s,
    )


@attrs.frozen(kw_only=True)
class Pass:
    """A forward pass whose operators are drawn.

    Attributes:
        phase: ``"prefill"`` or ``"decode"``.
        batch: Sequences.
        sequence: Tokens of each: the prompt, or those attended to.
        tensor: Ranks each layer is divided over.
        precision: Of weights and inputs.
    """

    phase: str = "prefill"
    batch: int = 1
    sequence: int = 2048
    tensor: int = 1
    precision: str = "bf16"


def operator_points(catalog: Catalog, accelerator: Accelerator, model: Model, asked: Pass) -> Iterator[Point | None]:
    """Each matrix operator of a model on one rank, at its predicted time; None for what multiplies nothing.

    Raises:
        SuanliError: Where the model cannot be divided so, or the accelerator has no kernel model.
    """
    if accelerator.kernels is None:
        raise SuanliError(f"{accelerator.id} is not bound to a kernel model; get it with suanli.accelerator()")
    formats = formats_named(accelerator, asked.precision)
    new = asked.sequence if asked.phase == "prefill" else 1
    walk = steps(
        catalog,
        model,
        tensor=asked.tensor,
        batch=asked.batch,
        sequence=new,
        kv_tokens=asked.sequence,
        phase=asked.phase,
        formats=formats,
    )
    for step in walk:
        kernels = [k for k in step.operator.forward(step.at, How()) if float(k.flops) > 0.0]
        time_s = sum(float(accelerator.kernels.time_s(k, accelerator)) for k in kernels)
        label = f"{step.block.name} {step.operator.name}" + (f" x {step.times}" if step.times > 1 else "")
        about = {"label": label, "group": kernels[0].kind.replace("_", " ") if kernels else ""}
        yield (
            _point(accelerator, kernels, time_s, precision=asked.precision, measured=False, **about)
            if kernels
            else None
        )
