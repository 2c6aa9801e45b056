"""What the ranks hold and compute, added up, is the whole, times what is stated to be replicated.

Replicated over tensor ranks: norms, routers, biases of what is summed, positions, and the gate of shared experts.
Key and value heads are replicated where tensor ranks outnumber them. Nothing else is held twice by one stage.
"""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import suanli
from suanli.case import Case
from suanli.figures import forward_flops, weights
from suanli.layout import Layout
from suanli.models import Block
from suanli.tensors import EXPERT_FFN, EXPERTS, FFN, HEADS, KV_HEADS, TOP_K, VOCABULARY, Local, Parameter
from suanli.testing import resolved, run_one
from suanli.testing import strategies as sts

Drawn = tuple[dict[str, Any], Layout]
DIVIDED = {HEADS, FFN, VOCABULARY}


@st.composite
def cases(draw: st.DrawFn, configs: st.SearchStrategy[dict[str, Any]]) -> Drawn:
    """A training scenario of one of `configs`, and its layout."""
    config = draw(configs)
    layout = draw(sts.layouts(config))
    return draw(sts.training_scenarios(config=config, layout=layout)), layout


def at_rank(case: Case, layout: Layout, batch: float = 3.0) -> Local:
    """The sizes one rank works on."""
    from suanli.layout import Degrees, fields_of

    numbers, names = fields_of(layout)
    view = Degrees(numbers, names, frozenset((*numbers, *names)), "test")
    tokens = float(case.sequence)
    return case.local(view, batch=batch, sequence=tokens, kv_tokens=tokens)


def whole(case: Case, batch: float = 3.0) -> Local:
    """The sizes one rank would work on alone."""
    return at_rank(case, Layout(), batch)


def copies(parameter: Parameter, layout: Layout) -> float:
    """How often the ranks of one stage and one data replica hold each element of a parameter, all together."""
    roles = {d.role for d in parameter.dims}
    ranks = float(layout.tensor * layout.context * layout.data)
    if EXPERTS in roles:
        width = layout.expert_tensor if EXPERT_FFN in roles else 1
        return ranks / (layout.expert * width)
    if roles & DIVIDED:
        return ranks / layout.tensor
    if KV_HEADS in roles:
        heads = next(d.size for d in parameter.dims if d.role == KV_HEADS)
        return ranks / min(layout.tensor, heads)
    return ranks


@given(cases(sts.configs()))
def test_parameters_of_the_ranks_are_the_whole(drawn: Drawn) -> None:
    """Each parameter, summed over the ranks of a stage, is itself times its stated copies."""
    case, layout = resolved(drawn[0]), drawn[1]
    ranks = layout.tensor * layout.context * layout.data
    at = at_rank(case, layout)
    for block, _ in case.model.parts:
        held = weights(case, block, at)
        owned = [p for p in block.parameters if not p.tied]
        dense = sum(p.elements * copies(p, layout) for p in owned if not any(d.role == EXPERTS for d in p.dims))
        expert = sum(p.elements * copies(p, layout) for p in owned if any(d.role == EXPERTS for d in p.dims))
        tied = sum(p.elements * copies(p, layout) for p in block.parameters if p.tied)
        assert held.dense * ranks == pytest.approx(dense, rel=1e-12)
        assert held.expert * ranks == pytest.approx(expert, rel=1e-12)
        assert held.tied * ranks == pytest.approx(tied, rel=1e-12)


@given(cases(sts.configs()))
def test_one_rank_alone_holds_the_model(drawn: Drawn) -> None:
    """Undivided, the blocks' parameters are exactly the model's count; a tied head adds nothing."""
    case = resolved(drawn[0])
    at = whole(case)
    total: Any = 0.0
    for block, times in case.model.parts:
        held = weights(case, block, at)
        total += (held.dense + held.expert) * times
    assert total == case.model.parameters.total


@given(cases(sts.configs()))
def test_stages_hold_every_layer_once(drawn: Drawn) -> None:
    """The weights of all pipeline stages and their ranks are the model's, with copies; a tied head's on the last."""
    case, layout = resolved(drawn[0]), drawn[1]
    if layout.zero == 3:
        return
    values = run_one(case, layout)
    stages = [dict(rows)["weights_bytes"] for rows in values["memory.stages"]]
    assert len(stages) == layout.pipeline
    ranks = layout.tensor * layout.context * layout.data
    expected = 0.0
    for block, times in case.model.parts:
        for parameter in block.parameters:
            if parameter.tied and layout.pipeline == 1:
                continue
            expected += parameter.elements * copies(parameter, layout) * times
    assert sum(stages) * ranks == pytest.approx(expected * case.stored[case.recipe.weights], rel=1e-12)


def again(block: Block, layout: Layout, name: str) -> float:
    """How often the ranks that share a micro batch compute what an operator does, all together.

    Linears that make undivided outputs of undivided inputs (a router, a shared expert's gate) run on every
    tensor rank; keys and values as often as their heads are replicated.
    """
    op = next(o for o in block.operators if o.name == name)
    roles = {d.role for p in op.parameters for d in p.dims}
    routed = bool({EXPERTS, EXPERT_FFN} & roles)
    return 1.0 if routed or roles & DIVIDED or not op.parameters else float(layout.tensor)


@given(cases(sts.configs()), st.booleans())
def test_flops_of_the_ranks_are_the_whole(drawn: Drawn, causal: bool) -> None:
    """FLOPs of each operator, summed over tensor and context ranks, are its own times the stated replication."""
    case, layout = resolved(drawn[0]), drawn[1]
    at, alone = at_rank(case, layout), whole(case)
    at.causal = alone.causal = causal
    ranks = layout.tensor * layout.context
    for block, _ in case.model.parts:
        summed: Any = 0.0
        expected: Any = 0.0
        for op in block.operators:
            mine: Any = op.flops(alone)
            if op.name == "qkv":
                q, k, _v = (float(w.elements) for w in op.parameters if not w.name.endswith(".bias"))
                heads = next(d.size for p in op.parameters for d in p.dims if d.role == KV_HEADS)
                surplus = 2.0 * k * (max(layout.tensor / heads, 1.0) - 1.0)
                assert q >= k > 0.0
                mine *= (q + 2.0 * k + surplus) / (q + 2.0 * k)
            else:
                mine *= again(block, layout, op.name)
            assert op.flops(at) * ranks == pytest.approx(mine, rel=1e-12), op.name
            summed += op.flops(at)
            expected += mine
        assert forward_flops(block, at) == pytest.approx(summed, rel=1e-12)
        assert forward_flops(block, at) * ranks == pytest.approx(expected, rel=1e-12)


@given(cases(sts.configs()))
def test_flops_of_the_blocks_are_the_model_s(drawn: Drawn) -> None:
    """Undivided, the blocks' FLOPs are those the model states for as many sequences."""
    case = resolved(drawn[0])
    stated = case.model.forward_flops(batch=3, sequence=case.sequence).total
    at = whole(case)
    assert sum(forward_flops(b, at) * n for b, n in case.model.parts) == pytest.approx(stated, rel=1e-12)


@given(cases(sts.configs()))
def test_groups_are_the_total(drawn: Drawn) -> None:
    """Parameters and FLOPs by group sum to their totals, and a token uses no more parameters than there are."""
    case = resolved(drawn[0])
    count = case.model.parameters
    assert sum(count.by_group.values()) == count.total
    assert 0 < count.active <= count.total
    flops = case.model.forward_flops(sequence=case.sequence, causal=False)
    assert sum(flops.by_group.values()) == pytest.approx(flops.total, rel=1e-14)


@given(sts.moe_configs())
def test_a_token_uses_its_share_of_the_experts(config: dict[str, Any]) -> None:
    """What a token does not use is exactly the routed experts it is not sent to."""
    count = suanli.model(config).parameters
    experts, top_k = config["num_local_experts"], config["num_experts_per_tok"]
    routed = count.by_group["experts"]
    assert count.total - count.active == routed - routed * top_k // experts


@given(cases(sts.configs()))
def test_no_rank_keeps_more_than_one_alone(drawn: Drawn) -> None:
    """Dividing a model never makes a rank keep more of any tensor, unless experts gather tokens of other ranks."""
    case, layout = resolved(drawn[0]), drawn[1]
    at, alone = at_rank(case, layout), whole(case)
    for block, _ in case.model.kinds:
        for tensor in block.kept(case.how):
            gathers = TOP_K in tensor.roles and layout.expert_tensor > layout.tensor
            assert at.held(tensor) > 0.0
            assert gathers or at.held(tensor) <= alone.held(tensor) * (1.0 + 1e-12), tensor.name


@pytest.mark.parametrize(("width", "tensor"), [(3, 1), (4, 2), (5, 5)])
def test_a_width_that_does_not_divide_is_refused(width: int, tensor: int) -> None:
    """Ranks inside an expert must divide its width, as tensor ranks must divide a dense layer's."""
    config = {
        "model_type": "qwen2_moe",
        "vocab_size": 128,
        "hidden_size": 80,
        "intermediate_size": 240,
        "moe_intermediate_size": 62,
        "num_hidden_layers": 2,
        "num_attention_heads": 10,
        "num_key_value_heads": 10,
        "shared_expert_intermediate_size": None,
        "num_experts": 4,
        "num_experts_per_tok": 2,
    }
    with pytest.raises(suanli.ScenarioError, match=r"layout\.expert_tensor.*does not divide"):
        suanli.estimate(
            {
                "model": {"config": config},
                "system": {"name": "dgx-a100", "accelerators": 60},
                "workload": {"sequence": 64, "global_batch": 60},
                "layout": {"tensor": tensor, "pipeline": 1, "micro_batch": 1, "zero": 0, "recompute": "none"}
                | {"expert_tensor": width, "expert": 1, "sequence_parallel": True},
            }
        )


@given(cases(sts.configs()), st.sampled_from(("flash", "eager")))
def test_backward_passes_do_twice_the_work(drawn: Drawn, attention: str) -> None:
    """A product's gradient is two products; flash attention makes its scores again besides; nothing moves less."""
    case, layout = resolved(drawn[0]), drawn[1]
    at, how = at_rank(case, layout), attrs.evolve(case.how, attention=attention)

    def work(kernels: Any, figure: str) -> Any:
        return sum(getattr(k, figure) * k.launches for k in kernels)

    for block, _ in case.model.parts:
        for op in block.operators:
            forward, backward = op.forward(at, how), op.backward(at, how)
            flops = work(forward, "flops")
            times = 2.5 if isinstance(op, suanli.Attention) and attention == "flash" else 2.0
            assert work(backward, "flops") == pytest.approx(times * flops, rel=1e-12), op.name
            if not isinstance(op, suanli.Loss):  # its gradient is written over what it kept
                assert work(backward, "bytes") >= work(forward, "bytes"), op.name
