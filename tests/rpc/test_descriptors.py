"""Every method and every health name of the contract, walked by the descriptors so that none is forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from paceline.v1 import chain_pb2, race_pb2, routing_pb2, stats_pb2, targets_pb2
from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.health.machine import HealthConfig
from paceline_server.health.registry import ProviderScope, Ticket
from paceline_server.providers.simulated_settings import SimulatedModel
from paceline_server.routing.catalog import Definition, ModelKind
from tests.rpc.gateway import Gate, failure_of, gateway

pytestmark = pytest.mark.usefixtures("listener")

SERVICES = {
    "paceline.v1.ChainService": chain_pb2,
    "paceline.v1.RaceService": race_pb2,
    "paceline.v1.StatsService": stats_pb2,
    "paceline.v1.RoutingService": routing_pb2,
    "paceline.v1.TargetService": targets_pb2,
}
"""As the contract lists them."""

METHODS = [
    method
    for name, module in SERVICES.items()
    for method in module.DESCRIPTOR.services_by_name[name.rpartition(".")[2]].methods
]

BUILT = {
    "Chain",
    "StreamChain",
    "Race",
    "StreamRace",
    "ListTargets",
    "BenchTarget",
    "UnbenchTarget",
    "WatchTargets",
    "ListModels",
}
"""What this version answers; anything else is refused as UNIMPLEMENTED."""

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    """A gateway whose name `pair` has two targets."""
    definitions = {"pair": Definition(ModelKind.CHAIN, ("test/a", "test/b"))}
    models = {"a": SimulatedModel(), "b": SimulatedModel()}
    async with gateway(models, definitions=definitions, follow_health=True) as running:
        yield running


def raw(gate: Gate) -> Any:
    """The channel, for calls that the types do not know."""
    return gate.channel


async def first_answer(channel: Any, method: MethodDescriptor) -> grpc.aio.AioRpcError | None:
    """Call a method with an empty request; gives the error, or None if it answered something."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    request = GetMessageClass(method.input_type)()
    decode = GetMessageClass(method.output_type).FromString
    call: Any
    try:
        if method.server_streaming:
            call = channel.unary_stream(path, response_deserializer=decode)(request.SerializeToString())
            await call.read()
            call.cancel()
        else:
            await channel.unary_unary(path, response_deserializer=decode)(request.SerializeToString())
    except grpc.aio.AioRpcError as error:
        return error
    return None


@pytest.mark.parametrize("method", METHODS, ids=lambda method: str(method.full_name))
async def test_each_method_answers_or_is_refused_as_unimplemented(
    method: MethodDescriptor, gate: Gate
) -> None:
    """ErrorReason.UNIMPLEMENTED: this server does not offer the method; no method is without a handler."""
    error = await first_answer(gate.channel, method)
    told = None if error is None else failure_of(error)
    unimplemented = told is not None and told.code is grpc.StatusCode.UNIMPLEMENTED
    assert unimplemented == (method.name not in BUILT)
    if told is not None:
        assert told.reason == ("UNIMPLEMENTED" if unimplemented else "INVALID_REQUEST")
        assert told.trailers["paceline-call-id"]


async def test_a_method_beyond_the_contract_is_unimplemented(gate: Gate) -> None:
    """Transport: an unknown method or service is UNIMPLEMENTED, and the server lives on."""
    for path in ("/paceline.v1.ChainService/Nothing", "/paceline.v9.Nothing/Nothing"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await raw(gate).unary_unary(path)(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def listed_services(gate: Gate) -> set[str]:
    """What reflection lists."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(raw(gate))
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    answers = [answer async for answer in call]
    return {service.name for answer in answers for service in answer.list_services_response.service}


async def test_reflection_lists_exactly_the_services(gate: Gate) -> None:
    """Health: reflection is on, for the contract, for health and for itself."""
    own = {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    assert await listed_services(gate) == set(SERVICES) | own


async def test_reflection_can_be_switched_off() -> None:
    """Health: reflection is on unless switched off."""
    async with gateway(reflection=False) as gate:
        # With one message sent at once: a refusal must not meet a client that still writes.
        call = raw(gate).unary_unary("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


SERVED = ("paceline.v1.ChainService", "paceline.v1.RaceService", "paceline.v1.TargetService")
"""A service whose methods only answer UNIMPLEMENTED must not look as if it could be used."""

NAMES = {
    "": SERVING,
    "liveness": SERVING,
    **{name: SERVING if name in SERVED else NOT_SERVING for name in SERVICES},
    "model/pair": SERVING,
}


@pytest.mark.parametrize("name", NAMES)
async def test_health_knows_every_name_of_the_contract(name: str, gate: Gate) -> None:
    """Health: "", liveness, each service by name and model/<name>, by Check and by Watch."""
    assert await gate.serving(name) == NAMES[name]
    stub: Any = health_pb2_grpc.HealthStub(gate.channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest(service=name))
    assert (await watch.read()).status == NAMES[name]
    watch.cancel()


async def test_health_lists_every_name_of_the_contract(gate: Gate) -> None:
    """Health: List has all names."""
    stub: Any = health_pb2_grpc.HealthStub(gate.channel)
    messages: Any = health_pb2
    answer = await stub.List(messages.HealthListRequest())
    assert {name: status.status for name, status in answer.statuses.items()} == NAMES


async def test_health_does_not_know_other_names(gate: Gate) -> None:
    """Health: a name that is not of the contract is NOT_FOUND."""
    for name in ("model/other", "paceline.v1.Nothing", "model/"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await gate.serving(name)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def watched(gate: Gate, name: str) -> Any:
    """A watch of a health name."""
    stub: Any = health_pb2_grpc.HealthStub(gate.channel)
    return stub.Watch(health_pb2.HealthCheckRequest(service=name))


async def test_a_name_serves_while_one_of_its_targets_can_be_tried(gate: Gate) -> None:
    """Health: model/<name> says whether any target can be tried; benches never touch the process."""
    watch = watched(gate, "model/pair")
    assert (await watch.read()).status == SERVING
    gate.health.bench(Target("test", "a"), 600, "")
    assert await gate.serving("model/pair") == SERVING
    gate.health.bench(Target("test", "b"), 600, "")
    assert (await watch.read()).status == NOT_SERVING
    assert await gate.serving("") == SERVING
    assert await gate.serving("paceline.v1.ChainService") == SERVING
    gate.health.unbench(Target("test", "a"))
    assert (await watch.read()).status == SERVING
    gate.health.bench(ProviderScope("test"), 600, "")
    assert (await watch.read()).status == NOT_SERVING
    gate.health.unbench(ProviderScope("test"))
    assert (await watch.read()).status == SERVING
    watch.cancel()


async def test_a_name_serves_again_when_the_bench_ends(gate: Gate) -> None:
    """Health: nobody reports the end of a bench, and model/<name> is SERVING again all the same."""
    watch = watched(gate, "model/pair")
    assert (await watch.read()).status == SERVING
    gate.health.bench(ProviderScope("test"), 0.05, "")
    assert (await watch.read()).status == NOT_SERVING
    assert (await watch.read()).status == SERVING
    watch.cancel()


async def test_a_name_serves_again_when_a_probe_is_given_up_for_lost() -> None:
    """Health: a probe that never reports holds its target until its lease ends, and no longer (H2)."""
    definitions = {"one": Definition(ModelKind.ALIAS, ("test/a",))}
    config = HealthConfig(probe_lease=0.05)
    async with gateway(definitions=definitions, health_config=config, follow_health=True) as gate:
        watch = watched(gate, "model/one")
        assert (await watch.read()).status == SERVING
        gate.health.bench(Target("test", "a"), 600, "")
        assert (await watch.read()).status == NOT_SERVING
        gate.health.unbench(Target("test", "a"))
        assert (await watch.read()).status == SERVING
        await probe_that_never_reports(gate)
        assert (await watch.read()).status == NOT_SERVING
        assert (await watch.read()).status == SERVING
        watch.cancel()


async def probe_that_never_reports(gate: Gate) -> None:
    """Bench the target as failures do, and take its probe before the bench ends."""
    ticket = gate.health.admit(Target("test", "a"))
    assert isinstance(ticket, Ticket)
    ticket.failed(AttemptFailure(FailureClass.RATE_LIMITED, "slow down", retry_after=600.0))
    assert gate.health.last_resort(Target("test", "a")) is not None
