"""``suanli fit``."""

from __future__ import annotations

from typing import Any

import suanli
from suanli.cli.asking import ON as ONE
from suanli.cli.asking import SET, told
from suanli.cli.command import Command, Option
from suanli.cli.estimating import model_argument
from suanli.cli.failures import ANSWERED, DOES_NOT_FIT
from suanli.cli.fields import parameter_of
from suanli.cli.fit_view import blocks, rows
from suanli.cli.planning import asked, field_options, progress
from suanli.cli.render import write
from suanli.planning.fitting import WAYS

KINDS = ("serve", "pretrain", "finetune")
LAYOUT_CONTEXT = "layout.context"
OURS = (LAYOUT_CONTEXT, "workload.batch", "workload.concurrency")
"""Fields that options of this command stand for, or stand in the way of."""


def fit(**parameters: Any) -> int:
    """Write which precisions fit, and how far each goes."""
    kind = parameters["kind"] or "serve"
    sections, names = asked({**parameters, "kind": WAYS.get(kind, "serve")}, KINDS)
    names |= {"context": "--context", "batch": "--batch", "accelerators": "-n", LAYOUT_CONTEXT: "--layout-context"}
    names["kind"] = "--kind"
    count = parameters["accelerators"]
    with told(names), progress() as tell:
        found = suanli.fit(
            sections,
            parameters["on"],
            accelerators=1 if count is None else count,
            kind=kind,
            context=parameters["context"],
            batch=parameters["batch"],
            progress=tell,
        )
    write(parameters["format"], data=found.to_dict, rows=lambda: rows(found), blocks=lambda: blocks(found))
    return ANSWERED if found.meets else DOES_NOT_FIT


command = Command(
    "fit",
    callback=fit,
    params=[
        model_argument(),
        ONE,
        Option(
            ["-n", "--accelerators", "accelerators"], metavar="NUMBER", heading="System", help="How many; 1 by default."
        ),
        Option(
            ["--kind"],
            metavar="serve|train|finetune",
            heading="Workload",
            help="What is done with it; serve by default.",
        ),
        Option(
            ["--context"],
            metavar="NUMBER",
            heading="Workload",
            help="Tokens of a sequence, prompt and output together, such as 8k; the model's by default, 8192 at most.",
        ),
        Option(
            ["--batch"],
            metavar="NUMBER",
            heading="Workload",
            help="Serving: requests at a time, 1 by default. Training: sequences of a step.",
        ),
        *field_options(KINDS, "fit", OURS),
        Option(
            ["--layout-context", parameter_of(LAYOUT_CONTEXT)],
            metavar="VALUE[,...]",
            heading="Layout",
            help="context-parallel degree",
        ),
        SET,
    ],
    help="""Which precisions of MODEL fit: how long a context, how large a batch, how fast, and on how many cards.

    MODEL is a name (suanli list models), the path of a config.json, or its folder.
    A serving engine takes all the accelerators; --recipe asks about one precision alone.
    Exit status 1 when none fits.
    """,
    examples=(
        "suanli fit config.json --on rtx-4090",
        "suanli fit llama-3-70b --on h100 -n 2 --context 32k --batch 8",
        "suanli fit llama-3-8b --on a100 --kind train",
    ),
)
