"""What waits to be told of models that run side by side, in its order.

Lanes put in, without waiting; one task takes out and writes, so that nobody else's cancellation can cut a
write in two.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from paceline_server.completion.attempt import AttemptEnded, AttemptStarted, CallEvent
from paceline_server.completion.race import RaceEvent

MOST_UNTOLD = 256
"""Events that may wait before the lanes do: a slow reader slows them down."""


class Aside(NamedTuple):
    """What is told of an attempt that does not write what is being delivered, or not alone."""

    event: AttemptStarted | AttemptEnded


class TurnTo(NamedTuple):
    """What is delivered from here on is written by this attempt, from its first part on."""

    attempt_index: int


Entry = CallEvent | RaceEvent | Aside | TurnTo


class Outbox:
    """A queue whose taker may also be woken for nothing."""

    def __init__(self, unannounced: set[int]) -> None:
        """Start empty; the indices of attempts whose start waits here are kept in `unannounced`."""
        self._unannounced = unannounced
        self._events: deque[Entry] = deque()
        # Not two events, which would cost as much as all else here: mostly nobody waits for either.
        self._is_news = False
        self._taker: asyncio.Future[None] | None = None
        self._space: asyncio.Event | None = None

    @property
    def filled(self) -> bool:
        """Whether anything waits to be told."""
        return bool(self._events)

    def put(self, event: Entry) -> None:
        """Have an event told."""
        self._events.append(event)
        start = _start_in(event)
        if start is not None:
            self._unannounced.add(start)
        self.wake()

    def take(self) -> Entry | None:
        """The next event; None if there is none."""
        if not self._events:
            return None
        event = self._events.popleft()
        start = _start_in(event)
        if start is not None:
            self._unannounced.discard(start)
        if self._space is not None and len(self._events) < MOST_UNTOLD:
            self._space.set()
        return event

    def drop(self) -> list[AttemptStarted | AttemptEnded]:
        """Nobody takes out any more; gives what was to be told of attempts."""
        entries, self._events = self._events, deque()
        told = (entry.event if isinstance(entry, Aside) else entry for entry in entries)
        return [event for event in told if isinstance(event, AttemptStarted | AttemptEnded)]

    def wake(self) -> None:
        """Let the taker look around: something has happened that is no event."""
        self._is_news = True
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)

    async def news(self) -> None:
        """Wait until there is something new since the last time."""
        if not self._is_news:
            self._taker = asyncio.get_running_loop().create_future()
            try:
                await self._taker
            finally:
                self._taker = None
        self._is_news = False

    async def room(self) -> None:
        """Wait while too much waits to be told."""
        while len(self._events) >= MOST_UNTOLD:
            await self.more_room()

    async def more_room(self) -> None:
        """Wait until something has been written."""
        if self._space is None:
            self._space = asyncio.Event()
        self._space.clear()
        await self._space.wait()

    def make_room(self) -> None:
        """Something has been written."""
        if self._space is not None:
            self._space.set()


def _start_in(entry: Entry) -> int | None:
    """The index of the attempt whose start this tells."""
    event = entry.event if isinstance(entry, Aside) else entry
    return event.attempt.index if isinstance(event, AttemptStarted) else None
