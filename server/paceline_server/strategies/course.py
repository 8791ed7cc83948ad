"""How one call goes through models head to tail until one answers (rules C1 to C5)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace

from paceline_server.completion.answer import Completion
from paceline_server.strategies.call import Admission, Call, Turn
from paceline_server.strategies.clock import NEVER
from paceline_server.strategies.delivery import Delivery
from paceline_server.strategies.model import Model, Setback, Telling, Unanswered
from paceline_server.strategies.overtaking import Overtaking, Runner
from paceline_server.strategies.pace import Pace

Ask = Callable[[int, Turn, Runner | None], Awaitable[Completion]]
"""Lets the model at a position try; in a lane of its own if others may run beside it."""


@dataclass(slots=True)
class Course:
    """How one call goes through models, head to tail.

    Attributes:
        ask: Lets the model at a position try.
        path_of: The place in the model tree of the model at a position.
        left: Positions whose turn has not come.
        pace: When a model is so slow that the next starts beside it; None for never.
        held: Positions at which nothing was tried, with what held them.
        told: What a caller is told of the models that say so themselves, as long as all do.
        rejected_count: How many positions have only targets that the prompt does not fit.
        final: Nobody else may be tried.
        last_word_count: How many setbacks of those who ended the call stand last, whoever ran beside them.
    """

    models: tuple[Model, ...]
    call: Call
    turn: Turn
    delivery: Delivery
    ask: Ask
    path_of: Callable[[int], str]
    left: list[int]
    pace: Pace | None = None
    setbacks: list[Setback] = field(default_factory=list)
    held: list[tuple[int, Unanswered]] = field(default_factory=list)
    told: list[Telling | None] = field(default_factory=list)
    rejected_count: int = 0
    final: bool = False
    last_word_count: int = 0

    async def answer(self) -> Completion:
        """The answer of the first model that has one.

        Raises:
            Unanswered: None has.
        """
        while self.left:
            position, mine = self._take_next()
            completion = await self._overtakable(position, mine)
            if completion is not None:
                return completion
            if self.final:
                raise self._unanswered()
        if not self.turn.first_pass:
            completion = await self.try_held()
            if completion is not None:
                return completion
        raise self._unanswered()

    def anyone_next(self) -> bool:
        """Whether there is a model whose turn may come now."""
        return not self.final and self._anyone_ready()

    def next_up(self) -> tuple[int, Turn]:
        """Take the next of those."""
        while not self.models[self.left[0]].ready(self.call):
            # Its turn comes later, when nobody else is left: what is held is told then.
            self.left.append(self.left.pop(0))
        return self._take_next()

    def put_back(self, position: int) -> None:
        """A model was cancelled and has not failed: its turn may come again."""
        self.left.insert(0, position)

    def others_could_answer(self) -> bool:
        """Whether a model that may still be turned to, or one beside this course, could answer."""
        if not self.final and self._untried():
            return True
        return self.turn.beside is not None and self.turn.beside()

    async def attempt(self, position: int, mine: Turn, runner: Runner | None) -> Completion | None:
        """Let one model try, and retry where that is worth it; None if it has no answer."""
        refused = False
        while True:
            text = "" if refused else self.delivery.text
            try:
                going_on = mine if mine.continues == text else replace(mine, continues=text)
                return await self.ask(position, going_on, runner)
            except Unanswered as unanswered:
                if runner is not None:
                    await runner.broken_off(unanswered.broken)
                self._note(position, mine, unanswered)
                refused = refused or unanswered.refused
                wait = 0.0 if unanswered.refused else unanswered.retry_wait
                if self.final or wait is None:
                    return None
                if not unanswered.refused and self._is_left_for_others(position, mine, refused=refused):
                    return None
            await asyncio.sleep(wait)
            mine = replace(mine, admission=Admission.RETRY)

    async def _overtakable(self, position: int, mine: Turn) -> Completion | None:
        """Let one model try, and others beside it if it is slow (C7)."""
        pace = self.pace
        if pace is None or self.delivery.stands or not self._anyone_ready():
            return await self.attempt(position, mine, None)
        if pace.delay(self.models[position]) == NEVER:
            return await self.attempt(position, mine, None)
        return await Overtaking(self, pace).answer(position, mine)

    def _anyone_ready(self) -> bool:
        return any(self.models[position].ready(self.call) for position in self.left)

    def _take_next(self) -> tuple[int, Turn]:
        position = self._next()
        self.left.remove(position)
        ramp = Admission.WHOLE_RAMP if self.turn.admission is Admission.WHOLE_RAMP else Admission.SHARE
        return position, self._turn(position, self._untried(), ramp, first_pass=True)

    def _next(self) -> int:
        """The first that can go on with what was delivered (C5); else the next in order."""
        if self.delivery.text:
            return next(self._continuing(), self.left[0])
        return self.left[0]

    def _note(self, position: int, mine: Turn, unanswered: Unanswered) -> None:
        at = len(self.setbacks) - self.last_word_count
        self.setbacks[at:at] = unanswered.setbacks
        if unanswered.final:
            self.last_word_count = len(unanswered.setbacks)
        self.told.append(unanswered.told)
        self.final = self.final or unanswered.final or self.delivery.final
        if unanswered.nothing_sent and mine.admission is not Admission.RETRY:
            if unanswered.held:
                # The frames that it came through hold this course.
                self.held.append((position, unanswered.with_traceback(None)))
            else:
                self.rejected_count += 1

    def _is_left_for_others(self, position: int, mine: Turn, *, refused: bool) -> bool:
        """Whether output stands that another model is to go on with or to replace, rather than this (C5)."""
        if not self.delivery.stands or mine.untried == 0:
            return False
        can_continue = not refused and self.delivery.text and self.models[position].can_continue(self.call)
        return not can_continue or any(True for _ in self._continuing())

    async def try_held(self) -> Completion | None:
        """Turn back to what was passed over: targets that are ramping up, else one last resort (C3)."""
        held = tuple(self.held)
        ramping = [position for position, unanswered in held if _ramping(unanswered)]
        for turned_to, position in enumerate(ramping, start=1):
            untried = self.turn.untried + len(ramping) - turned_to
            mine = self._turn(position, untried, Admission.WHOLE_RAMP)
            completion = await self.attempt(position, mine, None)
            if completion is not None or self.final:
                return completion
        if ramping or not held or len(held) + self.rejected_count < len(self.models):
            return None
        returns = {position: _returns_at(unanswered) for position, unanswered in held}
        soonest = min(returns, key=lambda position: returns[position])
        if returns[soonest] == NEVER:
            return None
        mine = self._turn(soonest, self.turn.untried, Admission.LAST_RESORT)
        return await self.attempt(soonest, mine, None)

    def _turn(self, position: int, untried: int, admission: Admission, *, first_pass: bool = False) -> Turn:
        path = self.path_of(position)
        return Turn(path, untried, first_pass, admission, beside=self.turn.beside)

    def _untried(self) -> int:
        """How many models could still be turned to: those left, ramping ones, and the parent's."""
        if not (self.left or self.held):
            return self.turn.untried
        declined = sum(1 for _, unanswered in self.held if _ramping(unanswered))
        later = sum(1 for position in self.left if self.models[position].ready(self.call))
        return self.turn.untried + declined + later

    def _continuing(self) -> Iterator[int]:
        """Those left that can go on with what was delivered."""
        return (position for position in self.left if self.models[position].can_continue(self.call))

    def _unanswered(self) -> Unanswered:
        told = self.told[0] if self.told and all(self.told) else None
        return Unanswered(self.setbacks, final=self.final, broken=self.delivery.broken, told=told)


def _ramping(unanswered: Unanswered) -> bool:
    return any(held.ramping for held in unanswered.held)


def _returns_at(unanswered: Unanswered) -> float:
    """When the first of its targets returns; an operator's bench is never probed before its end."""
    return min((held.until for held in unanswered.held if not held.by_operator), default=NEVER)
