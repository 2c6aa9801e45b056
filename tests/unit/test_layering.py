"""Who may import whom."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import suanli

CORE = Path(suanli.__file__).parent
PLUGINS = {
    "suanli_ascend",
    "suanli_exporters",
    "suanli_handbook",
    "suanli_models",
    "suanli_nvidia",
    "suanli_optimizers",
    "suanli_parallel",
    "suanli_precisions",
    "suanli_prices",
    "suanli_serving",
    "suanli_training",
}
DEPENDENCIES = {"attrs", "attr", "cattrs", "click", "numpy", "pluggy", "rich"}
TESTING = {"pytest", "hypothesis"}


def folder(package: str) -> Path:
    """Where a package is installed, without importing what it holds."""
    import importlib.util

    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


FILES = [(p, f) for p in ("suanli", *sorted(PLUGINS)) for f in sorted(folder(p).rglob("*.py"))]
IDS = [f"{p}/{f.name}" for p, f in FILES]


def imports(file: Path) -> Iterator[tuple[str, int]]:
    """Every module a file imports, anywhere in it, with its line."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: a relative import"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


@pytest.mark.parametrize(("package", "file"), FILES, ids=IDS)
def test_a_file_imports_what_it_may(package: str, file: Path) -> None:
    """Core imports no plugin; a plugin imports suanli and itself, and of suanli nothing with an underscore."""
    testing = package == "suanli" and file.parent == CORE / "testing"
    for name, line in imports(file):
        top = name.partition(".")[0]
        where = f"{file}:{line}: {name}"
        known = top in sys.stdlib_module_names or top in DEPENDENCIES or top in ("suanli", "__future__", package)
        assert known or (testing and top in TESTING), where
        assert top not in TESTING or testing, where
        assert top in (package, "suanli") or not top.startswith("suanli"), where
        if package != "suanli" and top == "suanli":
            assert not any(part.startswith("_") for part in name.split(".")), where
        assert top not in ("core", "plugins", "tests", "torch"), where


def formulas() -> list[tuple[Path, str]]:
    """Every file that defines a formula, and the formula."""
    found = []
    for _, file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and any(
                isinstance(d, ast.Call) and getattr(d.func, "id", "") == "formula" for d in node.decorator_list
            ):
                found.append((file, node.name))
    return found


FORMULAS = formulas()


@pytest.mark.parametrize(("file", "name"), FORMULAS, ids=[n for _, n in FORMULAS])
def test_a_formula_is_pure(file: Path, name: str) -> None:
    """A formula takes keywords, is documented, and uses no sum, power sign, math, matrix product or loop over axes."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    node = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == name)
    assert not node.args.args, "positional arguments"
    assert not node.args.posonlyargs
    assert node.args.kwonlyargs
    assert ast.get_docstring(node)
    for inner in ast.walk(node):
        where = f"{file}:{getattr(inner, 'lineno', 0)}"
        assert not isinstance(inner, (ast.Global, ast.Nonlocal, ast.Pow, ast.MatMult, ast.Import, ast.ImportFrom)), (
            where
        )
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name):
            assert inner.func.id not in ("sum", "pow", "print", "open", "max", "min"), where
        if isinstance(inner, ast.Name):
            assert inner.id != "math", where


def test_formulas_are_found() -> None:
    """The test above has something to look at, in core and in plugins."""
    packages = {f.parts[f.parts.index("site-packages") + 1] if "site-packages" in f.parts else f.parent.name
                for f, _ in FORMULAS}  # fmt: skip
    assert len(FORMULAS) > 50
    assert {"suanli", "suanli_training", "suanli_serving", "suanli_parallel", "suanli_handbook"} <= packages


def test_every_plugin_of_ours_is_looked_at() -> None:
    """A plugin that comes is held to the rules too: name it above."""
    from importlib import metadata

    points = [p for p in metadata.entry_points(group="suanli") if p.dist is not None and p.dist.name == "suanli"]
    assert {p.value.partition(".")[0] for p in points} == PLUGINS


SIZE = {"": 300, "plugin.py": 40}


@pytest.mark.parametrize("package", sorted(PLUGINS))
def test_a_plugin_s_hooks_are_in_a_short_module(package: str) -> None:
    """What a plugin gives is read in one screen: plugin.py has under fifty lines."""
    lines = (folder(package) / "plugin.py").read_text(encoding="utf-8").count("\n")
    assert lines <= 50
