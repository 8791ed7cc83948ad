"""One call as the engines see it: what is asked, until when, and what has happened so far.

The record is shared by everything that works for the call, so that attempts, additional tries
and the bill are counted once, wherever in the model tree they happen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum

from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import Attempt, CallEvent
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.immutable import immutable
from paceline_server.completion.prompt import Prompt
from paceline_server.completion.usage import NOTHING_USED, Usage, total_usage
from paceline_server.health.registry import Scope
from paceline_server.strategies.prompts import Prompts

Sink = Callable[[CallEvent], Awaitable[None]]
"""Takes the events of a call in order; it may wait, and then the provider is not read either."""


class Recovery(Enum):
    """What happens when a stream breaks after content was delivered (rule C5)."""

    NONE = "none"
    HOLD = "hold"
    RESTART = "restart"
    CONTINUE = "continue"


@immutable(frozen=True, slots=True)
class AttemptConfig:
    """The clocks and tries of an attempt; durations in seconds (rules A1, A7, C1).

    Attributes:
        reasoning_first_content_timeout: Instead of `first_content_timeout` where the model reasons unseen;
            likewise the other two.
        longest_retry_wait: A longer Retry-After is not worth waiting for on the same target.
        retry_backoff: The wait before a first retry without Retry-After; it doubles, with jitter.
        additional_attempts: What one call may start beyond its first attempt.
        shortest_share: The least time that a target gets, however little is left for the rest.
    """

    first_content_timeout: float = 30.0
    reasoning_first_content_timeout: float = 300.0
    gap_timeout: float = 15.0
    reasoning_gap_timeout: float = 150.0
    attempt_timeout: float = 120.0
    reasoning_attempt_timeout: float = 600.0
    transient_retry_count: int = 1
    longest_retry_wait: float = 5.0
    retry_backoff: float = 0.1
    additional_attempts: int = 8
    shortest_share: float = 1.0
    hold_token_count: int = 64


@immutable(frozen=True, slots=True)
class ChainOptions:
    """What the caller chose for this call; None means the configured default.

    Attributes:
        hold_token_count: With HOLD: how many tokens are buffered before any is delivered.
        first_content_timeout: Seconds; likewise the other timeouts.
    """

    recovery: Recovery = Recovery.RESTART
    hold_token_count: int | None = None
    transient_retry_count: int | None = None
    advance_on_permanent: bool = False
    first_content_timeout: float | None = None
    gap_timeout: float | None = None
    attempt_timeout: float | None = None


_NO_OPTIONS = ChainOptions()


@dataclass(slots=True)
class CallRecord:
    """What has happened in a call so far, or in one branch of it.

    Attributes:
        offered: Whether the call has been told to the fleet's budget.
        free_start_count: How many first starts draw on no budget of additional attempts: one, or none.
        started_count: Attempts that were sent to a provider.
        additional_count: How many of all starts of the call drew on the budget.
        tries: How often each target was called.
        counted: Targets that this call has been counted against (one call adds at most one).
        barred: Providers that this call must not turn to again, with what they failed of (rule A3); their
            benches alone would not do: one ends when the provider says, which may be at once.
        untold: Attempts that ended by cancellation, when nothing could be told.
        whole: The record of the whole call; None if this is it.
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
    whole: CallRecord | None = None
    parent: CallRecord | None = None

    def branch(self, *, free_start: bool) -> CallRecord:
        """The record of a model that runs beside others of the call.

        It counts its own attempts and tries; who failed, and what it comes to, is the whole call's.

        Args:
            free_start: Its first start is one that the caller asked for, and no additional attempt (rule A7).
        """
        return CallRecord(
            free_start_count=int(free_start),
            counted=self.counted,
            barred=self.barred,
            untold=self.untold,
            whole=self.whole or self,
            parent=self,
        )

    def next_index(self) -> int:
        """An index for an attempt, unique in the call and ascending."""
        whole = self.whole or self
        whole.index_count += 1
        return whole.index_count - 1

    def next_try(self, target: Target) -> int:
        """Count one more call to `target`; 1 for the first."""
        self.started_count += 1
        self.tries[target] = self.tries.get(target, 0) + 1
        return self.tries[target]

    def take_back(self, target: Target) -> None:
        """Uncount a call to `target`: nothing was sent after all."""
        self.started_count -= 1
        self.tries[target] -= 1

    def book(self, attempt: Attempt) -> None:
        """Note an attempt that has ended."""
        self.attempts.append(attempt)
        if self.parent is not None:
            self.parent.book(attempt)

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


@dataclass(slots=True)
class Call:
    """One call.

    Attributes:
        started_at: On the event loop's clock, in seconds.
        deadline: On the same clock: no attempt outlives it.
        prompts: `prompt` as the targets take it.
    """

    call_id: str
    prompt: Prompt
    started_at: float
    deadline: float
    options: ChainOptions = _NO_OPTIONS
    record: CallRecord = field(default_factory=CallRecord)
    prompts: Prompts = field(default_factory=Prompts)


class Admission(Enum):
    """By what right a model asks to be let through.

    Attributes:
        SHARE: As its health says; while it ramps up, for its share of the calls.
        WHOLE_RAMP: Nothing else is left: a target that is ramping up may not decline.
        RETRY: The same model again, after the wait that it asked for.
        LAST_RESORT: Everything is benched: as a probe, before the bench ends.
    """

    SHARE = "share"
    WHOLE_RAMP = "whole_ramp"
    RETRY = "retry"
    LAST_RESORT = "last_resort"


@immutable(frozen=True, slots=True)
class Turn:
    """Where a model stands when its parent lets it try.

    Attributes:
        path: Its place in the model tree, as "chain[0]".
        untried: How many models its parent could still turn to afterwards.
        first_pass: Its parent comes back to what is held, so nothing that is held is forced now.
        continues: The text that was delivered, for a target that can go on from there; empty for none.
        beside: Tells whether anyone else could still answer beside it; None where nobody runs beside it.
    """

    path: str
    untried: int = 0
    first_pass: bool = False
    admission: Admission = Admission.SHARE
    continues: str = ""
    beside: Callable[[], bool] | None = None

    def path_of(self, step: str) -> str:
        """The path of a child at `step` of this one."""
        return f"{self.path}/{step}" if self.path else step
