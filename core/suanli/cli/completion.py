"""``suanli completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from suanli.cli.blocks import Text
from suanli.cli.command import Command
from suanli.cli.render import say, write

SHELLS = ("bash", "zsh", "fish")


def completion(shell: str, format: str) -> int:
    """Write the script that completes in a shell."""
    from suanli.cli.main import cli

    maker = get_completion_class(shell)
    assert maker is not None
    script = maker(cli, {}, "suanli", "_SUANLI_COMPLETE").source()
    if format == "table":
        say(script.rstrip() + "\n")
        return 0
    row = {"shell": shell, "script": script}
    write(format, data=lambda: row, rows=lambda: [row], blocks=lambda: [Text(text=script)])
    return 0


command = Command(
    "completion",
    callback=completion,
    params=[click.Argument(["shell"], type=click.Choice(SHELLS))],
    help="A script that completes commands, options and catalog names. Have your shell read it when it starts.",
    examples=(
        "suanli completion bash > ~/.local/share/bash-completion/completions/suanli",
        "suanli completion zsh > ~/.zfunc/_suanli",
        "suanli completion fish > ~/.config/fish/completions/suanli.fish",
    ),
)
