"""Opening a device of torch: its name, sizes and versions, its graphs and its clock."""

from __future__ import annotations

import importlib
import os
import platform
import re
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from suanli.bench import sensors
from suanli.bench.device import About
from suanli.bench.torch_import import import_npu, import_torch
from suanli.errors import SuanliError, clip

KINDS = ("cuda", "npu", "cpu")
DTYPES = {
    "cuda": ("bf16", "fp16", "tf32", "fp32", "fp8", "int8"),
    "npu": ("bf16", "fp16", "fp32"),
    "cpu": ("bf16", "fp16", "fp32", "int8"),
}
CACHE_BYTES = {"cuda": 128 * 2**20, "npu": 192 * 2**20, "cpu": 32 * 2**20}
"""Taken for a cache whose size the driver does not tell: as large as they come (910B: 192 MiB)."""

MOST_HOST_BYTES = 80 * 2**20
"""Of a processor's cache, what is rotated past: filling more takes longer than measuring."""

SHORT_S = 0.1
"""Samples shorter than this are queued behind one like them, so that the device never waits for the host."""


class Opened:
    """A torch device that is there.

    Args:
        name: ``cuda:0``, ``npu``, ``cpu`` ...; None for the first accelerator, else the processor.

    Raises:
        SuanliError: Saying which devices there are.
    """

    def __init__(self, name: str | None = None) -> None:
        self.torch = import_torch()
        kind, index = self._place(name)
        self.kind, self.index = kind, index
        self.api: Any = getattr(self.torch, kind) if kind != "cpu" else None
        self.device = self.torch.device(kind if kind == "cpu" else f"{kind}:{index}")
        if self.api is not None:
            self.api.set_device(index)
        self.torch.manual_seed(0)
        self._properties: Any = self.api.get_device_properties(index) if self.api is not None else None
        self._longest_s = 0.0

    def _place(self, name: str | None) -> tuple[str, int]:
        if name is None:
            there = [k for k in KINDS[:2] if self._count(k)]
            return (there or ["cpu"])[0], 0
        match = re.fullmatch(r"(cuda|npu|cpu)(?::([0-9]{1,4}))?", name.strip().lower())
        if match is None:
            raise SuanliError(f"--device {name!r}: expected cuda, cuda:1, npu, npu:1 or cpu")
        kind, index = match[1], int(match[2] or 0)
        if kind == "npu":
            import_npu()
        count = 1 if kind == "cpu" else self._count(kind)
        if index >= count:
            there = [f"{k} ({n})" for k in KINDS[:2] if (n := self._count(k))]
            raise SuanliError(
                f"--device {name}: torch {self.torch.__version__} sees {count} {kind} devices; "
                f"there is {', '.join([*there, 'cpu'])}"
            )
        return kind, index

    def _count(self, kind: str) -> int:
        if kind == "npu" and not hasattr(self.torch, "npu"):
            try:
                import_npu()
            except SuanliError:
                return 0
        api: Any = getattr(self.torch, kind, None)
        return int(api.device_count()) if api is not None and api.is_available() else 0

    @property
    def capability(self) -> tuple[int, int]:
        """Compute capability; (0, 0) for what is not NVIDIA's."""
        if self.kind != "cuda" or self.torch.version.hip:
            return (0, 0)
        major, minor = self.api.get_device_capability(self.index)
        return int(major), int(minor)

    @property
    def cache_bytes(self) -> int:
        """The last cache before memory, as far as it is worth rotating past."""
        if self.kind == "cpu":
            return min(host_cache_bytes() or CACHE_BYTES["cpu"], MOST_HOST_BYTES)
        told = getattr(self._properties, "L2_cache_size", 0) or 0
        return int(told) or CACHE_BYTES[self.kind]

    def about(self) -> About:
        """What is known of the device."""
        if self.kind == "cpu":
            room = _host_memory_bytes() * 0.5
            ranks = tuple(r for r in (2, 4, 8) if r <= max(2, os.cpu_count() or 2))
        else:
            room = float(self.api.mem_get_info(self.index)[0])
            devices = self._count(self.kind)
            ranks = tuple(r for r in (2, 4, 8, 16) if r <= devices)
        host = self.kind == "cpu"
        return About(
            name=processor_name() if host else str(self.api.get_device_name(self.index)),
            kind=self.kind,
            versions=self._versions(),
            memory_bytes=room,
            most_flops=2e10 if host else 2e13,
            most_bytes=3e8 if host else room / 8.0,
            precisions=DTYPES[self.kind],
            ranks=ranks,
        )

    def _versions(self) -> str:
        version: Any = self.torch.version
        said = [("suanli", _own_version()), ("torch", self.torch.__version__)]
        if self.kind == "cuda":
            said += [("HIP", version.hip)] if version.hip else [("CUDA", version.cuda)]
            said += [("cuDNN", self.torch.backends.cudnn.version())]
        if self.kind == "npu":
            said += [("torch_npu", importlib.import_module("torch_npu").__version__)]
        return "; ".join(f"{name} {text}" for name, text in said if text)

    def sensor(self) -> sensors.Sensor | None:
        """What knows its clock and power, where anything does."""
        if self.kind == "cuda":
            uuid = str(getattr(self._properties, "uuid", "") or "")
            return sensors.nvidia(self.index, uuid if not uuid or uuid.startswith("GPU-") else f"GPU-{uuid}")
        return sensors.ascend(self.index) if self.kind == "npu" else sensors.processor()

    @property
    def records_graphs(self) -> bool:
        """Whether launches can be recorded and replayed without the host."""
        return self.kind != "cpu" and self._graph_class() is not None

    def _graph_class(self) -> Any:
        return getattr(self.api, {"cuda": "CUDAGraph", "npu": "NPUGraph"}[self.kind], None)

    def record(self, go: Callable[[], None]) -> Any:
        """A graph of what `go` launches."""
        graph = self._graph_class()()
        with self.api.graph(graph):
            go()
        return graph

    def timed(self, go: Callable[[], object]) -> float:
        """Seconds the device takes over what `go` queues."""
        start, end = self.api.Event(enable_timing=True), self.api.Event(enable_timing=True)
        if self._longest_s < SHORT_S:
            go()
        start.record()
        go()
        end.record()
        end.synchronize()
        self._longest_s = float(start.elapsed_time(end)) * 1e-3
        return self._longest_s

    def sync(self) -> None:
        """Wait for everything queued."""
        if self.api is not None:
            self.api.synchronize()

    def release(self) -> None:
        """Give cached memory back to the device."""
        if self.api is not None:
            self.sync()
            self.api.empty_cache()

    def recover(self) -> None:
        """Go on after a launch that failed.

        Raises:
            SuanliError: Where the device no longer answers.
        """
        try:
            self.release()
        except RuntimeError as exc:
            said = clip(" ".join(str(exc).split()), 200)
            raise SuanliError(
                f"{self.device} stopped answering, and this process cannot reach it again: {said}"
            ) from None


def _own_version() -> str:
    """Of suanli; empty where it is run from its source, and not installed."""
    try:
        return metadata.version("suanli")
    except metadata.PackageNotFoundError:
        return ""


def processor_name() -> str:
    """The processor, as its maker names it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    match = re.search(r"model name\s*:\s*(.+)", text)
    name = match[1].strip() if match else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} threads"


def host_cache_bytes(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> int:
    """The largest cache of the processor; 0 where the system does not tell."""
    sizes = [0]
    for file in folder.glob("index*/size"):
        match = re.fullmatch(r"([0-9]+)([KMG]?)", file.read_text(encoding="ascii").strip())
        if match:
            sizes.append(int(match[1]) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[match[2]])
    return max(sizes)


def _host_memory_bytes() -> float:
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return 4e9
