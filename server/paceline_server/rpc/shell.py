"""Around every RPC: admission, the call id, the deadline, and one way out for errors.

An RPC handler here is a coroutine `(request, rpc)`. It returns the response of a unary method,
or writes to `rpc` in a streaming one. It raises `PacelineError` for what a caller should be
told; anything else is a bug and becomes INTERNAL without its text.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc.aio
from google.protobuf.message import Message

from paceline_server.completion.answer import Target
from paceline_server.completion.errors import CallFailed, ErrorReason, PacelineError, Refused
from paceline_server.completion.usage import NOTHING_USED
from paceline_server.rpc.listeners import Context
from paceline_server.rpc.status import CALL_ID, RichStatus, to_status
from paceline_server.strategies.call import Call
from paceline_server.strategies.clock import SilenceClock
from paceline_server.telemetry.calls import CallEnded, CallObserver

DRAIN_PUSHBACK = 1.0
"""Seconds until a refused client should try again; by then its balancer has another replica."""

LAST_WORDS = 0.1
"""Seconds for the last events of a call that has failed: a slow reader must not hold its status back."""


class ClientGone(Exception):
    """The client left while it was written to; the call ends as if it had been cancelled."""


@dataclass(slots=True)
class Rpc:
    """One RPC under way.

    Attributes:
        deadline: On the event loop's clock, in seconds: the caller's, or the configured maximum.
        call: Set by the handler once there is one, so that errors can tell its bill.
        served_by: Set by the handler once there is an answer: the target that gave it.
    """

    method: str
    call_id: str
    started_at: float
    deadline: float
    context: Context
    call: Call | None = None
    served_by: Target | None = None

    async def write(self, message: Message) -> None:
        """Send one message of a stream; waits while the client reads slowly.

        Raises:
            ClientGone: The client has left.
        """
        try:
            await self.context.write(message)
        except grpc.aio.BaseError as error:
            raise ClientGone from error

    async def written_in_time(self, message: Message) -> bool:
        """Send a message outside the engine; tells whether the deadline left a slow reader the time for it.

        Raises:
            ClientGone: The client has left.
        """
        try:
            async with SilenceClock() as clock:
                clock.arm(self.deadline)
                await self.write(message)
        except TimeoutError:
            return False
        return True

    async def write_last(self, messages: Iterable[Message]) -> None:
        """Send what should come before a status that is not OK, as far as the client takes it at once."""
        try:
            async with asyncio.timeout(LAST_WORDS):
                for message in messages:
                    await self.write(message)
        except (TimeoutError, ClientGone):
            return


Handler = Callable[[Any, Rpc], Awaitable[Any]]


class Shell:
    """Wraps handlers; knows what is in flight and whether new calls are let in."""

    def __init__(self, *, maximum_deadline: float, observer: CallObserver) -> None:
        """Admit calls.

        Args:
            maximum_deadline: Seconds that a call may take whose caller gave no deadline (rule S1).
        """
        self.draining = asyncio.Event()
        self._maximum_deadline = maximum_deadline
        self._observer = observer
        self._running: set[asyncio.Task[Any]] = set()
        self._cut_short = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def in_flight_count(self) -> int:
        """How many RPCs are running."""
        return len(self._running)

    async def wait_until_idle(self) -> None:
        """Wait until no RPC is running."""
        await self._idle.wait()

    def cut_short(self) -> None:
        """End the RPCs that are running; their callers are told CANCELLED."""
        self._cut_short = True
        for task in self._running:
            task.cancel()

    def behaviour(self, method: str, handler: Handler) -> Callable[[Any, Any], Awaitable[Any]]:
        """What a listener runs for each call of a method."""
        return partial(self._run, method, handler)

    async def _run(self, method: str, handler: Handler, request: Message, context: Context) -> Any:
        now = asyncio.get_running_loop().time()
        rpc = Rpc(method, secrets.token_hex(16), now, self._deadline(now, context), context)
        task = _current_task()
        self._running.add(task)
        self._idle.clear()
        try:
            self._admit(rpc, now)
            response = await handler(request, rpc)
            context.set_trailing_metadata(((CALL_ID, rpc.call_id),))
        except PacelineError as error:
            failure = error
        except ClientGone:
            # Should anyone still be there after all, an unfinished stream must not look like a finished one.
            failure = CallFailed(ErrorReason.CANCELLED, "the stream could not be written to")
        except asyncio.CancelledError:
            if not self._cut_short:
                self._ended(rpc, "CANCELLED", "")
                raise
            task.uncancel()
            failure = CallFailed(ErrorReason.CANCELLED, "this replica shut down before the call was over")
        except Exception as error:  # noqa: BLE001 - the outermost boundary: no text may leak
            failure = self._bug(rpc, error)
        else:
            self._ended(rpc, "OK", "")
            return response
        finally:
            self._running.discard(task)
            # What ends the task or aborts the call is kept, and this frame with it: it must hold neither.
            del task, request
            if not self._running:
                self._idle.set()
        status = self._status(failure, rpc)
        reason = failure.reason.value
        # Its traceback holds this frame.
        del failure
        self._ended(rpc, status.code.name, reason)
        try:
            await context.abort_with_status(status)
        except grpc.aio.AbortError:
            raise
        except grpc.aio.BaseError:
            # Its first event still waits for a client that takes nothing: there is no way to tell it more.
            return None

    def _status(self, failure: PacelineError, rpc: Rpc) -> RichStatus:
        try:
            return to_status(failure, rpc.call_id, rpc.call)
        except Exception as error:  # noqa: BLE001 - what escapes from here reaches the client with its text
            return to_status(self._bug(rpc, error), rpc.call_id)

    def _bug(self, rpc: Rpc, error: Exception) -> PacelineError:
        self._observer.bug(rpc.call_id, rpc.method, error)
        return PacelineError(ErrorReason.INTERNAL, "a bug in Paceline; its operators have the details")

    def _deadline(self, now: float, context: Context) -> float:
        remaining = context.time_remaining()
        if remaining is None:
            return now + self._maximum_deadline
        return now + min(remaining, self._maximum_deadline)

    def _admit(self, rpc: Rpc, now: float) -> None:
        if self.draining.is_set():
            raise Refused(
                ErrorReason.DRAINING,
                "this replica is shutting down; the next try finds another",
                retry_after=DRAIN_PUSHBACK,
            )
        if rpc.deadline <= now:
            raise Refused(ErrorReason.DEADLINE_EXCEEDED, "the deadline had passed when the call arrived")

    def _ended(self, rpc: Rpc, code: str, reason: str) -> None:
        latency = asyncio.get_running_loop().time() - rpc.started_at
        record = None if rpc.call is None else rpc.call.record
        self._observer.call_ended(
            CallEnded(
                call_id=rpc.call_id,
                method=rpc.method,
                code=code,
                reason=reason,
                latency=latency,
                attempts=() if record is None else tuple(record.attempts),
                usage=NOTHING_USED if record is None else record.total_usage(),
                target=rpc.served_by,
            )
        )
        # Whoever still holds an exception of this call must not hold its prompt.
        rpc.call = None


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - gRPC runs each RPC in a task of its own
    return task
