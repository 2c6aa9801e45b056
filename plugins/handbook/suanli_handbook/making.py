"""How the rules of this plugin are made from their formulas."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from suanli import Asked, Rule, UsualError

DENSE = "dense models, sequences much shorter than 6 x hidden"

OVER: dict[str, Mapping[str, tuple[Any, ...]]] = {}
"""The points each rule is held against the estimator at, by rule: every combination of these, for every model."""


def _rule(
    name: str,
    function: Callable[..., Any],
    text: str,
    valid: str,
    *,
    aliases: tuple[str, ...] = (),
    cases: tuple[str, ...] = (),
    reads: Mapping[str, str] | None = None,
    exact: Callable[[Asked], Any] | None = None,
    exact_by: str = "",
    exact_needs: tuple[str, ...] = ("model",),
    over: Mapping[str, tuple[Any, ...]] | None = None,
) -> Rule:
    """A rule of a formula, with its usual error where one was measured.

    Args:
        name: Of the rule.
        function: The formula, which knows its unit and source.
        text: It, as a person would write it.
        valid: When it holds.
        aliases: Other names.
        cases: Ids of the worked examples it answers.
        reads: Inputs looked up under another name than their own.
        exact: The estimator's figure for the same question; a named function, so that the rule pickles.
        exact_by: What of the estimator that is.
        exact_needs: The subjects it must be told.
        over: Values of the other inputs to judge its usual error at; see :data:`OVER`.
    """
    if exact is not None:
        OVER[name] = dict(over or {})
    return Rule.of(
        name,
        function,
        text,
        valid,
        aliases=aliases,
        cases=cases,
        reads=dict(reads or {}),
        exact=exact,
        exact_by=exact_by,
        exact_needs=exact_needs,
        usual_error=usual_errors().get(name),
    )


@functools.cache
def usual_errors() -> Mapping[str, UsualError]:
    """The measured error of each rule, as ``tools/judge_rules.py`` wrote it."""
    text = (files("suanli_handbook") / "errors.toml").read_text(encoding="utf-8")
    return {name: UsualError(**found) for name, found in tomllib.loads(text).items()}
