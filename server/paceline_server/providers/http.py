"""Speaking HTTP to a provider: one request out, one answer back, which is never collected without a bound.

The seam is httpx's types: a transport is an httpx.AsyncBaseTransport that is called directly, without
httpx's client around it. What an answer means is the adapters' business; sockets are the transport's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import httpx

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.inflation import Inflater, inflater_of
from paceline_server.providers.transport_failures import transport_failure

MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024
ERROR_PATIENCE = 1.0
"""Seconds that an error's explanation is waited for; status and headers class it without one."""


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


class ArrivingResponse(httpx.Response):
    """An answer whose headers become httpx's only once they are looked at, which is seldom."""

    def __init__(
        self, status_code: int, raw_headers: Sequence[tuple[bytes, bytes]], body: ArrivingBody
    ) -> None:
        """Make one of the head and the body as they came."""
        super().__init__(status_code, stream=body)
        self.raw_headers = raw_headers
        self._made_headers: httpx.Headers | None = None

    @property
    def headers(self) -> httpx.Headers:
        """The headers in httpx's form."""
        if self._made_headers is None:
            self._made_headers = httpx.Headers(self.raw_headers)
        return self._made_headers

    @headers.setter
    def headers(self, headers: httpx.Headers) -> None:
        self._made_headers = headers


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
    """An answer whose headers have come. Whoever collects what it reads sets the bound."""

    def __init__(self, response: httpx.Response) -> None:
        stream = response.stream
        if not isinstance(stream, ArrivingBody):
            if not isinstance(stream, httpx.AsyncByteStream):
                raise TypeError(
                    f"the body of an answer is a {type(stream).__name__}, which cannot be awaited"
                )
            stream = _IteratedBody(stream)

        self.status = response.status_code
        self._body: ArrivingBody = stream
        self._byte_count = 0
        self._response = response
        # The raw headers: looking one up by its name decodes them all.
        self._inflater = inflater_of(
            response.raw_headers if isinstance(response, ArrivingResponse) else response.headers.raw
        )
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"ProviderResponse({self.status}, {self._byte_count} bytes read, {state})"

    @property
    def headers(self) -> httpx.Headers:
        """The headers of the answer."""
        return self._response.headers

    async def read(self) -> bytes:
        """Wait for bytes and return all that have arrived; b"" at the end.

        Whatever ends it early, cancellation too, closes the connection.

        Raises:
            AttemptFailure: The body broke off or is not HTTP.
        """
        whole = False
        try:
            inflater = self._inflater
            chunk = await (self._body.read() if inflater is None else self._read_inflated(inflater))
            self._byte_count += len(chunk)
            whole = True
        except httpx.RequestError as error:
            raise transport_failure(error, http_status=self.status) from error
        finally:
            if not whole:
                await self.aclose()
        return chunk

    async def read_rest(self, max_bytes: int = MAX_ANSWER_BYTES) -> bytes:
        """All that is still to come, and the end of the exchange.

        Raises:
            AttemptFailure: As in `read`, or there is more than `max_bytes`.
        """
        chunks: list[bytes] = []
        room = max_bytes
        try:
            while chunk := await self.read():
                room -= len(chunk)
                if room < 0:
                    raise too_large(max_bytes, http_status=self.status)
                chunks.append(chunk)
        finally:
            await self.aclose()
        return b"".join(chunks)

    async def read_error(self, patience: float = ERROR_PATIENCE) -> bytes:
        """What is said about an error: at most 64 KiB, and what came in `patience` seconds.

        Then the exchange is over. Half an explanation is no new failure, for the status alone tells enough.
        """
        chunks: list[bytes] = []
        room = MAX_ERROR_BYTES
        try:
            async with asyncio.timeout(patience):
                while room > 0 and (chunk := await self.read()):
                    chunks.append(chunk[:room])
                    room -= len(chunk)
        except (AttemptFailure, TimeoutError):
            return b"".join(chunks)
        finally:
            await self.aclose()
        return b"".join(chunks)

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else close it at once. Idempotent."""
        if not self._closed:
            self._closed = True
            await self._body.aclose()

    async def _read_inflated(self, inflater: Inflater) -> bytes:
        # The decompressor may need several chunks before it gives a byte, and b"" would mean the end.
        while chunk := inflater.rest or await self._body.read():
            if inflater.rest:
                await asyncio.sleep(0)  # no bytes are waited for, and other calls must not wait either
            if inflated := inflater.inflate(chunk):
                return inflated
        return inflater.flush()


def too_large(max_bytes: int, *, http_status: int) -> AttemptFailure:
    """The failure of an answer that passed its bound."""
    return AttemptFailure(
        FailureClass.MALFORMED_RESPONSE,
        f"the answer is larger than {max_bytes} bytes",
        http_status=http_status,
    )


async def send(transport: httpx.AsyncBaseTransport, request: httpx.Request) -> ProviderResponse:
    """Send `request` once and return when the headers of the answer have come.

    Raises:
        AttemptFailure: The provider could not be reached, or it does not speak HTTP.
    """
    try:
        response = await transport.handle_async_request(request)
    except httpx.RequestError as error:
        raise transport_failure(error) from error

    try:
        return ProviderResponse(response)
    except httpx.DecodingError as error:
        await response.aclose()
        raise transport_failure(error, http_status=response.status_code) from error
