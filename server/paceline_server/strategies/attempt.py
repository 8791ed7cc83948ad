"""One attempt: its clocks, its measures and what it used.

Enforces rule A1 above the adapters, so that none can forget a clock, and A2: an answer is one
only if it was whole. Whether to try, and what a failure means for others, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from paceline_server.completion.answer import Completion, Ending, FinishReason, Target
from paceline_server.completion.attempt import Attempt, AttemptOutcome, FailureClass
from paceline_server.completion.content import Part
from paceline_server.completion.deltas import Delta, Fold, FoldError, deltas_of
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.estimate import prompt_character_count
from paceline_server.completion.usage import Usage, UsageState, estimate_token_count, priced
from paceline_server.providers.base import Answer, AnswerStream, Profile, Provider, ProviderRequest
from paceline_server.strategies.call import AttemptConfig, Call, Sink, Turn
from paceline_server.strategies.clock import NEVER, SilenceClock
from paceline_server.telemetry.log import log_bug


@dataclass(frozen=True, slots=True)
class Clocks:
    """The moments and lengths that bound one attempt, on the loop's clock, in seconds."""

    first_content_at: float
    attempt_at: float
    gap: float


def clocks(call: Call, turn: Turn, profile: Profile, config: AttemptConfig, now: float) -> Clocks:
    """The clocks of an attempt that starts at `now` (rule A1).

    The last target that is left has the caller's whole remaining time; each other at most its share of it.
    """
    slow = profile.reasons_unseen
    options = call.options
    first = options.first_content_timeout
    if first is None:
        first = config.reasoning_first_content_timeout if slow else config.first_content_timeout
    whole = options.attempt_timeout
    if whole is None:
        whole = config.reasoning_attempt_timeout if slow else config.attempt_timeout
    gap = options.gap_timeout
    if gap is None:
        gap = config.reasoning_gap_timeout if slow else config.gap_timeout
    if turn.untried == 0:
        return Clocks(NEVER, NEVER, gap)
    share = max(config.shortest_share, (call.deadline - now) / (turn.untried + 1))
    return Clocks(now + min(first, share), now + min(whole, share), gap)


@dataclass(slots=True)
class AttemptRun:
    """One attempt under way.

    Attributes:
        sent: Until then it cannot have cost anything.
        told: What the provider said that it used; None until it has ended the answer, or if it says nothing.
    """

    call: Call
    target: Target
    profile: Profile
    turn: Turn
    index: int
    try_number: int
    started_at: float
    sent: bool = False
    told: Usage | None = None
    first_content_at: float | None = None
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

    def succeeded(self, completion: Completion) -> Attempt:
        """Book the attempt as answered."""
        return self._end(AttemptOutcome.SUCCEEDED, usage=completion.usage)

    def failed(self, failure: AttemptFailure, benched_until: float | None) -> Attempt:
        """Book the attempt as failed."""
        timed_out = failure.failure_class is FailureClass.TIMEOUT
        outcome = AttemptOutcome.TIMED_OUT if timed_out else AttemptOutcome.FAILED
        return self._end(
            outcome,
            usage=self._usage_seen(reached=self._may_be_billed(failure)),
            failure=failure,
            benched_until=benched_until,
        )

    def cancelled(self) -> Attempt:
        """Book the attempt as cancelled, with what it is estimated to have cost."""
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

    def _may_be_billed(self, failure: AttemptFailure) -> bool:
        return bool(self.fold) or (failure.reached_provider and failure.http_status in (0, 200))

    def _usage_seen(self, *, reached: bool, billed_on: bool = False) -> Usage | None:
        if not reached:
            return None
        if self.told is not None:
            return priced(self.told, self.profile.price)
        usage = self._estimated(self.fold.character_count)
        limit = self.call.prompt.config.max_output_token_count
        if billed_on and limit is not None:
            usage = replace(usage, output_token_count=max(limit, usage.output_token_count))
        return priced(usage, self.profile.price)

    def _estimated(self, character_count: int) -> Usage:
        return Usage(
            input_token_count=estimate_token_count(prompt_character_count(self.call.prompt)),
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
        now = asyncio.get_running_loop().time()
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
        self.call.record.attempts.append(attempt)
        return attempt


async def stream_answer(run: AttemptRun, provider: Provider, sink: Sink, limits: Clocks) -> Completion:
    """Stream one answer into `sink` and return it whole.

    Raises:
        AttemptFailure: The provider failed, fell silent or sent something that is no answer.
    """
    stream = None
    time = asyncio.get_running_loop().time
    fold = run.fold
    clock = SilenceClock()
    try:
        async with clock:
            clock.arm(limits.first_content_at)
            stream = await _opened(run, provider)
            while (deltas := await _read(stream)) is not None:
                if not deltas:
                    continue
                clock.disarm()
                if run.first_content_at is None:
                    run.first_content_at = time()
                for delta in deltas:
                    fold.add(delta)
                    await sink(delta)
                clock.arm(time() + limits.gap)
        return run.completion(stream.ending, fold.parts())
    except TimeoutError:
        if not clock.expired:
            raise  # the sink's own: no provider is to blame
        raise _silent(run, limits) from None
    except FoldError as error:
        raise _malformed() from error
    finally:
        if stream is not None:
            await stream.aclose()


async def complete_answer(run: AttemptRun, provider: Provider, limits: Clocks) -> Completion:
    """Ask for one whole answer.

    Raises:
        AttemptFailure: The provider failed or took longer than the attempt's clock.
    """
    try:
        if limits.attempt_at == NEVER:
            answer = await _completed(run, provider)
        else:
            async with asyncio.timeout_at(limits.attempt_at):
                answer = await _completed(run, provider)
    except TimeoutError:
        waited = limits.attempt_at - run.started_at
        raise AttemptFailure(FailureClass.TIMEOUT, f"no answer within {waited:.1f} s") from None
    try:
        run.fold = Fold(deltas_of(answer.parts))
    except FoldError as error:
        raise _malformed() from error
    return run.completion(answer.ending, answer.parts)


async def _opened(run: AttemptRun, provider: Provider) -> AnswerStream:
    try:
        return await provider.open(_request(run))
    except Exception as error:
        raise _failure(error) from error


async def _read(stream: AnswerStream) -> Sequence[Delta] | None:
    try:
        return await stream.read()
    except Exception as error:
        raise _failure(error) from error


async def _completed(run: AttemptRun, provider: Provider) -> Answer:
    try:
        return await provider.complete(_request(run))
    except Exception as error:
        raise _failure(error) from error


def _failure(error: Exception) -> AttemptFailure:
    """What a provider's exception means: one that is no failure of the vocabulary is an adapter's bug.

    It costs the attempt and not the call, since the next target may well answer.
    """
    if isinstance(error, AttemptFailure):
        return error
    log_bug(error)
    return AttemptFailure(FailureClass.MALFORMED_RESPONSE, "the answer could not be read")


def _request(run: AttemptRun) -> ProviderRequest:
    run.sent = True
    return ProviderRequest(run.target.model, run.call.prompt, run.call.bodies)


def _silent(run: AttemptRun, limits: Clocks) -> AttemptFailure:
    if run.first_content_at is None:
        waited = limits.first_content_at - run.started_at
        return AttemptFailure(FailureClass.TIMEOUT, f"no content within {waited:.1f} s")
    return AttemptFailure(FailureClass.TIMEOUT, f"the stream fell silent for {limits.gap:.1f} s")


def _malformed() -> AttemptFailure:
    return AttemptFailure(FailureClass.MALFORMED_RESPONSE, "the provider's parts are out of order")
