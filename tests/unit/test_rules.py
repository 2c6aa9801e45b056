"""Rules of thumb: what is read for whom, what is refused, what stands beside the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest

import suanli
from suanli import Asked, InvalidInputError, Rule, SuanliError, UsualError, Workspace, formula

SECRET = """
[[accelerator]]
id = "hush"
vendor = "Hush"
product = "Hush 1"
generation = "hush-1"
memory = "96 GB"
memory_bandwidth = "3.2178653 TB/s"
confidential = true
default_system = "hush-box"
peak = { bf16 = "543.2176 TFLOP/s" }
source = { all = "under NDA" }

[[system]]
id = "hush-box"
accelerator = "hush"
accelerators_per_node = 4
source = { all = "under NDA" }
[[system.tier]]
name = "HushLink"
span = 4
topology = "switch"
bandwidth = "123.45678 GB/s"
"""


@formula(unit="s", source="Acme")
def seconds(
    *, layers: float, hidden: float = 7.0, peak_flops_per_s: float, link_bytes_per_s: float = 1.0, share: float = 0.5
) -> float:
    """Seconds a layer takes at Acme."""
    return layers * hidden / (peak_flops_per_s * share) + 0.0 * link_bytes_per_s


@formula(unit="bytes", source="Acme")
def kept(
    *,
    params: float,
    bytes: tuple[float, ...] = (1.0, 2.0),
    names: tuple[str, ...] = ("a",),
    stage: Literal[0, 1, 2] = 0,
    how: Literal["slow", "fast"] = "slow",
    really: bool = True,
) -> float:
    """Bytes kept at Acme."""
    return params * sum(bytes) * (stage + 1.0)


def rule(function: Any = seconds, **about: Any) -> Rule:
    """A rule of a formula of this module."""
    return Rule.of("acme-rule", function, "as written", "Acme's models", **about)


def ask(asked: Rule, **inputs: Any) -> suanli.Answer:
    """Its answer in the default workspace."""
    return asked(**inputs)


def faults(asked: Rule, **inputs: Any) -> tuple[str, ...]:
    """What is wrong with a question."""
    with pytest.raises(InvalidInputError) as caught:
        ask(asked, **inputs)
    return caught.value.errors


def test_a_rule_of_a_formula_has_its_unit_and_source() -> None:
    """Rule.of takes unit and source from the formula, and what else is said of it as given."""
    made = rule(aliases=("acme",), source="Acme's errata")
    assert (made.unit, made.source, made.formula, made.aliases) == ("s", "Acme's errata", "as written", ("acme",))


def test_inputs_are_read_from_the_model_and_the_machine() -> None:
    """What is not given is read from the subjects named, told with whose it is, and goes before a default."""
    found = ask(rule(), model="llama-7b", accelerator="a100-sxm4-80")
    assert found.value == pytest.approx(32 * 4096 / (312e12 * 0.5))
    assert found.looked_up == {
        "layers": "llama-7b",
        "hidden": "llama-7b",
        "peak_flops_per_s": "a100-sxm4-80",
        "link_bytes_per_s": "a100-sxm4-80",
    }
    assert found.inputs["hidden"] == 4096
    assert found.inputs["share"] == 0.5


def test_what_is_given_wins_over_what_could_be_read() -> None:
    """A number given beside the subject it could be read from is the one used, and is not said to have been read."""
    found = ask(rule(), model="llama-7b", accelerator="a100-sxm4-80", layers=1, peak_flops_per_s=2.0)
    assert found.value == 1 * 4096 / (2.0 * 0.5)
    assert set(found.looked_up) == {"hidden", "link_bytes_per_s"}


def test_the_precision_and_sparsity_asked_for_choose_the_peak() -> None:
    """The peak is the accelerator's in the format named, dense unless sparsity is asked for."""
    device = suanli.accelerator("h100-sxm5-80")
    for more, peak in (
        ({}, device.peak_flops_per_s("bf16")),
        ({"precision": "fp8"}, device.peak_flops_per_s("fp8")),
        ({"precision": "fp8", "sparse": True}, device.peak_flops_per_s("fp8", sparse=True)),
    ):
        found = ask(rule(), layers=1, hidden=1, accelerator="h100-sxm5-80", **more)
        assert found.inputs["peak_flops_per_s"] == peak
        assert found.notes == ()


def test_a_peak_the_accelerator_lacks_is_a_fault_of_that_input() -> None:
    """Where the subject cannot have the input, the error names the input and the subject."""
    found = faults(rule(), layers=1, accelerator="v100-sxm2-32", sparse=True)
    assert found == ("peak_flops_per_s: v100-sxm2-32 states no sparse fp16 peak",)


def test_an_input_is_read_under_another_name_where_the_rule_says_so() -> None:
    """`reads` maps an input to what it is looked up as: FLOPs go by the active parameters of a mixture of experts."""
    mixtral = suanli.model("mixtral-8x7b").parameters
    assert ask(rule(kept), model="mixtral-8x7b").inputs["params"] == mixtral.total
    assert ask(rule(kept, reads={"params": "active_params"}), model="mixtral-8x7b").inputs["params"] == mixtral.active


def test_recipe_and_optimizer_tell_bytes_of_training() -> None:
    """A recipe tells bytes of weights and gradients, an optimizer its states, of the model's own shapes where named."""

    @formula(unit="bytes", source="Acme")
    def parts(
        *, weights_bytes: float, grad_bytes: float, state_bytes: float, states_per_parameter: float = -1.0
    ) -> Any:
        """Bytes of a parameter, and values of state."""
        return weights_bytes, grad_bytes, state_bytes, states_per_parameter

    def told(**inputs: Any) -> Any:
        return ask(rule(parts), **inputs).value

    assert told(recipe="18n") == [6.0, 4.0, 8.0, -1.0]
    assert told(recipe="16n", optimizer="sgd") == [6.0, 2.0, 0.0, 0.0]
    assert told(recipe="bf16-pure", optimizer="adamw")[2:] == [4.0, 2.0]
    factored = told(recipe="18n", optimizer="adafactor", model="llama-7b")
    assert 0.0 < factored[2] < 0.01
    assert factored[2] == pytest.approx(4.0 * factored[3])


def test_lists_are_answered_one_by_one() -> None:
    """An input taken singly may be a list: the answer is one, and the others are the same for each element."""
    found = ask(rule(), layers=[1, 2, 4], hidden=3, peak_flops_per_s=[1.0, 1.0, 2.0])
    assert found.value == [6.0, 12.0, 12.0]
    assert faults(rule(), layers=[1, 2], hidden=3, peak_flops_per_s=[1.0, 1.0, 2.0]) == (
        "layers, peak_flops_per_s: lists of different lengths",
    )


def test_an_input_of_several_numbers_is_taken_whole() -> None:
    """A parameter annotated as a tuple takes its list whole, beside one that is answered one by one."""
    assert ask(rule(kept), params=2, bytes=[1, 2, 3]).value == 12.0
    assert ask(rule(kept), params=2, bytes=[1, 2, 3], stage=[0, 1, 2]).value == [12.0, 24.0, 36.0]


def test_a_list_taken_whole_is_not_read_from_a_format() -> None:
    """A tuple of the name of something one can look up keeps its default: a format tells one number, not several."""
    found = ask(rule(kept), params=2, precision="fp8")
    assert found.value == 6.0
    assert found.notes == ("precision: nothing here depends on it",)


def test_every_fault_is_told_at_once() -> None:
    """Unknown, missing, ill-typed and unknown-named inputs come together, with near matches."""
    found = faults(rule(), leyers=2, hidden="many", share=True, model="llama-7c", accelerator=5)
    text = "\n".join(found)
    assert len(found) == 5
    assert "leyers: unknown input; did you mean 'layers'?" in text
    assert "hidden: expected a number, got 'many'" in text
    assert "share: expected a number, got True" in text
    assert "model: no model named 'llama-7c'. Did you mean 'llama-7b'" in text
    assert "accelerator: expected a name, got 5" in text


def test_a_missing_input_says_where_it_could_be_read() -> None:
    """A required input names the subjects that would tell it."""
    assert faults(rule(), hidden=2) == (
        "layers: required; or give model to read it from",
        "peak_flops_per_s: required; or give accelerator or system to read it from",
    )


@pytest.mark.parametrize(
    ("inputs", "fault"),
    [
        ({"stage": 3}, "stage: expected 0 or 1 or 2, got 3"),
        ({"stage": True}, "stage: expected 0 or 1 or 2, got True"),
        ({"stage": [0, 7]}, "stage: expected 0 or 1 or 2, got [0, 7]"),
        ({"how": "fasst"}, "how: expected slow or fast, got 'fasst'; did you mean 'fast'?"),
        ({"how": ["slow", 3]}, "how: expected slow or fast, got ['slow', 3]"),
        ({"really": 1}, "really: expected true or false, got 1"),
        ({"bytes": 3}, "bytes: expected a list of numbers, got 3"),
        ({"bytes": []}, "bytes: expected a list of numbers, got []"),
        ({"names": [1]}, "names: expected a list of names, got [1]"),
        ({"params": float("nan")}, "params: expected a number, got nan"),
        ({"sparse": "yes"}, "sparse: expected true or false, got 'yes'"),
    ],
)
def test_an_input_is_of_the_kind_its_parameter_says(inputs: dict[str, Any], fault: str) -> None:
    """Choices, lists, truth values and finite numbers are held to what the parameter is annotated with."""
    assert faults(rule(kept), **{"params": 1.0} | inputs) == (fault,)


def test_what_a_formula_refuses_is_an_input_error() -> None:
    """A division by zero, and what the formula itself refuses, are said as errors of input, never as a traceback."""

    @formula(unit="s", source="Acme")
    def picky(*, share: float) -> float:
        """Seconds, of a share above 0."""
        if share < 0.0:
            raise SuanliError("share: expected a share of something")
        return 1.0 / share

    @formula(unit="s", source="Acme")
    def several(*, share: float) -> Any:
        """Several figures, one of them in a list of its own."""
        return {"all": 1.0, "each": (1.0, 1e300 * share * share)}

    assert faults(rule(several), share=1e200) == ("no finite answer",)
    assert faults(rule(picky), share=0) == ("no finite answer: float division by zero",)
    assert faults(rule(picky), share=-1) == ("share: expected a share of something",)


def test_a_subject_nothing_depends_on_is_noted() -> None:
    """A subject that neither the answer nor the figure beside it comes from is said to be idle, and no other."""
    found = ask(rule(), layers=1, peak_flops_per_s=1.0, model="llama-7b", precision="fp8", optimizer="adamw")
    assert found.notes == (
        "precision: nothing here depends on it",
        "optimizer: nothing here depends on it",
    )

    def exact(asked: Asked) -> float:
        return asked.bytes_of(asked.precision.name if asked.precision else None)

    beside = rule(exact=exact, exact_by="bytes of the format")
    found = ask(beside, layers=1, peak_flops_per_s=1.0, model="llama-7b", precision="fp8")
    assert (found.exact, found.notes) == (1.0, ())


def test_the_estimator_s_figure_stands_beside_once_its_subjects_are_named() -> None:
    """The exact figure needs the subjects the rule says, also a system by its accelerator; else there is none."""

    def exact(asked: Asked) -> float:
        assert asked.model is not None
        assert asked.system is not None
        return float(asked.inputs["layers"]) * 4096

    made = rule(exact=exact, exact_by="a count", exact_needs=("model", "system"))
    assert ask(made, layers=2, hidden=5120, peak_flops_per_s=2.0, model="llama-7b").exact is None
    found = ask(made, layers=2, hidden=5120, peak_flops_per_s=2.0, model="llama-7b", accelerator="a100")
    assert (found.exact, found.exact_by) == (8192.0, "a count")
    assert found.difference_ratio == pytest.approx(10240 / 8192 - 1)


def test_each_element_of_a_list_has_its_own_figure_beside_it() -> None:
    """Where an input is a list, the estimator is asked for each element, and each difference is its own."""
    made = rule(exact=lambda a: float(a.inputs["layers"]), exact_needs=())
    found = ask(made, layers=[1, 2], hidden=2, peak_flops_per_s=1.0)
    assert found.exact == [1.0, 2.0]
    assert found.difference_ratio == [pytest.approx(3.0), pytest.approx(3.0)]
    many = ask(made, layers=list(range(1, 99)), hidden=2, peak_flops_per_s=1.0)
    assert (len(many.value), many.exact) == (98, None)
    assert many.notes == ("no exact figure: a list of more than 16 takes too long; ask for fewer at a time",)


def test_a_range_is_off_by_as_much_as_the_figure_lies_outside_it() -> None:
    """Of an answer from one number to another the nearer end counts, and within it the rule is not off."""

    @formula(unit="ratio", source="Acme")
    def between(*, low: float, high: float) -> tuple[float, float]:
        """From and to."""
        return low, high

    made = rule(between, exact=lambda a: 4.0, exact_needs=())
    assert ask(made, low=1, high=2).difference_ratio == pytest.approx(-0.5)
    assert ask(made, low=3, high=5).difference_ratio == 0.0
    assert ask(made, low=8, high=6).difference_ratio == pytest.approx(0.5)


def test_a_figure_that_cannot_be_had_is_a_note() -> None:
    """Where the estimator refuses, the rule still answers, and the note says why there is no figure."""

    def exact(asked: Asked) -> float:
        raise SuanliError("not on Acme's watch")

    found = ask(rule(exact=exact, exact_needs=()), layers=1, hidden=1, peak_flops_per_s=1.0)
    assert (found.value, found.exact, found.notes) == (2.0, None, ("no exact figure: not on Acme's watch",))


def test_a_rule_s_usual_error_is_part_of_its_answer() -> None:
    """What is known of the rule's error goes into every answer and its JSON."""
    error = UsualError(median=0.1, low=-0.2, high=0.3, count=5, over="answers")
    found = ask(rule(usual_error=error), layers=1, hidden=1, peak_flops_per_s=1.0)
    assert found.usual_error == error
    assert json.loads(json.dumps(found.to_dict()))["usual_error"]["high"] == 0.3


def test_confidential_figures_are_used_and_not_shown(tmp_path: Path) -> None:
    """What is read from a confidential machine enters the answer, and neither inputs nor JSON show it."""
    (tmp_path / "hush.toml").write_text(SECRET)
    workspace = Workspace(paths=[tmp_path])
    for subject in ({"accelerator": "hush"}, {"system": "hush-box"}):
        found = rule().ask(workspace, {"layers": 1, "hidden": 3} | subject)
        assert found.value == pytest.approx(6 / 543.2176e12)
        assert found.inputs["peak_flops_per_s"] is None
        assert found.inputs["link_bytes_per_s"] is None
        assert "5432176" not in json.dumps(found.to_dict())
        assert "12345678" not in json.dumps(found.to_dict())
    given = rule().ask(workspace, {"layers": 1, "hidden": 3, "accelerator": "hush", "peak_flops_per_s": 5.0})
    assert given.inputs["peak_flops_per_s"] == 5.0


def test_no_rule_gives_a_confidential_figure_away(tmp_path: Path) -> None:
    """Asked of a confidential accelerator, no rule there is answers with, or shows, a figure of its datasheet."""
    (tmp_path / "hush.toml").write_text(SECRET.replace("confidential", 'sparsity = "2:4"\nconfidential'))
    workspace = Workspace(paths=[tmp_path])
    answered = 0
    for name in workspace.catalog().names("rule"):
        known = workspace.catalog().get("rule", name).parameters
        for subjects in ({"accelerator": "hush"}, {"system": "hush-box", "model": "llama-7b"}, {"vendor": "Hush"}):
            asked = {k: v for k, v in subjects.items() if k in known or k in ("accelerator", "system", "model")}
            try:
                found = json.dumps(workspace.rule(name, **asked).to_dict())
            except SuanliError:
                continue
            answered += 1
            assert not [
                figure
                for figure in ("5432176", "543.2176", "10864352", "32178653", "3.2178653", "12345678")
                if figure in found
            ], name
    assert answered > 20


def test_how_many_of_a_confidential_machine_is_no_secret(tmp_path: Path) -> None:
    """Counts of a confidential system are shown: they say how many, not how fast."""

    @formula(unit="accelerators", source="Acme")
    def count(*, accelerators: float, per_node: float) -> float:
        """Accelerators."""
        return accelerators * per_node

    (tmp_path / "hush.toml").write_text(SECRET)
    found = rule(count).ask(Workspace(paths=[tmp_path]), {"system": "hush-box"})
    assert (found.value, found.inputs["accelerators"], found.inputs["per_node"]) == (16, 4, 4)


def test_a_model_given_as_a_table_is_one_too() -> None:
    """A configuration table is a subject like a name; what is read from it is said to be the given model's."""
    config = {"model_type": "gpt2", "n_layer": 3, "n_embd": 64, "n_head": 4, "vocab_size": 100, "n_positions": 32}
    found = ask(rule(), model=config, peak_flops_per_s=1.0)
    assert (found.inputs["layers"], found.looked_up["layers"]) == (3, "the model given")
