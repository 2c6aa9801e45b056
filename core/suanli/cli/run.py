"""``suanli run``."""

import click

from suanli.cli.asking import SET, from_file
from suanli.cli.command import Command
from suanli.cli.estimating import answer


def run(scenario: str, changes: tuple[str, ...], format: str) -> int:
    """Write the report of a scenario file."""
    asked, names = from_file(scenario, changes)
    return answer(asked, names, format)


command = Command(
    "run",
    callback=run,
    params=[click.Argument(["scenario"], type=click.Path(), metavar="SCENARIO.TOML"), SET],
    help="The report of a scenario file, TOML or JSON. `suanli schema` says what may stand in it.",
    examples=(
        "suanli run scenario.toml",
        "suanli run scenario.toml --set layout.tensor=4 --set layout.data=",
        "suanli run scenario.json --format json",
        "suanli run scenario.toml --format html > report.html",
    ),
    exports=True,
)
