"""Shapes to measure that somebody names: those of a file, and those a model launches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from suanli.bench.grids import KINDS, LABELS, pass_shape
from suanli.bench.memory import ELEMENT
from suanli.catalogs import Catalog
from suanli.errors import InvalidInputError, SuanliError, clip
from suanli.measurement_schema import Shape, make_shape
from suanli.measurements import parsed
from suanli.model_passes import Step, divided_badly, steps
from suanli.models import Model
from suanli.operators import Embedding, How, Loss, Pointwise
from suanli.tensors import WORKLOAD_ROLES, Tensor

PREFILL = ((1, 512), (1, 2048), (1, 8192), (8, 2048))
"""Batch and prompt."""

DECODE = ((1, 2048), (16, 2048), (128, 2048), (16, 16384))
"""Batch and tokens attended to."""

DEGREES = (1, 2, 4, 8)


def shapes_of_file(path: str) -> tuple[Shape, ...]:
    """The shapes in a CSV file of the columns of a measurement; a column of times is passed over.

    Raises:
        InvalidInputError: Naming the line of every fault.
    """
    found, faults = parsed(Path(path), timed=False)
    if faults:
        raise InvalidInputError(faults, clip(path, 200))
    return tuple(dict.fromkeys(m.shape for m in found))


@attrs.frozen(kw_only=True)
class ModelShapes:
    """What a model launches, and what of it cannot be measured here.

    Attributes:
        shapes: Each once.
        left_out: Operators no kernel here stands for.
        degrees: Ranks its layers were divided over.
    """

    shapes: tuple[Shape, ...]
    left_out: tuple[str, ...]
    degrees: tuple[int, ...]


def shapes_of_model(
    catalog: Catalog,
    model: Model,
    *,
    tensor: Iterable[int] = (),
    precisions: Iterable[str] = ("bf16",),
    kinds: Iterable[str] = KINDS,
) -> ModelShapes:
    """The shapes a model launches in prefill and decode, divided over some numbers of tensor ranks.

    Args:
        catalog: With the rule of tensor parallelism.
        model: The model.
        tensor: Numbers of ranks; those of 1, 2, 4 and 8 that divide it by default.
        precisions: As ``--dtype`` names them.
        kinds: Of ``KINDS``.

    Raises:
        SuanliError: Where it cannot be divided as asked.
    """
    asked = tuple(tensor)
    degrees = asked or tuple(d for d in DEGREES if not divided_badly(catalog, model, d))
    wrong = [f"--tensor {d}: {f}" for d in asked for f in divided_badly(catalog, model, d)]
    if wrong:
        raise SuanliError("; ".join(wrong))
    limit = model.context or max(s for _, s in (*PREFILL, *DECODE))
    passes = [("prefill", b, min(s, limit), min(s, limit)) for b, s in PREFILL]
    passes += [("decode", b, 1, min(kv, limit)) for b, kv in DECODE]
    found: dict[Shape, None] = {}
    left_out: dict[str, None] = {}
    for degree in degrees:
        for phase, batch, new, seen in dict.fromkeys(passes):
            asked_of = steps(catalog, model, tensor=degree, batch=batch, sequence=new, kv_tokens=seen, phase=phase)
            for step in asked_of:
                shapes = [x for p in precisions for x in _shapes(step, LABELS.get(p, p))]
                if not shapes:
                    left_out.setdefault(f"{step.operator.name} ({type(step.operator).__name__})")
                found.update(dict.fromkeys(x for x in shapes if x.kernel in kinds))
    return ModelShapes(shapes=tuple(found), left_out=tuple(left_out), degrees=degrees)


def _shapes(step: Step, precision: str) -> Iterator[Shape]:
    """The kernels of one operator as shapes; none where no kernel here stands for it."""
    plain = precision if precision in ELEMENT else "bf16"
    for kernel in step.operator.forward(step.at, How()):
        sizes = {name: max(1, round(float(x))) for name, x in kernel.shape.items() if _whole(x)}
        if kernel.kind == "gemm":
            yield make_shape("gemm", precision, **{name: sizes[name] for name in "mnk"})
        elif kernel.kind in CORES and sizes["key_dim"] == sizes["value_dim"]:
            own = {name: sizes[name] for name in ("batch", "query", "kv_tokens", "heads", "kv_heads")}
            reach = int(kernel.shape["window"])
            window = reach if reach < own["kv_tokens"] else 0
            phase = CORES[kernel.kind]
            yield make_shape("attention", plain, phase=phase, head_dim=sizes["key_dim"], window=window, **own)
        elif kernel.kind == "elementwise":
            found = _pass(step, plain)
            if found is not None:
                yield found


CORES = {"attention_prefill": "prefill", "attention_decode": "decode"}


def _whole(size: object) -> bool:
    return isinstance(size, (int, float)) and math.isfinite(size)


def _pass(step: Step, precision: str) -> Shape | None:
    """A pass over memory by what it reads: a norm has weights, a residual two tensors, an activation one."""
    operator, at = step.operator, step.at
    rows = int(at.batch * at.sequence)
    if isinstance(operator, Embedding):
        return pass_shape("embedding", precision, rows, operator.hidden, operator.vocabulary)
    if isinstance(operator, Loss):
        return pass_shape("cross_entropy", precision, rows, _width(step, operator.reads[0]), 1)
    if not isinstance(operator, Pointwise) or not operator.writes:
        return None
    name = "rms_norm" if operator.width else "add" if len(operator.reads) > 1 else "silu"
    return pass_shape(name, precision, rows, _width(step, operator.writes[0]))


def _width(step: Step, tensor: Tensor) -> int:
    """Elements of a tensor for each token, on one rank."""
    own = tuple(d for d in tensor.dims if d.role not in WORKLOAD_ROLES)
    return max(1, round(float(step.at.product(own))))
