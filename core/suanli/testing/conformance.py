"""Holds a plugin to the checks, one test each: ``pytest --pyargs suanli.testing.conformance --suanli-plugin NAME``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from suanli.testing.checks.running import Pair


def test_conforms(suanli_pair: Pair) -> None:
    """What the plugin gives keeps the documented rule."""
    from suanli.testing.checks.running import run_check

    faults = run_check(suanli_pair)
    if faults:
        told = "\n  - ".join(("", *faults))
        raise AssertionError(f"{suanli_pair.id}{told}\n  rule: {suanli_pair.check.rule}")
