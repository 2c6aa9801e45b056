"""Kernel models by hand: tiles and waves, split sums, quantising first, divided keys, few tokens for many experts."""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
import pytest

import suanli
from suanli.errors import CatalogError, SuanliError
from suanli.hardware import Accelerator, Rate, Source
from suanli.kernel_models import Efficiency, Roofline
from suanli.kernel_models.limits import traffic_s
from suanli.kernel_models.roofline import CACHED, CORE, PRODUCT, ROUTED
from suanli.kernels import Formats, Kernel, attention, experts, gemm, latent_attention

CORES = 10
PEAK = 1e15
BANDWIDTH = 1e13
DEVICE = Accelerator(
    id="by-hand",
    vendor="Acme",
    product="By hand",
    memory_bytes=1 << 36,
    memory_bandwidth_bytes_per_s=BANDWIDTH,
    cores=CORES,
    l2_cache_bytes=1_000_000,
    peak=(Rate("bf16", PEAK), Rate("fp8", 2.0 * PEAK), Rate("fp32", PEAK / 10.0)),
    source=(Source("all", "made up"),),
)


def seconds(kernel: Kernel, device: Accelerator = DEVICE, **figures: Any) -> Any:
    """Seconds of a kernel at the full peaks, but for the figures given."""
    full: dict[str, Any] = {"compute_ratio": 1.0, "bandwidth_ratio": 1.0} | figures
    entry = Efficiency(kernel=kernel.kind, precision=kernel.precision, generation="x", source="made up", **full)
    return Roofline(name="by-hand", efficiencies=(entry,)).time_s(kernel, device)


def compute_bound(tiles: int) -> Kernel:
    """A product of so many 128 x 128 tiles in a row, with so long a sum that traffic hardly counts."""
    return gemm(m=128.0, n=128.0 * tiles, k=2.0**20)


TILE_S = 2.0 * 128 * 128 * 2**20 / (PEAK / CORES)


@pytest.mark.parametrize(("tiles", "waves"), [(1, 1), (9, 1), (10, 1), (11, 2), (20, 2), (21, 3)])
def test_tiles_run_in_waves_over_the_cores(tiles: int, waves: int) -> None:
    """A wave lasts as long as one tile on one core, and one tile too many begins another."""
    took = seconds(compute_bound(tiles), tiles=((128, 128),), exposed_ratio=0.0)
    assert took == pytest.approx(waves * TILE_S, rel=1e-12)


def test_waves_may_be_filled() -> None:
    """With no strictness of waves, time follows the number of tiles once every core has one."""
    took = [seconds(compute_bound(t), tiles=((128, 128),), exposed_ratio=0.0, wave_ratio=0.0) for t in (5, 10, 15)]
    assert took == pytest.approx([TILE_S, TILE_S, 1.5 * TILE_S], rel=1e-12)


def test_the_best_tile_is_taken() -> None:
    """A library chooses: a smaller tile spreads over idle cores, a larger one saves loading."""
    kernel = gemm(m=64.0, n=640.0, k=2.0**16)
    both = seconds(kernel, tiles=((64, 64), (128, 128)))
    alone = [seconds(kernel, tiles=(t,)) for t in ((64, 64), (128, 128))]
    assert both == min(alone) < max(alone)
    wide = gemm(m=1280.0, n=1280.0, k=2.0**12)
    loaded: dict[str, Any] = {"core_bytes_per_flop": 0.02, "exposed_ratio": 0.0}
    times = [seconds(wide, tiles=(t,), **loaded) for t in ((64, 64), (128, 128))]
    assert times[1] < times[0]
    assert seconds(wide, tiles=((64, 64), (128, 128)), **loaded) == times[1]


def test_a_long_sum_is_split_over_idle_cores() -> None:
    """One tile with a long sum takes less when the sum is divided, and what joining it costs counts."""
    kernel = gemm(m=64.0, n=64.0, k=2.0**20)
    shape: dict[str, Any] = {"tiles": ((64, 64),), "exposed_ratio": 0.0, "core_bytes_per_flop": 0.05}
    whole, split = seconds(kernel, **shape), seconds(kernel, **shape, splits=(1, 8))
    assert split < whole / 3.0
    dear = seconds(kernel, **shape, splits=(1, 8), split_s=1.0)
    assert dear == whole


def test_parts_of_a_sum_are_joined_through_the_last_cache() -> None:
    """Halves of a sum: half of the steps, then 64 x 64 partial sums of 8 bytes for each half at 4 x the bandwidth."""
    kernel = gemm(m=64.0, n=64.0, k=2.0**20)
    whole_s = 2.0 * 64 * 64 * 2**20 / (PEAK / CORES)
    halved = seconds(kernel, tiles=((64, 64),), exposed_ratio=0.0, splits=(2,), split_s=1e-6)
    assert halved == pytest.approx(whole_s / 2 + 64 * 64 * 2 * 8 / (4 * BANDWIDTH) + 1e-6, rel=1e-12)
    assert seconds(kernel, tiles=((64, 64),), exposed_ratio=0.0, splits=(1,), split_s=1e-6) == pytest.approx(whole_s)


@pytest.mark.parametrize(
    ("bytes_per_flop", "weights", "loads"),
    [
        (0.01, 2.0, 2e12),  # a core has at least twice its share of the memory's bandwidth: 2 x 1e13 / 10
        (0.04, 2.0, 4e12),  # 0.04 bytes in the time of one of its 1e14 FLOP/s
        (0.04, 0.5, 4e12),
    ],
)
def test_a_small_tile_waits_for_its_inputs(bytes_per_flop: float, weights: float, loads: float) -> None:
    """A step of a 16 x 32 tile loads 16 inputs and 32 weights, which here takes longer than its arithmetic."""
    kernel = gemm(m=16.0, n=32.0, k=2.0**20, formats=Formats(weights=weights))
    took = seconds(kernel, tiles=((16, 32),), exposed_ratio=0.0, core_bytes_per_flop=bytes_per_flop)
    assert took == pytest.approx(2**20 * (16 * 2 + 32 * weights) / loads, rel=1e-12)


def test_what_starts_and_ends_a_tile_counts() -> None:
    """A launch, a constant of each tile and a ramp of its inner loop are added, each as often as it happens."""
    kernel = compute_bound(20)
    plain = seconds(kernel, tiles=((128, 128),), exposed_ratio=0.0)
    more = seconds(kernel, tiles=((128, 128),), exposed_ratio=0.0, launch_s=1.0, tile_s=0.25, ramp_k=2.0**20)
    assert more == pytest.approx(2.0 * plain + 1.0 + 2 * 0.25, rel=1e-12)


def test_output_that_nothing_hides_is_written_after() -> None:
    """A write ratio of 2 adds twice the seconds of the output at full bandwidth."""
    kernel = compute_bound(10)
    plain, more = (seconds(kernel, tiles=((128, 128),), write_ratio=w) for w in (0.0, 2.0))
    assert more - plain == pytest.approx(2.0 * 128 * 1280 * 2 / BANDWIDTH, rel=1e-6)


def test_inputs_are_quantised_first() -> None:
    """Dynamic fp8 reads two bytes and writes one of each input, and one block reads a row from end to end."""
    formats = Formats(precision="fp8", compute="fp8", weights=1.0, activations=1.0)
    m, k = 4096.0, 8192.0
    kernel = gemm(m=m, n=256.0, k=k, formats=formats)
    plain = seconds(kernel, tiles=((128, 128),))
    passed = seconds(kernel, tiles=((128, 128),), quantise_bandwidth_ratio=0.5)
    assert passed - plain == pytest.approx(3.0 * m * k / (0.5 * BANDWIDTH), rel=1e-9)
    rows: dict[str, Any] = {"quantise_s": 1e-3, "quantise_element_s": 1e-6, "quantise_row_s": 1e-4}
    slow = seconds(kernel, tiles=((128, 128),), quantise_bandwidth_ratio=0.5, **rows)
    assert slow - plain == pytest.approx(1e-3 + k * 1e-6 + m * 1e-4, rel=1e-9)


def test_what_the_cache_holds_has_its_own_speed() -> None:
    """What fits moves at the warm speed, twice as much not at all, and between them ever less; never below roofline."""
    cache = 1e6
    known = {"bandwidth_bytes_per_s": 1e9, "bandwidth_ratio": 0.5, "warm_bytes": cache, "warm_speed": 4.0}
    whole, half, none = (traffic_s(bytes=x * cache, **known) * 0.5e9 / cache for x in (1.0, 1.5, 2.0))
    assert whole == pytest.approx(1.0 / 4.0)
    assert half == pytest.approx(1.5 * (1.0 - 0.5 * (1.0 - 1.0 / 4.0)))
    assert none == pytest.approx(2.0)
    kernel = gemm(m=1000.0, n=1000.0, k=1.0)
    fast = seconds(kernel, exposed_ratio=0.0, warm_ratio=1.0, warm_speed=100.0)
    assert fast == 2.0 * (1000 + 1000 + 1e6) / BANDWIDTH


def test_weights_find_less_of_the_cache_than_activations() -> None:
    """A sixth of what activations have: others' weights come between."""
    shape = {"m": 40_000.0, "n": 1.0, "k": 16.0}  # activations of 1.3 MB
    turned = {"m": 1.0, "n": 40_000.0, "k": 16.0}  # weights of 1.3 MB
    about: dict[str, Any] = {"bandwidth_ratio": 0.1, "exposed_ratio": 0.0, "warm_ratio": 1.5, "warm_speed": 5.0}
    about["tiles"] = ((128, 128),)
    warm, cold = (seconds(gemm(**dims), **about) for dims in (shape, turned))
    assert gemm(**shape).bytes == gemm(**turned).bytes
    assert cold == pytest.approx(5.0 * warm, rel=0.1)


PROMPT: dict[str, Any] = {"phase": "prefill", "batch": 1.0, "query": 64.0, "kv_tokens": 64.0}
STEP: dict[str, Any] = {"phase": "decode", "batch": 1.0, "query": 1.0, "kv_tokens": 64.0}
KERNELS = {
    "gemm": gemm(m=64.0, n=64.0, k=64.0),
    "prefill": attention(**PROMPT, heads=4.0, kv_heads=2.0, head_dim=64.0),
    "decode": attention(**STEP, heads=4.0, kv_heads=2.0, head_dim=64.0),
    "mla_prefill": latent_attention(**PROMPT, heads=4.0),
    "mla_decode": latent_attention(**STEP, heads=4.0),
    "moe": experts(tokens=64.0, hidden=64.0, intermediate=64.0, experts=4.0, top_k=2.0),
}


@pytest.mark.parametrize("kind", KERNELS)
def test_what_is_not_stated_has_no_effect(kind: str) -> None:
    """An entry of two ratios is a roofline whose sides follow each other, for every kind; with zeros told, the same."""
    kernel = KERNELS[kind]
    plain = pytest.approx(kernel.flops / PEAK + kernel.bytes / BANDWIDTH, rel=1e-12)
    assert seconds(kernel) == plain
    assert seconds(kernel, exposed_ratio=1.0, warm_speed=1.0, **NONE) == plain
    hidden = max(kernel.flops / PEAK, kernel.bytes / BANDWIDTH)
    assert seconds(kernel, exposed_ratio=0.0) == pytest.approx(hidden, rel=1e-12)


@pytest.mark.parametrize("kind", KERNELS)
def test_a_kernel_without_its_sizes_is_held_against_the_roofline(kind: str) -> None:
    """Whatever was fitted of tiles, blocks and cores, work whose sizes nobody states is timed by its work alone."""
    known = KERNELS[kind]
    bare = attrs.evolve(known, shape={})
    figures: dict[str, Any] = {"tiles": ((64, 64),), "block": 64, "core_bandwidth_ratio": 2.0, "tile_s": 1.0}
    assert seconds(bare, **figures) == pytest.approx(known.flops / PEAK + known.bytes / BANDWIDTH, rel=1e-12)
    assert seconds(known, **figures) > 1.0


@pytest.mark.parametrize(
    ("kind", "needed"), [("gemm", PRODUCT), ("prefill", CORE), ("decode", CACHED), ("moe", ROUTED)]
)
def test_a_kernel_with_just_the_sizes_needed_is_looked_at(kind: str, needed: frozenset[str]) -> None:
    """A plugin's kernel that states the sizes a formula reads, and no other, is timed as ours are."""
    known = KERNELS[kind]
    names = needed | {"weight_bytes"} if kind == "moe" else needed
    least = attrs.evolve(known, shape={name: known.shape[name] for name in names})
    figures: dict[str, Any] = {"tiles": ((64, 64),), "block": 64, "core_bandwidth_ratio": 2.0, "tile_s": 1.0}
    assert seconds(least, **figures) == seconds(known, **figures) > 1.0


NOTHING = ["launch_s", "warm_ratio", "tile_s", "ramp_k", "core_bytes_per_flop", "core_bandwidth_ratio", "split_s"]
NOTHING += ["write_ratio", "quantise_s", "quantise_bandwidth_ratio", "quantise_element_s", "quantise_row_s", "block"]
NOTHING += ["pair_flops", "tail_ratio", "sequence_s", "local_traffic_ratio", "token_traffic_ratio", "partial_ratio"]
NOTHING += ["expert_s", "clock_hz", "core_flops_per_s"]
NONE: dict[str, Any] = dict.fromkeys(NOTHING, 0)
RATIOS = {"compute_ratio": (1e-9, 1.0), "bandwidth_ratio": (1e-9, 1.0), "exposed_ratio": (0.0, 1.0)}
RATIOS |= {"wave_ratio": (0.0, 1.0), "sustained_ratio": (0.0, 1.0)}


def entry(**figures: Any) -> Efficiency:
    """An entry of a product, at full peaks but for the figures given."""
    full = {"compute_ratio": 1.0, "bandwidth_ratio": 1.0} | figures
    return Efficiency(kernel="gemm", precision="bf16", source="made up", **full)


@pytest.mark.parametrize("name", NOTHING)
def test_a_figure_is_nothing_or_more(name: str) -> None:
    """What is not stated is nothing; nothing may be stated, and less than nothing is refused."""
    assert getattr(entry(), name) == getattr(entry(**{name: 0}), name) == 0.0
    with pytest.raises(ValueError, match=name):
        entry(**{name: -1})


@pytest.mark.parametrize("name", RATIOS)
def test_a_ratio_is_within_its_bounds(name: str) -> None:
    """All of a peak may be sustained and no more; of arithmetic and traffic something always is."""
    least, most = RATIOS[name]
    assert [getattr(entry(**{name: v}), name) for v in (least, most)] == [least, most]
    for beyond in (most + 1e-9, -1e-9, *([0.0] if least else [])):
        with pytest.raises(ValueError, match=name):
            entry(**{name: beyond})


def test_the_least_of_splits_tiles_and_speeds() -> None:
    """A sum has one part at least, a tile one row and one column, and the first bytes some speed."""
    assert entry().splits == (1,)
    assert entry(splits=(1, 2), tiles=((1, 1),), warm_speed=1e-9).tiles == ((1, 1),)
    for wrong in ({"splits": (0,)}, {"tiles": ((0, 1),)}, {"tiles": ((1, 0),)}, {"tiles": ((1,),)}, {"warm_speed": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            entry(**wrong)


def test_an_entry_holds_for_any_accelerator_unless_it_says_of_which_it_is() -> None:
    """Without the clock, cores and sustained share it was measured at, nothing is carried over; figures are open."""
    plain = entry()
    assert (plain.clock_hz, plain.sustained_ratio, plain.core_flops_per_s) == (0.0, 0.0, 0.0)
    assert not plain.bound_by_cores
    assert not plain.confidential


def test_launches_follow_each_other() -> None:
    """Three launches of one kernel take three times as long, their launches included."""
    one, three = (gemm(m=64.0, n=64.0, k=64.0, launches=n) for n in (1.0, 3.0))
    assert seconds(three, launch_s=1e-6) == pytest.approx(3.0 * seconds(one, launch_s=1e-6), rel=1e-12)


def test_power_caps_arithmetic_alone() -> None:
    """Under load a model sustains no more of a peak than power allows, and its memory as before."""
    model = Roofline(name="by-hand", efficiencies=(entry(compute_ratio=0.8, exposed_ratio=0.0),))
    busy, idle = gemm(m=8192.0, n=8192.0, k=8192.0), gemm(m=1.0, n=8192.0, k=8192.0)
    for cap, sustained in ((0.5, 0.5), (0.9, 0.8)):
        loaded = model.under_load(cap)
        assert loaded.time_s(busy, DEVICE) == pytest.approx(busy.flops / (PEAK * sustained), rel=1e-12)
        assert loaded.time_s(idle, DEVICE) == model.time_s(idle, DEVICE)


def test_the_nearest_figures_serve_what_nobody_measured() -> None:
    """Scales are left off first, then the kind's widest formats are asked, then whatever there is of the kind."""
    entries = [("gemm", "int8"), ("gemm", "fp8"), ("gemm", "fp16"), ("gemm", "bf16"), ("moe", "int8"), ("moe", "fp8")]
    fitted = tuple(attrs.evolve(entry(), kernel=k, precision=p) for k, p in entries)
    model = Roofline(name="by-hand", efficiencies=fitted)
    asked = {
        ("gemm", "fp8"): "fp8",
        ("gemm", "fp8_block"): "fp8",
        ("gemm", "int8_static"): "int8",
        ("gemm", "int4_wo"): "bf16",
        ("moe", "bf16"): "int8",
    }
    assert {key: model.efficiency(*key).precision for key in asked} == asked
    with pytest.raises(SuanliError, match="'by-hand' has no figures for 'attention_decode'"):
        model.efficiency("attention_decode", "bf16")


def test_what_a_generation_lacks_is_asked_of_the_fallback() -> None:
    """A bound model asks the fallback for the very figure, goes before it otherwise, and a fallback asks nobody."""
    own = Roofline(name="own", efficiencies=(attrs.evolve(entry(), precision="fp16"),))
    names = [("gemm", "fp32"), ("moe", "bf16"), ("gemm", "bf16")]
    entries = tuple(attrs.evolve(entry(), kernel=k, precision=p) for k, p in names)
    rest = Roofline(name="rest", efficiencies=entries, fallback=True)
    bound = own.bind(rest)
    assert isinstance(bound, Roofline)
    assert bound.efficiency("gemm", "fp16") is own.efficiencies[0]
    assert bound.efficiency("gemm", "fp32") is entries[0]
    assert bound.efficiency("gemm", "fp8") is own.efficiencies[0]
    assert bound.efficiency("moe", "fp8") is entries[1]
    assert bound.efficiency("gemm", "fp32_block") is own.efficiencies[0]
    assert rest.efficiency("gemm", "fp32_block") is entries[0]
    assert rest.bind(own) is rest
    assert bound.band("gemm", "fp16") is None


def test_an_entry_without_tiles_is_a_roofline() -> None:
    """The three figures an author of an accelerator can state without a library's tiles still make a model."""
    kernel = gemm(m=4096.0, n=4096.0, k=4096.0)
    took = seconds(kernel, compute_ratio=0.5, bandwidth_ratio=0.25, launch_s=1e-4)
    assert took == pytest.approx(1e-4 + kernel.flops / (PEAK / 2) + kernel.bytes / (BANDWIDTH / 4), rel=1e-12)


def test_a_kernel_of_unknown_shape_is_held_against_the_roofline() -> None:
    """A plugin's kernel that states its work and not the sizes a formula needs is timed by its work alone."""
    known = gemm(m=512.0, n=512.0, k=512.0)
    bare = Kernel(kind="gemm", precision="bf16", compute="bf16", flops=known.flops, bytes=known.bytes, shape={"m": 1.0})
    took = seconds(bare, tiles=((128, 128),), exposed_ratio=1.0)
    assert took == pytest.approx(known.flops / PEAK + known.bytes / BANDWIDTH, rel=1e-12)


def test_one_long_sequence_is_read_by_all_cores() -> None:
    """Decoding one sequence divides its keys and values over the cores, as a batch does by itself."""
    shape: dict[str, Any] = {"phase": "decode", "query": 1.0, "heads": 8.0, "kv_heads": 1.0, "head_dim": 128.0}
    alone = attention(batch=1.0, kv_tokens=2.0**20, **shape)
    many = attention(batch=64.0, kv_tokens=2.0**14, **shape)
    figures: dict[str, Any] = {"core_bandwidth_ratio": 2.0, "exposed_ratio": 0.0, "splits": (1, 2, 4, 8, 16)}
    assert seconds(alone, **figures) == pytest.approx(alone.bytes / BANDWIDTH, rel=0.1)
    assert seconds(many, **figures) == pytest.approx(seconds(alone, **figures), rel=0.1)
    assert seconds(alone, **figures, split_s=1e-4) > seconds(alone, **figures)
    whole = seconds(alone, **figures | {"splits": (1,)})
    token_s = max(2 * 32 * 256 * CORES / PEAK, 512 * CORES / (2.0 * BANDWIDTH))
    assert whole == pytest.approx(2.0**20 * token_s, rel=0.01)


def test_query_blocks_run_over_the_cores() -> None:
    """Ten blocks of queries on ten cores take the longest of them, the one that sees every key."""
    kernel = attention(
        phase="prefill", batch=1.0, query=1280.0, kv_tokens=1280.0, heads=1.0, kv_heads=1.0, head_dim=128.0
    )
    took = seconds(kernel, block=128, exposed_ratio=0.0)
    longest = (1280 + 64) * 128 * 4 * 128 / (PEAK / CORES)
    assert took == pytest.approx(longest, rel=1e-12)
    heavier = seconds(kernel, block=128, exposed_ratio=0.0, pair_flops=512.0)
    assert heavier == pytest.approx(2.0 * longest, rel=1e-12)


def test_fewer_queries_than_a_block_fill_rows_of_sixteen() -> None:
    """20 queries on 1300 tokens are a tile of 32 rows, each of which scores all tokens and half a block of 128."""
    kernel = attention(
        phase="prefill", batch=1.0, query=20.0, kv_tokens=1300.0, heads=1.0, kv_heads=1.0, head_dim=128.0
    )
    took = seconds(kernel, block=128, exposed_ratio=0.0)
    assert took == pytest.approx((1300 + 64) * 32 * 4 * 128 / (PEAK / CORES), rel=1e-12)


def test_heads_that_share_keys_are_one_tile_of_a_single_query() -> None:
    """64 heads on 2 of keys and values are 2 tiles of 16 rows, 512 heads are 4: a tile takes up to 128 heads.

    On one core it is what they score together: 1280 pairs a head, and half a block of 128 for each row of a tile.
    """
    alone = attrs.evolve(DEVICE, cores=1)
    for heads, tiles in ((64, 2), (512, 4)):
        kernel = attention(**PROMPT | {"query": 1.0, "kv_tokens": 1280.0}, heads=heads, kv_heads=2.0, head_dim=128.0)
        took = seconds(kernel, alone, block=128, exposed_ratio=0.0, compute_ratio=1e-4)
        assert took == pytest.approx((heads * 1280 + tiles * 16 * 64) * 512 / (1e-4 * PEAK), rel=1e-12)


def test_a_window_shortens_the_longest_block() -> None:
    """Ten blocks of 128 queries that look back 128 tokens reach 256, and half a block of 128 on the diagonal."""
    kernel = attention(
        phase="prefill", batch=1.0, query=1280.0, kv_tokens=1280.0, heads=1.0, kv_heads=1.0, head_dim=128.0,
        window=128.0,
    )  # fmt: skip
    took = seconds(kernel, block=128, exposed_ratio=0.0)
    assert took == pytest.approx((256 + 64) * 128 * 4 * 128 / (PEAK / CORES), rel=1e-12)


def test_a_head_too_wide_for_a_core_is_scored_again() -> None:
    """Heads of 512, twice as wide as an output a core can hold, take twice the arithmetic of their width."""
    wide = attention(
        phase="prefill", batch=1.0, query=1280.0, kv_tokens=1280.0, heads=1.0, kv_heads=1.0, head_dim=512.0
    )
    took = seconds(wide, block=128, exposed_ratio=0.0)
    assert took == pytest.approx(2 * (1280 + 64) * 128 * 4 * 512 / (PEAK / CORES), rel=1e-12)


def test_tiles_of_unequal_length_end_unevenly() -> None:
    """Twenty blocks on ten cores share the pairs, with 2 x 1 us of starts and a quarter of the longest at the end."""
    kernel = attention(
        phase="prefill", batch=1.0, query=1280.0, kv_tokens=1280.0, heads=2.0, kv_heads=2.0, head_dim=128.0
    )
    pairs = 2 * 1280 * 1281 / 2 + 20 * 128 * 64
    longest = (1280 + 64) * 128
    took = seconds(kernel, block=128, exposed_ratio=0.0, tail_ratio=0.5, tile_s=1e-6)
    assert took == pytest.approx((pairs / CORES + 0.5 * 0.5 * longest) * 512 / (PEAK / CORES) + 2e-6, rel=1e-12)


@pytest.mark.parametrize(("heads", "beyond"), [(1.0, 0.0), (1.5, 0.5), (3.0, 1.0)])
def test_the_first_wave_ends_evenly(heads: float, beyond: float) -> None:
    """Ten tiles on ten cores end with the longest; half a wave more ends half as unevenly, from a whole one on all."""
    kernel = attention(
        phase="prefill", batch=heads, query=1280.0, kv_tokens=1280.0, heads=1.0, kv_heads=1.0, head_dim=128.0
    )
    plain, uneven = (seconds(kernel, block=128, exposed_ratio=0.0, tail_ratio=t) for t in (0.0, 1.0))
    longest = (1280 + 64) * 128 * 512 / (PEAK / CORES)
    assert uneven - plain == pytest.approx(0.5 * beyond * longest, rel=1e-9)


def test_queries_of_a_step_fill_rows_with_their_heads() -> None:
    """Speculated tokens are scored together: 16 heads of 2 queries are 32 rows, of 4 queries two times 32."""
    shape: dict[str, Any] = {"phase": "decode", "batch": 10.0, "heads": 16.0, "kv_heads": 1.0, "head_dim": 128.0}
    figures: dict[str, Any] = {"core_bandwidth_ratio": 0.5, "exposed_ratio": 0.0}
    one, two, four = (seconds(attention(query=q, kv_tokens=2.0**16, **shape), **figures) for q in (1.0, 2.0, 4.0))
    token_s = 512 * CORES / (0.5 * BANDWIDTH)
    assert one == two == pytest.approx(2**16 * token_s, rel=1e-12)
    assert four == pytest.approx(2.0 * two, rel=1e-12)


def test_each_sequence_and_each_part_of_it_is_accounted_for() -> None:
    """Four sequences in two parts each on ten cores: half of the tokens, a start, a join, and 4 x 2 us beside."""
    kernel = attention(phase="decode", batch=4.0, query=1.0, kv_tokens=2.0**16, heads=1.0, kv_heads=1.0, head_dim=128.0)
    figures: dict[str, Any] = {"core_bandwidth_ratio": 2.0, "exposed_ratio": 0.0, "sequence_s": 2e-6, "tile_s": 1e-6}
    token_s = 512 * CORES / (2.0 * BANDWIDTH)
    halved = seconds(kernel, **figures, splits=(1, 2), split_s=5e-6)
    assert halved == pytest.approx(2**15 * token_s + 1e-6 + 5e-6 + 4 * 2e-6, rel=1e-12)


def test_the_backward_pass_repeats_the_forward_one() -> None:
    """A kernel with 2.5 times the FLOPs of its shape keeps its blocks and takes 2.5 times the arithmetic."""
    kernel = attention(
        phase="prefill", batch=8.0, query=4096.0, kv_tokens=4096.0, heads=8.0, kv_heads=8.0, head_dim=128.0
    )
    forward = seconds(kernel, block=128, exposed_ratio=0.0)
    kernel.flops = kernel.flops * 2.5
    assert seconds(kernel, block=128, exposed_ratio=0.0) == pytest.approx(2.5 * forward, rel=1e-12)


def test_few_tokens_read_few_experts() -> None:
    """A token that goes to 2 of 64 experts reads the weights of two; many tokens read all."""
    shape: dict[str, Any] = {"hidden": 1024.0, "intermediate": 1024.0, "experts": 64.0, "top_k": 2.0}
    one, many = (experts(tokens=t, **shape) for t in (1.0, 100_000.0))
    weights = 3.0 * 1024 * 1024 * 2
    assert one.bytes == pytest.approx(2 * weights, rel=0.01)
    assert many.shape["active"] == pytest.approx(64.0)
    figures: dict[str, Any] = {"tiles": ((16, 64), (128, 128)), "exposed_ratio": 0.0, "core_bytes_per_flop": 1.0}
    assert seconds(one, **figures) == pytest.approx(2 * weights / BANDWIDTH, rel=0.02)


def test_grouped_products_by_hand() -> None:
    """64 tokens to all 4 experts of 128 x 64 on ten cores: one wave of tiles of 64 x 64 into them, and one out.

    Half a tile more for each expert makes 6 tiles of rows by 2 of columns: two waves of each.
    """
    kernel = experts(tokens=64.0, hidden=128.0, intermediate=64.0, experts=4.0, top_k=4.0)
    figures: dict[str, Any] = {"tiles": ((64, 64),), "exposed_ratio": 0.0, "compute_ratio": 0.01, "tile_s": 1e-6}
    rate = 0.01 * PEAK / CORES
    wave_s = 2 * 64 * 64 * (128 + 64) / rate + 2e-6
    assert seconds(kernel, **figures) == pytest.approx(wave_s, rel=1e-12)
    assert seconds(kernel, **figures, partial_ratio=0.5) == pytest.approx(2.0 * wave_s, rel=1e-12)
    assert seconds(kernel, **figures, partial_ratio=0.5, wave_ratio=0.0) == pytest.approx(1.2 * wave_s, rel=1e-12)
    beside = 256 * (2 * 128 + 3 * 64) * 2 / BANDWIDTH
    more = seconds(kernel, **figures, local_traffic_ratio=2.0, expert_s=1e-6)
    assert more == pytest.approx(wave_s + 2.0 * beside + 4e-6, rel=1e-12)


def test_copies_elsewhere_are_sorted_here_too() -> None:
    """Passes over all copies of the tokens do not shrink with the ranks the experts are divided over."""
    shape: dict[str, Any] = {"tokens": 4096.0, "hidden": 512.0, "intermediate": 512.0, "experts": 64.0, "top_k": 4.0}
    extra = []
    for ranks in (1.0, 16.0):
        kernel = experts(**shape, expert=ranks)
        plain, more = (seconds(kernel, tiles=((64, 64),), token_traffic_ratio=r) for r in (0.0, 1.0))
        extra.append(more - plain)
    assert extra[0] == pytest.approx(extra[1], rel=1e-9)
    assert extra[0] == pytest.approx(4096 * 4 * (2 * 512 + 3 * 512) * 2 / BANDWIDTH, rel=1e-9)


def test_an_engine_may_multiply_in_another_format() -> None:
    """Weight-only products that an engine multiplies in 8 bits are held against the 8-bit peak."""
    formats = Formats(precision="int8_wo", weights=1.0)
    kernel = gemm(m=8192.0, n=8192.0, k=8192.0, formats=formats)
    wide, narrow = (seconds(kernel, tiles=((128, 128),), exposed_ratio=0.0, multiplies=x) for x in ("", "fp8"))
    assert narrow == pytest.approx(wide / 2.0, rel=1e-9)


def test_what_is_remembered_is_not_shared() -> None:
    """Asked again, a model answers the same, whatever was done to the first answer."""
    device = suanli.accelerator("a100")
    first = device.gemm_s(m=[16, 32], n=64, k=64)
    kept = first.copy()
    first[:] = math.nan
    assert list(device.gemm_s(m=[16, 32], n=64, k=64)) == list(kept)


def test_what_is_remembered_depends_on_the_device() -> None:
    """One model serves parts with different facts, and does not mix up their answers."""
    kernel = gemm(m=4096.0, n=4096.0, k=4096.0)
    entry = Efficiency(kernel="gemm", precision="bf16", compute_ratio=1.0, bandwidth_ratio=1.0, source="made up")
    model = Roofline(name="by-hand", efficiencies=(entry,))
    half = attrs.evolve(DEVICE, memory_bandwidth_bytes_per_s=BANDWIDTH / 2, peak=(Rate("bf16", PEAK / 2),))
    assert model.time_s(kernel, half) == pytest.approx(2.0 * model.time_s(kernel, DEVICE))
    kernel.flops = kernel.flops * 2.0
    assert model.time_s(kernel, DEVICE) > seconds(gemm(m=4096.0, n=4096.0, k=4096.0))


def test_what_is_near_does_not_depend_on_what_was_asked() -> None:
    """A precision nobody measured is served by the same figures, whoever else asked for it before."""
    model = suanli.accelerator("h100").kernels
    assert isinstance(model, Roofline)
    assert model.rest is not None
    before = attrs.evolve(model).efficiency("moe", "int8")
    model.rest.efficiency("moe", "int8")
    assert attrs.evolve(model).efficiency("moe", "int8") == before


def test_long_columns_are_taken_in_chunks() -> None:
    """A column longer than a chunk gives each row the time it has alone."""
    device = suanli.accelerator("h100")
    m = np.arange(1.0, 20_001.0)
    found = device.gemm_s(m=m, n=4096, k=1024)
    assert found.shape == m.shape
    for i in (0, 8191, 8192, 19_999):
        assert found[i] == device.gemm_s(m=m[i], n=4096, k=1024)
    grid = device.gemm_s(m=m[:200, None], n=np.arange(1.0, 101.0)[None, :], k=64)
    assert grid.shape == (200, 100)
    assert grid[199, 99] == device.gemm_s(m=200, n=100, k=64)


def test_scales_are_part_of_a_precision() -> None:
    """Block and static scales may be named; a part without that format widens them like any other."""
    h100, a100 = suanli.accelerator("h100"), suanli.accelerator("a100")
    shape = {"m": 512, "n": 4096, "k": 4096}
    plain, block = (h100.gemm_s(**shape, precision=p) for p in ("fp8", "fp8_block"))
    assert plain != block
    assert a100.gemm_s(**shape, precision="fp8_block") == a100.gemm_s(**shape, precision="fp8")
    with pytest.raises(suanli.UnknownNameError, match="precision"):
        h100.gemm_s(**shape, precision="fp7_block")


@pytest.mark.parametrize("tiles", ["[[128]]", "[[0, 128]]", "[[64, 64, 2]]"])
def test_what_is_no_tile_is_refused(tiles: str, tmp_path: Any) -> None:
    """A tile is rows and columns; a calibration file that says otherwise is named with its key."""
    (tmp_path / "fit.toml").write_text(
        f'[[efficiency]]\ngeneration = "x"\nkernel = "gemm"\nprecision = "bf16"\ncompute_ratio = 0.5\n'
        f'bandwidth_ratio = 0.5\ntiles = {tiles}\nsource = "s"\n',
        encoding="utf-8",
    )
    with pytest.raises(CatalogError, match="tiles"):
        suanli.read_catalog(tmp_path)


def test_among_other_kernels_weights_and_caches_are_cold() -> None:
    """Timed alone, a kernel finds its weights in the last cache; in a step, other layers' have passed through it."""
    about: dict[str, Any] = {"compute_ratio": 1.0, "bandwidth_ratio": 0.1, "exposed_ratio": 0.0}
    about |= {"warm_ratio": 6.0, "warm_speed": 5.0, "generation": "x", "source": "made up", "precision": "bf16"}
    product = Efficiency(kernel="gemm", tiles=((128, 128),), **about)
    decode = Efficiency(kernel="attention_decode", core_bandwidth_ratio=100.0, splits=(1, 10), **about)
    alone = Roofline(name="by-hand", efficiencies=(product, decode))
    among = alone.under_load(1.0)
    weights = gemm(m=1.0, n=1000.0, k=400.0)
    cache = attention(phase="decode", batch=1.0, query=1.0, kv_tokens=2000.0, heads=1.0, kv_heads=1.0, head_dim=128.0)
    for kernel in (weights, cache):
        assert among.time_s(kernel, DEVICE) == pytest.approx(5.0 * alone.time_s(kernel, DEVICE), rel=0.05)
    made_before = gemm(m=1000.0, n=1.0, k=400.0)
    assert among.time_s(made_before, DEVICE) == pytest.approx(alone.time_s(made_before, DEVICE), rel=0.05)
