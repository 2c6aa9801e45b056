"""Kernels: what one operation computes and moves, and the models that say how long it takes.

A :class:`Kernel` states its work; a :class:`KernelModel` turns work into seconds on an accelerator.
The model in this module is the roofline, with the fractions of peak a generation is seen to sustain.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from attrs.validators import and_, ge, gt, le

from suanli.errors import InvalidInputError, SuanliError, UnknownNameError
from suanli.formulas import fact, formula, scaled, tracing
from suanli.numeric import Number, any_true, is_scalar, maximum, minimum, power, where
from suanli.serialize import Seconds, show

if TYPE_CHECKING:
    from suanli.hardware import Accelerator
    from suanli.precision import NumberFormat

KINDS = (
    "gemm",
    "attention_prefill",
    "attention_decode",
    "mla_prefill",
    "mla_decode",
    "moe",
    "elementwise",
)
"""Kernel kinds every kernel model should know; a model may declare more."""

ROOFLINE = "Williams, Waterman & Patterson 2009, Roofline, CACM 52(4)"


@attrs.define(eq=False, kw_only=True)
class Kernel:
    """The work of one launch (or of `launches` alike), numbers or columns of them.

    Attributes:
        kind: One of ``KINDS``, or what a plugin's model declares.
        precision: How its matrix inputs are stored and multiplied; ``int4_wo`` widens stored weights first.
        compute: The format the matrix unit multiplies in.
        flops: FLOPs of one launch.
        bytes: Bytes of one launch to and from memory.
        launches: How many alike are launched, one after another.
        shape: The dimensions it was made from, for models that look closer than a roofline.
    """

    kind: str
    precision: str
    compute: str
    flops: Number
    bytes: Number
    launches: Number = 1.0
    shape: Mapping[str, Any] = attrs.Factory(dict)


@attrs.frozen(kw_only=True)
class Formats:
    """The formats of one matrix operation on one accelerator.

    Attributes:
        precision: What a kernel model looks its figures up by: `compute`, or ``int4_wo`` and the like.
        compute: The format the matrix unit multiplies in.
        weights: Bytes of a stored weight.
        activations: Bytes of an activation read.
        cache: Bytes of an element of cached keys and values.
    """

    precision: str = "bf16"
    compute: str = "bf16"
    weights: float = 2.0
    activations: float = 2.0
    cache: float = 2.0


BF16 = Formats()


def formats_on(
    accelerator: Accelerator, *, weights: NumberFormat, compute: NumberFormat, cache: NumberFormat
) -> Formats:
    """How `accelerator` multiplies `compute` inputs with stored `weights`.

    Hardware without a path for `compute` widens both to the nearest format it has.
    """
    native = accelerator.computes(compute)
    own = native == compute.compute
    narrow = weights.bytes_per_element < (compute.bytes_per_element if own else 2.0)
    label = f"{weights.name}_wo" if narrow else native
    activations = compute.bytes_per_element if own else 2.0
    return Formats(
        precision=label,
        compute=native,
        weights=weights.bytes_per_element,
        activations=activations,
        cache=cache.bytes_per_element,
    )


@formula(unit="flops", source="definition")
def matmul_flops(*, m: Number, n: Number, k: Number) -> Number:
    """FLOPs of an (m, k) x (k, n) product, a multiply-add counting as two."""
    return 2.0 * m * n * k


@formula(unit="bytes", source="definition: each operand once, the result once")
def matmul_bytes(
    *, m: Number, n: Number, k: Number, input_bytes: float, weight_bytes: float, output_bytes: float
) -> Number:
    """Bytes an (m, k) x (k, n) product moves when each operand passes once."""
    return m * k * input_bytes + k * n * weight_bytes + m * n * output_bytes


@formula(unit="pairs", source="definition")
def attended_pairs(*, query: Number, kv_tokens: Number, window: Number, causal: bool) -> Number:
    """Query-key pairs one head of one sequence scores.

    Args:
        query: Queries, the last of the sequence.
        kv_tokens: Tokens in the sequence, the queries included.
        window: Keys a query may look back on, itself included; 0 for all.
        causal: Whether a query sees no later key.
    """
    before = kv_tokens - query
    if not causal:
        return query * kv_tokens
    whole = query * before + query * (query + 1.0) / 2.0
    if is_scalar(window) and window <= 0:
        return whole
    # The first `short` queries see fewer keys than the window, the rest exactly the window.
    short = minimum(maximum(window - before, 0.0), query)
    limited = short * before + short * (short + 1.0) / 2.0 + (query - short) * window
    return where(window > 0, limited, whole)


@formula(unit="flops", source="Dao et al. 2022, FlashAttention, sec. 2: two products over the scored pairs")
def attention_flops(*, batch: Number, heads: Number, pairs: Number, key_dim: Number, value_dim: Number) -> Number:
    """FLOPs of scores and weighted sum over `pairs` query-key pairs a head."""
    return 2.0 * batch * heads * pairs * (key_dim + value_dim)


@formula(unit="bytes", source="definition: queries, keys, values and output once")
def attention_bytes(
    *,
    batch: Number,
    query: Number,
    kv_tokens: Number,
    query_width: Number,
    kv_width: Number,
    activation_bytes: float,
    cache_bytes: float,
) -> Number:
    """Bytes of a fused attention: `query_width` elements a query, `kv_width` a key-value token."""
    return batch * (query * query_width * activation_bytes + kv_tokens * kv_width * cache_bytes)


def gemm(*, m: Number, n: Number, k: Number, formats: Formats = BF16, launches: Number = 1.0) -> Kernel:
    """C[m, n] = A[m, k] B[k, n]."""
    flops = matmul_flops(m=m, n=n, k=k)
    bytes_ = matmul_bytes(
        m=m, n=n, k=k, input_bytes=formats.activations, weight_bytes=formats.weights, output_bytes=2.0
    )
    return Kernel(
        kind="gemm",
        precision=formats.precision,
        compute=formats.compute,
        flops=flops,
        bytes=bytes_,
        launches=launches,
        shape={"m": m, "n": n, "k": k},
    )


def attention(
    *,
    phase: str,
    batch: Number,
    query: Number,
    kv_tokens: Number,
    heads: Number,
    kv_heads: Number,
    head_dim: Number,
    window: Number = 0.0,
    causal: bool = True,
    formats: Formats = BF16,
) -> Kernel:
    """One layer's attention core, fused, in `phase` ``"prefill"`` or ``"decode"``."""
    pairs = attended_pairs(query=query, kv_tokens=kv_tokens, window=window, causal=causal)
    # Queries look back over at most `window` keys each, so that many older tokens are read and no more.
    seen = where(window > 0, minimum(kv_tokens, window + query - 1.0), kv_tokens)
    flops = attention_flops(batch=batch, heads=heads, pairs=pairs, key_dim=head_dim, value_dim=head_dim)
    bytes_ = attention_bytes(
        batch=batch,
        query=query,
        kv_tokens=seen,
        query_width=2.0 * heads * head_dim,
        kv_width=2.0 * kv_heads * head_dim,
        activation_bytes=formats.activations,
        cache_bytes=formats.cache,
    )
    shape = {"batch": batch, "query": query, "kv_tokens": kv_tokens, "heads": heads, "kv_heads": kv_heads}
    shape |= {"head_dim": head_dim, "window": window}
    return Kernel(
        kind=f"attention_{_phase(phase)}",
        precision=formats.precision,
        compute=formats.compute,
        flops=flops,
        bytes=bytes_,
        shape=shape,
    )


def latent_attention(
    *,
    phase: str,
    batch: Number,
    query: Number,
    kv_tokens: Number,
    heads: Number,
    kv_lora_rank: Number = 512.0,
    rope_dim: Number = 64.0,
    head_dim: Number = 128.0,
    formats: Formats = BF16,
) -> Kernel:
    """One layer's multi-head latent attention core: expanded in prefill, absorbed in decode (DeepSeek-V2)."""
    pairs = attended_pairs(query=query, kv_tokens=kv_tokens, window=0, causal=True)
    absorbed = _phase(phase) == "decode"
    key_dim = kv_lora_rank + rope_dim if absorbed else head_dim + rope_dim
    value_dim = kv_lora_rank if absorbed else head_dim
    kv_width = kv_lora_rank + rope_dim if absorbed else heads * (key_dim + value_dim)
    flops = attention_flops(batch=batch, heads=heads, pairs=pairs, key_dim=key_dim, value_dim=value_dim)
    bytes_ = attention_bytes(
        batch=batch,
        query=query,
        kv_tokens=kv_tokens,
        query_width=heads * (key_dim + value_dim),
        kv_width=kv_width,
        activation_bytes=formats.activations,
        cache_bytes=formats.cache,
    )
    shape = {"batch": batch, "query": query, "kv_tokens": kv_tokens, "heads": heads}
    return Kernel(
        kind=f"mla_{phase}",
        precision=formats.precision,
        compute=formats.compute,
        flops=flops,
        bytes=bytes_,
        shape=shape,
    )


@formula(unit="experts", source="definition: idle if no token picks it; each token picks top_k at random")
def active_experts(*, experts: Number, tokens: Number, top_k: Number) -> Number:
    """Experts at least one of `tokens` tokens is expected to be routed to."""
    return experts * (1.0 - power(1.0 - top_k / experts, tokens))


def experts(
    *,
    tokens: Number,
    hidden: Number,
    intermediate: Number,
    experts: Number,
    top_k: Number,
    tensor: Number = 1.0,
    expert: Number = 1.0,
    matrices: float = 3.0,
    imbalance: Number = 1.0,
    formats: Formats = BF16,
) -> Kernel:
    """One rank's routed experts, fused: `tokens` enter the layer on the whole expert group's behalf of this rank.

    Args:
        tokens: Tokens routed among the experts of the group, per rank of it times the ranks.
        hidden: Model width.
        intermediate: Width of an expert before it is divided.
        experts: Experts in the layer.
        top_k: Experts a token goes to.
        tensor: Ranks an expert's width is divided over.
        expert: Ranks the experts are divided over.
        matrices: Weight matrices of an expert: 3 gated, 2 plain.
        imbalance: Load of the busiest rank over the mean.
        formats: Of the matrix inputs.
    """
    routed = tokens * top_k / expert * imbalance
    inner = intermediate / tensor
    flops = matmul_flops(m=routed, n=inner * matrices, k=hidden)
    active = active_experts(experts=experts, tokens=tokens, top_k=top_k) / expert
    weights = active * matrices * hidden * inner * formats.weights
    # Tokens in and out at the model's width, and the inner tensors, all of them in two bytes.
    moved = routed * (2.0 * hidden + matrices * inner) * 2.0
    shape = {"tokens": tokens, "hidden": hidden, "intermediate": intermediate, "experts": experts, "top_k": top_k}
    return Kernel(
        kind="moe",
        precision=formats.precision,
        compute=formats.compute,
        flops=flops,
        bytes=weights + moved,
        shape=shape,
    )


def elementwise(*, bytes: Number, flops: Number = 0.0, launches: Number = 1.0) -> Kernel:
    """A memory-bound pass (norm, activation, residual, optimizer step) moving `bytes`."""
    return Kernel(kind="elementwise", precision="fp32", compute="fp32", flops=flops, bytes=bytes, launches=launches)


def _phase(phase: str) -> str:
    if phase not in ("prefill", "decode"):
        raise SuanliError(f"phase must be 'prefill' or 'decode', got {phase!r}")
    return phase


@formula(unit="s", source=ROOFLINE)
def roofline_s(
    *,
    flops: Number,
    bytes: Number,
    peak_flops_per_s: float,
    bandwidth_bytes_per_s: float,
    compute_ratio: float,
    bandwidth_ratio: float,
    launch_s: float,
) -> Number:
    """Seconds of a kernel: a launch, then arithmetic and traffic at the sustained fractions of both peaks.

    The two are added. The larger alone would assume perfect overlap;
    over the measured classes the sum has the smaller error in three of four, and large kernels no bias.
    Either way no kernel is faster than its roofline.
    """
    compute = flops / (peak_flops_per_s * compute_ratio)
    memory = bytes / (bandwidth_bytes_per_s * bandwidth_ratio)
    return launch_s + compute + memory


_FRACTION = and_(gt(0.0), le(1.0))


@attrs.frozen(kw_only=True)
class Efficiency:
    """What a generation sustains in one kind of kernel, fitted to measurements.

    Attributes:
        generation: Of accelerators; ``"datasheet"`` for the fallback of those never measured.
        accelerator: Instead of a generation: the one accelerator it was measured on.
        kernel: One of ``KINDS``.
        precision: How matrix inputs are stored and multiplied.
        compute_ratio: Sustained share of the peak rate, 0 to 1.
        bandwidth_ratio: Sustained share of the memory bandwidth, 0 to 1.
        launch_s: Floor under the shortest kernel.
        band: Measured over predicted, 10th and 90th percentile, on rows not fitted.
        rows: Rows fitted.
        held_out_rows: Rows the error was taken on.
        median_error: Median relative error on those.
        p90_error: 90th percentile of it.
        bias: Median of predicted over measured, less 1.
        source: The measurements.
    """

    generation: str = ""
    accelerator: str = ""
    kernel: str
    precision: str
    compute_ratio: float = attrs.field(validator=_FRACTION)
    bandwidth_ratio: float = attrs.field(validator=_FRACTION)
    launch_s: Seconds = attrs.field(default=0.0, validator=ge(0.0))
    band: tuple[float, ...] = ()
    rows: int = 0
    held_out_rows: int = 0
    median_error: float | None = None
    p90_error: float | None = None
    bias: float | None = None
    source: str

    def facts(self) -> tuple[float, float, float]:
        """The three fitted figures as facts a trace remembers."""
        about = f"{self.generation or self.accelerator}.{self.kernel}.{self.precision}"
        return (
            fact(self.compute_ratio, f"{about}.compute_ratio", "ratio", self.source),
            fact(self.bandwidth_ratio, f"{about}.bandwidth_ratio", "ratio", self.source),
            fact(self.launch_s, f"{about}.launch_s", "s", self.source),
        )


@attrs.frozen(kw_only=True)
class KernelModel:
    """Says how long a kernel takes on the accelerators it serves; plugins derive from this.

    Attributes:
        name: Unique among kernel models.
        generations: Generations it serves.
        accelerators: Accelerator ids it serves, before any generation's model.
        fallback: Whether it serves every accelerator no other model does.
        rung: ``analytic`` or ``calibrated``.
        source: The measurements or the theory it rests on.
    """

    name: str
    generations: tuple[str, ...] = ()
    accelerators: tuple[str, ...] = ()
    fallback: bool = False
    rung: str = "analytic"
    source: str = ""

    def bind(self, fallback: KernelModel) -> KernelModel:
        """This model, with the catalog's fallback at hand for what it does not know."""
        return self

    def under_load(self, sustained_ratio: float) -> KernelModel:
        """This model when the accelerator computes without a pause and holds only a share of its peak."""
        return self

    def time_s(self, kernel: Kernel, accelerator: Accelerator) -> Number:
        """Seconds of all the launches of `kernel`."""
        raise SuanliError(f"kernel model {self.name!r} does not define time_s")

    def band(self, kind: str, precision: str) -> tuple[float, float] | None:
        """Measured over predicted at the 10th and 90th percentile; None where nobody measured."""
        return None


@attrs.frozen(kw_only=True)
class Roofline(KernelModel):
    """The roofline, at the shares of peak and bandwidth each kind of kernel sustains.

    Attributes:
        efficiencies: What was fitted.
        rest: The model asked for kinds nobody measured here.
        cap: Share of the peak no kernel exceeds: 1, or what power allows under continuous load.
    """

    efficiencies: tuple[Efficiency, ...]
    rest: Roofline | None = None
    cap: float = 1.0

    def under_load(self, sustained_ratio: float) -> KernelModel:
        """This model with every compute ratio capped at what power allows."""
        return attrs.evolve(self, cap=sustained_ratio)

    def bind(self, fallback: KernelModel) -> KernelModel:
        """This model, asking the fallback for kinds nobody measured here."""
        return attrs.evolve(self, rest=fallback) if isinstance(fallback, Roofline) and not self.fallback else self

    @functools.cached_property
    def _table(self) -> dict[tuple[str, str], Efficiency]:
        return {(e.kernel, e.precision): e for e in self.efficiencies}

    def efficiency(self, kind: str, precision: str) -> Efficiency:
        """The fitted entry for a kind in a precision; the kind's nearest precision where that is not fitted.

        Raises:
            SuanliError: Where nothing of the kind was fitted.
        """
        table = self._table
        found = table.get((kind, precision))
        if found is None:
            found = self._nearest(kind, precision)
            table[kind, precision] = found
        return found

    def _nearest(self, kind: str, precision: str) -> Efficiency:
        for choice in ("bf16", "fp16", "fp32"):
            if (kind, choice) in self._table:
                return self._table[kind, choice]
        same = [e for e in self.efficiencies if e.kernel == kind]
        if same:
            return same[0]
        if self.rest is not None:
            return self.rest.efficiency(kind, precision)
        raise SuanliError(f"kernel model {self.name!r} has no figures for {kind!r} kernels")

    def time_s(self, kernel: Kernel, accelerator: Accelerator) -> Number:
        """Seconds of all the launches of `kernel`: launches x roofline."""
        fitted = self._table.get((kernel.kind, kernel.precision)) or self.efficiency(kernel.kind, kernel.precision)
        compute = accelerator.vector_precision if kernel.kind == "elementwise" else kernel.compute
        peak, bandwidth = accelerator.rates[compute], accelerator.memory_bandwidth_bytes_per_s
        ratios = (min(fitted.compute_ratio, self.cap), fitted.bandwidth_ratio, fitted.launch_s)
        if tracing():
            peak, bandwidth = accelerator.peak_flops_per_s(compute), accelerator.bandwidth_bytes_per_s
            ratios = fitted.facts()
            if self.cap < ratios[0]:
                source = accelerator.source_of("sustained_ratio")
                capped = fact(self.cap, f"{accelerator.id}.sustained_ratio", "ratio", source)
                ratios = (capped, ratios[1], ratios[2])
        each = roofline_s(
            flops=kernel.flops,
            bytes=kernel.bytes,
            peak_flops_per_s=peak,
            bandwidth_bytes_per_s=bandwidth,
            compute_ratio=ratios[0],
            bandwidth_ratio=ratios[1],
            launch_s=ratios[2],
        )
        return scaled("s", kernel.launches, each)

    def band(self, kind: str, precision: str) -> tuple[float, float] | None:
        """The fitted entry's band."""
        fitted = self.efficiency(kind, precision)
        return (fitted.band[0], fitted.band[1]) if len(fitted.band) == 2 else None


def ask(accelerator: Accelerator, make: Callable[..., Kernel], precision: str, **shape: Any) -> Any:
    """Seconds of one kernel asked for by hand: arguments checked, arrays allowed, scalars give a float.

    Raises:
        InvalidInputError: Naming every dimension that is not a positive finite number.
        SuanliError: Where the accelerator has no kernel model.
    """
    model = accelerator.kernels
    if model is None:
        raise SuanliError(f"{accelerator.id} is not bound to a kernel model; get it with suanli.accelerator()")
    formats = _asked(accelerator, precision)
    phase = {k: v for k, v in shape.items() if k == "phase"}
    faults: list[str] = []
    numbers = {k: _size(k, v, faults) for k, v in shape.items() if k != "phase"}
    if not faults:
        faults = [f"{a}: must not be more than {b}" for a, b in _AT_MOST if _exceeds(numbers, a, b)]
    if faults:
        raise InvalidInputError(faults, "kernel")
    return model.time_s(make(**numbers, **phase, formats=formats), accelerator)


_AT_MOST = (("query", "kv_tokens"), ("top_k", "experts"))
"""Sizes that cannot be more than another."""


def _size(name: str, value: Any, faults: list[str]) -> Any:
    """A dimension as a number or a column; a fault is noted where it is not positive and finite.

    A window may be 0.
    """
    try:
        number = as_number(value)
    except InvalidInputError as exc:
        faults.append(f"{name}: {exc.errors[0]}")
        return 1.0
    least_is_zero = name == "window"
    fine = (number >= 0.0) if least_is_zero else (number > 0.0)
    if any_true(~fine if not isinstance(fine, bool) else not fine) or any_true(number > 1e30):
        faults.append(f"{name}: must be a {'finite number, 0 or more' if least_is_zero else 'positive finite number'}")
    return number


def _exceeds(numbers: Mapping[str, Any], a: str, b: str) -> bool:
    return a in numbers and b in numbers and any_true(numbers[a] > numbers[b])


def _asked(accelerator: Accelerator, precision: str) -> Formats:
    """Formats of a kernel asked for by one name: weights, inputs and cache alike; ``_wo`` for weights only."""
    known = {n: f for f in accelerator.formats for n in (f.name, *f.aliases)}
    if not isinstance(precision, str):
        raise UnknownNameError("precision", show(precision), known)
    name = precision.removesuffix("_wo")
    if name not in known or "bf16" not in known:
        raise UnknownNameError("precision", precision, known)
    stored = known[name]
    if precision.endswith("_wo"):
        return formats_on(accelerator, weights=stored, compute=known["bf16"], cache=known["bf16"])
    return formats_on(accelerator, weights=stored, compute=stored, cache=stored)


def as_number(value: Any) -> Any:
    """A float of a scalar, a float64 array of an array or list of numbers.

    Raises:
        InvalidInputError: Where it is neither.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return float("inf")
    if not isinstance(value, (bool, str, bytes)) and value is not None:
        import numpy as np

        try:
            array = np.asarray(value)
            if array.dtype.kind in "iuf":
                return array.astype(np.float64) if array.ndim else float(array)
        except (TypeError, ValueError, OverflowError):
            pass
    raise InvalidInputError([f"expected a number or an array of numbers, got {show(value)}"])
