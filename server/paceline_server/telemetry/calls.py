"""What is told of each call when it has ended: one line in the log.

The hook that the RPC shell calls, and its adapter to structured logs. Costs nothing per token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import structlog

from paceline_server.completion.attempt import Attempt, AttemptOutcome
from paceline_server.completion.usage import Usage


@dataclass(frozen=True, slots=True)
class CallEnded:
    """One RPC that has ended.

    Attributes:
        reason: The reason of the error catalogue; empty for OK and for callers that left.
        latency: Seconds.
        usage: Of all attempts together.
    """

    call_id: str
    method: str
    code: str
    reason: str
    latency: float
    attempts: tuple[Attempt, ...]
    usage: Usage


class CallObserver(Protocol):
    """Is told of calls; must not wait and must not fail."""

    def call_ended(self, ended: CallEnded) -> None:
        """A call has ended, whatever its outcome."""
        ...

    def bug(self, call_id: str, method: str, error: Exception) -> None:
        """A handler raised what is not an error of the catalogue."""
        ...


class CallLog:
    """Writes one structured line a call."""

    def __init__(self) -> None:
        """Bind the log once, so that a call formats only its own values."""
        self._log = structlog.get_logger("paceline.calls")

    def call_ended(self, ended: CallEnded) -> None:
        """Log the call; never a prompt, an answer or a secret."""
        usage = ended.usage
        served = next((a.target for a in ended.attempts if a.outcome is AttemptOutcome.SUCCEEDED), None)
        self._log.info(
            "call",
            call_id=ended.call_id,
            method=ended.method,
            code=ended.code,
            reason=ended.reason or None,
            latency_ms=round(ended.latency * 1000, 3),
            target=None if served is None else str(served),
            attempt_count=len(ended.attempts),
            input_token_count=usage.input_token_count,
            output_token_count=usage.output_token_count,
            cost_nano_usd=usage.cost_nano_usd,
        )

    def bug(self, call_id: str, method: str, error: Exception) -> None:
        """Log the traceback, for the operators alone."""
        self._log.error("bug", call_id=call_id, method=method, exc_info=error)
