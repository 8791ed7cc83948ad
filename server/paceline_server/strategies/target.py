"""A target as a model: admission by its health, one attempt, and the report of how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from paceline_server.completion.answer import Completion, Target
from paceline_server.completion.attempt import (
    AttemptEnded,
    AttemptOutcome,
    AttemptStarted,
    CallEvent,
    FailureClass,
)
from paceline_server.completion.errors import AttemptFailure
from paceline_server.health.classes import CONSEQUENCES, Advance
from paceline_server.health.registry import Held, Ticket
from paceline_server.providers.base import Provider
from paceline_server.strategies.admission import Gate
from paceline_server.strategies.attempt import complete_answer, stream_answer
from paceline_server.strategies.attempt_clocks import clocks
from paceline_server.strategies.attempt_run import AttemptRun, not_made
from paceline_server.strategies.call import Call, Sink, Turn
from paceline_server.strategies.model import Unanswered
from paceline_server.strategies.prompts import FittedPrompt
from paceline_server.strategies.retries import retry_wait
from paceline_server.strategies.surroundings import Surroundings
from paceline_server.telemetry.log import log_bug

REFUSALS = frozenset(
    {
        FailureClass.INVALID_REQUEST,
        FailureClass.UNSUPPORTED,
        FailureClass.CONTEXT_TOO_LONG,
        FailureClass.CONTENT_FILTERED,
    }
)
"""Of a continuation these may mean the beginning that it was given, and so say nothing of the prompt (C5)."""

BUDGET_SPENT = "the budget of additional attempts is spent"


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
        began_at = asyncio.get_running_loop().time()
        held = self._gate.held(call, turn)
        if held is not None:
            raise await self._passed_over(call, turn, held, sink)
        fitted: FittedPrompt | None = None
        try:
            fitted = await self._fitted(call)
            if turn.continues:
                fitted = await self._fitted(call, fitted, turn.continues)
        except AttemptFailure as failure:
            # What does not fit as a whole has nothing to do with going on.
            rejected = replace(turn, continues=turn.continues if fitted else "")
            raise await self._rejected(call, rejected, failure, sink, began_at) from failure
        ticket = self._gate.admit(call, turn)
        if isinstance(ticket, Held):
            raise await self._passed_over(call, turn, ticket, sink)
        if not self._gate.may_start(call):
            ticket.abandoned()
            raise await self._unaffordable(call, turn, sink)
        run = self._run(call, turn, fitted, streaming=sink is not _ignore)
        try:
            if run.streaming:
                await sink(AttemptStarted(run.snapshot(), bool(turn.continues)))
            completion = await ask(run)
        except AttemptFailure as failure:
            raise await self._failed(run, ticket, failure, sink) from failure
        except BaseException:
            # The caller left, his deadline passed, or there is a bug: no target is to blame (A4).
            ticket.abandoned()
            call.record.untold.append(run.cancelled())
            raise
        ticket.succeeded()
        await sink(AttemptEnded(run.succeeded(completion)))
        return completion

    async def _fitted(
        self, call: Call, whole: FittedPrompt | None = None, beginning: str = ""
    ) -> FittedPrompt:
        """The call's prompt as the target takes it; after `whole` that with the answer's beginning."""
        provider, profile, fitter = self.target.provider, self._profile, self._surroundings.fitter
        try:
            if whole is not None:
                return await call.prompts.continued(whole, beginning, provider, profile, fitter)
            return await call.prompts.fitted(call.prompt, provider, profile, fitter)
        except AttemptFailure as failure:
            failure.reached_provider = False
            raise
        except Exception as error:
            # A bug of the fitter's costs this target and not the call: the next may take the prompt as it is.
            log_bug(error)
            raise AttemptFailure(
                FailureClass.UNSUPPORTED,
                "the prompt could not be made fit for the target",
                reached_provider=False,
            ) from error

    def _run(self, call: Call, turn: Turn, fitted: FittedPrompt, *, streaming: bool) -> AttemptRun:
        run = AttemptRun(
            call=call,
            target=self.target,
            profile=self._profile,
            turn=turn,
            fitted=fitted,
            performance=self._surroundings.performance,
            streaming=streaming,
            index=call.record.next_index(),
            try_number=call.record.next_try(self.target),
            started_at=asyncio.get_running_loop().time(),
        )
        call.record.begin(run.index, run)
        return run

    async def _passed_over(self, call: Call, turn: Turn, held: Held, sink: Sink) -> Unanswered:
        skipped = not_made(
            call,
            turn,
            self.target,
            AttemptOutcome.SKIPPED,
            _why(held),
            failure_class=held.cause,
            benched_until=None if held.ramping else held.until,
        )
        await sink(AttemptEnded(skipped))
        return Unanswered([held])

    async def _unaffordable(self, call: Call, turn: Turn, sink: Sink) -> Unanswered:
        await sink(AttemptEnded(not_made(call, turn, self.target, AttemptOutcome.SKIPPED, BUDGET_SPENT)))
        return Unanswered([], final=True)

    async def _rejected(
        self, call: Call, turn: Turn, failure: AttemptFailure, sink: Sink, began_at: float
    ) -> Unanswered:
        """The prompt does not fit: nothing was started, and nobody is to blame (A8)."""
        failure.target = self.target
        rejected = not_made(
            call,
            turn,
            self.target,
            AttemptOutcome.REJECTED,
            failure.message,
            failure_class=failure.failure_class,
            began_at=began_at,
        )
        await sink(AttemptEnded(rejected))
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


async def _ignore(_event: CallEvent) -> None:
    """A unary call tells its attempts at the end."""


def _why(held: Held) -> str:
    if held.ramping:
        return "coming back: this call is not in the share that goes through"
    by = "benched by an operator" if held.by_operator else "benched"
    return f"{by}: {held.reason}" if held.reason else by


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
