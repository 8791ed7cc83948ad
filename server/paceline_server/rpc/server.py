"""The server: the services on the listener that is configured, and how it drains.

It serves the contract, health and, unless switched off, reflection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from paceline_server.routing.directory import Directory
from paceline_server.rpc.chain import ChainRpc
from paceline_server.rpc.health import HealthReporter, HealthRpc
from paceline_server.rpc.listeners import make_listener
from paceline_server.rpc.options import ListenError, ServerOptions
from paceline_server.rpc.race import RaceRpc
from paceline_server.rpc.registration import register, services
from paceline_server.rpc.shell import Shell
from paceline_server.rpc.targets import TargetRpc
from paceline_server.strategies.assembly import Assembly
from paceline_server.telemetry.calls import CallObserver

HIGHEST_PORT = 65_535
CLOSING_GRACE = 1.0
"""Seconds for the last statuses to reach their clients once nothing is in flight any more."""


_add_reflection: Any = reflection_pb2_grpc.add_ServerReflectionServicer_to_server
"""The types that come with the stubs do not know what it takes."""


class PacelineServer:
    """A started server answers until `drain` has returned."""

    def __init__(
        self, options: ServerOptions, assembly: Assembly, directory: Directory, observer: CallObserver
    ) -> None:
        """Build the server; nothing is bound yet."""
        self._options = options
        self._shell = Shell(maximum_deadline=options.maximum_deadline, observer=observer)
        self._listener = make_listener(options)
        self._health = HealthRpc()
        servicers: Mapping[str, object] = {
            "paceline.v1.ChainService": ChainRpc(assembly),
            "paceline.v1.RaceService": RaceRpc(assembly),
            "paceline.v1.TargetService": TargetRpc(directory, assembly.races, self._shell),
        }
        self._reporter = HealthReporter(self._health, directory, servicers.keys())
        registrar = self._listener.registrar
        register(servicers, self._shell, registrar)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, registrar)
        if options.reflection:
            names = [
                *(service.full_name for service in services()),
                health.SERVICE_NAME,
                reflection.SERVICE_NAME,
            ]
            reflector = reflection.aio.ReflectionServicer(names)
            _add_reflection(reflector, registrar)

    @property
    def caution(self) -> str:
        """What operators should know of how this server listens; empty where there is nothing."""
        if self._options.listener == "grpcio" or self._options.on_this_machine_only:
            return ""
        return "the native listener has no TLS and is for trusted networks only; use grpcio on an open one"

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
        await self._listener.start()
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
        await self._listener.stop(CLOSING_GRACE)
        return finished

    async def _idle_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._shell.wait_until_idle()
        except TimeoutError:
            return False
        return True

    def _bind(self) -> int:
        address = self._options.address
        port = address.rpartition(":")[2]
        if port.isdigit() and int(port) > HIGHEST_PORT:
            # The transport would take the rest of a division by 65536.
            raise ListenError(f"cannot listen on {address}: {port} is no port")
        return self._listener.bind()
