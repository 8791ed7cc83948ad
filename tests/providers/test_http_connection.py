"""One connection and its pool: what is sent, what is read, and when a connection may be used again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.http import RequestBody, send
from paceline_server.providers.http_connection import HttpConnection
from paceline_server.providers.http_transport import AiohttpTransport
from tests.clients.python.certificates import self_signed
from tests.providers.replay import PATIENCE, Exchange, ReplayServer, Script, answering, replaying

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
_CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
_LARGE = bytes(range(256)) * (5 * 1024 * 1024 // 256)


def _request(url: str, body: bytes = b"{}", method: str = "POST") -> httpx.Request:
    return httpx.Request(method, url, headers=[(b"host", b"replay")], stream=RequestBody(body))


async def _whole(transport: AiohttpTransport, request: httpx.Request) -> bytes:
    async with asyncio.timeout(PATIENCE):
        return await (await send(transport, request)).read_rest()


@asynccontextmanager
async def _served(
    script: Script, *, max_connection_count: int = 0
) -> AsyncIterator[tuple[AiohttpTransport, ReplayServer]]:
    async with (
        replaying(script) as server,
        asyncio.timeout(PATIENCE),
        AiohttpTransport(max_connection_count=max_connection_count) as transport,
    ):
        yield transport, server


def _raw(answer: bytes, *, then_closes: bool = False) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.write(answer)
        if then_closes:
            exchange.writer.close()

    return script


async def test_answers_that_are_not_final_are_skipped() -> None:
    """A2: an answer begins with its final status, whatever is announced before it."""
    early = b"HTTP/1.1 100 Continue\r\n\r\n" * 15 + b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n"
    async with _served(_raw(early + _ANSWER)) as (transport, server):
        for _ in range(2):
            assert await _whole(transport, _request(server.url)) == b"hello"
        assert server.connection_count == 1


@pytest.mark.parametrize(
    "early",
    [b"HTTP/1.1 099 None\r\n\r\n", b"HTTP/1.1 000 None\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 17],
)
async def test_what_never_comes_to_a_final_status_is_not_http(early: bytes) -> None:
    """A2, A3: a status that HTTP has not, and interim answers without end, are not waited out."""
    async with _served(_raw(early)) as (transport, server):
        with pytest.raises(AttemptFailure) as caught:
            await _whole(transport, _request(server.url))
        assert caught.value.failure_class is FailureClass.MALFORMED_RESPONSE
        await server.until(lambda: server.open_count == 0)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("POST", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("POST", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"),
        ("POST", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
    ],
)
async def test_an_answer_without_a_body_leaves_its_connection_to_the_next(method: str, answer: bytes) -> None:
    """A2, A6: nobody waits for a body that does not come, and the connection is kept."""
    async with _served(_raw(answer)) as (transport, server):
        for _ in range(2):
            assert await _whole(transport, _request(server.url, b"", method)) == b""
        assert (len(server.requests), server.connection_count) == (2, 1)


@pytest.mark.parametrize(
    "script",
    [
        _raw(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"),
        _raw(b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello"),
        _raw(b"HTTP/1.1 200 OK\r\n\r\nhello", then_closes=True),
        _raw(_ANSWER, then_closes=True),
        _raw(_ANSWER + _ANSWER),
        _raw(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhello"),
    ],
)
async def test_a_connection_that_cannot_be_trusted_is_not_used_again(script: Script) -> None:
    """S2: the end of a connection is respected, and no request gets an answer that was there before it."""
    async with _served(script) as (transport, server):
        for count in (1, 2):
            assert await _whole(transport, _request(server.url)) in {b"hello", b""}
            await _turns()
            assert (len(server.requests), server.connection_count) == (count, count)


@pytest.mark.parametrize("answer", [_ANSWER, _CHUNKED])
@pytest.mark.parametrize("cut", [None, -9, 20])
async def test_a_whole_answer_is_one_whatever_follows_it(answer: bytes, cut: int | None) -> None:
    """A2, S2: garbage behind an answer, in the same piece or not, costs the connection and not the answer."""

    async def script(exchange: Exchange) -> None:
        bytes_sent = answer + b"\0garbage"
        await exchange.write(bytes_sent[:cut])
        if cut is not None:
            await _turns()
            await exchange.write(bytes_sent[cut:])

    async with _served(script) as (transport, server):
        for count in (1, 2):
            assert await _whole(transport, _request(server.url)) == b"hello"
            await _turns()
            assert (len(server.requests), server.connection_count) == (count, count)


@pytest.mark.parametrize(
    "answer", [_CHUNKED.replace(b"0\r\n", b"zz\r\n"), b"hello\r\n\r\nhello", b"HTTP/9 200 OK\r\n\r\nhello"]
)
async def test_a_fault_within_an_answer_is_one(answer: bytes) -> None:
    """A2: what is not HTTP before the end of an answer fails it, in its head or in its body."""
    async with _served(_raw(answer)) as (transport, server):
        with pytest.raises(AttemptFailure) as caught:
            await _whole(transport, _request(server.url))
        assert caught.value.failure_class is FailureClass.MALFORMED_RESPONSE
        await server.until(lambda: server.open_count == 0)


async def test_an_answer_that_comes_unasked_is_nobodys() -> None:
    """S2: what a provider sends on an idle connection is not taken for the answer to the next request."""
    exchanges: list[Exchange] = []

    async def script(exchange: Exchange) -> None:
        exchanges.append(exchange)
        await exchange.write(_ANSWER)

    async with _served(script) as (transport, server):
        assert await _whole(transport, _request(server.url)) == b"hello"
        await exchanges[0].write(_ANSWER.replace(b"hello", b"wrong"))
        await _turns()
        assert await _whole(transport, _request(server.url)) == b"hello"
        assert server.connection_count == 2


async def test_the_head_of_an_answer_is_httpxs() -> None:
    """S6: its headers are found by name whatever their case, once or several times."""
    head = b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nx-a: 1\r\nX-A: 2\r\ncontent-length: 0\r\n\r\n"
    async with _served(_raw(head)) as (transport, server):
        response = await transport.handle_async_request(_request(server.url))
        assert (response.status_code, response.headers["retry-after"]) == (429, "3")
        assert response.headers.get_list("x-a") == ["1", "2"]
        assert await response.aread() == b""


async def test_a_large_body_arrives_whole() -> None:
    """A8: media make bodies of megabytes, which are sent as they are."""
    async with _served(answering(b"hello")) as (transport, server):
        for _ in range(2):
            assert await _whole(transport, _request(server.url, _LARGE)) == b"hello"
        assert [request.body == _LARGE for request in server.requests] == [True, True]
        assert server.connection_count == 1


async def test_an_answer_may_come_before_the_whole_request_went() -> None:
    """A3: a provider that refuses a large request unread is heard, and the half-used connection closed."""
    answered, ended = asyncio.Event(), asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nhello")
        await answered.wait()
        with suppress(ConnectionError):
            while await reader.read(65536):
                pass
        ended.set()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, AiohttpTransport() as transport, asyncio.timeout(PATIENCE):
        response = await send(transport, _request(url, b"x" * 50_000_000))
        assert response.status == 413
        assert await response.read_rest() == b"hello"
        answered.set()
        await ended.wait()


async def test_a_large_body_is_sent_piece_by_piece() -> None:
    """S3: other calls are served between two pieces, and a socket that takes no more is not filled."""
    connection = HttpConnection(asyncio.get_running_loop())
    sent = _Sink()
    connection.connection_made(sent)
    task = asyncio.create_task(connection.exchange(b"head", _LARGE))
    await _turns(1)
    assert 1 < len(sent.pieces) < 5
    assert max(map(len, sent.pieces)) <= 65536

    connection.pause_writing()
    await _turns()
    paused_at = len(sent.pieces)
    await _turns()
    assert len(sent.pieces) == paused_at
    assert connection.should_close

    for _ in range(3):
        connection.resume_writing()
        connection.pause_writing()
    connection.resume_writing()
    await _turns(2)
    assert len(sent.pieces) <= paused_at + 2
    await _turns(100)
    assert b"".join(sent.pieces) == b"head" + _LARGE
    connection.data_received(_ANSWER)
    _, body = await task
    assert await body.readany() == b"hello"
    assert not connection.should_close


async def test_a_slowed_provider_is_read_to_its_end() -> None:
    """S3: reading stops when too much is unread, and goes on however small the pieces are."""
    chunk, count = b"0" * 10, 30_000
    sent = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.write(b"a\r\n%b\r\n" % chunk * count + b"0\r\n\r\n")
        sent.set()

    async with _served(script) as (transport, server):
        for _ in range(2):
            response = await send(transport, _request(server.url))
            await sent.wait()
            sent.clear()
            await _turns()
            assert await response.read_rest() == chunk * count
        assert server.connection_count == 1


@pytest.mark.parametrize("count", range(4094, 4100))
async def test_what_was_parsed_before_a_pause_is_not_forgotten(count: int) -> None:
    """A2: the end of an answer is seen also where the parser was halted between two chunks."""
    connection = HttpConnection(asyncio.get_running_loop())
    connection.connection_made(_Sink())
    task = asyncio.create_task(connection.exchange(b"head", b""))
    await _turns()
    chunk = b"1\r\n0\r\n"
    connection.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk * count)
    _, body = await task
    size = len(await body.readany())
    connection.data_received(chunk + b"0\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        while piece := await body.readany():
            size += len(piece)
    assert size == count + 1
    assert not connection.should_close


async def test_closing_the_transport_ends_a_body_that_is_waited_for() -> None:
    """A3: who reads while everything is closed is told, and does not wait for ever."""

    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.until_closed()

    async with _served(script) as (transport, server):
        response = await send(transport, _request(server.url))
        reading = asyncio.create_task(response.read())
        await _turns(1)
        await transport.aclose()
        with pytest.raises(AttemptFailure):
            await reading


async def test_closing_the_transport_ends_the_wait_for_a_connection() -> None:
    """A3: who waits for a place in the pool is told of its end, and not cancelled by it."""
    async with _served(Exchange.until_closed, max_connection_count=1) as (transport, server):
        first = asyncio.create_task(send(transport, _request(server.url)))
        await server.until(lambda: len(server.requests) == 1)
        second = asyncio.create_task(send(transport, _request(server.url)))
        await _turns()
        await transport.aclose()
        with pytest.raises(AttemptFailure) as caught:
            await first
        assert caught.value.reached_provider
        with pytest.raises(AttemptFailure) as caught:
            await second
        assert not caught.value.reached_provider


async def test_tls_carries_the_same(tmp_path: Path) -> None:
    """S6: with the provider's certificate trusted, https is http on another connection."""
    key, certificate = self_signed("localhost")
    (tmp_path / "pair.pem").write_bytes(key + certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "pair.pem")
    replay = ReplayServer(answering(b"hello"))
    server = await asyncio.start_server(replay.serve, "127.0.0.1", 0, ssl=context)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}/v1"
    trusting = ssl.create_default_context(cadata=certificate.decode())
    async with server, AiohttpTransport(tls=trusting) as transport:
        for body in (b"{}", _LARGE):
            assert await _whole(transport, _request(url, body)) == b"hello"
        assert [request.body for request in replay.requests] == [b"{}", _LARGE]
        assert replay.connection_count == 1


async def _turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class _Sink(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.pieces.append(bytes(data))

    def is_closing(self) -> bool:
        return False
