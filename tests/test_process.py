"""`paceline serve` as a process: it says where it listens, and a signal lets its calls finish."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from paceline.v1 import chain_pb2_grpc
from tests.rpc.gateway import PATIENCE, ask, failure_of, read_stream

STREAM_COUNT = 50

CONFIGURATION = """
drain: {{timeout: {drain_timeout}}}
providers:
  test:
    format: simulated
    targets:
      paced: {{token_interval: 5ms}}
      silent: {{script: [{{stall: {{after_tokens: 1}}}}], after_script: repeat}}
"""


@asynccontextmanager
async def serving(folder: Path, drain_timeout: str) -> AsyncIterator[tuple[Process, grpc.aio.Channel]]:
    """A gateway in a process of its own, and a channel to it."""
    file = folder / "paceline.yaml"
    file.write_text(CONFIGURATION.format(drain_timeout=drain_timeout), encoding="utf-8")
    arguments = ("-m", "paceline_server", "serve", "--config", str(file), "--listen", "127.0.0.1:0")
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            first = await process.stdout.readline()
        address = first.decode().split()[-1]
        async with grpc.aio.insecure_channel(address) as channel:
            yield process, channel
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def ended(process: Process) -> tuple[int, list[dict[str, Any]]]:
    """Wait for the end of the process; gives its exit code and the lines of its log."""
    async with asyncio.timeout(PATIENCE):
        _, log = await process.communicate()
    assert process.returncode is not None
    return process.returncode, [json.loads(line) for line in log.splitlines()]


def chain(channel: grpc.aio.Channel) -> Any:
    """ChainService over a channel."""
    return chain_pb2_grpc.ChainServiceStub(channel)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_every_stream_finish(number: signal.Signals, tmp_path: Path) -> None:
    """DRAINING: after a signal each stream that runs ends with `finished`, and the exit code is 0."""
    async with serving(tmp_path, "60s") as (process, channel):
        calls = [chain(channel).StreamChain(ask("test/paced")) for _ in range(STREAM_COUNT)]
        await asyncio.gather(*(call.read() for call in calls))
        process.send_signal(number)
        told = await asyncio.gather(*map(read_stream, calls))
        assert {one.kinds()[-1] for one in told} == {"finished"}
        code, log = await ended(process)
    assert code == 0
    assert [line["code"] for line in log if line["event"] == "call"] == ["OK"] * STREAM_COUNT
    assert [line["event"] for line in log if line["event"] in ("started", "draining", "stopped")] == [
        "started",
        "draining",
        "stopped",
    ]


async def test_a_stream_that_outlasts_the_drain_is_cut_short_and_the_exit_code_says_so(
    tmp_path: Path,
) -> None:
    """CANCELLED: what is left at the end of a drain is told so, and the exit code is 1."""
    async with serving(tmp_path, "50ms") as (process, channel):
        call = chain(channel).StreamChain(ask("test/silent"))
        while not (await call.read()).HasField("delta"):
            pass
        process.terminate()
        told = await read_stream(call)
        assert told.failure is not None
        assert (told.failure.reason, told.failure.code) == ("CANCELLED", grpc.StatusCode.CANCELLED)
        code, log = await ended(process)
    assert code == 1
    assert log[-1]["every_call_finished"] is False


async def test_a_process_that_drains_refuses_new_calls(tmp_path: Path) -> None:
    """DRAINING: while calls finish, new ones are refused with a reason, over the connection that is there."""
    async with serving(tmp_path, "60s") as (process, channel):
        held = chain(channel).StreamChain(ask("test/silent"))
        await held.read()
        process.terminate()
        reason = ""
        async with asyncio.timeout(PATIENCE):
            while reason != "DRAINING":
                reason = await refusal(channel)
        assert process.returncode is None
        held.cancel()
        assert (await ended(process))[0] == 0


async def refusal(channel: grpc.aio.Channel) -> str:
    """The reason why a call is refused; empty if it is answered."""
    try:
        await chain(channel).Chain(ask("nobody/x"))
    except grpc.aio.AioRpcError as error:
        return failure_of(error).reason
    return ""
