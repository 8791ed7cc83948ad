"""Models that run side by side, each in a task of its own, and none of them longer than the heat.

A task group would wait for a model that ignores its cancellation; a heat waits for a moment and goes on
without it (rule R2).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from paceline_server.completion.answer import Completion
from paceline_server.strategies.lane import Lane
from paceline_server.strategies.model import Unanswered
from paceline_server.telemetry.log import log_caution

DRAIN_SECONDS = 0.05
"""How long a cancelled model may take to close its connection and to book what it cost (rules A6, R2)."""

_strays: set[asyncio.Task[None]] = set()
"""Tasks that did not end when they were told to: the event loop itself keeps no task alive."""


class Heat:
    """The lanes of one race, or of one overtaking. Leaving it ends all that still run."""

    def __init__(self) -> None:
        """Start with none."""
        self._lanes: list[Lane] = []
        self._cancelled: set[Lane] = set()
        self._patience: asyncio.TimerHandle | None = None
        self._all_ended: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        """Open for lanes."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End what still runs, and wait for it as long as it may take."""
        for lane in self._lanes:
            # Anything but an outcome came from outside: the caller left, and nobody was faster (R10).
            self._end(lane, outrun=kind is None or issubclass(kind, Unanswered))
        try:
            await self.drained()
        finally:
            self._leave_strays()
            for lane in self._lanes:
                lane.let_go()
            self._lanes.clear()

    def start(self, lane: Lane, ask: Callable[[], Awaitable[Completion]]) -> None:
        """Run a model in `lane`."""
        self._lanes.append(lane)
        lane.start(ask)

    def cancel(self, lane: Lane) -> None:
        """Tell a lane to end, since another was faster; it does so when it next runs."""
        self._end(lane, outrun=True)

    def cancel_all(self, *, but: Lane | None = None) -> None:
        """Tell all to end that still run, but one."""
        for lane in self._lanes:
            if lane is not but:
                self.cancel(lane)

    def drains(self) -> bool:
        """Whether any lane that was told to end still runs."""
        return any(lane.running for lane in self._cancelled)

    async def drained(self) -> None:
        """Wait for those that were told to end; after `DRAIN_SECONDS` they are left to themselves."""
        interrupted: asyncio.CancelledError | None = None
        while self.drains():
            self._all_ended = asyncio.get_running_loop().create_future()
            try:
                await self._all_ended
            except asyncio.CancelledError as error:
                # Who leaves now leaves a moment later: nobody may be left running for that.
                interrupted = error
        self._leave_strays()
        if interrupted is not None:
            try:
                raise interrupted
            finally:
                # Its traceback holds this frame.
                interrupted = None

    def _end(self, lane: Lane, *, outrun: bool) -> None:
        if lane.running and lane.task is not None and lane not in self._cancelled:
            self._cancelled.add(lane)
            lane.record.outrun = outrun
            lane.record.stopped = True
            lane.task.add_done_callback(self._one_ended)
            lane.task.cancel()
            if self._patience is None:
                loop = asyncio.get_running_loop()
                self._patience = loop.call_later(DRAIN_SECONDS, self._leave_strays)

    def _one_ended(self, _task: object = None) -> None:
        if self._all_ended is not None and not self._all_ended.done() and not self.drains():
            self._all_ended.set_result(None)

    def _leave_strays(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        # What a lane's end has done may be to cancel another.
        left, self._cancelled = self._cancelled, set()
        for lane in left:
            if lane.running and lane.task is not None:
                lane.task.remove_done_callback(self._one_ended)
                _leave(lane)
        self._one_ended()


def _leave(lane: Lane) -> None:
    """Go on without a lane that does not end; what it has cost until now is booked."""
    log_caution("a model did not end when it was cancelled; its call goes on without it")
    lane.record.abandon()
    lane.mute()
    if lane.task is not None:
        _strays.add(lane.task)
        lane.task.add_done_callback(_strays.discard)
