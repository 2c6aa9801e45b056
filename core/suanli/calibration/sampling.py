"""Measurements as a fit takes them: by class, and what belongs to none."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping

import attrs

from suanli.errors import SuanliError
from suanli.hardware import Accelerator
from suanli.kernels import Formats, Kernel
from suanli.measurement_schema import CERTAIN, Measurement, made_by


@attrs.frozen(kw_only=True)
class Sample:
    """A measured kernel as a fit takes it, see :class:`suanli.calibration.fitting.Timed`."""

    part: str
    make: Callable[..., Kernel]
    dims: Mapping[str, float]
    formats: Formats | None
    phase: str
    seconds: float
    shape: str


def by_class(
    measurements: Iterable[Measurement], accelerator: Accelerator
) -> tuple[dict[tuple[str, str], list[Sample]], Counter[str]]:
    """Kernels of each (kernel, precision), and how many belong to none, by reason; exchanges are passed over."""
    left_out: Counter[str] = Counter()
    groups: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for one in measurements:
        if one.shape.kernel == "collective":
            continue  # of a fabric, see by_fabric
        if one.shape.kernel == "elementwise" and one.shape["operation"] not in CERTAIN:
            left_out[f"passes other than {' and '.join(CERTAIN)}: their traffic is the implementation's"] += 1
        else:
            try:
                key, sample = _sample(one, accelerator)
            except SuanliError as exc:
                left_out[str(exc)] += 1
                continue
            groups[key].append(sample)
    return groups, left_out


def _sample(one: Measurement, accelerator: Accelerator) -> tuple[tuple[str, str], Sample]:
    make, dims, about = made_by(one.shape, accelerator)
    kernel = make(**dims, **about)
    sample = Sample(
        part=accelerator.id,
        make=make,
        dims=dims,
        formats=about.get("formats"),
        phase=about.get("phase", ""),
        seconds=one.time_s,
        shape=",".join(f"{x:g}" for x in dims.values()),
    )
    return (kernel.kind, kernel.precision), sample
