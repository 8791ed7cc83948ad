"""Plays the course of one call of a simulated model, on an injected clock.

Decides nothing but how much of what is due a read gives: the rest is `simulated_course`'s.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence

from paceline_server.completion.answer import Ending
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.deltas import Delta, merge_adjacent
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.simulated_course import Course

Sleep = Callable[[float], Awaitable[None]]
Clock = Callable[[], float]


class SimulatedStream:
    """One answer on its way. A failed or cancelled read closes it."""

    def __init__(
        self,
        course: Course,
        *,
        merge: bool,
        clock: Clock,
        sleep: Sleep,
        provider_closed: asyncio.Event,
        on_close: Callable[[SimulatedStream], None],
    ) -> None:
        """Start the course now; `on_close` is called once, when the connection is given up."""
        self._course = course
        self._merge = merge
        self._clock = clock
        self._sleep = sleep
        self._provider_closed = provider_closed
        self._on_close = on_close
        self._started_at = clock()
        self._delivered_count = 0
        self._ending: Ending | None = None
        self._closed = False

    @property
    def ending(self) -> Ending:
        """How the answer ended; only after `read` returned None."""
        if self._ending is None:
            raise RuntimeError("the stream has not ended: read it until it returns None")
        return self._ending

    async def read(self) -> Sequence[Delta] | None:
        """Wait for the next token and give it with all others that are due; None at the end.

        Raises:
            AttemptFailure: The course ends in a failure, or the stream was closed.
        """
        if self._ending is not None:
            return None
        try:
            return await self._next()
        except BaseException:
            self._close()
            raise

    async def aclose(self) -> None:
        """Give the connection up. Idempotent."""
        self._close()

    async def _next(self) -> Sequence[Delta] | None:
        course = self._course
        if self._delivered_count < len(course.tokens):
            await self._wait_until(course.token_due[self._delivered_count])
            return self._take_due()
        await self._wait_until(course.conclusion_due)
        self._ending = await concluded(course, self._provider_closed)
        return None

    async def _wait_until(self, due: float) -> None:
        if self._closed:
            raise connection_closed()
        # Slept even when nothing is left to wait: a reader of a fast stream must not starve the loop.
        await self._sleep(max(0.0, self._started_at + due - self._clock()))
        if self._closed:
            raise connection_closed()

    def _take_due(self) -> Sequence[Delta]:
        start = self._delivered_count
        tokens, token_due = self._course.tokens, self._course.token_due
        if not self._merge:
            self._delivered_count = start + 1
            return tokens[start : start + 1]
        # A coarse clock may stand a little before the token that was waited for: that one is due.
        elapsed = max(self._clock() - self._started_at, token_due[start])
        self._delivered_count = bisect_right(token_due, elapsed, lo=start)
        return merge_adjacent(list(tokens[start : self._delivered_count]))

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            self._on_close(self)


async def concluded(course: Course, provider_closed: asyncio.Event) -> Ending:
    """The ending of `course`; a silent one lasts until the provider is closed.

    Raises:
        AttemptFailure: The course fails, or the provider was closed.
    """
    if course.conclusion is None:
        await provider_closed.wait()
        raise connection_closed()
    if isinstance(course.conclusion, AttemptFailure):
        raise course.conclusion
    return course.conclusion


def connection_closed(*, reached_provider: bool = True) -> AttemptFailure:
    """The failure of a call whose connection was closed on this side."""
    message = "the connection to the simulated provider was closed"
    return AttemptFailure(FailureClass.TRANSIENT, message, reached_provider=reached_provider)
