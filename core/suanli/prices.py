"""Prices of an hour of one accelerator as sellers state them, and which of them an estimate assumes.

A price is a fact with a date: what it was when somebody wrote it down.
Nothing here fetches one, and nothing converts a currency.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import attrs
from attrs.validators import ge, in_, matches_re, min_len, optional

from suanli import units
from suanli.hardware import NAME
from suanli.serialize import Currency

ON_DEMAND, RANGE = "on-demand", "range"

TERMS = (ON_DEMAND, "reserved", "spot", RANGE)
"""How an accelerator is let: by the hour, for a term, until somebody pays more; or a survey's span of prices."""

USUAL_CURRENCY = "USD"
"""The currency where nothing says another."""


@attrs.frozen(kw_only=True)
class Price:
    """What a seller asks for one accelerator for an hour.

    Attributes:
        name: Of the offer, such as ``"nebius-h100"``.
        accelerator: Id or alias of the accelerator; the catalog turns it into the id.
        seller: Who asks it.
        price_per_hour: Of one accelerator, in `currency`; of a range its lower end.
        highest_per_hour: Of a range its upper end; None for a single price.
        currency: Three letters, as ISO 4217 has them.
        terms: One of ``TERMS``.
        date: When it was so, as far as that is known.
        source: The document that states it.
        note: What a reader should know.
        superseded: Whether it is kept as history only.
    """

    name: str = attrs.field(validator=NAME)
    accelerator: str = attrs.field(validator=min_len(1))
    seller: str = attrs.field(validator=min_len(1))
    price_per_hour: Currency = attrs.field(validator=ge(0.0))
    highest_per_hour: Currency | None = attrs.field(default=None, validator=optional(ge(0.0)))
    currency: str = attrs.field(default=USUAL_CURRENCY, validator=matches_re(r"[A-Z]{3}"))
    terms: str = attrs.field(default=ON_DEMAND, validator=in_(TERMS))
    date: str = attrs.field(validator=min_len(1))
    source: str = attrs.field(validator=min_len(1))
    note: str = ""
    superseded: bool = False

    def __attrs_post_init__(self) -> None:
        if (self.terms == RANGE) != (self.highest_per_hour is not None):
            raise ValueError("'highest_per_hour' must be given for terms = \"range\", and for no others")
        if self.highest_per_hour is not None and self.highest_per_hour < self.price_per_hour:
            raise ValueError("'highest_per_hour' must be at least price_per_hour")

    @property
    def current(self) -> bool:
        """Whether anybody can rent at it by the hour: one price, on demand, not superseded."""
        return self.terms == ON_DEMAND and not self.superseded

    @property
    def citation(self) -> str:
        """Who asks it, on what terms, when, and where that is stated, in a line."""
        return f"{self.seller}, {self.terms}, {self.date}; {self.source}"

    @property
    def amount(self) -> str:
        """The price for people, without its currency; a range with both ends."""
        low = units.format(self.price_per_hour, "currency")
        return low if self.highest_per_hour is None else f"{low} to {units.format(self.highest_per_hour, 'currency')}"


@attrs.frozen(kw_only=True)
class Market:
    """The current on-demand offers of one accelerator in one currency, cheapest first.

    Attributes:
        offers: At least one.
    """

    offers: tuple[Price, ...] = attrs.field(validator=min_len(1))

    @property
    def price(self) -> Price:
        """The median offer; of an even number the lower of the two in the middle, which somebody really asks."""
        return self.offers[(len(self.offers) - 1) // 2]

    @property
    def why(self) -> str:
        """Where the price assumed is from, and how far the others are."""
        one = self.price
        if len(self.offers) == 1:
            return f"{one.citation}; the only offer known"
        low, high = (units.format(p.price_per_hour, "currency") for p in (self.offers[0], self.offers[-1]))
        return f"{one.citation}; the median of {len(self.offers)} offers, {low} to {high} {one.currency}"


def market(offers: Iterable[Price], currency: str | None = None) -> Market | None:
    """The current offers among `offers` that one may compare; None where there are none.

    Args:
        offers: Of one accelerator.
        currency: The currency wanted; by default the usual one, else the one most offers are in.
    """
    current = [p for p in offers if p.current]
    if currency is None:
        counts = Counter(p.currency for p in current)
        known = sorted(counts, key=lambda c: (c != USUAL_CURRENCY, -counts[c], c))
        currency = known[0] if known else USUAL_CURRENCY
    wanted = currency.strip().upper()
    found = sorted((p for p in current if p.currency == wanted), key=lambda p: (p.price_per_hour, p.name))
    return Market(offers=tuple(found)) if found else None
