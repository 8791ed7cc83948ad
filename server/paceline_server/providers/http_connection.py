"""One HTTP/1.1 connection and the pool that keeps it: aiohttp's, with what has to be different for a gateway.

A connection writes a request that is already bytes and hands over the head of the answer; its body is read
from what it returns. Which provider a connection leads to, and what a failure means, is not known here.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from typing import cast

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

MAX_HEADER_BYTES = 16 * 1024
"""The longest single line or field of an answer's head."""

MAX_HEADER_COUNT = 128

_READ_BUFFER_BYTES = 64 * 1024
"""What one connection holds unread, about, before the provider is slowed."""

_MAX_DIRECT_BYTES = 1024 * 1024
"""Larger bodies are sent piece by piece, so that other calls are served in between."""

_PIECE_BYTES = 64 * 1024
_END_OF_HEAD = b"\r\n\r\n"
_FIRST_STATUS = 100
_FIRST_FINAL_STATUS = 200
_SWITCHING_PROTOCOLS = 101

_MAX_INTERIM_COUNT = 16
"""How many interim answers may come before the one that counts."""


class HttpConnection(ResponseHandler):
    """A connection that does not outlive its close, and whose reader learns of every failure.

    A graceful close first flushes what is unsent, and a provider that has stopped reading would keep
    a cancelled request open for as long as it likes. And a body that stops being HTTP after its first
    bytes closes the connection without a word to whoever waits for the next ones.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make one that is not connected yet."""
        super().__init__(loop)
        self._unsent = memoryview(b"")
        self._next_piece: asyncio.Handle | None = None
        self._was_slowed = False
        self._has_answered = False
        self._is_reused = False
        self._is_silent = True
        self._awaits_head = False

    @property
    def should_close(self) -> bool:
        """Whether the connection may not be used again."""
        return super().should_close or self._paused or bool(self._unsent)

    @property
    def is_stale(self) -> bool:
        """Whether it has answered before, and to the latest request not with a byte.

        If it breaks like this, it had most likely died while nobody used it.
        """
        return self._is_reused and self._is_silent

    def is_connected(self) -> bool:
        """Whether a request may be sent: a kept connection on which bytes came unasked is out of step."""
        return super().is_connected() and not self.should_close

    async def exchange(
        self, head: bytes, body: bytes, *, body_follows: bool = True
    ) -> tuple[RawResponseMessage, StreamReader]:
        """Send a request and return when the head of its answer has come, with the body that follows.

        Args:
            head: The request up to and with the empty line.
            body: All of it.
            body_follows: False where the answer's head may announce a body that will not come.

        Raises:
            httpx.ConnectError: The connection is closed already; nothing was sent.
            aiohttp.ClientError: It broke.
            aiohttp.http_exceptions.HttpProcessingError: The answer is not HTTP.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            raise httpx.ConnectError("the connection was closed before it was used")
        self._was_slowed = False
        self._is_reused, self._is_silent = self._has_answered, True
        self._awaits_head = True
        self.set_response_params(
            skip_payload=not body_follows,
            read_until_eof=True,
            auto_decompress=False,
            read_bufsize=_READ_BUFFER_BYTES,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADER_COUNT,
        )
        if len(body) <= _MAX_DIRECT_BYTES:
            transport.write(head + body)
        else:
            transport.write(head)
            self._unsent = memoryview(body)
            self._send_piece()

        for _ in range(_MAX_INTERIM_COUNT + 1):
            message, payload = await self.read()
            if message.code >= _FIRST_FINAL_STATUS or message.code == _SWITCHING_PROTOCOLS:
                self._has_answered = True
                return message, payload
            if message.code < _FIRST_STATUS:
                raise HttpProcessingError(message="no status of HTTP")
        raise HttpProcessingError(message="too many interim answers")

    def data_received(self, data: bytes) -> None:
        """Take note that the provider answers, before its bytes are parsed."""
        if self._awaits_head:
            self._is_silent = False
            data = self._after_head(data)
        super().data_received(data)

    def resume_writing(self) -> None:
        """Go on with a large body once the socket has taken what was written."""
        super().resume_writing()
        self._send_more()

    def pause_reading(self) -> None:
        """Slow the provider."""
        self._was_slowed = True
        super().pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's
        """Let the provider go on; bodies ask for it at each read, mostly for nothing."""
        if self._was_slowed:
            super().resume_reading(resume_parser)

    def close(self) -> None:
        """Give up what is unsent, and tell whoever waits for the rest of an answer."""
        body = self._payload
        self._unsent = memoryview(b"")
        self.abort()
        _fail(body, aiohttp.ClientConnectionError("the connection was closed"))

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Fail both who waits for the head of an answer and who waits for its body."""
        body = self._payload
        if exc_cause is None:
            super().set_exception(exc)
        else:
            super().set_exception(exc, exc_cause)

        failure = aiohttp.ClientPayloadError("the body broke off")
        failure.__cause__ = exc
        _fail(body, failure)

    def _after_head(self, data: bytes) -> bytes:
        # The parser tells nothing of a piece with a fault, and what follows a whole answer is no fault of it.
        head, end, rest = data.partition(_END_OF_HEAD)
        self._awaits_head = not end
        if rest:
            super().data_received(head + end)
        return rest or data

    def _send_piece(self) -> None:
        self._next_piece = None
        if self.transport is None or self._paused:
            return
        self.transport.write(self._unsent[:_PIECE_BYTES])
        self._unsent = self._unsent[_PIECE_BYTES:]
        self._send_more()

    def _send_more(self) -> None:
        # One piece a turn of the loop, however fast the socket takes them.
        if self._unsent and not self._paused and self._next_piece is None:
            self._next_piece = self._loop.call_soon(self._send_piece)


class ConnectionPool(aiohttp.TCPConnector):
    """The pool, of connections of the kind above."""

    def __init__(self, *, limit: int, tls: ssl.SSLContext | bool) -> None:
        """Make an empty one on the running loop; a `limit` of 0 is none."""
        super().__init__(limit=limit, ssl=tls)
        self._factory = cast("partial[ResponseHandler]", partial(HttpConnection, loop=self._loop))

    def close_idle(self, key: ConnectionKey) -> None:
        """Close the connections to one place that nobody uses, so that the next one to it is new."""
        for connection, _ in self._conns.pop(key, ()):
            connection.close()


def _fail(body: StreamReader | None, failure: Exception) -> None:
    if body is not None and not body.is_eof() and body.exception() is None:
        body.set_exception(failure)
