"""A race: models run side by side, and a rule that chooses among their answers (rules R1 to R10)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from paceline_server.completion.answer import Completion, Target
from paceline_server.completion.immutable import immutable
from paceline_server.completion.prompt import GenerationConfig
from paceline_server.completion.race import RaceEvent
from paceline_server.strategies.call import Call, Sink, Turn
from paceline_server.strategies.model import Model
from paceline_server.strategies.racing.limits import NO_LIMITS, RaceLimits
from paceline_server.strategies.racing.rule import Rule
from paceline_server.strategies.surroundings import Surroundings

Tell = Callable[[RaceEvent], Awaitable[None]]
"""Takes the events of a race, in order with those that its sink takes."""


@immutable(frozen=True, slots=True)
class Candidate:
    """One entrant of a race.

    Attributes:
        spec: The model as it was asked for.
        config: Laid over the prompt's own settings; None leaves those as they are.
        priority: Higher ones start first where not all start at once, and win ties.
    """

    model: Model
    spec: str
    config: GenerationConfig | None = None
    priority: int = 0


class Race:
    """A set of models, of at least one, and the rule by which one of them answers.

    Attributes:
        judge: The model that `rule` may ask for; None if it asks for none.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        rule: Rule,
        surroundings: Surroundings,
        *,
        limits: RaceLimits = NO_LIMITS,
        judge: Model | None = None,
    ) -> None:
        """Make a race of `candidates`."""
        self.candidates = tuple(candidates)
        self.rule = rule
        self.limits = limits
        self.judge = judge
        self._surroundings = surroundings
        self.targets: tuple[Target, ...] = tuple(
            dict.fromkeys(target for one in self.candidates for target in one.model.targets)
        )

    def ready(self, call: Call) -> bool:
        """Whether `call` may turn to one of the candidates now."""
        return any(candidate.model.ready(call) for candidate in self.candidates)

    def can_continue(self, call: Call) -> bool:
        """Whether one of the candidates can go on with an answer that broke off."""
        return any(candidate.model.can_continue(call) for candidate in self.candidates)

    async def complete(self, call: Call, turn: Turn) -> Completion:
        """Give the whole answer of the winner."""
        raise NotImplementedError

    async def stream(self, call: Call, sink: Sink, turn: Turn) -> Completion:
        """Stream the answer of the winner."""
        return await self.stream_told(call, sink, _untold, turn)

    async def stream_told(self, call: Call, sink: Sink, tell: Tell, turn: Turn) -> Completion:
        """Stream the answer of the winner into `sink`, and tell how the race goes."""
        raise NotImplementedError


async def _untold(_event: RaceEvent) -> None:
    """Who asked for no race is told of none."""
