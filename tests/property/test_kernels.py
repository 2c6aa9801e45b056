"""Seconds of single operations: positive, monotone, never below the roofline, arrays like scalars."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import suanli
from suanli import asking, kernels
from suanli.formulas import derivation
from suanli.hardware import Accelerator
from suanli.kernels import Kernel
from suanli.testing import installed_plugins, make_plugin
from suanli.testing import strategies as sts

DEVICES = {n: suanli.accelerator(n) for n in suanli.catalog().names("accelerator")}
MADE_UP = make_plugin(
    "made-up",
    accelerators=[
        attrs.evolve(
            DEVICES["a100-sxm4-80"], id="made-up", aliases=(), generation="", kernel_model=None, default_system=None
        )
    ],
)
DEVICES["made-up"] = suanli.Workspace(plugins=[*installed_plugins(), MADE_UP]).accelerator("made-up")
DEVICE = st.sampled_from(sorted(DEVICES))
Asked = tuple[str, str, str, dict[str, Any]]
ROUNDING = 1.0 + 1e-12
PRECISION = st.sampled_from(("bf16", "fp16", "fp8", "int8", "int4_wo"))


def computable(device: Accelerator, precision: str) -> bool:
    """Whether a device states a peak such products can run at."""
    try:
        device.gemm_s(m=1, n=1, k=1, precision=precision)
    except suanli.SuanliError:
        return False
    return True


def size(most: int) -> st.SearchStrategy[int]:
    """A dimension, small or large."""
    return st.one_of(st.integers(1, 64), st.integers(1, most))


GEMM = st.fixed_dictionaries({"m": size(1 << 17), "n": size(1 << 16), "k": size(1 << 16)})


@st.composite
def attentions(draw: st.DrawFn) -> dict[str, Any]:
    """The shape of an attention core; a decode step has one query."""
    phase = draw(st.sampled_from(("prefill", "decode")))
    query = 1 if phase == "decode" else draw(size(1 << 15))
    kv_heads = draw(st.sampled_from((1, 2, 8, 16)))
    return {
        "phase": phase,
        "batch": draw(size(512)),
        "query": query,
        "kv_tokens": query + draw(st.integers(0, 1 << 16)),
        "heads": kv_heads * draw(st.sampled_from((1, 4, 8))),
        "kv_heads": kv_heads,
        "head_dim": draw(st.sampled_from((32, 64, 128, 256))),
        "window": draw(st.sampled_from((0, 1, 128, 4096))),
    }


@st.composite
def latents(draw: st.DrawFn) -> dict[str, Any]:
    """The shape of a latent attention core."""
    phase = draw(st.sampled_from(("prefill", "decode")))
    query = 1 if phase == "decode" else draw(size(1 << 14))
    return {
        "phase": phase,
        "batch": draw(size(256)),
        "query": query,
        "kv_tokens": query + draw(st.integers(0, 1 << 16)),
        "heads": draw(st.sampled_from((16, 64, 128))),
    }


@st.composite
def mixtures(draw: st.DrawFn) -> dict[str, Any]:
    """The shape of one rank's routed experts."""
    experts = draw(st.sampled_from((4, 8, 64, 256)))
    return {
        "tokens": draw(size(1 << 16)),
        "hidden": draw(st.sampled_from((256, 2048, 7168))),
        "intermediate": draw(st.sampled_from((256, 1408, 14336))),
        "experts": experts,
        "top_k": draw(st.integers(1, 4)),
        "tensor": draw(st.sampled_from((1, 2, 8))),
        "expert": draw(st.sampled_from((1, 2, 4))),
        "imbalance": draw(st.sampled_from((1.0, 1.7))),
    }


def bound_s(device: Accelerator, kernel: Kernel) -> float:
    """The roofline: arithmetic at the peak, or traffic at the bandwidth, whichever takes longer."""
    peak = device.rates[kernel.compute]
    return float(max(kernel.flops / peak, kernel.bytes / device.memory_bandwidth_bytes_per_s))


KINDS: dict[str, tuple[str, Callable[..., Kernel], st.SearchStrategy[dict[str, Any]], tuple[str, ...]]] = {
    "gemm": ("gemm_s", kernels.gemm, GEMM, ("m", "n", "k")),
    "attention": (
        "attention_s",
        kernels.attention,
        attentions(),
        ("batch", "kv_tokens", "heads", "kv_heads", "head_dim"),
    ),
    "mla": ("mla_s", kernels.latent_attention, latents(), ("batch", "kv_tokens", "heads")),
    "moe": (
        "moe_s",
        kernels.experts,
        mixtures(),
        ("tokens", "hidden", "intermediate", "experts", "top_k", "imbalance"),
    ),
}
KIND = st.sampled_from(sorted(KINDS))


@st.composite
def asked(draw: st.DrawFn) -> Asked:
    """A kind of operation, a device, a precision it computes in, and a shape."""
    kind, device = draw(KIND), draw(DEVICE)
    precision = draw(PRECISION.filter(lambda p: computable(DEVICES[device], p)))
    return kind, device, precision, draw(KINDS[kind][2])


@given(asked())
def test_no_operation_beats_the_roofline(drawn: Asked) -> None:
    """Every time is finite, a float, and at least what arithmetic alone and traffic alone need."""
    kind, device, precision, shape = drawn[0], DEVICES[drawn[1]], drawn[2], drawn[3]
    method, make, _, _ = KINDS[kind]
    seconds = getattr(device, method)(**shape, precision=precision)
    assert type(seconds) is float
    formats = asking.formats_named(device, precision)
    plain = {k: v if k == "phase" else float(v) for k, v in shape.items()}
    kernel = make(**plain, formats=formats)
    assert kernel.flops > 0.0
    assert kernel.bytes > 0.0
    assert bound_s(device, kernel) <= seconds < math.inf


@given(asked(), st.integers(2, 5), st.data())
def test_more_work_never_takes_less_time(drawn: Asked, factor: int, data: st.DataObject) -> None:
    """Times grow, or stay, with every size of the operation."""
    kind, device, precision, shape = drawn[0], DEVICES[drawn[1]], drawn[2], drawn[3]
    method, _, _, sizes = KINDS[kind]
    grown = data.draw(st.sampled_from(sizes))
    before = getattr(device, method)(**shape, precision=precision)
    more = shape | {grown: shape[grown] * factor}
    assume(more.get("top_k", 1) <= more.get("experts", 1))
    assert before <= getattr(device, method)(**more, precision=precision) * ROUNDING, grown


@given(asked(), st.sampled_from(("bandwidth", "peak")), st.floats(1.0, 8.0))
def test_a_better_part_is_never_slower(drawn: Asked, what: str, factor: float) -> None:
    """The same part with more bandwidth, or with higher peaks, takes no longer for anything."""
    kind, device, precision, shape = drawn[0], DEVICES[drawn[1]], drawn[2], drawn[3]
    if what == "bandwidth":
        better = attrs.evolve(device, memory_bandwidth_bytes_per_s=device.memory_bandwidth_bytes_per_s * factor)
    else:
        peak = tuple(attrs.evolve(r, flops_per_s=r.flops_per_s * factor) for r in device.peak)
        better = attrs.evolve(device, peak=peak)
    method = KINDS[kind][0]
    before = getattr(device, method)(**shape, precision=precision)
    assert getattr(better, method)(**shape, precision=precision) <= before * ROUNDING


@given(GEMM, DEVICE, st.sampled_from(("bf16", "fp8", "int8", "int4_wo")))
def test_a_longer_sum_takes_a_little_longer(shape: dict[str, Any], name: str, precision: str) -> None:
    """The sum of a product has no steps: a millionth more of it takes at most a hundred-thousandth more."""
    device = DEVICES[name]
    assume(computable(device, precision))
    before = device.gemm_s(**shape, precision=precision)
    after = device.gemm_s(**shape | {"k": shape["k"] * (1.0 + 1e-6)}, precision=precision)
    assert before <= after * ROUNDING
    assert after <= before * (1.0 + 1e-5)


@given(asked(), st.floats(0.3, 1.0))
def test_continuous_load_never_helps(drawn: Asked, ratio: float) -> None:
    """A part that power keeps from its peak takes as long, or longer."""
    kind, device, precision, shape = drawn[0], DEVICES[drawn[1]], drawn[2], drawn[3]
    assert device.kernels is not None
    loaded = attrs.evolve(device, kernels=device.kernels.under_load(ratio))
    method = KINDS[kind][0]
    assert getattr(device, method)(**shape, precision=precision) <= (
        getattr(loaded, method)(**shape, precision=precision) * ROUNDING
    )


@given(attentions(), DEVICE, st.integers(1, 1 << 14))
def test_more_queries_and_wider_windows_never_take_less_time(shape: dict[str, Any], name: str, more: int) -> None:
    """More queries of a sequence, or a wider window on it, never take less; no window takes the most."""
    device = DEVICES[name]
    prefill = shape | {"phase": "prefill"}
    assert (
        device.attention_s(**prefill)
        <= device.attention_s(**prefill | {"query": min(prefill["query"] + more, prefill["kv_tokens"])}) * ROUNDING
    )
    narrow = prefill | {"window": more}
    wide = prefill | {"window": more * 2}
    whole = prefill | {"window": 0}
    times = [device.attention_s(**s) for s in (narrow, wide, whole)]
    assert times[0] <= times[1] * ROUNDING
    assert times[1] <= times[2] * ROUNDING


@given(asked(), st.integers(1, 5))
def test_arrays_are_their_scalars(drawn: Asked, rows: int) -> None:
    """A column of sizes gives the times of its rows, to the last bit, however it is written."""
    kind, device, precision, shape = drawn[0], DEVICES[drawn[1]], drawn[2], drawn[3]
    method, _, _, sizes = KINDS[kind]
    call = getattr(device, method)
    shapes = [shape | {s: shape[s] * (i + 1) for s in sizes} for i in range(rows)]
    columns = {s: [x[s] for x in shapes] for s in sizes}
    for given_as in (columns, {k: np.asarray(v) for k, v in columns.items()}):
        found = call(**shape | given_as, precision=precision)
        assert found.shape == (rows,)
        alone = [call(**x, precision=precision) for x in shapes]
        assert [struct.pack("<d", v) for v in found] == [struct.pack("<d", v) for v in alone]


@given(asked(), st.floats(0.3, 1.0))
def test_a_trace_changes_no_kernel(drawn: Asked, ratio: float) -> None:
    """Under a trace an operation takes the same time to the last bit, under load too, and rests on stated facts."""
    kind, device, precision, shape = drawn[0], DEVICES[drawn[1]], drawn[2], drawn[3]
    assert device.kernels is not None
    for part in (device, attrs.evolve(device, kernels=device.kernels.under_load(ratio))):
        plain = getattr(part, KINDS[kind][0])(**shape, precision=precision)
        with suanli.trace():
            made = getattr(part, KINDS[kind][0])(**shape, precision=precision)
        assert float(made) == plain
        queue, facts = [derivation(made)], set()
        while queue:
            node = queue.pop()
            queue += node.inputs
            assert not node.inputs or (node.unit and node.source), node.name
            facts.add(node.name)
        assert f"{device.id}.memory_bandwidth" in facts


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_numpy_scalars_are_scalars(kind: str) -> None:
    """A NumPy number in gives a float out, not an array of no dimensions."""
    method, _, _, sizes = KINDS[kind]
    shapes: dict[str, dict[str, Any]] = {
        "gemm": {"m": 64, "n": 64, "k": 64},
        "attention": {"phase": "prefill", "batch": 2, "query": 8, "kv_tokens": 8, "heads": 4, "kv_heads": 2}
        | {"head_dim": 64},
        "mla": {"phase": "decode", "batch": 2, "query": 1, "kv_tokens": 8, "heads": 4},
        "moe": {"tokens": 8, "hidden": 64, "intermediate": 64, "experts": 4, "top_k": 2, "imbalance": 1.0},
    }
    shape = shapes[kind]
    device = suanli.accelerator("a100")
    plain = getattr(device, method)(**shape)
    for number in (np.int64, np.float64, np.float32):
        found = getattr(device, method)(**shape | {s: number(shape[s]) for s in sizes})
        assert isinstance(found, float)
        assert found == plain


BAD = (0, -1, math.nan, math.inf, -math.inf, "8", None, True, [1, 0], np.array([1.0, math.nan]))


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_what_is_no_size_is_refused(bad: Any) -> None:
    """A dimension that is not a positive finite number is refused, and named."""
    device = suanli.accelerator("a100")
    calls: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
        (device.gemm_s, {"m": 8, "n": 8, "k": bad}, "k"),
        (device.moe_s, {"tokens": 8, "hidden": 8, "intermediate": 8, "experts": bad, "top_k": 1}, "experts"),
        (
            device.attention_s,
            {"phase": "prefill", "batch": bad, "query": 8, "kv_tokens": 8, "heads": 8, "kv_heads": 8, "head_dim": 8},
            "batch",
        ),
    ]
    for call, shape, named in calls:
        with pytest.raises(suanli.InvalidInputError, match=rf"\b{named}\b|expected a number"):
            call(**shape)


@pytest.mark.parametrize("window", [-1, math.nan, "8", None])
def test_what_is_no_window_is_refused(window: Any) -> None:
    """A window is a number of tokens, 0 for none."""
    shape: dict[str, Any] = {"phase": "prefill", "batch": 1, "query": 8, "kv_tokens": 8, "heads": 8, "kv_heads": 8}
    with pytest.raises(suanli.InvalidInputError, match="window"):
        suanli.accelerator("a100").attention_s(**shape, head_dim=64, window=window)


def test_windows_may_be_arrays() -> None:
    """A column of windows gives the times of its rows, as every other argument does."""
    shape: dict[str, Any] = {"phase": "prefill", "batch": 1, "query": 512, "kv_tokens": 512, "heads": 8, "kv_heads": 8}
    device = suanli.accelerator("a100")
    found = device.attention_s(**shape, head_dim=64, window=[0, 16, 64])
    assert list(found) == [device.attention_s(**shape, head_dim=64, window=w) for w in (0, 16, 64)]


@pytest.mark.parametrize("kind", ["attention_s", "mla_s"])
def test_more_queries_than_tokens_are_refused(kind: str) -> None:
    """Tokens attended to include the queries; fewer make no sense, and never a time of less than nothing."""
    shape: dict[str, Any] = {"phase": "prefill", "batch": 8, "query": 4096, "kv_tokens": 16, "heads": 64}
    if kind == "attention_s":
        shape |= {"kv_heads": 8, "head_dim": 128}
    with pytest.raises(suanli.InvalidInputError, match="kv_tokens"):
        getattr(suanli.accelerator("a100"), kind)(**shape)


def test_more_chosen_than_there_are_experts_is_refused() -> None:
    """A token cannot go to more experts than a layer has, and never takes time that is no number."""
    with pytest.raises(suanli.InvalidInputError, match="top_k"):
        suanli.accelerator("a100").moe_s(tokens=7, hidden=64, intermediate=64, experts=2, top_k=5)


@given(st.integers(1, 300), st.integers(0, 300), st.integers(0, 300))
def test_pairs_are_counted(query: int, before: int, window: int) -> None:
    """The formula of scored pairs is the count, query by query."""
    kv = query + before
    counted = 0
    for q in range(query):
        seen = before + q + 1
        counted += min(seen, window) if window else seen
    found = kernels.attended_pairs(query=float(query), kv_tokens=float(kv), window=float(window), causal=True)
    assert found == counted
    assert kernels.attended_pairs(query=float(query), kv_tokens=float(kv), window=0.0, causal=False) == query * kv


@given(st.integers(1, 64), st.integers(0, 10_000), st.integers(1, 8))
def test_active_experts_are_within_bounds(experts: int, tokens: int, top_k: int) -> None:
    """Experts at work are none for no tokens, at most all, and at most as many as the tokens' choices."""
    top_k = min(top_k, experts)
    found = kernels.active_experts(experts=float(experts), tokens=float(tokens), top_k=float(top_k))
    assert 0.0 <= found <= min(float(experts), float(tokens * top_k)) * ROUNDING
    if tokens == 1:
        assert found == pytest.approx(top_k, rel=1e-12)


@given(st.data())
def test_made_up_hardware_obeys_the_roofline(data: st.DataObject) -> None:
    """Hardware nobody measured is served too, by the datasheet, and never beats its own roofline."""
    device = data.draw(sts.accelerators())
    plugin = make_plugin("vendor", accelerators=[device])
    bound = suanli.Workspace(plugins=[*installed_plugins(), plugin]).accelerator("made-up")
    shape = data.draw(GEMM)
    m, n, k = (shape[d] for d in ("m", "n", "k"))
    kernel = kernels.gemm(m=float(m), n=float(n), k=float(k))
    assert bound_s(bound, kernel) <= bound.gemm_s(m=m, n=n, k=k) < math.inf
