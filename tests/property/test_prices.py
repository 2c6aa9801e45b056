"""What is assumed of prices, and what less confidence does to a band."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

import suanli
from suanli import Price
from suanli.case import Case
from suanli.confidence import SPREAD, widened
from suanli.hardware import CONFIDENCES
from suanli.layout import Layout
from suanli.prices import TERMS, market
from suanli.report import Basis
from suanli.testing import resolved

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
CASE: Case = resolved(TRAIN)


@st.composite
def offers(draw: st.DrawFn) -> list[Price]:
    """Offers of one accelerator on any terms, in a few currencies."""
    found = []
    for i in range(draw(st.integers(0, 7))):
        low, terms = draw(st.floats(0, 100)), draw(st.sampled_from(TERMS))
        found.append(
            Price(
                name=f"offer-{i}",
                accelerator="a100",
                seller="Acme",
                price_per_hour=low,
                highest_per_hour=low + draw(st.floats(0, 10)) if terms == "range" else None,
                terms=terms,
                currency=draw(st.sampled_from(("USD", "EUR", "CNY"))),
                superseded=draw(st.booleans()),
                date="2026",
                source="made up",
            )
        )
    return found


@given(offers(), st.sampled_from((None, "USD", "EUR", "CNY", "GBP")))
def test_the_price_assumed_is_somebody_s(known: list[Price], currency: str | None) -> None:
    """It is one of the current on-demand offers, in the currency asked for, with as many below as above it."""
    found = market(known, currency)
    able = [p for p in known if p.current and (currency is None or p.currency == currency)]
    assert (found is None) == (not able)
    if found is not None:
        assert set(found.offers) <= set(able)
        below = sum(p.price_per_hour < found.price.price_per_hour for p in found.offers)
        above = sum(p.price_per_hour > found.price.price_per_hour for p in found.offers)
        assert found.price in known
        assert len({p.currency for p in found.offers}) == 1
        assert below <= len(found.offers) // 2
        assert above <= len(found.offers) // 2


@given(offers(), st.permutations(range(7)))
def test_the_price_does_not_depend_on_the_order(known: list[Price], order: list[int]) -> None:
    """Whichever plugin or folder is read first."""
    found, mixed = market(known), market([known[i] for i in order if i < len(known)])
    assert (found.price if found else None) == (mixed.price if mixed else None)


@given(st.floats(0, 1000), st.floats(0, 1000), st.floats(0, 5), st.floats(1, 3), st.sampled_from((TRAIN, SERVE)))
def test_a_dearer_price_is_never_a_cheaper_answer(
    one: float, other: float, electricity: float, pue: float, scenario: dict[str, Any]
) -> None:
    """Neither of a run nor of a token, with or without electricity."""
    low, high = sorted((one, other))
    key = "run.cost" if scenario is TRAIN else "serving.cost_per_million_output_tokens"
    costs = []
    for price, power in ((low, 0.0), (high, 0.0), (high, electricity)):
        given_ = {"price_per_hour": price, "electricity_price": power, "pue": pue}
        costs.append(suanli.estimate(scenario | {"assumptions": given_}).figure(key))
    assert costs == sorted(costs)


@given(
    st.tuples(st.floats(1e-3, 1), st.floats(0, 100)),
    st.sampled_from(CONFIDENCES),
    st.sampled_from(CONFIDENCES),
    st.booleans(),
    st.sampled_from(("time.step_s", "run.cost", "serving.tpot_s", "memory.total_bytes", "acme.figure")),
)
def test_doubt_never_narrows_a_band(
    ends: tuple[float, float], device: str, system: str, joined: bool, key: str
) -> None:
    """Less confidence in any part gives a band that contains the more confident one's."""
    band = (ends[0], ends[0] + ends[1])
    bases = {key: Basis(rung="calibrated", provider="test", band=band, evidence="runs")}

    def with_confidence(of_device: str, of_system: str) -> tuple[float, ...]:
        case = attrs.evolve(
            CASE,
            device=attrs.evolve(CASE.device, confidence=of_device),
            system=attrs.evolve(CASE.system, confidence=of_system),
            layout=Layout(tensor=2 if joined else 1),
        )
        return widened(bases, case)[key].band or ()

    found = with_confidence(device, system)
    assert found[0] <= band[0] <= band[1] <= found[1]
    for sure in CONFIDENCES[: CONFIDENCES.index(device) + 1]:
        less = with_confidence(sure, system)
        assert found[0] <= less[0]
        assert less[1] <= found[1]
    if key.startswith("memory."):
        assert found == band
    assert SPREAD["high"] == 1.0
