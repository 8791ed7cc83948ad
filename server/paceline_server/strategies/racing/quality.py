"""The rule `quality`: the answer of the best learned quality for the task type wins (R7)."""

from __future__ import annotations

import math
from typing import Any

from paceline_server.completion.immutable import immutable
from paceline_server.completion.race import RaceDecision
from paceline_server.strategies.clock import NEVER
from paceline_server.strategies.racing.all_at_once import AllAtOnce, unanswered
from paceline_server.strategies.racing.field import Entrant, Field
from paceline_server.strategies.racing.rule import Fail, Step, Wait
from paceline_server.strategies.racing.scoring import (
    confidence_key,
    cost_key,
    ended_at,
    latency_key,
    own_confidence,
    selected,
)

PRIOR_QUALITY = 0.5
"""Of a target of which nothing is learned yet."""


@immutable(frozen=True, slots=True)
class Quality(AllAtOnce):
    """The best quality wins; among equals the surer, the cheaper, the faster answer.

    Attributes:
        grace: Seconds to wait for better candidates after the first complete answer; None waits for all.
    """

    grace: float | None = None

    @property
    def asks_logprobs(self) -> bool:
        """They decide among candidates of the same quality, as all are of which nothing is learned."""
        return True

    def decide(self, field: Field, now: float) -> Step:
        """Wait as long as someone who runs could be better, within the grace."""
        answered = field.answered
        if not answered:
            return self._without_answer(field)
        until = min(map(ended_at, answered)) + (NEVER if self.grace is None else self.grace)
        best = min((one for one in answered if ended_at(one) <= until), key=_rank)
        rivalled = any(one.running and _quality(one) >= _quality(best) for one in field.entrants)
        in_time = now >= until or not rivalled
        if not in_time and not field.time_is_up:
            return Wait(until)
        return selected(field, best, RaceDecision.QUALITY, in_time=in_time)

    def _without_answer(self, field: Field) -> Step:
        if field.time_is_up:
            return unanswered(field)
        return Wait() if field.anyone_running else Fail()


def _quality(entrant: Entrant) -> float:
    quality = entrant.quality
    return PRIOR_QUALITY if quality is None or not math.isfinite(quality) else quality


def _rank(entrant: Entrant) -> tuple[Any, ...]:
    return (
        -_quality(entrant),
        confidence_key(own_confidence(entrant)),
        cost_key(entrant),
        latency_key(entrant),
        -entrant.priority,
        entrant.index,
    )
