"""What the caller has been given so far, and what becomes of it when the stream breaks (rule C5).

Stands between a chain and its sink. It holds back the first tokens where asked, joins what goes on with
delivered output, and retracts it before another attempt's first word. Deciding who tries next is the chain's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from paceline_server.completion.answer import Completion
from paceline_server.completion.attempt import (
    Attempt,
    AttemptEnded,
    AttemptOutcome,
    AttemptStarted,
    CallEvent,
    OutputDiscarded,
)
from paceline_server.completion.deltas import Delta, character_count
from paceline_server.completion.usage import NOTHING_USED, Usage, estimate_token_count, total_usage
from paceline_server.strategies.announcements import Announcements, Tell
from paceline_server.strategies.call import Recovery, Sink
from paceline_server.strategies.continuation import JoinedAnswer
from paceline_server.strategies.lane import Lane
from paceline_server.strategies.model import Broken

NEVER_SENT = (AttemptOutcome.SKIPPED, AttemptOutcome.REJECTED)


Detour = Callable[["Delivery", Delta], Awaitable[None]]
"""Takes a delta in the place of the sink."""


class Delivery:
    """A sink that knows what has been delivered.

    Attributes:
        delivered: Whether the present attempt has delivered anything.
        broken: The last attempt that broke after it had delivered something; cleared by nothing, since the
            caller has seen output whatever was retracted later.
    """

    __slots__ = (
        "_announcements",
        "_aside",
        "_detour",
        "_detour_behind",
        "_earlier",
        "_held_back",
        "_hold_token_count",
        "_joined",
        "_recovery",
        "_retracted",
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
        self._aside = sink.aside if isinstance(sink, Lane) else sink
        self._recovery = recovery
        self._hold_token_count = hold_token_count
        self._held_back: list[Delta] = []
        self._joined: JoinedAnswer | None = None
        self._earlier: list[Usage] = []
        self._seen_character_count = 0
        self._source_index = 0
        self._retracted = False
        self._announcements = Announcements()
        # Functions and no methods, which would hold what they are kept in.
        self._detour: Detour | None = None
        self._detour_behind: Detour | None = None
        if recovery is Recovery.HOLD and hold_token_count > 0:
            self._detour = Delivery._hold
        elif recovery is Recovery.CONTINUE:
            self._joined = JoinedAnswer()
            self._detour = Delivery._join

    @property
    def aside(self) -> Sink:
        """Takes the events of attempts that run beside others: they say nothing of what is delivered."""
        return self._take_aside if self._announcements.awaits_beginning else self._aside

    async def turn_to(self, attempt_index: int) -> None:
        """What comes now is the answer of another attempt, from its first part on."""
        stood = self.stands
        self._forget()
        if stood:
            await self._sink(OutputDiscarded(self._source_index))
        self._source_index = attempt_index

    def broke_off(self, attempt: Attempt) -> None:
        """What was delivered is all that comes of `attempt`, which has broken."""
        self._held_back.clear()
        if self.delivered:
            self._source_index = attempt.index
            self._earlier.append(attempt.usage or NOTHING_USED)
            self.broken = Broken(attempt.target, self.seen_token_count, attempt.index, (*self._earlier,))

    def broke_within(self, broken: Broken) -> None:
        """What was delivered is all that comes of a model that made its answer by itself, and has broken."""
        self._held_back.clear()
        if self.delivered:
            self._source_index = broken.attempt_index
            self._earlier += broken.usages
        if self.delivered or self._retracted:
            self.broken = broken

    def announce(self, beginning: Tell, content: Tell) -> None:
        """Have it told before the next attempt that it begins, and before the next content is delivered."""
        if not self._announcements.awaits_content:
            self._detour_behind = self._detour
        self._announcements.make(beginning, content)
        self._detour = Delivery._announced

    def announce_nothing(self) -> None:
        """Nothing is to be told after all."""
        if self._announcements.awaits_content:
            self._detour = self._detour_behind
        self._announcements.drop()

    async def settled(self) -> None:
        """The answer is whole: what was held back may be delivered."""
        if self._held_back:
            await self._release()

    @property
    def stands(self) -> bool:
        """Whether output stands that has not been retracted."""
        return self.delivered or bool(self._earlier)

    @property
    def final(self) -> bool:
        """Whether a break now cannot be recovered from, because output stands and may not be retracted."""
        return self.delivered and self._recovery is Recovery.NONE

    @property
    def text(self) -> str:
        """What stands and can be gone on from; empty where it cannot, or the caller does not want that."""
        return "" if self._joined is None else self._joined.text

    @property
    def seen_token_count(self) -> int:
        """Roughly how many tokens have come, of all attempts whose output stands."""
        return estimate_token_count(self._seen_character_count)

    def __call__(self, event: CallEvent) -> Awaitable[None]:
        """Take the next event."""
        if not isinstance(event, Delta):
            return self._take(event)
        self._seen_character_count += character_count(event.kind)
        if self._detour is not None:
            return self._detour(self, event)
        # Every token comes by here, so the sink's own coroutine is handed on instead of being waited for.
        self.delivered = True
        return self._sink(event)

    def whole(self, completion: Completion) -> Completion:
        """The answer that the caller has, of which `completion` is the end or all."""
        if not self._earlier or self._joined is None:
            return completion
        return replace(
            completion,
            parts=self._joined.parts(),
            usage=total_usage([*self._earlier, completion.usage]),
            confidence=None,
        )

    async def _take_aside(self, event: CallEvent) -> None:
        if isinstance(event, AttemptStarted):
            await self._announcements.begins()
        await self._aside(event)

    async def _take(self, event: AttemptStarted | AttemptEnded | OutputDiscarded) -> None:
        if isinstance(event, OutputDiscarded):
            stood = self.stands
            self._forget()
            if stood:
                self._retracted = True
                await self._sink(event)
            return
        if isinstance(event, AttemptStarted):
            await self._begin(event)
        elif event.attempt.outcome is AttemptOutcome.SUCCEEDED:
            await self.settled()
        elif event.attempt.outcome not in NEVER_SENT:
            self.broke_off(event.attempt)
        await self._aside(event)

    async def _begin(self, event: AttemptStarted) -> None:
        if event.continues and self._joined is not None:
            self.delivered = False
            self._joined.go_on()
        else:
            await self.turn_to(event.attempt.index)
        await self._announcements.begins()

    def _forget(self) -> None:
        self.delivered = False
        self._held_back.clear()
        self._earlier.clear()
        if self._joined is not None:
            self._joined.clear()
        self._seen_character_count = 0

    async def _announced(self, delta: Delta) -> None:
        self._detour = self._detour_behind
        await self._announcements.has_content()
        if self._detour is not None:
            await self._detour(self, delta)
            return
        self.delivered = True
        await self._sink(delta)

    def _join(self, delta: Delta) -> Awaitable[None]:
        assert self._joined is not None  # noqa: S101 - only CONTINUE comes this way
        joined = self._joined.take(delta)
        if joined is None:
            return _ignore(delta)
        self.delivered = True
        return self._sink(joined)

    async def _hold(self, delta: Delta) -> None:
        self._held_back.append(delta)
        if self.seen_token_count >= self._hold_token_count:
            await self._release()

    async def _release(self) -> None:
        """Deliver what was held back; from here on HOLD behaves as RESTART."""
        deltas, self._held_back, self._detour = self._held_back, [], None
        for delta in deltas:
            self.delivered = True
            await self._sink(delta)


async def _ignore(_event: CallEvent) -> None:
    """Nothing of it is delivered."""
