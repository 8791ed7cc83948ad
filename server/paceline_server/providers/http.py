"""Speaking HTTP to a provider: one request out, one bounded answer back, one table of what can go wrong.

The seam is httpx's types: a transport is an httpx.AsyncBaseTransport that is called directly, without
httpx's client around it. What an answer means is the adapters' business; sockets are the transport's.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import httpx

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure

MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024
_ANY_ZLIB_HEADER = zlib.MAX_WBITS | 32
"""Tells zlib to accept the gzip and the zlib form alike."""


class NameNotResolved(httpx.ConnectError):
    """The host's name has no address."""


class TlsFailed(httpx.ConnectError):
    """There is a connection, but no TLS session on it."""


class RequestBody(httpx.AsyncByteStream):
    """The bytes of a request, which a transport may take as they are."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The content, for transports that know only httpx's streams."""
        yield self.content


class ArrivingBody(httpx.AsyncByteStream):
    """The body of an answer, read as it arrives and not through a generator."""

    async def read(self) -> bytes:
        """Wait for bytes and return all that have arrived; b"" at the end.

        Raises:
            httpx.TransportError: The body broke off or is not HTTP.
        """
        raise NotImplementedError

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The same bytes, for readers that know only httpx's streams."""
        while chunk := await self.read():
            yield chunk


class _IteratedBody(ArrivingBody):
    """Reads any httpx stream: a transport that is not ours, or a test's."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream
        self._chunks = aiter(stream)

    async def read(self) -> bytes:
        async for chunk in self._chunks:
            if chunk:
                return chunk

        return b""

    async def aclose(self) -> None:
        await self._stream.aclose()


class ProviderResponse:
    """An answer whose headers have come. Reading more than `max_bytes` of its body fails."""

    def __init__(self, response: httpx.Response, max_bytes: int) -> None:
        stream = response.stream
        if not isinstance(stream, ArrivingBody):
            if not isinstance(stream, httpx.AsyncByteStream):
                raise TypeError(
                    f"the body of an answer is a {type(stream).__name__}, which cannot be awaited"
                )
            stream = _IteratedBody(stream)

        self.status = response.status_code
        self.headers = response.headers
        self._body: ArrivingBody = stream
        self._max_bytes = max_bytes
        self._byte_count = 0
        self._inflate = _inflater(response.headers)
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"ProviderResponse({self.status}, {self._byte_count} bytes read, {state})"

    async def read(self) -> bytes:
        """Wait for bytes and return all that have arrived; b"" at the end.

        Whatever ends it early, cancellation too, closes the connection.

        Raises:
            AttemptFailure: The body broke off, is not HTTP, or is larger than the bound.
        """
        whole = False
        try:
            chunk = await self._body.read()
            if self._inflate is not None:
                chunk = await self._read_inflated(chunk, self._inflate)
            self._byte_count += len(chunk)
            if self._byte_count > self._max_bytes:
                raise AttemptFailure(
                    FailureClass.MALFORMED_RESPONSE,
                    f"the answer is larger than {self._max_bytes} bytes",
                    http_status=self.status,
                )
            whole = True
        except httpx.RequestError as error:
            raise transport_failure(error, http_status=self.status) from error
        finally:
            if not whole:
                await self.aclose()
        return chunk

    async def read_rest(self) -> bytes:
        """All that is still to come, and the end of the exchange.

        Raises:
            AttemptFailure: As in `read`.
        """
        chunks: list[bytes] = []
        while chunk := await self.read():
            chunks.append(chunk)
        await self.aclose()
        return b"".join(chunks)

    async def read_error(self) -> bytes:
        """What is said about an error, at most 64 KiB and no more than came; then the exchange is over."""
        self._max_bytes = MAX_ERROR_BYTES
        chunks: list[bytes] = []
        try:
            while chunk := await self.read():
                chunks.append(chunk)
        except AttemptFailure:
            # The status alone tells enough: half an explanation is no new failure.
            return b"".join(chunks)
        finally:
            await self.aclose()
        return b"".join(chunks)

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else close it at once. Idempotent."""
        if not self._closed:
            self._closed = True
            await self._body.aclose()

    async def _read_inflated(self, chunk: bytes, inflate: zlib._Decompress) -> bytes:
        # The decompressor may need several chunks before it gives a byte, and b"" would mean the end.
        while chunk:
            inflated = self._inflated(chunk, inflate)
            if inflated:
                return inflated
            chunk = await self._body.read()
        return b""

    def _inflated(self, chunk: bytes, inflate: zlib._Decompress) -> bytes:
        try:
            return inflate.decompress(chunk, self._max_bytes - self._byte_count + 1)
        except zlib.error as error:
            raise httpx.DecodingError("the compressed body is damaged") from error


async def send(
    transport: httpx.AsyncBaseTransport, request: httpx.Request, *, max_bytes: int = MAX_ANSWER_BYTES
) -> ProviderResponse:
    """Send `request` once and return when the headers of the answer have come.

    Raises:
        AttemptFailure: The provider could not be reached, or it does not speak HTTP.
    """
    try:
        response = await transport.handle_async_request(request)
    except httpx.RequestError as error:
        raise transport_failure(error) from error

    try:
        return ProviderResponse(response, max_bytes)
    except httpx.DecodingError as error:
        await response.aclose()
        raise transport_failure(error, http_status=response.status_code) from error


class _Translation(NamedTuple):
    exception: type[httpx.RequestError]
    failure_class: FailureClass
    message: str


_NOT_SENT: Sequence[_Translation] = (
    _Translation(httpx.ConnectTimeout, FailureClass.TIMEOUT, "the connection was not made in time"),
    _Translation(httpx.PoolTimeout, FailureClass.TIMEOUT, "no connection became free in time"),
    _Translation(NameNotResolved, FailureClass.TRANSIENT, "the provider's name cannot be resolved"),
    _Translation(TlsFailed, FailureClass.TRANSIENT, "no TLS session could be made with the provider"),
    _Translation(httpx.ConnectError, FailureClass.TRANSIENT, "the provider cannot be connected to"),
    _Translation(httpx.ProxyError, FailureClass.TRANSIENT, "the proxy cannot be used"),
    _Translation(httpx.UnsupportedProtocol, FailureClass.TRANSIENT, "the URL is neither http nor https"),
    _Translation(httpx.LocalProtocolError, FailureClass.INVALID_REQUEST, "the request cannot be sent"),
)
"""Exceptions after which the provider cannot have seen, nor billed, the request. First match wins."""

_SENT: Sequence[_Translation] = (
    _Translation(httpx.TimeoutException, FailureClass.TIMEOUT, "the provider stopped answering"),
    _Translation(httpx.RemoteProtocolError, FailureClass.MALFORMED_RESPONSE, "the answer is not HTTP"),
    _Translation(httpx.DecodingError, FailureClass.MALFORMED_RESPONSE, "the answer cannot be decompressed"),
    _Translation(httpx.RequestError, FailureClass.TRANSIENT, "the connection broke"),
)
"""All others: the provider may have seen it."""


def transport_failure(error: httpx.RequestError, *, http_status: int = 0) -> AttemptFailure:
    """What a transport's exception means for an attempt; its own text is never repeated."""
    for translations, reached_provider in ((_NOT_SENT, False), (_SENT, True)):
        for exception, failure_class, message in translations:
            if isinstance(error, exception):
                return AttemptFailure(
                    failure_class, message, http_status=http_status, reached_provider=reached_provider
                )
    raise AssertionError("the last translation takes every httpx.RequestError")


def _inflater(headers: httpx.Headers) -> zlib._Decompress | None:
    # The raw headers: looking one up by its name decodes them all.
    for name, value in headers.raw:
        if name.lower() != b"content-encoding":
            continue
        encoding = value.strip().lower()
        if encoding in {b"gzip", b"x-gzip", b"deflate"}:
            return zlib.decompressobj(_ANY_ZLIB_HEADER)
        if encoding not in {b"", b"identity"}:
            raise httpx.DecodingError("the answer has a content encoding that was not asked for")
    return None
