"""The rule `hedged`: candidates start one after the other, the next when the last is slow (R4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from paceline_server.completion.immutable import immutable
from paceline_server.completion.race import RaceDecision
from paceline_server.strategies.racing.field import Entrant, Field, Standing, by_priority
from paceline_server.strategies.racing.plain_rule import PlainRule
from paceline_server.strategies.racing.rule import Fail, Start, Step, Wait
from paceline_server.strategies.racing.scoring import (
    by_arrival,
    content_at,
    ended_at,
    selected,
)


@immutable(frozen=True, slots=True)
class Hedged(PlainRule):
    """The first content wins, in a unary call the first complete answer; durations in seconds.

    Attributes:
        delay: How long a candidate may stay silent before the next starts; None takes the quantile.
        quantile: Of the candidate's observed time to its answer, within the bounds that follow.
        max_hedge_count: How many may start beyond the first, for whatever reason.
    """

    delay: float | None = None
    quantile: float = 0.95
    minimum_delay: float = 0.05
    maximum_delay: float = 2.0
    max_hedge_count: int = 1

    @property
    def asks_logprobs(self) -> bool:
        """How sure an answer is decides nothing here."""
        return False

    def first_starts(self, field: Field) -> Sequence[int]:
        """The most urgent that may be called now; if none may, the most urgent, who then says why."""
        order = by_priority(field.entrants)
        return [next((entrant for entrant in order if entrant.ready), order[0]).index]

    def decide(self, field: Field, now: float) -> Step:
        """The first with content wins; before that, silence and failure start the next."""
        arrived = [entrant for entrant in field.entrants if _has_arrived(entrant, field)]
        if arrived:
            first = min(arrived, key=lambda entrant: by_arrival(entrant, _arrival(entrant, field)))
            by_content = RaceDecision.FIRST_CONTENT if field.streaming else RaceDecision.FIRST_COMPLETION
            return selected(field, first, by_content)
        if field.time_is_up:
            return Fail()
        following = self._following(field)
        if following is None:
            return Wait() if field.anyone_running else Fail()
        due = _due(field)
        return Wait(due) if due > now else Start(following.index)

    def start_count(self, candidate_count: int) -> int:
        """The first: what is kept for a hedge that may never start would cut its answer."""
        return min(candidate_count, 1)

    def may_start(self, field: Field) -> bool:
        """As long as a hedge is left, and someone for it."""
        return self._following(field) is not None

    def hedge_delay(self, observed: Callable[[float], float | None]) -> float:
        """The fixed delay, else the observed one within its bounds; the greatest without observations."""
        if self.delay is not None:
            return self.delay
        seconds = observed(self.quantile)
        if seconds is None or math.isnan(seconds):
            return self.maximum_delay
        return min(max(seconds, self.minimum_delay), self.maximum_delay)

    def _following(self, field: Field) -> Entrant | None:
        """Who may start next; None if nobody may."""
        started_count = sum(entrant.started_at is not None for entrant in field.entrants)
        if (
            started_count > self.max_hedge_count
            or field.hedges_refused
            or any(entrant.blocks_others for entrant in field.entrants)
        ):
            return None
        return next((one for one in by_priority(field.those(Standing.WAITING)) if one.ready), None)


def _has_arrived(entrant: Entrant, field: Field) -> bool:
    return entrant.has_content if field.streaming else entrant.has_answered


def _arrival(entrant: Entrant, field: Field) -> float:
    return content_at(entrant) if field.streaming else ended_at(entrant)


def _due(field: Field) -> float:
    """When the next is to start, as nobody has written anything; at once after a failure, once for each.

    A failure at the very moment of a start is what caused the start, and causes no other.
    """
    if not field.anyone_running:
        return -math.inf
    started = [(one.started_at, one.running, one) for one in field.entrants if one.started_at is not None]
    latest_start, _, latest = max(started, key=lambda item: item[:2])
    failed = any(one.standing is Standing.OUT and ended_at(one) > latest_start for _, _, one in started)
    if not latest.running or failed:
        return -math.inf
    return latest_start + latest.hedge_delay
