"""The grpcio server behind the native listener, for methods whose requests are streams, and unknown ones.

It listens on a socket file of its own, to which the front hands such calls on.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from paceline_server.rpc.listeners import channel_options


class Fallback:
    """Serves what was added to it."""

    def __init__(self, maximum_message_size: int) -> None:
        """Serve nothing yet."""
        self._options = channel_options(maximum_message_size)
        self._services: dict[str, dict[str, Any]] = {}
        self._server: grpc.aio.Server | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def add(self, service_name: str, method_handlers: dict[str, Any]) -> None:
        """Serve these methods of a service."""
        self._services[service_name] = method_handlers

    async def start(self) -> str:
        """Listen; returns the path of the socket."""
        # Nobody else of this machine may enter the folder, and so reach the socket.
        self._folder = tempfile.TemporaryDirectory(prefix="paceline-", ignore_cleanup_errors=True)
        path = str(Path(self._folder.name) / "fallback")
        self._server = grpc.aio.server(options=self._options)
        self._server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(name, handlers)
                for name, handlers in self._services.items()
            ]
        )
        self._server.add_insecure_port(f"unix:{path}")
        await self._server.start()
        return path

    async def stop(self, grace: float) -> None:
        """Stop, and remove the socket."""
        if self._server is not None:
            await self._server.stop(grace)
        if self._folder is not None:
            self._folder.cleanup()
