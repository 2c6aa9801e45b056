"""A stranger's plugin: found, used end to end, and gone without trace."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import suanli

ACME = Path(__file__).parent / "acme"
CHECKOUT = Path(__file__).parents[2]
OURS = ("nvidia", "models", "precisions", "optimizers", "parallel", "training", "serving", "handbook")
KINDS = {
    "accelerator": {"acme-one", "acme-secret"},
    "system": {"acme-pod-64", "acme-secret-box"},
    "kernel model": {"acme-kernels"},
    "model family": {"acme-parallel"},
    "model": {"acme-1b"},
    "optimizer": {"acme-factored"},
    "precision": {"fp6"},
    "recipe": {"serve-acme-fp6", "acme-fp6-mixed"},
    "parallelism": {"ulysses"},
    "schedule": {"acme-third"},
    "rule": {"acme-chips"},
    "price": {"acme-cloud"},
    "exporter": {"acme-sheet"},
    "stage": {"acme-carbon", "acme-run"},
}
TRAIN: dict[str, Any] = {
    "model": {"name": "acme-1b"},
    "system": {"name": "acme-pod-64", "accelerators": 64},
    "workload": {"kind": "pretrain", "tokens": "100B", "sequence": 4096, "global_batch": 256},
    "layout": {"tensor": 2, "pipeline": 4, "data": 4, "micro_batch": 1, "zero": 1, "recompute": "none"}
    | {"ulysses": 2, "schedule": "acme-third"},
    "precision": {"recipe": "acme-fp6-mixed"},
    "optimizer": {"name": "acme-factored"},
}
SERVE: dict[str, Any] = {
    "model": {"name": "llama-7b"},
    "system": {"accelerator": "acme1", "accelerators": 8},
    "workload": {"kind": "serve", "prompt": 1024, "output": 128, "batch": 16},
    "layout": {"tensor": 8},
    "precision": {"recipe": "acme-fp6"},
}
PLAIN: dict[str, Any] = {
    "model": {"name": "llama-7b"},
    "system": {"name": "dgx-a100", "accelerators": 8},
    "workload": {"kind": "pretrain", "tokens": "1T", "global_batch": 64},
    "layout": {"tensor": 2, "pipeline": 1, "micro_batch": 1, "zero": 1, "recompute": "full"},
}


@pytest.fixture(scope="module")
def acme() -> Iterator[Any]:
    """Acme's plugin module, imported from its sources, and forgotten afterwards."""
    sys.path.insert(0, str(ACME))
    try:
        yield importlib.import_module("acme_suanli.plugin")
    finally:
        sys.path.remove(str(ACME))
        for name in [m for m in sys.modules if m.split(".")[0] == "acme_suanli"]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def workspace(acme: Any) -> suanli.Workspace:
    """Our plugins and Acme's, without installing anything."""
    return suanli.Workspace(plugins=[*(importlib.import_module(f"suanli_{n}.plugin") for n in OURS), acme])


def with_layout(base: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A scenario with other layout fields."""
    return base | {"layout": base["layout"] | fields}


def test_everything_is_in_the_catalog(workspace: suanli.Workspace) -> None:
    """Each kind of thing Acme gives is there under its name, told apart as Acme's, and nothing went wrong."""
    catalog = workspace.catalog()
    for kind, names in KINDS.items():
        theirs = {e.name for e in catalog.entries(kind) if e.provider.plugin == "acme_suanli.plugin"}
        assert theirs == names, kind
    assert catalog.plugins.failed == ()
    assert catalog.plugins.faults == []


def test_its_price_is_in_its_currency(workspace: suanli.Workspace) -> None:
    """Eight of them cost eight times Acme's price of an hour, in euros, and the report names the price list."""
    report = workspace.estimate(SERVE)
    assert report.serving is not None
    assert (report.serving.cost_per_hour, report.serving.currency) == (8 * 3.5, "EUR")
    assert "Acme Cloud price list" in report.basis["serving.cost_per_hour"].source


def test_training_uses_every_part(workspace: suanli.Workspace) -> None:
    """A model, machine, recipe, optimizer, axis, schedule and stages of Acme's give one report that fits."""
    report = workspace.estimate(TRAIN)
    assert report.fits
    assert dict(report.layout.extra) == {"ulysses": 2}
    assert report.layout.world == 64
    assert report.scenario["layout"]["ulysses"] == 2
    again = workspace.estimate(report.scenario)
    assert again.to_dict()["time"] == report.to_dict()["time"]
    assert report.basis["run.duration_s"].provider.startswith("acme-run")
    assert report.basis["carbon.kg"].provider.startswith("acme-carbon")


def test_the_family_counts_what_it_composes(workspace: suanli.Workspace) -> None:
    """Parameters, FLOPs and cache of the new architecture follow from its operators alone."""
    model = workspace.model("acme-1b")
    h, layers, v, d = 2048, 16, 32000, 128
    layer = h + h * (h + 2 * d) + h * h + 2 * h * 4 * h
    assert model.parameters.total == 2 * v * h + layers * layer + h
    assert model.kv_cache_bytes(100) == 100 * layers * 2 * d * 2
    flops = model.forward_flops(sequence=10, causal=False).total
    assert flops == 2 * 10 * (layers * (layer - h) + v * h) + layers * 4 * 10 * 10 * h


def test_the_kernel_model_serves_its_accelerator(workspace: suanli.Workspace) -> None:
    """The Acme One is timed by Acme's model, its sibling by the datasheet fallback."""
    one = workspace.accelerator("acme1")
    m = n = k = 8192
    assert one.gemm_s(m=m, n=n, k=k) == pytest.approx(2e-6 + 1.25 * 2 * m * n * k / 500e12, rel=1e-12)
    other = workspace.accelerator("acme-secret").kernels
    assert other is not None
    assert other.fallback


def test_the_replaced_stage_is_used_and_explained(workspace: suanli.Workspace) -> None:
    """The run takes 1 / 0.95 as long as ours would, and its derivation cites Acme."""
    report = workspace.estimate(TRAIN)
    steps = 100e9 / (256 * 4096)
    assert report.run is not None
    assert report.time.step_s is not None
    assert report.run.duration_s == pytest.approx(steps * report.time.step_s / 0.95, rel=1e-12)
    assert any("restarts" in c for c in workspace.explain(TRAIN, "run.duration_s").citations())
    text = str(workspace.explain(TRAIN, "time.step_s"))
    assert "Acme One white paper" in text
    assert "Acme One datasheet v1.2, p. 3" in text


def test_the_new_stage_gives_a_new_figure(workspace: suanli.Workspace) -> None:
    """Carbon follows from the energy of the replaced stage, in the report, its JSON and its derivation."""
    report = workspace.estimate(TRAIN)
    assert report.run is not None
    kilograms = report.run.energy_j / 3.6e6 * 0.4
    assert report.figure("carbon.kg") == pytest.approx(kilograms, rel=1e-12)
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert suanli.Report.from_dict(data).figure("carbon.kg") == report.figure("carbon.kg")
    assert workspace.explain(TRAIN, "carbon.kg").unit == "kg"


def test_the_optimizer_and_the_format_are_in_the_memory(workspace: suanli.Workspace) -> None:
    """Six-bit rows and columns take next to nothing beside the fp32 master weights, and exactly what they are."""
    alone = TRAIN | {
        "system": {"name": "acme-pod-64", "accelerators": 1},
        "layout": {"tensor": 1, "pipeline": 1, "data": 1, "micro_batch": 1, "zero": 0, "recompute": "full"},
    }
    parts = workspace.estimate(alone).memory.per_accelerator
    h, layers, v, d = 2048, 16, 32000, 128
    # Row and column of each matrix as stored (outputs first), all of each norm.
    layer = (h + h) + 2 * (d + h) + (h + h) + (4 * h + h) + (h + 4 * h) + h
    states = 2 * (v + h) + layers * layer + h
    parameters = workspace.model("acme-1b").parameters.total
    assert parts.optimizer_bytes == pytest.approx(parameters * 4 + states * 6 / 8, rel=1e-9)


def test_the_new_axis_divides_and_costs(workspace: suanli.Workspace) -> None:
    """Two ranks a sequence halve the activations and the passes, and their exchanges are shown apart."""
    alone = workspace.estimate(with_layout(TRAIN, ulysses=1, data=8))
    both = workspace.estimate(TRAIN)
    # Half the ranks of data: twice the micro batches, each of half the tokens.
    assert both.memory.per_accelerator.activations_bytes == pytest.approx(
        alone.memory.per_accelerator.activations_bytes / 2, rel=1e-9
    )
    assert alone.time.exposed_other_s == 0
    assert both.time.exposed_other_s > 0


def test_the_new_axis_sums_gradients(workspace: suanli.Workspace) -> None:
    """Ranks that share a sequence hold copies of the weights, so their gradients are summed like data ranks'."""
    # One data rank: every gradient exchange left is over the ranks of the new axis.
    layout = {"tensor": 2, "pipeline": 1, "data": 1, "micro_batch": 1, "zero": 1, "recompute": "none"}
    machine = {"name": "acme-pod-64", "accelerators": 16}
    both = workspace.estimate(TRAIN | {"system": machine, "layout": layout | {"ulysses": 8}})
    assert both.time.exposed_data_s > 0


def test_the_schedule_is_used(workspace: suanli.Workspace) -> None:
    """Acme's schedule has a third of the bubble of 1F1B, and all else alike."""
    plain = workspace.estimate(with_layout(TRAIN, schedule="1f1b"))
    ours = workspace.estimate(TRAIN)
    assert ours.time.bubble_s == pytest.approx(plain.time.bubble_s / 3, rel=1e-12)
    assert ours.time.forward_s == plain.time.forward_s


@pytest.mark.parametrize("layout", [{"tensor": [1, 2], "pipeline": [1, 2], "micro_batch": 1}, {}])
def test_search_goes_over_the_new_axis(workspace: suanli.Workspace, layout: dict[str, Any]) -> None:
    """Every degree of a list is searched, and each plan estimated again is what the search scored."""
    found = {}
    for degrees in ([1], [2], [4], [1, 2, 4]):
        asked = TRAIN | {"layout": layout | {"ulysses": degrees, "recompute": "none", "zero": 1}}
        result = workspace.search(asked, top=3)
        found[len(degrees), degrees[0]] = result
        assert {dict(p.layout.extra).get("ulysses", 1) for p in result.plans} <= set(degrees)
        for plan in result.plans:
            assert plan.layout.world == 64
            assert plan.report.time.step_s == plan.score
            assert plan.report.memory.per_accelerator.total_bytes == plan.total_bytes
    alone = [found[1, 1], found[1, 2], found[1, 4]]
    assert all(r.evaluated for r in alone)
    assert found[3, 1].evaluated == sum(r.evaluated for r in alone)
    assert found[3, 1].plans[0].score == min(r.plans[0].score for r in alone)


def test_the_new_axis_is_checked(workspace: suanli.Workspace) -> None:
    """A degree that does not divide, and a degree of an axis nobody installed, are refused with the path."""
    with pytest.raises(suanli.ScenarioError, match=r"layout\.ulysses: 3 does not divide 16 heads"):
        workspace.estimate(with_layout(TRAIN, ulysses=3))
    with pytest.raises(suanli.ScenarioError, match=r"layout.*'ulysses'"):
        suanli.Workspace().scenario(TRAIN)


def test_serving_uses_the_machine_and_the_recipe(workspace: suanli.Workspace) -> None:
    """An installed model is served on Acme's machine in Acme's format, three quarters of a byte a weight."""
    report = workspace.estimate(SERVE)
    assert report.fits
    assert report.serving is not None
    assert report.serving.output_tokens_per_s > 0
    # Layers go from 2 bytes a weight to 3/4 (norms stay, and are few); embedding and head may stay wide.
    wide = workspace.estimate(SERVE | {"precision": {"recipe": "bf16"}}).memory.per_accelerator.weights_bytes
    total = workspace.model("llama-7b").parameters.total
    least, most = ((total - n * 32000 * 4096) * 1.25 / 8 for n in (2, 0))
    assert least * 0.999 <= wide - report.memory.per_accelerator.weights_bytes <= most


def test_the_rule_and_the_check_are_asked(workspace: suanli.Workspace) -> None:
    """Acme's rule of thumb answers, and its check speaks up where it should and is silent elsewhere."""
    assert workspace.rule("acme-chips", params=70e9).value == 2
    wide = with_layout(TRAIN, tensor=16, data=1, ulysses=1)
    assert "acme-tensor" in {p.code for p in workspace.estimate(wide).problems}
    assert "acme-tensor" not in {p.code for p in workspace.estimate(TRAIN).problems}


@pytest.mark.parametrize("asked", [TRAIN, SERVE], ids=["train", "serve"])
def test_the_exporter_writes_its_row(workspace: suanli.Workspace, asked: dict[str, Any]) -> None:
    """Acme's sheet has a row of a report, empty where a figure is not known."""
    report = workspace.estimate(asked)
    row = workspace.export(report, "acme-sheet")
    assert row == f"{report.kind}\tacme-pod-64\t{report.scenario['system']['accelerators']}\tTrue\t" + (
        f"{report.throughput.tokens_per_s}\n" if report.throughput.tokens_per_s is not None else "\n"
    )


@pytest.mark.parametrize("kind", ["serve", "pretrain"])
def test_confidential_figures_stay_so(workspace: suanli.Workspace, kind: str) -> None:
    """An entry under NDA answers, and its own figures stand in no report, derivation or listing."""
    asked: dict[str, Any] = {"model": {"name": "llama-7b"}, "system": {"name": "acme-secret-box"}}
    asked |= {"workload": {"kind": kind}, "layout": {"tensor": 4}}
    report = workspace.estimate(asked)
    keys = [k for k in report.basis if isinstance(answer(workspace, asked, k), suanli.Derivation)]
    assert keys
    derived = [workspace.explain(asked, key) for key in keys]
    shown = [json.dumps(report.to_dict(), indent=1), *(json.dumps(d.to_dict(), indent=1) for d in derived)]
    shown += [str(d) for d in derived]
    shown.append(repr(workspace.catalog().entry("accelerator", "acme-secret")))
    secrets = {"bandwidth": 7.77e12, "peak": 1111e12, "vector": 60e12, "link": 333e9, "peer": 111e9, "memory": 192e9}
    leaks = set()
    for name, figure in secrets.items():
        for text in {repr(figure), str(int(figure)), f"{figure:.6g}", f"{figure / 1e9:.1f} GB"}:
            leaks |= {f"{name}: {line.strip()}" for s in shown for line in s.splitlines() if f" {text}" in line}
    assert leaks == set()


def answer(workspace: suanli.Workspace, asked: dict[str, Any], key: str) -> suanli.Derivation | None:
    """The derivation of a figure, where it has one."""
    try:
        return workspace.explain(asked, key)
    except suanli.SuanliError:
        return None


def test_a_folder_is_as_good_as_a_package(monkeypatch: pytest.MonkeyPatch, workspace: suanli.Workspace) -> None:
    """Acme's catalog files alone, named by SUANLI_PATH or paths, give the same machine, timed by the fallback."""
    folder = ACME / "acme_suanli"
    given = suanli.Workspace(paths=[folder])
    monkeypatch.setenv("SUANLI_PATH", str(folder))
    named = suanli.Workspace()
    monkeypatch.delenv("SUANLI_PATH")
    asked = SERVE | {"precision": {"recipe": "bf16"}}
    assert given.estimate(asked).to_dict()["serving"] == named.estimate(asked).to_dict()["serving"]
    packaged, bare = (attrs.evolve(w.accelerator("acme-one"), kernels=None) for w in (workspace, given))
    assert packaged == bare
    kernels = given.accelerator("acme-one").kernels
    assert kernels is not None
    assert kernels.fallback
    assert "acme-one" not in suanli.Workspace().catalog().names("accelerator")


def test_two_of_one_name_are_refused(workspace: suanli.Workspace, acme: Any) -> None:
    """Acme's machine from a package and from a folder at once is a clash that names both."""
    modules = [importlib.import_module(f"suanli_{n}.plugin") for n in OURS]
    both = suanli.Workspace(plugins=[*modules, acme], paths=[ACME / "acme_suanli"])
    with pytest.raises(suanli.SuanliError, match=r"acme-one.*both acme_suanli\.plugin and"):
        both.accelerator("acme-one")


# ---- Installed for real --------------------------------------------------------------------------------------------

PROBE = """
import json, sys
import suanli
asked = json.load(sys.stdin)
catalog = suanli.catalog()
found = {"plugins": {p.plugin: [p.distribution, p.version, p.error] for p in catalog.plugins.providers}}
found["names"] = {k: [e.name for e in catalog.entries(k) if e.provider.plugin == "acme"] for k in asked["kinds"]}
found["faults"] = catalog.plugins.faults
found["plain"] = suanli.estimate(asked["plain"]).to_dict()
if asked["acme"]:
    train, serve = suanli.estimate(asked["train"]), suanli.estimate(asked["serve"])
    found["train"] = train.to_dict()
    found["serve"] = serve.to_dict()
    plans = suanli.search(asked["train"] | {"layout": {"ulysses": [1, 2], "zero": 1, "pipeline": [1, 2]}}, top=3).plans
    found["plans"] = [p.layout.to_dict() for p in plans]
    found["explain"] = str(train.explain("carbon.kg"))
print(json.dumps(found))
"""


class Venv:
    """A fresh virtual environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run(sys.executable, "-m", "venv", str(folder))

    def run(self, *command: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command, run away from this checkout and its environment."""
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SUANLI", "COV"))}
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, cwd=self.folder.parent, env=keep, check=False
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def script(self, name: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """A script of the environment."""
        return self.run(str(self.folder / "bin" / name), *arguments, **options)

    def pip(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The environment's pip."""
        quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
        return self.script("python", "-m", "pip", *arguments, *quiet, check=check)

    def probe(self, *, acme: bool) -> dict[str, Any]:
        """What suanli answers there."""
        asked = {"kinds": list(KINDS), "plain": PLAIN, "train": TRAIN, "serve": SERVE, "acme": acme}
        found: dict[str, Any] = json.loads(self.script("python", "-c", PROBE, stdin=json.dumps(asked)).stdout)
        return found

    def files(self) -> set[str]:
        """Everything installed, by path."""
        root = next(self.folder.glob("lib/python*/site-packages"))
        return {str(f.relative_to(root)) for f in root.rglob("*") if "__pycache__" not in f.parts}


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Venv:
    """A fresh environment with this checkout's wheel in it; skipped only where there is no package index."""
    made = Venv(tmp_path_factory.mktemp("acme") / "venv")
    reached = made.pip("install", "hatchling>=1.27", "attrs", check=False)
    if reached.returncode:
        pytest.skip(f"no package index: {reached.stderr.strip().splitlines()[-1:]}")
    made.pip("install", "--no-build-isolation", str(CHECKOUT))
    return made


def test_installed_used_and_removed(venv: Venv) -> None:
    """A stranger installs Acme's distribution, uses all of it, removes it, and all is as it was."""
    before, files = venv.probe(acme=False), venv.files()
    assert "acme" not in before["plugins"]

    venv.pip("install", "--no-build-isolation", str(ACME))
    there = venv.probe(acme=True)
    assert there["plugins"]["acme"] == ["acme-suanli", "1.2.3", ""]
    assert there["faults"] == []
    assert {k: set(v) for k, v in there["names"].items()} == KINDS
    assert there["train"]["memory"]["fits"]
    assert there["train"]["extra"]["carbon.kg"] > 0
    assert "acme (acme-suanli 1.2.3)" in there["train"]["basis"]["carbon.kg"]["provider"]
    assert there["train"]["versions"]["plugins"]["acme"] == "1.2.3"
    assert there["serve"]["serving"]["output_tokens_per_s"] > 0
    assert {plan["ulysses"] for plan in there["plans"]} <= {1, 2}
    assert "Acme sustainability report 2025" in there["explain"]
    # What Acme does not touch is the same to the last bit; what it replaces is not.
    assert there["plain"]["time"] == before["plain"]["time"]
    assert there["plain"]["memory"] == before["plain"]["memory"]
    assert there["plain"]["run"]["duration_s"] > before["plain"]["run"]["duration_s"]

    listed = venv.script("suanli", "plugins")
    assert "acme" in listed.stdout
    assert "1.2.3" in listed.stdout
    asked = ("train", "acme-1b", "--on", "acme-pod-64", "--tokens", "1G", "--format", "acme-sheet")
    assert venv.script("suanli", *asked).stdout.startswith("pretrain\tacme-pod-64\t8\tTrue\t")

    venv.pip("uninstall", "--yes", "acme-suanli")
    assert venv.probe(acme=False) == before
    assert venv.files() == files
    assert "acme" not in venv.script("suanli", "plugins").stdout


def test_a_broken_plugin_is_named_and_the_rest_work(venv: Venv) -> None:
    """A distribution that fails to import is named with its cause, and everybody else's answers stay."""
    root = next(venv.folder.glob("lib/python*/site-packages"))
    info = root / "broken_suanli-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-suanli\nVersion: 0.1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[suanli]\nbroken = broken_suanli_is_not_there\n", encoding="utf-8")
    try:
        found = venv.probe(acme=False)
    finally:
        for file in info.iterdir():
            file.unlink()
        info.rmdir()
    name, version, error = found["plugins"]["broken"]
    assert (name, version) == ("broken-suanli", "0.1")
    assert "broken_suanli_is_not_there" in error
    assert found["plain"]["time"]["step_s"] > 0
