"""Calls of ChainService: a prompt in, an answer out, whole or as the model writes.

Raises the typed errors of `errors`; leaves the folding of streams to `fold`.
"""

from __future__ import annotations

from datetime import timedelta

from paceline.v1.chain_pb2 import ChainOptions, ChainRequest, ChainResponse, StreamChainResponse
from paceline.v1.chain_pb2_grpc import ChainServiceStub
from paceline_client.connect import Channel
from paceline_client.errors import typed_errors
from paceline_client.prompt import RecoveryName, recovery_value, text_prompt
from paceline_client.stream import AnswerStream, seconds


def chain_request(
    model: str,
    text: str,
    *,
    system: str = "",
    recovery: RecoveryName | None = None,
    max_output_token_count: int | None = None,
) -> ChainRequest:
    """A request for the common case: one question, perhaps with an instruction before it."""
    prompt = text_prompt(text, system=system, max_output_token_count=max_output_token_count)
    options = None if recovery is None else ChainOptions(recovery=recovery_value(recovery))
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
        return await ChainServiceStub(channel).Chain(request, timeout=seconds(time_limit))


def stream_chain(
    channel: Channel, request: ChainRequest, *, time_limit: timedelta | None = None
) -> AnswerStream[StreamChainResponse]:
    """Ask for the answer as the model writes.

    Args:
        time_limit: For the whole call; None leaves it to the gateway's maximum.
    """
    return AnswerStream(ChainServiceStub(channel).StreamChain(request, timeout=seconds(time_limit)))
