"""``suanli model``."""

from __future__ import annotations

from typing import Any

import click

import suanli
from suanli.cli.blocks import Rows
from suanli.cli.command import Command, Option, names_of
from suanli.cli.model_view import Asked, anatomy, blocks, side_by_side
from suanli.cli.render import write
from suanli.errors import InvalidInputError, SuanliError, UnknownNameError
from suanli.units import parse


def model(names: tuple[str, ...], sequence: str | None, batch: str, precision: str, format: str) -> int:
    """Write the anatomy of a model, or of several side by side."""
    faults: list[str] = []
    models = []
    for name in names:
        try:
            models.append(suanli.model(name))
        except UnknownNameError as exc:
            faults.append(str(exc))
        except InvalidInputError as exc:
            faults += [f"{exc.where}: {e}" if exc.where else e for e in exc.errors]
    if faults:
        raise InvalidInputError(faults)
    shortest = min(2048, *(m.context or 2048 for m in models), 2048)
    asked = Asked(
        sequence=_count("--sequence", sequence) if sequence is not None else shortest,
        batch=_count("--batch", batch),
        precision=precision,
    )
    found = [anatomy(m, asked) for m in models]
    data: Any = found[0] if len(found) == 1 else found
    write(
        format,
        data=lambda: data,
        rows=lambda: _rows(found),
        blocks=lambda: blocks(models[0], asked) if len(models) == 1 else side_by_side(found),
    )
    return 0


def _count(option: str, text: str) -> int:
    try:
        number = parse(text, "count")
    except ValueError as exc:
        raise SuanliError(f"{option}: {exc}") from None
    if not 0 < number <= 10**9:
        raise SuanliError(f"{option}: must be 1 to 1000000000, got {text}")
    return int(number)


def _rows(found: list[dict[str, Any]]) -> Rows:
    if len(found) == 1:
        return [
            {"block": block["name"], "times": block["times"]} | operator
            for block in found[0]["blocks"]
            for operator in block["operators"]
        ]
    return [{k: v for k, v in one.items() if not isinstance(v, (list, dict))} for one in found]


command = Command(
    "model",
    callback=model,
    params=[
        click.Argument(["names"], nargs=-1, required=True, metavar="MODEL...", shell_complete=names_of(["model"])),
        Option(["--sequence"], metavar="NUMBER", help="Tokens to count at; 2048 by default, or the model's context."),
        Option(["--batch"], metavar="NUMBER", default="1", show_default=True, help="Sequences to count at."),
        Option(
            ["--precision"],
            metavar="NAME",
            default="bf16",
            show_default=True,
            help="Format of cached keys and values.",
            shell_complete=names_of(["precision"]),
        ),
    ],
    help="""What a model is made of: blocks and operators with parameters, FLOPs and memory.

    MODEL is a name (suanli list models), the path of a config.json or of a GGUF file, or a folder;
    headers of safetensors files beside a config.json in a folder are held against it.
    Several are compared side by side.
    """,
    examples=(
        "suanli model llama-3-70b",
        "suanli model ./config.json --sequence 8k",
        "suanli model llama-3-8b mixtral-8x7b --format markdown",
    ),
)
