"""``suanli plan train``."""

from __future__ import annotations

from typing import Any

import suanli
from suanli.cli.asking import SET, told
from suanli.cli.command import Command, Option
from suanli.cli.estimating import kind_option, model_argument
from suanli.cli.failures import ANSWERED, DOES_NOT_FIT
from suanli.cli.plan_train_view import blocks, rows
from suanli.cli.planning import ON, TOP, asked, field_options, progress, systems
from suanli.cli.render import write

KINDS = ("pretrain", "finetune")


def train(**parameters: Any) -> int:
    """Write the smallest number of accelerators that meets a target, on each system."""
    sections, names = asked(parameters, KINDS)
    names |= {"days": "--days", "budget": "--budget", "workload.tokens": "--tokens"}
    with told(names), progress() as tell:
        found = suanli.plan_training(
            sections, days=parameters["days"], budget=parameters["budget"], on=systems(parameters), progress=tell
        )
    write(
        parameters["format"],
        data=found.to_dict,
        rows=lambda: rows(found),
        blocks=lambda: blocks(found, parameters["top"]),
    )
    return ANSWERED if found.meets else DOES_NOT_FIT


command = Command(
    "train",
    callback=train,
    params=[
        model_argument(),
        Option(["--days"], metavar="NUMBER", heading="Target", help="How long the run may take, such as 30."),
        Option(
            ["--budget"],
            metavar="MONEY",
            heading="Target",
            help="What the run may cost, such as 1M; without --days, it buys the shortest run.",
        ),
        ON,
        kind_option(KINDS),
        *field_options(KINDS, "train", ()),
        SET,
        TOP,
    ],
    help="""The smallest number of accelerators that trains MODEL in time, on each system.

    MODEL is a name (suanli list models), the path of a config.json, or its folder.
    Numbers one can build are tried: divisors of a node, then whole nodes. The layout is chosen for each.
    Exit status 1 when no system meets the target; what comes nearest is shown.
    """,
    examples=(
        "suanli plan train llama-65b --tokens 1.4T --days 30 --on h100 --on a100 --on 910b",
        "suanli plan train llama-65b --tokens 1.4T --budget 1M --on h100",
        "suanli plan train ./config.json --tokens 300B --days 14 --global-batch 1024 --price-per-hour 2.5",
    ),
)
