"""The one place that imports scipy, which is an extra: nothing but a fit needs it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from suanli.errors import SuanliError

INSTALL = "pip install 'suanli[calibrate]'"


def import_least_squares() -> Callable[..., Any]:
    """The function ``scipy.optimize.least_squares``.

    Raises:
        SuanliError: With the command that installs scipy, where it is missing or broken.
    """
    try:
        found: Callable[..., Any] = importlib.import_module("scipy.optimize").least_squares
    except ImportError as exc:
        missing = isinstance(exc, ModuleNotFoundError) and (exc.name or "").partition(".")[0] == "scipy"
        said = "fitting needs scipy, which is not installed" if missing else f"scipy does not load: {exc}"
        raise SuanliError(f"{said}; install it with: {INSTALL}") from None
    return found
