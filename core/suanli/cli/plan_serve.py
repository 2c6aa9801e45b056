"""``suanli plan serve``."""

from __future__ import annotations

from typing import Any

import suanli
from suanli.cli.asking import SET, told
from suanli.cli.command import Command, Option
from suanli.cli.estimating import model_argument
from suanli.cli.failures import ANSWERED, DOES_NOT_FIT
from suanli.cli.plan_serve_view import blocks, rows
from suanli.cli.planning import ON, TOP, asked, field_options, progress, systems
from suanli.cli.render import write
from suanli.errors import InvalidInputError

KINDS = ("serve",)
OURS = ("workload.users", "workload.request_rate", "workload.traffic", "workload.slo")
"""Fields that options of this command stand for."""

TRAFFIC = ("visits_per_month", "minutes_per_visit")


def serve(**parameters: Any) -> int:
    """Write the accelerators that serve a demand, on each system."""
    sections, names = asked(parameters, KINDS)
    traffic = {n: parameters[n] for n in TRAFFIC if parameters[n] is not None}
    names |= {f"traffic.{n}": f"--{n.replace('_', '-')}" for n in TRAFFIC}
    names |= {n: f"--{n.replace('_', '-')}" for n in ("users", "rate", "tokens_per_s", "peak_factor")}
    names |= {"demand": "--users, --rate, --visits-per-month", "slo.ttft": "--slo-ttft", "slo.tpot": "--slo-tpot"}
    names |= {"slo": "--slo", "slo.percentile": "--slo percentile"}
    with told(names), progress() as tell:
        found = suanli.plan_serving(
            sections,
            users=parameters["users"],
            rate=parameters["rate"],
            traffic=traffic or None,
            tokens_per_s=parameters["tokens_per_s"],
            peak_factor=parameters["peak_factor"],
            slo=_slo(parameters),
            on=systems(parameters),
            progress=tell,
        )
    write(
        parameters["format"],
        data=found.to_dict,
        rows=lambda: rows(found),
        blocks=lambda: blocks(found, parameters["top"]),
    )
    return ANSWERED if found.meets else DOES_NOT_FIT


def _slo(parameters: dict[str, Any]) -> dict[str, str] | None:
    """The latency targets, from ``--slo tpot=50ms`` and from options of their own."""
    found: dict[str, str] = {}
    faults = []
    for text in (part for given in parameters["slo"] for part in given.split(",")):
        name, equals, value = text.partition("=")
        if not equals:
            faults.append(f"--slo {text!r}: expected TARGET=TIME, such as tpot=50ms")
        found[name.strip().lower()] = value.strip()
    if faults:
        raise InvalidInputError(faults)
    found |= {n: parameters[f"slo_{n}"] for n in ("ttft", "tpot") if parameters[f"slo_{n}"] is not None}
    return found or None


def _target(flags: list[str], metavar: str, help: str, **about: Any) -> Option:
    return Option(flags, metavar=metavar, heading="Target", help=help, **about)


command = Command(
    "serve",
    callback=serve,
    params=[
        model_argument(),
        _target(["--users"], "NUMBER", "Users at a time, on average; each has one request in flight."),
        _target(["--rate", "--request-rate", "rate"], "NUMBER", "Requests in a second, on average."),
        _target(["--visits-per-month"], "NUMBER", "Visits in a month of 30 days, such as 1.5B."),
        _target(["--minutes-per-visit"], "NUMBER", "How long a visit is."),
        _target(["--tokens-per-s"], "NUMBER", "Tokens in a second that each user reads, such as 8."),
        _target(["--peak-factor"], "NUMBER", "Highest demand over the mean; 1 by default."),
        _target(["--slo-ttft"], "TIME", "Longest time to the first token, such as 500ms."),
        _target(
            ["--slo-tpot"], "TIME", "Longest time between tokens; 100 ms, or what --tokens-per-s needs, by default."
        ),
        _target(["--slo"], "TARGET=TIME[,...]", "The same in one: tpot=50ms,ttft=500ms.", multiple=True),
        ON,
        *field_options(KINDS, "serve", OURS),
        SET,
        TOP,
    ],
    help="""The accelerators that serve MODEL to so many users within latency targets, on each system.

    MODEL is a name (suanli list models), the path of a config.json, or its folder.
    Engines of every size are tried, each with as many requests as the targets allow.
    Exit status 1 when no system meets the targets; what comes nearest is shown.
    """,
    examples=(
        "suanli plan serve llama-3-70b --users 500 --tokens-per-s 8 --on h100 --on 910b",
        "suanli plan serve gpt3-175b --visits-per-month 1.5B --minutes-per-visit 5 --tokens-per-s 8 --peak-factor 10",
        "suanli plan serve qwen3-32b --rate 20 --prompt 4k --output 512 --slo-tpot 50ms --slo-ttft 500ms",
    ),
)
