"""Reading a guide: the files it has the reader write, and the commands it has them run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

FENCE = re.compile(r"(?:^`(?P<file>[\w./-]+)`:\n\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.S | re.M)


class Step(NamedTuple):
    """One fenced block: a file to write, or commands to run where `file` is empty."""

    file: str
    kind: str
    body: str


def steps_of(guide: Path) -> list[Step]:
    """The blocks of a guide, in order."""
    text = guide.read_text(encoding="utf-8")
    return [Step(m["file"] or "", m["kind"], m["body"]) for m in FENCE.finditer(text)]


def lines_of(steps: list[Step]) -> int:
    """Lines an author writes: of files, without blank ones."""
    return sum(1 for s in steps if s.file for line in s.body.splitlines() if line.strip())
