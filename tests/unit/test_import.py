"""What importing costs, and that public names are there."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

import suanli


def loaded(code: str) -> list[str]:
    """The modules a fresh interpreter has loaded after `code`."""
    script = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


HEAVY = {"numpy", "rich", "cattrs", "pluggy", "click", "torch", "hypothesis", "pytest"}


def test_importing_is_lazy() -> None:
    """`import suanli` loads no plugin, no NumPy, nothing heavy, and of itself only the package."""
    found = loaded("import suanli")
    tops = {m.partition(".")[0] for m in found}
    assert not HEAVY & tops
    assert not {t for t in tops if t.startswith("suanli_")}
    assert [m for m in found if m.startswith("suanli")] == ["suanli"]


def test_a_name_loads_what_it_needs() -> None:
    """An error class loads no plugin and no NumPy; so does asking for the version or the names there are."""
    for code in (
        "import suanli; suanli.SuanliError",
        "import suanli; suanli.__version__",
        "import suanli; dir(suanli)",
    ):
        tops = {m.partition(".")[0] for m in loaded(code)}
        assert not HEAVY & tops
        assert not {t for t in tops if t.startswith("suanli_")}


def test_one_estimate_needs_no_numpy() -> None:
    """One training and one serving estimate of given layouts run without NumPy, rich or click."""
    code = """
import suanli
base = {"model": {"name": "llama-7b"}, "system": {"name": "dgx-a100", "accelerators": 8}}
layout = {"tensor": 8, "pipeline": 1}
train = {"micro_batch": 1, "zero": 1, "recompute": "none"}
suanli.estimate(base | {"workload": {"kind": "pretrain"}, "layout": layout | train})
suanli.estimate(base | {"workload": {"kind": "serve"}, "layout": layout})
"""
    tops = {m.partition(".")[0] for m in loaded(code)}
    assert not {"numpy", "rich", "click", "torch"} & tops


def test_testing_loads_hypothesis_only_when_asked() -> None:
    """The testing package loads neither pytest nor hypothesis before its strategies are imported."""
    tops = {m.partition(".")[0] for m in loaded("import suanli.testing")}
    assert not {"pytest", "hypothesis"} & tops
    assert "hypothesis" in {m.partition(".")[0] for m in loaded("import suanli.testing.strategies")}


@pytest.mark.parametrize("name", suanli.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """Each name in __all__ resolves, is listed by dir(), and is documented where it can be."""
    value: Any = getattr(suanli, name)
    assert name in dir(suanli)
    if callable(value) and not str(type(value)).startswith("<class 'typing"):
        assert value.__doc__, name


def test_public_names_and_their_types_agree() -> None:
    """What a type checker sees under TYPE_CHECKING is what the module gives."""
    import ast
    from pathlib import Path

    tree = ast.parse(Path(suanli.__file__).read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If))
    seen = {a.asname for n in block.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert seen | {"api_version"} == set(suanli.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="no attribute 'estimat'"):
        suanli.estimat  # noqa: B018


INTERFACE = (
    "model accelerator system load scenario estimate search rule rules catalog Workspace SuanliError Report hookimpl"
)


def test_the_interface_is_public() -> None:
    """The names others rely on."""
    assert set(INTERFACE.split()) <= set(suanli.__all__)
