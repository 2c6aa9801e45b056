"""Search over layouts: every legal one evaluated as a column of a table, the best kept."""

from __future__ import annotations

import functools
import itertools
import pickle
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from suanli.case import Case
from suanli.errors import SuanliError, clip
from suanli.layout import CATEGORICAL, NUMERIC, Layout, LayoutTable
from suanli.legal import Condition, conditions, domains
from suanli.secrecy import RESERVE, hides_reserve
from suanli.stages import CHUNK_ROWS, Step, run_table

if TYPE_CHECKING:
    from suanli.report import Report

TRAINING_KEYS = ("time.step_s", "memory.total_bytes")
SERVING_KEYS = ("serving.output_tokens_per_s", "memory.total_bytes")


@attrs.frozen(kw_only=True)
class Plan:
    """One layout a search found.

    Attributes:
        layout: Itself.
        score: Seconds of a step, or output tokens in a second.
        total_bytes: Memory of its worst rank, as its report has it.
    """

    layout: Layout
    score: float
    total_bytes: float
    _report: Callable[[Layout], Report] = attrs.field(eq=False, repr=False)

    @property
    def report(self) -> Report:
        """The full report for the layout, estimated again."""
        return self._report(self.layout)


@attrs.frozen(kw_only=True)
class SearchResult:
    """What a search found.

    Attributes:
        plans: Best first; every one fits.
        closest: The layout that needs the least memory, where none fits.
        evaluated: Legal layouts evaluated.
        feasible: Of which fit.
        complete: Whether every legal layout was evaluated.
        measure: What ranks them: ``time.step_s`` or ``serving.output_tokens_per_s``.
    """

    plans: tuple[Plan, ...]
    closest: Plan | None
    evaluated: int
    feasible: int
    complete: bool
    measure: str


@attrs.define(eq=False)
class _Best:
    """The best rows so far: few, so that memory does not grow with the number of layouts."""

    top: int
    sign: float
    rows: list[tuple[float, float, int, Layout]] = attrs.Factory(list)
    closest: tuple[float, float, int, Layout] | None = None
    evaluated: int = 0
    feasible: int = 0

    def take(self, table: LayoutTable, score: Any, size: Any, capacity: float) -> None:
        import numpy as np

        score = np.broadcast_to(np.asarray(score, dtype=np.float64), table.rows) * self.sign
        size = np.broadcast_to(np.asarray(size, dtype=np.float64), table.rows)
        fits = np.flatnonzero(size <= capacity)
        self.feasible += len(fits)
        if len(fits):
            limit = self.rows[-1][0] if len(self.rows) >= self.top else np.inf
            fits = fits[score[fits] <= limit]
            if len(fits) > self.top:
                fits = fits[np.argsort(score[fits], kind="stable")[: self.top]]
            new = [(float(score[i]), float(size[i]), self.evaluated + int(i), table.layout(int(i))) for i in fits]
            self.rows = sorted([*self.rows, *new], key=lambda r: r[:3])[: self.top]
        elif not self.rows:
            i = int(np.argmin(size))
            found = (float(score[i]), float(size[i]), self.evaluated + i, table.layout(i))
            if self.closest is None or found[1] < self.closest[1]:
                self.closest = found
        self.evaluated += table.rows


def search(
    case: Case,
    steps: Sequence[Step],
    report: Callable[[Layout], Report],
    *,
    given: dict[str, tuple[Any, ...]],
    wide: bool,
    top: int,
    deadline_s: float | None = None,
    max_layouts: int | None = None,
    progress: Callable[[int], None] | None = None,
    executor: Any = None,
) -> SearchResult:
    """Evaluate the legal layouts of a case and keep the best that fit.

    Args:
        case: Without a layout.
        steps: Stages that give the score and the memory, in order.
        report: Makes the full report of one layout.
        given: Values to try of each field; fields not given are tried over all that is legal.
        wide: Whether fields not given take every legal value, or those a person would try first.
        top: How many to keep.
        deadline_s: Stop after so many seconds.
        max_layouts: Stop after so many layouts.
        progress: Told the number evaluated so far.
        executor: A ``concurrent.futures`` executor to evaluate chunks on.
    """
    began = time.monotonic()
    keys = (*(TRAINING_KEYS if case.training else SERVING_KEYS), RESERVE)
    kept_free = 0.0
    best = _Best(top, 1.0 if case.training else -1.0)
    capacity = float(case.device.capacity_bytes)
    tables = _limited(_tables(case, domains(case, given, wide=wide), strict_zero="zero" not in given), max_layouts)
    complete = True

    evaluate = functools.partial(_evaluated, tuple(steps), case, keys)
    processes = sys.modules.get("concurrent.futures.process")  # loaded where somebody has such an executor
    if processes is not None and isinstance(executor, processes.ProcessPoolExecutor):
        _sendable(evaluate)
    work = _ahead(executor, evaluate, tables) if executor is not None else ((t, evaluate(t)) for t in tables)
    for table, values in work:
        best.take(table, values[keys[0]], values[keys[1]], capacity)
        if hides_reserve(case):
            kept_free = float(values.get(RESERVE, case.reserve_bytes))
        if progress is not None:
            progress(best.evaluated)
        if deadline_s is not None and time.monotonic() - began > deadline_s:
            complete = False
            break
    if max_layouts is not None and best.evaluated >= max_layouts:
        complete = False

    def plan(row: tuple[float, float, int, Layout]) -> Plan:
        return Plan(layout=row[3], score=row[0] * best.sign, total_bytes=row[1] - kept_free, report=report)

    return SearchResult(
        plans=tuple(plan(r) for r in best.rows),
        closest=plan(best.closest) if best.closest is not None and not best.rows else None,
        evaluated=best.evaluated,
        feasible=best.feasible,
        complete=complete,
        measure=keys[0],
    )


def _sendable(work: Any) -> None:
    """Raises SuanliError where work cannot be sent to other processes; they would say so less clearly."""
    try:
        pickle.dumps(work)
    except Exception as exc:
        said = clip(f"{type(exc).__name__}: {exc}", 200)
        raise SuanliError(
            f"executor: what a plugin gives cannot be sent to other processes ({said}); use threads, or named functions"
        ) from None


def _evaluated(steps: tuple[Step, ...], case: Case, keys: tuple[str, ...], table: LayoutTable) -> dict[str, Any]:
    return run_table(steps, case, table, keys)


def _ahead(executor: Any, evaluate: Callable[[LayoutTable], Any], tables: Iterator[LayoutTable]) -> Iterator[Any]:
    """Chunks evaluated on an executor, a few ahead, given back in order."""
    waiting: list[tuple[LayoutTable, Any]] = []
    for table in tables:
        waiting.append((table, executor.submit(evaluate, table)))
        if len(waiting) >= 8:
            ready, future = waiting.pop(0)
            yield ready, future.result()
    for ready, future in waiting:
        yield ready, future.result()


def _limited(tables: Iterator[LayoutTable], most: int | None) -> Iterator[LayoutTable]:
    left = most
    for table in tables:
        if left is None:
            yield table
            continue
        if left <= 0:
            return
        yield from itertools.islice(table.chunks(min(left, table.rows)), 1)
        left -= table.rows


def _tables(case: Case, values: dict[str, tuple[Any, ...]], *, strict_zero: bool) -> Iterator[LayoutTable]:
    """Legal layouts, a chunk at a time, one combination of categorical values after another."""
    frames = tuple(_frames(case, values))
    names = [values[f] for f in CATEGORICAL]
    for combination in itertools.product(*names):
        chosen = dict(zip(CATEGORICAL, combination, strict=True))
        if chosen["schedule"] not in case.schedules:
            continue
        ways = frames
        if chosen["sequence_parallel"] and False in values["sequence_parallel"]:
            ways = tuple(f for f in frames if f["tensor"] > 1)  # the same layout twice otherwise
        yield from _chunks(case, values, ways, chosen, strict_zero)


OUTER = ("tensor", "pipeline", "context", "data", "expert", "expert_tensor", "attention_data", "replicas")
INNER = ("micro_batch", "virtual_stages", "zero")


def _frames(case: Case, values: dict[str, tuple[Any, ...]]) -> Iterator[dict[str, int]]:
    """Ways to divide the ranks: the product of the degrees is the number of accelerators."""
    world = case.system.accelerators
    extra = [f for f in values if f not in NUMERIC and f not in CATEGORICAL]
    free = "data" if case.training else "replicas"
    fixed = [f for f in ("tensor", "pipeline", "context", "attention_data", "replicas", "data", *extra) if f != free]
    allowed = set(values[free])
    for degrees in itertools.product(*(values[f] for f in fixed)):
        used = 1
        for d in degrees:
            used *= d
        if world % used or world // used not in allowed:
            continue
        frame = dict(zip(fixed, degrees, strict=True)) | {free: world // used}
        ranks = frame["tensor"] * frame["context"] * frame["data"] * frame["attention_data"]
        widths = values["expert_tensor"]
        for expert, width in itertools.product(values["expert"], widths):
            if ranks % (expert * width):
                continue
            if len(widths) > 1 and width not in (1, frame["tensor"]):
                continue
            if not case.training and len(widths) > 1 and expert == 1 and width != frame["tensor"]:
                continue
            yield frame | {"expert": expert, "expert_tensor": width}


def _chunks(
    case: Case,
    values: dict[str, tuple[Any, ...]],
    frames: tuple[dict[str, int], ...],
    names: dict[str, Any],
    strict_zero: bool,
) -> Iterator[LayoutTable]:
    """Legal layouts of one combination of names: the frames, widened by one inner field after another."""
    import numpy as np

    if not frames:
        return
    inner = {f: values[f] for f in INNER}
    if case.training and not case.schedules[names["schedule"]].chunked:
        inner["virtual_stages"] = tuple(v for v in values["virtual_stages"] if v == 1)
    if not all(inner.values()):
        return
    columns = {f: np.unique([frame[f] for frame in frames], return_inverse=True) for f in frames[0]}
    distinct = {f: v.astype(np.float64) for f, (v, _) in columns.items()}
    distinct |= {f: np.asarray(v, dtype=np.float64) for f, v in inner.items()}
    laws = conditions(
        case, schedule=names["schedule"], sequence_parallel=names["sequence_parallel"], strict_zero=strict_zero
    )
    varying = {f for f, v in distinct.items() if len(v) > 1}
    waiting: list[dict[str, Any]] = []
    rows = 0
    size = max(1, 8 * CHUNK_ROWS // max(1, len(inner["micro_batch"]) * len(inner["virtual_stages"])))
    for start in range(0, len(frames), size):
        codes = {f: c[start : start + size] for f, (_, c) in columns.items()}
        codes = _obeying(codes, distinct, [law for law in laws if not law.after])
        for field in INNER:
            codes = _widened(codes, field, len(distinct[field]))
            codes = _obeying(codes, distinct, [law for law in laws if law.after == field])
        waiting.append({f: codes[f] for f in varying})
        rows += len(codes[INNER[0]])
        if rows >= CHUNK_ROWS:
            table = _joined(waiting, distinct, names, rows)
            whole = rows - rows % CHUNK_ROWS
            yield from itertools.islice(table.chunks(CHUNK_ROWS), whole // CHUNK_ROWS)
            waiting, rows = [{f: c[whole:] for f, c in table.codes.items()}], rows - whole
    if rows:
        yield _joined(waiting, distinct, names, rows)


def _joined(parts: list[dict[str, Any]], distinct: dict[str, Any], names: dict[str, Any], rows: int) -> LayoutTable:
    import numpy as np

    codes = {f: np.concatenate([p[f] for p in parts]) for f in parts[0]}
    return LayoutTable(values=distinct, codes=codes, names=names, rows=rows)


def _widened(codes: dict[str, Any], field: str, count: int) -> dict[str, Any]:
    """Every row once for each value of one more field."""
    import numpy as np

    rows = len(next(iter(codes.values())))
    wide = {f: np.repeat(c, count) for f, c in codes.items()} if count > 1 else dict(codes)
    wide[field] = np.tile(np.arange(count, dtype=np.intp), rows)
    return wide


def _obeying(codes: dict[str, Any], distinct: dict[str, Any], laws: Sequence[Condition]) -> dict[str, Any]:
    """The rows that obey every law."""
    import numpy as np

    if not laws:
        return codes
    view = _Columns(codes, distinct)
    legal = np.ones(len(next(iter(codes.values()))), dtype=bool)
    for law in laws:
        legal &= law.holds(view)
    if legal.all():
        return codes
    return {f: c[legal] for f, c in codes.items()}


class _Columns:
    """Fields of the rows so far, looked up when a law asks for them."""

    def __init__(self, codes: dict[str, Any], distinct: dict[str, Any]) -> None:
        self._codes = codes
        self._distinct = distinct
        self._found: dict[str, Any] = {}

    def __getattr__(self, field: str) -> Any:
        if field not in self._found:
            known = field in self._codes
            self._found[field] = self._distinct[field][self._codes[field]] if known else 1.0
        return self._found[field]

    __getitem__ = __getattr__
