"""The transport that carries provider traffic: aiohttp's connections behind httpx's interface.

It sends a request once, as it is: no retries, redirects, cookies, decompression, and proxies of the
environment only if asked for. Closing means aborting: nothing that is given up is flushed first.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

import aiohttp
import httpx
from aiohttp.connector import Connection
from aiohttp.helpers import get_env_proxy_for_url
from aiohttp.streams import StreamReader

from paceline_server.providers.aiohttp_failures import CONNECTION_FAILURES, not_answered, not_connected
from paceline_server.providers.http import ArrivingBody, ArrivingResponse, RequestBody
from paceline_server.providers.http_connection import ConnectionPool, HttpConnection
from paceline_server.providers.http_origin import Origin, ProxyLookup, origin_of
from paceline_server.providers.transport_failures import StaleConnection

DEFAULT_CONNECT_TIMEOUT = 5.0
"""Seconds, for name resolution, the connection and TLS together."""


class _Body(ArrivingBody):
    """The body of one answer, straight from the connection's buffer."""

    __slots__ = ("_connection", "_payload")

    def __init__(self, connection: Connection, payload: StreamReader) -> None:
        self._connection = connection
        self._payload = payload

    async def read(self) -> bytes:
        try:
            return await self._payload.readany()
        except CONNECTION_FAILURES as error:
            # The failure comes before what had arrived until then; the next read raises it again.
            arrived = self._payload._read_nowait(-1)  # noqa: SLF001 - there is no other way to it
            if arrived:
                return arrived
            # It is kept with the payload, which this frame holds.
            raise not_answered(error) from error.with_traceback(None)

    async def aclose(self) -> None:
        # At the end of the body the connection is in the pool already, and this does nothing.
        self._connection.close()


class AiohttpTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 with connections that are kept alive. Belongs to the event loop of its first request."""

    def __init__(
        self,
        *,
        connect_timeout: float = DEFAULT_CONNECT_TIMEOUT,
        max_connection_count: int = 0,
        trust_env: bool = False,
        tls: ssl.SSLContext | None = None,
        proxy_lookup: ProxyLookup = get_env_proxy_for_url,
    ) -> None:
        """Make one; it opens nothing before the first request.

        Args:
            connect_timeout: Seconds, for everything before the request is sent; waiting for one of
                `max_connection_count` connections counts.
            max_connection_count: 0 for no limit.
            trust_env: Whether to use the proxies that the environment names.
            tls: None for the system's certificates.
            proxy_lookup: How the environment is asked for a proxy.
        """
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=connect_timeout, sock_connect=connect_timeout, sock_read=None
        )
        self._limit = max_connection_count
        self._trust_env = trust_env
        self._tls = tls
        self._proxy_lookup = proxy_lookup
        self._pool: ConnectionPool | None = None
        self._origins: dict[tuple[str, bytes], Origin] = {}
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "new" if self._pool is None else "open"
        return f"AiohttpTransport({state}, connect_timeout={self._timeout.connect})"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` once; the answer's body is an `ArrivingBody`.

        Raises:
            httpx.TransportError: It could not be sent, or no answer came.
        """
        stream = request.stream
        body = stream.content if isinstance(stream, RequestBody) else await request.aread()
        url = request.url
        origin = self._origins.get((url.scheme, url.netloc)) or await self._new_origin(url)
        head = origin.head(request, len(body))
        connection = await self._connection(origin)
        protocol = cast("HttpConnection", connection.protocol)
        answered = False
        try:
            message, payload = await protocol.exchange(head, body, body_follows=request.method != "HEAD")
            answered = True
        except CONNECTION_FAILURES as error:
            raise self._not_answered(protocol, origin, error) from error
        finally:
            if not answered:
                connection.close()
        payload.on_eof(connection.release)
        return ArrivingResponse(message.code, message.raw_headers, _Body(connection, payload))

    async def aclose(self) -> None:
        """Close all connections, also those in use."""
        self._closed = True
        if self._pool is not None:
            await self._pool.close()

    async def _new_origin(self, url: httpx.URL) -> Origin:
        origin = await origin_of(url, trust_env=self._trust_env, proxy_lookup=self._proxy_lookup)
        return self._origins.setdefault((url.scheme, url.netloc), origin)

    def _not_answered(self, protocol: HttpConnection, origin: Origin, error: Exception) -> httpx.RequestError:
        if not protocol.is_stale or self._pool is None:
            return not_answered(error)
        # What killed one kept connection has most likely killed the others, and a retry would take the next.
        self._pool.close_idle(origin.connection_request.connection_key)
        return StaleConnection(type(error).__name__)

    async def _connection(self, origin: Origin) -> Connection:
        if self._closed:
            raise httpx.ConnectError("the transport is closed")
        if self._pool is None:
            self._pool = ConnectionPool(limit=self._limit, tls=True if self._tls is None else self._tls)
        try:
            return await self._pool.connect(origin.connection_request, [], self._timeout)
        except CONNECTION_FAILURES as error:
            raise not_connected(error) from error
        except asyncio.CancelledError as error:
            # A pool that closes cancels those who wait in it, whom nobody else has cancelled.
            if self._closed and not _is_cancelled():
                raise httpx.ConnectError("the transport was closed") from error
            raise


def _is_cancelled() -> bool:
    """Whether the current task is. No frame of its cancellation may hold it: it keeps the cancellation."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
