"""suanli compare of accelerators: every figure beside its neighbour's, with what it rests on."""

from __future__ import annotations

import json

import pytest

import suanli
from suanli.cli.amounts import amount


def facts(run, *args):
    """What a comparison gives as JSON, by id."""
    return {d["id"]: d for d in json.loads(run("compare", *args, "--format", "json").stdout)}


def lines_of(run, *args, columns=140):
    """The rows of a comparison's table, by their label without the indentation."""
    text = run("compare", *args, columns=columns).stdout
    return {line[:18].strip(): line[18:].split() for line in text.partition("\n\n")[0].splitlines()}


def test_figures_are_the_catalog_s(run):
    """Dense peaks, memory, bandwidth, ops:byte, PCIe and power are those of the accelerator."""
    for name, found in facts(run, "h100", "910b", "a800", "t4").items():
        device = suanli.accelerator(name)
        best = max(device.rates.get("bf16", 0.0), device.rates.get("fp16", 0.0))
        assert found["peak_flops_per_s"] == device.rates
        assert found["memory_bytes"] == device.memory_bytes
        assert found["usable_memory_bytes"] == device.usable_memory_bytes
        assert found["ops_per_byte"] == best / device.memory_bandwidth_bytes_per_s
        assert found["pcie_bandwidth_bytes_per_s"] == device.pcie_bandwidth_bytes_per_s
        assert found["power_w"] == device.power_w
        assert (found["confidence"], found["note"]) == (device.confidence, device.note)


def test_the_cube_stands_beside_the_headline(run):
    """Huawei's headline, vector unit and all, is a row of its own below the peak a matrix product sees."""
    found = facts(run, "910b2")["ascend-910b2"]
    assert found["peak_flops_per_s"]["fp16"] == 353.9e12
    assert found["headline_peak_flops_per_s"]["fp16"] == 376e12
    rows = lines_of(run, "910b", "h100")
    assert rows["peak fp16, dense"] == ["354", "TFLOP/s", "989", "TFLOP/s"]
    assert rows["headline fp16"] == ["376", "TFLOP/s", "—"]


def test_sparse_peaks_only_where_asked_for(run):
    """Without --sparse no sparse figure is shown; with it, what is stated, else twice the dense, else none."""
    assert (
        "sparse" not in run("compare", "h100", "b300").stdout.replace("sparse peak is 18000", "").partition("\n\n")[0]
    )
    rows = lines_of(run, "h100", "b300", "910b", "--sparse")
    assert rows["peak fp8, sparse"] == ["3.96", "PFLOP/s", "9.0", "PFLOP/s", "none"]
    assert rows["peak fp4, sparse"][-3:] == ["18.0", "PFLOP/s", "none"]
    found = facts(run, "b300")["b300-sxm"]["sparse_peak_flops_per_s"]
    assert found["fp4"] < 2 * suanli.accelerator("b300").rates["fp4"]
    assert "fp32" not in found


def test_links_are_told_tier_by_tier(run):
    """Every tier with its name, reach and bandwidth one way; what one peer gets of a full mesh."""
    for name, found in facts(run, "910b", "dgx-h100").items():
        system = suanli.system(found["system"])
        assert suanli.accelerator(name).id == system.accelerator
        assert [t["bandwidth_bytes_per_s"] for t in found["tiers"]] == [t.bandwidth_bytes_per_s for t in system.tiers]
    rows = lines_of(run, "910b", "h100")
    assert rows["link 1"] == ["196", "GB/s", "450", "GB/s"]
    assert rows["to one peer"] == ["28.0", "GB/s", "—"]
    assert "one way" in run("compare", "910b").stdout


def test_prices_and_their_span(run):
    """The price an estimate assumes, with how many offers there are and how far they lie apart."""
    market = suanli.catalog().market("h100")
    assert market is not None
    rows = lines_of(run, "h100", "910b")
    assert rows["price of an hour"] == [amount("price", market.price.price_per_hour), "USD", "—"]
    low, high = (amount("price", p.price_per_hour) for p in (market.offers[0], market.offers[-1]))
    assert rows["offers"] == [f"{len(market.offers)},", low, "to", high, "—"]


def test_what_times_rest_on_is_said(run):
    """Fitted to measurements of its generation, or the fallback of those nobody measured."""
    for name, found in facts(run, "h100", "950dt", "l40s").items():
        device = suanli.accelerator(name)
        assert device.kernels is not None
        assert found["kernel_model"] == device.kernels.name
        assert (found["kernels"] == "fitted") == (device.kernels.rung == "calibrated")
    rows = lines_of(run, "h100", "950dt")
    assert rows["kernel times"] == ["fitted:", "hopper", "datasheet"]
    assert rows["confidence"] == ["high", "low"]


def test_sources_reach_every_group(run):
    """--sources names the document of each group of figures, of the system, of the price and of the fits."""
    stated = facts(run, "h100")["h100-sxm5-80"]["sources"]
    device, system = suanli.accelerator("h100"), suanli.system("dgx-h100")
    assert {s.group for s in device.source} <= set(stated)
    assert {f"system, {s.group}" for s in system.source} <= set(stated)
    assert "skypilot-catalog" in stated["price"]
    assert stated["kernels"].startswith("roofline-hopper: ")
    text = " ".join(run("compare", "h100", "--sources").stdout.split())
    for group in stated:
        assert group in text
    assert "Sources of" not in run("compare", "h100").stdout


@pytest.mark.parametrize("columns", [80, 100, 140])
def test_many_columns_still_fit(run, columns):
    """Side by side where there is room, beneath each other where not; no line is longer than the terminal."""
    text = run("compare", "h100", "910b", "a800", "b300", "950dt", "t4", columns=columns).stdout
    assert max(len(line) for line in text.splitlines()) <= columns
    heads = [line.split() for line in text.splitlines() if line.startswith(" " * 17)]
    known = suanli.catalog().names("accelerator")
    shown = [name for head in heads for name in head if name in known]
    assert shown == ["h100-sxm5-80", "ascend-910b2", "a800-sxm4-80", "b300-sxm", "ascend-950dt", "t4"]
    assert len(run("compare", "h100", "910b", "a800", columns=80).stdout.splitlines()[0].split()) == 3


def test_every_sibling_is_named(run):
    """An alias that could mean several parts says which one is taken and which others there are."""
    text = " ".join(run("compare", "910b", "a800").stdout.split())
    for asked in ("910b", "a800"):
        device = suanli.accelerator(asked)
        assert f"'{asked}' is taken to be {device.id}; it could also mean {', '.join(device.siblings)}" in text
    assert "is taken to be" not in run("compare", "ascend-910b2").stdout


def test_a_system_confidential_or_not_is_compared_by_its_accelerator(run, tmp_path, monkeypatch):
    """A system under NDA keeps its links to itself; its accelerator's own figures stay."""
    (tmp_path / "pod.toml").write_text(
        '[[system]]\nid = "hush-pod"\naccelerator = "h100"\naccelerators_per_node = 8\nconfidential = true\n'
        'power_per_node = "9.87 kW"\nsource = { all = "NDA" }\n'
        '[[system.tier]]\nname = "HushLink"\nbandwidth = "654 GB/s"\n',
        encoding="utf-8",
    )
    monkeypatch.setattr("suanli.workspace._DEFAULT", [suanli.Workspace(paths=[tmp_path])])
    for format in ("table", "json", "csv", "markdown"):
        text = run("compare", "hush-pod", "--sources", "--format", format, columns=140).stdout
        assert "h100-sxm5-80" in text
        assert not any(secret in text for secret in ("654", "9.87", "HushLink", "NDA"))
