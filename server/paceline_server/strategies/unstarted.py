"""Attempts that end without a start: why, and how they are booked.

What that means for those that come next is decided elsewhere.
"""

from __future__ import annotations

import asyncio

from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import Attempt, AttemptOutcome, FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.health.registry import Held
from paceline_server.strategies.call import Call, Turn
from paceline_server.strategies.racing.allowance import LimitReached

BUDGET_SPENT = "the budget of additional attempts is spent"


def passed_over(call: Call, turn: Turn, target: Target, held: Held) -> Attempt:
    """Book a target that is not called because of its health."""
    return _not_made(
        call,
        turn,
        target,
        AttemptOutcome.SKIPPED,
        held_words(held),
        failure_class=held.cause,
        benched_until=None if held.ramping else held.until,
    )


def unaffordable(call: Call, turn: Turn, target: Target, reached: LimitReached | None) -> Attempt:
    """Book a target that is not called because a limit of the race forbids it, or the budget of attempts."""
    if reached is None:
        return _not_made(call, turn, target, AttemptOutcome.SKIPPED, BUDGET_SPENT)
    outcome = AttemptOutcome.REJECTED if reached.of_target else AttemptOutcome.SKIPPED
    return _not_made(call, turn, target, outcome, reached.message)


def rejected(call: Call, turn: Turn, target: Target, failure: AttemptFailure, began_at: float) -> Attempt:
    """Book a target that the prompt does not fit; finding that out began at `began_at`."""
    return _not_made(
        call,
        turn,
        target,
        AttemptOutcome.REJECTED,
        failure.message,
        failure_class=failure.failure_class,
        began_at=began_at,
    )


def _not_made(
    call: Call,
    turn: Turn,
    target: Target,
    outcome: AttemptOutcome,
    message: str,
    *,
    failure_class: FailureClass | None = None,
    benched_until: float | None = None,
    began_at: float | None = None,
) -> Attempt:
    now = asyncio.get_running_loop().time()
    began_at = now if began_at is None else began_at
    attempt = Attempt(
        index=call.record.next_index(),
        target=target,
        path=turn.path,
        try_number=call.record.tries.get(target, 0) + 1,
        start_offset=began_at - call.started_at,
        outcome=outcome,
        failure_class=failure_class,
        message=message,
        latency=now - began_at,
        benched_until=benched_until,
    )
    call.record.book(attempt)
    return attempt


def held_words(held: Held) -> str:
    """Why a target is not called now, in a few words."""
    if held.ramping:
        return "coming back: this call is not in the share that goes through"
    by = "benched by an operator" if held.by_operator else "benched"
    return f"{by}: {held.reason}" if held.reason else by
