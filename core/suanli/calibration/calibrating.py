"""Calibrating an accelerator and its system to a file of measurements.

Kernel models are fitted, or scaled where rows are few; :mod:`suanli.calibration.exchanges` fits the fabrics.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from suanli.calibration import scaling
from suanli.calibration.classes import Physics, physics
from suanli.calibration.exchanges import by_fabric, calibrate_fabrics
from suanli.calibration.fitting import MINIMUM_ROWS, Group, best_fit, crossed, entry
from suanli.calibration.records import GUESSED, Errors, Fit, halved, union
from suanli.calibration.results import Calibrated, Calibration
from suanli.calibration.sampling import Sample, by_class
from suanli.calibration.scipy_import import import_least_squares
from suanli.catalog_files import FALLBACK
from suanli.errors import SuanliError
from suanli.fits import Fit as Provenance
from suanli.hardware import Accelerator, System
from suanli.kernel_models import Efficiency, Roofline
from suanli.measurement_schema import Measurement


def calibrate(
    measurements: Iterable[Measurement],
    accelerator: Accelerator,
    *,
    source: str,
    date: str = "",
    system: System | None = None,
    run: Callable[..., Iterable[Calibrated]] = map,
) -> Calibration:
    """Fit the models of an accelerator to measurements of it, which :func:`read_measurements` has checked.

    A class is a kind of kernel in a precision. With ``MINIMUM_ROWS`` in each half of its rows it is fitted, and also
    scaled, and the one that does better on rows not fitted is taken; with fewer it is scaled.
    Exchanges are fitted for each fabric of a system, with as many rows.

    Args:
        measurements: From one device.
        accelerator: As the catalog gives it.
        source: What the measurements are: written with every figure.
        date: Of the fit; today by default.
        system: That exchanges were measured on; without it, they are left out.
        run: Stands in for ``map``: a process pool's fits classes side by side.

    Raises:
        SuanliError: Without scipy, where no row can be fitted, or the system is one of another accelerator.
    """
    import_least_squares()
    rows = tuple(measurements)
    groups, left_out = by_class(rows, accelerator)
    fabrics, others = by_fabric(rows, accelerator, system)
    left_out += others
    if not groups and not fabrics:
        raise SuanliError(f"no row can be fitted: {'; '.join(left_out) or 'there is none'}")
    when = date or datetime.datetime.now(datetime.UTC).date().isoformat()
    jobs = [(key, members, accelerator, source, when) for key, members in sorted(groups.items())]
    return Calibration(
        accelerator=accelerator.id,
        classes=tuple(run(_class, jobs)),
        fabrics=calibrate_fabrics(fabrics, system, source=source, date=when) if system is not None else (),
        left_out=tuple(left_out.items()),
        source=source,
        date=when,
    )


Job = tuple[tuple[str, str], list[Sample], Accelerator, str, str]


def _class(job: Job) -> Calibrated:
    (kernel, precision), rows, accelerator, source, date = job
    parts = {accelerator.id: accelerator}
    whole = Group(rows, parts)
    known = _known(accelerator, kernel, precision)
    before = _errors_of(whole, accelerator)
    about: dict[str, Any] = {"kernel": kernel, "precision": precision, "rows": len(rows), "before": before}
    record: dict[str, Any] = {"key": (accelerator.id, kernel, precision), "rows": len(rows), "of": "accelerator"}
    record |= {"date": date}
    halves = halved(rows)
    enough = min(map(len, halves)) >= MINIMUM_ROWS
    sides = [Group(half, parts) for half in halves] if enough else []
    fitted = None
    if enough:
        free = _physics(accelerator, kernel, precision, known)
        fitted = _fitted(known, free, whole, sides, source, record)
    if known is not None and len(rows) >= scaling.MINIMUM_ROWS:
        factor, errors = _factor(known, rows, parts, sides)
        if fitted is None or errors.loss < fitted[1].loss:
            made = scaling.scaled(known, factor)
            fit, whose = _scaled(known, made, factor, errors, source, record, narrow=enough)
            why = f"{whose}, {factor:.3g} times the time; "
            if fitted is None:
                why += f"a fit needs {MINIMUM_ROWS} rows in each half of them"
            else:
                why += f"rows not used are met better than by a fit (median error {fitted[1].median:.1%})"
            return Calibrated(how="scaled", why=why, fitted=_errors(whole, made), held_out=errors, fit=fit, **about)
    if fitted is not None:
        made, errors, fit = fitted
        why = f"{len(fit.names)} figures; errors: each half of the rows by a fit to the other"
        return Calibrated(how="fitted", why=why, fitted=_errors(whole, made), held_out=errors, fit=fit, **about)
    why = f"{len(rows)} rows are too few, {scaling.MINIMUM_ROWS} are needed to scale"
    if known is None:
        why = f"{len(rows)} rows are too few, a fit needs {MINIMUM_ROWS} in each half; no figures to scale"
    return Calibrated(how="unchanged", why=why, **about)


def _fitted(
    known: Efficiency | None,
    free: Physics,
    whole: Group,
    sides: Sequence[Group],
    source: str,
    record: Mapping[str, Any],
) -> tuple[Efficiency, Errors, Fit]:
    errors = crossed(record["key"], free, sides, known)
    params = best_fit(record["key"], free, [whole], known)
    fit = Fit(
        names=tuple(free.free),
        params=params,
        errors=errors,
        band=errors.band,
        source=source,
        fixed=free.fixed,
        **record,
    )
    return entry(record["key"], free, params), errors, fit


def _scaled(
    known: Efficiency,
    made: Efficiency,
    factor: float,
    errors: Errors,
    source: str,
    record: Mapping[str, Any],
    *,
    narrow: bool,
) -> tuple[Fit, str]:
    """The record of scaled figures, and whose they were; few rows widen the band they had, not narrow it."""
    whose = f"{known.accelerator or known.generation}'s {known.kernel} {known.precision}"
    names, fixed = _figures(made)
    fit = Fit(
        names=names,
        params=tuple(float(getattr(made, n)) for n in names),
        errors=errors,
        band=errors.band if narrow else union(errors.band, known.interval or GUESSED),
        source=f"{source}; {whose}, {factor:.3g} times the time",
        fixed=fixed,
        **record,
    )
    return fit, whose


def _known(accelerator: Accelerator, kernel: str, precision: str) -> Efficiency | None:
    """The figures of its generation, or the datasheet's; None where these are of another kind, or lack the class.

    Not those of an earlier calibration: they may have seen the very rows that errors are taken on.
    """
    if not isinstance(accelerator.kernels, Roofline):
        return None
    model = next((m for m in accelerator.kernels.chain if not m.accelerators), None)
    if model is None:
        return None
    try:
        return model.efficiency(kernel, precision)
    except SuanliError:
        return None


def _physics(accelerator: Accelerator, kernel: str, precision: str, known: Efficiency | None) -> Physics:
    """What is fitted; tiles, splits and blocks are those of the figures so far, where they were measured."""
    found = physics(accelerator.generation, kernel, precision)
    if known is None or known.generation == FALLBACK:
        return found
    own = {n: getattr(known, n) for n in ("tiles", "splits", "block") if n in found.fixed and getattr(known, n)}
    return Physics(found.free, {**found.fixed, **own})


def _factor(
    known: Efficiency, rows: Sequence[Sample], parts: Mapping[str, Accelerator], sides: Sequence[Group]
) -> tuple[float, Errors]:
    """The factor of all rows, and the errors of each half by the other's factor, or of each row by that of the rest."""
    pairs = list(zip(sides, reversed(sides), strict=True))
    if not pairs:
        pairs = [(Group(rows[i : i + 1], parts), Group([*rows[:i], *rows[i + 1 :]], parts)) for i in range(len(rows))]
    found = [(one, scaling.scaled(known, scaling.factor_of(known, [rest]))) for one, rest in pairs]
    ratios = np.concatenate([one.seconds / one.predict(made) for one, made in found])
    errors = Errors(ratios, np.concatenate([one.seconds for one, _ in found]))
    return scaling.factor_of(known, [Group(rows, parts)]), errors


def _errors(group: Group, made: Efficiency) -> Errors:
    return Errors(group.seconds / group.predict(made), group.seconds)


def _errors_of(group: Group, accelerator: Accelerator) -> Errors:
    """Errors of a model of a plugin's own."""
    predicted = np.empty(len(group.seconds))
    for kernel, device, index in group.parts:
        if device.kernels is None:
            raise SuanliError(f"{accelerator.id} is not bound to a kernel model; get it with suanli.accelerator()")
        predicted[index] = device.kernels.time_s(kernel, device)
    return Errors(group.seconds / predicted, group.seconds)


def _figures(made: Efficiency) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The figures of an entry that are not at their defaults: numbers, and what its library fixes."""
    names, fixed = [], {}
    for field in attrs.fields(Efficiency):
        value = getattr(made, field.name)
        if field.name in ABOUT or value == field.default:
            continue
        if isinstance(value, float):
            names.append(field.name)
        else:
            fixed[field.name] = value
    return tuple(names), fixed


ABOUT = ("accelerator", "kernel", "precision", *(f.name for f in attrs.fields(Provenance)))
"""Fields of an entry that are no figures of it."""
