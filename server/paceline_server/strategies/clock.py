"""The silence clock: ends an attempt whose provider has sent no content for too long.

Armed only while the provider is awaited, so a slow reader of our own never ends a stream. One
timer serves a whole stream: moving the deadline is an assignment, because a token must not cost
a timer (`asyncio.timeout` re-arms one at each move). Calls are held to their deadline by one, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

NEVER = float("inf")


class SilenceClock:
    """A context that raises `TimeoutError` when it has been armed for longer than its limit.

    The body is cancelled as `asyncio.timeout` does it: only a cancellation of its own becomes a
    `TimeoutError`; one from outside goes on as `CancelledError`.
    """

    __slots__ = ("_cancelling", "_counts", "_deadline", "_expired", "_handle", "_loop", "_task")

    def __init__(self) -> None:
        """Start disarmed."""
        self._deadline = NEVER
        self._counts: Callable[[], bool] | None = None
        self._expired = False
        self._handle: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Any] | None = None

    async def __aenter__(self) -> Self:
        """Bind to the current task."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a silence clock needs a task to cancel")
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._cancelling = task.cancelling()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Turn the clock's own cancellation into `TimeoutError`."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        # The task's exception holds frames that hold this clock.
        task, self._task = self._task, None
        if task is None or not self._expired:
            return
        is_own = task.uncancel() <= self._cancelling
        # Nor may this frame, which the exception holds that the task may end with.
        del task
        if is_own and kind is asyncio.CancelledError:
            raise TimeoutError from error

    @property
    def expired(self) -> bool:
        """Whether it was this clock that ended the body."""
        return self._expired

    def arm(self, deadline: float, counts: Callable[[], bool] | None = None) -> None:
        """Expire at `deadline` (the loop's clock; `NEVER` for never) unless disarmed or armed anew before.

        A deadline that passes while `counts` says no ends nothing.
        """
        self._deadline = deadline
        self._counts = counts
        if deadline != NEVER and (self._handle is None or self._handle.when() > deadline):
            if self._handle is not None:
                self._handle.cancel()
            self._handle = self._loop.call_at(deadline, self._ring)

    def disarm(self) -> None:
        """Stop counting: the provider is not being waited for."""
        self._deadline = NEVER

    def _ring(self) -> None:
        self._handle = None
        if self._task is not None and self._deadline <= self._loop.time():
            if self._counts is not None and not self._counts():
                return
            self._expired = True
            self._task.cancel()
        elif self._deadline != NEVER:
            self._handle = self._loop.call_at(self._deadline, self._ring)
