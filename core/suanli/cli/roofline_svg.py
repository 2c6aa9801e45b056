"""A roofline as an SVG file, written by hand."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

from suanli import units
from suanli.cli.roofline_text import Frame, frame_of, letters, tick
from suanli.roofline import Point, Roofline

WIDTH, HEIGHT = 1010, 620
LEFT, RIGHT, TOP, BOTTOM = 110, 240, 60, 70
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe & Ito 2008, Color universal design: told apart without red or green."""

INK, FAINT = "#222222", "#e3e3e3"


def svg(drawn: Roofline, title: str) -> str:
    """The whole file."""
    frame = frame_of(drawn)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        text_at(LEFT, TOP - 28, title, size=17, weight="bold"),
        *_grid(frame),
        *_roofs(drawn, frame),
        *_points(drawn, frame),
        *_legend(drawn),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _x(frame: Frame, flops_per_byte: float) -> float:
    return LEFT + frame.across(flops_per_byte) * (WIDTH - LEFT - RIGHT)


def _y(frame: Frame, flops_per_s: float) -> float:
    return HEIGHT - BOTTOM - frame.up(flops_per_s) * (HEIGHT - TOP - BOTTOM)


def text_at(x: float, y: float, text: str, *, anchor: str = "start", size: int = 13, weight: str = "normal") -> str:
    """Text at a place."""
    style = f'text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="{INK}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def line_to(x1: float, y1: float, x2: float, y2: float, colour: str, thick: float = 1.0) -> str:
    """A line between two places."""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{thick:g}"/>'


def _grid(frame: Frame) -> list[str]:
    """A line and a label at each power of ten, both ways, and what the axes are."""
    made = []
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for exponent in range(frame.left, frame.right + 1):
        x = _x(frame, 10.0**exponent)
        made += [line_to(x, TOP, x, bottom, FAINT), text_at(x, bottom + 20, tick(exponent), anchor="middle")]
    for exponent in range(frame.low, frame.high + 1):
        y = _y(frame, 10.0**exponent)
        made.append(line_to(LEFT, y, right, y, FAINT))
        made.append(text_at(LEFT - 8, y + 4, units.format(10.0**exponent, "flop/s"), anchor="end"))
    made += [line_to(LEFT, bottom, right, bottom, INK), line_to(LEFT, TOP, LEFT, bottom, INK)]
    made.append(text_at((LEFT + right) / 2, bottom + 46, "FLOPs for a byte of memory traffic", anchor="middle"))
    return made


def _roofs(drawn: Roofline, frame: Frame) -> list[str]:
    """The slope up to the highest ridge, each flat roof from its own ridge on, and their names beside them."""
    made = []
    right = WIDTH - RIGHT
    top = drawn.roofs[-1]
    start = max(10.0**frame.left, 10.0**frame.low / drawn.bandwidth_bytes_per_s)
    ends = [(start, start * drawn.bandwidth_bytes_per_s), (top.ridge_flops_per_byte, top.peak_flops_per_s)]
    (x1, y1), (x2, y2) = ((_x(frame, a), _y(frame, b)) for a, b in ends)
    made.append(line_to(x1, y1, x2, y2, INK, 2.0))
    middle = math.sqrt(start * drawn.roofs[0].ridge_flops_per_byte)
    x, y = _x(frame, middle), _y(frame, middle * drawn.bandwidth_bytes_per_s)
    angle = -math.degrees(math.atan2(y1 - y2, x2 - x1))
    name = escape(units.format(drawn.bandwidth_bytes_per_s, "bytes/s"))
    made.append(
        f'<text transform="translate({x:.1f} {y - 8:.1f}) rotate({angle:.1f})" text-anchor="middle" '
        f'fill="{INK}">memory {name}</text>'
    )
    free = -math.inf
    for roof in reversed(drawn.roofs):
        y = _y(frame, roof.peak_flops_per_s)
        x = _x(frame, roof.ridge_flops_per_byte)
        made.append(line_to(x, y, right, y, INK, 2.0))
        ridge = f"ridge at {roof.ridge_flops_per_byte:.3g} FLOPs for a byte"
        made.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{INK}"><title>{ridge}</title></circle>')
        free = max(y + 4, free + 32)  # two lines each, one under the other where roofs are close
        made.append(text_at(right + 10, free, f"{roof.label} {units.format(roof.peak_flops_per_s, 'flop/s')}"))
        made.append(text_at(right + 10, free + 14, ridge, size=10))
    return made


def _series(points: tuple[Point, ...]) -> dict[tuple[str, str, bool], str]:
    """A colour for each class of points."""
    found = dict.fromkeys((p.group, p.precision, p.measured) for p in points)
    return {key: COLOURS[i % len(COLOURS)] for i, key in enumerate(found)}


def _points(drawn: Roofline, frame: Frame) -> list[str]:
    made = []
    colours, names = _series(drawn.points), letters(drawn.points)
    small = 2.2 if len(drawn.points) > 300 else 3.5
    placed: list[tuple[float, float]] = []
    for point in sorted(drawn.points, key=lambda p: not p.measured):
        x, y = _x(frame, point.flops_per_byte), min(_y(frame, point.flops_per_s), HEIGHT - BOTTOM)
        colour = colours[point.group, point.precision, point.measured]
        rate = units.format(point.flops_per_s, "flop/s")
        about = f"{point.label}: {rate}, {100 * point.roof_ratio:.0f} % of its roof, {units.format(point.time_s, 's')}"
        title = f"<title>{escape(about)}</title>"
        if point.measured:
            where = f'cx="{x:.1f}" cy="{y:.1f}" r="{small}"'
            made.append(f'<circle {where} fill="{colour}" fill-opacity="0.55">{title}</circle>')
        else:
            where = f'x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"'
            made.append(f'<rect {where} fill="{colour}" stroke="#ffffff">{title}</rect>')
            made.append(_lettered(x, y, names.get(point.label, "*"), placed))
    return made


def _lettered(x: float, y: float, letter: str, placed: list[tuple[float, float]]) -> str:
    """A letter beside a square, where no other letter stands yet."""
    places = [(dx, dy) for dy in (20.0, -11.0, 33.0, -24.0, 46.0) for dx in (0.0, 11.0, -11.0)]
    free = [(x + dx, y + dy) for dx, dy in places if not _taken(x + dx, y + dy, placed)]
    at = free[0] if free else (x, y + 20.0)
    placed.append(at)
    return text_at(*at, letter, anchor="middle", size=12, weight="bold")


def _taken(x: float, y: float, placed: list[tuple[float, float]]) -> bool:
    return any(abs(x - a) < 10.0 and abs(y - b) < 12.0 for a, b in placed)


def _legend(drawn: Roofline) -> list[str]:
    """What each colour and letter is, in the lower right."""
    made = []
    colours, names = _series(drawn.points), letters(drawn.points)
    x, most = WIDTH - RIGHT + 14, 18
    entries = [(colour, f"{g} {p}, {'measured' if m else 'predicted'}") for (g, p, m), colour in colours.items()]
    lines = [*entries, *(("", f"{letter}  {label}") for label, letter in names.items())]
    if len(lines) > most:
        lines = [*lines[: most - 1], ("", f"and {len(lines) - most + 1} more")]
    y = HEIGHT - BOTTOM - 18 * len(lines) + 10
    for i, (colour, text) in enumerate(lines):
        if colour:
            made.append(f'<rect x="{x}" y="{y + 18 * i - 9:.1f}" width="10" height="10" fill="{colour}"/>')
        made.append(text_at(x + (16 if colour else 0), y + 18 * i, text, size=11))
    return made
