"""What kernels and exchanges cost: positive, growing with the work, never below what the hardware allows."""

from __future__ import annotations

from collections.abc import Iterator

from suanli.asking import formats_named
from suanli.errors import SuanliError
from suanli.hardware import Accelerator
from suanli.kernels import gemm
from suanli.testing.checks.registry import Faults, Subject, check

SIZES = (1, 16, 128, 1024, 8192)
BYTES = (1, 1 << 10, 1 << 20, 1 << 26, 1 << 30)
LITTLE = 1e-9
"""Rounding of sums of floats."""

POSITIVE = "costs are positive and grow with the work (hookspecs, suanli_kernel_models)"
ROOFLINE = "no kernel is faster than the roofline (hookspecs, suanli_kernel_models)"


def _formats(subject: Subject) -> Iterator[tuple[Accelerator, str]]:
    """The accelerator as the catalog binds it, and each format it has a path for."""
    device = subject.workspace.accelerator(subject.name)
    known = subject.workspace.catalog().formats
    for precision, rate in device.rates.items():
        if rate > 0.0 and precision in known:
            yield device, precision


@check("accelerator", rule=POSITIVE)
def products_cost_more_when_larger(subject: Subject) -> Faults:
    """A larger matrix product never takes less time, in any format."""
    for device, precision in _formats(subject):
        for fixed in ("m", "n", "k"):
            sizes = [dict.fromkeys("mnk", 1024) | {fixed: size} for size in SIZES]
            took = [device.gemm_s(**size, precision=precision) for size in sizes]
            if min(took) <= 0.0:
                yield f"a {precision} product takes {min(took)} s"
            for a, b, size in zip(took, took[1:], sizes[1:], strict=False):
                if b < a * (1.0 - LITTLE):
                    yield f"a {precision} product of {size} takes {b:.3g} s, less than a smaller one ({a:.3g} s)"


@check("accelerator", rule=ROOFLINE)
def products_keep_to_the_roofline(subject: Subject) -> Faults:
    """No product beats the peak rate or the memory bandwidth."""
    for device, precision in _formats(subject):
        for m, n, k in ((16, 4096, 4096), (4096, 4096, 4096), (8192, 28672, 8192)):
            kernel = gemm(m=float(m), n=float(n), k=float(k), formats=formats_named(device, precision))
            bound = max(kernel.flops / device.rates[kernel.compute], kernel.bytes / device.memory_bandwidth_bytes_per_s)
            took = device.gemm_s(m=m, n=n, k=k, precision=precision)
            if took < bound * (1.0 - LITTLE):
                yield f"a {precision} product of {m}x{n}x{k} takes {took:.3g} s, below the roofline's {bound:.3g} s"


@check("accelerator", rule=POSITIVE)
def attention_costs_more_when_longer(subject: Subject) -> Faults:
    """Attention to more tokens never takes less time."""
    device = subject.workspace.accelerator(subject.name)
    shape = {"heads": 32, "kv_heads": 8, "head_dim": 128}
    for phase in ("prefill", "decode"):
        took = []
        for tokens in (128, 1024, 8192):
            query = tokens if phase == "prefill" else 1
            asked = {"phase": phase, "batch": 4, "query": query, "kv_tokens": tokens}
            took.append(device.attention_s(**asked, **shape, precision=_half(device)))  # type: ignore[arg-type]
        if min(took) <= 0.0 or took != sorted(took):
            yield f"{phase} over 128, 1024 and 8192 tokens takes {took} s"


def _half(device: Accelerator) -> str:
    return next((p for p in ("bf16", "fp16", "fp32") if device.rates.get(p, 0.0) > 0.0), "bf16")


@check("system", rule="costs are positive and grow with bytes (hookspecs, suanli_collective_models)")
def exchanges_cost_more_when_larger(subject: Subject) -> Faults:
    """An exchange of more bytes never takes less time."""
    system = subject.workspace.system(subject.name)
    ranks = system.accelerators_per_node
    if ranks < 2:
        return
    for operation in ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "p2p"):
        members = 2 if operation == "p2p" else ranks
        took = [system.collective_s(operation, bytes=size, ranks=members) for size in BYTES]
        if min(took) <= 0.0 or took != sorted(took):
            yield f"{operation} over {members} ranks takes {took} s for {BYTES} bytes"


@check("system", rule="no exchange is faster than its links (hookspecs, suanli_collective_models)")
def exchanges_keep_to_the_links(subject: Subject) -> Faults:
    """An all-gather moves (n - 1) / n of its bytes into each accelerator, over one-way links."""
    system = subject.workspace.system(subject.name)
    ranks = system.accelerators_per_node
    if ranks < 2 or not system.tiers:
        return
    size = 1 << 30
    widest = max(t.bandwidth_bytes_per_s for t in system.tiers)
    bound = size * (ranks - 1) / ranks / widest
    took = system.collective_s("all_gather", bytes=size, ranks=ranks)
    if took < bound * (1.0 - LITTLE):
        yield f"an all-gather of 1 GiB over {ranks} ranks takes {took:.3g} s, its links need {bound:.3g} s"


@check("kernel model", "collective model", rule="a model serves what is in the catalog (hookspecs)")
def model_serves_somebody(subject: Subject) -> Faults:
    """A calibration is of an accelerator, system or generation that is known."""
    catalog, model = subject.workspace.catalog(), subject.value
    kind = "accelerator" if subject.kind == "kernel model" else "system"
    for name in getattr(model, f"{kind}s"):
        try:
            catalog.entry(kind, name)
        except SuanliError as exc:
            yield f"fitted to what is not there: {exc}"
    known = {e.value.generation for e in catalog.entries("accelerator")}
    for generation in model.generations:
        if generation not in known:
            yield f"no accelerator is of generation {generation!r}, which it serves"
    if not (getattr(model, f"{kind}s") or model.generations or model.fallback):
        named = {getattr(e.value, "kernel_model", None) for e in catalog.entries("accelerator")}
        if subject.name not in named:
            yield "serves no accelerator, no generation, and nobody names it"
