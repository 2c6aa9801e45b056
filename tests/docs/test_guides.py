"""The guides are run as they stand: files written, commands typed, in a fresh folder and environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(Path(__file__).parent))
from guides import lines_of, steps_of  # noqa: E402

GUIDES = {"add-an-accelerator.md": 40, "add-a-stage.md": 80, "add-an-architecture.md": 60}
"""Guides, and the most lines their author may have to write."""


TYPED = """
pip() { shift; python -m pip --quiet --disable-pip-version-check install --no-build-isolation --no-deps "$@"; }
pytest() { python -m pytest -q -p no:cacheprovider "$@"; }
suanli() { python -m suanli.cli "$@"; }
"""
"""What a reader types, in this environment: what is needed to build is there, and nothing is fetched."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A fresh environment that sees the installed suanli and installs into itself."""
    folder = tmp_path_factory.mktemp("guides") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", str(folder)], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    ours = [p for p in sys.path if p.endswith("site-packages")]
    (site / "outer.pth").write_text("\n".join(f"import site; site.addsitedir({p!r})" for p in ours) + "\n")
    binaries = os.pathsep.join((str(folder / "bin"), str(Path(sys.executable).parent)))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SUANLI_", "PYTEST_", "PIP_"))}
    return kept | {"PATH": os.pathsep.join((binaries, os.environ["PATH"])), "VIRTUAL_ENV": str(folder)}


@pytest.mark.parametrize(("guide", "most"), GUIDES.items())
def test_a_guide_works_as_written(guide: str, most: int, tmp_path: Path, environment: dict[str, str]) -> None:
    """Every file is written and every command run, in order; each command succeeds, and the author wrote little."""
    steps = steps_of(DOCS / guide)
    assert lines_of(steps) <= most
    shell = []
    for number, step in enumerate(steps):
        if step.file:
            target = tmp_path / "shown" / str(number)
            target.mkdir(parents=True)
            (target / "body").write_text(step.body, encoding="utf-8")
            shell.append(f"mkdir -p $(dirname {step.file}); cp shown/{number}/body {step.file}")
        elif step.kind == "bash":
            shell += step.body.splitlines()
        elif step.kind == "python":
            (tmp_path / f"step{number}.py").write_text(step.body, encoding="utf-8")
            shell.append(f"python step{number}.py")
    script = "set -eu\n" + TYPED
    done = subprocess.run(
        ["bash", "-c", script + "\n".join(shell)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def test_every_guide_is_tested() -> None:
    """A guide that comes is held to its own words: name it above."""
    assert {p.name for p in DOCS.glob("add-*.md")} == GUIDES.keys()
