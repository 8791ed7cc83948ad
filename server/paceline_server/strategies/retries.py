"""Whether the same target is worth another try in the same call, and after how long (rules A3, C1)."""

from __future__ import annotations

import asyncio
import random

from paceline_server.completion.errors import AttemptFailure
from paceline_server.health.classes import CONSEQUENCES
from paceline_server.strategies.attempt_run import AttemptRun
from paceline_server.strategies.call import AttemptConfig


def retry_wait(
    run: AttemptRun,
    failure: AttemptFailure,
    config: AttemptConfig,
    rng: random.Random,
    *,
    now: float,
    benched_until: float | None,
) -> float | None:
    """How long to wait for a retry of `run`, in seconds; None if there is none.

    Args:
        rng: Draws the jitter.
        now: Seconds since the epoch, as is `benched_until`: until when the target is benched, if it is.
    """
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
        wait = config.retry_backoff * 2 ** (run.try_number - 1) * rng.uniform(0.5, 1.5)
    elif wait > config.longest_retry_wait:
        return None
    if benched_until is not None and benched_until > now + wait:
        return None
    remaining = run.call.deadline - asyncio.get_running_loop().time()
    return wait if wait < remaining else None
