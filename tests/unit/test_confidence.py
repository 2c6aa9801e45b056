"""Hardware whose documents disagree: wider bands, by a stated factor, and a note that says what is in doubt."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

import suanli
from suanli import Workspace
from suanli.confidence import SPREAD
from suanli.hardware import CONFIDENCES
from suanli.testing import installed_plugins, make_plugin

TRAIN: dict[str, Any] = {
    "model": {"name": "gpt2"},
    "system": {"name": "doubted-node", "accelerators": 2},
    "workload": {"kind": "pretrain", "sequence": 64, "global_batch": 4, "tokens": "1M"},
    "layout": {"tensor": 2, "pipeline": 1, "micro_batch": 1, "zero": 0, "recompute": "none"},
}
ALONE = TRAIN | {"system": {"name": "doubted-node", "accelerators": 1}, "layout": TRAIN["layout"] | {"tensor": 1}}
SERVE: dict[str, Any] = {
    "model": {"name": "llama-7b"},
    "system": {"name": "doubted-node", "accelerators": 2},
    "workload": {"kind": "serve", "batch": 4},
    "layout": {"tensor": 2, "pipeline": 1},
}


def doubting(device: str = "high", system: str = "high", **other: Any) -> Workspace:
    """An A100 in a node, each stated with some confidence."""
    base = attrs.evolve(suanli.accelerator("a100"), id="doubted", aliases=(), siblings=(), note="", **other)
    node = attrs.evolve(suanli.system("dgx-a100"), id="doubted-node", aliases=(), accelerator="doubted", note="")
    part = attrs.evolve(base, confidence=device, default_system="doubted-node")
    plugin = make_plugin("doubt", accelerators=[part], systems=[attrs.evolve(node, confidence=system)])
    return Workspace(plugins=[*installed_plugins(), plugin])


def bands(workspace: Workspace, scenario: dict[str, Any]) -> dict[str, tuple[float, ...]]:
    """The bands of a report."""
    return {k: b.band for k, b in workspace.estimate(scenario).basis.items() if b.band}


@pytest.mark.parametrize("scenario", [TRAIN, SERVE], ids=["train", "serve"])
@pytest.mark.parametrize(
    ("device", "system"), [("low", "high"), ("high", "low"), ("medium", "low"), ("medium", "high")]
)
def test_bands_are_wider_by_the_factor(scenario: dict[str, Any], device: str, system: str) -> None:
    """Both ends of the band of a time, rate or cost move out by the factor of whichever is less certain."""
    factor = max(SPREAD[device], SPREAD[system])
    sure, doubted = bands(doubting(), scenario), bands(doubting(device, system), scenario)
    assert doubted.keys() == sure.keys()
    widened = {k for k in sure if doubted[k] != sure[k]}
    for key in widened:
        assert doubted[key] == pytest.approx((sure[key][0] / factor, sure[key][1] * factor), rel=2e-3)
    sections = {k.partition(".")[0] for k in widened}
    assert sections == ({"time", "throughput", "run"} if scenario is TRAIN else {"time", "throughput", "serving"})
    assert all(k in widened for k in sure if not k.startswith("memory."))
    key = next(iter(widened))
    basis = doubting(device, system).estimate(scenario).basis[key]
    assert f"widened by {factor:g}" in basis.evidence


def test_memory_does_not_depend_on_a_rate() -> None:
    """Bytes are what they are, however fast they move."""
    sure, doubted = bands(doubting(), TRAIN), bands(doubting("low", "low"), TRAIN)
    keys = [k for k in sure if k.startswith("memory.")]
    assert keys
    assert {k: sure[k] for k in keys} == {k: doubted[k] for k in keys}


def test_a_network_nobody_uses_is_not_doubted() -> None:
    """With one rank nothing is exchanged, and the network's confidence changes nothing."""
    assert bands(doubting("high", "low"), ALONE) == bands(doubting(), ALONE)
    assert bands(doubting("low", "high"), ALONE) != bands(doubting(), ALONE)
    problems = doubting("high", "low").estimate(ALONE).problems
    assert "low-confidence-hardware" not in {p.code for p in problems}


def test_a_report_notes_what_is_contested() -> None:
    """A low confidence is a note with the entry's own words; a medium one is not worth one."""
    note = "246 or 270 TFLOP/s"
    for level in CONFIDENCES:
        workspace = doubting(level)
        part = attrs.evolve(workspace.catalog().get("accelerator", "doubted"), id="noted", note=note)
        node = attrs.evolve(workspace.catalog().get("system", "doubted-node"), id="noted-node", accelerator="noted")
        plugin = make_plugin("noted", accelerators=[part], systems=[node])
        noted = Workspace(plugins=[*installed_plugins(), plugin])
        report = noted.estimate(TRAIN | {"system": {"name": "noted-node", "accelerators": 2}})
        found = [p for p in report.problems if p.code == "low-confidence-hardware"]
        assert len(found) == (level == "low")
        assert all(note in p.message and "noted" in p.message and p.severity == "note" for p in found)


def test_a_confidential_note_is_not_shown() -> None:
    """What is contested of a part under NDA stays untold; that it is, is said."""
    secret = attrs.evolve(
        suanli.accelerator("a100"), id="hush", aliases=(), siblings=(), note="123.5 TFLOP/s", confidence="low",
        confidential=True,
    )  # fmt: skip
    node = attrs.evolve(suanli.system("dgx-a100"), id="hush-node", aliases=(), accelerator="hush")
    workspace = Workspace(plugins=[*installed_plugins(), make_plugin("hush", accelerators=[secret], systems=[node])])
    report = workspace.estimate(TRAIN | {"system": {"name": "hush-node", "accelerators": 2}})
    assert "low-confidence-hardware" in {p.code for p in report.problems}
    assert "123.5" not in json.dumps(report.to_dict())


def test_an_accelerator_nobody_measured_keeps_its_wider_band() -> None:
    """The band of a part without fitted models is the unmeasured one, widened the same way where it is contested."""
    workspace = doubting("low", generation="unheard-of")
    sure = doubting("high", generation="unheard-of")
    base = bands(sure, TRAIN)
    stage = suanli.catalog().get("stage", "training-step")
    assert base["time.step_s"] == stage.band.unmeasured
    low, high = bands(workspace, TRAIN)["time.step_s"]
    assert low == pytest.approx(base["time.step_s"][0] / SPREAD["low"], rel=2e-3)
    assert high == pytest.approx(base["time.step_s"][1] * SPREAD["low"], rel=2e-3)


def test_less_confidence_is_never_narrower() -> None:
    """The factors grow as confidence falls, from none at all."""
    assert list(SPREAD) == list(CONFIDENCES)
    assert SPREAD["high"] == 1.0
    assert list(SPREAD.values()) == sorted(SPREAD.values())


STATED = [
    # figure used, alternatives stated, confidence of the part
    (1.6, (1.8,), "low"),  # memory bandwidth of the 910B1, TB/s: Huawei; msprof's model
    (245.8, (263.0, 270.0), "low"),  # Cube of the 910B4, TFLOP/s: CANN's ini; implied by the headline; at 1650 MHz
    (1946.0, (1783.0,), "low"),  # FP4 of the 950DT, TFLOP/s: white paper; cluster page
    (363.7, (353.9, 378.9), "low"),  # Cube of the 910B1, TFLOP/s: CANN 8.5; 1800 MHz; 25 cores
    (8.0, (7.7,), "medium"),  # memory bandwidth of the B100, TB/s: announced; HMC Tech
    (8.0, (7.75,), "medium"),  # memory bandwidth of the B300, TB/s: DGX B300 (62 TB/s / 8)
    (3.35, (3.43,), "medium"),  # memory bandwidth of the H800, TB/s: alibaba/InferSim
    (4.0, (4.096,), "medium"),  # memory bandwidth of the H20, TB/s: alibaba/InferSim
]


@pytest.mark.parametrize(("used", "others", "confidence"), STATED)
def test_the_factors_cover_what_documents_state(used: float, others: tuple[float, ...], confidence: str) -> None:
    """Every alternative that a document states lies within the factor of its part's confidence."""
    for other in others:
        assert max(used, other) / min(used, other) <= SPREAD[confidence] + 1e-9
