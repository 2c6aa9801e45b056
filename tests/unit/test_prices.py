"""Prices: read strictly, the median assumed, echoed with their source, and never converted or made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

import suanli
from suanli import CatalogError, Price, UnknownNameError, Workspace, read_catalog, trace
from suanli.costs import energy_of
from suanli.formulas import derivation
from suanli.prices import TERMS, market
from suanli.testing import installed_plugins, make_plugin, resolved

OFFER = """
[[price]]
name = "acme-a100"
accelerator = "a100"
seller = "Acme Cloud"
price_per_hour = 2.5
currency = "EUR"
terms = "on-demand"
date = "2026-10-01"
source = "Acme Cloud price list, 2026-10-01"
"""
TRAIN: dict[str, Any] = {
    "model": {"name": "gpt2"},
    "system": {"name": "dgx-a100", "accelerators": 8},
    "workload": {"kind": "pretrain", "sequence": 64, "global_batch": 8, "tokens": "1B"},
    "layout": {"tensor": 1, "pipeline": 1, "micro_batch": 1, "zero": 0, "recompute": "none"},
}
SERVE: dict[str, Any] = {
    "model": {"name": "llama-7b"},
    "system": {"name": "dgx-a100", "accelerators": 2},
    "workload": {"kind": "serve", "prompt": 64, "output": 64, "batch": 4},
    "layout": {"tensor": 2, "pipeline": 1},
}
COSTS = ("serving.cost_per_hour", "serving.cost_per_million_output_tokens")


def offer(name: str, price: float, **other: Any) -> Price:
    """An offer of an A100."""
    about = {"accelerator": "a100", "seller": "Acme", "date": "2026-10", "source": "Acme price list"}
    return Price(name=name, price_per_hour=price, **about | other)


def only(*prices: Price) -> Workspace:
    """A workspace whose prices are these alone."""
    return Workspace(plugins=[*installed_plugins("prices"), make_plugin("acme", prices=prices)])


def assuming(scenario: dict[str, Any], **assumptions: Any) -> dict[str, Any]:
    """A scenario with assumptions."""
    return scenario | {"assumptions": assumptions}


@pytest.mark.parametrize(
    ("prices", "assumed"),
    [([1.0], 1.0), ([3.0, 1.0], 1.0), ([3.0, 1.0, 2.0], 2.0), ([4.0, 3.0, 1.0, 2.0], 2.0), ([2.0, 2.0, 9.0], 2.0)],
)
def test_the_median_offer_is_assumed(prices: list[float], assumed: float) -> None:
    """Of an odd number the one in the middle, of an even number the lower of the two: always somebody's offer."""
    found = only(*(offer(f"o-{i}", p) for i, p in enumerate(prices))).price("a100-80gb")
    assert found is not None
    assert found.price_per_hour == assumed
    assert found.accelerator == "a100-sxm4-80"


def test_the_module_function_is_the_workspace_s() -> None:
    """suanli.price answers as a workspace of the installed plugins does."""
    assert suanli.price("h100") == Workspace().price("h100") is not None
    assert suanli.price("h100", "EUR") is None


def test_only_current_on_demand_offers_count() -> None:
    """A reserved, a spot, a surveyed and a superseded price are listed, and none is assumed."""
    rest = [offer(t, 0.1, terms=t, **({"highest_per_hour": 9.0} if t == "range" else {})) for t in TERMS[1:]]
    old = offer("old", 0.1, superseded=True)
    assert only(*rest, old).price("a100") is None
    workspace = only(*rest, old, offer("now", 2.0))
    assert workspace.catalog().names("price") == tuple(sorted([*TERMS[1:], "old", "now"]))
    found = workspace.price("a100")
    assert found is not None
    assert found.name == "now"


def test_the_currency_is_the_one_asked_for() -> None:
    """Dollars where nothing else is said, else the currency most offers are in; one nobody offers in has no price."""
    euros = [offer(f"e-{i}", 1.0 + i, currency="EUR") for i in range(3)]
    yuan = [offer("y-0", 9.0, currency="CNY")]
    both = only(*euros, *yuan, offer("usd", 5.0))
    for asked, name in ((None, "usd"), ("EUR", "e-1"), ("eur ", "e-1"), ("CNY", "y-0")):
        found = both.price("a100", asked)
        assert found is not None
        assert found.name == name
    assert both.price("a100", "GBP") is None
    found = only(*euros, *yuan).price("a100")
    assert found is not None
    assert found.currency == "EUR"


def test_an_accelerator_has_its_own_prices() -> None:
    """Nothing is borrowed from a sibling, and an unknown name is an error with near matches."""
    workspace = only(offer("one", 2.0))
    assert workspace.price("a100-40gb") is None
    with pytest.raises(UnknownNameError, match="'a100'"):
        workspace.price("a1000")


def test_a_price_of_a_part_nobody_provides_is_kept() -> None:
    """It is listed, and does no harm."""
    workspace = only(offer("other", 2.0, accelerator="not-here"))
    assert workspace.catalog().get("price", "other").accelerator == "not-here"
    assert workspace.price("a100") is None
    assert workspace.catalog().plugins.faults == []


def test_every_price_of_ours_is_of_an_accelerator_of_ours() -> None:
    """Each has a known part, a date and a source, in dollars; each part's price is one of its offers."""
    catalog = suanli.catalog()
    known = set(catalog.names("accelerator"))
    prices = [e.value for e in catalog.entries("price")]
    assert len(prices) > 20
    for price in prices:
        assert price.accelerator in known, price.name
        assert price.date
        assert price.source
        assert price.currency == "USD"
    for name in known:
        assumed = catalog.price(name)
        assert assumed is None or assumed in [p for p in prices if p.accelerator == name and p.current]


def test_a_folder_gives_prices(tmp_path: Path) -> None:
    """A catalog file of SUANLI_PATH adds offers to those installed."""
    (tmp_path / "prices.toml").write_text(OFFER)
    workspace = Workspace(paths=[tmp_path])
    found = workspace.price("a100", "EUR")
    assert found is not None
    assert (found.name, found.price_per_hour, found.accelerator) == ("acme-a100", 2.5, "a100-sxm4-80")
    assert str(workspace.catalog().entry("price", "acme-a100").provider) == str(tmp_path)
    report = workspace.estimate(assuming(TRAIN, currency="EUR"))
    assert report.run is not None
    assert report.run.cost == pytest.approx((report.run.accelerator_hours or 0.0) * 2.5)


WRONG = [
    (OFFER.replace("price_per_hour = 2.5", 'price_per_hour = "cheap"'), "price_per_hour: 'cheap'"),
    (OFFER.replace("price_per_hour = 2.5", "price_per_hour = -1"), "price_per_hour: must be >= 0"),
    (OFFER.replace('"EUR"', '"euros"'), "currency: "),
    (OFFER.replace('"on-demand"', '"daily"'), "terms: "),
    (OFFER.replace('"on-demand"', '"range"'), "highest_per_hour: must be given"),
    (OFFER + "highest_per_hour = 3\n", "highest_per_hour: must be given for terms"),
    (OFFER.replace('"on-demand"', '"range"') + "highest_per_hour = 1\n", "highest_per_hour: must be at least"),
    (OFFER.replace('source = "Acme Cloud price list, 2026-10-01"', ""), "source: required, and missing"),
    (OFFER.replace('date = "2026-10-01"', 'date = ""'), "date: "),
    (OFFER.replace("seller", "seler"), "did you mean 'seller'"),
    (OFFER.replace('"acme-a100"', '"Acme A100"'), "name: "),
]


@pytest.mark.parametrize(("text", "said"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_price_is_said(tmp_path: Path, text: str, said: str) -> None:
    """Each rule of a price is held, and told with its file, entry and key."""
    file = tmp_path / "prices.toml"
    file.write_text(text)
    with pytest.raises(CatalogError, match=r"prices\.toml: price ") as caught:
        read_catalog(file)
    assert said in str(caught.value)


def test_two_offers_of_one_name_are_an_error(tmp_path: Path) -> None:
    """Names are unique over plugins and folders."""
    (tmp_path / "prices.toml").write_text(OFFER + OFFER)
    with pytest.raises(suanli.PluginError, match="'acme-a100'"):
        Workspace(paths=[tmp_path]).catalog().names("price")


def test_an_estimate_assumes_the_price_and_says_so() -> None:
    """The price is echoed as a default with seller, terms, date, source and span, and is what the cost rests on."""
    workspace = only(offer("low", 1.0), offer("mid", 2.0, seller="Mid Cloud"), offer("high", 4.0))
    report = workspace.estimate(TRAIN)
    assert report.scenario["assumptions"]["price_per_hour"] == 2.0
    origin = report.origins["assumptions.price_per_hour"]
    assert origin.origin == "default"
    for said in ("Mid Cloud", "on-demand", "2026-10", "Acme price list", "3 offers", "1.00 to 4.00 USD"):
        assert said in origin.why
    assert report.run is not None
    assert report.run.cost == pytest.approx((report.run.accelerator_hours or 0.0) * 2.0)
    assert "Mid Cloud, on-demand, 2026-10; Acme price list" in report.basis["run.cost"].source
    assert "Mid Cloud" not in report.basis["run.duration_s"].source
    derived = workspace.explain(TRAIN, "run.cost")
    fact = next(d for d in derived.inputs if d.label == "price_per_hour")
    assert (fact.name, fact.value, fact.source) == (
        "mid.price_per_hour",
        2.0,
        "Mid Cloud, on-demand, 2026-10; Acme price list",
    )


def test_the_echoed_scenario_costs_the_same() -> None:
    """What was assumed is a field of the complete scenario, which is answered as before, the price now given."""
    for scenario in (TRAIN, SERVE, assuming(TRAIN, currency="EUR"), assuming(SERVE, electricity_price=0.2)):
        report = suanli.estimate(scenario)
        again = suanli.estimate(report.scenario)
        assert (again.run, again.serving) == (report.run, report.serving)
        assert suanli.Report.from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_a_given_price_goes_before_the_market() -> None:
    """Nothing is assumed where a price is given, and the basis says that it was."""
    report = suanli.estimate(assuming(TRAIN, price_per_hour=7.0, currency="EUR"))
    assert report.run is not None
    assert (report.run.cost, report.run.currency) == (pytest.approx((report.run.accelerator_hours or 0.0) * 7.0), "EUR")
    assert report.origins["assumptions.price_per_hour"].origin == "given"
    assert "as given" in report.basis["run.cost"].source


def test_no_currency_is_converted() -> None:
    """Where nobody offers in a currency the cost is null, with the reason and the flag that gives a price."""
    for scenario, figures in ((TRAIN, ("run.cost",)), (SERVE, COSTS)):
        report = suanli.estimate(assuming(scenario, currency="EUR"))
        assert report.scenario["assumptions"]["price_per_hour"] is None
        for figure in figures:
            assert report.figure(figure) is None
            why = next(p for p in report.problems if p.figure == figure)
            assert why.code == "no-price"
            assert "known in USD, and no rate to EUR is" in why.message
            assert "--price-per-hour" in why.hint


def test_an_unpriced_accelerator_says_so() -> None:
    """Where nobody's price is known the cost is null, for the part that is asked about."""
    report = only().estimate(TRAIN)
    why = next(p for p in report.problems if p.figure == "run.cost")
    assert "no current on-demand price of a100-sxm4-80 is known" in why.message
    assert "--price-per-hour" in why.hint
    assert report.to_dict()["run"]["cost"] is None


def test_an_electricity_price_alone_means_machines_of_one_s_own() -> None:
    """Then nothing is rented: the cost is the energy's, and a note says so."""
    report = suanli.estimate(assuming(TRAIN, electricity_price=0.5, pue=1.5))
    assert report.run is not None
    assert report.run.cost == pytest.approx((report.run.energy_j or 0.0) / 3.6e6 * 0.5)
    assert report.run.energy_j == pytest.approx(6500.0 * 1.5 * (report.run.duration_s or 0.0))
    assert report.scenario["assumptions"]["price_per_hour"] is None
    assert "own-machines" in {p.code for p in report.problems}
    assert "electricity at rated power" in report.basis["run.cost"].source
    assert "electricity" not in suanli.estimate(TRAIN).basis["run.cost"].source
    both = suanli.estimate(assuming(TRAIN, electricity_price=0.5, pue=1.5, price_per_hour=1.0))
    assert both.run is not None
    assert both.run.cost == pytest.approx(report.run.cost + (both.run.accelerator_hours or 0.0))
    assert "own-machines" not in {p.code for p in both.problems}


def test_electricity_of_unknown_power_is_not_left_out() -> None:
    """Where nobody states a node's power, rent without the electricity asked for would be too little: it is null."""
    node = attrs.evolve(suanli.system("dgx-a100"), id="dark-node", aliases=(), power_per_node_w=None)
    workspace = Workspace(plugins=[*installed_plugins(), make_plugin("dark", systems=[node])])
    for scenario, figures in ((TRAIN, ("run.cost",)), (SERVE, COSTS)):
        dark = scenario | {"system": {"name": "dark-node", "accelerators": scenario["system"]["accelerators"]}}
        report = workspace.estimate(assuming(dark, electricity_price=0.5, price_per_hour=1.0))
        for figure in figures:
            assert report.figure(figure) is None
            why = next(p for p in report.problems if p.figure == figure)
            assert why.code == "no-power"
            assert "nobody states the power of a node of dark-node" in why.message
        assert workspace.estimate(assuming(dark, price_per_hour=1.0)).figure(figures[0]) is not None


@pytest.mark.parametrize("whose", ["system", "accelerator", "nobody"])
def test_the_power_of_what_is_confidential_is_not_told(whose: str) -> None:
    """Energy drawn by a confidential node, or by a node of confidential accelerators, is derived from no number."""
    part = attrs.evolve(suanli.accelerator("a100"), id="acme-one", aliases=(), confidential=whose == "accelerator")
    node = attrs.evolve(suanli.system("dgx-a100"), id="acme-node", aliases=(), accelerator="acme-one")
    node = attrs.evolve(node, confidential=whose == "system")
    workspace = Workspace(plugins=[*installed_plugins(), make_plugin("acme", accelerators=[part], systems=[node])])
    case = resolved(TRAIN | {"system": {"name": "acme-node", "accelerators": 8}}, workspace)
    with trace():
        found = derivation(energy_of(case, 60.0))
    shown = {d.value for d in found.inputs}
    assert shown == ({6500.0, 1.0, 60.0, case.pue} if whose == "nobody" else {None})


def test_serving_costs_by_hand() -> None:
    """An hour of two accelerators over the tokens of an hour; a node of eight at 6.5 kW, a quarter of it used."""
    report = suanli.estimate(assuming(SERVE, price_per_hour=3.0, electricity_price=0.5, pue=2.0))
    serving = report.serving
    assert serving is not None
    rate = serving.output_tokens_per_s or 0.0
    hourly = 2 * 3.0 + 6.5 * 2 / 8 * 2.0 * 0.5
    assert serving.cost_per_hour == pytest.approx(hourly)
    assert serving.cost_per_million_output_tokens == pytest.approx(hourly / (rate * 3600) * 1e6)
    assert serving.energy_per_output_token_j == pytest.approx(6500 * 2 / 8 * 2.0 / rate)
    assert serving.currency == "USD"
    low, high = report.basis["serving.output_tokens_per_s"].band or (1.0, 1.0)
    band = report.basis["serving.cost_per_million_output_tokens"].band
    assert band == pytest.approx((1 / high, 1 / low), abs=0.01)


def test_a_market_of_nothing_is_none() -> None:
    """No offers, or none one can rent at, is no market."""
    assert market([]) is None
    assert market([offer("old", 1.0, superseded=True)]) is None
    alone = market([offer("one", 1.0)])
    assert alone is not None
    assert alone.why.endswith("the only offer known")
