"""The rule `weighted`: of all that finish in time, the best performer wins (R7)."""

from __future__ import annotations

from paceline_server.completion.immutable import immutable
from paceline_server.completion.race import RaceDecision
from paceline_server.strategies.racing.all_at_once import AllAtOnce, best_answer
from paceline_server.strategies.racing.field import Field
from paceline_server.strategies.racing.rule import Step
from paceline_server.strategies.racing.scoring import by_performance, ended_at


@immutable(frozen=True, slots=True)
class Weighted(AllAtOnce):
    """The best performance score wins: the win rate over one plus the latency in seconds."""

    @property
    def asks_logprobs(self) -> bool:
        """How sure an answer is decides nothing here."""
        return False

    def decide(self, field: Field, now: float) -> Step:
        """Wait for all, or until time is up."""
        return best_answer(
            field,
            lambda entrant: by_performance(entrant, ended_at(entrant)),
            RaceDecision.WEIGHTED_SCORE,
        )
