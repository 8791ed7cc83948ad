"""Calls of ChainService: a prompt in, an answer out, whole or as the model writes.

Raises the typed errors of `errors`; leaves the folding of streams to `fold`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import grpc.aio

from paceline.v1.chain_pb2 import ChainOptions, ChainRequest, ChainResponse, StreamChainResponse
from paceline.v1.chain_pb2_grpc import ChainServiceStub
from paceline.v1.completion_pb2 import (
    ROLE_SYSTEM,
    ROLE_USER,
    GenerationConfig,
    Message,
    Part,
    Prompt,
    Recovery,
    Role,
    Text,
)
from paceline_client.connect import Channel
from paceline_client.errors import UnfinishedStream, typed_errors
from paceline_client.stream import ResponseStream

RecoveryName = Literal["none", "hold", "restart", "continue"]


def chain_request(
    model: str,
    text: str,
    *,
    system: str = "",
    recovery: RecoveryName | None = None,
    max_output_token_count: int | None = None,
) -> ChainRequest:
    """A request for the common case: one question, perhaps with an instruction before it."""
    messages = [_message(ROLE_SYSTEM, system)] if system else []
    messages.append(_message(ROLE_USER, text))
    options = (
        None if recovery is None else ChainOptions(recovery=Recovery.Value(f"RECOVERY_{recovery.upper()}"))
    )
    prompt = Prompt(
        messages=messages,
        config=GenerationConfig(max_output_token_count=max_output_token_count),
    )
    return ChainRequest(model=model, prompt=prompt, options=options)


async def chain(
    channel: Channel, request: ChainRequest, *, time_limit: timedelta | None = None
) -> ChainResponse:
    """Ask for the whole answer.

    Args:
        time_limit: For the whole call; None leaves it to the gateway's maximum.

    Raises:
        CallFailed: There is no answer.
    """
    with typed_errors():
        return await ChainServiceStub(channel).Chain(request, timeout=_seconds(time_limit))


def stream_chain(
    channel: Channel, request: ChainRequest, *, time_limit: timedelta | None = None
) -> ChainEvents:
    """Ask for the answer as the model writes.

    Args:
        time_limit: For the whole call; None leaves it to the gateway's maximum.
    """
    return ChainEvents(ChainServiceStub(channel).StreamChain(request, timeout=_seconds(time_limit)))


class ChainEvents(ResponseStream[StreamChainResponse]):
    """The events of a streamed chain, of which `finished` is the last.

    Reading raises `CallFailed` if there is no answer (what was delivered is then void), and
    `UnfinishedStream` if the stream ends without `finished`.
    """

    def __init__(self, call: grpc.aio.UnaryStreamCall[Any, StreamChainResponse]) -> None:
        super().__init__(call)
        self._finished = False

    async def __anext__(self) -> StreamChainResponse:
        try:
            event = await super().__anext__()
        except StopAsyncIteration:
            if not self._finished:
                raise UnfinishedStream from None
            raise
        self._finished = self._finished or event.HasField("finished")
        return event


def _message(role: Role.ValueType, text: str) -> Message:
    return Message(role=role, parts=[Part(text=Text(text=text))])


def _seconds(time_limit: timedelta | None) -> float | None:
    return None if time_limit is None else time_limit.total_seconds()
