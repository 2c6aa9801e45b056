"""Ascend figures against the documents that print them.

Huawei's product pages are those of hiascend.com, as quoted in public; what a page gives both ways stands here so.
"""

from __future__ import annotations

import pytest

import suanli
from suanli.units import GIB

# part, GB on the label, bandwidth in GB/s, headline FP16 in TFLOP/s, headline FP32, power in W; None: not on the page
PAGES = [
    ("910b2", 64, 1600, 376, 99, 400),  # Huawei Atlas 800T A2
    ("910b3", 64, 1600, 313, 82, 400),  # Huawei Atlas 800T A2
    ("910b4-32", 32, 800, 280, 75, None),  # Huawei Atlas 800I A2, 32 GB
    ("910b4-64", 64, 1600, 280, 75, None),  # Huawei Atlas 800I A2, 64 GB
    ("atlas-300i-a2", 32, 800, 280, None, 350),  # Huawei Atlas 300I A2
    ("atlas-300i-a2-64", 64, 1600, 280, None, 350),  # Huawei Atlas 300I A2
    ("910c", 128, 3200, 752, 198, None),  # Huawei Atlas 800T A3: 2 x 1600 GB/s
    ("atlas-350", 112, 1400, 425, None, 600),  # Huawei Atlas 350
    ("atlas-350-84", 84, 1400, 425, None, 600),  # Huawei Atlas 350
    ("atlas-300i-duo", 96, 408, None, None, 150),  # Huawei Atlas 300I Duo
]
# part, precision, dense rate in TFLOP/s or TOP/s, where it is printed
RATES = [
    ("910a", "fp16", 256, "Huawei, Hot Chips 31 (2019)"),
    ("910a", "int8", 512, "Huawei, Hot Chips 31 (2019)"),
    ("910b1", "fp16", 363.7, "CANN 8.5 Ascend910B1.ini: 24 cores at 1850 MHz"),
    ("910b2", "fp16", 353.9, "Ascend/msmodeling tensor_cast/device.py, A2_376T_64G"),
    ("910b2", "fp32", 11, "Ascend/msmodeling tensor_cast/device.py, A2_376T_64G, gp_ops"),
    ("910b2c", "bf16", 353.9, "Ascend/msmodeling tensor_cast/device.py, A2_376T_64G"),
    ("910b3", "bf16", 294.9, "Ascend/msmodeling tensor_cast/device.py, A2_313T_64G"),
    ("910b3", "fp32", 9, "Ascend/msmodeling tensor_cast/device.py, A2_313T_64G, gp_ops"),
    ("910b4-64", "bf16", 245.8, "Ascend/msmodeling tensor_cast/device.py, A2_280T_64G"),
    ("910b4-32", "fp32", 8, "Ascend/msmodeling tensor_cast/device.py, A2_280T_32G_PCIE, gp_ops"),
    ("910c-die", "bf16", 353.9, "Ascend/msmodeling tensor_cast/device.py, A3_752T_128G_DIE"),
    ("910c-die", "fp32", 11, "Ascend/msmodeling tensor_cast/device.py, A3_752T_128G_DIE, gp_ops"),
    ("910c-die-560", "bf16", 245.8, "Ascend/msmodeling tensor_cast/device.py, A3_560T_128G_DIE"),
    ("910c", "bf16", 707.8, "two dies of A3_752T_128G_DIE"),
    ("atlas-300i-duo", "int8", 280, "Huawei Atlas 300I Duo"),
    ("310p3", "int8", 140, "half of Huawei's Atlas 300I Duo"),
    ("310p3", "fp16", 70, "half of its INT8"),
    ("atlas-350", "bf16", 378.5, "Huawei Atlas 350: Cube"),
    ("atlas-350", "fp8", 756.9, "Huawei Atlas 350: Cube"),
    ("atlas-350", "fp4", 1513.9, "Huawei Atlas 350: Cube, MXFP4"),
    ("atlas-350", "fp32", 23, "Huawei Atlas 350: FP32, the vector unit's"),
    ("950pr", "bf16", 432, "Huawei, Ascend 950 NPU architecture white paper, table 3-1"),
    ("950pr", "fp8", 865, "Huawei, Ascend 950 NPU architecture white paper, table 3-1"),
    ("950pr", "fp32", 27, "Ascend/msmodeling tensor_cast/device.py, A5.Chip.C486T, gp_ops"),
    ("950dt", "bf16", 486, "Huawei, Ascend 950 NPU architecture white paper, table 3-1"),
    ("950dt", "fp8", 973, "Huawei, Ascend 950 NPU architecture white paper, table 3-1"),
    ("950dt", "fp4", 1946, "Huawei, Ascend 950 NPU architecture white paper, table 3-1"),
]
# system, accelerators in a node, inner link of one both ways in GB/s, accelerators it joins, NIC of one in Gb/s, source
LINKS = [
    ("atlas-800t-a2", 8, 392, 8, 200, "Huawei Atlas 800T A2: seven HCCS links, 392 GB/s; 200GE each"),
    ("atlas-800i-a2", 8, 392, 8, 200, "Huawei Atlas 800I A2: HCCS full mesh, 392 GB/s; 200GE each"),
    ("ascend-910a-8", 8, 180, 4, 100, "Huawei, Hot Chips 31 (2019): three HCCS ports of 240 Gb/s each way; 100G RoCE"),
    ("atlas-800t-a3", 8, 784, 8, 400, "Huawei Atlas 800T A3: 784 GB/s both ways between packages; 400 Gb/s RoCE each"),
    ("atlas-800t-a3-dies", 16, 392, 16, 200, "Ascend/msmodeling A3_INTERCONNECT: 196 GB/s one way a die"),
    ("atlas-800i-a3-dies", 16, 392, 16, 200, "Ascend/msmodeling A3_INTERCONNECT: 196 GB/s one way a die"),
    (
        "atlas-900-a3-superpod",
        8,
        784,
        384,
        400,
        "arXiv 2506.12708: 392 GB/s one way a 910C; 400 Gb/s RDMA each",
    ),
    ("atlas-900-a3-superpod-dies", 16, 392, 768, 200, "arXiv 2506.12708, two dies a 910C"),
    ("ascend-910b2c-16", 16, 392, 8, 100, "measured: two planes of eight, 28 GB/s a peer; 8 NICs assumed"),
    ("atlas-350-16", 16, 318, 4, None, "Huawei Atlas 350: 318 GB/s both ways on the four-card board"),
    ("atlas-950-superpod", 8, 1680, 8, None, "Ascend/msmodeling POD_1K: 15 ports of 56 GB/s one way"),
]


@pytest.mark.parametrize(("name", "memory", "bandwidth", "fp16", "fp32", "power"), PAGES)
def test_product_pages(
    name: str, memory: int, bandwidth: int, fp16: int | None, fp32: int | None, power: int | None
) -> None:
    """Label, bandwidth, headlines and power are those of Huawei's page; a label counts GiB."""
    part = suanli.accelerator(name)
    headlines = {r.precision: r.flops_per_s / 1e12 for r in part.headline_peak}
    assert part.memory_bytes == memory * GIB
    assert part.memory_bandwidth_bytes_per_s == bandwidth * 1e9
    assert headlines.get("fp16") == fp16
    if fp32 is not None:
        assert headlines["fp32"] == fp32
    if power is not None:
        assert part.power_w == power


@pytest.mark.parametrize(("name", "precision", "rate", "source"), RATES)
def test_dense_rates(name: str, precision: str, rate: float, source: str) -> None:
    """The peak of the unit that does the work, as the document prints it."""
    assert suanli.accelerator(name).peak_flops_per_s(precision) == pytest.approx(rate * 1e12), source


@pytest.mark.parametrize(("name", "node", "both_ways", "joins", "nic", "source"), LINKS)
def test_links(name: str, node: int, both_ways: float, joins: int, nic: float | None, source: str) -> None:
    """One way is half of what is printed both ways; a NIC's bits are an eighth of bytes; no NIC, no outer network."""
    system = suanli.system(name)
    inner, outer = system.tiers[0], system.tiers[-1]
    assert system.accelerators_per_node == node, source
    assert inner.bandwidth_bytes_per_s == pytest.approx(both_ways * 1e9 / 2.0), source
    assert inner.span == joins, source
    if nic is None:
        assert system.reach is not None
    else:
        assert outer.span is None
        assert outer.bandwidth_bytes_per_s == pytest.approx(nic * 1e9 / 8.0), source


def test_392_means_two_things() -> None:
    """392 GB/s is both ways over seven links on a 910B, and one way to any peer on a 910C package."""
    mesh, switched = suanli.system("atlas-800t-a2").tiers[0], suanli.system("atlas-800t-a3").tiers[0]
    assert mesh.bandwidth_bytes_per_s == 196e9
    assert mesh.per_peer_bytes_per_s == 28e9
    assert switched.bandwidth_bytes_per_s == 392e9
    assert switched.per_peer_bytes_per_s is None


def test_links_carry_what_was_measured() -> None:
    """42.7 GB/s over two HCCS links of a 910B2C and 85.4 over four, as its users saw, are below line rate."""
    link = suanli.system("ascend-910b2c-16").tiers[0].per_peer_bytes_per_s
    assert link is not None
    for links, measured in ((2, 42.7e9), (4, 85.4e9)):
        assert 0.7 * links * link < measured < links * link


def test_a_cloudmatrix_in_all() -> None:
    """384 packages: 289 PFLOP/s by the headline, 272 by the Cube, 48 TiB, 559 kW (arXiv 2506.12708; SemiAnalysis)."""
    pod = suanli.system("cloudmatrix-384", 384)
    part = pod.device
    assert part is not None
    headline = {r.precision: r.flops_per_s for r in part.headline_peak}["fp16"]
    assert 384 * headline == pytest.approx(288.8e15, rel=1e-3)
    assert 384 * part.rates["bf16"] == pytest.approx(271.8e15, rel=1e-3)
    assert 384 * part.memory_bytes == 48 * 2**40
    assert pod.reach is None
    assert pod.nodes == 48
    assert pod.nodes * (pod.power_per_node_w or 0.0) == pytest.approx(559e3, rel=2e-3)


@pytest.mark.parametrize(
    ("name", "mib", "source"),
    [
        ("310p3", 21525, "npu-smi in Project-HAMi/website pull request 782"),
        ("atlas-300i-duo-chip", 43693, "npu-smi in Syllo/nvtop issue 421"),
        ("910b2c", 65536, "npu-smi in vllm-project/vllm-ascend issue 5076"),
        ("910c-die", 65536, "npu-smi in vllm-project/vllm-ascend issue 2534"),
        ("950pr", 131072, "reported memory in vllm-project/recipes pull request 793"),
    ],
)
def test_what_npu_smi_shows(name: str, mib: int, source: str) -> None:
    """What a process can see of the memory is what the tool reports."""
    assert suanli.accelerator(name).capacity_bytes == mib * 2**20, source
