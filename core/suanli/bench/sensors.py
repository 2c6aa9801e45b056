"""Clock, power and temperature of a device, where a library or a tool at hand knows them; none is needed."""

from __future__ import annotations

import contextlib
import importlib
import re
import shutil
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

PATIENCE_S = 5.0
"""A tool that takes longer to answer is not asked again."""


@attrs.frozen(kw_only=True)
class Reading:
    """What the sensors say; None where none does.

    Attributes:
        clock_hz: Of the units that compute.
        power_w: Of the board.
        temperature_c: Of the chip, in degrees Celsius.
    """

    clock_hz: float | None = None
    power_w: float | None = None
    temperature_c: float | None = None


@attrs.frozen(kw_only=True)
class Sensor:
    """Something that can be asked.

    Attributes:
        ask: Its reading; None where it has none after all.
        every_s: Seconds between questions that leave the device and the host in peace.
        quick: Whether an answer takes no longer than a launch.
    """

    ask: Callable[[], Reading | None]
    every_s: float
    quick: bool = False


class Sampler:
    """Asks a sensor again and again in the background, so that a reading is of the moment the work ran.

    Args:
        sensor: What to ask; None for no sensor.
    """

    def __init__(self, sensor: Sensor | None) -> None:
        self._sensor = sensor
        self._found: deque[tuple[float, Reading]] = deque(maxlen=4096)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if sensor is not None:
            self._thread = threading.Thread(target=self._ask, name="suanli-sensors", daemon=True)
            self._thread.start()

    def _ask(self) -> None:
        while self._sensor is not None and not self._stop.is_set():
            began = time.monotonic()
            found = self._asked()
            if found is None or time.monotonic() - began > PATIENCE_S:
                self._sensor = None
                return
            self._found.append((time.monotonic(), found))
            self._stop.wait(self._sensor.every_s)

    def _asked(self) -> Reading | None:
        try:
            return self._sensor.ask() if self._sensor is not None else None
        except Exception:  # a sensor must not stop a measurement, whatever its driver does
            return None

    def since(self, moment_s: float) -> Reading:
        """The medians of what was read since a moment of ``time.monotonic``; a quick sensor is asked now if nothing."""
        taken = [r for at, r in list(self._found) if at >= moment_s]
        if not taken and self._sensor is not None and self._sensor.quick:
            now = self._asked()
            taken = [now] if now is not None else []
        return Reading(
            clock_hz=_middle([r.clock_hz for r in taken]),
            power_w=_middle([r.power_w for r in taken]),
            temperature_c=_middle([r.temperature_c for r in taken]),
        )

    def close(self) -> None:
        """Stop asking."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=PATIENCE_S)


def _middle(values: list[float | None]) -> float | None:
    known = sorted(v for v in values if v is not None)
    return known[len(known) // 2] if known else None


def nvidia(index: int, uuid: str = "") -> Sensor | None:
    """The sensors of an NVIDIA device, through NVML where its Python binding is there, else nvidia-smi."""
    return _nvml(index, uuid) or _nvidia_smi(index, uuid)


def _nvml(index: int, uuid: str) -> Sensor | None:
    try:
        nvml: Any = importlib.import_module("pynvml")
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(uuid) if uuid else nvml.nvmlDeviceGetHandleByIndex(index)
    except Exception:  # the binding raises its own classes, which are not known where it is missing
        return None

    def ask() -> Reading:
        return Reading(
            clock_hz=_tried(lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM) * 1e6),
            power_w=_tried(lambda: nvml.nvmlDeviceGetPowerUsage(handle) * 1e-3),
            temperature_c=_tried(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
        )

    return Sensor(ask=ask, every_s=0.05, quick=True)


def _tried(get: Callable[[], float]) -> float | None:
    try:
        return float(get())
    except Exception:  # "not supported" on some boards, in a class of the binding
        return None


def _nvidia_smi(index: int, uuid: str) -> Sensor | None:
    fields = "clocks.sm,power.draw,temperature.gpu"
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    command = [tool, f"--query-gpu={fields}", "--format=csv,noheader,nounits", "-i", uuid or str(index)]

    def ask() -> Reading | None:
        return read_nvidia_smi(_said(command))

    return Sensor(ask=ask, every_s=0.5)


def read_nvidia_smi(text: str) -> Reading | None:
    """A reading from a line ``1980, 651.20, 54``; what is ``[N/A]`` is None."""
    cells = text.strip().splitlines()[0].split(",") if text.strip() else []
    if len(cells) != 3:
        return None
    clock, power, heat = (_float(c) for c in cells)
    return Reading(clock_hz=clock * 1e6 if clock is not None else None, power_w=power, temperature_c=heat)


def ascend(index: int) -> Sensor | None:
    """The sensors of an Ascend device through npu-smi."""
    tool = shutil.which("npu-smi")
    if tool is None:
        return None

    def ask() -> Reading | None:
        texts = [_said([tool, "info", "-t", kind, "-i", str(index)]) for kind in ("common", "power", "temp")]
        return read_npu_smi("\n".join(texts))

    return Sensor(ask=ask, every_s=1.0)


def read_npu_smi(text: str) -> Reading | None:
    """A reading from npu-smi's ``name (unit) : value`` lines."""
    found = Reading(
        clock_hz=_scaled(_named(text, r"(?:Aicore|AI ?Core) (?:Curr?(?:ent)? )?Freq\w*\s*\(MHZ\)"), 1e6),
        power_w=_named(text, r"(?:NPU Real-time Power|Power Dissipation)\s*\(W\)"),
        temperature_c=_named(text, r"(?:NPU )?Temperature\s*\(C\)"),
    )
    return found if found != Reading() else None


def _named(text: str, name: str) -> float | None:
    match = re.search(rf"{name}\s*:\s*([0-9.]+)", text, re.IGNORECASE)
    return _float(match[1]) if match else None


def _scaled(value: float | None, factor: float) -> float | None:
    return value * factor if value is not None else None


def processor() -> Sensor | None:
    """The clock of the host itself, where Linux shows it."""
    path = Path("/proc/cpuinfo")
    try:
        if "cpu MHz" not in path.read_text(encoding="utf-8", errors="replace"):
            return None
    except OSError:
        return None

    def ask() -> Reading | None:
        clocks = re.findall(r"cpu MHz\s*:\s*([0-9.]+)", path.read_text(encoding="utf-8", errors="replace"))
        return Reading(clock_hz=max(float(c) for c in clocks) * 1e6) if clocks else None

    return Sensor(ask=ask, every_s=0.25, quick=True)


def _said(command: list[str]) -> str:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        return done.stdout
    return ""


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
