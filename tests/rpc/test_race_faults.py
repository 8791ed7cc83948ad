"""Races with bad candidates, bad judges and limits that are too small, over sockets and odd providers."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from paceline_server.health.machine import HealthConfig
from paceline_server.providers.base import Answer, AnswerStream, ProviderRequest
from paceline_server.strategies.call import AttemptConfig
from tests.rpc.gateway import Failure, Gate, Told, failure, gateway, none_but, other_tasks, read_stream, texts
from tests.rpc.providers import Raising, Waiting
from tests.rpc.test_race_sockets import outcomes, read_to
from tests.rpc.test_race_streams import candidates_ended, check_candidates, check_grammar, race
from tests.rpc.upstream import Play, silent, upstream

pytestmark = pytest.mark.usefixtures("listener")

ONE_TRY = AttemptConfig(transient_retry_count=0)
NEVER_BENCHED = HealthConfig(failure_threshold=1_000_000)
STRATEGIES: list[dict[str, Any]] = [
    {"first": {}},
    {"best": {}},
    {"weighted": {}},
    {"quality": {}},
    {"hedged": {"delay": "0.001s"}},
]
GROUPED = {"consensus": {"equivalence": "EQUIVALENCE_JUDGE", "judgeModel": "acme/j"}}
JUDGED = {"best": {"scorer": {"judge": {"model": "acme/j"}}}}


async def both(gate: Gate, request: Any, count: int) -> tuple[Told, Failure]:
    """How a request fails that cannot succeed, streamed and unary; both say the same."""
    told = await read_stream(gate.race.StreamRace(request))
    check_grammar(told, count)
    unary = await failure(gate.race.Race(request))
    assert told.failure is not None
    assert (told.failure.code, told.failure.reason) == (unary.code, unary.reason)
    return told, unary


# Candidates


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
async def test_who_never_answers_stops_nobody(strategy: dict[str, Any]) -> None:
    """R2: a candidate that never answers ends with the decision or with the race's clock."""
    limits = {"decisionTimeout": "0.5s"}
    async with (
        upstream({"a": silent(), "b": Play("Four.")}) as (provider, server),
        gateway(providers=[provider]) as gate,
    ):
        request = race("acme/a", "acme/b", strategy=strategy, limits=limits)
        told = await read_stream(gate.race.StreamRace(request))
        await server.until(lambda: server.open_count == 0)
    check_grammar(told, 2)
    assert texts(told.finished.completion.parts) == "Four."


class Deaf(Waiting):
    """A provider that takes no notice of being cancelled, until it is let go."""

    def __init__(self) -> None:
        """Run on whatever comes."""
        super().__init__("deaf")
        self.let_go = asyncio.Event()

    async def _wait(self) -> None:
        self.running_count += 1
        self.entered.release()
        while not self.let_go.is_set():
            with suppress(asyncio.CancelledError):
                await self.let_go.wait()
        self.running_count -= 1

    async def complete(self, request: ProviderRequest) -> Answer:
        """Answer when let go."""
        await self._wait()
        raise ValueError("too late")

    async def open(self, request: ProviderRequest) -> AnswerStream:
        """Open when let go."""
        await self._wait()
        raise ValueError("too late")


@pytest.mark.parametrize("strategy", [{"first": {}}, {"hedged": {"delay": "0.001s"}}], ids=str)
@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "unary"])
async def test_who_ignores_its_cancellation_cannot_hold_the_race(
    strategy: dict[str, Any], *, streams: bool
) -> None:
    """R2: the race is over while the loser still runs; it is billed, and ends in its own time."""
    deaf, before = Deaf(), other_tasks()
    runs = asyncio.Event()
    async with (
        upstream({"b": Play(runs, "Four.")}) as (provider, _),
        gateway(providers=[deaf, provider]) as gate,
    ):
        request = race("deaf/a", "acme/b", strategy=strategy)
        call: Any = (gate.race.StreamRace if streams else gate.race.Race)(request)
        reading = asyncio.ensure_future(read_stream(call)) if streams else call
        await deaf.entered.acquire()
        runs.set()
        read: Any = await reading
        assert deaf.running_count == 1
        if streams:
            check_grammar(read, 2)
        response: Any = read.finished if streams else read
        (ended,) = await gate.book.ended(1)
        deaf.let_go.set()
        assert len(ended.attempts) == 2
        assert not gate.bugs
        assert not gate.health.snapshot()
    assert outcomes(response.summary) == ["CANCELLED", "WON"]
    await none_but(before)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
async def test_who_throws_at_once_stops_nobody(strategy: dict[str, Any]) -> None:
    """R2, R8: an exception that no adapter should raise costs one candidate, and no text of it is told."""
    async with (
        upstream({"b": Play("Four.")}) as (provider, _),
        gateway(providers=[Raising(RuntimeError("s3cret"), "bad"), provider], attempts=ONE_TRY) as gate,
    ):
        request = race("bad/a", "acme/b", strategy=strategy)
        told = await read_stream(gate.race.StreamRace(request))
        unary = await gate.race.Race(request)
        assert not gate.bugs
    check_grammar(told, 2)
    for response in (told.finished, unary):
        assert outcomes(response.summary) == ["FAILED", "WON"]
        assert "s3cret" not in str(response)


@pytest.mark.parametrize("strategy", [*STRATEGIES, {"consensus": {}}], ids=str)
async def test_a_race_of_which_all_fail_tells_each_reason(strategy: dict[str, Any]) -> None:
    """R8: ALL_ATTEMPTS_FAILED, with the attempts and why each candidate gave no answer."""
    plays = {"a": Play(status=500), "b": Play("Fo", drops=True), "c": Play(status=429)}
    raised = {"hedged": {"delay": "0.001s", "maxHedgeCount": 2}} if "hedged" in strategy else strategy
    async with (
        upstream(plays) as (provider, _),
        gateway(providers=[provider], attempts=ONE_TRY, health_config=NEVER_BENCHED) as gate,
    ):
        request = race("acme/a", "acme/b", "acme/c", strategy=raised)
        unary = await failure(gate.race.Race(request))
        told = await read_stream(gate.race.StreamRace(request))
    assert unary.reason == "ALL_ATTEMPTS_FAILED"
    assert len(unary.call_failure.attempts) == 3
    check_grammar(told, 3)
    assert told.failure is not None
    assert told.failure.reason in ("ALL_ATTEMPTS_FAILED", "STREAM_BROKEN")
    assert all(one.status.message for one in candidates_ended(told))


async def test_an_empty_answer_does_not_replace_one_that_broke_off() -> None:
    """R3: empty answers never win, not even when nobody else is left."""
    started = asyncio.Event()
    plays = {"a": Play("Fo", started, drops=True), "b": Play(b": nothing\n\n")}
    async with (
        upstream(plays) as (provider, _),
        gateway(providers=[provider], attempts=ONE_TRY, health_config=NEVER_BENCHED) as gate,
    ):
        call = gate.race.StreamRace(race("acme/a", "acme/b", recovery="RECOVERY_RESTART"))
        events = await read_to(call, "delta")
        started.set()
        told = await read_stream(call)
    whole = Told([*events, *told.events], told.failure)
    check_grammar(whole, 2)
    assert told.failure is not None
    assert told.failure.reason == "STREAM_BROKEN"


# Who is left


@pytest.mark.parametrize("strategy", [{"hedged": {"delay": "3600s", "maxHedgeCount": 3}}, JUDGED], ids=str)
@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "unary"])
async def test_a_race_that_is_left_starts_nobody(strategy: dict[str, Any], *, streams: bool) -> None:
    """A6, R4, R5: the ends that leaving causes are no failures, and nobody starts after them."""
    plays = {"a": silent(), "b": Play("Four."), "c": Play("Four."), "j": silent()}
    before = other_tasks()
    async with upstream(plays) as (provider, server), gateway(providers=[provider]) as gate:
        request = race("acme/a", "acme/b", "acme/c", strategy=strategy)
        call: Any = (gate.race.StreamRace if streams else gate.race.Race)(request)
        started = ["a"] if "hedged" in strategy else ["a", "b", "c"]
        for name in started:
            await plays[name].asked()
        await server.until(lambda: server.open_count == 1)
        call.cancel()
        await gate.book.ended(1)
        await server.until(lambda: server.open_count == 0)
        assert plays["j"].asked_count == 0
        assert [plays[name].asked_count for name in "abc"] == [int(name in started) for name in "abc"]
    await none_but(before)


# Judges


JUDGES: dict[str, Play] = {
    "prose": Play("I like them all."),
    "nonsense": Play('{"scores": {"Z": 1e999, "A": "ten"}}'),
    "broken": Play("{", drops=True),
    "failing": Play(status=500),
    "refusing": Play(status=400),
}


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("strategy", [JUDGED, GROUPED], ids=["best", "consensus"])
async def test_a_judge_without_sense_leaves_it_to_the_next_rule(strategy: dict[str, Any], judge: str) -> None:
    """R9: without a judgement the answers decide among themselves, and the judge's call is billed."""
    plays = {"a": Play("Four."), "b": Play("four"), "j": JUDGES[judge]}
    async with (
        upstream(plays) as (provider, _),
        gateway(providers=[provider], attempts=ONE_TRY, health_config=NEVER_BENCHED) as gate,
    ):
        request = race("acme/a", "acme/b", strategy=strategy)
        told = await read_stream(gate.race.StreamRace(request))
        unary = await gate.race.Race(request)
        assert not gate.bugs
    check_candidates(told, 2)
    for response in (told.finished, unary):
        assert sorted(outcomes(response.summary)) == ["LOST", "WON"]


@pytest.mark.usefixtures("no_errors_logged")
async def test_a_judge_that_never_answers_is_cut_off_by_the_clock() -> None:
    """R2, R9: the race decides without its judge when time is up, and the judge's connection is closed."""
    plays = {"a": Play("Four."), "b": Play("Five."), "j": silent()}
    async with upstream(plays) as (provider, _), gateway(providers=[provider]) as gate:
        request = race("acme/a", "acme/b", strategy=JUDGED, limits={"decisionTimeout": "0.5s"})
        told = await read_stream(gate.race.StreamRace(request))
        await plays["j"].left()
    check_candidates(told, 2)
    assert sorted(outcomes(told.finished.summary)) == ["LOST", "WON"]


async def test_a_candidate_may_judge() -> None:
    """JudgeScorer.model: who runs in the race may be asked about it, in a call of its own."""
    plays = {"a": Play('{"scores": {"A": 3, "B": 9}}'), "b": Play("Four.")}
    strategy = {"best": {"scorer": {"judge": {"model": "acme/a"}}}}
    async with upstream(plays) as (provider, _), gateway(providers=[provider]) as gate:
        response = await gate.race.Race(race("acme/a", "acme/b", strategy=strategy))
    winner = response.summary.candidates[response.summary.selected_index]
    assert winner.completion.confidence.value == pytest.approx(0.9)
    assert [plays[name].asked_count for name in "ab"] == [2, 1]


# Limits


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@pytest.mark.parametrize("limits", [{"maxCostNanoUsd": 0}, {"maxOutputTokenCount": 1}], ids=str)
async def test_a_limit_too_small_for_one_call(limits: dict[str, Any], strategy: dict[str, Any]) -> None:
    """R9, LIMIT_REACHED: what the limit forbids is never sent; what it permits is held to it."""
    plays = {"a": Play("Four."), "b": Play("Four.")}
    async with upstream(plays) as (provider, server), gateway(providers=[provider]) as gate:
        request = race("acme/a", "acme/b", strategy=strategy, limits=limits)
        if "maxCostNanoUsd" in limits:
            _, unary = await both(gate, request, 2)
            assert (unary.reason, unary.code.name) == ("LIMIT_REACHED", "RESOURCE_EXHAUSTED")
            assert not server.requests
            return
        response = await gate.race.Race(request)
        assert len(server.requests) == 1
        assert b'_tokens":1' in server.requests[0].body
    assert sorted(outcomes(response.summary)) == ["SKIPPED", "WON"]
