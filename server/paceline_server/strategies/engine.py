"""Where a call enters the models and its outcome leaves them: the deadline and the final error."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from paceline_server.completion.answer import Completion
from paceline_server.strategies.call import Call, Sink, Turn
from paceline_server.strategies.clock import SilenceClock
from paceline_server.strategies.model import Model, Unanswered
from paceline_server.strategies.race import Race, Tell
from paceline_server.strategies.verdict import deadline_exceeded, verdict

ROOT = Turn(path="")


async def complete(call: Call, model: Model, *, now: Callable[[], float] = time.time) -> Completion:
    """Give the whole answer.

    Raises:
        CallFailed: There is none; its reason says why.
    """
    return await _concluded(call, model.complete(call, ROOT), now)


async def stream(call: Call, model: Model, sink: Sink, *, now: Callable[[], float] = time.time) -> Completion:
    """Stream the answer into `sink`; return it whole.

    Raises:
        CallFailed: There is none; its reason says why.
    """
    return await _concluded(call, model.stream(call, sink, ROOT), now)


async def stream_race(
    call: Call, race: Race, sink: Sink, tell: Tell, *, now: Callable[[], float] = time.time
) -> Completion:
    """Stream the winner's answer into `sink`, and how the race goes into `tell`; return the answer whole.

    Raises:
        CallFailed: There is none; its reason says why.
    """
    return await _concluded(call, race.stream_told(call, sink, tell, ROOT), now)


async def _concluded(call: Call, answer: Awaitable[Completion], now: Callable[[], float]) -> Completion:
    """The answer within the call's deadline, or the error that its caller is told."""
    clock = SilenceClock()  # at half the cost of `asyncio.timeout_at`
    try:
        async with clock:
            clock.arm(call.deadline)
            return await answer
    except TimeoutError:
        if not clock.expired:
            raise
        raise deadline_exceeded() from None
    except Unanswered as unanswered:
        raise verdict(unanswered, now()) from unanswered
