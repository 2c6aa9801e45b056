"""Kernel models by hand: tiles and waves, split sums, quantising first, divided keys, few tokens for many experts."""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
import pytest

import suanli
from suanli.errors import CatalogError
from suanli.hardware import Accelerator, Rate, Source
from suanli.kernel_models import Efficiency, Roofline
from suanli.kernel_models.limits import traffic_s
from suanli.kernels import Formats, Kernel, attention, experts, gemm

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
