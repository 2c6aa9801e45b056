"""Fit the collective models of `suanli` to measurements."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from fabric_transfers import Transfer
from fit_common import Array, Errors, Fit, Params, held_out, sources
from suanli.collectives import crowded_ratio, exchange_s, latency_s, transfer_s

Bounds = Sequence[tuple[float, float]]
Model = Callable[[Params], Array]

FABRIC_NAMES = ("bandwidth_ratio", "ramp_s", "launch_s", "latency_s")
# Bounds of each parameter; 10 ns is nothing.
RATIO = (0.005, 1.0)
SECONDS = (1e-8, 2e-3)
CROWDING = (0.01, 4.0)


def minimise(cost: Callable[[Params], float], bounds: Bounds) -> tuple[float, Params]:
    """The least cost and where it is: a coarse logarithmic grid, then zooming grids from its best points.

    A parameter whose bounds are equal is fixed.
    """
    low, high = np.log([b[0] for b in bounds]), np.log([b[1] for b in bounds])

    def grid(centre: Array, span: Array, points: int) -> list[tuple[float, Params]]:
        axes = [
            np.unique(np.clip(np.linspace(c - s / 2, c + s / 2, points), a, b))
            for c, s, a, b in zip(centre, span, low, high, strict=True)
        ]
        return sorted((cost(tuple(np.exp(p))), p) for p in itertools.product(*axes))

    ends = []
    for value, start in grid((low + high) / 2, high - low, 13 if len(bounds) < 4 else 7)[:4]:
        span = (high - low) / 4
        for _ in range(14):
            value, start = min((value, start), grid(np.array(start), span, 5)[0])
            span = span * 0.6
        ends.append((value, start))
    best, where = min(ends)
    return best, tuple(float(x) for x in np.exp(where))


def fabric_model(rows: Sequence[Transfer]) -> Model:
    """The model of `rows`, params in the order of ``FABRIC_NAMES``, a crowding exponent last if any."""
    sent, hops = np.array([t.sent_s for t in rows]), np.array([t.hops for t in rows])
    ranks = np.array([float(t.ranks) for t in rows])

    def predict(p: Params) -> Array:
        ratio = crowded_ratio(bandwidth_ratio=p[0], ranks=ranks, crowding=p[4] if len(p) > 4 else 0.0)
        takes = transfer_s(bytes=sent, bandwidth_bytes_per_s=1.0, bandwidth_ratio=ratio, ramp_s=p[1])
        alone = latency_s(launch_s=p[2], hops_s=p[3] * hops)
        return np.asarray(exchange_s(latency_s=alone, transfer_s=takes))

    return predict


def judge(rows: Sequence[Transfer], params: Params) -> Errors:
    """Errors of `params` on `rows`."""
    measured = np.array([row.seconds for row in rows])
    return Errors(measured / fabric_model(rows)(params), measured)


def fit_fabrics(rows: Iterable[Transfer]) -> list[Fit]:
    """The fabrics of each generation, those inside a node first.

    A network was measured at one hop only, where a launch and a hop look alike:
    its launch is that of the generation's fabric inside a node.
    """
    groups: dict[tuple[str, str], list[Transfer]] = defaultdict(list)
    for t in rows:
        if t.fitted:
            groups[t.key].append(t)
    fits: list[Fit] = []
    launch: dict[str, float] = {}
    for key, members in sorted(groups.items(), key=lambda g: (g[0][1] == "nic", g[0])):
        train = [t for t in members if not held_out(t.shape)]
        started = (launch[key[0]],) * 2 if key[1] == "nic" else SECONDS
        crowded = key[1] == "pcie"
        bounds = [RATIO, SECONDS, started, SECONDS] + ([CROWDING] if crowded else [])
        names = FABRIC_NAMES + (("crowding",) if crowded else ())
        params = minimise(_cost(fabric_model(train), train), bounds)[1]
        launch.setdefault(key[0], params[2])
        errors = judge([t for t in members if held_out(t.shape)], params)
        vendor = members[0].device.vendor
        fits.append(Fit(key, names, params, len(train), errors, errors.band, sources(members), vendor))
    return fits


def _cost(predict: Model, rows: Sequence[Transfer]) -> Callable[[Params], float]:
    measured = np.array([row.seconds for row in rows])
    return lambda p: float(np.abs(np.log(predict(p) / measured)).mean())
