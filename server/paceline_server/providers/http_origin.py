"""One place that requests are sent to: how it is connected to, and how the head of a request is written.

A head is written from the bytes that a request's headers already are. The length of the body is said here and
nowhere else, so that no request can end elsewhere than its head says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cached_property

import aiohttp
import httpx
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.helpers import BasicAuth, get_env_proxy_for_url
from yarl import URL

ProxyLookup = Callable[[URL], tuple[URL, BasicAuth | None]]
"""The proxy for a URL, and its credentials; LookupError if there is none, ValueError if it is no URL."""

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_CONTROL_CHARACTERS = bytes(code for code in (*range(0x20), 0x7F) if code != ord("\t"))


class _ConnectionRequest(aiohttp.ClientRequest):
    """What a pool asks about a connection; nothing else of an aiohttp request is used."""

    @cached_property
    def connection_key(self) -> ConnectionKey:
        return super().connection_key


class Origin:
    """A scheme, a host and a port, and the proxy before them if there is one."""

    def __init__(
        self,
        url: URL,
        *,
        loop: asyncio.AbstractEventLoop,
        proxy: URL | None = None,
        proxy_auth: BasicAuth | None = None,
    ) -> None:
        """Make one of a URL without a path.

        Raises:
            aiohttp.InvalidURL: It has no host.
        """
        self.connection_request = _ConnectionRequest(
            "POST", url, loop=loop, proxy=proxy, proxy_auth=proxy_auth
        )
        self._host_line = b"host: " + self.connection_request.headers["host"].encode("ascii")
        self._prefix = b""
        self._proxy_lines: list[bytes] = []
        if proxy is not None and url.scheme == "http":
            # A tunnel hides the proxy from the request; without one it reads the request itself.
            self._prefix = str(url.origin()).encode("ascii")
            if proxy_auth is not None:
                self._proxy_lines = [b"proxy-authorization: " + proxy_auth.encode().encode("ascii")]

    def head(self, request: httpx.Request, body_size: int) -> bytes:
        """The request line and the headers, up to and with the empty line.

        Raises:
            httpx.LocalProtocolError: A header has a line break or another control character.
        """
        method = request.method
        fields = [name + b": " + value for name, value in request.headers.raw if name.lower() not in _FRAMING]
        if not (fields and fields[0].startswith(b"host: ")) and "host" not in request.headers:
            fields.append(self._host_line)
        if body_size or method in _BODY_METHODS:
            fields.append(b"content-length: %d" % body_size)

        target = self._prefix + request.url.raw_path
        lines = [b"%b %b HTTP/1.1" % (method.encode("ascii"), target), *fields, *self._proxy_lines, b"", b""]
        head = b"\r\n".join(lines)
        if len(head) - len(head.translate(None, _CONTROL_CHARACTERS)) != 2 * (len(lines) - 1):
            raise httpx.LocalProtocolError("a header has a control character")
        return head


async def origin_of(
    url: httpx.URL, *, trust_env: bool, proxy_lookup: ProxyLookup = get_env_proxy_for_url
) -> Origin:
    """The origin of a URL.

    Args:
        url: Of a request.
        trust_env: Whether to go through the proxy that the environment names for it.
        proxy_lookup: How the environment is asked for it, in a thread.

    Raises:
        httpx.UnsupportedProtocol: The URL is not http or https with a host and a port that can be.
        httpx.ProxyError: The environment names a proxy by what is no URL.
    """
    if url.scheme not in {"http", "https"} or not url.host:
        raise httpx.UnsupportedProtocol("the URL is not http or https with a host")
    try:
        place = URL(f"{url.scheme}://{url.netloc.decode('ascii')}")
    except ValueError as error:
        raise httpx.UnsupportedProtocol("the host or the port of the URL is none") from error
    loop = asyncio.get_running_loop()
    if not trust_env:
        return Origin(place, loop=loop)
    try:
        # Credentials may be in a file.
        proxy, proxy_auth = await asyncio.to_thread(proxy_lookup, place)
    except LookupError:
        return Origin(place, loop=loop)
    except ValueError as error:
        raise httpx.ProxyError("the proxy of the environment is no URL") from error
    return Origin(place, loop=loop, proxy=proxy, proxy_auth=proxy_auth)
