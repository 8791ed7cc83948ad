"""What failed calls leave in memory: nothing that would wait for the collector of cycles."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from paceline_server.health.machine import HealthConfig
from paceline_server.providers.http_connection import HttpConnection
from paceline_server.rpc.shell import Rpc
from paceline_server.rpc.status import RichStatus
from paceline_server.strategies.call import AttemptConfig
from tests.providers.openai_support import connected
from tests.providers.replay import Exchange, ReplayServer, Script
from tests.rpc.gateway import PATIENCE, Gate, ask, failure, gateway, read_stream

pytestmark = pytest.mark.usefixtures("listener")

OURS = "paceline_server."
CALL_COUNT = 3
ATTEMPTS = AttemptConfig(transient_retry_count=0)
TURNS = 50
"""Turns of the loop in which a task that has told of its end is over."""

STREAM_HEADERS = {"content-type": "text/event-stream"}
WORD = b'data: {"id": "1", "model": "m", "choices": [{"index": 0, "delta": {"content": "word "}}]}\n\n'

NEVER_BENCHED = HealthConfig(failure_threshold=1_000_000)
BENCHED_AT_ONCE = HealthConfig(failure_threshold=1)


def status(code: int) -> Script:
    """Answers with nothing but a status."""

    async def script(exchange: Exchange) -> None:
        await exchange.head(code, {"content-type": "application/json"})
        await exchange.chunks(b"{}")
        await exchange.end()

    return script


async def dropped(exchange: Exchange) -> None:
    """Give no answer at all."""
    exchange.drop()


async def broken(exchange: Exchange) -> None:
    """End the connection after the first word."""
    await exchange.head(200, STREAM_HEADERS)
    await exchange.chunks(WORD)
    exchange.writer.close()
    await exchange.until_closed()


async def unreadable(exchange: Exchange) -> None:
    """Begin well and go on with what is no event."""
    await exchange.head(200, STREAM_HEADERS)
    await exchange.chunks(WORD + b"data: {\n\n")
    await exchange.end()


async def stuck(exchange: Exchange) -> None:
    """Never say more than a word."""
    await exchange.head(200, STREAM_HEADERS)
    await exchange.chunks(WORD)
    await exchange.until_closed()


@contextmanager
def uncollected() -> Iterator[list[Any]]:
    """What cycles kept since the beginning; filled in at the end."""
    found: list[Any] = []
    gc.collect()
    gc.disable()
    before = gc.get_debug()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += gc.garbage
    finally:
        gc.set_debug(before)
        gc.garbage.clear()
        gc.enable()


def ours(found: list[Any]) -> set[str]:
    """The types of what is a call's, and the frames that hold a request.

    grpcio keeps the error that aborts a call in a cycle of its own, and with it the outermost frame and the
    status; aiohttp keeps the protocol of a connection that is closed, which holds nothing of a call.
    """
    kinds = {
        type(one).__name__
        for one in found
        if type(one).__module__.startswith(OURS)
        and not isinstance(one, RichStatus | HttpConnection)
        and not (isinstance(one, Rpc) and one.call is None)
    }
    frames = [one for one in found if isinstance(one, FrameType)]
    inner = {
        frame.f_code.co_qualname
        for frame in frames
        if frame.f_globals["__name__"].startswith(OURS)
        and (
            frame.f_code.co_qualname != "Shell._run"
            or any(isinstance(local, Message) for local in frame.f_locals.values())
        )
    }
    return kinds | inner


def called(gate: Gate, *, streams: bool, timeout: float | None = None) -> Any:
    """One call of two targets."""
    method = gate.chain.StreamChain if streams else gate.chain.Chain
    return method(ask("acme/a,acme/b"), timeout=timeout)


async def failed(call: Any, *, streams: bool) -> None:
    """Read to the end, which must be a failure."""
    assert (await read_stream(call)).failure if streams else await failure(call)


def came(server: ReplayServer, count: int) -> bool:
    """Whether so many requests have come to the provider."""
    return len(server.requests) >= count


async def over(gate: Gate, count: int) -> None:
    """Wait until `count` calls have ended and their tasks are over."""
    await gate.book.ended(count)
    async with asyncio.timeout(PATIENCE):
        while gate.server.in_flight_count:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0)
    for _ in range(TURNS):
        await asyncio.sleep(0)


@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "unary"])
@pytest.mark.parametrize("health_config", [NEVER_BENCHED, BENCHED_AT_ONCE], ids=["tried", "benched"])
@pytest.mark.parametrize("script", [status(500), status(401), status(400), dropped, broken, unreadable])
async def test_a_call_that_fails_leaves_no_cycle(
    script: Script, health_config: HealthConfig, *, streams: bool
) -> None:
    """A6: what a failed call held, prompt and answer, is free when the call is over."""
    async with (
        connected(script) as (provider, _),
        gateway(providers=[provider], health_config=health_config, attempts=ATTEMPTS) as gate,
    ):
        with uncollected() as found:
            for _ in range(CALL_COUNT):
                await failed(called(gate, streams=streams), streams=streams)
            await over(gate, CALL_COUNT)
        assert ours(found) == set()


@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "unary"])
@pytest.mark.parametrize("leaves", [True, False], ids=["cancelled", "deadline"])
async def test_a_call_that_is_left_leaves_no_cycle(*, leaves: bool, streams: bool) -> None:
    """A4, A6: what a call held whose client left, or whose time is up, is free when the call is over."""
    async with (
        connected(stuck) as (provider, server),
        gateway(providers=[provider], health_config=NEVER_BENCHED, attempts=ATTEMPTS) as gate,
    ):
        with uncollected() as found:
            for count in range(1, CALL_COUNT + 1):
                call = called(gate, streams=streams, timeout=None if leaves else 0.2)
                await server.until(partial(came, server, count))
                if leaves:
                    call.cancel()
                    assert await call.code() is grpc.StatusCode.CANCELLED
                else:
                    await failed(call, streams=streams)
                del call
                await over(gate, count)
        assert ours(found) == set()
