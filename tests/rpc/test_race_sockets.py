"""Races over real sockets, from the client to the upstreams: who is cancelled, and which clock ends what.

No time is asserted. That one thing comes before another is shown by what the upstream plays: it goes on only
when the test has seen the first.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from paceline.v1 import race_pb2
from paceline_server.completion.answer import Target
from paceline_server.health.machine import HealthConfig
from paceline_server.strategies.call import AttemptConfig
from tests.rpc.gateway import Told, failure, gateway, read_stream, texts
from tests.rpc.passing import candidate_timeout_passes, decision_timeout_passes
from tests.rpc.test_race_streams import candidates_ended, check_grammar, race
from tests.rpc.upstream import PING, ROLE, Play, silent, upstream

pytestmark = pytest.mark.usefixtures("listener", "no_errors_logged")

OUTCOME = race_pb2.CandidateOutcome
DECISION = race_pb2.RaceDecision
ONE_TRY = AttemptConfig(transient_retry_count=0)
NEVER_BENCHED = HealthConfig(failure_threshold=1_000_000)

FIRST: dict[str, Any] = {"first": {}}
HEDGED: dict[str, Any] = {"hedged": {"delay": "0.001s"}}


def outcomes(summary: race_pb2.RaceSummary) -> list[str]:
    """How each candidate ended, by index."""
    return [OUTCOME.Name(one.outcome).removeprefix("CANDIDATE_OUTCOME_") for one in summary.candidates]


async def read_to(call: Any, kind: str) -> list[Any]:
    """Read a stream until an event of a kind has come; gives all that came."""
    events: list[Any] = []
    while not events or not events[-1].HasField(kind):
        events.append(await call.read())
    return events


async def the_rest(call: Any, events: list[Any]) -> Told:
    """Read the rest of a stream of which these events have come."""
    told = await read_stream(call)
    return Told([*events, *told.events], told.failure)


# Losers


@pytest.mark.parametrize("strategy", [FIRST, HEDGED], ids=str)
@pytest.mark.parametrize("says_nothing", [(), (ROLE, PING)], ids=["silent", "role"])
async def test_a_loser_is_gone_before_the_winner_goes_on(
    says_nothing: tuple[bytes, ...], strategy: dict[str, Any]
) -> None:
    """R3, A6: content decides, not headers or a role; the loser's connection is closed at the decision."""
    slow_runs, slow_left = asyncio.Event(), asyncio.Event()
    slow, fast = Play(*says_nothing, asyncio.Event()), Play(slow_runs, "Four", slow_left, ".")
    async with (
        upstream({"slow": slow, "fast": fast}) as (provider, server),
        gateway(providers=[provider]) as gate,
    ):
        call = gate.race.StreamRace(race("acme/slow", "acme/fast", strategy=strategy))
        await slow.asked()
        slow_runs.set()
        events = await read_to(call, "delta")
        await slow.left()
        slow_left.set()
        told = await the_rest(call, events)
        await server.until(lambda: server.open_count == 0)
        assert not gate.health.snapshot()
    check_grammar(told, 2)
    assert outcomes(told.finished.summary) == ["CANCELLED", "WON"]
    assert texts(told.finished.completion.parts) == "Four."


@pytest.mark.parametrize(
    "strategy", [FIRST, {"first": {"grace": "0.001s"}}, {"quality": {"grace": "0s"}}, HEDGED]
)
async def test_a_unary_race_answers_without_its_losers(strategy: dict[str, Any]) -> None:
    """R3, R4, R7, A6: the answer comes though the loser never would; he is cut off, and billed."""
    slow = silent()
    async with (
        upstream({"slow": slow, "fast": Play("Four.")}) as (provider, server),
        gateway(providers=[provider]) as gate,
    ):
        response = await gate.race.Race(race("acme/slow", "acme/fast", strategy=strategy))
        await slow.left()
        await server.until(lambda: server.open_count == 0)
        assert not gate.health.snapshot()
    assert outcomes(response.summary) == ["CANCELLED", "WON"]
    loser = response.summary.candidates[0].usage
    assert loser.input_token_count > 0
    assert response.summary.loser_usage == loser


# Clocks


async def test_the_clock_of_a_race_never_cuts_a_winner() -> None:
    """R2: a winner goes on for as long as it writes, though the race's time is up."""
    later = asyncio.Event()
    plays = {"a": Play("Four", later, "."), "b": silent(), "later": silent()}
    async with upstream(plays) as (provider, _), gateway(providers=[provider]) as gate:
        request = race("acme/a", "acme/b", limits={"decisionTimeout": "0.4s"})
        call = gate.race.StreamRace(request)
        events = await read_to(call, "delta")
        await decision_timeout_passes(gate, "0.4s")
        later.set()
        told = await the_rest(call, events)
    check_grammar(told, 2)
    assert texts(told.finished.completion.parts) == "Four."


async def test_the_clock_of_a_candidate_never_cuts_a_winner() -> None:
    """RaceLimits.candidate_timeout: it ends who is slow, and never who has won and streams."""
    later = asyncio.Event()
    plays = {"a": Play("Four", later, "."), "b": silent(), "later": silent()}
    async with upstream(plays) as (provider, _), gateway(providers=[provider]) as gate:
        call = gate.race.StreamRace(race("acme/a", "acme/b", limits={"candidateTimeout": "0.4s"}))
        events = await read_to(call, "delta")
        await candidate_timeout_passes(gate, "0.4s")
        later.set()
        told = await the_rest(call, events)
    check_grammar(told, 2)
    assert texts(told.finished.completion.parts) == "Four."


@pytest.mark.parametrize(
    ("hedged", "text"),
    [({"delay": "0.001s", "maxHedgeCount": 1}, "Four."), ({"delay": "3600s", "maxHedgeCount": 2}, "Five.")],
    ids=["none is left", "one is left"],
)
async def test_the_clock_of_first_content_never_ends_the_last_that_may_answer(
    hedged: dict[str, Any], text: str
) -> None:
    """A1, R4: who waits and can be started no more is no target that is left; who can is one."""
    released = asyncio.Event()
    plays = {"a": silent(), "b": Play(released, "Four."), "c": Play("Five."), "later": silent()}
    limits = {"firstContentTimeout": "0.3s"}
    async with upstream(plays) as (provider, _), gateway(providers=[provider]) as gate:
        request = race("acme/a", "acme/b", "acme/c", strategy={"hedged": hedged}, limits=limits)
        reading = asyncio.ensure_future(read_stream(gate.race.StreamRace(request)))
        await plays["b"].asked()
        await decision_timeout_passes(gate, "0.4s")
        released.set()
        told = await reading
    check_grammar(told, 3)
    assert texts(told.finished.completion.parts) == text


@pytest.mark.parametrize("strategy", [FIRST, {"best": {}}, {"consensus": {"quorum": 1}}], ids=str)
async def test_clocks_that_ring_together_leave_one(strategy: dict[str, Any]) -> None:
    """A1: attempts that began together are silent for too long together, and one of them goes on."""
    released = asyncio.Event()
    plays = {name: Play(released, "Four.") for name in "abc"} | {"later": silent()}
    limits = {"firstContentTimeout": "0.3s"}
    async with upstream(plays) as (provider, _), gateway(providers=[provider]) as gate:
        request = race("acme/a", "acme/b", "acme/c", strategy=strategy, limits=limits)
        reading = asyncio.ensure_future(read_stream(gate.race.StreamRace(request)))
        for name in "abc":
            await plays[name].asked()
        await decision_timeout_passes(gate, "0.4s")
        released.set()
        told = await reading
    check_grammar(told, 3)
    assert texts(told.finished.completion.parts) == "Four."
    assert sorted(outcomes(told.finished.summary)) == ["TIMED_OUT", "TIMED_OUT", "WON"]


async def test_the_clock_of_first_content_ends_whom_the_race_does_not_need() -> None:
    """A1, R5: who is silent beside an answer that would win is ended by his clock, not by the caller's."""
    plays = {"a": Play("Four."), "b": silent()}
    async with upstream(plays) as (provider, _), gateway(providers=[provider]) as gate:
        limits = {"firstContentTimeout": "0.3s"}
        request = race("acme/a", "acme/b", strategy={"best": {}}, limits=limits)
        told = await read_stream(gate.race.StreamRace(request))
    check_grammar(told, 2)
    assert told.finished.summary.decision == DECISION.RACE_DECISION_ONLY_SURVIVOR
    assert outcomes(told.finished.summary) == ["WON", "TIMED_OUT"]


@pytest.mark.parametrize("strategy", [{"best": {}}, {"weighted": {}}, {"quality": {}}], ids=str)
async def test_who_writes_when_time_is_up_is_let_finish(strategy: dict[str, Any]) -> None:
    """R2: without a whole answer the clock decides for who writes, and the rest is cancelled."""
    decided = asyncio.Event()
    plays = {"a": Play("Four", decided, "."), "b": silent()}
    async with upstream(plays) as (provider, _), gateway(providers=[provider]) as gate:
        request = race("acme/a", "acme/b", strategy=strategy, limits={"decisionTimeout": "0.5s"})
        call = gate.race.StreamRace(request)
        events = await read_to(call, "winner_selected")
        await plays["b"].left()
        decided.set()
        told = await the_rest(call, events)
    check_grammar(told, 2)
    assert told.finished.summary.decision == DECISION.RACE_DECISION_DEADLINE
    assert outcomes(told.finished.summary) == ["WON", "TIMED_OUT"]
    assert texts(told.finished.completion.parts) == "Four."


async def test_what_is_there_when_time_is_up_wins() -> None:
    """R2, DEADLINE: who has answered wins when the race must decide, and who has not is timed out."""
    plays = {"a": Play("Four."), "b": silent()}
    async with upstream(plays) as (provider, server), gateway(providers=[provider]) as gate:
        request = race("acme/a", "acme/b", strategy={"best": {}}, limits={"decisionTimeout": "0.5s"})
        told = await read_stream(gate.race.StreamRace(request))
        unary = await gate.race.Race(request)
        await server.until(lambda: server.open_count == 0)
    check_grammar(told, 2)
    for summary in (told.finished.summary, unary.summary):
        assert summary.decision == DECISION.RACE_DECISION_DEADLINE
        assert outcomes(summary) == ["WON", "TIMED_OUT"]


async def test_a_race_with_nothing_when_time_is_up_fails() -> None:
    """R2, LIMIT_REACHED: nobody has an answer; every candidate was cut off, and is told before the status."""
    plays = {"a": silent(), "b": Play(ROLE, asyncio.Event())}
    limits = {"decisionTimeout": "0.4s"}
    async with upstream(plays) as (provider, server), gateway(providers=[provider]) as gate:
        request = race("acme/a", "acme/b", limits=limits, streamAllCandidates=True)
        told = await read_stream(gate.race.StreamRace(request))
        unary = await failure(gate.race.Race(request))
        await server.until(lambda: server.open_count == 0)
        assert not gate.health.snapshot()
    check_grammar(told, 2)
    assert told.failure is not None
    for failed in (told.failure, unary):
        assert (failed.reason, failed.code.name) == ("LIMIT_REACHED", "RESOURCE_EXHAUSTED")
        assert len(failed.call_failure.attempts) == 2
    ended = [OUTCOME.Name(one.outcome) for one in candidates_ended(told)]
    assert ended == ["CANDIDATE_OUTCOME_TIMED_OUT"] * 2


async def test_a_deadline_with_nothing_there_tells_all_ends_first() -> None:
    """R2, DEADLINE_EXCEEDED: the race decides before the deadline, so all ends are told before the status."""
    plays = {"a": silent(), "b": Play(ROLE, asyncio.Event())}
    async with upstream(plays) as (provider, server), gateway(providers=[provider]) as gate:
        request = race("acme/a", "acme/b", recovery="RECOVERY_HOLD")
        told = await read_stream(gate.race.StreamRace(request, timeout=0.6))
        await server.until(lambda: server.open_count == 0)
        (ended,) = await gate.book.ended(1)
        assert not gate.health.snapshot()
    check_grammar(told, 2)
    assert (ended.code, ended.reason) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
    assert told.failure is not None
    assert told.failure.reason == "DEADLINE_EXCEEDED"
    ends = [event.attempt_ended.attempt.index for event in told.events if event.HasField("attempt_ended")]
    assert sorted(ends) == [0, 1]


# Consensus


@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "unary"])
async def test_a_consensus_waits_for_nobody_once_it_is_certain(*, streams: bool) -> None:
    """R6: three equal answers of five decide, and the two that still run are cut off."""
    slow = [silent(), Play("Fo", asyncio.Event())]
    plays = {"s": slow[0], "t": slow[1], "x": Play("Four."), "y": Play("four"), "z": Play("FOUR")}
    async with upstream(plays) as (provider, server), gateway(providers=[provider]) as gate:
        request = race(*(f"acme/{name}" for name in "stxyz"), strategy={"consensus": {}})
        if streams:
            told = await read_stream(gate.race.StreamRace(request))
            check_grammar(told, 5)
            response = told.finished
        else:
            response = await gate.race.Race(request)
        for one in slow:
            await one.left()
        await server.until(lambda: server.open_count == 0)
    summary = response.summary
    assert summary.decision == DECISION.RACE_DECISION_MAJORITY
    assert summary.agreement_score == pytest.approx(0.6)
    assert sorted(outcomes(summary)[:2]) == ["CANCELLED", "CANCELLED"]
    assert sorted(outcomes(summary)[2:]) == ["LOST", "LOST", "WON"]


# Hedges


@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "unary"])
async def test_a_hedge_starts_once_and_at_once_after_a_failure(*, streams: bool) -> None:
    """R4: after a failure the next starts without the delay, and nobody beyond `max_hedge_count`."""
    plays = {"a": Play(status=500), "b": Play(status=500), "c": Play("Four.")}
    strategy = {"hedged": {"delay": "3600s"}}
    async with (
        upstream(plays) as (provider, _),
        gateway(providers=[provider], attempts=ONE_TRY, health_config=NEVER_BENCHED) as gate,
    ):
        request = race("acme/a", "acme/b", "acme/c", strategy=strategy)
        if streams:
            told = await read_stream(gate.race.StreamRace(request))
            check_grammar(told, 3)
            assert [OUTCOME.Name(one.outcome)[18:] for one in candidates_ended(told)][2] == "SKIPPED"
            failed = told.failure
        else:
            failed = await failure(gate.race.Race(request))
    assert failed is not None
    assert failed.reason == "ALL_ATTEMPTS_FAILED"
    assert [play.asked_count for play in plays.values()] == [1, 1, 0]


async def test_no_hedge_follows_a_fault_of_the_request() -> None:
    """R4: another target would say the same of a request that is at fault."""
    plays = {"a": Play(status=400), "b": Play("Four.")}
    async with upstream(plays) as (provider, _), gateway(providers=[provider], attempts=ONE_TRY) as gate:
        request = race("acme/a", "acme/b", strategy={"hedged": {"delay": "3600s"}})
        told = await read_stream(gate.race.StreamRace(request))
    check_grammar(told, 2)
    assert told.failure is not None
    assert told.failure.reason == "PROVIDER_REJECTED_REQUEST"
    assert plays["b"].asked_count == 0


async def test_no_hedge_starts_for_a_benched_target() -> None:
    """R4: with the others benched the slow one is let write, however late it is."""
    later = asyncio.Event()
    plays = {"a": Play(later, "Four."), "b": Play("Five."), "later": silent()}
    async with upstream(plays) as (provider, _), gateway(providers=[provider]) as gate:
        gate.health.bench(Target("acme", "b"), 3600.0, "out of order")
        call = gate.race.StreamRace(race("acme/a", "acme/b", strategy=HEDGED))
        events = await read_to(call, "attempt_started")
        await decision_timeout_passes(gate, "0.1s")
        later.set()
        told = await the_rest(call, events)
    check_grammar(told, 2)
    assert outcomes(told.finished.summary) == ["WON", "SKIPPED"]
    assert plays["b"].asked_count == 0
