"""NVIDIA's own figures, as its documents print them, against the catalog.

Where a document prints a sparse peak, a link both ways added, or the total of a node or rack, that is the figure
here: the catalog's own are dense, one way and of one accelerator, so each row also checks the conversion.
"""

from __future__ import annotations

import pytest

import suanli

A100 = "NVIDIA A100 datasheet, nvidia-a100-datasheet-us-nvidia-1758950-r4"
H100 = "NVIDIA H100 product page and datasheet h100-datasheet-24306"
V100 = "NVIDIA V100 datasheet, volta-v100-datasheet-update-us-1165301-r5"
T4 = "NVIDIA T4 datasheet, t4-tensor-core-datasheet-951643"
A10 = "NVIDIA A10 datasheet, a10-datasheet"
A40 = "NVIDIA A40 datasheet, a40-datasheet"
L4 = "NVIDIA L4 product page"
L40S = "NVIDIA L40S product page"
ADA = "NVIDIA Ada GPU architecture whitepaper v2.02, appendix A"
GA102 = "NVIDIA Ampere GA102 GPU architecture whitepaper"
GB200 = "NVIDIA GB200 NVL72 product page"
GB300 = "NVIDIA GB300 NVL72 product page"
VR = "NVIDIA Vera Rubin NVL72 product page"
PRO = "NVIDIA RTX PRO 6000 Blackwell Server Edition product page"

DENSE = [  # part, precision, TFLOP/s or TOP/s, source
    ("v100-sxm2-32", "fp16", 125, V100),
    ("v100-sxm2-16", "fp32", 15.7, V100),
    ("v100-pcie-32", "fp16", 112, V100),
    ("v100s-pcie-32", "fp16", 130, V100),
    ("t4", "fp16", 65, T4),
    ("t4", "int8", 130, T4),
    ("a10", "bf16", 125, A10),
    ("a40", "bf16", 149.7, A40),
    ("a100-sxm4-80", "bf16", 312, A100),
    ("a100-sxm4-80", "int8", 624, A100),
    ("a100-sxm4-80", "fp64", 9.7, A100),
    ("a30", "bf16", 165, "NVIDIA A30 datasheet, secondary source: arthurchiao.art/blog/gpu-data-sheets"),
    ("rtx-3090", "bf16", 71, GA102 + ", FP32 accumulation"),
    ("rtx-4090", "bf16", 165.2, ADA + ", FP32 accumulation"),
    ("rtx-4090", "fp8", 330.3, ADA + ", FP32 accumulation"),
    ("l40", "bf16", 181.05, "volcengine/verl verl/utils/flops_counter.py"),
    ("l40s", "fp8", 733, L40S),
    ("h20-sxm-96", "bf16", 148, "volcengine/verl verl/utils/flops_counter.py"),
    ("h20-sxm-96", "fp8", 296, "alibaba/InferSim hardware/gpu.py"),
    ("gb200", "bf16", 2500, "volcengine/verl verl/utils/flops_counter.py"),
    ("b100-sxm", "fp4", 7000, "hmc-tech.com, NVIDIA B200 vs NVIDIA B100"),
    ("vr200", "fp8", 17500, VR),
]

SPARSE = [  # part, precision, the headline in TFLOP/s or TOP/s, source
    ("a10", "bf16", 250, A10),
    ("a100-sxm4-80", "fp16", 624, A100),
    ("a100-pcie-40", "int8", 1248, A100),
    ("h100-sxm5-80", "fp8", 3958, H100),
    ("h100-sxm5-80", "bf16", 1979, H100),
    ("h100-nvl-94", "fp8", 3341, H100 + ", NVL column"),
    ("h200-sxm-141", "int8", 3958, "NVIDIA H200 product page"),
    ("h200-nvl-141", "fp8", 3341, "NVIDIA H200 product page, NVL column"),
    ("gh200-96", "bf16", 1979, "NVIDIA GH200 product page"),
    ("l4", "bf16", 242, L4),
    ("l4", "fp8", 485, L4),
    ("l40s", "fp8", 1466, L40S),
    ("b300-sxm", "fp4", 18000, "NVIDIA Blackwell Ultra datasheet"),
    ("b300-sxm", "int8", 307, "NVIDIA Blackwell Ultra datasheet"),
    ("rtx-pro-6000-server", "fp4", 3742, PRO + " (4 PF)"),
    ("rtx-5090", "fp4", 3352, "NVIDIA GeForce RTX 5090 product page, AI TOPS"),
]

NODES = [  # system, accelerators, precision, sparse, petaFLOP/s as printed, half a unit of its last digit, source
    ("dgx-1v", 8, "fp16", False, 1, 0.05, "NVIDIA DGX-1 datasheet"),
    ("dgx-2", 16, "fp16", False, 2, 0.05, "NVIDIA DGX-2 datasheet"),
    ("dgx-a100", 8, "fp16", True, 5, 0.05, "NVIDIA DGX A100 datasheet"),
    ("dgx-h100", 8, "fp8", True, 32, 0.5, "NVIDIA DGX H100 datasheet"),
    ("dgx-b200", 8, "fp8", True, 72, 0.5, "NVIDIA DGX B200 datasheet"),
    ("dgx-b200", 8, "fp4", True, 144, 0.5, "NVIDIA DGX B200 datasheet"),
    ("dgx-b300", 8, "fp4", False, 108, 0.5, "NVIDIA DGX B300 datasheet"),
    ("dgx-b300", 8, "fp4", True, 144, 0.5, "NVIDIA DGX B300 datasheet"),
    ("gb200-nvl72", 72, "fp4", True, 1440, 5, GB200),
    ("gb200-nvl72", 72, "fp8", True, 720, 5, GB200),
    ("gb300-nvl72", 72, "fp4", True, 1440, 5, GB300),
    ("gb300-nvl72", 72, "fp4", False, 1080, 5, GB300),
    ("gb300-nvl72", 72, "int8", True, 24, 0.5, GB300),
    ("vr-nvl72", 72, "fp4", False, 2520, 20, VR + ", NVFP4 training"),
]

MEMORY = [  # part, label in GB, GB/s, W, source
    ("v100-sxm2-32", 32, 900, 300, V100),
    ("v100s-pcie-32", 32, 1134, 250, V100),
    ("t4", 16, 320, 70, T4),
    ("a10", 24, 600, 150, A10),
    ("a40", 48, 696, 300, A40),
    ("a100-sxm4-40", 40, 1555, 400, A100),
    ("a100-sxm4-80", 80, 2039, 400, A100),
    ("a100-pcie-80", 80, 1935, 300, A100),
    ("l4", 24, 300, 72, L4),
    ("l40s", 48, 864, 350, L40S),
    ("rtx-4090", 24, 1008, 450, ADA),
    ("h100-sxm5-80", 80, 3350, 700, H100),
    ("h100-pcie-80", 80, 2000, 350, H100),
    ("h200-sxm-141", 141, 4800, 700, "NVIDIA H200 product page"),
    ("h200-nvl-141", 141, 4800, 600, "NVIDIA H200 product page, NVL column"),
    ("h20-sxm-96", 96, 4000, 400, "willitrunai.com, H20 96GB"),
    ("gh200-96", 96, 4000, 1000, "NVIDIA GH200 product page"),
    ("b200-sxm", 180, 8000, 1000, "NVIDIA DGX B200 datasheet (1.44 TB and 64 TB/s for eight)"),
    ("gb200", 186, 8000, 1200, GB200 + " (13.4 TB and 576 TB/s for 72)"),
    ("rtx-pro-6000-server", 96, 1597, 600, PRO),
    ("vr200", 288, 22000, 2300, VR),
]

LINKS = [  # system, GB/s of NVLink an accelerator, both ways added, as printed, source
    ("dgx-1v", 300, V100),
    ("dgx-2", 300, V100),
    ("dgx-a100", 600, A100),
    ("hgx-a800-8", 400, "aiwiki.ai/wiki/nvidia_a800"),
    ("dgx-h100", 900, H100),
    ("hgx-h800-8", 400, "aiwiki.ai/wiki/nvidia_h800"),
    ("hgx-h20-8", 900, "willitrunai.com, H20 96GB"),
    ("h100-nvl-8", 600, H100 + ", NVL column"),
    ("h200-nvl-8", 900, "NVIDIA H200 product page, NVL column"),
    ("dgx-b200", 1800, "NVIDIA DGX B200 datasheet"),
    ("dgx-b300", 1800, "NVIDIA DGX B300 datasheet"),
    ("gb200-nvl72", 130_000 / 72, GB200 + " (130 TB/s a rack)"),
    ("gb300-nvl72", 130_000 / 72, GB300 + " (130 TB/s a rack)"),
    ("vr-nvl72", 260_000 / 72, VR + " (260 TB/s a rack)"),
]

NICS = [  # system, NICs of a node, Gb/s each, source
    ("dgx-1v", 4, 100, "NVIDIA DGX-1 system architecture whitepaper WP-08437-001"),
    ("dgx-a100", 8, 200, "NVIDIA developer blog, Defining AI Innovation with NVIDIA DGX A100"),
    ("dgx-h100", 8, 400, "NVIDIA DGX BasePOD reference architecture, core components"),
    ("dgx-h200", 8, 400, "NVIDIA DGX BasePOD reference architecture, core components"),
    ("dgx-b200", 8, 400, "NVIDIA DGX B200 datasheet"),
    ("dgx-b300", 8, 800, "NVIDIA DGX B300 datasheet"),
    ("gb200-nvl72", 4, 400, "mlcommons/inference_results_v6.1, Crusoe GB200-NVL72 system file"),
    ("gb300-nvl72", 4, 800, GB300),
    ("rtx-pro-6000-8-pcie", 8, 200, "AWS g7e.48xlarge: 1600 Gb/s"),
]


@pytest.mark.parametrize(("name", "precision", "tera", "source"), DENSE)
def test_dense_peaks(name: str, precision: str, tera: float, source: str) -> None:
    """A dense peak is as its document prints it."""
    assert suanli.accelerator(name).rates[precision] == pytest.approx(tera * 1e12, rel=1e-9), source


@pytest.mark.parametrize(("name", "precision", "tera", "source"), SPARSE)
def test_headlines_are_sparse(name: str, precision: str, tera: float, source: str) -> None:
    """The headline a datasheet prints with sparsity is the catalog's sparse peak, and never its dense one."""
    part = suanli.accelerator(name)
    assert part.peak_flops_per_s(precision, sparse=True) == pytest.approx(tera * 1e12, rel=2e-3), source
    assert part.rates[precision] < 0.8e12 * tera


@pytest.mark.parametrize(("name", "count", "precision", "sparse", "peta", "half_digit", "source"), NODES)
def test_nodes_add_up(
    name: str, count: int, precision: str, sparse: bool, peta: float, half_digit: float, source: str
) -> None:
    """The peaks of a node's or rack's accelerators add up to what is printed on it."""
    device = suanli.system(name, count).device
    assert device is not None
    total = count * device.peak_flops_per_s(precision, sparse=sparse)
    assert total == pytest.approx(peta * 1e15, abs=half_digit * 1e15), source


@pytest.mark.parametrize(("name", "label", "bandwidth", "power", "source"), MEMORY)
def test_memory_and_power(name: str, label: int, bandwidth: float, power: float, source: str) -> None:
    """The label is a number of GiB, bandwidth is decimal, power is the board's."""
    part = suanli.accelerator(name)
    assert (part.memory_bytes, part.power_w) == (label * 2**30, power), source
    assert part.memory_bandwidth_bytes_per_s == pytest.approx(bandwidth * 1e9), source


@pytest.mark.parametrize(("name", "both_ways", "source"), LINKS)
def test_a_link_is_half_of_what_is_printed(name: str, both_ways: float, source: str) -> None:
    """One way is half of the NVLink figure a document prints, to the rounding of a rack's total."""
    inner = suanli.system(name).tiers[0]
    assert inner.bandwidth_bytes_per_s == pytest.approx(both_ways * 1e9 / 2, rel=4e-3), source


@pytest.mark.parametrize(("name", "nics", "gigabits", "source"), NICS)
def test_the_network_of_one_accelerator(name: str, nics: int, gigabits: float, source: str) -> None:
    """The outer tier is the node's NICs shared out among its accelerators, one way, in bytes."""
    system = suanli.system(name)
    expected = nics * gigabits * 1e9 / 8 / system.accelerators_per_node
    assert system.tiers[-1].span is None
    assert system.tiers[-1].bandwidth_bytes_per_s == pytest.approx(expected), source


SEEN = [  # part, MiB nvidia-smi prints, where
    ("a10", 23028, "modal-labs/modal-client pull request 2797"),
    ("a40", 46068, "NVIDIA/gpu-operator issue 559"),
    ("a100-sxm4-80", 81920, "modal-labs/modal-client pull request 2797"),
    ("h100-sxm5-80", 81559, "modal-labs/modal-client pull request 2797"),
    ("l4", 23034, "modal-labs/modal-client pull request 2797"),
    ("rtx-4090", 24564, "RLinf/RLinf issue 255"),
    ("rtx-5090", 32607, "noonghunna/club-3090 issue 1229"),
    ("gb200", 189471, "NVIDIA aiconfigurator systems/gb200.yaml"),
]


@pytest.mark.parametrize(("name", "mebibytes", "source"), SEEN)
def test_the_memory_a_device_reports(name: str, mebibytes: int, source: str) -> None:
    """What fits is held against the memory the device reports, not the label."""
    assert suanli.accelerator(name).capacity_bytes == mebibytes * 2**20, source
