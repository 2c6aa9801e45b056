"""One rank of a group of processes: makes buffers, exchanges them, and says how long that took."""

from __future__ import annotations

import contextlib
import datetime
import signal
import time
from collections.abc import Callable
from typing import Any

from suanli.bench.torch_import import import_npu, import_torch, torch_part
from suanli.errors import clip

TIMEOUT_S = 60.0
DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
ELEMENT = {"bf16": 2, "fp16": 2, "fp32": 4}
LARGEST_ROTATION = 512 * 2**20
"""Buffers take turns up to so many bytes, past any cache between ranks."""

MOST_SETS = 16


def serve(rank: int, ranks: int, kind: str, backend: str, meeting: str, pipe: Any) -> None:
    """Follow the orders that come over a pipe until it closes.

    Args:
        rank: Of this process.
        ranks: In the group.
        kind: ``"cuda"``, ``"npu"`` or ``"cpu"``.
        backend: Of torch.distributed.
        meeting: URI of the file the ranks find each other by.
        pipe: To the process that asks.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asks ends us
    try:
        worker = Worker(rank, ranks, kind, backend, meeting)
    except Exception as exc:  # whatever a backend raises is for the process that asks to tell
        with contextlib.suppress(OSError):
            pipe.send(("refused", _reason(exc)))
        return
    with contextlib.suppress(EOFError, OSError):
        pipe.send(("done", worker.version))
        while True:
            order, *arguments = pipe.recv()
            try:
                pipe.send(("done", getattr(worker, order)(*arguments)))
            except Exception as exc:  # as above
                pipe.send(("refused", _reason(exc)))
    worker.close()


def _reason(exc: Exception) -> str:
    lines = str(exc).strip().splitlines()
    return clip(lines[0] if lines else type(exc).__name__, 160)


class Worker:
    """A rank that has met the others."""

    def __init__(self, rank: int, ranks: int, kind: str, backend: str, meeting: str) -> None:
        self.torch = import_torch()
        if kind == "npu":
            import_npu()
        self.rank, self.ranks = rank, ranks
        self.api: Any = getattr(self.torch, kind) if kind != "cpu" else None
        self.device = self.torch.device(kind if kind == "cpu" else f"{kind}:{rank}")
        if self.api is not None:
            self.api.set_device(rank)
        else:
            self.torch.set_num_threads(1)
        self.distributed = torch_part("distributed")
        limit = datetime.timedelta(seconds=TIMEOUT_S)
        self.distributed.init_process_group(backend, init_method=meeting, rank=rank, world_size=ranks, timeout=limit)
        self.version = backend
        if backend == "nccl":
            self.version = "nccl " + ".".join(map(str, self.torch.cuda.nccl.version()))
        self._calls: list[Callable[[], object]] = []
        self._next = 0

    def prepare(self, operation: str, size: int, precision: str) -> int:
        """Make the buffers of an exchange and make it once; the bytes that take turns."""
        if precision not in DTYPES:
            raise ValueError(f"exchanges are measured in {', '.join(DTYPES)}, not in {precision}")
        elements = size // ELEMENT[precision]
        if elements % self.ranks:
            raise ValueError(f"{size} bytes do not divide among {self.ranks} ranks")
        if operation == "p2p" and self.ranks != 2:
            raise ValueError("one message is measured between two ranks")
        sets = max(1, min(MOST_SETS, LARGEST_ROTATION // max(2 * size, 1)))
        dtype = getattr(self.torch, DTYPES[precision])
        self._calls = [self._call(operation, elements, dtype) for _ in range(sets)]
        for call in self._calls:
            call()
        self._wait()
        self._next = 0
        return sets * size

    def _call(self, operation: str, elements: int, dtype: Any) -> Callable[[], object]:
        dist, share = self.distributed, elements // self.ranks
        whole = self.torch.randn(elements, device=self.device).to(dtype)
        part = whole[:share].clone()
        if operation == "all_reduce":
            return lambda: dist.all_reduce(whole)
        if operation == "all_gather":
            return lambda: dist.all_gather_into_tensor(whole, part)
        if operation == "reduce_scatter":
            return lambda: dist.reduce_scatter_tensor(part, whole)
        if operation == "all_to_all":
            other = self.torch.empty_like(whole)
            return lambda: dist.all_to_all_single(other, whole)
        if operation == "broadcast":
            return lambda: dist.broadcast(whole, 0)
        if operation == "p2p":
            return (lambda: dist.send(whole, 1)) if self.rank == 0 else (lambda: dist.recv(whole, 0))
        raise ValueError(f"no exchange named {operation} is measured here")

    def run(self, launches: int) -> float:
        """Seconds this rank takes over so many exchanges, all ranks starting together."""
        self.distributed.barrier()
        self._wait()
        if self.api is None:
            began = time.perf_counter()
            self._go(launches)
            return time.perf_counter() - began
        start, end = self.api.Event(enable_timing=True), self.api.Event(enable_timing=True)
        start.record()
        self._go(launches)
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) * 1e-3

    def _go(self, launches: int) -> None:
        calls = self._calls
        for i in range(self._next, self._next + launches):
            calls[i % len(calls)]()
        self._next = (self._next + launches) % len(calls)

    def release(self) -> None:
        """Give back the buffers."""
        self._calls = []

    def close(self) -> None:
        """Leave the group."""
        with contextlib.suppress(Exception):  # the others may have left already
            self.distributed.destroy_process_group()

    def _wait(self) -> None:
        if self.api is not None:
            self.api.synchronize()
