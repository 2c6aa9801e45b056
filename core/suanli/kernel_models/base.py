"""The interface of a kernel model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from suanli.errors import SuanliError
from suanli.fits import TimeModel
from suanli.kernels import Kernel
from suanli.numeric import Number

if TYPE_CHECKING:
    from suanli.hardware import Accelerator


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
