"""What this plugin gives: number formats and precision recipes."""

from __future__ import annotations

from collections.abc import Iterable

from suanli import NumberFormat, Recipe, hookimpl
from suanli_precisions.formats import FORMATS
from suanli_precisions.recipes import SERVING, TRAINING


@hookimpl
def suanli_precisions() -> Iterable[NumberFormat | Recipe]:
    """Formats from fp64 to nvfp4; recipes for training and serving."""
    yield from FORMATS
    yield from TRAINING
    yield from SERVING
