"""A gateway on a real socket whose answers a test writes down; it keeps the requests that it got.

Serves from threads of its own, so that a test may run an event loop, or a whole command with one.
"""

# ruff: noqa: N802 - the protos name the methods
from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from paceline.v1.chain_pb2 import ChainRequest, ChainResponse, StreamChainResponse
from paceline.v1.chain_pb2_grpc import ChainServiceServicer, add_ChainServiceServicer_to_server
from paceline.v1.race_pb2 import RaceRequest, RaceResponse, StreamRaceResponse
from paceline.v1.race_pb2_grpc import RaceServiceServicer, add_RaceServiceServicer_to_server
from paceline.v1.targets_pb2 import (
    BenchTargetRequest,
    BenchTargetResponse,
    DeleteModelRequest,
    DeleteModelResponse,
    ListModelsRequest,
    ListModelsResponse,
    ListTargetsRequest,
    ListTargetsResponse,
    PutModelRequest,
    PutModelResponse,
    UnbenchTargetRequest,
    UnbenchTargetResponse,
    WatchTargetsRequest,
    WatchTargetsResponse,
)
from paceline.v1.targets_pb2_grpc import TargetServiceServicer, add_TargetServiceServicer_to_server

E = TypeVar("E", bound=Message)

PATIENCE_SECONDS = 10.0
"""How long a test waits for something that comes at once if all is well."""


@dataclass
class Refusal:
    """A status to end a call with."""

    code: grpc.StatusCode
    message: str = "no"
    details: Sequence[Message] = ()
    trailers: Sequence[tuple[str, str]] = ()

    def abort(self, context: grpc.ServicerContext) -> NoReturn:
        """End the call."""
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        for detail in self.details:
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        rich = rpc_status.to_status(status).trailing_metadata if self.details else ()
        context.set_trailing_metadata((*rich, *self.trailers))
        context.abort(self.code, self.message)


class Silence:
    """The stream hangs here until its caller leaves."""


@dataclass
class FakeGateway(ChainServiceServicer, RaceServiceServicer, TargetServiceServicer):
    """Answers as it was told.

    Attributes:
        refusals: Used up first, one a call, by every method.
        events: What a streamed chain sends; likewise of a race.
        pages: What the lists of targets and of models give, by page token.
        changes: What a watch of the targets sends before it waits for its caller to leave.
        requests: What was asked, in order.
        time_left: What the last call had of its deadline, in seconds.
        silent: Set when a stream has come to its silence.
        left: Set when a stream is over; one that is silent only ends when its caller leaves.
    """

    refusals: list[Refusal] = field(default_factory=list)
    events: Sequence[StreamChainResponse | Refusal | Silence] = ()
    answer: ChainResponse = field(default_factory=ChainResponse)
    race_events: Sequence[StreamRaceResponse | Refusal | Silence] = ()
    race_answer: RaceResponse = field(default_factory=RaceResponse)
    pages: dict[str, Any] = field(default_factory=dict)
    changes: Sequence[WatchTargetsResponse | Silence] = ()
    requests: list[Any] = field(default_factory=list)
    time_left: float | None = None
    silent: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)

    def Chain(self, request: ChainRequest, context: grpc.ServicerContext) -> ChainResponse:
        """The answer."""
        self._admit(request, context)
        return self.answer

    def StreamChain(
        self, request: ChainRequest, context: grpc.ServicerContext
    ) -> Iterator[StreamChainResponse]:
        """The events."""
        self._admit(request, context)
        yield from self._told(self.events, context)

    def Race(self, request: RaceRequest, context: grpc.ServicerContext) -> RaceResponse:
        """The answer."""
        self._admit(request, context)
        return self.race_answer

    def StreamRace(self, request: RaceRequest, context: grpc.ServicerContext) -> Iterator[StreamRaceResponse]:
        """The events."""
        self._admit(request, context)
        yield from self._told(self.race_events, context)

    def ListTargets(self, request: ListTargetsRequest, context: grpc.ServicerContext) -> ListTargetsResponse:
        """The page of the token."""
        self._admit(request, context)
        page: ListTargetsResponse = self.pages[request.page_token]
        return page

    def ListModels(self, request: ListModelsRequest, context: grpc.ServicerContext) -> ListModelsResponse:
        """The page of the token."""
        self._admit(request, context)
        page: ListModelsResponse = self.pages[request.page_token]
        return page

    def BenchTarget(self, request: BenchTargetRequest, context: grpc.ServicerContext) -> BenchTargetResponse:
        """A confirmation."""
        self._admit(request, context)
        response = BenchTargetResponse()
        response.status.target.CopyFrom(request.target)
        return response

    def UnbenchTarget(
        self, request: UnbenchTargetRequest, context: grpc.ServicerContext
    ) -> UnbenchTargetResponse:
        """A confirmation."""
        self._admit(request, context)
        response = UnbenchTargetResponse(was_benched=True)
        response.status.target.CopyFrom(request.target)
        return response

    def WatchTargets(
        self, request: WatchTargetsRequest, context: grpc.ServicerContext
    ) -> Iterator[WatchTargetsResponse]:
        """The changes."""
        self._admit(request, context)
        yield from self._told(self.changes, context)

    def PutModel(self, request: PutModelRequest, context: grpc.ServicerContext) -> PutModelResponse:
        """A confirmation."""
        self._admit(request, context)
        return PutModelResponse(created=True)

    def DeleteModel(self, request: DeleteModelRequest, context: grpc.ServicerContext) -> DeleteModelResponse:
        """A confirmation."""
        self._admit(request, context)
        return DeleteModelResponse()

    def _admit(self, request: Message, context: grpc.ServicerContext) -> None:
        self.requests.append(request)
        self.time_left = context.time_remaining()
        if self.refusals:
            self.refusals.pop(0).abort(context)

    def _told(self, events: Iterable[E | Refusal | Silence], context: grpc.ServicerContext) -> Iterator[E]:
        context.add_callback(self.left.set)
        for event in events:
            if isinstance(event, Refusal):
                event.abort(context)
            elif isinstance(event, Silence):
                self._be_silent()
            else:
                yield event

    def _be_silent(self) -> None:
        self.silent.set()
        self.left.wait(PATIENCE_SECONDS)


@contextmanager
def serving(
    gateway: FakeGateway,
    *,
    healthy: Iterable[str] = (),
    sick: Iterable[str] = (),
    credentials: grpc.ServerCredentials | None = None,
) -> Iterator[str]:
    """Serve `gateway` on a free port; gives its address."""
    with ThreadPoolExecutor(max_workers=8) as threads:
        server = grpc.server(threads)
        add_ChainServiceServicer_to_server(gateway, server)
        add_RaceServiceServicer_to_server(gateway, server)
        add_TargetServiceServicer_to_server(gateway, server)
        checks = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
        for service in healthy:
            checks.set(service, health_pb2.HealthCheckResponse.SERVING)
        for service in sick:
            checks.set(service, health_pb2.HealthCheckResponse.NOT_SERVING)
        address = "127.0.0.1:0"
        port = (
            server.add_insecure_port(address)
            if credentials is None
            else server.add_secure_port(address, credentials)
        )
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()
