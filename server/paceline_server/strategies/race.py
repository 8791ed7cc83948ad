"""A race: models run side by side, and a rule that chooses among their answers (rules R1 to R10)."""

from __future__ import annotations

from collections.abc import Sequence

from paceline_server.completion.answer import Completion, Target
from paceline_server.completion.race import RaceEvent
from paceline_server.strategies.call import Call, Sink, Turn
from paceline_server.strategies.delivery import Delivery
from paceline_server.strategies.model import Model, Unanswered
from paceline_server.strategies.race_run import RaceRun
from paceline_server.strategies.racing.aftermath import Aftermath
from paceline_server.strategies.racing.candidate import Candidate
from paceline_server.strategies.racing.limits import NO_LIMITS, RaceLimits
from paceline_server.strategies.racing.plan import RacePlan, Tell
from paceline_server.strategies.racing.rule import Rule
from paceline_server.strategies.recovery import delivery_of
from paceline_server.strategies.surroundings import Surroundings

__all__ = ["Candidate", "Race", "Tell"]


class Race:
    """A set of models, of at least one, and the rule by which one of them answers."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        rule: Rule,
        surroundings: Surroundings,
        *,
        limits: RaceLimits = NO_LIMITS,
        judge: Model | None = None,
    ) -> None:
        """Make a race of `candidates`; `judge` is the model that `rule` may ask for."""
        self.candidates = tuple(candidates)
        self.plan = RacePlan(self.candidates, rule, surroundings, limits, judge)
        self.targets: tuple[Target, ...] = tuple(
            dict.fromkeys(target for one in self.candidates for target in one.model.targets)
        )

    def __repr__(self) -> str:
        """The models by their indices."""
        return f"Race{tuple(candidate.model for candidate in self.candidates)!r}"

    @property
    def reasons_unseen(self) -> bool:
        """Whether all candidates may think for minutes without sending anything."""
        return all(candidate.model.reasons_unseen for candidate in self.candidates)

    def ready(self, call: Call) -> bool:
        """Whether `call` may turn to one of the candidates now."""
        return any(candidate.model.ready(call) for candidate in self.candidates)

    def can_continue(self, call: Call) -> bool:
        """A race never goes on with another's answer: its candidates would each go on in their own way."""
        return False

    async def complete(self, call: Call, turn: Turn) -> Completion:
        """Give the whole answer of the winner."""
        return await self._answer(call, turn, None, _untold)

    async def stream(self, call: Call, sink: Sink, turn: Turn) -> Completion:
        """Stream the answer of the winner."""
        return await self.stream_told(call, sink, _untold, turn)

    async def stream_told(self, call: Call, sink: Sink, tell: Tell, turn: Turn) -> Completion:
        """Stream the answer of the winner into `sink`, and tell how the race goes."""
        config = self.plan.surroundings.config
        delivery = sink if isinstance(sink, Delivery) else delivery_of(call, sink, config)
        completion = await self._answer(call, turn, delivery, tell)
        return completion if delivery is sink else delivery.whole(completion)

    async def _answer(self, call: Call, turn: Turn, delivery: Delivery | None, tell: Tell) -> Completion:
        run = RaceRun(self.plan, call, turn, delivery, tell)
        record = call.record.whole or call.record
        if not turn.in_race:
            record.race = run.report
        try:
            async with run.heat:
                completion = await _course(run)
        finally:
            run.close()
        if not turn.in_race:
            # In a chain another race may have begun since then, beside this one.
            record.race = run.report
        return completion


async def _course(run: RaceRun) -> Completion:
    """Run a race to its end."""
    try:
        return await _answered(run)
    finally:
        # Else an end that leaving causes would start the next candidate, or the judge.
        run.contest.stop()


async def _answered(run: RaceRun) -> Completion:
    aftermath = Aftermath(run)
    try:
        completion = await aftermath.answer(await run.decided())
    except Unanswered:
        await run.drained()
        await run.ended()
        raise
    if run.delivery is not None:
        await run.delivery.settled()
    await run.drained()
    run.won(aftermath.won)
    await run.ended()
    return completion


async def _untold(_event: RaceEvent) -> None:
    """Who asked for no race is told of none."""
