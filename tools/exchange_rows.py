"""Turn the measured collectives into exchanges on the systems of the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kernel_rows import DEVICES, Device, read, seconds_of, source_of

# The node each measured part sits in.
NODES = {"a100_sxm": "dgx-a100", "h100_sxm": "dgx-h100", "b200_sxm": "dgx-b200", "l40s": "l40s-8-pcie"}
# Vidur's nodes: the part, and our node. Its bridged A100 pairs are no system of the catalog.
VIDUR = {
    "a100_dgx": ("a100_sxm", "dgx-a100"),
    "h100_dgx": ("h100_sxm", "dgx-h100"),
    "h100_pairwise_nvlink": ("h100_sxm", "h100-nvl-8"),
}
# Its point-to-point rows between bridged pairs are the same figures for A100 and H100, and faster than the bridge.
DOUBTFUL = "h100_pairwise_nvlink"
OPERATIONS = {"alltoall": "all_to_all", "send_recv": "p2p"}
LARGE_BYTES = 65536.0
"""Below it a launch is most of the time; errors are stated from here on as well."""
# An engine's all-reduce inside a graph; outside one, launches of the host are what was measured.
ENGINES = ("SGLang_CustomAllReduce_graph", "vLLM_custom_graph", "TRTLLM")


@dataclass(frozen=True)
class Exchanged:
    """One collective measurement: what was exchanged, on which system, by whose implementation."""

    device: Device
    system: str
    fabric: str
    implementation: str
    operation: str
    ranks: int
    stride: int
    bytes: float
    seconds: float
    source: str

    @property
    def key(self) -> tuple[str, str]:
        """The class it belongs to: generation, fabric."""
        return self.device.generation, self.fabric

    @property
    def shape(self) -> str:
        """What its half is chosen by."""
        return f"{self.operation},{self.ranks},{self.stride},{self.bytes:.0f}"

    @property
    def fitted(self) -> bool:
        """NCCL inside a node, and the one network that is stated; the rest is judged by these fits."""
        return self.implementation == "NCCL" or self.key == ("hopper", "nic")


def exchanges(root: Path) -> list[Exchanged]:
    """Every collective measured on a system that is in the catalog."""
    return [*_inside(root / "measured"), *_vidur(root / "measured")]


def _inside(measured: Path) -> Iterator[Exchanged]:
    for path in sorted(measured.glob("collectives_*.csv")):
        for t in read(path):
            part = DEVICES[t["gpu"]]
            yield _row(part, NODES[t["gpu"]], part.fabric, t["impl"], t, 1, path.stem)


def _vidur(measured: Path) -> Iterator[Exchanged]:
    path = measured / "vidur_collectives.csv"
    for t in read(path):
        if t["node"] not in VIDUR or (t["node"] == DOUBTFUL and t["op"] == "send_recv"):
            continue
        name, system = VIDUR[t["node"]]
        each, ranks = int(t["devices_per_node"]), int(t["num_gpus"])
        beyond = ranks > each
        fabric = "nic" if beyond else "pcie" if system == "h100-nvl-8" and ranks > 2 else DEVICES[name].fabric
        if system == "h100-nvl-8" and ranks == 2:
            fabric = "full-mesh"
        yield _row(DEVICES[name], system, fabric, "vidur", t, 8 // each if beyond else 1, path.stem)


def _row(part: Device, system: str, fabric: str, impl: str, t: dict[str, str], stride: int, stem: str) -> Exchanged:
    return Exchanged(
        device=part,
        system=system,
        fabric=fabric,
        implementation=impl,
        operation=OPERATIONS.get(t["op"], t["op"]),
        ranks=int(t["num_gpus"]),
        stride=stride,
        bytes=float(t["bytes"]),
        seconds=seconds_of(t),
        source=source_of(stem, t),
    )
