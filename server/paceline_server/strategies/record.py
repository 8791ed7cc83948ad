"""What has happened in a call so far.

The record is shared by everything that works for the call, so that attempts, additional tries
and the bill are counted once, wherever in the model tree they happen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import Attempt, AttemptEnded, AttemptStarted
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.race import CandidateReport, RaceSummary
from paceline_server.completion.usage import NOTHING_USED, Usage, total_usage
from paceline_server.health.registry import Scope


class Unfinished(Protocol):
    """An attempt under way."""

    def cancelled(self) -> Attempt:
        """Book it as cancelled, with what it has cost until now."""
        ...


class RaceRecord(Protocol):
    """How the race of a call goes, for those who tell of it. It can be asked at any time."""

    def summary(self) -> RaceSummary:
        """All of it so far."""
        ...

    def untold(self) -> Sequence[CandidateReport]:
        """The candidates whose end has not been told as an event."""
        ...


@dataclass(slots=True)
class CallRecord:
    """What has happened in a call so far, or in one branch of it.

    Attributes:
        offered: Whether the call has been told to the fleet's budget.
        free_start_count: How many first starts draw on no budget of additional attempts: one, or none.
        started_count: Attempts that were sent to a provider, those of its branches included.
        additional_count: How many of all starts of the call drew on the budget.
        tries: How often each target was called.
        counted: Targets that this call has been counted against (one call adds at most one).
        barred: Providers that this call must not turn to again, with what they failed of (rule A3); their
            benches alone would not do: one ends when the provider says, which may be at once.
        untold: Attempts that ended by cancellation, when nothing could be told.
        unannounced: The indices of attempts whose start is still on its way to who tells it.
        unstarted: The indices of those whose start will not be told on that way.
        race: The outermost race that has given the answer, else the last that has begun; None if none has.
        whole: The record of the whole call; None if this is it.
        parent: The record that this is a branch of; None if it is none.
        under_way: Of a branch: its attempts that have not ended, by index.
        abandoned: Of a branch: attempts that were booked although they have not ended.
        outrun: Of a branch: it was ended because the call went on, or failed, without it.
        stopped: Of a branch: it was told to end, so that nothing of it counts any more.
    """

    attempts: list[Attempt] = field(default_factory=list)
    offered: bool = False
    free_start_count: int = 1
    started_count: int = 0
    additional_count: int = 0
    index_count: int = 0
    tries: dict[Target, int] = field(default_factory=dict)
    counted: set[Target] = field(default_factory=set)
    barred: dict[Scope, AttemptFailure] = field(default_factory=dict)
    untold: list[Attempt] = field(default_factory=list)
    unannounced: set[int] = field(default_factory=set)
    unstarted: set[int] = field(default_factory=set)
    race: RaceRecord | None = None
    whole: CallRecord | None = None
    parent: CallRecord | None = None
    under_way: dict[int, Unfinished] = field(default_factory=dict)
    abandoned: set[int] = field(default_factory=set)
    outrun: bool = False
    stopped: bool = False

    @property
    def is_outrun(self) -> bool:
        """Whether this branch was outrun, or one that it belongs to."""
        return self.outrun or (self.parent is not None and self.parent.is_outrun)

    def branch(self, *, free_start: bool, same_tries: bool = False) -> CallRecord:
        """The record of a model that runs beside others of the call.

        It counts its own attempts and tries; who failed, and what it comes to, is the whole call's.

        Args:
            free_start: Its first start is one that the caller asked for, and no additional attempt (rule A7).
            same_tries: It shares the count of tries, as models of one chain do.
        """
        return CallRecord(
            free_start_count=int(free_start),
            tries=self.tries if same_tries else {},
            counted=self.counted,
            barred=self.barred,
            untold=self.untold,
            unannounced=self.unannounced,
            unstarted=self.unstarted,
            whole=self.whole or self,
            parent=self,
        )

    @property
    def starts_freely(self) -> bool:
        """Whether the next start draws on no budget."""
        return self.started_count < self.free_start_count

    def next_index(self) -> int:
        """An index for an attempt, unique in the call and ascending."""
        whole = self.whole or self
        whole.index_count += 1
        return whole.index_count - 1

    def next_try(self, target: Target) -> int:
        """Count one more call to `target`; 1 for the first."""
        self._count_starts(1)
        self.tries[target] = self.tries.get(target, 0) + 1
        return self.tries[target]

    def take_back(self, target: Target) -> None:
        """Uncount a call to `target`: nothing was sent after all."""
        self._count_starts(-1)
        self.tries[target] -= 1

    def begin(self, index: int, attempt: Unfinished) -> None:
        """Note an attempt of a branch that has been sent."""
        if self.parent is not None:
            self.under_way[index] = attempt
            self.parent.begin(index, attempt)

    def book(self, attempt: Attempt) -> None:
        """Note an attempt that has ended, once."""
        if self.parent is None:
            self.attempts.append(attempt)
        elif attempt.index not in self.abandoned:
            self.under_way.pop(attempt.index, None)
            self.attempts.append(attempt)
            self.parent.book(attempt)

    def abandon(self) -> None:
        """Book what is under way as cancelled now, because it does not end when it is told to (rule R2)."""
        for index, attempt in list(self.under_way.items()):
            self.untold.append(attempt.cancelled())
            self.abandoned.add(index)

    def cut_off(self, attempt: Attempt) -> None:
        """An attempt was cancelled, when nothing could be told; its end is to be told later, once."""
        record: CallRecord | None = self
        while record is not None:
            if attempt.index in record.abandoned:
                return
            record = record.parent
        self.untold.append(attempt)

    def go_on(self) -> None:
        """End who was told to end, and kept working: an adapter may have kept the cancellation to itself.

        Raises:
            asyncio.CancelledError: It was told to end.
        """
        if self.stopped:
            raise asyncio.CancelledError

    def next_untold(self) -> Attempt | None:
        """One of those that were cancelled whose start is not on its way; None if there is none."""
        return next((one for one in self.untold if one.index not in self.unannounced), None)

    def last_words(self) -> Iterator[AttemptStarted | AttemptEnded]:
        """What was not told of attempts, each once; nothing else is told any more."""
        unstarted = self.unstarted | self.unannounced
        while self.untold:
            attempt = self.untold.pop(0)
            if attempt.index in unstarted:
                yield AttemptStarted(attempt.as_started())
            yield AttemptEnded(attempt)

    def count_once(self, target: Target) -> bool:
        """Whether this call's failure still counts against `target`; true only once."""
        first = target not in self.counted
        self.counted.add(target)
        return first

    def total_usage(self) -> Usage:
        """What all attempts used together."""
        if len(self.attempts) == 1:
            return self.attempts[0].usage or NOTHING_USED
        return total_usage(attempt.usage or NOTHING_USED for attempt in self.attempts)

    def _count_starts(self, change: int) -> None:
        record: CallRecord | None = self
        while record is not None:
            record.started_count += change
            record = record.parent
