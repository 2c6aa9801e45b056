"""The JSON Schema holds for what is accepted and written, and for nothing misspelt."""

from __future__ import annotations

import copy
import json

import attrs
import jsonschema
import pytest

import suanli
from suanli import report
from suanli.specs import SECTIONS
from suanli.workload import KINDS

SCHEMA = suanli.schema()


def _valid(name, data):
    """Whether data holds under a definition."""
    part = {"$schema": SCHEMA["$schema"], "$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]}
    return jsonschema.Draft202012Validator(part).is_valid(data)


SCENARIOS = [
    {
        "model": {"name": "llama-65b"},
        "system": {"name": "dgx-a100", "accelerators": 64},
        "workload": {"tokens": "1.4T"},
    },
    {"model": {"name": "gpt2"}, "system": {"accelerator": "910b"}, "workload": {"kind": "finetune", "method": "full"}},
    {
        "model": {"name": "llama-2-7b"},
        "system": {"accelerator": "a10", "accelerators": "1"},
        "workload": {"kind": "serve"},
    },
    {
        "model": {"name": "mixtral-8x7b"},
        "system": {"name": "dgx-h100", "accelerators": 8},
        "workload": {"kind": "serve", "prompt": "4k", "output": 1000, "concurrency": 64, "prefix_hit_ratio": "20%"},
        "precision": {"recipe": "fp8", "kv_cache": "fp8"},
        "implementation": {"profile": "sglang", "memory_fraction": 0.85},
    },
    {
        "model": {
            "config": {
                "model_type": "gpt2",
                "n_layer": 4,
                "n_embd": 64,
                "n_head": 4,
                "vocab_size": 99,
                "n_positions": 64,
            }
        },
        "system": {"name": "dgx-a100"},
        "layout": {"tensor": [1, 2, 4], "recompute": ["none", "full"], "sequence_parallel": [True, False], "zero": 1},
        "assumptions": {"reserve": "1 GiB", "price_per_hour": 2.5, "pue": 1.2, "currency": None},
        "optimizer": {"name": None},
    },
    {
        "model": {"name": "llama-3-70b"},
        "system": {"accelerator": "a10", "accelerators": 1},
        "workload": {"kind": "serve"},
    },
]


def test_the_schema_is_one():
    """It is a draft 2020-12 schema."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize("data", SCENARIOS)
def test_scenarios_and_their_reports_hold(data):
    """What suanli takes, what it echoes, and what it reports are all valid."""
    assert _valid("scenario", data)
    made = suanli.scenario(data)
    assert _valid("scenario", made.to_dict())
    found = suanli.estimate(made).to_dict()
    assert _valid("report", found)
    assert _valid("scenario", found["scenario"])
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(found)


@pytest.mark.parametrize("section", [*SECTIONS, "workload"])
def test_unknown_keys_do_not_hold(section):
    """A misspelt key is invalid in every section, as it is for suanli.scenario."""
    data = copy.deepcopy(SCENARIOS[0])
    data.setdefault(section, {})["misspelt"] = 1
    assert not _valid("scenario", data)
    with pytest.raises(suanli.ScenarioError):
        suanli.scenario(data)


@pytest.mark.parametrize(
    "change",
    [
        {"model": {}},
        {"model": {"name": "gpt2", "config": "x.json"}},
        {"system": {"name": "dgx-a100", "accelerator": "a100"}},
        {"system": {"name": "dgx-a100", "accelerators": 0}},
        {"workload": {"kind": "train"}},
        {"workload": {"prompt": 3}},
        {"layout": {"tensor": 0}},
        {"layout": {"tensor": []}},
        {"layout": {"tensor": [[1, 2]]}},
        {"layout": {"tensor": "4"}},
        {"layout": {"zero": 4}},
        {"layout": {"recompute": "some"}},
        {"layout": {"sequence_parallel": 1}},
        {"implementation": {"attention": "slow"}},
        {"assumptions": {"pue": 0.5}},
        {"precision": {"recipe": 16}},
        {"nothing": {}},
    ],
)
def test_wrong_values_do_not_hold(change):
    """Bounds and choices of the classes are in the schema."""
    data = SCENARIOS[0] | change
    assert not _valid("scenario", data)
    with pytest.raises(suanli.ScenarioError):
        suanli.scenario(data)


def test_a_family_may_have_keys_of_its_own():
    """Hyperparameters stand beside model.family."""
    assert _valid("scenario", {"model": {"family": "dense", "hidden_size": 64}, "system": {"name": "dgx-a100"}})


def test_axes_of_plugins_are_fields():
    """An axis a plugin adds is a layout field of the schema."""
    from suanli.json_schema import schema

    assert "acme" in schema(("acme",))["$defs"]["scenario"]["properties"]["layout"]["properties"]


def test_every_field_of_the_classes_is_there():
    """No list is kept by hand: sections and fields are those of the classes."""
    properties = SCHEMA["$defs"]["scenario"]["properties"]
    assert set(properties) == {*SECTIONS, "workload"}
    text = json.dumps(properties)
    for cls in (*SECTIONS.values(), *KINDS.values()):
        assert all(f'"{f.name}"' in text for f in attrs.fields(cls) if "help" in f.metadata)
    for name, cls in report.SECTIONS.items():
        found = SCHEMA["$defs"][cls.__name__]["properties"]
        assert set(found) == {f.name for f in attrs.fields(cls)}, name


def test_a_report_with_an_unknown_figure_does_not_hold():
    """A key the report does not have is invalid."""
    found = suanli.estimate(SCENARIOS[2]).to_dict()
    found["time"]["luck_s"] = 1.0
    assert not _valid("report", found)
