"""How work is divided: one layout for people, a table of them for the machine.

A :class:`Layout` is scalar, frozen and hashable. A :class:`LayoutTable` is columnar.
:class:`Degrees` shows either to a formula in the same way, and only the fields its stage declared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from attrs.validators import ge, gt, in_, le

from suanli.errors import SuanliError
from suanli.numeric import Number

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

AXES = ("tensor", "pipeline", "context", "data")
"""Fields whose product is the number of ranks."""

NUMERIC = (*AXES, "expert", "expert_tensor", "micro_batch", "virtual_stages", "zero", "attention_data", "replicas")
"""Fields that are columns of a table."""

CATEGORICAL = ("schedule", "sequence_parallel", "recompute", "offload")
"""Fields that are one value for a whole table; tables that differ in them are evaluated in turn."""

RECOMPUTES = ("none", "selective", "full")
OFFLOADS = ("none",)


def _degree() -> Any:
    return attrs.field(default=1, validator=gt(0))


@attrs.frozen(kw_only=True)
class Layout:
    """How a job is divided over its ranks, ``tensor x context x data x pipeline``, the first placed innermost.

    Attributes:
        tensor: Ranks that divide heads, inner widths and vocabulary.
        pipeline: Stages the layers are divided over.
        context: Ranks that divide the sequence.
        data: Ranks that divide the batch.
        expert: Ranks the experts are divided over, carved out of tensor, context and data.
        expert_tensor: Ranks that divide the width of an expert.
        micro_batch: Sequences in one pass.
        virtual_stages: Model chunks on one pipeline stage.
        schedule: Name of the pipeline schedule.
        sequence_parallel: Whether tensor ranks divide the sequence where they divide nothing else.
        zero: ZeRO stage: 1 divides optimizer states, 2 gradients too, 3 weights too.
        recompute: Activations made again in the backward pass: ``none``, ``selective``, ``full``.
        offload: What is kept in host memory: ``none``.
        attention_data: Serving: ranks that divide the requests of one engine.
        replicas: Serving: engines.
        extra: Degrees of axes that plugins add, by field name.
    """

    tensor: int = _degree()
    pipeline: int = _degree()
    context: int = _degree()
    data: int = _degree()
    expert: int = _degree()
    expert_tensor: int = _degree()
    micro_batch: int = _degree()
    virtual_stages: int = _degree()
    schedule: str = "1f1b"
    sequence_parallel: bool = False
    zero: int = attrs.field(default=0, validator=[ge(0), le(3)])
    recompute: str = attrs.field(default="none", validator=in_(RECOMPUTES))
    offload: str = attrs.field(default="none", validator=in_(OFFLOADS))
    attention_data: int = _degree()
    replicas: int = _degree()
    extra: tuple[tuple[str, int], ...] = ()

    @property
    def world(self) -> int:
        """Ranks of one job, or of one serving engine."""
        ranks = self.tensor * self.pipeline * self.context * self.data * self.attention_data
        for _, degree in self.extra:
            ranks *= degree
        return ranks

    def to_dict(self) -> dict[str, Any]:
        """The fields, axes of plugins among them."""
        data = attrs.asdict(self)
        data.pop("extra")
        return data | dict(self.extra)


@attrs.define(eq=False, slots=True)
class Degrees:
    """The fields of one layout, or of a table, as numbers; a field that was not declared is refused."""

    _numbers: Mapping[str, Number]
    _names: Mapping[str, Any]
    _reads: frozenset[str]
    _reader: str = ""

    def __getattr__(self, field: str) -> Any:
        if field.startswith("_"):
            raise AttributeError(field)
        if field not in self._reads:
            raise SuanliError(f"stage {self._reader!r} read layout.{field} without declaring it in `reads`")
        if field in self._numbers:
            return self._numbers[field]
        if field in self._names:
            return self._names[field]
        return 1.0

    def __getitem__(self, field: str) -> Any:
        return getattr(self, field)


def fields_of(layout: Layout) -> tuple[dict[str, Number], dict[str, Any]]:
    """The numeric fields of one layout as floats, axes of plugins among them, and the categorical ones."""
    numbers: dict[str, Number] = {f: float(getattr(layout, f)) for f in NUMERIC}
    for field, degree in layout.extra:
        numbers[field] = float(degree)
    return numbers, {f: getattr(layout, f) for f in CATEGORICAL}


@attrs.define(eq=False)
class LayoutTable:
    """Many layouts as columns: for each numeric field its distinct values, and which of them each row has.

    Attributes:
        values: Distinct values of each numeric field.
        codes: For each numeric field, the index into its values on each row; absent where there is one value.
        names: Value of each categorical field, the same on every row.
        rows: How many layouts.
    """

    values: dict[str, npt.NDArray[np.float64]]
    codes: dict[str, npt.NDArray[np.intp]]
    names: dict[str, Any]
    rows: int

    @classmethod
    def of(cls, layouts: Sequence[Layout]) -> LayoutTable:
        """A table of layouts alike in every categorical field.

        Raises:
            SuanliError: Where they differ in one.
        """
        import numpy as np

        first = layouts[0]
        names = {f: getattr(first, f) for f in CATEGORICAL}
        for layout in layouts:
            for f, value in names.items():
                if getattr(layout, f) != value:
                    raise SuanliError(f"a layout table has one {f}; got {value!r} and {getattr(layout, f)!r}")
        fields = (*NUMERIC, *(f for f, _ in first.extra))
        values, codes = {}, {}
        for f in fields:
            column = [float(getattr(x, f) if f in NUMERIC else dict(x.extra).get(f, 1)) for x in layouts]
            values[f], codes[f] = np.unique(np.asarray(column), return_inverse=True)
        return cls(values=values, codes=codes, names=names, rows=len(layouts))

    def column(self, field: str) -> npt.NDArray[np.float64]:
        """A numeric field, row by row."""
        import numpy as np

        if field in self.codes:
            return self.values[field][self.codes[field]]
        return np.full(self.rows, self.values[field][0] if field in self.values else 1.0)

    def layout(self, row: int) -> Layout:
        """One row as a :class:`Layout`."""
        found: dict[str, Any] = {}
        for f, values in self.values.items():
            found[f] = int(values[self.codes[f][row]] if f in self.codes else values[0])
        extra = tuple((f, d) for f, d in found.items() if f not in NUMERIC)
        return Layout(**{f: d for f, d in found.items() if f in NUMERIC}, **self.names, extra=extra)

    def __iter__(self) -> Iterator[Layout]:
        return (self.layout(i) for i in range(self.rows))

    def chunks(self, size: int) -> Iterator[LayoutTable]:
        """Consecutive parts of at most `size` rows."""
        for start in range(0, self.rows, size):
            part = slice(start, min(start + size, self.rows))
            codes = {f: c[part] for f, c in self.codes.items()}
            yield LayoutTable(self.values, codes, self.names, part.stop - part.start)

    def distinct(self, fields: Iterable[str]) -> tuple[dict[str, Number], npt.NDArray[np.intp] | None]:
        """The distinct combinations of some fields, and which of them each row has.

        Where there would be about as many combinations as rows, the rows themselves and None.
        """
        import numpy as np

        named = [f for f in sorted(fields) if f in self.values]
        varying = [f for f in named if f in self.codes]
        fixed: dict[str, Number] = {f: float(self.values[f][0]) for f in named if f not in self.codes}
        combinations = 1
        for f in varying:
            combinations *= len(self.values[f])
        if combinations >= self.rows:
            return fixed | {f: self.values[f][self.codes[f]] for f in varying}, None
        key = np.zeros(self.rows, dtype=np.intp)
        for f in varying:
            key = key * len(self.values[f]) + self.codes[f]
        present = np.zeros(combinations, dtype=bool)
        present[key] = True
        found = np.flatnonzero(present)
        place = np.zeros(combinations, dtype=np.intp)
        place[found] = np.arange(len(found))
        columns = dict(fixed)
        rest = found
        for f in reversed(varying):
            rest, code = np.divmod(rest, len(self.values[f]))
            columns[f] = self.values[f][code]
        return columns, place[key]
