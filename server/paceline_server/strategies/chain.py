"""A chain: models tried head to tail until one answers (rules C1 to C5)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from paceline_server.completion.answer import Completion, Target
from paceline_server.completion.attempt import CallEvent
from paceline_server.strategies.call import Admission, AttemptConfig, Call, Recovery, Sink, Turn
from paceline_server.strategies.clock import NEVER
from paceline_server.strategies.delivery import Delivery
from paceline_server.strategies.model import Model, Setback, Unanswered

Ask = Callable[[Model, Turn], Awaitable[Completion]]


@dataclass(slots=True)
class _Progress:
    """How far a chain has come in one call.

    Attributes:
        held: Positions at which nothing was tried, with what held them.
        rejected_count: How many positions have only targets that the prompt does not fit.
    """

    setbacks: list[Setback] = field(default_factory=list)
    held: list[tuple[int, Unanswered]] = field(default_factory=list)
    rejected_count: int = 0
    final: bool = False

    def note_untried(self, position: int, unanswered: Unanswered) -> None:
        if unanswered.nothing_sent and unanswered.held:
            self.held.append((position, unanswered))
        elif unanswered.nothing_sent:
            self.rejected_count += 1

    def unanswered(self, delivery: Delivery) -> Unanswered:
        return Unanswered(self.setbacks, final=self.final, broken=delivery.broken)


class Chain:
    """An ordered list of models, of at least one."""

    def __init__(self, models: Sequence[Model], config: AttemptConfig) -> None:
        """Make a chain of `models`."""
        self._models = tuple(models)
        self._config = config
        self.targets: tuple[Target, ...] = tuple(
            dict.fromkeys(target for model in self._models for target in model.targets)
        )

    def __repr__(self) -> str:
        """The models in their order."""
        return f"Chain{self._models!r}"

    def ready(self, call: Call) -> bool:
        """Whether `call` may turn to one of the models now."""
        return any(model.ready(call) for model in self._models)

    async def complete(self, call: Call, turn: Turn) -> Completion:
        """Give the whole answer of the first model that has one; recovers silently."""
        delivery = Delivery(_ignore, Recovery.RESTART, 0)
        return await self._answer(call, turn, delivery, lambda model, turn: model.complete(call, turn))

    async def stream(self, call: Call, sink: Sink, turn: Turn) -> Completion:
        """Stream the answer of the first model that gives it whole."""
        delivery = sink if isinstance(sink, Delivery) else self._delivery(call, sink)
        return await self._answer(
            call, turn, delivery, lambda model, turn: model.stream(call, delivery, turn)
        )

    def _delivery(self, call: Call, sink: Sink) -> Delivery:
        """One a call: a chain in a chain delivers through its parent's, so nothing is held back twice."""
        hold = call.options.hold_token_count
        if hold is None:
            hold = self._config.hold_token_count
        return Delivery(sink, call.options.recovery, hold)

    async def _answer(self, call: Call, turn: Turn, delivery: Delivery, ask: Ask) -> Completion:
        progress = _Progress()
        ramp = Admission.WHOLE_RAMP if turn.admission is Admission.WHOLE_RAMP else Admission.SHARE
        for position in range(len(self._models)):
            untried = self._untried(call, position, turn, progress)
            mine = replace(self._place(position, turn), untried=untried, first_pass=True, admission=ramp)
            completion = await self._try(position, mine, delivery, ask, progress)
            if completion is not None:
                return completion
            if progress.final:
                raise progress.unanswered(delivery)
        if not turn.first_pass:
            completion = await self._try_held(turn, delivery, ask, progress)
            if completion is not None:
                return completion
        raise progress.unanswered(delivery)

    async def _try(
        self, position: int, mine: Turn, delivery: Delivery, ask: Ask, progress: _Progress
    ) -> Completion | None:
        """Let one model try, and retry where that is worth it."""
        while True:
            try:
                return await ask(self._models[position], mine)
            except Unanswered as unanswered:
                progress.setbacks += unanswered.setbacks
                progress.final = unanswered.final or delivery.final
                if mine.admission is not Admission.RETRY:
                    progress.note_untried(position, unanswered)
                if progress.final or not _may_retry(unanswered, delivery, mine):
                    return None
                wait = unanswered.retry_wait
            await asyncio.sleep(wait or 0.0)
            mine = replace(mine, admission=Admission.RETRY)

    async def _try_held(
        self, turn: Turn, delivery: Delivery, ask: Ask, progress: _Progress
    ) -> Completion | None:
        """Turn back to what was passed over: targets that are ramping up, else one last resort (C3)."""
        held = tuple(progress.held)
        ramping = [position for position, unanswered in held if _ramping(unanswered)]
        for turned_to, position in enumerate(ramping, start=1):
            untried = turn.untried + len(ramping) - turned_to
            mine = replace(self._place(position, turn), untried=untried, admission=Admission.WHOLE_RAMP)
            completion = await self._try(position, mine, delivery, ask, progress)
            if completion is not None or progress.final:
                return completion
        if ramping or not held or len(held) + progress.rejected_count < len(self._models):
            return None
        returns = {position: _returns_at(unanswered) for position, unanswered in held}
        soonest = min(returns, key=lambda position: returns[position])
        if returns[soonest] == NEVER:
            return None
        mine = replace(self._place(soonest, turn), admission=Admission.LAST_RESORT)
        return await self._try(soonest, mine, delivery, ask, progress)

    def _place(self, position: int, turn: Turn) -> Turn:
        """The turn of the model at `position`; a chain of one is its model."""
        return turn.child(f"chain[{position}]") if len(self._models) > 1 else turn

    def _untried(self, call: Call, position: int, turn: Turn, progress: _Progress) -> int:
        """How many models could still be turned to: later ones, ramping ones, and the parent's."""
        declined = sum(1 for _, unanswered in progress.held if _ramping(unanswered))
        later = sum(1 for model in self._models[position + 1 :] if model.ready(call))
        return turn.untried + declined + later


def _may_retry(unanswered: Unanswered, delivery: Delivery, turn: Turn) -> bool:
    """A retry goes to the same model, unless output broke and another model is left to restart on (C5)."""
    return unanswered.retry_wait is not None and not (delivery.delivered and turn.untried > 0)


def _ramping(unanswered: Unanswered) -> bool:
    return any(held.ramping for held in unanswered.held)


def _returns_at(unanswered: Unanswered) -> float:
    """When the first of its targets returns; an operator's bench is never probed before its end."""
    return min((held.until for held in unanswered.held if not held.by_operator), default=NEVER)


async def _ignore(_event: CallEvent) -> None:
    """A unary call delivers nothing before its end."""
