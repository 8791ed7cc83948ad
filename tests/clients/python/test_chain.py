"""Chains are asked whole or as they are written, and left at any time."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import grpc
import pytest

from paceline.v1.chain_pb2 import ChainResponse, StreamChainResponse
from paceline.v1.completion_pb2 import (
    RECOVERY_HOLD,
    ROLE_SYSTEM,
    ROLE_USER,
    Delta,
    Started,
    TextDelta,
)
from paceline_client.chain import chain, chain_request, stream_chain
from paceline_client.connect import connect
from paceline_client.errors import CallFailed, UnfinishedStream
from paceline_client.fold import Fold
from tests.clients.python.fake_gateway import PATIENCE_SECONDS, FakeGateway, Refusal, Silence, serving

REQUEST = chain_request("m", "hello")
STARTED = StreamChainResponse(started=Started(call_id="c1"))
DELTA = StreamChainResponse(delta=Delta(text=TextDelta(text="Hi")))
FINISHED = StreamChainResponse(finished=ChainResponse(call_id="c1"))


def test_a_request_says_what_was_asked() -> None:
    """The common case needs no knowledge of the messages; what is not given stays unset."""
    full = chain_request("m", "hello", system="Be brief.", recovery="hold", max_output_token_count=7)
    assert [message.role for message in full.prompt.messages] == [ROLE_SYSTEM, ROLE_USER]
    assert full.options.recovery == RECOVERY_HOLD
    assert full.prompt.config.max_output_token_count == 7
    plain = chain_request("m", "hello")
    assert not plain.HasField("options")
    assert not plain.prompt.config.HasField("max_output_token_count")


async def test_a_whole_answer_comes_within_its_time() -> None:
    """The time limit travels as the deadline of the call."""
    gateway = FakeGateway(answer=ChainResponse(call_id="c1"))
    with serving(gateway) as address:
        async with connect(address) as channel:
            assert (await chain(channel, REQUEST, time_limit=timedelta(seconds=60))).call_id == "c1"
    assert gateway.time_left == pytest.approx(60, abs=5)


async def test_events_come_in_order() -> None:
    """A stream gives every event, `finished` last, and ends."""
    with serving(FakeGateway(events=[STARTED, DELTA, FINISHED])) as address:
        async with connect(address) as channel, stream_chain(channel, REQUEST) as events:
            seen = [event.WhichOneof("event") async for event in events]
    assert seen == ["started", "delta", "finished"]


async def test_a_stream_without_its_end_is_no_success() -> None:
    """A truncated answer is never taken for a whole one, though the status is OK."""
    whole = Fold()
    with serving(FakeGateway(events=[STARTED, DELTA])) as address:
        async with connect(address) as channel, stream_chain(channel, REQUEST) as events:
            for _ in range(2):
                whole.add(await anext(events))
            with pytest.raises(UnfinishedStream):
                await anext(events)
    assert whole.text == "Hi"


async def test_a_stream_that_fails_says_why() -> None:
    """The failure of the call comes after its events, typed."""
    broken = Refusal(grpc.StatusCode.ABORTED, "the stream broke")
    with serving(FakeGateway(events=[STARTED, broken])) as address:
        async with connect(address) as channel, stream_chain(channel, REQUEST) as events:
            assert await anext(events) == STARTED
            with pytest.raises(CallFailed, match="ABORTED: the stream broke"):
                await anext(events)


async def test_leaving_a_stream_cancels_the_call() -> None:
    """What is no longer read is no longer made."""
    gateway = FakeGateway(events=[STARTED, Silence()])
    with serving(gateway) as address:
        async with connect(address) as channel:
            async with stream_chain(channel, REQUEST) as events:
                await anext(events)
            assert await asyncio.to_thread(gateway.left.wait, PATIENCE_SECONDS)


async def test_a_cancelled_reader_cancels_the_call() -> None:
    """Cancelling the task that reads ends the call, and stays a cancellation."""
    gateway = FakeGateway(events=[STARTED, Silence()])

    async def read(channel: grpc.aio.Channel) -> None:
        async with stream_chain(channel, REQUEST) as events:
            async for _ in events:
                pass

    with serving(gateway) as address:
        async with connect(address) as channel, asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(read(channel))
            assert await asyncio.to_thread(gateway.silent.wait, PATIENCE_SECONDS)
            reader.cancel()
            assert await asyncio.to_thread(gateway.left.wait, PATIENCE_SECONDS)
    assert reader.cancelled()
