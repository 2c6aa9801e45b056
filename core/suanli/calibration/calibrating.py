"""Calibrating an accelerator: its kernel models fitted, or scaled where rows are few, to a file of measurements."""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from suanli.calibration import scaling
from suanli.calibration.classes import Physics, physics
from suanli.calibration.fitting import MINIMUM_ROWS, Group, best_fit, crossed, entry
from suanli.calibration.records import Errors, Fit, halved
from suanli.calibration.scipy_import import import_least_squares
from suanli.calibration.writing import toml
from suanli.catalog_files import FALLBACK
from suanli.errors import SuanliError
from suanli.hardware import Accelerator
from suanli.kernel_models import Efficiency, Roofline
from suanli.kernels import Formats, Kernel
from suanli.measurement_schema import Measurement, made_by

PASSES = ("copy", "add")
"""Elementwise passes whose traffic is certain; of others it is the implementation's how often they pass over memory."""
GUESSED = (0.5, 2.0)
"""Band of figures nobody measured: a guess."""
HEAD = "Written by `suanli calibrate`."
NO_EXCHANGES = "exchanges are not fitted yet; their figures stay as they are"


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


@attrs.frozen(kw_only=True)
class Calibrated:
    """One class of kernels.

    Attributes:
        kernel: Its kind.
        precision: How its inputs are stored and multiplied.
        rows: Measured.
        how: ``fitted``, ``scaled``, or ``unchanged`` where even for that rows are too few.
        why: In words.
        before: Errors of the figures known so far.
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


def calibrate(
    measurements: Iterable[Measurement],
    accelerator: Accelerator,
    *,
    source: str,
    date: str = "",
    run: Callable[..., Iterable[Calibrated]] = map,
) -> Calibration:
    """Fit the kernel models of an accelerator to measurements of it, which :func:`read_measurements` has checked.

    A class is a kind of kernel in a precision. With ``MINIMUM_ROWS`` in each half of its rows it is fitted, and also
    scaled, and the one that does better on rows not fitted is taken; with fewer it is scaled.

    Args:
        measurements: From one device.
        accelerator: As the catalog gives it.
        source: What the measurements are: written with every figure.
        date: Of the fit; today by default.
        run: Stands in for ``map``: a process pool's fits classes side by side.

    Raises:
        SuanliError: Without scipy, or where no row can be fitted.
    """
    import_least_squares()
    left_out: Counter[str] = Counter()
    groups: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for one in measurements:
        if one.shape.kernel == "collective":
            left_out[NO_EXCHANGES] += 1
        elif one.shape.kernel == "elementwise" and one.shape["operation"] not in PASSES:
            left_out[f"passes other than {' and '.join(PASSES)}: their traffic is the implementation's"] += 1
        else:
            try:
                key, sample = _sample(one, accelerator)
            except SuanliError as exc:
                left_out[str(exc)] += 1
                continue
            groups[key].append(sample)
    if not groups:
        raise SuanliError(f"no row can be fitted: {'; '.join(left_out) or 'there is none'}")
    when = date or datetime.datetime.now(datetime.UTC).date().isoformat()
    jobs = [(key, rows, accelerator, source, when) for key, rows in sorted(groups.items())]
    return Calibration(
        accelerator=accelerator.id,
        classes=tuple(run(_class, jobs)),
        left_out=tuple(left_out.items()),
        source=source,
        date=when,
    )


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


Job = tuple[tuple[str, str], list[Sample], Accelerator, str, str]


def _class(job: Job) -> Calibrated:
    (kernel, precision), rows, accelerator, source, date = job
    parts = {accelerator.id: accelerator}
    whole = Group(rows, parts)
    known = _known(accelerator, kernel, precision)
    before = _errors(whole, known) if known else _errors_of(whole, accelerator)
    about: dict[str, Any] = {"kernel": kernel, "precision": precision, "rows": len(rows), "before": before}
    record: dict[str, Any] = {"key": (accelerator.id, kernel, precision), "rows": len(rows), "of": "accelerator"}
    record |= {"date": date}
    halves = halved(rows)
    enough = min(map(len, halves)) >= MINIMUM_ROWS
    sides = [Group(half, parts) for half in halves] if enough else []
    fitted = _fitted(_physics(accelerator, kernel, precision, known), whole, sides, source, record) if enough else None
    if known is not None and len(rows) >= scaling.MINIMUM_ROWS:
        factor, errors = _factor(known, rows, parts, sides)
        if fitted is None or _loss(errors) < _loss(fitted[1]):
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
    free: Physics, whole: Group, sides: Sequence[Group], source: str, record: Mapping[str, Any]
) -> tuple[Efficiency, Errors, Fit]:
    errors = crossed(record["key"], free, sides)
    params = best_fit(record["key"], free, [whole])
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
        band=errors.band if narrow else _union(errors.band, known.interval or GUESSED),
        source=f"{source}; {whose}, {factor:.3g} times the time",
        fixed=fixed,
        **record,
    )
    return fit, whose


def _known(accelerator: Accelerator, kernel: str, precision: str) -> Efficiency | None:
    """The figures so far; None where another kind of model serves it, or knows nothing of the class."""
    model = accelerator.kernels
    if not isinstance(model, Roofline):
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


def _loss(errors: Errors) -> float:
    return float(np.abs(np.log(errors.ratios)).mean())


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


ABOUT = ("accelerator", "kernel", "precision", *(f.name for f in attrs.fields(Efficiency) if f.inherited))


def _union(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return min(one[0], other[0]), max(one[1], other[1])
