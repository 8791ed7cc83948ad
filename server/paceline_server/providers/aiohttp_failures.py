"""What can go wrong on a connection, in two tables: from aiohttp's exceptions to httpx's.

The first table is for getting a connection, the second for what comes once the request is on its way. What
httpx's exceptions mean for an attempt is told in `transport_failures`.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping

import aiohttp
import httpx
from aiohttp import http_exceptions

from paceline_server.providers.transport_failures import NameNotResolved, NoDescriptorLeft, TlsFailed

CONNECTION_FAILURES = (aiohttp.ClientError, http_exceptions.HttpProcessingError, OSError)
"""All that aiohttp raises on our ways through it; a TimeoutError is an OSError."""

_NO_DESCRIPTOR_LEFT = frozenset({errno.EMFILE, errno.ENFILE})

_Table = Mapping[type[Exception], type[httpx.RequestError]]

_NOT_CONNECTED: _Table = {
    TimeoutError: httpx.ConnectTimeout,  # no other clock is set
    aiohttp.ClientConnectorDNSError: NameNotResolved,
    aiohttp.ClientSSLError: TlsFailed,
    aiohttp.ClientProxyConnectionError: httpx.ProxyError,
    aiohttp.ClientHttpProxyError: httpx.ProxyError,
    aiohttp.InvalidURL: httpx.UnsupportedProtocol,
    Exception: httpx.ConnectError,
}
"""First match wins, so that subclasses come before their bases."""

_NOT_ANSWERED: _Table = {
    http_exceptions.ContentLengthError: httpx.ReadError,  # the body ended before its announced length
    http_exceptions.TransferEncodingError: httpx.ReadError,  # or before its last chunk
    http_exceptions.HttpProcessingError: httpx.RemoteProtocolError,
    Exception: httpx.ReadError,
}


def not_connected(error: Exception) -> httpx.RequestError:
    """What went wrong before there was a connection; nothing of the request was sent."""
    if isinstance(error, OSError) and error.errno in _NO_DESCRIPTOR_LEFT:
        return NoDescriptorLeft(type(error).__name__)
    return _translated(error, _NOT_CONNECTED)


def not_answered(error: Exception) -> httpx.RequestError:
    """What went wrong on a connection."""
    # A payload error says only that the body is not whole; its cause says whether it broke off or is no HTTP.
    if isinstance(error, aiohttp.ClientPayloadError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return _translated(error, _NOT_ANSWERED)


def _translated(error: Exception, table: _Table) -> httpx.RequestError:
    for foreign, ours in table.items():
        if isinstance(error, foreign):
            return ours(type(error).__name__)
    raise AssertionError("the last line of a table takes every exception")
