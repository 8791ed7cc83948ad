"""Overtaking over real sockets: a slow target of a chain is passed by the next, and never killed for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf import duration_pb2, json_format

from paceline.v1 import chain_pb2, completion_pb2
from paceline_server.completion.answer import Target
from paceline_server.health.budget import AttemptBudget, BudgetConfig
from paceline_server.health.machine import HealthConfig
from paceline_server.strategies.call import AttemptConfig
from tests.rpc.gateway import PATIENCE, Gate, ask, gateway, read_stream, texts
from tests.rpc.grammar import check_attempts, fold, standing
from tests.rpc.passing import attempt_timeout_passes
from tests.rpc.upstream import PING, ROLE, Play, silent, upstream

pytestmark = pytest.mark.usefixtures("listener", "no_errors_logged")

BOTH = pytest.mark.parametrize("streams", [True, False], ids=["streamed", "unary"])
SOON = {"overtakeAfter": "0.1s"}
ONE_TRY = AttemptConfig(transient_retry_count=0)
NEVER_BENCHED = HealthConfig(failure_threshold=1_000_000)


def outcomes(attempts: Any) -> list[str]:
    """How each attempt ended, in the order of their indices."""
    name = completion_pb2.AttemptOutcome.Name
    return [name(one.outcome).removeprefix("ATTEMPT_OUTCOME_") for one in attempts]


async def answered(
    gate: Gate, spec: str, options: dict[str, Any], *, streams: bool
) -> chain_pb2.ChainResponse:
    """The response to one call, from a stream that keeps the contract or from a unary call."""
    request = ask(spec, options=json_format.ParseDict(options, chain_pb2.ChainOptions()))
    if not streams:
        response: chain_pb2.ChainResponse = await gate.chain.Chain(request)
        return response
    told = await read_stream(gate.chain.StreamChain(request))
    assert told.failure is None, told.failure
    check_attempts(told)
    assert fold(standing(told)) == list(told.finished.completion.parts)
    finished: chain_pb2.ChainResponse = told.finished
    return finished


@BOTH
@pytest.mark.parametrize("says", [(), (ROLE, PING)], ids=["silent", "role"])
async def test_a_silent_target_is_overtaken(says: tuple[bytes, ...], *, streams: bool) -> None:
    """C7: the next answers; the slow one is cut off and billed, and its health knows nothing of it."""
    slow = Play(*says, asyncio.Event())
    async with (
        upstream({"a": slow, "b": Play("Four.")}) as (provider, server),
        gateway(providers=[provider]) as gate,
    ):
        response = await answered(gate, "acme/a,acme/b", SOON, streams=streams)
        await slow.left()
        await server.until(lambda: server.open_count == 0)
        assert not gate.health.snapshot()
    assert response.completion.target.model == "b"
    assert texts(response.completion.parts) == "Four."
    assert outcomes(response.attempts) == ["CANCELLED", "SUCCEEDED"]
    costs = [attempt.usage.input_token_count for attempt in response.attempts]
    assert costs[0] > 0
    assert response.total_usage.input_token_count == sum(costs)


@BOTH
async def test_who_was_nearly_overtaken_still_wins(*, streams: bool) -> None:
    """C7: the first content wins, be it that of the slow one; then the other is cut off."""
    second_runs = asyncio.Event()
    plays = {"a": Play(second_runs, "Four."), "b": silent()}
    async with upstream(plays) as (provider, server), gateway(providers=[provider]) as gate:
        async with asyncio.TaskGroup() as group:
            call = group.create_task(answered(gate, "acme/a,acme/b", SOON, streams=streams))
            await plays["b"].asked()
            second_runs.set()
        response = call.result()
        await plays["b"].left()
        await server.until(lambda: server.open_count == 0)
        assert not gate.health.snapshot()
    assert response.completion.target.model == "a"
    assert outcomes(response.attempts) == ["SUCCEEDED", "CANCELLED"]


async def test_the_slow_one_is_cut_off_at_the_first_content_of_the_other() -> None:
    """C7, A6: not at the end of the other's answer, which goes on when it has seen the slow one leave."""
    slow_left = asyncio.Event()
    plays = {"a": silent(), "b": Play("Four", slow_left, ".")}
    async with (
        upstream(plays) as (provider, _),
        gateway(providers=[provider]) as gate,
        asyncio.TaskGroup() as group,
    ):
        call = group.create_task(answered(gate, "acme/a,acme/b", SOON, streams=True))
        await plays["a"].left()
        slow_left.set()
    assert texts(call.result().completion.parts) == "Four."


@BOTH
async def test_one_overtakes_the_other_until_somebody_answers(*, streams: bool) -> None:
    """C7: who overtakes may be slow itself, and is overtaken in its turn; all run until one has content."""
    plays = {"a": silent(), "b": silent(), "c": Play("Four.")}
    async with upstream(plays) as (provider, server), gateway(providers=[provider]) as gate:
        response = await answered(gate, "acme/a,acme/b,acme/c", SOON, streams=streams)
        await server.until(lambda: server.open_count == 0)
        assert not gate.health.snapshot()
    assert outcomes(response.attempts) == ["CANCELLED", "CANCELLED", "SUCCEEDED"]
    assert [play.left_count for play in plays.values()] == [1, 1, 0]


@BOTH
@pytest.mark.parametrize("spec", ["acme/a", "acme/a,acme/b"], ids=["sole", "last"])
async def test_the_last_one_left_has_all_the_time(spec: str, *, streams: bool) -> None:
    """A1, C7: no clock ends who is alone, or beside whom all others have failed."""
    later = asyncio.Event()
    plays = {
        "a": Play(later, "Four."),
        "b": Play(status=500),
        "later": silent(),
        "at-once": Play("Five."),
    }
    options = {"firstContentTimeout": "0.4s", "attemptTimeout": "0.4s", "overtakeAfter": "0.01s"}
    async with (
        upstream(plays) as (provider, _),
        gateway(providers=[provider], attempts=ONE_TRY, health_config=NEVER_BENCHED) as gate,
        asyncio.TaskGroup() as group,
    ):
        call = group.create_task(answered(gate, spec, options, streams=streams))
        await plays["a"].asked()
        if spec != "acme/a":
            await plays["b"].asked()
        await attempt_timeout_passes(gate, 400)
        later.set()
    response = call.result()
    assert response.completion.target.model == "a"
    assert outcomes(response.attempts)[0] == "SUCCEEDED"


class NoHedges(AttemptBudget):
    """A bucket that is empty, and tells when somebody has looked into it."""

    def __init__(self) -> None:
        """Start with nothing, and earn nothing."""
        super().__init__(BudgetConfig(share_of_calls=0.0, per_second=0.0, start=0.0))
        self.asked = asyncio.Event()

    def spend(self) -> bool:
        """Nothing to be had."""
        self.asked.set()
        return super().spend()


@BOTH
async def test_nobody_overtakes_without_a_token(*, streams: bool) -> None:
    """C7, C6: with the hedge bucket empty the slow one is waited for."""
    hedges, later = NoHedges(), asyncio.Event()
    plays = {"a": Play(later, "Four."), "b": Play("Five.")}
    async with (
        upstream(plays) as (provider, _),
        gateway(providers=[provider], hedges=hedges) as gate,
        asyncio.TaskGroup() as group,
        asyncio.timeout(PATIENCE),
    ):
        call = group.create_task(answered(gate, "acme/a,acme/b", SOON, streams=streams))
        await hedges.asked.wait()
        await plays["a"].asked()
        later.set()
    assert call.result().completion.target.model == "a"
    assert plays["b"].asked_count == 0


@BOTH
async def test_nobody_is_overtaken_by_who_is_benched(*, streams: bool) -> None:
    """C7, C1: with all others benched the slow one is waited for, and no token is taken."""
    hedges, later = NoHedges(), asyncio.Event()
    plays = {"a": Play(later, "Four."), "b": Play("Five."), "later": silent(), "at-once": Play("Six.")}
    async with upstream(plays) as (provider, _), gateway(providers=[provider], hedges=hedges) as gate:
        gate.health.bench(Target("acme", "b"), 3600.0, "out of order")
        async with asyncio.TaskGroup() as group:
            call = group.create_task(answered(gate, "acme/a,acme/b", SOON, streams=streams))
            await plays["a"].asked()
            await attempt_timeout_passes(gate, 200)
            later.set()
    assert call.result().completion.target.model == "a"
    assert plays["b"].asked_count == 0
    assert not hedges.asked.is_set()


async def test_overtaking_can_be_switched_off() -> None:
    """ChainOptions.overtake_after: zero waits for the slow one as long as its clocks do."""
    later = asyncio.Event()
    plays = {"a": Play(later, "Four."), "b": Play("Five."), "later": silent(), "at-once": Play("Six.")}
    quick = AttemptConfig(overtake_after=0.05, unary_overtake_after=0.05)
    async with (
        upstream(plays) as (provider, _),
        gateway(providers=[provider], attempts=quick) as gate,
        asyncio.TaskGroup() as group,
    ):
        options = {"overtakeAfter": "0s"}
        call = group.create_task(answered(gate, "acme/a,acme/b", options, streams=True))
        await plays["a"].asked()
        await attempt_timeout_passes(gate, 200)
        later.set()
    assert call.result().completion.target.model == "a"
    assert plays["b"].asked_count == 0


async def test_a_deadline_ends_all_that_run_and_tells_their_ends() -> None:
    """C7, S1: with nobody heard of, both attempts' ends are told before DEADLINE_EXCEEDED."""
    plays = {"a": silent(), "b": silent()}
    async with (
        upstream(plays) as (provider, server),
        gateway(providers=[provider], maximum_deadline=0.5) as gate,
    ):
        options = chain_pb2.ChainOptions(overtake_after=duration_pb2.Duration(nanos=10_000_000))
        told = await read_stream(gate.chain.StreamChain(ask("acme/a,acme/b", options=options)))
        await server.until(lambda: server.open_count == 0)
        (ended,) = await gate.book.ended(1)
        assert not gate.health.snapshot()
    assert (ended.reason, len(ended.attempts)) == ("DEADLINE_EXCEEDED", 2)
    assert told.failure is not None
    check_attempts(told)
