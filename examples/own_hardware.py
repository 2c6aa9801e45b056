"""An accelerator that exists only in this program, beside the installed ones, in a workspace of its own.

Run: python examples/own_hardware.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import suanli

ENTRY = """
[[accelerator]]
id = "napkin-one"
vendor = "Napkin"
product = "Napkin One, twice the memory bandwidth of an H100"
generation = "hopper"               # borrows the efficiencies measured on Hopper
memory = "96 GB"
memory_bandwidth = "6.7 TB/s"
default_system = "napkin-8"
peak = { fp32 = "67 TFLOP/s", bf16 = "989 TFLOP/s", fp8 = "1979 TFLOP/s" }
source = { all = "a napkin" }

[[system]]
id = "napkin-8"
accelerator = "napkin-one"
accelerators_per_node = 8
source = { all = "a napkin" }

[[system.tier]]
name = "link"
span = 8
bandwidth = "450 GB/s"
"""


def tpot_s(workspace: suanli.Workspace, accelerator: str) -> float:
    """Seconds a token of Llama-3-8B takes on one accelerator."""
    report = workspace.estimate(
        {
            "model": {"name": "llama-3-8b"},
            "system": {"accelerator": accelerator, "accelerators": 1},
            "workload": {"kind": "serve", "prompt": 1024, "output": 256, "batch": 8},
        }
    )
    assert report.serving is not None
    assert report.serving.tpot_s is not None  # a figure that cannot be had is None, with the reason in the problems
    return report.serving.tpot_s


def main() -> None:
    """Print what twice the bandwidth buys."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "napkin.toml").write_text(ENTRY, encoding="utf-8")
        workspace = suanli.Workspace(paths=[folder])
        real, wished = tpot_s(workspace, "h100-sxm5-80"), tpot_s(workspace, "napkin-one")
    print(
        f"H100 {real * 1e3:.2f} ms a token, with twice the bandwidth {wished * 1e3:.2f} ms: {real / wished:.2f} times"
    )


if __name__ == "__main__":
    main()
