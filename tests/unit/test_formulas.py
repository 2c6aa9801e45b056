"""Formulas remember how a figure came about, and a derivation reaches down to facts with sources."""

from __future__ import annotations

import json
import math
import pickle
import threading
from typing import Any

import numpy
import pytest

import suanli
from suanli import Derivation, fact, formula, formulas, scaled, total, trace
from suanli.formulas import Fact, Traced, derivation, tracing


@formula(unit="m2", source="Euclid")
def area(*, width: float, height: float) -> float:
    """Area of a rectangle.

    The rest of the docstring is not shown.
    """
    return width * height


TRAIN: dict[str, Any] = {
    "model": {"name": "mixtral-8x7b"},
    "system": {"name": "dgx-a100", "accelerators": 32},
    "workload": {"kind": "pretrain", "tokens": "1T", "sequence": 2048, "global_batch": 256},
    "layout": {"tensor": 2, "pipeline": 4, "context": 2, "expert": 2, "expert_tensor": 1, "micro_batch": 1}
    | {"zero": 1, "recompute": "selective"},
    "assumptions": {"price_per_hour": 2.0, "electricity_price": 0.1},
}
SERVE: dict[str, Any] = {
    "model": {"name": "llama-3-70b"},
    "system": {"name": "dgx-h100", "accelerators": 8},
    "workload": {"kind": "serve", "prompt": 512, "output": 128, "batch": 4},
    "layout": {"tensor": 8, "pipeline": 1},
}
REPORTS = {"train": suanli.estimate(TRAIN), "serve": suanli.estimate(SERVE)}


def numbers(report: suanli.Report) -> list[str]:
    """Every figure of a report that is a number."""
    return [k for k in report.basis if isinstance(report.figure(k), float)]


FIGURES = [(name, figure) for name, report in REPORTS.items() for figure in numbers(report)]


@pytest.mark.parametrize(("name", "figure"), FIGURES, ids=lambda x: x)
def test_every_figure_explains_itself(name: str, figure: str) -> None:
    """The derivation of a figure has its value, bit for bit, is JSON, and every formula in it has unit and source."""
    report = REPORTS[name]
    found = report.explain(figure)
    assert found.value == report.figure(figure)
    assert found.label == figure or found.name == figure
    json.dumps(found.to_dict(), allow_nan=False)
    queue = [found]
    while queue:
        node = queue.pop()
        queue += node.inputs
        if node.inputs:
            assert node.unit, node.name
            assert node.source, node.name
        assert node.value is not None
        assert math.isfinite(node.value)


HEADLINES = [
    ("train", "time.step_s", "a100-sxm4-80.peak.bf16"),
    ("train", "time.step_s", "a100-sxm4-80.memory_bandwidth"),
    ("train", "time.step_s", "dgx-a100.NVLink3.bandwidth"),
    ("train", "throughput.tokens_per_s", "a100-sxm4-80.peak.bf16"),
    ("train", "throughput.mfu_ratio", "a100-sxm4-80.peak.bf16"),
    ("train", "run.duration_s", "a100-sxm4-80.peak.bf16"),
    ("train", "run.energy_j", "dgx-a100.power_per_node"),
    ("serve", "serving.tpot_s", "h100-sxm5-80.memory_bandwidth"),
    ("serve", "serving.ttft_s", "h100-sxm5-80.peak.bf16"),
    ("serve", "serving.output_tokens_per_s", "h100-sxm5-80.memory_bandwidth"),
]


@pytest.mark.parametrize(("name", "figure", "stated"), HEADLINES)
def test_a_headline_reaches_its_facts(name: str, figure: str, stated: str) -> None:
    """From a headline one walks down to the datasheet's figure, with its value, unit and document."""
    found = REPORTS[name].explain(figure)
    queue, seen = [found], {}
    while queue:
        node = queue.pop()
        queue += node.inputs
        seen[node.name] = node
    assert stated in seen
    assert seen[stated].unit in ("flops_per_s", "bytes_per_s", "w")
    assert len(seen[stated].source) > 5
    assert seen[stated].source in found.citations()


def test_explaining_takes_what_estimate_takes() -> None:
    """A report, a scenario or its table gives one derivation, by the report's key with or without its part."""
    scenario = suanli.scenario(TRAIN)
    texts = {suanli.explain(x, "time.step_s").text() for x in (TRAIN, scenario, REPORTS["train"])}
    assert len(texts) == 1
    whole = suanli.explain(TRAIN, "memory.total_bytes")
    assert suanli.explain(TRAIN, "memory.per_accelerator.total_bytes").value == whole.value


def test_what_has_no_derivation_is_said() -> None:
    """An unknown figure is met with near ones, an absent one with why, a word with that it is no number."""
    with pytest.raises(suanli.UnknownNameError, match=r"time\.step_s"):
        suanli.explain(TRAIN, "time.steps_s")
    with pytest.raises(suanli.SuanliError, match="problems"):
        suanli.explain(TRAIN | {"workload": {"kind": "pretrain"}}, "run.duration_s")
    with pytest.raises(suanli.SuanliError, match="no number"):
        suanli.explain(TRAIN, "run.currency")


def test_a_trace_changes_no_figure() -> None:
    """A report made while a trace is on equals the one made without, and holds plain numbers."""
    with trace():
        traced = suanli.estimate(TRAIN)
    assert traced == REPORTS["train"]
    plain = json.loads(json.dumps(traced.to_dict()))
    assert suanli.Report.from_dict(plain) == REPORTS["train"]


def test_a_formula_remembers_only_under_a_trace() -> None:
    """Outside a trace a formula gives a plain float; inside, one that remembers its inputs."""
    assert type(area(width=2.0, height=3.0)) is float
    with trace():
        made = area(width=2.0, height=3.0)
    assert type(made) is Traced
    found = derivation(made, "floor")
    assert (found.name, found.value, found.unit, found.source, found.label) == ("area", 6.0, "m2", "Euclid", "floor")
    assert found.doc == "Area of a rectangle."
    assert [(d.name, d.value) for d in found.inputs] == [("width", 2.0), ("height", 3.0)]
    assert not tracing()


def test_a_derivation_as_text() -> None:
    """Each formula on a line, its inputs below, cut at a depth."""
    with trace():
        side = fact(2.0, "side", "m", "ruler")
        whole = total("floors", "m2", {"first": area(width=side, height=3.0), "rest": scaled("m2", 2.0, 4.0)})
    text = derivation(whole).text()
    assert text.splitlines()[0] == "floors = 14 m2  [definition: sum]"
    assert "    width = side = 2 m  [ruler]" in text.splitlines()
    assert derivation(whole).text(depth=0).splitlines() == ["floors = 14 m2  [definition: sum]", "  …"]
    assert derivation(whole).text(depth=1).splitlines()[1:] == [
        "  first = area = 6 m2  [Euclid]",
        "    …",
        "  rest = times = 8 m2  [definition]",
        "    …",
    ]
    assert derivation(side, "side").text() == "side = 2 m  [ruler]"
    assert derivation(whole).citations() == ("definition: sum", "Euclid", "ruler")


def test_a_confidential_fact_is_not_shown() -> None:
    """Its name and source stay, its figure does not, in text and in data."""
    with trace():
        made = area(width=fact(1234.5, "secret", "m", "NDA", True), height=1.0)
    found = derivation(made)
    assert found.inputs[0].value is None
    assert "secret = confidential" in found.text()
    assert "1234.5" not in json.dumps(found.inputs[0].to_dict())


def test_what_rests_on_a_confidential_fact_shows_no_other_number() -> None:
    """6172.5 m2 of 5 m would say that the secret is 1234.5 m: the other side is not shown either, however deep."""
    with trace():
        secret, side = fact(1234.5, "secret", "m", "NDA", True), fact(5.0, "side", "m", "ruler")
        deep = scaled("m2", 1.0, total("floors", "m2", {"first": area(width=secret, height=side), "rest": 0.0}))
        again = total("all", "m2", {"deep": deep, "same": deep})
    for made in (deep, again):
        found = derivation(made)
        assert found.value == made
        assert "secret" in found.text()
        queue = list(found.inputs)
        while queue:
            node = queue.pop()
            queue += node.inputs
            assert node.value is None, node.name
    with trace():
        assert derivation(area(width=side, height=2.0)).inputs[1].value == 2.0


def test_a_fact_is_open_unless_it_is_said_to_be_confidential() -> None:
    """What a datasheet states is shown."""
    assert not Fact(name="side", unit="m", source="ruler").confidential
    with trace():
        assert derivation(fact(2.0, "side", "m", "ruler")).value == 2.0


def test_a_fact_remembers_numbers_and_only_once() -> None:
    """Flags, words and what is absent stay what they are, and a number keeps the document it was first read in."""
    with trace():
        side = fact(2.0, "side", "m", "ruler")
        assert fact(side, "width", "m", "elsewhere") is side
        assert type(fact(3, "side", "m", "ruler")) is Traced
        for other in (True, None, "2 m"):
            assert fact(other, "side", "m", "ruler") is other
    assert type(fact(2.0, "side", "m", "ruler")) is float


def test_columns_are_never_traced() -> None:
    """Sums and multiples of columns are columns under a trace too, and plain floats outside one."""
    column = numpy.array([1.0, 2.0])
    for sums in (lambda x: total("t", "s", {"a": x, "b": x}), lambda x: scaled("s", 2.0, x)):
        with trace():
            assert sums(column).tolist() == [2.0, 4.0]
            assert type(sums(column)) is numpy.ndarray
            assert type(sums(1.5)) is Traced
        assert type(sums(1.5)) is float


def test_traced_numbers_are_numbers() -> None:
    """They compute, pickle and compare as the floats they are."""
    with trace():
        made = area(width=2.0, height=3.0)
    assert made + 1.0 == 7.0
    assert type(pickle.loads(pickle.dumps(made))) is float
    assert derivation(5.0) == Derivation(name="value", value=5.0)


def test_traces_nest_and_end() -> None:
    """A trace inside another leaves the outer one on, and an error inside ends it all the same."""
    with trace():
        with trace():
            pass
        assert tracing()
    with pytest.raises(ZeroDivisionError), trace():
        1 / 0  # noqa: B018
    assert not tracing()
    assert formulas._traces == 0


def test_a_trace_is_its_thread_s_own() -> None:
    """While one thread traces, another's formulas stay plain."""
    found: list[Any] = []

    def compute() -> None:
        made = area(width=1.0, height=1.0), fact(1.0, "a", "m", "b"), total("t", "m", {"a": 1.0}), scaled("m", 1.0, 1.0)
        found.extend(map(type, made))
        found.append(tracing())

    with trace():
        other = threading.Thread(target=compute)
        other.start()
        other.join()
        assert tracing()
    assert found == [float, float, float, float, False]


def test_arguments_are_named() -> None:
    """A formula takes keywords only, so that a trace knows every input's name."""
    with pytest.raises(TypeError):
        area(2.0, 3.0)  # type: ignore[call-arg]
