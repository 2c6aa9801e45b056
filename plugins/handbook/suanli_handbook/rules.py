"""The rules of thumb with what each is valid for and the worked examples it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from suanli import Rule
from suanli_handbook import formulas as f

DENSE = "dense models, sequences much shorter than 6 x hidden"


def _rule(
    name: str,
    function: Callable[..., Any],
    text: str,
    valid: str,
    *,
    aliases: tuple[str, ...] = (),
    cases: tuple[str, ...] = (),
) -> Rule:
    about: Any = function.formula  # type: ignore[attr-defined]
    return Rule(
        name=name,
        aliases=aliases,
        function=function,
        unit=about.unit,
        formula=text,
        source=about.source,
        valid_for=valid,
        cases=cases,
    )


RULES = (
    _rule("training-flops", f.training_flops, "6 N D", DENSE, aliases=("6nd",), cases=("train-flops-65b-1.4T",)),
    _rule(
        "training-flops-recompute", f.training_flops_recompute, "8 N D", f"{DENSE}, full recompute", aliases=("8nd",)
    ),
    _rule("training-time", f.training_time, "6 N D / (n F mfu)", DENSE, cases=("train-days-65b-h100",)),
    _rule(
        "training-time-recompute",
        f.training_time_recompute,
        "8 N D / (n F hfu)",
        f"{DENSE}, full recompute",
        cases=("train-days-gpt3-8nd",),
    ),
    _rule("forward-flops", f.forward_flops, "2 N tokens", DENSE, aliases=("2p",), cases=("infer-flops-32b",)),
    _rule(
        "weight-memory",
        f.weight_bytes,
        "N bits / 8",
        "weights alone, no scales",
        cases=("weights-7b-8bit", "weights-7b-4bit", "weights-7b-16bit"),
    ),
    _rule(
        "kv-cache",
        f.kv_cache,
        "2 b s h l bytes",
        "as many key-value heads as query heads, no window",
        cases=("kv-7b-1x2048", "kv-13b-seq"),
    ),
    _rule(
        "parameters",
        f.parameters,
        "12 l h^2",
        "feed-forward of 4 h (or gated of 8/3 h), embedding left out",
        aliases=("12lh2",),
        cases=("params-12lh2-4096", "params-12lh2-5120", "params-12lh2-6656", "params-12lh2-8192"),
    ),
    _rule(
        "training-state",
        f.training_state,
        "16 N (18 N, 20 N)",
        "Adam, mixed precision, nothing divided",
        aliases=("16n",),
    ),
    _rule(
        "activations",
        f.activations,
        "l s b h (34 + 5 a s / h)",
        "GPT layers, scores written out, dropout, no parallelism",
        cases=("act-b-s-h",),
    ),
    _rule(
        "decode-time",
        f.decode_time,
        "2 N / (n bandwidth)",
        "small batches, short contexts, 2-byte weights",
        cases=("tpot-7b-t4", "tpot-7b-a10"),
    ),
    _rule(
        "prefill-time",
        f.prefill_time,
        "2 N tokens / (n F)",
        "long prompts, at full rate",
        cases=("prefill-7b-t4", "prefill-7b-a10"),
    ),
)
