"""A target as a model: admission by its health, one attempt, and the report of how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from paceline_server.completion.answer import Completion, Target
from paceline_server.completion.attempt import (
    AttemptEnded,
    AttemptStarted,
    CallEvent,
    FailureClass,
)
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.prompt import Prompt
from paceline_server.health.classes import CONSEQUENCES, Advance
from paceline_server.health.registry import Held, Ticket
from paceline_server.providers.base import Provider
from paceline_server.strategies.admission import Gate
from paceline_server.strategies.attempt import complete_answer, stream_answer
from paceline_server.strategies.attempt_clocks import clocks
from paceline_server.strategies.attempt_run import AttemptRun
from paceline_server.strategies.call import Call, Sink, Turn
from paceline_server.strategies.model import Unanswered
from paceline_server.strategies.prompts import FittedPrompt
from paceline_server.strategies.racing.allowance import LimitReached, Reservation, reserve
from paceline_server.strategies.retries import retry_wait
from paceline_server.strategies.surroundings import Surroundings
from paceline_server.strategies.unstarted import passed_over, rejected, unaffordable

REFUSALS = frozenset(
    {
        FailureClass.INVALID_REQUEST,
        FailureClass.UNSUPPORTED,
        FailureClass.CONTEXT_TOO_LONG,
        FailureClass.CONTENT_FILTERED,
    }
)
"""Of a continuation these may mean the beginning that it was given, and so say nothing of the prompt (C5)."""


class TargetModel:
    """One provider's model."""

    def __init__(self, target: Target, provider: Provider, surroundings: Surroundings) -> None:
        """Bind a target to the provider that serves it."""
        self.target = target
        self.targets = (target,)
        self._provider = provider
        self._profile = provider.profile(target.model)
        self._surroundings = surroundings
        self._gate = Gate(target, surroundings)

    def __repr__(self) -> str:
        """The target, as a spec writes it."""
        return f"TargetModel({self.target})"

    @property
    def reasons_unseen(self) -> bool:
        """Whether the model may think for minutes without sending anything."""
        return self._profile.reasons_unseen

    def ready(self, call: Call) -> bool:
        """Whether `call` may turn to the target now."""
        return self._gate.ready(call)

    def can_continue(self, call: Call) -> bool:
        """Whether it can go on with an answer that broke off, and `call` may turn to it now."""
        return self._profile.accepts_prefill and self.ready(call)

    async def complete(self, call: Call, turn: Turn) -> Completion:
        """Make one attempt, unary."""

        async def ask(run: AttemptRun) -> Completion:
            limits = clocks(call, turn, self._profile, self._surroundings.config, run.started_at)
            return await complete_answer(run, self._provider, limits)

        return await self._attempt(call, _ignore, turn, ask)

    async def stream(self, call: Call, sink: Sink, turn: Turn) -> Completion:
        """Make one attempt, streaming."""

        async def ask(run: AttemptRun) -> Completion:
            limits = clocks(call, turn, self._profile, self._surroundings.config, run.started_at)
            return await stream_answer(run, self._provider, sink, limits)

        return await self._attempt(call, sink, turn, ask)

    async def _attempt(
        self, call: Call, sink: Sink, turn: Turn, ask: Callable[[AttemptRun], Awaitable[Completion]]
    ) -> Completion:
        if turn.continues and not self._profile.accepts_prefill:
            turn = replace(turn, continues="")
        call.record.go_on()
        held = self._gate.held(call, turn)
        if held is not None:
            raise await self._passed_over(call, turn, held, sink)
        fitted = await self._fitted(call, turn, sink)
        ticket = self._gate.admit(call, turn)
        if isinstance(ticket, Held):
            raise await self._passed_over(call, turn, ticket, sink)
        reservation = self._reserved(call, fitted.prompt) if call.allowances else None
        if isinstance(reservation, LimitReached) or not self._gate.may_start(call):
            ticket.abandoned()
            raise await self._unaffordable(call, turn, reservation, sink)
        run = self._run(call, turn, fitted, reservation, streaming=sink is not _ignore)
        try:
            if run.streaming:
                await sink(AttemptStarted(run.snapshot(), bool(turn.continues)))
            completion = await _asked(run, ask)
        except AttemptFailure as failure:
            raise await self._failed(run, ticket, failure, sink) from failure
        except BaseException:
            # The caller left, his deadline passed, or there is a bug: no target is to blame (A4).
            ticket.abandoned()
            call.record.cut_off(run.cancelled())
            raise
        ticket.succeeded()
        await sink(AttemptEnded(run.succeeded(completion)))
        return completion

    async def _fitted(self, call: Call, turn: Turn, sink: Sink) -> FittedPrompt:
        """The prompt as the target takes it."""
        began_at = asyncio.get_running_loop().time()
        fitted: FittedPrompt | None = None
        fit_for = self.target.provider, self._profile, self._surroundings.fitter
        try:
            fitted = await call.prompts.fitted(call.prompt, *fit_for)
            if turn.continues:
                fitted = await call.prompts.continued(fitted, turn.continues, *fit_for)
        except AttemptFailure as failure:
            # What does not fit as a whole has nothing to do with going on.
            misfit = replace(turn, continues=turn.continues if fitted else "")
            raise await self._rejected(call, misfit, failure, sink, began_at) from failure
        return fitted

    def _reserved(self, call: Call, prompt: Prompt) -> Reservation | LimitReached:
        first = call.record.starts_freely
        return reserve(call.allowances, self.target.provider, self._profile, prompt, first=first)

    def _run(
        self,
        call: Call,
        turn: Turn,
        fitted: FittedPrompt,
        reservation: Reservation | None,
        *,
        streaming: bool,
    ) -> AttemptRun:
        if reservation is not None:
            fitted = fitted.held_to(reservation.max_output_token_count)
        run = AttemptRun(
            call=call,
            target=self.target,
            profile=self._profile,
            turn=turn,
            fitted=fitted,
            reservation=reservation,
            performance=self._surroundings.performance,
            streaming=streaming,
            index=call.record.next_index(),
            try_number=call.record.next_try(self.target),
            started_at=asyncio.get_running_loop().time(),
        )
        call.record.begin(run.index, run)
        return run

    async def _passed_over(self, call: Call, turn: Turn, held: Held, sink: Sink) -> Unanswered:
        await sink(AttemptEnded(passed_over(call, turn, self.target, held)))
        return Unanswered([held])

    async def _unaffordable(
        self, call: Call, turn: Turn, reservation: Reservation | LimitReached | None, sink: Sink
    ) -> Unanswered:
        if isinstance(reservation, LimitReached):
            await sink(AttemptEnded(unaffordable(call, turn, self.target, reservation)))
            # What one target cannot keep another may; what is used up is so for all.
            return Unanswered([reservation], final=not reservation.of_target)
        if reservation is not None:
            reservation.give_back()
        await sink(AttemptEnded(unaffordable(call, turn, self.target, None)))
        return Unanswered([], final=True)

    async def _rejected(
        self, call: Call, turn: Turn, failure: AttemptFailure, sink: Sink, began_at: float
    ) -> Unanswered:
        """The prompt does not fit: nothing was started, and nobody is to blame (A8)."""
        failure.target = self.target
        await sink(AttemptEnded(rejected(call, turn, self.target, failure, began_at)))
        return _unanswered(call, turn, failure)

    async def _failed(
        self, run: AttemptRun, ticket: Ticket, failure: AttemptFailure, sink: Sink
    ) -> Unanswered:
        call, surroundings = run.call, self._surroundings
        failure.target = self.target
        counts = not failure.blameless and call.record.count_once(self.target)
        benched_until = ticket.failed(failure, counts=counts)
        if failure.rejected:
            self._gate.take_back(call)
        await sink(AttemptEnded(run.failed(failure, benched_until)))
        if CONSEQUENCES[failure.failure_class].advance is Advance.OTHER_PROVIDER:
            self._gate.bar_provider(call, failure)
        wait = retry_wait(
            run,
            failure,
            surroundings.config,
            surroundings.rng,
            now=surroundings.health.now(),
            benched_until=benched_until,
        )
        return _unanswered(call, run.turn, failure, retry_wait=wait)


async def _asked(run: AttemptRun, ask: Callable[[AttemptRun], Awaitable[Completion]]) -> Completion:
    """The answer of an attempt, or its failure, unless it was told to end before (R2)."""
    record = run.call.record
    try:
        completion = await ask(run)
    except AttemptFailure:
        record.go_on()
        raise
    record.go_on()
    return completion


async def _ignore(_event: CallEvent) -> None:
    """A unary call tells its attempts at the end."""


def _unanswered(
    call: Call, turn: Turn, failure: AttemptFailure, *, retry_wait: float | None = None
) -> Unanswered:
    # It is kept for as long as the call, and the frames that it came through hold the call.
    failure.__cause__ = failure.__context__ = None
    failure.__traceback__ = None
    if turn.continues and failure.failure_class in REFUSALS:
        return Unanswered([failure], refused=True)
    on_request = CONSEQUENCES[failure.failure_class].advance is Advance.ONLY_ON_REQUEST
    final = on_request and not call.options.advance_on_permanent
    return Unanswered([failure], final=final, retry_wait=retry_wait)
