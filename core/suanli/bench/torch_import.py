"""The one place that imports torch, which is an extra: nothing but a measurement needs it."""

from __future__ import annotations

import importlib
from typing import Any

from suanli.errors import SuanliError

INSTALL = "pip install 'suanli[bench]'"


def import_torch() -> Any:
    """The torch module.

    Raises:
        SuanliError: With the command that installs it, where it is missing or broken.
    """
    try:
        return importlib.import_module("torch")
    except ImportError as exc:
        missing = isinstance(exc, ModuleNotFoundError) and exc.name == "torch"
        said = "measuring needs torch, which is not installed" if missing else f"torch does not load: {exc}"
        raise SuanliError(f"{said}; install it with: {INSTALL}") from None


def torch_part(name: str) -> Any:
    """A module of torch that is not loaded with it, such as ``"nn.attention"``."""
    return importlib.import_module(f"torch.{name}")


def import_npu() -> Any:
    """The torch_npu module, which registers Ascend devices with torch.

    Raises:
        SuanliError: Where it is missing or broken.
    """
    try:
        return importlib.import_module("torch_npu")
    except ImportError as exc:
        said = f"--device npu needs torch_npu, which does not load: {exc}"
        raise SuanliError(f"{said}; install the one of your CANN and torch version (Ascend/pytorch)") from None
