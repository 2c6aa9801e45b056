"""The class of every command: its examples, its options in sections, and ``--format``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

FORMATS = ("table", "json", "csv", "markdown")


class Option(click.Option):
    """An option that stands under a heading of the help."""

    def __init__(self, *args: Any, heading: str = "Options", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heading = heading


class Command(click.Command):
    """A command with examples, and options in sections."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), default_format: str = "table", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.params.append(
            click.Option(
                ["--format"],
                type=click.Choice(FORMATS),
                default=default_format,
                show_default=True,
                help="How to write the answer.",
            )
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, each under its heading."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                sections.setdefault(getattr(parameter, "heading", "Options"), []).append(record)
        last = sections.pop("Options", [])
        for heading, records in [*sections.items(), ("Options", last)]:
            with formatter.section(heading):
                formatter.write_dl(records, col_max=34)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, line by line."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")


def names_of(kinds: Iterable[str]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """A completer of the catalog's names of some kinds."""

    def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        import suanli

        try:
            found = [n for kind in kinds for n in suanli.catalog().names(kind)]
        except suanli.SuanliError:  # completion has no place to say what is wrong
            return []
        return [n for n in dict.fromkeys(found) if n.startswith(incomplete)]

    return complete
