"""Every hook is documented in full, is used by us, and does what it says for a stranger's plugin."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import attrs
import pytest

import suanli
from suanli import (
    Block,
    ElementwiseOptimizer,
    Exporter,
    ModelPreset,
    NumberFormat,
    ParallelismRule,
    Price,
    Problem,
    Profile,
    Recipe,
    Rule,
    Stage,
    Workspace,
    formula,
)
from suanli.hookspecs import HOOKS
from suanli.layout import Layout
from suanli.testing import installed_plugins, make_plugin
from suanli_models.dense import Llama
from suanli_parallel.pipeline import OneForwardOneBackward

TRAIN: dict[str, Any] = {
    "model": {"name": "gpt2"},
    "system": {"name": "dgx-a100", "accelerators": 2},
    "workload": {"kind": "pretrain", "sequence": 64, "global_batch": 4},
    "layout": {"tensor": 1, "pipeline": 1, "micro_batch": 1, "zero": 0, "recompute": "none"},
}
BASE = suanli.estimate(TRAIN)


def beside_ours(**hooks: Any) -> Workspace:
    """A workspace with the installed plugins and one of a stranger."""
    return Workspace(plugins=[*installed_plugins(), make_plugin("acme", **hooks)])


def test_hook_suanli_accelerators() -> None:
    """A device is found by name and served by the datasheet's figures."""
    device = attrs.evolve(suanli.accelerator("a100"), id="acme-one", aliases=("acme1",), generation="")
    assert beside_ours(accelerators=[device]).accelerator("acme1").gemm_s(m=8, n=8, k=8) > 0.0


def test_hook_suanli_systems() -> None:
    """A system of somebody else's device is estimated on."""
    node = attrs.evolve(suanli.system("dgx-a100"), id="acme-pod", aliases=())
    scenario = TRAIN | {"system": {"name": "acme-pod", "accelerators": 2}}
    assert beside_ours(systems=[node]).estimate(scenario).time == BASE.time


def test_hook_suanli_precisions() -> None:
    """A format and a recipe that names it count its bits."""
    form = NumberFormat(name="fp6", bits=6, wider=("fp8", "bf16"))
    recipe = Recipe(name="six", kind="training", weights="fp6", gradients="bf16", optimizer_states="fp32")
    report = beside_ours(precisions=[form, recipe]).estimate(TRAIN | {"precision": {"recipe": "six"}})
    assert report.memory.per_accelerator.weights_bytes == report.parameters.total * 0.75


def test_hook_suanli_optimizers() -> None:
    """An optimizer's states are counted."""
    mine = ElementwiseOptimizer(name="mine", tensors=("momentum",), flops_per_parameter=5.0)
    report = beside_ours(optimizers=[mine]).estimate(TRAIN | {"optimizer": {"name": "mine"}})
    assert report.memory.per_accelerator.optimizer_bytes == report.parameters.total * 8


class Doubled(Llama):
    """A family whose every layer is there twice."""

    family = "doubled"
    model_types = ("doubled",)

    def depth(self) -> int:
        """Twice the layers."""
        return 2 * self.layers


CONFIG = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
}


def test_hook_suanli_model_families() -> None:
    """A family answers its model_type, as a configuration and by its name."""
    workspace = beside_ours(model_families=[Doubled])
    model = workspace.model(CONFIG | {"model_type": "doubled"})
    assert len(model.layers) == 6
    assert all(isinstance(block, Block) for block in model.layers)
    scenario = TRAIN | {"model": {"family": "doubled", **CONFIG}}
    assert workspace.estimate(scenario).parameters.total == model.parameters.total


def test_hook_suanli_models() -> None:
    """A preset is found by name and alias."""
    preset = ModelPreset(name="acme-tiny", aliases=("tiny",), config=CONFIG | {"model_type": "llama"}, source="Acme")
    assert beside_ours(models=[preset]).model("tiny").source == "Acme"


@attrs.frozen(kw_only=True)
class Spread(ParallelismRule):
    """Divides inner widths over ranks of an axis of its own."""

    def group(self, name: str, layout: Any) -> Any:
        """Neighbours."""
        return layout[self.field], 1.0


def test_hook_suanli_parallelisms() -> None:
    """A rule's own field becomes an axis of the layout, divides its roles, and is searched over."""
    rule = Spread(name="spread", field="spread", roles=("ffn",), reads=("spread",), source="Acme")
    workspace = beside_ours(parallelisms=[rule])
    assert workspace.axes() == ("spread",)
    report = workspace.estimate(TRAIN | {"layout": TRAIN["layout"] | {"spread": 2}})
    assert report.layout == attrs.evolve(BASE.layout, data=1, extra=(("spread", 2),))
    inner = sum(
        p.elements for b in suanli.model("gpt2").layers for p in b.parameters if any(d.role == "ffn" for d in p.dims)
    )
    held = report.memory.per_accelerator.weights_bytes
    assert held == BASE.memory.per_accelerator.weights_bytes - inner / 2 * 2
    assert suanli.Report.from_dict(report.to_dict()) == report
    found = workspace.search(TRAIN | {"layout": {"spread": [1, 2]}}, top=10_000)
    assert {dict(p.layout.extra).get("spread") for p in found.plans} == {1, 2}


class Idle(OneForwardOneBackward):
    """A schedule that idles as long as it works."""

    def bubble_s(self, **times: Any) -> Any:
        """Twice the other's."""
        return 2.0 * super().bubble_s(**times)


def test_hook_suanli_schedules() -> None:
    """A schedule is chosen by name, and its bubble is the step's."""
    workspace = beside_ours(schedules=[Idle(name="idle", source="Acme")])
    piped = TRAIN["layout"] | {"pipeline": 2}
    ours = workspace.estimate(TRAIN | {"layout": piped | {"schedule": "1f1b"}})
    theirs = workspace.estimate(TRAIN | {"layout": piped | {"schedule": "idle"}})
    assert theirs.time.bubble_s == 2.0 * (ours.time.bubble_s or 0.0)


def test_hook_suanli_kernel_models() -> None:
    """A kernel model that names a device serves it."""
    model = attrs.evolve(
        suanli.catalog().get("kernel model", "roofline-hopper"),
        name="own",
        generations=(),
        accelerators=("a100-sxm4-80",),
    )
    report = beside_ours(kernel_models=[model]).estimate(TRAIN)
    assert "own" in report.versions["calibrations"]
    assert report.time.forward_s != BASE.time.forward_s


def test_hook_suanli_collective_models() -> None:
    """A collective model that names a system serves it."""
    model = attrs.evolve(
        suanli.catalog().get("collective model", "hierarchical-hopper"),
        name="own",
        generations=(),
        systems=("dgx-a100",),
    )
    report = beside_ours(collective_models=[model]).estimate(TRAIN)
    assert "own" in report.versions["calibrations"]
    assert report.time.exposed_data_s != BASE.time.exposed_data_s


def test_hook_suanli_profiles() -> None:
    """A profile's defaults are used, and its name is stated."""
    profile = Profile(name="mine", kind="training", overlap=False, attention="eager")
    report = beside_ours(profiles=[profile]).estimate(TRAIN | {"implementation": {"profile": "mine"}})
    stated = report.scenario["implementation"]
    assert (stated["attention"], stated["overlap"]) == ("eager", False)


def carbon(case: Any, layout: Any, given: Any) -> dict[str, Any]:
    """Kilograms of CO2 of a run."""
    return {"carbon.kg": given["time.step_s"] * 2.0}


def test_hook_suanli_stages() -> None:
    """A stage adds a figure of its own section, with its basis, and one may replace another by name."""
    added = Stage(name="carbon", workloads=("pretrain",), needs=("time.step_s",), gives=("carbon.kg",), run=carbon)
    report = beside_ours(stages=[added]).estimate(TRAIN)
    assert report.figure("carbon.kg") == (report.time.step_s or 0.0) * 2.0
    assert report.basis["carbon.kg"].provider == "carbon: acme"
    assert suanli.Report.from_dict(report.to_dict()) == report

    run = next(s for s in suanli.catalog().entries("stage") if s.name == "training-run").value
    freed = attrs.evolve(run, name="free", replaces="training-run", run=lambda *_: dict.fromkeys(run.gives))
    workspace = beside_ours(stages=[freed])
    assert workspace.estimate(TRAIN | {"workload": TRAIN["workload"] | {"tokens": "1M"}}).run.duration_s is None  # type: ignore[union-attr]


def test_hook_suanli_prices() -> None:
    """A plugin's prices stand beside ours, and an estimate assumes the median of them all."""
    one = Price(name="acme-a100", accelerator="a100", seller="Acme", price_per_hour=2.0, date="2026", source="Acme")
    two = attrs.evolve(one, name="acme-a100-2", price_per_hour=2.1)
    workspace = beside_ours(prices=[one, two])
    ours = [e.value for e in suanli.catalog().entries("price")]
    known = sorted(p.price_per_hour for p in ours if p.accelerator == "a100-sxm4-80" and p.current)
    known = sorted([*known, 2.0, 2.1])
    assert workspace.estimate(TRAIN).scenario["assumptions"]["price_per_hour"] == known[(len(known) - 1) // 2]


def test_hook_suanli_exporters() -> None:
    """A format of a plugin's own is written by name or alias, from a report or from a scenario."""

    def one_line(report: suanli.Report) -> str:
        return f"{report.kind}: {report.time.step_s} s"

    mine = Exporter(name="one-line", aliases=("line",), write=one_line, about="the answer in a line", source="Acme")
    workspace = beside_ours(exporters=[mine])
    assert workspace.export(TRAIN, "line") == workspace.export(BASE, "one-line") == f"pretrain: {BASE.time.step_s} s"


@formula(unit="bytes", source="Acme")
def acme_bytes(*, params: float) -> float:
    """Bytes a parameter takes at Acme."""
    return params * 3.0


def test_hook_suanli_rules() -> None:
    """A rule of thumb answers by name with its unit and source."""
    rule = Rule(
        name="acme-bytes", function=acme_bytes, unit="bytes", formula="3 P", source="Acme", valid_for="Acme's weights"
    )
    answer = beside_ours(rules=[rule]).rule("acme-bytes", params=2)
    assert (answer.value, answer.unit, answer.source) == (6.0, "bytes", "Acme")


def test_hook_suanli_check() -> None:
    """A check sees the case with its layout and the catalog, and its problems are the report's."""
    seen: list[Any] = []

    def check(scenario: Any, catalog: Any) -> list[Problem]:
        seen.append((scenario.layout, catalog.names("accelerator")))
        return [Problem(code="acme", severity="error", message="not on Acme's watch", hint="ask Acme")]

    workspace = beside_ours(check=check)
    report = workspace.estimate(TRAIN)
    assert [p.message for p in report.problems if p.code == "acme"] == ["not on Acme's watch"]
    assert not report.fits
    assert (
        seen[0][0] == report.layout == Layout(**{f: getattr(report.layout, f) for f in ("data", "sequence_parallel")})
    )
    assert "a10" in seen[0][1]


def test_a_check_that_raises_is_told() -> None:
    """A check that raises, or gives what is no Problem, spoils nothing but is noted."""

    def raises(scenario: Any) -> list[Problem]:
        raise RuntimeError("oops")

    def rubbish(scenario: Any) -> list[Any]:
        return ["a problem"]

    for check, said in ((raises, "RuntimeError: oops"), (rubbish, "gave a str where a Problem belongs")):
        workspace = beside_ours(check=check)
        assert workspace.estimate(TRAIN).time == BASE.time
        assert any("acme" in f and said in f for f in workspace.catalog().plugins.faults)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_its_test(hook: str) -> None:
    """A hook that ships has a test of its name here."""
    assert callable(getattr(sys.modules[__name__], f"test_hook_{hook}", None))


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_its_contract(hook: str) -> None:
    """Its docstring says what it is, each argument, what it returns, how it is collected, with an example."""
    text = inspect.getdoc(HOOKS[hook]) or ""
    for part in ("Returns:", "Collected from every plugin", "Example:", ">>> @hookimpl", f"def {hook}("):
        assert part in text, part
    arguments = inspect.signature(HOOKS[hook]).parameters
    for name in arguments:
        assert f"    {name}: " in text, name
    assert not any(p.default is not inspect.Parameter.empty for p in arguments.values())
    assert text.index("Returns:") < text.index("Collected") < text.index("Example:")


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_used(hook: str) -> None:
    """A hook ships when a real plugin uses it: one of ours does."""
    plugins = suanli.catalog().plugins
    assert any(hook in plugins.hooks_of(p) for p in plugins.loaded if p.distribution == "suanli")
