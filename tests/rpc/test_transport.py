"""What the transport judges before a handler does: sizes, bytes that are no message, headers, deadlines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from paceline.v1 import targets_pb2
from paceline_server.completion.answer import Target
from tests.rpc.gateway import Gate, ask, failure, gateway, read_stream
from tests.rpc.raw_http2 import http2

pytestmark = pytest.mark.usefixtures("listener")


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    """A gateway with one model."""
    async with gateway() as running:
        yield running


def raw(gate: Gate, method: str) -> Any:
    """A unary call that sends bytes as they are."""
    channel: Any = gate.channel
    return channel.unary_unary(f"/paceline.v1.{method}")


async def still_answers(gate: Gate) -> None:
    """The server lives on, and found no bug in itself."""
    await gate.chain.Chain(ask())
    assert not gate.bugs
    assert gate.server.in_flight_count == 0


async def test_a_message_above_the_limit_is_refused_by_the_transport(gate: Gate) -> None:
    """S3: messages above 16 MiB are refused, before any of them is looked at; the server lives on."""
    large = ask(text="x" * (20 << 20))
    told = await failure(gate.chain.Chain(large))
    streamed = (await read_stream(gate.chain.StreamChain(large))).failure
    assert streamed is not None
    assert told.code is streamed.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not gate.calls
    await still_answers(gate)
    assert gate.simulated.call_count("a") == 1


async def test_a_message_just_below_the_limit_is_taken(gate: Gate) -> None:
    """S3: 16 MiB are the limit."""
    await gate.chain.Chain(ask(text="x" * ((16 << 20) - 1024)))


@pytest.mark.parametrize(
    "garbage", [b"\xff" * 100, b"\x0a\xff", b"\x12\x05abc", "model: 'x'".encode("utf-16")]
)
async def test_bytes_that_are_no_message_harm_nobody(garbage: bytes, gate: Gate) -> None:
    """Errors: what the transport cannot parse is its own error; the server lives on."""
    told = await failure(raw(gate, "ChainService/Chain")(garbage))
    assert told.code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
    await still_answers(gate)


async def test_text_that_is_not_utf_8_harms_nobody(gate: Gate) -> None:
    """Errors: a string field with other bytes is no message."""
    told = await failure(raw(gate, "ChainService/Chain")(b"\x0a\x02\xc3\x28"))
    assert told.code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
    await still_answers(gate)


@pytest.mark.parametrize("count", [17, 100, 500])
async def test_a_flood_of_headers_harms_nobody(count: int, gate: Gate) -> None:
    """Transport: metadata beyond 16 KiB are refused, and the calls beside them go on."""
    watch: Any = gate.targets.WatchTargets(targets_pb2.WatchTargetsRequest())
    await watch.read()
    metadata = tuple((f"x-{index}", "y" * 1000) for index in range(count))
    told = await failure(gate.chain.Chain(ask(), metadata=metadata))
    assert told.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert gate.simulated.call_count("a") == 0
    gate.health.bench(Target("test", "a"), 0.01, "")
    assert (await watch.read()).WhichOneof("event") == "change"
    watch.cancel()
    await gate.book.ended(1)
    gate.health.unbench(Target("test", "a"))
    await still_answers(gate)


async def test_a_deadline_that_has_passed_at_the_client_calls_nobody(gate: Gate) -> None:
    """A4, S1: a call without time left is DEADLINE_EXCEEDED, and no provider hears of it."""
    told = await failure(gate.chain.Chain(ask(), timeout=-1.0))
    assert told.code is grpc.StatusCode.DEADLINE_EXCEEDED
    await still_answers(gate)
    assert gate.simulated.call_count("a") == 1


async def test_a_deadline_that_has_passed_on_the_way_calls_nobody(gate: Gate) -> None:
    """A4, S1: a call that arrives too late is DEADLINE_EXCEEDED, and no provider hears of it."""
    async with http2(gate) as connection:
        await connection.request("/paceline.v1.ChainService/Chain", ask().SerializeToString(), "0n")
        await connection.end_of_stream()
    await still_answers(gate)
    assert gate.simulated.call_count("a") == 1


async def test_an_unknown_field_is_no_error(gate: Gate) -> None:
    """Compatibility: a newer client's fields are ignored."""
    newer = ask().SerializeToString() + b"\xfa\x7f\x03new"
    assert await raw(gate, "ChainService/Chain")(newer)
    assert not gate.bugs
