"""A roofline in characters: braille dots for the roofs, letters and rings for what lies under them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import attrs

from suanli import units
from suanli.roofline import Point, Roofline

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of the dots of a braille character, by row and column."""

MEASURED = "○"
CROWDED = "●"
"""Where several measurements share a character."""


@attrs.frozen(kw_only=True)
class Frame:
    """The part of the plane that is drawn, in powers of ten.

    Attributes:
        left: Least FLOPs for a byte.
        right: Most.
        low: Least FLOP/s.
        high: Most.
    """

    left: int
    right: int
    low: int
    high: int

    def across(self, flops_per_byte: float) -> float:
        """Where it lies between left (0) and right (1)."""
        return (math.log10(flops_per_byte) - self.left) / (self.right - self.left)

    def up(self, flops_per_s: float) -> float:
        """Where it lies between low (0) and high (1)."""
        return (math.log10(flops_per_s) - self.low) / (self.high - self.low)


def frame_of(drawn: Roofline) -> Frame:
    """Whole decades that hold every ridge and every point, and some slope before the first ridge."""
    ridges = [r.ridge_flops_per_byte for r in drawn.roofs]
    across = [p.flops_per_byte for p in drawn.points]
    left = math.floor(math.log10(min([min(ridges) / 10.0, *across])))
    right = math.ceil(math.log10(max([max(ridges) * 4.0, *across])))
    slowest = [p.flops_per_s for p in drawn.points]
    low = math.floor(math.log10(min([drawn.bandwidth_bytes_per_s * 10.0**left, *slowest])))
    fastest = max([r.peak_flops_per_s for r in drawn.roofs] + slowest)
    high = math.ceil(math.log10(fastest * 1.2))
    return Frame(left=left, right=right, low=max(low, high - 7), high=high)


def letters(points: tuple[Point, ...]) -> dict[str, str]:
    """A letter for each operator that is predicted; a ring stands for what is measured."""
    names = dict.fromkeys(p.label for p in points if not p.measured)
    alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return dict(zip(names, alphabet, strict=False))


class Canvas:
    """Characters of two by four dots each."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._dots = [[0] * columns for _ in range(rows)]
        self._marks: dict[tuple[int, int], str] = {}

    def dot(self, across: float, up: float) -> None:
        """A dot at shares of the width and the height; nothing where that is outside."""
        if 0.0 <= across <= 1.0 and 0.0 <= up <= 1.0:
            x, y = round(across * (self.columns * 2 - 1)), round((1.0 - up) * (self.rows * 4 - 1))
            self._dots[y // 4][x // 2] |= DOTS[y % 4][x % 2]

    def mark(self, across: float, up: float, character: str) -> None:
        """A character in place of dots; a second ring in the same place fills it."""
        x = min(max(round(across * (self.columns * 2 - 1)), 0) // 2, self.columns - 1)
        y = self.row_at(up)
        there = self._marks.get((x, y))
        ring = character == MEASURED
        if there is None or (ring and there == MEASURED):
            self._marks[x, y] = character if there is None else CROWDED
        elif not ring and there in (MEASURED, CROWDED):
            self._marks[x, y] = character

    def row_at(self, up: float) -> int:
        """The row of a share of the height."""
        return min(max(round((1.0 - up) * (self.rows * 4 - 1)), 0) // 4, self.rows - 1)

    def lines(self) -> list[str]:
        """The rows, top first."""
        return [
            "".join(self._marks.get((x, y)) or (chr(0x2800 + bits) if bits else " ") for x, bits in enumerate(row))
            for y, row in enumerate(self._dots)
        ]


def draw(drawn: Roofline, width: int, height: int = 22) -> str:
    """The roofline as lines of text, at most `width` characters wide."""
    frame = frame_of(drawn)
    labels = {r.label: f"{r.label} {units.format(r.peak_flops_per_s, 'flop/s')}" for r in drawn.roofs}
    margin = min(max(len(t) for t in labels.values()), 34)
    ticks = {10.0**e: units.format(10.0**e, "flop/s") for e in range(frame.low, frame.high + 1)}
    left = max(len(t) for t in ticks.values())
    canvas = Canvas(max(width - left - margin - 4, 24), height)
    for across, up in _roof_dots(drawn, frame, canvas.columns * 2):
        canvas.dot(across, up)
    names = letters(drawn.points)
    for point in sorted(drawn.points, key=lambda p: not p.measured):
        character = MEASURED if point.measured else names.get(point.label, "*")
        canvas.mark(frame.across(point.flops_per_byte), frame.up(point.flops_per_s), character)
    beside = _beside(drawn, frame, canvas, labels)
    ticked = {canvas.row_at(frame.up(value)): text for value, text in ticks.items()}
    lines = []
    for y, line in enumerate(canvas.lines()):
        edge = "┤" if y in ticked else "│"
        lines.append(f"{ticked.get(y, ''):>{left}} {edge}{line} {beside.get(y, '')[:margin]}".rstrip())
    return "\n".join([*lines, *_below(frame, left, canvas.columns)])


def _roof_dots(drawn: Roofline, frame: Frame, columns: int) -> Iterator[tuple[float, float]]:
    top = max(r.peak_flops_per_s for r in drawn.roofs)
    for i in range(columns * 4):
        across = i / (columns * 4 - 1)
        intensity = 10.0 ** (frame.left + across * (frame.right - frame.left))
        if intensity * drawn.bandwidth_bytes_per_s <= top:
            yield across, frame.up(intensity * drawn.bandwidth_bytes_per_s)
        for roof in drawn.roofs:
            if intensity >= roof.ridge_flops_per_byte:
                yield across, frame.up(roof.peak_flops_per_s)


def _beside(drawn: Roofline, frame: Frame, canvas: Canvas, labels: Mapping[str, str]) -> dict[int, str]:
    """The label of each roof at its row, or the nearest free one below it."""
    taken: dict[int, str] = {}
    for roof in reversed(drawn.roofs):
        row = canvas.row_at(frame.up(roof.peak_flops_per_s))
        while row in taken and row < canvas.rows - 1:
            row += 1
        taken[row] = labels[roof.label]
    return taken


def tick(exponent: int) -> str:
    """A power of ten on the axis of intensities."""
    return f"{10.0**exponent:g}" if exponent < 4 else f"{10.0 ** (exponent - 3):g}k"


def _below(frame: Frame, left: int, columns: int) -> list[str]:
    """The axis under the plot, a tick at each power of ten."""
    axis, texts = ["─"] * columns, [" "] * (columns + 12)
    for exponent in range(frame.left, frame.right + 1):
        x = min(round(frame.across(10.0**exponent) * (columns * 2 - 1)) // 2, columns - 1)
        axis[x] = "┴"
        text = tick(exponent)
        start = max(0, x - len(text) // 2)
        texts[start : start + len(text)] = text
    foot = "".join(texts).rstrip()
    return [
        f"{'':>{left}} └{''.join(axis)}",
        f"{'':>{left}}  {foot}",
        f"{'':>{left}}  FLOPs for a byte of memory traffic",
    ]
