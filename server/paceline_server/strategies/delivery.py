"""What the caller has been given so far, and what becomes of it when the stream breaks (rule C5).

Stands between a chain and its sink. It holds back the first tokens where asked, and retracts
delivered output before another attempt's first word. Deciding who tries next is the chain's.
"""

from __future__ import annotations

from collections.abc import Awaitable

from paceline_server.completion.attempt import (
    Attempt,
    AttemptEnded,
    AttemptOutcome,
    AttemptStarted,
    CallEvent,
    OutputDiscarded,
)
from paceline_server.completion.deltas import Delta, character_count
from paceline_server.completion.usage import estimate_token_count
from paceline_server.strategies.call import Recovery, Sink
from paceline_server.strategies.model import Broken

NEVER_SENT = (AttemptOutcome.SKIPPED, AttemptOutcome.REJECTED)


class Delivery:
    """A sink that knows what has been delivered.

    Attributes:
        delivered: Whether output stands that has not been retracted.
        broken: The last attempt that broke after it had delivered something; cleared by nothing, since the
            caller has seen output whatever was retracted later.
    """

    __slots__ = (
        "_held_back",
        "_hold_token_count",
        "_recovery",
        "_seen_character_count",
        "_sink",
        "_source_index",
        "broken",
        "delivered",
    )

    def __init__(self, sink: Sink, recovery: Recovery, hold_token_count: int) -> None:
        """Deliver to `sink`; with HOLD, only once `hold_token_count` tokens have come."""
        self.delivered = False
        self.broken: Broken | None = None
        self._sink = sink
        self._recovery = recovery
        self._hold_token_count = hold_token_count
        self._held_back: list[Delta] | None = (
            [] if recovery is Recovery.HOLD and hold_token_count > 0 else None
        )
        self._seen_character_count = 0
        self._source_index = 0

    @property
    def final(self) -> bool:
        """Whether a break now cannot be recovered from, because output stands and may not be retracted."""
        return self.delivered and self._recovery is Recovery.NONE

    @property
    def seen_token_count(self) -> int:
        """Roughly how many tokens the present attempt has brought."""
        return estimate_token_count(self._seen_character_count)

    def __call__(self, event: CallEvent) -> Awaitable[None]:
        """Take the next event."""
        if not isinstance(event, Delta):
            return self._take(event)
        self._seen_character_count += character_count(event.kind)
        if self._held_back is not None:
            return self._hold(event)
        # Every token comes by here, so the sink's own coroutine is handed on instead of being waited for.
        self.delivered = True
        return self._sink(event)

    async def _take(self, event: AttemptStarted | AttemptEnded | OutputDiscarded) -> None:
        if isinstance(event, AttemptStarted):
            await self._start_over()
            self._source_index = event.attempt.index
        elif isinstance(event, AttemptEnded):
            await self._settle(event.attempt)
        elif isinstance(event, OutputDiscarded):
            if self._held_back is not None:
                self._held_back.clear()
            self._seen_character_count = 0
            if not self.delivered:
                return
            self.delivered = False
        await self._sink(event)

    async def _hold(self, delta: Delta) -> None:
        assert self._held_back is not None  # noqa: S101 - the caller has looked
        self._held_back.append(delta)
        if self.seen_token_count >= self._hold_token_count:
            await self._release()

    async def _release(self) -> None:
        """Deliver what was held back; from here on HOLD behaves as RESTART."""
        deltas, self._held_back = self._held_back or [], None
        for delta in deltas:
            self.delivered = True
            await self._sink(delta)

    async def _settle(self, attempt: Attempt) -> None:
        if attempt.outcome is AttemptOutcome.SUCCEEDED:
            if self._held_back is not None:
                await self._release()
        elif attempt.outcome not in NEVER_SENT:
            if self.delivered:
                self.broken = Broken(attempt.target, self.seen_token_count)
            if self._held_back is not None:
                self._held_back.clear()

    async def _start_over(self) -> None:
        self._seen_character_count = 0
        if self.delivered:
            self.delivered = False
            await self._sink(OutputDiscarded(self._source_index))
