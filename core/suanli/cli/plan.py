"""``suanli plan``: from a target to accelerators."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

import suanli
from suanli.cli.asking import told
from suanli.cli.command import Command, Option
from suanli.cli.failures import ANSWERED, DOES_NOT_FIT
from suanli.cli.plan_view import compute_blocks, compute_rows
from suanli.cli.planning import ON, TOP, systems
from suanli.cli.render import write
from suanli.errors import clip, near

PLANS = {
    "train": "The accelerators that train a model in so many days, or for so much money.",
    "serve": "The accelerators that serve so many users within latency targets.",
}
"""Every plan from a model; the module of the same name, after ``plan_``, has the rest."""


class Plans(Command, click.Group):
    """A command with options of its own, and a command for each plan from a model."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return list(PLANS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them, its module imported."""
        if cmd_name not in PLANS:
            return None
        found: click.Command = import_module(f"suanli.cli.plan_{cmd_name}").command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command the arguments name; near matches are said."""
        name = args[0]
        if name in PLANS or name.startswith("-"):
            return super().resolve_command(ctx, args)
        close = near(name, PLANS)
        meant = f" Did you mean {close[0]!r}?" if close else f" Plans are {', '.join(PLANS)}, and --compute."
        raise click.UsageError(f"no plan named {clip(name)!r}.{meant}", ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, and the plans from a model."""
        super().format_options(ctx, formatter)
        with formatter.section("Commands"):
            formatter.write_dl(list(PLANS.items()))


def compute(**parameters: Any) -> int:
    """Write the accelerators whose peaks add up to a rate."""
    ctx = click.get_current_context()
    target = {name: parameters[name] for name in parameters if name not in ("format", "top")}
    if ctx.invoked_subcommand is not None:
        given = [n for n in parameters if ctx.get_parameter_source(n) is click.core.ParameterSource.COMMANDLINE]
        if given:
            raise click.UsageError(f"--{given[0].replace('_', '-')} goes behind {ctx.invoked_subcommand!r}", ctx)
        return ANSWERED
    if parameters["compute"] is None:
        raise click.UsageError("give --compute RATE, or one of the plans from a model: train, serve", ctx)
    target["on"] = systems(parameters)
    names = {"compute": "--compute", "on": "--on", "precision": "--precision"}
    with told(names | {"price_per_hour": "--price-per-hour"}):
        found = suanli.plan_compute(target.pop("compute"), **target)
    write(
        parameters["format"],
        data=found.to_dict,
        rows=lambda: compute_rows(found),
        blocks=lambda: compute_blocks(found, parameters["top"]),
    )
    return ANSWERED if found.meets else DOES_NOT_FIT


command = Plans(
    "plan",
    callback=compute,
    invoke_without_command=True,
    params=[
        Option(["--compute"], metavar="RATE", heading="Target", help="A total peak rate, such as 1000P."),
        Option(["--sparse"], is_flag=True, heading="Target", help="Count on structured sparsity; dense by default."),
        Option(
            ["--precision"],
            metavar="NAME",
            default="bf16",
            show_default=True,
            heading="Target",
            help="The path whose peak counts, such as bf16, tf32 or fp8.",
        ),
        ON,
        Option(["--price-per-hour"], metavar="PRICE", heading="Assumptions", help="price of one accelerator"),
        Option(["--currency"], metavar="NAME", heading="Assumptions", help="currency of the prices"),
        TOP,
    ],
    help="""From a target to the accelerators that meet it, on paper (--compute) or for a model (train, serve).

    Ranked by cost where prices are known, else by the number of accelerators.
    Exit status 1 when nothing meets the target.
    """,
    examples=(
        "suanli plan --compute 1000P --sparse --on h100",
        "suanli plan --compute 1000P --precision fp8",
        "suanli plan train llama-65b --tokens 1.4T --days 30 --on h100 --on a100 --on 910b",
        "suanli plan serve llama-3-70b --users 500 --tokens-per-s 8 --on h100 --on 910b",
    ),
)
