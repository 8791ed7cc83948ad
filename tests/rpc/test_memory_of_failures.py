"""What failed calls leave in memory: nothing that would wait for the collector of cycles."""

from __future__ import annotations

from functools import partial
from typing import Any

import grpc
import pytest

from paceline_server.health.machine import HealthConfig
from paceline_server.strategies.call import AttemptConfig
from tests.providers.openai_support import connected
from tests.providers.replay import Exchange, ReplayServer, Script
from tests.rpc.garbage import ours, over, uncollected
from tests.rpc.gateway import Gate, ask, failure, gateway, read_stream

pytestmark = pytest.mark.usefixtures("listener")

CALL_COUNT = 3
ATTEMPTS = AttemptConfig(transient_retry_count=0)
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
