"""The transport that carries provider traffic: aiohttp's connections behind httpx's interface.

It sends a request once, as it is: no retries, redirects, cookies, decompression, and proxies of the
environment only if asked for. Closing means aborting: nothing that is given up is flushed first.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Mapping
from functools import partial
from io import BytesIO
from typing import cast

import aiohttp
import httpx
from aiohttp import http_exceptions
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from paceline_server.providers.http import ArrivingBody, RequestBody
from paceline_server.providers.transport_failures import NameNotResolved, NoDescriptorLeft, TlsFailed

DEFAULT_CONNECT_TIMEOUT = 5.0
"""Seconds, for name resolution, the connection and TLS together."""

MAX_HEADER_BYTES = 16 * 1024
"""The longest single line or field of an answer's head."""

MAX_HEADER_COUNT = 128

_READ_BUFFER_BYTES = 64 * 1024
"""What one connection holds unread, about, before the provider is slowed."""

_MAX_DIRECT_BYTES = 1024 * 1024
"""Larger bodies are sent piece by piece, so that other calls are served in between."""

_NO_DESCRIPTOR_LEFT = frozenset({errno.EMFILE, errno.ENFILE})
_OUR_HEADERS_ONLY = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

_EXCEPTIONS: Mapping[type[Exception], type[httpx.RequestError]] = {
    TimeoutError: httpx.ConnectTimeout,  # no other clock is set
    aiohttp.ClientConnectorDNSError: NameNotResolved,
    aiohttp.ClientSSLError: TlsFailed,
    aiohttp.ClientProxyConnectionError: httpx.ProxyError,
    aiohttp.ClientHttpProxyError: httpx.ProxyError,
    aiohttp.ClientConnectorError: httpx.ConnectError,
    http_exceptions.ContentLengthError: httpx.ReadError,  # the body ended before its announced length
    http_exceptions.TransferEncodingError: httpx.ReadError,  # or before its last chunk
    aiohttp.ClientResponseError: httpx.RemoteProtocolError,
    aiohttp.InvalidURL: httpx.UnsupportedProtocol,
    http_exceptions.HttpProcessingError: httpx.RemoteProtocolError,
    aiohttp.ClientError: httpx.ReadError,
    OSError: httpx.ReadError,
    ValueError: httpx.LocalProtocolError,  # a header with a line break, and the like
}
"""First match wins, so that subclasses come before their bases."""


class _Connection(ResponseHandler):
    """A connection that does not outlive its close, and whose reader learns of every failure.

    A graceful close first flushes what is unsent, and a provider that has stopped reading would keep
    a cancelled request open for as long as it likes. And a body that stops being HTTP after its first
    bytes closes the connection without a word to whoever waits for the next ones.
    """

    def close(self) -> None:
        self.abort()

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        body = self._payload
        if exc_cause is None:
            super().set_exception(exc)
        else:
            super().set_exception(exc, exc_cause)

        if body is not None and not body.is_eof() and body.exception() is None:
            failure = aiohttp.ClientPayloadError("the body broke off")
            failure.__cause__ = exc
            body.set_exception(failure)


class _Connector(aiohttp.TCPConnector):
    """The pool, of connections of the kind above."""

    def __init__(self, *, limit: int, tls: ssl.SSLContext | bool) -> None:
        super().__init__(limit=limit, ssl=tls)
        self._factory = cast("partial[ResponseHandler]", partial(_Connection, loop=self._loop))


class _Body(ArrivingBody):
    """The body of one answer, straight from the connection's buffer."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def read(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, http_exceptions.HttpProcessingError, OSError) as error:
            raise _translated(error) from error

    async def aclose(self) -> None:
        # At the end of the body the connection is in the pool already, and this does nothing.
        self._response.close()


class AiohttpTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 with connections that are kept alive. Belongs to the event loop of its first request."""

    def __init__(
        self,
        *,
        connect_timeout: float = DEFAULT_CONNECT_TIMEOUT,
        max_connection_count: int = 0,
        trust_env: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Make one; it opens nothing before the first request.

        Args:
            connect_timeout: Seconds, for everything before the request is sent; waiting for one of
                `max_connection_count` connections counts.
            max_connection_count: 0 for no limit.
            trust_env: Whether to use the proxies that the environment names.
            tls: None for the system's certificates.
        """
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=connect_timeout, sock_connect=connect_timeout, sock_read=None
        )
        self._limit = max_connection_count
        self._trust_env = trust_env
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "new" if self._session is None else "open"
        return f"AiohttpTransport({state}, connect_timeout={self._timeout.connect})"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` once; the answer's body is an `ArrivingBody`.

        Raises:
            httpx.TransportError: It could not be sent, or no answer came.
        """
        if self._closed:
            raise httpx.ConnectError("the transport is closed")
        stream = request.stream
        body = stream.content if isinstance(stream, RequestBody) else await request.aread()
        try:
            response = await self._open_session().request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=[
                    (name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers.raw
                ],
                data=BytesIO(body) if len(body) > _MAX_DIRECT_BYTES else body or None,
                allow_redirects=False,
            )
        except tuple(_EXCEPTIONS) as error:
            raise _translated(error) from error
        return httpx.Response(response.status, headers=response.raw_headers, stream=_Body(response))

    async def aclose(self) -> None:
        """Close all connections, also those in use."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(limit=self._limit, tls=True if self._tls is None else self._tls),
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=self._trust_env,
                skip_auto_headers=_OUR_HEADERS_ONLY,
                read_bufsize=_READ_BUFFER_BYTES,
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
                max_headers=MAX_HEADER_COUNT,
            )
        return self._session


def _translated(error: Exception) -> httpx.RequestError:
    # A payload error says only that the body is not whole; its cause says whether it broke off or is no HTTP.
    found = error.__cause__ if isinstance(error, aiohttp.ClientPayloadError) else error
    if not isinstance(found, Exception):
        found = error
    if isinstance(found, OSError) and found.errno in _NO_DESCRIPTOR_LEFT:
        return NoDescriptorLeft(type(error).__name__)
    for foreign, ours in _EXCEPTIONS.items():
        if isinstance(found, foreign):
            return ours(type(error).__name__)
    return httpx.ReadError(type(error).__name__)
