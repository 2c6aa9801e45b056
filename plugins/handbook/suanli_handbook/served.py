"""What the rules of inference ask the estimator: one engine, the model divided over all its accelerators."""

from __future__ import annotations

from typing import Any

from suanli import Asked, Report, SuanliError
from suanli.report import MemoryParts, Serving
from suanli_handbook.asking import alone, fitting, whole

FORMS = ("bf16", "fp8", "int4", "fp32")
"""The formats meant by 2, 1, a half and 4 bytes, where none is named."""


def form_of(asked: Asked, bytes: float = 2.0) -> str:
    """The number format named, where it has so many bytes; else the usual one that has.

    Raises:
        SuanliError: Where none has.
    """
    named = () if asked.precision is None else (asked.precision.name,)
    found: str | None = next((f for f in (*named, *FORMS) if asked.bytes_of(f) == bytes), None)
    if found is None:
        raise SuanliError(f"no usual number format has {bytes:g} bytes; name a precision")
    return found


def precision_of(asked: Asked, bytes: float = 2.0) -> dict[str, Any]:
    """The precision section of a scenario: the format named, or one of so many bytes; the default one for two."""
    if asked.precision is None and bytes == 2.0:
        return {}
    return {"recipe": form_of(asked, bytes)}


def engine(asked: Asked, *, prompt: float, output: float, batch: float = 1.0, bytes: float = 2.0) -> Serving:
    """What a client sees of one engine, divided by tensor parallelism over every accelerator asked for.

    Raises:
        SuanliError: Where that cannot run.
    """
    if asked.system is None:
        raise SuanliError("no system is named")
    whole("accelerators", float(asked.inputs.get("accelerators") or 1.0))
    job = {"prompt": whole("prompt", prompt), "output": whole("output", output), "batch": whole("batch", batch)}
    report = asked.estimate(
        workload={"kind": "serve"} | job,
        layout={"tensor": asked.system.accelerators, "pipeline": 1},
        precision=precision_of(asked, bytes),
    )
    return _serving(fitting(report))


def room(asked: Asked, *, sequence: float) -> Serving:
    """What is left for the cache on one accelerator that holds the whole model, for sequences of so many tokens.

    Raises:
        SuanliError: Where nothing is left.
    """
    found = _serving(alone(asked, workload=_halves(sequence), precision=precision_of(asked)))
    if not found.kv_cache_tokens:
        raise SuanliError("the weights leave no room for a cache")
    return found


def held(asked: Asked, *, sequence: float, batch: float, bytes: float = 2.0) -> MemoryParts:
    """Memory of one accelerator that serves the whole model, whether or not it fits."""
    job = _halves(sequence) | {"batch": whole("batch", batch)}
    return alone(asked, workload=job, precision=precision_of(asked, bytes)).memory.per_accelerator


def _halves(sequence: float) -> dict[str, Any]:
    """A sequence as a request: half prompt, half output."""
    tokens = whole("sequence", sequence)
    if tokens < 2:
        raise SuanliError("sequence: a prompt and an output take two tokens")
    return {"kind": "serve", "prompt": tokens - tokens // 2, "output": tokens // 2}


def _serving(report: Report) -> Serving:
    if report.serving is None:
        raise SuanliError("the estimate has no figures of serving")
    return report.serving
