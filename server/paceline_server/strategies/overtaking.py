"""A slow model is overtaken, not killed: the next one starts beside it, and the first content wins (rule C7).

The slow one is cancelled and billed as a loser, and nobody holds its slowness against it. Which model is
next, and what a failure means for the others, is decided by the course that it stands in.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Protocol

from paceline_server.completion.answer import Completion
from paceline_server.completion.attempt import AttemptEnded, AttemptStarted, CallEvent
from paceline_server.completion.deltas import Delta
from paceline_server.completion.race import RaceEvent
from paceline_server.strategies.call import Call, Turn
from paceline_server.strategies.clock import NEVER
from paceline_server.strategies.delivery import Delivery
from paceline_server.strategies.heat import Heat
from paceline_server.strategies.lane import Lane
from paceline_server.strategies.model import Model, Unanswered
from paceline_server.strategies.outbox import Aside, Outbox, TurnTo
from paceline_server.strategies.surroundings import Surroundings
from paceline_server.strategies.teller import Teller


class Pace:
    """How long a model may take before another starts beside it."""

    def __init__(self, call: Call, surroundings: Surroundings, *, streaming: bool) -> None:
        """Go by what the caller asked for in `call`, else by the configuration."""
        self.streaming = streaming
        self._asked = call.options.overtake_after
        self._surroundings = surroundings

    def delay(self, model: Model) -> float:
        """Seconds, or `NEVER`."""
        if self._asked is not None:
            return self._asked or NEVER
        config = self._surroundings.config
        if config.overtake_quantile is not None:
            observed = self._surroundings.performance.quantile(
                model.targets[0], config.overtake_quantile, streaming=self.streaming
            )
            if observed is not None:
                return observed
        if model.reasons_unseen:
            return config.reasoning_overtake_after or NEVER
        return (config.overtake_after if self.streaming else config.unary_overtake_after) or NEVER

    def take_hedge(self) -> bool:
        """Take a token for a start beside another; tells whether there was one."""
        return self._surroundings.hedges.spend()


class Tries(Protocol):
    """The course whose models overtake each other."""

    models: tuple[Model, ...]
    call: Call
    delivery: Delivery

    def next_up(self) -> tuple[int, Turn] | None:
        """Take the next model whose turn it is, if there is one that may start."""
        ...

    def put_back(self, position: int) -> None:
        """A model was cancelled and has not failed: its turn may come again."""
        ...

    def others_could_answer(self) -> bool:
        """Whether anyone else could, who does not run here."""
        ...

    async def attempt(self, position: int, mine: Turn, lane: Lane | None) -> Completion | None:
        """Let one model try; None if it has no answer, which is noted then."""
        ...


class Overtaking:
    """One model, and those that start beside it because it is slow."""

    def __init__(self, tries: Tries, pace: Pace) -> None:
        """Let models of `tries` overtake each other."""
        self._tries = tries
        self._pace = pace
        self._outbox = Outbox()
        self._heat = Heat()
        self._lanes: list[Lane] = []
        self._chosen: Lane | None = None
        self._source: Lane | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._teller = Teller(self._outbox, self._heat, tries.delivery, _untold, tries.call.record.untold)

    async def answer(self, position: int, mine: Turn) -> Completion | None:
        """The answer of the first that has content; None if none has, or if it broke off."""
        try:
            async with self._heat:
                self._source = self._start(position, mine)
                while not await self._told():
                    await self._outbox.news()
                await self._heat.drained()
                await self._teller.flush()
            return self._result()
        finally:
            self._stop_timer()
            self._teller.leave()
            # A lane knows this as its listener: together they would outlive the call.
            self._lanes.clear()
            self._chosen = self._source = None

    def heard(self, lane: Lane, event: CallEvent) -> None:
        """A model has told or written something."""
        if isinstance(event, Delta):
            if self._chosen is None:
                self._choose(lane)
            self._outbox.wake()
            return
        if lane is self._chosen:
            for delta in lane.take_held():
                self._outbox.put(delta)
        if isinstance(event, AttemptStarted):
            lane.attempt_index = event.attempt.index
        if isinstance(event, AttemptStarted | AttemptEnded) and lane is not self._source:
            self._outbox.put(Aside(event))
        else:
            self._outbox.put(event)

    def ended(self, lane: Lane) -> None:
        """A model is done."""
        if lane.completion is not None and self._chosen is None:
            self._choose(lane)
        self._outbox.wake()

    async def room(self) -> None:
        """Wait while too much waits to be told."""
        await self._outbox.room()

    def _start(self, position: int, mine: Turn) -> Lane:
        record = self._tries.call.record
        free = record.starts_freely and not self._lanes
        lane = Lane(position, record.branch(free_start=free, same_tries=True), self)
        self._lanes.append(lane)
        self._heat.start(lane, partial(self._answered, lane, replace(mine, beside=self._others_could_answer)))
        delay = self._pace.delay(self._tries.models[position])
        self._stop_timer()
        if delay != NEVER:
            self._timer = asyncio.get_running_loop().call_later(delay, self._overtake)
        return lane

    async def _answered(self, lane: Lane, mine: Turn) -> Completion:
        completion = await self._tries.attempt(lane.index, mine, lane)
        if completion is None:
            raise Unanswered([])
        return completion

    def _others_could_answer(self) -> bool:
        running = sum(1 for lane in self._lanes if lane.running)
        return running > 1 or self._tries.others_could_answer()

    def _overtake(self) -> None:
        """Nobody has had content for too long: let the next one start, if it may."""
        self._timer = None
        if self._chosen is not None or not any(lane.running for lane in self._lanes):
            return
        if not self._pace.take_hedge():
            return
        up = self._tries.next_up()
        if up is not None:
            self._start(*up)

    def _choose(self, lane: Lane) -> None:
        self._chosen = lane
        self._stop_timer()
        self._heat.cancel_all(but=lane)
        if lane is not self._source:
            self._source = lane
            if lane.attempt_index is not None:
                self._outbox.put(TurnTo(lane.attempt_index))

    async def _told(self) -> bool:
        await self._teller.flush()
        if self._chosen is None:
            return not any(lane.running for lane in self._lanes) and not self._outbox.filled
        return await self._teller.poured(self._chosen, lambda: self._tries.delivery)

    def _result(self) -> Completion | None:
        for lane in reversed(self._lanes):
            if lane.completion is None and lane.unanswered is None:
                self._tries.put_back(lane.index)
        if self._chosen is None:
            return None
        self._chosen.raise_error()
        return self._chosen.completion

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def _untold(_event: RaceEvent) -> None:
    """No race is told of in a chain."""
