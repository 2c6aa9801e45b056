"""Things by name: found in any case, told apart, served by the model meant for them."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

import suanli
from suanli import PluginError, Stage, SuanliError, UnknownNameError, Workspace
from suanli.catalogs import KINDS, LISTED
from suanli.collectives import Hierarchical
from suanli.testing import installed_plugins, make_plugin


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_there_by_name(kind: str) -> None:
    """Each kind has entries, sorted, each found by its name, with a provider."""
    catalog = suanli.catalog()
    names = catalog.names(kind)
    assert names
    assert list(names) == sorted(names)
    assert names == tuple(e.name for e in catalog.entries(kind))
    for entry in catalog.entries(kind):
        assert catalog.entry(kind, entry.name) is entry
        assert entry.kind == kind
        assert entry.provider.distribution == "suanli"
        for alias in entry.aliases:
            assert catalog.entry(kind, alias) is entry


@pytest.mark.parametrize(
    "kind", ["accelerator", "system", "model", "kernel model", "collective model", "recipe", "rule", "price"]
)
def test_every_entry_names_its_source(kind: str) -> None:
    """What is stated is stated somewhere."""
    for entry in suanli.catalog().entries(kind):
        assert entry.source.strip(), entry.name


@pytest.mark.parametrize("name", ["h100", "H100", "h100-sxm", " h100-sxm5-80 ", "a100-80gb", "910b", "A10"])
def test_names_people_type(name: str) -> None:
    """Aliases and any case find the part."""
    assert suanli.accelerator(name).gemm_s(m=8, n=8, k=8) > 0.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["no-such-thing", "", "../etc/passwd", "\0", "x" * 1000])
def test_an_unknown_name_is_said(kind: str, name: str) -> None:
    """A name nobody provides is met with a short error of the kind."""
    with pytest.raises(UnknownNameError, match=kind) as caught:
        suanli.catalog().entry(kind, name)
    assert len(str(caught.value)) < 400
    assert ("suanli list" in str(caught.value)) == (kind in LISTED.values())


@pytest.mark.parametrize("name", [5, None, ["h100"], {"id": "h100"}], ids=repr)
def test_what_is_no_name_is_said(name: object) -> None:
    """A name is a text; anything else is as unknown as a text nobody knows."""
    with pytest.raises(UnknownNameError, match=f"^no accelerator named {re.escape(repr(repr(name)))}"):
        suanli.catalog().entry("accelerator", name)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="^no accelerator named 'a1000'. Did you mean 'a100'"):
        suanli.catalog().entry("accelerator", "a1000")


def test_the_nearest_family_is_the_most_demanding() -> None:
    """Of the families whose familiar keys a configuration has, the one that asks for most knows it best."""
    catalog = suanli.catalog()
    families = catalog.familiar_families()
    longest = max(len(f.familiar) for f in families)
    assert longest > min(len(f.familiar) for f in families)
    everything = {key: 1 for f in families for key in f.familiar}
    found = catalog.nearest_family(everything)
    assert found is not None
    assert len(found.familiar) == longest
    for family in families:
        nearest = catalog.nearest_family(dict.fromkeys(family.familiar, 1))
        assert nearest is not None
        assert set(nearest.familiar) <= set(family.familiar)
        assert len(nearest.familiar) >= len(family.familiar)
    assert catalog.nearest_family({"no_such_key": 1}) is None


def test_an_unknown_kind_is_said() -> None:
    """So is a kind there is none of."""
    with pytest.raises(UnknownNameError, match="kind"):
        suanli.catalog().names("planet")


def test_what_people_list_has_its_plural() -> None:
    """The kinds a person can list, by the words of the interface."""
    assert {"accelerators", "systems", "models", "precisions", "optimizers", "rules", "schedules"} <= set(LISTED)


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "8"])
def test_a_system_has_a_whole_number_of_accelerators(count: object) -> None:
    """Nothing but a whole number above 0 is taken."""
    with pytest.raises(SuanliError, match="whole number above 0"):
        suanli.system("dgx-a100", count)  # type: ignore[arg-type]


def test_a_system_is_as_large_as_asked() -> None:
    """One node by default; nodes are counted when begun; past the stated network is refused."""
    assert suanli.system("dgx-a100").accelerators == 8
    assert suanli.system("dgx-a100", 17).nodes == 3
    with pytest.raises(SuanliError, match="joins at most 8"):
        suanli.system("a10-8-pcie", 16)


def test_a_device_is_bound_to_what_serves_it() -> None:
    """Its generation's fitted model; the datasheet's where nobody measured; the one it names, before both."""
    base = suanli.accelerator("a100")
    node = suanli.system("dgx-a100")
    assert base.kernels is not None
    assert base.kernels.name == "roofline-ampere"
    lone = attrs.evolve(base, id="lone", aliases=(), generation="unheard-of", default_system=None)
    named = attrs.evolve(lone, id="named", kernel_model="roofline-hopper")
    plugin = make_plugin(
        "vendor",
        accelerators=[lone, named],
        systems=[attrs.evolve(node, id="lone-node", aliases=(), accelerator="lone")],
    )
    workspace = Workspace(plugins=[*installed_plugins(), plugin])
    kernels = [workspace.accelerator(n).kernels for n in ("lone", "named")]
    assert [k.name for k in kernels if k] == ["roofline-datasheet", "roofline-hopper"]
    assert [k.rung for k in kernels if k] == ["analytic", "calibrated"]
    exchanges = workspace.system("lone-node").exchanges
    assert exchanges is not None
    assert exchanges.name == "hierarchical-datasheet"


def test_a_model_of_a_device_goes_before_its_generation_s() -> None:
    """A kernel model that names the device serves it, whatever its generation has."""
    model = suanli.catalog().get("kernel model", "roofline-hopper")
    own = attrs.evolve(model, name="own", generations=(), accelerators=("a100-sxm4-80",))
    workspace = Workspace(plugins=[*installed_plugins(), make_plugin("vendor", kernel_models=[own])])
    kernels = [workspace.accelerator(n).kernels for n in ("a100-sxm4-80", "a100-sxm4-40")]
    assert [k.name for k in kernels if k] == ["own", "roofline-ampere"]


def test_a_system_of_an_unknown_accelerator_is_said() -> None:
    """A system built of a part nobody provides says which part."""
    node = attrs.evolve(suanli.system("dgx-a100"), id="orphan", aliases=(), accelerator="a1000")
    workspace = Workspace(plugins=[*installed_plugins(), make_plugin("vendor", systems=[node])])
    with pytest.raises(UnknownNameError, match="a1000"):
        workspace.system("orphan")


def stage(name: str, **options: object) -> Stage:
    """A stage of serving that gives one figure."""
    return Stage(name=name, workloads=("serve",), gives=("acme.figure",), run=_figure, **options)  # type: ignore[arg-type]


def _figure(case: object, layout: object, given: object) -> dict[str, float]:
    return {"acme.figure": 42.0}


SERVE = {
    "model": {"name": "llama-7b"},
    "system": {"name": "dgx-a100", "accelerators": 1},
    "workload": {"kind": "serve"},
    "layout": {"tensor": 1, "pipeline": 1},
}


def test_a_stage_that_replaces_nothing_is_refused() -> None:
    """A replaced stage must exist, and be replaced once; otherwise both plugins are named."""
    lost = make_plugin("lost", stages=[stage("mine", replaces="no-such-stage")])
    with pytest.raises(PluginError, match=r"lost.*'mine' replaces 'no-such-stage'"):
        Workspace(plugins=[*installed_plugins(), lost]).estimate(SERVE)
    first = make_plugin("first", stages=[stage("one", replaces="serving-bound")])
    second = make_plugin("second", stages=[stage("two", replaces="serving-bound")])
    with pytest.raises(PluginError, match=r"'serving-bound' is replaced by both first and second"):
        Workspace(plugins=[*installed_plugins(), first, second]).estimate(SERVE)


def test_workspaces_do_not_share() -> None:
    """What one workspace is given is not in another, nor in the module's own."""
    form = suanli.NumberFormat(name="fp6", bits=6)
    with_it = Workspace(plugins=[*installed_plugins(), make_plugin("six", precisions=[form])])
    without = Workspace()
    assert "fp6" in with_it.catalog().names("precision")
    assert "fp6" not in without.catalog().names("precision")
    assert "fp6" not in suanli.catalog().names("precision")
    small = attrs.evolve(
        suanli.accelerator("a100"), id="tiny", aliases=(), memory_bytes=2**30, usable_memory_bytes=None
    )
    node = attrs.evolve(suanli.system("dgx-a100"), id="tiny-node", aliases=(), accelerator="tiny")
    tiny = Workspace(plugins=[*installed_plugins(), make_plugin("tiny", accelerators=[small], systems=[node])])
    scenario = SERVE | {"system": {"name": "tiny-node", "accelerators": 1}}
    assert not tiny.estimate(scenario).fits
    assert suanli.estimate(SERVE).fits
    with pytest.raises(suanli.ScenarioError, match="tiny-node"):
        suanli.estimate(scenario)


def test_an_empty_workspace_says_what_it_lacks() -> None:
    """Without plugins nothing is known, and an estimate says so with a SuanliError."""
    empty = Workspace(plugins=[])
    assert empty.catalog().names("accelerator") == ()
    with pytest.raises(SuanliError):
        empty.estimate(SERVE)


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    """A path that is no folder is an error when the catalog is asked, with what names it."""
    with pytest.raises(suanli.CatalogError, match=r"nowhere.*SUANLI_PATH"):
        Workspace(paths=[tmp_path / "nowhere"]).accelerator("a100")


def test_a_faulty_file_is_told_each_time(tmp_path: Path) -> None:
    """A catalog that could not be read does not pass for one without the file when it is asked again."""
    (tmp_path / "acme.toml").write_text("[[accelerator]]\nid = 'acme-one'\n")
    catalog = suanli.Workspace(paths=[tmp_path]).catalog()
    for _ in range(2):
        with pytest.raises(suanli.SuanliError, match="acme-one"):
            catalog.entries("accelerator")


def test_a_network_of_its_own_asks_its_generation_for_the_rest(tmp_path: Path) -> None:
    """A system's own figures of one fabric leave the others to its generation's, not to the fallback's."""
    fabric = '[[fabric_efficiency]]\nsystem = "dgx-h100"\nfabric = "switch"\nbandwidth_ratio = 0.4\nsource = "x"\n'
    (tmp_path / "own.toml").write_text(fabric, encoding="utf-8")
    before, after = Workspace().system("dgx-h100", 16), Workspace(paths=[tmp_path]).system("dgx-h100", 16)
    asked = {"bytes": 2**30, "ranks": 8, "stride": 1}
    assert after.collective_s("all_gather", **asked) > 1.5 * before.collective_s("all_gather", **asked)
    known, own = before.exchanges, after.exchanges
    assert isinstance(known, Hierarchical)
    assert isinstance(own, Hierarchical)
    inside, outside = after.tiers
    assert own.fabric(inside, False) != known.fabric(inside, False)
    assert own.fabric(outside, True) == known.fabric(outside, True)
    assert own.fabric(outside, True).generation == "hopper"
