"""What a measurement asks of a device; torch is one way to have one, a test's fake another."""

from __future__ import annotations

from typing import Protocol

import attrs

from suanli.bench.sensors import Reading
from suanli.errors import SuanliError
from suanli.measurement_schema import Shape


class CannotMeasureError(SuanliError):
    """A shape that a device or its software does not run.

    Attributes:
        whole: Whether the same holds of every shape of this group and precision.
    """

    def __init__(self, reason: str, *, whole: bool = False) -> None:
        super().__init__(reason)
        self.whole = whole


@attrs.frozen(kw_only=True)
class About:
    """What is known of a device before anything runs on it.

    Attributes:
        name: As its driver names it.
        kind: ``"cuda"``, ``"npu"`` or ``"cpu"``.
        versions: Of the software, each ``"name version"``, separated by ``"; "``.
        memory_bytes: What operands may take.
        most_flops: The largest work of one launch that is worth measuring.
        most_bytes: The largest traffic of one launch.
        precisions: What products are offered in, by the names ``--dtype`` takes.
        ranks: Sizes of groups it can exchange in; empty for none.
    """

    name: str
    kind: str
    versions: str = ""
    memory_bytes: float = 1e12
    most_flops: float = 1e14
    most_bytes: float = 1e11
    precisions: tuple[str, ...] = ("bf16",)
    ranks: tuple[int, ...] = ()


class Work(Protocol):
    """A shape made ready: its operands are there, and it ran once.

    Attributes:
        implementation: The function that runs.
        timing: How its seconds are taken: ``graph``, ``events`` or ``clock``.
        rotated_bytes: What passes before an operand is met again.
        least_launches: Back to back, so that every set of operands is used.
    """

    implementation: str
    timing: str
    rotated_bytes: int
    least_launches: int

    def run(self, launches: int) -> float:
        """Run so many launches back to back and wait for them; the seconds they took."""

    def close(self) -> None:
        """Give back what it holds."""


class Device(Protocol):
    """Something to measure on."""

    about: About

    def prepare(self, shape: Shape) -> Work:
        """Make a shape ready.

        Raises:
            CannotMeasureError: Where the device does not run it.
        """

    def reading(self, since_s: float) -> Reading:
        """Clock, power and temperature since a moment of ``time.monotonic``."""

    def close(self) -> None:
        """Give back what it holds."""
