"""One model under way beside others: a task, and what it has told and written until it is let through.

Who runs in which lane, and which of them is let through, is decided by those who start it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from paceline_server.completion.answer import Completion
from paceline_server.completion.attempt import (
    Attempt,
    CallEvent,
    FailureClass,
    OutputDiscarded,
)
from paceline_server.completion.deltas import Delta, merge_adjacent
from paceline_server.completion.errors import AttemptFailure
from paceline_server.strategies.call import Sink
from paceline_server.strategies.model import Unanswered
from paceline_server.strategies.record import CallRecord
from paceline_server.telemetry.log import log_bug


class LaneListener(Protocol):
    """Is told of what happens in lanes, at once and synchronously."""

    def heard(self, lane: Lane, event: CallEvent) -> None:
        """The model has told or written something; what it wrote is in `lane.held`."""
        ...

    def ended(self, lane: Lane) -> None:
        """The model is done: `lane` holds its answer or why there is none."""
        ...

    async def room(self) -> None:
        """Wait while too much is still to be told: a slow reader slows the lanes down."""
        ...


class Lane:
    """The sink of one model that runs beside others. Times are on the event loop's clock.

    Attributes:
        record: Its branch of the call's record.
        earlier: The lane of the same model in which it ran before, from whose start its times count on.
        held: What it has written and nobody has been given.
        attempt_index: Of its latest attempt; None as long as it has made none.
        completion: Its whole answer, once it has one.
        unanswered: Why it has none.
        error: What ended it, if that was no word of the engines': the sink's failure, once it is let through.
        let_through: Whether what it writes goes to its outlet at once.
    """

    __slots__ = (
        "_listener",
        "_muted",
        "_outlet",
        "attempt_index",
        "completion",
        "earlier",
        "ended_at",
        "error",
        "first_content_at",
        "held",
        "index",
        "record",
        "started_at",
        "task",
        "unanswered",
    )

    def __init__(
        self, index: int, record: CallRecord, listener: LaneListener, earlier: Lane | None = None
    ) -> None:
        """Make the lane of the candidate or position `index`."""
        self.index = index
        self.record = record
        self.earlier = earlier
        self.held: list[Delta] = []
        self.started_at: float = asyncio.get_running_loop().time() if earlier is None else earlier.started_at
        self.first_content_at: float | None = None
        self.ended_at: float | None = None
        self.completion: Completion | None = None
        self.unanswered: Unanswered | None = None
        self.error: BaseException | None = None
        self.attempt_index: int | None = None if earlier is None else earlier.attempt_index
        self.task: asyncio.Task[None] | None = None
        self._listener = listener
        self._outlet: Sink | None = None
        self._muted = False

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self.ended_at is None

    @property
    def attempts(self) -> list[Attempt]:
        """All that were made for it."""
        before = [] if self.earlier is None else self.earlier.attempts
        return [*before, *self.record.attempts]

    @property
    def was_sent(self) -> bool:
        """Whether a target was called; it may have ended while it still looked for one."""
        return self.record.started_count > 0 or (self.earlier is not None and self.earlier.was_sent)

    @property
    def let_through(self) -> bool:
        """Whether what it writes goes to its outlet at once."""
        return self._outlet is not None

    def __call__(self, event: CallEvent) -> Awaitable[None]:
        """Take what the model tells or writes."""
        # Every token of a winner comes by here: the outlet's own coroutine is handed on.
        return self._take(event) if self._outlet is None else self._outlet(event)

    def aside(self, event: CallEvent) -> Awaitable[None]:
        """Take what is told of attempts by a model that makes one answer of several by itself."""
        return self(event)

    def let_out(self, outlet: Sink) -> None:
        """From now on hand everything on at once; nothing may be held any more."""
        self._outlet = outlet

    def mute(self) -> None:
        """End it for everybody but itself: it does not stop when it is told to."""
        self._muted = True
        self._outlet = None
        self.held.clear()
        self._end()

    def let_go(self) -> None:
        """Nobody waits for it any more: keep nothing that holds on to this."""
        # The frames of an exception hold this, and a task keeps the one that it ended with.
        self.task = None
        self.error = None
        self._outlet = None

    def raise_error(self) -> None:
        """Raise what ended it, if that was no word of the engines'; kept here, its frames would hold it."""
        error, self.error = self.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error

    def take_held(self) -> list[Delta]:
        """What it has written and nobody has been given, neighbours of one part joined."""
        held, self.held = self.held, []
        return merge_adjacent(held)

    def start(self, ask: Callable[[], Awaitable[Completion]]) -> None:
        """Run the model to its end, whatever that is."""
        self.task = asyncio.get_running_loop().create_task(self._run(ask))
        # Of a task that is cancelled before its first step no line is run.
        self.task.add_done_callback(self._end)

    async def _run(self, ask: Callable[[], Awaitable[Completion]]) -> None:
        try:
            completion = await ask()
            if not self._muted:
                self.completion = completion
        except Unanswered as unanswered:
            # The frames that it came through hold the call.
            if not self._muted:
                self.unanswered = unanswered.with_traceback(None)
        except Exception as error:  # noqa: BLE001 - one bad model must not sink the others
            self._failed(error)
        finally:
            self._end()

    async def _take(self, event: CallEvent) -> None:
        if self._muted:
            return
        if isinstance(event, Delta):
            if self.first_content_at is None:
                self.first_content_at = asyncio.get_running_loop().time()
            self.held.append(event)
        elif isinstance(event, OutputDiscarded):
            self.held.clear()
        self._listener.heard(self, event)
        await self._listener.room()

    def _failed(self, error: Exception) -> None:
        if self.let_through:
            self.error = error
            return
        log_bug(error)
        failure = AttemptFailure(FailureClass.TRANSIENT, "the model could not be run", reached_provider=False)
        self.unanswered = Unanswered([failure])

    def _end(self, _task: object = None) -> None:
        if self.ended_at is None:
            self.ended_at = asyncio.get_running_loop().time()
            self._listener.ended(self)
