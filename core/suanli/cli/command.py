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


def report_format(value: str) -> str:
    """A format every command writes, or the name of an exporter; plugins are asked only for the latter.

    Raises:
        UnknownNameError: With near matches.
    """
    if value in FORMATS:
        return value
    import suanli

    catalog = suanli.catalog()
    try:
        return catalog.entry("exporter", value).name
    except suanli.UnknownNameError:
        known = (*FORMATS, *catalog.names("exporter"))
        raise suanli.UnknownNameError("format", value, known, "See `suanli list exporters`.") from None


class Command(click.Command):
    """A command with examples, and options in sections.

    Args:
        examples: Command lines to show.
        default_format: What ``--format`` is where it is left out.
        exports: Whether the answer is a report, which exporters of plugins write too.
    """

    def __init__(
        self,
        *args: Any,
        examples: Sequence[str] = (),
        default_format: str = "table",
        exports: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        about: dict[str, Any] = {"type": click.Choice(FORMATS), "help": "How to write the answer."}
        if exports:
            about = {"type": report_format, "metavar": f"[{'|'.join(FORMATS)}]|NAME"}
            about["shell_complete"] = names_of(["exporter"], FORMATS)
            about["help"] = "How to write the answer; `suanli list exporters` has those plugins add."
        self.params.append(click.Option(["--format"], default=default_format, show_default=True, **about))

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


def names_of(
    kinds: Iterable[str], also: Iterable[str] = ()
) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """A completer of the catalog's names of some kinds, and of others."""

    def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        import suanli

        try:
            found = [n for kind in kinds for n in suanli.catalog().names(kind)]
        except suanli.SuanliError:  # completion has no place to say what is wrong
            found = []
        return [n for n in dict.fromkeys([*also, *found]) if n.startswith(incomplete)]

    return complete
