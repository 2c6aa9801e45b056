"""Kernel models: how long one operation takes on an accelerator.

The model here is the roofline, with the fractions of both peaks that a generation is seen to sustain.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import attrs
from attrs.validators import and_, ge, gt, le

from suanli.errors import SuanliError
from suanli.fits import Fit, TimeModel
from suanli.formulas import fact, formula, scaled, tracing
from suanli.kernels import Kernel
from suanli.numeric import Number
from suanli.serialize import Seconds

if TYPE_CHECKING:
    from suanli.hardware import Accelerator

ROOFLINE = "Williams, Waterman & Patterson 2009, Roofline, CACM 52(4)"


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
class Efficiency(Fit):
    """What a generation sustains in one kind of kernel, fitted to measurements.

    Attributes:
        accelerator: Instead of a generation: the one accelerator it was measured on.
        kernel: One of ``KINDS``.
        precision: How matrix inputs are stored and multiplied.
        compute_ratio: Sustained share of the peak rate, 0 to 1.
        bandwidth_ratio: Sustained share of the memory bandwidth, 0 to 1.
        launch_s: Floor under the shortest kernel.
    """

    accelerator: str = ""
    kernel: str
    precision: str
    compute_ratio: float = attrs.field(validator=_FRACTION)
    bandwidth_ratio: float = attrs.field(validator=_FRACTION)
    launch_s: Seconds = attrs.field(default=0.0, validator=ge(0.0))

    def facts(self) -> tuple[float, float, float]:
        """The three fitted figures as facts a trace remembers."""
        about = f"{self.generation or self.accelerator}.{self.kernel}.{self.precision}"
        return (
            fact(self.compute_ratio, f"{about}.compute_ratio", "ratio", self.source),
            fact(self.bandwidth_ratio, f"{about}.bandwidth_ratio", "ratio", self.source),
            fact(self.launch_s, f"{about}.launch_s", "s", self.source),
        )


@attrs.frozen(kw_only=True)
class KernelModel(TimeModel):
    """Says how long a kernel takes on the accelerators it serves; plugins derive from this.

    Attributes:
        accelerators: Accelerator ids it serves, before any generation's model.
    """

    accelerators: tuple[str, ...] = ()

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
    cap: float = attrs.field(default=1.0, repr=False)  # an accelerator's own figure, which may be confidential

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
                named, hidden = f"{accelerator.id}.sustained_ratio", accelerator.confidential
                capped = fact(self.cap, named, "ratio", source, hidden)
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
        return self.efficiency(kind, precision).interval
