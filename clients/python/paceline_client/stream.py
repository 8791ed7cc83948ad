"""A streaming call as something to iterate over, and to leave at any time.

Knows gRPC's two ways to fail and turns them into the errors of this package; knows no method.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import grpc.aio

from paceline.v1.chain_pb2 import StreamChainResponse
from paceline.v1.race_pb2 import StreamRaceResponse
from paceline_client.errors import UnfinishedStream, call_failed

R_co = TypeVar("R_co", covariant=True)
E_co = TypeVar("E_co", bound=StreamChainResponse | StreamRaceResponse, covariant=True)


class ResponseStream(AsyncIterator[R_co], Generic[R_co]):
    """The responses of one call as they arrive.

    Use it as a context: leaving that cancels what is left of the call, and with it what the gateway
    does for it.

        async with stream_chain(channel, request) as events:
            async for event in events:
                ...
    """

    def __init__(self, call: grpc.aio.UnaryStreamCall[Any, R_co]) -> None:
        self._call = call
        self._responses = aiter(call)
        self._begun = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R_co:
        try:
            response = await anext(self._responses)
        except grpc.aio.AioRpcError as error:
            raise call_failed(error, begun=self._begun) from error
        self._begun = True
        return response

    def cancel(self) -> None:
        """End the call now; does nothing to one that has ended."""
        self._call.cancel()


class AnswerStream(ResponseStream[E_co]):
    """The events of a call that ends with an answer, of which `finished` is the last.

    Reading raises `CallFailed` if there is no answer (what was delivered is then void), and
    `UnfinishedStream` if the stream ends without `finished`.
    """

    def __init__(self, call: grpc.aio.UnaryStreamCall[Any, E_co]) -> None:
        super().__init__(call)
        self._finished = False

    async def __anext__(self) -> E_co:
        try:
            event = await super().__anext__()
        except StopAsyncIteration:
            if not self._finished:
                raise UnfinishedStream from None
            raise
        self._finished = self._finished or event.HasField("finished")
        return event


def seconds(time_limit: timedelta | None) -> float | None:
    """A time limit as gRPC takes it."""
    return None if time_limit is None else time_limit.total_seconds()
