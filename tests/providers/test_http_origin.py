"""Where requests go, and how their heads are written."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import httpx
import pytest
from yarl import URL

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.http import RequestBody, send
from paceline_server.providers.http_origin import Origin, origin_of
from paceline_server.providers.http_transport import AiohttpTransport
from tests.clients.python.certificates import self_signed
from tests.providers.replay import ReplayServer, answering, replaying

_HOST = (b"host", b"provider.test")


async def _head(*headers: tuple[bytes, bytes], method: str = "POST", size: int = 2) -> bytes:
    origin = Origin(URL("http://provider.test"), loop=asyncio.get_running_loop())
    url = "http://provider.test/v1/chat?a=b%20c"
    return origin.head(httpx.Request(method, url, headers=headers, stream=RequestBody(b"")), size)


async def test_a_head_is_the_request_line_and_the_headers_as_they_are() -> None:
    """S6: nothing is added, and the path and the query stay encoded."""
    head = await _head(_HOST, (b"X-Name", b"a\tb\xe4"))
    line = b"POST /v1/chat?a=b%20c HTTP/1.1\r\n"
    assert head == line + b"host: provider.test\r\nX-Name: a\tb\xe4\r\ncontent-length: 2\r\n\r\n"


@pytest.mark.parametrize("claim", [(b"content-length", b"900"), (b"Transfer-Encoding", b"chunked")])
async def test_the_head_says_how_long_the_body_is_and_nobody_else(claim: tuple[bytes, bytes]) -> None:
    """S2: a request cannot end elsewhere than its head says, so none hides in another."""
    head = await _head(_HOST, claim)
    assert claim[0] + b": " + claim[1] not in head
    assert head.count(b"content-length: 2\r\n") == 1


async def test_a_request_names_its_host_even_if_its_headers_do_not() -> None:
    """S6: HTTP/1.1 asks for it."""
    assert b"\r\nhost: provider.test\r\n" in await _head()
    assert (await _head((b"x", b"y"), (b"Host", b"a"))).lower().count(b"host: ") == 1


async def test_a_request_without_a_body_says_so_only_where_one_is_expected() -> None:
    """S6: a GET has no length."""
    assert (
        await _head(method="GET", size=0) == b"GET /v1/chat?a=b%20c HTTP/1.1\r\nhost: provider.test\r\n\r\n"
    )
    assert b"content-length: 0\r\n" in await _head(_HOST, size=0)


@pytest.mark.parametrize("value", [b"a\r\nx: y", b"a\nb", b"a\rb", b"a\0b", b"a\x7fb"])
async def test_a_control_character_in_a_header_is_refused(value: bytes) -> None:
    """S2: no header can end early and begin another; nothing was sent."""
    async with AiohttpTransport() as transport:
        request = httpx.Request(
            "POST", "http://127.0.0.1", headers=[_HOST, (b"x", value)], stream=RequestBody(b"")
        )
        with pytest.raises(AttemptFailure) as caught:
            await send(transport, request)
    assert caught.value.failure_class is FailureClass.INVALID_REQUEST
    assert not caught.value.reached_provider


@pytest.mark.parametrize(
    "url", ["ftp://provider.test/v1", "http:///v1", "/v1", "http://provider.test:77777/v1"]
)
async def test_what_is_no_web_address_is_refused(url: str) -> None:
    """A3: only http and https with a host can be sent to."""
    with pytest.raises(httpx.UnsupportedProtocol):
        await origin_of(httpx.URL(url), trust_env=False)


def _post(url: str) -> httpx.Request:
    return httpx.Request("POST", url, headers=[_HOST], stream=RequestBody(b"{}"))


async def _answer(url: str, *, trust_env: bool, tls: ssl.SSLContext | None = None) -> bytes:
    async with AiohttpTransport(trust_env=trust_env, tls=tls) as transport:
        return await (await send(transport, _post(url))).read_rest()


async def test_a_proxy_of_the_environment_is_used_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """S6: the proxy gets the whole URL and its credentials."""
    async with replaying(answering(b"hello")) as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:secret@127.0.0.1:{proxy.port}")
        assert await _answer("http://provider.invalid:81/v1?a=b", trust_env=True) == b"hello"
    (request,) = proxy.requests
    assert request.path == "http://provider.invalid:81/v1?a=b"
    assert request.headers["host"] == "provider.test"
    assert request.headers["proxy-authorization"] == "Basic dXNlcjpzZWNyZXQ="


@pytest.mark.parametrize(("trust_env", "no_proxy"), [(False, ""), (True, "127.0.0.1")])
async def test_a_proxy_of_the_environment_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
    trust_env: bool,  # noqa: FBT001 - a parameter of the test
    no_proxy: str,
) -> None:
    """S6: nothing goes through a proxy unless the configuration and the environment agree."""
    async with replaying(answering(b"")) as proxy, replaying(answering(b"hello")) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", no_proxy)
        assert await _answer(server.url, trust_env=trust_env) == b"hello"
        assert not proxy.requests
        assert server.requests[0].path == "/v1"


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "http://[", "http://127.0.0.1:x"])
async def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """A3: a proxy at fault is TRANSIENT, and the provider was not reached."""
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(AttemptFailure) as caught:
        await _answer("http://provider.invalid", trust_env=True)
    assert "proxy" in caught.value.message
    assert not caught.value.reached_provider


async def test_https_goes_through_a_proxy_in_a_tunnel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """S6: the proxy sees the host and its own credentials, and the provider the request."""
    key, certificate = self_signed("provider.invalid")
    (tmp_path / "pair.pem").write_bytes(key + certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "pair.pem")
    replay = ReplayServer(answering(b"hello"))
    heads: list[bytes] = []

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.start_tls(context)
        await replay.serve(reader, writer)

    async with await asyncio.start_server(tunnel, "127.0.0.1", 0) as proxy:
        monkeypatch.setenv("https_proxy", f"http://u:p@127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        trusting = ssl.create_default_context(cadata=certificate.decode())
        assert await _answer("https://provider.invalid/v1", trust_env=True, tls=trusting) == b"hello"

    assert heads[0].startswith(b"CONNECT provider.invalid:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dTpw\r\n" in heads[0]
    assert replay.requests[0].path == "/v1"
    assert "proxy-authorization" not in replay.requests[0].headers


async def test_a_proxy_that_refuses_a_tunnel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A3: a proxy's refusal is not the provider's, and the provider was not reached."""
    async with replaying(answering(b"", status=403)) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(AttemptFailure) as caught:
            await _answer("https://provider.invalid/v1", trust_env=True)
        assert [request.method for request in proxy.requests] == ["CONNECT"]
    assert caught.value.message == "the proxy cannot be used"
    assert not caught.value.reached_provider
