"""Mutation testing: do the quick tests notice when an operator, a comparison, a constant or a condition is changed?

    python tools/mutate.py                          # a sample of every module below
    python tools/mutate.py formulas --most 40       # more of some
    python tools/mutate.py --all catalogs           # every mutant of one
    python tools/mutate.py --seed 7                 # another sample, that no test was written after
    python tools/mutate.py --markdown FILE          # and write the table and the survivors

Each mutant is one change to a copy of the sources, run against the tests that know the module, the nearest first; a
mutant that no test notices survives. The tests pass without a change, or nothing is said. The sample is drawn with a
fixed seed, so that a score can be had again.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[1]
SEED = 20
LEAST_LIMIT_S, LIMIT_RATIO = 60.0, 6.0
"""What tests may take before they count as never ending: so many times what they take of the sources unchanged."""
SERVING = ("tests/reference/test_articles_serving.py", "tests/reference/test_articles_training.py")
RULES = ("tests/unit/test_rules.py", "tests/unit/test_rule_readings.py", "tests/unit/test_rule_kinds.py")
LAWS = (
    "tests/reference/test_by_hand.py",
    "tests/reference/test_korthikanti.py",
    *(f"tests/property/test_{name}.py" for name in ("pipeline", "activations", "laws", "tables")),
)
VALUES = "tests/unit/test_values.py"
PLUGINS = ("tests/unit/test_plugins.py", "tests/unit/test_broken_plugins.py")

MODULES: dict[str, tuple[tuple[str, ...], tuple[str, ...], int]] = {
    # where the sources are, the tests that know them, and how many mutants a sample has
    "formulas": (
        ("core/suanli/formulas.py",),
        ("tests/unit/test_formulas.py", "tests/unit/test_catalog_files.py", VALUES),
        20,
    ),
    "units": (("core/suanli/units.py",), ("tests/unit/test_units.py", "tests/property/test_units.py"), 40),
    "kernels": (
        ("core/suanli/kernels.py", "core/suanli/kernel_models"),
        (
            "tests/unit/test_kernel_models.py",
            "tests/unit/test_kernels.py",
            "tests/unit/test_carrying.py",
            "tests/property/test_kernels.py",
            "tests/reference/test_kernels.py",
            VALUES,
        ),
        60,
    ),
    "collectives": (
        ("core/suanli/collectives",),
        (
            "tests/unit/test_collectives.py",
            "tests/property/test_collectives.py",
            "tests/reference/test_collectives.py",
            VALUES,
        ),
        60,
    ),
    "optimizer": (
        ("core/suanli/optimizer.py",),
        (
            "tests/unit/test_optimizers.py",
            VALUES,
            "tests/property/test_optimizers.py",
            "tests/reference/test_optimizer_states.py",
            "tests/reference/test_states.py",
        ),
        15,
    ),
    "costs": (("core/suanli/costs.py",), ("tests/unit/test_prices.py", "tests/property/test_prices.py"), 12),
    "plugins": (
        ("core/suanli/plugins.py",),
        (*PLUGINS, VALUES, "tests/unit/test_catalogs.py", "tests/unit/test_conformance.py"),
        25,
    ),
    "catalogs": (
        ("core/suanli/catalogs.py", "core/suanli/catalog_files.py"),
        (
            "tests/unit/test_catalogs.py",
            "tests/unit/test_catalog_files.py",
            *PLUGINS,
            VALUES,
            "tests/unit/test_prices.py",
            "tests/unit/test_confidential.py",
        ),
        30,
    ),
    "exporters": (("plugins/exporters/suanli_exporters",), ("tests/unit/test_exporters.py",), 25),
    "rulebook": (
        (
            "core/suanli/rulebook.py",
            "core/suanli/rule_inputs.py",
            "core/suanli/rule_kinds.py",
            "core/suanli/rule_readings.py",
        ),
        (*RULES, "tests/unit/cli/test_rule.py", *SERVING),
        40,
    ),
    "handbook": (
        ("plugins/handbook/suanli_handbook",),
        (
            "tests/reference/test_rule_formulas.py",
            "tests/unit/test_handbook.py",
            *SERVING,
            *RULES,
            "tests/reference/test_rule_errors.py",
        ),
        40,
    ),
    "training": (
        (
            "plugins/training/suanli_training/step.py",
            "plugins/training/suanli_training/throughput.py",
            "plugins/training/suanli_training/memory.py",
        ),
        LAWS,
        30,
    ),
    "serving": (
        ("plugins/serving/suanli_serving",),
        (
            "tests/reference/test_serving_by_hand.py",
            "tests/unit/test_engines.py",
            "tests/docs/test_accuracy.py",
            "tests/unit/test_paging.py",
            SERVING[0],
            "tests/property/test_tables.py",
            "tests/property/test_laws.py",
        ),
        40,
    ),
}

ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
}
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
CALLS = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "ceil": "floor", "floor": "ceil"}
CALLS |= {"any": "all", "all": "any"}
PYTEST = (sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header")


@attrs.frozen
class Mutant:
    """One change of one file.

    Attributes:
        file: It is made in, from the root.
        line: It is made on.
        start: Offset of what is replaced, in bytes.
        end: Offset past it.
        old: What was there.
        new: What is there instead.
    """

    file: str
    line: int
    start: int
    end: int
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: `{self.old}` -> `{self.new}`"


def mutants_of(file: Path, root: Path) -> Iterator[Mutant]:
    """Every change of a file under a root, in the order of its lines; of each place one."""
    data = file.read_bytes()
    lines = [0]
    for line in data.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    tree = ast.parse(data)
    quiet = set(_not_run(tree))
    for node in ast.walk(tree):
        changed = None if node in quiet else _changed(node)
        if changed is None or not isinstance(node, ast.expr):
            continue
        start = lines[node.lineno - 1] + node.col_offset
        end = lines[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        old = data[start:end].decode()
        new = ast.unparse(changed)
        yield Mutant(str(file.relative_to(root)), node.lineno, start, end, " ".join(old.split()), f"({new})")


def _not_run(tree: ast.AST) -> Iterator[ast.AST]:
    """What changes nothing anybody could notice, or only words.

    Annotations, documentation, imports for a type checker, messages and how long they get, and what is only kept
    to be sooner done: a hash, and how many answers a function remembers.
    """
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.AnnAssign):
            parts.append(node.annotation)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            every = (*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs, node.args.vararg, node.args.kwarg)
            parts += [node.returns, *(a.annotation for a in every if a is not None)]
        elif isinstance(node, ast.keyword) and node.arg in ("cache_hash", "maxsize"):
            parts.append(node.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "clip":
            parts += node.args[1:]
        typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        parts += [node] if typing or isinstance(node, ast.JoinedStr) else []
        for part in parts:
            if part is not None:
                yield from ast.walk(part)


def _changed(node: ast.AST) -> ast.expr | None:
    """A node changed a little; None where there is no such change."""
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC and not _is_text(node):
        return ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        return ast.Compare(node.left, [COMPARISONS[type(node.ops[0])](), *node.ops[1:]], node.comparators)
    if isinstance(node, ast.BoolOp):
        return ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return node.operand
    if isinstance(node, ast.IfExp):
        return ast.IfExp(node.test, node.orelse, node.body)
    if isinstance(node, ast.Constant):
        return _other(node.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
        return ast.Call(ast.Name(CALLS[node.func.id]), node.args, node.keywords)
    return None


def _other(value: object) -> ast.expr | None:
    if isinstance(value, bool):
        return ast.Constant(not value)
    if isinstance(value, int):
        return ast.Constant(value + 1)
    if isinstance(value, float):
        return ast.Constant(value * 2.0 or 1.0)
    return None


def _is_text(node: ast.BinOp) -> bool:
    ends = (node.left, node.right)
    return any(isinstance(e, ast.JoinedStr) or (isinstance(e, ast.Constant) and isinstance(e.value, str)) for e in ends)


def sources(places: Iterable[str], root: Path) -> list[Path]:
    """The files of some places under a root."""
    found: list[Path] = []
    for place in places:
        path = root / place
        found += [path] if path.is_file() else sorted(path.rglob("*.py"))
    return found


class Copy:
    """A copy of the sources and tests that mutants are made in, one at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("core", "plugins", "tests", "tools", "docs", "pyproject.toml"):
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / name)
        packages = [folder / "core", *sorted((folder / "plugins").iterdir())]
        self.env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, packages)), "HYPOTHESIS_PROFILE": "ci"}
        self.limit_s = LEAST_LIMIT_S

    def _status(self, tests: Sequence[str], env: Mapping[str, str], limit_s: float | None) -> int:
        """What pytest ends with, which is negative where the system ended it."""
        done = subprocess.run(
            [*PYTEST, *tests], cwd=self.folder, env=env, capture_output=True, timeout=limit_s, check=False
        )
        return done.returncode

    def passes(self, tests: Sequence[str]) -> bool:
        """Whether the tests pass without a change; how long they take, and their bytecode, are kept for the mutants.

        The bytecode is that of unchanged files only: it names the time and size of the file it was made from.
        """
        began = time.monotonic()
        status = self._status(tests, self.env, None)
        self.limit_s = max(LEAST_LIMIT_S, LIMIT_RATIO * (time.monotonic() - began))
        return status == 0

    def survives(self, mutant: Mutant, tests: Sequence[str]) -> bool:
        """Whether no test notices a mutant; tests that never end do, a pytest that the system ended does not."""
        file = self.folder / mutant.file
        data, made_ns = file.read_bytes(), file.stat().st_mtime_ns
        file.write_bytes(data[: mutant.start] + mutant.new.encode() + data[mutant.end :])
        os.utime(file, ns=(made_ns, made_ns + 10**9))  # never that of the bytecode, which counts in seconds
        try:
            return self._status(tests, self.env | {"PYTHONDONTWRITEBYTECODE": "1"}, self.limit_s) <= 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            file.write_bytes(data)
            os.utime(file, ns=(made_ns, made_ns))


@attrs.frozen(kw_only=True)
class Score:
    """What became of the mutants of one module."""

    module: str
    of: int
    tried: int
    survivors: tuple[Mutant, ...]

    @property
    def killed(self) -> int:
        """How many some test noticed."""
        return self.tried - len(self.survivors)


def judge(module: str, most: int | None, seed: int, copies: Sequence[Copy]) -> Score:
    """The score of a sample of a module's mutants; of all of them where `most` is None."""
    places, tests, usual = MODULES[module]
    root = copies[0].folder  # not the tree itself, which may be worked in meanwhile
    every = [m for file in sources(places, root) for m in mutants_of(file, root)]
    count = len(every) if most is None else min(len(every), most or usual)
    drawn = random.Random(seed).sample(every, count)
    free = list(copies)

    def run(mutant: Mutant) -> bool:
        copy = free.pop()
        try:
            alive = copy.survives(mutant, tests)
        finally:
            free.append(copy)
        if alive:
            print(f"  {mutant}", flush=True)
        return alive

    with ThreadPoolExecutor(len(copies)) as pool:
        lives = list(pool.map(run, drawn))
    survivors = tuple(sorted((m for m, alive in zip(drawn, lives, strict=True) if alive), key=str))
    return Score(module=module, of=len(every), tried=count, survivors=survivors)


def table(scores: Sequence[Score]) -> str:
    """The scores and the survivors as Markdown."""
    lines = ["| module | mutants | tried | killed | score |", "| --- | ---: | ---: | ---: | ---: |"]
    tried, killed = sum(s.tried for s in scores), sum(s.killed for s in scores)
    for s in scores:
        lines.append(f"| {s.module} | {s.of} | {s.tried} | {s.killed} | {s.killed / max(1, s.tried):.0%} |")
    lines.append(f"| all | {sum(s.of for s in scores)} | {tried} | {killed} | {killed / max(1, tried):.1%} |")
    left = [f"- {m}" for s in scores for m in s.survivors]
    return "\n".join([*lines, *(["", "Survivors:", "", *left] if left else [])]) + "\n"


def main() -> int:
    """Judge, and write what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("modules", nargs="*", choices=[*MODULES, []], help="which; every one by default")
    parser.add_argument("--most", type=int, default=0, help="mutants of a module; by default as stated here")
    parser.add_argument("--all", action="store_true", help="every mutant")
    parser.add_argument("--seed", type=int, default=SEED, help="of the sample")
    parser.add_argument("--jobs", type=int, default=2, help="at a time")
    parser.add_argument("--markdown", type=Path, help="write the table and the survivors here too")
    asked = parser.parse_args()
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        copies = [Copy(Path(folder) / str(i)) for i in range(asked.jobs)]
        for module in asked.modules or MODULES:
            if not all(copy.passes(MODULES[module][1]) for copy in copies):
                print(f"{module}: its tests fail without any change", file=sys.stderr)
                return 2
            began = time.monotonic()
            scores.append(judge(module, None if asked.all else asked.most, asked.seed, copies))
            took = time.monotonic() - began
            print(f"{module}: {scores[-1].killed} of {scores[-1].tried} noticed, {took:.0f} s", flush=True)
    print(table(scores))
    if asked.markdown is not None:
        asked.markdown.write_text(table(scores), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
