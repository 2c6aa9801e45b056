"""What the accelerators that share a layer tell each other while a token is made."""

from __future__ import annotations

from suanli import Asked, SuanliError, formula, maximum
from suanli_handbook.asking import model_of
from suanli_handbook.citations import INFERENCE, KIPPLY, POPE
from suanli_handbook.making import _rule

REDUCTIONS = 2.0
"""All-reduces of a layer under tensor parallelism: after attention, and after the feed-forward."""


@formula(unit="s", source=f"{KIPPLY}; {INFERENCE}: two all-reduces a layer, two messages each")
def link_latency(*, layers: float, hop_s: float = 8e-6) -> float:
    """Seconds a token waits for messages of no size."""
    return 4.0 * layers * hop_s


@formula(unit="s", source=f"{KIPPLY}; {INFERENCE}; {POPE}: an all-reduce sends and receives its buffer once each")
def link_time(
    *, layers: float, hidden: float, link_bytes_per_s: float, batch: float = 1.0, bytes: float = 2.0
) -> float:
    """Seconds the messages of a token take on the link, for every sequence of the batch."""
    return batch * bytes * 4.0 * layers * hidden / link_bytes_per_s


@formula(unit="s", source=f"{KIPPLY}; {INFERENCE}")
def overlap(*, compute_s: float, communication_s: float) -> tuple[float, float]:
    """Seconds of work and exchanges: side by side, and one after the other."""
    return float(maximum(compute_s, communication_s)), compute_s + communication_s


def _exchanges(asked: Asked, tokens: float, bytes: float) -> float:
    """Two all-reduces a layer over every accelerator of the system, as its collective model has them.

    Raises:
        SuanliError: On one accelerator, which has nothing to exchange.
    """
    if asked.system is None or asked.system.accelerators < 2:
        raise SuanliError("one accelerator exchanges nothing")
    model = model_of(asked)
    buffer = tokens * bytes * float(asked.inputs.get("hidden") or asked.size("hidden") or 1.0)
    one = asked.system.collective_s("all_reduce", bytes=buffer, ranks=asked.system.accelerators)
    return REDUCTIONS * len(model.layers) * float(one)


BY = "two all-reduces a layer over all accelerators of the system"


def _exchanged(asked: Asked) -> float:
    return _exchanges(asked, 1.0, 2.0)


def _exchanged_batch(asked: Asked) -> float:
    return _exchanges(asked, float(asked.inputs["batch"]), float(asked.inputs["bytes"]))


RULES = (
    _rule(
        "link-latency",
        link_latency,
        "4 l hop",
        "small batches: messages so short that only their latency counts",
        aliases=("communication-latency", "decode-link-latency"),
        cases=("gopher-comm",),
        exact=_exchanged,
        exact_by=f"{BY}, for one token",
        exact_needs=("model", "system"),
        over={"system": ("dgx-a100", "dgx-h100", "h100-pcie-8"), "hop_s": (8e-6,)},
    ),
    _rule(
        "link-time",
        link_time,
        "4 B l h bytes / link",
        "large batches: messages so long that only the link's rate counts",
        aliases=("communication-time", "decode-link-time"),
        cases=("gopher-comm-b1", "gopher-comm-b512"),
        exact=_exchanged_batch,
        exact_by=f"{BY}, for a token of each sequence",
        exact_needs=("model", "system"),
        over={"batch": (64.0, 512.0), "system": ("dgx-a100", "dgx-h100", "h100-pcie-8")},
    ),
    _rule(
        "overlap",
        overlap,
        "max(t, c) where they overlap, t + c where not",
        "the two ends; what is had lies between",
        aliases=("overlap-bounds",),
        cases=("gopher-inconsistencies",),
    ),
)
