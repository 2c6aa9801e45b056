"""Exchanges through torch.distributed: a process for each rank, and one voice for all of them."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from suanli.bench.device import About, CannotMeasureError
from suanli.bench.rank import serve
from suanli.bench.sensors import Reading
from suanli.errors import SuanliError
from suanli.measurement_schema import Shape

BACKENDS = {"cuda": "nccl", "npu": "hccl", "cpu": "gloo"}
PATIENCE_S = 120.0
"""Ranks that say nothing for so long have lost each other."""


class Group:
    """Processes that exchange, one a rank, told what to do over pipes.

    Args:
        kind: Of their devices.
        ranks: How many.

    Raises:
        CannotMeasureError: Where they do not find each other.
    """

    def __init__(self, kind: str, ranks: int, target: Callable[..., None] = serve) -> None:
        self.ranks = ranks
        self._folder = tempfile.TemporaryDirectory(prefix="suanli-")
        meeting = (Path(self._folder.name) / "store").as_uri()
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []
        try:
            for rank in range(ranks):
                ours, theirs = context.Pipe()
                arguments = (rank, ranks, kind, BACKENDS[kind], meeting, theirs)
                process = context.Process(target=target, args=arguments, daemon=True)
                with _uninterrupted():
                    process.start()
                theirs.close()
                self._pipes.append(ours)
                self._processes.append(process)
            self.implementation = str(self._answers()[0])
        except BaseException:
            self.close()
            raise

    def ask(self, *order: object) -> list[Any]:
        """Give every rank an order; their answers.

        Raises:
            CannotMeasureError: Where a rank refuses or is lost.
        """
        try:
            for pipe in self._pipes:
                pipe.send(order)
        except OSError:
            raise self._lost() from None
        return self._answers()

    def _answers(self) -> list[Any]:
        found: dict[int, tuple[str, Any]] = {}
        end = time.monotonic() + PATIENCE_S
        while len(found) < self.ranks:
            left = [p for i, p in enumerate(self._pipes) if i not in found]
            ready = wait(left, timeout=max(end - time.monotonic(), 0.0))
            if not ready:
                raise self._lost()
            for pipe in (p for p in left if p in ready):
                try:
                    found[self._pipes.index(pipe)] = pipe.recv()
                except (EOFError, OSError):
                    raise self._lost() from None
        refused = [value for status, value in found.values() if status != "done"]
        if refused:
            raise CannotMeasureError(str(refused[0]))
        return [found[i][1] for i in range(self.ranks)]

    def _lost(self) -> CannotMeasureError:
        self.close()
        return CannotMeasureError(f"the {self.ranks} ranks lost each other", whole=True)

    def close(self) -> None:
        """End the processes."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(timeout=5.0)
            if process.is_alive():
                process.terminate()
                process.join(timeout=5.0)
        self._pipes, self._processes = [], []
        self._folder.cleanup()

    @property
    def alive(self) -> bool:
        """Whether its processes are there."""
        return bool(self._processes) and all(p.is_alive() for p in self._processes)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Within this context Ctrl-C is ignored, and by processes begun in it from their first moment."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class ExchangeWork:
    """One exchange made ready on every rank."""

    def __init__(self, group: Group, kind: str, shape: Shape) -> None:
        self._group = group
        sizes = (str(shape["operation"]), int(shape["bytes"]), shape.precision)
        self.rotated_bytes = int(group.ask("prepare", *sizes)[0])
        self.implementation = f"torch.distributed, {group.implementation}"
        self.timing = "clock" if kind == "cpu" else "events"
        self.least_launches = 1

    def run(self, launches: int) -> float:
        """Seconds of so many exchanges, back to back: those of the slowest rank."""
        return max(float(s) for s in self._group.ask("run", launches))

    def close(self) -> None:
        """Give back the buffers."""
        if self._group.alive:
            self._group.ask("release")


class Ranks:
    """A :class:`suanli.bench.device.Device` for exchanges; the group of one size is open at a time.

    Args:
        about: Of the devices, all alike.
    """

    def __init__(self, about: About) -> None:
        self.about = about
        self._group: Group | None = None
        self._failed: dict[int, str] = {}

    def prepare(self, shape: Shape) -> ExchangeWork:
        """Make an exchange ready.

        Raises:
            CannotMeasureError: Where there are not so many ranks, or the backend does not offer it.
        """
        ranks = int(shape["ranks"])
        if ranks not in self.about.ranks:
            there = ", ".join(map(str, self.about.ranks)) or "none"
            raise CannotMeasureError(f"groups of {there} ranks can be had here")
        if int(shape["stride"]) != 1:
            raise CannotMeasureError("ranks further apart are on other nodes, which one machine does not have")
        if self._group is None or self._group.ranks != ranks or not self._group.alive:
            self._open(ranks)
        assert self._group is not None
        return ExchangeWork(self._group, self.about.kind, shape)

    def _open(self, ranks: int) -> None:
        if ranks in self._failed:
            raise CannotMeasureError(self._failed[ranks])
        if self._group is not None:
            self._group.close()
            self._group = None
        try:
            self._group = Group(self.about.kind, ranks)
        except CannotMeasureError as exc:
            self._failed[ranks] = str(exc)
            raise
        except OSError as exc:
            raise SuanliError(f"{ranks} processes could not be started: {exc}") from None

    def reading(self, since_s: float) -> Reading:
        """Nothing: the ranks' devices are several."""
        return Reading()

    def close(self) -> None:
        """End the processes."""
        if self._group is not None:
            self._group.close()
            self._group = None
