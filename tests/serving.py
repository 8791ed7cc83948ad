"""`paceline serve` in a process of its own, with its log.

async with serving(tmp_path, CONFIGURATION) as process:
    await chain_of(process.channel).Chain(ask("test/a"))
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio

from paceline.v1 import chain_pb2_grpc
from tests.rpc.gateway import PATIENCE

DEADLINE = 4 * PATIENCE
"""Seconds: hundreds of calls on a busy machine take a while; a bound, never a measure."""


@dataclass
class Serving:
    """A process that serves, and a client of it."""

    process: Process
    address: str
    channel: grpc.aio.Channel
    log_file: Path

    @property
    def chain(self) -> Any:
        """The client of ChainService."""
        return chain_pb2_grpc.ChainServiceStub(self.channel)

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self.process.returncode is None

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; gives the exit code."""
        async with asyncio.timeout(DEADLINE):
            return await self.process.wait()

    def log_text(self) -> str:
        """What it has written to standard error so far."""
        return self.log_file.read_text(encoding="utf-8")

    def log(self, event: str | None = None) -> list[dict[str, Any]]:
        """The lines of its log, of one event or all."""
        lines = [json.loads(line) for line in self.log_text().splitlines()]
        return [line for line in lines if event in (None, line["event"])]


@asynccontextmanager
async def serving(
    folder: Path, configuration: str, *, listen: str = "127.0.0.1:0", **environ: str
) -> AsyncIterator[Serving]:
    """A gateway of `configuration` in a process of its own; killed if it still runs afterwards."""
    file, log = folder / "paceline.yaml", folder / "log"
    file.write_text(configuration, encoding="utf-8")
    arguments = ("-m", "paceline_server", "serve", "--config", str(file), "--listen", listen)
    # A file holds any number of lines; a pipe that nobody reads would stop the server.
    with log.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=PIPE, stderr=written, env={**os.environ, **environ}
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE):
            first = await process.stdout.readline()
        assert first, log.read_text(encoding="utf-8")
        address = first.decode().split()[-1]
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(address, options) as channel:
            yield Serving(process, address, channel, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
