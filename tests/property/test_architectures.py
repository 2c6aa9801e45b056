"""Laws every architecture keeps: its counts add up, its shards make the whole, a table is its rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import suanli
from suanli.operators import Attention, How, Loss
from suanli.tensors import EXPERT_FFN, EXPERTS, FFN, HEADS, KV_HEADS, TOP_K, VOCABULARY, Local
from suanli.testing import architectures

CONFIGS = architectures.configs()
HOWS = st.builds(How, attention=st.sampled_from(("flash", "eager")), dropout=st.sampled_from((0.0, 0.1)))
NO_PHASE = {"embedding", "loss"}


def local(tensor: Any = 1.0, sequence: Any = 12.0, cached: Any = 0.0, phase: str = "prefill", **more: Any) -> Local:
    """What one of `tensor` ranks works on."""
    degrees = dict.fromkeys((HEADS, KV_HEADS, FFN, VOCABULARY, TOP_K, EXPERT_FFN), tensor)
    degrees[TOP_K] = 1.0
    return Local(
        batch=2.0,
        sequence=sequence,
        whole_sequence=sequence,
        kv_tokens=sequence + cached,
        phase=phase,
        degrees=degrees,
        **more,
    )


@given(CONFIGS, st.integers(1, 64))
def test_groups_are_the_total(config: dict[str, Any], sequence: int) -> None:
    """Parameters and FLOPs by group sum to their totals, and a token uses no more parameters than there are."""
    model = suanli.model(config)
    count = model.parameters
    assert sum(count.by_group.values()) == count.total
    assert 0 < count.active <= count.total
    if not any(EXPERTS in {d.role for d in p.dims} for b, _ in model.parts for p in b.parameters):
        assert count.active == count.total
    flops = model.forward_flops(sequence=sequence, causal=False)
    assert sum(flops.by_group.values()) == pytest.approx(flops.total, rel=1e-14)


@given(CONFIGS, st.integers(1, 64), st.integers(1, 64))
def test_more_tokens_never_cost_less(config: dict[str, Any], tokens: int, more: int) -> None:
    """FLOPs grow with the sequence, a causal pass never takes more than a full one, and batches add."""
    model = suanli.model(config)
    small, large = (model.forward_flops(sequence=s).total for s in (tokens, tokens + more))
    assert small < large
    assert small <= model.forward_flops(sequence=tokens, causal=False).total
    assert model.forward_flops(batch=3, sequence=tokens).total == pytest.approx(3 * small, rel=1e-12)


@given(CONFIGS, st.integers(1, 300), st.integers(1, 300))
def test_a_token_more_costs_what_it_adds(config: dict[str, Any], before: int, tokens: int) -> None:
    """Attention of a prompt read in two parts is that of the prompt read at once, for every kind of mask."""
    for block, _ in suanli.model(config).kinds:
        for op in block.operators:
            if not isinstance(op, Attention):
                continue
            first, then = local(sequence=float(before)), local(sequence=float(tokens), cached=float(before))
            whole = op.pairs(local(sequence=float(before + tokens)))
            assert op.pairs(first) + op.pairs(then) == pytest.approx(whole, rel=1e-12)


@given(CONFIGS, st.integers(0, 5_000), st.integers(1, 64))
def test_a_cache_never_shrinks(config: dict[str, Any], tokens: int, more: int) -> None:
    """A cache of more tokens is never smaller, of none is empty, and of twice the bits at most twice the bytes.

    Compressed caches hold tokens that wait for the rest of their entry, and let them go when it is made.
    """
    model = suanli.model(config)
    now, then = model.kv_cache_bytes(tokens), model.kv_cache_bytes(tokens + more)
    assert model.kv_cache_bytes(0) == 0
    assert now <= model.kv_cache_bytes(tokens, "fp32") <= 2 * now
    if config["model_type"] != "deepseek_v4":
        assert now <= then


def copies(parameter: Any, tensor: int) -> float:
    """How often `tensor` ranks hold each element of a parameter, all together."""
    roles = {d.role: d.size for d in parameter.dims}
    if {HEADS, FFN, VOCABULARY, EXPERT_FFN} & set(roles):
        return 1.0
    return tensor / min(tensor, roles[KV_HEADS]) if KV_HEADS in roles else float(tensor)


@given(CONFIGS, st.sampled_from((1, 2, 4, 8)))
def test_shards_are_the_whole(config: dict[str, Any], tensor: int) -> None:
    """Each parameter over the ranks is itself, once where a role of it is divided and once a rank where none is."""
    at = local(float(tensor))
    for block, _ in suanli.model(config).parts:
        for p in block.parameters:
            assert at.product(p.dims) * tensor == pytest.approx(p.elements * copies(p, tensor), rel=1e-12), p.name


@given(CONFIGS, st.sampled_from((2, 4, 8)))
def test_ranks_do_no_less_than_the_work(config: dict[str, Any], tensor: int) -> None:
    """FLOPs of all ranks are the whole's or, where a tensor is on every rank, no more than that many times it."""
    at, alone = local(float(tensor)), local()
    for block, _ in suanli.model(config).parts:
        for op in block.operators:
            whole, spread = float(op.flops(alone)), float(op.flops(at)) * tensor
            assert whole * (1 - 1e-12) <= spread <= whole * tensor * (1 + 1e-12), op.name


@given(CONFIGS, HOWS, st.sampled_from(("prefill", "decode")))
def test_a_table_is_its_rows(config: dict[str, Any], how: How, phase: str) -> None:
    """Columns of layouts give each row's own FLOPs, bytes and kernels, to the last bit."""
    tensors, sequences = (1.0, 2.0, 8.0), (1.0, 5.0, 64.0)
    table = local(np.array(tensors), np.array(sequences), np.array([3.0, 0.0, 9.0]), phase)
    rows = [local(t, s, c, phase) for t, s, c in zip(tensors, sequences, (3.0, 0.0, 9.0), strict=True)]
    for block, _ in suanli.model(config).parts:
        for op in block.operators:
            if isinstance(op, Loss):  # its logits have a format that only a recipe knows
                continue
            columns = [op.flops(table), *(k.bytes for k in op.forward(table, how))]
            columns += [k.flops for k in op.forward(table, how)]
            for i, row in enumerate(rows):
                alone = [op.flops(row), *(k.bytes for k in op.forward(row, how))]
                alone += [k.flops for k in op.forward(row, how)]
                for column, value in zip(columns, alone, strict=True):
                    assert np.broadcast_to(column, 3)[i] == value, op.name


@given(CONFIGS, HOWS)
def test_backward_passes_do_twice_the_work(config: dict[str, Any], how: How) -> None:
    """Gradients of a product are two products; flash attention makes its scores again besides."""
    at = local()
    for block, _ in suanli.model(config).parts:
        for op in block.operators:
            if isinstance(op, Loss):
                continue
            forward, backward = (
                sum(float(k.flops) * float(k.launches) for k in kernels)
                for kernels in (op.forward(at, how), op.backward(at, how))
            )
            times = 2.5 if isinstance(op, Attention) and how.attention == "flash" else 2.0
            assert backward == pytest.approx(times * forward, rel=1e-12), op.name


@given(CONFIGS, HOWS)
def test_what_is_kept_has_a_size(config: dict[str, Any], how: How) -> None:
    """Every tensor kept for the backward pass has bytes, and a layer keeps at least what it reads."""
    model, at = suanli.model(config), local()
    for block, _ in model.kinds:
        kept = block.kept(how)
        assert all(at.held(t) > 0 for t in kept)
        assert block.checkpoint is not None
        assert block.checkpoint.name in {t.name for t in kept}


@given(CONFIGS)
def test_modules_that_predict_ahead_are_counted_apart(config: dict[str, Any]) -> None:
    """With multi-token prediction the counts stay, and a note says how many parameters there are more."""
    plain = suanli.model(config | {"num_nextn_predict_layers": 0})
    drafting = suanli.model(config | {"num_nextn_predict_layers": 1})
    assert drafting.parameters == plain.parameters
    assert plain.draft_parameters == 0
    assert bool(drafting.drafts) == any("multi-token prediction" in n for n in drafting.notes)


@pytest.mark.parametrize("kind", architectures.ARCHITECTURES)
def test_every_architecture_trains_and_serves(kind: str) -> None:
    """A model of every architecture goes through both estimates and a search, on several ranks."""
    config = {k: v[0] for k, v in architectures.ARCHITECTURES[kind].items()} | {"model_type": kind}
    system = {"name": "dgx-h100", "accelerators": 8}
    training = suanli.estimate(
        {"model": {"config": config}, "system": system, "workload": {"sequence": 64, "global_batch": 8}}
    )
    assert training.time.step_s > 0.0
    serving = suanli.estimate(
        {
            "model": {"config": config},
            "system": system,
            "workload": {"kind": "serve", "prompt": 64, "output": 16, "concurrency": 4},
        }
    )
    assert serving.time.decode_s > 0.0
    assert serving.memory.per_accelerator.kv_cache_bytes > 0.0
