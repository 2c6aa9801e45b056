"""How far rules of thumb lie from the estimator: as stated, and little where they are valid."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import suanli
from suanli import Rule

TOOL = Path(__file__).parents[2] / "tools" / "judge_rules.py"


def _judge() -> ModuleType:
    spec = importlib.util.spec_from_file_location("judge_rules", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


judge = _judge()
JUDGED: tuple[Rule, ...] = judge.judged()


def test_every_rule_with_a_figure_beside_it_has_a_stated_error() -> None:
    """Rules the estimator has a figure for state how far they lie off, and no other rule does."""
    ours = [e.value for e in suanli.catalog().entries("rule") if e.provider.plugin == "handbook"]
    assert {r.name for r in ours if r.usual_error is not None} == {r.name for r in JUDGED}


@pytest.mark.parametrize("rule", JUDGED, ids=[r.name for r in JUDGED])
def test_the_points_judged_at_are_those_stated(rule: Rule) -> None:
    """A rule states over which models and inputs its error was measured, and those are the ones it is measured at."""
    assert rule.usual_error is not None
    assert judge._over(judge.points(rule)) == rule.usual_error.over


@pytest.mark.parametrize("rule", JUDGED, ids=[r.name for r in JUDGED])
def test_the_stated_error_is_the_measured_one(rule: Rule) -> None:
    """Asked again at every sample point, the rule is as far from the estimator as it states.

    Where this fails, the estimator, the catalog or the rule has changed: `python tools/judge_rules.py --write`.
    """
    stated, found = rule.usual_error, judge.usual(rule)
    assert stated is not None
    assert found is not None
    assert found.over == stated.over
    assert found.count == pytest.approx(stated.count, rel=0.02)
    measured, said = [found.median, found.low, found.high], [stated.median, stated.low, stated.high]
    assert measured == pytest.approx(said, abs=0.02, rel=0.05)
    assert found.count >= 4
    assert found.low <= found.median <= found.high


LLAMA = ("llama-7b", "llama-13b", "llama-33b", "llama-65b", "llama-2-7b", "llama-2-13b")
GPT = ("gpt2", "gpt2-large", "gpt2-xl", "gpt3-175b")
EXPERTS = ("mixtral-8x7b", "mixtral-8x22b", "qwen2-57b-a14b")
LARGE = ("llama-65b", "llama-2-70b", "llama-3-70b", "gpt3-175b", "qwen3-32b")
SHORT: dict[str, Any] = {"tokens": 1e12, "sequence": 2048}
STEP = {"batch": 8, "sequence": 2048}

VALID: list[tuple[str, tuple[str, ...], dict[str, Any], float, str]] = [
    # rule, models it is valid for, inputs, most it lies off, what of the model it leaves out
    ("parameters", (*LLAMA, "gpt3-175b"), {}, 0.055, "the embedding, 5 % of 7 billion parameters"),
    ("training-flops", LARGE, SHORT, 0.06, "attention, s / (6 h) of the layers"),
    ("training-flops", EXPERTS, SHORT, 0.035, "attention; N is what a token uses"),
    ("training-flops-recompute", LARGE, SHORT, 0.06, "attention"),
    ("forward-flops", LARGE, SHORT, 0.025, "causal attention, half of that"),
    ("iteration-flops", (*LLAMA, *GPT[1:]), STEP | {"c": 3}, 0.02, "a quarter of the head, and 8/3 h rounded up"),
    ("iteration-flops", GPT, STEP | {"c": 4}, 1e-9, "nothing: made for these, at c = 4"),
    ("activations", GPT, STEP | {"batch": 1}, 1e-9, "nothing: made for these"),
    ("activations", LLAMA, STEP | {"batch": 1}, 0.01, "LayerNorm and GELU against RMSNorm and SwiGLU"),
    ("inference-memory", LARGE, {}, 0.21, "nothing: it adds a fifth that one short request does not need"),
    ("weight-memory", (*LARGE, *EXPERTS), {"bits": 16}, 1e-9, "nothing"),
    ("training-state", (*LARGE, *EXPERTS), {"recipe": "18n"}, 1e-9, "nothing"),
    ("zero-memory", (*LARGE, *EXPERTS), {"data": 64, "zero": 3}, 1e-9, "nothing"),
    ("optimizer-memory", (*LARGE, *EXPERTS), {"optimizer": "adamw"}, 1e-9, "nothing"),
]


@pytest.mark.parametrize(("name", "models", "inputs", "most", "why"), VALID, ids=[f"{r[0]}-{r[1][0]}" for r in VALID])
def test_a_rule_is_near_where_it_is_valid(
    name: str, models: tuple[str, ...], inputs: dict[str, Any], most: float, why: str
) -> None:
    """For models it is made for, a rule lies no further off than what it leaves out explains."""
    assert why
    for model in models:
        answer = suanli.rule(name, model=model, **inputs)
        assert abs(answer.difference_ratio) <= most, (model, answer.difference_ratio)


@pytest.mark.parametrize(
    ("name", "model", "inputs", "least"),
    [
        ("parameters", "mixtral-8x7b", {}, 0.8),  # eight feed-forwards, not one
        ("parameters", "gpt2", {}, 0.3),  # the embedding is a third of it
        ("training-flops", "tinyllama-1.1b", {"tokens": 1e12, "sequence": 32768}, 0.5),  # all attention
        ("activations", "qwen2-57b-a14b", {"batch": 1, "sequence": 2048}, 0.4),  # eight experts keep theirs
        ("activations-of-outputs", "llama-7b", {"batch": 1, "sequence": 2048}, 0.8),  # layers keep many tensors
        ("activations-of-neurons", "llama-7b", {"batch": 32}, 0.99),  # no tokens
        ("activations-like-weights", "llama-7b", {"batch": 32}, 0.8),  # nobody says of which sequence
        ("optimizer-memory", "llama-7b", {"optimizer": "adamw-8bit"}, 1.0),  # states of one byte, not four
        ("weight-memory", "qwen2-0.5b", {"bits": 4}, 0.2),  # embedding and head stay in 16 bits
    ],
)
def test_a_rule_asked_beyond_what_it_is_valid_for_shows_it(
    name: str, model: str, inputs: dict[str, Any], least: float
) -> None:
    """Beyond what it is valid for a rule is far off, and the figure beside it says so."""
    answer = suanli.rule(name, model=model, **inputs)
    assert answer.difference_ratio is not None
    assert abs(answer.difference_ratio) >= least
