"""What a job draws and what it costs: rated power, electricity, and the price of an hour."""

from __future__ import annotations

from suanli.case import Case, Problem
from suanli.formulas import fact, formula
from suanli.numeric import Number

JOULES_PER_KWH = 3.6e6
SECONDS_PER_HOUR = 3600.0


@formula(unit="j", source="definition: rated power throughout, an upper bound on what is drawn")
def energy_j(*, power_w: Number, nodes: Number, duration_s: Number, pue: Number) -> Number:
    """Joules at rated power of every node, the site's overhead included."""
    return power_w * nodes * duration_s * pue


@formula(unit="h", source="definition")
def accelerator_hours(*, accelerators: Number, duration_s: Number) -> Number:
    """Hours of all accelerators together."""
    return accelerators * duration_s / SECONDS_PER_HOUR


@formula(unit="currency", source="definition")
def rental_cost(*, accelerator_hours: Number, price_per_hour: Number) -> Number:
    """Price of so many hours of one accelerator."""
    return accelerator_hours * price_per_hour


@formula(unit="currency", source="definition")
def electricity_cost(*, energy_j: Number, price_per_kwh: Number) -> Number:
    """Price of the energy."""
    return energy_j / JOULES_PER_KWH * price_per_kwh


@formula(unit="currency", source="definition")
def whole_cost(*, rental: Number, electricity: Number) -> Number:
    """Rent and electricity, where both are paid."""
    return rental + electricity


def energy_of(case: Case, duration_s: Number) -> Number | None:
    """Joules all accelerators of a case draw in so long; None where nobody states the power of a node."""
    system = case.system
    if system.power_per_node_w is None:
        return None
    hidden = system.confidential or case.device.confidential
    power = fact(system.power_per_node_w, f"{system.id}.power_per_node", "w", system.source_of("power"), hidden)
    nodes = float(system.accelerators) / float(system.accelerators_per_node)
    return energy_j(power_w=power, nodes=nodes, duration_s=duration_s, pue=case.pue)


def cost_of(case: Case, duration_s: Number) -> Number | None:
    """What all accelerators of a case cost for so long: rent, electricity, or both; None where a part is not known."""
    rental = electricity = None
    if case.price_per_hour is not None:
        price = case.price_per_hour
        if case.price is not None:
            price = fact(price, f"{case.price.name}.price_per_hour", "currency", case.price.citation)
        hours = accelerator_hours(accelerators=float(case.system.accelerators), duration_s=duration_s)
        rental = rental_cost(accelerator_hours=hours, price_per_hour=price)
    if case.electricity_price is not None:
        drawn = energy_of(case, duration_s)
        if drawn is None:
            return None
        electricity = electricity_cost(energy_j=drawn, price_per_kwh=case.electricity_price)
    if rental is not None and electricity is not None:
        return whole_cost(rental=rental, electricity=electricity)
    return electricity if rental is None else rental


def priced_at(case: Case) -> str:
    """What a cost rests on, in a line; empty where there is none."""
    parts = []
    if case.price is not None:
        parts.append(f"the price of an hour is {case.price.citation}")
    elif case.price_per_hour is not None:
        parts.append("the price of an hour is as given")
    if case.electricity_price is not None:
        parts.append("electricity at rated power, at the price given")
    return "; ".join(parts)


def no_energy(case: Case, figure: str) -> Problem:
    """Why a figure of energy is not known."""
    return _absent(figure, "no-power", _power_unknown(case), "add power_per_node in a catalog file")


def no_cost(case: Case, figure: str) -> Problem:
    """Why a figure of cost is not known."""
    if case.electricity_price is not None:
        said = f"an electricity price is given, and {_power_unknown(case)}"
        return _absent(figure, "no-power", said, "add power_per_node in a catalog file, or leave out electricity_price")
    hint = "give assumptions.price_per_hour (--price-per-hour), or electricity_price for machines of one's own"
    return _absent(figure, "no-price", case.no_price or "no price is known", hint)


def _power_unknown(case: Case) -> str:
    return f"nobody states the power of a node of {case.system.id}"


def _absent(figure: str, code: str, message: str, hint: str) -> Problem:
    said = f"{figure} is not known: {message}"
    return Problem(code=code, severity="note", message=said, hint=hint, figure=figure)
