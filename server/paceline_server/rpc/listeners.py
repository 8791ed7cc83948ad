"""What the server needs of a listener, the one of grpcio, and the choice between the two.

A listener takes connections, speaks HTTP/2 and gRPC, and hands each call to the handler of its method.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import grpc
import grpc.aio

from paceline_server.rpc.options import (
    ADDRESS_REFUSED,
    ListenerNotInstalledError,
    ListenError,
    ServerOptions,
    TlsFiles,
)

MAXIMUM_PENDING_COUNT = 50_000
"""A burst waits its turn; each waiting call costs its request's memory."""

SHORTEST_PING_INTERVAL_MS = 20_000
"""A client that pings more often is hung up on (gRPC's own default is five minutes)."""


class Context(Protocol):
    """What handlers use of the call that a listener hands them: a part of grpc.aio's own."""

    async def write(self, message: Any, /) -> None:
        """Send one message of a stream; waits while the client reads slowly, raises BaseError if it left."""

    async def abort(self, code: grpc.StatusCode, details: str = "", /) -> Any:
        """End the call with a status; raises AbortError."""

    async def abort_with_status(self, status: Any, /) -> Any:
        """End the call with a status and its trailers; raises AbortError."""

    def set_trailing_metadata(self, trailing_metadata: Any, /) -> None:
        """What goes with the status OK."""

    def time_remaining(self) -> float | None:
        """Seconds until the client's deadline."""
        ...


class Listener(Protocol):
    """One address that is listened on: handlers are registered, then it is bound, started and stopped."""

    @property
    def registrar(self) -> Any:
        """What handlers register with, in the two ways in which generated code does."""

    def bind(self) -> int:
        """Bind the address; returns the port.

        Raises:
            ListenError: It is taken or cannot be bound.
        """
        ...

    async def start(self) -> None:
        """Take calls."""

    async def stop(self, grace: float) -> None:
        """Refuse new calls, let those that run finish for `grace` seconds, cancel the rest, and close."""


def make_listener(options: ServerOptions) -> Listener:
    """The listener that is configured.

    Raises:
        ListenError: It cannot do what the options say, or its package is not there.
    """
    if options.listener == "grpcio":
        return GrpcioListener(options)
    if options.tls is not None:
        raise ListenError(f"cannot listen on {options.address}: the native listener has no TLS; use grpcio")
    try:
        # The package is an extra, which most installations lack.
        from paceline_server.rpc.native import NativeListener  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "pygrpc_native":
            raise
        raise ListenerNotInstalledError(
            "server.listener is native, and its package pygrpc-native is not installed; "
            "install the extra with pip install '.[native]' in a clone, or write listener: grpcio"
        ) from None
    return NativeListener(options)


class GrpcioListener:
    """grpcio's own server: the one for the open network, and the only one with TLS."""

    def __init__(self, options: ServerOptions) -> None:
        """Listen by `options`."""
        self._address = options.address
        self._tls = options.tls
        self._server = grpc.aio.server(options=channel_options(options.maximum_message_size))

    @property
    def registrar(self) -> Any:
        """What handlers register with."""
        return self._server

    def bind(self) -> int:
        """Bind the address, with TLS if there is a certificate."""
        try:
            if self._tls is None:
                return self._server.add_insecure_port(self._address)
            return self._server.add_secure_port(self._address, _credentials(self._tls))
        except RuntimeError:
            cause = ADDRESS_REFUSED
            if self._tls is not None:
                cause += "; or the certificate and its key cannot be used"
            raise ListenError(f"cannot listen on {self._address}: {cause}") from None

    async def start(self) -> None:
        """Take calls."""
        await self._server.start()

    async def stop(self, grace: float) -> None:
        """Refuse new calls, let those that run finish for `grace` seconds, cancel the rest, and close."""
        await self._server.stop(grace)


def channel_options(maximum_message_size: int) -> Sequence[tuple[str, Any]]:
    """The options of a grpcio server."""
    return [
        ("grpc.max_receive_message_length", maximum_message_size),
        ("grpc.max_send_message_length", -1),
        # Two servers on one port would share the calls without knowing of each other's benches.
        ("grpc.so_reuseport", 0),
        # The core drops calls of a burst above 1,000, with a status that says that the caller left.
        ("grpc.server.max_pending_requests", MAXIMUM_PENDING_COUNT),
        ("grpc.server.max_pending_requests_hard_limit", MAXIMUM_PENDING_COUNT),
        # Models think for minutes without a byte; clients may ask more often whether this end still lives.
        ("grpc.http2.min_ping_interval_without_data_ms", SHORTEST_PING_INTERVAL_MS),
    ]


def _credentials(tls: TlsFiles) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.private_key, tls.certificate_chain)],
        root_certificates=tls.client_ca,
        require_client_auth=tls.client_ca is not None,
    )
