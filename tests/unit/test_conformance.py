"""The conformance kit finds what is wrong with a plugin, names the likely mistake, and passes what is right."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

import suanli
from suanli.errors import SuanliError, UnknownNameError
from suanli.testing import Record, check_plugin, installed_plugins, make_plugin

OURS = (
    "nvidia",
    "ascend",
    "models",
    "precisions",
    "optimizers",
    "parallel",
    "training",
    "serving",
    "handbook",
    "prices",
    "exporters",
)
GOOD: dict[str, Any] = {
    "id": "acme-one",
    "vendor": "Acme",
    "product": "Acme One 96GB",
    "generation": "acme-1",
    "memory": "96 GB",
    "memory_bandwidth": "3.2 TB/s",
    "cores": 64,
    "clock": "1.6 GHz",
    "power": "600 W",
    "sparsity": "2:4",
    "peak": {"fp32": "30 TFLOP/s", "bf16": "500 TFLOP/s", "fp8": "1000 TFLOP/s"},
    "source": {"all": "Acme One datasheet v1.2, p. 3"},
}
POD: dict[str, Any] = {
    "id": "acme-pod",
    "accelerator": "acme-one",
    "accelerators_per_node": 8,
    "power_per_node": "8 kW",
    "source": {"all": "Acme Pod datasheet"},
    "tier": [
        {"name": "AcmeLink", "span": 8, "topology": "full-mesh", "bandwidth": "196 GB/s", "per_peer": "28 GB/s"},
        {"name": "Ethernet", "bandwidth": "25 GB/s", "latency": "5 us"},
    ],
}


def _table(data: dict[str, Any]) -> str:
    """TOML of a flat table with inline values."""

    def value(v: Any) -> str:
        if isinstance(v, dict):
            return "{ " + ", ".join(f"{k} = {value(x)}" for k, x in v.items()) + " }"
        if isinstance(v, list):
            return "[" + ", ".join(value(x) for x in v) + "]"
        return str(v).lower() if isinstance(v, bool) else f'"{v}"' if isinstance(v, str) else str(v)

    return "\n".join(f"{k} = {value(v)}" for k, v in data.items())


def _folder(tmp_path: Path, accelerator: dict[str, Any], system: dict[str, Any] = POD) -> str:
    text = f"[[accelerator]]\n{_table(accelerator)}\n\n[[system]]\n{_table(system)}\n"
    (tmp_path / "acme.toml").write_text(text)
    return str(tmp_path)


def _failed(records: tuple[Record, ...]) -> dict[str, str]:
    return {r.id.rpartition("/")[2]: r.message for r in records if r.outcome == "failed"}


@pytest.mark.parametrize("plugin", OURS)
def test_our_own_plugins_conform(plugin: str) -> None:
    """What is asked of strangers is kept by suanli's own plugins."""
    records = check_plugin(plugin)
    assert records
    assert not [f"{r.id}: {r.message}" for r in records if r.outcome == "failed"]


def test_a_sound_folder_conforms(tmp_path: Path) -> None:
    """Catalog files need no package to be checked."""
    records = check_plugin(_folder(tmp_path, GOOD))
    assert not _failed(records)
    assert {r.id.split("/")[1] for r in records} == {"plugin", "accelerator", "system"}
    assert all(r.rule for r in records)


@pytest.mark.parametrize(
    ("change", "check", "said"),
    [
        ({"memory_bandwidth": 3200}, "figures_are_plausible", "GB/s rather than bytes/s"),
        ({"memory": 96}, "figures_are_plausible", "GB rather than bytes"),
        ({"clock": 1600}, "figures_are_plausible", "MHz rather than Hz"),
        ({"power": 0.6}, "figures_are_plausible", "kW rather than W"),
        ({"peak": {"bf16": 500}}, "peaks_are_plausible", "TFLOP/s rather than FLOP/s"),
        ({"peak": {"bf16": "500 TFLOP/s", "fp8": "2000 TFLOP/s"}}, "peaks_are_dense", "with sparsity"),
        (
            {"peak": {"bf16": "1000 TFLOP/s"}, "sparse_peak": {"bf16": "1000 TFLOP/s"}},
            "peaks_are_dense",
            "is `peak` with sparsity",
        ),
        ({"peak": {"bf16": "9000 TFLOP/s"}}, "peak_follows_from_cores_and_clock", "in a cycle"),
        (
            {"headline_peak": {"bf16": "500 TFLOP/s"}},
            "headline_is_above_the_matrix_peak",
            "headline entered as the peak",
        ),
        ({"headline_peak": {"bf16": "450 TFLOP/s"}}, "headline_is_above_the_matrix_peak", "exchanged"),
        ({"usable_memory": "96 GiB"}, "usable_memory_is_below_nominal", "GiB"),
        ({"siblings": ["acme-two"]}, "references_resolve", "acme-two"),
        ({"default_system": "acme-pot"}, "references_resolve", "acme-pod"),
        ({"source": {"note": "x"}}, "sources_cover_the_figures", "source.peak"),
        ({"source": {"all": " "}}, "catalog_takes_everything", "source.all: expected a text"),
        ({"aliases": ["acme-one"]}, "catalog_takes_everything", "acme-one"),
        ({"aliases": ["Acme 1"]}, "name_is_well_formed", "Acme 1"),
    ],
)
def test_a_mistake_in_an_accelerator_is_named(tmp_path: Path, change: dict[str, Any], check: str, said: str) -> None:
    """Each usual mistake of a datasheet fails its own check, which names the mistake."""
    failed = _failed(check_plugin(_folder(tmp_path, GOOD | change)))
    assert said in failed.get(check, ""), failed


def _tiers(**first: Any) -> list[dict[str, Any]]:
    return [POD["tier"][0] | first, POD["tier"][1]]


@pytest.mark.parametrize(
    ("change", "check", "said"),
    [
        ({"tier": _tiers(bandwidth="392 GB/s")}, "links_are_one_way", "is the bandwidth both ways?"),
        ({"tier": _tiers(per_peer="56 GB/s")}, "links_are_one_way", "is per_peer both ways?"),
        ({"tier": _tiers(bandwidth=196, per_peer=28)}, "links_are_plausible", "GB/s or Gb/s"),
        ({"tier": _tiers(latency=3)}, "links_are_plausible", "in microseconds?"),
        ({"tier": list(reversed(_tiers()))}, "tiers_widen", "innermost first"),
        ({"power_per_node": "600 W"}, "node_power_is_plausible", "of one accelerator?"),
        ({"accelerator": "acme-won"}, "accelerator_resolves", "acme-one"),
    ],
)
def test_a_mistake_in_a_system_is_named(tmp_path: Path, change: dict[str, Any], check: str, said: str) -> None:
    """Each usual mistake of a network fails its own check, which names the mistake."""
    failed = _failed(check_plugin(_folder(tmp_path, GOOD, POD | change)))
    assert said in failed.get(check, ""), failed


@attrs.frozen(kw_only=True)
class Shrinking(suanli.KernelModel):
    """A model by which larger products are quicker."""

    def time_s(self, kernel: suanli.Kernel, accelerator: suanli.Accelerator) -> Any:
        """Seconds falling with the work."""
        return 1.0 / (1.0 + kernel.flops)


@attrs.frozen(kw_only=True)
class Odd(suanli.OptimizerRule):
    """A rule whose states make no sense."""

    def states(self, shape: tuple[int, ...]) -> tuple[suanli.StateTensor, ...]:
        """Fewer elements for more rows, in a format nobody knows."""
        return (suanli.StateTensor(name="odd", elements=1_000_000 // shape[0], format="fp13"),)


def _beside(**hooks: Any) -> suanli.Workspace:
    return suanli.Workspace(plugins=[*installed_plugins(), make_plugin("acme", **hooks)])


def _acme(**hooks: Any) -> dict[str, str]:
    workspace = _beside(**hooks)
    return _failed(check_plugin("acme", workspace=workspace))


def test_costs_that_shrink_are_found() -> None:
    """A kernel model that beats the roofline and falls with size fails on the accelerators it serves."""
    device = suanli.accelerator("a10")
    served = attrs.evolve(device, id="acme-one", aliases=(), siblings=(), kernel_model="acme-kernels")
    failed = _acme(accelerators=[served], kernel_models=[Shrinking(name="acme-kernels", source="Acme")])
    assert "less than a smaller one" in failed["products_cost_more_when_larger"]
    assert "below the roofline" in failed["products_keep_to_the_roofline"]
    assert "attention_costs_more_when_longer" in failed


def test_a_calibration_of_an_unknown_accelerator_is_found() -> None:
    """A model fitted to what is not in the catalog serves nobody."""
    model = Shrinking(name="acme-kernels", source="Acme", accelerators=("acme-won",))
    assert "acme-won" in _acme(kernel_models=[model])["model_serves_somebody"]


def test_states_without_sense_are_found() -> None:
    """An unknown format and shrinking states fail the checks of optimizers."""
    failed = _acme(optimizers=[Odd(name="odd", source="Acme")])
    assert "fp13" in failed["states_are_sound"]
    assert "states_grow_with_shape" in failed


def test_a_hook_that_changes_its_mind_is_found() -> None:
    """A hook must give the same each time."""
    count = iter(range(10))

    def precisions() -> list[suanli.NumberFormat]:
        return [suanli.NumberFormat(name=f"fp{90 + next(count)}", bits=8, source="Acme")]

    assert "suanli_precisions" in _acme(precisions=precisions)["hooks_return_the_same_twice"]


def test_a_stage_that_gives_less_than_it_says_is_found() -> None:
    """A stage is held to the keys it declares."""
    stage = suanli.Stage(
        name="acme", gives=("acme.one", "acme.two"), run=lambda case, layout, given: {"acme.one": 1.0}, source="Acme"
    )
    assert "acme.two" in _acme(stages=[stage])["stage_gives_what_it_says"]


def test_expected_failures_are_strict(tmp_path: Path) -> None:
    """A failure that was announced is no failure; one that does not come, or names no check, is."""
    folder = _folder(tmp_path, GOOD | {"memory_bandwidth": 3200})
    wrong = f"{tmp_path.name}/accelerator/acme-one/figures_are_plausible"
    fine = f"{tmp_path.name}/accelerator/acme-one/peaks_are_plausible"
    found = {
        r.id: r
        for r in check_plugin(folder, expected_failures={wrong: "brief", fine: "brief", "acme/nothing": "brief"})
    }
    assert found[wrong].outcome == "expected"
    assert found[fine].outcome == "failed"
    assert "take it off the list" in found[fine].message
    assert found["acme/nothing"].outcome == "failed"


def test_an_unknown_plugin_is_told_with_the_known_ones() -> None:
    """A slip in the name is met with the nearest one."""
    with pytest.raises(UnknownNameError, match="'nvidia'"):
        check_plugin("nvidea")
    with pytest.raises(SuanliError, match="no such folder"):
        check_plugin("./nowhere")


def _pytest(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs", "suanli.testing.conformance"]
    return subprocess.run([*command, *args], capture_output=True, text=True, cwd=cwd, check=False, timeout=120)


def test_the_kit_runs_under_pytest(tmp_path: Path) -> None:
    """One test for each thing and check, found by the option of the plugin; failures name the rule."""
    good = _pytest("--suanli-plugin", "optimizers", cwd=tmp_path)
    assert good.returncode == 0, good.stdout
    (tmp_path / "files").mkdir()
    folder = _folder(tmp_path / "files", GOOD | {"memory_bandwidth": 3200})
    bad = _pytest("--suanli-plugin", folder, cwd=tmp_path)
    assert bad.returncode == 1
    assert "is it in GB/s rather than bytes/s?" in bad.stdout
    assert "rule: catalog figures are in SI base units" in bad.stdout


def test_a_vendors_settings_name_expected_failures(tmp_path: Path) -> None:
    """Settings in the vendor's own file are enough; an entry that matches nothing is an error."""
    (tmp_path / "files").mkdir()
    folder = _folder(tmp_path / "files", GOOD | {"memory_bandwidth": 3200})
    settings = f"[pytest]\nsuanli_plugins = {folder}\nsuanli_expected_failures =\n"
    ini = tmp_path / "pytest.ini"
    known = [f"    files/accelerator/acme-one/{c}: brief" for c in ("figures_are_plausible",)]
    ini.write_text(settings + "\n".join(known) + "\n")
    told = _pytest(cwd=tmp_path).stdout
    assert "1 xfailed" in told
    ini.write_text(settings + "    files/accelerator/acme-one/no_such_check: brief\n")
    done = _pytest(cwd=tmp_path)
    assert done.returncode != 0
    assert "no such check: files/accelerator/acme-one/no_such_check" in done.stdout + done.stderr


WRITTEN = itertools.count()
WRITERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "nothing": (lambda report: " \n", "is written as nothing"),
    "rubbish": (lambda report: {"a": 1}, "is written as dict, not as text or bytes"),
    "raises": (lambda report: report.nothing_of_this_name, "is not written: AttributeError"),
    "no-figures": (lambda report: f"{report.throughput.tokens_per_s:.1f}", "without figures is not written: TypeError"),
    "otherwise": (lambda report: f"the {next(WRITTEN)}th", "otherwise the second time"),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_what_an_exporter_does_wrong_is_found(kind: str) -> None:
    """An exporter that writes nothing, no text, fails, needs every figure, or is not the same twice is told so."""
    write, said = WRITERS[kind]
    made = suanli.Exporter(name="acme-line", write=write, about="a line", source="Acme wiki", kinds=("pretrain",))
    workspace = suanli.Workspace(plugins=[*installed_plugins(), make_plugin("acme", exporters=[made])])
    failed = _failed(check_plugin("acme", workspace=workspace))
    assert said in failed["exporter_writes_reports"]
