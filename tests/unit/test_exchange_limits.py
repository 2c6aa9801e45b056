"""Measured exchanges that cannot be: refused by row, with what was probably mistaken."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import suanli
from suanli.exchange_limits import least_s
from suanli.measurement_schema import make_shape
from suanli.measurements import read_measurements

HEADER = "kernel,precision,operation,bytes,ranks,stride,time_s"
FAIR = "collective,bf16,all_gather,1073741824,8,1,0.0026"


def refused(tmp_path: Path, system: str, lines: Sequence[str]) -> str:
    """What is said of a file of these rows on a system."""
    path = tmp_path / "m.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    machine = suanli.system(system)
    with pytest.raises(suanli.InvalidInputError) as caught:
        read_measurements(path, accelerator=suanli.accelerator(machine.accelerator), system=machine)
    return str(caught.value)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        # 470 GB in a second over links of 450 GB/s: 875 MB of 1 GB to each
        ("all_gather,1000000000,8,1,0.00186", None),
        ("all_gather,1000000000,8,1,0.00184", "faster than dgx-h100's links of 450 GB/s one way allow"),
        ("all_gather,8589934592,8,1,0.0026", "is bytes the sum over all ranks"),
        ("all_gather,1073741824,8,1,0.0000026", "divided by 1,000 once too often"),
        ("all_gather,1073741824,8,1,2600", "is it in microseconds?"),
        ("all_gather,1073741824,8,1,2.6", "is it in milliseconds?"),
        ("all_gather,65536,8,1,22", "is it in microseconds?"),
        ("all_gather,1073741824,8,1,0", "time_s: must be above 0, got '0'"),
        ("all_gather,1073741824,8,1,-0.0026", "time_s: must be above 0, got '-0.0026'"),
        ("all_gather,-1073741824,8,1,0.0026", "bytes: must be 1 or more"),
        ("all_gather,1073741824,1,1,0.0026", "ranks: must be 2 or more"),
        # an algorithm bandwidth: in GB/s with a fraction, rounded, and in bytes a second
        ("all_gather,361.4,8,1,0.0026", "bytes: must be a whole number, got '361.4'; is it a bandwidth?"),
        ("all_gather,361,8,1,0.0006", "far too long for 361 bytes; are bytes GB/s, an algorithm bandwidth?"),
        ("all_gather,361,8,1,0.0046", "bytes GB/s, an algorithm bandwidth, or is it in milliseconds?"),
        ("all_gather,361,8,1,21", "is it in microseconds?"),
        ("all_gather,256,8,1,0.0006", None),  # a size, and a slow host
        ("all_gather,361400000000,8,1,0.0026", "more than the memory of 85.9 GB of one h100-sxm5-80; is bytes an"),
        ("all_gather,36140000000,8,1,0.00021", "is bytes an algorithm bandwidth"),
        # one way a pair of ranks has all the links; switches that add take a buffer in once
        ("p2p,1073741824,2,1,0.0022", "faster than dgx-h100's links"),
        ("all_reduce,1073741824,8,1,0.0024", None),
        ("all_reduce,1073741824,8,1,0.0022", "faster than dgx-h100's links"),
        # ranks of different nodes have the network, not the links inside
        ("all_gather,1073741824,2,8,0.011", None),
        ("all_gather,1073741824,2,8,0.009", "faster than dgx-h100's links of 50.0 GB/s one way"),
        ("all_to_all,1073741824,16,1,0.009", "faster than dgx-h100's links of 50.0 GB/s one way"),
    ],
)
def test_a_row_that_cannot_be_is_refused_by_number(tmp_path: Path, row: str, said: str | None) -> None:
    """The row, why it cannot be, and the likely mistake; the fair rows beside it are not named."""
    text = refused(tmp_path, "dgx-h100", [FAIR, f"collective,bf16,{row}", "collective,bf16,p2p,64,2,1,-1"])
    assert "row 2" not in text
    assert "row 4: time_s: must be above 0" in text
    if said is None:
        assert "row 3" not in text
    else:
        assert "row 3: " in text
        (line,) = (line for line in text.splitlines() if "row 3: " in line)
        assert said in line


def test_groups_beyond_the_network_are_refused(tmp_path: Path) -> None:
    """Eight accelerators on a bus and no network: sixteen ranks, or eight two apart, are of another system."""
    lines = [f"collective,bf16,all_gather,65536,{group},0.0001" for group in ("8,1", "16,1", "8,2")]
    text = refused(tmp_path, "l40-8-pcie", lines)
    assert "row 2" not in text
    assert "row 3" in text
    assert "joins 8 accelerators, and the group needs 16; was it another system" in text
    assert "row 4" in text
    assert "the group needs 15" in text


def test_confidential_figures_are_not_told(tmp_path: Path) -> None:
    """A confidential system's links refuse a row without their figure."""
    (tmp_path / "acme.toml").write_text(
        """
[[accelerator]]
id = "acme-one"
vendor = "Acme"
product = "Acme One"
generation = "acme-1"
memory = "96 GB"
memory_bandwidth = "3.2 TB/s"
default_system = "acme-8"
confidential = true
peak = { fp32 = "30 TFLOP/s", bf16 = "500 TFLOP/s" }
source = { all = "Acme" }
[[system]]
id = "acme-8"
accelerator = "acme-one"
accelerators_per_node = 8
confidential = true
source = { all = "Acme" }
[[system.tier]]
name = "AcmeLink"
span = 8
topology = "switch"
bandwidth = "123 GB/s"
""",
        encoding="utf-8",
    )
    path = tmp_path / "m.csv"
    rows = ["collective,bf16,all_gather,1073741824,8,1,0.001", "collective,bf16,all_gather,200000000000,8,1,10"]
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    place = suanli.Workspace(paths=[tmp_path])
    with pytest.raises(suanli.InvalidInputError) as caught:
        read_measurements(path, accelerator=place.accelerator("acme-one"), system=place.system("acme-8"))
    assert "acme-8's links" in str(caught.value)
    assert "row 3" in str(caught.value)
    assert "123" not in str(caught.value).replace(str(tmp_path), "FOLDER")
    assert "96" not in str(caught.value)


def test_the_least_time_is_what_must_pass_each_tier() -> None:
    """By hand, 8 GB over two nodes of eight A100: 50 % to the other node over eight networks, and in a mesh by peer."""
    pods = suanli.system("dgx-a100", 16)
    size = 8_000_000_000
    gather = make_shape("collective", "bf16", operation="all_gather", bytes=size, ranks=16)
    assert least_s(gather, pods) == pytest.approx(max(size * 7 / 16 / 300e9, size / 2 / 8 / 25e9))
    reduce = make_shape("collective", "bf16", operation="all_reduce", bytes=size, ranks=16)
    assert least_s(reduce, pods) == pytest.approx(2 * max(size * 7 / 16 / 300e9, size / 2 / 8 / 25e9))
    mesh = suanli.system("atlas-800t-a2")
    pair = make_shape("collective", "bf16", operation="p2p", bytes=size, ranks=2)
    assert least_s(pair, mesh) == pytest.approx(size / 28e9)
    gather = make_shape("collective", "bf16", operation="all_gather", bytes=size, ranks=4)
    assert least_s(gather, mesh) == pytest.approx(size * 3 / 4 / (3 * 28e9))
