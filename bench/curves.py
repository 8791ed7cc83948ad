"""How long calls wait, as curves on two logarithmic axes, in SVG that is written by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from bench.plots import MARGIN, QUIET, WIDTH, drawing, label, stroke

COLOURS = ("#b3392f", "#2f5fa8", "#3b7d4f", "#8a4fa0")
SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
SHARES = (1.0, 0.5, 0.1, 0.05, 0.01, 0.001)
LEFT, TOP, BOTTOM = 4 * MARGIN, 3 * MARGIN, 420.0
KEY_WIDTH = 180
STEPS_PER_DECADE = 60
"""Points of a curve are kept so far apart at the least: thousands of calls would draw the same."""


def curves(title: str, seconds: Mapping[str, Sequence[float]]) -> str:
    """For each name, which share of its calls waits longer than so many seconds."""
    drawn = [label(MARGIN, MARGIN, title)]
    for tick in SECONDS:
        drawn.append(stroke(_x(tick), TOP, _x(tick), BOTTOM, "#ddd"))
        drawn.append(label(_x(tick) - 12, BOTTOM + 18, f"{tick:g} s"))
    for share in SHARES:
        drawn.append(stroke(LEFT, _y(share), _x(SECONDS[-1]), _y(share), "#ddd"))
        drawn.append(label(MARGIN, _y(share) + 4, f"{share:.1%}" if share < 0.01 else f"{share:.0%}"))  # noqa: PLR2004 - as many digits as it has
    for place, (name, values) in enumerate(seconds.items()):
        colour = COLOURS[place % len(COLOURS)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in _points(sorted(values)))
        drawn.append(f"<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='2'/>")
        height = TOP + place * MARGIN
        drawn.append(stroke(WIDTH - KEY_WIDTH, height, WIDTH - KEY_WIDTH + MARGIN, height, colour))
        drawn.append(label(WIDTH - KEY_WIDTH + 1.5 * MARGIN, height + 4, name))
    drawn.append(stroke(LEFT, BOTTOM, _x(SECONDS[-1]), BOTTOM, QUIET))
    return drawing(drawn, BOTTOM + 2 * MARGIN)


def _points(ascending: Sequence[float]) -> Iterator[tuple[float, float]]:
    """The steps of the curve; its last is at the longest wait, below the lowest share."""
    count = len(ascending)
    y = _y(1.0)
    yield LEFT, y
    kept = -math.inf
    for index, value in enumerate(ascending):
        step = math.log10(value) * STEPS_PER_DECADE
        if step - kept < 1 and index + 1 < count:
            continue
        kept = step
        yield _x(value), y
        y = _y((count - index - 1) / count)
        yield _x(value), y


def _x(seconds: float) -> float:
    low, high = math.log10(SECONDS[0]), math.log10(SECONDS[-1])
    share = (math.log10(max(seconds, SECONDS[0])) - low) / (high - low)
    return LEFT + min(share, 1.0) * (WIDTH - KEY_WIDTH - LEFT - MARGIN)


def _y(share: float) -> float:
    low = math.log10(SHARES[-1])
    return TOP + (BOTTOM - TOP) * math.log10(max(share, SHARES[-1])) / low
