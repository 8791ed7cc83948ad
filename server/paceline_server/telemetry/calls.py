"""What is told of each call when it has ended: one line in the log.

The hook that the RPC shell calls, and its adapter to structured logs. Costs nothing per token.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import structlog

from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import Attempt
from paceline_server.completion.usage import Usage
from paceline_server.telemetry.log import Log, to_json


class CallEnded(NamedTuple):
    """One RPC that has ended.

    Attributes:
        reason: The reason of the error catalogue; empty for OK and for callers that left.
        latency: Seconds.
        usage: Of all attempts together.
        target: The one that gave the answer, of a race the winner's; None if there is no answer.
    """

    call_id: str
    method: str
    code: str
    reason: str
    latency: float
    attempts: tuple[Attempt, ...]
    usage: Usage
    target: Target | None = None


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

    def __init__(self, log: Log | None = None) -> None:
        """Write to `log` itself where it takes lines as JSON, or else through its processors."""
        self._lines = log.lines if log is not None and log.takes_info_as_json else None
        self._log = structlog.get_logger("paceline.calls")

    def call_ended(self, ended: CallEnded) -> None:
        """Log the call; never a prompt, an answer or a secret."""
        values = _values(ended)
        if self._lines is None:
            self._log.info("call", **values)
            return
        values |= {"event": "call", "level": "info", "timestamp": datetime.now(UTC)}
        self._lines.write(to_json(values) + b"\n")

    def bug(self, call_id: str, method: str, error: Exception) -> None:
        """Log the traceback, for the operators alone."""
        self._log.error("bug", call_id=call_id, method=method, exc_info=error)


def _values(ended: CallEnded) -> dict[str, Any]:
    usage = ended.usage
    return {
        "call_id": ended.call_id,
        "method": ended.method,
        "code": ended.code,
        "reason": ended.reason or None,
        "latency_ms": round(ended.latency * 1000, 3),
        "target": None if ended.target is None else str(ended.target),
        "attempt_count": len(ended.attempts),
        "input_token_count": usage.input_token_count,
        "output_token_count": usage.output_token_count,
        "cost_nano_usd": usage.cost_nano_usd,
    }
