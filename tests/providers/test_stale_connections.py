"""Kept connections that died while nobody used them: what they say of the provider, and what comes next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.http import RequestBody, send
from paceline_server.providers.http_transport import AiohttpTransport
from tests.providers.replay import PATIENCE, Exchange, ReplayServer, replaying

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"

_Break = Callable[[Exchange], Awaitable[None]]


async def _reset(exchange: Exchange) -> None:
    exchange.drop()


async def _end(exchange: Exchange) -> None:
    exchange.writer.close()
    await exchange.until_closed()


class _FailingOver:
    """Answers `kept_count` requests together, so that each has a connection, and later breaks these."""

    def __init__(self, kept_count: int, break_off: _Break, *, also_new: bool = False) -> None:
        self._kept_count = kept_count
        self._break_off = break_off
        self._also_new = also_new
        self._old: set[asyncio.StreamWriter] = set()
        self._all_there = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        is_first_use = exchange.writer not in self._old
        if self._all_there.is_set():
            await (self._break_off if self._also_new or not is_first_use else _answer)(exchange)
            return
        self._old.add(exchange.writer)
        if len(self._old) == self._kept_count:
            self._all_there.set()
        await self._all_there.wait()
        await _answer(exchange)


async def _answer(exchange: Exchange) -> None:
    await exchange.write(_ANSWER)


@asynccontextmanager
async def _keeping(
    script: _FailingOver, kept_count: int
) -> AsyncIterator[tuple[AiohttpTransport, ReplayServer]]:
    async with replaying(script) as server, asyncio.timeout(PATIENCE), AiohttpTransport() as transport:
        async with asyncio.TaskGroup() as group:
            for _ in range(kept_count):
                group.create_task(_whole(transport, server))
        assert server.connection_count == kept_count
        yield transport, server


async def _whole(transport: AiohttpTransport, server: ReplayServer) -> bytes:
    request = httpx.Request("POST", server.url, headers=[(b"host", b"replay")], stream=RequestBody(b"{}"))
    return await (await send(transport, request)).read_rest()


async def _failure(transport: AiohttpTransport, server: ReplayServer) -> AttemptFailure:
    with pytest.raises(AttemptFailure) as caught:
        await _whole(transport, server)
    return caught.value


@pytest.mark.parametrize("break_off", [_reset, _end])
async def test_a_dead_kept_connection_is_no_fault_and_the_next_attempt_has_a_new_one(
    break_off: _Break,
) -> None:
    """A3, C1: ten of them cost one retry and not ten, and may each have been billed; nobody is blamed."""
    async with _keeping(_FailingOver(10, break_off), 10) as (transport, server):
        failure = await _failure(transport, server)
        assert failure.failure_class is FailureClass.TRANSIENT
        assert failure.blameless
        assert failure.reached_provider
        await server.until(lambda: server.open_count == 0)

        assert await _whole(transport, server) == b"hello"
        assert server.connection_count == 11


async def test_a_dead_kept_connection_is_not_retried_unseen() -> None:
    """A7: the transport sends a request once, and leaves the retry to the call's budget."""
    async with _keeping(_FailingOver(2, _reset), 2) as (transport, server):
        await _failure(transport, server)
        assert len(server.requests) == 3


async def test_a_new_connection_that_breaks_is_the_providers_fault() -> None:
    """A3, H1: after the dead one a provider that is down has no kept connection to be excused by."""
    async with _keeping(_FailingOver(2, _reset, also_new=True), 2) as (transport, server):
        assert (await _failure(transport, server)).blameless
        failure = await _failure(transport, server)
        assert failure.failure_class is FailureClass.TRANSIENT
        assert not failure.blameless


@pytest.mark.parametrize("begun", [b"H", b"HTTP/1.1 103 Early Hints\r\n\r\n", _ANSWER[:-1]])
async def test_a_kept_connection_that_breaks_in_an_answer_is_the_providers_fault(begun: bytes) -> None:
    """A3, H1: with the first byte the connection was alive, and its break counts as ever."""

    async def break_off(exchange: Exchange) -> None:
        await exchange.write(begun)
        exchange.writer.close()

    async with _keeping(_FailingOver(1, break_off), 1) as (transport, server):
        failure = await _failure(transport, server)
        assert failure.failure_class is FailureClass.TRANSIENT
        assert not failure.blameless
        assert len(server.requests) == 2
        assert server.connection_count == 1


async def test_connections_in_use_outlive_a_dead_one() -> None:
    """A3: only what is idle is closed with it; an answer that is under way goes on."""
    begun, dropped = asyncio.Event(), asyncio.Event()

    async def break_off(exchange: Exchange) -> None:
        if begun.is_set():
            exchange.drop()
            return
        begun.set()
        await exchange.write(_ANSWER[:-1])
        await dropped.wait()
        await exchange.write(_ANSWER[-1:])

    async with (
        _keeping(_FailingOver(2, break_off), 2) as (transport, server),
        asyncio.TaskGroup() as group,
    ):
        under_way = group.create_task(_whole(transport, server))
        await begun.wait()
        assert (await _failure(transport, server)).blameless
        dropped.set()
        assert await under_way == b"hello"
