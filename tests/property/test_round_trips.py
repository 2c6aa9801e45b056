"""What is written and read again is the same, whichever way it is written."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import suanli
from suanli import Report
from suanli.catalog_files import from_table, read_catalog, to_table
from suanli.hardware import Accelerator, System
from suanli.layout import Layout
from suanli.testing import strategies as sts

FIGURES = ("layout", "parameters", "flops", "memory", "time", "throughput", "serving", "run")


@given(sts.scenarios())
def test_a_scenario_is_its_dict(data: dict[str, Any]) -> None:
    """A scenario says what it was given, in plain JSON, and is made of that again."""
    made = suanli.scenario(data)
    plain = made.to_dict()
    assert suanli.scenario(plain) == made
    assert suanli.scenario(json.loads(json.dumps(plain))) == made
    given_fields = {k: {f: v for f, v in s.items() if v is not None} for k, s in data.items()}
    assert plain == given_fields


@given(st.lists(st.integers(1, 64), min_size=1, max_size=8), st.lists(st.booleans(), min_size=1, max_size=2))
def test_a_search_is_its_dict(tensors: list[int], flags: list[bool]) -> None:
    """Lists of values to search over survive too; a value named twice is tried once."""
    data = {
        "model": {"name": "llama-7b"},
        "system": {"name": "dgx-a100"},
        "layout": {"tensor": tensors, "sequence_parallel": flags},
    }
    made = suanli.scenario(data)
    assert suanli.scenario(made.to_dict()) == made
    assert made.layout.given()["tensor"] == tuple(dict.fromkeys(tensors))


@given(sts.scenarios())
def test_a_report_is_its_dict(data: dict[str, Any]) -> None:
    """A report written as JSON and read again is the same report, with the same figures, and writes the same JSON."""
    report = suanli.estimate(data)
    plain = report.to_dict()
    text = json.dumps(plain, allow_nan=False)
    again = Report.from_dict(json.loads(text))
    assert again == report
    assert json.dumps(again.to_dict(), allow_nan=False) == text


@given(sts.scenarios())
def test_a_completed_scenario_is_the_same_question(data: dict[str, Any]) -> None:
    """The scenario a report states, defaults filled in, gives every figure again, and states itself."""
    report = suanli.estimate(data)
    again = suanli.estimate(report.scenario)
    for figure in FIGURES:
        assert getattr(again, figure) == getattr(report, figure), figure
    assert again.scenario == report.scenario


@pytest.mark.parametrize("kind", ["pretrain", "finetune", "serve"])
@pytest.mark.parametrize("model", ["llama-7b", "mixtral-8x7b", "gpt2"])
def test_a_chosen_layout_is_the_same_question(model: str, kind: str) -> None:
    """A layout that was chosen is stated, so that the completed scenario needs no search and gives the same."""
    report = suanli.estimate(
        {
            "model": {"name": model},
            "system": {"name": "dgx-h100", "accelerators": 8},
            "workload": {"kind": kind},
        }
    )
    again = suanli.estimate(report.scenario)
    for figure in FIGURES:
        assert getattr(again, figure) == getattr(report, figure), figure
    chosen = {o.origin for p, o in report.origins.items() if p.startswith("layout.")}
    assert "chosen" in chosen
    assert all(o.origin in ("given", "default") for p, o in again.origins.items() if p.startswith("layout."))


@pytest.mark.parametrize("kind", ["accelerator", "system"])
def test_catalog_entries_are_their_tables(kind: str, tmp_path: Path) -> None:
    """Every entry installed, written as a table and read again, is the same entry."""
    cls: Any = {"accelerator": Accelerator, "system": System}[kind]
    for entry in suanli.catalog().entries(kind):
        table = to_table(entry.value)
        assert from_table(table, cls) == entry.value
        assert from_table(json.loads(json.dumps(table)), cls) == entry.value


@given(sts.accelerators(), sts.systems())
def test_made_up_entries_are_their_tables(device: Accelerator, system: System) -> None:
    """Any entry is its table, written as JSON or not."""
    assert from_table(json.loads(json.dumps(to_table(device))), Accelerator) == device
    assert from_table(json.loads(json.dumps(to_table(system))), System) == system


def test_units_may_be_written_out(tmp_path: Path) -> None:
    """A figure written with a unit is the same figure as the bare number."""
    words = {
        "id": "one",
        "vendor": "Acme",
        "product": "One",
        "memory": "96 GB",
        "memory_bandwidth": "3.2 TB/s",
        "clock": "1.6 GHz",
        "l2_cache": "64 MiB",
        "power": "600 W",
        "peak": {"bf16": "500 TFLOP/s", "int8": "1000 TOP/s", "fp8": "none"},
        "source": {"all": "p. 3"},
    }
    numbers = words | {
        "memory": 96_000_000_000,
        "memory_bandwidth": 3.2e12,
        "clock": 1.6e9,
        "l2_cache": 64 * 2**20,
        "power": 600,
        "peak": {"bf16": 5e14, "int8": 1e15, "fp8": 0},
    }
    assert from_table(words, Accelerator) == from_table(numbers, Accelerator)
    file = tmp_path / "one.toml"
    lines = ["[[accelerator]]", *(f"{k} = {json.dumps(v)}" for k, v in words.items() if not isinstance(v, dict))]
    lines += [f"[accelerator.{k}]\n" + "\n".join(f"{a} = {json.dumps(b)}" for a, b in v.items())
              for k, v in words.items() if isinstance(v, dict)]  # fmt: skip
    file.write_text("\n".join(lines))
    assert read_catalog(file).accelerators == (from_table(numbers, Accelerator),)


@given(sts.scenarios())
def test_values_pickle(data: dict[str, Any]) -> None:
    """Scenario, report, layout and model come out of a pickle as they went in, and work."""
    scenario = suanli.scenario(data)
    report = suanli.estimate(scenario)
    model = suanli.model(data["model"]["config"])
    for value in (scenario, report, report.layout, model):
        assert pickle.loads(pickle.dumps(value)) == value
    again = pickle.loads(pickle.dumps(model))
    assert again.parameters == model.parameters
    assert again.kv_cache_bytes(100, "fp8") == model.kv_cache_bytes(100, "fp8")
    assert suanli.estimate(pickle.loads(pickle.dumps(scenario))) == report


@pytest.mark.parametrize("name", suanli.catalog().names("system"))
def test_bound_hardware_pickles(name: str) -> None:
    """A system and its accelerator come out of a pickle bound to what they were bound to."""
    system = suanli.system(name)
    again = pickle.loads(pickle.dumps(system))
    assert again == system
    assert again.device == system.device
    pair = {"bytes": 1 << 20, "ranks": min(2, system.reach or 2)}  # a superchip alone has no peer
    assert again.collective_s("all_reduce", **pair) == system.collective_s("all_reduce", **pair)
    device = suanli.accelerator(system.accelerator)
    assert pickle.loads(pickle.dumps(device)).gemm_s(m=64, n=64, k=64) == device.gemm_s(m=64, n=64, k=64)


@given(st.data())
def test_values_hash_as_they_equal(data: st.DataObject) -> None:
    """Equal values have equal hashes, so that they may be kept in sets and caches."""
    config = data.draw(sts.configs())
    scenario = data.draw(sts.training_scenarios(config=config))
    first, second = (suanli.scenario(json.loads(json.dumps(scenario))) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
    assert hash(suanli.model(config)) == hash(suanli.model(dict(config)))
    layout = data.draw(sts.layouts(config))
    assert hash(layout) == hash(attrs.evolve(layout))
    assert {layout, Layout(**{f.name: getattr(layout, f.name) for f in attrs.fields(Layout)})} == {layout}


@given(sts.scenarios())
def test_origins_say_what_was_given(data: dict[str, Any]) -> None:
    """Every field that was given is marked so, and nothing that was not."""
    report = suanli.estimate(data)
    for path, origin in report.origins.items():
        section, _, field = path.partition(".")
        given = data.get(section, {}).get(field) is not None
        if path == "workload.prefix_hit_ratio":
            continue
        assert (origin.origin == "given") == given, path
    fields = [f"{s}.{f}" for s, t in data.items() for f, v in t.items() if v is not None and f != "kind"]
    assert set(fields) <= set(report.origins)
