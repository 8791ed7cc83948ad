"""Where requests go, and how their heads are written."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from pathlib import Path

import httpx
import pytest
from aiohttp.helpers import BasicAuth, strip_auth_from_url
from yarl import URL

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.http import RequestBody, send
from paceline_server.providers.http_origin import Origin, ProxyLookup, origin_of
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


def _naming(proxy: str) -> ProxyLookup:
    """An environment that names a proxy."""
    return lambda _: strip_auth_from_url(URL(proxy))


def _naming_none(_: URL) -> tuple[URL, BasicAuth | None]:
    raise LookupError


async def _answer(
    url: str, environment: ProxyLookup, *, trust_env: bool = True, tls: ssl.SSLContext | None = None
) -> bytes:
    async with AiohttpTransport(trust_env=trust_env, tls=tls, proxy_lookup=environment) as transport:
        return await (await send(transport, _post(url))).read_rest()


async def test_a_proxy_of_the_environment_is_used_when_asked_for() -> None:
    """S6: the proxy gets the whole URL and its credentials."""
    async with replaying(answering(b"hello")) as proxy:
        environment = _naming(f"http://user:secret@127.0.0.1:{proxy.port}")
        assert await _answer("http://provider.invalid:81/v1?a=b", environment) == b"hello"
    (request,) = proxy.requests
    assert request.path == "http://provider.invalid:81/v1?a=b"
    assert request.headers["host"] == "provider.test"
    assert request.headers["proxy-authorization"] == "Basic dXNlcjpzZWNyZXQ="


async def test_the_environment_is_asked_unless_another_is_given() -> None:
    """S6: http_proxy with its credentials and no_proxy are what the environment says."""
    script = (
        "import asyncio, httpx\n"
        "from paceline_server.providers.http_origin import origin_of\n"
        "for host in ('provider.test', 'own.test'):\n"
        "    url = httpx.URL(f'http://{host}/v1')\n"
        "    asked = asyncio.run(origin_of(url, trust_env=True)).connection_request\n"
        "    print(asked.proxy, asked.proxy_auth and asked.proxy_auth.login)\n"
    )
    named = {"http_proxy": "http://user:secret@proxy.test:81", "no_proxy": "own.test"}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, env={**os.environ, **named}, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await child.communicate()
    assert told.decode().splitlines() == ["http://proxy.test:81 user", "None None"]


@pytest.mark.parametrize("trust_env", [True, False])
async def test_a_proxy_of_the_environment_is_left_alone(trust_env: bool) -> None:  # noqa: FBT001
    """S6: nothing goes through a proxy unless the configuration and the environment agree."""
    async with replaying(answering(b"")) as proxy, replaying(answering(b"hello")) as server:
        environment = _naming_none if trust_env else _naming(f"http://127.0.0.1:{proxy.port}")
        assert await _answer(server.url, environment, trust_env=trust_env) == b"hello"
        assert not proxy.requests
        assert server.requests[0].path == "/v1"


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "http://[", "http://127.0.0.1:x"])
async def test_a_proxy_that_cannot_be_used_is_named(proxy: str) -> None:
    """A3: a proxy at fault is TRANSIENT, and the provider was not reached."""
    with pytest.raises(AttemptFailure) as caught:
        await _answer("http://provider.invalid", _naming(proxy))
    assert "proxy" in caught.value.message
    assert not caught.value.reached_provider


async def test_https_goes_through_a_proxy_in_a_tunnel(tmp_path: Path) -> None:
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
        port = proxy.sockets[0].getsockname()[1]
        environment = _naming(f"http://u:p@127.0.0.1:{port}")
        trusting = ssl.create_default_context(cadata=certificate.decode())
        assert await _answer("https://provider.invalid/v1", environment, tls=trusting) == b"hello"

    assert heads[0].startswith(b"CONNECT provider.invalid:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dTpw\r\n" in heads[0]
    assert replay.requests[0].path == "/v1"
    assert "proxy-authorization" not in replay.requests[0].headers


async def test_a_proxy_that_refuses_a_tunnel_is_named() -> None:
    """A3: a proxy's refusal is not the provider's, and the provider was not reached."""
    async with replaying(answering(b"", status=403)) as proxy:
        with pytest.raises(AttemptFailure) as caught:
            await _answer("https://provider.invalid/v1", _naming(f"http://127.0.0.1:{proxy.port}"))
        assert [request.method for request in proxy.requests] == ["CONNECT"]
    assert caught.value.message == "the proxy cannot be used"
    assert not caught.value.reached_provider
