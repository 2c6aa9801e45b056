"""What this plugin gives: a dated list of rental prices."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

from suanli import Price, hookimpl, read_catalog

HERE = files("suanli_prices")


@hookimpl
def suanli_prices() -> Iterable[Price]:
    """On-demand prices, and what a market survey found."""
    return read_catalog(HERE / "prices-2026-11.toml").prices
