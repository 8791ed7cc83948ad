"""The grpcio listener: options, credentials, the services, and how it drains.

It serves the contract, health and, unless switched off, reflection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from paceline_server.routing.directory import Directory
from paceline_server.rpc.chain import ChainRpc
from paceline_server.rpc.health import HealthReporter, HealthRpc
from paceline_server.rpc.registration import generic_handlers, services
from paceline_server.rpc.shell import Shell
from paceline_server.rpc.targets import TargetRpc
from paceline_server.strategies.assembly import Assembly
from paceline_server.telemetry.calls import CallObserver

HIGHEST_PORT = 65_535
CLOSING_GRACE = 1.0
"""Seconds for the last statuses to reach their clients once nothing is in flight any more."""

MAXIMUM_PENDING_COUNT = 50_000
"""A burst waits its turn; each waiting call costs its request's memory."""

SHORTEST_PING_INTERVAL_MS = 20_000
"""A client that pings more often is hung up on (gRPC's own default is five minutes)."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The server's identity as PEM; `client_ca` set means that clients must show a certificate of it."""

    certificate_chain: bytes
    private_key: bytes
    client_ca: bytes | None = None

    def __repr__(self) -> str:
        """Without the key."""
        return f"TlsFiles(client_ca={self.client_ca is not None})"


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How the listener listens; durations in seconds, sizes in bytes."""

    address: str
    maximum_deadline: float
    maximum_message_size: int
    drain_delay: float
    drain_timeout: float
    reflection: bool = True
    tls: TlsFiles | None = None


class ListenError(OSError):
    """The address cannot be listened on."""


class PacelineServer:
    """A started server answers until `drain` has returned."""

    def __init__(
        self, options: ServerOptions, assembly: Assembly, directory: Directory, observer: CallObserver
    ) -> None:
        """Build the server; nothing is bound yet."""
        self._options = options
        self._shell = Shell(maximum_deadline=options.maximum_deadline, observer=observer)
        self._server = grpc.aio.server(options=_channel_options(options))
        self._health = HealthRpc()
        servicers: Mapping[str, object] = {
            "paceline.v1.ChainService": ChainRpc(assembly),
            "paceline.v1.TargetService": TargetRpc(directory, self._shell),
        }
        self._reporter = HealthReporter(self._health, directory, servicers.keys())
        self._server.add_generic_rpc_handlers(generic_handlers(servicers, self._shell))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if options.reflection:
            names = [
                *(service.full_name for service in services()),
                health.SERVICE_NAME,
                reflection.SERVICE_NAME,
            ]
            reflection.enable_server_reflection(names, self._server)

    @property
    def in_flight_count(self) -> int:
        """How many RPCs are running."""
        return self._shell.in_flight_count

    async def start(self) -> str:
        """Listen and take calls; returns the address with the port that was bound.

        Raises:
            ListenError: The address is taken or cannot be bound.
        """
        port = self._bind()
        await self._server.start()
        self._reporter.started()
        host, _, _ = self._options.address.rpartition(":")
        return self._options.address if host.startswith("unix") else f"{host}:{port}"

    async def follow_health(self) -> None:
        """Keep `grpc.health.v1` true until cancelled."""
        await self._reporter.run()

    async def drain(self) -> bool:
        """Say NOT_SERVING, wait for balancers, refuse new calls, let the running ones finish, then stop.

        Returns:
            Whether all calls finished within the drain's timeout; those that did not were cancelled.
        """
        self._reporter.draining()
        await asyncio.sleep(self._options.drain_delay)
        self._shell.draining.set()
        finished = await self._idle_within(self._options.drain_timeout)
        if not finished:
            self._shell.cut_short()
            await self._idle_within(CLOSING_GRACE)
        await self._server.stop(CLOSING_GRACE)
        return finished

    async def _idle_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._shell.wait_until_idle()
        except TimeoutError:
            return False
        return True

    def _bind(self) -> int:
        tls = self._options.tls
        address = self._options.address
        port = address.rpartition(":")[2]
        if port.isdigit() and int(port) > HIGHEST_PORT:
            # The transport would take the rest of a division by 65536.
            raise ListenError(f"cannot listen on {address}: {port} is no port")
        try:
            if tls is None:
                return self._server.add_insecure_port(address)
            credentials = grpc.ssl_server_credentials(
                [(tls.private_key, tls.certificate_chain)],
                root_certificates=tls.client_ca,
                require_client_auth=tls.client_ca is not None,
            )
            return self._server.add_secure_port(address, credentials)
        except RuntimeError:
            cause = "it is in use or not this machine's"
            if tls is not None:
                cause += ", or the certificate and its key cannot be used"
            raise ListenError(f"cannot listen on {address}: {cause}") from None


def _channel_options(options: ServerOptions) -> list[tuple[str, Any]]:
    return [
        ("grpc.max_receive_message_length", options.maximum_message_size),
        ("grpc.max_send_message_length", -1),
        # Two servers on one port would share the calls without knowing of each other's benches.
        ("grpc.so_reuseport", 0),
        # The core drops calls of a burst above 1,000, with a status that says that the caller left.
        ("grpc.server.max_pending_requests", MAXIMUM_PENDING_COUNT),
        ("grpc.server.max_pending_requests_hard_limit", MAXIMUM_PENDING_COUNT),
        # Models think for minutes without a byte; clients may ask more often whether this end still lives.
        ("grpc.http2.min_ping_interval_without_data_ms", SHORTEST_PING_INTERVAL_MS),
    ]
