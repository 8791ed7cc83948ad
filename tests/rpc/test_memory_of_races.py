"""What races and overtakings leave in memory: nothing that would wait for the collector of cycles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from paceline.v1 import chain_pb2, race_pb2
from paceline_server.health.machine import HealthConfig
from paceline_server.strategies.call import AttemptConfig
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.spec import CandidateSpec, RaceSpec
from tests.rpc.garbage import ours, over, uncollected
from tests.rpc.gateway import PATIENCE, Gate, gateway, read_stream, said
from tests.rpc.upstream import Play, silent, upstream

pytestmark = pytest.mark.usefixtures("listener")

ATTEMPTS = AttemptConfig(transient_retry_count=0, overtake_after=0.01, unary_overtake_after=0.01)
NEVER_BENCHED = HealthConfig(failure_threshold=1_000_000)
PAIR = {"candidates": [{"model": "acme/a"}, {"model": "acme/b"}]}
JUDGED = {"scorer": {"judge": {"model": "acme/c"}}}

REQUESTS: list[dict[str, Any]] = [
    {**PAIR, "strategy": {"first": {}}},
    {**PAIR, "strategy": {"first": {"grace": "0.01s"}}},
    {**PAIR, "strategy": {"best": {}}},
    {**PAIR, "strategy": {"best": JUDGED}},
    {**PAIR, "strategy": {"consensus": {}}},
    {**PAIR, "strategy": {"consensus": {"equivalence": "EQUIVALENCE_JUDGE", "judgeModel": "acme/c"}}},
    {**PAIR, "strategy": {"weighted": {}}},
    {**PAIR, "strategy": {"quality": {}}},
    {**PAIR, "strategy": {"hedged": {"delay": "0.01s"}}},
    {**PAIR, "streamAllCandidates": True},
    {**PAIR, "recovery": "RECOVERY_HOLD"},
    {**PAIR, "recovery": "RECOVERY_CONTINUE"},
    {**PAIR, "limits": {"maxStartedCount": 3, "maxOutputTokenCount": 1000, "candidateTimeout": "60s"}},
    {"candidates": [{"model": "acme/a,acme/b"}, {"model": "acme/b,acme/a"}]},
    {"candidates": [{"model": "panel"}, {"model": "acme/b"}]},
    {"model": "acme/a,acme/b"},
    {"model": "acme/a,acme/b", "options": {"recovery": "RECOVERY_HOLD"}},
    {"model": "acme/a,acme/b", "options": {"recovery": "RECOVERY_CONTINUE"}},
    {"model": "panel,acme/c"},
]


def called(gate: Gate, fields: dict[str, Any], *, streams: bool, timeout: float | None = None) -> Any:
    """One call, of a race or of a chain."""
    if "candidates" in fields:
        race = json_format.ParseDict(fields, race_pb2.RaceRequest())
        race.prompt.CopyFrom(said())
        return (gate.race.StreamRace if streams else gate.race.Race)(race, timeout=timeout)
    chain = json_format.ParseDict(fields, chain_pb2.ChainRequest())
    chain.prompt.CopyFrom(said())
    return (gate.chain.StreamChain if streams else gate.chain.Chain)(chain, timeout=timeout)


@asynccontextmanager
async def serving(plays: Mapping[str, Play]) -> AsyncIterator[Gate]:
    """A gateway over the models of `plays`, with a race among its names; no call leaves a cycle in it."""
    panel = RaceSpec((CandidateSpec("acme/a"), CandidateSpec("acme/b")), First())
    async with (
        upstream(plays) as (provider, _),
        gateway(
            providers=[provider], races={"panel": panel}, health_config=NEVER_BENCHED, attempts=ATTEMPTS
        ) as gate,
    ):
        with uncollected() as found:
            yield gate
            await over(gate, len(REQUESTS))
        assert ours(found) == set()


async def end_of(call: Any) -> str:
    """How a call ended that nobody left, read to its end."""
    if isinstance(call, grpc.aio.UnaryStreamCall):
        await read_stream(call)
    code: grpc.StatusCode = await call.code()
    return code.name


async def all_ends(gate: Gate, *, streams: bool, within: float) -> set[str]:
    """How one call of each kind ends, side by side."""
    calls = [called(gate, fields, streams=streams, timeout=within) for fields in REQUESTS]
    async with asyncio.TaskGroup() as group:
        ends = [group.create_task(end_of(call)) for call in calls]
    return {end.result() for end in ends}


def answering() -> dict[str, Play]:
    """Everyone answers."""
    return {name: Play("Four.") for name in "abc"}


def one_silent() -> dict[str, Play]:
    """One has not a word, and the others answer."""
    return {**answering(), "a": silent()}


def one_broken() -> dict[str, Play]:
    """One breaks off, and the others answer."""
    return {**answering(), "a": Play("Fo", drops=True)}


def all_broken() -> dict[str, Play]:
    """Everyone breaks off."""
    return {name: Play("Fo", drops=True) for name in "abc"}


def failing(status: int) -> dict[str, Play]:
    """Everyone answers with this status."""
    return {name: Play(status=status) for name in "abc"}


FATES: dict[str, tuple[Callable[[], dict[str, Play]], set[str]]] = {
    "all answer": (answering, {"OK"}),
    "one is silent": (one_silent, {"OK", "FAILED_PRECONDITION"}),
    "one breaks": (one_broken, {"OK", "FAILED_PRECONDITION"}),
    "one fails": (lambda: {**answering(), "a": Play(status=500)}, {"OK", "FAILED_PRECONDITION"}),
    "all break": (all_broken, {"UNAVAILABLE", "ABORTED", "FAILED_PRECONDITION"}),
    "all fail": (partial(failing, 500), {"UNAVAILABLE", "FAILED_PRECONDITION"}),
    "all refuse": (partial(failing, 400), {"INVALID_ARGUMENT", "FAILED_PRECONDITION"}),
}


@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "unary"])
@pytest.mark.parametrize("fate", FATES)
async def test_a_race_that_ends_leaves_no_cycle(fate: str, *, streams: bool) -> None:
    """A6: what races and overtakings held, prompt and answers, is free when they are over, whatever came."""
    plays, codes = FATES[fate]
    async with serving(plays()) as gate:
        assert await all_ends(gate, streams=streams, within=1.0) <= codes


async def begun(gate: Gate) -> None:
    """Wait until a call has come."""
    async with asyncio.timeout(PATIENCE):
        while not gate.server.in_flight_count:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0)


def stuck() -> dict[str, Play]:
    """Everyone falls silent after a word."""
    return {name: Play("Fo", asyncio.Event()) for name in "abc"}


def mute() -> dict[str, Play]:
    """Nobody has a word."""
    return {name: silent() for name in "abc"}


@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "unary"])
@pytest.mark.parametrize("plays", [stuck, mute], ids=["midway", "before"])
async def test_a_race_out_of_time_leaves_no_cycle(
    plays: Callable[[], dict[str, Play]], *, streams: bool
) -> None:
    """A4, R2: what races and overtakings held is free when their deadline has passed."""
    async with serving(plays()) as gate:
        assert await all_ends(gate, streams=streams, within=0.4) == {"DEADLINE_EXCEEDED"}


@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "unary"])
@pytest.mark.parametrize("plays", [stuck, mute], ids=["midway", "before"])
async def test_a_race_that_is_left_leaves_no_cycle(
    plays: Callable[[], dict[str, Play]], *, streams: bool
) -> None:
    """A4, A6: what races and overtakings held is free when their caller has left."""
    models = plays()
    async with serving(models) as gate:
        for number, fields in enumerate(REQUESTS, start=1):
            count = models["a"].asked_count
            call = called(gate, fields, streams=streams)
            await models["a"].asked(count + 1)
            # Who was asked may have been so by the call before.
            await begun(gate)
            call.cancel()
            assert await call.code() is grpc.StatusCode.CANCELLED
            del call
            await over(gate, number)
