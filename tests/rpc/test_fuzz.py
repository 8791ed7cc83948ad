"""Any message that parses gets an answer or a status of the catalogue, and never finds a bug."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc.aio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paceline.v1 import chain_pb2, errors_pb2, race_pb2, targets_pb2
from paceline_server.providers.simulated_settings import SimulatedModel
from paceline_server.routing.catalog import Definition, ModelKind
from paceline_server.strategies.call import AttemptConfig
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.spec import CandidateSpec, RaceSpec
from tests.rpc.gateway import Failure, Gate, ask, failure_of, gateway, read_stream, said
from tests.rpc.messages import messages

SICK = {"failure_rate": 0.2, "cut_rate": 0.2, "rate_limit_rate": 0.1, "retry_after": 0.0}
MODELS = {
    "a": SimulatedModel(),
    "b": SimulatedModel(reasoning="Hm, well.", tool_calls=(("find", '{"x": 1}'),), **SICK),  # type: ignore[arg-type]
}
DEFINITIONS = {"both": Definition(ModelKind.CHAIN, ("test/b", "test/a"))}
RACES = {"panel": RaceSpec((CandidateSpec("test/b"), CandidateSpec("both")), First())}
SPECS = st.sampled_from(
    ["test/a", "test/b,test/a", "both", "panel", "panel,test/a", "both,test/c", "", "nothing", "other/x", ","]
)

REASONS = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()}  # noqa: SIM118 - it is no dict

FUZZ = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Running:
    """A gateway on a loop of its own, which runs while an example is tried."""

    def __init__(self, runner: asyncio.Runner, gate: Gate) -> None:
        """Run on `runner`."""
        self.gate = gate
        self.run = runner.run


@pytest.fixture(scope="module")
def running(listener: str) -> Iterator[Running]:
    """One gateway for all examples: what one leaves behind, the next finds."""
    attempts = AttemptConfig(retry_backoff=1e-6)
    context = gateway(MODELS, definitions=DEFINITIONS, races=RACES, attempts=attempts)
    with asyncio.Runner() as runner:
        gate = runner.run(context.__aenter__())
        yield Running(runner, gate)
        runner.run(_leave(context))


async def _leave(context: Any) -> None:
    await context.__aexit__(None, None, None)


async def tried(gate: Gate, call: Any) -> None:
    """Await a call; a failure must be one of the catalogue."""
    error: grpc.aio.AioRpcError | None = None
    try:
        await call
    except grpc.aio.AioRpcError as raised:
        error = raised
    judged(gate, None if error is None else failure_of(error))


def judged(gate: Gate, told: Failure | None) -> None:
    """A failure is one that the contract knows, and no bug."""
    assert not gate.bugs
    assert told is None or told.reason in REASONS - {"INTERNAL", "UNSPECIFIED"}, told


async def streamed(gate: Gate, call: Any) -> None:
    """Read a stream; it must finish, or fail with a status of the catalogue."""
    told = await read_stream(call)
    judged(gate, told.failure)
    assert (told.failure is None) == (told.kinds()[-1:] == ["finished"])


@FUZZ
@given(request=messages(chain_pb2.ChainRequest.DESCRIPTOR))
def test_any_chain_request_gets_a_status_of_the_catalogue(
    running: Running, request: chain_pb2.ChainRequest
) -> None:
    """Errors: every status that Paceline decides is of the catalogue; INTERNAL means a bug."""
    running.run(tried(running.gate, running.gate.chain.Chain(request, timeout=20)))


@FUZZ
@given(change=messages(chain_pb2.ChainRequest.DESCRIPTOR, 2), model=SPECS, streams=st.booleans())
def test_any_change_to_a_right_request_gets_a_status_of_the_catalogue(
    running: Running, change: chain_pb2.ChainRequest, model: str, *, streams: bool
) -> None:
    """Errors, as above, for requests that come further: a right one with something added."""
    request = ask()
    request.MergeFrom(change)
    request.model = model
    gate = running.gate
    running.run(
        streamed(gate, gate.chain.StreamChain(request, timeout=20))
        if streams
        else tried(gate, gate.chain.Chain(request, timeout=20))
    )


@FUZZ
@given(request=messages(race_pb2.RaceRequest.DESCRIPTOR))
def test_any_race_request_gets_a_status_of_the_catalogue(
    running: Running, request: race_pb2.RaceRequest
) -> None:
    """Errors, as above, for RaceService."""
    running.run(tried(running.gate, running.gate.race.Race(request, timeout=20)))


@FUZZ
@given(
    change=messages(race_pb2.RaceRequest.DESCRIPTOR, 3),
    models=st.lists(SPECS, min_size=1, max_size=3),
    named=st.booleans(),
    streams=st.booleans(),
)
def test_any_change_to_a_right_race_gets_a_status_of_the_catalogue(
    running: Running, change: race_pb2.RaceRequest, models: list[str], *, named: bool, streams: bool
) -> None:
    """Errors, as above, for races that come further: with candidates of every kind, or by name."""
    request = race_pb2.RaceRequest(prompt=said())
    request.MergeFrom(change)
    request.model = "panel" if named else ""
    del request.candidates[:]
    request.candidates.extend(race_pb2.RaceCandidate(model=model) for model in models if not named)
    gate = running.gate
    running.run(
        streamed(gate, gate.race.StreamRace(request, timeout=20))
        if streams
        else tried(gate, gate.race.Race(request, timeout=20))
    )


@FUZZ
@given(
    request=messages(targets_pb2.ListTargetsRequest.DESCRIPTOR)
    | messages(targets_pb2.ListModelsRequest.DESCRIPTOR)
    | messages(targets_pb2.BenchTargetRequest.DESCRIPTOR)
    | messages(targets_pb2.UnbenchTargetRequest.DESCRIPTOR)
)
def test_any_request_about_targets_gets_a_status_of_the_catalogue(running: Running, request: Any) -> None:
    """Errors, as above, for TargetService; what it benches, the chains of the other tests meet."""
    method = getattr(running.gate.targets, type(request).__name__.removesuffix("Request"))
    running.run(tried(running.gate, method(request, timeout=20)))
