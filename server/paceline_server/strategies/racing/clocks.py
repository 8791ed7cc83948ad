"""The clocks of a race: when it is decided at the latest, and how long a candidate may take (rule R2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from paceline_server.strategies.call import Call
from paceline_server.strategies.clock import NEVER
from paceline_server.strategies.lane import Lane
from paceline_server.strategies.racing.limits import RaceLimits

LEAST_MARGIN = 0.1
MARGIN_SHARE = 0.02
"""A race decides so long before its caller's deadline, in seconds and as a share of the call; of a call that
is shorter than twice that, after half of it."""


class RaceClocks:
    """One timer for all moments of one race, on the event loop's clock, in seconds.

    Attributes:
        decides_at: When the race is decided at the latest.
        cut_by_limit: Whether that is its own limit, and not the caller's deadline.
    """

    def __init__(self, call: Call, limits: RaceLimits) -> None:
        """Begin now."""
        self._loop = asyncio.get_running_loop()
        self._candidate_timeout = limits.candidate_timeout
        self._timer: asyncio.TimerHandle | None = None
        now = self._loop.time()
        timeout = NEVER if limits.decision_timeout is None else limits.decision_timeout
        # A candidate that races itself must have decided when the race that it stands in does.
        latest = min(call.deadline, call.answers_by)
        margin = max(LEAST_MARGIN, MARGIN_SHARE * (latest - call.started_at))
        latest -= min(margin, (latest - now) / 2)
        self.cut_by_limit = now + timeout < latest
        self.decides_at = min(now + timeout, latest)

    def now(self) -> float:
        """The loop's clock."""
        return self._loop.time()

    def out_of_time(self, lanes: Iterable[Lane], now: float) -> list[Lane]:
        """Those that run for longer than a candidate may."""
        limit = self._candidate_timeout
        if limit is None:
            return []
        return [lane for lane in lanes if lane.running and now >= lane.started_at + limit]

    def wait(self, until: float, lanes: Iterable[Lane], ring: Callable[[], None]) -> None:
        """Call `ring` at `until`, or at a moment of the clocks' own before it."""
        self.stop()
        limit = self._candidate_timeout
        ends = [] if limit is None else [lane.started_at + limit for lane in lanes if lane.running]
        now = self._loop.time()
        moment = min(until, self.decides_at, *(end for end in ends if end > now))
        if moment != NEVER:
            self._timer = self._loop.call_at(moment, ring)

    def stop(self) -> None:
        """Ring no more, and keep nobody who was to be called: he knows these clocks."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
