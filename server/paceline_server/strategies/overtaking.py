"""A slow model is overtaken, not killed: the next one starts beside it, and the first content wins (rule C7).

The slow one is cancelled and billed as a loser, and nobody holds its slowness against it. Which model is
next, and what a failure means for the others, is decided by the course that it stands in.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Protocol

from paceline_server.completion.answer import Completion
from paceline_server.completion.attempt import Attempt, AttemptEnded, AttemptStarted, CallEvent
from paceline_server.completion.deltas import Delta
from paceline_server.completion.race import RaceEvent
from paceline_server.strategies.call import Call, Turn
from paceline_server.strategies.clock import NEVER
from paceline_server.strategies.delivery import Delivery
from paceline_server.strategies.heat import Heat
from paceline_server.strategies.lane import Lane
from paceline_server.strategies.model import Broken, Model, Setback, Unanswered
from paceline_server.strategies.outbox import Aside, Outbox, TurnTo
from paceline_server.strategies.pace import Pace
from paceline_server.strategies.record import CallRecord
from paceline_server.strategies.teller import Teller


class Tries(Protocol):
    """The course whose models overtake each other."""

    models: tuple[Model, ...]
    call: Call
    delivery: Delivery
    setbacks: list[Setback]

    def anyone_next(self) -> bool:
        """Whether there is a model whose turn may come now."""
        ...

    def next_up(self) -> tuple[int, Turn]:
        """Take the next of those."""
        ...

    def put_back(self, position: int) -> None:
        """A model was cancelled and has not failed: its turn may come again."""
        ...

    def others_could_answer(self) -> bool:
        """Whether anyone else could, who does not run here."""
        ...

    async def attempt(self, position: int, mine: Turn, runner: Runner | None) -> Completion | None:
        """Let one model try; None if it has no answer, which is noted then."""
        ...


class Runner(Lane):
    """The lane of one model of a course."""

    __slots__ = ("_overtaking", "beside")

    def __init__(self, position: int, record: CallRecord, overtaking: Overtaking, *, beside: bool) -> None:
        """Make the lane of the model at `position`; it is `beside` others that are slow, or the first."""
        super().__init__(position, record, overtaking)
        self.beside = beside
        self._overtaking = overtaking

    async def aside(self, event: CallEvent) -> None:
        """Take what is told of attempts by a model that makes one answer of several by itself."""
        if self.let_through:
            await self._overtaking.delivery.aside(event)
        elif self.running:
            self._overtaking.heard_aside(self, event)
            await self._overtaking.room()

    async def broken_off(self, broken: Broken | None) -> None:
        """Wait until all that it wrote is delivered, since only then it is known what stands; it was that."""
        await self._overtaking.caught_up(self)
        if broken is not None and self.let_through:
            self._overtaking.delivery.broke_within(broken)


class Overtaking:
    """One model, and those that start beside it because it is slow."""

    def __init__(self, tries: Tries, pace: Pace) -> None:
        """Let models of `tries` overtake each other."""
        self.delivery = tries.delivery
        self._tries = tries
        self._pace = pace
        record = tries.call.record
        self._outbox = Outbox(record.unannounced)
        self._heat = Heat()
        self._runners: list[Runner] = []
        self._chosen: Runner | None = None
        self._alone = asyncio.Event()
        self._over = False
        self._timer: asyncio.TimerHandle | None = None
        self._teller = Teller(self._outbox, self._heat, self.delivery, _untold, record, begins=_untold)

    async def answer(self, position: int, mine: Turn) -> Completion | None:
        """The answer of the first that has content; None if none has, or if it broke off."""
        try:
            async with self._heat:
                try:
                    self._start(position, mine)
                    while not await self._told():
                        await self._outbox.news()
                finally:
                    # Whoever started from here on would be waited for by nobody.
                    self._over = True
                    self._stop_timer()
                await self._heat.drained()
                await self._teller.flush()
                if self._chosen is not None:
                    self._chosen.raise_error()
            return await self._result()
        finally:
            self._teller.leave()
            # A runner knows this as its listener: together they would outlive the call.
            self._runners.clear()
            self._chosen = None

    def heard(self, lane: Lane, event: CallEvent) -> None:
        """A model has told or written something."""
        if isinstance(event, Delta):
            if self._chosen is None:
                self._choose(lane)
            self._outbox.wake()
        elif lane is not self._chosen:
            self.heard_aside(lane, event)
        else:
            self._note(lane, event)
            self._outbox.put(event)

    def heard_aside(self, lane: Lane, event: CallEvent) -> None:
        """A model has told of an attempt that does not write what is delivered, or has not yet."""
        self._note(lane, event)
        if isinstance(event, AttemptStarted | AttemptEnded):
            self._outbox.put(Aside(event))

    def ended(self, lane: Lane) -> None:
        """A model is done."""
        if self._chosen is None and lane.completion is not None:
            self._choose(lane)
        elif isinstance(lane, Runner) and lane.beside and not lane.record.started_count:
            # It was held, or the prompt does not fit it: it is another's turn.
            self._pace.give_back_hedge()
            self._overtake()
        self._outbox.wake()

    async def room(self) -> None:
        """Wait while too much waits to be told."""
        await self._outbox.room()

    async def caught_up(self, runner: Runner) -> None:
        """Wait until the caller has what the chosen one wrote; of others he has nothing."""
        while runner is self._chosen and not runner.let_through:
            await self._alone.wait()

    def _start(self, position: int, mine: Turn) -> None:
        record, beside = self._tries.call.record, bool(self._runners)
        branch = record.branch(free_start=record.starts_freely and not beside, same_tries=True)
        runner = Runner(position, branch, self, beside=beside)
        self._runners.append(runner)
        turn = mine.beside_others(self._others_could_answer)
        self._heat.start(runner, partial(self._answered, runner, turn))
        delay = self._pace.delay(self._tries.models[position])
        self._stop_timer()
        if delay != NEVER:
            self._timer = asyncio.get_running_loop().call_later(delay, self._overtake)

    async def _answered(self, runner: Runner, mine: Turn) -> Completion:
        completion = await self._tries.attempt(runner.index, mine, runner)
        if completion is None:
            raise Unanswered([])
        return completion

    def _others_could_answer(self) -> bool:
        running = sum(1 for runner in self._runners if runner.running)
        return running > 1 or self._tries.others_could_answer()

    def _overtake(self) -> None:
        """Nobody has had content for too long: let the next one start, if it may."""
        if self._over or self._chosen is not None or not any(runner.running for runner in self._runners):
            return
        if self._tries.anyone_next() and self._pace.take_hedge():
            self._start(*self._tries.next_up())

    def _choose(self, lane: Lane) -> None:
        assert isinstance(lane, Runner)  # noqa: S101 - nobody else is heard here
        self._chosen = lane
        self._stop_timer()
        self._heat.cancel_all(but=lane)
        if lane.attempt_index is not None:
            self._outbox.put(TurnTo(lane.attempt_index))

    def _note(self, lane: Lane, event: CallEvent) -> None:
        if lane is self._chosen:
            for delta in lane.take_held():
                self._outbox.put(delta)
        if isinstance(event, AttemptStarted):
            lane.attempt_index = event.attempt.index

    async def _told(self) -> bool:
        await self._teller.flush()
        if self._chosen is None:
            return not any(runner.running for runner in self._runners) and not self._outbox.filled
        is_over = await self._teller.poured(self._chosen, lambda: self.delivery)
        if self._chosen.let_through and not self._alone.is_set():
            # Should it break, the turn of those that it outran may come again.
            self._put_back()
            self._alone.set()
        return is_over

    async def _result(self) -> Completion | None:
        chosen = self._chosen
        if not self._alone.is_set():
            self._put_back()
        if chosen is None:
            for runner in self._runners:
                if runner.unanswered is not None:
                    # What the course has noted is not told again: these could not be run.
                    self._tries.setbacks += runner.unanswered.setbacks
            return None
        if chosen.completion is not None:
            await self.delivery.settled()
        return chosen.completion

    def _put_back(self) -> None:
        for runner in reversed(self._runners):
            if runner is not self._chosen and runner.completion is None and runner.unanswered is None:
                self._tries.put_back(runner.index)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def _untold(_event: RaceEvent | Attempt) -> None:
    """No race is told of in a chain."""
