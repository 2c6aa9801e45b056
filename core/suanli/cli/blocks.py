"""What an answer is made of, before it is written in a format."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Text:
    """A paragraph.

    Attributes:
        text: One line, or several.
        style: ``headline``, ``good``, ``bad``, ``warning`` or ``note``.
    """

    text: str
    style: str = ""


@attrs.frozen(kw_only=True)
class Table:
    """Rows under a title.

    Attributes:
        title: Above it; empty for none.
        columns: Their names; all empty for a table without a header.
        rows: Texts.
        right: Columns of numbers.
        strong: Rows that sum up.
        beside: Whether it may stand beside its neighbour where there is room.
        keep: Columns that are never broken over lines.
        widest: Characters a column may take; 0, and columns past the end, for any.
    """

    title: str = ""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()
    strong: tuple[int, ...] = ()
    beside: bool = False
    keep: tuple[int, ...] = (0,)
    widest: tuple[int, ...] = ()


@attrs.frozen(kw_only=True)
class Node:
    """A branch of a tree.

    Attributes:
        text: Of this node.
        note: Said of it, less loudly.
        children: Under it.
    """

    text: str
    note: str = ""
    children: tuple[Node, ...] = ()


Block = Text | Table | Node
Rows = list[dict[str, Any]]
"""An answer as flat rows, for CSV."""
