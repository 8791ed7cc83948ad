"""One call of the native listener: the context that handlers are given, and how it ends.

What handlers see and raise is what grpc.aio shows and takes, so that they cannot tell the listeners apart.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any, NoReturn

import grpc
import grpc.aio
from pygrpc_native import STREAM_CLOSED, STREAM_FULL, STREAM_SENT, NativeGrpcFront

from paceline_server.rpc.status import DO_NOT_RETRY, PUSHBACK
from paceline_server.telemetry.log import log_bug

MESSAGES_IN_A_ROW = 32
"""After so many, other calls have their turn: a write that finds room does not wait for anything."""

TURNS_BEFORE_PAUSES = 32
"""Turns of the loop in which room is looked for: the front holds one message, and mostly takes it at once."""

SHORTEST_PAUSE = 0.001
LONGEST_PAUSE = 0.05
"""Seconds between further looks, while the client reads slowly: nothing tells when room comes."""

INTERNAL: int = grpc.StatusCode.INTERNAL.value[0]
CANCELLED: int = grpc.StatusCode.CANCELLED.value[0]

Metadata = Sequence[tuple[str, str | bytes]]


class NativeCall:
    """One call under way."""

    __slots__ = ("_deadline", "_front", "_id", "_in_a_row", "_loop", "_method", "_trailers")

    def __init__(
        self,
        front: NativeGrpcFront,
        call_id: int,
        method: Any,
        time_remaining: float | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """A call that `front` knows by `call_id`, for the handler of `method`."""
        self._front = front
        self._id = call_id
        self._method = method
        self._loop = loop
        self._deadline = None if time_remaining is None else loop.time() + time_remaining
        self._trailers: Metadata = ()
        self._in_a_row = 0

    async def run(self, request: bytes) -> None:
        """Answer the call; a client that leaves cancels this, and is told nothing more."""
        try:
            await self._answer(request)
        except asyncio.CancelledError as cancelled:
            # The client has left, or else it must learn that nothing more will come.
            self._front.fail(self._id, CANCELLED, "the call was cancelled")
            # The task keeps it, and its frames whatever they hold, the request and the task itself; and those
            # of an error that was being told when the client left.
            cancelled.__context__ = None
            raise cancelled.with_traceback(None) from None
        except grpc.aio.AbortError:
            return
        except Exception as error:  # noqa: BLE001 - the outermost boundary: no text may leak
            log_bug(error)
            self._front.fail(self._id, INTERNAL, "a bug in the server; its operators have the details")

    async def write(self, message: Any) -> None:
        """Send one message of a stream; waits while the client reads slowly."""
        data = self._method.response_serializer(message)
        sent = self._front.stream_try_send(self._id, data)
        if sent == STREAM_SENT:
            self._in_a_row += 1
            if self._in_a_row < MESSAGES_IN_A_ROW:
                return
            await asyncio.sleep(0)
        else:
            await self._write_late(data, sent)
        self._in_a_row = 0

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """End the call with a status."""
        self._front.fail(self._id, code.value[0], details)
        raise grpc.aio.AbortError

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """End the call with a status and its trailers; the pushback is none that the front would send."""
        trailers = [trailer for trailer in status.trailing_metadata if trailer[0] != PUSHBACK]
        if (PUSHBACK, str(DO_NOT_RETRY)) in status.trailing_metadata:
            # Once it has seen headers, no client of gRPC tries a call again.
            self._front.stream_send_initial_metadata(self._id, [])
        self._front.fail(self._id, status.code.value[0], status.details, trailers)
        raise grpc.aio.AbortError

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        """What goes with the status OK."""
        self._trailers = trailing_metadata

    def time_remaining(self) -> float | None:
        """Seconds until the client's deadline."""
        return None if self._deadline is None else max(0.0, self._deadline - self._loop.time())

    async def _answer(self, request: bytes) -> None:
        method = self._method
        try:
            message = method.request_deserializer(request)
        except Exception:  # noqa: BLE001 - whatever it is, the client sent it
            self._front.fail(self._id, INTERNAL, "the request is no message of this method")
            return
        if method.response_streaming:
            await method.unary_stream(message, self)
        else:
            response = await method.unary_unary(message, self)
            self._front.stream_try_send(self._id, method.response_serializer(response))
        self._front.stream_end(self._id, self._trailers)

    async def _write_late(self, data: bytes, sent: int) -> None:
        """Send what found no room, or learn that the client has left."""
        turns, pause = TURNS_BEFORE_PAUSES, SHORTEST_PAUSE
        while sent == STREAM_FULL:
            if turns:
                # First the other calls have their turn: what all of them write is sent together.
                if turns < TURNS_BEFORE_PAUSES:
                    # Room comes from a thread of the front's, which may need the very core that looks for it.
                    os.sched_yield()
                turns -= 1
                await asyncio.sleep(0)
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            sent = self._front.stream_try_send(self._id, data)
        if sent == STREAM_CLOSED:
            raise grpc.aio.UsageError("the client has left")
