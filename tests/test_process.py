"""`paceline serve` as a process: what it logs, and how a signal lets its calls finish."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.built import answers
from tests.providers.replay import Exchange, replaying
from tests.rpc.gateway import Failure, ask, failure_of, read_stream
from tests.serving import DEADLINE, Serving, serving

STREAM_COUNT = 200

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

SIMULATED = """
models: {sick: test/failing}
providers:
  test:
    format: simulated
    targets:
      well: {answer: All is well.}
      failing: {script: [{fail: {failure_class: QUOTA, retry_after: 1h}}], after_script: last}
      silent: {script: [{stall: {after_tokens: 1}}], after_script: repeat}
"""


class Held:
    """A provider that takes every request, and answers none before the test lets it."""

    def __init__(self) -> None:
        """Hold back until `released`."""
        self.released = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request, in its time."""
        await self.released.wait()
        await answers(exchange)


async def refusal(gateway: Serving) -> Failure | None:
    """Why a call to nobody is refused because of the drain; None as long as it is refused for itself."""
    try:
        await gateway.chain.Chain(ask("nobody/x"))
    except grpc.aio.AioRpcError as error:
        failure = failure_of(error)
        return None if failure.reason == "MODEL_NOT_FOUND" else failure
    return None


async def refused_while_draining(gateway: Serving) -> Failure:
    """Call until the drain has begun; gives what the refused caller reads."""
    async with asyncio.timeout(DEADLINE):
        while (failure := await refusal(gateway)) is None:
            pass
    return failure


def check_draining(failure: Failure, listener: str) -> None:
    """What a caller is told whom a draining replica refuses; the native listener cannot send the pushback."""
    assert (failure.reason, failure.code) == ("DRAINING", grpc.StatusCode.UNAVAILABLE)
    assert failure.trailers.get("grpc-retry-pushback-ms") == ("1000" if listener == "grpcio" else None)
    retry = failure.detail(error_details_pb2.RetryInfo)
    assert retry is not None
    assert retry.retry_delay.ToTimedelta().total_seconds() == 1


@pytest.mark.parametrize(
    ("number", "listener"),
    [(signal.SIGTERM, "grpcio"), (signal.SIGINT, "grpcio"), (signal.SIGTERM, "native")],
)
async def test_a_signal_lets_every_stream_finish_and_refuses_new_calls(
    number: signal.Signals, listener: str, tmp_path: Path
) -> None:
    """DRAINING: 200 streams finish, a new call is told RetryInfo and pushback, the exit code is 0."""
    provider = Held()
    async with replaying(provider) as server:
        settings = (
            f"server: {{listener: {listener}}}\n"
            "drain: {timeout: 1h}\nattempts: {connect_timeout: 1m}\n"
            f"providers: {{p: {{format: openai, base_url: '{server.url}'}}}}\n"
        )
        async with serving(tmp_path, settings) as gateway:
            calls = [gateway.chain.StreamChain(ask("p/m")) for _ in range(STREAM_COUNT)]
            await asyncio.gather(*(call.read() for call in calls))
            await server.until(lambda: len(server.requests) == STREAM_COUNT)
            gateway.signal(number)
            check_draining(await refused_while_draining(gateway), listener)
            assert gateway.running
            provider.released.set()
            told = await asyncio.gather(*map(read_stream, calls))
            assert [one.kinds()[-1] for one in told] == ["finished"] * STREAM_COUNT
            assert await gateway.ended() == 0
            streams = [line for line in gateway.log("call") if line["method"].endswith("StreamChain")]
            assert [line["code"] for line in streams] == ["OK"] * STREAM_COUNT
            lifecycle = [line["event"] for line in gateway.log() if line["event"] != "call"]
            assert lifecycle == ["started", "draining", "stopped"]
            assert gateway.log("draining")[0]["in_flight_count"] >= STREAM_COUNT


async def test_a_stream_that_outlasts_the_drain_is_cut_short_and_the_exit_code_says_so(
    tmp_path: Path,
) -> None:
    """CANCELLED: what is left at the end of a drain is told so, and the exit code is 1."""
    async with serving(tmp_path, "drain: {timeout: 50ms}\n" + SIMULATED) as gateway:
        call = gateway.chain.StreamChain(ask("test/silent"))
        while not (await call.read()).HasField("delta"):
            pass
        gateway.signal()
        told = await read_stream(call)
        assert told.failure is not None
        assert (told.failure.reason, told.failure.code) == ("CANCELLED", grpc.StatusCode.CANCELLED)
        assert await gateway.ended() == 1
        assert gateway.log()[-1]["every_call_finished"] is False


def statuses(gateway: Serving, name: str) -> Any:
    """The watch of one name's health."""
    stub: Any = health_pb2_grpc.HealthStub(gateway.channel)
    return stub.Watch(health_pb2.HealthCheckRequest(service=name))


async def becomes(watch: Any, status: int) -> None:
    """Wait until a watch tells this status."""
    async with asyncio.timeout(DEADLINE):
        while (await watch.read()).status != status:
            pass


async def test_calls_are_taken_while_balancers_notice(tmp_path: Path) -> None:
    """drain.delay: NOT_SERVING is told first, and calls are taken until the delay is over."""
    async with serving(tmp_path, "drain: {delay: 1h}\n" + SIMULATED) as gateway:
        watch = statuses(gateway, "")
        await becomes(watch, SERVING)
        gateway.signal()
        await becomes(watch, NOT_SERVING)
        for _ in range(3):
            await gateway.chain.Chain(ask("test/well"))
        assert gateway.running


async def test_a_native_listener_on_a_network_says_whom_it_is_for(tmp_path: Path) -> None:
    """S7: one line at the start says that it is for trusted networks; on loopback there is none."""
    settings = "server: {listener: native}\n" + SIMULATED
    for listen, count in (("0.0.0.0:0", 1), ("127.0.0.1:0", 0)):
        async with serving(tmp_path, settings, listen=listen) as gateway:
            await gateway.chain.Chain(ask("test/well"))
            gateway.signal()
            assert await gateway.ended() == 0
            warnings = [line for line in gateway.log() if line["level"] == "warning"]
            assert len(warnings) == count
            assert all("trusted networks only" in line["event"] for line in warnings)


async def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    """A user who presses Ctrl-C twice waits for nothing."""
    async with serving(tmp_path, "drain: {delay: 1h}\n" + SIMULATED) as gateway:
        watch = statuses(gateway, "")
        await becomes(watch, SERVING)
        gateway.signal()
        await becomes(watch, NOT_SERVING)
        gateway.signal()
        assert await gateway.ended() == -signal.SIGTERM


async def test_a_call_and_a_bench_are_a_line_each(tmp_path: Path) -> None:
    """S6: one line a call, and one when a scope's health changes; neither holds a prompt or an answer."""
    async with serving(tmp_path, SIMULATED) as gateway:
        response = await gateway.chain.Chain(ask("test/well", "a secret question"))
        with pytest.raises(grpc.aio.AioRpcError):
            await gateway.chain.Chain(ask("sick"))
        gateway.signal()
        assert await gateway.ended() == 0
        (started,) = gateway.log("started")
        assert (started["address"], started["providers"]) == (gateway.address, ["test"])
        first, second = gateway.log("call")
        assert (first["call_id"], first["code"], first["level"]) == (response.call_id, "OK", "info")
        assert (first["target"], first["attempt_count"]) == ("test/well", 1)
        assert first["output_token_count"] == response.total_usage.output_token_count > 0
        assert (second["code"], second["reason"]) == ("UNAVAILABLE", "ALL_ATTEMPTS_FAILED")
        (health,) = gateway.log("health")
        assert (health["scope"], health["state"], health["cause"]) == ("test", "BENCHED", "QUOTA")
        assert health["until"] > 0
        assert "secret" not in gateway.log_text()
        assert "All is well" not in gateway.log_text()


async def test_a_bench_is_told_to_those_who_watch(tmp_path: Path) -> None:
    """H3: the process follows the health of its targets, so that a watch sees a name fall sick."""
    async with serving(tmp_path, SIMULATED) as gateway:
        watch = statuses(gateway, "model/sick")
        await becomes(watch, SERVING)
        with pytest.raises(grpc.aio.AioRpcError):
            await gateway.chain.Chain(ask("sick"))
        await becomes(watch, NOT_SERVING)


async def test_the_log_is_as_configured(tmp_path: Path) -> None:
    """log.level, log.format: nothing below the level is written, and text is for people."""
    async with serving(tmp_path, "log: {level: warning}\n" + SIMULATED) as gateway:
        await gateway.chain.Chain(ask("test/well"))
        with pytest.raises(grpc.aio.AioRpcError):
            await gateway.chain.Chain(ask("sick"))
        gateway.signal()
        assert await gateway.ended() == 0
        assert [line["event"] for line in gateway.log()] == ["health"]
    async with serving(tmp_path, "log: {format: text}\n" + SIMULATED) as gateway:
        await gateway.chain.Chain(ask("test/well"))
        gateway.signal()
        assert await gateway.ended() == 0
        lines = gateway.log_text().splitlines()
        assert not any(line.startswith("{") for line in lines)
        assert any("code=OK" in line for line in lines)


async def test_the_environment_of_a_process_has_the_last_word(tmp_path: Path) -> None:
    """PACELINE__: a variable of the process is laid over its file."""
    async with serving(tmp_path, SIMULATED, PACELINE__DEFAULT_MODEL="test/well") as gateway:
        response = await gateway.chain.Chain(ask(""))
        assert response.completion.target.model == "well"


async def test_the_command_line_is_laid_over_the_file(tmp_path: Path) -> None:
    """--listen: it wins over the file's address."""
    async with serving(tmp_path, "listen: localhost:0\n" + SIMULATED) as gateway:
        assert gateway.address.startswith("127.0.0.1:")
