"""What a race is made of, the same for every call that it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from paceline_server.completion.immutable import immutable
from paceline_server.completion.race import RaceEvent
from paceline_server.strategies.model import Model
from paceline_server.strategies.racing.candidate import Candidate
from paceline_server.strategies.racing.limits import NO_LIMITS, RaceLimits
from paceline_server.strategies.racing.rule import Entrant, Field, Rule
from paceline_server.strategies.surroundings import Surroundings

Tell = Callable[[RaceEvent], Awaitable[None]]
"""Takes the events of a race, in order with those that its sink takes."""


@immutable(frozen=True, slots=True)
class RacePlan:
    """A race of at least one candidate.

    Attributes:
        judge: The model that `rule` may ask for; None if it asks for none.
    """

    candidates: tuple[Candidate, ...]
    rule: Rule
    surroundings: Surroundings
    limits: RaceLimits = NO_LIMITS
    judge: Model | None = None

    def field(self, *, streaming: bool) -> Field:
        """The field before the start, with what is known of each candidate's performance."""
        return Field(
            [self._entrant(index, streaming=streaming) for index in range(len(self.candidates))], streaming
        )

    def _entrant(self, index: int, *, streaming: bool) -> Entrant:
        candidate, performance = self.candidates[index], self.surroundings.performance
        target = candidate.model.targets[0]
        return Entrant(
            index,
            candidate.priority,
            win_rate=performance.win_rate(target),
            quality=candidate.quality,
            hedge_delay=self.rule.hedge_delay(lambda q: performance.quantile(target, q, streaming=streaming)),
        )
