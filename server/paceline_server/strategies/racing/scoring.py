"""What the rules of races compare candidates by: performance, confidence, cost and latency (R3, R5, R7).

What is not known, or is no number, is missing and not zero: it ranks below any value.
"""

from __future__ import annotations

import math

from paceline_server.completion.answer import Confidence
from paceline_server.completion.race import RaceDecision
from paceline_server.strategies.clock import NEVER
from paceline_server.strategies.racing.field import Entrant, Field, Standing
from paceline_server.strategies.racing.rule import Select

Key = tuple[bool, float]
"""Orders values: the lower key ranks first, and a missing value last."""


def highest(value: float | None) -> Key:
    """Ranks the highest value first."""
    return (True, 0.0) if value is None or not math.isfinite(value) else (False, -value)


def lowest(value: float | None) -> Key:
    """Ranks the lowest value first."""
    return (True, 0.0) if value is None or not math.isfinite(value) else (False, value)


def own_confidence(entrant: Entrant) -> Confidence | None:
    """The confidence that came with the answer."""
    confidence = None if entrant.completion is None else entrant.completion.confidence
    return None if confidence is None or not math.isfinite(confidence.value) else confidence


def confidence_key(confidence: Confidence | None) -> Key:
    """Ranks the highest confidence first."""
    return highest(None if confidence is None else confidence.value)


def cost_key(entrant: Entrant) -> Key:
    """Ranks the cheapest answer first."""
    return lowest(None if entrant.completion is None else entrant.completion.usage.cost_nano_usd)


def ended_at(entrant: Entrant) -> float:
    """When its answer was complete."""
    return NEVER if entrant.ended_at is None else entrant.ended_at


def content_at(entrant: Entrant) -> float:
    """When its content came; an answer may also come all at once."""
    return ended_at(entrant) if entrant.first_content_at is None else entrant.first_content_at


def latency(entrant: Entrant, arrival: float) -> float:
    """Seconds from its own start to `arrival`."""
    return NEVER if entrant.started_at is None else arrival - entrant.started_at


def latency_key(entrant: Entrant) -> Key:
    """Ranks the answer first that took the least time from its own start."""
    return lowest(latency(entrant, ended_at(entrant)))


def performance_score(entrant: Entrant, arrival: float) -> float | None:
    """The shrunk win rate over one plus the latency in seconds; None if either is not known."""
    seconds = latency(entrant, arrival)
    return entrant.win_rate / (1 + seconds) if math.isfinite(seconds) else None


def by_arrival(entrant: Entrant, arrival: float) -> tuple[Key, int, int]:
    """Ranks by arrival, then by priority, then by index."""
    return lowest(arrival), -entrant.priority, entrant.index


def by_performance(entrant: Entrant, arrival: float) -> tuple[Key, Key, int, int]:
    """Ranks by performance score, then as `by_arrival`."""
    return highest(performance_score(entrant, arrival)), *by_arrival(entrant, arrival)


def selected(field: Field, chosen: Entrant, decision: RaceDecision, *, in_time: bool = True) -> Select:
    """`chosen` wins by `decision`, unless more is to be said of it.

    Args:
        field: What has happened so far.
        chosen: The winner.
        decision: By which rule it was chosen.
        in_time: Whether it would have been chosen now also if time were not up.
    """
    if not in_time:
        decision = RaceDecision.DEADLINE
    elif field.sole_survivor(chosen):
        decision = RaceDecision.ONLY_SURVIVOR
    return Select(chosen.index, decision)


def best_writer(field: Field) -> Entrant | None:
    """Of those that write when time is up, who performed best until the first content."""
    writing = field.those(Standing.WRITING) if field.streaming else []
    return min(writing, key=lambda entrant: by_performance(entrant, content_at(entrant)), default=None)
