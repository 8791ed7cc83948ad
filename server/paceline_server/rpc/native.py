"""The native listener: HTTP/2 and gRPC in pygrpc-native's Rust threads, the handlers on the event loop.

Built on the package's front and not on its server: that one takes a thread for each client that reads
slowly, of a few that everyone shares, and closes before the last answers are sent.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import grpc
from pygrpc_native import EVENT_CANCEL, NativeGrpcFront

from paceline_server.rpc.native_call import NativeCall
from paceline_server.rpc.native_fallback import Fallback
from paceline_server.rpc.native_threads import patient_threads
from paceline_server.rpc.options import ADDRESS_REFUSED, ListenError, ServerOptions

BATCH = 64
"""Events that are taken from the front at once."""

IO_THREADS = 1
"""It keeps ahead of the one thread that Python runs in; a second only wakes more often."""

UNLIMITED = 2**31 - 1
LAST_BYTES_TIME = 1.0
"""Seconds for what was handed over to be sent; a client that does not read it must not hold up the end."""

FLUSH_PAUSE = 0.01
"""Seconds between looks at what is still being sent."""

LARGEST_METADATA = 16 * 1024
"""Bytes of a request's metadata, with names and overhead; grpcio's own limit."""

LARGEST_READ_METADATA = 1024 * 1024
METADATUM_OVERHEAD = 32
"""Bytes that HTTP/2 counts for each header beside its text."""

RESOURCE_EXHAUSTED: int = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
UNAVAILABLE: int = grpc.StatusCode.UNAVAILABLE.value[0]


class NativeListener:
    """A listener without TLS for trusted networks. Streaming requests go to a grpcio server behind it."""

    def __init__(self, options: ServerOptions, fallback: Fallback | None = None) -> None:
        """Listen by `options`, which name no TLS; `fallback` serves what the front cannot."""
        self._options = options
        self._methods: dict[str, Any] = {}
        self._table: list[Any] = []
        self._running: dict[int, asyncio.Task[None]] = {}
        self._fallback = fallback or Fallback(options.maximum_message_size)
        self._stopping = False
        self._front: NativeGrpcFront
        self._receiver = threading.Thread(target=self._receive, name="paceline-native", daemon=True)
        self._loop: asyncio.AbstractEventLoop

    @property
    def registrar(self) -> Any:
        """What handlers register with."""
        return self

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Leave them: generated code registers the same methods by name too."""

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """Serve methods; those whose requests are streams go to the fallback."""
        streamed = {name: one for name, one in method_handlers.items() if one.request_streaming}
        for name in method_handlers.keys() - streamed.keys():
            self._methods[f"/{service_name}/{name}"] = method_handlers[name]
        if streamed:
            self._fallback.add(service_name, streamed)

    def bind(self) -> int:
        """Bind the address."""
        try:
            with patient_threads():
                self._front = self._new_front()
        except OSError:
            raise ListenError(f"cannot listen on {self._options.address}: {ADDRESS_REFUSED}") from None
        return self._front.bound_port

    async def start(self) -> None:
        """Take calls."""
        self._loop = asyncio.get_running_loop()
        self._front.set_fallback(await self._fallback.start())
        self._table = list(self._methods.values())
        # A unary method is, on the wire, a stream of one message; only as a stream can its headers go first.
        self._front.add_methods([(path, True) for path in self._methods])
        self._front.start()
        self._receiver.start()

    async def stop(self, grace: float) -> None:
        """Refuse new calls, let those that run finish for `grace` seconds, cancel the rest, and close."""
        self._stopping = True
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fallback.stop(grace))
            group.create_task(self._end_calls(grace))
        await self._sent_within(LAST_BYTES_TIME)
        # The front joins its threads; the loop must not wait for them.
        await asyncio.to_thread(self._close)

    def _new_front(self) -> NativeGrpcFront:
        return NativeGrpcFront(
            self._options.address,
            [],
            io_threads=IO_THREADS,
            call_details=True,
            # Only so can a call that fails before its first message be retried by its client.
            delay_stream_headers=True,
            # Tells how many calls are still being sent when the listener closes.
            metrics=True,
            keepalive_permit_without_calls=False,
            max_concurrent_streams=UNLIMITED,
            # The front answers more with a bare HTTP status, and far more by ending the whole connection.
            max_metadata_size=LARGEST_READ_METADATA,
        )

    def _close(self) -> None:
        self._front.close()
        self._receiver.join()

    async def _end_calls(self, grace: float) -> None:
        running = set(self._running.values())
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=grace)
        for task in late:
            task.cancel()
        await asyncio.wait(running)

    async def _sent_within(self, seconds: float) -> None:
        """Wait until the last bytes of every call are on their way: closing drops what is not."""
        end = self._loop.time() + seconds
        while self._unsent_count() and self._loop.time() < end:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(FLUSH_PAUSE)
        await asyncio.sleep(FLUSH_PAUSE)

    def _unsent_count(self) -> int:
        metrics = self._front.metrics() or {"methods": {}}
        return sum(
            method["started"] - sum(ended["count"] for ended in method["status"].values())
            for method in metrics["methods"].values()
        )

    def _receive(self) -> None:
        """Hand batches of events to the loop; runs in a thread of its own."""
        while (events := self._front.recv_batch_details(BATCH)) is not None:
            try:
                self._loop.call_soon_threadsafe(self._take, events)
            except RuntimeError:
                # The loop is closed: nobody is left to answer.
                self._front.close()
                return

    def _take(self, events: Sequence[Any]) -> None:
        for kind, call_id, method, request, _, details in events:
            if kind == EVENT_CANCEL:
                task = self._running.get(call_id)
                if task is not None:
                    task.cancel()
            elif self._stopping:
                self._front.fail(call_id, UNAVAILABLE, "this replica has shut down")
            elif (too_large := self._too_large(request, details[0])) is not None:
                self._front.fail(call_id, RESOURCE_EXHAUSTED, too_large)
            else:
                call = NativeCall(self._front, call_id, self._table[method], details[2], self._loop)
                task = self._loop.create_task(call.run(request))
                self._running[call_id] = task
                # As the default of `pop` the task is what comes back where nothing is known of the call.
                task.add_done_callback(partial(self._running.pop, call_id))

    def _too_large(self, request: bytes, metadata: Sequence[tuple[str, str | bytes]]) -> str | None:
        """Why a request is refused unread, in grpcio's words."""
        limit = self._options.maximum_message_size
        if len(request) > limit:
            return f"SERVER: Received message larger than max ({len(request)} vs. {limit})"
        size = sum(len(key) + len(value) + METADATUM_OVERHEAD for key, value in metadata)
        if size > LARGEST_METADATA:
            return f"received metadata size exceeds hard limit ({size} vs. {LARGEST_METADATA})"
        return None
