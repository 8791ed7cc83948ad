"""One attempt under way, and what is booked of it: its measures, also for all later calls, and what it used.

Nothing is decided here: what ends an attempt and what that means is known elsewhere.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from paceline_server.completion.answer import Completion, Ending, FinishReason, Target
from paceline_server.completion.attempt import Attempt, AttemptOutcome, FailureClass
from paceline_server.completion.content import Part
from paceline_server.completion.deltas import Fold
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.estimate import prompt_character_count
from paceline_server.completion.usage import Usage, UsageState, estimate_token_count, priced
from paceline_server.providers.base import Profile
from paceline_server.routing.performance import Performance
from paceline_server.strategies.call import Call, Turn
from paceline_server.strategies.prompts import FittedPrompt
from paceline_server.strategies.racing.allowance import Reservation


@dataclass(slots=True)
class AttemptRun:
    """One attempt under way.

    Attributes:
        sent: Until then it cannot have cost anything.
        reservation: What the attempt has reserved of the limits of its race; None where there are none.
        told: What the provider said that it used; None until it has ended the answer, or if it says nothing.
        first_content_at: None until then, and for a unary call.
        measured: How fast it was has been noted for its target, which an attempt does once.
    """

    call: Call
    target: Target
    profile: Profile
    turn: Turn
    fitted: FittedPrompt
    reservation: Reservation | None
    performance: Performance
    streaming: bool
    index: int
    try_number: int
    started_at: float
    sent: bool = False
    told: Usage | None = None
    first_content_at: float | None = None
    measured: bool = False
    fold: Fold = field(default_factory=Fold)

    def snapshot(self) -> Attempt:
        """The attempt as it starts."""
        return Attempt(
            index=self.index,
            target=self.target,
            path=self.turn.path,
            try_number=self.try_number,
            start_offset=self.started_at - self.call.started_at,
        )

    def has_content(self, at: float) -> None:
        """Its first content has come."""
        self.first_content_at = at
        self._measure(at, came_so_far=True)

    def succeeded(self, completion: Completion) -> Attempt:
        """Book the attempt as answered."""
        if not self.streaming:
            self._measure(_now(), came_so_far=True)
        return self._end(AttemptOutcome.SUCCEEDED, usage=completion.usage)

    def failed(self, failure: AttemptFailure, benched_until: float | None) -> Attempt:
        """Book the attempt as failed."""
        outcome = _outcome(failure)
        if outcome is AttemptOutcome.TIMED_OUT:
            self._measure(_now(), came_so_far=False)
        return self._end(
            outcome,
            usage=self._usage_seen(reached=self._may_be_billed(failure)),
            failure=failure,
            benched_until=benched_until,
        )

    def cancelled(self) -> Attempt:
        """Book the attempt as cancelled, with what it is estimated to have cost."""
        # Of an attempt whose caller left no statistic is kept (R10).
        if self.sent and self.call.record.is_outrun:
            self._measure(_now(), came_so_far=False)
        billed_on = self.sent and self.told is None and self.profile.bills_after_cancel
        return self._end(
            AttemptOutcome.CANCELLED,
            usage=self._usage_seen(reached=self.sent, billed_on=billed_on),
            billed_after_cancel=billed_on,
        )

    def completion(self, ending: Ending, parts: tuple[Part, ...]) -> Completion:
        """The whole answer.

        Raises:
            AttemptFailure: It was filtered before any content (rule A2).
        """
        self.told = ending.usage
        if ending.finish_reason is FinishReason.CONTENT_FILTER and not parts:
            raise AttemptFailure(
                FailureClass.CONTENT_FILTERED,
                "the provider's content filter let no part of the answer through",
                provider_code=ending.provider_reason,
            )
        usage = ending.usage or self._estimated(self.fold.character_count)
        return Completion(
            parts=parts,
            finish_reason=ending.finish_reason,
            provider_reason=ending.provider_reason,
            target=self.target,
            served_model=ending.served_model,
            usage=priced(usage, self.profile.price),
            confidence=ending.confidence,
        )

    def _measure(self, at: float, *, came_so_far: bool) -> None:
        """Note when it had its first content, or if unary its whole answer; or that it had not by then."""
        if not self.measured:
            self.measured = True
            note = self.performance.observe if came_so_far else self.performance.censored
            note(self.target, at - self.started_at, streaming=self.streaming)

    def _may_be_billed(self, failure: AttemptFailure) -> bool:
        return bool(self.fold) or (failure.reached_provider and failure.http_status in (0, 200))

    def _usage_seen(self, *, reached: bool, billed_on: bool = False) -> Usage | None:
        if not reached:
            return None
        if self.told is not None:
            return priced(self.told, self.profile.price)
        usage = self._estimated(self.fold.character_count)
        limit = self.fitted.prompt.config.max_output_token_count
        if billed_on and limit is not None:
            usage = replace(usage, output_token_count=max(limit, usage.output_token_count))
        return priced(usage, self.profile.price)

    def _estimated(self, character_count: int) -> Usage:
        return Usage(
            input_token_count=estimate_token_count(prompt_character_count(self.fitted.prompt)),
            output_token_count=estimate_token_count(character_count),
            state=UsageState.ESTIMATED,
        )

    def _end(
        self,
        outcome: AttemptOutcome,
        *,
        usage: Usage | None,
        failure: AttemptFailure | None = None,
        benched_until: float | None = None,
        billed_after_cancel: bool = False,
    ) -> Attempt:
        now = _now()
        if self.reservation is not None:
            self._settle(self.reservation, outcome, usage)
        first = self.first_content_at
        attempt = Attempt(
            index=self.index,
            target=self.target,
            path=self.turn.path,
            try_number=self.try_number,
            start_offset=self.started_at - self.call.started_at,
            outcome=outcome,
            usage=usage,
            latency=now - self.started_at,
            first_content_latency=None if first is None else first - self.started_at,
            failure_class=None if failure is None else failure.failure_class,
            message="" if failure is None else failure.message,
            benched_until=benched_until,
            billed_after_cancel=billed_after_cancel,
        )
        self.call.record.book(attempt)
        return attempt

    def _settle(self, reservation: Reservation, outcome: AttemptOutcome, usage: Usage | None) -> None:
        if outcome is AttemptOutcome.REJECTED:
            reservation.give_back()
        else:
            reservation.settle(usage)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _outcome(failure: AttemptFailure) -> AttemptOutcome:
    if failure.rejected:
        return AttemptOutcome.REJECTED
    timed_out = failure.failure_class is FailureClass.TIMEOUT
    return AttemptOutcome.TIMED_OUT if timed_out else AttemptOutcome.FAILED
