"""What a measurement is: a kernel or an exchange of stated sizes, and the seconds it took.

The sizes have the names that `Accelerator.gemm_s`, `attention_s`, `mla_s`, `moe_s` and `System.collective_s` give
them, so that every measurement can be asked of a model too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from suanli import kernels
from suanli.asking import formats_named
from suanli.collectives import OPERATIONS
from suanli.errors import SuanliError
from suanli.hardware import Accelerator, System
from suanli.kernels import BF16, Kernel

PHASES = ("prefill", "decode")

SCALINGS = ("_wo", "_static", "_block")
"""Ends of a precision: weights alone are narrow; scales are known beforehand; scales of blocks.

A narrow precision without one quantises its inputs while it runs.
"""

ELEMENTWISE = (
    "copy",
    "add",
    "rms_norm",
    "layer_norm",
    "silu",
    "gelu",
    "softmax",
    "cross_entropy",
    "embedding",
    "optimizer_step",
)
"""Passes over memory that are measured here; a file may hold others."""

CERTAIN = ("copy", "add")
"""Those whose traffic is certain; of others it is the implementation's how often they pass over memory."""


@attrs.frozen(kw_only=True)
class Dimension:
    """One size of a kernel.

    Attributes:
        name: Its column.
        about: What it is.
        default: What it is where the file leaves it out; None where it must be there.
        least: The smallest it can be.
        whole: Whether it is a whole number.
        words: The words it may be, where it is no number.
        word: Whether it is a word.
    """

    name: str
    about: str
    default: float | None = None
    least: float = 1.0
    whole: bool = True
    words: tuple[str, ...] = ()
    word: bool = False


def _sizes(**about: str) -> tuple[Dimension, ...]:
    return tuple(Dimension(name=name, about=text) for name, text in about.items())


_PHASE = Dimension(name="phase", about="prefill, or decode", words=PHASES, word=True)
_ATTENDED = _sizes(
    batch="sequences",
    query="new tokens of each sequence",
    kv_tokens="tokens attended to, the new ones included",
    heads="query heads on this rank",
)

KERNELS: Mapping[str, tuple[Dimension, ...]] = {
    "gemm": _sizes(
        m="rows of A and C: tokens", n="columns of B and C: outputs", k="columns of A, rows of B: what is summed over"
    ),
    "attention": (
        _PHASE,
        *_ATTENDED,
        *_sizes(kv_heads="key and value heads on this rank", head_dim="width of a head"),
        Dimension(name="window", about="keys a query may look back on; 0 for all", default=0.0, least=0.0),
    ),
    "mla": (
        _PHASE,
        *_ATTENDED,
        Dimension(name="kv_lora_rank", about="width of the latent", default=512.0),
        Dimension(name="rope_dim", about="width of the rotary part of a key", default=64.0),
        Dimension(name="head_dim", about="width of a head", default=128.0),
    ),
    "moe": (
        *_sizes(
            tokens="tokens entering the layer",
            hidden="model width",
            intermediate="width of an expert before it is divided",
            experts="in the layer",
            top_k="experts a token goes to",
        ),
        Dimension(name="tensor", about="ranks an expert's width is divided over", default=1.0),
        Dimension(name="expert", about="ranks the experts are divided over", default=1.0),
        Dimension(name="imbalance", about="load of the busiest rank over the mean", default=1.0, whole=False),
    ),
    "elementwise": (
        Dimension(name="operation", about="copy, add, rms_norm, softmax ...", word=True),
        Dimension(name="rows", about="tokens", default=0.0, least=0.0),
        Dimension(name="width", about="elements of a row", default=0.0, least=0.0),
        Dimension(name="vocabulary", about="embedding: rows of the table", default=0.0, least=0.0),
        Dimension(name="bytes", about="read and written, each operand and each result once"),
    ),
    "collective": (
        Dimension(name="operation", about="an exchange", words=OPERATIONS, word=True),
        Dimension(name="bytes", about="the whole buffer of one rank: gathered, or before reduction"),
        Dimension(name="ranks", about="accelerators in the group", least=2.0),
        Dimension(name="stride", about="distance between neighbours of the group, in ranks", default=1.0),
    ),
}
"""Every kernel a file may hold, and its dimensions."""

DIMENSIONS = tuple(dict.fromkeys(d.name for found in KERNELS.values() for d in found))
"""Columns of dimensions, each kernel using its own."""

NO_MORE_THAN = (("query", "kv_tokens"), ("top_k", "experts"), ("kv_heads", "heads"))
"""Sizes that cannot be more than another."""

Value = int | float | str


@attrs.frozen(kw_only=True)
class Shape:
    """What is measured: a kernel, its precision and its sizes.

    Attributes:
        kernel: One of ``KERNELS``.
        precision: A format name, with one of ``SCALINGS`` where that says more.
        dims: Pairs of dimension and size, every dimension of the kernel in its order.
    """

    kernel: str
    precision: str
    dims: tuple[tuple[str, Value], ...]

    def __getitem__(self, name: str) -> Any:
        """One size."""
        return dict(self.dims)[name]

    @property
    def group(self) -> str:
        """The class of kernels it belongs to: ``"gemm"``, ``"attention decode"``, ``"elementwise add"``."""
        word = next((v for k, v in self.dims if k in ("phase", "operation")), "")
        return f"{self.kernel} {word}".strip()

    def __str__(self) -> str:
        sizes = ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in self.dims if _told(k, v))
        return f"{self.group} {self.precision} ({sizes})"


def _told(name: str, value: Value) -> bool:
    return not isinstance(value, str) and not (name in ("window", "rows", "width", "vocabulary") and not value)


def make_shape(kernel: str, precision: str, **dims: Value) -> Shape:
    """A shape with the defaults of what is left out; for sizes known to be in order."""
    found = {d.name: dims.pop(d.name, d.default) for d in KERNELS[kernel]}
    missing = [name for name, value in found.items() if value is None]
    if missing or dims:
        raise SuanliError(f"{kernel}: {'needs' if missing else 'has no'} {', '.join(missing or dims)}")
    return Shape(kernel=kernel, precision=precision, dims=tuple((k, plain(v)) for k, v in found.items()))


def plain(value: Any) -> Value:
    """A size as it is compared: whole numbers as int."""
    if isinstance(value, str):
        return value
    number = float(value)
    return int(number) if number.is_integer() else number


@attrs.frozen(kw_only=True)
class Measurement:
    """One measured time, with how it was taken.

    Attributes:
        shape: What was measured.
        time_s: Seconds of one launch: the median of the repeats.
        spread_ratio: Their interquartile range over the median; None where not stated.
        repeats: How many there were; None where not stated.
        launches: Back to back in each repeat.
        timing: ``graph``, ``events`` or ``clock``.
        implementation: The function that ran.
        rotated_bytes: Read or written before any operand was met again.
        device: As its driver names it.
        clock_hz: Of the device during the repeats.
        power_w: Of the device during the repeats.
        temperature_c: Of the device, in degrees Celsius.
        versions: Of the software.
        date: When, in UTC.
        row: Its line in the file it was read from; 0 for none.
    """

    shape: Shape
    time_s: float
    spread_ratio: float | None = None
    repeats: int | None = None
    launches: int | None = None
    timing: str = ""
    implementation: str = ""
    rotated_bytes: int | None = None
    device: str = ""
    clock_hz: float | None = None
    power_w: float | None = None
    temperature_c: float | None = None
    versions: str = ""
    date: str = ""
    row: int = attrs.field(default=0, eq=False)


RESULTS = tuple(f.name for f in attrs.fields(Measurement) if f.name not in ("shape", "row"))
"""Columns of what was found and how; `time_s` alone must be there."""

COLUMNS = ("kernel", "precision", *DIMENSIONS, *RESULTS)
"""Every column, in the order a file is written in."""

_MAKERS: Mapping[str, Callable[..., Kernel]] = {
    "gemm": kernels.gemm,
    "attention": kernels.attention,
    "mla": kernels.latent_attention,
    "moe": kernels.experts,
}


def kernel_of(shape: Shape, accelerator: Accelerator | None = None) -> Kernel:
    """The work of a shape on an accelerator; without one, as if every format had the width of bf16.

    Raises:
        SuanliError: For a collective, which is no kernel, or a precision the accelerator cannot compute in.
    """
    make, dims, about = made_by(shape, accelerator)
    return make(**dims, **about)


def made_by(
    shape: Shape, accelerator: Accelerator | None = None
) -> tuple[Callable[..., Kernel], dict[str, float], dict[str, Any]]:
    """The function that makes the kernel of a shape, its sizes, and what else it is told: formats, and a phase.

    Raises:
        SuanliError: As :func:`kernel_of`.
    """
    if shape.kernel == "elementwise":
        return kernels.elementwise, {"bytes": float(shape["bytes"])}, {}
    if shape.kernel not in _MAKERS:
        raise SuanliError(f"a {shape.kernel} is no kernel")
    end = next((e for e in SCALINGS[1:] if shape.precision.endswith(e)), "")
    formats = formats_named(accelerator, shape.precision.removesuffix(end)) if accelerator is not None else BF16
    if accelerator is not None and end and formats.precision == formats.compute:
        formats = attrs.evolve(formats, precision=f"{formats.compute}{end}")
    dims = {k: float(v) for k, v in shape.dims if not isinstance(v, str)}
    return _MAKERS[shape.kernel], dims, {"formats": formats} | {k: v for k, v in shape.dims if isinstance(v, str)}


def predicted_s(shape: Shape, accelerator: Accelerator, system: System | None = None) -> float:
    """Seconds that the models of an accelerator, or of a system for a collective, give a shape.

    Raises:
        SuanliError: Where they cannot say.
    """
    if shape.kernel != "collective":
        if accelerator.kernels is None:
            raise SuanliError(f"{accelerator.id} is not bound to a kernel model; get it with suanli.accelerator()")
        return float(accelerator.kernels.time_s(kernel_of(shape, accelerator), accelerator))
    if system is None:
        raise SuanliError(f"no system of {accelerator.id} is known, so its exchanges cannot be predicted")
    sizes = {name: float(shape[name]) for name in ("bytes", "ranks", "stride")}
    return float(system.collective_s(str(shape["operation"]), **sizes))
