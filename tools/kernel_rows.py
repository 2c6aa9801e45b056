"""Turn the measured kernel tables into rows: a kernel's constructor, its sizes, and seconds.

Fitted are the tables of one engine's kernels, timed inside a graph; what others measured is only judged.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixture_loads import busiest
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

_FP8 = Formats(precision="fp8", compute="fp8", weights=1.0, activations=1.0, cache=1.0)
_INT8 = Formats(precision="int8", compute="int8", weights=1.0, activations=1.0)
# By the dtype of a table: the classes shipped. Other dtypes are left out.
GEMM_FORMATS = {
    "bfloat16": BF16,
    "bf16": BF16,
    "fp16": Formats(precision="bf16", compute="fp16"),
    "fp8": _FP8,
    "fp8_static": Formats(precision="fp8_static", compute="fp8", weights=1.0, activations=1.0),
    "fp8_block": Formats(precision="fp8_block", compute="fp8", weights=1.0, activations=1.0),
    "sq": _INT8,
    "w8a8_int8": _INT8,
    "int8_wo": Formats(precision="int8_wo", weights=1.0),
    "int4_wo": Formats(precision="int4_wo", weights=0.5),
    "nvfp4": Formats(precision="fp4", compute="fp4", weights=0.5625, activations=0.5625),
}
# InferSim times DeepGEMM alone: inputs are scaled by blocks before.
DEEPGEMM = Formats(precision="fp8_block_static", compute="fp8", weights=1.0, activations=1.0)
# Mixtures of experts published in fp8 are scaled by blocks; those scaled by tensor have static scales.
MOE_FORMATS = {name: GEMM_FORMATS[name] for name in ("bfloat16", "int4_wo", "nvfp4")} | {
    "fp8_block": _FP8,
    "fp8": GEMM_FORMATS["fp8_static"],
    "w4a16_mxfp4": Formats(precision="mxfp4_wo", weights=0.53125),
}
BF16_NAMES = ("bfloat16", "bf16")
# Attention by the dtypes of inputs and cache; a bf16 kernel on an fp8 cache is judged by the bf16 figures.
ATTENTION_FORMATS = {
    ("bf16", "bf16"): (BF16, True),
    ("bf16", "fp8"): (Formats(cache=1.0), False),
    ("fp8", "fp8"): (_FP8, True),
}


@dataclass(frozen=True)
class Row:
    """One kernel measurement: `make` gives its kernel from `dims`."""

    device: Device
    kernel: str
    precision: str
    shape: str
    make: Callable[..., Kernel]
    dims: Mapping[str, float]
    formats: Formats | None
    seconds: float
    source: str
    fitted: bool = True
    phase: str = ""
    set: str = field(default="", compare=False)

    @property
    def part(self) -> str:
        """The id of the accelerator."""
        return self.device.accelerator

    @property
    def key(self) -> tuple[str, str, str]:
        """The class it belongs to: generation, kernel, precision."""
        return self.device.generation, self.kernel, self.precision


class Kernels:
    """Reader of the kernel tables under a reference directory."""

    def __init__(self, root: Path) -> None:
        self.measured = root / "measured"

    def rows(self) -> list[Row]:
        """Every measurement of a class that is shipped."""
        readers = (self._gemm(), self._attention(), self._mla(), self._infersim(), self._moe(), self._elementwise())
        return [row for reader in readers for row in reader]

    def _row(
        self,
        device: str,
        make: Callable[..., Kernel],
        dims: dict[str, float],
        about: tuple[float, str, str],
        *,
        formats: Formats | None = None,
        phase: str = "",
        fitted: bool = True,
        shape: str = "",
    ) -> Row:
        seconds, source, stem = about
        known = {"formats": formats} if formats else {}
        kernel = make(**dims, **known, **({"phase": phase} if phase else {}))
        return Row(
            device=DEVICES[ALIASES.get(device, device)],
            kernel=kernel.kind,
            precision=kernel.precision,
            shape=shape or ",".join(f"{x:g}" for x in dims.values()),
            make=make,
            dims=dims,
            formats=formats,
            seconds=seconds,
            source=source,
            fitted=fitted,
            phase=phase,
            set=stem,
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
                dims = {key: float(t[key]) for key in "mnk"}
                own = pattern == "gemm_*.csv"
                shape = f"{t['m']},{t['n']},{t['k']}"
                yield self._row(device, gemm, dims, _about(stem, t), formats=formats, fitted=own, shape=shape)

    def _attention(self) -> Iterator[Row]:
        for table, phase in (("context", "prefill"), ("generation", "decode")):
            for stem, t in self._tables(f"{table}_attention_*.csv"):
                if "seq" in t:  # the Ascend tables: batch, seq, heads, kv_heads
                    keys = float(t["seq"])
                    query = keys if phase == "prefill" else 1.0
                    counts = (t["batch"], t["heads"], t["kv_heads"])
                    types = ("bf16", "bf16")
                else:
                    types = (_short(t["attn_dtype"]), _short(t["kv_cache_dtype"]))
                    keys, query = float(t["kv_len"]), float(t["q_len"])
                    counts = (t["batch_size"], t["num_heads"], t["num_kv_heads"])
                if types not in ATTENTION_FORMATS:
                    continue
                batch, heads, kv_heads = (float(c) for c in counts)
                dims = _dims(
                    batch, query, keys, heads, kv_heads, float(t["head_dim"]), float(t.get("window_size") or 0)
                )
                formats, own = ATTENTION_FORMATS[types]
                device = t.get("gpu") or stem.removeprefix(f"{table}_attention_")
                yield self._row(device, attention, dims, _about(stem, t), formats=formats, phase=phase, fitted=own)

    def _mla(self) -> Iterator[Row]:
        for stem, t in self._tables("mla_*.csv"):
            if t["mla_dtype"] in BF16_NAMES and t["kv_cache_dtype"] in BF16_NAMES:
                dims = _latent(t["batch_size"], float(t["q_len"]), float(t["kv_len"]), t["num_heads"])
                phase = "prefill" if t["phase"] == "context" else "decode"
                yield self._row(t["gpu"], latent_attention, dims, _about(stem, t), phase=phase)

    def _infersim(self) -> Iterator[Row]:
        for stem, t in self._tables("infersim_gemm.csv"):
            dims = {key: float(t[key]) for key in "mnk"}
            yield self._row(t["gpu"], gemm, dims, _about(stem, t), formats=DEEPGEMM, fitted=False)
        for stem, t in self._tables("infersim_attention.csv"):
            # One of the source's files has no header: its fields lie under the columns that its own
            # first row named.
            if (t["kv_dtype"] or t["bf16.1"] or "bf16") not in BF16_NAMES:
                continue
            first, second, third = (float(x) for x in t["dims_from_filename"].split("-"))
            batch = float(t["batch_size"] or t["1"] or 1)
            keys = float(t["kv_len"] or t["1024"] or t["seq_len"])
            about = (float(t["latency_us"] or t["25.4893"]) * 1e-6, source_of(stem, t), stem)
            query = 1.0 if t["phase"] == "decode" else keys
            make: Callable[..., Kernel]
            if t["attn"] == "mla":
                dims, make = _latent(str(batch), query, keys, str(first)), latent_attention
            else:
                dims, make = _dims(batch, query, keys, first, second, third, 0.0), attention
            yield self._row(t["gpu"], make, dims, about, phase=t["phase"], fitted=False)

    def _moe(self) -> Iterator[Row]:
        names = {"num_tokens": "tokens", "hidden_size": "hidden", "inter_size": "intermediate", "topk": "top_k"}
        names |= {"num_experts": "experts", "moe_tp_size": "tensor", "moe_ep_size": "expert"}
        for stem, t in self._tables("moe_*.csv"):
            formats = MOE_FORMATS.get(t["dtype"])
            if formats is None:
                continue
            dims = {name: float(t[key]) for key, name in names.items()}
            sizes = (int(dims[d]) for d in ("tokens", "top_k", "experts", "expert"))
            dims["imbalance"], dims["active"] = busiest(*sizes, t["distribution"])
            shape = ",".join(t[key] for key in (*names, "distribution"))
            yield self._row(t["gpu"], experts, dims, _about(stem, t), formats=formats, shape=shape)

    def _elementwise(self) -> Iterator[Row]:
        """The one step whose traffic is certain: a residual reads two bf16 tensors and writes one.

        Norms, rotations and activations of an engine take several passes, lookups scattered ones;
        how many is the implementation's, and no property of the accelerator.
        """
        for stem, t in self._tables("vidur_elementwise.csv"):
            if t["op"] != "add":
                continue
            shape = f"{t['op']},{t['tp']},{t['tokens']},{t['n_embd']},{t['n_ffn']},{t['n_kv_head']}"
            dims = {"bytes": float(t["tokens"]) * 3 * float(t["n_embd"]) * 2}
            yield self._row("a100", elementwise, dims, _about(stem, t), shape=shape)


def _short(dtype: str) -> str:
    return "bf16" if dtype in BF16_NAMES else dtype


def _dims(
    batch: float, query: float, keys: float, heads: float, kv_heads: float, width: float, window: float
) -> dict[str, float]:
    sizes = {"batch": batch, "query": query, "kv_tokens": keys, "heads": heads, "kv_heads": kv_heads}
    return sizes | {"head_dim": width, "window": window}


def _latent(batch: str, query: float, keys: float, heads: str) -> dict[str, float]:
    return {"batch": float(batch), "query": query, "kv_tokens": keys, "heads": float(heads)}


def _about(stem: str, t: dict[str, str]) -> tuple[float, str, str]:
    return seconds_of(t), source_of(stem, t), stem


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


def sources(rows: Iterable[Any]) -> str:
    """Who measured the rows, then on which parts."""
    rows = list(rows)
    who = sorted({row.source for row in rows})
    return "; ".join(who) + "; on " + ", ".join(sorted({row.device.label for row in rows}))
