"""A client that speaks HTTP/2 by hand, for what gRPC's own clients never send.

It reads frames only to find the end of its one stream. Header compression is not used, so that
a header is its two lengths and its two texts.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.rpc.gateway import PATIENCE, Gate

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, GO_AWAY = 0, 1, 3, 4, 7
END_STREAM, END_HEADERS, ACKNOWLEDGED = 1, 4, 1
WINDOW_UPDATE = 8
INITIAL_WINDOW_SIZE = 4
WINDOW = 65_535
"""Bytes that a client takes of a stream, and of all together, before it has said that it takes more."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame as it travels."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def header_block(headers: Mapping[str, str]) -> bytes:
    """Headers as literals that nobody remembers."""
    return b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in headers.items()
    )


@dataclass
class Connection:
    """One connection with one stream, of number 1."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self, path: str, message: bytes, grpc_timeout: str = "") -> None:
        """Send a whole request; `grpc_timeout` as the header has it."""
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": "test",
            "te": "trailers",
            "content-type": "application/grpc",
            **({"grpc-timeout": grpc_timeout} if grpc_timeout else {}),
        }
        body = b"\0" + struct.pack(">I", len(message)) + message
        self.writer.write(frame(HEADERS, END_HEADERS, 1, header_block(headers)))
        self.writer.write(frame(DATA, END_STREAM, 1, body))
        await self.writer.drain()

    async def open_windows(self, size: int) -> None:
        """Take so many bytes more."""
        for stream in (0, 1):
            self.writer.write(frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size)))
        await self.writer.drain()

    async def end_of_stream(self) -> None:
        """Wait until the server has ended the stream, or the connection."""
        async with asyncio.timeout(PATIENCE):
            while True:
                kind, flags, stream = await self.frame()
                if kind == SETTINGS and not flags & ACKNOWLEDGED:
                    self.writer.write(frame(SETTINGS, ACKNOWLEDGED, 0))
                if stream == 1 and (kind == RESET or flags & END_STREAM):
                    return

    async def frame(self) -> tuple[int, int, int]:
        """Read one frame; gives its kind, its flags and its stream."""
        head = await self.reader.readexactly(9)
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        await self.reader.readexactly(int.from_bytes(head[:3]))
        return kind, flags, stream


@asynccontextmanager
async def http2(gate: Gate, *, window: int | None = None) -> AsyncIterator[Connection]:
    """Connect; `window` is how many bytes of a stream this client takes before it has asked for more."""
    host, port = gate.address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    settings = b"" if window is None else struct.pack(">HI", INITIAL_WINDOW_SIZE, window)
    writer.write(PREFACE + frame(SETTINGS, 0, 0, settings))
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()
