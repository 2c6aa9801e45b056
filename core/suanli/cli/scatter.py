"""Predicted times against measured ones: as text, and as an SVG file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

import attrs

from suanli import units
from suanli.cli.roofline_svg import BOTTOM, COLOURS, FAINT, HEIGHT, INK, LEFT, RIGHT, TOP, WIDTH, line_to, text_at
from suanli.cli.roofline_text import MEASURED, Canvas


@attrs.frozen(kw_only=True)
class Series:
    """Rows of one class: pairs of measured and predicted seconds."""

    label: str
    pairs: tuple[tuple[float, float], ...]


def _decades(series: Sequence[Series]) -> tuple[int, int]:
    """Whole powers of ten that hold every time."""
    times = [t for s in series for pair in s.pairs for t in pair]
    low, high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))
    return low, max(high, low + 1)


def _share(value: float, low: int, high: int) -> float:
    return (math.log10(value) - low) / (high - low)


def draw(series: Sequence[Series], width: int, height: int = 18) -> str:
    """Lines of text at most `width` wide; dots are where both times are equal."""
    low, high = _decades(series)
    ticks = {10.0**e: units.format(10.0**e, "s") for e in range(low, high + 1)}
    left = max(map(len, ticks.values()))
    canvas = Canvas(max(min(width - left - 3, 60), 16), height)
    for i in range(canvas.columns * 4):
        canvas.dot(i / (canvas.columns * 4 - 1), i / (canvas.columns * 4 - 1))
    for one in series:
        for measured, predicted in one.pairs:
            canvas.mark(_share(measured, low, high), _share(predicted, low, high), MEASURED)
    ticked = {canvas.row_at(_share(t, low, high)): text for t, text in ticks.items()}
    lines = ["predicted"]
    for y, line in enumerate(canvas.lines()):
        lines.append(f"{ticked.get(y, ''):>{left}} {'┤' if y in ticked else '│'}{line}".rstrip())
    axis, names = ["─"] * canvas.columns, [" "] * (canvas.columns + 12)
    free = 0
    for time, text in ticks.items():
        x = min(round(_share(time, low, high) * (canvas.columns - 1)), canvas.columns - 1)
        axis[x] = "┴"
        start = max(0, min(x - len(text) // 2, canvas.columns - len(text)))
        if start >= free:
            names[start : start + len(text)] = text
            free = start + len(text) + 1
    lines += [f"{'':>{left}} └{''.join(axis)}", f"{'':>{left}}  {''.join(names).rstrip()}"]
    return "\n".join([*lines, f"{'':>{left}}  measured"])


def svg(series: Sequence[Series], title: str) -> str:
    """The whole file."""
    low, high = _decades(series)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def place(measured: float, predicted: float) -> tuple[float, float]:
        x = LEFT + _share(measured, low, high) * (right - LEFT)
        return x, bottom - _share(predicted, low, high) * (bottom - TOP)

    made = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        text_at(LEFT, TOP - 28, title, size=17, weight="bold"),
    ]
    for exponent in range(low, high + 1):
        x, y = place(10.0**exponent, 10.0**exponent)
        name = units.format(10.0**exponent, "s")
        made += [line_to(x, TOP, x, bottom, FAINT), text_at(x, bottom + 20, name, anchor="middle")]
        made += [line_to(LEFT, y, right, y, FAINT), text_at(LEFT - 8, y + 4, name, anchor="end")]
    made += [line_to(LEFT, bottom, right, bottom, INK), line_to(LEFT, TOP, LEFT, bottom, INK)]
    made.append(line_to(LEFT, bottom, right, TOP, INK))
    made.append(text_at((LEFT + right) / 2, bottom + 46, "measured", anchor="middle"))
    made.append(text_at(LEFT, TOP - 8, "predicted", anchor="end"))
    for i, one in enumerate(series):
        colour = COLOURS[i % len(COLOURS)]
        made.append(f'<circle cx="{right + 20}" cy="{TOP + 18 * i}" r="5" fill="{colour}"/>')
        made.append(text_at(right + 32, TOP + 18 * i + 4, one.label))
        for measured, predicted in one.pairs:
            x, y = place(measured, predicted)
            about = f"{one.label}: measured {units.format(measured, 's')}, predicted {units.format(predicted, 's')}"
            where = f'cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}" fill-opacity="0.55"'
            made.append(f"<circle {where}><title>{escape(about)}</title></circle>")
    return "\n".join([*made, "</svg>"]) + "\n"
