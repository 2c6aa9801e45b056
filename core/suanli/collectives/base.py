"""What a collective model answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from suanli.errors import SuanliError
from suanli.fits import TimeModel
from suanli.numeric import Number

if TYPE_CHECKING:
    from suanli.hardware import System

OPERATIONS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "p2p")
"""Exchanges a collective model must know."""


@attrs.frozen(kw_only=True)
class CollectiveModel(TimeModel):
    """Says how long an exchange takes on the systems it serves; plugins derive from this.

    Attributes:
        systems: System ids it serves, before any generation's model.
    """

    systems: tuple[str, ...] = ()

    def bind(self, fallback: CollectiveModel) -> CollectiveModel:
        """This model, with the catalog's fallback at hand for what it does not know."""
        return self

    def of_engine(self) -> CollectiveModel:
        """This model for a serving engine that reduces small buffers itself; by default the library's figures."""
        return self

    def dispatching(self, copies: Number) -> CollectiveModel:
        """This model for an all-to-all of tokens that each go to `copies` experts, sent once to each domain.

        By default every copy travels by itself.
        """
        return self

    def time_s(self, operation: str, *, bytes: Number, ranks: Number, stride: Number, system: System) -> Number:
        """Seconds of one exchange; 0 for a group of one."""
        raise SuanliError(f"collective model {self.name!r} does not define time_s")

    def band(self) -> tuple[float, float] | None:
        """Measured over predicted at the 10th and 90th percentile; None where nobody measured."""
        return None
