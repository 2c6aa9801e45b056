"""Every rule of thumb, asked anything: an answer of finite numbers, or a SuanliError."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import suanli
from suanli.rule_kinds import choices, is_list

from .junk import EXAMPLES, answer, junk

NAMES = [r.name for r in suanli.rules()]
SUBJECTS: dict[str, Any] = {
    "model": st.sampled_from(["llama-7b", "mixtral-8x7b", "gpt2"]),
    "system": st.sampled_from(["dgx-a100", "atlas-800t-a2"]),
    "accelerator": st.sampled_from(["h100-sxm5-80", "v100-sxm2-32", "ascend-910b2"]),
    "precision": st.sampled_from(["fp8", "int4", "tf32"]),
    "sparse": st.booleans(),
    "recipe": st.sampled_from(["18n", "fp32"]),
    "optimizer": st.sampled_from(["adamw", "adafactor", "sgd"]),
}
NUMBERS = st.sampled_from([1, 2, 8, 32, 2048, 0.5, 7e9, 3e14])
WORDS = st.sampled_from(["q_proj", "huawei", "1000P", "llama-7b"])


def sound(annotation: str) -> st.SearchStrategy[Any]:
    """Values of the kind a parameter of this annotation takes."""
    few = choices(annotation)
    one = st.sampled_from(few) if few else WORDS if "str" in annotation else NUMBERS
    return st.lists(one, min_size=1, max_size=4) if is_list(annotation) else one


@st.composite
def questions(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A rule, with most of its inputs of some sound size, some subjects, and now and then anything at all."""
    name = draw(st.sampled_from(NAMES))
    inputs: dict[str, Any] = {}
    for key, parameter in suanli.catalog().get("rule", name).parameters.items():
        how, kind = draw(st.integers(0, 19)), sound(str(parameter.annotation))
        if how >= 6:
            inputs[key] = draw(kind)
        elif how == 5:
            inputs[key] = draw(st.lists(kind, min_size=1, max_size=3))
        elif how == 4:
            inputs[key] = draw(junk)
    for subject, names in SUBJECTS.items():
        how = draw(st.integers(0, 19))
        if how >= 12:
            inputs[subject] = draw(names)
        elif how == 11:
            inputs[subject] = draw(junk)
    return name, inputs


@EXAMPLES
@given(question=questions())
def test_rules_answer_in_finite_numbers_or_refuse(question: tuple[str, dict[str, Any]]) -> None:
    """Whatever a rule is asked, it answers in JSON of finite numbers that tell every input, or refuses the input."""
    name, inputs = question
    found = answer(lambda: suanli.rule(name, **inputs))
    if found is not None:
        told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert set(inputs) <= set(told["inputs"])
