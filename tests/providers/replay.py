"""A provider made of sockets: it answers as a script tells it, and sees what its clients do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

PATIENCE = 10.0
"""Seconds after which a test has hung; nothing is measured with it."""


@dataclass(frozen=True)
class SeenRequest:
    """What a client has sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Exchange:
    """One request and the connection to answer it on."""

    request: SeenRequest
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def write(self, *pieces: bytes) -> None:
        """Send each piece by itself."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def head(self, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Send the status and the headers of a chunked answer."""
        lines = [f"HTTP/1.1 {status} Replayed", "transfer-encoding: chunked"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        await self.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def chunks(self, *chunks: bytes) -> None:
        """Send each chunk by itself."""
        await self.write(*(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks))

    async def end(self) -> None:
        """Send the end of a chunked answer."""
        await self.write(b"0\r\n\r\n")

    async def until_closed(self) -> None:
        """Wait until the client closes the connection."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def drop(self) -> None:
        """Close the connection, now."""
        self.writer.transport.abort()


Script = Callable[[Exchange], Awaitable[None]]


@dataclass
class ReplayServer:
    """Answers each request by `script`, and counts."""

    script: Script
    port: int = 0
    requests: list[SeenRequest] = field(default_factory=list)
    connection_count: int = 0
    open_count: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """The base URL, as a provider is configured with it."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is asked again after each change."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(condition)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first request to its last."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connection_count += 1
        self.open_count += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    request = await _read_request(reader)
                    self.requests.append(request)
                    await self._tell()
                    await self.script(Exchange(request, reader, writer))
        finally:
            self.open_count -= 1
            self._tasks.discard(task)
            writer.close()
            await self._tell()

    async def stop(self) -> None:
        """Close what is still open."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=PATIENCE)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def replaying(script: Script) -> AsyncIterator[ReplayServer]:
    """A server that answers by `script`, for the length of a test."""
    replay = ReplayServer(script)
    server = await asyncio.start_server(replay.serve, "127.0.0.1", 0)
    replay.port = server.sockets[0].getsockname()[1]
    try:
        yield replay
    finally:
        server.close()
        await replay.stop()


def pieces(body: bytes, seed: int) -> Iterator[bytes]:
    """`body` cut at random places, the same ones for the same seed, also inside characters."""
    randomness = random.Random(seed)
    longest = (
        randomness.choice([1, 7, 60, 700, 70_000])
        if len(body) < 20_000
        else randomness.choice([90, 900, 70_000])
    )
    position = 0
    while position < len(body):
        length = randomness.randint(1, longest)
        yield body[position : position + length]
        position += length


def answering(
    body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None, seed: int = 0
) -> Script:
    """A script that sends `body`, in pieces."""

    async def script(exchange: Exchange) -> None:
        await exchange.head(status, headers)
        await exchange.chunks(*pieces(body, seed))
        await exchange.end()

    return script


def answering_raw(*raw: bytes, then_drops: bool = True) -> Script:
    """A script that sends bytes as they are."""

    async def script(exchange: Exchange) -> None:
        await exchange.write(*raw)
        if then_drops:
            exchange.writer.close()
        await exchange.until_closed()

    return script


async def _read_request(reader: asyncio.StreamReader) -> SeenRequest:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    start, *lines = head.rstrip().split("\r\n")
    method, path, _ = start.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return SeenRequest(method, path, headers, body)
