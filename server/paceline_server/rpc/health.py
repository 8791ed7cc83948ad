"""`grpc.health.v1` for every name of the contract.

`""` and each service say whether this process takes calls; `liveness` says that it runs;
`model/<name>` says whether one of the name's targets can be tried now. A sick provider never
makes the process itself NOT_SERVING.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from paceline_server.routing.directory import Directory
from paceline_server.rpc.listeners import Context
from paceline_server.rpc.registration import services

LIVENESS = "liveness"
MODEL_PREFIX = "model/"
LONGEST_WAIT = 3600.0
"""Seconds between looks at the clock when no bench is about to end."""

NAMES_AT_ONCE = 250
"""Calls come in between so many names, when the health of a provider decides about thousands."""

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

_MESSAGES: Any = health_pb2
"""The types that come with the stubs do not know `List` yet."""


class HealthRpc(health_pb2_grpc.HealthServicer):
    """The methods of `grpc.health.v1`.

    The stock servicer lacks `List`, and it writes to watchers under a lock that setting a status needs: one
    client that takes nothing would keep a process from ever saying that it drains.
    """

    def __init__(self) -> None:
        """Know no name yet."""
        self._statuses: dict[str, int] = {}
        self._changed = asyncio.Event()

    def set(self, service: str, status: int) -> None:
        """Set the status of a name, and wake those who watch."""
        self._statuses[service] = status
        self._changed.set()
        self._changed = asyncio.Event()

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> Any:
        """The status of one name."""
        status = self._statuses.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"{request.service!r} is not known")
        return health_pb2.HealthCheckResponse(status=status)

    async def List(self, request: object, context: Context) -> Any:
        """All names with their statuses."""
        statuses = {
            name: health_pb2.HealthCheckResponse(status=status) for name, status in self._statuses.items()
        }
        return _MESSAGES.HealthListResponse(statuses=statuses)

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Context) -> None:
        """The status of one name, and each change of it that the client is quick enough to see."""
        told: int | None = None
        while True:
            changed = self._changed
            status = self._statuses.get(request.service, SERVICE_UNKNOWN)
            if status != told:
                try:
                    await context.write(health_pb2.HealthCheckResponse(status=status))
                except grpc.aio.BaseError:
                    return  # the client has left
                told = status
            await changed.wait()


class HealthReporter:
    """Keeps the health servicer's statuses true."""

    def __init__(self, servicer: HealthRpc, directory: Directory, served: Collection[str]) -> None:
        """Report on `directory` and on the `served` services to `servicer`."""
        self._served = served
        self._servicer = servicer
        self._directory = directory
        self._changed = asyncio.Event()
        self._told: dict[str, bool] = {}

    def started(self) -> None:
        """Say that calls are taken, and how the models stand."""
        self._servicer.set(LIVENESS, SERVING)
        for name in self._process_names():
            # A service that only answers UNIMPLEMENTED must not look as if it could be used.
            self._servicer.set(name, SERVING if name in ("", *self._served) else NOT_SERVING)
        for name in self._directory.names():
            self._tell_name(name)

    def draining(self) -> None:
        """Say that no more calls are taken; the process still lives."""
        for name in self._process_names():
            self._servicer.set(name, NOT_SERVING)

    async def run(self) -> None:
        """Follow the health of targets until cancelled."""
        changes = self._directory.follow_names(self._changed.set)
        try:
            await self._tell(self._directory.names())
            while True:
                # Before the look: a change that comes while it is told must lead to another look.
                self._changed.clear()
                due = changes.settle()
                await self._tell(changes.take())
                await self._next_change(due)
        finally:
            changes.close()

    def _process_names(self) -> list[str]:
        return ["", *(service.full_name for service in services())]

    async def _tell(self, names: Sequence[str]) -> None:
        for start in range(0, len(names), NAMES_AT_ONCE):
            for name in names[start : start + NAMES_AT_ONCE]:
                self._tell_name(name)
            await asyncio.sleep(0)

    def _tell_name(self, name: str) -> None:
        available = self._directory.available(name)
        if self._told.get(name) is not available:
            self._told[name] = available
            self._servicer.set(MODEL_PREFIX + name, SERVING if available else NOT_SERVING)

    async def _next_change(self, due: float | None) -> None:
        """Wait for a report, or for what time changes at `due`: a bench ends, a ramp is over."""
        wait = LONGEST_WAIT if due is None else max(0.0, due - self._directory.now())
        try:
            async with asyncio.timeout(min(wait, LONGEST_WAIT)):
                await self._changed.wait()
        except TimeoutError:
            return
