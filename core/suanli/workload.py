"""What a model is run on: a pre-training or fine-tuning job, or requests to serve."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
from attrs.validators import ge, gt, in_, le, optional

from suanli.serialize import Count, Ratio

MOST_TOKENS = 10**18
MOST_SEQUENCE = 10**8
MOST_BATCH = 10**9


def _count(about: str, most: int) -> Any:
    limits = optional([gt(0), le(most)])
    return attrs.field(default=None, validator=limits, metadata={"help": about})


@attrs.frozen(kw_only=True)
class Pretrain:
    """A training job from scratch; a field left None takes a default that the report states.

    Attributes:
        tokens: To train on; None leaves the run's length open.
        sequence: Tokens of one sequence.
        global_batch: Sequences of one optimizer step.
    """

    kind: ClassVar[str] = "pretrain"
    training: ClassVar[bool] = True
    tokens: Count | None = _count("tokens to train on, such as 1.4T", MOST_TOKENS)
    sequence: Count | None = _count("tokens of one sequence", MOST_SEQUENCE)
    global_batch: Count | None = _count("sequences of one optimizer step", MOST_BATCH)


@attrs.frozen(kw_only=True)
class Finetune(Pretrain):
    """Training of a finished model on new data.

    Attributes:
        method: ``full``: every weight is trained.
    """

    kind: ClassVar[str] = "finetune"
    method: str | None = attrs.field(
        default=None, validator=optional(in_(("full",))), metadata={"help": "how weights are trained: full, every one"}
    )


@attrs.frozen(kw_only=True)
class Serve:
    """Requests answered together, in a batch that stays; a field left None takes a default the report states.

    Attributes:
        prompt: Tokens of each prompt.
        output: Tokens generated for each.
        batch: Requests one engine answers at a time.
        concurrency: Requests in flight over all engines; takes the place of `batch`.
        prefix_hit_ratio: Share of each prompt found in the cache.
    """

    kind: ClassVar[str] = "serve"
    training: ClassVar[bool] = False
    prompt: Count | None = _count("tokens of a prompt", MOST_SEQUENCE)
    output: Count | None = _count("tokens generated for it", MOST_SEQUENCE)
    batch: Count | None = _count("requests one engine answers at a time", MOST_BATCH)
    concurrency: Count | None = _count("requests in flight over all engines", MOST_BATCH)
    prefix_hit_ratio: Ratio = attrs.field(
        default=0.0, validator=[ge(0.0), le(1.0)], metadata={"help": "share of a prompt found in the cache"}
    )


Workload = Pretrain | Finetune | Serve
KINDS: dict[str, type[Pretrain] | type[Serve]] = {c.kind: c for c in (Pretrain, Finetune, Serve)}
