"""suanli list: conditions on any column in any unit, an order, and columns that fit."""

from __future__ import annotations

import csv
import io
import json

import pytest

import suanli
from suanli.catalogs import LISTED
from suanli.cli.filters import Condition, short

GIB = 2**30


def rows(run, *args):
    """What a listing gives as JSON."""
    result = run("list", *args, "--format", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def names(run, *args):
    """The names a listing gives, in order."""
    return [row["name"] for row in rows(run, *args)]


def test_a_bound_in_any_unit_keeps_what_meets_it(run):
    """80 GB, 80e9 B and 0.08 TB are one bound, met by exactly the parts that have as much."""
    expected = {e.name for e in suanli.catalog().entries("accelerator") if e.value.memory_bytes >= 80e9}
    assert 0 < len(expected) < len(suanli.catalog().names("accelerator"))
    for value in ("80GB", "80 GB", "0.08 TB", "80000000000 B"):
        assert set(names(run, "accelerators", "--where", f"memory>={value}")) == expected
        assert set(names(run, "accelerators", "--min", f"memory={value}")) == expected
    binary = {e.name for e in suanli.catalog().entries("accelerator") if e.value.memory_bytes >= 81 * GIB}
    assert set(names(run, "accelerators", "--min", "memory=81 GiB")) == binary < expected


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("vendor=huawei", lambda a: a.vendor == "Huawei"),
        ("vendor!=huawei", lambda a: a.vendor != "Huawei"),
        ("generation = hopper", lambda a: a.generation == "hopper"),
        ("architecture~ampere", lambda a: "ampere" in a.architecture.lower()),
        ("year>2022", lambda a: (a.year or 0) > 2022),
        ("year<=2020", lambda a: a.year is not None and a.year <= 2020),
        ("power<400 W", lambda a: a.power_w is not None and a.power_w < 400),
        ("power=none", lambda a: a.power_w is None),
        ("memory_bandwidth_bytes_per_s>=3 TB/s", lambda a: a.memory_bandwidth_bytes_per_s >= 3e12),
        ("bandwidth>=24 Tb/s", lambda a: a.memory_bandwidth_bytes_per_s >= 3e12),
        ("fp8>0 TFLOP/s", lambda a: a.rates.get("fp8", 0.0) > 0.0),
        ("fp8=none", lambda a: not a.rates.get("fp8")),
        ("int8>=1 POP/s", lambda a: a.rates.get("int8", 0.0) >= 1e15),
        ("aliases=h100", lambda a: "h100" in a.aliases),
        ("confidence=low", lambda a: a.confidence == "low"),
        ("confidential=no", lambda a: not a.confidential),
    ],
)
def test_a_condition_is_what_it_says(run, condition, holds):
    """Numbers by size, texts in any case, lists by member, what is absent by "none"."""
    expected = {e.name for e in suanli.catalog().entries("accelerator") if holds(e.value)}
    assert set(names(run, "accelerators", "--where", condition)) == expected


def test_every_condition_must_hold(run):
    """Conditions, bounds and the pattern narrow together."""
    found = rows(run, "accelerators", "h100", "--where", "vendor=nvidia", "--min", "memory=80GB", "--max", "power=400W")
    assert {r["name"] for r in found} == {"h100-pcie-80", "h100-nvl-94"}


def test_what_is_shown_can_be_asked_for(run):
    """A number equal to what the table shows is found, by its heading."""
    for row in rows(run, "accelerators", "--where", "ops:byte>=500"):
        assert row["ops_per_byte"] >= 500
    assert names(run, "accelerators", "--where", "memory=85.9GB", "--where", "bandwidth=3.35TB/s")[0].startswith("h100")


def test_the_order_is_by_any_column(run):
    """Ascending, descending, by several; what nobody states comes last either way."""
    for key, sign in (("bandwidth", 1), ("-bandwidth", -1)):
        found = [r["memory_bandwidth_bytes_per_s"] * sign for r in rows(run, "accelerators", "--sort", key)]
        assert found == sorted(found)
    for key in ("price", "-price"):
        prices = [r["price_per_hour"] for r in rows(run, "accelerators", "--sort", key)]
        stated = [p for p in prices if p is not None]
        assert 0 < len(stated) < len(prices)
        assert prices[: len(stated)] == sorted(stated, reverse=key.startswith("-"))
    both = [(r["vendor"], -r["memory_bytes"]) for r in rows(run, "accelerators", "--sort", "vendor,-memory")]
    assert both == sorted(both)


def test_a_precision_is_the_peak_that_is_told(run):
    """--precision keeps the parts that compute in it, and peak and ops:byte are of it."""
    found = rows(run, "accelerators", "--precision", "fp8")
    expected = {e.name for e in suanli.catalog().entries("accelerator") if e.value.rates.get("fp8")}
    assert {r["name"] for r in found} == expected
    for row in found:
        device = suanli.accelerator(row["name"])
        assert row["peak_flops_per_s"] == device.rates["fp8"]
        assert row["ops_per_byte"] == device.rates["fp8"] / device.memory_bandwidth_bytes_per_s
    assert "fp8 dense" in run("list", "accelerators", "--precision", "FP8").stdout
    assert " TOP/s" in run("list", "accelerators", "--precision", "int8").stdout
    by_format = names(run, "accelerators", "--precision", suanli.catalog().get("precision", "nf4").name)
    assert by_format == names(run, "accelerators", "--precision", suanli.catalog().get("precision", "nf4").compute)


def test_the_peak_is_the_16_bit_one_by_default(run):
    """A part without bf16 is told by its fp16."""
    for row in rows(run, "accelerators"):
        rates = suanli.accelerator(row["name"]).rates
        assert row["peak_flops_per_s"] == max(rates.get("bf16", 0.0), rates.get("fp16", 0.0))


def test_every_kind_is_filtered_alike(run):
    """Models by parameters, systems by reach, prices by terms: one mechanism, whatever the kind."""
    large = rows(run, "models", "--min", "parameters=60B", "--sort", "-parameters")
    sizes = [r["parameters"] for r in large]
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) >= 60e9
    for row in rows(run, "systems", "--min", "reach=1000"):
        reach = suanli.catalog().get("system", row["name"]).reach
        assert reach is None or reach >= 1000
    assert "dgx-a100" in names(run, "systems", "--min", "reach=1M")  # any number
    assert "a10-8-pcie" not in names(run, "systems", "--min", "reach=1M")
    assert {r["terms"] for r in rows(run, "prices", "--where", "terms=range")} == {"range"}
    assert {r["kind"] for r in rows(run, "recipes", "--where", "kind=serving")} == {"serving"}


@pytest.mark.parametrize("plural", LISTED)
def test_every_column_of_every_kind_can_be_sorted_by(run, plural):
    """Each key of the JSON rows is a key to sort by, and none of it fails."""
    for key in rows(run, plural)[0]:
        assert len(rows(run, plural, "--sort", f"-{key}")) == len(suanli.catalog().names(LISTED[plural]))


def test_all_mistakes_are_told_at_once(run):
    """Unknown columns with near matches, values without unit, signs that make no sense: each by what was typed."""
    args = ("--where", "memry=3", "--where", "memory>=80", "--where", "vendor>=3", "--where", "year~20")
    args += ("--where", "confidential>1", "--where", "memory", "--min", "fp8", "--max", "power=x", "--sort", "prise")
    result = run("list", "accelerators", *args)
    assert (result.exit_code, result.stdout) == (2, "")
    for said in (
        "--where memry=3: no column 'memry'; did you mean 'memory'?",
        "--where memory>=80: 80 of what? write the unit, such as 80 GB",
        "--where vendor>=3: vendor is a text",
        "--where year~20: year is a number",
        "--where confidential>1: confidential is yes or no",
        "--where 'memory': expected KEY>=VALUE",
        "--min 'fp8': expected KEY=VALUE",
        "--max power=x: 'x' does not start with a number",
        "--sort prise: no column 'prise'; did you mean 'price'",
    ):
        assert said in result.stderr
    assert "Did you mean 'fp8'" in run("list", "accelerators", "--precision", "fp9").stderr
    assert run("list", "models", "--precision", "fp8").exit_code == 2
    assert run("list", "--sort", "name").exit_code == 2


def test_a_filter_tells_nothing_of_a_confidential_part(run, tmp_path, monkeypatch):
    """No condition on a hidden figure holds, and it is sorted last: its place gives nothing away."""
    (tmp_path / "secret.toml").write_text(
        '[[accelerator]]\nid = "hush-1"\nvendor = "Hush"\nproduct = "Hush 1"\nmemory = "123 GB"\n'
        'memory_bandwidth = "4.56 TB/s"\npeak = { fp7 = "1 TFLOP/s", bf16 = "789 TFLOP/s" }\nconfidential = true\n'
        'source = { all = "NDA" }\n',
        encoding="utf-8",
    )
    monkeypatch.setattr("suanli.workspace._DEFAULT", [suanli.Workspace(paths=[tmp_path])])
    for condition in ("memory>1 GB", "memory<1 PB", "memory!=5 GB", "memory=none", "bf16>0 FLOP/s", "price!=3"):
        found = names(run, "accelerators", "--where", condition)
        assert "hush-1" not in found or condition == "memory=none"
    for key in ("memory", "-memory"):
        assert names(run, "accelerators", "--sort", key)[-1] == "hush-1"
    assert "fp7_flops_per_s" not in rows(run, "accelerators")[0]
    assert "hush-1" in names(run, "accelerators", "--where", "vendor=hush")


@pytest.mark.parametrize("columns", [80, 100, 140])
@pytest.mark.parametrize("plural", ["accelerators", "systems", "prices", "models"])
def test_tables_fit_their_terminal(run, plural, columns):
    """No line is longer than the terminal, no number is broken, and a column that is asked about is there."""
    text = run("list", plural, columns=columns).stdout
    assert max(len(line) for line in text.splitlines()) <= columns
    if plural == "accelerators":
        lines = text.splitlines()
        assert sum(line.startswith(tuple(suanli.catalog().names("accelerator"))) for line in lines) == len(
            suanli.catalog().names("accelerator")
        )
        asked = run("list", plural, "--sort", "-l2_cache", "--where", "cores>=100", columns=columns).stdout
        assert "l2 cache" in asked.splitlines()[0]
        assert "cores" in asked.splitlines()[0]


def test_more_room_shows_more_columns(run):
    """What a narrow terminal leaves out, a wide one and Markdown show."""
    narrow, wide = (run("list", "accelerators", columns=c).stdout.splitlines()[0] for c in (80, 140))
    assert "also" not in narrow
    assert {"vendor", "year", "power", "also"} <= set(wide.split())
    assert "| also |" in run("list", "accelerators", "--format", "markdown", columns=80).stdout


def test_prices_say_which_is_assumed(run):
    """One offer of each accelerator with current ones is the assumed one, and the table marks it."""
    found = rows(run, "prices")
    for name in {r["accelerator"] for r in found}:
        assumed = [r for r in found if r["accelerator"] == name and r["assumed"]]
        price = suanli.catalog().price(name)
        assert [r["name"] for r in assumed] == ([price.name] if price is not None else [])
    text = run("list", "prices", "--where", "accelerator~h100-sxm", columns=120).stdout
    assert next(line.split()[0] for line in text.splitlines() if " assumed " in f"{line} ") == "nebius-h100"
    assert "2.50 to 3.50 USD" in text
    by_csv = list(csv.DictReader(io.StringIO(run("list", "prices", "--format", "csv").stdout)))
    assert {"seller", "date", "source", "superseded", "highest_per_hour"} <= set(by_csv[0])


def test_systems_show_scale_up_and_reach(run):
    """How many the fast network joins, at what bandwidth one way, and how far the whole reaches."""
    lines = run("list", "systems", columns=100).stdout.splitlines()
    line = next(x for x in lines if x.startswith("dgx-h100 "))
    assert "8 at 450 GB/s" in line
    assert "any" in line
    assert "none" in next(x for x in lines if x.startswith("a10-8-pcie"))


def test_nothing_found_says_what_was_left_out(run):
    """An empty listing tells a name nobody has from conditions nothing meets."""
    assert "no accelerators of that name" in run("list", "accelerators", "zzz").stdout
    known = len(names(run, "accelerators", "h100"))
    text = run("list", "accelerators", "h100", "--min", "memory=1TB").stdout
    assert f"no accelerators like that; {known} without filters" in text
    assert rows(run, "accelerators", "--min", "memory=1TB") == []


@pytest.mark.parametrize(
    ("sign", "value", "given", "holds"),
    [
        (">=", 3.0, 3.0, True),
        (">", 3.0, 3.0, False),
        ("=", 3.0, None, False),
        ("!=", 3.0, None, True),
        ("=", "none", None, True),
        ("=", "none", 0.0, True),
        ("!=", "none", 0.0, False),
        ("~", "b", "ABC", True),
        ("~", "b", ["x", "aBc"], True),
        ("=", "b", ["x", "aBc"], False),
        ("=", True, True, True),
    ],
)
def test_a_condition_on_one_value(sign, value, given, holds):
    """The meaning of each sign, absent values among them."""
    assert Condition(key="k", sign=sign, value=value).holds({"k": given}) is holds


def test_an_endless_figure_passes_every_lower_bound():
    """None that means no limit is more than any number."""
    condition = Condition(key="reach", sign=">=", value=1e12)
    assert condition.holds({"reach": None}, endless=("reach",))
    assert not condition.holds({"reach": None})
    assert not condition.holds({"reach": None, "confidential": True}, endless=("reach",))


def test_a_key_s_short_name_has_no_unit():
    """The unit at the end of a key need not be typed."""
    assert [short(k) for k in ("memory_bytes", "bf16_flops_per_s", "power_w", "layers", "price_per_hour")] == [
        "memory",
        "bf16",
        "power",
        "layers",
        "price",
    ]
