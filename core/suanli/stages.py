"""Stages of the estimator, and the runner that orders and evaluates them.

A stage names what it needs and gives as dotted report keys, and the layout fields it reads.
One layout is evaluated as it is.
A table is evaluated on the distinct combinations of the fields a stage depends on, and gathered,
so that a figure that depends on three fields is not computed for every combination of twelve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from suanli.errors import PluginError
from suanli.layout import Degrees, Layout, LayoutTable, fields_of
from suanli.numeric import is_scalar

if TYPE_CHECKING:
    from suanli.case import Case

CHUNK_ROWS = 32_768
"""Rows evaluated together: their columns stay in the cache of one core."""

Run = Callable[["Case", Degrees, Mapping[str, Any]], Mapping[str, Any]]


@attrs.frozen(kw_only=True)
class Band:
    """How far measurements were from a figure: measured over predicted, an 80 % interval.

    Attributes:
        fitted: On accelerators with fitted models.
        unmeasured: On accelerators nobody measured.
        evidence: The measurements, none of them fitted to.
    """

    fitted: tuple[float, float]
    unmeasured: tuple[float, float]
    evidence: str

    def inverse(self) -> Band:
        """The band of a rate, from the band of the time it divides by."""

        def turned(band: tuple[float, float]) -> tuple[float, float]:
            return round(1.0 / band[1], 2), round(1.0 / band[0], 2)

        return Band(fitted=turned(self.fitted), unmeasured=turned(self.unmeasured), evidence=self.evidence)


@attrs.frozen(kw_only=True)
class Stage:
    """One step of the estimate.

    Attributes:
        name: Unique among stages.
        workloads: Kinds of workload it is for.
        needs: Keys other stages give.
        gives: Keys it gives; one that starts with ``_`` stays out of the report.
        reads: Layout fields it depends on itself.
        divided: Whether it works on divided tensors, and so reads the axes that plugins add besides.
        run: Called with the case, the layout (numbers or columns) and what it needs; returns what it gives.
        replaces: Name of the stage it takes the place of.
        detail: Whether only a report needs it, never a search.
        rung: ``handbook``, ``analytic``, ``calibrated`` or ``simulated``.
        source: The document it follows.
        band: How far measurements were from what it gives, where somebody judged it.
        bands: The same for single keys, where they differ.
    """

    name: str
    workloads: tuple[str, ...] = ("pretrain", "finetune", "serve")
    needs: tuple[str, ...] = ()
    gives: tuple[str, ...]
    reads: tuple[str, ...] = ()
    divided: bool = False
    run: Run
    replaces: str = ""
    detail: bool = False
    rung: str = "analytic"
    source: str = ""
    band: Band | None = None
    bands: tuple[tuple[str, Band], ...] = ()


@attrs.frozen(eq=False)
class Step:
    """A stage in its place: with the fields it depends on through what it needs."""

    stage: Stage
    reads: frozenset[str]
    depends: frozenset[str]


def order(
    stages: Sequence[Stage],
    targets: Iterable[str] | None = None,
    *,
    detail: bool = True,
    axes: tuple[str, ...] = (),
) -> tuple[Step, ...]:
    """Stages in an order that gives each what it needs, and none that no target needs.

    Args:
        stages: Those of one kind of workload.
        targets: Keys wanted; all of them by default.
        detail: Whether to keep stages that only a report needs.
        axes: Layout fields that plugins add.

    Raises:
        PluginError: For a key given twice, a need nobody meets, or a circle.
    """
    givers: dict[str, Stage] = {}
    for stage in stages:
        for key in stage.gives:
            if key in givers:
                raise PluginError(f"stages {givers[key].name!r} and {stage.name!r} both give {key!r}")
            givers[key] = stage
    wanted = [givers[t] for t in targets if t in givers] if targets is not None else list(stages)
    done: dict[str, Step] = {}
    path: list[str] = []

    def visit(stage: Stage) -> None:
        if stage.name in done:
            return
        if stage.name in path:
            raise PluginError(f"stages need each other in a circle: {' -> '.join([*path, stage.name])}")
        path.append(stage.name)
        reads = {*stage.reads, *(axes if stage.divided else ())}
        depends = set(reads)
        for key in stage.needs:
            if key not in givers:
                raise PluginError(f"stage {stage.name!r} needs {key!r}, which no stage gives")
            visit(givers[key])
            depends |= done[givers[key].name].depends
        path.pop()
        done[stage.name] = Step(stage, frozenset(reads), frozenset(depends))

    for stage in wanted:
        if detail or not stage.detail:
            visit(stage)
    return tuple(done.values())


def run_layout(steps: Iterable[Step], case: Case, layout: Layout) -> dict[str, Any]:
    """Every key the steps give, for one layout."""
    values: dict[str, Any] = {}
    numbers, names = fields_of(layout)
    for step in steps:
        stage = step.stage
        given = stage.run(case, Degrees(numbers, names, step.reads, stage.name), values)
        _check(stage, given)
        values.update(given)
    return values


def run_table(steps: Iterable[Step], case: Case, table: LayoutTable, targets: Iterable[str]) -> dict[str, Any]:
    """The target keys as columns, for a table of at most ``CHUNK_ROWS`` rows."""
    found: dict[str, tuple[Any, Any]] = {}
    for step in steps:
        stage = step.stage
        columns, inverse = table.distinct(step.depends)
        view = Degrees(columns, table.names, step.reads, stage.name)
        given = stage.run(case, view, _Given(found, inverse, table.rows))
        _check(stage, given)
        found.update({key: (value, inverse) for key, value in given.items()})
    return {t: _gather(found[t][0], found[t][1]) for t in targets if t in found}


class _Given(Mapping[str, Any]):
    """What earlier stages gave, on the rows of the stage that asks."""

    def __init__(self, found: Mapping[str, tuple[Any, Any]], inverse: Any, rows: int) -> None:
        self._found = found
        self._inverse = inverse
        self._rows = rows
        self._made: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        if key not in self._made:
            value, theirs = self._found[key]
            self._made[key] = self._on_my_rows(value, theirs)
        return self._made[key]

    def _on_my_rows(self, value: Any, theirs: Any) -> Any:
        if self._inverse is None:
            return _gather(value, theirs)
        if theirs is None:
            raise PluginError("a stage depends on fewer fields than one it needs")
        import numpy as np

        rows = np.empty(int(self._inverse.max()) + 1 if self._rows else 0, dtype=np.intp)
        rows[self._inverse] = theirs
        return _gather(value, rows)

    def __iter__(self) -> Any:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def _gather(value: Any, index: Any) -> Any:
    """`value` at `index`, through tuples; numbers that are the same on every row stay as they are."""
    if index is None or value is None or isinstance(value, (str, bool)) or is_scalar(value):
        return value
    if isinstance(value, tuple):
        items = [_gather(v, index) for v in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return value[index]


def _check(stage: Stage, given: Mapping[str, Any]) -> None:
    if given.keys() == set(stage.gives):
        return
    missing = [k for k in stage.gives if k not in given]
    extra = [k for k in given if k not in stage.gives]
    said = [f"does not give {', '.join(missing)}"] if missing else []
    said += [f"gives undeclared {', '.join(extra)}"] if extra else []
    raise PluginError(f"stage {stage.name!r} {' and '.join(said)}")
