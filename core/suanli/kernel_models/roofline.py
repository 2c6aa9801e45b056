"""The kernel model of fitted generations, and of the datasheet: which formula answers for which kernel."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from suanli.errors import SuanliError
from suanli.formulas import fact, scaled, tracing
from suanli.kernel_models.attention import decode_s, prefill_s
from suanli.kernel_models.base import KernelModel
from suanli.kernel_models.carrying import carried
from suanli.kernel_models.efficiency import Efficiency
from suanli.kernel_models.experts import experts_s
from suanli.kernel_models.gemm import SCALED_BEFORE, gemm_s
from suanli.kernel_models.limits import Limits, limits_of, settled_s, sustained_s
from suanli.kernels import Kernel
from suanli.numeric import Number, is_scalar

if TYPE_CHECKING:
    from suanli.hardware import Accelerator

Physics = Callable[[Kernel, Efficiency, Limits], Number]

REMEMBERED = 512
"""Kernels a model remembers: a search asks for the same few again and again."""
REMEMBERED_ROWS = 1_024
"""Longest column remembered."""


def plain_s(kernel: Kernel, fitted: Efficiency, limits: Limits) -> Number:
    """Seconds of a kernel of which only its work is known: the roofline at the sustained shares of both peaks."""
    compute = sustained_s(
        flops=kernel.flops, peak_flops_per_s=limits.peak_flops_per_s, compute_ratio=limits.compute_ratio
    )
    return settled_s(kernel, fitted, limits, compute)


PRODUCT = frozenset(("m", "n", "k", "input_bytes", "weight_bytes"))
ROUTED = frozenset(
    ("copies", "listed", "routed", "active", "hidden", "inner", "matrices", "input_bytes", "weight_bytes")
)
CORE = frozenset(("batch", "query", "kv_tokens", "heads", "kv_heads", "key_dim", "value_dim", "window", "pairs"))
CACHED = frozenset(("batch", "query", "seen", "heads", "kv_heads", "key_dim", "value_dim", "token_bytes"))


def physics_of(kernel: Kernel, fitted: Efficiency) -> Physics:
    """The formula for a kernel: its kind's, where its shape says enough and what was fitted allows."""
    kind, known = kernel.kind, kernel.shape.keys()
    if kind == "gemm" and fitted.tiles and known >= PRODUCT:
        return gemm_s
    if kind == "moe" and fitted.tiles and known >= ROUTED:
        return experts_s
    if kind.endswith("_prefill") and fitted.block and known >= CORE:
        return prefill_s
    if kind.endswith("_decode") and fitted.core_bandwidth_ratio and known >= CACHED:
        return decode_s
    return plain_s


def on_accelerator(
    fitted: Efficiency, kernel: Kernel, accelerator: Accelerator, *, cap: float = 1.0, cold: bool = False
) -> tuple[Efficiency, Limits]:
    """What was fitted, as it holds for an accelerator, and the limits it sets; see :func:`limits_of`."""
    own, headroom = carried(fitted, accelerator)
    return own, limits_of(accelerator, kernel, own, cap, headroom, cold)


def _key(kernel: Kernel, limits: Limits) -> tuple[Any, ...] | None:
    """What a kernel's time depends on; None where that is too long to remember."""
    parts: list[Any] = [kernel.kind, kernel.precision, limits]
    for value in (kernel.flops, kernel.bytes, *kernel.shape.values()):
        if is_scalar(value):
            parts.append(value)
        elif value.size > REMEMBERED_ROWS:
            return None
        else:
            parts.append((value.shape, value.tobytes()))
    return tuple(parts)


@attrs.frozen(kw_only=True)
class Roofline(KernelModel):
    """The roofline with what keeps each kind of kernel from it, as fitted to a generation.

    Attributes:
        efficiencies: What was fitted.
        rest: The model asked for kinds nobody measured here.
        cap: Share of the peak no kernel exceeds: 1, or what power allows under continuous load.
        cold: Whether kernels run among others, whose data pass through the cache too.
    """

    efficiencies: tuple[Efficiency, ...]
    rest: Roofline | None = None
    cap: float = attrs.field(default=1.0, repr=False)  # an accelerator's own figure, which may be confidential
    cold: bool = attrs.field(default=False, repr=False)

    def under_load(self, sustained_ratio: float) -> KernelModel:
        """This model with every compute ratio capped at what power allows, and weights from memory."""
        return attrs.evolve(self, cap=sustained_ratio, cold=True)

    def bind(self, fallback: KernelModel) -> KernelModel:
        """This model, asking the fallback for kinds nobody measured here."""
        return attrs.evolve(self, rest=fallback) if isinstance(fallback, Roofline) and not self.fallback else self

    @functools.cached_property
    def chain(self) -> tuple[Roofline, ...]:
        """This model, and those asked after it."""
        return (self, *(self.rest.chain if self.rest is not None else ()))

    @functools.cached_property
    def _table(self) -> dict[tuple[str, str], Efficiency]:
        return {(e.kernel, e.precision): e for e in self.efficiencies}

    @functools.cached_property
    def _chosen(self) -> dict[tuple[str, str], Efficiency]:
        """What was looked up, apart from the table: what is near must not depend on what was asked before."""
        return dict(self._table)

    @functools.cached_property
    def _memory(self) -> dict[tuple[Any, ...], Number]:
        return {}

    def efficiency(self, kind: str, precision: str) -> Efficiency:
        """The fitted entry for a kind in a precision; the kind's nearest precision where that is not fitted.

        Raises:
            SuanliError: Where nothing of the kind was fitted.
        """
        found = self._chosen.get((kind, precision))
        if found is None:
            found = self._nearest(kind, precision)
            self._chosen[kind, precision] = found
        return found

    def _nearest(self, kind: str, precision: str) -> Efficiency:
        """Its variant without block or static scales, what nobody measured here, or another precision of its kind."""
        chain = self.chain
        fitted = [m for m in chain if not m.fallback] or [self]
        scaled = precision.removesuffix(SCALED_BEFORE)
        plain = scaled.removesuffix("_block")
        for model in chain:
            for name in (precision, scaled) if model.fallback and model is not self else (precision, scaled, plain):
                if (kind, name) in model._table:
                    return model._table[kind, name]
        for choice in ("bf16", "fp16", "fp32"):
            for model in fitted:
                if (kind, choice) in model._table:
                    return model._table[kind, choice]
        same = [e for m in fitted for e in m.efficiencies if e.kernel == kind]
        if same:
            return same[0]
        if chain[-1].fallback and not self.fallback:
            return chain[-1].efficiency(kind, precision)
        raise SuanliError(f"kernel model {self.name!r} has no figures for {kind!r} kernels")

    def time_s(self, kernel: Kernel, accelerator: Accelerator) -> Number:
        """Seconds of all the launches of `kernel`."""
        known = self.efficiency(kernel.kind, kernel.precision)
        fitted, limits = on_accelerator(known, kernel, accelerator, cap=self.cap, cold=self.cold)
        if tracing() and self.cap < fitted.compute_ratio:
            source = accelerator.source_of("sustained_ratio")
            about, hidden = f"{accelerator.id}.sustained_ratio", accelerator.confidential
            limits = limits._replace(compute_ratio=fact(self.cap, about, "ratio", source, hidden))
        if tracing():
            return scaled("s", kernel.launches, physics_of(kernel, fitted)(kernel, fitted, limits))
        return kernel.launches * self._remembered(kernel, fitted, limits)

    def _remembered(self, kernel: Kernel, fitted: Efficiency, limits: Limits) -> Number:
        """Seconds of one launch, made once for a kernel of one shape."""
        key = _key(kernel, limits)
        found = self._memory.get(key) if key else None
        if found is None:
            found = physics_of(kernel, fitted)(kernel, fitted, limits)
            if key:
                if len(self._memory) >= REMEMBERED:
                    self._memory.clear()
                self._memory[key] = found
        return found

    def band(self, kind: str, precision: str) -> tuple[float, float] | None:
        """The fitted entry's band."""
        return self.efficiency(kind, precision).interval
