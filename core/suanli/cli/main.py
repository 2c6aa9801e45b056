"""The ``suanli`` command: finds commands by name, and turns every error into one readable block.

Nothing but click is loaded here, so that help and completion are quick.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from suanli.cli.failures import FAULT, block_of, status_of

COMMANDS: dict[str, str] = {
    "train": "How fast a model trains, in how much memory, at what cost.",
    "serve": "How fast a model answers requests, and how many at a time.",
    "fit": "Which precisions fit, how long a context, how large a batch, on how many cards.",
    "plan": "From a target to accelerators: a total rate, a training run, a service.",
    "run": "The report of a scenario file.",
    "search": "The best layouts for a scenario, ranked.",
    "explain": "How a figure came about, down to its sources.",
    "model": "What a model is made of: parameters, FLOPs, memory.",
    "verify": "A model's figures beside those of the real classes.",
    "compare": "Accelerators, or reports of scenarios, side by side.",
    "rule": "Rules of thumb: list them, or ask one.",
    "roofline": "What peaks and memory allow, and where kernels lie under it.",
    "bench": "Measure kernels and exchanges on this machine's device.",
    "calibrate": "Fit an accelerator's models to measurements of it.",
    "list": "What is installed: accelerators, systems, models ...",
    "plugins": "Who provides it, and what failed to load.",
    "new-plugin": "The skeleton of a plugin that adds an accelerator.",
    "schema": "The JSON Schema of scenario and report.",
    "completion": "A script that completes commands and names in your shell.",
}
"""Every command and its line of help; the module of the same name, - written _, has the rest."""

EXAMPLES = (
    "suanli train llama-65b --on dgx-a100 -n 2048 --tokens 1.4T",
    "suanli serve llama-3-70b --on dgx-h100 -n 8 --prompt 4k --output 1k --concurrency 64",
    "suanli run scenario.toml --set layout.tensor=4 --format json",
    "suanli list accelerators",
)


class Commands(click.Group):
    """Commands whose modules are imported when one is run; every error is told, none is traced."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, its module imported."""
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = import_module(f"suanli.cli.{cmd_name.replace('-', '_')}").command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command the arguments name; what is not there yet, and near matches, are said."""
        name = args[0]
        if name in COMMANDS or name.startswith("-"):
            return super().resolve_command(ctx, args)
        from suanli.errors import clip, near

        close = near(name, COMMANDS)
        meant = f" Did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
        raise click.UsageError(f"no command named {clip(name)!r}.{meant}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, line by line."""
        with formatter.section("Examples"):
            for example in EXAMPLES:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and exit: 0 answered, 1 does not fit, 2 bad input, 70 a fault of suanli's own."""
        _tolerant()
        try:
            status = super().main(*args, **kwargs | {"standalone_mode": False})
        except Exception as exc:
            status = status_of(exc)
            if status == FAULT and _wants_traceback():
                raise
            click.echo(block_of(exc), err=True)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            status = 130
        sys.exit(status or 0)


def _wants_traceback() -> bool:
    import os

    return bool(os.environ.get("SUANLI_TRACEBACK"))


def _tolerant() -> None:
    """Let a terminal that lacks a character show another in its place."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from importlib import metadata

        click.echo(f"suanli {metadata.version('suanli')}")
        ctx.exit()


@click.group(
    cls=Commands,
    name="suanli",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Does this model fit, how fast will it train or serve, on how many accelerators, and why.

    Exit status: 0 answered; 1 answered, and it does not fit; 2 bad input.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    """The console script."""
    cli.main(prog_name="suanli")
