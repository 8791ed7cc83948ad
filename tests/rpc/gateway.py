"""A whole gateway for tests: a real listener on a free port over simulated providers, and its clients.

    async with gateway(models={"a": SimulatedModel()}) as gate:
        response = await gate.chain.Chain(ask("test/a"))

What the listener tells of each call is kept in `gate.calls`, what it calls bugs in `gate.bugs`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from paceline.v1 import (
    chain_pb2,
    chain_pb2_grpc,
    completion_pb2,
    errors_pb2,
    race_pb2_grpc,
    targets_pb2_grpc,
)
from paceline_server.completion.answer import Target
from paceline_server.health.budget import AttemptBudget, BudgetConfig
from paceline_server.health.machine import HealthConfig
from paceline_server.health.registry import HealthRegistry
from paceline_server.providers.base import PromptFitter, Provider
from paceline_server.providers.simulated import SimulatedProvider
from paceline_server.providers.simulated_settings import SimulatedModel
from paceline_server.routing.catalog import Catalog, Definition, ModelKind
from paceline_server.routing.directory import Directory
from paceline_server.routing.performance import Performance
from paceline_server.rpc.options import ListenerKind, ServerOptions, TlsFiles
from paceline_server.rpc.server import PacelineServer
from paceline_server.strategies.assembly import Assembly
from paceline_server.strategies.call import AttemptConfig
from paceline_server.strategies.racing.spec import RaceSpec
from paceline_server.strategies.surroundings import Surroundings
from paceline_server.telemetry.calls import CallEnded
from tests.as_given import AsGiven

M = TypeVar("M", bound=Message)

LISTENERS: tuple[ListenerKind, ...] = ("grpcio", "native")


class Served:
    """The listener of gateways that are not told theirs; the fixture `listener` sets it."""

    listener: ListenerKind = "grpcio"


PATIENCE = 20.0
"""Seconds after which a test stops waiting for what should have come: a bound, never a measure."""


class CallBook:
    """Keeps what an observer is told, and lets tests wait for it."""

    def __init__(self, kept_call_count: int | None = None) -> None:
        """Start empty; keep all calls, or only the latest."""
        self.calls: deque[CallEnded] = deque(maxlen=kept_call_count)
        self.bugs: list[Exception] = []
        self._told = asyncio.Event()

    def call_ended(self, ended: CallEnded) -> None:
        """Keep the call."""
        self.calls.append(ended)
        self._told.set()

    def bug(self, call_id: str, method: str, error: Exception) -> None:
        """Keep the bug."""
        self.bugs.append(error)

    async def ended(self, count: int) -> Sequence[CallEnded]:
        """Wait until `count` calls have ended; gives all that have."""
        async with asyncio.timeout(PATIENCE):
            while len(self.calls) < count:
                self._told.clear()
                await self._told.wait()
        return self.calls


@dataclass
class HandClock:
    """Seconds since the epoch, moved by hand."""

    seconds: float = 1_800_000_000.0

    def __call__(self) -> float:
        """The time."""
        return self.seconds


@dataclass
class Gate:
    """A running gateway and its clients."""

    server: PacelineServer
    address: str
    channel: grpc.aio.Channel
    health: HealthRegistry
    directory: Directory
    providers: Mapping[str, Provider]
    book: CallBook
    started: list[grpc.aio.Channel] = field(default_factory=list)

    @property
    def chain(self) -> chain_pb2_grpc.ChainServiceAsyncStub:
        """The client of ChainService."""
        return chain_pb2_grpc.ChainServiceStub(self.channel)

    @property
    def race(self) -> race_pb2_grpc.RaceServiceAsyncStub:
        """The client of RaceService."""
        return race_pb2_grpc.RaceServiceStub(self.channel)

    @property
    def targets(self) -> targets_pb2_grpc.TargetServiceAsyncStub:
        """The client of TargetService."""
        return targets_pb2_grpc.TargetServiceStub(self.channel)

    @property
    def simulated(self) -> SimulatedProvider:
        """The provider `test`."""
        provider = self.providers["test"]
        assert isinstance(provider, SimulatedProvider)
        return provider

    @property
    def calls(self) -> Sequence[CallEnded]:
        """What the listener told of each RPC."""
        return self.book.calls

    @property
    def bugs(self) -> list[Exception]:
        """What the listener called a bug."""
        return self.book.bugs

    async def serving(self, name: str) -> int:
        """The status that `grpc.health.v1` has for a name."""
        stub: Any = health_pb2_grpc.HealthStub(self.channel)
        response = await stub.Check(health_pb2.HealthCheckRequest(service=name))
        return int(response.status)

    def chain_over(self, channel: grpc.aio.Channel) -> chain_pb2_grpc.ChainServiceAsyncStub:
        """The client of ChainService over a channel of its own."""
        return chain_pb2_grpc.ChainServiceStub(channel)

    def race_over(self, channel: grpc.aio.Channel) -> race_pb2_grpc.RaceServiceAsyncStub:
        """The client of RaceService over a channel of its own."""
        return race_pb2_grpc.RaceServiceStub(channel)

    def connect(self) -> grpc.aio.Channel:
        """A channel of its own, with a connection of its own; closed with the gateway.

        Its window is fixed: grown by gRPC's own measure of the line, it would take megabytes unread.
        """
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_receive_message_length", -1),
            ("grpc.http2.bdp_probe", 0),
        ]
        channel = grpc.aio.insecure_channel(self.address, options)
        self.started.append(channel)
        return channel


def options(**changes: Any) -> ServerOptions:
    """A listener on a free port, with changes."""
    values: dict[str, Any] = {
        "address": "127.0.0.1:0",
        "maximum_deadline": 300.0,
        "maximum_message_size": 16 << 20,
        "drain_delay": 0.0,
        "drain_timeout": 10.0,
        "listener": Served.listener,
        **changes,
    }
    return ServerOptions(**values)


@asynccontextmanager
async def gateway(
    models: Mapping[str, SimulatedModel] | None = None,
    *,
    providers: Sequence[Provider] | None = None,
    definitions: Mapping[str, Definition] | None = None,
    races: Mapping[str, RaceSpec] | None = None,
    default_model: str = "",
    attempts: AttemptConfig | None = None,
    fitter: PromptFitter | None = None,
    health_config: HealthConfig | None = None,
    now: Callable[[], float] = time.time,
    follow_health: bool = False,
    kept_call_count: int | None = None,
    hedges: AttemptBudget | None = None,
    **server_options: Any,
) -> AsyncIterator[Gate]:
    """A gateway over the simulated provider `test`, or over `providers`."""
    offered = {"a": SimulatedModel()} if models is None else models
    served = providers or [SimulatedProvider("test", offered, seed=1)]
    by_name: dict[str, Provider] = {provider.name: provider for provider in served}
    known = tuple(Target("test", model) for model in offered) if providers is None else ()
    health = HealthRegistry(health_config, rng=random.Random(1), now=now)
    raced = races or {}
    named = {**(definitions or {}), **{name: _definition(race) for name, race in raced.items()}}
    catalog = Catalog(named, frozenset(by_name), known, default_model)
    directory = Directory(catalog, health, lambda target: by_name[target.provider].profile(target.model))
    plenty = BudgetConfig(per_second=1e6, burst=1e6)
    surroundings = Surroundings(
        health,
        AttemptBudget(plenty),
        attempts or AttemptConfig(),
        random.Random(1),
        fitter or AsGiven(),
        Performance(),
        hedges or AttemptBudget(plenty),
    )
    book = CallBook(kept_call_count)
    made = options(**server_options)
    server = PacelineServer(made, Assembly(catalog, by_name, surroundings, raced), directory, book)
    address = await server.start()
    channel = _client(address, made.tls)
    gate = Gate(server, address, channel, health, directory, by_name, book)
    follower = asyncio.create_task(server.follow_health()) if follow_health else None
    try:
        yield gate
    finally:
        for one in (channel, *gate.started):
            await one.close()
        if follower is not None:
            follower.cancel()
            await asyncio.wait([follower])
        await server.drain()
        for provider in by_name.values():
            await provider.aclose()


def _definition(race: RaceSpec) -> Definition:
    """The name of a race, as the catalog knows it."""
    specs = tuple(candidate.model for candidate in race.candidates)
    return Definition(ModelKind.RACE, specs, judge=race.rule.judge_model)


def _client(address: str, tls: TlsFiles | None) -> grpc.aio.Channel:
    """A plain client; the tests of TLS bring their own."""
    own = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 32 << 20)]
    return grpc.aio.insecure_channel(address, own)


def ask(model: str = "test/a", text: str = "Say something.", **fields: Any) -> chain_pb2.ChainRequest:
    """A request with one message of the user."""
    fields.setdefault("prompt", said(text))
    return chain_pb2.ChainRequest(model=model, **fields)


def said(text: str = "Say something.") -> completion_pb2.Prompt:
    """A prompt with one message of the user."""
    part = completion_pb2.Part(text=completion_pb2.Text(text=text))
    message = completion_pb2.Message(role=completion_pb2.ROLE_USER, parts=[part])
    return completion_pb2.Prompt(messages=[message])


@dataclass(frozen=True)
class Failure:
    """A status other than OK, with everything that travelled beside it."""

    code: grpc.StatusCode
    message: str
    trailers: Mapping[str, str | bytes]
    status: status_pb2.Status

    @property
    def reason(self) -> str:
        """The reason of ErrorInfo; empty if there is none."""
        info = self.detail(error_details_pb2.ErrorInfo)
        return "" if info is None else info.reason

    @property
    def call_failure(self) -> errors_pb2.CallFailure:
        """The CallFailure, which must be there."""
        failure = self.detail(errors_pb2.CallFailure)
        assert failure is not None
        return failure

    def check_pushback(self, milliseconds: int) -> None:
        """The pushback is this one; the native listener cannot send it."""
        if Served.listener == "native":
            assert "grpc-retry-pushback-ms" not in self.trailers
        else:
            assert self.trailers["grpc-retry-pushback-ms"] == str(milliseconds)

    def detail(self, kind: type[M]) -> M | None:
        """The one detail of a kind, or None."""
        descriptor: Any = kind.DESCRIPTOR
        found = [packed for packed in self.status.details if packed.Is(descriptor)]
        assert len(found) <= 1, "a detail stands at most once for each type"
        if not found:
            return None
        message = kind()
        found[0].Unpack(message)
        return message


def failure_of(error: grpc.aio.AioRpcError) -> Failure:
    """What a client can read from an error."""
    trailers = {str(key): value for key, value in error.trailing_metadata() or ()}
    raw = trailers.get("grpc-status-details-bin", b"")
    status = status_pb2.Status.FromString(raw if isinstance(raw, bytes) else raw.encode())
    return Failure(error.code(), error.details() or "", trailers, status)


async def failure(call: Any) -> Failure:
    """The failure that a unary call must end in."""
    try:
        response = await call
    except grpc.aio.AioRpcError as error:
        return failure_of(error)
    raise AssertionError(f"the call succeeded: {response}")


@dataclass
class Told:
    """All events of a stream, of a chain or a race, and its failure if it ended in one."""

    events: list[Any]
    failure: Failure | None

    def kinds(self) -> list[str]:
        """The kind of each event."""
        return [str(event.WhichOneof("event")) for event in self.events]

    @property
    def finished(self) -> Any:
        """The last event's response."""
        return self.events[-1].finished


async def read_stream(call: Any) -> Told:
    """Read a stream to its end."""
    events: list[Any] = []
    try:
        while (event := await call.read()) is not grpc.aio.EOF:
            events.append(event)
    except grpc.aio.AioRpcError as error:
        return Told(events, failure_of(error))
    return Told(events, None)


def other_tasks() -> set[asyncio.Task[Any]]:
    """The tasks beside the current one."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def none_but(before: set[asyncio.Task[Any]]) -> None:
    """Wait until no task runs that did not run before; a task that stays fails the test."""
    extra = other_tasks() - before
    if extra:
        _, left = await asyncio.wait(extra, timeout=PATIENCE)
        assert not left, left
    assert other_tasks() <= before


def texts(parts: Iterable[completion_pb2.Part]) -> str:
    """The text of the text parts."""
    return "".join(part.text.text for part in parts)
