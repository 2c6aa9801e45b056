"""A device as torch has it: NVIDIA (and what passes for it), Ascend, or the processor itself."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from suanli import units
from suanli.bench import attention, memory, products
from suanli.bench.candidates import Candidate, Launch, Tools
from suanli.bench.device import About, CannotMeasureError
from suanli.bench.opening import Opened
from suanli.bench.sensors import Reading, Sampler
from suanli.errors import clip
from suanli.measurement_schema import Shape

BUILDERS: Mapping[str, Callable[[Tools, Shape], list[Candidate]]] = {
    "gemm": products.build,
    "attention": attention.build,
    "elementwise": memory.build,
}
REFUSALS = (RuntimeError, TypeError, ValueError, AttributeError, AssertionError)
"""What torch raises for what it does not do (NotImplementedError and out of memory are RuntimeErrors)."""

ROTATIONS = 3.0
"""How many times the cache passes before an operand is met again."""

MOST_SETS = 128
MEMORY_SHARE = 0.6


def _reason(exc: Exception) -> str:
    return clip(" ".join(str(exc).split()) or type(exc).__name__, 160)


class TorchWork:
    """A shape on a device: sets of operands taken in turn, timed by graph, events or clock."""

    def __init__(self, opened: Opened, candidate: Candidate, sets: int) -> None:
        self._opened = opened
        self._candidate = candidate
        self._next = 0
        self._graphs: dict[int, Any] = {}
        self.implementation = candidate.implementation
        self.rotated_bytes = sets * candidate.set_bytes
        self.timing = "clock" if opened.kind == "cpu" else "events"
        self.least_launches = 1
        self._launches: list[Launch] = []
        with self._settings():
            self._launches = [candidate.make() for _ in range(sets)]
            for launch in self._launches:
                launch()
            opened.sync()

    @contextlib.contextmanager
    def _settings(self) -> Any:
        with self._opened.torch.no_grad(), self._candidate.within():
            yield

    def capture(self) -> None:
        """Time through graphs from now on, where the device can record one."""
        if self.timing != "events" or not self._opened.records_graphs:
            return
        sets = len(self._launches)
        try:
            with self._settings():
                self._recorded(sets)
        except REFUSALS as exc:
            if isinstance(exc.__context__, KeyboardInterrupt):  # a recording that is broken off complains
                raise KeyboardInterrupt from None
            self._graphs.clear()
            self._opened.recover()
            return
        self.timing, self.least_launches = "graph", sets

    def _recorded(self, launches: int) -> Any:
        if launches not in self._graphs:
            self._graphs.clear()  # each holds memory of its own
            self._next = 0
            self._graphs[launches] = self._opened.record(lambda: self._launch(launches))
        return self._graphs[launches]

    def _launch(self, launches: int) -> None:
        sets = self._launches
        count, at = len(sets), self._next
        for i in range(at, at + launches):
            sets[i % count]()
        self._next = (at + launches) % count

    def run(self, launches: int) -> float:
        """Seconds of so many launches, back to back.

        Raises:
            CannotMeasureError: Where a launch fails, for want of memory say.
        """
        try:
            return self._run(launches)
        except REFUSALS as exc:
            if isinstance(exc.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            reason = _reason(exc)
        self._opened.recover()
        raise CannotMeasureError(reason)

    def _run(self, launches: int) -> float:
        with self._settings():
            if self.timing == "clock":
                began = time.perf_counter()
                self._launch(launches)
                return time.perf_counter() - began
            go = self._recorded(launches).replay if self.timing == "graph" else lambda: self._launch(launches)
            return self._opened.timed(go)

    def close(self) -> None:
        """Give back operands and graphs."""
        self._graphs.clear()
        self._launches.clear()


class TorchDevice:
    """Measures kernels on one device of torch.

    Args:
        name: ``cuda``, ``cuda:1``, ``npu``, ``cpu``; None for the first accelerator there is, else the processor.

    Raises:
        SuanliError: Where torch, or the device, is not there.
    """

    def __init__(self, name: str | None = None) -> None:
        self._opened = Opened(name)
        self.about: About = self._opened.about()
        self._tools = Tools(self._opened.torch, self._opened.device, self._opened.capability)
        self._sampler = Sampler(self._opened.sensor())

    def prepare(self, shape: Shape) -> TorchWork:
        """Make a shape ready, on the fastest of the kernels that run it.

        Raises:
            CannotMeasureError: Where none does.
        """
        if shape.kernel not in BUILDERS:
            raise CannotMeasureError(f"no {shape.kernel} kernel of torch is known here", whole=True)
        candidates = BUILDERS[shape.kernel](self._tools, shape)
        room = self.about.memory_bytes * MEMORY_SHARE
        for candidate in candidates:
            if 2.0 * candidate.set_bytes > room:  # operands, and what they are copied from
                raise CannotMeasureError(f"needs {units.format(2 * candidate.set_bytes, 'bytes')} of memory")
        try:
            best = self._fastest(candidates)
            fits = max(1, int(room / best.set_bytes) - 1)
            wanted = math.ceil(ROTATIONS * self._opened.cache_bytes / best.set_bytes)
            work = self._tried(best, max(1, min(wanted, fits, MOST_SETS)))
        finally:
            self._tools.forget()
        work.capture()
        return work

    def _fastest(self, candidates: list[Candidate]) -> Candidate:
        if len(candidates) == 1:
            return candidates[0]
        found: list[tuple[float, int]] = []
        reason = CannotMeasureError("torch has no kernel for it")
        for i, candidate in enumerate(candidates):
            try:
                work = self._tried(candidate, 1)
            except CannotMeasureError as exc:
                reason = exc
                continue
            found.append((min(work.run(3) for _ in range(3)), i))
            work.close()
        if not found:
            raise reason
        return candidates[min(found)[1]]

    def _tried(self, candidate: Candidate, sets: int) -> TorchWork:
        try:
            return TorchWork(self._opened, candidate, sets)
        except REFUSALS as exc:
            reason = _reason(exc)
        self._opened.recover()
        raise CannotMeasureError(reason)

    def reading(self, since_s: float) -> Reading:
        """Clock, power and temperature since a moment."""
        return self._sampler.since(since_s)

    def close(self) -> None:
        """Stop the sensors and give memory back."""
        self._sampler.close()
        self._opened.release()
