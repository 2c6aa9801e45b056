"""A broken plugin is named with its cause, and the others work."""

from __future__ import annotations

import itertools
import re
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import suanli
from suanli import NumberFormat, PluginError, Workspace, hookimpl
from suanli import plugins as loader
from suanli.testing import installed_plugins, make_plugin


@pytest.fixture
def distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Installs distributions made up on the spot: their modules' text and their entry points."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def install(name: str, version: str = "1.0", points: dict[str, str] | None = None, **modules: str) -> None:
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"{k} = {v}" for k, v in (points or {}).items()]
        (info / "entry_points.txt").write_text("\n".join(["[suanli]", *lines, ""]))
        for module, text in modules.items():
            (folder / f"{module}.py").write_text(text)
            monkeypatch.delitem(sys.modules, module, raising=False)

    return install


HEAD = "import suanli\nfrom suanli import hookimpl, NumberFormat\n"
GOOD = HEAD + "@hookimpl\ndef suanli_precisions():\n    yield NumberFormat(name='fp6', bits=6)\n"

BROKEN = {
    "missing-import": ("import nothing_of_this_name\n", "ModuleNotFoundError", "nothing_of_this_name"),
    "syntax": ("def f(:\n", "SyntaxError", "failed to load"),
    "raises": ("raise RuntimeError('no licence')\n", "RuntimeError", "no licence"),
    "exits": ("import sys\nsys.exit(3)\n", "SystemExit", "failed to load"),
    "misspelt": (GOOD.replace("suanli_precisions", "suanli_precisoins"), "suanli_precisoins", "suanli_precisions"),
    "signature": (GOOD.replace("suanli_precisions()", "suanli_precisions(catalog)"), "catalog", "suanli_precisions"),
    "too-new": (GOOD + "suanli_api = '>=2'\n", ">=2", suanli.api_version),
    "no-range": (GOOD + "suanli_api = 'about 1'\n", "about 1", suanli.api_version),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_plugin_that_does_not_load_is_named(distributions: Any, kind: str) -> None:
    """Its name, distribution, version and cause are told, and everything else is there."""
    text, *said = BROKEN[kind]
    distributions("acme-broken", "2.5", {"broken": "acme_broken"}, acme_broken=text)
    workspace = Workspace()
    (failed,) = [p for p in workspace.catalog().plugins.failed if p.plugin == "broken"]
    assert (failed.distribution, failed.version) == ("acme-broken", "2.5")
    for part in said:
        assert part in failed.error, failed.error
    assert len(failed.error) < 600
    assert workspace.accelerator("a100").gemm_s(m=8, n=8, k=8) > 0.0
    assert "fp6" not in workspace.catalog().names("precision")


FAULTY = {
    "raises": ("    raise RuntimeError('disk full')\n", "RuntimeError: disk full"),
    "rubbish": ("    return 5\n", "must return an iterable"),
    "text": ("    return 'fp6'\n", "must return an iterable"),
    "items": ("    yield 'fp6'\n    yield None\n", "gave a str where a NumberFormat belongs"),
    "endless": ("    while True:\n        yield NumberFormat(name='fp6', bits=6)\n", "more than 100000"),
    "half": ("    yield NumberFormat(name='fp6', bits=6)\n    raise KeyError('fp7')\n", "KeyError"),
}


@pytest.mark.parametrize("kind", FAULTY)
def test_a_hook_that_misbehaves_is_named(distributions: Any, kind: str) -> None:
    """A hook that raises, gives rubbish or never ends gives nothing, is told with the way out, and the rest works."""
    body, said = FAULTY[kind]
    text = f"{HEAD}@hookimpl\ndef suanli_precisions():\n{body}"
    distributions("acme-faulty", "1.1", {"faulty": "acme_faulty"}, acme_faulty=text)
    workspace = Workspace()
    assert "bf16" in workspace.catalog().names("precision")
    assert "fp6" not in workspace.catalog().names("precision")
    faults = workspace.catalog().plugins.faults
    assert any("faulty (acme-faulty 1.1)" in f and said in f for f in faults), faults
    assert all("SUANLI_DISABLE_PLUGINS=faulty" in f for f in faults)
    assert all(len(f) < 1000 for f in faults)


def test_a_good_plugin_is_found(distributions: Any) -> None:
    """A stranger's plugin is found by its entry point, and what it gives is attributed to it."""
    distributions("acme", "3.0", {"acme": "acme_good"}, acme_good=GOOD + "suanli_api = '>=1,<2'\n")
    entry = Workspace().catalog().entry("precision", "fp6")
    assert str(entry.provider) == "acme (acme 3.0)"
    assert [p.plugin for p in Workspace().catalog().plugins.loaded] == sorted(
        {p.name for p in metadata.entry_points(group="suanli")}
    )


def test_a_name_given_twice_names_both(distributions: Any) -> None:
    """Two plugins that give one name are an error naming both distributions."""
    distributions("acme", "3.0", {"acme": "acme_good"}, acme_good=GOOD)
    distributions("bolt", "4.0", {"bolt": "bolt_good"}, bolt_good=GOOD)
    with pytest.raises(PluginError, match=r"'fp6'.*acme \(acme 3\.0\).*bolt \(bolt 4\.0\)"):
        Workspace().catalog().names("precision")
    assert Workspace(disable=("bolt",)).catalog().names("precision").count("fp6") == 1


def test_an_alias_given_twice_names_both() -> None:
    """An alias clashes with a name as a name does."""
    first = make_plugin("first", precisions=[NumberFormat(name="six", bits=6)])
    second = make_plugin("second", precisions=[NumberFormat(name="other", bits=6, aliases=("six",))])
    with pytest.raises(PluginError, match=r"'six'.*first.*second"):
        Workspace(plugins=[first, second]).catalog().names("precision")


def test_a_repeated_entry_point_is_refused(distributions: Any) -> None:
    """An entry-point name of two distributions is loaded from neither; both are told, with the way out."""
    distributions("acme", "3.0", {"same": "acme_good"}, acme_good=GOOD)
    distributions("bolt", "4.0", {"same": "bolt_good"}, bolt_good=GOOD.replace("fp6", "fp7"))
    catalog = Workspace().catalog()
    failed = catalog.plugins.failed
    assert [(p.plugin, p.distribution) for p in failed] == [("same", "acme"), ("same", "bolt")]
    for provider in failed:
        assert re.search(r"'same'.*acme 3\.0.*bolt 4\.0.*SUANLI_DISABLE_PLUGINS=same", provider.error)
    assert "bf16" in catalog.names("precision")
    assert not {"fp6", "fp7"} & set(catalog.names("precision"))
    assert Workspace(disable=("same",)).catalog().plugins.failed == ()


def test_one_distribution_on_two_paths_is_one(distributions: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """A distribution that two entries of sys.path lead to is no clash with itself."""
    distributions("acme", "3.0", {"acme": "acme_good"}, acme_good=GOOD)
    (tmp_path / "again").symlink_to(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "again"))
    assert Workspace().catalog().plugins.failed == ()
    assert "fp6" in Workspace().catalog().names("precision")


def test_plugins_are_disabled_by_name(distributions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What SUANLI_DISABLE_PLUGINS lists is not even imported; the argument adds to it."""
    distributions("acme", "3.0", {"acme": "acme_loud"}, acme_loud="raise RuntimeError('imported')\n")
    monkeypatch.setenv("SUANLI_DISABLE_PLUGINS", " acme , nvidia,")
    plugins = Workspace(disable=("ascend",)).catalog().plugins
    assert not {"acme", "nvidia", "ascend"} & {p.plugin for p in plugins.providers}
    assert plugins.failed == ()
    assert "acme_loud" not in sys.modules


def test_without_a_plugin_what_it_gives_is_unknown() -> None:
    """Names of a disabled plugin are unknown, and an estimate without stages or recipes says so, not more."""
    workspace = Workspace(disable=("nvidia",))
    assert workspace.accelerator("910b2").vendor
    with pytest.raises(suanli.UnknownNameError):
        workspace.accelerator("a100")


def test_hooks_are_attributed() -> None:
    """Each installed plugin is listed with the hooks it implements."""
    plugins = suanli.catalog().plugins
    hooks = {p.plugin: plugins.hooks_of(p) for p in plugins.loaded}
    assert hooks["nvidia"] == (
        "suanli_accelerators",
        "suanli_collective_models",
        "suanli_kernel_models",
        "suanli_systems",
    )
    assert all(hooks.values())


RANGES = [
    ("1", True),
    ("==1", True),
    (">=1", True),
    (">=1,<2", True),
    (" >= 1 , < 2 ", True),
    ("<1", False),
    (">1", False),
    ("<=1", True),
    ("<=0", False),
    (">0", True),
    ("!=2", False),
    ("=1", False),
    (">=1,<1", False),
    ("2", False),
    (">=0,<1", False),
    ("~=1", False),
    ("", False),
    (1, False),
    (">=1.0", False),
]


@pytest.mark.parametrize(("wanted", "fits"), RANGES, ids=lambda x: repr(x))
def test_the_range_a_plugin_was_written_for(wanted: Any, fits: bool) -> None:
    """A declared range is held against this version's; what is no range fits nothing, and is told."""
    plugin = make_plugin("ranged", precisions=[NumberFormat(name="fp6", bits=6)])
    plugin.suanli_api = wanted  # type: ignore[attr-defined]
    found = loader.load([plugin])
    assert bool(found.loaded) is fits
    if not fits:
        assert repr(wanted) in found.failed[0].error


def test_as_many_values_as_are_allowed_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook gives up to so many values; one more, and it gives none."""
    formats = [NumberFormat(name=f"fp{bits}", bits=bits) for bits in (5, 6)]
    for most, names in ((2, ("fp5", "fp6")), (1, ())):
        monkeypatch.setattr(loader, "MOST_ITEMS", most)
        workspace = Workspace(plugins=[make_plugin("acme", precisions=formats)])
        assert workspace.catalog().names("precision") == names


def test_plugins_of_two_workspaces_are_two() -> None:
    """What was loaded is told apart by who loaded it, not by what it holds; it may be a key."""
    first, second = loader.load([]), loader.load([])
    assert len({first, second, first}) == 2


def test_a_plugin_may_be_an_object() -> None:
    """Whatever has hooks is a plugin: a module, a class, an instance."""

    class Acme:
        @hookimpl
        def suanli_precisions(self) -> list[NumberFormat]:
            return [NumberFormat(name="fp6", bits=6)]

    assert Workspace(plugins=[Acme()]).catalog().names("precision") == ("fp6",)


def test_a_catalog_collects_once() -> None:
    """Each hook is called once, however often the catalog is asked."""
    calls = itertools.count()

    def precisions() -> list[NumberFormat]:
        next(calls)
        return [NumberFormat(name="fp6", bits=6)]

    workspace = Workspace(plugins=[make_plugin("counting", precisions=precisions)])
    assert next(calls) == 0
    for _ in range(3):
        workspace.catalog().names("precision")
        workspace.catalog().entry("precision", "fp6")
    # Formats and recipes come from one hook, and are collected once each.
    assert next(calls) == 2


def test_what_may_not_be_a_fault_is_not_swallowed() -> None:
    """An interrupt inside a hook is not taken for a fault of the plugin."""

    def precisions() -> list[NumberFormat]:
        raise KeyboardInterrupt

    workspace = Workspace(plugins=[make_plugin("stopped", precisions=precisions)])
    with pytest.raises(KeyboardInterrupt):
        workspace.catalog().names("precision")


def test_two_models_for_one_generation_are_refused() -> None:
    """Which model serves a generation is never left to load order."""
    model = suanli.catalog().get("kernel model", "roofline-ampere")
    import attrs

    rival = make_plugin("rival", kernel_models=[attrs.evolve(model, name="rival")])
    with pytest.raises(PluginError, match=r"nvidia.*rival.*'ampere'|rival.*nvidia.*'ampere'"):
        Workspace(plugins=[*installed_plugins(), rival]).accelerator("a100")


def test_two_families_for_one_model_type_are_refused() -> None:
    """A model_type is answered by one family only, as the hook's contract says."""
    from suanli_models.dense import Llama

    class Rival(Llama):
        family = "rival"

    rival = make_plugin("rival", model_families=[Rival])
    workspace = Workspace(plugins=[*installed_plugins(), rival])
    with pytest.raises(PluginError, match=r"'llama'"):
        workspace.model("llama-7b")


def test_two_rules_for_one_field_are_refused() -> None:
    """A layout field is one rule's, as the hook's contract says; the later is never lost silently."""
    from suanli_parallel.context import ContextParallel

    rival = make_plugin("rival", parallelisms=[ContextParallel(name="ring", field="context", roles=("sequence",))])
    workspace = Workspace(plugins=[*installed_plugins(), rival])
    with pytest.raises(PluginError, match="'context'"):
        workspace.axes()


def test_a_module_is_its_plugin_s_name() -> None:
    """Plugins given as modules are told apart by their names, and one given twice is refused."""
    module = ModuleType("twice")
    found = loader.load([module, module])
    assert [p.error != "" for p in found.providers].count(True) == 1


@pytest.mark.parametrize(
    ("entry", "kind", "named"),
    [
        ("efficiency", "accelerator", "a100-sxm4-81"),
        ("fabric_efficiency", "system", "dgx-a101"),
    ],
)
def test_a_calibration_of_what_nobody_provides_is_told(tmp_path: Path, entry: str, kind: str, named: str) -> None:
    """Figures fitted to an unknown accelerator or system would never be used: the nearest name is offered."""
    figures = 'kernel = "gemm"\nprecision = "bf16"\ncompute_ratio = 0.8\n' if kind == "accelerator" else ""
    figures += 'fabric = "switch"\n' if kind == "system" else ""
    text = f'[[{entry}]]\n{kind} = "{named}"\n{figures}bandwidth_ratio = 0.8\nsource = "Acme"\n'
    (tmp_path / "calibration.toml").write_text(text, encoding="utf-8")
    catalog = Workspace(paths=[tmp_path]).catalog()
    catalog.entries("kernel model" if kind == "accelerator" else "collective model")
    said = [f for f in catalog.plugins.faults if named in f]
    assert len(said) == 1
    assert "did you mean" in said[0]
    assert str(tmp_path) in said[0]
