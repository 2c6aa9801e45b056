"""What torch functions are built from: operands of random numbers, and the ways one shape can be run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import attrs

Launch = Callable[[], object]
"""Runs a shape once, on operands of its own."""


@attrs.frozen(kw_only=True)
class Candidate:
    """One way to run a shape.

    Attributes:
        implementation: What runs, for the file.
        set_bytes: Of one set of operands and results.
        make: Makes a set and returns its launch.
        within: Settings that hold while it runs.
    """

    implementation: str
    set_bytes: int
    make: Callable[[], Launch]
    within: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext


class Tools:
    """Torch and a device, with operands made quickly: drawn once, then copied.

    Numbers are random because zeros draw less power, and so run faster than any real product.

    Args:
        torch: The module.
        device: A ``torch.device``.
        capability: Compute capability of an NVIDIA device; (0, 0) elsewhere.
    """

    def __init__(self, torch: Any, device: Any, capability: tuple[int, int] = (0, 0)) -> None:
        self.torch = torch
        self.device = device
        self.capability = capability
        self.dtypes = {
            "bf16": torch.bfloat16,
            "fp16": torch.float16,
            "fp32": torch.float32,
            "tf32": torch.float32,
            "int8": torch.int8,
        }
        self._drawn: dict[tuple[tuple[int, ...], str], Any] = {}

    @property
    def kind(self) -> str:
        """``"cuda"``, ``"npu"`` or ``"cpu"``."""
        return str(self.device.type)

    def random(self, *size: int, precision: str) -> Any:
        """A tensor of random numbers of its own."""
        key = (size, precision)
        if key not in self._drawn:
            self._drawn[key] = self._draw(size, precision)
        return self._drawn[key].clone()

    def _draw(self, size: tuple[int, ...], precision: str) -> Any:
        if precision == "int8":
            return self.torch.randint(-127, 128, size, dtype=self.torch.int8, device=self.device)
        numbers = self.torch.randn(size, device=self.device)
        if precision == "fp8":
            return numbers.to(self.torch.float8_e4m3fn)
        return numbers.to(self.dtypes[precision])

    def indices(self, count: int, below: int) -> Any:
        """Random whole numbers, as token ids are."""
        return self.torch.randint(0, below, (count,), device=self.device)

    def forget(self) -> None:
        """Give back the numbers that operands were copied from."""
        self._drawn.clear()


def keeping(function: Callable[[], object]) -> Launch:
    """A launch that keeps its result until the next one, so that results rotate as operands do."""
    kept: list[object] = [None]

    def launch() -> object:
        kept[0] = function()
        return kept[0]

    return launch


@contextlib.contextmanager
def fp32_products(torch: Any, how: str) -> Iterator[None]:
    """Within this context fp32 products are ``"highest"`` (fp32) or ``"high"`` (tf32)."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(how)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
