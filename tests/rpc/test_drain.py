"""Leaving: what runs finishes, what comes is refused, and what takes too long is cut short and told so."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2

from paceline.v1 import targets_pb2
from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import AttemptOutcome
from paceline_server.providers.base import Answer, ProviderRequest
from paceline_server.providers.profile import Profile
from paceline_server.providers.simulated import SimulatedProvider
from paceline_server.providers.simulated_settings import SimulatedModel
from tests.rpc.gateway import (
    PATIENCE,
    Failure,
    Gate,
    ask,
    failure,
    failure_of,
    gateway,
    none_but,
    other_tasks,
    read_stream,
)
from tests.rpc.providers import Waiting
from tests.rpc.raw_http2 import WINDOW, http2

pytestmark = pytest.mark.usefixtures("listener", "no_errors_logged")

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVING = health_pb2.HealthCheckResponse.SERVING


class Gated:
    """A simulated provider whose calls all wait until the test lets them go on."""

    def __init__(self) -> None:
        """Hold calls back until `release` is called."""
        self._open = asyncio.Event()
        self._provider = SimulatedProvider("test", {"a": SimulatedModel()}, seed=1)
        self.name = "test"

    def release(self) -> None:
        """Let all calls go on."""
        self._open.set()

    def profile(self, model: str) -> Profile:
        """As the simulated model's."""
        return self._provider.profile(model)

    async def complete(self, request: ProviderRequest) -> Answer:
        """Answer once released."""
        await self._open.wait()
        return await self._provider.complete(request)

    async def open(self, request: ProviderRequest) -> Any:
        """Stream once released."""
        await self._open.wait()
        return await self._provider.open(request)

    async def aclose(self) -> None:
        """Nothing is open."""


async def running(gate: Gate, count: int) -> list[Any]:
    """So many streams whose calls were admitted."""
    calls = [gate.chain.StreamChain(ask()) for _ in range(count)]
    await asyncio.gather(*(call.read() for call in calls))
    return calls


async def drain_begun(gate: Gate, provider_watch: Any) -> asyncio.Task[bool]:
    """Begin the drain, and wait until the process says NOT_SERVING and watches have ended."""
    draining = asyncio.create_task(gate.server.drain())
    ended = await read_stream(provider_watch)
    assert ended.failure is not None
    assert (ended.failure.reason, ended.failure.code) == ("DRAINING", grpc.StatusCode.UNAVAILABLE)
    return draining


async def test_a_drain_lets_what_runs_finish_and_refuses_what_comes() -> None:
    """DRAINING: 200 streams finish, what comes is refused with RetryInfo and pushback; health follows."""
    provider = Gated()
    async with gateway(providers=[provider]) as gate:
        watch = gate.targets.WatchTargets(targets_pb2.WatchTargetsRequest())
        calls = await running(gate, 200)
        await watch.read()
        draining = await drain_begun(gate, watch)
        refused = await failure(gate.chain.Chain(ask()))
        assert (refused.reason, refused.code) == ("DRAINING", grpc.StatusCode.UNAVAILABLE)
        refused.check_pushback(1000)
        assert refused.trailers["paceline-call-id"]
        retry = refused.detail(error_details_pb2.RetryInfo)
        assert retry is not None
        assert retry.retry_delay.seconds == 1
        assert await gate.serving("") == await gate.serving("paceline.v1.ChainService") == NOT_SERVING
        assert await gate.serving("liveness") == SERVING
        assert not draining.done()
        provider.release()
        told = await asyncio.gather(*map(read_stream, calls))
        assert {one.kinds()[-1] for one in told} == {"finished"}
        assert await draining is True
        assert gate.server.in_flight_count == 0
        codes = [call.code for call in gate.calls if call.method.endswith("StreamChain")]
        assert codes == ["OK"] * 200


async def test_the_last_answer_is_sent_before_the_port_closes() -> None:
    """DRAINING: an answer that its client has only begun to read when all is over still arrives whole."""
    async with gateway({"a": SimulatedModel(answer="x" * (4 * WINDOW))}) as gate, http2(gate) as connection:
        await connection.request("/paceline.v1.ChainService/Chain", ask().SerializeToString())
        await gate.book.ended(1)
        draining = asyncio.create_task(gate.server.drain())
        ended, _ = await asyncio.wait([draining], timeout=0.2)
        assert not ended, "the client has taken a window of the answer, and no more"
        await connection.open_windows(8 * WINDOW)
        await connection.end_of_stream()
        assert await draining is True


async def test_what_outlasts_the_drain_is_told_that_it_was_cancelled() -> None:
    """CANCELLED: the server ended the call at the end of a drain; it has ErrorInfo and CallFailure."""
    before = other_tasks()
    provider = Waiting()
    async with gateway(providers=[provider], drain_timeout=0.05) as gate:
        calls = await running(gate, 20)
        unary = asyncio.create_task(failure(gate.chain.Chain(ask())))
        for _ in range(21):
            await provider.entered.acquire()
        draining = asyncio.create_task(gate.server.drain())
        told = [one.failure for one in await asyncio.gather(*map(read_stream, calls))]
        for one in (*told, await unary):
            assert one is not None
            assert (one.reason, one.code) == ("CANCELLED", grpc.StatusCode.CANCELLED)
            assert one.call_failure.call_id == one.trailers["paceline-call-id"]
        assert await draining is False
        assert provider.running_count == 0
        assert gate.server.in_flight_count == 0
        assert [call.reason for call in gate.calls] == ["CANCELLED"] * 21
        outcomes = {attempt.outcome for call in gate.calls for attempt in call.attempts}
        assert outcomes == {AttemptOutcome.CANCELLED}
        assert not gate.bugs
    await none_but(before)


async def test_after_the_delay_calls_are_refused_and_those_before_finish() -> None:
    """drain.delay: NOT_SERVING is told; what was admitted since then finishes, DRAINING refuses the rest."""
    provider = Gated()
    async with gateway(providers=[provider], drain_delay=0.3) as gate:
        (held,) = await running(gate, 1)
        draining = asyncio.create_task(gate.server.drain())
        while await gate.serving("") != NOT_SERVING:
            pass
        admitted, refused = [], None
        async with asyncio.timeout(PATIENCE):
            while refused is None:
                call = gate.chain.StreamChain(ask())
                refused = await refusal(call)
                admitted += [call] if refused is None else []
        assert (refused.reason, refused.code) == ("DRAINING", grpc.StatusCode.UNAVAILABLE)
        assert (await failure(gate.chain.Chain(ask()))).reason == "DRAINING"
        assert not draining.done()
        provider.release()
        told = await asyncio.gather(*map(read_stream, [held, *admitted]))
        assert {one.kinds()[-1] for one in told} == {"finished"}
        assert await draining is True


async def refusal(call: Any) -> Failure | None:
    """Why a stream is refused; None once it was admitted."""
    try:
        await call.read()
    except grpc.aio.AioRpcError as error:
        return failure_of(error)
    return None


async def test_a_watcher_that_does_not_read_holds_up_no_drain() -> None:
    """S3: a slow reader slows its own stream only; the drain does not wait for it."""
    async with gateway(drain_timeout=60) as gate:
        async with http2(gate, window=0) as connection:
            await connection.request("/paceline.v1.TargetService/WatchTargets", b"")
            await gate.chain.Chain(ask())
            gate.health.bench(Target("test", "a"), 10, "")
            async with asyncio.timeout(20):
                assert await gate.server.drain() is True
        assert not gate.bugs


async def test_a_health_watcher_that_does_not_read_holds_up_no_drain() -> None:
    """S3: as above, for the watches of health."""
    async with gateway(drain_timeout=60) as gate, http2(gate, window=0) as connection:
        await connection.request("/grpc.health.v1.Health/Watch", b"")
        await gate.chain.Chain(ask())
        async with asyncio.timeout(20):
            assert await gate.server.drain() is True


async def test_an_idle_server_drains_at_once() -> None:
    """DRAINING: with nothing to wait for, the drain returns and the port is closed."""
    async with gateway() as gate:
        assert await gate.server.drain() is True
        told = await failure(gate.chain.Chain(ask()))
        assert told.code is grpc.StatusCode.UNAVAILABLE
