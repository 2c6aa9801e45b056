"""What `train`, `serve` and `run` share: from a scenario to a report, written and judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

import suanli
from suanli.cli import asking, report_view
from suanli.cli.asking import NUMBER, ON, SET, Told, told
from suanli.cli.command import FORMATS, Command, names_of
from suanli.cli.failures import ANSWERED, DOES_NOT_FIT
from suanli.cli.fields import options
from suanli.cli.render import say, write
from suanli.exporters import exporter_for
from suanli.specs import Scenario


def answer(scenario: Scenario, names: Told, format: str) -> int:
    """Estimate a scenario, write its report, and return the exit status."""
    if format not in FORMATS:  # told before an estimate that may take a while
        exporter_for(suanli.catalog(), format, scenario.workload.kind)
    with told(names):
        report = suanli.estimate(scenario)
    if format in FORMATS:
        write(
            format,
            data=report.to_dict,
            rows=lambda: report_view.rows(report),
            blocks=lambda: report_view.blocks(report),
        )
    else:
        written = report.export(format)
        say(written if isinstance(written, bytes) or written.endswith("\n") else f"{written}\n")
    return ANSWERED if report.fits else DOES_NOT_FIT


def model_argument(required: bool = False) -> click.Argument:
    """MODEL: a name in the catalog, or a path; --config and --family may stand in for it."""
    return click.Argument(["model"], required=required, shell_complete=names_of(["model"]))


def kind_option(kinds: Sequence[str]) -> click.Option:
    """--kind, where a command has more than one kind of workload."""
    from suanli.cli.command import Option

    return Option(
        ["--kind"],
        metavar="|".join(kinds),
        heading="Workload",
        help=f"What is done with it; as the options imply, else {kinds[0]}.",
    )


def command(name: str, kinds: Sequence[str], *, help: str, examples: Sequence[str]) -> Command:
    """A command that estimates what its options say.

    Args:
        name: Its name.
        kinds: Of workload; the first is the default.
        help: Its help text.
        examples: Command lines to show.
    """
    known = tuple(kinds)

    def run(**parameters: Any) -> int:
        scenario, names = asking.from_options(parameters, known)
        return answer(scenario, names, parameters["format"])

    extra = [kind_option(known)] if len(known) > 1 else []
    return Command(
        name,
        callback=run,
        params=[model_argument(), ON, NUMBER, *extra, *options(known, name), SET],
        help=help,
        examples=examples,
        exports=True,
    )
