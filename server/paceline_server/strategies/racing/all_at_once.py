"""What most rules of races have in common: all candidates start at once.

Those that need whole answers also end alike, be it that all have ended or that time is up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from paceline_server.completion.race import RaceDecision
from paceline_server.strategies.clock import NEVER
from paceline_server.strategies.racing.field import Entrant, Field, by_priority
from paceline_server.strategies.racing.plain_rule import PlainRule
from paceline_server.strategies.racing.rule import Fail, Select, Wait
from paceline_server.strategies.racing.scoring import best_writer, selected

Rank = Callable[[Entrant], tuple[Any, ...]]
"""The lowest ranks first."""


class AllAtOnce(PlainRule):
    """The part of a rule that starts everyone."""

    __slots__ = ()

    def first_starts(self, field: Field) -> Sequence[int]:
        """Everyone, in the order of priority."""
        return [entrant.index for entrant in by_priority(field.entrants)]

    def start_count(self, candidate_count: int) -> int:
        """Everyone."""
        return candidate_count

    def may_start(self, field: Field) -> bool:
        """Nobody is left to start."""
        return False

    def hedge_delay(self, observed: Callable[[float], float | None]) -> float:
        """Nobody is left to start."""
        return NEVER


def best_answer(
    field: Field, rank: Rank, decision: RaceDecision, *, judged: bool = True
) -> Wait | Select | Fail:
    """Wait for all; then, or when time is up, the best of those that have answered wins.

    Args:
        field: What has happened so far.
        rank: What makes an answer better.
        decision: What it is called if time allows it.
        judged: Whether the rank is final as soon as all have ended.
    """
    if field.anyone_running and not field.time_is_up:
        return Wait()
    answered = field.answered
    if not answered:
        return unanswered(field)
    in_time = judged and not field.anyone_running
    return selected(field, min(answered, key=rank), decision, in_time=in_time)


def unanswered(field: Field) -> Select | Fail:
    """Without an answer when time is up, who writes may go on, the best performer so far."""
    writer = best_writer(field)
    return Fail() if writer is None else selected(field, writer, RaceDecision.DEADLINE, in_time=False)
