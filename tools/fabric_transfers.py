"""Turn the measured collectives into transfers: bytes sent, hops, seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kernel_rows import DEVICES, Device, read, seconds_of, source_of
from suanli.collectives import exchanged_bytes, ring_bytes
from suanli.numeric import doublings

# Nodes whose network is known: (device, network bytes/s one way per accelerator).
NODES = {"a100_dgx": ("a100_sxm", 25e9), "h100_dgx": ("h100_sxm", 50e9)}
# Passes of a ring over the buffer.
PASSES = {"all_reduce": 2.0, "all_gather": 1.0, "reduce_scatter": 1.0}


@dataclass(frozen=True)
class Transfer:
    """One collective measurement; `sent_s` is what an accelerator sends over its link at full rate."""

    device: Device
    fabric: str
    implementation: str
    ranks: int
    shape: str
    sent_s: float
    hops: float
    seconds: float
    source: str

    @property
    def key(self) -> tuple[str, str]:
        """The class it belongs to: generation, fabric."""
        return self.device.generation, self.fabric

    @property
    def fitted(self) -> bool:
        """NCCL inside a node, and the one network that is stated; the rest is judged by these fits."""
        return self.implementation == "NCCL" or self.key == ("hopper", "nic")


def transfers(root: Path) -> list[Transfer]:
    """Every collective measured on a fabric that is known."""
    return [*_inside(root / "measured"), *_vidur(root / "measured")]


def _inside(measured: Path) -> Iterator[Transfer]:
    for path in sorted(measured.glob("collectives_*.csv")):
        for t in read(path):
            part = DEVICES[t["gpu"]]
            yield _transfer(part, part.fabric, t["impl"], t, part.one_way_bytes_per_s, 1, path.stem)


def _vidur(measured: Path) -> Iterator[Transfer]:
    path = measured / "vidur_collectives.csv"
    for t in read(path):
        if t["node"] not in NODES:
            continue  # bridged pairs: neither a switch, nor a stated network
        name, network = NODES[t["node"]]
        part, per_node = DEVICES[name], int(t["devices_per_node"])
        if int(t["num_gpus"]) > per_node:
            yield _transfer(part, "nic", "vidur", t, network, per_node, path.stem)
        else:
            yield _transfer(part, part.fabric, "vidur", t, part.one_way_bytes_per_s, 1, path.stem)


def _transfer(part: Device, fabric: str, impl: str, t: dict[str, str], rate: float, inside: int, stem: str) -> Transfer:
    """A measurement seen by the one tier it crosses, `inside` ranks being below it."""
    ranks, size, op = int(t["num_gpus"]), float(t["bytes"]), t["op"]
    steps = doublings(float(ranks)) - doublings(float(inside))
    if op == "send_recv":
        sent = size
    elif op == "alltoall":
        sent = float(exchanged_bytes(bytes=size, ranks=float(ranks), inside=float(inside), reached=float(ranks)))
    else:
        sent = float(ring_bytes(bytes=size, ranks=float(ranks), passes=PASSES[op], inside=float(inside)))
    return Transfer(
        device=part,
        fabric=fabric,
        implementation=impl,
        ranks=ranks,
        shape=f"{op},{ranks},{t.get('devices_per_node', '')},{t['bytes']}",
        sent_s=sent / rate,
        hops=float(steps) * (2.0 if op == "all_reduce" else 1.0),
        seconds=seconds_of(t),
        source=source_of(stem, t),
    )
