"""The figures as pictures, in SVG that is written by hand: bars, and the time line of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bench.row import Row

WIDTH = 900
LABEL_WIDTH = 400
BAR_HEIGHT = 22
MARGIN = 20
TICK_MS = 20
FONT = "font-family='sans-serif' font-size='13'"
GOOD, BAD, QUIET, OURS = "#3b7d4f", "#b3392f", "#8a8f98", "#2f5fa8"

Deltas = Sequence[tuple[float, float]]
"""When each was written and read, in milliseconds."""


def bars(title: str, rows: Sequence[Row]) -> str:
    """What share of its target each judged figure uses; the line is the target."""
    shares = [(row, row.used) for row in rows]
    judged = [(row, used) for row, used in shares if used is not None]
    room = WIDTH - LABEL_WIDTH - 5 * MARGIN
    scale = room / max(1.2, *(used for _, used in judged))
    drawn = [label(MARGIN, MARGIN, title)]
    top = 2 * MARGIN
    for index, (row, used) in enumerate(judged):
        y = top + index * (BAR_HEIGHT + 6)
        drawn.append(label(MARGIN, y + 15, row.name))
        drawn.append(_box(LABEL_WIDTH, y, used * scale, BAR_HEIGHT, BAD if row.missed else GOOD))
        drawn.append(label(LABEL_WIDTH + used * scale + 6, y + 15, f"{used:.0%}"))
    bottom = top + len(judged) * (BAR_HEIGHT + 6)
    drawn.append(stroke(LABEL_WIDTH + scale, top - 4, LABEL_WIDTH + scale, bottom, "#000"))
    return drawing(drawn, bottom + MARGIN)


def time_line(title: str, deltas: Deltas) -> str:
    """When the upstream wrote each delta, and when the client had read it."""
    left = 5 * MARGIN
    scale = (WIDTH - left - MARGIN) / max(read for _, read in deltas)
    upper, lower = 3 * MARGIN, 8 * MARGIN
    drawn = [label(MARGIN, MARGIN, title), label(MARGIN, upper, "written"), label(MARGIN, lower, "read")]
    for written, read in deltas:
        start, end = left + written * scale, left + read * scale
        drawn.append(stroke(start, upper - 12, start, upper, QUIET))
        drawn.append(stroke(start, upper, end, lower - 12, QUIET))
        drawn.append(stroke(end, lower - 12, end, lower, OURS))
    last = deltas[-1][1]
    ticks = range(0, int(last) + 1, TICK_MS)
    drawn += [label(left + tick * scale, lower + 24, f"{tick} ms") for tick in ticks]
    return drawing(drawn, lower + 2 * MARGIN)


def drawing(drawn: Sequence[str], height: float) -> str:
    """What was drawn, as a file."""
    head = f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height:g}' {FONT}>"
    ground = f"<rect width='{WIDTH}' height='{height:g}' fill='#fff'/>"
    return "\n".join([head, ground, *drawn, "</svg>", ""])


def label(x: float, y: float, words: str) -> str:
    """Words that begin at a point."""
    return f"<text x='{x:.1f}' y='{y:.1f}'>{escape(words)}</text>"


def _box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f"<rect x='{x:.1f}' y='{y:.1f}' width='{width:.1f}' height='{height:.1f}' fill='{colour}'/>"


def stroke(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    """A straight line."""
    place = f"x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}'"
    return f"<line {place} stroke='{colour}' stroke-width='1.5'/>"
