"""How far every rule of thumb lies from the estimator, over the models and machines of the catalog.

    python tools/judge_rules.py                     # all rules, as a table
    python tools/judge_rules.py training-time       # some
    python tools/judge_rules.py --write             # and write them where the handbook reads them

A rule is asked at every combination of its sample points (`suanli_handbook.making.OVER`), for every model of the
catalog where it can be read from one, whether or not the rule is valid for it: whoever asks a rule beyond what it is
valid for should see how far it then lies. What cannot run, or has no figure to be held against, is left out.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import math
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import suanli
from suanli import Rule, SuanliError, UsualError
from suanli.rule_inputs import LOOKED_UP
from suanli_handbook.making import OVER
from suanli_handbook.rules import RULES

DIGITS = 4
EVERY = 4
"""Of the models in order of size, one in so many is asked: enough for a median, and a test can ask them again."""
HEAD = "# How far each rule of thumb lies from the estimator: written by tools/judge_rules.py, not by hand.\n"


def judged() -> tuple[Rule, ...]:
    """The rules the estimator has a figure for."""
    return tuple(rule for rule in RULES if rule.exact is not None)


def points(rule: Rule) -> list[dict[str, Any]]:
    """The inputs a rule is asked with: every combination of its sample points, for every model or accelerator."""
    over: dict[str, Sequence[Any]] = dict(OVER[rule.name])
    subjects = {s for name in rule.readable.values() for s in LOOKED_UP[name].subjects}
    if "model" in {*rule.exact_needs, *subjects}:
        over = {"model": _ours("model")} | over
    elif "accelerator" in rule.exact_needs:
        over = {"accelerator": _ours("accelerator")} | over
    return [dict(zip(over, values, strict=True)) for values in itertools.product(*over.values())]


@functools.cache
def _ours(kind: str) -> tuple[str, ...]:
    """The names of a kind that this distribution gives, whatever else is installed; of models, one in `EVERY`."""
    found = tuple(e.name for e in suanli.catalog().entries(kind) if e.provider.distribution == "suanli")
    if kind != "model":
        return found
    return tuple(sorted(found, key=lambda name: suanli.model(name).parameters.total)[::EVERY])


def errors(rule: Rule, asked: Sequence[Mapping[str, Any]]) -> Iterator[float]:
    """Rule over estimator - 1 at each point that has an answer."""
    for inputs in asked:
        try:
            found = rule(**inputs).difference_ratio
        except SuanliError:
            continue  # beyond the catalog: an accelerator without that format, a model without that role
        yield from (d for d in (found if isinstance(found, list) else [found]) if d is not None)


def usual(rule: Rule, every: int = 1) -> UsualError | None:
    """The usual error of a rule; None where no point has an answer.

    Args:
        rule: Which.
        every: Ask at each so-manyth point only.
    """
    asked = points(rule)[::every]
    found = sorted(errors(rule, asked))
    if not found:
        return None
    return UsualError(
        median=_rounded(statistics.median(found)),
        low=_rounded(_quantile(found, 0.1)),
        high=_rounded(_quantile(found, 0.9)),
        count=len(found),
        over=_over(asked),
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    """A quantile, between neighbours where it falls between them."""
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def _rounded(number: float) -> float:
    return round(number, DIGITS) + 0.0  # no -0.0


def _over(asked: Sequence[Mapping[str, Any]]) -> str:
    """What the points are, in words."""
    said = []
    for key in asked[0]:
        values = list(dict.fromkeys(inputs[key] for inputs in asked))
        if key == "model":
            models = [suanli.model(name) for name in values]
            dense = sum(m.parameters.active == m.parameters.total for m in models)
            said.append(f"{len(models)} models ({dense} dense, {len(models) - dense} mixtures of experts)")
        elif key == "accelerator":
            said.append(f"{len(values)} accelerators")
        else:
            said.append(f"{key} {' or '.join(f'{v:g}' if isinstance(v, float) else str(v) for v in values)}")
    return f"answers: {' x '.join(said)}"


def _table(found: Mapping[str, UsualError | None]) -> str:
    lines = []
    for name, error in found.items():
        if error is None:
            lines.append(f"{name:26}  no answers")
            continue
        lines.append(
            f"{name:26} {error.median:+8.1%}  {error.low:+8.1%} {error.high:+8.1%}  {error.count:5} {error.over}"
        )
    return "\n".join(lines)


def _toml(found: Mapping[str, UsualError | None]) -> str:
    text = HEAD
    for name, error in sorted(found.items()):
        if error is not None:
            text += f"\n[{name}]\nmedian = {error.median}\nlow = {error.low}\nhigh = {error.high}\n"
            text += f'count = {error.count}\nover = "{error.over}"\n'
    return text


def main(arguments: Sequence[str]) -> int:
    """Judge, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("rules", nargs="*", help="names of rules; all of them by default")
    parser.add_argument("--write", action="store_true", help="write the handbook's errors.toml")
    given = parser.parse_args(arguments)
    if given.write and given.rules:
        parser.error("--write is for all rules together")
    found = {rule.name: usual(rule) for rule in judged() if not given.rules or rule.name in given.rules}
    print(_table(found))
    if given.write:
        Path(str(files("suanli_handbook") / "errors.toml")).write_text(_toml(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
