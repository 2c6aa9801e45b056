"""Whatever is wrong with one plugin: `suanli plugins` shows it once and clearly, and the others answer as before."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import suanli
from suanli import PluginError, UnknownNameError, Workspace
from suanli.cli.main import cli
from suanli.testing import installed_plugins, make_plugin

TRAIN = ("train", "llama-7b", "--on", "dgx-a100", "--tensor", "8", "--pipeline", "1", "--micro-batch", "1")
TRAIN += ("--zero", "1", "--recompute", "none", "--format", "json")
HEAD = """
from pathlib import Path
import attrs
import suanli
from suanli import Exporter, ModelPreset, NumberFormat, OptimizerRule, Stage, hookimpl, read_catalog
A100 = attrs.evolve(suanli.read_catalog(Path(__file__).with_name("one.toml")).accelerators[0])

"""
ONE = """
[[accelerator]]
id = "acme-one"
aliases = ["acme1"]
vendor = "Acme"
product = "Acme One"
memory = "96 GB"
memory_bandwidth = "3.2 TB/s"
peak = { fp32 = "30 TFLOP/s", bf16 = "500 TFLOP/s" }
source = { all = "Acme One datasheet" }
"""
TEN = """
[[acelerator]]
id = "x"
[[accelerator]]
id = "Bad Name"
vendor = 5
product = "P"
memory = "96 parsecs"
memory_bandwidth = "-3 TB/s"
cores = 1.5
confidence = "maybe"
memroy = 1
peak = { bf16 = "fast", fp8 = "faster" }
source = { all = "" }
"""
TOLD = (
    "ten.toml: unknown key 'acelerator'",
    "id: ",
    "vendor: expected a string, got 5",
    "memory: '96 parsecs'",
    "memory_bandwidth: must be > 0",
    "cores: expected an integer, got 1.5",
    "confidence: must be in",
    "unknown key 'memroy'; did you mean 'memory'",
    "peak.bf16: 'fast'",
    "peak.fp8: 'faster'",
    "source.all: expected a text, got ''",
)
HOOK = "@hookimpl\ndef suanli_{hook}():\n{body}\n"

LOADS_NOT: dict[str, tuple[str, str]] = {
    # the module of the plugin, and what is said of it
    "import error": ("from suanli import nothing_of_this_name\n", "ImportError: cannot import name"),
    "missing dependency": ("import acme_gpu_tools\n", "ModuleNotFoundError: No module named 'acme_gpu_tools'"),
    "syntax error": ("def f(:\n", "SyntaxError"),
    "misspelt hook": (HOOK.format(hook="acelerators", body="    return []"), "did you mean 'suanli_accelerators'"),
    "wrong signature": (
        HOOK.format(hook="accelerators", body="    return []").replace("()", "(catalog)"),
        "Argument(s) {'catalog'} are declared in the hookimpl but can not be found in the hookspec",
    ),
    "api version": ('suanli_api = ">=7"\n' + HOOK.format(hook="accelerators", body="    return []"), "'>=7'"),
    "range of nothing": ('suanli_api = "latest"\n', "written for suanli api 'latest'; this is 1"),
}
MISBEHAVES: dict[str, tuple[str, str]] = {
    "raises": (HOOK.format(hook="accelerators", body="    raise OSError('disk full')"), "OSError: disk full"),
    "no iterable": (
        HOOK.format(hook="accelerators", body="    return 5"),
        "must return an iterable of values, got int",
    ),
    "one value": (HOOK.format(hook="accelerators", body="    return A100"), "must return an iterable"),
    "rubbish": (HOOK.format(hook="accelerators", body="    yield 'a100'"), "gave a str where a Accelerator belongs"),
    "another kind": (HOOK.format(hook="systems", body="    yield A100"), "gave a Accelerator where a System belongs"),
    "infinite": (
        HOOK.format(hook="accelerators", body="    while True:\n        yield A100"),
        "gave more than 100000 values",
    ),
    "half": (HOOK.format(hook="accelerators", body="    yield A100\n    raise KeyError('two')"), "KeyError: 'two'"),
    "name clash": (
        HOOK.format(hook="accelerators", body="    yield attrs.evolve(A100, id='a100-sxm4-80', aliases=())"),
        "'a100-sxm4-80' is provided by both",
    ),
    "alias clash": (
        HOOK.format(hook="accelerators", body="    yield attrs.evolve(A100, aliases=('b300',))"),
        "'b300' is provided by both",
    ),
    "calibration": (
        HOOK.format(
            hook="kernel_models",
            body="    yield suanli.Roofline(name='r', accelerators=('acme-oen',), efficiencies=())",
        ),
        "kernel model 'r' was fitted to accelerator 'acme-oen', which nobody provides",
    ),
    "ten errors": (
        HOOK.format(
            hook="accelerators", body="    return read_catalog(Path(__file__).with_name('ten.toml')).accelerators"
        ),
        "CatalogError: 11 errors",
    ),
    "no such file": (
        HOOK.format(
            hook="accelerators", body="    return read_catalog(Path(__file__).with_name('no.toml')).accelerators"
        ),
        "no.toml: No such file or directory",
    ),
}


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Installs a distribution of one plugin, with two catalog files beside it, and starts afresh."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "acme_broken", raising=False)

    def install(text: str) -> None:
        info = site / "acme_broken-2.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-broken\nVersion: 2.5\n")
        (info / "entry_points.txt").write_text("[suanli]\nacme = acme_broken\n")
        (site / "acme_broken.py").write_text(HEAD + text)
        (site / "one.toml").write_text(ONE)
        (site / "ten.toml").write_text(TEN)
        monkeypatch.setattr("suanli.workspace._DEFAULT", [])

    return install


def run(*arguments: str) -> Any:
    """A command's outcome on a wide terminal."""
    result = CliRunner().invoke(cli, list(arguments), env={"COLUMNS": "140"})
    assert "Traceback" not in result.output
    return result


BEFORE = run(*TRAIN).stdout


def listed() -> tuple[dict[str, Any], list[str], str]:
    """What `suanli plugins` says of the plugin, every fault, and the table people see."""
    said = json.loads(run("plugins", "--format", "json").stdout)
    (row,) = [p for p in said["plugins"] if p["plugin"] == "acme"]
    assert (row["distribution"], row["version"], row["module"]) == ("acme-broken", "2.5", "acme_broken")
    table = run("plugins")
    assert table.exit_code == 0
    return row, said["faults"], " ".join(table.stdout.split())


def others_answer() -> None:
    """An estimate of our own plugins is what it was."""
    now, before = json.loads(run(*TRAIN).stdout), json.loads(BEFORE)
    for data in (now, before):
        data["versions"].pop("plugins")
    assert now == before
    # A list begins, the next line is its reader's: whoever is missed is told where to look.
    with pytest.raises(UnknownNameError, match="Not all plugins work; see `suanli plugins`"):
        suanli.accelerator("acme-one-of-many")


@pytest.mark.parametrize("kind", LOADS_NOT)
def test_a_plugin_that_does_not_load_is_shown_with_its_cause(broken: Callable[[str], None], kind: str) -> None:
    """`suanli plugins` names it with distribution, version and cause, and lists what the others give."""
    text, said = LOADS_NOT[kind]
    broken(text)
    row, faults, table = listed()
    assert (row["loaded"], row["gives"], row["hooks"], faults) == (False, {}, [], [])
    assert said in row["error"]
    assert len(row["error"]) < 600
    assert f"did not load: acme (acme-broken 2.5, acme_broken) {' '.join(row['error'].split())}" in table
    others_answer()
    # An error elsewhere mentions it, in case that is why.
    assert "note: plugin acme (acme-broken 2.5) did not load: " in run("train", "llama-7b", "--on", "acme-one").output


@pytest.mark.parametrize("kind", MISBEHAVES)
def test_a_plugin_that_misbehaves_is_shown_with_its_fault(broken: Callable[[str], None], kind: str) -> None:
    """`suanli plugins` has one clear fault of it, with the way out; what else it gives, and the others, work."""
    text, said = MISBEHAVES[kind]
    broken(text)
    row, faults, table = listed()
    assert (row["loaded"], row["error"]) == (True, "")
    (fault,) = faults
    assert said in fault
    assert fault.startswith("plugin acme (acme-broken 2.5): ")
    assert "SUANLI_DISABLE_PLUGINS=acme" in fault
    assert " ".join(fault.split()) in table
    others_answer() if kind != "name clash" else None  # the estimate is of that very part
    if kind == "ten errors":
        assert [t for t in TOLD if t not in fault] == []
    asked = run("train", "llama-7b", "--on", "acme-two")
    assert asked.exit_code == 2
    assert "note: plugin acme (acme-broken 2.5): " in asked.output or kind == "calibration"  # not needed, not read


def test_a_name_that_two_give_is_an_error_and_the_rest_works() -> None:
    """Of two of one name neither is used, whoever asks is told of both, and everything else answers."""
    a100 = suanli.catalog().get("accelerator", "a100")
    import attrs

    twin = attrs.evolve(a100, aliases=("twin",))
    workspace = Workspace(plugins=[*installed_plugins(), make_plugin("acme", accelerators=[twin])])
    for name in (a100.id, "a100", "twin", a100.id.upper()):  # whichever name: it could mean either
        with pytest.raises(
            PluginError, match=rf"'{a100.id}' is provided by both acme and suanli_nvidia\.plugin; neither is used"
        ):
            workspace.accelerator(name)
    assert a100.id not in workspace.catalog().names("accelerator")
    with pytest.raises(suanli.SuanliError, match="provided by both"):
        workspace.estimate({"model": {"name": "llama-7b"}, "system": {"name": "dgx-a100"}})
    served = {"model": {"name": "llama-7b"}, "system": {"name": "dgx-h100"}, "workload": {"kind": "serve"}}
    assert workspace.estimate(served).serving == suanli.estimate(served).serving
    (fault,) = workspace.catalog().plugins.faults
    assert re.search(rf"accelerator '{a100.id}' is provided by both .*, and neither is used", fault)
    assert "set SUANLI_DISABLE_PLUGINS=suanli_nvidia.plugin or set SUANLI_DISABLE_PLUGINS=acme" in fault


def test_an_alias_that_another_has_is_an_error_and_both_are_there() -> None:
    """An alias that two have is an error; both are had by their own names."""
    import attrs

    a100 = suanli.catalog().get("accelerator", "a100")
    mine = attrs.evolve(a100, id="acme-one", aliases=("b300", "mine"), default_system=None)
    workspace = Workspace(plugins=[*installed_plugins(), make_plugin("acme", accelerators=[mine])])
    with pytest.raises(PluginError, match="'b300' is provided by both"):
        workspace.accelerator("b300")
    assert workspace.accelerator("mine").id == "acme-one"
    assert suanli.catalog().entry("accelerator", "b300").name in workspace.catalog().names("accelerator")


def test_a_folder_with_ten_errors_is_told_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder somebody names is an error with every fault, by file and key; `suanli plugins` shows it once."""
    (tmp_path / "ten.toml").write_text(TEN)
    monkeypatch.setattr("suanli.workspace._DEFAULT", [Workspace(paths=[tmp_path])])
    result = run("list", "accelerators")
    assert result.exit_code == 2
    assert [t for t in TOLD if t not in result.output] == []
    assert all(line.startswith(("  - ten.toml: ", "  ", "error: ")) for line in result.output.splitlines())
    faults = json.loads(run("plugins", "--format", "json").stdout)["faults"]
    assert len(faults) == 1
    assert [t for t in TOLD if t not in faults[0]] == []


def test_a_folder_with_a_calibration_of_nobody_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures fitted to an unknown accelerator are one clear fault of the folder, and the rest of it works."""
    fitted = '\n[[efficiency]]\naccelerator = "acme-oen"\nkernel = "gemm"\nprecision = "bf16"\ncompute_ratio = 0.8\n'
    (tmp_path / "one.toml").write_text(f'{ONE}{fitted}bandwidth_ratio = 0.8\nsource = "Acme"\n')
    monkeypatch.setattr("suanli.workspace._DEFAULT", [Workspace(paths=[tmp_path])])
    assert suanli.accelerator("acme1").gemm_s(m=8, n=8, k=8) > 0.0
    for _ in range(2):
        faults = json.loads(run("plugins", "--format", "json").stdout)["faults"]
        assert len(faults) == 1
        assert "was fitted to accelerator 'acme-oen', which nobody provides; did you mean 'acme-one'?" in faults[0]
        assert f"take {tmp_path} off SUANLI_PATH to go on without it" in faults[0]
    now = json.loads(run(*TRAIN).stdout)
    assert now["time"] == json.loads(BEFORE)["time"]
