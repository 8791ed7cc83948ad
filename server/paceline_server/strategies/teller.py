"""Writes what is told of lanes, in its order, and lets the chosen one through as soon as it is alone.

From then on what that lane writes goes out at once, without a detour through this.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from paceline_server.completion.attempt import (
    Attempt,
    AttemptEnded,
    AttemptStarted,
    OutputDiscarded,
)
from paceline_server.completion.deltas import Delta
from paceline_server.strategies.call import Sink
from paceline_server.strategies.delivery import Delivery
from paceline_server.strategies.heat import Heat
from paceline_server.strategies.lane import Lane
from paceline_server.strategies.outbox import Aside, Entry, Outbox, TurnTo
from paceline_server.strategies.racing.plan import Tell
from paceline_server.strategies.record import CallRecord


class Teller:
    """The one writer of what lanes tell."""

    def __init__(
        self,
        outbox: Outbox,
        heat: Heat,
        delivery: Delivery,
        tell: Tell,
        record: CallRecord,
        *,
        begins: Callable[[Attempt], Awaitable[None]],
    ) -> None:
        """Write what is in `outbox`: events of calls to `delivery`, those of races to `tell`.

        Args:
            heat: Whose lanes they are.
            record: Knows the attempts that were cancelled, when nothing could be told.
            begins: Tells what is to be told before the late word of an attempt's start.
        """
        self._outbox = outbox
        self._heat = heat
        self._delivery = delivery
        self._tell = tell
        self._record = record
        self._begins = begins

    async def flush(self) -> None:
        """Write what waits."""
        while True:
            # What was put in first: that a candidate has won, say, is told before what it wrote.
            while (entry := self._outbox.take()) is not None:
                await self._write(entry)
            attempt = None if self._record.parent is not None else self._record.next_untold()
            if attempt is None:
                return  # what is not told here is told of the whole call
            await self._tell_late(attempt)

    async def _tell_late(self, attempt: Attempt) -> None:
        """Tell what was not told of an attempt that was cancelled."""
        record = self._record
        if attempt.index in record.unstarted:
            await self._begins(attempt)
            record.unstarted.discard(attempt.index)
            await self._delivery.aside(AttemptStarted(attempt.as_started()))
        record.untold.remove(attempt)
        await self._delivery.aside(AttemptEnded(attempt))

    def leave(self) -> None:
        """Nobody writes any more: the attempts that wait are to be told of by who tells of the failure."""
        record = self._record
        for event in self._outbox.drop():
            if isinstance(event, AttemptStarted):
                record.unannounced.discard(event.attempt.index)
                record.unstarted.add(event.attempt.index)
            else:
                record.untold.append(event.attempt)

    async def poured(self, chosen: Lane, outlet: Callable[[], Sink]) -> bool:
        """Write what the chosen lane holds; tells whether it has ended and all of it is written.

        Args:
            outlet: Makes what takes its events once it is alone.
        """
        if chosen.let_through:
            return not chosen.running
        if self._outbox.filled:
            # That he was chosen, say, comes before what he wrote.
            self._outbox.wake()
            return False
        held = chosen.take_held()
        for delta in held:
            await self._delivery(delta)
        self._outbox.make_room()
        if held or self._outbox.filled:
            self._outbox.wake()
            return False
        if chosen.running and not self._heat.drains():
            # Nothing is held, nothing waits, and nobody else is left who could write.
            chosen.let_out(outlet())
        return not chosen.running

    async def _write(self, entry: Entry) -> None:
        if isinstance(entry, Delta | OutputDiscarded | AttemptStarted | AttemptEnded):
            await self._delivery(entry)
        elif isinstance(entry, Aside):
            await self._delivery.aside(entry.event)
        elif isinstance(entry, TurnTo):
            await self._delivery.turn_to(entry.attempt_index)
        else:
            await self._tell(entry)
