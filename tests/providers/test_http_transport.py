"""The transport and the seam above it, on real sockets."""

from __future__ import annotations

import asyncio
import gzip
import resource
import socket
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.http import ProviderResponse, RequestBody, send
from paceline_server.providers.http_transport import AiohttpTransport
from paceline_server.providers.transport_failures import transport_failure
from tests.providers.replay import (
    PATIENCE,
    Exchange,
    ReplayServer,
    Script,
    answering,
    answering_raw,
    replaying,
)

_OK_HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
_BOUND = 1024 * 1024


def _post(url: str, body: bytes = b"{}") -> httpx.Request:
    headers = [(b"host", b"replay"), (b"content-length", b"%d" % len(body))]
    return httpx.Request("POST", url + "/chat/completions", headers=headers, stream=RequestBody(body))


@asynccontextmanager
async def _served(script: Script) -> AsyncIterator[tuple[AiohttpTransport, ReplayServer]]:
    async with replaying(script) as server:
        transport = AiohttpTransport()
        try:
            yield transport, server
        finally:
            await transport.aclose()


async def _whole(transport: httpx.AsyncBaseTransport, url: str) -> bytes:
    async with asyncio.timeout(PATIENCE):
        response = await send(transport, _post(url))
        return await response.read_rest(_BOUND)


async def _failure(script: Script) -> AttemptFailure:
    async with _served(script) as (transport, server):
        with pytest.raises(AttemptFailure) as caught:
            await _whole(transport, server.url)
        await server.until(lambda: server.open_count == 0)
    return caught.value


def _free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


async def test_a_request_is_sent_as_it_is() -> None:
    """S6: nothing is added to what the adapter says, and nothing of httpx's client or aiohttp's session."""
    async with _served(answering(b"hello")) as (transport, server):
        assert await _whole(transport, server.url) == b"hello"
    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("POST", "/v1/chat/completions", b"{}")
    assert set(request.headers) == {"host", "content-length"}


async def test_a_plain_httpx_request_can_be_sent() -> None:
    """The seam is httpx's types: a request built the usual way works too."""
    async with _served(answering(b"hello")) as (transport, server):
        response = await transport.handle_async_request(httpx.Request("POST", server.url, content=b"abc"))
        assert await response.aread() == b"hello"
        assert server.requests[0].body == b"abc"


async def test_a_foreign_transport_can_stand_behind_the_seam() -> None:
    """The seam is httpx's types: any httpx transport can be read through it."""
    foreign = httpx.MockTransport(lambda _: httpx.Response(200, stream=_Chunks([b"a", b"", b"b"])))
    assert await _whole(foreign, "http://mock") == b"ab"


async def test_what_arrived_before_a_break_is_read_before_it() -> None:
    """A2: a slow reader loses nothing of an answer that broke off, and learns that it broke."""
    async with (
        _served(answering_raw(_OK_HEAD, b"5\r\nhello\r\n6\r\n there\r\n")) as (transport, server),
        replaying(answering(b"another")) as other,
    ):
        response = await send(transport, _post(server.url))
        await server.until(lambda: server.open_count == 0)
        await _whole(transport, other.url)  # by then the break has been seen on the first connection, too
        assert await response.read() == b"hello there"
        for _ in range(2):
            with pytest.raises(AttemptFailure) as caught:
                await response.read()
            assert caught.value.failure_class is FailureClass.TRANSIENT


async def test_a_connection_is_used_again_after_a_whole_answer() -> None:
    """A6: a connection goes back to the pool when its answer was read to the end."""
    async with _served(answering(b"hello" * 1000)) as (transport, server):
        for _ in range(5):
            await _whole(transport, server.url)
        assert (len(server.requests), server.connection_count) == (5, 1)


async def test_cookies_are_not_kept_and_redirects_not_followed() -> None:
    """S6: what a provider sets stays with the answer that set it."""
    script = answering(b"", status=302, headers={"location": "/v1/elsewhere", "set-cookie": "a=b"})
    async with _served(script) as (transport, server):
        for _ in range(2):
            response = await send(transport, _post(server.url))
            assert response.status == 302
            await response.read_rest()
        assert [request.path for request in server.requests] == ["/v1/chat/completions"] * 2
        assert all("cookie" not in request.headers for request in server.requests)


async def test_a_post_is_never_sent_twice() -> None:
    """A7: a kept connection that drops under a request fails the attempt; nothing sends it again."""

    async def first_then_drop(exchange: Exchange) -> None:
        if len(server.requests) > 1:
            exchange.drop()
            return
        await answering(b"hello")(exchange)

    async with _served(first_then_drop) as (transport, server):
        await _whole(transport, server.url)
        with pytest.raises(AttemptFailure) as caught:
            await _whole(transport, server.url)
        assert (len(server.requests), server.connection_count) == (2, 1)
    assert caught.value.failure_class is FailureClass.TRANSIENT
    assert caught.value.reached_provider


async def test_a_refused_connection_cannot_have_been_billed() -> None:
    """A3: nobody listens, so it is TRANSIENT and the provider was not reached."""
    transport = AiohttpTransport()
    with pytest.raises(AttemptFailure) as caught:
        await _whole(transport, f"http://127.0.0.1:{_free_port()}")
    await transport.aclose()
    assert caught.value.failure_class is FailureClass.TRANSIENT
    assert not caught.value.reached_provider
    assert not caught.value.blameless


async def test_a_gateway_without_descriptors_does_not_say_that_the_provider_cannot_be_reached() -> None:
    """A3: where the process may open no more files, the gateway is named and at fault; nobody was billed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with _served(answering(b"hello")) as (transport, server):
        with socket.socket() as highest:
            lowest_refused = highest.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_refused, hard))
        try:
            with pytest.raises(AttemptFailure) as caught:
                await _whole(transport, server.url)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert await _whole(transport, server.url) == b"hello"
    assert "the gateway" in caught.value.message
    assert caught.value.blameless
    assert not caught.value.reached_provider


async def test_a_name_without_an_address_cannot_have_been_billed() -> None:
    """A3: an unknown host is TRANSIENT and the provider was not reached."""
    transport = AiohttpTransport()
    with pytest.raises(AttemptFailure) as caught:
        await _whole(transport, "http://provider.invalid")
    await transport.aclose()
    assert caught.value.failure_class is FailureClass.TRANSIENT
    assert not caught.value.reached_provider


async def test_a_handshake_that_hangs_is_a_connect_timeout() -> None:
    """A1: the connect clock covers TLS, and its end reached nobody."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        transport = AiohttpTransport(connect_timeout=0.05)
        with pytest.raises(AttemptFailure) as caught:
            await _whole(transport, f"https://127.0.0.1:{deaf.getsockname()[1]}")
        await transport.aclose()
    assert caught.value.failure_class is FailureClass.TIMEOUT
    assert not caught.value.reached_provider


async def test_a_failed_handshake_cannot_have_been_billed() -> None:
    """A3: without TLS there was no request."""

    def speak_plainly(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(speak_plainly, "127.0.0.1", 0)
    transport = AiohttpTransport()
    with pytest.raises(AttemptFailure) as caught:
        await _whole(transport, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await transport.aclose()
    server.close()
    assert caught.value.failure_class is FailureClass.TRANSIENT
    assert not caught.value.reached_provider


@pytest.mark.parametrize(
    "raw",
    [
        (b"",),
        (b"HTTP/1.1 200 OK\r\ncontent-le",),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello",),
        (_OK_HEAD, b"5\r\nhel"),
        (_OK_HEAD, b"5\r\nhello\r\n"),
    ],
)
async def test_a_disconnect_is_transient_wherever_it_comes(raw: tuple[bytes, ...]) -> None:
    """A2, A3: a truncated answer is a failure, and may have been billed."""
    failure = await _failure(answering_raw(*raw))
    assert failure.failure_class is FailureClass.TRANSIENT
    assert failure.reached_provider


@pytest.mark.parametrize(
    "raw",
    [
        (b"hello world\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 300_000,),
        (b"HTTP/1.1 200 OK\r\n" + b"x: a\r\n" * 100_000,),
        (b"HTTP/1.1 200 " + b"a" * 300_000,),
        (_OK_HEAD + b"zz\r\nhello\r\n",),
        (_OK_HEAD, b"2\r\nhi\r\n", b"zz\r\nhello\r\n"),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 20\r\n\r\nhi",),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 20\r\n\r\nhi",),
    ],
)
async def test_what_is_not_http_is_malformed(raw: tuple[bytes, ...]) -> None:
    """A2, A3: nonsense and header bombs end the attempt, also when they come late and the peer stays."""
    failure = await _failure(answering_raw(*raw, then_drops=False))
    assert failure.failure_class is FailureClass.MALFORMED_RESPONSE


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_compression_that_was_not_asked_for_is_undone(
    encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    """A2: some gateways compress whatever is asked."""
    script = answering(compress(b"hello" * 100), headers={"content-encoding": encoding}, seed=1)
    async with _served(script) as (transport, server):
        assert await _whole(transport, server.url) == b"hello" * 100


async def test_a_compression_bomb_is_refused_at_the_bound() -> None:
    """A2: the bound is for what a body unfolds to."""
    failure = await _failure(
        answering(gzip.compress(b"0" * 50_000_000), headers={"content-encoding": "gzip"}, seed=5)
    )
    assert failure.failure_class is FailureClass.MALFORMED_RESPONSE


async def test_what_unfolds_to_much_is_read_in_pieces() -> None:
    """A2: a compressed stream has no end to measure it by, so no single read of it is large."""
    body = gzip.compress(b"0" * 20_000_000)
    async with _served(answering(body, headers={"content-encoding": "gzip"}, seed=5)) as (transport, server):
        response = await send(transport, _post(server.url))
        total = 0
        while chunk := await response.read():
            assert len(chunk) <= _BOUND
            total += len(chunk)
        assert total == 20_000_000


async def test_an_endless_answer_is_refused_at_the_bound() -> None:
    """A2: an answer of 100 MB is refused when the bound is passed, not when it has come."""
    sent = 0

    async def endless(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.head()
        for _ in range(1600):
            await exchange.chunks(b"0" * 65536)
            sent += 65536

    failure = await _failure(endless)
    assert failure.failure_class is FailureClass.MALFORMED_RESPONSE
    assert sent < 20 * _BOUND


async def test_an_explanation_is_read_up_to_64_kib() -> None:
    """A3: the body of an error is bounded, and what came of it is used."""
    script = answering(b"0" * 1_000_000, status=500)
    async with _served(script) as (transport, server):
        response = await send(transport, _post(server.url))
        assert len(await response.read_error()) <= 64 * 1024
        await server.until(lambda: server.open_count == 0)


async def test_an_explanation_that_never_ends_is_waited_for_only_so_long() -> None:
    """A3: an error is classed by its status when its explanation does not come, and its connection closed."""

    async def script(exchange: Exchange) -> None:
        await exchange.head(status=503)
        await exchange.chunks(b"bu")
        await exchange.until_closed()

    async with _served(script) as (transport, server), asyncio.timeout(PATIENCE):
        response = await send(transport, _post(server.url))
        assert await response.read_error(patience=0.2) in {b"", b"bu"}
        await server.until(lambda: server.open_count == 0)


async def _cancelled(task: asyncio.Task[ProviderResponse] | asyncio.Task[bytes]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelling_before_the_headers_closes_the_connection() -> None:
    """A6: a provider that has not answered yet sees the close."""
    async with _served(Exchange.until_closed) as (transport, server):
        task = asyncio.create_task(send(transport, _post(server.url)))
        await server.until(lambda: len(server.requests) == 1)
        await _cancelled(task)
        await server.until(lambda: server.open_count == 0)
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cancelling_between_two_chunks_closes_the_connection() -> None:
    """A6: mid-stream the close is seen as well."""

    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.chunks(b"hello")
        await exchange.until_closed()

    async with _served(script) as (transport, server):
        response = await send(transport, _post(server.url))
        assert await response.read() == b"hello"
        task = asyncio.create_task(response.read())
        await asyncio.sleep(0)
        await _cancelled(task)
        await server.until(lambda: server.open_count == 0)


async def test_closing_an_unread_answer_closes_the_connection() -> None:
    """A6: an answer that is given up after its headers is not read to its end."""

    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.until_closed()

    async with _served(script) as (transport, server):
        response = await send(transport, _post(server.url))
        await response.aclose()
        await response.aclose()
        await server.until(lambda: server.open_count == 0)


async def test_cancelling_a_request_that_is_not_read_closes_the_connection() -> None:
    """A6: what is unsent is not flushed to a provider that has stopped reading."""
    loop = asyncio.get_running_loop()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0)
        transport = AiohttpTransport()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        task = asyncio.create_task(send(transport, _post(url, b"x" * 50_000_000)))
        connection, _ = await loop.sock_accept(listener)
        with connection:
            await loop.sock_recv(connection, 10)
            await _cancelled(task)
            async with asyncio.timeout(PATIENCE):
                await _until_end(connection)
        await transport.aclose()


async def _until_end(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    received = 0
    while data := await loop.sock_recv(connection, 1 << 20):
        received += len(data)
    assert received < 50_000_000


async def test_cancelling_while_connecting_leaves_nothing() -> None:
    """A6: a handshake that is given up leaves no socket and no task."""
    loop = asyncio.get_running_loop()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0)
        transport = AiohttpTransport()
        task = asyncio.create_task(send(transport, _post(f"https://127.0.0.1:{listener.getsockname()[1]}")))
        connection, _ = await loop.sock_accept(listener)
        with connection:
            await loop.sock_recv(connection, 10)
            await _cancelled(task)
            async with asyncio.timeout(PATIENCE):
                while await loop.sock_recv(connection, 65536):
                    pass
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await transport.aclose()


async def test_a_slot_of_a_full_pool_comes_back() -> None:
    """A6: with one connection allowed, a cancelled attempt leaves it to the next."""
    stuck = True

    async def script(exchange: Exchange) -> None:
        await (Exchange.until_closed if stuck else answering(b"hello"))(exchange)

    async with replaying(script) as server:
        transport = AiohttpTransport(max_connection_count=1)
        task = asyncio.create_task(send(transport, _post(server.url)))
        await server.until(lambda: len(server.requests) == 1)
        await _cancelled(task)
        stuck = False
        assert await _whole(transport, server.url) == b"hello"
        await transport.aclose()


async def test_a_closed_transport_sends_nothing() -> None:
    """A3: after its close a provider cannot be reached, and says so as a failure."""
    async with _served(answering(b"")) as (transport, server):
        await transport.aclose()
        await transport.aclose()
        with pytest.raises(AttemptFailure) as caught:
            await _whole(transport, server.url)
        assert not server.requests
    assert not caught.value.reached_provider


@pytest.mark.parametrize(
    "error",
    [httpx.ConnectError("secret"), httpx.ReadError("secret"), httpx.RemoteProtocolError("secret")],
)
def test_no_words_of_a_library_reach_a_message(error: httpx.RequestError) -> None:
    """A3: exceptions of others are translated, not repeated."""
    assert "secret" not in transport_failure(error).message


class _Chunks(httpx.AsyncByteStream):
    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
