"""Turn the measured kernel tables into rows of work and seconds.

One row per measurement of a class that is shipped; the work is what `suanli.kernels` counts for its shape.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from suanli.kernels import BF16, Formats, Kernel, attention, elementwise, experts, gemm, latent_attention


@dataclass(frozen=True)
class Device:
    """A measured part: the generation it stands for, its accelerator id, its scale-up link and fabric."""

    generation: str
    vendor: str
    accelerator: str
    label: str
    one_way_bytes_per_s: float = 0.0
    fabric: str = ""


# The Ascend tables say only "910B"; the 910B2 is assumed.
DEVICES = {
    "a100_sxm": Device("ampere", "nvidia", "a100-sxm4-80", "A100 SXM4 80GB", 300e9, "switch"),
    "h100_sxm": Device("hopper", "nvidia", "h100-sxm5-80", "H100 SXM5", 450e9, "switch"),
    "b200_sxm": Device("blackwell", "nvidia", "b200-sxm", "B200 SXM", 900e9, "switch"),
    "l40s": Device("ada", "nvidia", "l40s", "L40S", 32e9, "pcie"),
    "h20": Device("hopper", "nvidia", "h20-sxm-96", "H20 96GB"),
    "h800": Device("hopper", "nvidia", "h800-sxm5-80", "H800 SXM5"),
    "ascend_910b": Device("davinci-c220", "ascend", "ascend-910b2", "Ascend 910B (part assumed)"),
}
# Names other tables use for the same parts.
ALIASES = {"a100": "a100_sxm", "A100": "a100_sxm", "h100": "h100_sxm"}

_INT8 = Formats(precision="int8", compute="int8", weights=1.0, activations=1.0)
# By the dtype of a table: the classes shipped. Other dtypes are left out.
GEMM_FORMATS = {
    "bfloat16": BF16,
    "bf16": BF16,
    "fp16": Formats(precision="bf16", compute="fp16"),
    "fp8": Formats(precision="fp8", compute="fp8", weights=1.0, activations=1.0),
    "sq": _INT8,
    "w8a8_int8": _INT8,
    "int8_wo": Formats(precision="int8_wo", weights=1.0),
    "int4_wo": Formats(precision="int4_wo", weights=0.5),
    "nvfp4": Formats(precision="fp4", compute="fp4", weights=0.5625, activations=0.5625),
}
# Mixtures of experts published in fp8 are scaled by blocks.
MOE_FORMATS = {name: GEMM_FORMATS[name] for name in ("bfloat16", "int4_wo", "nvfp4")} | {
    "fp8_block": GEMM_FORMATS["fp8"]
}
BF16_NAMES = ("bfloat16", "bf16")


@dataclass(frozen=True)
class Row:
    """One kernel measurement; `compute_s` and `memory_s` are its work at both peaks."""

    device: Device
    kernel: str
    precision: str
    shape: str
    flops: float
    compute_s: float
    memory_s: float
    seconds: float
    source: str

    @property
    def key(self) -> tuple[str, str, str]:
        """The class it belongs to: generation, kernel, precision."""
        return self.device.generation, self.kernel, self.precision


class Kernels:
    """Reader of the kernel tables under a reference directory."""

    def __init__(self, root: Path) -> None:
        self.measured = root / "measured"
        self.accelerators = {row["id"]: row for row in read(root / "hardware" / "accelerators.csv")}

    def rows(self) -> list[Row]:
        """Every measurement of a class that is shipped."""
        readers = (
            self._gemm(),
            self._attention(),
            self._mla(),
            self._infersim(),
            self._moe(),
            self._elementwise(),
        )
        return [row for reader in readers for row in reader]

    def _row(self, device: str, kernel: Kernel, shape: str, seconds: float, source: str) -> Row:
        part = DEVICES[ALIASES.get(device, device)]
        facts = self.accelerators[part.accelerator]
        flops = float(kernel.flops)
        return Row(
            part,
            kernel.kind,
            kernel.precision,
            shape,
            flops,
            flops / (float(facts[kernel.compute]) * 1e12),
            float(kernel.bytes) / (float(facts["memory_bandwidth_gb_s"]) * 1e9),
            seconds,
            source,
        )

    def _tables(self, pattern: str) -> Iterator[tuple[str, dict[str, str]]]:
        for path in sorted(self.measured.glob(pattern)):
            for row in read(path):
                yield path.stem, row

    def _gemm(self) -> Iterator[Row]:
        for pattern in ("gemm_*.csv", "vidur_gemm_*.csv", "llmcompass_gemm.csv"):
            for stem, t in self._tables(pattern):
                device = t.get("gpu") or stem.removeprefix("gemm_")
                formats = GEMM_FORMATS.get(t["dtype"])
                if formats is None or ALIASES.get(device, device) not in DEVICES:
                    continue  # a class not shipped, or a part of no generation fitted here
                m, n, k = (float(t[key]) for key in "mnk")
                kernel = gemm(m=m, n=n, k=k, formats=formats)
                yield self._row(device, kernel, f"{t['m']},{t['n']},{t['k']}", seconds_of(t), source_of(stem, t))

    def _attention(self) -> Iterator[Row]:
        for table, phase in (("context", "prefill"), ("generation", "decode")):
            for stem, t in self._tables(f"{table}_attention_*.csv"):
                if "seq" in t:  # the Ascend tables: batch, seq, heads, kv_heads
                    keys = float(t["seq"])
                    query = keys if phase == "prefill" else 1.0
                    counts = (t["batch"], t["heads"], t["kv_heads"])
                else:
                    if not (t["attn_dtype"] in BF16_NAMES and t["kv_cache_dtype"] in BF16_NAMES):
                        continue
                    keys, query = float(t["kv_len"]), float(t["q_len"])
                    counts = (t["batch_size"], t["num_heads"], t["num_kv_heads"])
                yield self._attention_row(
                    t.get("gpu") or stem.removeprefix(f"{table}_attention_"),
                    phase,
                    (*(float(c) for c in counts), float(t["head_dim"]), float(t.get("window_size") or 0)),
                    query,
                    keys,
                    seconds_of(t),
                    source_of(stem, t),
                )

    def _attention_row(
        self,
        device: str,
        phase: str,
        dims: tuple[float, ...],
        query: float,
        keys: float,
        seconds: float,
        source: str,
    ) -> Row:
        batch, heads, kv_heads, head_dim, window = dims
        kernel = attention(
            phase=phase,
            batch=batch,
            query=query,
            kv_tokens=keys,
            heads=heads,
            kv_heads=kv_heads,
            head_dim=head_dim,
            window=window,
        )
        shape = f"{batch:g},{query:g},{keys:g},{heads:g},{kv_heads:g},{head_dim:g},{window:g}"
        return self._row(device, kernel, shape, seconds, source)

    def _mla_row(
        self,
        device: str,
        phase: str,
        dims: tuple[float, float],
        query: float,
        keys: float,
        seconds: float,
        source: str,
    ) -> Row:
        batch, heads = dims
        kernel = latent_attention(phase=phase, batch=batch, query=query, kv_tokens=keys, heads=heads)
        return self._row(device, kernel, f"{batch:g},{query:g},{keys:g},{heads:g}", seconds, source)

    def _mla(self) -> Iterator[Row]:
        for stem, t in self._tables("mla_*.csv"):
            if t["mla_dtype"] in BF16_NAMES and t["kv_cache_dtype"] in BF16_NAMES:
                yield self._mla_row(
                    t["gpu"],
                    "prefill" if t["phase"] == "context" else "decode",
                    (float(t["batch_size"]), float(t["num_heads"])),
                    float(t["q_len"]),
                    float(t["kv_len"]),
                    seconds_of(t),
                    source_of(stem, t),
                )

    def _infersim(self) -> Iterator[Row]:
        for stem, t in self._tables("infersim_attention.csv"):
            # One of the source's files has no header: its fields lie under the columns that its own
            # first row named.
            if (t["kv_dtype"] or t["bf16.1"] or "bf16") not in BF16_NAMES:
                continue
            first, second, third = (float(x) for x in t["dims_from_filename"].split("-"))
            batch = float(t["batch_size"] or t["1"] or 1)
            keys = float(t["kv_len"] or t["1024"] or t["seq_len"])
            seconds = float(t["latency_us"] or t["25.4893"]) * 1e-6
            query = 1.0 if t["phase"] == "decode" else keys
            source = source_of(stem, t)
            if t["attn"] == "mla":
                yield self._mla_row(t["gpu"], t["phase"], (batch, first), query, keys, seconds, source)
            else:
                dims = (batch, first, second, third, 0.0)
                yield self._attention_row(t["gpu"], t["phase"], dims, query, keys, seconds, source)

    def _moe(self) -> Iterator[Row]:
        shape = ["num_tokens", "hidden_size", "inter_size", "topk", "num_experts"]
        shape += ["moe_tp_size", "moe_ep_size"]
        for stem, t in self._tables("moe_*.csv"):
            formats = MOE_FORMATS.get(t["dtype"])
            if formats is None:
                continue
            tokens, hidden, inter, top_k, count, tensor, expert = (float(t[key]) for key in shape)
            kernel = experts(
                tokens=tokens,
                hidden=hidden,
                intermediate=inter,
                experts=count,
                top_k=top_k,
                tensor=tensor,
                expert=expert,
                formats=formats,
            )
            name = ",".join(t[key] for key in (*shape, "distribution"))
            yield self._row(t["gpu"], kernel, name, seconds_of(t), source_of(stem, t))

    def _elementwise(self) -> Iterator[Row]:
        """The one step whose traffic is certain: a residual reads two bf16 tensors and writes one.

        Norms, rotations and activations of an engine take several passes, lookups scattered ones;
        how many is the implementation's, and no property of the accelerator.
        """
        for stem, t in self._tables("vidur_elementwise.csv"):
            if t["op"] != "add":
                continue
            elements = 3 * float(t["n_embd"])
            shape = f"{t['op']},{t['tp']},{t['tokens']},{t['n_embd']},{t['n_ffn']},{t['n_kv_head']}"
            kernel = elementwise(bytes=float(t["tokens"]) * elements * 2)
            yield self._row("a100", kernel, shape, seconds_of(t), source_of(stem, t))


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def seconds_of(t: dict[str, str]) -> float:
    """The time a table's row states."""
    if "latency_us" in t:
        return float(t["latency_us"]) * 1e-6
    return float(t.get("latency_ms") or t["latency_ms_median"]) * 1e-3


def source_of(stem: str, t: dict[str, str]) -> str:
    """Who measured it: repository, then engine and version where stated."""
    for name, source in (
        ("vidur", "microsoft/vidur (MIT)"),
        ("infersim", "alibaba/InferSim (Apache-2.0)"),
        ("llmcompass", "PrincetonUniversity/LLMCompass (BSD-3)"),
        ("ascend", "hudingyi688/aiconfigurator-npu, vllm-ascend 0.18.0"),
    ):
        if name in stem:
            return source
    engine = t.get("framework") or t["library"]
    version = t.get("framework_version") or t["library_version"]
    return f"ai-dynamo/aiconfigurator (Apache-2.0), {engine} {version}"
