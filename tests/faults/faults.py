"""What can go wrong between a gateway and its provider, as scripts for a real socket.

A fault knows what it does on the wire and what must come of it; it knows no engine and no client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from tests.faults.wires import Refusal, Wire
from tests.providers.replay import Exchange, Script

SSE = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}
BEAT = 0.02
"""Seconds between keep-alives."""

LATE = 0.4
"""Seconds that a slow answer takes: longer than the clock that the matrix sets, shorter than its deadline."""

Act = Callable[[Exchange, Wire, bool], Awaitable[None]]


@dataclass(frozen=True)
class Expected:
    """What must come of a fault where its target is the only one; the second call follows the first.

    Attributes:
        answered: Whether the caller gets a whole answer.
        code: The caller's status, if not answered.
        reason: The reason in it.
        attempts: How each attempt of the first call ended.
        upstream_calls: How many requests reached the provider's socket in the first call.
        benched_after: After how many calls the target is benched; 0 if it is not.
        by_provider: The bench is the whole provider's.
        discarded: With another target: something was delivered and is retracted.
    """

    code: str = "UNAVAILABLE"
    reason: str = "ALL_ATTEMPTS_FAILED"
    attempts: tuple[str, ...] = ()
    upstream_calls: int = 1
    benched_after: int = 2
    by_provider: bool = False
    answered: bool = False
    discarded: bool = False
    other_attempts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fault:
    """One way to fail.

    Attributes:
        act: What the provider does with each request; None: nobody listens.
        once: Only its first request; the following ones are answered.
        waits: The fault is one of time: the clocks are set to tenths of a second.
        unary: What must come of it for a unary call, if that differs.
    """

    name: str
    act: Act | None
    streaming: Expected
    unary: Expected | None = None
    once: bool = False
    waits: bool = False

    def expected(self, *, streaming: bool) -> Expected:
        """What must come of it."""
        return self.streaming if streaming or self.unary is None else self.unary

    def script(self, wire: Wire, *, streaming: bool) -> Script:
        """The provider's part in it."""
        act = self.act
        assert act is not None
        served = 0

        async def script(exchange: Exchange) -> None:
            nonlocal served
            served += 1
            if self.once and served > 1:
                await answer(exchange, wire, streaming)
            else:
                await act(exchange, wire, streaming)

        return script


async def answer(exchange: Exchange, wire: Wire, streaming: bool) -> None:  # noqa: FBT001 - as every act
    """A whole answer."""
    await exchange.head(200, SSE if streaming else JSON)
    if streaming:
        await exchange.chunks(*wire.opening, *wire.contents, *wire.closing)
    else:
        await exchange.chunks(wire.document)
    await exchange.end()


async def _reset(exchange: Exchange, _wire: Wire, _streaming: bool) -> None:  # noqa: FBT001
    exchange.drop()


async def _silence(exchange: Exchange, _wire: Wire, _streaming: bool) -> None:  # noqa: FBT001
    await exchange.until_closed()


async def _headers_then_silence(exchange: Exchange, _wire: Wire, streaming: bool) -> None:  # noqa: FBT001
    await exchange.head(200, SSE if streaming else JSON)
    await exchange.until_closed()


async def _slow(exchange: Exchange, wire: Wire, streaming: bool) -> None:  # noqa: FBT001
    await asyncio.sleep(LATE)  # the fault itself
    await answer(exchange, wire, streaming)


async def _begin(exchange: Exchange, wire: Wire, streaming: bool) -> None:  # noqa: FBT001
    """Half an answer."""
    await exchange.head(200, SSE if streaming else JSON)
    if streaming:
        await exchange.chunks(*wire.opening, *wire.contents[:2])
    else:
        await exchange.chunks(wire.document[: len(wire.document) // 2])


async def _cut(exchange: Exchange, wire: Wire, streaming: bool) -> None:  # noqa: FBT001
    await _begin(exchange, wire, streaming)
    exchange.writer.close()
    await exchange.until_closed()


async def _stall(exchange: Exchange, wire: Wire, streaming: bool) -> None:  # noqa: FBT001
    await _begin(exchange, wire, streaming)
    await exchange.until_closed()


async def _malformed(exchange: Exchange, wire: Wire, streaming: bool) -> None:  # noqa: FBT001
    await exchange.head(200, SSE if streaming else JSON)
    if streaming:
        await exchange.chunks(*wire.opening, wire.contents[0], b'data: {"choices": oops\n\n', *wire.closing)
    else:
        await exchange.chunks(b'{"choices": oops')
    await exchange.end()


async def _unfinished(exchange: Exchange, wire: Wire, streaming: bool) -> None:  # noqa: FBT001
    await exchange.head(200, SSE if streaming else JSON)
    if streaming:
        await exchange.chunks(*wire.opening, *wire.contents)
    else:
        await exchange.chunks(wire.unfinished)
    await exchange.end()


async def _error_inside(exchange: Exchange, wire: Wire, streaming: bool) -> None:  # noqa: FBT001
    await exchange.head(200, SSE if streaming else JSON)
    if streaming:
        await exchange.chunks(*wire.opening, wire.contents[0], wire.error_event)
    else:
        await exchange.chunks(wire.error_document)
    await exchange.end()


async def _keep_alives(exchange: Exchange, wire: Wire, streaming: bool) -> None:  # noqa: FBT001
    await exchange.head(200, SSE if streaming else JSON)
    try:
        while True:
            await exchange.chunks(wire.keep_alive if streaming else b"\n  ")
            await asyncio.sleep(BEAT)  # the fault itself
    except ConnectionError:
        return


def _refused_with(meaning: str) -> Act:
    async def act(exchange: Exchange, wire: Wire, _streaming: bool) -> None:  # noqa: FBT001
        await _refuse(exchange, wire.refusals[meaning])

    return act


async def _block(exchange: Exchange, wire: Wire, streaming: bool) -> None:  # noqa: FBT001
    blocked = wire.blocked
    if streaming and blocked.status == 200:
        blocked = replace(blocked, body=b"data: " + blocked.body + b"\n\n", headers=SSE)
    await _refuse(exchange, blocked)


async def _html(exchange: Exchange, _wire: Wire, _streaming: bool) -> None:  # noqa: FBT001
    page = b"<html><body><h1>Sign in to the network</h1></body></html>"
    await _refuse(exchange, Refusal(200, page, {"content-type": "text/html"}))


async def _refuse(exchange: Exchange, refusal: Refusal) -> None:
    await exchange.head(refusal.status, refusal.headers)
    await exchange.chunks(refusal.body)
    await exchange.end()


def _retried(failure_class: str, *, discarded: bool = False) -> Expected:
    """Tried twice, then the next target; a stream that broke after content restarts on the next at once."""
    attempts = (f"FAILED {failure_class}",) * 2
    return Expected(
        code="ABORTED" if discarded else "UNAVAILABLE",
        reason="STREAM_BROKEN" if discarded else "ALL_ATTEMPTS_FAILED",
        attempts=attempts,
        upstream_calls=2,
        discarded=discarded,
        other_attempts=(*(attempts[:1] if discarded else attempts), "SUCCEEDED"),
    )


_SILENT = Expected(
    code="DEADLINE_EXCEEDED",
    reason="DEADLINE_EXCEEDED",
    attempts=("CANCELLED",),
    benched_after=0,
    other_attempts=("TIMED_OUT TIMEOUT", "SUCCEEDED"),
)


def _misfit(failure_class: str, code: str) -> Expected:
    return Expected(
        code=code,
        reason=failure_class,
        attempts=(f"FAILED {failure_class}",),
        benched_after=0,
        other_attempts=(f"FAILED {failure_class}", "SUCCEEDED"),
    )


_LIMITED = ("FAILED RATE_LIMITED",)

FAULTS: tuple[Fault, ...] = (
    Fault("connection refused", None, replace(_retried("TRANSIENT"), upstream_calls=0)),
    Fault("reset before headers", _reset, _retried("TRANSIENT")),
    Fault("silence before headers", _silence, _SILENT, waits=True),
    Fault("headers, then silence", _headers_then_silence, _SILENT, waits=True),
    Fault(
        "slow first content",
        _slow,
        Expected(
            answered=True,
            attempts=("SUCCEEDED",),
            benched_after=0,
            other_attempts=("TIMED_OUT TIMEOUT", "SUCCEEDED"),
        ),
        waits=True,
    ),
    Fault("cut mid-answer", _cut, _retried("TRANSIENT", discarded=True), _retried("TRANSIENT")),
    Fault(
        "stall mid-answer",
        _stall,
        Expected(
            code="ABORTED",
            reason="STREAM_BROKEN",
            attempts=("TIMED_OUT TIMEOUT",),
            discarded=True,
            other_attempts=("TIMED_OUT TIMEOUT", "SUCCEEDED"),
        ),
        _SILENT,
        waits=True,
    ),
    Fault(
        "malformed event",
        _malformed,
        _retried("MALFORMED_RESPONSE", discarded=True),
        _retried("MALFORMED_RESPONSE"),
    ),
    Fault(
        "missing terminal marker", _unfinished, _retried("TRANSIENT", discarded=True), _retried("TRANSIENT")
    ),
    Fault("error inside 200", _error_inside, _retried("TRANSIENT", discarded=True), _retried("TRANSIENT")),
    Fault("keep-alives for ever", _keep_alives, _SILENT, waits=True),
    Fault("HTML behind 200", _html, _retried("MALFORMED_RESPONSE")),
    Fault(
        "429 with Retry-After",
        _refused_with("limited for 30 s"),
        Expected(attempts=_LIMITED, benched_after=1, other_attempts=(*_LIMITED, "SUCCEEDED")),
    ),
    Fault(
        "429 without Retry-After",
        _refused_with("limited"),
        Expected(attempts=_LIMITED, other_attempts=(*_LIMITED, "SUCCEEDED")),
    ),
    Fault(
        "429, quota spent",
        _refused_with("quota"),
        Expected(
            attempts=("FAILED QUOTA",),
            benched_after=1,
            by_provider=True,
            other_attempts=("FAILED QUOTA", "SUCCEEDED"),
        ),
    ),
    Fault(
        "500 once",
        _refused_with("server error"),
        Expected(
            answered=True,
            attempts=("FAILED TRANSIENT", "SUCCEEDED"),
            upstream_calls=2,
            benched_after=0,
            other_attempts=("FAILED TRANSIENT", "SUCCEEDED"),
        ),
        once=True,
    ),
    Fault("503 for ever", _refused_with("overloaded"), _retried("OVERLOADED")),
    Fault("400, context too long", _refused_with("context"), _misfit("CONTEXT_TOO_LONG", "INVALID_ARGUMENT")),
    Fault(
        "400, content policy",
        _block,
        Expected(
            code="INVALID_ARGUMENT",
            reason="PROVIDER_REJECTED_REQUEST",
            attempts=("FAILED CONTENT_FILTERED",),
            benched_after=0,
            other_attempts=("FAILED CONTENT_FILTERED",),
        ),
    ),
    Fault("404, unknown model", _refused_with("model"), _misfit("MODEL_NOT_FOUND", "NOT_FOUND")),
    Fault(
        "401, key refused",
        _refused_with("key"),
        Expected(
            code="FAILED_PRECONDITION",
            reason="PROVIDER_MISCONFIGURED",
            attempts=("FAILED AUTHENTICATION",),
            benched_after=1,
            by_provider=True,
            other_attempts=("FAILED AUTHENTICATION", "SUCCEEDED"),
        ),
    ),
)
