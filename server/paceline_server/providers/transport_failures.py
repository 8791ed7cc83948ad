"""What can go wrong between a request and its answer, in one table: from httpx's exceptions to failures.

The classes here name what httpx has no name for. What an answer itself says is classed in `failures`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import httpx

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure


class NameNotResolved(httpx.ConnectError):
    """The host's name has no address."""


class NoDescriptorLeft(httpx.ConnectError):
    """The process, or its machine, has as many files open as it may: no fault of the provider."""


class StaleConnection(httpx.ReadError):
    """A kept connection broke before a byte of the answer: it had died unnoticed, not the provider."""


class TlsFailed(httpx.ConnectError):
    """There is a connection, but no TLS session on it."""


class _Translation(NamedTuple):
    exception: type[httpx.RequestError]
    failure_class: FailureClass
    message: str
    blameless: bool = False


_NOT_SENT: Sequence[_Translation] = (
    _Translation(httpx.ConnectTimeout, FailureClass.TIMEOUT, "the connection was not made in time"),
    _Translation(httpx.PoolTimeout, FailureClass.TIMEOUT, "no connection became free in time"),
    _Translation(
        NoDescriptorLeft,
        FailureClass.TRANSIENT,
        "the gateway has no file descriptor left for a connection",
        blameless=True,
    ),
    _Translation(NameNotResolved, FailureClass.TRANSIENT, "the provider's name cannot be resolved"),
    _Translation(TlsFailed, FailureClass.TRANSIENT, "no TLS session could be made with the provider"),
    _Translation(httpx.ConnectError, FailureClass.TRANSIENT, "the provider cannot be connected to"),
    _Translation(httpx.ProxyError, FailureClass.TRANSIENT, "the proxy cannot be used"),
    _Translation(httpx.UnsupportedProtocol, FailureClass.TRANSIENT, "the URL is neither http nor https"),
    _Translation(httpx.LocalProtocolError, FailureClass.INVALID_REQUEST, "the request cannot be sent"),
)
"""Exceptions after which the provider cannot have seen, nor billed, the request. First match wins."""

_SENT: Sequence[_Translation] = (
    _Translation(
        StaleConnection,
        FailureClass.TRANSIENT,
        "a kept connection broke before a byte of the answer",
        blameless=True,
    ),
    _Translation(httpx.TimeoutException, FailureClass.TIMEOUT, "the provider stopped answering"),
    _Translation(httpx.RemoteProtocolError, FailureClass.MALFORMED_RESPONSE, "the answer is not HTTP"),
    _Translation(httpx.DecodingError, FailureClass.MALFORMED_RESPONSE, "the answer cannot be decompressed"),
    _Translation(httpx.RequestError, FailureClass.TRANSIENT, "the connection broke"),
)
"""All others: the provider may have seen it."""


def transport_failure(error: httpx.RequestError, *, http_status: int = 0) -> AttemptFailure:
    """What a transport's exception means for an attempt; its own text is never repeated."""
    for translations, reached_provider in ((_NOT_SENT, False), (_SENT, True)):
        for exception, failure_class, message, blameless in translations:
            if isinstance(error, exception):
                return AttemptFailure(
                    failure_class,
                    message,
                    http_status=http_status,
                    reached_provider=reached_provider,
                    blameless=blameless,
                )
    raise AssertionError("the last translation takes every httpx.RequestError")
