"""What an input of a rule may be, what an answer is held to, and what is read for it: case by case."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

import suanli
from suanli import Asked, Rule, SuanliError, Workspace, formula
from suanli.rule_inputs import LOOKED_UP, looked_up, subjects_of
from suanli.rule_kinds import MOST, choices, difference, fault_of, fault_of_subject, finite, is_whole
from suanli.rulebook import MOST_EXACT
from suanli.testing import installed_plugins, make_plugin
from suanli.workspace import default


def read(name: str, **subjects: Any) -> Any:
    """An input as it is looked up; None where the subjects do not tell."""
    found = looked_up(Asked(default(), subjects), name)
    return None if found is None else found.value


def rule(function: Any, **about: Any) -> Rule:
    """A rule of a formula of this module."""
    return Rule.of("acme-rule", function, "as written", "Acme's models", **about)


@formula(unit="s", source="Acme")
def plain(*, share: float = 1.0) -> float:
    """Seconds."""
    return 2.0 * share


@pytest.mark.parametrize(
    ("kind", "sound", "wrong"),
    [
        (
            "float",
            [1, 2.5, -3, 1e299, [1], [1, 2]],
            ["1", True, None, 1e300, float("inf"), [1, "2"], [True], [1, None], []],
        ),
        ("str", ["a", ["a", "b"]], [1, ["a", 1], None]),
        ("bool", [True, False, [True, False]], [0, 1, "true", [True, 1]]),
        ("tuple[float, ...]", [[1], (1, 2.0)], [1, [], [1, "a"], ["a", 1], [True]]),
        ("tuple[str, ...]", [["a"], ("a", "b")], ["a", [], ["a", 1], [1, "a"]]),
        ("Literal[0, 1, 2]", [0, 2, [0, 1]], [3, True, "0", [0, 3], [3, 0]]),
        ("Literal['slow', 'fast']", ["slow", ["fast", "slow"]], ["quick", 1, ["slow", "quick"]]),
        ("Any", [1, "a", None, {}], []),
    ],
)
def test_values_that_fit_an_annotation_and_values_that_do_not(kind: str, sound: list[Any], wrong: list[Any]) -> None:
    """Every value of a list is held to the annotation, whether it is taken one by one or whole; no number is a flag."""
    for value in sound:
        assert fault_of(value, kind) == "", value
    for value in wrong:
        assert fault_of(value, kind).startswith("expected "), value


@pytest.mark.parametrize(("kind", "value"), [("float", 1.0), ("tuple[float, ...]", 1.0), ("tuple[str, ...]", "a")])
def test_a_list_may_be_so_long_and_no_longer(kind: str, value: Any) -> None:
    """4096 values are a list, one more is refused."""
    assert MOST == 4096
    assert fault_of([value] * MOST, kind) == ""
    assert fault_of([value] * (MOST + 1), kind) != ""


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("float", "expected a number, got None"),
        ("str", "expected a name, got None"),
        ("bool", "expected true or false, got None"),
        ("tuple[float, ...]", "expected a list of numbers, got None"),
        ("tuple[str, ...]", "expected a list of names, got None"),
        ("Literal[1, 2]", "expected 1 or 2, got None"),
    ],
)
def test_a_fault_says_what_was_expected(kind: str, said: str) -> None:
    """The words are those of the annotation, not of the language."""
    assert fault_of(None, kind) == said


def test_choices_are_those_of_the_literal() -> None:
    """A literal's values are its choices, of one or of several, of any other annotation there are none."""
    assert choices("Literal['a', 'b']") == ("a", "b")
    assert choices("Literal[3]") == (3,)
    assert choices("float") == ()


@pytest.mark.parametrize(
    ("subject", "value", "sound"),
    [
        ("model", "llama-7b", True),
        ("model", {"model_type": "gpt2"}, True),
        ("model", 7, False),
        ("system", "dgx-a100", True),
        ("system", {"id": "dgx-a100"}, False),
        ("sparse", True, True),
        ("sparse", "true", False),
        ("sparse", 1, False),
        ("precision", True, False),
    ],
)
def test_subjects_are_named(subject: str, value: Any, sound: bool) -> None:
    """A subject is a name; a model may be a table besides, and sparsity is a yes or no."""
    assert (fault_of_subject(subject, value) == "") is sound


@pytest.mark.parametrize(
    ("value", "exact", "off"),
    [
        (3.0, 2.0, 0.5),
        (1, 4, -0.75),
        (1.0, 0.0, None),
        (1.0, None, None),
        (1.0, True, None),
        ("a", 1.0, None),
        (True, 1.0, None),
        ([2.0, 6.0], [1.0, 4.0], [1.0, 0.5]),
        ([2.0, 6.0], (1.0, None), [1.0, None]),
        # a range: the nearer end, whichever way round; within it nothing
        ([2.0, 4.0], 3.0, 0.0),
        ([4.0, 2.0], 8.0, -0.5),
        ([2.0, 4.0], 1.0, 1.0),
        ([2.0, 4.0], 2.0, 0.0),
        # neither a range nor as many
        ([1.0, 2.0, 3.0], 2.0, None),
        ([1.0, "b"], 2.0, None),
        ([1.0, 2.0, 3.0], [1.0, 2.0], None),
    ],
)
def test_how_far_an_answer_lies_off(value: Any, exact: Any, off: Any) -> None:
    """Value over exact less one, one by one; of a range its nearer end; None where a share has no meaning."""
    assert difference(value, exact) == off


@pytest.mark.parametrize(
    ("value", "sound"),
    [
        (1.0, True),
        (float("inf"), False),
        (float("nan"), False),
        ("text", True),
        (None, True),
        ([1.0, float("inf")], False),
        ((1.0, [2.0]), True),
        ({"a": 1.0, "b": [float("nan")]}, False),
        ({"a": 1.0}, True),
    ],
)
def test_an_answer_is_finite_all_through(value: Any, sound: bool) -> None:
    """One infinite number anywhere makes an answer none; what is no number does not."""
    assert finite(value) is sound


@pytest.mark.parametrize(("value", "whole"), [(8, True), (8.0, True), (8.5, False), (True, False), ("8", False)])
def test_a_whole_number_has_no_fraction(value: Any, whole: bool) -> None:
    """Whether it is written with a point does not matter; a flag and a text are none."""
    assert is_whole(value) is whole


def test_as_many_elements_as_are_worked_out_and_no_more() -> None:
    """Sixteen elements have a figure each, seventeen have none and a note."""
    made = rule(plain, exact=lambda a: 2.0 * float(a.inputs["share"]), exact_needs=())
    few, many = made(share=[1.0] * MOST_EXACT), made(share=[1.0] * (MOST_EXACT + 1))
    assert MOST_EXACT == 16
    assert (few.exact, few.notes) == ([2.0] * 16, ())
    assert (len(many.value), many.exact, len(many.notes)) == (17, None, 1)


def test_where_the_estimator_has_no_figure_there_is_none_beside() -> None:
    """An exact figure of None is none, of a list too where all are; one of several still counts."""
    nothing = rule(plain, exact=lambda a: None, exact_needs=(), exact_by="nothing")
    assert (nothing().exact, nothing().exact_by, nothing().difference_ratio) == (None, "", None)
    assert nothing(share=[1, 2]).exact is None
    some = rule(plain, exact=lambda a: None if a.inputs["share"] == 1 else 2.0, exact_needs=(), exact_by="some")
    assert some(share=[1, 2]).exact == [None, 2.0]
    assert some(share=[1, 2]).difference_ratio == [None, 1.0]


@pytest.mark.parametrize(
    ("needs", "subjects", "known"),
    [
        ("model", {"model": "gpt2"}, True),
        ("model", {"accelerator": "a100"}, False),
        ("system", {"system": "dgx-a100"}, True),
        ("system", {"accelerator": "a100"}, True),
        ("system", {"model": "gpt2"}, False),
        ("accelerator", {"accelerator": "a100"}, True),
        ("accelerator", {"system": "dgx-a100"}, True),
        ("accelerator", {"precision": "fp8"}, False),
        ("recipe", {"recipe": "18n"}, True),
        ("recipe", {"optimizer": "adam"}, False),
    ],
)
def test_what_is_named_is_known(needs: str, subjects: dict[str, Any], known: bool) -> None:
    """A machine is known by its accelerator and an accelerator by its machine; any other subject by its own name."""
    assert Asked(default(), subjects).knows(needs) is known
    made = rule(plain, exact=lambda a: 2.0, exact_needs=(needs,))
    assert (made(**subjects).exact == 2.0) is known


def test_a_system_has_the_accelerators_asked_for() -> None:
    """A whole number of accelerators, however it is written, is the system's; without one it is a node."""
    for count, there in ((16, 16), (16.0, 16), (None, 8), (16.5, 8)):
        asked = {"system": "dgx-a100"} | ({} if count is None else {"accelerators": count})
        assert read("per_node", **asked) == 8
        assert read("accelerators", **asked) == there


@pytest.mark.parametrize(
    ("name", "subjects", "value"),
    [
        # Of the model: sizes of LLaMA-7B and Mixtral 8x7B as configured
        ("layers", {"model": "llama-7b"}, 32),
        ("hidden", {"model": "llama-7b"}, 4096),
        ("heads", {"model": "mixtral-8x7b"}, 32),
        ("kv_heads", {"model": "mixtral-8x7b"}, 8),
        ("head_dim", {"model": "mixtral-8x7b"}, 128),
        ("ffn", {"model": "llama-7b"}, 11008),
        ("ffn", {"model": "mixtral-8x7b"}, 14336),  # an expert's, where there is no other
        ("vocab", {"model": "llama-7b"}, 32000),
        ("params", {"model": "llama-7b"}, 6738415616),
        ("active_params", {"model": "llama-7b"}, 6738415616),
        ("params", {"model": "mixtral-8x7b"}, 46702792704),
        # Of the machine: NVIDIA A100 and H100 datasheets
        ("peak_flops_per_s", {"accelerator": "a100-sxm4-80"}, 312e12),
        ("peak_flops_per_s", {"system": "dgx-a100"}, 312e12),
        ("peak_flops_per_s", {"accelerator": "a100-sxm4-80", "sparse": True}, 624e12),
        ("sparse_peak_flops_per_s", {"accelerator": "a100-sxm4-80"}, 624e12),
        ("peak_flops_per_s", {"accelerator": "v100-sxm2-32"}, 125e12),  # no bf16: fp16 is meant
        ("bandwidth_bytes_per_s", {"accelerator": "a100-sxm4-80"}, 2039e9),
        ("memory_bytes", {"accelerator": "a100-sxm4-80"}, 80 * 2**30),
        ("accelerators", {"system": "dgx-a100"}, 8),
        ("per_node", {"system": "dgx-a100"}, 8),
        ("link_bytes_per_s", {"system": "dgx-a100"}, 300e9),  # one way
        # Of a format
        ("bits", {"precision": "fp8"}, 8),
        ("bytes", {"precision": "int4"}, 0.5),
        # Of a recipe: what a copy of Adam in mixed precision keeps (Rajbhandari et al. 2020, sec. 3.1)
        ("weights_bytes", {"recipe": "16n"}, 2 + 4),
        ("grad_bytes", {"recipe": "16n"}, 2),
        ("state_bytes", {"recipe": "16n"}, 8),
        ("bytes_per_parameter", {"recipe": "16n"}, 16),
        ("bytes_per_parameter", {"recipe": "18n"}, 18),
        ("state_bytes", {"optimizer": "adam"}, 8),
        ("states_per_parameter", {"optimizer": "adam"}, 2),
        ("states_per_parameter", {"optimizer": "sgd"}, 0),
        # Shazeer & Stern 2018, Adafactor: a row, a column and a scale of a matrix, here of 4096 x 4096
        ("states_per_parameter", {"optimizer": "adafactor"}, (2 * 4096 + 1) / 4096**2),
    ],
)
def test_what_is_read_is_what_the_subject_says(name: str, subjects: dict[str, Any], value: float) -> None:
    """Each input that can be looked up is the figure of the subject's own configuration, datasheet or recipe."""
    assert read(name, **subjects) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("name", LOOKED_UP)
def test_each_input_needs_one_of_its_subjects(name: str) -> None:
    """Nothing is looked up where no subject that tells it is named, and an unknown input never is."""
    told = set(LOOKED_UP[name].subjects)
    others = {"model": "gpt2", "system": "dgx-a100", "accelerator": "a100", "precision": "fp8", "recipe": "18n"}
    others |= {"optimizer": "adam"}
    if name != "free_bytes":  # which takes both of its subjects, and is held to that elsewhere
        assert read(name, **{k: v for k, v in others.items() if k not in told}) is None
    assert read(f"no-{name}", **others) is None


def test_a_peak_goes_by_format_and_sparsity_too() -> None:
    """What can tell a peak are machines, and how: in which format, dense or not; what tells layers is the model."""
    assert subjects_of(["layers"]) == {"model"}
    assert subjects_of(["layers", "nothing"]) == {"model"}
    assert subjects_of(["layers", "peak_flops_per_s"]) == {"model", "accelerator", "system", "precision", "sparse"}
    assert subjects_of(["peak_flops_per_s"]) == {"accelerator", "system", "precision", "sparse"}
    assert subjects_of(["bandwidth_bytes_per_s"]) == {"accelerator", "system"}


def test_a_machine_without_a_network_tells_no_link() -> None:
    """Of a system without tiers, and without a system, there is no link to read."""
    lone = attrs.evolve(suanli.system("dgx-a100"), id="lone", aliases=(), tiers=(), accelerators_per_node=1)
    workspace = Workspace(plugins=[*installed_plugins(), make_plugin("lone", systems=[lone])])
    for name in ("link_bytes_per_s", "hop_s"):
        assert looked_up(Asked(workspace, {"system": "lone"}), name) is None
        assert read(name, accelerator="a100") == read(name, system="dgx-a100")


def test_a_size_a_model_does_not_have_is_none() -> None:
    """Sizes are the largest of their role; a model without experts has no width of one."""
    asked = Asked(default(), {"model": "llama-7b"})
    assert asked.size("expert_ffn") is None
    assert asked.size("ffn") == 11008
    assert Asked(default(), {}).size("ffn") is None


def test_states_are_of_the_model_s_own_tensors() -> None:
    """Adafactor keeps a row, a column and a scale of a matrix, all of a vector and its scale: of LLaMA-7B, counted.

    Of each of 32 layers: four matrices of 4096 x 4096, three of 4096 x 11008, two norms of 4096; then embedding and
    head of 32,000 x 4096, and a last norm.
    """
    h, inner, v = 4096, 11008, 32000
    layer = 4 * (h + h + 1) + 3 * (h + inner + 1) + 2 * (h + 1)
    states = 32 * layer + 2 * (v + h + 1) + h + 1
    found = read("states_per_parameter", optimizer="adafactor", model="llama-7b")
    assert found == pytest.approx(states / 6738415616, rel=1e-12)
    assert read("state_bytes", optimizer="adafactor", model="llama-7b") == pytest.approx(4.0 * found)


def test_a_question_is_estimated_on_the_machine_it_names() -> None:
    """The estimator is asked about the model and system of the question; a section given completes it."""
    layout: dict[str, Any] = {"layout": {"tensor": 8, "pipeline": 1}, "workload": {"kind": "serve", "batch": 1}}
    asked = Asked(default(), {"model": "llama-7b", "system": "dgx-a100", "accelerators": 8})
    report = asked.estimate(**layout)
    assert report.scenario["system"] == {"name": "dgx-a100", "accelerators": 8}
    assert report.layout.tensor == 8
    config = {"model_type": "gpt2", "n_layer": 3, "n_embd": 64, "n_head": 8, "vocab_size": 96, "n_positions": 64}
    table = Asked(default(), {"model": config, "system": "dgx-a100"}).estimate(**layout)
    assert table.parameters.total == suanli.model(config).parameters.total
    with pytest.raises(SuanliError, match="system"):
        Asked(default(), {"model": "llama-7b"}).estimate(**layout)


def test_answers_and_rules_can_be_kept_in_a_set() -> None:
    """Asked twice, a rule gives equal answers, of which a set keeps one; and so with rules."""
    made = rule(plain, reads={"share": "layers"})
    assert len({made(share=2.0), made(share=2.0), made(share=3.0)}) == 2
    assert len({made, rule(plain, reads={"share": "layers"})}) == 1
