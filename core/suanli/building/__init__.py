"""What architectures are put together from: fields read from a configuration, and operators in usual arrangements.

A family is a class: its fields say which keys of a ``config.json`` it reads, its methods arrange operators.
:class:`Decoder` has what decoders have in common; a family derived from it states what is its own.
``docs/add-an-architecture.md`` shows one from configuration to training run.
"""

from __future__ import annotations

from suanli.building.decoder import FULL, SLIDING, Decoder
from suanli.building.ends import embedding, head
from suanli.building.fields import count, kinds, maybe, number, numbers, ratio, size, some, switch
from suanli.building.mixtures import ExpertsShape, routed_experts
from suanli.building.parts import (
    AttentionShape,
    attention,
    feed_forward,
    heads_of,
    latent,
    linear,
    norm,
    pointwise,
    remembered,
    residual,
    stream,
)

__all__ = [
    "FULL",
    "SLIDING",
    "AttentionShape",
    "Decoder",
    "ExpertsShape",
    "attention",
    "count",
    "embedding",
    "feed_forward",
    "head",
    "heads_of",
    "kinds",
    "latent",
    "linear",
    "maybe",
    "norm",
    "number",
    "numbers",
    "pointwise",
    "ratio",
    "remembered",
    "residual",
    "routed_experts",
    "size",
    "some",
    "stream",
    "switch",
]
