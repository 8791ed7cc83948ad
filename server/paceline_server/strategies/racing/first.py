"""The rule `first`: the first answer wins, or the best performer of those soon after it (R3)."""

from __future__ import annotations

from paceline_server.completion.immutable import immutable
from paceline_server.completion.race import RaceDecision
from paceline_server.strategies.racing.all_at_once import AllAtOnce
from paceline_server.strategies.racing.field import Entrant, Field
from paceline_server.strategies.racing.rule import Fail, Step, Wait
from paceline_server.strategies.racing.scoring import (
    by_arrival,
    by_performance,
    content_at,
    ended_at,
    own_confidence,
    selected,
)


@immutable(frozen=True, slots=True)
class First(AllAtOnce):
    """The first answer wins: in a stream that of the first content, else the first complete one.

    Attributes:
        grace: Seconds from the first answer in which others may arrive and compete with it.
        minimum_confidence: Answers of a lower or unknown confidence do not win. As it is known only of
            complete answers, a stream is then decided by those, too.
    """

    grace: float = 0.0
    minimum_confidence: float | None = None

    @property
    def asks_logprobs(self) -> bool:
        """Only where they decide who may win."""
        return self.minimum_confidence is not None

    def decide(self, field: Field, now: float) -> Step:
        """The first to arrive wins, at once or after the grace."""
        arrived = [entrant for entrant in field.entrants if self._has_arrived(entrant, field)]
        coming = any(one.running and not self._has_arrived(one, field) for one in field.entrants)
        if not arrived:
            return Wait() if coming and not field.time_is_up else Fail()
        first = min(arrived, key=lambda entrant: by_arrival(entrant, self._arrival(entrant, field)))
        by_rank = RaceDecision.FIRST_CONTENT if self._by_content(field) else RaceDecision.FIRST_COMPLETION
        if not self.grace:
            return selected(field, first, by_rank)
        until = self._arrival(first, field) + self.grace
        in_time = not coming or now >= until
        if not in_time and not field.time_is_up:
            return Wait(until)
        competing = [entrant for entrant in arrived if self._arrival(entrant, field) <= until]
        best = min(competing, key=lambda entrant: by_performance(entrant, self._arrival(entrant, field)))
        decision = RaceDecision.GRACE_SCORE if len(competing) > 1 else by_rank
        return selected(field, best, decision, in_time=in_time)

    def _by_content(self, field: Field) -> bool:
        return field.streaming and self.minimum_confidence is None

    def _arrival(self, entrant: Entrant, field: Field) -> float:
        return content_at(entrant) if self._by_content(field) else ended_at(entrant)

    def _has_arrived(self, entrant: Entrant, field: Field) -> bool:
        if self._by_content(field):
            return entrant.has_content
        confidence = own_confidence(entrant)
        return entrant.has_answered and (
            self.minimum_confidence is None
            or (confidence is not None and confidence.value >= self.minimum_confidence)
        )
