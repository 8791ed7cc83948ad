"""A target as a model: admission by its health, one attempt, and the report of how it ended."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from paceline_server.completion.answer import Completion, Target
from paceline_server.completion.attempt import (
    Attempt,
    AttemptEnded,
    AttemptOutcome,
    AttemptStarted,
    CallEvent,
    FailureClass,
)
from paceline_server.completion.errors import AttemptFailure
from paceline_server.health.budget import AttemptBudget
from paceline_server.health.classes import CONSEQUENCES, Advance
from paceline_server.health.registry import HealthRegistry, Held, Ticket
from paceline_server.providers.base import Provider
from paceline_server.strategies.attempt import complete_answer, stream_answer
from paceline_server.strategies.attempt_clocks import clocks
from paceline_server.strategies.attempt_run import AttemptRun
from paceline_server.strategies.call import Admission, AttemptConfig, Call, Sink, Turn
from paceline_server.strategies.model import Unanswered

BUDGET_SPENT = "the budget of additional attempts is spent"

CLOCK_TOLERANCE = 0.05
"""Seconds that the event loop's clock and the health clock may differ over one retry's wait."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all targets of a process share.

    Attributes:
        rng: Draws the jitter of retries.
    """

    health: HealthRegistry
    budget: AttemptBudget
    config: AttemptConfig
    rng: random.Random


class TargetModel:
    """One provider's model."""

    def __init__(self, target: Target, provider: Provider, surroundings: Surroundings) -> None:
        """Bind a target to the provider that serves it."""
        self.target = target
        self.targets = (target,)
        self._provider = provider
        self._profile = provider.profile(target.model)
        self._surroundings = surroundings

    def __repr__(self) -> str:
        """The target, as a spec writes it."""
        return f"TargetModel({self.target})"

    def ready(self, call: Call) -> bool:
        """Whether `call` may turn to the target now."""
        health = self._surroundings.health
        return health.held(self.target) is None and health.scopes(self.target)[0] not in call.record.barred

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
        ticket = self._admit(call, turn)
        if isinstance(ticket, Held):
            benched_until = None if ticket.ramping else ticket.until
            skipped = self._skipped(call, turn, _why(ticket), cause=ticket.cause, benched_until=benched_until)
            await sink(AttemptEnded(skipped))
            raise Unanswered([ticket])
        if not self._may_start(call):
            ticket.abandoned()
            await sink(AttemptEnded(self._skipped(call, turn, BUDGET_SPENT)))
            raise Unanswered([], final=True)
        run = self._run(call, turn)
        try:
            await sink(AttemptStarted(run.snapshot()))
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

    def _admit(self, call: Call, turn: Turn) -> Ticket | Held:
        health = self._surroundings.health
        provider = health.scopes(self.target)[0]
        barred = call.record.barred.get(provider)
        if barred is not None:
            held = health.held(self.target)
            until = health.now() if held is None else held.until
            return Held(self.target, provider, until, barred.failure_class, barred.message)
        admission = turn.admission
        if admission is Admission.LAST_RESORT or (admission is Admission.RETRY and self._bench_is_over()):
            ticket = health.last_resort(self.target)
            if ticket is not None:
                return ticket
        return health.admit(self.target, whole_ramp=admission is Admission.WHOLE_RAMP)

    def _bench_is_over(self) -> bool:
        """Whether a retry has waited for its own bench; the wait and the bench run on two clocks."""
        held = self._surroundings.health.held(self.target)
        return held is None or held.until <= self._surroundings.health.now() + CLOCK_TOLERANCE

    def _may_start(self, call: Call) -> bool:
        """The first start is free; each further one draws on the call's and the fleet's budget (A7, C6)."""
        budget = self._surroundings.budget
        additional = call.record.started_count
        if additional == 0:
            budget.call_offered()
            return True
        return additional <= self._surroundings.config.additional_attempts and budget.spend()

    def _run(self, call: Call, turn: Turn) -> AttemptRun:
        return AttemptRun(
            call=call,
            target=self.target,
            profile=self._profile,
            turn=turn,
            index=call.record.next_index(),
            try_number=call.record.next_try(self.target),
            started_at=asyncio.get_running_loop().time(),
        )

    def _skipped(
        self,
        call: Call,
        turn: Turn,
        why: str,
        *,
        cause: FailureClass | None = None,
        benched_until: float | None = None,
    ) -> Attempt:
        now = asyncio.get_running_loop().time()
        attempt = Attempt(
            index=call.record.next_index(),
            target=self.target,
            path=turn.path,
            try_number=call.record.tries.get(self.target, 0) + 1,
            start_offset=now - call.started_at,
            outcome=AttemptOutcome.SKIPPED,
            failure_class=cause,
            message=why,
            benched_until=benched_until,
        )
        call.record.attempts.append(attempt)
        return attempt

    async def _failed(
        self, run: AttemptRun, ticket: Ticket, failure: AttemptFailure, sink: Sink
    ) -> Unanswered:
        failure.target = self.target
        counts = not failure.blameless and run.call.record.count_once(self.target)
        benched_until = ticket.failed(failure, counts=counts)
        await sink(AttemptEnded(run.failed(failure, benched_until)))
        advance = CONSEQUENCES[failure.failure_class].advance
        if advance is Advance.OTHER_PROVIDER:
            run.call.record.barred[self._surroundings.health.scopes(self.target)[0]] = failure
        final = advance is Advance.ONLY_ON_REQUEST and not run.call.options.advance_on_permanent
        return Unanswered([failure], final=final, retry_wait=self._retry_wait(run, failure, benched_until))

    def _retry_wait(
        self, run: AttemptRun, failure: AttemptFailure, benched_until: float | None
    ) -> float | None:
        """How long to wait for a retry on the same target, or None if there is none (A3, C1)."""
        config = self._surroundings.config
        consequence = CONSEQUENCES[failure.failure_class]
        retry_count = run.call.options.transient_retry_count
        if retry_count is None:
            retry_count = config.transient_retry_count
        if not consequence.retry or run.try_number > retry_count:
            return None
        wait = failure.retry_after
        if wait is None:
            if consequence.retry_needs_delay:
                return None
            wait = config.retry_backoff * 2 ** (run.try_number - 1) * self._surroundings.rng.uniform(0.5, 1.5)
        elif wait > config.longest_retry_wait:
            return None
        now = self._surroundings.health.now()
        if benched_until is not None and benched_until > now + wait:
            return None
        remaining = run.call.deadline - asyncio.get_running_loop().time()
        return wait if wait < remaining else None


async def _ignore(_event: CallEvent) -> None:
    """A unary call tells its attempts at the end."""


def _why(held: Held) -> str:
    if held.ramping:
        return "coming back: this call is not in the share that goes through"
    by = "benched by an operator" if held.by_operator else "benched"
    return f"{by}: {held.reason}" if held.reason else by
